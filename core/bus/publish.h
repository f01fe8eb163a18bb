/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes under way: from acceptance to the store's word. A slot's number and generation are the
 * cookie the store brings back.
 */
#pragma once
#include "bus/session.h"
#include "bus/topic.h"

/* An append that the daemon itself makes: parked events, dead letters. Its owner keeps it until done,
 * which is called once, on the lane that queued it. */
typedef struct emesh_own_append emesh_own_append;
struct emesh_own_append {
    const emesh_event *event;   /* the owner's reference */
    emesh_bus_topic *topic;     /* of the lane's table */
    emesh_slice group;          /* for its inbox alone; else empty */
    emesh_cursor *cursor;       /* with commit: done with the append or not at all */
    emesh_commit commit;
    emesh_slice key;            /* placement */
    uint64_t deliver_at_ms;
    uint32_t attempts;
    uint32_t level;
    bool reply;                 /* to another daemon: the store routes it */
    void (*done)(emesh_own_append *append, emesh_bus_lane *lane, int32_t code,
                 emesh_position position, const char *why);
};

struct emesh_pending {
    emesh_session *session;     /* a reference; NULL: own */
    emesh_own_append *own;
    const emesh_event *event;   /* a reference, until the store has answered */
    emesh_bus_topic *topic;     /* borrowed from the lane's table while under way: counted there */
    uint64_t cookie;            /* the plugin's */
    uint64_t deliver_at_ms, deadline_ns;
    char *wanted;               /* name of the topic that is being opened */
    uint64_t request;           /* number of the request it is, or 0 (request.h) */
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

/* Of a lane: its sessions wait for room in the daemon's queue. */
void emesh_publish_look(emesh_alarm *alarm);
int32_t emesh_publish_items(emesh_session *session, const emesh_publish *items, uint32_t n);
/* [lane] Queues an append of the daemon's own. */
void emesh_own_append_queue(emesh_bus_lane *lane, emesh_own_append *append);
/* Is this slot under way? */
static inline bool
emesh_pending_busy(const emesh_pending *pending)
{
    return pending->session != NULL || pending->own != NULL;
}
/* The store's word on one append of this lane. */
void emesh_publish_done(emesh_bus_lane *lane, uint64_t cookie, int32_t code, uint32_t level,
                        emesh_position position, const char *reason, size_t reason_len);
/* Answers one pending and gives its slot back. */
void emesh_pending_end(emesh_bus_lane *lane, emesh_pending *pending, int32_t code, uint32_t level,
                       const char *why);
uint64_t emesh_pending_cookie(const emesh_bus_lane *lane, const emesh_pending *pending);
emesh_pending *emesh_pending_at(emesh_bus_lane *lane, uint32_t index);

typedef struct emesh_why { /* a refusal, for the publisher and for the journal */
    emesh_code code;
    const char *text;       /* of static life */
} emesh_why;

/* The chain every event passes (stage.c). 0, or why not. */
typedef struct emesh_staged {
    emesh_session *session; /* the principal, once topics have rights */
    const emesh_bus_topic *topic;
    const emesh_event *event;
    uint32_t level;
    uint64_t deliver_at_ms; /* 0 = now; a stage may set it */
} emesh_staged;
int32_t emesh_stages_before_topic(const emesh_publish *item, emesh_why *why);
int32_t emesh_stages_with_topic(emesh_staged *item, emesh_why *why);
/* delay.c: when the event may enter its topic. */
int32_t emesh_stage_delay(emesh_staged *item, emesh_why *why);
