/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands about dead letters: list, browse, replay with its progress, purge. [main]
 */
#include "admin/command.h"
#include "bus/gather.h"
#include "bus/own-topic.h"
#include "daemon/daemon.h"
#include "delivery/commands.h"
#include "delivery/groups.h"
#include "delivery/letters.h"
#include "delivery/viewer.h"
#include "event/event.h"

#include <string.h>

#define LOOK_MOST 100000u
#define RATE_MOST 1000000u

/* ---- list ---- */

typedef struct listing {
    emesh_bus *bus;
    emesh_command_reply *reply;
    GArray *topics; /* of topic_seen */
} listing;

typedef struct topic_seen {
    char *topic;
    emesh_store *store;
    uint64_t kept, bytes, left;
    bool placed;
} topic_seen;

static void
seen_clear(void *data)
{
    g_free(((topic_seen *)data)->topic);
}

static int
by_topic(const void *a, const void *b)
{
    return strcmp(((const topic_seen *)a)->topic, ((const topic_seen *)b)->topic);
}

static const char *
state_name(emesh_replay_state state, bool purge)
{
    static const char *const names[] = { [EMESH_REPLAY_DONE] = "done",
                                         [EMESH_REPLAY_STOPPED] = "stopped",
                                         [EMESH_REPLAY_FAILED] = "failed" };

    return state == EMESH_REPLAY_RUNNING ? purge ? "purging" : "replaying" : names[state];
}

static void
list_row(listing *l, const topic_seen *t)
{
    g_autofree char *group = emesh_letters_group(t->topic);
    emesh_replay *replay = emesh_replay_find(l->bus, group);
    emesh_row_builder *row = emesh_row_new();
    emesh_replay_report report;

    emesh_row_text(row, "group", group, -1);
    emesh_row_text(row, "topic", t->topic, -1);
    emesh_row_text(row, "store", t->store->inst->name, -1);
    if (t->left != UINT64_MAX)
        emesh_row_number(row, "letters", t->placed ? t->left : t->kept);
    emesh_row_number(row, "kept", t->kept);
    if (t->bytes != UINT64_MAX)
        emesh_row_number(row, "bytes", t->bytes);
    if (replay != NULL) {
        emesh_replay_look(replay, &report);
        emesh_row_text(row, "replay", state_name(report.state, report.purge), -1);
        emesh_row_number(row, "replayed", report.done);
    }
    emesh_row_send(row, l->reply);
}

static void
places_listed(void *ctx, GArray *rows)
{
    listing *l = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        for (uint32_t k = 0; k < l->topics->len; k++) {
            topic_seen *t = &g_array_index(l->topics, topic_seen, k);
            if (t->store != listed->store || strcmp(t->topic, listed->topic) != 0)
                continue;
            t->placed = true;
            t->left = listed->count == UINT64_MAX ? UINT64_MAX : t->left + listed->count;
        }
    }
    g_array_sort(l->topics, by_topic);
    for (uint32_t k = 0; k < l->topics->len; k++)
        list_row(l, &g_array_index(l->topics, topic_seen, k));
    l->reply->end(l->reply, EMESH_OK, NULL);
    g_array_unref(l->topics);
    g_free(l);
}

static void
topics_listed(void *ctx, GArray *rows)
{
    listing *l = ctx;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *listed = &g_array_index(rows, emesh_listed, i);
        topic_seen t = { NULL, listed->store, listed->count, listed->bytes, 0, false };
        if (!emesh_is_letter_topic(listed->topic))
            continue;
        t.topic = g_strdup(listed->topic);
        g_array_append_val(l->topics, t);
    }
    emesh_groups_list(l->bus, &(emesh_groups_query){ .group = EMESH_LETTERS_GROUP }, places_listed,
                      l);
}

static void
letter_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    listing *l = g_new0(listing, 1);

    (void)args, (void)n;
    l->bus = emesh_daemon_bus(daemon);
    l->reply = reply;
    l->topics = g_array_new(FALSE, FALSE, sizeof(topic_seen));
    g_array_set_clear_func(l->topics, seen_clear);
    emesh_list_stores(l->bus, EMESH_LIST_TOPICS, NULL, topics_listed, l);
}

/* ---- browse, and the dry run of replay and purge ---- */

typedef struct viewing {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *group;
    emesh_view_spec spec;
    GHashTable *seen;
    bool data;
    uint64_t count; /* dry run: letters that would go */
    bool purge;
} viewing;

static void
viewing_free(viewing *v)
{
    g_hash_table_unref(v->seen);
    g_free(v->group);
    g_free(v);
}

static void
text_row(emesh_row_builder *row, const char *name, const emesh_event *event, const char *attr)
{
    g_autofree char *text = emesh_letter_text(event, attr);

    if (text != NULL)
        emesh_row_text(row, name, text, -1);
}

static bool
show(void *ctx, const emesh_browsed *item)
{
    viewing *v = ctx;
    emesh_row_builder *row;

    if (!emesh_letters_first(v->seen, item->event))
        return false; /* written twice by a crash */
    row = emesh_row_new();
    emesh_row_text(row, "kind", "letter", -1);
    text_row(row, "from-topic", item->event, "dltopic");
    text_row(row, "from-position", item->event, "dlposition");
    text_row(row, "cause", item->event, "dlcause");
    text_row(row, "attempts", item->event, "dlattempts");
    text_row(row, "error", item->event, "dlerror");
    text_row(row, "buried", item->event, "dltime");
    emesh_row_event(row, item, v->data);
    emesh_row_send(row, v->reply);
    return true;
}

static bool
count(void *ctx, const emesh_browsed *item)
{
    viewing *v = ctx;
    bool first = emesh_letters_first(v->seen, item->event);

    v->count += first;
    return first;
}

static void
shown(void *ctx, int32_t code, const char *why, bool more, uint64_t looked)
{
    viewing *v = ctx;

    if (code != EMESH_OK)
        emesh_command_fail(v->reply, code, "dead letters of \"%s\": %s", v->group,
                           why != NULL ? why : "they could not be read");
    else
        emesh_row_end(v->reply, more, looked);
    viewing_free(v);
}

static void
counted(void *ctx, int32_t code, const char *why, bool more, uint64_t looked)
{
    viewing *v = ctx;
    emesh_row_builder *row;

    if (code != EMESH_OK) {
        shown(v, code, why, more, looked);
        return;
    }
    row = emesh_row_new();
    emesh_row_text(row, "group", v->group, -1);
    emesh_row_text(row, "state", v->purge ? "would purge" : "would replay", -1);
    emesh_row_number(row, "replayed", v->count);
    emesh_row_number(row, "looked-at", looked);
    emesh_row_flag(row, "more", more);
    emesh_row_send(row, v->reply);
    v->reply->end(v->reply, EMESH_OK, NULL);
    viewing_free(v);
}

static void
found(void *ctx, const emesh_letters *letters)
{
    viewing *v = ctx;
    if (letters->store == NULL) {
        emesh_where_free(v->spec.where);
        shown(v, EMESH_E_NOT_FOUND, "there are none", false, 0);
        return;
    }
    v->spec.topic = letters->topic;
    v->spec.group = letters->placed ? EMESH_LETTERS_GROUP : NULL;
    v->spec.start = (emesh_start){ .size = sizeof v->spec.start, .kind = EMESH_START_EARLIEST };
    emesh_view(v->bus, &v->spec);
}

/* NULL: refused already. */
static viewing *
viewing_new(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    viewing *v;
    emesh_where *where = emesh_command_where(args, n, reply);

    if (where == NULL)
        return NULL;
    v = g_new0(viewing, 1);
    v->bus = emesh_daemon_bus(daemon);
    v->reply = reply;
    v->group = emesh_command_text(args, n, "group");
    v->seen = emesh_letters_seen_new();
    v->spec = (emesh_view_spec){ .where = where, .most = LOOK_MOST, .ctx = v };
    return v;
}

static void
letter_browse(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    uint64_t limit;
    viewing *v;

    if (!emesh_command_limit(args, n, &limit, reply) ||
        (v = viewing_new(daemon, args, n, reply)) == NULL)
        return;
    v->data = emesh_command_says(args, n, "data");
    v->spec.limit = limit;
    v->spec.show = show;
    v->spec.end = shown;
    emesh_letters_find(v->bus, v->group, found, v);
}

/* ---- replay and purge ---- */

typedef struct starting {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *group;
} starting;

static void
replay_row(emesh_command_reply *reply, const char *group, const emesh_replay *replay)
{
    emesh_replay_report report;
    emesh_row_builder *row = emesh_row_new();

    emesh_replay_look(replay, &report);
    emesh_row_text(row, "group", group, -1);
    emesh_row_text(row, "state", state_name(report.state, report.purge), -1);
    emesh_row_number(row, "letters", report.total);
    emesh_row_number(row, "replayed", report.done);
    emesh_row_number(row, "left", report.left);
    emesh_row_number(row, "twice", report.twice);
    emesh_row_number(row, "stuck", report.stuck);
    emesh_row_number(row, "begun-ms", report.begun_ms);
    if (report.ended_ms != 0)
        emesh_row_number(row, "ended-ms", report.ended_ms);
    if (report.why != NULL)
        emesh_row_text(row, "why", report.why, -1);
    emesh_row_send(row, reply);
}

static void
begun(void *ctx, int32_t code, const char *why)
{
    starting *s = ctx;

    if (code != EMESH_OK) {
        emesh_command_fail(s->reply, code, "dead letters of \"%s\": %s", s->group,
                           why != NULL ? why : "refused");
    } else {
        replay_row(s->reply, s->group, emesh_replay_find(s->bus, s->group));
        s->reply->end(s->reply, EMESH_OK, NULL);
    }
    g_free(s->group);
    g_free(s);
}

static void
start(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply,
      bool purge)
{
    g_autofree char *rate = emesh_command_text(args, n, "rate");
    emesh_replay_spec spec = { .purge = purge };
    viewing *v;
    starting *s;

    if (rate != NULL && !g_ascii_string_to_unsigned(rate, 10, 1, RATE_MOST, &spec.rate, NULL)) {
        emesh_command_refuse(reply, "rate", "rate is a number of events a second, 1 to %u",
                           RATE_MOST);
        return;
    }
    v = viewing_new(daemon, args, n, reply);
    if (v == NULL)
        return;
    if (emesh_command_says(args, n, "dry-run")) {
        v->purge = purge;
        v->spec.limit = UINT64_MAX;
        v->spec.show = count;
        v->spec.end = counted;
        emesh_letters_find(v->bus, v->group, found, v);
        return;
    }
    s = g_new0(starting, 1);
    *s = (starting){ v->bus, reply, g_strdup(v->group) };
    spec.group = s->group;
    spec.where = v->spec.where;
    viewing_free(v);
    emesh_replay_begin(s->bus, &spec, begun, s);
}

static void
letter_replay(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    start(daemon, args, n, reply, false);
}

static void
letter_purge(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    start(daemon, args, n, reply, true);
}

static void
progress(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply,
         bool stop)
{
    g_autofree char *group = emesh_command_text(args, n, "group");
    emesh_replay *replay = emesh_replay_find(emesh_daemon_bus(daemon), group);

    if (replay == NULL) {
        emesh_command_fail(reply, EMESH_E_NOT_FOUND,
                           "dead letters of \"%s\": none were replayed or purged since the start",
                           group);
        return;
    }
    if (stop)
        emesh_replay_stop(replay);
    replay_row(reply, group, replay);
    reply->end(reply, EMESH_OK, NULL);
}

static void
letter_progress(emesh_daemon *daemon, const emesh_attr *args, uint32_t n,
                emesh_command_reply *reply)
{
    progress(daemon, args, n, reply, false);
}

static void
letter_stop(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    progress(daemon, args, n, reply, true);
}

const emesh_command emesh_letter_commands[] = {
    { "dead-letter.list", "", "groups with dead letters", false, letter_list },
    { "dead-letter.browse", "group limit? where? data?",
      "a group's dead letters with cause and origin", false, letter_browse },
    { "dead-letter.replay", "group where? rate? dry-run?",
      "has them delivered once more, to that group alone", true, letter_replay },
    { "dead-letter.purge", "group where? dry-run?", "takes them off the list", true, letter_purge },
    { "dead-letter.progress", "group", "how far a replay or purge is, or the last one got", false,
      letter_progress },
    { "dead-letter.stop", "group", "stops a replay or purge where it is", true, letter_stop },
    { NULL, NULL, NULL, false, NULL },
};
