/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading back what is no longer in the memory tail: many cursors of a topic share reads, by count;
 * within the bytes they may keep; with retention, damage, seek and close in the middle; what a cold
 * reader reads next is asked for before.
 */
#include "cursor.h"
#include "folder-of.h"
#include "harness/store-host.h"

#include <string.h>

#define N 4000u
#define SIZE 200u
#define CURSORS 40u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };

typedef struct disk { /* below the store */
    sa_io io;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool hold;         /* reads wait */
    uint32_t waiting;
    const char *spoil; /* records with this in them are damaged */
    bool slow;         /* as one that has to move a head */
    GArray *asked;     /* emesh_position: from, to; asked for ahead */
    uint32_t reads, covered;
} disk;

/* Was all of it asked for? In ranges that touch. */
static bool
is_covered(const disk *d, uint64_t from, uint64_t to)
{
    for (guint i = 0; i < d->asked->len && from < to; i++) {
        const emesh_position *range = &g_array_index(d->asked, emesh_position, i);
        if (from >= range->hi && from < range->lo) {
            from = range->lo;
            i = (guint)-1; /* from the first again */
        }
    }
    return from >= to;
}

static ssize_t
disk_pread(void *ctx, int fd, void *into, size_t n, uint64_t place)
{
    disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    while (d->hold) {
        d->waiting++;
        pthread_cond_broadcast(&d->wake);
        pthread_cond_wait(&d->wake, &d->lock);
        d->waiting--;
    }
    bool covered = is_covered(d, place, place + n);
    d->reads++;
    d->covered += covered;
    bool slow = d->slow && !covered;
    pthread_mutex_unlock(&d->lock);
    if (slow)
        g_usleep(2000);
    ssize_t got = sa_io_posix.pread(NULL, fd, into, n, place);
    char *bad = d->spoil != NULL && got > 0
                    ? memmem(into, (size_t)got, d->spoil, strlen(d->spoil)) : NULL;
    if (bad != NULL)
        *bad ^= 1;
    return got;
}

static void
disk_ahead(void *ctx, int fd, uint64_t place, uint64_t n)
{
    disk *d = ctx;
    emesh_position range = { place, place + n };
    (void)fd;
    pthread_mutex_lock(&d->lock);
    g_array_append_val(d->asked, range);
    pthread_mutex_unlock(&d->lock);
}

static void
disk_init(disk *d)
{
    memset(d, 0, sizeof *d);
    d->io = sa_io_posix;
    d->io.ctx = d;
    d->io.pread = disk_pread;
    d->io.ahead = disk_ahead;
    d->asked = g_array_new(FALSE, FALSE, sizeof(emesh_position));
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
}

static void
disk_hold(disk *d, bool hold)
{
    pthread_mutex_lock(&d->lock);
    d->hold = hold;
    pthread_cond_broadcast(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

static void
disk_clear(disk *d)
{
    g_array_unref(d->asked);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->wake);
}

typedef struct fixture {
    char *dir;
    disk disk;
    store_host *h;
    const sa_stats *stats;
    struct emesh_topic *topic;
} fixture;

/* Two lanes, no memory tail, segments of 64 KiB unless large, N events e0 … in one topic. */
static void
up(fixture *f, uint64_t shared, bool large)
{
    sa_options opt = store_host_options();
    opt.tail_bytes = 0;
    opt.shared_bytes = shared;
    if (large)
        opt.segment_size = 4u << 20;
    f->dir = folder_make();
    disk_init(&f->disk);
    f->h = store_host_new(f->dir, 2);
    g_assert_cmpint(store_host_open(f->h, &opt, &f->disk.io), ==, EMESH_OK);
    f->stats = &store_host_store(f->h)->stats;
    f->topic = store_host_topic(f->h, "t", EMESH_LEVEL_OS, 0, 0);
    for (uint32_t i = 0; i < N; i += 100)
        g_assert_cmpuint(store_host_append(f->h, i / 100 % 2, f->topic, "e", i, 100, SIZE, 0), ==,
                         100);
}

static void
down(fixture *f)
{
    sa_topic_close(NULL, f->topic);
    store_host_end(f->h);
    g_free(f->dir);
    disk_clear(&f->disk);
}

static void
open_readers(fixture *f, store_reader **r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        r[i] = store_host_read(f->h, i % 2, f->topic, NULL, &earliest);
        store_host_check_data(r[i], SIZE);
    }
}

/* All N, in order, as they were written. */
static void
check_all(store_reader *r)
{
    store_host_records(r, N);
    g_assert_cmpuint(store_host_n(r), ==, N);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    for (uint32_t i = 0; i < N; i++) {
        g_assert_cmpuint(store_host_offset(r, i), ==, i);
        g_assert_cmpuint(store_host_flags(r, i), ==, 0);
    }
}

/* Bytes of the blocks, which the lock guards; never more than may be. */
static uint64_t
kept(fixture *f)
{
    sa_blocks *blocks = &store_host_store(f->h)->blocks;
    pthread_mutex_lock(&blocks->lock);
    uint64_t bytes = blocks->bytes;
    pthread_mutex_unlock(&blocks->lock);
    g_assert_cmpuint(bytes, <=, blocks->limit);
    return bytes;
}

/* One cursor reads for itself; forty read each run once between them. */
static void
test_shared(void)
{
    fixture f;
    store_reader *r[CURSORS];
    up(&f, 16u << 20, false);
    open_readers(&f, r, 1);
    uint64_t before = f.stats->reads;
    store_host_want(r[0], N, 0);
    check_all(r[0]);
    store_host_reader_close(r[0]);
    uint64_t alone = f.stats->reads - before;
    g_assert_cmpuint(f.stats->shared_loads, ==, 0);
    g_assert_cmpuint(f.stats->shared_records, ==, 0);
    open_readers(&f, r, CURSORS);
    before = f.stats->reads;
    for (uint32_t i = 0; i < CURSORS; i++)
        store_host_want(r[i], N, 0);
    for (uint32_t i = 0; i < CURSORS; i++)
        check_all(r[i]);
    g_test_message("%u reads alone, %u for %u cursors", (uint32_t)alone,
                   (uint32_t)(f.stats->reads - before), CURSORS);
    g_assert_cmpuint(f.stats->shared_loads, ==, (N + SA_BLOCK_RUN - 1) / SA_BLOCK_RUN);
    g_assert_cmpuint(f.stats->reads - before, <=, 2 * alone);
    g_assert_cmpuint(f.stats->shared_records, >=, (CURSORS - 1) * N);
    g_assert_cmpuint(kept(&f), >, N * SIZE);
    for (uint32_t i = 0; i < CURSORS; i++)
        store_host_reader_close(r[i]);
    down(&f);
}

/* Few bytes: blocks go and are read again, nothing is wrong. And none at all. */
static void
test_bounded(void)
{
    static const uint64_t limits[] = { 300u << 10, 40u << 10, 0 };
    for (size_t l = 0; l < G_N_ELEMENTS(limits); l++) {
        fixture f;
        store_reader *r[8];
        up(&f, limits[l], false);
        open_readers(&f, r, 8);
        for (uint32_t i = 0; i < 8; i++) { /* far apart */
            store_host_want(r[i], 100 + 450 * i, 0);
            store_host_records(r[i], 100 + 450 * i);
            kept(&f);
        }
        for (uint32_t i = 0; i < 8; i++)
            store_host_want(r[i], N, 0);
        for (uint32_t i = 0; i < 8; i++) {
            check_all(r[i]);
            kept(&f);
            store_host_reader_close(r[i]);
        }
        if (limits[l] > 0)
            g_assert_cmpuint(f.stats->shared_loads, >, (N + SA_BLOCK_RUN - 1) / SA_BLOCK_RUN);
        else
            g_assert_cmpuint(f.stats->shared_loads, ==, 0);
        down(&f);
    }
}

/* Events larger than a block, and one larger than all of them. */
static void
test_large(void)
{
    fixture f;
    store_reader *r[4];
    up(&f, 1u << 20, true);
    struct emesh_topic *small = f.topic;
    f.topic = store_host_topic(f.h, "large", EMESH_LEVEL_OS, 0, 0);
    for (uint32_t i = 0; i < 12; i++)
        g_assert_cmpuint(store_host_append(f.h, 0, f.topic, "l", i, 1, 100000 * (1 + i), 0), ==, 1);
    for (uint32_t i = 0; i < 4; i++) {
        r[i] = store_host_read(f.h, i % 2, f.topic, NULL, &earliest);
        store_host_want(r[i], 100, 3u << 19);
    }
    for (uint32_t i = 0; i < 40; i++) /* bytes come a little at a time */
        store_host_want(r[i % 4], 1, 1u << 20);
    for (uint32_t i = 0; i < 4; i++) {
        store_host_records(r[i], 12);
        for (uint32_t k = 0; k < 12; k++) {
            g_autofree char *id = g_strdup_printf("l%u", k);
            g_assert_cmpstr(store_host_id(r[i], k), ==, id);
        }
        kept(&f);
        store_host_reader_close(r[i]);
    }
    sa_topic_close(NULL, small);
    down(&f);
}

/* Retention takes what one has read and another has not: it is told, and blocks do not bring it
 * back. */
static void
test_retention(void)
{
    fixture f;
    store_reader *r[3];
    up(&f, 16u << 20, false);
    open_readers(&f, r, 3);
    store_host_want(r[0], N, 0);
    check_all(r[0]);
    store_host_want(r[1], 100, 0);
    store_host_records(r[1], 100);
    g_assert_cmpint(store_host_admin(f.h, EMESH_CHANGE_TRIM, "t", NULL, NULL, 777, NULL), ==, 0);
    for (uint32_t i = 1; i < 3; i++)
        store_host_want(r[i], N, 0);
    for (uint32_t i = 1; i < 3; i++) {
        uint32_t had = i == 1 ? 100 : 0;
        store_host_records(r[i], had + 1 + N - 777);
        g_assert_cmpuint(store_host_flags(r[i], had), ==, EMESH_RECORD_TRIMMED);
        g_assert_cmpuint(store_host_offset(r[i], had), ==, 776);
        for (uint32_t k = 0; k < N - 777; k++)
            g_assert_cmpuint(store_host_offset(r[i], had + 1 + k), ==, 777 + k);
        g_assert_cmpuint(store_host_bad(r[i]), ==, 0);
    }
    for (uint32_t i = 0; i < 3; i++)
        store_host_reader_close(r[i]);
    down(&f);
}

/* A damaged record: each reader is told once, at its place; the rest of the block is right. */
static void
test_damage(void)
{
    fixture f;
    store_reader *r[3];
    up(&f, 16u << 20, false);
    f.disk.spoil = "ide1234source";
    open_readers(&f, r, 3);
    for (uint32_t i = 0; i < 3; i++)
        store_host_want(r[i], N, 0);
    for (uint32_t i = 0; i < 3; i++) {
        store_host_records(r[i], N);
        g_assert_cmpuint(store_host_n(r[i]), ==, N);
        for (uint32_t k = 0; k < N; k++) {
            g_assert_cmpuint(store_host_offset(r[i], k), ==, k);
            g_assert_cmpuint(store_host_flags(r[i], k), ==, k == 1234 ? EMESH_RECORD_DAMAGED : 0);
        }
        g_assert_cmpuint(store_host_bad(r[i]), ==, 0);
        store_host_reader_close(r[i]);
    }
    g_assert_cmpuint(f.stats->damaged, ==, 1);
    g_assert_cmpuint(store_host_logged(f.h, "record 1234 of topic t"), ==, 1);
    f.disk.spoil = NULL;
    down(&f);
}

/* Has r got all from offset on as the last thing? */
static bool
ends_with(store_reader *r, uint64_t offset)
{
    uint32_t n = store_host_n(r), want = (uint32_t)(N - offset);
    if (n < want)
        return false;
    for (uint32_t k = 0; k < want; k++) {
        if (store_host_offset(r, n - want + k) != offset + k)
            return false;
    }
    return true;
}

/* One reader is moved about while another reads on; each gets what it asked for last. */
static void
test_seek(void)
{
    fixture f;
    store_reader *r[2];
    up(&f, 16u << 20, false);
    open_readers(&f, r, 2);
    store_host_want(r[0], N, 0);
    store_host_want(r[1], 20 * N, 0);
    for (uint32_t epoch = 2; epoch < 12; epoch++) {
        uint64_t place = epoch == 11 ? 99 : N - 1000 - epoch * 200;
        emesh_start start = { sizeof start, EMESH_START_AFTER, 0, { 0, place } };
        store_host_begin(r[1], epoch, &start);
    }
    check_all(r[0]);
    for (int i = 0; i < 1500 && !ends_with(r[1], 100); i++)
        g_usleep(10000);
    g_assert_true(ends_with(r[1], 100));
    g_assert_cmpuint(store_host_bad(r[1]), ==, 0);
    store_host_reader_close(r[0]);
    store_host_reader_close(r[1]);
    down(&f);
}

/* Log files are merged under readers that stand in them: what was kept comes once, in order. */
static void
test_cleaned(void)
{
    store_reader *r[6];
    uint32_t n = 0, brief_n = 0;
    sa_options opt = store_host_options();
    g_autofree char *dir = folder_make_fast();
    store_host *h = store_host_new(dir, 2);
    opt.tail_bytes = 0;
    opt.shared_bytes = 100u << 10;
    opt.checkpoint_ns = 20000000;
    opt.clean_rate = 256u << 20;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    const sa_stats *stats = &store_host_store(h)->stats;
    struct emesh_topic *keep = store_host_topic(h, "keep", EMESH_LEVEL_OS, 0, 0);
    struct emesh_topic *brief = store_host_topic(h, "brief", EMESH_LEVEL_OS, 0, 0);
    for (uint32_t i = 0; i < 6; i++) {
        r[i] = store_host_read(h, i % 2, keep, NULL, &earliest);
        store_host_check_data(r[i], SIZE);
    }
    for (uint32_t round = 0; round < 400 && (round < 60 || stats->cleaned < 8); round++) {
        for (uint32_t k = 0; k < 20; k++, brief_n += 20, n += 5) {
            g_assert_cmpuint(store_host_append(h, 0, brief, "b", brief_n, 20, SIZE, 0), ==, 20);
            g_assert_cmpuint(store_host_append(h, 1, keep, "k", n, 5, SIZE,
                                               k == 0 ? EMESH_LEVEL_SYNCED : 0), ==, 5);
        }
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_TRIM, "brief", NULL, NULL, brief_n, NULL),
                        ==, EMESH_OK);
        for (uint32_t i = 0; i < 6; i++) /* at six paces */
            store_host_want(r[i], 100 - 16 * i, 0);
    }
    g_assert_cmpuint(stats->cleaned, >=, 8);
    for (uint32_t i = 0; i < 6; i++)
        store_host_want(r[i], n, 0);
    for (uint32_t i = 0; i < 6; i++) {
        store_host_records(r[i], n);
        g_assert_cmpuint(store_host_n(r[i]), ==, n);
        for (uint32_t k = 0; k < n; k++) {
            g_assert_cmpuint(store_host_offset(r[i], k), ==, k);
            g_assert_cmpuint(store_host_flags(r[i], k), ==, 0);
        }
        g_assert_cmpuint(store_host_bad(r[i]), ==, 0);
        store_host_reader_close(r[i]);
    }
    g_assert_cmpuint(stats->damaged, ==, 0);
    g_test_message("%u events, %u segments cleaned, %u blocks loaded", n, (uint32_t)stats->cleaned,
                   (uint32_t)stats->shared_loads);
    sa_topic_close(NULL, keep);
    sa_topic_close(NULL, brief);
    store_host_end(h);
}

/* ---- closed while the block is loaded ---- */

static void *
close_one(void *r)
{
    store_host_reader_close(r);
    return NULL;
}

static uint32_t
cursors(fixture *f)
{
    return atomic_load(&f->topic->topic->n_cursors);
}

static void
test_close(gconstpointer data)
{
    uint32_t which = GPOINTER_TO_UINT(data); /* 0: who loads, 1: who waits */
    fixture f;
    store_reader *r[2];
    pthread_t thread;
    up(&f, 16u << 20, false);
    open_readers(&f, r, 2);
    disk_hold(&f.disk, true);
    store_host_want(r[0], N, 0);
    pthread_mutex_lock(&f.disk.lock);
    while (f.disk.waiting == 0)
        pthread_cond_wait(&f.disk.wake, &f.disk.lock);
    pthread_mutex_unlock(&f.disk.lock);
    store_host_want(r[1], N, 0);
    g_assert_cmpint(pthread_create(&thread, NULL, close_one, r[which]), ==, 0);
    while (cursors(&f) == 2)
        g_thread_yield();
    disk_hold(&f.disk, false);
    pthread_join(thread, NULL);
    check_all(r[1 - which]);
    store_host_reader_close(r[1 - which]);
    down(&f);
}

/* ---- ahead ---- */

/* What a slow disk gave is no surprise but for the first of it: the places were asked for, those of
 * a scattered topic too. */
static void
test_ahead(void)
{
    fixture f;
    up(&f, 16u << 20, true);
    struct emesh_topic *dense = f.topic;
    struct emesh_topic *rare = f.topic = store_host_topic(f.h, "rare", EMESH_LEVEL_OS, 0, 0);
    for (uint32_t i = 0; i < 600; i++) { /* 70 KB apart */
        g_assert_cmpuint(store_host_append(f.h, 0, rare, "r", i, 1, SIZE, 0), ==, 1);
        g_assert_cmpuint(store_host_append(f.h, 0, dense, "d", i, 1, 70000, 0), ==, 1);
    }
    f.disk.slow = true;
    for (int round = 0; round < 2; round++) {
        f.topic = round == 0 ? rare : dense;
        pthread_mutex_lock(&f.disk.lock);
        f.disk.reads = f.disk.covered = 0;
        pthread_mutex_unlock(&f.disk.lock);
        store_reader *r = store_host_read(f.h, 0, f.topic, NULL, &earliest);
        uint32_t n = round == 0 ? 600 : N;
        for (uint32_t had = 0; had < n; had += 100) {
            store_host_want(r, 100, 0);
            store_host_records(r, had + 100);
        }
        store_host_reader_close(r);
        pthread_mutex_lock(&f.disk.lock);
        uint32_t reads = f.disk.reads, covered = f.disk.covered;
        pthread_mutex_unlock(&f.disk.lock);
        g_test_message("%u reads, %u of them asked for before", reads, covered);
        /* Lists of places in footers are not asked for: one a segment of 4 MiB. */
        g_assert_cmpuint(covered + (round == 0 ? 25 : 12), >=, reads);
        g_assert_cmpuint(reads, >=, round == 0 ? 600 : 4);
    }
    sa_topic_close(NULL, rare);
    f.topic = dense;
    down(&f);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-reads/shared", test_shared);
    g_test_add_func("/store-reads/bounded", test_bounded);
    g_test_add_func("/store-reads/large", test_large);
    g_test_add_func("/store-reads/retention", test_retention);
    g_test_add_func("/store-reads/damage", test_damage);
    g_test_add_func("/store-reads/seek", test_seek);
    g_test_add_func("/store-reads/cleaned", test_cleaned);
    g_test_add_data_func("/store-reads/close/loading", GUINT_TO_POINTER(0), test_close);
    g_test_add_data_func("/store-reads/close/waiting", GUINT_TO_POINTER(1), test_close);
    g_test_add_func("/store-reads/ahead", test_ahead);
    return g_test_run();
}
