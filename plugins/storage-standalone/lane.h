/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store keeps per lane: batches to pack into, cursors that have something to read, the
 * timer that writes progress of groups down.
 */
#ifndef SA_LANE_H
#define SA_LANE_H
#include "batch.h"
#include "eventmesh/loop.h"

struct sa_cursor;
struct sa_pair;

typedef struct sa_lane { /* the host's emesh_lane */
    struct sa_store *store;
    emesh_loop *loop;
    uint32_t index;
    pthread_t thread;
    sa_batches batches;
    /* cursors to look at: pushed by any thread, taken by the lane */
    struct sa_cursor *_Atomic ready;
    _Atomic uint32_t ready_posted;
    emesh_task ready_task;
    /* progress to write: lane's */
    emesh_timer *timer;
    bool timer_set;
    struct sa_pair *dirty; /* pairs with something new */
    uint32_t flushes;      /* COMMIT batches under way, counted on the lane */
    bool flushing;         /* inside sa_commit_flush */
    struct sa_cursor *closing; /* cursors that wait for flushes, a read or their turn */
    struct sa_flush *_Atomic flushed; /* came back, from any thread */
    _Atomic uint32_t flushed_posted;
    emesh_task flushed_task;
    emesh_op *detach;      /* waits for flushes */
    struct sa_lane *next;  /* all lanes of the store, freed at its end */
} sa_lane;

/* life table */
int32_t sa_lane_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
                       emesh_error *err);
void sa_lane_detach(emesh_lane *lane, emesh_op *op);
void sa_lane_drain(emesh_lane *lane, uint64_t deadline_ns, emesh_op *op);

/* [lane] pack.c */
void sa_append(emesh_lane *lane, const emesh_append *items, uint32_t n);

/* [lane] Nothing of a detaching lane is under way any more. */
void sa_lane_gone(sa_lane *lane);
/* [any] cursor has something to look at. */
void sa_lane_ready(sa_lane *lane, struct sa_cursor *cursor);

#endif
