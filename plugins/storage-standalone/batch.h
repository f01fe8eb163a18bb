/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch: what one append() call (or the store itself) wants written, packed on the lane that
 * publishes: pieces to gather, check sums, and the results to tell. A batch is written as a whole
 * into one segment. It is recycled on the lane that made it; nothing is allocated per event.
 */
#ifndef SA_BATCH_H
#define SA_BATCH_H
#include "catalog.h"

struct sa_store;
struct sa_lane;
struct sa_pair;

typedef struct sa_rec {
    uint8_t zero[8]; /* padding of the record before; belongs to one piece with head */
    uint8_t head[SA_RECORD_HEAD];
    uint8_t hold[SA_HOLD_HEAD]; /* first bytes of the body of a HOLD or HOLD_DONE; one piece too */
    const emesh_event *event; /* a reference until the tail has it; NULL: control record */
    sa_partition *part;
    const void *first; /* image, or the whole body of a control record */
    const emesh_part *data;
    struct sa_pair *pair; /* a COMMIT that came with an append: of these */
    uint32_t outcome, attempts;
    uint64_t settles; /* offset */
    uint64_t offset, time_us, lsn, hash;
    uint32_t first_len, n_data;
    uint32_t body, body_crc, attrs, own;
    uint32_t about; /* partition id in the header of a control record */
    uint16_t follow;
    uint8_t type, flags;
    bool held;  /* the body begins with hold */
    bool silent; /* no append of the host: nobody is told */
    bool fixed; /* the offset is given (recovery) */
    bool sync;  /* answered when durable, else when written */
    bool early; /* level memory: answered when queued */
    bool answered;
} sa_rec;

typedef struct sa_batch {
    struct sa_batch *next;      /* queue of the log, a turn of the writer, free list */
    struct sa_batch *wait_next; /* waits for the disk */
    struct sa_lane *lane;       /* whose free list; NULL: malloc'd */
    void (*done)(struct sa_batch *batch, int32_t code); /* of the store itself; else appended() */
    void *ctx;
    void *memory;               /* freed with it: bodies of control records */
    uint64_t bytes;             /* on disk */
    uint64_t lsn_end;
    uint32_t n, cap;
    uint32_t n_iov;
    uint32_t n_sync, n_early;
    bool control;               /* may use the last of a full disk */
    int32_t code;               /* of a batch with done() */
    _Atomic uint32_t refs;
    emesh_appended *results;    /* cap */
    sa_rec rec[];
} sa_batch;

#define SA_BATCH_RECORDS 256u
#define SA_BATCH_BYTES (256u << 10)

typedef struct sa_batches { /* free batches of a lane, by size class */
    sa_batch *own[3];              /* lane's */
    sa_batch *_Atomic returned[3]; /* given back by any thread */
} sa_batches;

/* [lane] Room for n records; NULL: no memory. */
sa_batch *sa_batch_get(struct sa_lane *lane, uint32_t n);
/* For the store's own records; any thread. */
sa_batch *sa_batch_new(uint32_t n);
void sa_batch_unref(sa_batch *batch);
void sa_batches_clear(sa_batches *batches);

/* Adds a control record with this body; the batch keeps memory. */
sa_rec *sa_batch_control(struct sa_store *store, sa_batch *batch, enum sa_type type,
                         const void *body, uint32_t len);
/* Adds a HOLD_DONE whose body is a hold head. */
sa_rec *sa_batch_control_hold(struct sa_store *store, sa_batch *batch, enum sa_type type,
                              uint64_t due, uint32_t kind, uint32_t group);
/* Body check sum, sizes and pieces of a record whose parts are set. */
void sa_rec_seal(sa_batch *batch, sa_rec *rec);

enum sa_answer {
    SA_ANSWER_EARLY,   /* queued, level memory */
    SA_ANSWER_WRITTEN, /* those that do not wait for the disk */
    SA_ANSWER_SYNCED,  /* those that do */
    SA_ANSWER_FAILED,  /* those with a code, before any is passed to the syncer */
    SA_ANSWER_LOST,    /* those that waited for the disk, which failed */
};
/* Tells the results of this kind that are not told yet, in one call per run of neighbours. */
void sa_batch_answer(struct sa_store *store, sa_batch *batch, enum sa_answer which);
/* Every record not answered yet gets code and reason (constant), and is told. Ends the reference. */
void sa_batch_refuse(struct sa_store *store, sa_batch *batch, int32_t code, const char *reason);
/* The disk failed while these waited for it. Ends the reference of the syncer. */
void sa_batch_lost(struct sa_store *store, sa_batch *batch, const char *reason);

#endif
