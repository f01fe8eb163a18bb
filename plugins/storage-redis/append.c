/* SPDX-License-Identifier: Apache-2.0
 *
 * Appends: one XADD for each event, all in one stream of commands; what goes with a commit, to one
 * group, or comes later is a unit that a script does. Results are told together.
 */
#include "codec.h"
#include "redis.h"

#include <stdlib.h>
#include <string.h>

/* ---- results ---- */

void
rs_results_flush(rs_store *s)
{
    g_autoptr(GArray) results = NULL;

    if (s->results->len == 0)
        return;
    results = g_steal_pointer(&s->results);
    s->results = g_array_new(FALSE, TRUE, sizeof(emesh_appended));
    s->st->appended(s->host, (const emesh_appended *)(void *)results->data, results->len);
    g_string_chunk_clear(s->reasons);
}

void
rs_result(rs_store *s, uint64_t cookie, int32_t code, const char *reason, size_t len,
          emesh_position at, uint32_t partition)
{
    emesh_appended r = { .cookie = cookie, .code = code, .position = at, .partition = partition };

    s->mt->add(code == EMESH_OK ? s->m_appended : s->m_refused, 1);
    if (code == EMESH_OK) {
        uint32_t levels = rs_levels(s);
        for (uint32_t level = EMESH_LEVEL_MEMORY; level <= EMESH_LEVEL_QUORUM; level++)
            r.level = (levels & 1u << level) != 0 ? level : r.level;
        if (s->opt.quorum > 0) {
            g_array_append_val(s->held, r);
            return;
        }
    } else {
        len = MIN(len, 240u);
        r.reason = (emesh_slice){ g_string_chunk_insert_len(s->reasons, reason, (gssize)len), len };
    }
    g_array_append_val(s->results, r);
}

static void
refuse(rs_store *s, uint64_t cookie, int32_t code, const char *reason)
{
    rs_result(s, cookie, code, reason, strlen(reason), (emesh_position){ 0 }, 0);
}

/* The replicas have what was appended before, or not. */
static void
waited(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    bool good =
        r != NULL && r->type == REDIS_REPLY_INTEGER && r->integer >= (long long)s->opt.quorum;
    char why[96];

    (void)cmd;
    g_snprintf(why, sizeof why, "%lld of %u replicas have said in time that they have it",
               r != NULL && r->type == REDIS_REPLY_INTEGER ? r->integer : 0LL, s->opt.quorum);
    for (guint i = 0; i < s->held->len; i++) {
        emesh_appended *held = &g_array_index(s->held, emesh_appended, i);
        if (!good) {
            held->code = r == NULL ? EMESH_E_LOST : EMESH_E_TIMEOUT;
            held->level = 0;
            held->reason = (emesh_slice){ g_string_chunk_insert(s->reasons, why), strlen(why) };
        }
        g_array_append_val(s->results, *held);
    }
    g_array_set_size(s->held, 0);
}

static void
wait_for_replicas(rs_store *s)
{
    if (s->opt.quorum == 0)
        return;
    rs_args_begin(s->args, "WAIT");
    rs_args_number(s->args, s->scratch, s->opt.quorum);
    rs_args_number(s->args, s->scratch, MAX(1u, s->opt.timeout_ns / 2 / RS_MS));
    rs_link_send(&s->data, s->args, (rs_command){ .done = waited });
}

/* What is said of an append that got no answer. */
static void
unanswered(rs_store *s, uint64_t cookie)
{
    refuse(s, cookie, s->data.timed_out ? EMESH_E_TIMEOUT : EMESH_E_LOST,
           s->data.timed_out ? "the server gave no answer in time; the event may be stored"
                             : "the connection to the server broke off; the event may be stored");
}

/* ---- one event ---- */

static void
added(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    emesh_position at = { 0 };

    if (r == NULL) {
        unanswered(s, cmd->a);
    } else if (rs_is_error(r)) {
        rs_result(s, cmd->a, rs_reply_code(r), r->str, r->len, at, 0);
    } else if (r->type == REDIS_REPLY_NIL) {
        refuse(s, cmd->a, EMESH_E_UNAVAILABLE, "the stream of the topic has been removed");
        rs_topic_mend(s, cmd->ctx);
    } else if (r->type != REDIS_REPLY_STRING || !rs_position_of(r->str, &at)) {
        refuse(s, cmd->a, EMESH_E_PROTOCOL, "the server did not say where the event is");
    } else {
        rs_result(s, cmd->a, EMESH_OK, NULL, 0, at, cmd->b);
    }
}

static uint32_t
partition_of(const rs_topic *topic, emesh_slice key)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ ((const uint8_t *)key.ptr)[i]) * 16777619u;
    return key.len == 0 ? 0 : (h ^ h >> 15) % topic->partitions;
}

static void
touch(rs_store *s, const char *key)
{
    g_hash_table_add(s->touched, (char *)(uintptr_t)key);
}

static void
add(rs_store *s, const emesh_append *item)
{
    rs_topic *topic = (rs_topic *)(void *)item->topic;
    uint32_t partition = partition_of(topic, item->key);
    rs_args *a = s->args;

    rs_args_begin(a, "XADD");
    rs_args_text(a, topic->keys[partition]);
    rs_args_text(a, "NOMKSTREAM");
    rs_args_text(a, "*");
    rs_words_of(s->ev, item->event, s->scratch, a);
    rs_link_send(&s->data, a,
                 (rs_command){ .done = added, .ctx = topic, .a = item->cookie, .b = partition });
    touch(s, topic->keys[partition]);
}

/* ---- units ---- */

typedef struct unit_item {
    uint64_t cookie, due_ms;
    rs_part *part; /* of its commit, or NULL */
    emesh_position done;
    uint32_t partition;
    bool inbox;
} unit_item;

typedef struct rs_unit {
    uint32_t n;
    unit_item items[];
} rs_unit;

static void
unit_end(rs_store *s, rs_unit *u)
{
    for (uint32_t i = 0; i < u->n; i++) {
        rs_part *part = u->items[i].part;
        if (part == NULL)
            continue;
        part->c->busy--;
        rs_cursor_settle(part->c);
    }
    (void)s;
    g_free(u);
}

static void
unit_good(rs_store *s, rs_unit *u, const redisReply *r)
{
    bool before = r->elements == 1 && strcmp(r->element[0]->str, "done") == 0;

    for (uint32_t i = 0, at = 0; i < u->n; i++) {
        unit_item *item = &u->items[i];
        emesh_position place = { 0 };
        const char *text = !before && at < r->elements ? r->element[at]->str : NULL;
        at += item->part != NULL ? 2 : 1;
        if (text != NULL && !rs_position_of(text, &place))
            place = (emesh_position){ item->due_ms, strtoull(text, NULL, 10) };
        if (item->part != NULL)
            rs_out_settle(item->part, item->done, false, NULL, NULL);
        rs_result(s, item->cookie, EMESH_OK, NULL, 0, place, item->partition);
        if (item->due_ms > 0 && !item->inbox)
            rs_due_at(s, item->due_ms);
    }
}

static void
unit_done(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_unit *u = cmd->ctx;

    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements > 0 &&
        r->element[0]->type == REDIS_REPLY_STRING) {
        unit_good(s, u, r);
    } else {
        for (uint32_t i = 0; i < u->n; i++) {
            if (r == NULL && u->items[i].part != NULL) /* perhaps done: the next try is to know */
                rs_part_unsure(u->items[i].part, u->items[i].done);
            if (r == NULL)
                unanswered(s, u->items[i].cookie);
            else
                rs_result(s, u->items[i].cookie,
                          rs_is_error(r) ? rs_reply_code(r) : EMESH_E_PROTOCOL,
                          r->str != NULL ? r->str : "unexpected reply",
                          r->str != NULL ? (size_t)r->len : 16u, (emesh_position){ 0 }, 0);
        }
    }
    unit_end(s, u);
}

static void
pack_number(GByteArray *out, uint64_t number)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, number);
    rs_pack_text(out, text);
}

/* {'x', stream, topic, …}, {'d', stream, topic, due, …},
 * {'i', inbox, topic, group, due, attempts, …} */
static void
pack_append(rs_store *s, GByteArray *out, const emesh_append *item, uint32_t partition)
{
    const rs_topic *topic = (const rs_topic *)(const void *)item->topic;
    g_autofree char *group =
        item->group.len > 0 ? g_strndup(item->group.ptr, item->group.len) : NULL;
    g_autofree char *inbox = group != NULL ? rs_inbox_key(s, topic->name, group) : NULL;
    rs_args *a = s->args;

    a->n = 0;
    rs_words_of(s->ev, item->event, s->scratch, a);
    rs_pack_array(out, a->n + (inbox != NULL ? 6u : item->deliver_at_ms != 0 ? 4u : 3u));
    rs_pack_text(out, inbox != NULL ? "i" : item->deliver_at_ms != 0 ? "d" : "x");
    rs_pack_text(out, inbox != NULL ? inbox : topic->keys[partition]);
    rs_pack_text(out, topic->name);
    if (inbox != NULL)
        rs_pack_text(out, group);
    if (inbox != NULL || item->deliver_at_ms != 0)
        pack_number(out, item->deliver_at_ms);
    if (inbox != NULL)
        pack_number(out, item->attempts);
    rs_pack_words(out, a, 0);
}

/* {'a', stream, group, me, entry, unsure}, {'b', inbox, me, token, unsure} */
static void
pack_commit(rs_store *s, GByteArray *out, const rs_part *p, emesh_position at)
{
    char text[48];

    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, at.hi, at.lo);
    if (rs_is_inbox(p)) {
        rs_pack_array(out, 5);
        rs_pack_text(out, "b");
        rs_pack_text(out, p->key);
        rs_pack_text(out, s->me);
        pack_number(out, at.lo);
    } else {
        rs_pack_array(out, 6);
        rs_pack_text(out, "a");
        rs_pack_text(out, p->key);
        rs_pack_text(out, p->c->group);
        rs_pack_text(out, s->me);
        rs_pack_text(out, text);
    }
    rs_pack_text(out, rs_part_is_unsure(p, at) ? "1" : "0");
}

static rs_part *
commit_part(const emesh_append *item)
{
    rs_cursor *c = (rs_cursor *)(void *)item->cursor;
    rs_part *p = item->commit != NULL ? rs_cursor_part(c, item->commit->partition) : NULL;

    return p != NULL && p->phase != RS_IDLE && p->epoch == item->commit->epoch ? p : NULL;
}

static void
unit(rs_store *s, const emesh_append *items, uint32_t n)
{
    g_autoptr(GByteArray) ops = g_byte_array_new();
    rs_unit *u;
    uint32_t count = 0;

    for (uint32_t i = 0; i < n; i++) {
        count += items[i].commit != NULL ? 2 : 1;
        if (items[i].commit == NULL || commit_part(&items[i]) != NULL)
            continue;
        for (uint32_t k = 0; k < n; k++)
            refuse(s, items[k].cookie, EMESH_E_STALE,
                   "the commit is of an earlier life of the reader");
        return;
    }
    u = g_malloc0(sizeof *u + n * sizeof u->items[0]);
    u->n = n;
    rs_pack_array(ops, count);
    for (uint32_t i = 0; i < n; i++) {
        unit_item *item = &u->items[i];
        *item = (unit_item){ .cookie = items[i].cookie,
                             .due_ms = items[i].deliver_at_ms,
                             .part = commit_part(&items[i]),
                             .inbox = items[i].group.len > 0 };
        item->partition =
            item->inbox ? RS_INBOX : partition_of((rs_topic *)(void *)items[i].topic, items[i].key);
        pack_append(s, ops, &items[i], item->inbox ? 0 : item->partition);
        if (item->part == NULL)
            continue;
        item->done = items[i].commit->position;
        item->part->c->busy++;
        pack_commit(s, ops, item->part, item->done);
    }
    rs_eval(s, RS_SCRIPT_UNIT, NULL);
    rs_args_text(s->args, s->opt.prefix);
    rs_args_bytes(s->args, ops->data, ops->len);
    rs_link_send(&s->data, s->args, (rs_command){ .done = unit_done, .ctx = u });
}

/* ---- replies to other daemons ---- */

static void
published(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    if (r == NULL)
        unanswered(s, cmd->a);
    else if (rs_is_error(r))
        rs_result(s, cmd->a, rs_reply_code(r), r->str, r->len, (emesh_position){ 0 }, 0);
    else if (r->integer == 0)
        refuse(s, cmd->a, EMESH_E_NOT_FOUND, "the daemon that asked is not there");
    else
        rs_result(s, cmd->a, EMESH_OK, NULL, 0, (emesh_position){ 0 }, 0);
}

static void
reply(rs_store *s, const emesh_append *item)
{
    g_autoptr(GByteArray) packed = g_byte_array_new();
    emesh_event_view view = { .size = sizeof view };
    rs_args *a = s->args;
    g_autofree char *to = NULL;

    s->ev->view(item->event, &view);
    for (uint32_t i = 0; i < view.n_attrs && to == NULL; i++)
        if (view.attrs[i].name_len == 17 &&
            memcmp(view.attrs[i].name, "reply99to99client", 17) == 0)
            to = g_strndup(view.attrs[i].value, view.attrs[i].value_len);
    if (to == NULL) {
        refuse(s, item->cookie, EMESH_E_INVALID, "a reply without the address of who asked");
        return;
    }
    a->n = 0;
    rs_words_of(s->ev, item->event, s->scratch, a);
    rs_pack_array(packed, a->n);
    rs_pack_words(packed, a, 0);
    rs_args_begin(a, "PUBLISH");
    rs_args_text(a, to);
    rs_args_bytes(a, packed->data, packed->len);
    rs_link_send(&s->data, a, (rs_command){ .done = published, .a = item->cookie });
}

/* ---- the batch ---- */

void
rs_ignored(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    (void)s, (void)cmd, (void)r;
}

void
rs_wake_others(rs_store *s)
{
    GHashTableIter iter;
    void *key;

    g_hash_table_iter_init(&iter, s->touched);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_autofree char *channel = g_strconcat(s->opt.prefix, "wake", NULL);
        g_autofree char *text = g_strconcat("n", s->me, "|", key, NULL);
        rs_args_begin(s->args, "PUBLISH");
        rs_args_text(s->args, channel);
        rs_args_text(s->args, text);
        rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
        rs_wake_key(s, key, strlen(key), false);
    }
    g_hash_table_remove_all(s->touched);
}

static bool
takes(rs_store *s, const emesh_append *item)
{
    uint32_t levels = rs_levels(s);

    if (!rs_link_is_up(&s->data)) {
        refuse(s, item->cookie, EMESH_E_UNAVAILABLE, "the server is away");
        return false;
    }
    if ((item->flags & EMESH_APPEND_REPLY) == 0 && item->level != 0 &&
        levels >> item->level == 0) { /* the server's settings have changed */
        refuse(s, item->cookie, EMESH_E_UNAVAILABLE,
               "the server does not give the durability that was promised any more");
        return false;
    }
    return true;
}

void
rs_append(emesh_lane *lane, const emesh_append *items, uint32_t n)
{
    rs_store *s = RS_STORE(lane);

    for (uint32_t i = 0, run; i < n; i += run) {
        const emesh_append *item = &items[i];
        for (run = 1; i + run < n && (items[i + run - 1].flags & EMESH_APPEND_CHAIN) != 0; run++)
            continue;
        if (!takes(s, item)) {
            for (uint32_t k = 1; k < run; k++)
                refuse(s, items[i + k].cookie, EMESH_E_UNAVAILABLE,
                       "what it is in one unit with is refused");
        } else if ((item->flags & EMESH_APPEND_REPLY) != 0) {
            reply(s, item);
        } else if (s->opt.mode == RS_MODE_PUBSUB) {
            rs_pubsub_append(s, item);
        } else if (run == 1 && item->commit == NULL && item->group.len == 0 &&
                   item->deliver_at_ms == 0) {
            add(s, item);
        } else {
            unit(s, item, run);
        }
    }
    if (rs_link_is_up(&s->data)) {
        wait_for_replicas(s);
        rs_wake_others(s);
        rs_link_flush(&s->data);
    }
    rs_results_flush(s);
}
