/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory tail: references to the newest events of all partitions, a bounded number of bytes, so
 * that a reader near the end gets the very objects that were published and no disk is read.
 *
 * Lock: tail->lock, held for a batch of pointers. Events leave outside of it.
 */
#ifndef SA_TAIL_H
#define SA_TAIL_H
#include "catalog.h"

struct sa_tail_slot {
    const emesh_event *event;
    uint64_t time_us;
    uint32_t bytes;
    uint32_t zero;
};

typedef struct sa_tail {
    pthread_mutex_t lock;
    sa_partition **order; /* ring: whose oldest event is the next to go */
    uint32_t cap, at, n;
    uint64_t bytes, limit;
} sa_tail;

typedef struct sa_got { /* a record for a reader */
    const emesh_event *event; /* a reference, NULL: damaged */
    uint64_t offset;
    uint64_t time_us;
    uint64_t bytes; /* as the host counts an event: names, values, data */
} sa_got;

typedef struct sa_tail_new {
    const emesh_event *event; /* the reference goes into the tail, or comes back in drop */
    sa_partition *part;
    uint64_t offset, time_us;
    uint32_t bytes; /* as the host counts */
} sa_tail_new;

#define SA_TAIL_COST 192u /* of an event in memory beyond its bytes, about */

/* Bytes of an event as the host counts them, never more: names, values and data. */
static inline uint32_t
sa_event_bytes(const uint8_t *image, uint32_t image_len, uint32_t body)
{
    uint32_t table = image_len >= 8 ? 8u * (sa_get16(image + 2) + 1u) + 7u : 0;
    return body > table ? body - table : 0;
}

bool sa_tail_init(sa_tail *tail, uint64_t limit);
void sa_tail_clear(struct sa_store *store);

/* [writer] Takes n events in log order. */
void sa_tail_push(struct sa_store *store, const sa_tail_new *items, uint32_t n);
/* Up to max references of part from offset on, below end. 0: offset is not in the tail. */
uint32_t sa_tail_get(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end,
                     sa_got *out, uint32_t max, uint64_t max_bytes);
bool sa_tail_has(struct sa_store *store, sa_partition *part, uint64_t offset);
/* Forgets what the tail has of part. */
void sa_tail_drop(struct sa_store *store, sa_partition *part);

#endif
