/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus's record of a storage instance.
 */
#pragma once
#include "bus/bus.h"

struct emesh_store {
    emesh_bus *bus;
    emesh_inst *inst;
    uint32_t index;             /* in bus->stores, for the lanes' batches */
    uint32_t levels;            /* atomic copies of the last ready() */
    uint32_t max_level;
    uint64_t can;
    uint64_t max_event_bytes;
    uint64_t window_bytes;
    uint32_t window_events;
    uint32_t under_way;         /* atomic: appends handed over */
    uint64_t under_way_bytes;   /* atomic */
    uint64_t waiting;           /* atomic: lanes (id modulo 64) whose appends the window holds */
    bool ready;                 /* [main] */
    struct emesh_ladder *ladder; /* [main] NULL: it needs none, or not yet */
    const char *reply_address;  /* atomic: what requests of this daemon carry; NULL: routes none */
    emesh_bus_topic *replies;   /* atomic: stands for "to another daemon"; NULL: routes none */
    GPtrArray *addresses;       /* [main] all it ever had: lanes may still read one */
    uint32_t replies_out;       /* atomic: on their way to other daemons */
    uint64_t replies_out_bytes; /* atomic */
};

/* [any] What is told by ready() may change at any time. */
static inline bool
emesh_store_can(const emesh_store *store, uint64_t can)
{
    return (__atomic_load_n(&store->can, __ATOMIC_RELAXED) & can) != 0;
}

/* [any] Events for later lie on a ladder of topics in the store (own-topic.h), as it cannot hold
 * them itself. One that keeps no places and reads from its end alone cannot carry it. */
static inline bool
emesh_store_ladders(const emesh_store *store)
{
    return !emesh_store_can(store, EMESH_STORE_CAN_DELAY) &&
           emesh_store_can(store, EMESH_STORE_CAN_GROUPS | EMESH_STORE_CAN_REPLAY);
}

static inline bool
emesh_store_gives(const emesh_store *store, uint32_t level) /* that or more */
{
    return __atomic_load_n(&store->levels, __ATOMIC_RELAXED) >> level != 0;
}

/* [any] NULL: it routes no replies. */
static inline const char *
emesh_store_reply_address(const emesh_store *store)
{
    return __atomic_load_n(&store->reply_address, __ATOMIC_ACQUIRE);
}

static inline emesh_bus_topic *
emesh_store_reply_topic(const emesh_store *store)
{
    return __atomic_load_n(&store->replies, __ATOMIC_ACQUIRE);
}

/* [any] The store's lane that appends from worker go to: its own if the store lives there. */
emesh_loop *emesh_store_loop(const emesh_store *store, const emesh_worker *worker,
                             uint32_t spread);
/* [main] The store goes: no reply is given to it any more. Given: what stood for them, or NULL. */
emesh_bus_topic *emesh_store_reply_end(emesh_store *store);
void emesh_store_free(void *store);
const char *emesh_level_name(uint32_t level);
/* [main] The store a rule names, or the only one; NULL with error. */
emesh_store *emesh_bus_store(emesh_bus *bus, const char *name, GError **error);
/* Service function ready(). [any] The bus learns of it on main, before the start is completed. */
void emesh_store_told_ready(const emesh_host *host, const emesh_store_info *info);
