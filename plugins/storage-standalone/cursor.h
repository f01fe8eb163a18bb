/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader's end here: one cursor per (group or alone, topic), on one lane. It takes from the
 * memory tail on its lane; what lies further back is read by a job on a pool thread, one at a time.
 *
 * topic->lock: the list of a topic's cursors and who waits. The rest is the lane's.
 */
#ifndef SA_CURSOR_H
#define SA_CURSOR_H
#include "blocks.h"
#include "groups.h"
#include "lane.h"

#define SA_READ_MAX 256u /* records per call */

typedef struct sa_cpart {
    sa_partition *part;
    sa_pair *pair; /* of the group, else NULL */
    uint64_t next; /* offset to hand over next */
    uint32_t epoch;
    bool begun;
    bool resolving; /* START_TIME is being looked up */
    uint64_t time_us; /* that time */
    sa_ahead ahead;
    bool told;      /* CAUGHT_UP was said */
} sa_cpart;

typedef struct sa_job { /* a read, or a look for a time, on a pool thread */
    emesh_task task;
    struct sa_cursor *cursor;
    sa_ask ask;
    uint32_t part; /* number in the cursor */
    uint32_t epoch;
    uint64_t time_us; /* look-up of START_TIME, else 0 */
    bool shared;      /* through the read blocks */
} sa_job;

struct sa_inbox_job;
struct sa_queue;

typedef struct sa_inbox { /* inbox.c */
    struct sa_queue *queue;
    GArray *out; /* NULL until the first: emesh_position, handed over under this epoch and not settled */
    struct sa_inbox_job *job;
    uint32_t epoch;
    bool begun, told;
} sa_inbox;

typedef struct sa_cursor { /* the host's emesh_cursor */
    struct sa_store *store;
    sa_lane *lane;
    sa_topic *topic;
    sa_group *group; /* NULL: alone */
    emesh_reader *reader;
    struct sa_cursor *topic_next; /* topic->lock */
    bool waiting;                 /* topic->lock */
    struct sa_cursor *ready_next;
    _Atomic uint32_t ready; /* in the lane's ready list */
    struct sa_cursor *closing_next;
    sa_job *job; /* under way: one at a time; else NULL */
    emesh_op *close_op;
    int64_t want_bytes;
    uint32_t want;
    uint32_t turn; /* partition to begin with */
    uint32_t n_parts;
    sa_inbox inbox;
    bool watch;       /* reads nothing: tells that there is something, once it is armed (want > 0) */
    bool bytes_given; /* a host that never grants bytes counts records alone */
    sa_cpart *parts; /* more when the topic gets more: sa_cursor_grow */
} sa_cursor;

/* [lane] The topic has more partitions than before: the host is told of them. */
void sa_cursor_grow(sa_cursor *c);
/* [any] It has: its readers look. */
void sa_topic_grown(sa_topic *topic);
/* [any] Something of topic became visible. */
void sa_topic_wake(sa_topic *topic);

/* kind table, [lane] */
emesh_cursor *sa_cursor_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader);
void sa_cursor_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch,
                     const emesh_start *start);
void sa_cursor_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch);
void sa_cursor_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes);
void sa_cursor_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n);
void sa_cursor_close(emesh_cursor *cursor, emesh_op *op);
uint32_t sa_cursor_idle(emesh_cursor *cursor);

/* [lane] feed.c */
void sa_feed(sa_cursor *c);
void sa_lane_feed(emesh_task *task, int32_t code);             /* the lane's ready list */
/* [lane] A place given by START_TIME is known. */
void sa_cursor_resolved(sa_cursor *c, uint32_t i, uint64_t offset);
/* [lane] Ends cursors whose last obstacle may be gone. */
void sa_cursors_flushed(sa_lane *lane);
/* The next visible event of the topic wakes it. */
void sa_cursor_wait(sa_cursor *c);
void sa_cursor_unwait(sa_cursor *c);

/* [lane] inbox.c: nothing is held for the group, due or not, nor on its way. */
bool sa_inbox_idle(const sa_cursor *c);

#endif
