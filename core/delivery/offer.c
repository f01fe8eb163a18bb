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
        if (c != emptied && better(c, best, slot) && may_have(sub, c, slot, index) &&
            emesh_consumer_has_credit(sub, c, now))
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
    c->open_events++;
    sub->owner->open++;
    c->open_bytes += slot->bytes;
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
    c->open_events--;
    sub->owner->open--;
    c->open_bytes -= slot->bytes;
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
    mail = emesh_mail_to(sub->owner->lane, c->home, emesh_member_offer, c->member);
    mail->event = emesh_event_ref(slot->event);
    mail->id = (uint64_t)c->attach << 52 | (uint64_t)index << 32 | slot->epoch;
    mail->position = slot->position;
    mail->stored_ms = slot->stored_ms;
    mail->from = (void *)(uintptr_t)window->name;
    mail->n = slot->attempt;
    mail->y = (slot->flags & EMESH_RECORD_FOREIGN) != 0 ? EMESH_DELIVERY_FOREIGN : 0;
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

/* In order, while somebody has credit. What only some protocols can carry does not hold up what is
 * behind it. */
void
emesh_sub_offer(emesh_sub *sub)
{
    g_autoptr(GArray) aside = NULL;
    const emesh_consumer *emptied = NULL;

    while (sub->slots.ready > 0) {
        uint32_t index = emesh_slots_pop_ready(&sub->slots) - 1;
        emesh_slot *slot = emesh_slot_at(&sub->slots, index);
        bool suspect = (slot->flags & EMESH_SLOT_SUSPECT) != 0;
        emesh_consumer *c, *only = NULL;

        if (emesh_slot_expired(sub, index))
            continue;
        if (sub->ordered && emesh_order_may(sub, index, &only) == EMESH_ORDER_HELD)
            continue;
        if (only != NULL)
            c = by_itself(sub, only, slot, index);
        else
            c = pick(sub, slot, index, suspect ? NULL : emptied);
        if (c != NULL) {
            offer_to(sub, c, slot, index);
        } else if (only != NULL) {
            emesh_order_hold(sub, index); /* the key goes on when its member acknowledges */
        } else if ((slot->flags & (EMESH_SLOT_UNFIT | EMESH_SLOT_SUSPECT)) == 0) {
            emesh_slots_unpop(&sub->slots, index);
            break;
        } else if (may_wait(sub, slot, index)) {
            if (aside == NULL)
                aside = g_array_new(FALSE, FALSE, sizeof(uint32_t));
            g_array_append_val(aside, index);
            if (suspect && emptied == NULL)
                emptied = to_empty(sub);
        } else {
            emesh_slot_failed(sub, index, EMESH_CAUSE_UNFIT, NULL, 0);
        }
    }
    for (uint32_t i = 0; aside != NULL && i < aside->len; i++)
        emesh_slots_return(&sub->slots, g_array_index(aside, uint32_t, i));
}

/* Asks the store for what the members could take now and half as much again, within the window. What
 * was asked for and has not come is remembered as records and as bytes: of large events the bytes run
 * out long before the records do. */
void
emesh_sub_want(emesh_sub *sub)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;
    uint32_t max = MIN(limits->window_events, 1u << EMESH_SLOT_BITS);
    uint64_t credit = 0, now = emesh_worker_now(sub->owner->lane->worker);
    int64_t have, records, bytes;

    for (uint32_t i = 0; i < sub->consumers->len && credit < max; i++) {
        emesh_consumer *c = sub->consumers->pdata[i];
        if (emesh_consumer_has_credit(sub, c, now))
            credit += MAX(emesh_consumer_credit(sub, c), c->open_events) - c->open_events;
    }
    if (credit == 0 || sub->slots.bytes >= limits->window_bytes)
        return;
    credit = MIN(credit + credit / 2, max);
    have = (int64_t)sub->slots.ready + sub->asked;
    records = MIN((int64_t)credit - have, (int64_t)max - sub->slots.used - sub->asked);
    if (records < 0 || (records < (int64_t)credit / 4 && have > 0))
        records = 0; /* a bigger bite soon is cheaper than many small ones */
    bytes = (int64_t)limits->window_bytes - (int64_t)sub->slots.bytes - sub->asked_bytes;
    if (bytes < 0)
        bytes = 0;
    if (records == 0 && (sub->asked == 0 || bytes == 0 ||
                         (sub->asked_bytes > 0 && bytes < (int64_t)limits->window_bytes / 4)))
        return;
    sub->asked += (uint32_t)records;
    sub->asked_bytes += bytes;
    sub->store->inst->storage.want(sub->cursor, (uint32_t)records, (uint64_t)bytes);
}
