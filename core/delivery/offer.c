/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom an event is offered to, and how much is read ahead for them.
 */
#include "delivery/sub.h"
#include "event/event.h"

#define LOOK_AT 16u /* members compared for one event; picking stays cheap in large groups */

/* A suspect event goes out alone: only to a member that has nothing else. */
static bool
may_have(const emesh_sub *sub, const emesh_consumer *c, const emesh_slot *slot, uint32_t index)
{
    if ((slot->flags & EMESH_SLOT_SUSPECT) != 0 && c->open_events > 0)
        return false;
    return emesh_slot_fits(sub, slot, index, c);
}

/* The one with the fewest un-acked among those looked at; rather not the one where it failed. */
static bool
better(const emesh_consumer *c, const emesh_consumer *best, const emesh_slot *slot)
{
    bool avoided = c->number == slot->avoid;

    if (best == NULL || avoided != (best->number == slot->avoid))
        return best == NULL || !avoided;
    return c->open_events < best->open_events;
}

/* emptied: gets nothing more, so that a suspect event may have it. */
static emesh_consumer *
pick(emesh_sub *sub, const emesh_slot *slot, uint32_t index, const emesh_consumer *emptied)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);
    emesh_consumer *best = NULL;
    uint32_t n = sub->consumers->len;

    for (uint32_t i = 0; i < n && (best == NULL || i < LOOK_AT); i++) {
        emesh_consumer *c = sub->consumers->pdata[(sub->turn + i) % n];
        if (c->open_events < c->window_events && c != emptied && better(c, best, slot) &&
            may_have(sub, c, slot, index) && emesh_consumer_has_credit(sub, c, now))
            best = c;
    }
    sub->turn = n > 0 ? (sub->turn + 1) % n : 0;
    return best;
}

static emesh_consumer *
by_itself(emesh_sub *sub, emesh_consumer *c, const emesh_slot *slot, uint32_t index)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);

    return may_have(sub, c, slot, index) && emesh_consumer_has_credit(sub, c, now) ? c : NULL;
}

static void
link_open(emesh_sub *sub, emesh_consumer *c, emesh_slot *slot, uint32_t index)
{
    slot->prev = c->open_tail;
    slot->next = 0;
    if (c->open_tail != 0)
        emesh_slot_at(&sub->slots, c->open_tail - 1)->next = index + 1;
    else
        c->open_head = index + 1;
    c->open_tail = index + 1;
    sub->owner->open++;
    c->again_last = emesh_slot_failed_before(slot);
    c->open_again += c->again_last;
    emesh_consumer_charge(c, slot->bytes);
}

void
emesh_consumer_close_offer(emesh_sub *sub, emesh_slot *slot)
{
    emesh_consumer *c = slot->consumer;

    if (slot->prev != 0)
        emesh_slot_at(&sub->slots, slot->prev - 1)->next = slot->next;
    else
        c->open_head = slot->next;
    if (slot->next != 0)
        emesh_slot_at(&sub->slots, slot->next - 1)->prev = slot->prev;
    else
        c->open_tail = slot->prev;
    sub->owner->open--;
    emesh_consumer_uncharge(c, slot->bytes);
    c->open_again -= emesh_slot_failed_before(slot);
    c->sole = false;
    if (sub->ordered)
        emesh_order_closed(sub, slot);
    slot->prev = slot->next = 0;
    slot->consumer = NULL;
}

void
emesh_consumer_return_all(emesh_consumer *c, bool cut)
{
    emesh_sub *sub = c->sub;

    for (bool oldest = true; sub != NULL && c->open_head != 0; oldest = false) {
        uint32_t index = c->open_head - 1;
        emesh_consumer_close_offer(sub, emesh_slot_at(&sub->slots, index));
        if (oldest && cut && !sub->alone) {
            emesh_slot_suspect(sub, index);
            continue;
        }
        sub->returned++;
        emesh_slot_stage(sub, emesh_slot_at(&sub->slots, index), c, EMESH_WHY_RETURNED, 0, NULL);
        emesh_slot_back(sub, index);
    }
    if (sub != NULL)
        emesh_sub_touch(sub);
}

static void
offer_to(emesh_sub *sub, emesh_consumer *c, emesh_slot *slot, uint32_t index)
{
    emesh_window *window = sub->windows->pdata[slot->partition];
    emesh_mail *mail;

    slot->state = EMESH_SLOT_OFFERED;
    window->offered = true;
    slot->consumer = c;
    slot->epoch = ++sub->offers;
    link_open(sub, c, slot, index);
    emesh_offer_deadline(sub, slot, 0);
    slot->offered_ms = (uint32_t)(emesh_worker_now(sub->owner->lane->worker) / 1000000u);
    c->sole = (slot->flags & EMESH_SLOT_SUSPECT) != 0;
    if (sub->ordered)
        emesh_order_offered(sub, index, c);
    sub->delivered++;
    emesh_slot_stage(sub, slot, c, EMESH_WHY_OFFERED, 0, NULL);
    sub->turn_events++;
    sub->turn_bytes -= slot->bytes;
    mail = emesh_mail_to(sub->owner->lane, c->home, emesh_member_offer, c->member);
    mail->event = emesh_event_ref(slot->event);
    mail->id = (uint64_t)c->attach << 52 | (uint64_t)index << 32 | slot->epoch;
    mail->position = slot->position;
    mail->stored_ms = slot->stored_ms;
    mail->from = (void *)(uintptr_t)window->name;
    mail->n = slot->attempt;
    mail->y = (slot->flags & EMESH_RECORD_FOREIGN) != 0 ? EMESH_DELIVERY_FOREIGN : 0;
    if ((slot->flags & EMESH_SLOT_EXPIRES) != 0 && /* each request does */
        emesh_event_attr(slot->event, "correlation99id", 15) != NULL)
        mail->y |= EMESH_DELIVERY_REQUEST;
}

/* The member that will be empty soonest. */
static const emesh_consumer *
to_empty(const emesh_sub *sub)
{
    const emesh_consumer *best = NULL;

    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        const emesh_consumer *c = sub->consumers->pdata[i];
        if (!c->leaving && c->answered && c->window_events > 0 && c->probe_ns == 0 &&
            (best == NULL || c->open_events < best->open_events))
            best = c;
    }
    return best;
}

/* It cannot go out now, and does not hold up what is behind it. False: nobody can ever take it. */
static bool
may_wait(const emesh_sub *sub, const emesh_slot *slot, uint32_t index)
{
    return (slot->flags & EMESH_SLOT_UNFIT) == 0 || sub->consumers->len == 0 ||
           emesh_slot_fits_any(sub, slot, index);
}

/* ---- turns: what one subscription may take of a wake-up, so that the others wait no longer ---- */

#define LOOK_AT_CLOCK 16u /* every so many events */

static void
turn_begin(emesh_sub *sub)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);

    if (sub->turn_ns == now) /* the wake-up's instant: it had its turn, or part of it */
        return;
    sub->turn_ns = now;
    sub->turn_until_us = g_get_monotonic_time() + (int64_t)(limits->turn_ns / 1000u);
    sub->turn_events = 0;
    /* what an event was too large by comes off the next turns */
    sub->turn_bytes = MIN(sub->turn_bytes + (int64_t)limits->turn_bytes,
                          (int64_t)limits->turn_bytes);
}

static bool
turn_over(emesh_sub *sub)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;

    if (sub->turn_events >= limits->turn_events || sub->turn_bytes <= 0)
        return true;
    if (sub->turn_events % LOOK_AT_CLOCK == LOOK_AT_CLOCK - 1 &&
        g_get_monotonic_time() > sub->turn_until_us) {
        sub->turn_events = limits->turn_events;
        return true;
    }
    return false;
}

void
emesh_sub_next_turn(emesh_alarm *alarm)
{
    emesh_sub_touch((emesh_sub *)((char *)alarm - offsetof(emesh_sub, next_turn)));
}

#define PROBE_LOOK 64u /* events of which one may not have failed yet, read for a try */

/* A member that seems to be down is tried with an event that has not failed before, if there is one,
 * and with one that has, by turns: five that fail wherever they go must not stop a group for good, nor
 * must a subscriber that takes each only the second time. In order by key each has its place. */
static bool
no_probe(const emesh_sub *sub, const emesh_slot *slot, const emesh_consumer *c)
{
    return emesh_slot_failed_before(slot) && !sub->ordered && !c->probe_old &&
           emesh_consumer_probes(sub, c);
}

/* What failed and is tried again has the half of a member at most, or each second place where that is
 * one, as long as there is something new: events that fail wherever they go, each for the whole of its
 * deadline, must not be all that a member gets. In order by key each has its place. */
static bool
no_share(const emesh_sub *sub, const emesh_slot *slot, const emesh_consumer *c)
{
    uint32_t credit;

    if (!emesh_slot_failed_before(slot) || sub->ordered || emesh_slots_fresh(&sub->slots) == 0 ||
        (slot->flags & (EMESH_SLOT_SUSPECT | EMESH_SLOT_UNFIT)) != 0)
        return false;
    credit = emesh_consumer_credit(c);
    return credit > 1 ? c->open_again >= credit / 2 : c->again_last;
}

/* There is nothing but what failed: whether the member is down cannot be seen, so the try counts. */
static void
offer_lone(emesh_sub *sub, emesh_consumer *c, emesh_slot *slot, uint32_t index)
{
    offer_to(sub, c, slot, index);
    if (emesh_consumer_probes(sub, c))
        c->lone_epoch = slot->epoch;
}

/* None was found: the oldest that failed must do. True: it is offered. */
static bool
probe_all_the_same(emesh_sub *sub, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_consumer *c = pick(sub, slot, index, NULL);

    if (c != NULL)
        offer_lone(sub, c, slot, index);
    return c != NULL;
}

static void
put_aside(GArray **aside, uint32_t index)
{
    if (*aside == NULL)
        *aside = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_array_append_val(*aside, index);
}

/* In order, while somebody has credit and the turn lasts. What only some protocols can carry does not
 * hold up what is behind it. */
void
emesh_sub_offer(emesh_sub *sub)
{
    g_autoptr(GArray) aside = NULL, failed = NULL, later = NULL;
    const emesh_consumer *emptied = NULL;

    turn_begin(sub);
    while (sub->slots.ready > 0) {
        uint32_t index = emesh_slots_pop_ready(&sub->slots) - 1;
        emesh_slot *slot = emesh_slot_at(&sub->slots, index);
        bool suspect = (slot->flags & EMESH_SLOT_SUSPECT) != 0;
        emesh_consumer *c, *only = NULL;

        const emesh_window *window = sub->windows->pdata[slot->partition];
        if (window->revoking && window->offered)
            continue; /* it is forgotten as soon as what is open is acknowledged */
        if (turn_over(sub)) {
            emesh_slots_unpop(&sub->slots, index);
            emesh_worker_alarm(sub->owner->lane->worker, &sub->next_turn, sub->turn_ns);
            break;
        }
        if (emesh_slot_expired(sub, index) || emesh_slot_foreign(sub, index))
            continue;
        if (sub->ordered && emesh_order_may(sub, index, &only) == EMESH_ORDER_HELD)
            continue;
        if (only != NULL)
            c = by_itself(sub, only, slot, index);
        else
            c = pick(sub, slot, index, suspect ? NULL : emptied);
        if (c != NULL && no_probe(sub, slot, c)) {
            put_aside(&failed, index);
        } else if (c != NULL && no_share(sub, slot, c)) {
            put_aside(&later, index);
        } else if (c != NULL && sub->ordered && sub->slots.ready == 0 && emesh_slot_failed_before(slot)) {
            offer_lone(sub, c, slot, index);
        } else if (c != NULL) {
            offer_to(sub, c, slot, index);
        } else if (only != NULL) {
            emesh_order_hold(sub, index); /* the key goes on when its member acknowledges */
        } else if ((slot->flags & (EMESH_SLOT_UNFIT | EMESH_SLOT_SUSPECT)) == 0) {
            emesh_slots_unpop(&sub->slots, index);
            break;
        } else if (may_wait(sub, slot, index)) {
            put_aside(&aside, index);
            if (suspect && emptied == NULL)
                emptied = to_empty(sub);
        } else {
            emesh_slot_failed(sub, index, EMESH_CAUSE_UNFIT, NULL, 0);
        }
    }
    for (uint32_t i = 0; failed != NULL && i < failed->len; i++) {
        uint32_t index = g_array_index(failed, uint32_t, i);
        if ((i > 0 || !probe_all_the_same(sub, index)) && !emesh_slot_makes_room(sub, index))
            emesh_slots_return(&sub->slots, index);
    }
    for (uint32_t i = 0; aside != NULL && i < aside->len; i++)
        emesh_slots_return(&sub->slots, g_array_index(aside, uint32_t, i));
    for (uint32_t i = 0; later != NULL && i < later->len; i++)
        if (!emesh_slot_makes_room(sub, g_array_index(later, uint32_t, i)))
            emesh_slots_return(&sub->slots, g_array_index(later, uint32_t, i));
}

/* ---- how much is read ahead ---- */

#define GUARANTEED 64u            /* slots of each subscription, however many all others have */
#define GUARANTEED_BYTES 65536u
#define FRESH_AHEAD 8u            /* read at least, while some fail */
#define BITE 256u                 /* most records asked for at once: reading is part of the turn */

/* What this subscription has in memory, in the daemon's sum. */
void
emesh_sub_count(emesh_sub *sub)
{
    emesh_bus *bus = sub->owner->lane->bus;

    if (sub->slots.used != sub->counted) {
        __atomic_add_fetch(&bus->window_slots, (uint64_t)sub->slots.used - sub->counted,
                           __ATOMIC_RELAXED);
        sub->counted = sub->slots.used;
    }
    if (sub->slots.bytes != sub->counted_bytes) {
        __atomic_add_fetch(&bus->window_bytes, sub->slots.bytes - sub->counted_bytes,
                           __ATOMIC_RELAXED);
        sub->counted_bytes = sub->slots.bytes;
    }
}

static uint64_t
left(uint64_t most, uint64_t have, uint64_t least, uint64_t mine)
{
    uint64_t spare = most > have ? most - have : 0;

    return MAX(spare, least > mine ? least - mine : 0);
}

static uint32_t
takes(emesh_sub *sub, uint32_t max)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker), credit = 0;

    for (uint32_t i = 0; i < sub->consumers->len && credit < max; i++) {
        emesh_consumer *c = sub->consumers->pdata[i];
        if (emesh_consumer_has_credit(sub, c, now))
            credit += emesh_consumer_room(c);
    }
    return (uint32_t)MIN(credit + credit / 2, max);
}

/* Somebody who seems to be down needs something new to be tried with. */
static bool
probing(const emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        const emesh_consumer *c = sub->consumers->pdata[i];
        if (c->answered && !c->leaving && c->window_events > 0 && emesh_consumer_probes(sub, c))
            return true;
    }
    return false;
}

/* Asks the store for what the members could take now and half as much again, within the window and
 * the daemon's sum of all windows. What was asked for and has not come is remembered as records and
 * as bytes; the bytes are what so many records of the size of the last ones have, and twice that, as
 * what is asked for is not counted in the sum before it comes. */
void
emesh_sub_want(emesh_sub *sub)
{
    const emesh_bus *bus = sub->owner->lane->bus;
    const emesh_daemon_options *limits = &bus->limits;
    uint32_t max = MIN(limits->window_events, 1u << EMESH_SLOT_BITS), credit;
    uint64_t slots = __atomic_load_n(&bus->window_slots, __ATOMIC_RELAXED);
    uint64_t total = __atomic_load_n(&bus->window_bytes, __ATOMIC_RELAXED);
    int64_t have = (int64_t)sub->slots.ready + sub->asked, records, bytes;

    credit = takes(sub, max);
    if (credit < PROBE_LOOK && !sub->ordered && probing(sub)) {
        credit = MIN(PROBE_LOOK, max);
        have -= sub->slots.again; /* they are no try */
    } else if (!sub->ordered && sub->slots.again + sub->waiting->len > 0) {
        if (sub->consumers->len > 0) /* for the other half of a place that is free then */
            credit = MAX(credit, MIN(FRESH_AHEAD, max));
        have -= sub->slots.again - MIN(sub->slots.again, credit / 2);
    }
    if (sub->slots.bytes >= limits->window_bytes || credit == 0)
        return;
    records = MIN((int64_t)credit - have, (int64_t)max - sub->slots.used - sub->asked);
    records = MIN(records, (int64_t)left(limits->total_window_events, slots, GUARANTEED,
                                         sub->slots.used + sub->asked));
    records = MIN(records, (int64_t)BITE);
    if (records < 0 || (records < MIN((int64_t)credit / 4, (int64_t)BITE / 4) && have > 0))
        records = 0; /* a bigger bite soon is cheaper than many small ones */
    if (records == 0 && (sub->asked == 0 || sub->asked_bytes > 0))
        return;
    bytes = MAX((int64_t)GUARANTEED_BYTES, (records + sub->asked) * 2 * (int64_t)sub->mean_bytes);
    bytes = MIN(bytes, (int64_t)(limits->window_bytes - sub->slots.bytes));
    bytes = MIN(bytes, (int64_t)left(limits->total_window_bytes, total, GUARANTEED_BYTES,
                                     sub->slots.bytes));
    if (bytes <= 0) /* of records without bytes the store would bring one */
        return;
    bytes = MAX(bytes - sub->asked_bytes, 0);
    sub->asked += (uint32_t)records;
    sub->asked_bytes += bytes;
    sub->store->inst->storage.want(sub->cursor, (uint32_t)records, (uint64_t)bytes);
}
