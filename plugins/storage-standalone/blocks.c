/* SPDX-License-Identifier: Apache-2.0
 *
 * See blocks.h.
 */
#include "blocks.h"

#include "store.h"
#include <stdlib.h>

void
sa_blocks_init(sa_blocks *blocks, uint64_t limit)
{
    memset(blocks, 0, sizeof *blocks);
    pthread_mutex_init(&blocks->lock, NULL);
    blocks->limit = limit;
}

static sa_block **
chain_of(sa_blocks *blocks, const sa_partition *part, uint64_t offset)
{
    uint64_t hash = (offset / SA_BLOCK_RUN + part->id * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull;
    return &blocks->chains[hash >> 56];
}

/* lock held. The block that answers for offset, one that is loaded if there is; else NULL. */
static sa_block *
find(sa_blocks *blocks, const sa_partition *part, uint64_t offset)
{
    sa_block *found = NULL;
    for (sa_block *b = *chain_of(blocks, part, offset); b != NULL; b = b->chain) {
        if (b->part == part && offset >= b->from && offset < b->to
            && (found == NULL || found->loading))
            found = b;
    }
    return found;
}

/* lock held */
static void
unchain(sa_blocks *blocks, sa_block *block)
{
    sa_block **at = chain_of(blocks, block->part, block->from);
    while (*at != block)
        at = &(*at)->chain;
    *at = block->chain;
}

static void
lru_add(sa_blocks *blocks, sa_block *block)
{
    block->newer = NULL;
    block->older = blocks->newest;
    if (blocks->newest != NULL)
        blocks->newest->newer = block;
    else
        blocks->oldest = block;
    blocks->newest = block;
}

static void
lru_remove(sa_blocks *blocks, sa_block *block)
{
    if (block->newer != NULL)
        block->newer->older = block->older;
    else
        blocks->newest = block->older;
    if (block->older != NULL)
        block->older->newer = block->newer;
    else
        blocks->oldest = block->newer;
}

/* lock held. Out of the cache, into a list by chain. */
static void
take_out(sa_blocks *blocks, sa_block *block, sa_block **out)
{
    lru_remove(blocks, block);
    unchain(blocks, block);
    blocks->bytes -= block->bytes;
    block->chain = *out;
    *out = block;
}

static void
free_blocks(struct sa_store *store, sa_block *list)
{
    for (sa_block *next; list != NULL; list = next) {
        next = list->chain;
        for (uint32_t i = 0; i < list->n; i++)
            store->ev->unref(&list->got[i].event, 1);
        free(list->got);
        free(list);
    }
}

void
sa_blocks_clear(struct sa_store *store)
{
    sa_blocks *blocks = &store->blocks;
    sa_block *out = NULL;
    while (blocks->oldest != NULL)
        take_out(blocks, blocks->oldest, &out);
    free_blocks(store, out);
    pthread_mutex_destroy(&blocks->lock);
}

/* lock held */
static void
answer(struct sa_store *store, const sa_block *block, sa_ask *ask)
{
    uint32_t low = 0, high = block->n;
    uint64_t bytes = 0;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (block->got[mid].offset < ask->from)
            low = mid + 1;
        else
            high = mid;
    }
    ask->n = 0;
    for (; low < block->n && ask->n < ask->max; low++) {
        const sa_got *got = &block->got[low];
        if (ask->n > 0 && bytes + got->bytes > ask->max_bytes)
            break;
        bytes += got->bytes;
        ask->got[ask->n++] = *got;
        if (got->event != NULL)
            store->ev->ref(got->event);
    }
    ask->next = low == block->n ? block->to : block->got[low].offset;
}

bool
sa_blocks_get(struct sa_store *store, sa_ask *ask)
{
    sa_blocks *blocks = &store->blocks;
    pthread_mutex_lock(&blocks->lock);
    sa_block *block = find(blocks, ask->part, ask->from);
    bool there = block != NULL && !block->loading;
    if (there) {
        if (blocks->newest != block) {
            lru_remove(blocks, block);
            lru_add(blocks, block);
        }
        answer(store, block, ask);
        sa_count(&store->stats.shared_records, ask->n);
    }
    pthread_mutex_unlock(&blocks->lock);
    return there;
}

bool
sa_blocks_has(struct sa_store *store, sa_partition *part, uint64_t offset)
{
    sa_blocks *blocks = &store->blocks;
    pthread_mutex_lock(&blocks->lock);
    const sa_block *block = find(blocks, part, offset);
    bool there = block != NULL && !block->loading;
    pthread_mutex_unlock(&blocks->lock);
    return there;
}

bool
sa_blocks_wait(struct sa_store *store, sa_ask *ask)
{
    sa_blocks *blocks = &store->blocks;
    pthread_mutex_lock(&blocks->lock);
    sa_block *block = find(blocks, ask->part, ask->from);
    bool waits = block != NULL && block->loading;
    if (waits) {
        ask->n = 0;
        ask->next = ask->from;
        ask->also = block->waiting;
        block->waiting = ask;
    }
    pthread_mutex_unlock(&blocks->lock);
    return waits;
}

/* The block as others see it from now on. False: there is one already. */
static bool
begin_load(sa_blocks *blocks, sa_block *block, sa_ask *ask)
{
    *block = (sa_block){ .part = ask->part, .from = ask->from, .loading = true,
                         .to = MIN((ask->from | (SA_BLOCK_RUN - 1)) + 1, ask->end) };
    pthread_mutex_lock(&blocks->lock);
    bool first = find(blocks, ask->part, ask->from) == NULL;
    if (first) {
        sa_block **chain = chain_of(blocks, ask->part, ask->from);
        block->chain = *chain;
        *chain = block;
        const sa_block *before = ask->from > 0 ? find(blocks, ask->part, ask->from - 1) : NULL;
        if (before != NULL && before->ahead.cold > ask->ahead.cold) {
            ask->ahead.cold = before->ahead.cold;
            ask->ahead.to = before->ahead.to;
        }
    }
    pthread_mutex_unlock(&blocks->lock);
    return first;
}

/* Offset of the first record from offset on; end when there is none, offset when nobody can tell. */
static uint64_t
next_record(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end)
{
    sa_places places;
    sa_look look = sa_lookup(store, part, offset, end, 1, &places);
    if (look == SA_LOOK_FOUND)
        sa_places_leave(store, &places);
    return look == SA_LOOK_FOUND ? places.offset : look == SA_LOOK_NONE ? end : offset;
}

/* Fills a block that nobody else reads yet; *to: where it ends, from when nothing could be told. */
static void
fill_block(struct sa_store *store, sa_block *block, sa_ask *ask, uint64_t *to)
{
    uint32_t max = (uint32_t)(block->to - block->from);
    *to = block->from;
    block->got = malloc(max * sizeof *block->got);
    if (block->got == NULL) {
        sa_read_pause();
        return;
    }
    block->n = sa_read(store, block->part, block->from, block->to, block->got, max, SA_BLOCK_BYTES,
                       to, &ask->ahead);
    if (block->n == 0 && *to == block->to && *to < ask->end)
        *to = next_record(store, block->part, *to, ask->end); /* the rest of a long gap too */
    sa_ahead_plan(&ask->ahead, *to, &ask->fetch_from, &ask->fetch_to);
    if (block->n > 0 && block->n < max) {
        sa_got *less = realloc(block->got, block->n * sizeof *less);
        block->got = less != NULL ? less : block->got;
    }
    block->bytes = sizeof *block;
    for (uint32_t i = 0; i < block->n; i++)
        block->bytes += block->got[i].bytes + SA_TAIL_COST + sizeof *block->got;
    sa_count(&store->stats.shared_loads, 1);
}

bool
sa_blocks_load(struct sa_store *store, sa_ask *ask)
{
    sa_blocks *blocks = &store->blocks;
    sa_block *out = NULL;
    uint64_t to;
    ask->n = 0;
    ask->next = ask->from;
    sa_block *block = malloc(sizeof *block);
    if (block == NULL || !begin_load(blocks, block, ask)) {
        free(block);
        if (block == NULL)
            sa_read_pause();
        return !sa_blocks_wait(store, ask); /* or it is there by now: it is asked for again */
    }
    fill_block(store, block, ask, &to);
    pthread_mutex_lock(&blocks->lock);
    sa_ask *waiting = block->waiting;
    block->loading = false;
    block->to = to;
    block->ahead = ask->ahead;
    answer(store, block, ask);
    blocks->bytes += block->bytes;
    lru_add(blocks, block);
    if (to == block->from || block->bytes > blocks->limit)
        take_out(blocks, block, &out); /* nothing was told, or it is too large to be kept */
    while (blocks->bytes > blocks->limit)
        take_out(blocks, blocks->oldest, &out);
    pthread_mutex_unlock(&blocks->lock);
    free_blocks(store, out);
    for (sa_ask *next; waiting != NULL; waiting = next) {
        next = waiting->also;
        waiting->done(waiting);
    }
    return true;
}
