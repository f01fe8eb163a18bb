/* SPDX-License-Identifier: Apache-2.0
 *
 * See index.h.
 */
#include "index.h"

#include "catalog.h"
#include "store.h"
#include <stdlib.h>

static inline uint64_t
get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static inline void
set(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static sa_vec *
vec_new(struct sa_store *store, sa_segment *seg, sa_partition *part, uint64_t offset)
{
    sa_vec *vec = calloc(1, sizeof *vec);
    if (vec == NULL)
        return NULL;
    vec->seg = seg;
    vec->partition = part->id;
    vec->base = offset;
    set(&vec->min_us, UINT64_MAX);
    pthread_mutex_lock(&store->segs.lock);
    vec->older = part->vecs;
    part->vecs = vec;
    vec->next = seg->vecs;
    seg->vecs = vec;
    pthread_mutex_unlock(&store->segs.lock);
    part->open = vec;
    part->open_base = seg->base;
    return vec;
}

/* Block k (from 1 on), made when it is not there; NULL: no memory. */
static uint32_t *
vec_block(sa_vec *vec, uint32_t k)
{
    sa_vec_more *more = atomic_load_explicit(&vec->more, memory_order_relaxed);
    if (more == NULL) {
        more = calloc(1, sizeof *more);
        if (more == NULL)
            return NULL;
        atomic_store_explicit(&vec->more, more, memory_order_release);
    }
    uint32_t *block = atomic_load_explicit(&more->block[k - 1], memory_order_relaxed);
    if (block == NULL) {
        block = malloc(sizeof *block * ((size_t)SA_VEC_FIRST << (2 * k)));
        atomic_store_explicit(&more->block[k - 1], block, memory_order_release);
    }
    return block;
}

static bool
vec_push(sa_vec *vec, uint32_t place8)
{
    uint32_t i = atomic_load_explicit(&vec->count, memory_order_relaxed);
    uint32_t at, k = sa_vec_block(i, &at);
    uint32_t *block = k == 0 ? vec->few : k <= SA_VEC_BLOCKS ? vec_block(vec, k) : NULL;
    if (block == NULL)
        return false;
    block[at] = place8;
    atomic_store_explicit(&vec->count, i + 1, memory_order_release);
    return true;
}

static void
vec_free(sa_vec *vec)
{
    sa_vec_more *more = atomic_load_explicit(&vec->more, memory_order_relaxed);
    for (uint32_t k = 0; more != NULL && k < SA_VEC_BLOCKS; k++)
        free(atomic_load_explicit(&more->block[k], memory_order_relaxed));
    free(more);
    free(vec);
}

bool
sa_index_add(struct sa_store *store, sa_segment *seg, sa_partition *part, uint64_t offset,
             uint64_t place, uint64_t bytes, uint64_t time_us)
{
    /* The vector of an earlier segment may be gone with its sealing: only the base is looked at. */
    sa_vec *vec = part->open_base == seg->base ? part->open : NULL;
    if (vec == NULL
        || vec->base + atomic_load_explicit(&vec->count, memory_order_relaxed) != offset)
        vec = vec_new(store, seg, part, offset);
    if (vec == NULL)
        return false;
    if (time_us < get(&vec->min_us))
        set(&vec->min_us, time_us);
    if (time_us > get(&vec->max_us))
        set(&vec->max_us, time_us);
    set(&vec->bytes, get(&vec->bytes) + bytes);
    return vec_push(vec, (uint32_t)(place / 8));
}

static void
unchain(sa_partition *part, sa_vec *vec)
{
    sa_vec **at = &part->vecs;
    while (*at != NULL && *at != vec)
        at = &(*at)->older;
    if (*at != NULL)
        *at = vec->older;
}

void
sa_index_drop(struct sa_store *store, sa_segment *seg)
{
    for (sa_vec *vec = seg->vecs, *next; vec != NULL; vec = next) {
        next = vec->next;
        sa_partition *part = sa_catalog_part(&store->cat, vec->partition);
        if (part != NULL)
            unchain(part, vec);
        vec_free(vec);
    }
    seg->vecs = NULL;
}

bool
sa_prints_add(sa_segment *seg, uint64_t hash, uint64_t place)
{
    sa_prints *prints = &seg->prints;
    uint32_t i = atomic_load_explicit(&prints->count, memory_order_relaxed);
    if (i % SA_PRINTS == 0) {
        sa_print_block *block = malloc(sizeof *block);
        if (block == NULL)
            return false;
        atomic_init(&block->next, NULL);
        if (prints->tail == NULL)
            prints->first = block;
        else
            atomic_store_explicit(&prints->tail->next, block, memory_order_release);
        prints->tail = block;
    }
    prints->tail->print[i % SA_PRINTS] = (sa_print){ hash, (uint32_t)(place / 8) };
    atomic_store_explicit(&prints->count, i + 1, memory_order_release);
    return true;
}

sa_print *
sa_prints_copy(const sa_segment *seg, uint32_t *n)
{
    *n = atomic_load_explicit(&seg->prints.count, memory_order_acquire);
    sa_print *out = *n > 0 ? malloc(*n * sizeof *out) : NULL;
    if (out == NULL) {
        *n = 0;
        return NULL;
    }
    const sa_print_block *block = seg->prints.first;
    for (uint32_t i = 0; i < *n; i += SA_PRINTS) {
        uint32_t take = *n - i < SA_PRINTS ? *n - i : SA_PRINTS;
        memcpy(out + i, block->print, take * sizeof *out);
        block = atomic_load_explicit(&block->next, memory_order_acquire);
    }
    return out;
}

void
sa_prints_drop(sa_segment *seg)
{
    for (sa_print_block *block = seg->prints.first, *next; block != NULL; block = next) {
        next = atomic_load_explicit(&block->next, memory_order_relaxed);
        free(block);
    }
    seg->prints.first = seg->prints.tail = NULL;
    atomic_store(&seg->prints.count, 0);
}

static int
by_partition(const void *a, const void *b)
{
    const sa_vec *x = *(sa_vec *const *)a, *y = *(sa_vec *const *)b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->base < y->base ? -1 : x->base > y->base;
}

sa_entry *
sa_index_entries(sa_segment *seg, sa_vec ***vecs, uint32_t *n)
{
    uint32_t count = 0;
    for (sa_vec *vec = seg->vecs; vec != NULL; vec = vec->next)
        count++;
    sa_vec **list = malloc((count + 1u) * sizeof *list);
    sa_entry *entries = calloc(count + 1u, sizeof *entries);
    if (list == NULL || entries == NULL) {
        free(list);
        free(entries);
        return NULL;
    }
    count = 0;
    for (sa_vec *vec = seg->vecs; vec != NULL; vec = vec->next)
        list[count++] = vec;
    qsort(list, count, sizeof *list, by_partition);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t records = atomic_load_explicit(&list[i]->count, memory_order_acquire);
        entries[i] = (sa_entry){
            .partition = list[i]->partition, .count = records, .base = list[i]->base,
            .last = list[i]->base + records - 1u, .min_us = get(&list[i]->min_us),
            .max_us = get(&list[i]->max_us), .bytes = get(&list[i]->bytes),
        };
    }
    *vecs = list;
    *n = count;
    return entries;
}

uint32_t
sa_dir_find(const sa_entry *dir, uint32_t n, uint32_t partition, uint64_t offset)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (dir[mid].partition < partition
            || (dir[mid].partition == partition && dir[mid].last < offset))
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && dir[low].partition == partition ? low : n;
}
