/* SPDX-License-Identifier: Apache-2.0
 *
 * What keeps the floor of a nearly full window down goes on from the group's inbox. Custody: of an
 * event that a member holds for long a copy is written, due when the offer's deadline is over, and the
 * event leaves the window. The offer stays open; its ack deletes the copy. One that has failed and
 * waits for its next try is parked, however short the wait. [owner's lane]
 */
#include "delivery/sub.h"

#include <string.h>

#define HELD_MS 10000u
#define GRACE_NS UINT64_C(1000000000) /* the copy comes after the deadline, not before */
#define AGAIN_NS UINT64_C(1000000000)
#define LOOK_AT 512u /* slots from the floor on */

static emesh_window *
inbox_of(const emesh_sub *sub, uint16_t *place)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        if (window->number != UINT32_MAX && window->epoch != 0 && !window->revoking &&
            strcmp(window->name, "inbox") == 0) {
            *place = (uint16_t)i;
            return window;
        }
    }
    return NULL;
}

static bool
nearly_full(const emesh_sub *sub, const emesh_window *window)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;

    return window->order.n / 3 >= limits->window_events / 4 ||
           sub->slots.bytes / 3 >= limits->window_bytes / 4;
}

static void
look_at(emesh_sub *sub, emesh_window *window)
{
    emesh_worker *worker = sub->owner->lane->worker;
    uint64_t now = emesh_worker_now(worker), wait;
    uint32_t index = emesh_queue_peek(&window->order), held;
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    if (slot->state != EMESH_SLOT_OFFERED || (slot->flags & EMESH_SLOT_KEEPING) != 0 ||
        !emesh_slot_can_park(sub, slot))
        return;
    held = (uint32_t)(now / 1000000u) - slot->offered_ms;
    if (held >= HELD_MS && now >= sub->custody_ns) {
        wait = slot->due_ns > now ? MIN(slot->due_ns - now, 30u * 86400u * GRACE_NS) : 0;
        emesh_slot_keep(sub, index, wait + GRACE_NS);
        return;
    }
    wait = held < HELD_MS ? (HELD_MS - held) * UINT64_C(1000000) : sub->custody_ns - now;
    if (sub->probe.place == 0 || now + wait < sub->probe.at_ns)
        emesh_worker_alarm(worker, &sub->probe, now + wait);
}

/* Can its events go to an inbox? place: of the inbox among its windows, if it is there. */
static bool
has_inbox(const emesh_sub *sub, uint16_t *place)
{
    *place = UINT16_MAX;
    if (sub->alone || sub->ordered || sub->role != NULL)
        return false;
    if (emesh_sub_ladders(sub)) /* it is no window of this subscription */
        return true;
    return !sub->keeps && emesh_store_can(sub->store, EMESH_STORE_CAN_INBOX) &&
           emesh_store_can(sub->store, EMESH_STORE_CAN_DELAY) && inbox_of(sub, place) != NULL;
}

/* Its next try has a number already: what goes with it counts those that were. */
static void
park_failed(emesh_sub *sub, uint32_t index, uint64_t wait_ns)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    slot->attempt = MAX(1u, slot->attempt - 1);
    emesh_slot_park(sub, index, wait_ns);
}

/* A suspect one stays: the inbox does not tell how often it was. */
static bool
may_park(const emesh_sub *sub, const emesh_slot *slot)
{
    return slot->attempt > 1 && (slot->flags & (EMESH_SLOT_SUSPECT | EMESH_SLOT_LOOSE)) == 0 &&
           emesh_slot_can_park(sub, slot);
}

/* A few that fail must not hold up all that is behind them. */
static void
park_waiting(emesh_sub *sub, const emesh_window *window)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);

    for (uint32_t k = 0; k < MIN(window->order.n, LOOK_AT); k++) {
        uint32_t index = window->order.at[(window->order.head + k) & (window->order.room - 1)];
        const emesh_slot *slot = emesh_slot_at(&sub->slots, index);
        if (slot->state == EMESH_SLOT_WAITING && may_park(sub, slot)) {
            uint64_t due = slot->due_ns;
            emesh_sub_wait_no_more(sub, index);
            park_failed(sub, index, due > now ? due - now : 0);
        } else if (slot->state != EMESH_SLOT_SETTLED && slot->state != EMESH_SLOT_PARKING &&
                   slot->state != EMESH_SLOT_BURYING) {
            return;
        }
    }
}

bool
emesh_slot_makes_room(emesh_sub *sub, uint32_t index)
{
    const emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    uint16_t place;

    if (!may_park(sub, slot) || !nearly_full(sub, sub->windows->pdata[slot->partition]) ||
        !has_inbox(sub, &place) || slot->partition == place)
        return false;
    park_failed(sub, index, 0);
    return true;
}

void
emesh_sub_custody(emesh_sub *sub)
{
    uint16_t place;

    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        if (window->order.n == 0 || window->revoking || !nearly_full(sub, window))
            continue;
        if (!has_inbox(sub, &place))
            return;
        if (i == place)
            continue;
        park_waiting(sub, window);
        look_at(sub, window);
    }
}

/* Is it still the slot whose copy was written? */
static bool
still(const emesh_slot *slot, emesh_position origin)
{
    return slot->state != EMESH_SLOT_FREE && slot->state != EMESH_SLOT_SETTLED &&
           (slot->flags & EMESH_SLOT_KEEPING) != 0 && slot->position.hi == origin.hi &&
           slot->position.lo == origin.lo;
}

/* The same on a ladder: the copy has a number, and no place that could be settled. */
static void
taken_by_number(emesh_sub *sub, uint32_t index, emesh_position origin, emesh_position copy)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    uint16_t place = 0;

    if (still(slot, origin)) {
        char *first = emesh_slot_origin(sub, index);
        emesh_loan_window(sub, &place);
        sub->custody++;
        emesh_slots_take_out(&sub->slots, sub->windows->pdata[slot->partition], copy, place);
        emesh_loan_copy(sub, index, first);
    } else { /* acknowledged meanwhile: nobody needs the copy */
        emesh_tomb_add(sub->owner, copy);
    }
}

void
emesh_custody_taken(emesh_sub *sub, uint32_t index, emesh_position origin, emesh_position copy)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    uint16_t place = 0;
    emesh_window *inbox;

    if (emesh_sub_ladders(sub)) {
        taken_by_number(sub, index, origin, copy);
        return;
    }
    inbox = inbox_of(sub, &place);

    if (still(slot, origin) && inbox != NULL) {
        sub->custody++;
        if (sub->custody_ns != 0)
            emesh_sub_finding(sub, "custody-blocked", NULL);
        sub->custody_ns = 0;
        emesh_slot_note(sub, slot, slot->consumer, EMESH_WHY_CUSTODY, 0, NULL);
        emesh_slots_take_out(&sub->slots, sub->windows->pdata[slot->partition], copy, place);
    } else if (still(slot, origin)) { /* the inbox is another's now: the copy comes there */
        slot->flags = (uint8_t)(slot->flags & ~EMESH_SLOT_KEEPING);
    } else if (inbox != NULL) { /* acknowledged meanwhile: nobody needs the copy */
        emesh_commit one = { .position = copy,
                             .partition = inbox->number,
                             .epoch = inbox->epoch,
                             .outcome = EMESH_COMMIT_ONE };
        g_array_append_val(sub->commits, one);
    }
}

void
emesh_custody_failed(emesh_sub *sub, uint32_t index, emesh_position origin, const char *why)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    if (sub->custody_ns == 0)
        emesh_sub_note(sub, NULL, EMESH_WHY_INBOX_BLOCKED, AGAIN_NS / 1000000u, why);
    if (sub->custody_ns == 0)
        emesh_sub_finding(sub, "custody-blocked",
                          "what its members hold cannot be written to its inbox: %s; the group "
                          "stops at its window",
                          why != NULL ? why : "the store did not say why");
    sub->custody_ns = emesh_worker_now(sub->owner->lane->worker) + AGAIN_NS;
    if (still(slot, origin))
        slot->flags = (uint8_t)(slot->flags & ~EMESH_SLOT_KEEPING);
}

/* What the member had is its no more, and nothing is settled: the copy comes when it is due. */
void
emesh_custody_over(emesh_sub *sub, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    if (emesh_loan_is(sub, slot))
        emesh_loan_end(sub, index, false);
    else
        emesh_slots_settle(&sub->slots, sub->windows->pdata[slot->partition], index);
}

void
emesh_slot_back(emesh_sub *sub, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    if ((slot->flags & EMESH_SLOT_CUSTODY) == 0)
        emesh_slots_return(&sub->slots, index);
    else if (sub->state == EMESH_SUB_CLOSING) /* nothing more is written; its copy comes when due */
        emesh_custody_over(sub, index);
    else /* the copy that is due later gives way to one that is due now */
        emesh_slot_park(sub, index, 0);
}
