/* SPDX-License-Identifier: Apache-2.0
 *
 * What is settled, told to the server. What got no answer is told again on the next connection: to
 * settle twice does no harm.
 */
#include "redis.h"

#include <string.h>

#define MOST 500u

rs_ack *
rs_ack_new(rs_part *p, int32_t script)
{
    rs_ack *ack = g_new0(rs_ack, 1);

    ack->key = g_strdup(p->key);
    ack->group = g_strdup(p->c->group);
    ack->script = script;
    ack->lease = g_strdup(p->lease_key);
    ack->part = p;
    ack->ids = g_ptr_array_new_with_free_func(g_free);
    p->acks++;
    return ack;
}

void
rs_ack_add(rs_ack *ack, emesh_position at)
{
    g_ptr_array_add(
        ack->ids, ack->script == RS_SCRIPT_INBOX_ACK
                      ? g_strdup_printf("%" G_GUINT64_FORMAT, at.lo)
                      : g_strdup_printf("%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, at.hi, at.lo));
}

static void
ack_free(rs_ack *ack)
{
    rs_part *p = ack->part;

    if (p != NULL) {
        p->acks--;
        rs_cursor_settle(p->c);
    }
    g_ptr_array_unref(ack->ids);
    g_free(ack->key);
    g_free(ack->lease);
    g_free(ack->group);
    g_free(ack);
}

/* Somebody reads here again: what it has is not given away. */
static bool
is_void(rs_store *s, const rs_ack *ack)
{
    if (ack->script != RS_SCRIPT_GIVE && ack->script != RS_SCRIPT_INBOX_BACK)
        return false;
    for (guint i = 0; i < s->cursors->len; i++) {
        const rs_cursor *c = s->cursors->pdata[i];
        for (guint k = 0; c->group != NULL && k < c->parts->len; k++) {
            const rs_part *p = c->parts->pdata[k];
            if (p->phase != RS_IDLE && strcmp(p->key, ack->key) == 0 &&
                strcmp(c->group, ack->group) == 0)
                return true;
        }
    }
    return false;
}

static void
acked(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_ack *ack = cmd->ctx;

    if (r == NULL) {
        if (ack->part != NULL) {
            ack->part->acks--;
            rs_cursor_settle(ack->part->c);
            ack->part = NULL;
        }
        g_queue_push_tail(&s->acks, ack);
        return;
    }
    if (rs_is_error(r) && rs_reply_code(r) == EMESH_E_STALE)
        rs_say(s, EMESH_LOG_WARNING,
               "what group %s has done in %s comes too late: another daemon "
               "has the partition, and gives it once more",
               ack->group, ack->key);
    else if (rs_is_error(r) && rs_reply_code(r) != EMESH_E_NOT_FOUND)
        rs_say(s, EMESH_LOG_ERROR, "what group %s has done in %s cannot be written: %s", ack->group,
               ack->key, r->str);
    ack_free(ack);
}

static void
begin_command(rs_store *s, const rs_ack *ack)
{
    rs_args *a = s->args;

    switch (ack->script) {
    case RS_SCRIPT_INBOX_ACK:
        rs_eval(s, RS_SCRIPT_INBOX_ACK, ack->key);
        rs_args_text(a, s->me);
        break;
    case RS_SCRIPT_INBOX_BACK:
        rs_eval(s, RS_SCRIPT_INBOX_BACK, ack->key);
        rs_args_text(a, s->opt.prefix);
        rs_args_text(a, s->me);
        break;
    case RS_SCRIPT_ACK_OWNED:
        rs_eval(s, RS_SCRIPT_ACK_OWNED, ack->key);
        rs_args_text(a, ack->lease);
        rs_args_text(a, ack->group);
        rs_args_text(a, s->me);
        break;
    case RS_SCRIPT_GIVE:
        rs_eval(s, RS_SCRIPT_GIVE, ack->key);
        rs_args_text(a, s->opt.prefix);
        rs_args_text(a, ack->group);
        rs_args_text(a, s->me);
        break;
    default:
        rs_args_begin(a, "XACK");
        rs_args_text(a, ack->key);
        rs_args_text(a, ack->group);
        break;
    }
}

void
rs_ack_send(rs_store *s, rs_ack *ack)
{
    if (is_void(s, ack)) {
        ack_free(ack);
        return;
    }
    begin_command(s, ack);
    for (guint i = 0; i < ack->ids->len; i++)
        rs_args_text(s->args, ack->ids->pdata[i]);
    rs_link_send(&s->data, s->args, (rs_command){ .done = acked, .ctx = ack });
}

void
rs_acks_again(rs_store *s)
{
    for (guint n = s->acks.length; n > 0 && rs_link_is_up(&s->data); n--)
        rs_ack_send(s, g_queue_pop_head(&s->acks));
}

void
rs_acks_clear(rs_store *s)
{
    rs_ack *ack;

    while ((ack = g_queue_pop_head(&s->acks)) != NULL)
        ack_free(ack);
}

/* ---- commit ---- */

static void
add_id(void *ctx, emesh_position at)
{
    rs_part *p = ctx;

    if (p->ack == NULL)
        p->ack = rs_ack_new(p, rs_is_inbox(p)   ? RS_SCRIPT_INBOX_ACK
                               : rs_is_owned(p) ? RS_SCRIPT_ACK_OWNED
                                                : -1);
    rs_ack_add(p->ack, at);
    if (p->ack->ids->len >= MOST)
        rs_ack_send(p->c->s, g_steal_pointer(&p->ack));
}

/* Without an answer: an attempt that is not counted is one more, not one less. */
static void
tried(rs_part *p, const emesh_commit *item)
{
    rs_store *s = p->c->s;
    char id[48];

    if (rs_is_inbox(p)) {
        rs_eval(s, RS_SCRIPT_INBOX_TRIED, p->key);
        rs_args_number(s->args, s->scratch, item->position.lo);
        rs_args_number(s->args, s->scratch, item->attempts);
    } else {
        g_snprintf(id, sizeof id, "%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, item->position.hi,
                   item->position.lo);
        rs_eval(s, RS_SCRIPT_TRIED, p->key);
        rs_args_text(s->args, p->c->group);
        rs_args_text(s->args, s->me);
        rs_args_text(s->args, id);
        rs_args_number(s->args, s->scratch, (uint64_t)item->attempts + 1);
    }
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
}

void
rs_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n)
{
    rs_cursor *c = (rs_cursor *)(void *)cursor;

    for (uint32_t i = 0; i < n && c->group != NULL; i++) {
        const emesh_commit *item = &items[i];
        rs_part *p = rs_cursor_part(c, item->partition);
        if (p == NULL || p->phase == RS_IDLE || p->epoch != item->epoch)
            continue; /* of an earlier life */
        if (item->outcome == EMESH_COMMIT_TRIED)
            tried(p, item);
        else if (item->outcome == EMESH_COMMIT_ONE && rs_is_inbox(p) &&
                 !rs_out_has(p, item->position))
            add_id(p, item->position); /* one that is not due yet */
        else if (item->outcome == EMESH_COMMIT_ONE || item->outcome == EMESH_COMMIT_UP_TO)
            rs_out_settle(p, item->position, item->outcome == EMESH_COMMIT_UP_TO, add_id, p);
    }
    for (guint i = 0; i < c->parts->len; i++) {
        rs_part *p = c->parts->pdata[i];
        if (p->ack != NULL)
            rs_ack_send(c->s, g_steal_pointer(&p->ack));
    }
    rs_link_flush(&c->s->data);
}

void
rs_give_back(rs_part *p)
{
    if (p->c->group != NULL)
        rs_ack_send(p->c->s, rs_ack_new(p, rs_is_inbox(p) ? RS_SCRIPT_INBOX_BACK : RS_SCRIPT_GIVE));
}
