/* SPDX-License-Identifier: Apache-2.0
 *
 * Delivery: from what a store holds to a subscriber's acknowledgement.
 *
 *   member        one subscription of one session, on the session's lane (member.h)
 *   consumer      the same as its subscription sees it, on the owner's lane (sub.h)
 *   subscription  (group, topic): reader, windows, consumers; owned by one lane, chosen by hash
 *
 * Member and consumer talk by mail only; when both live on one lane that costs no atomic. Attempts,
 * parking, dead letters, delay and request/reply join the state table in window.h.
 */
#pragma once
#include "bus/lane.h"
#include "bus/topic.h"

typedef struct emesh_sub emesh_sub;

struct emesh_delivery_lane {
    emesh_bus_lane *lane;
    GHashTable *subs;       /* key → emesh_sub: subscriptions this lane owns */
    GPtrArray *all;         /* emesh_sub, for the self-check, a few at a time */
    uint32_t checked;       /* of all, in this round */
    emesh_alarm check;
    GPtrArray *alone;       /* emesh_sub of one broadcasting member each */
    GHashTable *watches;    /* topic name → emesh_watch: subscriptions at rest (rest.h) */
    GHashTable *rest_groups; /* emesh_rest_group: their names */
    uint32_t offers;        /* no epoch of an offer of those at rest is later */
    uint32_t open;          /* offers of all subscriptions here */
    GPtrArray *browses;     /* emesh_browse: readers of administrators */
    GPtrArray *changes;     /* emesh_change: places of groups that are being moved or forgotten */
    struct emesh_tombs *tombs; /* tomb.c; NULL: none yet */
};

emesh_delivery_lane *emesh_delivery_lane_new(emesh_bus_lane *lane);
void emesh_delivery_lane_free(emesh_delivery_lane *delivery);
/* [lane] Closes the readers of a topic; done when the last is closed. pause: its store goes for a
 * while: subscriptions stay and read on when the topic opens again. Else they end, members are
 * told. */
void emesh_delivery_end_topic(emesh_delivery_lane *delivery, emesh_bus_topic *topic, bool pause,
                              void (*done)(void *ctx), void *ctx);

/* [lane] The same for all subscriptions, before a stop: members hear nothing, as their protocol says
 * goodbye to them. */
void emesh_delivery_end_all(emesh_delivery_lane *delivery, void (*done)(void *ctx), void *ctx);

/* [lane] A reload put fresh in the place of old: subscriptions go over, what is open stays open. */
void emesh_delivery_swap_topic(emesh_delivery_lane *delivery, const emesh_bus_topic *old,
                               emesh_bus_topic *fresh);

/* The lane that owns a group's subscriptions in a store: where the store lives, by hash. */
emesh_bus_lane *emesh_delivery_owner(emesh_bus *bus, const emesh_store *store, const char *group,
                                     size_t len);

/* ---- the delay ladder of a store that cannot hold events itself, ladder.c; all [main] ---- */
/* The store is ready: its ladder is served from now on if it has one, or shares it. */
void emesh_ladder_look(emesh_store *store);
void emesh_ladder_start(emesh_store *store); /* a step is there */
void emesh_ladder_stop(emesh_store *store);  /* the daemon stops */

/* Service functions records() and partition(). [any] */
void emesh_reader_records(emesh_reader *reader, const emesh_record *records, uint32_t n);
void emesh_reader_partition(emesh_reader *reader, uint32_t change, uint32_t partition,
                            const char *name, size_t len, const emesh_error *err);
