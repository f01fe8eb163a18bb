/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of an event whose offer came back undone: soon again, later from the group's inbox,
 * or among the dead letters. [owner's lane]
 */
#include "delivery/sub.h"
#include "event/event.h"

#define SUSPECT_WAIT_NS UINT64_C(1000000000)
#define SUSPECT_MOST (3 * EMESH_SLOT_SUSPECT_ONE) /* cuts until an event is a killer */
#define ORDERED_MOST_NS (30 * UINT64_C(1000000000))
#define ADDED_MOST 2560u /* bytes of the attribute that goes with an event through a ladder */
#define PARK_ABOVE_NS (8u * UINT64_C(1000000000)) /* shorter waits stay in the window */

const char *
emesh_cause_name(emesh_cause cause)
{
    static const char *const names[] = {
        [EMESH_CAUSE_FAILED] = "failed",          [EMESH_CAUSE_DEADLINE] = "deadline",
        [EMESH_CAUSE_REJECTED] = "rejected",      [EMESH_CAUSE_UNFIT] = "unfit",
        [EMESH_CAUSE_KILLED] = "killed-sessions", [EMESH_CAUSE_FOREIGN] = "foreign",
    };

    return names[cause];
}

void
emesh_slot_unfit_forget(emesh_sub *sub, uint32_t index)
{
    if ((emesh_slot_at(&sub->slots, index)->flags & EMESH_SLOT_UNFIT) == 0)
        return;
    for (uint32_t i = sub->unfit->len; i > 0; i--)
        if (g_array_index(sub->unfit, emesh_unfit, i - 1).index == index)
            g_array_remove_index_fast(sub->unfit, i - 1);
}

void
emesh_slot_done(emesh_sub *sub, uint32_t index, bool committed)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_window *window = sub->windows->pdata[slot->partition];
    emesh_commit one = { .position = slot->position,
                         .partition = window->number,
                         .epoch = window->epoch,
                         .outcome = EMESH_COMMIT_ONE };

    emesh_slot_unfit_forget(sub, index);
    if (sub->ordered)
        emesh_order_settled(sub, index);
    if (emesh_loan_is(sub, slot)) {
        emesh_loan_end(sub, index, true);
        return;
    }
    if (!emesh_slots_settle(&sub->slots, window, index) && !committed && !sub->alone &&
        emesh_store_can(sub->store, EMESH_STORE_CAN_ACK_EACH))
        g_array_append_val(sub->commits, one);
}

/* 1 s, 2 s, 4 s … as the group says. */
static uint64_t
backoff(const emesh_sub *sub, uint32_t attempts)
{
    uint64_t wait = sub->rule.retry_wait_ns;

    for (uint32_t i = 1; i < attempts && wait < sub->rule.retry_wait_max_ns; i++)
        wait *= 2;
    return MIN(wait, sub->rule.retry_wait_max_ns);
}

/* A fifth more or less: who failed together comes apart. */
static uint64_t
scattered(uint64_t wait)
{
    return wait - wait / 5 + (uint64_t)(g_random_double() * (double)(wait / 5 * 2));
}

uint64_t
emesh_slot_waited(const emesh_sub *sub, const emesh_slot *slot)
{
    uint64_t wait = slot->attempt > 1 ? backoff(sub, slot->attempt - 1) : 0;

    return wait - wait / 5;
}

bool
emesh_slot_can_park(const emesh_sub *sub, const emesh_slot *slot)
{
    if (sub->alone || sub->ordered)
        return false;
    if (emesh_sub_ladders(sub)) /* an event that is too large with what is added stays here */
        return emesh_event_size(slot->event) + ADDED_MOST <=
               __atomic_load_n(&sub->store->max_event_bytes, __ATOMIC_RELAXED);
    return emesh_store_can(sub->store, EMESH_STORE_CAN_INBOX) &&
           emesh_store_can(sub->store, EMESH_STORE_CAN_DELAY);
}

/* The store remembers how often it was tried: a restart gives no attempt away. */
static void
remember(emesh_sub *sub, uint32_t index)
{
    const emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    const emesh_window *window = sub->windows->pdata[slot->partition];
    emesh_commit tried = { .position = slot->position,
                           .partition = window->number,
                           .epoch = window->epoch,
                           .outcome = EMESH_COMMIT_TRIED,
                           .attempts = slot->attempt };

    if (emesh_loan_is(sub, slot)) {
        emesh_loan_tried(sub, index);
        return;
    }
    if (!sub->alone && !sub->keeps && emesh_store_can(sub->store, EMESH_STORE_CAN_ACK_EACH))
        g_array_append_val(sub->commits, tried);
}

void
emesh_slot_failed(emesh_sub *sub, uint32_t index, emesh_cause cause, const char *error,
                  uint64_t delay_ns)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    uint64_t wait;

    if ((slot->flags & EMESH_SLOT_KEEPING) != 0) { /* its copy is on the way: nothing else now */
        emesh_slots_return(&sub->slots, index);
        return;
    }
    if (cause == EMESH_CAUSE_REJECTED || cause == EMESH_CAUSE_UNFIT ||
        slot->attempt >= sub->rule.attempts) {
        if (sub->ordered)
            emesh_order_failed(sub, index);
        emesh_slot_bury(sub, index, cause, error);
        return;
    }
    wait = MAX(delay_ns, scattered(backoff(sub, slot->attempt)));
    if ((slot->flags & EMESH_SLOT_CUSTODY) != 0 || (wait > PARK_ABOVE_NS && emesh_slot_can_park(sub, slot))) {
        emesh_slot_park(sub, index, wait);
        return;
    }
    emesh_slot_stage(sub, slot, NULL,
                     cause == EMESH_CAUSE_DEADLINE ? EMESH_WHY_OVERDUE : EMESH_WHY_FAILED,
                     wait / 1000000u, error);
    remember(sub, index);
    slot->attempt++;
    sub->retried++;
    if (!sub->ordered)
        emesh_sub_wait(sub, index, wait);
    else if (emesh_order_failed(sub, index))
        emesh_sub_wait(sub, index, MIN(wait, ORDERED_MOST_NS));
}

/* Two more subscribers may meet it, each alone with it. */
void
emesh_slot_suspect(emesh_sub *sub, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    if ((slot->flags & (EMESH_SLOT_KEEPING | EMESH_SLOT_CUSTODY)) != 0) {
        emesh_slot_back(sub, index);
        return;
    }
    if ((slot->flags & EMESH_SLOT_SUSPECT) != SUSPECT_MOST)
        slot->flags += EMESH_SLOT_SUSPECT_ONE;
    if ((slot->flags & EMESH_SLOT_SUSPECT) == SUSPECT_MOST || slot->attempt >= sub->rule.attempts) {
        emesh_slot_bury(sub, index, EMESH_CAUSE_KILLED,
                        "connections broke while it was the oldest event there");
        return;
    }
    emesh_slot_note(sub, slot, NULL, EMESH_WHY_SUSPECT, 0, NULL);
    remember(sub, index);
    slot->attempt++;
    sub->retried++;
    if (!sub->ordered || emesh_order_failed(sub, index))
        emesh_sub_wait(sub, index, SUSPECT_WAIT_NS);
}

bool
emesh_slot_fits(const emesh_sub *sub, const emesh_slot *slot, uint32_t index,
                const emesh_consumer *c)
{
    for (uint32_t i = 0; (slot->flags & EMESH_SLOT_UNFIT) != 0 && i < sub->unfit->len; i++) {
        const emesh_unfit *unfit = &g_array_index(sub->unfit, emesh_unfit, i);
        if (unfit->index == index && unfit->inst == c->inst)
            return false;
    }
    return true;
}

bool
emesh_slot_fits_any(const emesh_sub *sub, const emesh_slot *slot, uint32_t index)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        const emesh_consumer *c = sub->consumers->pdata[i];
        if (!c->leaving && emesh_slot_fits(sub, slot, index, c))
            return true;
    }
    return false;
}

/* A member of another protocol may take it; when there is none, nobody can. */
void
emesh_slot_unfit(emesh_sub *sub, uint32_t index, const emesh_inst *inst, const char *error)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_unfit unfit = { index, inst };

    slot->flags |= EMESH_SLOT_UNFIT;
    g_array_append_val(sub->unfit, unfit);
    if (emesh_slot_fits_any(sub, slot, index)) {
        emesh_slot_stage(sub, slot, NULL, EMESH_WHY_PASSED_ON, 0, error);
        emesh_slot_back(sub, index);
        return;
    }
    emesh_slot_failed(sub, index, EMESH_CAUSE_UNFIT, error, 0);
}

bool
emesh_slot_expired(emesh_sub *sub, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    const emesh_attr *attr;
    uint64_t ms = 0;

    if ((slot->flags & EMESH_SLOT_EXPIRES) == 0)
        return false;
    attr = emesh_event_attr(slot->event, "expirytime", 10);
    if (!emesh_time_read(attr->value, attr->value_len, &ms) ||
        ms > (uint64_t)g_get_real_time() / 1000u)
        return false;
    sub->expired++;
    emesh_slot_note(sub, slot, NULL, EMESH_WHY_EXPIRED, 0, NULL);
    emesh_slot_done(sub, index, false);
    return true;
}

bool
emesh_slot_foreign(emesh_sub *sub, uint32_t index)
{
    static const char words[] = "it is no CloudEvent in the store";
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    if ((slot->flags & EMESH_RECORD_FOREIGN) == 0 || !sub->topic->foreign_letters ||
        emesh_is_letter_topic(sub->topic->name))
        return false;
    if (!sub->alone) {
        emesh_slot_bury(sub, index, EMESH_CAUSE_FOREIGN, words);
        return true;
    }
    sub->dropped++; /* the groups have their letter of it; a broadcasting member just does not get it */
    emesh_slot_note(sub, slot, NULL, (emesh_code)(EMESH_WHY_DROPPED + EMESH_CAUSE_FOREIGN), 0, words);
    emesh_slot_done(sub, index, false);
    return true;
}
