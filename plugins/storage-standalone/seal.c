/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing, [keeper]: a closed segment that is durable as a whole gets its footer, and its index
 * moves from vectors to a directory.
 */
#include "index.h"
#include "keeper.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>

static void
places(void *ctx, uint32_t entry, uint32_t *out)
{
    sa_vec *vec = ((sa_vec **)ctx)[entry];
    uint32_t count = atomic_load_explicit(&vec->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        out[i] = sa_vec_at(vec, i);
}

static int
write_footer(struct sa_store *store, sa_segment *seg, const uint8_t *footer, size_t size)
{
    const sa_io *io = store->io;
    uint64_t place = atomic_load(&seg->end) - seg->base;
    sa_point(io, "seal-begin");
    int rc = sa_write_all(io, seg->fd, footer, size, place);
    sa_point(io, "seal-written");
    if (rc == 0)
        rc = io->truncate(io->ctx, seg->fd, place + size);
    sa_point(io, "seal-cut");
    if (rc == -EIO) /* not tried again: what the disk keeps of the segment is unknown now */
        sa_log_fail(store, EMESH_E_LOST, EIO, "write of a footer");
    if (rc == 0) {
        rc = io->datasync(io->ctx, seg->fd);
        if (rc < 0) {
            sa_log_fail(store, EMESH_E_LOST, -rc, "fdatasync of a footer");
            return rc;
        }
    }
    sa_point(io, "seal-synced");
    sa_count(&store->stats.write_bytes, size);
    seg->size = place + size;
    return rc;
}

/* The directory takes over from the vectors. */
static void
swap(struct sa_store *store, sa_segment *seg, sa_entry *entries, uint32_t n)
{
    sa_segs *segs = &store->segs;
    pthread_mutex_lock(&segs->lock);
    seg->dir = entries;
    seg->n_dir = n;
    seg->state = SA_SEG_SEALED;
    seg->live = 0;
    seg->live_bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        sa_partition *part = sa_catalog_part(&store->cat, entries[i].partition);
        if (part == NULL || part->id == 0 || entries[i].last < part->dead_to)
            continue; /* cut before the last life ended */
        seg->live++;
        seg->live_bytes += entries[i].bytes;
        part->bytes += entries[i].bytes;
    }
    sa_index_drop(store, seg);
    sa_prints_drop(seg);
    pthread_mutex_unlock(&segs->lock);
}

int
sa_seal(struct sa_store *store, struct sa_segment *seg)
{
    sa_vec **vecs = NULL;
    uint32_t n = 0, n_prints = 0;
    sa_entry *entries = sa_index_entries(seg, &vecs, &n);
    sa_print *prints = sa_prints_copy(seg, &n_prints);
    g_autoptr(GByteArray) cat = g_byte_array_new();
    if (entries == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&store->cat.lock);
    sa_cat_put_all(cat, &store->cat);
    pthread_mutex_unlock(&store->cat.lock);
    sa_foot_spec spec = {
        .head = { .base = seg->base, .lsn = atomic_load(&seg->end), .clock_us = seg->clock_us,
                  .wall_us = sa_wall_us(store), .epoch = store->epoch },
        .salt = store->salt, .entries = entries, .n_entries = n, .places = places, .ctx = vecs,
        .prints = prints, .n_prints = n_prints, .cat = cat->data, .cat_bytes = cat->len,
    };
    size_t size;
    uint8_t *footer = sa_footer_build(&spec, &size);
    int rc = footer != NULL ? write_footer(store, seg, footer, size) : -ENOMEM;
    free(footer);
    free(vecs);
    free(prints);
    if (rc < 0) {
        free(entries);
        return rc;
    }
    swap(store, seg, entries, n);
    store->keeper.sealed++;
    atomic_store(&store->keeper.dirty, true);
    sa_count(&store->stats.sealed, 1);
    return 0;
}

/* The oldest closed segment that is durable. */
static sa_segment *
next_closed(struct sa_store *store)
{
    sa_segs *segs = &store->segs;
    sa_segment *found = NULL;
    pthread_mutex_lock(&segs->lock);
    uint32_t i = segs->n;
    while (i > 0 && segs->all[i - 1]->state != SA_SEG_SEALED)
        i--;
    if (i < segs->n && segs->all[i]->state == SA_SEG_CLOSED
        && atomic_load(&segs->all[i]->synced) >= atomic_load(&segs->all[i]->end))
        found = segs->all[i];
    pthread_mutex_unlock(&segs->lock);
    return found;
}

void
sa_seal_closed(struct sa_store *store)
{
    sa_segment *seg;
    while ((seg = next_closed(store)) != NULL) {
        int rc = sa_seal(store, seg);
        if (rc < 0) {
            if (atomic_load(&store->log.failed) != 0)
                return; /* which is said */
            sa_say(store, EMESH_LOG_WARNING, "segment %s/log/%016llx.seg could not be sealed: %s; "
                   "it is tried again", store->path, (unsigned long long)seg->base,
                   g_strerror(-rc));
            return;
        }
    }
}
