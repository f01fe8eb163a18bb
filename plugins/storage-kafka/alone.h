/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers without a group: browsing and broadcasting. One thread and two clients for all of them: the
 * follower reads each topic that has readers once, from its end, and keeps the newest events; who is
 * further behind is read for by the other client, one after the other.
 */
#ifndef KF_ALONE_H
#define KF_ALONE_H
#include "inbox.h"

#define KF_TAIL_BYTES (16 << 20) /* of all topics together */

typedef struct kf_kept { /* an event in a tail */
    const emesh_event *event;
    int64_t offset;
    uint64_t stored_ms;
    int64_t bytes;
    uint32_t flags;
} kf_kept;

typedef struct kf_tail { /* the newest events of a partition */
    char *topic;
    int32_t number;
    uint32_t readers;
    int64_t first; /* all from here on that there are, are here */
    int64_t end;   /* up to here */
    GQueue kept;   /* kf_kept */
} kf_tail;

typedef struct kf_apart { /* a partition of such a reader */
    kf_cursor *cursor;
    kf_tail *tail;
    int32_t number;
    uint32_t epoch;
    emesh_start start;
    int64_t at_open;  /* the end when the reader was opened */
    int64_t next;     /* negative: not known yet */
    GList *place;     /* in its tail, of the last event handed over; NULL: not there */
    int64_t placed;   /* its offset */
    bool queued, told;
} kf_apart;

struct kf_alone {
    kf_store *store; /* the first: see kf_handle() */
    pthread_t thread;
    kf_inbox inbox;
    atomic_bool ending;
    /* the thread's own */
    rd_kafka_t *follower, *late;
    GPtrArray *cursors; /* kf_cursor that are open */
    GPtrArray *opening; /* the same, of which it is not known where they begin */
    GPtrArray *tails;
    int64_t bytes;       /* kept */
    GQueue behind;       /* kf_apart */
    kf_apart *reading;   /* the one that late reads for */
    uint32_t read;       /* records of this turn */
    uint64_t until_ns;   /* its turn ends */
    uint64_t again_ns;   /* openings are tried again */
    int32_t reply_at;    /* the partition of replies to this daemon, once it is followed; else -1 */
};

/* Under store->lock. */
kf_alone *kf_alone_need(kf_store *store, emesh_error *err);
kf_inbox *kf_alone_inbox(kf_alone *alone);
/* [work] No reader is open. */
void kf_alone_end(kf_alone *alone);
void kf_apart_free(void *apart);

/* tail.c, [thread] */
kf_tail *kf_tail_find(const kf_alone *a, const char *topic, int32_t number);
kf_tail *kf_tail_join(kf_alone *a, const char *topic, int32_t number, int64_t end);
void kf_tail_leave(kf_alone *a, kf_tail *tail);
void kf_tail_take(kf_alone *a, const rd_kafka_message_t *m);
/* Hands over what is in the tail; true: something was. */
bool kf_tail_feed(kf_alone *a, kf_apart *part);

/* late.c, [thread] */
void kf_late_want(kf_alone *a, kf_apart *part);
void kf_late_forget(kf_alone *a, const kf_apart *part);
bool kf_late_turn(kf_alone *a);

#endif
