/* SPDX-License-Identifier: Apache-2.0
 *
 * How much a member gets: credit that follows its acknowledgements, and pauses for members that
 * fail whatever they get, so that a target that is down is not the event's fault. [owner's lane]
 */
#include "delivery/sub.h"

#define FIRST_CREDIT 32u
#define QUICK_MS 100u    /* acked within: credit doubles */
#define TARDY_MS 1000u   /* later than: credit is halved */
#define HOLDER_MS 60000u /* who sits on an event longer gets no other */
#define FAILURES 5u      /* in a row, of two events at least: the member is down */
#define OUTCOMES 50u     /* of a group that are looked at … */
#define OUTCOMES_BAD 40u /* … and so many failed: the group is down */
#define PROBE_NS UINT64_C(1000000000)
#define PROBE_MAX_NS (60 * UINT64_C(1000000000))

uint32_t
emesh_consumer_credit(const emesh_sub *sub, const emesh_consumer *c)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;
    uint32_t credit = c->credit != 0 ? c->credit : FIRST_CREDIT;

    return MIN(MIN(c->window_events, limits->credit_events), credit);
}

static bool
all_fails(const emesh_sub *sub)
{
    return sub->n_outcomes == OUTCOMES &&
           (uint32_t)__builtin_popcountll(sub->outcomes) >= OUTCOMES_BAD;
}

static void
wake_at(emesh_sub *sub, uint64_t at_ns)
{
    if (sub->probe.place == 0 || at_ns < sub->probe.at_ns)
        emesh_worker_alarm(sub->owner->lane->worker, &sub->probe, at_ns);
}

void
emesh_sub_probe(emesh_alarm *alarm)
{
    emesh_sub_touch((emesh_sub *)((char *)alarm - offsetof(emesh_sub, probe)));
}

bool
emesh_consumer_has_credit(emesh_sub *sub, emesh_consumer *c, uint64_t now)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;
    uint64_t until = MAX(c->probe_ns, sub->calm_ns);

    if (c->leaving || !c->answered || c->sole ||
        (c->open_events > 0 && (c->open_events >= emesh_consumer_credit(sub, c) ||
                                c->open_bytes >= MIN(c->window_bytes, limits->credit_bytes))))
        return false;
    if (c->window_events == 0)
        return false;
    if (until > now) {
        wake_at(sub, until);
        return false;
    }
    if (c->open_head == 0)
        return true;
    if (c->probe_ns != 0 || all_fails(sub)) /* one at a time, to see */
        return false;
    return (uint32_t)(now / 1000000u) - emesh_slot_at(&sub->slots, c->open_head - 1)->offered_ms <=
           HOLDER_MS;
}

void
emesh_consumer_pause(emesh_sub *sub, emesh_consumer *c, uint64_t wait_ns)
{
    c->probe_ns = MAX(c->probe_ns, emesh_worker_now(sub->owner->lane->worker) + wait_ns);
}

static void
follow(const emesh_sub *sub, emesh_consumer *c, const emesh_slot *slot, uint32_t now_ms)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;
    uint32_t took = now_ms - slot->offered_ms, credit = c->credit != 0 ? c->credit : FIRST_CREDIT;

    if (took > TARDY_MS)
        c->credit = MAX(1u, credit / 2);
    else if (took <= QUICK_MS && c->open_events + 1 >= credit / 2) /* it makes use of it */
        c->credit = MIN(credit * 2, MAX(1u, limits->credit_events));
}

static bool
same_place(emesh_position a, emesh_position b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static uint64_t
longer(uint64_t wait)
{
    return wait == 0 ? PROBE_NS : MIN(wait * 2, PROBE_MAX_NS);
}

/* A failed offer of a member that fails whatever it gets. */
static bool
breaker(emesh_sub *sub, emesh_consumer *c, const emesh_slot *slot)
{
    bool was_open = c->probe_ns != 0;

    if (c->probe_ns > emesh_worker_now(sub->owner->lane->worker))
        return true; /* offered before it was known */
    if (c->failures == 0)
        c->failed = slot->position;
    else
        c->failures_differ |= !same_place(c->failed, slot->position);
    c->failures = (uint8_t)MIN(c->failures + 1u, 255u);
    if (!was_open && (c->failures < FAILURES || !c->failures_differ))
        return false;
    c->probe_wait_ns = longer(c->probe_wait_ns);
    emesh_consumer_pause(sub, c, c->probe_wait_ns);
    return true;
}

bool
emesh_consumer_outcome(emesh_sub *sub, emesh_consumer *c, emesh_slot *slot, bool done)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);
    bool down;

    follow(sub, c, slot, (uint32_t)(now / 1000000u));
    if (done) {
        c->failures = 0;
        c->failures_differ = false;
        c->probe_ns = c->probe_wait_ns = 0;
        if (all_fails(sub))
            sub->n_outcomes = 0;
        sub->outcomes = sub->outcomes << 1 & ((UINT64_C(1) << OUTCOMES) - 1);
        sub->n_outcomes = MIN(sub->n_outcomes + 1, OUTCOMES);
        sub->calm_ns = sub->calm_wait_ns = 0;
        return true;
    }
    slot->avoid = c->number;
    down = breaker(sub, c, slot);
    if (!sub->alone) {
        sub->outcomes = (sub->outcomes << 1 | 1u) & ((UINT64_C(1) << OUTCOMES) - 1);
        sub->n_outcomes = MIN(sub->n_outcomes + 1, OUTCOMES);
    }
    if (all_fails(sub)) {
        sub->calm_wait_ns = longer(sub->calm_wait_ns);
        sub->calm_ns = now + sub->calm_wait_ns;
    }
    return !down;
}
