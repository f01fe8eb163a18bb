/* SPDX-License-Identifier: Apache-2.0
 *
 * Disks that are slow, full or broken, below storage-standalone: each level is answered after its own
 * watermark, what was refused is not there, what was answered is, and nothing is trusted after a
 * failed sync. A real file system that is full: test-store-7.c.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <errno.h>
#include <unistd.h>

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

typedef struct gate { /* before a call */
    bool held;        /* whoever comes waits */
    uint32_t waiting; /* so many do */
} gate;

typedef struct disk {
    sa_io io;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    gate sync, write;        /* lock */
    _Atomic int fail_sync;   /* the n-th from now fails with EIO, once */
    _Atomic int64_t room;    /* bytes that may be written; below 0: any */
    _Atomic uint64_t avail;  /* what space() says; 0: the truth */
    _Atomic pid_t sealing;   /* the thread that writes a footer */
    _Atomic int fail_footer; /* with EIO */
    _Atomic int fail_wipe;   /* once there is no room, the next write meets EIO */
} disk;

static void
disk_point(void *ctx, const char *name)
{
    disk *d = ctx;
    if (strcmp(name, "seal-begin") == 0)
        atomic_store(&d->sealing, gettid());
    else if (strcmp(name, "seal-written") == 0)
        atomic_store(&d->sealing, 0);
}

static void
pass(disk *d, gate *at)
{
    pthread_mutex_lock(&d->lock);
    while (at->held) {
        at->waiting++;
        pthread_cond_broadcast(&d->wake);
        pthread_cond_wait(&d->wake, &d->lock);
        at->waiting--;
    }
    pthread_mutex_unlock(&d->lock);
}

static int
disk_datasync(void *ctx, int fd)
{
    disk *d = ctx;
    pass(d, &d->sync);
    if (atomic_load(&d->fail_sync) > 0 && atomic_fetch_sub(&d->fail_sync, 1) == 1)
        return -EIO;
    return sa_io_posix.datasync(NULL, fd);
}

/* Writes as much as there is room for. */
static ssize_t
disk_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t place)
{
    disk *d = ctx;
    pass(d, &d->write);
    if (atomic_load(&d->fail_footer) && atomic_load(&d->sealing) == gettid())
        return -EIO;
    int64_t room = atomic_load(&d->room);
    if (room < 0)
        return sa_io_posix.pwritev(NULL, fd, iov, n, place);
    ssize_t done = 0;
    for (int i = 0; i < n && room > 0; i++) {
        struct iovec part = { iov[i].iov_base, MIN(iov[i].iov_len, (size_t)room) };
        ssize_t wrote = sa_io_posix.pwritev(NULL, fd, &part, 1, place + (uint64_t)done);
        g_assert_cmpint(wrote, ==, part.iov_len);
        done += wrote;
        room -= wrote;
    }
    atomic_store(&d->room, room);
    if (done == 0 && atomic_load(&d->fail_wipe))
        return atomic_exchange(&d->fail_wipe, 2) == 1 ? -ENOSPC : -EIO;
    return done > 0 ? done : -ENOSPC;
}

static int
disk_space(void *ctx, int dir, uint64_t *avail, uint64_t *total)
{
    disk *d = ctx;
    int rc = sa_io_posix.space(NULL, dir, avail, total);
    if (atomic_load(&d->avail) != 0)
        *avail = atomic_load(&d->avail);
    return rc;
}

/* A store in a new folder on that disk. */
static store_host *
up(disk *d, const sa_options *opt)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    *d = (disk){ .io = sa_io_posix };
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    atomic_store(&d->room, -1);
    d->io.ctx = d;
    d->io.datasync = disk_datasync;
    d->io.pwritev = disk_pwritev;
    d->io.space = disk_space;
    d->io.point = disk_point;
    g_assert_cmpint(store_host_open(h, opt, &d->io), ==, EMESH_OK);
    return h;
}

static void
hold(disk *d, gate *at, bool held)
{
    pthread_mutex_lock(&d->lock);
    at->held = held;
    pthread_cond_broadcast(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

/* Waits until somebody stands there: the syncer in fdatasync, the writer in pwritev. */
static void
await_held(disk *d, const gate *at)
{
    pthread_mutex_lock(&d->lock);
    while (at->waiting == 0)
        pthread_cond_wait(&d->wake, &d->lock);
    pthread_mutex_unlock(&d->lock);
}

/* On a good disk, what was answered in topic t is there. */
static void
check_answered(store_host *h, const sa_options *opt, uint32_t answered)
{
    g_assert_cmpint(store_host_open(h, opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_SYNCED, 0, 0);
    store_reader *r = store_host_read_all(h, topic, NULL, 0);
    g_assert_cmpuint(store_host_n(r), >=, answered);
    sa_topic_close(NULL, topic);
}

/* ---- levels ---- */

static void
test_levels(void)
{
    disk d;
    sa_options opt = store_host_options();
    opt.sync_interval_ns = 60000000000u;
    store_host *h = up(&d, &opt);
    struct emesh_topic *os = store_host_topic(h, "os", EMESH_LEVEL_OS, 0, 0);
    struct emesh_topic *sync = store_host_topic(h, "sync", EMESH_LEVEL_SYNCED, 0, 0);
    store_reader *of_os = store_host_read(h, 0, os, NULL, &earliest);
    store_reader *of_sync = store_host_read(h, 0, sync, NULL, &earliest);
    store_host_want(of_os, 100, 1 << 20);
    store_host_want(of_sync, 100, 1 << 20);
    hold(&d, &d.sync, true);
    store_host_append_async(h, 0, sync, "s", 0, 5, 50, 0);
    await_held(&d, &d.sync);
    /* The disk stands still: os goes on, synced is neither answered nor seen. */
    g_assert_cmpuint(store_host_append(h, 0, os, "o", 0, 3, 50, 0), ==, 3);
    store_host_records(of_os, 3);
    g_assert_cmpuint(store_host_results(h, 0), ==, 3);
    g_assert_cmpuint(store_host_n(of_sync), ==, 0);
    /* One event that asks for more keeps the later ones of its topic unseen: in offset order. */
    store_host_append_async(h, 0, os, "more", 0, 1, 50, EMESH_LEVEL_SYNCED);
    g_assert_cmpuint(store_host_append(h, 0, os, "p", 0, 2, 50, 0), ==, 2);
    g_assert_cmpuint(store_host_results(h, 0), ==, 5);
    g_assert_cmpuint(store_host_n(of_os), ==, 3);
    hold(&d, &d.sync, false);
    store_host_results(h, 11);
    store_host_records(of_sync, 5);
    store_host_records(of_os, 6);
    g_assert_cmpstr(store_host_id(of_os, 3), ==, "more0");
    g_assert_cmpstr(store_host_id(of_os, 5), ==, "p1");
    g_assert_cmpuint(store_host_failed(h), ==, 0);
    sa_topic_close(NULL, os);
    sa_topic_close(NULL, sync);
    store_host_end(h);
}

/* ---- a sync that fails ---- */

static void
test_sync_error(void)
{
    for (int nth = 1; nth <= 4; nth++) {
        disk d;
        sa_options opt = store_host_options();
        store_host *h = up(&d, &opt);
        struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_SYNCED, 0, 0);
        atomic_store(&d.fail_sync, nth);
        uint32_t good = 0;
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t ok = store_host_append(h, 0, topic, "e", i, 1, 50, 0);
            if (ok == 0)
                g_assert_cmpint(store_host_last_code(h), ==,
                                good == i ? EMESH_E_LOST : EMESH_E_UNAVAILABLE);
            else
                g_assert_cmpuint(good, ==, i); /* none is answered behind a failure */
            good += ok;
        }
        g_assert_cmpuint(good, <, 6);
        store_host_await_health(h, EMESH_HEALTH_FAILED);
        sa_topic_close(NULL, topic);
        store_host_close(h);
        check_answered(h, &opt, good);
        store_host_end(h);
    }
}

/* The sync fails while the next turn is in its write: nobody will sync that turn, and whoever waits
 * for it is told so. */
static void
test_sync_error_in_write(void)
{
    disk d;
    sa_options opt = store_host_options();
    store_host *h = up(&d, &opt);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_SYNCED, 0, 0);
    hold(&d, &d.sync, true);
    store_host_append_async(h, 0, topic, "first", 0, 1, 50, 0);
    await_held(&d, &d.sync);
    atomic_store(&d.fail_sync, 1);
    hold(&d, &d.write, true);
    store_host_append_async(h, 0, topic, "second", 0, 2, 50, 0);
    await_held(&d, &d.write);
    hold(&d, &d.sync, false);
    store_host_await_health(h, EMESH_HEALTH_FAILED);
    hold(&d, &d.write, false);
    store_host_results(h, 3);
    g_assert_cmpuint(store_host_failed(h), ==, 3);
    g_assert_cmpint(store_host_last_code(h), ==, EMESH_E_LOST);
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* EIO for a footer fails the instance too; recovery finds all that was answered. */
static void
test_footer_error(void)
{
    disk d;
    sa_options opt = store_host_options();
    store_host *h = up(&d, &opt);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_SYNCED, 0, 0);
    uint32_t good = 0;
    atomic_store(&d.fail_footer, 1);
    while (good < 1000 && store_host_append(h, 0, topic, "e", good, 1, 8000, 0) == 1)
        good++; /* until the first segment is sealed */
    store_host_await_health(h, EMESH_HEALTH_FAILED);
    g_assert_cmpuint(good, <, 1000);
    sa_topic_close(NULL, topic);
    store_host_close(h);
    check_answered(h, &opt, good);
    store_host_end(h);
}

/* ---- a write that is cut ---- */

static void
test_short_write(void)
{
    disk d;
    sa_options opt = store_host_options();
    store_host *h = up(&d, &opt);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_autoptr(GHashTable) answered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint64_t next = 0;
    for (int64_t room = 100; room < 2500; room += 297) {
        atomic_store(&d.room, room);
        uint64_t before = store_host_failed(h);
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", next, 10, 150, 0), <, 10);
        g_assert_cmpint(store_host_last_code(h), ==, EMESH_E_NO_SPACE);
        uint64_t good = 10 - (store_host_failed(h) - before);
        for (uint64_t i = 0; i < good; i++)
            g_hash_table_add(answered, g_strdup_printf("e%" G_GUINT64_FORMAT, next + i));
        next += 10;
        atomic_store(&d.room, -1);
        for (int i = 0; i < 1000 && store_host_append(h, 0, topic, "e", next, 1, 150, 0) == 0; i++) {
            g_usleep(10000); /* until the keeper has seen that there is room */
            next++;
        }
        g_hash_table_add(answered, g_strdup_printf("e%" G_GUINT64_FORMAT, next++));
    }
    for (int round = 0; round < 2; round++) { /* from memory, and from what is on disk */
        store_reader *r = store_host_read_all(h, topic, NULL, 150);
        g_assert_cmpuint(store_host_n(r), ==, g_hash_table_size(answered));
        for (uint32_t i = 0; i < store_host_n(r); i++)
            g_assert_true(g_hash_table_contains(answered, store_host_id(r, i)));
        g_assert_cmpuint(store_host_bad(r), ==, 0);
        sa_topic_close(NULL, topic);
        store_host_close(h);
        g_assert_cmpint(store_host_open(h, &opt, &d.io), ==, EMESH_OK);
        g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
        topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    }
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* What did not fit cannot be wiped: what the disk keeps of it is unknown, so the instance fails. */
static void
test_wipe_error(void)
{
    disk d;
    sa_options opt = store_host_options();
    store_host *h = up(&d, &opt);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    atomic_store(&d.fail_wipe, 1);
    atomic_store(&d.room, 1000);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 10, 150, 0), ==, 0);
    store_host_await_health(h, EMESH_HEALTH_FAILED);
    sa_topic_close(NULL, topic);
    store_host_close(h);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    store_host_end(h);
}

/* ---- min-free ---- */

static void
test_min_free(void)
{
    disk d;
    sa_options opt = store_host_options();
    opt.min_free = 1 << 20;
    store_host *h = up(&d, &opt);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 50, 100, 0), ==, 50);
    store_reader *r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 100, 1 << 20);
    store_host_records(r, 50);
    atomic_store(&d.avail, 1000);
    store_host_await_health(h, EMESH_HEALTH_DEGRADED);
    g_assert_cmpuint(store_host_append(h, 0, topic, "x", 0, 1, 100, 0), ==, 0);
    g_assert_cmpint(store_host_last_code(h), ==, EMESH_E_NO_SPACE);
    /* Progress is still written. */
    store_host_commit(r, 29, EMESH_COMMIT_UP_TO, 0, 1);
    store_host_reader_close(r);
    g_assert_cmpuint(store_host_store(h)->stats.commits, >, 0);
    /* Above min-free is not enough, twice of it is. */
    atomic_store(&d.avail, (1 << 20) + 1000);
    g_usleep(1300000);
    g_assert_cmpuint(store_host_append(h, 0, topic, "x", 0, 1, 100, 0), ==, 0);
    atomic_store(&d.avail, 3 << 20);
    store_host_await_health(h, EMESH_HEALTH_OK);
    g_assert_cmpuint(store_host_append(h, 0, topic, "f", 0, 1, 100, 0), ==, 1);
    r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 100, 1 << 20);
    store_host_records(r, 21);
    g_assert_cmpstr(store_host_id(r, 0), ==, "e30");
    g_assert_cmpstr(store_host_id(r, 20), ==, "f0");
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-disk/levels", test_levels);
    g_test_add_func("/store-disk/sync-error", test_sync_error);
    g_test_add_func("/store-disk/sync-error-in-write", test_sync_error_in_write);
    g_test_add_func("/store-disk/footer-error", test_footer_error);
    g_test_add_func("/store-disk/short-write", test_short_write);
    g_test_add_func("/store-disk/wipe-error", test_wipe_error);
    g_test_add_func("/store-disk/min-free", test_min_free);
    return g_test_run();
}
