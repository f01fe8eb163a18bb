/* SPDX-License-Identifier: Apache-2.0
 *
 * Between main's register of topics and the lanes.
 */
#pragma once
#include "bus/topic.h"

/* [main] Has this daemon used the topic before, in this store? */
bool emesh_topic_pinned(emesh_bus *bus, const char *name, const char *store);

/* [main] What holds for a topic, the daemon's own included. */
void emesh_topic_rule_of(emesh_bus *bus, const char *name, emesh_topic_rule *rule);
/* [main] Without handle; a reference. */
emesh_bus_topic *emesh_bus_topic_new(const char *name, uint32_t len, emesh_store *store,
                                     const emesh_topic_rule *rule);

typedef void (*emesh_topic_forgotten)(void *ctx); /* [main] */
/* [main] Has one lane forget a topic and end (or pause) its subscriptions; done on main. */
void emesh_topic_forget(emesh_bus_lane *lane, emesh_bus_topic *topic, bool pause,
                        emesh_topic_forgotten done, void *ctx);
