/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery, first steps: whose log this is and whether this version may read it; then what the
 * checkpoint knows: catalogue, places of groups, segments with rows.
 */
#include "recovery.h"

#include "crc32c.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>

#define SA_HEADERS 256u /* newest files whose header is read at every start */

/* ---- identity ---- */

/* Reads the header of a file. */
static sa_head_state
read_head(sa_store *store, const sa_file *file, sa_seg_head *head)
{
    uint8_t page[SA_SEGMENT_HEAD];
    char name[SA_NAME_MAX];
    sa_seg_name(name, file->base, file->cleaned);
    int fd = store->io->open(store->io->ctx, store->log_dir, name, O_RDONLY);
    if (fd < 0)
        return SA_HEAD_CUT;
    ssize_t got = sa_read_all(store->io, fd, page, sizeof page, 0);
    store->io->close(store->io->ctx, fd);
    return got < 0 ? SA_HEAD_CUT : sa_seg_head_read(page, (size_t)got, head);
}

static int32_t
refuse_new(sa_recovery *r, uint64_t base, const sa_seg_head *head)
{
    return sa_error(r->err, EMESH_E_TOO_NEW, "segment %s/log/%016llx.seg has format %u.%u with "
                    "features 0x%x, this version reads %u: start a newer eventmeshd",
                    r->store->path, (unsigned long long)base, head->major, head->minor,
                    head->incompat, SA_MAJOR);
}

static bool
same_store(const sa_store *store, const sa_seg_head *head)
{
    return head->salt == store->salt && memcmp(head->store, store->id, sizeof store->id) == 0;
}

/* A header of another store: the index is the stranger when it is the one that says so. */
static int32_t
stranger(sa_recovery *r, uint64_t base)
{
    if (!r->rebuild) {
        r->corrupt = true;
        return EMESH_OK;
    }
    return sa_error(r->err, EMESH_E_CORRUPT, "segment %s/log/%016llx.seg belongs to another store: "
                    "move it out of the folder", r->store->path, (unsigned long long)base);
}

int32_t
sa_recover_headers(sa_recovery *r)
{
    sa_store *store = r->store;
    bool known = r->have_meta;
    uint32_t n = r->files->len;
    if (known) {
        memcpy(store->id, r->meta.id, sizeof store->id);
        store->salt = r->meta.salt;
    }
    for (uint32_t i = n > SA_HEADERS && known ? n - SA_HEADERS : 0; i < n; i++) {
        const sa_file *file = &g_array_index(r->files, sa_file, i);
        sa_seg_head head;
        sa_head_state state = read_head(store, file, &head);
        if (state == SA_HEAD_NEW)
            return refuse_new(r, file->base, &head);
        if (state != SA_HEAD_OK)
            continue; /* said and mended where the file is looked at */
        if (!known) {
            memcpy(store->id, head.store, sizeof store->id);
            store->salt = head.salt;
            known = true;
        } else if (!same_store(store, &head)) {
            int32_t code = stranger(r, file->base);
            if (code != EMESH_OK || r->corrupt)
                return code;
        }
        r->epoch = MAX(r->epoch, head.epoch);
        store->features |= head.incompat;
        store->swap = MAX(store->swap, head.swap);
    }
    if (known)
        return EMESH_OK;
    for (uint32_t i = 0; i < n; i++) {
        if (g_array_index(r->files, sa_file, i).size > SA_SEGMENT_HEAD)
            return sa_error(r->err, EMESH_E_CORRUPT, "no segment in %s/log has a readable header: "
                            "this is no store, or none of its files is whole", store->path);
    }
    if (getrandom(store->id, sizeof store->id, 0) != (ssize_t)sizeof store->id
        || getrandom(&store->salt, sizeof store->salt, 0) != (ssize_t)sizeof store->salt)
        return sa_error(r->err, EMESH_E_IO, "no random numbers for a new store in %s", store->path);
    return EMESH_OK;
}

/* ---- rows ---- */

static bool
each_catalog(void *ctx, const MDB_val *key, const MDB_val *value)
{
    sa_recovery *r = ctx;
    sa_cat_entry entry;
    ssize_t len = sa_row_check(key, value);
    if (len < 0 || !sa_cat_read(value->mv_data, (size_t)len, &entry)) {
        r->corrupt = true;
        return false;
    }
    sa_cat_apply_row(r->store, &entry);
    return true;
}

static void
load_pair(sa_recovery *r, uint64_t lsn, const sa_commit_entry *entry)
{
    sa_store *store = r->store;
    sa_partition *part = sa_catalog_part(&store->cat, entry->partition);
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = sa_catalog_group_id(&store->cat, entry->group);
    pthread_mutex_unlock(&store->cat.lock);
    if (part == NULL || group == NULL)
        return; /* deleted; the row was on its way out */
    sa_pair *pair = sa_pair_make(group, part, entry->floor);
    pair->epoch = entry->epoch;
    pair->lsn = lsn;
    for (uint32_t i = 0; i < entry->n; i++) {
        sa_range range;
        sa_commit_range(entry, i, &range);
        sa_ranges_add(&sa_pair_more_of(pair)->ranges, range);
    }
}

static bool
each_pair(void *ctx, const MDB_val *key, const MDB_val *value)
{
    sa_recovery *r = ctx;
    sa_commit_entry entry;
    ssize_t len = sa_row_check(key, value);
    const uint8_t *v = value->mv_data;
    if (len < 8 || !sa_commit_read(v + 8, (size_t)len - 8, &entry)) {
        r->corrupt = true;
        return false;
    }
    load_pair(r, sa_get64(v), &entry);
    return true;
}

static const sa_file *
find_file(const sa_recovery *r, uint64_t base)
{
    for (uint32_t low = 0, high = r->files->len; low < high;) {
        uint32_t mid = (low + high) / 2;
        const sa_file *file = &g_array_index(r->files, sa_file, mid);
        if (file->base == base)
            return file;
        if (file->base < base)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool
each_segment(void *ctx, const MDB_val *key, const MDB_val *value)
{
    sa_recovery *r = ctx;
    sa_segment *seg = sa_row_segment(key, value);
    if (seg == NULL) {
        r->corrupt = true;
        return false;
    }
    const sa_file *file = find_file(r, seg->base);
    r->top = MAX(r->top, seg->last);
    r->clock_us = MAX(r->clock_us, seg->clock_us);
    r->epoch = MAX(r->epoch, seg->epoch);
    if (file == NULL) { /* said when it is known that no cleaned file took its place */
        g_array_append_val(r->missing, seg->base);
        sa_seg_free(r->store, seg);
        return true;
    }
    seg->cleaned = file->cleaned;
    seg->live = 0; /* its chunks tell */
    seg->live_bytes = 0;
    if (file->size < seg->size) {
        /* A cut one stays: its places are known, its records are read as far as they go. */
        seg->uncleanable = true;
        sa_count(&r->store->stats.damaged, 1);
        sa_say(r->store, EMESH_LOG_ERROR, "segment %s/log/" SA_SEG_NAME " is cut", r->store->path,
               SA_SEG_ARGS(seg));
    }
    if (sa_segs_add(&r->store->segs, seg) < 0) {
        sa_seg_free(r->store, seg);
        return false;
    }
    return true;
}

/* Offsets that have chunk rows are known without reading the log. */
static bool
last_rows(sa_recovery *r)
{
    const GPtrArray *parts = r->store->cat.parts;
    for (guint i = 1; i < parts->len; i++) {
        sa_partition *part = g_ptr_array_index(parts, i);
        sa_entry entry;
        int rc = part != NULL ? sa_rows_last(r->store, part->id, &entry) : MDB_NOTFOUND;
        if (rc != 0 && rc != MDB_NOTFOUND)
            return false;
        if (rc == 0) {
            atomic_store(&part->rows_to, entry.last + 1);
            part->turn_end = entry.last + 1;
            if (entry.last >= atomic_load(&part->next))
                atomic_store(&part->next, entry.last + 1);
        }
        if (part != NULL)
            part->dead_to = atomic_load(&part->first);
    }
    return true;
}

/* What retention by bytes goes by, and what lives in the segments. Rows of what was cut or deleted go:
 * not all of them may have before the last life ended, nor need its segment know of it. */
static bool
each_chunk(void *ctx, const MDB_val *key, const MDB_val *value)
{
    sa_recovery *r = ctx;
    uint64_t base;
    sa_entry entry;
    if (!sa_row_chunk(key, value, &base, &entry)) {
        r->corrupt = true;
        return false;
    }
    sa_partition *part = sa_catalog_part(&r->store->cat, entry.partition);
    sa_segment *seg = sa_segs_find(&r->store->segs, base);
    if (part == NULL || part->id == 0 || entry.last < part->dead_to) {
        sa_doomed doomed = { entry.partition, entry.base };
        g_array_append_val(r->store->keeper.doomed, doomed);
        atomic_store(&r->store->keeper.dirty, true);
        return true;
    }
    part->bytes += entry.bytes;
    if (seg != NULL) {
        seg->live++;
        seg->live_bytes += entry.bytes;
    }
    return true;
}

int32_t
sa_recover_rows(sa_recovery *r)
{
    sa_store *store = r->store;
    if (!r->have_meta)
        return EMESH_OK;
    r->durable = r->meta.applied;
    r->top = MAX(r->top, r->meta.applied);
    store->keeper.applied = r->meta.applied;
    r->swap = r->meta.swap;
    store->swap = MAX(store->swap, r->swap);
    store->cat.next_topic = MAX(1, r->meta.next_topic);
    store->cat.next_part = MAX(1, r->meta.next_part);
    store->cat.next_group = MAX(1, r->meta.next_group);
    store->holds.next = MAX(1, r->meta.next_hold);
    store->holds.seen = store->holds.next - 1; /* a group that forgets behind here forgets all rows */
    int rc = sa_rows_each(store, SA_T_CATALOG, each_catalog, r);
    if (rc == 0 && !r->corrupt)
        rc = sa_rows_each(store, SA_T_GROUPS, each_pair, r);
    if (rc == 0 && !r->corrupt)
        rc = sa_rows_each(store, SA_T_SEGMENTS, each_segment, r);
    if (rc == 0 && !r->corrupt && last_rows(r))
        rc = sa_rows_each(store, SA_T_CHUNKS, each_chunk, r);
    else
        r->corrupt = true;
    if (rc != 0 || r->corrupt) {
        r->corrupt = true;
        return EMESH_OK;
    }
    store->segs.dirs_from = store->segs.n > 0 ? store->segs.all[store->segs.n - 1]->base + 1 : 0;
    return EMESH_OK;
}
