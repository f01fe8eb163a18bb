/* SPDX-License-Identifier: Apache-2.0
 *
 * The partition "inbox" of a shared reader: what was appended for its group alone. It lies in a
 * sorted set by the time it is due; handed over, it is put off by the lease, which is renewed until
 * it is settled: so another daemon gets it only when this one is gone. Positions are (due, token).
 */
#include "codec.h"
#include "redis.h"

#include <stdlib.h>
#include <string.h>

typedef struct inbox_reading {
    rs_part *p;
    uint32_t most, epoch;
    rs_phase phase;
} inbox_reading;

char *
rs_inbox_key(const rs_store *s, const char *topic, const char *group)
{
    return g_strdup_printf("%sinbox:%zu:%s:%s", s->opt.prefix, strlen(topic), topic, group);
}

/* {token, due, attempts, fields} */
static bool
record_of(rs_part *p, const redisReply *item, emesh_record *out, uint64_t *bytes)
{
    rs_store *s = p->c->s;
    const redisReply *fields;
    bool foreign = false;

    if (item->type != REDIS_REPLY_ARRAY || item->elements != 4 ||
        item->element[0]->type != REDIS_REPLY_STRING || item->element[3]->type != REDIS_REPLY_ARRAY)
        return false;
    fields = item->element[3];
    *out = (emesh_record){ .position = { rs_number_of(item->element[1]),
                                         rs_number_of(item->element[0]) },
                           .partition = p->number,
                           .epoch = p->epoch,
                           .attempt = (uint32_t)rs_number_of(item->element[2]) + 1 };
    if (rs_out_has(p, out->position))
        return false;
    out->stored_ms = out->position.hi != 0 ? out->position.hi : rs_wall(s);
    out->event = rs_event_of(s->host, s->ev, (const redisReply *const *)fields->element,
                             fields->elements, p->c->topic->name, item->element[0]->str, &foreign);
    out->flags = out->event == NULL ? EMESH_RECORD_DAMAGED : foreign ? EMESH_RECORD_FOREIGN : 0;
    *bytes += rs_event_bytes(s, out->event);
    return true;
}

static void
take_items(rs_part *p, const inbox_reading *now, const redisReply *r)
{
    emesh_record records[RS_READ_MOST];
    const redisReply *list = r->element[0];
    uint64_t bytes = 0, next, wall;
    uint32_t n = 0;

    for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i < list->elements && n < RS_READ_MOST;
         i++)
        n += record_of(p, list->element[i], &records[n], &bytes);
    rs_hand(p, records, n, bytes);
    if (list->elements >= now->most)
        return;
    p->dry = !p->woken;
    next = rs_number_of(r->element[1]);
    wall = rs_number_of(r->element[2]);
    p->due_ms = next;
    if (next != 0)
        rs_due_at(p->c->s, rs_wall(p->c->s) + (next > wall ? next - wall : 0));
    if (!p->told) {
        p->told = true;
        p->c->s->st->partition(p->c->reader, EMESH_PARTITION_CAUGHT_UP, p->number, "", 0, NULL);
    }
}

static void
inbox_done(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    inbox_reading *now = cmd->ctx;
    rs_part *p = now->p;
    rs_cursor *c = p->c;

    (void)s;
    c->busy--;
    c->want += now->most;
    p->reading = false;
    if (c->close_op != NULL) {
        rs_cursor_settle(c);
    } else if (r != NULL && p->epoch == now->epoch && p->phase == now->phase) {
        if (rs_is_error(r))
            p->dry = true; /* the next poll asks again */
        else if (p->phase == RS_MINE)
            p->phase = RS_NEW;
        else if (r->type == REDIS_REPLY_ARRAY && r->elements == 3)
            take_items(p, now, r);
        rs_feed(c);
    }
    g_free(now);
}

void
rs_inbox_read(rs_part *p, uint32_t most)
{
    rs_store *s = p->c->s;
    inbox_reading *now;

    if (p->dry)
        return;
    now = g_new0(inbox_reading, 1);
    *now = (inbox_reading){ .p = p, .most = most, .epoch = p->epoch, .phase = p->phase };
    if (p->phase == RS_MINE) { /* what an earlier life had, but for what the host still has */
        rs_eval(s, RS_SCRIPT_INBOX_BACK, p->key);
        rs_args_text(s->args, s->opt.prefix);
        rs_args_text(s->args, s->me);
        for (uint32_t i = p->head; p->out != NULL && i < p->out->len; i++)
            if (!g_array_index(p->out, rs_handed, i).settled)
                rs_args_number(s->args, s->scratch, g_array_index(p->out, rs_handed, i).at.lo);
    } else {
        rs_eval(s, RS_SCRIPT_INBOX_READ, p->key);
        rs_args_text(s->args, s->me);
        rs_args_number(s->args, s->scratch, s->opt.lease_ms);
        rs_args_number(s->args, s->scratch, most);
    }
    p->reading = true;
    p->woken = false;
    p->c->busy++;
    p->c->want -= most;
    rs_link_send(&s->data, s->args, (rs_command){ .done = inbox_done, .ctx = now });
}

void
rs_inbox_renew(rs_part *p)
{
    rs_store *s = p->c->s;
    uint32_t n = 0;

    rs_eval(s, RS_SCRIPT_INBOX_RENEW, p->key);
    rs_args_number(s->args, s->scratch, s->opt.lease_ms);
    for (uint32_t i = p->head; p->out != NULL && i < p->out->len; i++)
        if (!g_array_index(p->out, rs_handed, i).settled) {
            rs_args_number(s->args, s->scratch, g_array_index(p->out, rs_handed, i).at.lo);
            n++;
        }
    if (n > 0)
        rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
}
