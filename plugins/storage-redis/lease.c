/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is alive: a key that expires says so of each daemon. Entries that a living daemon has are
 * renewed; what one that is gone had is taken over once it has lain for the lease.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

static char *
key(const rs_store *s, const char *name)
{
    return g_strconcat(s->opt.prefix, name, NULL);
}

static void
seen(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    uint64_t now = rs_wall(s);
    bool dead = false;

    (void)cmd;
    for (size_t i = 0; r != NULL && r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        uint64_t at = rs_number_of(r->element[i + 1]);
        uint64_t age = now > at ? now - at : 0;
        if (r->element[i]->str == NULL || strcmp(r->element[i]->str, s->me) == 0)
            continue;
        dead |= age > s->opt.lease_ms && age < 8 * s->opt.lease_ms;
        if (age > 7 * UINT64_C(86400000)) {
            g_autofree char *daemons = key(s, "daemons");
            rs_args_begin(s->args, "HDEL");
            rs_args_text(s->args, daemons);
            rs_args_text(s->args, r->element[i]->str);
            rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
        }
    }
    if (dead)
        rs_take_all(s);
}

/* Says that this daemon lives, and asks who does not. */
void
rs_alive(rs_store *s)
{
    g_autofree char *alive = g_strconcat(s->opt.prefix, "alive:", s->me, NULL);
    g_autofree char *daemons = key(s, "daemons");

    s->alive_ns = rs_now(s);
    rs_args_begin(s->args, "SET");
    rs_args_text(s->args, alive);
    rs_args_text(s->args, "1");
    rs_args_text(s->args, "PX");
    rs_args_number(s->args, s->scratch, s->opt.lease_ms);
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
    rs_args_begin(s->args, "HSET");
    rs_args_text(s->args, daemons);
    rs_args_text(s->args, s->me);
    rs_args_number(s->args, s->scratch, rs_wall(s));
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
    rs_args_begin(s->args, "HGETALL");
    rs_args_text(s->args, daemons);
    rs_link_send(&s->data, s->args, (rs_command){ .done = seen });
}

void
rs_not_alive(rs_store *s)
{
    g_autofree char *alive = g_strconcat(s->opt.prefix, "alive:", s->me, NULL);

    rs_args_begin(s->args, "DEL");
    rs_args_text(s->args, alive);
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
}

void
rs_take_all(rs_store *s)
{
    for (guint i = 0; i < s->cursors->len; i++) {
        rs_cursor *c = s->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++)
            ((rs_part *)c->parts->pdata[k])->take_ns = 1;
        rs_feed(c);
    }
}

static void
renew(rs_part *p)
{
    rs_store *s = p->c->s;

    if (rs_is_owned(p))
        rs_own_ask(p);
    if (p->phase == RS_IDLE || p->out == NULL || p->head >= p->out->len)
        return;
    if (rs_is_inbox(p)) {
        rs_inbox_renew(p);
        return;
    }
    rs_eval(s, RS_SCRIPT_RENEW, p->key);
    rs_args_text(s->args, p->c->group);
    rs_args_text(s->args, s->me);
    rs_args_number(s->args, s->scratch, s->opt.lease_ms / 4);
    rs_link_send(&s->data, s->args, (rs_command){ .done = rs_ignored });
}

static void
look_at_parts(rs_store *s, bool renewing, bool polling)
{
    for (guint i = 0; i < s->cursors->len; i++) {
        rs_cursor *c = s->cursors->pdata[i];
        for (guint k = 0; renewing && c->group != NULL && k < c->parts->len; k++)
            renew(c->parts->pdata[k]);
        for (guint k = 0; polling && k < c->parts->len; k++)
            ((rs_part *)c->parts->pdata[k])->dry = false;
        rs_feed(c);
    }
}

/* The beat: connections that do not answer, the lease, and what nobody told of. */
void
rs_beat(void *store)
{
    rs_store *s = store;
    uint64_t now = rs_now(s), third = s->opt.lease_ms * RS_MS / 3;
    uint64_t step = MIN(MIN(s->opt.poll_ns, third), MIN(RS_SECOND, s->opt.timeout_ns / 4));
    bool renewing = now >= s->alive_ns + third, polling = now >= s->polled_ns + s->opt.poll_ns;

    s->lp->timer_set(s->beat, now + step);
    rs_link_watch(&s->data);
    rs_link_watch(&s->ear);
    if (!rs_link_is_up(&s->data) || s->opt.mode == RS_MODE_PUBSUB)
        return;
    if (renewing)
        rs_alive(s);
    if (polling) {
        s->polled_ns = now;
        rs_fire(s);
    }
    look_at_parts(s, renewing, polling);
    rs_link_flush(&s->data);
    if (polling && rs_link_is_up(&s->ear) && s->ear.n == 0) { /* does it still hear? */
        rs_args_begin(s->args, "PING");
        rs_link_send(&s->ear, s->args, (rs_command){ .done = rs_ignored });
        rs_link_flush(&s->ear);
    }
}
