/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate of one connection: who is over it stands in the lane's list until its time comes. [lane]
 */
#include "eventmesh/rate.h"
#include "session.h"

#define LEAST_NS 5000000ull /* of a pause */

bool
tcp_rate_session(tcp_session *s)
{
    tcp_lane *lane = s->lane;
    uint32_t rate = lane->tcp->options.session_rate;
    uint64_t now;

    if (rate == 0)
        return true;
    now = tcp_now(lane);
    if (emesh_rate_take(&s->rate_ns, rate, 1, now))
        return true;
    s->slowed_ns = now + (EMESH_RATE_SECOND / rate > LEAST_NS ? EMESH_RATE_SECOND / rate : LEAST_NS);
    s->next_slowed = lane->slowed;
    lane->slowed = s;
    tcp_session_pause(s);
    if (lane->slow_due_ns == 0 || s->slowed_ns < lane->slow_due_ns) {
        lane->slow_due_ns = s->slowed_ns;
        lane->tcp->loop->timer_set(lane->slow, lane->slow_due_ns);
    }
    return false;
}

void
tcp_rate_forget(tcp_session *s)
{
    tcp_session **at = &s->lane->slowed;

    if (s->slowed_ns == 0)
        return;
    while (*at != s)
        at = &(*at)->next_slowed;
    *at = s->next_slowed;
    s->slowed_ns = 0;
}

void
tcp_rate_due(void *ctx)
{
    tcp_lane *lane = ctx;
    uint64_t now = tcp_now(lane), next = 0;

    for (tcp_session *s = lane->slowed, *after; s != NULL; s = after) {
        after = s->next_slowed;
        if (s->slowed_ns > now) {
            next = next == 0 || s->slowed_ns < next ? s->slowed_ns : next;
            continue;
        }
        tcp_rate_forget(s);
        tcp_session_resume(s);
    }
    lane->slow_due_ns = next;
    lane->tcp->loop->timer_set(lane->slow, next);
}
