/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes under way: from acceptance to the store's word. A slot's number and generation are the
 * cookie the store brings back.
 */
#pragma once
#include "bus/session.h"
#include "bus/topic.h"

struct emesh_pending {
    emesh_session *session;     /* a reference */
    const emesh_event *event;   /* a reference, until the store has answered */
    emesh_bus_topic *topic;     /* borrowed from the lane's table while under way: counted there */
    uint64_t cookie;            /* the plugin's */
    uint64_t deliver_at_ms, deadline_ns;
    char *key;                  /* copy of an explicit key, NULL = attribute or session */
    uint32_t key_len;
    uint32_t level;
    uint32_t bytes;
    uint32_t generation;
    uint32_t index;
    uint32_t next_free;
    emesh_topic_waiter waiter;  /* while the topic is being opened */
    GList in_deadlines;
    bool answered;              /* a deadline told the session already */
};

int32_t emesh_publish_items(emesh_session *session, const emesh_publish *items, uint32_t n);
/* The store's word on one append of this lane. */
void emesh_publish_done(emesh_bus_lane *lane, uint64_t cookie, int32_t code, uint32_t level,
                        const char *reason, size_t reason_len);
/* Answers one pending and gives its slot back. */
void emesh_pending_end(emesh_bus_lane *lane, emesh_pending *pending, int32_t code, uint32_t level,
                       const char *why);
uint64_t emesh_pending_cookie(const emesh_bus_lane *lane, const emesh_pending *pending);
emesh_pending *emesh_pending_at(emesh_bus_lane *lane, uint32_t index);

/* stage.c: the chain every event passes. 0, or why not; why is a text of static life. */
int32_t emesh_stages_before_topic(const emesh_publish *item, const char **why);
int32_t emesh_stages_with_topic(emesh_session *session, const emesh_bus_topic *topic,
                                const emesh_event *event, uint32_t level, const char **why);
