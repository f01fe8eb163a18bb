/* SPDX-License-Identifier: Apache-2.0
 *
 * The cleaner, [keeper]: live records of neighbouring sealed segments go into one new segment
 * c-BASE.seg, sorted by (partition, offset), and one commit swaps the rows. So dead bytes leave the
 * disk, and a reader far behind finds its events side by side.
 *
 * A job is done in slices between the keeper's other work, paced while the store is in use:
 * pick (clean-pick.c) → control records, held events (clean-control.c) → events (clean-copy.c) → swap
 * (clean-swap.c) → the inputs are unlinked once unread. Inputs lie below the checkpoint. Whatever ends a job before its commit
 * loses nothing: the new file is dropped.
 */
#ifndef SA_CLEAN_H
#define SA_CLEAN_H
#include "footer.h"
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>

struct sa_store;
struct sa_segment;
struct sa_partition;

#define SA_CLEAN_INPUTS 500u          /* what a header can name */
#define SA_CLEAN_SLICE (1u << 20)     /* bytes copied between the keeper's other work */
#define SA_CLEAN_SYNC (8u << 20)      /* so that the last fdatasync is short */

enum sa_clean_state {
    SA_CLEAN_IDLE,
    SA_CLEAN_CONTROL, /* what control records of the inputs still mean */
    SA_CLEAN_HELD,    /* HOLDs that live, and marks that have to stay */
    SA_CLEAN_EVENTS,
    SA_CLEAN_RETIRE,  /* swapped; inputs wait for their last reader */
};

typedef struct sa_piece { /* a directory entry of an input */
    struct sa_segment *seg;
    sa_entry entry;
} sa_piece;

typedef struct sa_kept { /* a control record that is copied */
    guint piece; /* of controls */
    uint32_t record;
} sa_kept;

#define SA_LAGGING 16u

typedef struct sa_lagging { /* a reader whose records come from the disk, far behind */
    struct sa_partition *part;
    uint64_t offset;
    uint64_t seen_ns;
} sa_lagging;

typedef struct sa_cleaner {
    pthread_mutex_t lag_lock; /* a leaf */
    sa_lagging lag[SA_LAGGING];
    bool lag_news;
    /* the keeper's */
    enum sa_clean_state state;
    bool look;        /* something changed: there may be something to do */
    uint64_t next_ns; /* of the next slice, or look */
    uint64_t seen_work, used_ns; /* when the store was last seen in use */
    bool sorts;       /* for readers, not for room */
    GPtrArray *inputs;
    GArray *retiring;  /* u64: bases of what was swapped out */
    GArray *pieces;   /* sa_piece of events, by (partition, base) */
    GArray *controls; /* sa_piece of control records, in the order of the log */
    guint at;         /* the piece being copied */
    uint32_t record;  /* … and the next of its records */
    int read_error;    /* an input cannot be read: nothing may be taken for damage */
    GHashTable *pairs; /* group << 32 | partition → was deleted in between */
    bool deletes;      /* … and one of them is told so */
    bool oldest;       /* nothing lies before the inputs */
    GArray *older;     /* HOLDs that do, clean-control.c */
    uint64_t pure;     /* LSN below which every HOLD_DONE was known when the job began */
    GArray *kept;      /* sa_kept */
    guint kept_at;
    uint64_t kept_bytes;
    GHashTable *held;  /* tokens of HOLDs among them */
    GArray *moves;     /* sa_hold_move, of those that were copied */
    /* the new segment */
    struct sa_segment *out;
    GByteArray *buffer; /* not written yet */
    uint64_t place;     /* where the buffer begins */
    uint64_t unsynced;
    GArray *entries;    /* sa_entry: control records first, then one a piece */
    GArray *places;     /* u32, of all entries */
    GArray *prints;     /* sa_print */
    uint8_t *window;    /* bytes of an input */
    size_t window_cap, window_have;
    uint64_t window_at;
} sa_cleaner;

void sa_cleaner_init(sa_cleaner *cleaner);
void sa_cleaner_clear(struct sa_store *store);
void sa_clean_stop(struct sa_store *store); /* drops a job under way */
/* One slice, when it is time. */
void sa_clean_step(struct sa_store *store);
/* When it wants to be asked again, monotonic ns. */
uint64_t sa_clean_due(const struct sa_store *store);

/* [any] A reader met records of part from offset on that were not in memory. clean-pick.c */
void sa_clean_note(struct sa_store *store, struct sa_partition *part, uint64_t offset);
/* clean-pick.c: inputs of the next job into cleaner->inputs. False: nothing is worth it. */
bool sa_clean_pick(struct sa_store *store);
/* clean-copy.c: 0, or a negative errno that ends the job. *done: the state is through. */
int sa_clean_begin(struct sa_store *store);
int sa_clean_control(struct sa_store *store, bool *done);            /* clean-control.c */
int sa_clean_held(struct sa_store *store, uint64_t *bytes, bool *done); /* clean-control.c */
int sa_clean_events(struct sa_store *store, uint64_t *bytes, bool *done);
bool sa_piece_live(struct sa_store *store, const sa_entry *entry);
/* clean-swap.c: footer, rename, commit; then the rest of the store sees the new segment alone. */
int sa_clean_finish(struct sa_store *store);
/* Are the inputs gone from folder and disk? */
bool sa_clean_retired(struct sa_store *store);
void sa_clean_temp(char name[32], uint64_t base); /* of the file before it counts */

#endif
