/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper thread: makes the next segment, seals closed ones, retention, checkpoints, unlinks
 * what is dead, watches the disk. Nothing on a lane waits for it.
 */
#ifndef SA_KEEPER_H
#define SA_KEEPER_H
#include "groups.h"
#include <pthread.h>

#define SA_ROWS_BATCH 16u      /* sealed segments whose chunk rows are written at once */
#define SA_ROWS_DELETE 1000u   /* rows deleted per commit */

typedef struct sa_doomed { /* a chunk row */
    uint32_t partition;
    uint64_t offset;
} sa_doomed;

typedef struct sa_tell { /* where groups stand, told again: tell.c */
    uint64_t want;    /* for segments that end at or before this LSN */
    uint64_t mark;    /* … of the turn under way */
    uint64_t now;     /* its records lie at or behind this LSN */
    guint at;         /* its next group */
    bool running;
    uint64_t again_ns; /* not before, after a failure */
    _Atomic uint32_t under_way; /* bytes */
    _Atomic bool failed;
} sa_tell;

typedef struct sa_keeper {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool kicked, stopping, running;
    bool retain; /* something was cut or deleted: its bytes are given back now */
    bool disk_full; /* a write met the end of the disk */
    pthread_t thread;
    GPtrArray *pairs, *topics, *groups; /* whose rows are old; lock */
    _Atomic bool dirty;                 /* anything for a checkpoint */
    /* the keeper's */
    uint64_t catalogued;   /* base of the segment that got the catalogue */
    uint64_t applied;      /* LSN of the last checkpoint */
    uint64_t told;         /* records at or behind this LSN tell where every group stands */
    sa_tell tell;
    uint64_t checkpoint_at;
    uint64_t retention_at;
    uint64_t space_at;
    uint32_t row_errors;   /* LMDB errors in a row */
    GArray *doomed;        /* sa_doomed: chunk rows to delete */
    GHashTable *changed;   /* segments with rows whose live count changed */
    uint64_t sealed;       /* segments sealed and not yet in rows */
    bool all_rows;         /* the next checkpoint writes rows of all sealed segments */
    bool low;              /* disk below min-free */
    bool reserve;          /* the reserve file is there */
} sa_keeper;

void sa_keeper_init(sa_keeper *keeper);
void sa_keeper_clear(sa_keeper *keeper);
int sa_keeper_start(struct sa_store *store);
void sa_keeper_stop(struct sa_store *store);
void sa_keeper_kick(struct sa_store *store); /* [any] */
void sa_keeper_retain(struct sa_store *store); /* [any] retention has work */
void sa_keeper_full(struct sa_store *store); /* [any] a write met the end of the disk */
void sa_keeper_topic(struct sa_store *store, sa_topic *topic); /* [any] its row is old */
void sa_keeper_group(struct sa_store *store, sa_group *group);

/* [keeper], and recovery where there is none yet */
void sa_keeper_make_next(struct sa_store *store, uint64_t size);
int sa_seal(struct sa_store *store, struct sa_segment *seg);   /* seal.c */
void sa_seal_closed(struct sa_store *store);
/* checkpoint.c: rows of all sealed segments too; clean: an orderly stop. 0 or an error. */
int sa_checkpoint(struct sa_store *store, bool all, bool clean);
void sa_retain(struct sa_store *store);                        /* retention.c */
void sa_unlink_dead(struct sa_store *store);
/* tell.c: before segments that end at mark go, where groups stand is to be told behind it; keeper.told
 * says when it is. */
void sa_tell_want(struct sa_store *store, uint64_t mark);
void sa_tell_step(struct sa_store *store);
bool sa_tell_hopeless(const struct sa_store *store); /* the disk is full, and takes no progress either */
void sa_space_check(struct sa_store *store);                   /* space.c */
uint64_t sa_space_min(struct sa_store *store);
void sa_space_reserve(struct sa_store *store);
void sa_space_give(struct sa_store *store); /* the reserve, when dead files were not enough */

#endif
