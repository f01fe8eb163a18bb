/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 7 of the embedded store: a real file system of 48 MiB is filled while acks go on. Publishing
 * gets FULL, acks are kept, retention runs, publishing resumes without a restart; the process dies
 * while it is full, and starts while it is full, also when somebody else filled it to the last byte.
 * Then the same with a limit on the size of files. The file system lives in a mount namespace of a
 * child, so nothing of it stays.
 */
#include "folder-of.h"
#include "harness/store-host.h"
#include "lane.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 4000u
#define KEPT 2500u /* events of the topic that is acknowledged */
#define KEPT_SIZE 200u

typedef struct shared { /* between a child and the test */
    _Atomic uint64_t acked;    /* offsets below it were acknowledged by the group */
    _Atomic uint64_t filled;   /* events that were taken until it was full */
    _Atomic uint64_t refused;  /* with FULL */
    _Atomic uint64_t late[64]; /* numbers + 1 of events taken by "keep" later on */
    _Atomic uint64_t n_late, n_tried;
    _Atomic uint64_t resumed, starts;
} shared;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.segment_size = 4u << 20;
    opt.min_free = 0;
    opt.checkpoint_ns = 200000000;
    return opt;
}

typedef struct disk {
    const char *dir; /* of the store */
    shared *state;
    store_host *h;
    struct emesh_topic *keep, *fill;
    store_reader *group;
} disk;

static void
up(disk *d, uint64_t age_ms)
{
    sa_options opt = options();
    d->h = store_host_new(d->dir, 1);
    if (store_host_open(d->h, &opt, NULL) != EMESH_OK)
        g_error("start on a full disk: %s", store_host_text(d->h));
    atomic_fetch_add(&d->state->starts, 1);
    d->keep = store_host_topic(d->h, "keep", EMESH_LEVEL_SYNCED, 0, 0);
    d->fill = store_host_topic(d->h, "fill", EMESH_LEVEL_OS, age_ms, 0);
}

static void
join(disk *d)
{
    d->group = store_host_read(d->h, 0, d->keep, "g", &stored);
    store_host_want(d->group, 10000, 1u << 30);
}

static void
down(disk *d)
{
    sa_topic_close(NULL, d->keep);
    sa_topic_close(NULL, d->fill);
    store_host_close(d->h);
    store_host_free(d->h);
}

static void
acknowledge(disk *d, uint64_t *ack)
{
    uint64_t offset = store_host_offset(d->group, (uint32_t)*ack);
    store_host_commit(d->group, offset, EMESH_COMMIT_UP_TO, 0, 1);
    atomic_store(&d->state->acked, offset + 1);
    (*ack)++;
}

/* Publishes until it is refused; acknowledges one event of the other topic with each call. */
static void
fill(disk *d, uint64_t *ack)
{
    for (uint32_t i = 0; i < 100000; i += 50) {
        uint32_t ok = store_host_append(d->h, 0, d->fill, "f", i, 50, SIZE, 0);
        atomic_fetch_add(&d->state->filled, ok);
        if (*ack + 1 < store_host_n(d->group))
            acknowledge(d, ack);
        if (ok < 50) {
            g_assert_cmpint(store_host_last_code(d->h), ==, EMESH_E_NO_SPACE);
            atomic_fetch_add(&d->state->refused, 50 - ok);
            return;
        }
    }
    g_error("a disk of 48 MiB took everything");
}

/* Until an event is taken again; what is refused meanwhile gets FULL and must not be there. */
static void
resume(disk *d)
{
    shared *s = d->state;
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t number = KEPT + atomic_fetch_add(&s->n_tried, 1);
        if (store_host_append(d->h, 0, d->keep, "k", number, 1, KEPT_SIZE, 0) == 1) {
            atomic_store(&s->late[atomic_fetch_add(&s->n_late, 1)], number + 1);
            atomic_fetch_add(&s->resumed, 1);
            return;
        }
        g_assert_cmpint(store_host_last_code(d->h), ==, EMESH_E_NO_SPACE);
        atomic_fetch_add(&s->refused, 1);
        g_usleep(10000);
    }
    g_error("publishing did not resume in 30 s");
}

/* The end of a reader waits for its acks to be written, at level os: they outlive the process. */
static void
acks_written(disk *d, uint64_t *ack)
{
    acknowledge(d, ack);
    store_host_reader_close(d->group);
    g_assert_null(((sa_lane *)(void *)store_host_lane(d->h, 0))->dirty); /* none was refused */
    d->group = NULL;
}

/* All that was taken of "keep" and nothing that was refused; the group is where it was. */
static void
check(disk *d)
{
    shared *s = d->state;
    store_reader *r = store_host_read_all(d->h, d->keep, NULL, KEPT_SIZE);
    g_assert_cmpuint(store_host_n(r), ==, KEPT + atomic_load(&s->n_late));
    for (uint64_t i = 0; i < atomic_load(&s->n_late); i++) {
        g_autofree char *id = g_strdup_printf("k%" G_GUINT64_FORMAT, atomic_load(&s->late[i]) - 1);
        g_assert_cmpstr(store_host_id(r, (uint32_t)(KEPT + i)), ==, id);
    }
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    g_assert_cmpuint(store_host_store(d->h)->stats.damaged, ==, 0);
    store_host_reader_close(r);
    join(d);
    store_host_records(d->group, 1);
    g_assert_cmpuint(store_host_offset(d->group, 0), ==, atomic_load(&s->acked));
}

/* ---- in the namespace ---- */

static void
fill_and_die(disk *d)
{
    uint64_t ack = 0;
    up(d, 3000);
    g_assert_cmpint(store_host_admin(d->h, EMESH_CHANGE_PLACE, "keep", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(d->h, 0, d->keep, "k", 0, KEPT, KEPT_SIZE, 0), ==, KEPT);
    join(d);
    store_host_records(d->group, KEPT);
    fill(d, &ack);
    resume(d); /* by retention, without a restart */
    fill(d, &ack);
    acks_written(d, &ack);
    folder_die();
}

static void
start_full(disk *d)
{
    uint64_t ack = 0;
    up(d, 3000);
    check(d);
    resume(d);
    fill(d, &ack);
    acks_written(d, &ack);
    folder_die();
}

static void
in_child(disk *d, void (*fn)(disk *d))
{
    if (folder_fork())
        fn(d);
    g_assert_cmpint(folder_child_ended(), ==, 0);
}

/* Fills what is left of the disk, to the last byte. */
static void
fill_all(const char *path)
{
    static const char block[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    for (size_t n = sizeof block; n > 0; n /= 2)
        while (write(fd, block, n) > 0)
            ;
    close(fd);
}

static void
acknowledge_on_nothing(disk *d)
{
    g_autofree char *path = g_strconcat(d->dir, "/../foreign", NULL);
    uint64_t ack = 0;
    up(d, 0);
    check(d);
    fill_all(path);
    fill(d, &ack);
    for (uint32_t i = 0; i < 20; i++) { /* one by one, in the last part of the segment */
        acknowledge(d, &ack);
        g_usleep(6000);
    }
    acks_written(d, &ack);
    folder_die();
}

/* Either it starts, or it says what is missing; then there is room, and nothing is lost. */
static void
start_on_nothing(disk *d)
{
    g_autofree char *path = g_strconcat(d->dir, "/../foreign", NULL);
    sa_options opt = options();
    fill_all(path); /* what the end of the last life gave back, too */
    d->h = store_host_new(d->dir, 1);
    int32_t code = store_host_open(d->h, &opt, NULL);
    if (code != EMESH_OK) {
        g_assert_cmpint(code, ==, EMESH_E_NO_SPACE);
        g_assert_nonnull(strstr(store_host_text(d->h), d->dir));
    } else {
        store_host_close(d->h);
    }
    store_host_free(d->h);
    g_assert_cmpint(unlink(path), ==, 0);
    up(d, 1000);
    check(d);
    resume(d);
    down(d);
    up(d, 1000); /* and from what an orderly stop left */
    check(d);
    down(d);
    folder_die();
}

/* A file system of its own; false: not here. */
static bool
mount_disk(const char *dir)
{
    uid_t uid = getuid();
    if (unshare(CLONE_NEWNS) < 0) {
        g_autofree char *map = g_strdup_printf("0 %u 1", (unsigned)uid);
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
            return false;
        int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        bool good = fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map);
        if (fd >= 0)
            close(fd);
        if (!good)
            return false;
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
           && mount("tmpfs", dir, "tmpfs", 0, "size=48m") == 0;
}

/* Ends with 77 as it should, or with 78: no namespace, no mount. */
static void
in_namespace(const char *dir, shared *state)
{
    g_autofree char *store = g_build_filename(dir, "store", NULL);
    disk d = { .dir = store, .state = state };
    if (!mount_disk(dir))
        _exit(78);
    in_child(&d, fill_and_die);
    for (uint32_t i = 0; i < 3; i++)
        in_child(&d, start_full);
    in_child(&d, acknowledge_on_nothing);
    in_child(&d, start_on_nothing);
    folder_die();
}

static void
test_full_disk(void)
{
    g_autofree char *dir = folder_make();
    shared *state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    int status;
    if (folder_fork())
        in_namespace(dir, state);
    g_assert_cmpint(wait(&status), >, 0);
    folder_remove(dir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 78) {
        g_test_skip("no mount namespace here: a file system of 48 MiB cannot be mounted");
        return;
    }
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 77);
    g_test_message("%u starts; %u events taken, %u refused with FULL; publishing resumed %u times",
                   (unsigned)state->starts, (unsigned)state->filled, (unsigned)state->refused,
                   (unsigned)state->resumed);
    g_assert_cmpuint(state->resumed, ==, 5);
    munmap(state, sizeof *state);
}

/* ---- ulimit -f ---- */

static void
limit(rlim_t bytes)
{
    struct rlimit now;
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &now), ==, 0);
    now.rlim_cur = bytes;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &now), ==, 0);
}

static void
limited(disk *d)
{
    uint64_t ack = 0;
    signal(SIGXFSZ, SIG_IGN); /* as the daemon does */
    up(d, 0);
    g_assert_cmpint(store_host_admin(d->h, EMESH_CHANGE_PLACE, "keep", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(d->h, 0, d->keep, "k", 0, KEPT, KEPT_SIZE, 0), ==, KEPT);
    join(d);
    store_host_records(d->group, KEPT);
    limit(3u << 20); /* in the middle of a segment */
    fill(d, &ack);
    limit(RLIM_INFINITY);
    resume(d);
    acks_written(d, &ack);
    folder_die();
}

static void
limited_at_start(disk *d)
{
    sa_options opt = options();
    signal(SIGXFSZ, SIG_IGN);
    limit(1u << 20);
    d->h = store_host_new(d->dir, 1);
    g_assert_cmpint(store_host_open(d->h, &opt, NULL), !=, EMESH_OK);
    g_assert_nonnull(strstr(store_host_text(d->h), d->dir));
    store_host_free(d->h);
    limit(RLIM_INFINITY);
    up(d, 0);
    check(d);
    down(d);
    folder_die();
}

static void
test_ulimit(void)
{
    g_autofree char *dir = folder_make_fast();
    g_autofree char *store = g_build_filename(dir, "store", NULL);
    shared *state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    disk d = { .dir = store, .state = state };
    in_child(&d, limited);
    in_child(&d, limited_at_start);
    g_test_message("%u events taken, %u refused with FULL, publishing resumed %u times",
                   (unsigned)state->filled, (unsigned)state->refused, (unsigned)state->resumed);
    munmap(state, sizeof *state);
    folder_remove(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-7/full-disk", test_full_disk);
    g_test_add_func("/store-test-7/ulimit", test_ulimit);
    return g_test_run();
}
