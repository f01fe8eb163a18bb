/* SPDX-License-Identifier: Apache-2.0
 *
 * The attribute of the ladder, written and read. See rung.h. Any thread.
 */
#include "bus/rung.h"
#include "bus/own-topic.h"

#include <string.h>

#define NAME EMESH_RUNG_ATTR
#define NAME_LEN (sizeof NAME - 1)
#define U64 "%" G_GINT64_MODIFIER "u"
#define X64 "%" G_GINT64_MODIFIER "x"

static void
put_text(GString *out, char tag, const char *text, size_t len)
{
    if (text == NULL)
        return;
    g_string_append_printf(out, " %c=", tag);
    emesh_name_escape(out, text, len);
}

static const emesh_event *
with(const emesh_event *event, const char *value, size_t len, emesh_error *err)
{
    emesh_attr attr = { .name = NAME, .name_len = NAME_LEN, .value = value,
                        .value_len = (uint32_t)len, .type = EMESH_ATTR_TEXT };
    emesh_event_view spec = { .size = sizeof spec, .attrs = &attr, .n_attrs = 1 };
    const emesh_event *out = NULL;

    return emesh_event_build(&spec, event, &out, err) == EMESH_OK ? out : NULL;
}

const emesh_event *
emesh_rung_put(const emesh_event *event, const emesh_rung *rung, emesh_error *err)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_append_printf(text, "d=" U64 " r=" U64, rung->due_ms, rung->ripe_ms);
    if (rung->attempts != 0)
        g_string_append_printf(text, " a=%u", rung->attempts);
    if (rung->flags != 0)
        g_string_append_printf(text, " f=%u", rung->flags);
    if (rung->copy.hi != 0 || rung->copy.lo != 0)
        g_string_append_printf(text, " c=" X64 "." X64, rung->copy.hi, rung->copy.lo);
    put_text(text, 'o', rung->origin, rung->origin != NULL ? strlen(rung->origin) : 0);
    put_text(text, 't', rung->topic, strlen(rung->topic));
    put_text(text, 'g', rung->group, rung->group != NULL ? strlen(rung->group) : 0);
    put_text(text, 'k', rung->key, rung->key_len);
    return with(event, text->str, text->len, err);
}

const emesh_event *
emesh_rung_strip(const emesh_event *event)
{
    const emesh_event *out;

    if (emesh_event_attr(event, NAME, NAME_LEN) == NULL)
        return emesh_event_ref(event);
    out = with(event, "", 0, NULL);
    return out != NULL ? out : emesh_event_ref(event);
}

/* ---- reading ---- */

/* _hh back to bytes. Given; NULL: it is none. */
static char *
unescape(const char *text, size_t *len)
{
    size_t n = strlen(text), at = 0;
    g_autofree char *out = g_malloc(n + 1);

    for (size_t i = 0; i < n; i++) {
        if (text[i] != '_') {
            out[at++] = text[i];
            continue;
        }
        if (!g_ascii_isxdigit(text[i + 1]) || !g_ascii_isxdigit(text[i + 2]))
            return NULL;
        out[at++] = (char)(g_ascii_xdigit_value(text[i + 1]) << 4 |
                           g_ascii_xdigit_value(text[i + 2]));
        i += 2;
    }
    out[at] = '\0';
    if (len != NULL)
        *len = at;
    return g_steal_pointer(&out);
}

static bool
read_copy(const char *text, emesh_position *copy)
{
    char *end = NULL;

    copy->hi = g_ascii_strtoull(text, &end, 16);
    if (end == text || *end != '.')
        return false;
    text = end + 1;
    copy->lo = g_ascii_strtoull(text, &end, 16);
    return end != text && *end == '\0';
}

static bool
read_number(const char *text, uint64_t most, uint64_t *out)
{
    char *end = NULL;

    *out = g_ascii_strtoull(text, &end, 10);
    return g_ascii_isdigit(text[0]) && *end == '\0' && *out <= most;
}

static bool
read_text(const char *text, char **out, size_t *len)
{
    if (*out != NULL)
        return false;
    *out = unescape(text, len);
    return *out != NULL;
}

/* One field; one that this daemon does not know is left aside. */
static bool
read_field(const char *field, emesh_rung *out)
{
    uint64_t number = 0;
    bool good = true;

    if (field[0] == '\0' || field[1] != '=')
        return false;
    switch (field[0]) {
    case 'd':
        return read_number(field + 2, UINT64_MAX, &out->due_ms);
    case 'r':
        return read_number(field + 2, UINT64_MAX, &out->ripe_ms);
    case 'a':
        good = read_number(field + 2, UINT32_MAX - 1, &number);
        out->attempts = (uint32_t)number;
        return good;
    case 'f':
        good = read_number(field + 2, UINT32_MAX, &number);
        out->flags = (uint32_t)number;
        return good;
    case 'c':
        return read_copy(field + 2, &out->copy);
    case 'o':
        return read_text(field + 2, &out->origin, NULL);
    case 't':
        return read_text(field + 2, &out->topic, NULL) && out->topic[0] != '\0';
    case 'g':
        return read_text(field + 2, &out->group, NULL);
    case 'k':
        return read_text(field + 2, &out->key, &out->key_len);
    default:
        return true;
    }
}

bool
emesh_rung_read(const emesh_event *event, emesh_rung *out)
{
    const emesh_attr *attr = emesh_event_attr(event, NAME, NAME_LEN);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;

    *out = (emesh_rung){ 0 };
    if (attr == NULL)
        return false;
    text = g_strndup(attr->value, attr->value_len);
    fields = g_strsplit(text, " ", 0);
    for (uint32_t i = 0; fields[i] != NULL; i++) {
        if (read_field(fields[i], out))
            continue;
        emesh_rung_clear(out);
        return false;
    }
    if (out->topic != NULL)
        return true;
    emesh_rung_clear(out);
    return false;
}

bool
emesh_rung_peek(const emesh_event *event, uint64_t *due_ms, uint64_t *ripe_ms)
{
    const emesh_attr *attr = emesh_event_attr(event, NAME, NAME_LEN);
    const char *at, *end;
    uint64_t *const wanted[] = { due_ms, ripe_ms };

    if (attr == NULL)
        return false;
    at = attr->value;
    end = at + attr->value_len;
    for (uint32_t i = 0; i < 2; i++) {
        *wanted[i] = 0;
        if (end - at < 3 || at[0] != "dr"[i] || at[1] != '=' || !g_ascii_isdigit(at[2]))
            return false;
        for (at += 2; at < end && g_ascii_isdigit(*at); at++)
            *wanted[i] = *wanted[i] * 10 + (uint64_t)(*at - '0');
        if (at < end && *at++ != ' ')
            return false;
    }
    return true;
}

void
emesh_rung_clear(emesh_rung *rung)
{
    g_free(rung->origin);
    g_free(rung->topic);
    g_free(rung->group);
    g_free(rung->key);
    *rung = (emesh_rung){ 0 };
}
