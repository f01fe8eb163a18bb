/* SPDX-License-Identifier: Apache-2.0
 *
 * Units of the embedded store through the first half of recovery. The bytes say which units are
 * written to a segment, where the disk was known to be, and what is damaged or cut afterwards. Then:
 * a unit that nothing touched is there whole, one above the durable mark that was touched is gone as
 * a whole, and below the mark every record stands for itself.
 */
#include "crc32c.h"
#include "fuzz.h"
#include "recovery.h"
#include "store.h"
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SALT 0x5a17u
#define BASE 0x40000u
#define FILE_SIZE 65536u
#define UNITS 256u

typedef struct unit {
    uint64_t place[8], end[8];
    uint32_t n;
} unit;

typedef struct log_file {
    uint8_t *bytes, *written; /* as it is, as it was written */
    uint64_t at, durable; /* places */
    size_t size;
    unit units[UNITS];
    uint32_t n;
    const uint8_t *in, *in_end;
    int fd;
} log_file;

static uint32_t
next(log_file *f)
{
    return f->in < f->in_end ? *f->in++ : 0;
}

/* ---- what is written ---- */

static void
write_record(log_file *f, uint32_t follow, bool joined, uint32_t kind)
{
    uint32_t body = kind % 5 * 37 % 120;
    uint8_t *p = f->bytes + f->at;
    memset(p + SA_RECORD_HEAD, (int)kind, body);
    if (kind % 4 == 3 && body >= SA_RECORD_HEAD) /* a payload that is a record of another place */
        memcpy(p + SA_RECORD_HEAD, f->bytes + SA_SEGMENT_HEAD, SA_RECORD_HEAD);
    sa_rec_head head = {
        .lsn = BASE + f->at, .body = body, .epoch = 1,
        .body_crc = sa_crc32c(0, p + SA_RECORD_HEAD, sa_pad8(body)),
        .lag = (uint32_t)(f->at - f->durable), .type = kind % 3 == 0 ? SA_START : SA_EVENT,
        .flags = joined ? SA_REC_JOINED | SA_REC_STOP : SA_REC_STOP, .follow = (uint16_t)follow,
        .partition = 1 + kind % 3, .offset = f->at / 8, .time_us = 1,
    };
    sa_rec_head_write(p, &head, SALT);
    f->at += sa_rec_size(body);
}

static void
write_unit(log_file *f, uint32_t op)
{
    unit *u = &f->units[f->n];
    uint32_t n = 1 + op % 8, kind = next(f);
    if (f->n == UNITS || f->at + n * 200ull > FILE_SIZE)
        return;
    for (u->n = 0; u->n < n; u->n++) {
        u->place[u->n] = f->at;
        write_record(f, n - 1 - u->n, u->n > 0, kind + u->n);
        u->end[u->n] = f->at;
    }
    f->n++;
}

static void
damage(log_file *f)
{
    uint64_t at = (next(f) << 8 | next(f)) % FILE_SIZE;
    uint32_t n = 1 + next(f) % 16, with = next(f) | 1u;
    for (; n > 0 && at < f->size; n--, at++)
        f->bytes[at] ^= (uint8_t)with;
}

static void
make(log_file *f)
{
    sa_seg_head head = { .major = SA_MAJOR, .minor = SA_MINOR, .salt = SALT, .base = BASE,
                         .epoch = 1, .first = BASE + SA_SEGMENT_HEAD, .last = BASE + FILE_SIZE };
    sa_seg_head_write(f->bytes, &head, NULL);
    f->at = f->durable = SA_SEGMENT_HEAD;
    for (uint32_t op; (op = next(f)) != 0;) {
        if (op < 200)
            write_unit(f, op);
        else
            f->durable = f->at;
    }
    f->size = FILE_SIZE;
    memcpy(f->written, f->bytes, FILE_SIZE);
    for (uint32_t op; (op = next(f)) != 0;) {
        if (op < 250)
            damage(f);
        else
            f->size = SA_SEGMENT_HEAD + ((next(f) << 8 | next(f)) % (FILE_SIZE - SA_SEGMENT_HEAD));
    }
}

/* ---- a store around it ---- */

static int
open_file(void *ctx, int dir, const char *name, int flags)
{
    (void)dir, (void)name, (void)flags;
    return dup(((log_file *)ctx)->fd);
}

static void
quiet(const emesh_host *host, uint32_t level, const char *text, size_t len,
      const emesh_attr *fields, uint32_t n)
{
    (void)host, (void)level, (void)text, (void)len, (void)fields, (void)n;
}

static uint64_t
clock_of(const emesh_loop *loop, uint32_t which)
{
    (void)loop, (void)which;
    return 1;
}

static bool
clean(const log_file *f, uint64_t from, uint64_t to)
{
    return to <= f->size && memcmp(f->bytes + from, f->written + from, to - from) == 0;
}

static const sa_item *
item_at(const sa_scanned *s, uint64_t place)
{
    for (guint i = 0; i < s->items->len; i++) {
        const sa_item *item = &g_array_index(s->items, sa_item, i);
        if (item->place == place)
            return item;
    }
    return NULL;
}

static void
check(const log_file *f, const sa_recovery *r, const sa_scanned *s)
{
    g_assert_cmpuint(r->durable, <=, BASE + f->durable);
    for (uint32_t i = 0; i < f->n; i++) {
        const unit *u = &f->units[i];
        bool whole = clean(f, u->place[0], u->end[u->n - 1]);
        bool below = BASE + u->place[0] < r->durable;
        for (uint32_t k = 0; k < u->n; k++) {
            const sa_item *item = item_at(s, u->place[k]);
            bool good = clean(f, u->place[k], u->end[k]);
            if (below ? good : whole)
                g_assert_true(item != NULL && item->whole);
            if (item == NULL)
                continue;
            g_assert_true(!item->whole || good);
            g_assert_true(!below || !good || item->keep);
            g_assert_cmpint(item->copy, ==, !below && whole);
        }
    }
}

static void
recover(log_file *f)
{
    sa_io io = sa_io_posix;
    emesh_host host = { .size = sizeof host, .log = quiet };
    emesh_loop_api loop = { .size = sizeof loop, .time = clock_of };
    emesh_error err = { .size = sizeof err };
    sa_store *store = g_new0(sa_store, 1);
    sa_file file = { BASE, f->size };
    io.ctx = f;
    io.open = open_file;
    *store = (sa_store){ .host = &host, .lp = &loop, .io = &io, .path = (char *)(uintptr_t)"fuzz",
                         .dir = -1, .log_dir = -1, .lock_fd = -1, .salt = SALT,
                         .opt.segment_size = FILE_SIZE };
    sa_segs_init(&store->segs);
    sa_catalog_init(&store->cat);
    sa_recovery r = { .store = store, .err = &err, .scanned = g_ptr_array_new(),
                      .files = g_array_new(FALSE, FALSE, sizeof(sa_file)) };
    g_array_append_val(r.files, file);
    g_assert_cmpint(sa_recover_files(&r), ==, EMESH_OK);
    sa_recover_mark(&r);
    g_assert_cmpuint(r.scanned->len, ==, 1);
    sa_scanned *s = r.scanned->pdata[0];
    check(f, &r, s);
    g_array_unref(s->items);
    g_free(s);
    g_array_unref(r.files);
    g_ptr_array_unref(r.scanned);
    sa_segs_clear(store);
    sa_catalog_clear(store);
    g_free(store);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree log_file *f = g_new0(log_file, 1);
    f->in = data;
    f->in_end = data + size;
    f->bytes = g_malloc0(FILE_SIZE);
    f->written = g_malloc(FILE_SIZE);
    make(f);
    f->fd = memfd_create("fuzz-store-unit", MFD_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
    g_assert_cmpint(pwrite(f->fd, f->bytes, f->size, 0), ==, f->size);
    recover(f);
    close(f->fd);
    g_free(f->bytes);
    g_free(f->written);
    return 0;
}
