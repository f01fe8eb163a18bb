/* SPDX-License-Identifier: Apache-2.0
 *
 * Between main's register of topics and the lanes.
 */
#pragma once
#include "bus/topic.h"

typedef void (*emesh_topic_forgotten)(void *ctx); /* [main] */
/* [main] Has one lane forget a topic and end (or pause) its subscriptions; done on main. */
void emesh_topic_forget(emesh_bus_lane *lane, emesh_bus_topic *topic, bool pause,
                        emesh_topic_forgotten done, void *ctx);
