/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoint, [keeper]: what changed is copied, the log is synced behind it, then the rows are
 * committed with the LSN up to which they know everything. So nothing in LMDB is newer than the
 * durable log. Chunk rows of sealed segments go in 16 segments at a time.
 */
#include "folder.h"
#include "keeper.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>

typedef struct sa_image { /* what a checkpoint will write */
    uint64_t applied;
    GPtrArray *pairs, *topics, *groups;
    GPtrArray *rows; /* GByteArray: u8 table, u8 put, u16 key bytes, u32 0, key, value */
    GPtrArray *segs; /* sealed segments whose chunks go in */
    sa_meta meta;
} sa_image;

static void
row_add(sa_image *image, enum sa_table table, bool put, const void *key, size_t key_len,
        const GByteArray *value)
{
    GByteArray *row = g_byte_array_new();
    uint8_t head[8] = { (uint8_t)table, put };
    sa_put16(head + 2, (uint32_t)key_len);
    g_byte_array_append(row, head, sizeof head);
    g_byte_array_append(row, key, (guint)key_len);
    if (value != NULL)
        g_byte_array_append(row, value->data, value->len);
    g_ptr_array_add(image->rows, row);
}

/* Takes over the lists of what is dirty. */
static void
take_lists(struct sa_store *store, sa_image *image)
{
    sa_keeper *keeper = &store->keeper;
    pthread_mutex_lock(&keeper->lock);
    image->pairs = keeper->pairs;
    image->topics = keeper->topics;
    image->groups = keeper->groups;
    keeper->pairs = g_ptr_array_new();
    keeper->topics = g_ptr_array_new();
    keeper->groups = g_ptr_array_new();
    for (guint i = 0; i < image->topics->len; i++)
        ((sa_topic *)g_ptr_array_index(image->topics, i))->row_dirty = false;
    for (guint i = 0; i < image->groups->len; i++)
        ((sa_group *)g_ptr_array_index(image->groups, i))->row_dirty = false;
    pthread_mutex_unlock(&keeper->lock);
    atomic_store(&keeper->dirty, false);
}

static void
copy_pair(sa_image *image, sa_pair *pair)
{
    uint8_t key[8];
    g_autoptr(GByteArray) value = g_byte_array_new();
    pthread_mutex_lock(&pair->group->lock);
    pair->row_dirty = false;
    sa_row_pair_key(key, pair->group->id, pair->part->id);
    if (!pair->gone)
        sa_row_pair_value(value, pair, image->applied);
    bool gone = pair->gone;
    pthread_mutex_unlock(&pair->group->lock);
    row_add(image, SA_T_GROUPS, !gone, key, sizeof key, value);
}

static void
copy_catalog(struct sa_store *store, sa_image *image)
{
    sa_catalog *cat = &store->cat;
    uint8_t key[5];
    pthread_mutex_lock(&cat->lock);
    for (guint i = 0; i < image->topics->len; i++) {
        sa_topic *topic = g_ptr_array_index(image->topics, i);
        g_autoptr(GByteArray) value = g_byte_array_new();
        sa_row_catalog_key(key, SA_CAT_TOPIC, topic->id);
        sa_cat_put_topic(value, topic, SA_CAT_PUT);
        row_add(image, SA_T_CATALOG, !topic->deleted, key, sizeof key, value);
    }
    for (guint i = 0; i < image->groups->len; i++) {
        sa_group *group = g_ptr_array_index(image->groups, i);
        g_autoptr(GByteArray) value = g_byte_array_new();
        sa_row_catalog_key(key, SA_CAT_GROUP, group->id);
        sa_cat_put_group(value, group, SA_CAT_PUT);
        row_add(image, SA_T_CATALOG, !group->deleted, key, sizeof key, value);
    }
    image->meta.next_topic = cat->next_topic;
    image->meta.next_part = cat->next_part;
    image->meta.next_group = cat->next_group;
    pthread_mutex_unlock(&cat->lock);
}

/* Sealed segments that have no rows yet, when they are enough. */
static void
copy_segments(struct sa_store *store, sa_image *image, bool all)
{
    sa_segs *segs = &store->segs;
    pthread_mutex_lock(&segs->lock);
    for (uint32_t i = sa_segs_place(segs, segs->dirs_from); i < segs->n; i++) {
        sa_segment *seg = segs->all[i];
        if (seg->state == SA_SEG_SEALED && !seg->rows && !seg->gone)
            g_ptr_array_add(image->segs, seg);
    }
    pthread_mutex_unlock(&segs->lock);
    if (!all && image->segs->len < SA_ROWS_BATCH)
        g_ptr_array_set_size(image->segs, 0);
}

static int
put_rows(struct sa_store *store, MDB_txn *txn, const sa_image *image)
{
    int rc = 0;
    for (guint i = 0; i < image->rows->len && rc == 0; i++) {
        const GByteArray *row = g_ptr_array_index(image->rows, i);
        enum sa_table table = (enum sa_table)row->data[0];
        size_t key_len = sa_get16(row->data + 2);
        const uint8_t *key = row->data + 8;
        if (row->data[1])
            rc = sa_rows_put(store, txn, table, key, key_len, key + key_len,
                             row->len - 8 - key_len);
        else
            rc = sa_rows_del(store, txn, table, key, key_len);
    }
    for (guint i = 0; i < image->segs->len && rc == 0; i++) {
        const sa_segment *seg = g_ptr_array_index(image->segs, i);
        for (uint32_t k = 0; k < seg->n_dir && rc == 0; k++) {
            if (seg->dir[k].partition != 0)
                rc = sa_rows_put_chunk(store, txn, seg->base, &seg->dir[k]);
        }
        if (rc == 0)
            rc = sa_rows_put_segment(store, txn, seg);
    }
    GHashTableIter iter;
    gpointer seg;
    g_hash_table_iter_init(&iter, store->keeper.changed);
    while (rc == 0 && g_hash_table_iter_next(&iter, &seg, NULL))
        rc = sa_rows_put_segment(store, txn, seg);
    return rc;
}

/* Deletes a bounded number of cut chunks: a large delete needs room that a full disk lacks. */
static int
delete_rows(struct sa_store *store, MDB_txn *txn, guint *done)
{
    const GArray *doomed = store->keeper.doomed;
    int rc = 0;
    for (*done = 0; *done < doomed->len && *done < SA_ROWS_DELETE && rc == 0; (*done)++) {
        const sa_doomed *d = &g_array_index(doomed, sa_doomed, *done);
        rc = sa_rows_del_chunk(store, txn, d->partition, d->offset);
    }
    return rc;
}

static int
commit(struct sa_store *store, const sa_image *image)
{
    MDB_txn *txn;
    guint deleted = 0;
    int rc = mdb_txn_begin(store->rows.env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = put_rows(store, txn, image);
    if (rc == 0)
        rc = sa_holds_put(store, txn);
    if (rc == 0)
        rc = delete_rows(store, txn, &deleted);
    if (rc == 0 && store->opt.scrub_ns != 0)
        rc = sa_scrub_put(store, txn);
    if (rc == 0)
        rc = sa_rows_put_meta(store, txn, &image->meta);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    sa_point(store->io, "checkpoint-commit");
    rc = mdb_txn_commit(txn);
    sa_point(store->io, "checkpoint-committed");
    if (rc == 0) {
        g_array_remove_range(store->keeper.doomed, 0, deleted);
        g_hash_table_remove_all(store->keeper.changed);
    }
    return rc;
}

/* The rows are in: directories leave memory. */
static void
drop_dirs(struct sa_store *store, const sa_image *image)
{
    sa_segs *segs = &store->segs;
    pthread_mutex_lock(&segs->lock);
    for (guint i = 0; i < image->segs->len; i++) {
        sa_segment *seg = g_ptr_array_index(image->segs, i);
        for (uint32_t k = 0; k < seg->n_dir; k++) {
            sa_partition *part = sa_catalog_part(&store->cat, seg->dir[k].partition);
            if (part != NULL && seg->dir[k].last + 1 > atomic_load(&part->rows_to))
                atomic_store(&part->rows_to, seg->dir[k].last + 1);
        }
        seg->rows = true;
        free(seg->dir);
        seg->dir = NULL;
        seg->n_dir = 0;
        segs->dirs_from = seg->base + 1;
    }
    pthread_mutex_unlock(&segs->lock);
    if (image->segs->len > 0)
        store->keeper.sealed = 0;
    store->cleaner.look |= image->segs->len > 0;
}

/* Nothing was written: all of it is dirty still. */
static void
give_back(struct sa_store *store, const sa_image *image)
{
    for (guint i = 0; i < image->pairs->len; i++) {
        sa_pair *pair = g_ptr_array_index(image->pairs, i);
        pthread_mutex_lock(&pair->group->lock);
        sa_pair_row(store, pair);
        pthread_mutex_unlock(&pair->group->lock);
    }
    for (guint i = 0; i < image->topics->len; i++)
        sa_keeper_topic(store, g_ptr_array_index(image->topics, i));
    for (guint i = 0; i < image->groups->len; i++)
        sa_keeper_group(store, g_ptr_array_index(image->groups, i));
    atomic_store(&store->keeper.dirty, true);
}

static void
failed(struct sa_store *store, int rc)
{
    sa_keeper *keeper = &store->keeper;
    const char *why = rc < 0 && rc > -1000 ? g_strerror(-rc) : mdb_strerror(rc);
    if (rc == ENOSPC)
        sa_keeper_full(store); /* passes, once there is room; the log goes on with progress */
    else
        keeper->row_errors++;
    sa_say(store, EMESH_LOG_ERROR, "checkpoint in %s/index failed: %s (%u in a row); nothing is "
           "lost, the log has it", store->path, why, keeper->row_errors);
    if (sa_rows_reopen(store) != 0 || keeper->row_errors >= 3)
        sa_log_fail(store, EMESH_E_IO, rc > 0 ? rc : EIO, "the checkpoint");
}

int
sa_checkpoint(struct sa_store *store, bool all, bool clean)
{
    sa_image image = { .applied = atomic_load(&store->log.written) };
    image.rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    image.segs = g_ptr_array_new();
    sa_point(store->io, "checkpoint-begin");
    take_lists(store, &image);
    for (guint i = 0; i < image.pairs->len; i++)
        copy_pair(&image, g_ptr_array_index(image.pairs, i));
    copy_catalog(store, &image);
    copy_segments(store, &image, all);
    sa_holds_take(store);
    pthread_mutex_lock(&store->log.lock);
    image.meta.next_hold = store->holds.next;
    pthread_mutex_unlock(&store->log.lock);
    image.meta.salt = store->salt;
    memcpy(image.meta.id, store->id, sizeof image.meta.id);
    image.meta.epoch = store->epoch;
    image.meta.clean = clean;
    image.meta.major = SA_MAJOR;
    image.meta.incompat = store->features;
    image.meta.swap = store->swap;
    image.meta.applied = image.applied;
    int rc = sa_log_sync(store) == 0 ? 0 : -EIO;
    uint64_t boot_us = sa_boot_us(store);
    image.meta.clock_us = (uint64_t)(store->clock_base + (int64_t)boot_us);
    image.meta.wall_us = sa_wall_us(store);
    image.meta.boot_us = boot_us;
    image.meta.boot_id = store->boot_id;
    sa_point(store->io, "checkpoint-synced");
    pthread_mutex_lock(&store->holds.rows_lock);
    if (rc == 0)
        rc = commit(store, &image);
    sa_holds_taken(store, rc == 0);
    pthread_mutex_unlock(&store->holds.rows_lock);
    if (rc == 0) {
        drop_dirs(store, &image);
        store->keeper.applied = image.applied;
        store->keeper.row_errors = 0;
        sa_starts_clear(store);
        sa_count(&store->stats.checkpoints, 1);
        if (store->keeper.doomed->len > 0)
            atomic_store(&store->keeper.dirty, true);
    } else {
        give_back(store, &image);
        failed(store, rc);
    }
    g_ptr_array_unref(image.rows);
    g_ptr_array_unref(image.segs);
    g_ptr_array_unref(image.pairs);
    g_ptr_array_unref(image.topics);
    g_ptr_array_unref(image.groups);
    return rc;
}
