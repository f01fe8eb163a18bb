/* SPDX-License-Identifier: Apache-2.0
 *
 * A group that is read here: one client of the broker's group with one thread, for all topics of the
 * group. Lanes leave orders and wishes in its inbox; the thread alone talks to librdkafka, so it may
 * wait, and tells the host. It is in the broker's group as long as a reader is open and leave-after
 * longer.
 */
#ifndef KF_GROUP_H
#define KF_GROUP_H
#include "done.h"
#include "inbox.h"

#define KF_SETTLE_NS (UINT64_C(500) * 1000000)
#define KF_SECOND_NS UINT64_C(1000000000)

typedef struct kf_part { /* a partition that the broker gave us, and the host was told of */
    kf_cursor *cursor;
    int32_t number;
    uint32_t epoch;          /* of begin(); 0: not begun */
    emesh_start start;
    bool resolved;           /* next and done are known */
    bool fetching;           /* part of the assignment as librdkafka has it */
    bool revoking, dirty;
    bool suspended;          /* the host has it, the broker not: see rebalance.c */
    bool recheck;            /* it came back: is it where we left it? */
    int64_t committed;       /* the floor that the broker was told last */
    bool caught_up, told;    /* told: that it is */
    int64_t next;            /* the next offset to be handed over */
    kf_done done;
    rd_kafka_queue_t *queue;
} kf_part;

typedef struct kf_linger { /* a topic that is in the subscription */
    char *topic;
    uint32_t readers;
    uint64_t until_ns; /* without readers */
} kf_linger;

struct kf_group {
    kf_store *store; /* the first: see kf_handle() */
    char *name;
    kf_inbox inbox;
    uint32_t users; /* open readers: store->lock */
    bool leaving;   /* out of store->groups: store->lock */
    /* the thread's own */
    rd_kafka_t *rk;
    rd_kafka_queue_t *events;  /* results of commits */
    GPtrArray *cursors;
    GPtrArray *topics;         /* kf_linger */
    GPtrArray *places;         /* kf_order PLACE that wait for membership */
    GPtrArray *leaves;         /* kf_order LEAVE, answered at the end */
    uint64_t change_ns;        /* subscribe at; 0: nothing changed */
    bool subscribed, leave_now;
    bool own_change;           /* the next revoke comes of what we subscribed */
    rd_kafka_topic_partition_list_t *assigned; /* by the broker; NULL: none */
    bool assign_due;           /* the assignment is to be told to librdkafka (anew) */
    uint64_t assign_ns;        /* not before */
    uint64_t revoke_ns;        /* a revoke under way ends then at the latest; 0: none */
    uint64_t settle_ns;        /* the next commit; 0: nothing to commit */
    bool committing;
    uint32_t fails;            /* of commits in a row */
    uint64_t look_ns;          /* topics that seem to be gone are looked for */
};

/* cursor.c and ask.c, [any] */
/* The group, made when it is not there, with one more user. NULL: err. */
kf_group *kf_group_need(kf_store *store, const char *name, emesh_error *err);
bool kf_group_is_here(kf_store *store, const char *name);
/* [worker] Commits places as a member, joining if need be; waits. */
int32_t kf_group_place(kf_store *store, const char *name,
                       const rd_kafka_topic_partition_list_t *parts, emesh_error *err);
/* [worker] The client here leaves the broker's group at once, unless it has readers: BUSY. */
int32_t kf_group_leave(kf_store *store, const char *name, emesh_error *err);
/* May one more group be read? */
bool kf_group_room(kf_store *store, const char *name);

/* group.c, [thread] */
void *kf_group_run(void *group);
uint64_t kf_now(const kf_group *g);
void kf_group_part_free(void *part);
kf_part *kf_group_part(const kf_group *g, const char *topic, int32_t number);

/* rebalance.c, [thread] */
void kf_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts,
                  void *opaque);
/* Announces what is assigned and has a reader now. */
void kf_rebalance_offer(kf_group *g, kf_cursor *cursor);
/* What is due of the assignment. */
void kf_rebalance_turn(kf_group *g, uint64_t now);

/* settle.c, [thread] */
void kf_settle_take(kf_group *g, kf_cursor *cursor, const emesh_commit *commit);
void kf_settle_turn(kf_group *g, uint64_t now);
/* Commits what is dirty of a cursor (NULL: of all) and waits for it. */
void kf_settle_now(kf_group *g, const kf_cursor *cursor);
/* Commits parts and waits. */
rd_kafka_resp_err_t kf_settle_wait(kf_group *g, const rd_kafka_topic_partition_list_t *parts);

/* feed.c, [thread] */
/* Hands records over; true: there may be more. */
bool kf_feed(kf_group *g);

#endif
