/* SPDX-License-Identifier: Apache-2.0
 *
 * Which segments the cleaner takes next: neighbours of which at least half is dead, so that the log
 * is never larger than twice what lives in it and three segments. Of all such runs the one that
 * frees most for what has to be copied. Then what readers far behind are about to read from the
 * disk, when little of it is theirs: sorted, it is read in one go. [keeper]
 */
#include "clean.h"

#include "store.h"
#include <string.h>

#define SA_CLEAN_SMALL 16u /* so many small neighbours become one */
#define SA_CLEAN_SHARE 16u /* a reader that owns less of a segment finds it scattered */
#define SA_CLEAN_ROWS 256u /* looked at for one reader */
#define SA_LAG_NS 5000000000u /* a reader that was not seen for so long is gone, or near the end */

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
           && seg->size > atomic_load(&seg->end) - seg->base;
}

/* lock held. Bytes of control records that the cleaner kept in a segment and has to keep again. */
static void
count_carried(struct sa_store *store)
{
    const sa_segs *segs = &store->segs;
    for (uint32_t i = 0; i < segs->n; i++) {
        sa_segment *seg = segs->all[i];
        bool marks = seg->kept_marks > 0 && sa_hold_marks(store, seg);
        seg->carried = (marks ? seg->kept_marks : 0)
                       + (seg->last > store->keeper.told ? seg->kept_commits : 0);
    }
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
    run->out += seg->live_bytes + seg->held_bytes + seg->carried;
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

/* ---- sorting for readers ---- */

void
sa_clean_note(struct sa_store *store, sa_partition *part, uint64_t offset)
{
    sa_cleaner *c = &store->cleaner;
    uint64_t now = sa_mono_ns(store);
    pthread_mutex_lock(&c->lag_lock);
    sa_lagging *at = &c->lag[0];
    for (uint32_t i = 0; i < SA_LAGGING; i++) {
        if (c->lag[i].part == part) {
            at = &c->lag[i];
            break;
        }
        if (c->lag[i].seen_ns < at->seen_ns)
            at = &c->lag[i];
    }
    *at = (sa_lagging){ part, offset, now };
    c->lag_news = true;
    pthread_mutex_unlock(&c->lag_lock);
}

/* lock held. Number of the segment, when it may be taken and this entry is a small part of it. */
static bool
scattered(struct sa_store *store, uint64_t base, const sa_entry *entry, uint32_t *number)
{
    const sa_segs *segs = &store->segs;
    uint32_t i = sa_segs_place(segs, base);
    if (i == segs->n || segs->all[i]->base != base || segs->all[i]->cleaned || !eligible(store, i))
        return false;
    uint64_t records = atomic_load(&segs->all[i]->end) - base - SA_SEGMENT_HEAD;
    *number = i;
    return entry->count > 1 && entry->bytes * SA_CLEAN_SHARE < records;
}

/* The segment to sort for this reader: the one behind that which it is at, or that one. */
static bool
ahead_of(struct sa_store *store, const sa_lagging *lag, uint64_t *base)
{
    uint64_t offset = lag->offset, here = 0;
    bool found = false, ahead = false;
    for (uint32_t k = 0; k < SA_CLEAN_ROWS && !ahead; k++) {
        sa_entry entry;
        uint64_t at;
        uint32_t number;
        if (offset >= atomic_load(&lag->part->rows_to)
            || sa_rows_chunk(store, lag->part->id, offset, &at, &entry) != 0)
            break;
        here = k == 0 ? at : here;
        pthread_mutex_lock(&store->segs.lock);
        bool good = scattered(store, at, &entry, &number);
        pthread_mutex_unlock(&store->segs.lock);
        if (good) {
            *base = at;
            found = true;
            ahead = at != here;
        }
        offset = entry.last + 1;
    }
    return found;
}

static bool
pick_sort(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    uint64_t now = sa_mono_ns(store), base;
    sa_lagging lag[SA_LAGGING];
    bool found = false;
    pthread_mutex_lock(&c->lag_lock);
    memcpy(lag, c->lag, sizeof lag);
    pthread_mutex_unlock(&c->lag_lock);
    for (uint32_t i = 0; i < SA_LAGGING && !found; i++)
        found = lag[i].part != NULL && now - lag[i].seen_ns < SA_LAG_NS
                && ahead_of(store, &lag[i], &base);
    if (!found)
        return false;
    pthread_mutex_lock(&store->segs.lock);
    sa_segment *seg = sa_segs_find(&store->segs, base);
    pthread_mutex_unlock(&store->segs.lock);
    g_ptr_array_add(c->inputs, seg);
    return true;
}

static bool
pick_merge(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    sa_segs *segs = &store->segs;
    sa_run_sum run = { 0 };
    uint64_t fixed = fixed_bytes(store);
    pthread_mutex_lock(&segs->lock);
    count_carried(store);
    bool found = find_run(store, fixed, &run);
    if (!found)
        want_rows(store, fixed);
    for (uint32_t i = 0; found && i < run.n; i++)
        g_ptr_array_add(c->inputs, segs->all[run.first + i]);
    pthread_mutex_unlock(&segs->lock);
    return found;
}

bool
sa_clean_pick(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    uint64_t avail = 0, total = 0, size = 0;
    bool found = pick_merge(store);
    c->sorts = !found;
    if (!found)
        found = !store->keeper.low && pick_sort(store);
    for (guint i = 0; i < c->inputs->len; i++) {
        const sa_segment *seg = g_ptr_array_index(c->inputs, i);
        size += seg->live_bytes + seg->held_bytes + seg->carried;
    }
    if (found && store->io->space(store->io->ctx, store->dir, &avail, &total) == 0
        && avail < size + size / 4 + (c->sorts ? sa_space_min(store) : 0))
        found = false; /* no room for the copy */
    if (!found)
        g_ptr_array_set_size(c->inputs, 0);
    return found;
}
