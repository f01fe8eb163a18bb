/* SPDX-License-Identifier: Apache-2.0
 *
 * See recovery.h: the order of steps, and what happens when the index is not usable.
 */
#include "recovery.h"

#include "store.h"
#include <errno.h>
#include <sys/random.h>

#define SA_DEAD_STARTS 3u

static void
scanned_free(gpointer data)
{
    sa_scanned *s = data;
    g_array_unref(s->items);
    g_free(s);
}

/* Everything in memory as if nothing had been read. */
static void
start_over(sa_recovery *r)
{
    sa_store *store = r->store;
    sa_segs_clear(store);
    sa_catalog_clear(store);
    sa_segs_init(&store->segs);
    sa_catalog_init(&store->cat);
    sa_holds_clear(&store->holds);
    sa_holds_init(&store->holds);
    g_ptr_array_set_size(store->keeper.pairs, 0);
    g_ptr_array_set_size(store->keeper.topics, 0);
    g_ptr_array_set_size(store->keeper.groups, 0);
    g_array_set_size(store->keeper.doomed, 0);
    g_ptr_array_set_size(r->scanned, 0);
    g_array_set_size(r->missing, 0);
    g_array_set_size(r->replaced, 0);
    r->have_meta = false;
    r->corrupt = false;
    r->rebuild = true;
    r->durable = r->top = r->clock_us = 0;
    r->epoch = r->swap = 0;
    memset(&r->meta, 0, sizeof r->meta);
}

static int32_t
set_aside(sa_recovery *r, const char *why)
{
    sa_store *store = r->store;
    sa_say(store, EMESH_LOG_ERROR, "index of %s is set aside and made anew from the log: %s",
           store->path, why);
    int rc = sa_rows_set_aside(store);
    if (rc == 0)
        rc = sa_rows_open(store);
    if (rc != 0)
        return sa_error(r->err, EMESH_E_IO, "index %s/index could not be made anew: %s", store->path,
                        rc < 0 && rc > -1000 ? g_strerror(-rc) : mdb_strerror(rc));
    start_over(r);
    return EMESH_OK;
}

static int32_t
open_index(sa_recovery *r)
{
    sa_store *store = r->store;
    uint32_t dead = sa_starts_add(store);
    int rc = dead < SA_DEAD_STARTS ? sa_rows_check_file(store) : 0;
    if (rc == 0 && dead < SA_DEAD_STARTS)
        rc = sa_rows_open(store);
    if (dead >= SA_DEAD_STARTS)
        return set_aside(r, "three starts ended before a checkpoint");
    if (rc == -EACCES || rc == -ENOSPC || rc == EACCES || rc == ENOSPC || rc == ENOMEM)
        return sa_error(r->err, EMESH_E_IO, "index %s/index could not be opened: %s", store->path,
                        rc < 0 ? g_strerror(-rc) : mdb_strerror(rc));
    if (rc != 0)
        return set_aside(r, rc < 0 && rc > -1000 ? g_strerror(-rc) : mdb_strerror(rc));
    rc = sa_rows_meta(store, &r->meta);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return set_aside(r, "its meta row is damaged");
    r->have_meta = rc == 0;
    store->features |= r->meta.incompat & SA_INCOMPAT;
    r->rebuild = rc != 0;
    if (r->have_meta && (r->meta.major != SA_MAJOR || (r->meta.incompat & ~SA_INCOMPAT) != 0))
        return sa_error(r->err, EMESH_E_TOO_NEW, "store %s was written by a newer version (format "
                        "%u, features 0x%x): start that version, or another --data", store->path,
                        r->meta.major, r->meta.incompat);
    return EMESH_OK;
}

/* The store's clock goes on where it stood. How long a stop took is known while the machine runs; when
 * it was started meanwhile, only the wall could tell, which may be anywhere: then the stop does not
 * count, so that nothing expires early. */
static void
set_clock(sa_recovery *r)
{
    sa_store *store = r->store;
    uint64_t now = sa_boot_us(store), at = r->clock_us;
    if (r->have_meta) {
        bool same = r->meta.boot_id != 0 && r->meta.boot_id == store->boot_id;
        uint64_t gone = same && now > r->meta.boot_us ? now - r->meta.boot_us : 0;
        at = MAX(at, r->meta.clock_us + gone);
    }
    store->clock_base = (int64_t)at - (int64_t)now;
}

/* A number of this life, known before anything of it is written. */
static int32_t
commit_epoch(sa_recovery *r)
{
    sa_store *store = r->store;
    MDB_txn *txn;
    store->epoch = MAX(r->epoch, r->meta.epoch) + 1;
    r->meta.epoch = store->epoch;
    r->meta.clean = 0;
    r->meta.major = SA_MAJOR;
    r->meta.incompat = store->features;
    r->meta.swap = store->swap;
    r->meta.salt = store->salt;
    memcpy(r->meta.id, store->id, sizeof store->id);
    int rc = mdb_txn_begin(store->rows.env, NULL, 0, &txn);
    if (rc == 0) {
        rc = sa_rows_put_meta(store, txn, &r->meta);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rc != 0)
        return sa_error(r->err, rc == ENOSPC ? EMESH_E_NO_SPACE : EMESH_E_IO,
                        "the number of this start could not be written to %s/index: %s",
                        store->path, mdb_strerror(rc));
    return EMESH_OK;
}

static int32_t
read_all(sa_recovery *r)
{
    int32_t code = sa_recover_headers(r);
    if (code == EMESH_OK && !r->corrupt)
        code = sa_recover_rows(r);
    if (code == EMESH_OK && !r->corrupt) {
        sa_recover_cleaned(r);
        code = sa_recover_files(r);
    }
    return code;
}

static int32_t
steps(sa_recovery *r)
{
    sa_store *store = r->store;
    int32_t code = open_index(r);
    bool was_clean = r->have_meta && r->meta.clean != 0;
    if (code == EMESH_OK)
        code = read_all(r);
    if (code == EMESH_OK && r->corrupt) {
        code = set_aside(r, "a row is damaged, or it belongs to another log");
        was_clean = false;
        if (code == EMESH_OK)
            code = read_all(r);
    }
    if (code != EMESH_OK)
        return code;
    sa_recover_mark(r);
    set_clock(r);
    r->meta.boot_us = sa_boot_us(store);
    r->meta.boot_id = store->boot_id;
    r->meta.clock_us = (uint64_t)(store->clock_base + (int64_t)r->meta.boot_us);
    store->unclean = !was_clean || r->scanned->len > 0;
    sa_point(store->io, "recover-read");
    code = sa_recover_room(r);
    if (code == EMESH_OK)
        code = commit_epoch(r);
    if (code == EMESH_OK)
        code = sa_recover_replay(r);
    sa_point(store->io, "recover-replayed");
    if (code == EMESH_OK)
        code = sa_recover_copy(r);
    sa_point(store->io, "recover-copied");
    int rc = code == EMESH_OK ? sa_holds_recovered(store, store->unclean) : 0;
    if (rc != 0)
        code = sa_error(r->err, EMESH_E_IO, "held events in %s/index could not be read: %s",
                        store->path, mdb_strerror(rc));
    return code;
}

int32_t
sa_recover(struct sa_store *store, emesh_error *err)
{
    sa_recovery r = { .store = store, .err = err };
    r.scanned = g_ptr_array_new_with_free_func(scanned_free);
    r.missing = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    r.replaced = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    r.files = sa_folder_list(store, err);
    int32_t code = r.files != NULL ? steps(&r) : EMESH_E_IO;
    if (code == EMESH_OK)
        sa_scrub_load(store); /* before a checkpoint writes it */
    if (code == EMESH_OK && (sa_checkpoint(store, true, false) != 0 || sa_recover_replaced(&r) != 0))
        code = sa_error(err, EMESH_E_IO, "the checkpoint in %s/index could not be written",
                        store->path);
    if (r.files != NULL)
        g_array_unref(r.files);
    g_ptr_array_unref(r.scanned);
    g_array_unref(r.missing);
    g_array_unref(r.replaced);
    return code;
}
