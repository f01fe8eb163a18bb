/* SPDX-License-Identifier: Apache-2.0
 *
 * What is due: delayed events enter their topics, by whichever daemon looks first; inboxes are read
 * when their next event is due.
 */
#include "redis.h"

#include <stdlib.h>

#define MOST 200u

void
rs_due_at(rs_store *s, uint64_t due_ms)
{
    uint64_t now = rs_wall(s);

    if (s->due_ms != 0 && s->due_ms > now && s->due_ms <= due_ms)
        return;
    s->due_ms = due_ms;
    if (s->due != NULL)
        s->lp->timer_set(s->due, rs_now(s) + (due_ms > now ? (due_ms - now) * RS_MS : 0) + RS_MS);
}

static void
fired(rs_store *s, const rs_command *cmd, const redisReply *r)
{
    uint64_t next, now;

    (void)cmd;
    s->firing = false;
    if (r == NULL || s->ending)
        return;
    if (rs_is_error(r)) {
        rs_say(s, EMESH_LOG_WARNING,
               "delayed events cannot enter their topics: %s; it is tried "
               "again",
               r->str);
        return;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 3)
        return;
    next = rs_number_of(r->element[1]);
    now = rs_number_of(r->element[2]);
    if (next != 0)
        rs_due_at(s, rs_wall(s) + (next > now ? next - now : 0));
}

void
rs_fire(rs_store *s)
{
    if (s->firing || !rs_link_is_up(&s->data))
        return;
    s->firing = true;
    rs_eval(s, RS_SCRIPT_FIRE, NULL);
    rs_args_text(s->args, s->opt.prefix);
    rs_args_number(s->args, s->scratch, MOST);
    rs_link_send(&s->data, s->args, (rs_command){ .done = fired });
}

void
rs_due(void *store)
{
    rs_store *s = store;
    uint64_t now = rs_wall(s), next = 0;

    s->due_ms = 0;
    rs_fire(s);
    for (guint i = 0; i < s->cursors->len; i++) {
        rs_cursor *c = s->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            rs_part *p = c->parts->pdata[k];
            if (p->due_ms == 0)
                continue;
            if (p->due_ms <= now) {
                p->due_ms = 0;
                p->dry = false;
            } else {
                next = next == 0 ? p->due_ms : MIN(next, p->due_ms);
            }
        }
        rs_feed(c);
    }
    if (next != 0)
        rs_due_at(s, next);
    rs_link_flush(&s->data);
}
