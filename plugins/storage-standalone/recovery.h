/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: from what lies in the folder to a store that can be opened. One thread; the log has no
 * threads yet. In the order of its steps: rows (recover-rows.c), files and scan (recover-scan.c),
 * replay and index (recover-replay.c), copy of what is above the durable mark (recover-copy.c).
 */
#ifndef SA_RECOVERY_H
#define SA_RECOVERY_H
#include "folder.h"
#include "rows.h"
#include "scan.h"
#include "segment.h"

typedef struct sa_item { /* what a scan found */
    uint64_t place, size, hash;
    sa_rec_head head;
    bool whole, head_good;
    bool keep; /* at or below the durable mark */
    bool copy; /* above it, to be written again */
} sa_item;

typedef struct sa_scanned { /* a segment without footer */
    sa_segment *seg;
    GArray *items;
    uint64_t stop; /* LSN where the records end */
    uint64_t size; /* of the file */
    bool footer, closed;
    bool headless; /* its header is not good */
} sa_scanned;

typedef struct sa_recovery {
    struct sa_store *store;
    emesh_error *err;
    GArray *files;       /* sa_file */
    GPtrArray *scanned;  /* sa_scanned, by base */
    GArray *missing;     /* u64: bases of segments with rows and without file */
    GArray *replaced;    /* u64: bases of inputs of cleaned files that stay */
    bool dropped;        /* files went: the folder is to be synced */
    sa_meta meta;
    bool have_meta;
    bool rebuild;        /* the index is new: everything comes from the log */
    bool corrupt;        /* a row is bad: set the index aside */
    uint64_t durable;    /* W: what must be there */
    uint32_t epoch;      /* largest seen */
    uint64_t top;        /* LSN behind everything */
    uint64_t catalog_lsn; /* the footers' catalogue is newer than CATALOG records below it */
    uint64_t clock_us;   /* largest seen */
    uint32_t swap;       /* cleaned segments up to this number are known to the index */
    uint64_t bad_areas;
} sa_recovery;

/* Recovers store; active segment and watermarks are set afterwards. */
int32_t sa_recover(struct sa_store *store, emesh_error *err);

/* the steps; each EMESH_OK or an error in r->err */
int32_t sa_recover_rows(sa_recovery *r);     /* catalogue, groups, segments that have rows */
int32_t sa_recover_headers(sa_recovery *r);  /* identity, versions */
void sa_recover_cleaned(sa_recovery *r);     /* files of the cleaner against their inputs */
int sa_recover_replaced(sa_recovery *r);     /* … whose rows go, once the checkpoint has the new ones */
int32_t sa_recover_files(sa_recovery *r);    /* the other files: footer, or scan */
void sa_recover_mark(sa_recovery *r);        /* the durable mark; damage and torn ends */
/* Files that were never written to go; when there is no room for copies, nothing is copied: the bytes
 * are written again in place. */
int32_t sa_recover_room(sa_recovery *r);
int32_t sa_recover_replay(sa_recovery *r);   /* control records, index, next offsets */
int32_t sa_recover_copy(sa_recovery *r);     /* write again what is above the mark, seal the rest */

/* Hash of the id and source in an attribute image; 0 when it is none. */
uint64_t sa_image_fingerprint(const uint8_t *image, size_t n);
uint64_t sa_image_fingerprint_1(const uint8_t *image, size_t n); /* of format 1.0 and 1.1 */

#endif
