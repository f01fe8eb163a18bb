/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a cleaner's job, see clean.h: the new segment gets its footer, is synced and named;
 * then one commit puts its rows in the place of the inputs'. A reader that meets an input on its way
 * out finds segs->swaps changed and asks again. Until that commit recovery drops the new file,
 * afterwards the inputs.
 */
#include "clean.h"

#include "crc32c.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>

typedef struct sa_taking { /* places, entry by entry */
    const sa_cleaner *c;
    guint at;
} sa_taking;

static void
places(void *ctx, uint32_t entry, uint32_t *out)
{
    sa_taking *t = ctx;
    uint32_t count = g_array_index(t->c->entries, sa_entry, entry).count;
    memcpy(out, &g_array_index(t->c->places, uint32_t, t->at), 4ull * count);
    t->at += count;
}

static int
write_footer(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    sa_segment *out = c->out;
    sa_taking taking = { .c = c };
    size_t size;
    g_autoptr(GByteArray) cat = g_byte_array_new();
    pthread_mutex_lock(&store->cat.lock);
    sa_cat_put_all(cat, &store->cat);
    pthread_mutex_unlock(&store->cat.lock);
    sa_foot_spec spec = {
        .head = { .base = out->base, .lsn = out->base + c->place, .clock_us = out->clock_us,
                  .wall_us = sa_wall_us(store), .epoch = store->epoch },
        .salt = store->salt, .entries = (sa_entry *)(void *)c->entries->data,
        .n_entries = c->entries->len, .places = places, .ctx = &taking,
        .prints = (sa_print *)(void *)c->prints->data, .n_prints = c->prints->len,
        .cat = cat->data, .cat_bytes = cat->len,
    };
    uint8_t *footer = sa_footer_build(&spec, &size);
    if (footer == NULL)
        return -ENOMEM;
    int rc = sa_write_all(store->io, out->fd, footer, size, c->place);
    free(footer);
    sa_count(&store->stats.clean_bytes, size);
    atomic_store(&out->end, out->base + c->place);
    atomic_store(&out->synced, out->base + c->place);
    out->size = c->place + size;
    return rc;
}

static void
unname(struct sa_store *store)
{
    char name[SA_NAME_MAX];
    sa_seg_name(name, store->cleaner.out->base, true);
    store->io->unlink(store->io->ctx, store->log_dir, name);
    store->io->sync(store->io->ctx, store->log_dir);
}

static int
make_durable(struct sa_store *store)
{
    const sa_io *io = store->io;
    sa_segment *out = store->cleaner.out;
    char temp[SA_NAME_MAX], name[SA_NAME_MAX];
    sa_clean_temp(temp, out->base);
    sa_seg_name(name, out->base, true);
    sa_point(io, "clean-written");
    int rc = io->datasync(io->ctx, out->fd);
    sa_point(io, "clean-synced");
    if (rc == 0)
        rc = io->rename(io->ctx, store->log_dir, temp, name);
    sa_point(io, "clean-renamed");
    if (rc == 0) {
        rc = io->sync(io->ctx, store->log_dir);
        if (rc < 0)
            unname(store);
    }
    return rc;
}

/* ---- the commit ---- */

/* From now on older versions, which do not know cleaned segments, refuse the folder; and an index
 * that comes back from before is told from this one by the number. */
static int
put_meta(struct sa_store *store, MDB_txn *txn)
{
    sa_meta meta;
    int rc = sa_rows_meta(store, &meta);
    meta.incompat |= SA_FEATURE_CLEANED;
    meta.swap = store->cleaner.out->swap;
    return rc == 0 ? sa_rows_put_meta(store, txn, &meta) : rc;
}

static int
put_rows(struct sa_store *store, MDB_txn *txn)
{
    sa_cleaner *c = &store->cleaner;
    sa_segment *out = c->out;
    int rc = put_meta(store, txn);
    out->live = 0;
    out->live_bytes = 0;
    for (guint i = 0; i < c->entries->len && rc == 0; i++) {
        const sa_entry *e = &g_array_index(c->entries, sa_entry, i);
        if (e->partition == 0 || !sa_piece_live(store, e))
            continue; /* cut meanwhile: its old row is on the way out */
        rc = sa_rows_put_chunk(store, txn, out->base, e);
        out->live++;
        out->live_bytes += e->bytes;
    }
    for (guint i = 0; i < c->moves->len && rc == 0; i++)
        rc = sa_hold_move_row(store, txn, &g_array_index(c->moves, sa_hold_move, i));
    for (guint i = 0; i < c->inputs->len && rc == 0; i++)
        rc = sa_rows_del_segment(store, txn,
                                 ((sa_segment *)g_ptr_array_index(c->inputs, i))->base);
    return rc == 0 ? sa_rows_put_segment(store, txn, out) : rc;
}

static int
commit(struct sa_store *store)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->rows.env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = put_rows(store, txn);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    sa_point(store->io, "clean-commit");
    rc = mdb_txn_commit(txn);
    sa_point(store->io, "clean-committed");
    return rc;
}

/* ---- the rest of the store ---- */

static int
announce(struct sa_store *store)
{
    sa_segs *segs = &store->segs;
    sa_segment *out = store->cleaner.out;
    out->pending = true;
    out->rows = true;
    pthread_mutex_lock(&segs->lock);
    int rc = sa_segs_add(segs, out);
    pthread_mutex_unlock(&segs->lock);
    return rc;
}

static void
take_over(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    sa_segs *segs = &store->segs;
    pthread_mutex_lock(&store->holds.lock);
    pthread_mutex_lock(&segs->lock);
    c->out->pending = false;
    sa_holds_moved(store, c->out, c->moves);
    for (guint i = 0; i < c->inputs->len; i++) {
        sa_segment *seg = g_ptr_array_index(c->inputs, i);
        g_hash_table_remove(store->keeper.changed, seg);
        g_array_append_val(c->retiring, seg->base);
        seg->cleaning = false;
        seg->gone = true; /* sa_unlink_dead() takes it */
        seg->rows = false;
        seg->live = 0;
        seg->live_bytes = 0;
        seg->held = 0;
        seg->held_bytes = 0;
        seg->holds = seg->dones = (sa_tokens){ 0, 0 };
    }
    atomic_fetch_add(&segs->swaps, 1);
    pthread_mutex_unlock(&segs->lock);
    pthread_mutex_unlock(&store->holds.lock);
    store->swap = c->out->swap;
    store->features |= SA_FEATURE_CLEANED;
    sa_count(&store->stats.cleaned, 1);
    sa_count(&store->stats.sorted, c->sorts);
    sa_count(&store->stats.clean_inputs, c->inputs->len);
    g_ptr_array_set_size(c->inputs, 0);
    c->out = NULL;
}

/* The commit failed: was it done, or not? LMDB is asked anew: MDB_NOTFOUND when not. */
static int
committed(struct sa_store *store)
{
    MDB_txn *txn;
    uint64_t base = __builtin_bswap64(SA_LE64(store->cleaner.out->base));
    MDB_val key = { sizeof base, &base }, value;
    int rc = sa_rows_reopen(store);
    if (rc == 0)
        rc = mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_get(txn, store->rows.table[SA_T_SEGMENTS], &key, &value);
    mdb_txn_abort(txn);
    return rc;
}

static int
not_committed(struct sa_store *store, int rc, int found)
{
    sa_segment *out = store->cleaner.out;
    sa_say(store, EMESH_LOG_ERROR, "the rows of a cleaned log file could not be written to "
           "%s/index: %s", store->path, rc < 0 ? g_strerror(-rc) : mdb_strerror(rc));
    pthread_mutex_lock(&store->segs.lock);
    sa_segs_remove(&store->segs, out);
    pthread_mutex_unlock(&store->segs.lock);
    if (found != MDB_NOTFOUND) { /* it cannot be told: the files stay, recovery decides */
        sa_log_fail(store, EMESH_E_IO, EIO, "the swap of cleaned log files");
    } else {
        unname(store);
    }
    return rc == ENOSPC ? -ENOSPC : -EIO;
}

int
sa_clean_finish(struct sa_store *store)
{
    int rc = write_footer(store);
    if (rc == 0)
        rc = make_durable(store);
    if (rc == 0) {
        rc = announce(store);
        if (rc < 0)
            unname(store);
    }
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&store->holds.rows_lock); /* no row is read between its two places */
    rc = commit(store);
    int found = rc != 0 ? committed(store) : 0;
    if (found == 0)
        take_over(store);
    pthread_mutex_unlock(&store->holds.rows_lock);
    return found != 0 ? not_committed(store, rc, found) : 0;
}

bool
sa_clean_retired(struct sa_store *store)
{
    const sa_cleaner *c = &store->cleaner;
    const sa_io *io = store->io;
    bool there = false;
    pthread_mutex_lock(&store->segs.lock);
    for (guint i = 0; i < c->retiring->len && !there; i++)
        there = sa_segs_find(&store->segs, g_array_index(c->retiring, uint64_t, i)) != NULL;
    pthread_mutex_unlock(&store->segs.lock);
    if (there)
        return false;
    sa_point(io, "clean-unlinked");
    int rc = io->sync(io->ctx, store->log_dir);
    if (rc < 0)
        sa_log_fail(store, EMESH_E_LOST, -rc, "sync of the folder of the log");
    sa_point(io, "clean-end");
    return rc == 0;
}
