/* SPDX-License-Identifier: Apache-2.0
 *
 * The inbox of a group in a store without INBOX: an ordinary topic beside those the group reads. One
 * reader of it for the whole group; each record goes to the subscription of the topic it came from,
 * whose members see that topic. What nobody here subscribes to waits, and makes room by going round
 * the ladder once more. [owner's lane]
 */
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define AGAIN_NS (5 * UINT64_C(1000000000))
#define ROUND_MS 60000u /* what takes the room of others comes again after that */

struct emesh_seat { /* of a subscription at its group's inbox */
    emesh_topic_waiter waiter;
    emesh_alarm again;
    emesh_sub *sub;   /* NULL: it has left, and the topic is still awaited */
    emesh_sub *inbox; /* NULL: not there yet */
    bool awaited, told;
};

/* ---- records to those they are for ---- */

static void
go_round(emesh_sub *inbox, uint32_t index, emesh_rung *rung, uint64_t now)
{
    rung->due_ms = now + ROUND_MS;
    emesh_slot_move(inbox, index, rung, now);
}

/* True when it is settled: the caller's walk goes on behind it. */
static void
hand_on(emesh_sub *inbox, uint32_t index, bool crowded, uint64_t now, GArray *over)
{
    emesh_slot *slot = emesh_slot_at(&inbox->slots, index);
    g_auto(emesh_rung) rung = { 0 };
    emesh_sub *to;

    if (!emesh_rung_read(slot->event, &rung)) {
        emesh_bus_warn(inbox->owner->lane->bus, "delivery",
                       "a record in the inbox \"%s\" was not written by a daemon; it is skipped",
                       inbox->topic->name);
        g_array_append_val(over, index);
        return;
    }
    if ((rung.copy.hi | rung.copy.lo) != 0 && emesh_tomb_take(inbox->owner, rung.copy)) {
        g_array_append_val(over, index);
        return;
    }
    to = emesh_sub_find(inbox->owner, rung.topic, inbox->group);
    if (to != NULL && (to->state == EMESH_SUB_OPEN || to->state == EMESH_SUB_OPENING) &&
        to->cursor != NULL && to->seat != NULL && to->seat->inbox == inbox)
        emesh_loan_new(inbox, index, to, &rung);
    else if (crowded)
        go_round(inbox, index, &rung, now);
}

static void
turn(emesh_sub *inbox)
{
    const emesh_daemon_options *limits = &inbox->owner->lane->bus->limits;
    uint64_t now = (uint64_t)g_get_real_time() / 1000u;
    g_autoptr(GArray) over = NULL;
    bool crowded = inbox->slots.used / 3 >= limits->window_events / 4 ||
                   inbox->slots.bytes / 3 >= limits->window_bytes / 4;

    if (inbox->slots.ready == 0 && !inbox->look)
        return;
    inbox->look = false;
    while (emesh_slots_pop_ready(&inbox->slots) != 0)
        ; /* found again in the order of their windows */
    over = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (uint32_t i = 0; i < inbox->windows->len; i++) {
        const emesh_window *window = inbox->windows->pdata[i];
        for (uint32_t k = 0; k < window->order.n && !window->revoking; k++) {
            uint32_t at = window->order.at[(window->order.head + k) & (window->order.room - 1)];
            if (emesh_slot_at(&inbox->slots, at)->state == EMESH_SLOT_READY)
                hand_on(inbox, at, crowded, now, over);
        }
    }
    for (uint32_t i = 0; i < over->len; i++)
        emesh_slot_done(inbox, g_array_index(over, uint32_t, i), false);
}

static void
drop(emesh_sub *inbox, uint32_t index)
{
    if (emesh_slot_at(&inbox->slots, index)->state == EMESH_SLOT_LENT)
        emesh_loan_recall(inbox, index);
}

static const emesh_sub_role role = { .turn = turn, .drop = drop };

/* ---- seats ---- */

static void
ready(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
      const char *why)
{
    emesh_seat *seat = (emesh_seat *)((char *)waiter - offsetof(emesh_seat, waiter));
    emesh_sub *sub = seat->sub;

    (void)code;
    seat->awaited = false;
    if (sub == NULL) {
        g_free(seat);
        return;
    }
    if (topic != NULL && topic->store == sub->store) {
        seat->inbox = emesh_sub_own(sub->owner, topic, sub->group, &role);
        seat->inbox->look = true;
        return;
    }
    if (!seat->told)
        emesh_bus_warn(lane->bus, "delivery",
                       "inbox-blocked: group \"%s\" cannot read its inbox in store \"%s\": %s; it is "
                       "tried again",
                       sub->group, sub->store->inst->name,
                       topic != NULL ? "its topic lies in another store"
                       : why != NULL ? why
                                     : "the store did not say why");
    seat->told = true;
    emesh_worker_alarm(lane->worker, &seat->again, emesh_worker_now(lane->worker) + AGAIN_NS);
}

static void
ask(emesh_alarm *alarm)
{
    emesh_seat *seat = (emesh_seat *)((char *)alarm - offsetof(emesh_seat, again));
    emesh_sub *sub = seat->sub;
    emesh_bus_lane *lane = sub->owner->lane;
    g_autofree char *name = emesh_inbox_topic(sub->store, sub->group);
    emesh_bus_topic *there = emesh_topic_find(lane, name, strlen(name));

    if (there != NULL) {
        ready(&seat->waiter, lane, there, EMESH_OK, NULL);
        return;
    }
    seat->awaited = true;
    seat->waiter.ready = ready;
    emesh_topic_await_in(lane, name, strlen(name), sub->store->inst->name, &seat->waiter);
}

void
emesh_inbox_enter(emesh_sub *sub)
{
    if (sub->seat != NULL || sub->alone || sub->role != NULL || !emesh_sub_ladders(sub) ||
        emesh_store_can(sub->store, EMESH_STORE_CAN_INBOX))
        return;
    sub->seat = g_new0(emesh_seat, 1);
    sub->seat->sub = sub;
    sub->seat->again.due = ask;
    ask(&sub->seat->again);
}

void
emesh_inbox_leave(emesh_sub *sub)
{
    emesh_seat *seat = g_steal_pointer(&sub->seat);

    emesh_loans_end(sub);
    if (seat == NULL)
        return;
    emesh_worker_alarm(sub->owner->lane->worker, &seat->again, 0);
    if (seat->inbox != NULL) {
        seat->inbox->users--;
        emesh_sub_touch(seat->inbox);
    }
    seat->sub = NULL;
    if (!seat->awaited)
        g_free(seat);
}

void
emesh_inbox_gone(emesh_sub *inbox)
{
    emesh_worker *worker = inbox->owner->lane->worker;
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, inbox->owner->subs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        emesh_seat *seat = ((emesh_sub *)value)->seat;
        if (seat == NULL || seat->inbox != inbox)
            continue;
        seat->inbox = NULL;
        emesh_worker_alarm(worker, &seat->again, emesh_worker_now(worker) + AGAIN_NS);
    }
}
