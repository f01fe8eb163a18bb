/* SPDX-License-Identifier: Apache-2.0
 *
 * A question to every lane, one after the other, for listings: no lock, no shared state.
 */
#pragma once
#include "bus/lane.h"

/* [main] visit runs on each lane in turn, then done on main. */
void emesh_gather(emesh_bus *bus, void (*visit)(void *ctx, emesh_bus_lane *lane),
                  void (*done)(void *ctx), void *ctx);

/* A store's listing, copied out of the call that brought it. */
typedef struct emesh_listed {
    char *topic, *group, *partition, *source;
    emesh_store *store;
    emesh_position first, last, committed;
    uint64_t count, bytes, stored_ms;
    uint32_t flags;
} emesh_listed;

/* [main] what (EMESH_LIST_*) of all stores into rows (of emesh_listed, cleared by the array); done
 * on main. Stores that cannot list bring nothing. */
void emesh_list_stores(emesh_bus *bus, uint32_t what, const char *topic,
                       void (*done)(void *ctx, GArray *rows), void *ctx);
/* [main] The same for any question, of one store or (NULL) of all. */
void emesh_list_ask(emesh_bus *bus, const emesh_store *store, const emesh_admin *ask,
                    void (*done)(void *ctx, GArray *rows), void *ctx);
/* A row for a list that emesh_listed clears; the texts are copied. */
void emesh_listed_add(GArray *rows, emesh_store *store, const char *topic, const char *group,
                      const char *partition, emesh_position committed);
/* "7", or "3:7" where both halves are used. Given. */
char *emesh_position_text(emesh_position position);
