/* SPDX-License-Identifier: Apache-2.0
 *
 * Offsets by time, and how much lies behind an offset: walks over runs (directory entries and
 * vectors) of a partition, oldest first. Blocks: for pool threads.
 */
#include "reader.h"
#include "store.h"

typedef struct sa_run { /* a run of records without gap */
    uint64_t base, last, max_us, bytes;
} sa_run;

static bool
from_dirs(sa_segs *segs, sa_partition *part, uint64_t offset, sa_run *run)
{
    for (uint32_t i = sa_segs_place(segs, segs->dirs_from); i < segs->n; i++) {
        const sa_segment *seg = segs->all[i];
        uint32_t at = seg->dir != NULL ? sa_dir_find(seg->dir, seg->n_dir, part->id, offset) : 0;
        if (seg->dir != NULL && at < seg->n_dir) {
            const sa_entry *e = &seg->dir[at];
            *run = (sa_run){ e->base, e->last, e->max_us, e->bytes };
            return true;
        }
    }
    return false;
}

static bool
from_vectors(sa_partition *part, uint64_t offset, sa_run *run)
{
    bool found = false;
    for (sa_vec *vec = part->vecs; vec != NULL; vec = vec->older) {
        uint32_t count = atomic_load_explicit(&vec->count, memory_order_acquire);
        if (count == 0 || vec->base + count <= offset)
            continue;
        *run = (sa_run){ vec->base, vec->base + count - 1,
                         atomic_load_explicit(&vec->max_us, memory_order_relaxed),
                         atomic_load_explicit(&vec->bytes, memory_order_relaxed) };
        found = true;
    }
    return found;
}

/* The oldest run that reaches behind offset. */
static bool
next_run(struct sa_store *store, sa_partition *part, uint64_t offset, sa_run *run)
{
    uint64_t base;
    sa_entry e;
    if (offset < atomic_load(&part->rows_to)
        && sa_rows_chunk(store, part->id, offset, &base, &e) == 0) {
        *run = (sa_run){ e.base, e.last, e.max_us, e.bytes };
        return true;
    }
    pthread_mutex_lock(&store->segs.lock);
    bool found = from_dirs(&store->segs, part, offset, run) || from_vectors(part, offset, run);
    pthread_mutex_unlock(&store->segs.lock);
    return found;
}

/* Within a run: the records say when they were stored. */
static uint64_t
search(struct sa_store *store, sa_partition *part, uint64_t low, uint64_t high, uint64_t time_us)
{
    while (low < high) {
        uint64_t mid = low + (high - low) / 2, next;
        sa_got got;
        if (sa_read(store, part, mid, mid + 1, &got, 1, 1, &next, NULL) == 0)
            break;
        uint64_t when = got.time_us;
        store->ev->unref(&got.event, 1);
        if (when < time_us)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

uint64_t
sa_find_time(struct sa_store *store, sa_partition *part, uint64_t time_us)
{
    uint64_t end = atomic_load(&part->visible);
    uint64_t offset = atomic_load(&part->first);
    sa_run run;
    while (offset < end && next_run(store, part, offset, &run)) {
        if (run.max_us < time_us) {
            offset = run.last + 1;
            continue;
        }
        uint64_t from = MAX(offset, run.base);
        uint64_t to = MIN(run.last + 1, end);
        uint64_t at = from < to ? search(store, part, from, to, time_us) : to;
        if (at < to)
            return at;
        offset = run.last + 1;
    }
    return end;
}

/* The part of a run from offset on; its bytes by proportion. */
static void
add(const sa_run *run, uint64_t offset, uint64_t *records, uint64_t *bytes)
{
    uint64_t all = run->last - run->base + 1;
    uint64_t part = run->last - MAX(offset, run->base) + 1;
    *records += part;
    *bytes += part == all ? run->bytes : (uint64_t)((double)run->bytes * (double)part
                                                     / (double)all);
}

void
sa_measure(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t *records,
           uint64_t *bytes)
{
    sa_run run;
    uint64_t end = atomic_load(&part->visible);
    *records = *bytes = 0;
    while (offset < end && next_run(store, part, offset, &run)) {
        if (run.base >= end)
            break;
        if (run.last >= end)
            run.last = end - 1;
        add(&run, offset, records, bytes);
        offset = run.last + 1;
    }
}
