/* SPDX-License-Identifier: Apache-2.0
 *
 * The log on disk, to the byte: segment header, record header, what a scan finds at a place. Pure
 * functions over (pointer, length): recovery, readers, the offline tool and the fuzzer share them.
 * Little-endian, everything aligned to 8. Any thread.
 */
#ifndef SA_FORMAT_H
#define SA_FORMAT_H
#include "le.h"
#include <stdbool.h>
#include <stddef.h>

#define SA_MAJOR 1u
#define SA_MINOR 2u
#define SA_FEATURE_CLEANED 1u /* there are, or were, segments c-BASE.seg */
#define SA_INCOMPAT SA_FEATURE_CLEANED /* incompatible features this code can read */

#define SA_SEGMENT_HEAD 4096u
#define SA_RECORD_HEAD 64u
#define SA_RECORD_MAX (16u << 20)
#define SA_UNIT_RECORDS 1024u
#define SA_RECORD_MAGIC 0x43455245u /* "EREC" */

/* kind of a segment */
#define SA_SEGMENT_LOG 0u
#define SA_SEGMENT_CLEANED 1u

/* types of records */
enum sa_type {
    SA_EVENT = 1,
    SA_COMMIT = 2,    /* progress of groups, commit.h */
    SA_HOLD = 3,      /* delayed or prepared event; offset = token; body: hold head, then the event */
    SA_HOLD_DONE = 4, /* offset = token */
    SA_CATALOG = 5,   /* topic or group made, changed, deleted, catalog.h */
    SA_START = 6,     /* offset = first offset kept of the partition */
};

#define SA_REC_STOP 0x1u  /* a reader that does not know the type stops here, else it skips */
#define SA_REC_CLOSE 0x2u /* the last record of its segment: an empty COMMIT */
#define SA_REC_JOINED 0x4u /* belongs to the unit of the record before it */

/* first bytes of a HOLD's body */
#define SA_HOLD_HEAD 16u /* u64 due (wall, us), u32 kind, u32 group */
#define SA_HOLD_TOPIC 0u
#define SA_HOLD_INBOX 1u
#define SA_HOLD_PREPARED 2u

typedef struct sa_seg_head {
    uint16_t major, minor;
    uint32_t incompat;
    uint32_t salt;
    uint8_t store[16];
    uint64_t base;    /* LSN of the file's first byte */
    uint64_t created; /* wall time, us */
    uint32_t epoch;
    uint32_t kind;
    uint64_t first; /* LSNs it may hold: [first, last) */
    uint64_t last;
    uint32_t n_inputs; /* of a cleaned segment */
    uint32_t swap;     /* … its number, from 1; 0 before format 1.2 */
} sa_seg_head;

typedef enum sa_head_state {
    SA_HEAD_OK,
    SA_HEAD_CUT,     /* fewer than 4096 bytes */
    SA_HEAD_FOREIGN, /* no segment at all */
    SA_HEAD_DAMAGED, /* check sum */
    SA_HEAD_NEW,     /* a newer major version or an incompatible feature: refuse by name */
} sa_head_state;

void sa_seg_head_write(uint8_t out[SA_SEGMENT_HEAD], const sa_seg_head *head,
                       const uint64_t *inputs);
sa_head_state sa_seg_head_read(const uint8_t *p, size_t n, sa_seg_head *head);
uint64_t sa_seg_head_input(const uint8_t *p, uint32_t i); /* of a header that was read */

typedef struct sa_rec_head {
    uint64_t lsn;
    uint32_t body; /* bytes, without the zeros that pad it to 8 */
    uint32_t body_crc;
    uint32_t epoch;
    uint32_t lag; /* LSN minus durable LSN when it was written, saturating */
    uint8_t type;
    uint8_t flags;
    uint16_t follow; /* records of this unit behind this one */
    uint32_t partition;
    uint64_t offset;
    uint64_t time_us;
    uint32_t attrs; /* bytes of the attribute image at the start of the body */
    uint32_t own;   /* the type's */
} sa_rec_head;

/* Bytes of a record on disk. */
static inline uint64_t
sa_rec_size(uint32_t body)
{
    return SA_RECORD_HEAD + sa_pad8(body);
}

void sa_rec_head_write(uint8_t out[SA_RECORD_HEAD], const sa_rec_head *head, uint32_t salt);
/* False: no record of this store at this LSN. */
bool sa_rec_head_read(const uint8_t *p, size_t n, uint64_t lsn, uint32_t salt, sa_rec_head *head);
/* Is the body behind the header, with its padding, what was written? n: bytes at body. */
bool sa_rec_body_ok(const sa_rec_head *head, const uint8_t *body, size_t n);

typedef enum sa_step {
    SA_STEP_RECORD,   /* whole and good */
    SA_STEP_BAD_BODY, /* header good, body not: the damaged record is known */
    SA_STEP_NONE,     /* no record here */
    SA_STEP_FOOTER,   /* the footer begins here */
    SA_STEP_MORE,     /* cannot tell: *need bytes are wanted at p */
} sa_step;

/* What lies at p, which is at lsn. */
sa_step sa_step_at(const uint8_t *p, size_t n, uint64_t lsn, uint32_t salt, sa_rec_head *head,
                   size_t *need);

#endif
