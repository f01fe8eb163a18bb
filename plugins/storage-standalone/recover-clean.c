/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: files of the cleaner, and the inputs they were made of. One whose rows are committed, or
 * that has lost an input, stays and the inputs go; one with all its inputs was never used and goes.
 * An index older than the cleaning learns the new places from the footer, by the same keys.
 */
#include "recovery.h"

#include "store.h"
#include <fcntl.h>

static int32_t
find(const sa_recovery *r, uint64_t base)
{
    for (guint i = 0; i < r->files->len; i++) {
        if (g_array_index(r->files, sa_file, i).base == base)
            return (int32_t)i;
    }
    return -1;
}

static void
drop_file(sa_recovery *r, uint64_t base, const char *why)
{
    sa_store *store = r->store;
    int32_t at = find(r, base);
    char name[SA_NAME_MAX];
    if (at < 0)
        return;
    sa_seg_name(name, base, g_array_index(r->files, sa_file, at).cleaned);
    g_array_remove_index(r->files, (guint)at);
    pthread_mutex_lock(&store->segs.lock);
    sa_segment *seg = sa_segs_find(&store->segs, base);
    if (seg != NULL)
        sa_segs_remove(&store->segs, seg);
    pthread_mutex_unlock(&store->segs.lock);
    sa_seg_free(store, seg);
    sa_point(store->io, "recover-clean");
    store->io->unlink(store->io->ctx, store->log_dir, name);
    r->dropped = true;
    sa_say(store, EMESH_LOG_NOTICE, "%s/log/%s goes: %s", store->path, name, why);
}

/* Bases of the inputs of a cleaned file; false: its header cannot be read. */
static bool
inputs_of(sa_recovery *r, uint64_t base, GArray *inputs)
{
    sa_store *store = r->store;
    uint8_t page[SA_SEGMENT_HEAD];
    char name[SA_NAME_MAX];
    sa_seg_head head;
    sa_seg_name(name, base, true);
    int fd = store->io->open(store->io->ctx, store->log_dir, name, O_RDONLY);
    if (fd < 0)
        return false;
    ssize_t got = sa_read_all(store->io, fd, page, sizeof page, 0);
    store->io->close(store->io->ctx, fd);
    if (got < 0 || sa_seg_head_read(page, (size_t)got, &head) != SA_HEAD_OK)
        return false;
    g_array_set_size(inputs, 0);
    for (uint32_t i = 0; i < head.n_inputs; i++) {
        uint64_t input = sa_seg_head_input(page, i);
        g_array_append_val(inputs, input);
    }
    return true;
}

static bool
is_listed(const sa_recovery *r, uint64_t base)
{
    return sa_segs_find(&r->store->segs, base) != NULL;
}

/* Its rows name it, or an input is gone: it has taken their place. */
static void
settle(sa_recovery *r, uint64_t base, const GArray *inputs)
{
    guint there = 0;
    for (guint i = 0; i < inputs->len; i++)
        there += find(r, g_array_index(inputs, uint64_t, i)) >= 0;
    if (!is_listed(r, base) && there == inputs->len && inputs->len > 0) {
        drop_file(r, base, "the cleaner had not come to its end, what it was made of is there");
        return;
    }
    for (guint i = 0; i < inputs->len; i++) {
        uint64_t input = g_array_index(inputs, uint64_t, i);
        drop_file(r, input, "a cleaned file has taken its place");
        for (guint k = 0; k < r->missing->len; k++) {
            if (g_array_index(r->missing, uint64_t, k) == input)
                g_array_remove_index_fast(r->missing, k--);
        }
        g_array_append_val(r->replaced, input);
    }
}

/* Is there a file without rows that lies before one with rows? Only then can inputs of a listed file
 * be left. */
static bool
stray(const sa_recovery *r)
{
    const sa_segs *segs = &r->store->segs;
    uint64_t newest = segs->n > 0 ? segs->all[segs->n - 1]->base : 0;
    for (guint i = 0; i < r->files->len; i++) {
        uint64_t base = g_array_index(r->files, sa_file, i).base;
        if (base < newest && !is_listed(r, base))
            return true;
    }
    return false;
}

static void
say_missing(sa_recovery *r)
{
    sa_store *store = r->store;
    for (guint i = 0; i < r->missing->len; i++) {
        uint64_t base = g_array_index(r->missing, uint64_t, i);
        sa_count(&store->stats.damaged, 1);
        sa_say(store, EMESH_LOG_ERROR, "segment %s/log/%016llx.seg is missing", store->path,
               (unsigned long long)base);
    }
}

void
sa_recover_cleaned(sa_recovery *r)
{
    sa_store *store = r->store;
    g_autoptr(GArray) cleaned = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_autoptr(GArray) inputs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    bool all = stray(r) || r->missing->len > 0;
    for (guint i = 0; i < r->files->len; i++) {
        const sa_file *file = &g_array_index(r->files, sa_file, i);
        if (file->cleaned && (all || !is_listed(r, file->base)))
            g_array_append_val(cleaned, file->base);
        if (file->cleaned)
            store->features |= SA_FEATURE_CLEANED;
    }
    for (guint i = 0; i < cleaned->len; i++) {
        uint64_t base = g_array_index(cleaned, uint64_t, i);
        if (find(r, base) >= 0 && inputs_of(r, base, inputs))
            settle(r, base, inputs);
    }
    say_missing(r);
    if (r->dropped)
        store->io->sync(store->io->ctx, store->log_dir);
}

int
sa_recover_replaced(sa_recovery *r)
{
    sa_store *store = r->store;
    MDB_txn *txn;
    if (r->replaced->len == 0)
        return 0;
    int rc = mdb_txn_begin(store->rows.env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    for (guint i = 0; i < r->replaced->len && rc == 0; i++) {
        uint64_t base = g_array_index(r->replaced, uint64_t, i);
        if (!is_listed(r, base))
            rc = sa_rows_del_segment(store, txn, base);
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}
