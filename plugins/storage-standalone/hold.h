/* SPDX-License-Identifier: Apache-2.0
 *
 * Held events: delayed ones (they go into their topic's log when due) and inbox items (one group
 * alone sees them, when due). HOLD and HOLD_DONE records in the log are the truth, the table "holds"
 * is their checkpoint: u32 group, u32 topic (both 0: delayed), u64 due, u64 token. In memory is what
 * is newer than the checkpoint, what a reader has, and the next few thousand of each queue in use.
 *
 * The writer enters what is written; the firer thread (hold-fire.c) loads rows, fires what is due
 * and wakes readers; the keeper writes rows (hold-rows.c). Locks: rows_lock → lock → segs; lock is
 * never held across a system call.
 */
#ifndef SA_HOLD_H
#define SA_HOLD_H
#include "batch.h"
#include <lmdb.h>
#include <sys/queue.h>

struct sa_cursor;
struct sa_segment;

#define SA_INBOX 0x7fffffffu /* number of the partition "inbox" of a shared reader */
#define SA_HOLD_KEEP 32768u  /* of a queue in memory */
#define SA_HOLD_ROW_BYTES 32u /* u64 LSN, u32 size, kind, partition, attempts, 0, 0 */
#define SA_HOLD_LOAD 4096u   /* rows read at once */

enum sa_hold_row { SA_HOLD_NO_ROW, SA_HOLD_PUTTING, SA_HOLD_ROW };

typedef struct sa_queue {
    uint32_t group, topic;
    uint32_t n_holds; /* in memory */
    bool loading;     /* the firer reads its rows, without the lock */
    GTree *waiting; /* sa_hold by (due, token): not given to a reader, not being fired */
    uint64_t from_due, from_token; /* rows from here on are not in memory */
    bool all;                      /* no row is behind it */
    struct sa_cursor *cursor;      /* who reads it */
    _Atomic bool look;             /* something came, or became due, since it looked */
} sa_queue;

typedef struct sa_hold {
    uint64_t due, token;
    uint64_t lsn;
    uint64_t after; /* not before this is durable */
    sa_queue *queue;
    sa_partition *part;
    uint32_t kind, size, attempts;
    enum sa_hold_row row;
    bool out;     /* not in queue->waiting */
    bool settled; /* its HOLD_DONE is on its way */
    bool writing; /* … and in the queue of the log */
    bool dirty;
    TAILQ_ENTRY(sa_hold) dirty_link;
} sa_hold;

typedef struct sa_hold_dead { /* its row has to go */
    uint32_t group, topic;
    uint64_t due, token;
    bool counted; /* its segment has lost it already */
    bool taken;   /* by the checkpoint under way */
} sa_hold_dead;

typedef struct sa_hold_put { /* a row for the checkpoint */
    uint64_t token;
    uint8_t key[24], value[SA_HOLD_ROW_BYTES];
} sa_hold_put;

typedef struct sa_forgot { /* rows of this queue up to token are dead; topic alone: all of it */
    uint32_t group, topic;
    uint64_t token;
} sa_forgot;

typedef struct sa_holds {
    pthread_mutex_t rows_lock; /* loading against the checkpoint */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    GHashTable *queues;  /* group << 32 | topic → sa_queue; they stay */
    GPtrArray *active;   /* queues to look at: the delayed one and those with a reader */
    sa_queue *delayed;
    GHashTable *by_token; /* every sa_hold in memory */
    GHashTable *dead;     /* token → sa_hold_dead */
    GArray *forgot;
    TAILQ_HEAD(sa_hold_list, sa_hold) dirty;
    uint64_t seen;        /* largest token in the log */
    uint32_t undone;      /* HOLD_DONEs that could not be written */
    bool kicked, stopping, firing, running;
    uint64_t retry_ns;    /* not before, after a failure */
    pthread_t thread;
    _Atomic uint32_t unseen; /* some wait to be durable */
    /* log->lock */
    uint64_t next;
    /* recovery */
    bool recovering;
    GHashTable *done, *tried; /* tokens; token → attempts */
    /* the checkpoint under way */
    GArray *puts;
} sa_holds;

void sa_holds_init(sa_holds *holds);
void sa_holds_clear(sa_holds *holds);
int sa_holds_start(struct sa_store *store);
void sa_holds_stop(struct sa_store *store);
void sa_holds_kick(struct sa_store *store);

typedef struct sa_hold_seen { /* a HOLD or HOLD_DONE in the log */
    enum sa_type type;
    uint32_t partition, own, size;
    uint64_t token, lsn, after;
    const uint8_t *head; /* SA_HOLD_HEAD bytes, or NULL */
} sa_hold_seen;

/* [writer, recovery] In the order of the log; before the written mark moves over it. */
void sa_hold_apply(struct sa_store *store, const sa_hold_seen *seen);
/* [syncer] More is durable. */
void sa_holds_durable(struct sa_store *store);

void sa_hold_head_write(uint8_t out[SA_HOLD_HEAD], uint64_t due, uint32_t kind, uint32_t group);
/* Adds a HOLD_DONE; attempts > 0: not done, that often tried. lock held, or a copy. */
void sa_hold_done_rec(struct sa_store *store, sa_batch *batch, uint64_t due, uint64_t token,
                      uint32_t kind, uint32_t group, uint32_t partition, uint32_t attempts);
/* [firer] Writes a batch of HOLD_DONEs, again and again. */
void sa_holds_submit(struct sa_store *store, sa_batch *batch);
/* [any] HOLD_DONEs of this batch were not written: the firer tries again. */
void sa_holds_undone(struct sa_store *store, const sa_batch *batch);

/* The topic is deleted; the group has forgotten the topic (0: all topics). */
void sa_holds_drop_topic(struct sa_store *store, uint32_t topic);
void sa_holds_forget(struct sa_store *store, uint32_t group, uint32_t topic);
bool sa_holds_any(struct sa_store *store, uint32_t group, uint32_t topic); /* in memory */

/* lock held */
sa_queue *sa_queue_need(sa_holds *holds, uint32_t group, uint32_t topic);
void sa_queue_drop(sa_holds *holds, sa_queue *queue); /* nothing is in it, nor in its rows */
void sa_hold_out(sa_hold *hold);  /* leaves waiting */
void sa_hold_back(sa_hold *hold); /* returns to it */
void sa_queue_wake(sa_queue *queue); /* its reader, if there is one, looks */
sa_hold *sa_queue_first(const sa_queue *queue);
/* The first that is due, visible and surely the oldest; NULL: none now. */
sa_hold *sa_queue_due(struct sa_store *store, const sa_queue *queue, uint64_t now_us);
void sa_hold_free(sa_holds *holds, sa_hold *hold);
void sa_hold_dirty(sa_holds *holds, sa_hold *hold);
sa_hold *sa_hold_add(sa_holds *holds, sa_queue *queue, sa_partition *part, uint64_t due,
                     uint64_t token);
void sa_hold_bury(sa_holds *holds, uint32_t group, uint32_t topic, uint64_t due, uint64_t token,
                  bool counted);
/* Memory of a queue that is too large, or that nobody reads, goes back to the rows. */
void sa_queue_trim(sa_holds *holds, sa_queue *queue);
/* A HOLD of size at lsn is live (n 1) or no more (-1). */
void sa_hold_count(struct sa_store *store, uint64_t lsn, uint32_t size, int n);

void sa_hold_row_key(uint8_t key[24], uint32_t group, uint32_t topic, uint64_t due,
                     uint64_t token);
typedef struct sa_hold_row_value {
    uint32_t group, topic;
    uint64_t due, token, lsn;
    uint32_t size, kind, partition, attempts;
} sa_hold_row_value;
bool sa_hold_row_read(const MDB_val *key, const MDB_val *value, sa_hold_row_value *row);
/* hold-rows.c; [firer] More of the queue into memory. False: nothing could be read. */
bool sa_queue_load(struct sa_store *store, sa_queue *queue);
/* [keeper] Around a checkpoint: what is to be written, in the transaction, afterwards. */
void sa_holds_take(struct sa_store *store);
int sa_holds_put(struct sa_store *store, MDB_txn *txn);
void sa_holds_taken(struct sa_store *store, bool good);
/* Recovery's end: rows that are dead, live bytes of segments, the next token. */
int sa_holds_recovered(struct sa_store *store, bool jump);

/* inbox.c, [lane] */
void sa_inbox_begin(struct sa_cursor *c, uint32_t epoch);
void sa_inbox_end(struct sa_cursor *c);
void sa_inbox_feed(struct sa_cursor *c);
void sa_inbox_commit(struct sa_cursor *c, const emesh_commit *items, uint32_t n);

/* reader.c: body of a HOLD as an event; NULL: damaged, or *again: no memory. */
const emesh_event *sa_hold_read(struct sa_store *store, uint64_t lsn, uint64_t token,
                                uint8_t **body, sa_rec_head *head, bool *again);

/* The HOLD of this token lies somewhere else than at lsn: the cleaner has moved it. */
bool sa_hold_elsewhere(struct sa_store *store, uint64_t token, uint64_t lsn);

/* hold-live.c, [keeper], for the cleaner */
typedef struct sa_hold_move { /* a live HOLD and its new place */
    uint8_t key[24];
    uint64_t token, lsn;
    uint32_t size;
    bool row; /* it has one, which names the new place */
} sa_hold_move;

/* Key of the row of a HOLD or HOLD_DONE with this header and these first bytes of its body
 * (SA_HOLD_HEAD of them). False: its topic is gone. */
bool sa_hold_key(struct sa_store *store, const sa_rec_head *head, const uint8_t *body,
                 uint8_t key[24]);
/* Is it wanted still? When it cannot be told, it is. *attempts (may be NULL): what it has had. */
bool sa_hold_live(struct sa_store *store, const sa_rec_head *head, const uint8_t *body,
                  uint32_t *attempts);
/* Its row, within the cleaner's transaction. 0 or LMDB's code. */
int sa_hold_move_row(struct sa_store *store, MDB_txn *txn, sa_hold_move *move);
/* What memory knows, once that is committed. rows_lock, lock and segs' lock held. */
void sa_holds_moved(struct sa_store *store, struct sa_segment *out, GArray *moves);
/* A HOLD_DONE in seg may go only once this is false: an index made anew would find its event again.
 * segs' lock held. */
bool sa_hold_marks(struct sa_store *store, const struct sa_segment *seg);
/* Recovery: a HOLD or HOLD_DONE lies there, whether or not it is applied. */
void sa_hold_note(struct sa_store *store, enum sa_type type, uint64_t token, uint64_t lsn);

#endif
