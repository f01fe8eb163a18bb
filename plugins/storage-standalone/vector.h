/* SPDX-License-Identifier: Apache-2.0
 *
 * Place vectors of sealed segments, read from footers and kept while they are used: a small cache
 * for all readers. Lock: vectors->lock.
 */
#ifndef SA_VECTOR_H
#define SA_VECTOR_H
#include "footer.h"
#include <pthread.h>

struct sa_store;
struct sa_segment;

#define SA_VECTOR_SLOTS 64u
#define SA_VECTOR_BYTES (16u << 20)

typedef struct sa_vector {
    uint64_t base;  /* of the segment */
    uint32_t index; /* of the entry: place/8 in the file */
    uint32_t count;
    uint32_t refs;  /* 1 of the cache and one per user */
    uint64_t used;
    uint32_t place8[];
} sa_vector;

typedef struct sa_vectors {
    pthread_mutex_t lock;
    sa_vector *slot[SA_VECTOR_SLOTS];
    uint64_t bytes, tick;
} sa_vectors;

void sa_vectors_init(sa_vectors *vectors);
void sa_vectors_clear(sa_vectors *vectors);
/* The vector of an entry of seg, which is in use with fd; NULL: no memory or unreadable. A damaged
 * one is made anew from the records. Ends with sa_vector_unref. */
sa_vector *sa_vector_get(struct sa_store *store, struct sa_segment *seg, int fd,
                         const sa_entry *entry);
/* The segment with this base is gone; another may have it once. */
void sa_vectors_drop(sa_vectors *vectors, uint64_t base);
void sa_vector_unref(struct sa_store *store, sa_vector *vector);

#endif
