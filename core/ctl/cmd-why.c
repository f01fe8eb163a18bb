/* SPDX-License-Identifier: Apache-2.0
 *
 * why: what became of an event, as a story; or the last decisions about a group, as lines.
 */
#include "ctl/output.h"

#include <string.h>

/* "10m" ago, or a time as it is, which the daemon reads. NULL: neither. Given. */
static char *
since_text(const ctl *c, const char *text)
{
    static const struct {
        char unit;
        gint64 ms;
    } units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
    char *end = NULL;
    guint64 n = g_ascii_strtoull(text, &end, 10);

    for (gsize i = 0; end != text && end[0] != '\0' && end[1] == '\0' && i < G_N_ELEMENTS(units);
         i++)
        if (end[0] == units[i].unit && n < 100000)
            return g_strdup_printf("%" G_GINT64_FORMAT, c->now_ms - (gint64)n * units[i].ms);
    return g_strdup(text);
}

static char *
time_text(JsonObject *row, const char *field)
{
    gint64 ms = json_object_get_int_member_with_default(row, field, 0);
    g_autoptr(GDateTime) at = g_date_time_new_from_unix_utc(ms / 1000);
    g_autofree char *text = g_date_time_format(at, "%Y-%m-%dT%H:%M:%S");

    return g_strdup_printf("%s.%03dZ", text, (int)(ms % 1000));
}

/* " word value" when the row has the field. */
static void
add(GString *out, JsonObject *row, const char *before, const char *field, const char *after)
{
    g_autofree char *value = ctl_field(row, field);

    if (*value != '\0')
        g_string_append_printf(out, "%s%s%s", before, value, after);
}

static void
print_decision(ctl *c, JsonObject *row, bool with_id)
{
    g_autofree char *time = time_text(row, "time");
    g_autofree char *word = ctl_field(row, "decision");
    g_autofree char *text = ctl_field(row, "text");
    g_autoptr(GString) rest = g_string_new(NULL);

    if (with_id) {
        add(rest, row, " · id ", "id", "");
        add(rest, row, " of ", "source", "");
    }
    add(rest, row, " · ", "topic", "");
    add(rest, row, " behind ", "behind", "");
    add(rest, row, json_object_has_member(row, "behind") ? " up to " : " at ", "position", "");
    add(rest, row, " of ", "partition", "");
    if (!with_id)
        add(rest, row, " · group ", "group", "");
    add(rest, row, " · attempt ", "attempt", "");
    add(rest, row, " · level ", "level", "");
    add(rest, row, " · ", "who", "");
    add(rest, row, " · ", "wait-ms", " ms");
    add(rest, row, " · ", "events", " events");
    add(rest, row, " · ", "error", "");
    add(rest, row, " · \"", "words", "\"");
    fprintf(c->out, "  %s%s%s  %s%s%s: %s%s\n", ctl_dim(c->colour), time, ctl_plain(c->colour),
            ctl_bold(c->colour), word, ctl_plain(c->colour), text, rest->str);
}

static void
print_event(ctl *c, JsonObject *row, bool first)
{
    g_autofree char *id = ctl_field(row, "id");
    g_autofree char *source = ctl_field(row, "source");

    fprintf(c->out, "%s%s%s%s of %s%s\n", first ? "" : "\n", ctl_bold(c->colour), id,
            ctl_plain(c->colour), *source != '\0' ? source : "an unknown source",
            json_object_get_boolean_member_with_default(row, "sampled", FALSE)
                ? ""
                : " (not sampled: of what went well only its place is known)");
}

static void
print_place(ctl *c, JsonObject *row)
{
    g_autofree char *topic = ctl_field(row, "topic");
    g_autofree char *at = ctl_field(row, "position");
    g_autofree char *store = ctl_field(row, "store");
    g_autofree char *stored = time_text(row, "stored");
    g_autoptr(GString) part = g_string_new(NULL);

    add(part, row, ", partition ", "partition", "");
    fprintf(c->out, "  lies in %s of %s at position %s%s", topic, store, at, part->str);
    if (json_object_has_member(row, "stored"))
        fprintf(c->out, ", stored %s", stored);
    fputc('\n', c->out);
}

static void
print_group(ctl *c, JsonObject *row)
{
    g_autofree char *topic = ctl_field(row, "topic");
    g_autofree char *group = ctl_field(row, "group");
    g_autofree char *verdict = ctl_field(row, "verdict");
    g_autofree char *text = ctl_field(row, "text");

    fprintf(c->out, "  group %s on %s: %s%s%s, %s\n", *group != '\0' ? group : "(broadcast)", topic,
            ctl_bold(c->colour), verdict, ctl_plain(c->colour), text);
}

static void
print_rows(ctl *c, JsonArray *rows)
{
    bool first = true, of_group = c->opt.group != NULL;

    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        const char *kind = json_object_get_string_member_with_default(row, "kind", "");
        if (strcmp(kind, "event") == 0) {
            print_event(c, row, first);
            first = false;
        } else if (strcmp(kind, "place") == 0) {
            print_place(c, row);
        } else if (strcmp(kind, "decision") == 0) {
            print_decision(c, row, of_group);
        } else if (strcmp(kind, "group") == 0) {
            print_group(c, row);
        } else if (strcmp(kind, "journal") == 0 && json_object_has_member(row, "oldest")) {
            g_autofree char *oldest = time_text(row, "oldest");
            fprintf(c->out, "%sthe journal goes back to %s%s%s\n", ctl_dim(c->colour), oldest,
                    json_object_get_boolean_member_with_default(row, "more", FALSE)
                        ? "; older decisions are left out (--last)"
                        : "",
                    ctl_plain(c->colour));
        }
    }
}

static void
set(JsonObject *call, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_string_member(call, name, value);
}

int
ctl_why(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    JsonObject *call;
    g_autofree char *since = c->opt.since != NULL ? since_text(c, c->opt.since) : NULL;
    g_autofree char *last = NULL;

    if ((n == 0) == (c->opt.group == NULL)) {
        ctl_say("why: the id of an event, or --group NAME (eventmeshctl help why)");
        return CTL_USAGE;
    }
    if (c->opt.group != NULL || c->opt.last >= 0)
        last = g_strdup_printf("%" G_GINT64_FORMAT, c->opt.last >= 0 ? c->opt.last : 20);
    call = json_object_new();
    set(call, "id", n > 0 ? args[0] : NULL);
    set(call, "source", c->opt.source);
    set(call, "topic", c->opt.topic);
    set(call, "since", since);
    set(call, "group", c->opt.group);
    set(call, "last", last);
    g_autoptr(JsonArray) rows = ctl_rows(c, "why", call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        print_rows(c, rows);
    return CTL_OK;
}
