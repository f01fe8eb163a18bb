/* SPDX-License-Identifier: Apache-2.0
 *
 * From accepted publishes to the store: one batch per store and wake-up.
 */
#pragma once
#include "bus/publish.h"

struct emesh_batch { /* of one lane for one store */
    emesh_store *store;
    emesh_pending **items;
    uint32_t n, room;
    uint32_t sent;              /* items before it are handed over */
    void *array;                /* emesh_append in the plugin's stride, reused */
    uint32_t array_room;
};

/* [lane] Queues a pending whose topic is known; it leaves in the APPEND phase. */
void emesh_append_queue(emesh_bus_lane *lane, emesh_pending *pending);
/* [lane] The same for one that is due later, in a store that cannot hold it: it goes to the ladder
 * (ladder-in.c). */
void emesh_append_ladder(emesh_bus_lane *lane, emesh_pending *pending, emesh_bus_topic *topic);
/* [lane] Refuses what waits here for a topic that goes; away: its store goes, for a while. */
void emesh_append_drop_topic(emesh_bus_lane *lane, const emesh_bus_topic *topic, bool away);
/* [lane] What waits here for one topic goes to what a reload put in its place. */
void emesh_append_swap_topic(emesh_bus_lane *lane, const emesh_bus_topic *old,
                             emesh_bus_topic *fresh);
/* The APPEND phase of a lane. */
void emesh_append_flush(emesh_phased *item);
void emesh_batch_free(emesh_batch *batch);
/* Service function appended(). [any] */
void emesh_append_results(const emesh_host *host, const emesh_appended *results, uint32_t n);
