/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading places and conditions; matching conditions. Pure; any thread.
 */
#include "delivery/where.h"
#include "event/event.h"

#include <string.h>

bool
emesh_position_before(emesh_position at, emesh_position *out)
{
    if (at.hi == 0 && at.lo == 0)
        return false;
    *out = (emesh_position){ at.hi - (at.lo == 0), at.lo - 1 };
    return true;
}

int
emesh_position_compare(emesh_position a, emesh_position b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

/* "7" or "3:7" */
static bool
position_read(const char *text, emesh_position *out)
{
    const char *colon = strchr(text, ':');
    g_autofree char *high = colon != NULL ? g_strndup(text, (gsize)(colon - text)) : NULL;
    guint64 hi = 0, lo;

    if (high != NULL && !g_ascii_string_to_unsigned(high, 10, 0, G_MAXUINT64, &hi, NULL))
        return false;
    if (!g_ascii_string_to_unsigned(colon != NULL ? colon + 1 : text, 10, 0, G_MAXUINT64, &lo,
                                    NULL))
        return false;
    *out = (emesh_position){ hi, lo };
    return true;
}

bool
emesh_place_read(const char *text, emesh_start *out)
{
    emesh_position at;

    *out = (emesh_start){ .size = sizeof *out, .kind = EMESH_START_EARLIEST };
    if (strcmp(text, "earliest") == 0)
        return true;
    if (strcmp(text, "latest") == 0) {
        out->kind = EMESH_START_LATEST;
        return true;
    }
    if (position_read(text, &at)) {
        if (emesh_position_before(at, &out->position))
            out->kind = EMESH_START_AFTER;
        return true;
    }
    out->kind = EMESH_START_TIME;
    return emesh_time_read(text, strlen(text), &out->time_ms);
}

/* ---- conditions ---- */

typedef struct condition {
    char *name;
    GPatternSpec *value;
} condition;

struct emesh_where {
    GArray *all; /* of condition */
};

static void
condition_clear(void *data)
{
    condition *c = data;

    g_free(c->name);
    g_pattern_spec_free(c->value);
}

void
emesh_where_free(emesh_where *where)
{
    if (where == NULL)
        return;
    g_array_unref(where->all);
    g_free(where);
}

emesh_where *
emesh_where_new(const char *text, char **why)
{
    emesh_where *where = g_new0(emesh_where, 1);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    where->all = g_array_new(FALSE, FALSE, sizeof(condition));
    g_array_set_clear_func(where->all, condition_clear);
    for (char **line = lines; *line != NULL; line++) {
        const char *equals = strchr(*line, '=');
        size_t len = equals != NULL ? (size_t)(equals - *line) : 0;
        condition c;

        if (**line == '\0')
            continue;
        if (!emesh_attr_name_ok(*line, len)) {
            *why = g_strdup_printf("\"%.60s\" is no condition; write NAME=VALUE with the name of "
                                   "an attribute, VALUE may have * and ?", *line);
            emesh_where_free(where);
            return NULL;
        }
        c = (condition){ g_strndup(*line, len), g_pattern_spec_new(equals + 1) };
        g_array_append_val(where->all, c);
    }
    return where;
}

bool
emesh_where_has_any(const emesh_where *where)
{
    return where != NULL && where->all->len > 0;
}

bool
emesh_where_matches(const emesh_where *where, const emesh_event *event)
{
    for (uint32_t i = 0; i < where->all->len; i++) {
        const condition *c = &g_array_index(where->all, condition, i);
        const emesh_attr *attr = emesh_event_attr(event, c->name, strlen(c->name));
        g_autofree char *text =
            attr != NULL ? g_utf8_make_valid(attr->value, (gssize)attr->value_len) : NULL;

        if (text == NULL || !g_pattern_spec_match_string(c->value, text))
            return false;
    }
    return true;
}
