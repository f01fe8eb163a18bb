/* SPDX-License-Identifier: Apache-2.0
 *
 * The partitions a reader has: begun when they come, given back once what is open of them is settled
 * or its time is over, forgotten with all their slots. [owner's lane]
 */
#include "delivery/sub.h"

/* A partition that appeared while others were read already begins at its first event. */
void
emesh_sub_begin_windows(emesh_sub *sub)
{
    bool reading = sub->state == EMESH_SUB_OPEN;

    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        emesh_start start = sub->start;

        if (window->epoch != 0 || window->revoking || window->number == UINT32_MAX)
            continue;
        window->epoch = ++sub->epochs;
        window->offered = false;
        start.size = sizeof start;
        if (sub->keeps && emesh_positions_load(sub, window, &start))
            start.size = sizeof start;
        else if ((sub->alone || sub->keeps) && reading && i >= sub->opened->partitions)
            start.kind = EMESH_START_EARLIEST;
        else if (sub->alone || sub->keeps)
            start.kind = start.kind == EMESH_START_STORED ? EMESH_START_LATEST : start.kind;
        else
            start.kind = EMESH_START_STORED;
        sub->store->inst->storage.begin(sub->cursor, window->number, window->epoch, &start);
        if (sub->state == EMESH_SUB_OPENING) {
            sub->state = EMESH_SUB_OPEN;
            emesh_sub_answer(sub);
        }
    }
}

/* Gives back partitions whose offers are settled, or whose time is over. */
void
emesh_sub_release_windows(emesh_sub *sub, bool now)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        uint32_t open = 0, number = window->number, epoch = window->epoch;

        if (!window->revoking || window->number == UINT32_MAX)
            continue;
        for (uint32_t k = 0; k < window->order.n; k++) {
            uint32_t at = window->order.at[(window->order.head + k) & (window->order.room - 1)];
            open += emesh_slot_at(&sub->slots, at)->state == EMESH_SLOT_OFFERED ||
                    emesh_slot_at(&sub->slots, at)->state == EMESH_SLOT_LENT;
        }
        if (open > 0 && !now)
            continue;
        emesh_sub_commit(sub);
        emesh_sub_drop_window(sub, window); /* first: it may come back inside the call */
        sub->store->inst->storage.release(sub->cursor, number, epoch);
    }
}

void
emesh_sub_revoked(emesh_alarm *alarm)
{
    emesh_sub_release_windows((emesh_sub *)((char *)alarm - offsetof(emesh_sub, revoked)), true);
}

void
emesh_sub_drop_slot(emesh_sub *sub, uint32_t at)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, at);

    if (sub->role != NULL)
        sub->role->drop(sub, at);
    if (slot->state == EMESH_SLOT_OFFERED)
        emesh_consumer_close_offer(sub, slot);
    if (sub->ordered)
        emesh_order_forget(sub, at);
    emesh_slot_unfit_forget(sub, at);
    if (slot->state == EMESH_SLOT_PARKING || slot->state == EMESH_SLOT_BURYING ||
        (slot->flags & EMESH_SLOT_KEEPING) != 0)
        emesh_stow_forget(sub, at);
    if (slot->state == EMESH_SLOT_WAITING)
        emesh_sub_wait_no_more(sub, at);
}

/* Forgets what a window held; its place in the table stays, for the slots' sake. */
void
emesh_sub_drop_window(emesh_sub *sub, emesh_window *window)
{
    for (uint32_t k = 0; k < window->order.n; k++)
        emesh_sub_drop_slot(
            sub, window->order.at[(window->order.head + k) & (window->order.room - 1)]);
    emesh_slots_forget(&sub->slots, window);
    window->number = UINT32_MAX;
    window->revoking = false;
    window->epoch = 0;
}

emesh_window *
emesh_sub_window(emesh_sub *sub, uint32_t number, uint16_t *place)
{
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        if (window->number == number) {
            *place = (uint16_t)i;
            return window;
        }
    }
    return NULL;
}
