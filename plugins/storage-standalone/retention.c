/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention, [keeper]: per topic and logical. The oldest entries past age or bytes are cut by moving
 * the first offset, which a START record says; a segment without live entries that the checkpoint
 * no longer needs is unlinked. Age is counted on the store's clock from when a segment was closed,
 * so that nothing goes early, whatever the wall clock does.
 */
#include "admin.h"
#include "index.h"
#include "keeper.h"
#include "store.h"

typedef struct sa_oldest { /* the oldest entry of a partition that is not cut */
    sa_segment *seg;
    sa_entry entry;
    bool row;
} sa_oldest;

/* lock held */
static bool
oldest_in_dirs(sa_segs *segs, sa_partition *part, uint64_t offset, sa_oldest *out)
{
    for (uint32_t i = sa_segs_place(segs, segs->dirs_from); i < segs->n; i++) {
        sa_segment *seg = segs->all[i];
        uint32_t at = seg->dir != NULL ? sa_dir_find(seg->dir, seg->n_dir, part->id, offset) : 0;
        if (seg->dir != NULL && at < seg->n_dir) {
            *out = (sa_oldest){ seg, seg->dir[at], false };
            return true;
        }
    }
    return false;
}

/* The oldest entry in a sealed segment that ends at or behind offset. */
static bool
oldest(struct sa_store *store, sa_partition *part, uint64_t offset, sa_oldest *out)
{
    sa_segs *segs = &store->segs;
    uint64_t base;
    if (offset < atomic_load(&part->rows_to)
        && sa_rows_chunk(store, part->id, offset, &base, &out->entry) == 0) {
        pthread_mutex_lock(&segs->lock);
        out->seg = sa_segs_find(segs, base);
        pthread_mutex_unlock(&segs->lock);
        out->row = true;
        return true;
    }
    pthread_mutex_lock(&segs->lock);
    bool found = oldest_in_dirs(segs, part, MAX(offset, atomic_load(&part->rows_to)), out);
    pthread_mutex_unlock(&segs->lock);
    return found;
}

/* Entries that end below to are dead: their segments lose them, their rows go. */
static void
cut(struct sa_store *store, sa_partition *part, uint64_t to)
{
    sa_keeper *keeper = &store->keeper;
    sa_oldest o;
    while (part->dead_to < to && oldest(store, part, part->dead_to, &o) && o.entry.last < to) {
        pthread_mutex_lock(&store->segs.lock);
        if (o.seg != NULL && o.seg->live > 0) {
            o.seg->live--;
            o.seg->live_bytes -= MIN(o.seg->live_bytes, o.entry.bytes);
        }
        part->bytes -= MIN(part->bytes, o.entry.bytes);
        pthread_mutex_unlock(&store->segs.lock);
        if (o.row) {
            sa_doomed doomed = { part->id, o.entry.base };
            g_array_append_val(keeper->doomed, doomed);
            if (o.seg != NULL)
                g_hash_table_add(keeper->changed, o.seg);
        }
        part->dead_to = o.entry.last + 1;
        store->cleaner.look = true;
        atomic_store(&keeper->dirty, true);
    }
}

/* Where the partition should begin by age and bytes. */
static uint64_t
wanted_first(struct sa_store *store, const sa_topic *topic, sa_partition *part, uint64_t now_us)
{
    uint64_t first = atomic_load(&part->first);
    uint64_t bytes = part->bytes;
    uint64_t from = MAX(first, part->dead_to);
    sa_oldest o;
    while (oldest(store, part, from, &o)) {
        uint64_t closed = o.entry.clock_us != 0 ? o.entry.clock_us
                          : o.seg != NULL ? o.seg->clock_us : 0;
        bool old = topic->retention_ms > 0 && now_us > closed
                   && now_us - closed > topic->retention_ms * 1000;
        bool large = topic->retention_bytes > 0 && bytes > topic->retention_bytes;
        if (!old && !large)
            break;
        bytes -= MIN(bytes, o.entry.bytes);
        from = first = o.entry.last + 1;
    }
    return first;
}

static GPtrArray *
topics_now(struct sa_store *store)
{
    GPtrArray *out = g_ptr_array_new();
    pthread_mutex_lock(&store->cat.lock);
    for (guint i = 0; i < store->cat.every->len; i++)
        g_ptr_array_add(out, g_ptr_array_index(store->cat.every, i));
    pthread_mutex_unlock(&store->cat.lock);
    return out;
}

static void
say_cut(struct sa_store *store, const sa_topic *topic, uint64_t records)
{
    sa_count(&store->stats.trimmed, records);
    sa_say(store, EMESH_LOG_INFO, "retention took %llu records of topic %s",
           (unsigned long long)records, topic->name);
}

void
sa_retain(struct sa_store *store)
{
    g_autoptr(GPtrArray) topics = topics_now(store);
    uint64_t now_us = sa_clock_us(store);
    for (guint i = 0; i < topics->len; i++) {
        sa_topic *topic = g_ptr_array_index(topics, i);
        uint64_t taken = 0;
        for (uint32_t k = 0; k < topic->n_parts; k++) {
            sa_partition *part = topic->parts[k];
            if (topic->deleted) {
                if (part->bytes > 0)
                    cut(store, part, UINT64_MAX);
                continue;
            }
            uint64_t before = atomic_load(&part->first);
            uint64_t first = topic->retention_ms > 0 || topic->retention_bytes > 0
                                 ? wanted_first(store, topic, part, now_us) : before;
            if (first > before) {
                sa_change *change = sa_change_new(store, NULL, 1);
                atomic_store(&part->first, first);
                sa_change_add(change, SA_START, NULL, part, first);
                sa_change_submit(change, false, NULL);
                sa_keeper_topic(store, topic);
                taken += first - before;
            }
            cut(store, part, first);
        }
        if (taken > 0)
            say_cut(store, topic, taken);
    }
}

/* Takes a dead segment out of the set; its row goes first. */
static bool
bury(struct sa_store *store, sa_segment *seg)
{
    MDB_txn *txn;
    char name[SA_NAME_MAX];
    if (seg->rows) {
        int rc = mdb_txn_begin(store->rows.env, NULL, 0, &txn);
        if (rc == 0) {
            rc = sa_rows_del_segment(store, txn, seg->base);
            if (rc == 0)
                rc = mdb_txn_commit(txn);
            else
                mdb_txn_abort(txn);
        }
        if (rc != 0)
            return false;
    }
    pthread_mutex_lock(&store->segs.lock);
    bool free_now = seg->use == 0;
    if (free_now)
        sa_segs_remove(&store->segs, seg);
    pthread_mutex_unlock(&store->segs.lock);
    if (!free_now)
        return false; /* a reader is at it: next time */
    g_hash_table_remove(store->keeper.changed, seg);
    sa_seg_name(name, seg->base, seg->cleaned);
    sa_point(store->io, "unlink");
    store->io->unlink(store->io->ctx, store->log_dir, name);
    sa_count(&store->stats.unlinked, 1);
    sa_vectors_drop(&store->vectors, seg->base);
    sa_seg_free(store, seg);
    return true;
}

/* lock held. Nothing in it is read any more, but by an index that is made anew. */
static bool
is_dead(struct sa_store *store, uint32_t i)
{
    const sa_segs *segs = &store->segs;
    const sa_segment *s = segs->all[i];
    /* The newest sealed segment stays, at an orderly stop too: it carries the catalogue. */
    bool newest = i + 1 == segs->n || segs->all[i + 1]->state != SA_SEG_SEALED;
    return s->live == 0 && s->held == 0 && atomic_load(&s->end) <= store->keeper.applied && !newest
           && !s->cleaning && !s->pending;
}

/* lock held. And neither by that: no HOLD of an older segment was done here, no pair deleted that an
 * older one knows, and where groups stand is told behind it. A full disk that has no room to tell it
 * does not wait: then groups may stand elsewhere, should the index be lost as well. */
static bool
may_go(struct sa_store *store, uint32_t i)
{
    const sa_segment *s = store->segs.all[i];
    if (s->gone)
        return true; /* the cleaner's, or it was being read */
    if (sa_hold_marks(store, s) || (s->deletes && i > 0))
        return false; /* the cleaner keeps what is needed */
    if (s->last <= store->keeper.told || sa_tell_hopeless(store))
        return true;
    sa_tell_want(store, s->last);
    return false;
}

void
sa_unlink_dead(struct sa_store *store)
{
    sa_segs *segs = &store->segs;
    uint64_t base = 0;
    while (true) {
        pthread_mutex_lock(&segs->lock);
        uint32_t i = sa_segs_place(segs, base);
        sa_segment *seg = NULL;
        for (; i < segs->n && seg == NULL && segs->all[i]->state == SA_SEG_SEALED; i++) {
            if (is_dead(store, i) && may_go(store, i))
                seg = segs->all[i];
        }
        if (seg != NULL) {
            seg->gone = true;
            base = seg->base + 1;
        }
        pthread_mutex_unlock(&segs->lock);
        if (seg == NULL)
            break;
        bury(store, seg);
    }
}
