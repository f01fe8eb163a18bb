/* SPDX-License-Identifier: Apache-2.0
 *
 * PARKING, BURYING, custody, and the steps of a ladder: the event is written elsewhere, then its slot
 * is settled; in one unit where the store can and both lie in it. A write that fails is tried again
 * after 1 to 60 s, for as long as it takes: nothing is settled before. [owner's lane]
 */
#include "bus/publish.h"
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define AGAIN_MIN_NS UINT64_C(1000000000)
#define AGAIN_MAX_NS (60 * UINT64_C(1000000000))

typedef enum stow_kind { STOW_PARK, STOW_BURY, STOW_KEEP, STOW_MOVE } stow_kind;

struct emesh_stow {
    emesh_own_append append;
    emesh_topic_waiter waiter;
    emesh_alarm again;
    emesh_sub *sub;
    uint32_t index; /* the slot */
    uint32_t tries;
    stow_kind kind;
    emesh_position origin; /* KEEP: of the event in its topic */
    emesh_position copy;   /* KEEP, on a ladder: the copy's number */
    bool forgotten;        /* the slot is gone: nobody waits for it */
    bool under_way;        /* counted in sub->stowing */
    bool unit;             /* the commit goes with it */
    char *topic;           /* where it goes; NULL: the subscription's own */
    char *group, *key;     /* what append's slices are of */
};

static void begin(emesh_stow *stow);

static void
under_way(emesh_stow *stow, bool is)
{
    stow->under_way = is;
    stow->sub->stowing += is ? 1u : UINT32_MAX;
}

static void
again(emesh_alarm *alarm)
{
    begin((emesh_stow *)((char *)alarm - offsetof(emesh_stow, again)));
}

static const char *
blocked_name(const emesh_stow *stow)
{
    return stow->kind == STOW_BURY   ? "dead-letter-blocked"
           : stow->kind == STOW_MOVE ? "ladder-blocked"
                                     : "inbox-blocked";
}

static uint32_t *
blocked(const emesh_stow *stow)
{
    return stow->kind == STOW_BURY ? &stow->sub->letters_blocked : &stow->sub->inbox_blocked;
}

/* It works again, or nobody waits for it any more. */
static void
unblock(emesh_stow *stow)
{
    if (stow->tries > 0 && --*blocked(stow) == 0)
        emesh_sub_finding(stow->sub, blocked_name(stow), NULL);
    stow->tries = 0;
}

static void
stow_free(emesh_stow *stow)
{
    emesh_sub *sub = stow->sub;

    unblock(stow);
    emesh_worker_alarm(sub->owner->lane->worker, &stow->again, 0);
    g_ptr_array_remove_fast(sub->stows, stow);
    emesh_event_unref(stow->append.event);
    g_free(stow->topic);
    g_free(stow->group);
    g_free(stow->key);
    g_free(stow);
}

/* It did not work. */
static void
put_off(emesh_stow *stow, const char *why)
{
    emesh_sub *sub = stow->sub;
    emesh_worker *worker = sub->owner->lane->worker;
    uint64_t wait = AGAIN_MIN_NS;

    if (stow->tries == 0 && !stow->forgotten)
        emesh_slot_note(sub, emesh_slot_at(&sub->slots, stow->index), NULL,
                        stow->kind == STOW_BURY ? EMESH_WHY_LETTER_BLOCKED
                                                : EMESH_WHY_INBOX_BLOCKED,
                        AGAIN_MIN_NS / 1000000u, why);
    if (stow->tries++ == 0) {
        (*blocked(stow))++;
        emesh_sub_finding(sub, blocked_name(stow),
                          "cannot write an event to %s: %s; it stays where it is and is tried again",
                          stow->topic != NULL ? stow->topic : "its inbox",
                          why != NULL ? why : "the store did not say why");
    }
    for (uint32_t i = 1; i < stow->tries && wait < AGAIN_MAX_NS; i++)
        wait *= 2;
    emesh_worker_alarm(worker, &stow->again, emesh_worker_now(worker) + MIN(wait, AGAIN_MAX_NS));
}

static void
written(emesh_own_append *append, emesh_bus_lane *lane, int32_t code, emesh_position position,
        const char *why)
{
    emesh_stow *stow = (emesh_stow *)((char *)append - offsetof(emesh_stow, append));
    emesh_sub *sub = stow->sub;

    (void)lane;
    under_way(stow, false);
    emesh_sub_touch(sub);
    if (stow->forgotten) { /* another owner has the event now, or will */
        stow_free(stow);
    } else if (stow->kind == STOW_KEEP) {
        if (code == EMESH_OK)
            emesh_custody_taken(sub, stow->index, stow->origin,
                                emesh_sub_ladders(sub) ? stow->copy : position);
        else
            emesh_custody_failed(sub, stow->index, stow->origin, why);
        stow_free(stow);
    } else if (code != EMESH_OK) {
        put_off(stow, why);
    } else {
        sub->buried += stow->kind == STOW_BURY;
        sub->parked += stow->kind == STOW_PARK;
        emesh_slot_done(sub, stow->index, stow->unit);
        stow_free(stow);
    }
}

/* The commit that settles the slot, where it can ride along. */
static void
ride(emesh_stow *stow)
{
    emesh_sub *sub = stow->sub;
    const emesh_slot *slot = emesh_slot_at(&sub->slots, stow->index);
    const emesh_window *window = sub->windows->pdata[slot->partition];

    stow->unit = !sub->alone && !sub->keeps && !emesh_loan_is(sub, slot) &&
                 stow->append.topic->store == sub->store &&
                 emesh_store_can(sub->store, EMESH_STORE_CAN_UNIT);
    stow->append.cursor = stow->unit ? sub->cursor : NULL;
    stow->append.commit = (emesh_commit){ .position = slot->position,
                                          .partition = window->number,
                                          .epoch = window->epoch,
                                          .outcome = EMESH_COMMIT_ONE };
}

static void
write_to(emesh_stow *stow, emesh_bus_topic *topic)
{
    const emesh_store *store = topic->store;

    stow->append.topic = topic;
    /* what the settle needs must not go with the power */
    stow->append.level = emesh_store_gives(store, EMESH_LEVEL_SYNCED)
                             ? MAX(topic->level, EMESH_LEVEL_SYNCED)
                             : topic->level;
    ride(stow);
    emesh_own_append_queue(stow->sub->owner->lane, &stow->append);
}

static void
topic_there(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
            const char *why)
{
    emesh_stow *stow = (emesh_stow *)((char *)waiter - offsetof(emesh_stow, waiter));

    (void)lane;
    (void)code;
    if (topic != NULL && !stow->forgotten) {
        write_to(stow, topic);
        return;
    }
    under_way(stow, false);
    emesh_sub_touch(stow->sub);
    if (stow->forgotten)
        stow_free(stow);
    else
        put_off(stow, why);
}

static void
begin(emesh_stow *stow)
{
    emesh_sub *sub = stow->sub;
    emesh_bus_lane *lane = sub->owner->lane;
    emesh_bus_topic *topic = sub->topic;

    if (stow->topic != NULL)
        topic = emesh_topic_find(lane, stow->topic, strlen(stow->topic));
    under_way(stow, true);
    if (topic != NULL) {
        write_to(stow, topic);
        return;
    }
    stow->waiter.ready = topic_there;
    emesh_topic_await_in(lane, stow->topic, strlen(stow->topic),
                         stow->kind == STOW_BURY && sub->rule.dead_letter_store != NULL
                             ? sub->rule.dead_letter_store
                             : sub->store->inst->name,
                         &stow->waiter);
}

static emesh_stow *
stow_new(emesh_sub *sub, uint32_t index, const emesh_event *event)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_stow *stow = g_new0(emesh_stow, 1);

    stow->sub = sub;
    stow->index = index;
    stow->again.due = again;
    stow->append.event = event;
    stow->append.attempts = slot->attempt;
    stow->append.done = written;
    g_ptr_array_add(sub->stows, stow);
    return stow;
}

/* ---- where an event that is due at some time goes next ---- */

static void
to_group(emesh_stow *stow, const char *group)
{
    stow->group = g_strdup(group);
    stow->append.group = (emesh_slice){ stow->group, strlen(group) };
}

/* The longest step that fits, else the topic it was published to, or the inbox of its group. False:
 * no memory for it. */
static bool
aim(emesh_stow *stow, const emesh_event *event, const emesh_rung *rung, uint64_t now_ms)
{
    const emesh_store *store = stow->sub->store;
    bool holds = emesh_store_can(store, EMESH_STORE_CAN_DELAY);
    bool inbox = emesh_store_can(store, EMESH_STORE_CAN_INBOX);
    emesh_rung next = *rung;

    next.ripe_ms = next.due_ms;
    if (next.due_ms > now_ms && !holds) {
        uint32_t step = emesh_step_for(next.due_ms - now_ms);
        next.ripe_ms = MIN(next.due_ms, now_ms + (UINT64_C(1000) << step));
        stow->topic = emesh_step_topic(store, step);
        stow->append.event = emesh_rung_put(event, &next, NULL);
        return stow->append.event != NULL;
    }
    stow->append.deliver_at_ms = next.due_ms > now_ms ? next.due_ms : 0;
    if (next.group != NULL && !inbox) {
        stow->topic = emesh_inbox_topic(store, next.group);
        stow->append.event = emesh_rung_put(event, &next, NULL);
        return stow->append.event != NULL;
    }
    stow->topic = g_strdup(next.topic);
    stow->append.event = emesh_rung_strip(event);
    if (next.group != NULL)
        to_group(stow, next.group);
    if (next.key != NULL) {
        stow->key = g_memdup2(next.key, next.key_len);
        stow->append.key = (emesh_slice){ stow->key, next.key_len };
    }
    return true;
}

/* A write to the group's inbox, due after wait_ns. False: there is no memory for it. */
static bool
to_inbox(emesh_stow *stow, uint64_t wait_ns)
{
    emesh_sub *sub = stow->sub;
    emesh_slot *slot = emesh_slot_at(&sub->slots, stow->index);
    uint64_t now_ms = (uint64_t)g_get_real_time() / 1000u;
    g_autofree char *origin = NULL;
    emesh_rung rung;

    if (!emesh_sub_ladders(sub)) {
        stow->append.event = emesh_event_ref(slot->event);
        to_group(stow, sub->group);
        stow->append.deliver_at_ms = now_ms + wait_ns / 1000000u;
        begin(stow);
        return true;
    }
    origin = emesh_slot_origin(sub, stow->index);
    if (stow->kind == STOW_KEEP)
        stow->copy = emesh_copy_number(sub->owner);
    rung = (emesh_rung){ .due_ms = now_ms + wait_ns / 1000000u,
                         .attempts = slot->attempt,
                         .flags = slot->flags & EMESH_RECORD_FOREIGN,
                         .copy = stow->copy,
                         .origin = origin,
                         .topic = sub->topic->name,
                         .group = sub->group };
    if (!aim(stow, slot->event, &rung, now_ms)) {
        stow_free(stow);
        return false;
    }
    begin(stow);
    return true;
}

void
emesh_slot_park(emesh_sub *sub, uint32_t index, uint64_t wait_ns)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);

    emesh_slot_note(sub, slot, NULL, EMESH_WHY_PARKED, wait_ns / 1000000u, NULL);
    slot->state = EMESH_SLOT_PARKING;
    if (!to_inbox(stow_new(sub, index, NULL), wait_ns))
        emesh_sub_wait(sub, index, wait_ns);
}

void
emesh_slot_move(emesh_sub *sub, uint32_t index, const emesh_rung *rung, uint64_t now_ms)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_stow *stow = stow_new(sub, index, NULL);

    stow->kind = STOW_MOVE;
    stow->append.attempts = rung->attempts;
    slot->state = EMESH_SLOT_PARKING;
    if (aim(stow, slot->event, rung, now_ms)) {
        begin(stow);
        return;
    }
    stow_free(stow);
    emesh_sub_wait(sub, index, AGAIN_MIN_NS);
}

void
emesh_slot_keep(emesh_sub *sub, uint32_t index, uint64_t wait_ns)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_stow *stow = stow_new(sub, index, NULL);

    slot->flags |= EMESH_SLOT_KEEPING;
    stow->kind = STOW_KEEP;
    stow->origin = slot->position;
    if (!to_inbox(stow, wait_ns))
        emesh_custody_failed(sub, index, slot->position, "no memory for the copy");
}

void
emesh_slot_bury(emesh_sub *sub, uint32_t index, emesh_cause cause, const char *error)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    emesh_stow *stow;

    if (emesh_is_letter_topic(sub->topic->name)) { /* dead letters are never buried again */
        emesh_slot_note(sub, slot, NULL, EMESH_WHY_LETTER_STAYS,
                        sub->rule.retry_wait_max_ns / 1000000u, error);
        emesh_sub_wait(sub, index, sub->rule.retry_wait_max_ns);
        return;
    }
    if (sub->rule.dead_letter == 0) {
        emesh_bus_warn(sub->owner->lane->bus, "delivery",
                       "group \"%s\" drops an event of \"%s\" after %u attempts "
                       "(%s), as its dead letters are off",
                       sub->group, sub->topic->name, slot->attempt, emesh_cause_name(cause));
        sub->dropped++;
        emesh_slot_note(sub, slot, NULL, (emesh_code)(EMESH_WHY_DROPPED + cause), 0, error);
        emesh_slot_done(sub, index, false);
        return;
    }
    emesh_slot_note(sub, slot, NULL, (emesh_code)(EMESH_WHY_BURIED + cause), 0, error);
    stow = stow_new(sub, index, emesh_letter_new(sub, index, cause, error));
    slot->state = EMESH_SLOT_BURYING;
    stow->kind = STOW_BURY;
    stow->topic = g_strdup(sub->letters);
    begin(stow);
}

void
emesh_stow_forget(emesh_sub *sub, uint32_t index)
{
    for (uint32_t i = 0; i < sub->stows->len; i++) {
        emesh_stow *stow = sub->stows->pdata[i];
        if (stow->index != index || stow->forgotten)
            continue;
        stow->forgotten = true;
        if (!stow->under_way)
            stow_free(stow);
        return;
    }
}

/* What waits for its next try is forgotten with the window, which is read again from the floor.
 * Only once nothing is under way: until then somebody may join, and all goes on. */
bool
emesh_stows_quiet(emesh_sub *sub)
{
    if (sub->stowing > 0)
        return false;
    while (sub->stows->len > 0)
        stow_free(sub->stows->pdata[sub->stows->len - 1]);
    return true;
}
