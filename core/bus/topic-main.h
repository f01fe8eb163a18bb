/* SPDX-License-Identifier: Apache-2.0
 *
 * Between main's register of topics and the lanes.
 */
#pragma once
#include "bus/topic.h"

/* [main] Has this daemon used the topic before, in this store? */
bool emesh_topic_pinned(emesh_bus *bus, const char *name, const char *store);

typedef void (*emesh_topic_forgotten)(void *ctx); /* [main] */
/* [main] Has one lane forget a topic and end (or pause) its subscriptions; done on main. */
void emesh_topic_forget(emesh_bus_lane *lane, emesh_bus_topic *topic, bool pause,
                        emesh_topic_forgotten done, void *ctx);
