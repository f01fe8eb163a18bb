/* SPDX-License-Identifier: Apache-2.0
 *
 * Where records lie, from the oldest place that may know to the newest: chunk rows in LMDB,
 * directories of sealed segments in memory, vectors of those that are not sealed. Rows are looked
 * at first: a directory leaves memory only once its rows are committed.
 */
#include "reader.h"
#include "store.h"
#include <errno.h>

static uint64_t
above(uint64_t offset, uint64_t base)
{
    return offset > base ? offset : base;
}

/* Fills places from an entry of a sealed segment; fd: what sa_seg_use() said of it. */
static sa_look
from_entry(struct sa_store *store, sa_segment *seg, int fd, const sa_entry *entry, uint64_t offset,
           uint64_t end, uint32_t max, sa_places *places)
{
    uint64_t first = above(offset, entry->base);
    places->fd = fd;
    if (fd < 0)
        return fd == -ENOENT ? SA_LOOK_GONE : SA_LOOK_ERROR;
    sa_vector *vector = sa_vector_get(store, seg, places->fd, entry);
    if (vector == NULL) {
        sa_seg_leave(store, seg);
        return SA_LOOK_ERROR;
    }
    places->seg = seg;
    places->size = (uint32_t)(entry->bytes / (entry->count > 0 ? entry->count : 1));
    places->offset = first;
    for (uint64_t o = first; o <= entry->last && o < end && places->n < max; o++)
        places->place8[places->n++] = vector->place8[o - entry->base];
    sa_vector_unref(store, vector);
    return SA_LOOK_FOUND;
}

static sa_look
from_rows(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end, uint32_t max,
          sa_places *places)
{
    while (offset < atomic_load(&part->rows_to)) {
        uint64_t base;
        sa_entry entry;
        uint64_t swaps = atomic_load(&store->segs.swaps);
        int rc = sa_rows_chunk(store, part->id, offset, &base, &entry);
        if (rc == MDB_CORRUPTED) /* it was good at start: the next one makes it anew */
            sa_log_fail(store, EMESH_E_CORRUPT, EIO, "reading the index");
        if (rc != 0)
            return rc == MDB_NOTFOUND ? SA_LOOK_NONE : SA_LOOK_ERROR;
        if (above(offset, entry.base) >= end)
            return SA_LOOK_NONE;
        pthread_mutex_lock(&store->segs.lock);
        sa_segment *seg = sa_segs_find(&store->segs, base);
        int fd = sa_seg_use(store, seg);
        pthread_mutex_unlock(&store->segs.lock);
        sa_look look = from_entry(store, seg, fd, &entry, offset, end, max, places);
        if (look != SA_LOOK_GONE)
            return look;
        if (atomic_load(&store->segs.swaps) != swaps)
            continue; /* the cleaner put it elsewhere, the rows know */
        offset = entry.last + 1; /* retention took its file */
    }
    return SA_LOOK_NONE;
}

/* lock held. The oldest directory in memory that knows. */
static sa_segment *
in_dirs(const sa_segs *segs, sa_partition *part, uint64_t offset, sa_entry *entry)
{
    for (uint32_t i = sa_segs_place(segs, segs->dirs_from); i < segs->n; i++) {
        sa_segment *seg = segs->all[i];
        uint32_t at = seg->dir != NULL ? sa_dir_find(seg->dir, seg->n_dir, part->id, offset) : 0;
        if (seg->dir != NULL && at < seg->n_dir && !seg->gone) {
            *entry = seg->dir[at];
            return seg;
        }
    }
    return NULL;
}

/* lock held. The oldest vector that knows; its segment is in use afterwards. */
static sa_look
in_vectors(sa_partition *part, uint64_t offset, uint64_t end, uint32_t max, sa_places *places)
{
    sa_vec *best = NULL;
    for (sa_vec *vec = part->vecs; vec != NULL; vec = vec->older) {
        uint32_t count = atomic_load_explicit(&vec->count, memory_order_acquire);
        if (count > 0 && vec->base + count > offset)
            best = vec;
    }
    if (best == NULL || above(offset, best->base) >= end)
        return SA_LOOK_NONE;
    uint32_t count = atomic_load_explicit(&best->count, memory_order_acquire);
    places->seg = best->seg;
    places->fd = best->seg->fd;
    places->size = (uint32_t)(atomic_load_explicit(&best->bytes, memory_order_relaxed) / count);
    places->offset = above(offset, best->base);
    for (uint64_t o = places->offset; o - best->base < count && o < end && places->n < max; o++)
        places->place8[places->n++] = sa_vec_at(best, (uint32_t)(o - best->base));
    best->seg->use++;
    return SA_LOOK_FOUND;
}

sa_look
sa_lookup(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end, uint32_t max,
          sa_places *places)
{
    sa_segs *segs = &store->segs;
    sa_look look;
    if (max > SA_PLACES)
        max = SA_PLACES;
    do {
        sa_entry entry;
        places->seg = NULL;
        places->n = 0;
        look = from_rows(store, part, offset, end, max, places);
        if (look != SA_LOOK_NONE)
            return look;
        uint64_t rows_to = atomic_load(&part->rows_to);
        uint64_t skip = rows_to > offset ? rows_to : offset;
        /* An index moves from vectors to a directory, and from there to rows, under this lock. */
        pthread_mutex_lock(&segs->lock);
        if (atomic_load(&part->rows_to) > rows_to) {
            pthread_mutex_unlock(&segs->lock);
            continue;
        }
        sa_segment *seg = in_dirs(segs, part, skip, &entry);
        look = seg == NULL ? in_vectors(part, skip, end, max, places)
               : above(skip, entry.base) < end ? SA_LOOK_FOUND : SA_LOOK_NONE;
        bool entered = seg != NULL && look == SA_LOOK_FOUND;
        int fd = entered ? sa_seg_use(store, seg) : -1;
        pthread_mutex_unlock(&segs->lock);
        if (entered)
            look = from_entry(store, seg, fd, &entry, skip, end, max, places);
        if (look != SA_LOOK_GONE)
            return look;
        offset = entry.last + 1;
    } while (true);
}

void
sa_places_leave(struct sa_store *store, sa_places *places)
{
    if (places->seg != NULL)
        sa_seg_leave(store, places->seg);
    places->seg = NULL;
}
