/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading: what the host wants is asked for, one command at a time for each partition, and handed
 * over as it comes. A shared part begins with what this daemon had (MINE), goes on with what dead
 * ones had (TAKE), and then reads what is new.
 */
#include "codec.h"
#include "redis.h"

#include <stdlib.h>
#include <string.h>

typedef struct reading { /* a command under way */
    rs_part *p;
    uint32_t most, epoch;
    rs_phase phase;
    redisReply *kept; /* until the replicas have it */
} reading;

bool
rs_position_of(const char *text, emesh_position *out)
{
    char *end = NULL;

    if (text == NULL) /* a reply that is no text */
        return false;
    out->hi = strtoull(text, &end, 10);
    if (end == text || *end != '-')
        return false;
    out->lo = strtoull(end + 1, NULL, 10);
    return true;
}

/* ---- handing over ---- */

void
rs_hand(rs_part *p, const emesh_record *records, uint32_t n, uint64_t bytes)
{
    rs_cursor *c = p->c;
    rs_store *s = c->s;

    if (n == 0)
        return;
    for (uint32_t i = 0; i < n; i++) {
        if (c->group != NULL)
            rs_out_add(p, records[i].position, records[i].event == NULL);
        if ((records[i].flags & EMESH_RECORD_FOREIGN) != 0)
            s->mt->add(s->m_foreign, 1);
    }
    c->want -= MIN(c->want, n);
    c->want_bytes -= (int64_t)bytes;
    c->mean_bytes += ((int32_t)MIN(bytes / n, 1u << 24) - (int32_t)c->mean_bytes) / 4;
    s->mt->add(s->m_read, n);
    s->st->records(c->reader, records, n);
    for (uint32_t i = 0; i < n; i++)
        s->ev->unref(&records[i].event, 1);
}

/* As the host counts: names, values and data. More would be taken off what it grants, which it does
 * not know of. */
uint64_t
rs_event_bytes(const rs_store *s, const emesh_event *event)
{
    emesh_event_view view = { .size = sizeof view };
    uint64_t n = 0;

    if (event == NULL)
        return 0;
    s->ev->view(event, &view);
    for (uint32_t i = 0; i < view.n_attrs; i++)
        n += view.attrs[i].name_len + view.attrs[i].value_len;
    return n + view.data_len;
}

/* One entry as a record. False: it is no entry. */
static bool
record_of(rs_part *p, const redisReply *id, const redisReply *fields, emesh_record *out,
          uint64_t *bytes)
{
    rs_store *s = p->c->s;
    bool foreign = false;

    if (id->type != REDIS_REPLY_STRING || !rs_position_of(id->str, &out->position))
        return false;
    out->stored_ms = out->position.hi;
    out->partition = p->number;
    out->epoch = p->epoch;
    out->attempt = 1;
    if (fields->type != REDIS_REPLY_ARRAY) {
        out->flags = EMESH_RECORD_TRIMMED;
        return true;
    }
    out->event = rs_event_of(s->host, s->ev, (const redisReply *const *)fields->element,
                             fields->elements, p->c->topic->name, id->str, &foreign);
    out->flags = out->event == NULL ? EMESH_RECORD_DAMAGED : foreign ? EMESH_RECORD_FOREIGN : 0;
    *bytes += rs_event_bytes(s, out->event);
    return true;
}

/* {{id, fields}, …} */
static uint32_t
hand_entries(rs_part *p, const redisReply *list)
{
    emesh_record records[RS_READ_MOST];
    uint64_t bytes = 0;
    uint32_t n = 0;

    for (size_t i = 0; i < list->elements && n < RS_READ_MOST; i++) {
        const redisReply *entry = list->element[i];
        records[n] = (emesh_record){ 0 };
        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
            !record_of(p, entry->element[0], entry->element[1], &records[n], &bytes))
            continue;
        p->last = records[n++].position;
    }
    rs_hand(p, records, n, bytes);
    return n;
}

/* {{id, times, fields or nil}, …} of a script; what the host has already is left out, and what is
 * gone in a row is told once. */
static uint32_t
hand_pending(rs_part *p, const redisReply *list)
{
    emesh_record records[RS_READ_MOST];
    uint64_t bytes = 0;
    uint32_t n = 0;

    for (size_t i = 0; i < list->elements && n < RS_READ_MOST; i++) {
        const redisReply *entry = list->element[i];
        emesh_record r = { 0 };
        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 3 ||
            !record_of(p, entry->element[0], entry->element[2], &r, &bytes))
            continue;
        if (rs_out_has(p, r.position)) {
            p->c->s->ev->unref(&r.event, 1);
            continue;
        }
        r.attempt = entry->element[1]->integer > 0 ? (uint32_t)entry->element[1]->integer : 1;
        if (r.flags == EMESH_RECORD_TRIMMED && n > 0 &&
            records[n - 1].flags == EMESH_RECORD_TRIMMED)
            records[n - 1] = r;
        else
            records[n++] = r;
    }
    rs_hand(p, records, n, bytes);
    return n;
}

static void
told_end(rs_part *p)
{
    if (p->told)
        return;
    p->told = true;
    p->c->s->st->partition(p->c->reader, EMESH_PARTITION_CAUGHT_UP, p->number, "", 0, NULL);
}

/* ---- replies ---- */

/* The group, or the whole stream, is not there any more: begin again with all that is. */
static void
group_gone(rs_part *p)
{
    rs_store *s = p->c->s;
    emesh_record r = { .position = p->last,
                       .partition = p->number,
                       .epoch = p->epoch,
                       .attempt = 1,
                       .flags = EMESH_RECORD_TRIMMED };

    rs_say(s, EMESH_LOG_WARNING,
           "group %s is not known in %s any more: somebody has deleted it, or "
           "the server has lost it; it goes on with the first entry there is",
           p->c->group, p->key);
    rs_hand(p, &r, 1, 0);
    p->phase = RS_PLACE;
    rs_part_place(p, "place", "0-0");
}

static void
reader_ends(rs_part *p, const redisReply *r)
{
    emesh_error err = { .size = sizeof err };
    rs_store *s = p->c->s;

    rs_error(&err, rs_reply_code(r), "%s in redis at %s cannot be read: %s", p->key, s->opt.address,
             r->str);
    p->phase = RS_IDLE;
    s->st->partition(p->c->reader, EMESH_PARTITION_END, p->number, "", 0, &err);
}

static void
read_failed(rs_part *p, const redisReply *r)
{
    int32_t code = rs_reply_code(r);

    if (code == EMESH_E_NOT_FOUND && p->c->group != NULL)
        group_gone(p);
    else if (code == EMESH_E_STALE)
        rs_own_lost(p);
    else if (EMESH_CLASS(code) == 3)
        p->dry = true; /* loading, busy: the next poll asks again */
    else
        reader_ends(p, r);
}

static void
take_new(rs_part *p, const reading *now, const redisReply *r)
{
    const redisReply *list = r;
    uint32_t n = 0;

    if (p->c->group != NULL) /* {{stream, {entry, …}}} or nil */
        list = r->type == REDIS_REPLY_ARRAY && r->elements == 1 && r->element[0]->elements == 2
                   ? r->element[0]->element[1]
                   : NULL;
    if (list != NULL && list->type == REDIS_REPLY_ARRAY)
        n = hand_entries(p, list);
    if (n < now->most) {
        p->dry = !p->woken;
        told_end(p);
    }
}

static void
take_mine(rs_part *p, const reading *now, const redisReply *r)
{
    const redisReply *last = r->elements == 2 ? r->element[1] : NULL;

    if (last == NULL)
        return;
    hand_pending(p, r->element[0]);
    if (r->element[0]->elements < now->most || !rs_position_of(last->str, &p->last)) {
        p->phase = rs_is_owned(p) ? RS_NEW : RS_TAKE;
        p->last = (emesh_position){ 0 };
    }
}

static void
take_over(rs_part *p, const reading *now, const redisReply *r)
{
    rs_store *s = p->c->s;
    uint32_t n;

    if (r->elements != 2)
        return;
    n = hand_pending(p, r->element[0]);
    s->mt->add(s->m_taken, n);
    if (r->element[0]->elements >= now->most)
        return;
    p->phase = RS_NEW;
    p->take_ns = rs_now(s) + (r->element[1]->integer != 0 ? s->opt.lease_ms * RS_MS / 3
                                                          : 4 * s->opt.lease_ms * RS_MS);
}

static void
take_reply(rs_store *s, reading *now, const redisReply *r)
{
    rs_part *p = now->p;
    rs_cursor *c = p->c;

    c->busy--;
    c->want += now->most;
    p->reading = false;
    if (c->close_op != NULL) {
        rs_cursor_settle(c);
    } else if (r != NULL && p->epoch == now->epoch && p->phase == now->phase) {
        if (rs_is_error(r))
            read_failed(p, r);
        else if (p->phase == RS_NEW)
            take_new(p, now, r);
        else if (p->phase == RS_MINE)
            take_mine(p, now, r);
        else
            take_over(p, now, r);
        rs_feed(c);
    } else if (r != NULL) {
        rs_feed(c); /* under a new epoch what came is found among MINE */
    }
    if (now->kept != NULL)
        freeReplyObject(now->kept);
    g_free(now);
    (void)s;
}

static void
read_done(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    reading *now = cmd->ctx;

    if (s->opt.quorum == 0) {
        take_reply(s, now, r);
        return;
    }
    now->kept = (redisReply *)(uintptr_t)r; /* read_waited goes on */
    s->data.keep = r != NULL;
}

/* What was read may be shown: as many replicas have it as were asked for. */
static void
read_waited(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    reading *now = cmd->ctx;

    if (now->kept != NULL && r != NULL && r->type == REDIS_REPLY_INTEGER &&
        r->integer >= (long long)s->opt.quorum) {
        take_reply(s, now, now->kept);
        return;
    }
    if (now->p->phase == RS_NEW && now->p->c->group != NULL)
        now->p->phase = RS_MINE; /* it is in our list already */
    now->p->dry = true;
    take_reply(s, now, NULL);
}

/* ---- commands ---- */

static void
lost_told(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_part *p = cmd->ctx;
    emesh_record record = {
        .partition = p->number, .epoch = p->epoch, .attempt = 1, .flags = EMESH_RECORD_TRIMMED
    };

    p->c->busy--;
    if (p->c->close_op != NULL) {
        rs_cursor_settle(p->c);
        return;
    }
    if (r == NULL || r->type != REDIS_REPLY_STRING || p->phase == RS_IDLE ||
        !rs_position_of(r->str, &record.position))
        return;
    if (record.position.lo-- == 0)
        record.position = (emesh_position){ record.position.hi - 1, UINT64_MAX };
    rs_hand(p, &record, 1, 0);
    rs_args_begin(s->args, "HDEL");
    rs_args_text(s->args, g_string_chunk_insert(s->scratch, p->lost_key));
    rs_args_text(s->args, p->c->group);
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
}

/* Has retention taken what this group had not read? Asked before reading on. */
static void
ask_lost(rs_part *p)
{
    rs_store *s = p->c->s;

    if (!p->lost_note || p->c->group == NULL || rs_is_inbox(p))
        return;
    p->lost_note = false;
    if (p->lost_key == NULL)
        p->lost_key = g_strconcat(s->opt.prefix, "lost:", p->key, NULL);
    rs_args_begin(s->args, "HGET");
    rs_args_text(s->args, p->lost_key);
    rs_args_text(s->args, p->c->group);
    p->c->busy++;
    rs_link_send(&s->data, s->args, (rs_command){ .done = lost_told, .ctx = p });
}

static void
begin_alone(rs_part *p, uint32_t most)
{
    rs_store *s = p->c->s;
    char from[64];

    g_snprintf(from, sizeof from, "(%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, p->last.hi,
               p->last.lo);
    rs_args_begin(s->args, "XRANGE");
    rs_args_text(s->args, p->key);
    rs_args_text(s->args, g_string_chunk_insert(s->scratch, from));
    rs_args_text(s->args, "+");
    rs_args_text(s->args, "COUNT");
    rs_args_number(s->args, s->scratch, most);
}

static void
begin_group(rs_part *p, uint32_t most)
{
    rs_store *s = p->c->s;
    char from[64] = "-";

    switch (p->phase) {
    case RS_MINE:
        if (p->last.hi != 0 || p->last.lo != 0)
            g_snprintf(from, sizeof from, "(%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, p->last.hi,
                       p->last.lo);
        rs_eval(s, rs_is_owned(p) ? RS_SCRIPT_ALL : RS_SCRIPT_MINE, p->key);
        if (rs_is_owned(p))
            rs_args_text(s->args, p->lease_key);
        rs_args_text(s->args, p->c->group);
        rs_args_text(s->args, s->me);
        rs_args_text(s->args, g_string_chunk_insert(s->scratch, from));
        rs_args_number(s->args, s->scratch, most);
        break;
    case RS_TAKE:
        rs_eval(s, RS_SCRIPT_TAKE, p->key);
        rs_args_text(s->args, s->opt.prefix);
        rs_args_text(s->args, p->c->group);
        rs_args_text(s->args, s->me);
        rs_args_number(s->args, s->scratch, s->opt.lease_ms);
        rs_args_number(s->args, s->scratch, most);
        break;
    default:
        if (rs_is_owned(p)) {
            rs_eval(s, RS_SCRIPT_READ_OWNED, p->key);
            rs_args_text(s->args, p->lease_key);
            rs_args_text(s->args, p->c->group);
            rs_args_text(s->args, s->me);
            rs_args_number(s->args, s->scratch, most);
            break;
        }
        rs_args_begin(s->args, "XREADGROUP");
        rs_args_text(s->args, "GROUP");
        rs_args_text(s->args, p->c->group);
        rs_args_text(s->args, s->me);
        rs_args_text(s->args, "COUNT");
        rs_args_number(s->args, s->scratch, most);
        rs_args_text(s->args, "STREAMS");
        rs_args_text(s->args, p->key);
        rs_args_text(s->args, ">");
        break;
    }
}

static void
read_on(rs_part *p, uint32_t most)
{
    rs_store *s = p->c->s;
    reading *now = g_new0(reading, 1);

    ask_lost(p);
    *now = (reading){ .p = p, .most = most, .epoch = p->epoch, .phase = p->phase };
    p->reading = true;
    p->woken = false;
    p->c->busy++;
    p->c->want -= most; /* given back with the reply */
    if (p->c->group == NULL)
        begin_alone(p, most);
    else
        begin_group(p, most);
    rs_link_send(&s->data, s->args, (rs_command){ .done = read_done, .ctx = now });
    if (s->opt.quorum == 0)
        return;
    rs_args_begin(s->args, "WAIT");
    rs_args_number(s->args, s->scratch, s->opt.quorum);
    rs_args_number(s->args, s->scratch, MAX(1u, s->opt.timeout_ns / 2 / RS_MS));
    rs_link_send(&s->data, s->args, (rs_command){ .done = read_waited, .ctx = now });
}

static uint32_t
bite(const rs_cursor *c)
{
    uint32_t most = MIN(c->want, RS_READ_MOST);

    if (c->bytes_given) {
        int64_t fit = c->want_bytes / MAX(64, (int64_t)c->mean_bytes);
        most = c->want_bytes <= 0 ? 0 : MIN(most, (uint32_t)CLAMP(fit, 1, RS_READ_MOST));
    }
    return most;
}

void
rs_feed(rs_cursor *c)
{
    rs_store *s = c->s;
    uint64_t now = rs_now(s);

    if (s->opt.mode == RS_MODE_PUBSUB) {
        rs_pubsub_feed(c);
        return;
    }
    if (!rs_link_is_up(&s->data) || c->close_op != NULL)
        return;
    for (guint i = 0; i < c->parts->len; i++) {
        rs_part *p = c->parts->pdata[(c->turn + i) % c->parts->len];
        uint32_t most = bite(c);
        if (most == 0)
            break;
        if (p->reading || p->phase == RS_IDLE || p->phase == RS_PLACE)
            continue;
        if (p->phase == RS_NEW && !rs_is_inbox(p) && !rs_is_owned(p) && c->group != NULL &&
            p->take_ns != 0 && now >= p->take_ns)
            p->phase = RS_TAKE;
        if (rs_is_inbox(p))
            rs_inbox_read(p, most);
        else if (!p->dry || p->phase != RS_NEW)
            read_on(p, most);
    }
    c->turn = c->parts->len > 0 ? (c->turn + 1) % c->parts->len : 0;
}

void
rs_feed_all(rs_store *s)
{
    for (guint i = 0; i < s->cursors->len; i++) {
        rs_cursor *c = s->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++)
            ((rs_part *)c->parts->pdata[k])->dry = false;
        rs_feed(c);
    }
}

void
rs_part_again(rs_part *p)
{
    p->dry = false;
    p->lost_note = true;
    p->asking = false;
    if (rs_is_owned(p))
        rs_own_ask(p); /* before anything is read */
    if (p->phase == RS_IDLE || p->c->group == NULL)
        return;
    if (p->phase == RS_PLACE && !p->reading) {
        rs_part_place(p, "place", "$");
        return;
    }
    p->phase = RS_MINE;
    p->last = (emesh_position){ 0 };
}

void
rs_wake_key(rs_store *s, const char *key, size_t len, bool take)
{
    g_autofree char *text = g_strndup(key, len);
    GPtrArray *readers = g_hash_table_lookup(s->by_key, text);

    for (guint i = 0; readers != NULL && i < readers->len; i++) {
        rs_part *p = readers->pdata[i];
        p->dry = false;
        p->woken = true;
        if (take)
            p->take_ns = 1;
        if (take && rs_is_owned(p) && !p->announced)
            rs_own_ask(p);
        rs_feed(p->c);
    }
}
