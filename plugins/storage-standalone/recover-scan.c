/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: files that have no rows. One that carries a footer gives its directory; the others are
 * scanned. Then the durable mark W is found, and what is damage (below it) and what is only a torn
 * end (above it).
 */
#include "recovery.h"

#include "catalog.h"
#include "crc32c.h"
#include "reader.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static void
say_area(sa_recovery *r, const sa_segment *seg, uint64_t place, const char *what)
{
    sa_count(&r->store->stats.damaged, 1);
    r->bad_areas++;
    sa_say(r->store, EMESH_LOG_ERROR, "%s/log/%016llx.seg is damaged at byte %llu: %s",
           r->store->path, (unsigned long long)seg->base, (unsigned long long)place, what);
}

/* ---- sealed files ---- */

bool
sa_seg_trailer(struct sa_store *store, sa_segment *seg, int fd, sa_trailer *t)
{
    uint8_t raw[SA_FOOT_TRAILER];
    if (seg->size < SA_SEGMENT_HEAD + SA_FOOT_HEAD + SA_FOOT_TRAILER)
        return false;
    ssize_t got = sa_read_all(store->io, fd, raw, sizeof raw, seg->size - SA_FOOT_TRAILER);
    return got == (ssize_t)sizeof raw && sa_trailer_read(raw, seg->size, store->salt, t)
           && t->base == seg->base;
}

static void *
read_block(sa_store *store, int fd, uint64_t place, size_t size)
{
    void *block = malloc(size > 0 ? size : 1);
    if (block != NULL && sa_read_all(store->io, fd, block, size, place) != (ssize_t)size) {
        free(block);
        block = NULL;
    }
    sa_count(&store->stats.reads, 1);
    sa_count(&store->stats.read_bytes, size);
    return block;
}

/* Loads directory and head of a footer. False: not sealed, or not to be trusted. */
static bool
load_footer(sa_recovery *r, sa_segment *seg, int fd)
{
    sa_store *store = r->store;
    sa_trailer t;
    sa_foot_head head;
    if (!sa_seg_trailer(store, seg, fd, &t))
        return false;
    g_autofree uint8_t *top = g_malloc(SA_FOOT_HEAD);
    if (sa_read_all(store->io, fd, top, SA_FOOT_HEAD, 8ull * t.foot) != (ssize_t)SA_FOOT_HEAD
        || !sa_foot_head_read(top, SA_FOOT_HEAD, store->salt, &head) || head.base != seg->base
        || head.lsn != seg->base + 8ull * t.foot)
        return false;
    uint8_t *dir = read_block(store, fd, 8ull * t.dir, (size_t)t.n_dir * SA_FOOT_ENTRY);
    if (dir == NULL || !sa_dir_ok(dir, &t)) {
        free(dir);
        return false;
    }
    seg->dir = malloc((t.n_dir + 1u) * sizeof *seg->dir);
    seg->n_dir = seg->dir != NULL ? t.n_dir : 0;
    for (uint32_t i = 0; i < seg->n_dir; i++)
        sa_entry_read(dir + (size_t)i * SA_FOOT_ENTRY, &seg->dir[i]);
    free(dir);
    seg->state = SA_SEG_SEALED;
    seg->clock_us = head.clock_us;
    seg->epoch = head.epoch;
    atomic_store(&seg->end, head.lsn);
    atomic_store(&seg->synced, head.lsn);
    r->clock_us = MAX(r->clock_us, head.clock_us);
    r->epoch = MAX(r->epoch, head.epoch);
    r->durable = MAX(r->durable, head.lsn);
    return seg->dir != NULL;
}

/* The catalogue of the newest footer that has a good one and no rows: it is younger than the index,
 * and stands in for CATALOG records that are damaged. */
static void
load_catalog(sa_recovery *r)
{
    sa_store *store = r->store;
    for (uint32_t i = store->segs.n; i > 0; i--) {
        sa_segment *seg = store->segs.all[i - 1];
        sa_trailer t;
        if (seg->state != SA_SEG_SEALED || seg->rows)
            continue;
        pthread_mutex_lock(&store->segs.lock);
        int fd = sa_seg_use(store, seg);
        pthread_mutex_unlock(&store->segs.lock);
        if (fd < 0)
            continue;
        uint8_t *cat = NULL;
        bool good = sa_seg_trailer(store, seg, fd, &t)
                    && (cat = read_block(store, fd, 8ull * t.cat, t.cat_bytes)) != NULL
                    && sa_crc32c(0, cat, t.cat_bytes) == t.cat_crc;
        if (good)
            good = sa_cat_apply_footer(store, cat, t.cat_bytes);
        free(cat);
        sa_seg_leave(store, seg);
        r->catalog_lsn = good ? atomic_load(&seg->end) : 0;
        if (good)
            return;
        say_area(r, seg, seg->size, "the catalogue in its footer; an older one is taken");
    }
}

/* ---- files without footer ---- */

static bool
take_item(void *ctx, const sa_found *found)
{
    sa_scanned *s = ctx;
    sa_item item = { .place = found->place, .size = found->size, .head = found->head,
                     .whole = found->whole, .head_good = found->head_good };
    if (found->whole && found->head.type == SA_EVENT)
        item.hash = sa_image_fingerprint(found->body, found->head.attrs);
    g_array_append_val(s->items, item);
    return true;
}

static int32_t
scan_file(sa_recovery *r, sa_segment *seg, uint64_t size)
{
    sa_store *store = r->store;
    sa_scanned *s = g_new0(sa_scanned, 1);
    s->seg = seg;
    s->size = size;
    s->items = g_array_new(FALSE, FALSE, sizeof(sa_item));
    g_ptr_array_add(r->scanned, s);
    sa_scan scan = { .io = store->io, .fd = seg->fd, .base = seg->base, .salt = store->salt,
                     .counter = &store->stats.scanned_bytes };
    int rc = sa_scan_run(&scan, take_item, s);
    if (rc < 0)
        return sa_error(r->err, rc == -ENOMEM ? EMESH_E_NO_MEMORY : EMESH_E_IO,
                        "segment %s/log/%016llx.seg could not be read: %s", store->path,
                        (unsigned long long)seg->base, g_strerror(-rc));
    s->stop = scan.stop;
    s->footer = scan.footer;
    s->closed = scan.closed;
    for (guint i = 0; i < s->items->len; i++) {
        const sa_item *item = &g_array_index(s->items, sa_item, i);
        if (!item->head_good)
            continue;
        uint64_t lsn = seg->base + item->place;
        r->epoch = MAX(r->epoch, item->head.epoch);
        if (item->head.lag < UINT32_MAX)
            r->durable = MAX(r->durable, lsn - item->head.lag);
    }
    return EMESH_OK;
}

/* Writes a damaged header anew from what is known. */
static void
mend_head(sa_recovery *r, sa_segment *seg)
{
    sa_store *store = r->store;
    uint8_t page[SA_SEGMENT_HEAD];
    say_area(r, seg, 0, "the header; it is written anew");
    sa_quarantine(store, seg->fd, seg->base, 0, SA_SEGMENT_HEAD);
    sa_seg_head head = { .major = SA_MAJOR, .minor = SA_MINOR, .incompat = store->features,
                         .kind = seg->cleaned ? SA_SEGMENT_CLEANED : SA_SEGMENT_LOG,
                         .salt = store->salt,
                         .base = seg->base, .created = sa_wall_us(store), .epoch = seg->epoch,
                         .first = seg->base + SA_SEGMENT_HEAD, .last = seg->last };
    memcpy(head.store, store->id, sizeof head.store);
    sa_seg_head_write(page, &head, NULL);
    if (sa_write_all(store->io, seg->fd, page, sizeof page, 0) == 0)
        store->io->datasync(store->io->ctx, seg->fd);
}

/* A file without a good header: it was being made when the process ended, or it is damaged. */
static void
judge_head(sa_recovery *r, sa_segment *seg, bool newest)
{
    sa_scanned *s = seg->state != SA_SEG_SEALED
                        ? g_ptr_array_index(r->scanned, r->scanned->len - 1) : NULL;
    if (s != NULL)
        s->headless = true;
    if (s == NULL || s->items->len > 0) {
        mend_head(r, seg);
    } else if (newest) {
        sa_count(&r->store->stats.torn, 1);
        sa_say(r->store, EMESH_LOG_NOTICE, "%s/log/%016llx.seg has no header and no record: it was "
               "being made at the end of the last life, or was cut", r->store->path,
               (unsigned long long)seg->base);
    } else {
        say_area(r, seg, 0, "header and records are gone");
    }
}

static int32_t
take_file(sa_recovery *r, const sa_file *file, uint64_t next_base)
{
    sa_store *store = r->store;
    char name[SA_NAME_MAX];
    uint8_t page[SA_SEGMENT_HEAD];
    sa_seg_head head = { 0 };
    sa_seg_name(name, file->base, file->cleaned);
    int fd = store->io->open(store->io->ctx, store->log_dir, name, O_RDWR);
    if (fd < 0)
        return sa_error(r->err, EMESH_E_IO, "segment %s/log/%s could not be opened: %s", store->path,
                        name, g_strerror(-fd));
    ssize_t got = sa_read_all(store->io, fd, page, sizeof page, 0);
    sa_head_state state = sa_seg_head_read(page, got > 0 ? (size_t)got : 0, &head);
    uint64_t last = state == SA_HEAD_OK ? head.last
                    : next_base != 0 ? next_base
                    : file->base + MAX(sa_pad8(file->size), store->opt.segment_size);
    sa_segment *seg = sa_seg_new(file->base, last);
    if (seg == NULL || sa_segs_add(&store->segs, seg) < 0) {
        store->io->close(store->io->ctx, fd);
        free(seg);
        return sa_error(r->err, EMESH_E_NO_MEMORY, "no memory for segment %s", name);
    }
    seg->fd = fd;
    seg->cleaned = file->cleaned;
    store->segs.n_open++;
    seg->size = file->size;
    seg->epoch = state == SA_HEAD_OK ? head.epoch : 0;
    seg->swap = state == SA_HEAD_OK ? head.swap : 0;
    store->swap = MAX(store->swap, seg->swap);
    r->top = MAX(r->top, last);
    int32_t code = load_footer(r, seg, fd) ? EMESH_OK : scan_file(r, seg, file->size);
    if (state != SA_HEAD_OK)
        judge_head(r, seg, next_base == 0);
    return code;
}

int32_t
sa_recover_files(sa_recovery *r)
{
    sa_store *store = r->store;
    for (uint32_t i = 0; i < r->files->len; i++) {
        const sa_file *file = &g_array_index(r->files, sa_file, i);
        uint64_t next = i + 1 < r->files->len ? g_array_index(r->files, sa_file, i + 1).base : 0;
        if (sa_segs_find(&store->segs, file->base) != NULL)
            continue;
        store->segs.dirs_from = MIN(store->segs.dirs_from, file->base);
        int32_t code = take_file(r, file, next);
        if (code != EMESH_OK)
            return code;
    }
    load_catalog(r);
    return EMESH_OK;
}

/* ---- the durable mark ---- */

/* Below the mark each record stands for itself: its unit was whole once. */
static void
judge_below(sa_recovery *r, sa_scanned *s, sa_item *item)
{
    item->keep = item->head_good;
    if (item->whole)
        return;
    uint64_t size = item->size > 0 ? item->size : s->size - item->place;
    say_area(r, s->seg, item->place, item->head_good ? "a record does not match its check sum"
                                                      : "no record is readable");
    sa_quarantine(r->store, s->seg->fd, s->seg->base, item->place, size);
}

/* Above the mark only whole units count. Returns the number behind the unit (or bad item). */
static guint
judge_above(sa_recovery *r, sa_scanned *s, guint i)
{
    sa_item *first = &g_array_index(s->items, sa_item, i);
    guint n = first->whole ? first->head.follow + 1u : 1;
    bool good = first->whole && (first->head.flags & SA_REC_JOINED) == 0;
    for (guint k = 1; k < n && good; k++) {
        const sa_item *item = i + k < s->items->len
                                  ? &g_array_index(s->items, sa_item, i + k) : NULL;
        const sa_item *before = &g_array_index(s->items, sa_item, i + k - 1);
        good = item != NULL && item->whole && item->place == before->place + before->size
               && item->head.follow + k + 1 == n && (item->head.flags & SA_REC_JOINED) != 0;
    }
    if (!good) {
        sa_count(&r->store->stats.torn, 1);
        return i + 1;
    }
    for (guint k = 0; k < n; k++)
        g_array_index(s->items, sa_item, i + k).copy = true;
    return i + n;
}

void
sa_recover_mark(sa_recovery *r)
{
    for (guint k = 0; k < r->scanned->len; k++) {
        sa_scanned *s = g_ptr_array_index(r->scanned, k);
        for (guint i = 0; i < s->items->len;) {
            sa_item *item = &g_array_index(s->items, sa_item, i);
            if (s->seg->base + item->place < r->durable) {
                judge_below(r, s, item);
                i++;
            } else {
                i = judge_above(r, s, i);
            }
        }
        bool more = k + 1 < r->scanned->len && r->durable >= s->seg->last;
        /* The power may go while a file is made: its name and a part of it are there. */
        bool unused = s->items->len == 0
                      && (s->headless || r->durable <= s->seg->base + SA_SEGMENT_HEAD);
        if (s->footer || unused)
            continue;
        /* Recovery cuts a file at the mark, before it seals it. */
        bool cut = s->size < s->seg->last - s->seg->base && s->stop - s->seg->base >= s->size;
        if (cut && r->durable > s->seg->base + s->size)
            say_area(r, s->seg, s->size, "the file is cut there");
        else if (!cut && more && !s->closed)
            say_area(r, s->seg, s->stop - s->seg->base, "its end is missing");
    }
}
