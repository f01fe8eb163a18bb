/* SPDX-License-Identifier: Apache-2.0
 *
 * The delay ladder of a store without DELAY: a topic for each wait of 1, 2, 4 … 131072 seconds, first
 * in, first out. An event lies on the longest step that fits into its wait; when it comes to the
 * head and its time on the step is over, it is written to the next place, then settled here. One group
 * reads all steps, so that any daemon serves what another one wrote. Steps are opened on [main], and
 * served on the lane that owns the group.
 */
#include "bus/topic-main.h"
#include "delivery/sub.h"
#include "event/event.h"

#include <string.h>

#define AHEAD 512u /* records of a step in memory */
#define AHEAD_BYTES (UINT64_C(1) << 20)
#define LOOK_MS 1000u /* the wall clock may be set meanwhile */

bool
emesh_sub_ladders(const emesh_sub *sub)
{
    const emesh_store *store = sub->store;

    return emesh_store_ladders(store) ||
           (emesh_store_can(store, EMESH_STORE_CAN_DELAY) &&
            !emesh_store_can(store, EMESH_STORE_CAN_INBOX) &&
            emesh_store_can(store, EMESH_STORE_CAN_GROUPS | EMESH_STORE_CAN_REPLAY));
}

void
emesh_sub_want_own(emesh_sub *sub)
{
    const emesh_daemon_options *limits = &sub->owner->lane->bus->limits;
    int64_t most = sub->role->most != 0 ? sub->role->most : limits->window_events;
    int64_t most_bytes =
        (int64_t)(sub->role->most_bytes != 0 ? sub->role->most_bytes : limits->window_bytes);
    int64_t records = MIN(most - sub->slots.used - sub->asked, (int64_t)AHEAD);
    int64_t bytes = most_bytes - (int64_t)sub->slots.bytes - sub->asked_bytes;

    if (bytes <= 0 || records <= 0 || (records < MIN(most, AHEAD) / 4 && sub->asked > 0))
        return;
    sub->asked += (uint32_t)records;
    sub->asked_bytes += bytes;
    sub->store->inst->storage.want(sub->cursor, (uint32_t)records, (uint64_t)bytes);
}

/* ---- a step, on the owner's lane ---- */

/* Milliseconds until its time on the step is over. A clock that was set back does not hold it longer
 * than the step is: what lies behind it may be due. */
static uint64_t
unripe(emesh_sub *sub, emesh_slot *slot, uint64_t ripe_ms, uint64_t now_ms)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);

    if (slot->due_ns == 0)
        slot->due_ns =
            now + emesh_step_seconds(sub->topic->name) * UINT64_C(1000000000);
    if (ripe_ms <= now_ms || slot->due_ns <= now)
        return 0;
    return MIN(ripe_ms - now_ms, (slot->due_ns - now) / 1000000u + 1);
}

/* Moves what is ripe of one partition; how long until the next is, at most LOOK_MS. On the shortest
 * step what came later may be due first, by less than a second. */
static uint64_t
walk(emesh_sub *sub, const emesh_window *window, uint64_t now_ms, GArray *foreign)
{
    uint64_t wait = LOOK_MS;

    for (uint32_t k = 0; k < window->order.n && !window->revoking; k++) {
        uint32_t at = window->order.at[(window->order.head + k) & (window->order.room - 1)];
        emesh_slot *slot = emesh_slot_at(&sub->slots, at);
        g_auto(emesh_rung) rung = { 0 };
        uint64_t due, ripe, left;

        if (slot->state != EMESH_SLOT_READY)
            continue;
        if (!emesh_rung_peek(slot->event, &due, &ripe)) {
            g_array_append_val(foreign, at);
            continue;
        }
        left = unripe(sub, slot, ripe, now_ms);
        if (left > 0)
            wait = MIN(left, wait);
        else if (emesh_rung_read(slot->event, &rung))
            emesh_slot_move(sub, at, &rung, now_ms);
        else
            g_array_append_val(foreign, at);
    }
    return wait;
}

static void
turn(emesh_sub *sub)
{
    emesh_worker *worker = sub->owner->lane->worker;
    uint64_t now_ms = (uint64_t)g_get_real_time() / 1000u, wait = LOOK_MS;
    g_autoptr(GArray) foreign = NULL;

    if (sub->slots.ready == 0 && sub->probe.place != 0)
        return; /* nothing came, and nothing is ripe before that */
    foreign = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    while (emesh_slots_pop_ready(&sub->slots) != 0)
        ; /* found again in the order of their windows */
    for (uint32_t i = 0; i < sub->windows->len; i++) {
        uint64_t left = walk(sub, sub->windows->pdata[i], now_ms, foreign);
        wait = MIN(wait, left);
    }
    for (uint32_t i = 0; i < foreign->len; i++) {
        emesh_bus_warn(sub->owner->lane->bus, "delivery",
                       "a record on the delay ladder \"%s\" was not written by a daemon; it is "
                       "skipped",
                       sub->topic->name);
        emesh_slot_done(sub, g_array_index(foreign, uint32_t, i), false);
    }
    if (sub->slots.used > 0)
        emesh_worker_alarm(worker, &sub->probe,
                           emesh_worker_now(worker) + wait * UINT64_C(1000000));
}

static void
drop(emesh_sub *sub, uint32_t index)
{
    (void)sub, (void)index; /* what is written may come twice, and nothing is lost */
}

static const emesh_sub_role role = { .turn = turn, .drop = drop, .most = AHEAD,
                                     .most_bytes = AHEAD_BYTES };

typedef struct serving { /* a step on its way from main to the lane */
    emesh_job job;
    emesh_bus_lane *lane;
    emesh_bus_topic *topic; /* a reference */
} serving;

static void
serve(emesh_job *job)
{
    serving *s = (serving *)job;

    if (emesh_sub_find(s->lane->delivery, s->topic->name, EMESH_LADDER_GROUP) == NULL)
        emesh_sub_own(s->lane->delivery, s->topic, EMESH_LADDER_GROUP, &role);
    emesh_bus_topic_unref(s->topic);
    g_free(s);
}

/* ---- opening the steps, on main ---- */

#define FIRST_NS (20 * UINT64_C(1000000))
#define LAST_NS (30 * UINT64_C(1000000000))

typedef struct emesh_ladder {
    emesh_store *store;
    emesh_alarm next;
    uint64_t wait_ns;
    uint32_t step; /* to be opened */
    bool opening, stopped, told;
} emesh_ladder;

static void
step_opened(void *ctx, emesh_bus_topic *topic, int32_t code, const char *why)
{
    emesh_ladder *ladder = ctx;
    emesh_bus *bus = ladder->store->bus;
    serving *s;

    (void)code;
    ladder->opening = false;
    if (ladder->stopped)
        return;
    if (topic == NULL || topic->store != ladder->store) {
        if (!ladder->told)
            emesh_bus_warn(bus, "delivery",
                           "ladder-blocked: the delay ladder in store \"%s\" cannot be opened: %s; "
                           "it is tried again",
                           ladder->store->inst->name,
                           topic != NULL ? "another store has a step of it"
                           : why != NULL ? why
                                         : "the store did not say why");
        ladder->told = true;
        ladder->wait_ns = MIN(ladder->wait_ns * 2, LAST_NS);
        emesh_worker_alarm(bus->main, &ladder->next,
                           emesh_worker_now(bus->main) + ladder->wait_ns);
        return;
    }
    ladder->wait_ns = FIRST_NS;
    s = g_new0(serving, 1);
    s->job.run = serve;
    s->lane = emesh_delivery_owner(bus, ladder->store, EMESH_LADDER_GROUP,
                                   strlen(EMESH_LADDER_GROUP));
    s->topic = emesh_bus_topic_ref(topic);
    emesh_worker_post(s->lane->worker, &s->job);
    if (++ladder->step < EMESH_LADDER_STEPS)
        emesh_worker_alarm(bus->main, &ladder->next, emesh_worker_now(bus->main));
}

static void
open_next(emesh_alarm *alarm)
{
    emesh_ladder *ladder = (emesh_ladder *)((char *)alarm - offsetof(emesh_ladder, next));
    emesh_bus *bus = ladder->store->bus;
    emesh_inst *inst = ladder->store->inst;
    g_autofree char *name = NULL;

    if (bus->closing || ladder->opening || ladder->step == EMESH_LADDER_STEPS)
        return;
    if (inst->state != EMESH_INST_RUNNING) { /* ready() comes before it is */
        emesh_worker_alarm(bus->main, &ladder->next, emesh_worker_now(bus->main) + FIRST_NS);
        return;
    }
    name = emesh_step_topic(ladder->store, ladder->step);
    ladder->opening = true;
    emesh_topic_open_main(bus, name, strlen(name), inst->name, step_opened, ladder);
}

void
emesh_ladder_start(emesh_store *store)
{
    emesh_ladder *ladder = store->ladder;

    if (ladder != NULL || !emesh_store_ladders(store))
        return;
    ladder = store->ladder = g_new0(emesh_ladder, 1);
    ladder->store = store;
    ladder->wait_ns = FIRST_NS;
    ladder->next.due = open_next;
    emesh_worker_alarm(store->bus->main, &ladder->next, emesh_worker_now(store->bus->main));
}

/* A store of several daemons has the ladder of all of them. One that keeps no places is this daemon's
 * alone: without a step there is nothing to serve yet. */
void
emesh_ladder_look(emesh_store *store)
{
    if (emesh_store_can(store, EMESH_STORE_CAN_GROUPS)) {
        emesh_ladder_start(store);
        return;
    }
    for (uint32_t step = 0; step < EMESH_LADDER_STEPS; step++) {
        g_autofree char *name = emesh_step_topic(store, step);
        if (emesh_topic_pinned(store->bus, name, store->inst->name)) {
            emesh_ladder_start(store);
            return;
        }
    }
}

void
emesh_ladder_stop(emesh_store *store)
{
    if (store->ladder == NULL)
        return;
    store->ladder->stopped = true;
    emesh_worker_alarm(store->bus->main, &store->ladder->next, 0);
}
