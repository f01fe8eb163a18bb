/* SPDX-License-Identifier: Apache-2.0
 *
 * See scrub.h: a slice at a time, so that all of the log takes the period. The place survives a
 * restart, in the index's table of states.
 */
#include "scrub.h"

#include "crc32c.h"
#include "folder.h"
#include "reader.h"
#include "scan.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>

#define SA_SCRUB_SLICE (900u << 10) /* within the window of a scan */
#define SA_SCRUB_TURN 16u            /* slices in a round of the keeper */
#define SA_SCRUB_IDLE_US 10000000u
#define SA_SCRUB_KNOWN 65536u
#define SA_SCRUB_ROW 32u

void
sa_scrub_init(sa_scrub *scrub)
{
    memset(scrub, 0, sizeof *scrub);
    scrub->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void
sa_scrub_clear(sa_scrub *scrub)
{
    g_hash_table_unref(scrub->known);
}

/* ---- what is bad ---- */

static void
bad(struct sa_store *store, const sa_segment *seg, int fd, uint64_t place, uint64_t size,
    const char *what)
{
    sa_scrub *scrub = &store->scrub;
    uint64_t lsn = seg->base + place;
    scrub->bad++;
    if (g_hash_table_size(scrub->known) >= SA_SCRUB_KNOWN
        || !g_hash_table_add(scrub->known, g_memdup2(&lsn, sizeof lsn)))
        return;
    sa_count(&store->stats.scrub_bad, 1);
    sa_say(store, EMESH_LOG_ERROR, "scrub: %s/log/" SA_SEG_NAME " is damaged at byte %llu: %s",
           store->path, SA_SEG_ARGS(seg), (unsigned long long)place, what);
    if (size > 0)
        sa_quarantine(store, fd, seg->base, place, size);
}

typedef struct sa_slice {
    struct sa_store *store;
    const sa_segment *seg;
    int fd;
    uint64_t from, end; /* places; end: of this slice */
    bool more;
} sa_slice;

static bool
look(void *ctx, const sa_found *found)
{
    sa_slice *s = ctx;
    if (found->place >= s->end && found->place > s->from) {
        s->more = true;
        return false;
    }
    if (!found->whole)
        bad(s->store, s->seg, s->fd, found->place, found->size > 0 ? found->size : SA_RECORD_HEAD,
            found->head_good ? "a record does not match its check sum" : "no record is readable");
    return true;
}

/* ---- the footer ---- */

static bool
part_ok(const uint8_t *foot, uint64_t at, uint64_t place8, uint64_t size, uint32_t crc)
{
    return sa_crc32c(0, foot + (8 * place8 - at), size) == crc;
}

static bool
lists_ok(const uint8_t *foot, uint64_t at, const sa_trailer *t)
{
    for (uint32_t i = 0; i < t->n_dir; i++) {
        sa_entry e;
        sa_entry_read(foot + (8ull * t->dir - at) + (size_t)i * SA_FOOT_ENTRY, &e);
        if (e.index < t->foot || 8ull * e.index + 4ull * e.count > 8ull * t->prints
            || !part_ok(foot, at, e.index, 4ull * e.count, e.index_crc))
            return false;
    }
    return true;
}

static const char *
footer_fault(struct sa_store *store, sa_segment *seg, int fd, uint8_t *foot, uint64_t at)
{
    sa_trailer t;
    size_t size = (size_t)(seg->size - at);
    if (sa_read_all(store->io, fd, foot, size, at) != (ssize_t)size
        || !sa_seg_trailer(store, seg, fd, &t) || 8ull * t.foot != at)
        return "the end of its footer";
    if (!sa_footer_begins(foot, size, seg->base + at, store->salt))
        return "the head of its footer";
    if (!sa_dir_ok(foot + (8ull * t.dir - at), &t))
        return "the directory";
    if (!lists_ok(foot, at, &t))
        return "a list of places";
    if (!part_ok(foot, at, t.prints, (uint64_t)SA_FOOT_PRINT * t.n_prints, t.prints_crc))
        return "the fingerprints";
    if (!part_ok(foot, at, t.cat, t.cat_bytes, t.cat_crc))
        return "the catalogue";
    return NULL;
}

static void
check_ends(struct sa_store *store, sa_segment *seg, int fd)
{
    uint8_t page[SA_SEGMENT_HEAD];
    sa_seg_head head;
    uint64_t at = atomic_load(&seg->end) - seg->base;
    ssize_t got = sa_read_all(store->io, fd, page, sizeof page, 0);
    if (got != (ssize_t)sizeof page || sa_seg_head_read(page, sizeof page, &head) != SA_HEAD_OK
        || head.base != seg->base)
        bad(store, seg, fd, 0, SA_SEGMENT_HEAD, "the header");
    uint8_t *foot = seg->size > at ? malloc((size_t)(seg->size - at)) : NULL;
    const char *fault = foot != NULL ? footer_fault(store, seg, fd, foot, at) : NULL;
    if (fault != NULL)
        bad(store, seg, fd, at, seg->size - at, fault);
    store->scrub.bytes += SA_SEGMENT_HEAD + (foot != NULL ? seg->size - at : 0);
    free(foot);
}

/* ---- the walk ---- */

/* The segment at or behind the place, in use; *total: bytes of all. NULL: the pass is over. */
static sa_segment *
next_segment(struct sa_store *store, int *fd, uint64_t *total)
{
    sa_segs *segs = &store->segs;
    sa_segment *found = NULL;
    *total = 0;
    pthread_mutex_lock(&segs->lock);
    for (uint32_t i = 0; i < segs->n; i++) {
        sa_segment *seg = segs->all[i];
        if (seg->state != SA_SEG_SEALED || seg->gone || seg->pending)
            continue;
        *total += seg->size;
        if (found == NULL && seg->base >= store->scrub.base)
            found = seg;
    }
    *fd = found != NULL ? sa_seg_use(store, found) : -ENOENT;
    pthread_mutex_unlock(&segs->lock);
    return found;
}

static void
end_pass(struct sa_store *store)
{
    sa_scrub *scrub = &store->scrub;
    if (scrub->bytes > 0) {
        sa_count(&store->stats.scrub_passes, 1);
        sa_say(store, scrub->bad > 0 ? EMESH_LOG_ERROR : EMESH_LOG_INFO, "scrub of %s: %llu MiB "
               "read, %llu damaged places", store->path, (unsigned long long)(scrub->bytes >> 20),
               (unsigned long long)scrub->bad);
    }
    scrub->base = scrub->place = scrub->bytes = scrub->bad = 0;
    scrub->begun_us = sa_clock_us(store);
}

static uint64_t
read_slice(struct sa_store *store, sa_segment *seg, int fd)
{
    sa_scrub *scrub = &store->scrub;
    uint64_t from = scrub->base == seg->base && scrub->place != 0 ? scrub->place : SA_SEGMENT_HEAD;
    sa_slice slice = { store, seg, fd, from, from + SA_SCRUB_SLICE, false };
    sa_scan scan = { .io = store->io, .fd = fd, .base = seg->base, .salt = store->salt,
                     .from = from, .end = atomic_load(&seg->end) };
    int rc = sa_scan_run(&scan, look, &slice);
    uint64_t to = scan.stop - seg->base;
    if (rc == -ENOMEM)
        return 0; /* the same again */
    if (rc < 0) {
        bad(store, seg, fd, from, 0, "it cannot be read");
        slice.more = false;
    }
    uint64_t bytes = to > from ? to - from : 0;
    scrub->bytes += bytes;
    sa_count(&store->stats.scrub_bytes, bytes);
    scrub->base = seg->base;
    scrub->place = to;
    if (!slice.more) {
        check_ends(store, seg, fd);
        scrub->base = seg->base + 1;
        scrub->place = 0;
        atomic_store(&store->keeper.dirty, true); /* its place goes into the index */
    }
    return MAX(bytes, SA_SEGMENT_HEAD);
}

void
sa_scrub_step(struct sa_store *store)
{
    sa_scrub *scrub = &store->scrub;
    uint64_t period_us = store->opt.scrub_ns / 1000, now = sa_clock_us(store), total;
    for (uint32_t i = 0; i < SA_SCRUB_TURN && period_us != 0 && now >= scrub->due_us; i++) {
        int fd;
        sa_segment *seg = next_segment(store, &fd, &total);
        if (seg == NULL && total > 0 && scrub->base > 0) {
            end_pass(store);
            continue;
        }
        if (fd < 0) { /* nothing is sealed, or no descriptors */
            scrub->due_us = now + SA_SCRUB_IDLE_US;
            break;
        }
        uint64_t bytes = read_slice(store, seg, fd);
        sa_seg_leave(store, seg);
        /* What was missed is made up for, an eighth of the period at most. */
        uint64_t from = MAX(scrub->due_us, now - MIN(now, period_us / 8));
        scrub->due_us = from + (uint64_t)((double)period_us * (double)bytes / (double)total);
    }
}

/* ---- across a restart ---- */

int
sa_scrub_put(struct sa_store *store, MDB_txn *txn)
{
    const sa_scrub *scrub = &store->scrub;
    uint8_t v[SA_SCRUB_ROW];
    sa_put64(v, scrub->base);
    sa_put64(v + 8, scrub->due_us);
    sa_put64(v + 16, scrub->begun_us);
    sa_put64(v + 24, scrub->bytes);
    return sa_rows_put(store, txn, SA_T_STATE, "scrub", 5, v, sizeof v);
}

void
sa_scrub_load(struct sa_store *store)
{
    sa_scrub *scrub = &store->scrub;
    MDB_txn *txn;
    MDB_val key = { 5, (void *)(uintptr_t)"scrub" }, value;
    if (mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn) != 0)
        return;
    if (mdb_get(txn, store->rows.table[SA_T_STATE], &key, &value) == 0
        && sa_row_check(&key, &value) >= (ssize_t)SA_SCRUB_ROW) {
        const uint8_t *v = value.mv_data;
        scrub->base = sa_get64(v);
        scrub->due_us = MIN(sa_get64(v + 8), sa_clock_us(store) + store->opt.scrub_ns / 1000);
        scrub->begun_us = sa_get64(v + 16);
        scrub->bytes = sa_get64(v + 24);
    }
    mdb_txn_abort(txn);
}
