/* SPDX-License-Identifier: Apache-2.0
 *
 * Index of segments that are not sealed: per run of offsets of one partition a vector of u32
 * place/8 that only grows. The writer appends without a lock and publishes by the count (release);
 * readers look at what the count covers (acquire). New vectors are chained under segs->lock.
 */
#ifndef SA_INDEX_H
#define SA_INDEX_H
#include "segment.h"

struct sa_partition;

#define SA_VEC_BLOCKS 12u
#define SA_VEC_FIRST 8u /* numbers in block 0; each next one holds four times as many */

typedef struct sa_vec_more { /* blocks 1 …, once block 0 is full */
    uint32_t *_Atomic block[SA_VEC_BLOCKS];
} sa_vec_more;

struct sa_vec {
    sa_segment *seg;
    struct sa_vec *older; /* of the partition */
    struct sa_vec *next;  /* of the segment */
    uint64_t base;        /* offset of number 0 */
    _Atomic uint64_t min_us, max_us, bytes; /* written by the writer alone */
    uint32_t partition;
    _Atomic uint32_t count;
    sa_vec_more *_Atomic more;
    uint32_t few[SA_VEC_FIRST]; /* block 0: most topics have few records in a segment */
};

static inline uint32_t
sa_vec_block(uint32_t i, uint32_t *at)
{
    uint64_t third = 3ull * (i / SA_VEC_FIRST) + 1u;
    uint32_t k = (63u - (uint32_t)__builtin_clzll(third)) / 2u;
    *at = i - SA_VEC_FIRST * (uint32_t)(((1ull << (2 * k)) - 1u) / 3u);
    return k;
}

/* [writer] Notes a record at place of seg. False: no memory. */
bool sa_index_add(struct sa_store *store, sa_segment *seg, struct sa_partition *part,
                  uint64_t offset, uint64_t place, uint64_t bytes, uint64_t time_us);
static inline uint32_t
sa_vec_at(sa_vec *vec, uint32_t i)
{
    uint32_t at, k = sa_vec_block(i, &at);
    if (k == 0)
        return vec->few[at];
    sa_vec_more *more = atomic_load_explicit(&vec->more, memory_order_acquire);
    return atomic_load_explicit(&more->block[k - 1], memory_order_acquire)[at];
}
/* Frees the vectors of a segment and takes them out of their partitions' chains. segs->lock held
 * (or no other thread). */
void sa_index_drop(struct sa_store *store, sa_segment *seg);

/* Fingerprints of the events of a segment that is not sealed; the writer appends, others read what
 * the count covers. */
#define SA_PRINTS 1024u
typedef struct sa_print_block {
    struct sa_print_block *_Atomic next;
    sa_print print[SA_PRINTS];
} sa_print_block;
bool sa_prints_add(sa_segment *seg, uint64_t hash, uint64_t place); /* [writer] */
sa_print *sa_prints_copy(const sa_segment *seg, uint32_t *n); /* given: free; NULL when none */
void sa_prints_drop(sa_segment *seg);

/* Number of the first entry of partition in a sorted directory that ends at or behind offset, or n. */
uint32_t sa_dir_find(const sa_entry *dir, uint32_t n, uint32_t partition, uint64_t offset);
/* Sorted directory entries of all vectors of seg, vecs[i] belongs to entry i; both given. */
sa_entry *sa_index_entries(sa_segment *seg, sa_vec ***vecs, uint32_t *n);

#endif
