/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics. The register is main's; each lane has a table of its own, told by mail, so that looking a
 * topic up takes no lock. An entry is immutable once a lane sees it, but for its counters.
 */
#pragma once
#include "bus/store.h"

struct emesh_bus_topic {
    char *name;
    uint32_t name_len;
    uint32_t store_len;         /* of it, the name in the store (own-topic.h) */
    uint32_t refs;              /* atomic: register, lanes, subscriptions */
    emesh_store *store;
    emesh_topic *handle;        /* the store's */
    uint32_t level;             /* promised */
    uint32_t partitions;
    uint64_t max_event;
    uint64_t retention_ms;
    uint64_t retention_bytes;
    uint32_t under_way;         /* atomic: appends at the store */
    uint64_t appended;          /* atomic, relaxed: of these, what is stored and was not delayed */
    uint64_t published;         /* atomic, relaxed: since start */
    uint32_t readers;           /* atomic: open on handle */
    emesh_bus_topic *newer;     /* atomic: what a reload put in its place, a reference */
    bool foreign_letters;       /* foreign = dead-letter */
    bool gone;                  /* [main] being deleted */
    bool closed;                /* the daemon's own: nobody publishes or subscribes */
};

emesh_bus_topic *emesh_bus_topic_ref(emesh_bus_topic *topic);
void emesh_bus_topic_unref(emesh_bus_topic *topic);

/* [any] What is in its place now. */
static inline emesh_bus_topic *
emesh_topic_current(emesh_bus_topic *topic)
{
    emesh_bus_topic *newer;

    while ((newer = __atomic_load_n(&topic->newer, __ATOMIC_ACQUIRE)) != NULL)
        topic = newer;
    return topic;
}
/* [any] A reader is open on topic, and none on before any more; either may be NULL. Returns topic. */
emesh_bus_topic *emesh_topic_reading(emesh_bus_topic *topic, emesh_bus_topic *before);

/* [lane] The topic if this lane knows it. */
emesh_bus_topic *emesh_topic_find(emesh_bus_lane *lane, const char *name, size_t len);

/* Whoever waits for a topic on a lane. ready() is called on the lane, once; topic is NULL with a
 * code. Embedded in its owner. */
typedef struct emesh_topic_waiter emesh_topic_waiter;
struct emesh_topic_waiter {
    void (*ready)(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic,
                  int32_t code, const char *why);
    emesh_topic_waiter *next;
};
/* [lane] Has main open the topic (made if absent); waiters are told in order. */
void emesh_topic_await(emesh_bus_lane *lane, const char *name, size_t len,
                       emesh_topic_waiter *waiter);
/* [lane] The same for a topic of the daemon's own: home is the store it is made in when no rule and
 * no former use says otherwise. */
void emesh_topic_await_in(emesh_bus_lane *lane, const char *name, size_t len, const char *home,
                          emesh_topic_waiter *waiter);

/* [main] Opens (and makes) a topic; done on main. */
typedef void (*emesh_topic_opened)(void *ctx, emesh_bus_topic *topic, int32_t code,
                                   const char *why);
/* home: as above, or NULL. */
void emesh_topic_open_main(emesh_bus *bus, const char *name, size_t len, const char *home,
                           emesh_topic_opened done, void *ctx);
/* [main] Ends subscriptions, waits for appends, has the store delete it; done on main. */
void emesh_topic_delete_main(emesh_bus *bus, const char *name, size_t len,
                             void (*done)(void *ctx, int32_t code, const char *why), void *ctx);
