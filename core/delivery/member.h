/* SPDX-License-Identifier: Apache-2.0
 *
 * The session's end of a subscription: the handle the plugin holds.
 */
#pragma once
#include "bus/session.h"
#include "bus/topic.h"

typedef struct emesh_consumer emesh_consumer; /* sub.h: its other end */

/* What all subscriptions of a session have open together, wherever their owners live; all atomic. */
typedef struct emesh_credit {
    uint32_t refs;
    uint32_t members; /* subscriptions that share it */
    uint32_t events;  /* it may have so many; grows and shrinks with its acknowledgements */
    uint32_t open;    /* un-acked */
    uint64_t bytes;   /* of them */
} emesh_credit;
emesh_credit *emesh_credit_new(uint32_t most);
emesh_credit *emesh_credit_ref(emesh_credit *credit);
void emesh_credit_unref(emesh_credit *credit); /* NULL is fine */

/* What subscriptions of a session have in common, once for all that have the same. */
typedef struct emesh_terms emesh_terms;
struct emesh_terms {
    emesh_terms *next;          /* session->terms */
    uint32_t refs;
    uint32_t mode, flags;
    uint64_t ack_timeout_ns;    /* 0 = the group's, or 60 s */
    uint64_t window_bytes;
    char group[];
};

/* What a member has while something goes on with it: not when its subscription is at rest. */
typedef struct emesh_member_busy {
    emesh_member *of;
    emesh_bus_lane *owner;      /* NULL until joined */
    char *topic_name;
    emesh_start start;
    emesh_topic_waiter waiter;  /* while the topic is being opened */
    int32_t answer;             /* of the join */
    char *answer_text;
    emesh_delivery *items;      /* what came since the last deliver() */
    uint32_t n_items, room_items;
    struct emesh_pattern *pattern; /* its topic is one: what is behind it (patterns.h) */
    struct emesh_adopt *adopt;  /* push_to: its other end is another session's (adopt.h) */
    emesh_member *parent;       /* a leaf of a pattern: whose deliveries these are */
    bool adopted;               /* this end pushes */
    emesh_phased call;
} emesh_member_busy;

struct emesh_member { /* a million of them may be at rest: 80 B with what malloc adds */
    emesh_session *session;
    void *ctx;                  /* the plugin's */
    emesh_bus_topic *topic;
    emesh_terms *terms;
    emesh_member_busy *busy;    /* NULL: at rest, and neither a leaf nor adopted */
    emesh_consumer *peer;       /* NULL: it has not joined, or is at rest */
    struct emesh_rest *rest;    /* with its owner (rest.h); else NULL */
    uint32_t window_events;     /* atomic: listings read it */
    uint16_t attach;            /* number in session->members: part of delivery ids */
    uint16_t owner_id;          /* of the lane, in bus->lanes; once joined */
    bool left;                  /* unsubscribed or its session is closed */
    bool told, ended;           /* subscribed() was called; with a code */
    bool joining, forget;
};

emesh_member *emesh_member_subscribe(emesh_session *session, const emesh_subscribe *spec,
                                     void *ctx);
void emesh_member_unsubscribe(emesh_member *member, uint32_t forget);
void emesh_member_window(emesh_member *member, uint32_t events, uint64_t bytes);
void emesh_member_settle(emesh_session *session, const emesh_settle *items, uint32_t n);
/* The session is over: all its members leave. */
void emesh_members_leave(emesh_session *session, uint32_t how);

/* Mail from the owner. */
void emesh_member_joined(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_member_offer(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_member_ended(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_member_gone(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_member_rest(emesh_bus_lane *here, const emesh_mail *mail); /* from: the record */
void emesh_member_wake(emesh_bus_lane *here, const emesh_mail *mail); /* likewise */
