/* SPDX-License-Identifier: Apache-2.0
 *
 * Which segments the cleaner takes next: neighbours of which at least half is dead, so that the log
 * is never larger than twice what lives in it and three segments. Of all such runs the one that
 * frees most for what has to be copied. [keeper]
 */
#include "clean.h"

#include "store.h"

#define SA_CLEAN_SMALL 16u /* so many small neighbours become one */

typedef struct sa_run_sum { /* a run of neighbours */
    uint32_t first, n;
    uint64_t size;   /* of the files */
    uint64_t out;    /* of what they would become */
    uint64_t largest;
} sa_run_sum;

/* lock held. Its rows are committed, nobody needs it where it is. */
static bool
eligible(struct sa_store *store, uint32_t i)
{
    const sa_segs *segs = &store->segs;
    const sa_segment *seg = segs->all[i];
    bool newest = i + 1 == segs->n || segs->all[i + 1]->state != SA_SEG_SEALED;
    return seg->state == SA_SEG_SEALED && seg->rows && !seg->gone && !seg->pending
           && !seg->uncleanable && !newest && atomic_load(&seg->end) <= store->keeper.applied
           && seg->held == 0 && seg->holds.last == 0 && seg->dones.last == 0
           && seg->size > atomic_load(&seg->end) - seg->base;
}

/* Bytes a cleaned segment has beside records and index. */
static uint64_t
fixed_bytes(struct sa_store *store)
{
    g_autoptr(GByteArray) cat = g_byte_array_new();
    pthread_mutex_lock(&store->cat.lock);
    sa_cat_put_all(cat, &store->cat);
    pthread_mutex_unlock(&store->cat.lock);
    return SA_SEGMENT_HEAD + SA_FOOT_HEAD + SA_FOOT_TRAILER + cat->len;
}

static void
add(sa_run_sum *run, const sa_segment *seg, uint64_t fixed)
{
    uint64_t records = atomic_load(&seg->end) - seg->base - SA_SEGMENT_HEAD;
    uint64_t footer = seg->size - records - SA_SEGMENT_HEAD;
    uint64_t index = footer + SA_SEGMENT_HEAD > fixed ? footer + SA_SEGMENT_HEAD - fixed : 0;
    run->n++;
    run->size += seg->size;
    run->largest = MAX(run->largest, seg->size);
    run->out += seg->live_bytes;
    if (records > 0)
        run->out += (uint64_t)((double)index * (double)MIN(seg->live_bytes, records)
                               / (double)records);
}

static bool
worth(const sa_run_sum *run, uint64_t segment)
{
    return (run->size >= 2 * run->out && run->size - run->out >= segment / 64)
           || (run->n >= SA_CLEAN_SMALL && run->largest <= segment / SA_CLEAN_SMALL);
}

/* lock held. */
static bool
find_run(struct sa_store *store, uint64_t fixed, sa_run_sum *best)
{
    const sa_segs *segs = &store->segs;
    uint64_t segment = store->opt.segment_size;
    double best_score = 0;
    for (uint32_t i = 0; i < segs->n; i++) {
        sa_run_sum run = { .first = i, .out = fixed };
        for (uint32_t k = i; k < segs->n && run.n < SA_CLEAN_INPUTS && eligible(store, k); k++) {
            add(&run, segs->all[k], fixed);
            if (run.out > segment)
                break;
            double score = ((double)run.size - (double)run.out) / (double)run.out;
            if (worth(&run, segment) && score > best_score) {
                best_score = score;
                *best = run;
            }
        }
    }
    return best_score > 0;
}

/* lock held. Segments without rows cannot be taken; when they are why the log is too large, the
 * next checkpoint writes them. */
static void
want_rows(struct sa_store *store, uint64_t fixed)
{
    const sa_segs *segs = &store->segs;
    uint64_t disk = 0, live = 0;
    bool waste = false;
    for (uint32_t i = 0; i < segs->n; i++) {
        const sa_segment *seg = segs->all[i];
        if (seg->state != SA_SEG_SEALED || seg->gone)
            continue;
        disk += seg->size;
        live += seg->live_bytes + seg->held_bytes;
        waste |= !seg->rows && seg->size > 2 * (seg->live_bytes + seg->held_bytes + fixed);
    }
    if (waste && disk > 2 * live + store->opt.segment_size) {
        store->keeper.all_rows = true;
        atomic_store(&store->keeper.dirty, true);
    }
}

bool
sa_clean_pick(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    sa_segs *segs = &store->segs;
    sa_run_sum run = { 0 };
    uint64_t fixed = fixed_bytes(store), avail = 0, total = 0;
    pthread_mutex_lock(&segs->lock);
    bool found = find_run(store, fixed, &run);
    if (!found)
        want_rows(store, fixed);
    for (uint32_t i = 0; found && i < run.n; i++)
        g_ptr_array_add(c->inputs, segs->all[run.first + i]);
    pthread_mutex_unlock(&segs->lock);
    if (found && store->io->space(store->io->ctx, store->dir, &avail, &total) == 0
        && avail < run.out + run.out / 8 + store->opt.segment_size / 16)
        found = false; /* no room for the copy */
    if (!found)
        g_ptr_array_set_size(c->inputs, 0);
    return found;
}
