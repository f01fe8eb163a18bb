/* SPDX-License-Identifier: Apache-2.0
 *
 * The lane: its two connections and its clocks, from attach to detach.
 */
#include "redis.h"

#include <string.h>

uint64_t
rs_now(const rs_store *s)
{
    return s->lp->time(s->loop, EMESH_CLOCK_MONOTONIC);
}

uint64_t
rs_wall(const rs_store *s)
{
    return s->lp->time(s->loop, EMESH_CLOCK_WALL);
}

/* ---- up and down ---- */

static void
resume(rs_store *s)
{
    rs_acks_again(s);
    for (guint i = 0; i < s->cursors->len; i++) {
        rs_cursor *c = s->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++)
            rs_part_again(c->parts->pdata[k]);
        rs_feed(c);
    }
}

void
rs_data_up(rs_link *link)
{
    rs_store *s = link->s;
    g_autoptr(GPtrArray) asks = g_steal_pointer(&s->asks);

    s->asks = g_ptr_array_new();
    s->mt->add(s->m_connects, 1);
    s->firing = false;
    if (s->facts.evicts && s->opt.assume == 0)
        rs_say(s, EMESH_LOG_WARNING,
               "redis at %s may remove streams when its memory is full, as its "
               "maxmemory-policy says allkeys: it counts as memory; set noeviction",
               s->opt.address);
    rs_tell_ready(s);
    s->host->report(s->host, EMESH_HEALTH_OK, NULL);
    rs_say(s, EMESH_LOG_NOTICE, "connected to redis %u.%u.%u at %s, appendfsync %s",
           s->facts.version / 10000, s->facts.version / 100 % 100, s->facts.version % 100,
           s->opt.address, s->facts.appendfsync[0] != '\0' ? s->facts.appendfsync : "unknown");
    if (s->opt.mode == RS_MODE_STREAMS)
        rs_alive(s);
    resume(s);
    for (guint i = 0; i < asks->len; i++)
        ((rs_ask *)asks->pdata[i])->go(asks->pdata[i]);
    rs_link_flush(link);
}

void
rs_data_down(rs_link *link)
{
    rs_store *s = link->s;
    emesh_error err = { .size = sizeof err };
    g_autoptr(GPtrArray) asks = g_steal_pointer(&s->asks);

    s->asks = g_ptr_array_new();
    rs_error(&err, EMESH_E_UNAVAILABLE,
             "redis at %s: %s; the next try is in %" G_GUINT64_FORMAT " ms", s->opt.address,
             link->why, link->wait_ns / RS_MS);
    s->host->report(s->host, EMESH_HEALTH_DEGRADED, &err);
    for (guint i = 0; i < asks->len; i++)
        rs_ask_end(asks->pdata[i], EMESH_E_UNAVAILABLE, &err, NULL);
}

/* ---- attach, drain, detach ---- */

int32_t
rs_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
          emesh_error *err)
{
    rs_store *s = RS_STORE(self);

    (void)index;
    s->loop = loop;
    s->data.up = rs_data_up;
    s->data.down = rs_data_down;
    s->ear.up = rs_ear_up;
    s->ear.down = rs_ear_down;
    s->ear.heard = rs_ear_heard;
    s->beat = s->lp->timer(loop, rs_beat, s);
    s->due = s->lp->timer(loop, rs_due, s);
    s->trim = s->lp->timer(loop, rs_trim, s);
    if (s->beat == NULL || s->due == NULL || s->trim == NULL)
        return rs_error(err, EMESH_E_NO_MEMORY, "no timer for the lane of %s", s->name);
    rs_link_want(&s->data);
    rs_link_want(&s->ear);
    s->lp->timer_set(s->beat, rs_now(s) + 1);
    s->lp->timer_set(s->trim, rs_now(s) + s->opt.trim_ns);
    *out = (emesh_lane *)(void *)s;
    return EMESH_OK;
}

void
rs_drain(emesh_lane *lane, uint64_t deadline_ns, emesh_op *op)
{
    rs_store *s = RS_STORE(lane);

    (void)deadline_ns; /* what is under way has its own time limit, and nothing is kept here */
    rs_link_flush(&s->data);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

void
rs_link_gone(rs_store *s)
{
    emesh_op *op = s->detach_op;

    if (op == NULL || s->data.state != RS_LINK_REST || s->ear.state != RS_LINK_REST)
        return;
    s->detach_op = NULL;
    rs_results_flush(s);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

static void
end_timer(rs_store *s, emesh_timer **timer)
{
    if (*timer != NULL)
        s->lp->timer_end(*timer);
    *timer = NULL;
}

void
rs_detach(emesh_lane *lane, emesh_op *op)
{
    rs_store *s = RS_STORE(lane);
    g_autoptr(GPtrArray) asks = g_steal_pointer(&s->asks);

    s->asks = g_ptr_array_new();
    s->ending = true;
    s->detach_op = op;
    for (guint i = 0; i < asks->len; i++)
        rs_ask_end(asks->pdata[i], EMESH_E_CANCELED, NULL, NULL);
    end_timer(s, &s->beat);
    end_timer(s, &s->due);
    end_timer(s, &s->trim);
    if (rs_link_is_up(&s->data) && s->opt.mode == RS_MODE_STREAMS)
        rs_not_alive(s);
    rs_link_end(&s->data);
    rs_link_end(&s->ear);
    rs_link_gone(s);
}
