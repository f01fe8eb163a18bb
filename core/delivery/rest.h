/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions at rest: everything is settled and there is nothing to read, so that neither reader
 * nor window nor consumers are kept, but a record in the table of its topic. The store watches the
 * topic for all of them; the first event of it, a new member, or whoever changes something wakes
 * them. What an operator sees of subscriptions shows those at rest without waking them.
 *
 *   owner   REST ──────► member   its consumer is given back by FREE
 *   owner   WAKE ──────► member   answered by REJOIN, with a new consumer, or by a LEAVE on its way
 *
 * A record lives until each of its members has sent the last letter to it. Offers made after a rest
 * have later epochs than those before, so an acknowledgement that is late finds nothing. [owner's
 * lane]
 */
#pragma once
#include "delivery/sub.h"

typedef struct emesh_rest emesh_rest;

/* A subscription that reads may rest, if its store watches, nothing is open and none of its members
 * is in trouble: its reader is closed, and behind that emesh_rest_make() has the word. */
void emesh_rest_try(emesh_sub *sub);
/* The reader is closed: does all stand as it did? Then the subscription is at rest, and freed. */
bool emesh_rest_make(emesh_sub *sub);
/* It must go on, or ends: no rest now. */
void emesh_rest_cancel(emesh_sub *sub);
/* The one of this topic and group, woken if it is at rest. NULL: none. */
emesh_sub *emesh_rest_find(emesh_delivery_lane *owner, const char *topic, const char *group);
/* Members of sub on their way back. */
uint32_t emesh_rest_waits(const emesh_sub *sub);
void emesh_rest_orphan(emesh_sub *sub); /* sub ends before they are back */
/* Something was appended for this group alone. [any lane] */
void emesh_rest_rouse(emesh_bus_lane *here, emesh_bus_topic *topic, const char *group);

/* Mail from members. rest: from; of the consumer, or of a member: n = forget */
void emesh_rest_rejoin(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_rest_leave(emesh_bus_lane *here, const emesh_mail *mail);
/* A LEAVE that was on its way to the consumer. */
void emesh_rest_lost(emesh_rest *rest, emesh_member *member, bool forget);

/* The topic goes, or (NULL) the lane stops: watches are closed, done once each; returns how many.
 * Those at rest on a topic are woken first: they end, or wait for the store, like others. */
uint32_t emesh_rests_end(emesh_delivery_lane *owner, const emesh_bus_topic *topic,
                         void (*done)(void *ctx), void *ctx);
void emesh_rests_swap(emesh_delivery_lane *owner, const emesh_bus_topic *old,
                      emesh_bus_topic *fresh);
/* The round of the self-check: what nobody needs any more is closed. */
void emesh_rests_look(emesh_delivery_lane *owner);
void emesh_rests_clear(emesh_delivery_lane *owner);

typedef struct emesh_resting { /* as others see it */
    const emesh_bus_topic *topic;
    const char *group;
    uint32_t members;
    const emesh_tally *tally;
    emesh_member *const *member;
} emesh_resting;
void emesh_rests_each(const emesh_delivery_lane *owner,
                      void (*visit)(void *ctx, const emesh_resting *resting), void *ctx);
