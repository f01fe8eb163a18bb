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

emesh_credit *
emesh_credit_new(uint32_t most)
{
    emesh_credit *credit = g_new0(emesh_credit, 1);

    credit->refs = 1;
    credit->events = MAX(1u, MIN(FIRST_CREDIT, most));
    return credit;
}

emesh_credit *
emesh_credit_ref(emesh_credit *credit)
{
    __atomic_add_fetch(&credit->refs, 1, __ATOMIC_RELAXED);
    return credit;
}

void
emesh_credit_unref(emesh_credit *credit)
{
    if (credit != NULL && __atomic_sub_fetch(&credit->refs, 1, __ATOMIC_ACQ_REL) == 0)
        g_free(credit);
}

void
emesh_consumer_charge(emesh_consumer *c, uint32_t bytes)
{
    c->open_events++;
    c->open_bytes += bytes;
    __atomic_add_fetch(&c->credit->open, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&c->credit->bytes, bytes, __ATOMIC_RELAXED);
}

void
emesh_consumer_uncharge(emesh_consumer *c, uint32_t bytes)
{
    c->open_events--;
    c->open_bytes -= bytes;
    __atomic_sub_fetch(&c->credit->open, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&c->credit->bytes, bytes, __ATOMIC_RELAXED);
}

/* One subscription of a session must not starve beside another that takes all: an equal part is its
 * own whatever the others have, so what is over goes by who has acknowledged. For the while that a
 * subscription begins beside others the session may have more than its credit, twice at most. */
static inline uint32_t
room_of(const emesh_consumer *c)
{
    uint32_t credit = __atomic_load_n(&c->credit->events, __ATOMIC_RELAXED);
    uint32_t most = MIN(credit, c->window_events), members, open, room;

    if (c->open_events >= most) /* its part is no larger */
        return 0;
    members = __atomic_load_n(&c->credit->members, __ATOMIC_RELAXED);
    if (members <= 1)
        return most - c->open_events;
    open = __atomic_load_n(&c->credit->open, __ATOMIC_RELAXED);
    room = MAX(MAX(1u, credit / members), c->open_events) - c->open_events;
    room = MAX(room, MAX(credit, open) - open);
    return MIN(room, most - c->open_events);
}

uint32_t
emesh_consumer_credit(const emesh_consumer *c)
{
    return MIN(__atomic_load_n(&c->credit->events, __ATOMIC_RELAXED), c->window_events);
}

uint32_t
emesh_consumer_room(const emesh_consumer *c)
{
    return room_of(c);
}

/* One event is let through, however large. */
static inline bool
has_room(const emesh_sub *sub, const emesh_consumer *c)
{
    if (c->open_events == 0)
        return c->window_events > 0;
    return room_of(c) > 0 && c->open_bytes < c->window_bytes &&
           __atomic_load_n(&c->credit->bytes, __ATOMIC_RELAXED) <
               sub->owner->lane->bus->limits.credit_bytes;
}

static bool
all_fails(const emesh_sub *sub)
{
    return sub->n_outcomes == OUTCOMES && sub->outcomes != 0 && /* counting costs more than all else */
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
    uint64_t until = MAX(c->probe_ns, sub->calm_ns);

    if (c->leaving || !c->answered || c->sole || !has_room(sub, c))
        return false;
    if (until > now) {
        wake_at(sub, until);
        return false;
    }
    if (c->open_head == 0)
        return true;
    if (emesh_consumer_probes(sub, c))
        return false;
    return (uint32_t)(now / 1000000u) - emesh_slot_at(&sub->slots, c->open_head - 1)->offered_ms <=
           HOLDER_MS;
}

/* It gets one event at a time, so that it can be seen whether it is up again. */
bool
emesh_consumer_probes(const emesh_sub *sub, const emesh_consumer *c)
{
    return c->probe_ns != 0 || all_fails(sub);
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
    uint32_t took = now_ms - slot->offered_ms;
    uint32_t credit = __atomic_load_n(&c->credit->events, __ATOMIC_RELAXED), now = credit;

    if (took > TARDY_MS)
        now = MAX(1u, credit / 2);
    else if (took <= QUICK_MS && /* and it makes use of it */
             __atomic_load_n(&c->credit->open, __ATOMIC_RELAXED) + 1 >= credit / 2)
        now = MIN(credit * 2, MAX(1u, limits->credit_events));
    if (now != credit) /* of two lanes that do so at once one is overlooked: no harm */
        __atomic_store_n(&c->credit->events, now, __ATOMIC_RELAXED);
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

void
emesh_consumer_down(emesh_sub *sub, emesh_consumer *c, const emesh_slot *slot, uint64_t wait_ns,
                    const char *words)
{
    bool was_open = c->probe_ns != 0;

    if (wait_ns == 0 && c->probe_ns > emesh_worker_now(sub->owner->lane->worker))
        return; /* offered before it was known */
    if (wait_ns == 0)
        wait_ns = c->probe_wait_ns = longer(c->probe_wait_ns);
    emesh_consumer_pause(sub, c, wait_ns);
    if (!was_open)
        emesh_slot_note(sub, slot, c, EMESH_WHY_MEMBER_DOWN, wait_ns / 1000000u, words);
}

/* Since this event failed the last time, the member has taken others: that it fails again says
 * nothing of the member. Some that fail for ever, and come again and again, would else look like a
 * member that is down. */
static bool
took_others(const emesh_sub *sub, const emesh_consumer *c, const emesh_slot *slot)
{
    uint32_t failed_ms = slot->offered_ms - (uint32_t)(emesh_slot_waited(sub, slot) / 1000000u);

    return slot->attempt > 1 && c->has_done && (int32_t)(c->done_ms - failed_ms) > 0;
}

/* A failed offer of a member that fails whatever it gets. */
static bool
breaker(emesh_sub *sub, emesh_consumer *c, const emesh_slot *slot)
{
    bool was_open = c->probe_ns != 0;

    if (c->has_done && (int32_t)(c->done_epoch - slot->epoch) > 0)
        return false; /* it has acknowledged what it got later */
    if (c->probe_ns > emesh_worker_now(sub->owner->lane->worker))
        return true; /* offered before it was known */
    if (c->failures == 0)
        c->failed = slot->position;
    else
        c->failures_differ |= !same_place(c->failed, slot->position);
    c->failures = (uint8_t)MIN(c->failures + 1u, 255u);
    if (!was_open && (c->failures < FAILURES || !c->failures_differ))
        return false;
    emesh_consumer_down(sub, c, slot, 0, "it fails whatever it gets");
    return true;
}

bool
emesh_consumer_outcome(emesh_sub *sub, emesh_consumer *c, emesh_slot *slot, bool done)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);
    bool down, lone;

    follow(sub, c, slot, (uint32_t)(now / 1000000u));
    if (done) {
        if (!c->has_done || (int32_t)(slot->epoch - c->done_epoch) > 0)
            c->done_epoch = slot->epoch;
        c->has_done = true;
        c->done_ms = (uint32_t)(now / 1000000u);
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
    if (took_others(sub, c, slot))
        return true;
    lone = c->lone_epoch != 0 && c->lone_epoch == slot->epoch;
    down = breaker(sub, c, slot);
    if (!sub->alone) {
        sub->outcomes = (sub->outcomes << 1 | 1u) & ((UINT64_C(1) << OUTCOMES) - 1);
        sub->n_outcomes = MIN(sub->n_outcomes + 1, OUTCOMES);
    }
    if (all_fails(sub) && sub->calm_ns <= now) { /* not by what was offered before it was known */
        sub->calm_wait_ns = longer(sub->calm_wait_ns);
        sub->calm_ns = now + sub->calm_wait_ns;
    }
    if (lone) { /* nothing shows that it is the member's fault: the event's own waits go on */
        c->lone_epoch = 0;
        c->probe_wait_ns = PROBE_NS;
        c->probe_ns = now + PROBE_NS;
        sub->calm_wait_ns = 0;
        sub->calm_ns = 0;
    } else if (emesh_consumer_probes(sub, c)) {
        c->probe_old = !c->probe_old;
    }
    return lone || !down;
}
