/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks the records of a segment file from a place on, through a window that grows with the largest
 * record. Damaged stretches are jumped over: the next valid header ends them. Blocks.
 */
#ifndef SA_SCAN_H
#define SA_SCAN_H
#include "format.h"
#include "io.h"
#include <stdatomic.h>

typedef struct sa_found {
    uint64_t place;
    uint64_t size;  /* on disk; of a damaged stretch: up to the next record */
    bool whole;     /* header and body good */
    bool head_good; /* header good: head is valid */
    sa_rec_head head;
    const uint8_t *body; /* of a whole record, for the call */
    const void *ctx2;
} sa_found;

typedef struct sa_scan {
    const sa_io *io;
    int fd;
    uint64_t base;
    uint32_t salt;
    uint64_t from;  /* place to begin at; 0: behind the header */
    uint64_t end;   /* LSN to stop at; 0: of the file */
    _Atomic uint64_t *counter; /* bytes read */
    const void *ctx2;
    /* results */
    uint64_t stop;   /* LSN where the records end: a footer, or nothing but zeros behind it */
    bool footer;     /* a footer begins at stop */
    bool closed;     /* the closing record was there */
    bool torn;       /* behind it lies a part of a footer */
    /* window */
    uint8_t *window;
    size_t cap, have;
    uint64_t at; /* place of window[0] */
    bool eof;
} sa_scan;

/* Calls each for records and damaged stretches in order; false stops. 0 or a negative errno. */
int sa_scan_run(sa_scan *scan, bool (*each)(void *ctx, const sa_found *found), void *ctx);

#endif
