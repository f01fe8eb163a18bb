/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors: opened, begun, closed. A shared one has a part for each partition and one for the inbox.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

bool
rs_is_inbox(const rs_part *p)
{
    return p->number == RS_INBOX;
}

rs_part *
rs_cursor_part(rs_cursor *c, uint32_t number)
{
    for (guint i = 0; i < c->parts->len; i++) {
        rs_part *p = c->parts->pdata[i];
        if (p->number == number && p->announced)
            return p;
    }
    return NULL;
}

static void
part_free(void *data)
{
    rs_part *p = data;

    rs_out_clear(p);
    g_free(p->own_key);
    g_free(p->lost_key);
    g_free(p->lease_key);
    g_free(p);
}

static rs_part *
part_new(rs_cursor *c, uint32_t number)
{
    rs_part *p = g_new0(rs_part, 1);
    GPtrArray *readers;

    p->c = c;
    p->number = number;
    p->own_key = number == RS_INBOX ? rs_inbox_key(c->s, c->topic->name, c->group)
                                    : g_strdup(c->topic->keys[number]);
    p->key = p->own_key;
    readers = g_hash_table_lookup(c->s->by_key, p->key);
    if (readers == NULL) {
        readers = g_ptr_array_new();
        g_hash_table_insert(c->s->by_key, g_strdup(p->key), readers);
    }
    g_ptr_array_add(readers, p);
    g_ptr_array_add(c->parts, p);
    return p;
}

void
rs_part_announce(rs_part *p)
{
    char name[16] = "inbox";

    if (!rs_is_inbox(p))
        g_snprintf(name, sizeof name, "%u", p->number);
    p->announced = true;
    p->c->s->st->partition(p->c->reader, EMESH_PARTITION_ASSIGNED, p->number, name, strlen(name),
                           NULL);
}

static void
announce_or_ask(rs_part *p)
{
    if (rs_is_owned(p))
        rs_own_ask(p);
    else
        rs_part_announce(p);
}

/* ---- alone: where each partition ends now, before the host hears of any ---- */

static void
ended(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_cursor *c = cmd->ctx;
    rs_part *p = c->parts->pdata[cmd->b];

    c->busy--;
    if (c->close_op != NULL) {
        rs_cursor_settle(c);
        return;
    }
    if (r == NULL || rs_is_error(r)) {
        emesh_error err = { .size = sizeof err };
        rs_error(&err, r == NULL ? EMESH_E_UNAVAILABLE : rs_reply_code(r),
                 "the end of %s in redis at %s cannot be found: %s", p->key, s->opt.address,
                 r == NULL ? "the server is away" : r->str);
        s->st->partition(c->reader, EMESH_PARTITION_END, p->number, "", 0, &err);
        return;
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements > 0 &&
        r->element[0]->type == REDIS_REPLY_ARRAY && r->element[0]->elements > 0)
        rs_position_of(r->element[0]->element[0]->str, &p->end);
    rs_part_announce(p);
}

static void
find_end(rs_part *p, uint32_t index)
{
    rs_store *s = p->c->s;

    rs_args_begin(s->args, "XREVRANGE");
    rs_args_text(s->args, p->key);
    rs_args_text(s->args, "+");
    rs_args_text(s->args, "-");
    rs_args_text(s->args, "COUNT");
    rs_args_text(s->args, "1");
    p->c->busy++;
    rs_link_send(&s->data, s->args, (rs_command){ .done = ended, .ctx = p->c, .b = index });
}

emesh_cursor *
rs_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    rs_store *s = RS_STORE(lane);
    rs_cursor *c = g_new0(rs_cursor, 1);

    c->s = s;
    c->topic = (rs_topic *)(void *)spec->topic;
    c->reader = reader;
    c->mean_bytes = 1024;
    if (spec->mode == EMESH_READ_SHARED)
        c->group = g_strndup(spec->group.ptr, spec->group.len);
    c->exclusive =
        c->group != NULL && EMESH_HAS(spec, flags) && (spec->flags & EMESH_READ_ORDERED) != 0;
    c->parts = g_ptr_array_new_with_free_func(part_free);
    g_ptr_array_add(s->cursors, c);
    if (s->opt.mode == RS_MODE_PUBSUB) {
        rs_pubsub_open(c);
        return (emesh_cursor *)c;
    }
    for (uint32_t i = 0; i < c->topic->partitions; i++)
        part_new(c, i);
    if (c->group != NULL)
        part_new(c, RS_INBOX);
    for (guint i = 0; i < c->parts->len; i++) {
        if (c->group != NULL)
            announce_or_ask(c->parts->pdata[i]);
        else
            find_end(c->parts->pdata[i], i);
    }
    rs_link_flush(&s->data);
    return (emesh_cursor *)c;
}

rs_part *
rs_pubsub_part(rs_cursor *c)
{
    rs_part *p = part_new(c, 0);

    rs_part_announce(p);
    return p;
}

void
rs_cursor_grow(rs_cursor *c)
{
    uint32_t had = c->parts->len - (c->group != NULL);

    if (c->s->opt.mode == RS_MODE_PUBSUB)
        return;
    for (uint32_t i = had; i < c->topic->partitions; i++)
        announce_or_ask(part_new(c, i));
}

/* ---- begin ---- */

static void
placed(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_part *p = cmd->ctx;
    rs_cursor *c = p->c;
    emesh_error err = { .size = sizeof err };

    c->busy--;
    p->reading = false;
    if (c->close_op != NULL) {
        rs_cursor_settle(c);
        return;
    }
    if (r == NULL || p->phase == RS_IDLE)
        return; /* rs_part_again, or begin, comes */
    if (rs_is_error(r)) {
        rs_error(&err, rs_reply_code(r), "group %s cannot read %s in redis at %s: %s", c->group,
                 p->key, s->opt.address, r->str);
        s->st->partition(c->reader, EMESH_PARTITION_END, p->number, "", 0, &err);
        p->phase = RS_IDLE;
        return;
    }
    p->phase = RS_MINE;
    p->last = (emesh_position){ 0 };
    rs_feed(c);
}

void
rs_part_place(rs_part *p, const char *how, const char *id)
{
    rs_store *s = p->c->s;
    char only[16];

    g_snprintf(only, sizeof only, "%u", p->number);
    rs_eval(s, RS_SCRIPT_PLACE, NULL);
    rs_args_text(s->args, s->opt.prefix);
    rs_args_text(s->args, how);
    rs_args_text(s->args, p->c->topic->name);
    rs_args_text(s->args, p->c->group);
    rs_args_text(s->args, id);
    rs_args_text(s->args, only);
    p->reading = true;
    p->c->busy++;
    rs_link_send(&s->data, s->args, (rs_command){ .done = placed, .ctx = p });
}

void
rs_start_text(const emesh_start *start, char *out, size_t room)
{
    switch (start->kind) {
    case EMESH_START_EARLIEST:
        g_strlcpy(out, "0-0", room);
        break;
    case EMESH_START_AFTER:
        g_snprintf(out, room, "%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, start->position.hi,
                   start->position.lo);
        break;
    case EMESH_START_TIME:
        if (start->time_ms == 0)
            g_strlcpy(out, "0-0", room);
        else
            g_snprintf(out, room, "%" G_GUINT64_FORMAT "-18446744073709551615", start->time_ms - 1);
        break;
    default:
        g_strlcpy(out, "$", room);
        break;
    }
}

static void
begin_alone(rs_part *p, const emesh_start *start)
{
    p->phase = RS_NEW;
    switch (start->kind) {
    case EMESH_START_EARLIEST:
        p->last = (emesh_position){ 0 };
        break;
    case EMESH_START_AFTER:
        p->last = start->position;
        break;
    case EMESH_START_TIME:
        p->last = start->time_ms > 0 ? (emesh_position){ start->time_ms - 1, UINT64_MAX }
                                     : (emesh_position){ 0 };
        break;
    default:
        p->last = p->end;
        break;
    }
}

void
rs_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start)
{
    rs_cursor *c = (rs_cursor *)(void *)cursor;
    rs_part *p = rs_cursor_part(c, partition);
    char id[48];

    if (p == NULL)
        return;
    p->epoch = epoch;
    p->dry = p->told = false;
    p->lost_note = true;
    rs_out_clear(p);
    if (c->s->opt.mode == RS_MODE_PUBSUB) {
        rs_pubsub_begin(p);
        return;
    }
    if (c->group == NULL) {
        begin_alone(p, start);
    } else if (rs_is_inbox(p)) {
        p->phase = RS_MINE;
    } else {
        p->phase = RS_PLACE;
        rs_start_text(start, id, sizeof id);
        rs_part_place(p,
                      start->kind == EMESH_START_STORED || start->kind == EMESH_START_AFTER
                          ? "place"
                          : "seek",
                      id);
    }
    rs_feed(c);
    rs_link_flush(&c->s->data);
}

void
rs_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch)
{
    rs_cursor *c = (rs_cursor *)(void *)cursor;
    rs_part *p = rs_cursor_part(c, partition);

    if (p == NULL || p->epoch != epoch || p->phase == RS_IDLE)
        return;
    p->phase = RS_IDLE;
    rs_out_clear(p);
    rs_give_back(p);
    rs_own_leave(p);
    rs_link_flush(&c->s->data);
}

void
rs_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    rs_cursor *c = (rs_cursor *)(void *)cursor;

    c->want = records > UINT32_MAX - c->want ? UINT32_MAX : c->want + records;
    if (bytes > 0) {
        c->bytes_given = true;
        c->want_bytes = MIN(c->want_bytes + (int64_t)MIN(bytes, INT64_MAX / 4), INT64_MAX / 4);
    }
    rs_feed(c);
    rs_link_flush(&c->s->data);
}

/* ---- the end ---- */

static void
forget_part(rs_store *s, rs_part *p)
{
    GPtrArray *readers = g_hash_table_lookup(s->by_key, p->key);

    if (readers == NULL)
        return;
    g_ptr_array_remove_fast(readers, p);
    if (readers->len == 0)
        g_hash_table_remove(s->by_key, p->key);
}

void
rs_cursor_settle(rs_cursor *c)
{
    rs_store *s = c->s;
    emesh_op *op = c->close_op;

    if (op == NULL || c->busy > 0)
        return;
    for (guint i = 0; i < c->parts->len; i++)
        if (((rs_part *)c->parts->pdata[i])->acks > 0)
            return;
    c->close_op = NULL;
    g_ptr_array_unref(c->parts);
    g_free(c->group);
    g_free(c);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

void
rs_close(emesh_cursor *cursor, emesh_op *op)
{
    rs_cursor *c = (rs_cursor *)(void *)cursor;
    rs_store *s = c->s;

    g_ptr_array_remove_fast(s->cursors, c);
    if (s->opt.mode == RS_MODE_PUBSUB)
        rs_pubsub_close(c);
    c->busy++; /* until all is sent */
    c->close_op = op;
    for (guint i = 0; i < c->parts->len; i++) {
        rs_part *p = c->parts->pdata[i];
        bool begun = p->phase != RS_IDLE;
        forget_part(s, p);
        p->phase = RS_IDLE;
        rs_out_clear(p);
        if (begun && s->opt.mode == RS_MODE_STREAMS)
            rs_give_back(p);
        rs_own_leave(p);
    }
    rs_link_flush(&s->data);
    c->busy--;
    rs_cursor_settle(c);
}
