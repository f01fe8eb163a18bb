/* SPDX-License-Identifier: Apache-2.0
 *
 * topic browse; dead-letter list, browse, replay, purge.
 */
#include "ctl/output.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 200000
#define BAR 30

static const ctl_column events[] = {
    { "partition", "PART", CTL_TEXT },
    { "position", "POSITION", CTL_TEXT },
    { "stored-ms", "STORED", CTL_AGO },
    { "size", "SIZE", CTL_BYTES },
    { "id", "ID", CTL_TEXT },
    { "type", "TYPE", CTL_TEXT },
    { "source", "SOURCE", CTL_TEXT },
    { "subject", "SUBJECT", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column letters[] = {
    { "position", "POSITION", CTL_TEXT },
    { "buried", "BURIED", CTL_TEXT },
    { "from-topic", "FROM", CTL_TEXT },
    { "from-position", "AT", CTL_TEXT },
    { "cause", "CAUSE", CTL_TEXT },
    { "attempts", "ATTEMPTS", CTL_TEXT },
    { "error", "ERROR", CTL_TEXT },
    { "id", "ID", CTL_TEXT },
    { "type", "TYPE", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column groups[] = {
    { "group", "GROUP", CTL_TEXT },
    { "letters", "LETTERS", CTL_COUNT },
    { "kept", "KEPT", CTL_COUNT },
    { "bytes", "BYTES", CTL_BYTES },
    { "store", "STORE", CTL_TEXT },
    { "replay", "REPLAY", CTL_TEXT },
    { "replayed", "REPLAYED", CTL_COUNT },
    { NULL, NULL, CTL_TEXT },
};

/* The arguments that both kinds of browse share. */
static JsonObject *
asked(ctl *c, const char *name, const char *value)
{
    JsonObject *call = json_object_new();
    json_object_set_string_member(call, name, value);
    if (c->opt.limit >= 0) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, c->opt.limit);
        json_object_set_string_member(call, "limit", text);
    }
    if (c->opt.where != NULL) {
        g_autofree char *text = g_strjoinv("\n", c->opt.where);
        json_object_set_string_member(call, "where", text);
    }
    if (c->opt.data)
        json_object_set_string_member(call, "data", "true");
    return call;
}

static int
print_browse(ctl *c, const char *verb, JsonObject *call, const char *kind,
             const ctl_column *columns, const char *empty)
{
    int code = CTL_OK;
    g_autoptr(JsonArray) rows = ctl_rows(c, verb, call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return CTL_OK;
    }
    ctl_print_table(c, rows, kind, columns, empty);
    for (guint i = 0; c->opt.data && i < json_array_get_length(rows); i++) {
        g_autofree char *event = ctl_field(json_array_get_object_element(rows, i), "event");
        if (*event != '\0')
            fprintf(c->out, "%s\n", event);
    }
    JsonObject *last = ctl_row_of_kind(rows, "end");
    if (last != NULL && json_object_get_boolean_member_with_default(last, "more", FALSE))
        fprintf(c->out, "there is more; %" G_GINT64_FORMAT " events were looked at\n",
                json_object_get_int_member_with_default(last, "looked-at", 0));
    return CTL_OK;
}

int
ctl_topic_browse(ctl *c, char **args, int n)
{
    JsonObject *call = asked(c, "topic", args[0]);
    (void)n;
    if (c->opt.place != NULL)
        json_object_set_string_member(call, "from", c->opt.place);
    if (c->opt.part != NULL)
        json_object_set_string_member(call, "partition", c->opt.part);
    return print_browse(c, "topic.browse", call, "event", events, "no events");
}

int
ctl_letter_list(ctl *c, char **args, int n)
{
    (void)args, (void)n;
    return ctl_print_rows(c, "dead-letter.list", NULL, groups, "no dead letters");
}

int
ctl_letter_browse(ctl *c, char **args, int n)
{
    (void)n;
    return print_browse(c, "dead-letter.browse", asked(c, "group", args[0]), "letter", letters,
                        "no dead letters");
}

/* ---- replay and purge ---- */

static void
on_interrupt(int signal)
{
    (void)signal; /* it ends the wait of progress(); the daemon is asked to stop */
}

static gint64
number(JsonObject *row, const char *name)
{
    return json_object_get_int_member_with_default(row, name, 0);
}

static void
bar(JsonObject *row)
{
    gint64 all = MAX(number(row, "letters"), 1);
    gint64 through = number(row, "replayed") + number(row, "left") + number(row, "twice") +
                     number(row, "stuck");
    int full = (int)(MIN(through, all) * BAR / all);
    fprintf(stderr, "\r[%.*s%*s] %3d%%  %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " ", full,
            "##############################", BAR - full, "", (int)(MIN(through, all) * 100 / all),
            number(row, "replayed"), number(row, "letters"));
    fflush(stderr);
}

static bool
goes_on(JsonObject *row)
{
    const char *state = json_object_get_string_member_with_default(row, "state", "");
    return strcmp(state, "replaying") == 0 || strcmp(state, "purging") == 0;
}

/* Asks until it is over. Ctrl-C stops the replay, not just the tool. Given, or NULL with *code. */
static JsonArray *
progress(ctl *c, const char *group, int *code)
{
    struct sigaction action = { .sa_handler = on_interrupt };
    bool shows = !c->opt.json && isatty(fileno(stderr));
    const char *verb = "dead-letter.progress";
    sigaction(SIGINT, &action, NULL);
    for (;;) {
        JsonObject *call = json_object_new();
        json_object_set_string_member(call, "group", group);
        JsonArray *rows = ctl_rows(c, verb, call, code);
        if (rows == NULL || json_array_get_length(rows) == 0)
            return rows;
        if (shows)
            bar(json_array_get_object_element(rows, 0));
        if (!goes_on(json_array_get_object_element(rows, 0))) {
            if (shows)
                fputc('\n', stderr);
            return rows;
        }
        json_array_unref(rows);
        verb = usleep(POLL_US) != 0 ? "dead-letter.stop" : "dead-letter.progress";
    }
}

static int
say_result(ctl *c, JsonObject *row, const char *verb)
{
    g_autofree char *state = ctl_field(row, "state");
    g_autofree char *why = ctl_field(row, "why");
    fprintf(c->out, "%s %" G_GINT64_FORMAT " dead letters", verb, number(row, "replayed"));
    if (number(row, "left") > 0)
        fprintf(c->out, ", left %" G_GINT64_FORMAT " that do not meet the conditions",
                number(row, "left"));
    if (number(row, "twice") > 0)
        fprintf(c->out, ", skipped %" G_GINT64_FORMAT " that a crash had written twice",
                number(row, "twice"));
    if (number(row, "stuck") > 0)
        fprintf(c->out, ", kept %" G_GINT64_FORMAT " whose topic is gone", number(row, "stuck"));
    fputc('\n', c->out);
    if (strcmp(state, "done") == 0)
        return CTL_OK;
    ctl_say("it %s%s%s; the next one goes on from here",
            strcmp(state, "stopped") == 0 ? "was stopped" : "failed", *why != '\0' ? ": " : "", why);
    return CTL_REFUSED;
}

static int
run(ctl *c, const char *verb, JsonObject *call, const char *group, const char *done)
{
    int code = CTL_OK;
    if (c->opt.dry_run)
        json_object_set_string_member(call, "dry-run", "true");
    g_autoptr(JsonArray) first = ctl_rows(c, verb, call, &code);
    if (first == NULL)
        return code;
    if (c->opt.dry_run && c->opt.json) {
        ctl_print_json(c, first);
        return CTL_OK;
    }
    if (c->opt.dry_run) {
        JsonObject *row = json_array_get_object_element(first, 0);
        bool more = json_object_get_boolean_member_with_default(row, "more", FALSE);
        fprintf(c->out, "%s%" G_GINT64_FORMAT " dead letters would be %s; nothing was changed\n",
                more ? "at least " : "", number(row, "replayed"), done);
        return CTL_OK;
    }
    g_autoptr(JsonArray) rows = progress(c, group, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    JsonObject *row = json_array_get_object_element(rows, 0);
    if (!c->opt.json)
        return say_result(c, row, done);
    return strcmp(json_object_get_string_member_with_default(row, "state", ""), "done") == 0
               ? CTL_OK
               : CTL_REFUSED;
}

/* "100" or "100/s" */
static bool
read_rate(const char *text, JsonObject *call)
{
    g_autofree char *number_text = g_strndup(text, strspn(text, "0123456789"));
    const char *rest = text + strlen(number_text);
    json_object_set_string_member(call, "rate", number_text);
    return *number_text != '\0' && (*rest == '\0' || strcmp(rest, "/s") == 0);
}

int
ctl_letter_replay(ctl *c, char **args, int n)
{
    JsonObject *call = asked(c, "group", args[0]);
    (void)n;
    if (c->opt.rate != NULL && !read_rate(c->opt.rate, call)) {
        json_object_unref(call);
        ctl_say("dead-letter replay: --rate wants a number of events a second, as 100/s");
        return CTL_USAGE;
    }
    return run(c, "dead-letter.replay", call, args[0], "replayed");
}

int
ctl_letter_purge(ctl *c, char **args, int n)
{
    (void)n;
    return run(c, "dead-letter.purge", asked(c, "group", args[0]), args[0], "purged");
}
