/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery, last step: what was found above the durable mark is written again, into a new segment,
 * and synced; only then are the old segments sealed at the mark. So nothing is trusted because the
 * page cache shows it. Then every partition gets its next offset.
 */
#include "recovery.h"

#include "batch.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>

#define SA_JUMP (1u << 20) /* offsets a power cut may have taken after they were seen */

static int32_t
make_active(sa_recovery *r)
{
    sa_store *store = r->store;
    sa_log *log = &store->log;
    store->base_floor = r->top;
    /* On a full disk one that has room for progress, at least. */
    uint64_t size = store->opt.segment_size;
    sa_keeper_make_next(store, size);
    for (int i = 0; i < 4 && log->next == NULL; i++) {
        size = (size / 2 + 4095u) & ~(uint64_t)4095u;
        sa_keeper_make_next(store, size);
    }
    if (log->next == NULL)
        return sa_error(r->err, EMESH_E_NO_SPACE, "no room for a new segment of %llu MiB in "
                        "%s/log: free space on that disk",
                        (unsigned long long)(store->opt.segment_size >> 20), store->path);
    log->active = log->next;
    log->next = NULL;
    uint64_t begin = log->active->base + SA_SEGMENT_HEAD;
    atomic_store(&log->written, begin);
    atomic_store(&log->durable, r->durable);
    return EMESH_OK;
}

static void
remove_segment(sa_store *store, sa_scanned *s)
{
    char name[SA_NAME_MAX];
    sa_seg_name(name, s->seg->base, s->seg->cleaned);
    sa_segs_remove(&store->segs, s->seg);
    sa_seg_free(store, s->seg);
    s->seg = NULL;
    if (!s->headless || !sa_quarantine_file(store, name))
        store->io->unlink(store->io->ctx, store->log_dir, name);
}

/* ---- no room for copies ---- */

static uint64_t
copy_bytes(const sa_recovery *r)
{
    uint64_t bytes = 0;
    for (guint k = 0; k < r->scanned->len; k++) {
        const sa_scanned *s = g_ptr_array_index(r->scanned, k);
        for (guint i = 0; i < s->items->len; i++) {
            const sa_item *item = &g_array_index(s->items, sa_item, i);
            bytes += item->copy ? item->size : 0;
        }
    }
    return bytes;
}

/* Writes the same bytes to the same place: what the disk has afterwards is what was read. */
static int
write_again(sa_recovery *r, sa_scanned *s)
{
    const sa_io *io = r->store->io;
    int rc = 0;
    for (guint i = 0; i < s->items->len && rc == 0; i++) {
        sa_item *item = &g_array_index(s->items, sa_item, i);
        if (!item->copy)
            continue;
        g_autofree void *bytes = g_malloc(item->size);
        ssize_t got = sa_read_all(io, s->seg->fd, bytes, item->size, item->place);
        rc = got == (ssize_t)item->size
                 ? sa_write_all(io, s->seg->fd, bytes, item->size, item->place) : -EIO;
        item->keep = true;
        item->copy = false;
        r->durable = MAX(r->durable, s->seg->base + item->place + item->size);
    }
    return rc == 0 ? io->datasync(io->ctx, s->seg->fd) : rc;
}

/* What was allocated behind the last record is given back, for the segment that comes next. */
static void
give_back_ends(sa_recovery *r)
{
    for (guint k = 0; k < r->scanned->len; k++) {
        const sa_scanned *s = g_ptr_array_index(r->scanned, k);
        uint64_t end = 0;
        for (guint i = 0; i < s->items->len; i++) {
            const sa_item *item = &g_array_index(s->items, sa_item, i);
            if (item->keep)
                end = item->place + item->size;
        }
        if (end > 0)
            r->store->io->truncate(r->store->io->ctx, s->seg->fd, end);
    }
}

int32_t
sa_recover_room(sa_recovery *r)
{
    sa_store *store = r->store;
    const sa_io *io = store->io;
    uint64_t avail = 0, total = 0, segment = store->opt.segment_size;
    guint files = r->scanned->len;
    for (guint i = r->scanned->len; i > 0; i--) { /* prepared, never written to */
        sa_scanned *s = g_ptr_array_index(r->scanned, i - 1);
        if (s->items->len > 0)
            continue;
        remove_segment(store, s);
        g_ptr_array_remove_index(r->scanned, i - 1);
    }
    /* For good, before there is a newer one: only the newest may be without records. */
    if (r->scanned->len < files && io->sync(io->ctx, store->log_dir) < 0)
        return sa_error(r->err, EMESH_E_IO, "folder %s/log could not be synced", store->path);
    io->unlink(io->ctx, store->dir, "reserve"); /* made again when there is room */
    uint64_t need = copy_bytes(r) / (segment - segment / 8) * segment + 2 * segment;
    if (io->space(io->ctx, store->dir, &avail, &total) < 0 || avail >= need)
        return EMESH_OK;
    if (copy_bytes(r) > 0)
        sa_say(store, EMESH_LOG_WARNING, "the disk of %s is full: what is not surely on it is written "
               "again where it is", store->path);
    for (guint i = 0; i < r->scanned->len && copy_bytes(r) > 0; i++) {
        sa_scanned *s = g_ptr_array_index(r->scanned, i);
        int rc = write_again(r, s);
        if (rc < 0)
            return sa_error(r->err, EMESH_E_IO, "segment %s/log/%016llx.seg could not be written "
                            "again: %s", store->path, (unsigned long long)s->seg->base,
                            g_strerror(-rc));
    }
    give_back_ends(r);
    return EMESH_OK;
}

/* ---- copies ---- */

typedef struct sa_copying {
    sa_recovery *r;
    int32_t code; /* of the batches */
} sa_copying;

static void
copied(sa_batch *batch, int32_t code)
{
    sa_copying *c = batch->ctx;
    if (code != EMESH_OK)
        c->code = code;
}

/* The bytes of items that lie back to back; NULL: not readable, or not what they were. */
static uint8_t *
read_run(sa_recovery *r, sa_scanned *s, guint first, guint n)
{
    const sa_item *from = &g_array_index(s->items, sa_item, first);
    const sa_item *last = &g_array_index(s->items, sa_item, first + n - 1);
    size_t size = (size_t)(last->place + last->size - from->place);
    uint8_t *block = malloc(size);
    bool good = block != NULL && sa_read_all(r->store->io, s->seg->fd, block, size, from->place)
                                     == (ssize_t)size;
    for (guint i = first; i < first + n && good; i++) {
        const sa_item *item = &g_array_index(s->items, sa_item, i);
        good = sa_rec_body_ok(&item->head, block + (item->place - from->place) + SA_RECORD_HEAD,
                              sa_pad8(item->head.body));
    }
    if (!good) {
        free(block);
        block = NULL;
    }
    return block;
}

/* Units that lie back to back, as one batch. */
static void
copy_run(sa_copying *c, sa_scanned *s, guint first, guint n)
{
    sa_store *store = c->r->store;
    sa_batch *batch = sa_batch_new(n);
    uint8_t *block = batch != NULL ? read_run(c->r, s, first, n) : NULL;
    if (block == NULL) {
        if (batch != NULL)
            sa_batch_unref(batch);
        c->code = EMESH_E_IO;
        return;
    }
    batch->memory = block;
    batch->done = copied;
    batch->ctx = c;
    batch->control = true;
    const uint8_t *body = block + SA_RECORD_HEAD;
    for (guint i = 0; i < n; i++) {
        const sa_item *item = &g_array_index(s->items, sa_item, first + i);
        sa_rec *rec = sa_batch_control(store, batch, (enum sa_type)item->head.type, body,
                                       item->head.body);
        rec->flags = item->head.flags;
        rec->follow = item->head.follow;
        rec->attrs = item->head.attrs;
        rec->own = item->head.own;
        if (item->head.type == SA_COMMIT) /* format 1.1 did not say it */
            rec->own = sa_commit_deletes(body, item->head.body);
        rec->about = item->head.partition;
        rec->offset = item->head.offset;
        rec->time_us = item->head.time_us;
        rec->hash = item->hash;
        rec->fixed = true;
        if (item->head.type == SA_EVENT)
            rec->part = sa_catalog_part(&store->cat, item->head.partition);
        body += item->size;
    }
    sa_count(&store->stats.recopied, n);
    sa_log_submit(store, batch, true);
}

/* Number of records of the unit at i. A copy that was dropped (there twice, or of a deleted topic)
 * leaves the unit; the rest of it stays one. */
static guint
unit_at(sa_scanned *s, guint i)
{
    sa_item *item = &g_array_index(s->items, sa_item, i);
    guint n = 1;
    while (i + n < s->items->len && n < SA_UNIT_RECORDS) {
        const sa_item *next = &g_array_index(s->items, sa_item, i + n);
        if (!next->copy || (next->head.flags & SA_REC_JOINED) == 0)
            break;
        n++;
    }
    item->head.flags &= (uint8_t)~SA_REC_JOINED;
    for (guint k = 0; k < n; k++)
        g_array_index(s->items, sa_item, i + k).head.follow = (uint16_t)(n - 1 - k);
    return n;
}

/* Does the unit [i, i + n) go behind the n_run records before it, in one batch? */
static bool
belongs(const sa_scanned *s, guint i, guint n, guint n_run)
{
    const sa_item *before = &g_array_index(s->items, sa_item, i - 1);
    const sa_item *from = &g_array_index(s->items, sa_item, i - n_run);
    const sa_item *last = &g_array_index(s->items, sa_item, i + n - 1);
    return before->place + before->size == g_array_index(s->items, sa_item, i).place
           && n_run + n <= SA_BATCH_RECORDS && last->place + last->size - from->place <= SA_BATCH_BYTES;
}

static int32_t
copy_segment(sa_recovery *r, sa_scanned *s)
{
    sa_copying c = { .r = r };
    guint n_run = 0, i = 0, n;
    for (; i < s->items->len && c.code == EMESH_OK; i += n) {
        bool copy = g_array_index(s->items, sa_item, i).copy;
        n = copy ? unit_at(s, i) : 1;
        if (n_run > 0 && (!copy || !belongs(s, i, n, n_run))) {
            copy_run(&c, s, i - n_run, n_run);
            n_run = 0;
        }
        n_run += copy ? n : 0;
    }
    if (n_run > 0 && c.code == EMESH_OK)
        copy_run(&c, s, i - n_run, n_run);
    if (c.code != EMESH_OK)
        return sa_error(r->err, c.code, "what is above the durable mark in %s/log/%016llx.seg could "
                        "not be written again", r->store->path, (unsigned long long)s->seg->base);
    return EMESH_OK;
}

/* What lies behind the mark goes at once and for good, before anything older does. */
static int32_t
drop_copied(sa_recovery *r, sa_scanned *s, uint64_t end, bool more)
{
    sa_store *store = r->store;
    const sa_io *io = store->io;
    int rc = 0;
    if (end == 0) {
        remove_segment(store, s);
        rc = io->sync(io->ctx, store->log_dir);
    } else if (more) {
        rc = io->truncate(io->ctx, s->seg->fd, end);
        rc = rc == 0 ? io->datasync(io->ctx, s->seg->fd) : rc;
    }
    if (rc < 0)
        return sa_error(r->err, EMESH_E_IO, "what was written again could not be dropped from "
                        "%s/log: %s", store->path, g_strerror(-rc));
    return EMESH_OK;
}

/* The old segment ends at the mark; one that keeps nothing goes. */
static int32_t
finish_segment(sa_recovery *r, sa_scanned *s)
{
    sa_store *store = r->store;
    sa_segment *seg = s->seg;
    uint64_t end = 0;
    bool more = false;
    for (guint i = 0; i < s->items->len; i++) {
        const sa_item *item = &g_array_index(s->items, sa_item, i);
        if (item->keep)
            end = item->place + item->size;
        more = !item->keep;
    }
    int32_t code = drop_copied(r, s, end, more);
    if (code != EMESH_OK || end == 0)
        return code;
    atomic_store(&seg->end, seg->base + end);
    atomic_store(&seg->synced, seg->base + end);
    seg->clock_us = sa_clock_us(store);
    seg->state = SA_SEG_CLOSED;
    sa_point(store->io, "recover-seal");
    int rc = sa_seal(store, seg);
    if (rc < 0)
        return sa_error(r->err, rc == -ENOSPC ? EMESH_E_NO_SPACE : EMESH_E_IO,
                        "segment %s/log/%016llx.seg could not be sealed: %s", store->path,
                        (unsigned long long)seg->base, g_strerror(-rc));
    return EMESH_OK;
}

static void
raise_next(sa_store *store)
{
    for (guint i = 0; i < store->cat.every_group->len; i++) {
        const sa_group *group = g_ptr_array_index(store->cat.every_group, i);
        for (uint32_t k = 0; k < group->n_pairs; k++) {
            const sa_pair *pair = group->pairs[k];
            uint64_t end = pair->floor;
            if (pair->more->ranges.n > 0) {
                const sa_range *last = &pair->more->ranges.at[pair->more->ranges.n - 1];
                end = MAX(end, last->first + last->count);
            }
            if (end > atomic_load(&pair->part->next))
                atomic_store(&pair->part->next, end);
        }
    }
    for (guint i = 1; i < store->cat.parts->len; i++) {
        sa_partition *part = g_ptr_array_index(store->cat.parts, i);
        if (part == NULL)
            continue;
        uint64_t next = MAX(atomic_load(&part->next), atomic_load(&part->first));
        if (store->unclean)
            next += SA_JUMP;
        atomic_store(&part->next, next);
        atomic_store(&part->visible, next);
        atomic_store(&part->shown, part->turn_end);
        part->turn = 0;
    }
}

/* The catalogue as the log left it has to reach the index with the checkpoint that moves `applied`
 * past its records; entries that were deleted take their rows along. An index made anew knows no
 * places of groups that are older than the log. */
static void
all_dirty(sa_store *store, bool rebuilt)
{
    for (guint i = 0; i < store->cat.every->len; i++)
        sa_keeper_topic(store, g_ptr_array_index(store->cat.every, i));
    for (guint i = 0; i < store->cat.every_group->len; i++) {
        sa_group *group = g_ptr_array_index(store->cat.every_group, i);
        group->lost |= rebuilt;
        sa_keeper_group(store, group);
    }
}

int32_t
sa_recover_copy(sa_recovery *r)
{
    sa_store *store = r->store;
    bool copies = false;
    int32_t code = make_active(r);
    for (guint i = 0; i < r->scanned->len && code == EMESH_OK; i++) {
        sa_scanned *s = g_ptr_array_index(r->scanned, i);
        copies = true;
        code = copy_segment(r, s);
    }
    sa_point(store->io, "recover-written");
    if (code == EMESH_OK && copies && sa_sync_once(store) != EMESH_OK)
        code = sa_error(r->err, EMESH_E_IO, "%s/log could not be synced", store->path);
    sa_point(store->io, "recover-synced");
    /* The newest first: of what was copied, only an end may be missing when this is cut in turn, or
     * an offset in what is left would hide the copies of those before it. */
    for (guint i = r->scanned->len; i > 0 && code == EMESH_OK; i--)
        code = finish_segment(r, g_ptr_array_index(r->scanned, i - 1));
    if (code != EMESH_OK)
        return code;
    raise_next(store);
    if (store->unclean)
        all_dirty(store, r->rebuild && store->segs.n > 1);
    return EMESH_OK;
}
