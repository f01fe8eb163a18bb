/* SPDX-License-Identifier: Apache-2.0
 *
 * The way in of an event that is due later, where the store cannot hold it: it is stored on the
 * longest step of the ladder that fits, and acknowledged when that record has the topic's level.
 */
#include "bus/append.h"
#include "bus/own-topic.h"
#include "bus/rung.h"

#include <string.h>

static void
step_ready(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
           const char *why)
{
    emesh_pending *p = (emesh_pending *)((char *)waiter - offsetof(emesh_pending, waiter));

    if (topic == NULL) {
        emesh_pending_end(lane, p, code, 0, why);
        return;
    }
    p->topic = topic;
    emesh_append_queue(lane, p);
}

/* The event as it lies on the ladder takes the place of the one that was published. */
static int32_t
wrap(emesh_pending *p, const emesh_bus_topic *topic, uint32_t step, const char **why)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000u;
    emesh_rung rung = {
        .due_ms = p->deliver_at_ms,
        .ripe_ms = MIN(p->deliver_at_ms, now + (UINT64_C(1000) << step)),
        .topic = topic->name,
        .key = p->key,
        .key_len = p->key_len,
    };
    const emesh_event *event = emesh_rung_put(p->event, &rung, NULL);

    *why = "the event could not be written to the delay ladder";
    if (event == NULL)
        return EMESH_E_INVALID;
    emesh_event_unref(p->event);
    p->event = event;
    if (emesh_event_size(event) <=
        __atomic_load_n(&topic->store->max_event_bytes, __ATOMIC_RELAXED))
        return EMESH_OK;
    *why = "with what the delay ladder adds the event is larger than its store takes";
    return EMESH_E_TOO_LARGE;
}

void
emesh_append_ladder(emesh_bus_lane *lane, emesh_pending *p, emesh_bus_topic *topic)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000u;
    uint32_t step = emesh_step_for(p->deliver_at_ms - MIN(now, p->deliver_at_ms));
    g_autofree char *name = emesh_step_topic(topic->store, step);
    emesh_bus_topic *there;
    const char *why = NULL;
    int32_t code = wrap(p, topic, step, &why);

    if (code != EMESH_OK) {
        lane->counts.refused++;
        emesh_pending_end(lane, p, code, 0, why);
        return;
    }
    __atomic_add_fetch(&topic->published, 1, __ATOMIC_RELAXED);
    p->level = MAX(p->level, topic->level);
    p->deliver_at_ms = 0;
    there = emesh_topic_find(lane, name, strlen(name));
    if (there != NULL) {
        step_ready(&p->waiter, lane, there, EMESH_OK, NULL);
        return;
    }
    p->waiter.ready = step_ready;
    emesh_topic_await_in(lane, name, strlen(name), topic->store->inst->name, &p->waiter);
}
