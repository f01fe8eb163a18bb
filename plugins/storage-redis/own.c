/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups that keep order: each of their partitions is read by one daemon at a time, who has a lease
 * of it. The scripts that read and settle look at the lease, so that a daemon which was stopped for
 * longer than its lease reads and settles nothing that is another's by now.
 */
#include "redis.h"

#include <string.h>

bool
rs_is_owned(const rs_part *p)
{
    return p->c->exclusive && !rs_is_inbox(p);
}

void
rs_own_lost(rs_part *p)
{
    rs_store *s = p->c->s;

    if (!p->announced)
        return;
    rs_say(s, EMESH_LOG_WARNING, "group %s has lost partition %u of topic %s to another daemon",
           p->c->group, p->number, p->c->topic->name);
    p->announced = false;
    p->phase = RS_IDLE;
    rs_out_clear(p);
    s->st->partition(p->c->reader, EMESH_PARTITION_LOST, p->number, "", 0, NULL);
}

static void
answered(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    rs_part *p = cmd->ctx;
    rs_cursor *c = p->c;

    (void)s;
    c->busy--;
    p->asking = false;
    if (c->close_op != NULL) {
        rs_cursor_settle(c);
        return;
    }
    if (r == NULL || r->type != REDIS_REPLY_INTEGER)
        return;
    if (r->integer == 0)
        rs_own_lost(p);
    else if (!p->announced)
        rs_part_announce(p);
}

void
rs_own_ask(rs_part *p)
{
    rs_store *s = p->c->s;

    if (p->asking || p->c->close_op != NULL)
        return;
    if (p->lease_key == NULL)
        p->lease_key = g_strdup_printf("%sown:%zu:%s:%s", s->opt.prefix, strlen(p->c->group),
                                       p->c->group, p->key);
    p->asking = true;
    p->c->busy++;
    rs_eval(s, RS_SCRIPT_OWN, p->lease_key);
    rs_args_text(s->args, s->me);
    rs_args_number(s->args, s->scratch, s->opt.lease_ms);
    rs_link_send(&s->data, s->args, (rs_command){ .done = answered, .ctx = p });
}

void
rs_own_leave(rs_part *p)
{
    rs_store *s = p->c->s;

    if (!rs_is_owned(p) || p->lease_key == NULL)
        return;
    p->announced = false;
    rs_eval(s, RS_SCRIPT_DISOWN, p->lease_key);
    rs_args_text(s->args, s->opt.prefix);
    rs_args_text(s->args, s->me);
    rs_args_text(s->args, p->key);
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
}
