/* SPDX-License-Identifier: Apache-2.0
 *
 * A segment: one file of the log with what is known of it in memory; and the set of all segments,
 * sorted by base LSN. While a segment is not sealed its index is a chain of vectors (index.h);
 * afterwards its directory, in memory until the chunk rows are in LMDB.
 *
 * Lock: segs->lock for everything not marked otherwise. Segments live until the store ends or the
 * keeper deletes them; a reader that holds one (use > 0) keeps file and record.
 */
#ifndef SA_SEGMENT_H
#define SA_SEGMENT_H
#include "footer.h"
#include "format.h"
#include "io.h"
#include <pthread.h>
#include <stdatomic.h>

#define SA_NAME_MAX 32u
#define SA_OPEN_MAX 48u /* sealed segments with an open descriptor, beyond those in use */

typedef struct sa_vec sa_vec;
struct sa_store;

/* Fingerprints of the events of a segment that is not sealed, index.h. */
typedef struct sa_prints {
    struct sa_print_block *first, *tail;
    _Atomic uint32_t count;
} sa_prints;

typedef struct sa_tokens { /* of held events; last 0: none */
    uint64_t first, last;
} sa_tokens;

typedef enum sa_seg_state {
    SA_SEG_ACTIVE, /* written to */
    SA_SEG_CLOSED, /* full; its index is in memory alone */
    SA_SEG_SEALED, /* carries its footer */
} sa_seg_state;

typedef struct sa_segment {
    uint64_t base;
    uint64_t last;          /* LSN behind the file: the next segment's base */
    _Atomic uint64_t end;   /* LSN behind the last record */
    _Atomic uint64_t born_us; /* the store's clock when its first record was written; 0 = none */
    uint64_t size;          /* of the file once sealed */
    uint64_t clock_us;      /* the store's clock when it was closed */
    uint32_t epoch;
    sa_seg_state state;
    int fd;                 /* -1: closed */
    uint32_t use;           /* readers at it */
    uint64_t used;          /* tick of the last use */
    _Atomic uint64_t synced; /* LSN up to which the disk has it */
    uint64_t flushed;        /* the syncer: LSN up to which it was sent there, 0 = not yet */
    bool rows;              /* its chunks are in LMDB */
    bool gone;              /* being deleted: no new reader */
    bool cleaned;           /* written by the cleaner: its name begins with c- */
    bool pending;           /* … and its rows are not committed yet */
    bool cleaning;          /* being copied: it must not be deleted */
    bool uncleanable;       /* its directory cannot be read: it stays as it is */
    bool damaged;           /* footer is not usable */
    bool adopted;           /* header checked in this life */
    sa_vec *vecs;           /* newest first */
    sa_prints prints;       /* of the events, while not sealed */
    sa_entry *dir;          /* sealed, not yet in LMDB */
    uint32_t n_dir;
    uint32_t live;          /* entries of partitions > 0 not yet cut by retention */
    uint64_t live_bytes;
    uint32_t held;          /* live HOLDs in it, hold.h */
    uint64_t held_bytes;
    sa_tokens holds, dones; /* HOLDs and HOLD_DONEs in it, live or not */
    uint64_t pure;          /* cleaned: no HOLD in it was done by a record below this LSN */
    uint64_t kept_commits, kept_marks; /* cleaned: bytes of its COMMITs and HOLD_DONEs */
    uint64_t carried;       /* … of which the cleaner would keep so much again; the keeper's */
    uint32_t swap;          /* cleaned: its number, of the header */
    bool deletes;           /* a COMMIT in it deletes a pair */
    sa_trailer trailer;     /* sealed and read */
    bool trailer_known;
} sa_segment;

typedef struct sa_segs {
    pthread_mutex_t lock;
    sa_segment **all;
    uint32_t n, cap;
    uint32_t n_open;
    uint64_t tick;
    uint64_t dirs_from; /* base of the oldest segment whose directory may be in memory */
    _Atomic uint64_t swaps; /* times that cleaned segments took the place of others */
} sa_segs;

void sa_segs_init(sa_segs *segs);
void sa_segs_clear(struct sa_store *store); /* closes and frees everything */

void sa_seg_name(char out[SA_NAME_MAX], uint64_t base, bool cleaned);
/* The base in a name like 0000000000001000.seg, or c-0000000000001000.seg; false for other files. */
bool sa_seg_base(const char *name, uint64_t *base, bool *cleaned);
/* Its name in messages. */
#define SA_SEG_NAME "%s%016llx.seg"
#define SA_SEG_ARGS(seg) (seg)->cleaned ? "c-" : "", (unsigned long long)(seg)->base

/* Creates, allocates and syncs a new file with its header, and the directory. Not yet in the set. */
int sa_seg_create(struct sa_store *store, uint64_t base, uint64_t size, sa_segment **out);
sa_segment *sa_seg_new(uint64_t base, uint64_t last);
/* Frees a segment that is in no set. */
void sa_seg_free(struct sa_store *store, sa_segment *seg);

/* lock held */
int sa_segs_add(sa_segs *segs, sa_segment *seg);
void sa_segs_remove(sa_segs *segs, sa_segment *seg);
sa_segment *sa_segs_find(const sa_segs *segs, uint64_t base);
/* Number of the first segment whose base is at or behind base. */
uint32_t sa_segs_place(const sa_segs *segs, uint64_t base);
/* The segment that holds lsn, or NULL; one that is on its way in or out is none. */
sa_segment *sa_segs_at(const sa_segs *segs, uint64_t lsn);

/* A descriptor to read from, until sa_seg_leave. Lock held since the segment was found, or it may be
 * buried in between. Negative errno on failure; -ENOENT: NULL, or retention took it. */
int sa_seg_use(struct sa_store *store, sa_segment *seg);
void sa_seg_leave(struct sa_store *store, sa_segment *seg);

#endif
