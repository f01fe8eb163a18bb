/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: one queue, one writer at a time, two watermarks.
 *
 * A lane that finds nobody writing becomes the writer for all that waits (combining). When more
 * waits behind it, or a write of the last second took over 2 ms, or a new segment is not there yet,
 * the writer thread takes over until it is calm. The syncer runs fdatasync while anything waits.
 *
 * Lock: log->lock, held for queue and watermark work only, never across a system call.
 */
#ifndef SA_LOG_H
#define SA_LOG_H
#include "batch.h"
#include "segment.h"
#include "tail.h"

#define SA_IOV 1024
#define SA_TURN_BYTES (256u << 10)
/* Written bytes are sent to the disk in pieces of this size, so that the fdatasync that follows has
 * little left to write: while it runs, writes to the same file may wait. */
#define SA_FLUSH_BYTES (1u << 20)
#define SA_SLOW_NS 2000000u
#define SA_CALM_NS 1000000000u

typedef enum sa_who { SA_WHO_NOBODY, SA_WHO_LANE, SA_WHO_THREAD } sa_who;

typedef struct sa_unseen { /* a partition may be read up to offset once lsn is durable */
    sa_partition *part;
    uint64_t offset, lsn;
} sa_unseen;

typedef struct sa_log {
    pthread_mutex_t lock;
    pthread_cond_t writer_wake, sync_wake, idle_wake;
    /* lock */
    sa_batch *head, **tail; /* queue */
    uint64_t queued;        /* bytes */
    sa_who who;
    bool stopping;          /* threads end when there is nothing left */
    bool roll_asked;        /* the keeper wants the active segment closed */
    bool sync_now;          /* the syncer is asked for */
    bool no_next;           /* the next segment cannot be made: disk full */
    bool full;              /* below min-free: events are refused */
    _Atomic int32_t failed; /* EMESH_E_*: the instance is broken; written under lock */
    sa_segment *next;       /* prepared by the keeper */
    sa_batch *wait_head, **wait_tail; /* written, wait for the disk */
    sa_unseen *unseen;      /* ring, by LSN */
    uint32_t unseen_cap, unseen_at, unseen_n;
    uint64_t first_unsynced_ns; /* when the oldest unsynced byte was written, 0 = none */
    _Atomic uint64_t slow_until; /* monotonic ns: lanes do not write before */
    _Atomic uint64_t written, durable;
    _Atomic uint64_t flushed; /* sent to the disk; the syncer's word, the writer compares */
    _Atomic uint64_t entered; /* what groups and held events know of; written follows at once */
    /* the writer's */
    uint64_t suspect_until; /* a slow write was seen within a second */
    sa_segment *active;
    struct iovec iov[SA_IOV];
    uint64_t turn;
    sa_partition **touched;
    uint32_t n_touched, cap_touched;
    sa_tail_new *fresh; /* goes into the memory tail */
    uint32_t cap_fresh;
    pthread_t writer, syncer;
    bool threads;
} sa_log;

int sa_log_init(struct sa_store *store);
int sa_log_start(struct sa_store *store); /* threads */
/* Writes and syncs what is queued, ends the threads. */
void sa_log_stop(struct sa_store *store);
void sa_log_clear(struct sa_store *store);

/* [any] Queues a batch and, if nobody writes and may_write, writes. Every batch is answered. */
void sa_log_submit(struct sa_store *store, sa_batch *batch, bool may_write);
/* [keeper] The next segment is there, or cannot be made. */
void sa_log_give_next(struct sa_store *store, sa_segment *seg, bool full);
/* [any] Makes everything written so far durable; waits. 0 or an errno. Not for lanes. */
int sa_log_sync(struct sa_store *store);
/* The instance is broken: waiters are told, the host is told. */
void sa_log_fail(struct sa_store *store, int32_t code, int os_errno, const char *what);

/* [writer] write.c */
typedef enum sa_turn {
    SA_TURN_IDLE,   /* the queue is empty, nobody writes */
    SA_TURN_MORE,   /* more waits */
    SA_TURN_HANDED, /* the writer thread goes on */
} sa_turn;
sa_turn sa_write_turn(struct sa_store *store, sa_who me);

/* syncer.c; lock held */
bool sa_unseen_push(sa_log *log, sa_partition *part, uint64_t offset, uint64_t lsn);
void *sa_syncer(void *arg);
int32_t sa_sync_once(struct sa_store *store); /* for the syncer, and where there is none yet */

#endif
