/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 13 of the embedded store: an ack storm. Many groups acknowledge one topic, the process is
 * killed in the midst of it: what was acknowledged a while before is not offered again, what was not
 * is, and the log has not grown by more than 40 bytes an ack. Then one poison event with many
 * acknowledged behind it: the state is a range or two, the floor is right after a kill. The long form
 * (STORE_TEST_13_LONG=1) has 1,000 groups and 10 M events behind the poison.
 */
#include "folder-of.h"
#include "harness/store-host.h"
#include "cursor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS_MAX 1000u
#define EVENTS 2000u /* a group */
#define CHUNK 10u    /* acks in one call */
#define PACE_US 5000 /* between the calls of a group, as deliveries take time */
#define CHUNKS (EVENTS / CHUNK)

typedef struct shared { /* between a child and the test */
    uint32_t groups;
    uint64_t poison; /* events behind the poison */
    _Atomic uint32_t acked[GROUPS_MAX]; /* chunks of each group */
    _Atomic int64_t at[GROUPS_MAX][CHUNKS];
    _Atomic uint64_t acks, bytes;
    _Atomic uint32_t ranges;
} shared;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

static bool
is_long(void)
{
    return g_getenv("STORE_TEST_13_LONG") != NULL;
}

static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.segment_size = 64u << 20;
    opt.map_size = 1u << 30;
    return opt;
}

static void
group_name(char out[16], uint32_t g)
{
    snprintf(out, 16, "g%u", g);
}

typedef struct acking {
    emesh_cursor *cursor;
    uint32_t n;
    emesh_commit commits[CHUNK];
} acking;

static void
ack_now(void *ctx)
{
    acking *a = ctx;
    sa_cursor_commit(a->cursor, a->commits, a->n);
}

/* Offsets from first on, one by one and out of order, or all at once up to the last. */
static void
acknowledge(store_host *h, store_reader *r, uint64_t first, uint32_t n, bool each)
{
    acking a = { .cursor = store_host_cursor(r), .n = each ? n : 1 };
    for (uint32_t i = 0; i < a.n; i++)
        a.commits[i] = (emesh_commit){
            .position = { 0, each ? first + (i * 7 + 3) % n : first + n - 1 }, .epoch = 1,
            .outcome = each ? EMESH_COMMIT_ONE : EMESH_COMMIT_UP_TO };
    store_host_on_lane(h, 0, ack_now, &a);
}

/* ---- the storm ---- */

static _Noreturn void
storm(const char *dir, shared *s)
{
    sa_options opt = options();
    char name[16];
    store_host *h = store_host_new(dir, 1);
    store_reader **readers = g_new0(store_reader *, s->groups);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, EVENTS, 50, 0), ==, EVENTS);
    for (uint32_t g = 0; g < s->groups; g++) {
        group_name(name, g);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t", name, &earliest, 0, NULL), ==, 0);
        readers[g] = store_host_read(h, 0, topic, name, &stored);
    }
    const sa_stats *stats = &store_host_store(h)->stats;
    uint64_t before = stats->write_bytes;
    for (uint32_t c = 0; c < CHUNKS; c++) {
        for (uint32_t g = 0; g < s->groups; g++) {
            acknowledge(h, readers[g], (uint64_t)c * CHUNK, CHUNK, g % 2 == 1);
            atomic_store(&s->at[g][c], g_get_monotonic_time());
            atomic_store(&s->acked[g], c + 1);
            atomic_fetch_add(&s->acks, CHUNK);
        }
        atomic_store(&s->bytes, stats->write_bytes - before);
        g_usleep(PACE_US);
    }
    while (true)
        pause(); /* until it is killed */
}

static pid_t
begin(const char *dir, shared *s, void (*fn)(const char *dir, shared *s))
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0)
        fn(dir, s);
    return pid;
}

static void
end(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

static gint
by_value(gconstpointer a, gconstpointer b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return x < y ? -1 : x > y;
}

/* How long before the kill the oldest event was acknowledged that comes again; 0: none does. */
static gint64
again(store_host *h, struct emesh_topic *topic, shared *s, uint32_t g, gint64 killed, uint64_t *twice)
{
    char name[16];
    uint32_t acked = atomic_load(&s->acked[g]) * CHUNK;
    gint64 oldest = 0;
    group_name(name, g);
    store_reader *r = store_host_read_all(h, topic, name, 0);
    uint32_t n = store_host_n(r), due = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t offset = store_host_offset(r, i);
        due += offset >= acked;
        if (offset >= acked)
            continue;
        (*twice)++;
        oldest = MAX(oldest, killed - atomic_load(&s->at[g][offset / CHUNK]));
    }
    /* A chunk may have been on its way when the process ended; all behind it was never acked. */
    g_assert_cmpuint(due, >=, EVENTS - MIN(acked + CHUNK, EVENTS));
    store_host_reader_close(r);
    return oldest;
}

static void
test_storm(void)
{
    g_autofree char *dir = folder_make_fast();
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_autoptr(GArray) ages = g_array_new(FALSE, FALSE, sizeof(gint64));
    uint64_t twice = 0;
    s->groups = is_long() ? GROUPS_MAX : 100;
    pid_t pid = begin(dir, s, storm);
    uint64_t some = (uint64_t)s->groups * EVENTS / 4 * (uint64_t)g_test_rand_int_range(1, 4);
    while (atomic_load(&s->acks) < some)
        g_usleep(1000);
    gint64 killed = g_get_monotonic_time();
    end(pid);
    sa_options opt = options();
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    for (uint32_t g = 0; g < s->groups; g++) {
        gint64 age = again(h, topic, s, g, killed, &twice);
        g_array_append_val(ages, age);
    }
    g_array_sort(ages, by_value);
    gint64 median = g_array_index(ages, gint64, ages->len / 2);
    gint64 worst = g_array_index(ages, gint64, ages->len - 1);
    double growth = (double)atomic_load(&s->bytes) / (double)atomic_load(&s->acks);
    g_test_message("%u groups, %" G_GUINT64_FORMAT " acks, %.1f bytes of log an ack; killed: %"
                   G_GUINT64_FORMAT " offered again, acked %" G_GINT64_FORMAT " us before (median), %"
                   G_GINT64_FORMAT " us (worst)", s->groups, (uint64_t)s->acks, growth, twice, median,
                   worst);
    g_assert_cmpfloat(growth, >, 0);
    g_assert_cmpfloat(growth, <=, 40);
    if (is_long())
        g_assert_cmpint(median, <=, 10000);
    g_assert_cmpint(worst, <, 2000000); /* a process that gets no time is no fault of the store */
    sa_topic_close(NULL, topic);
    store_host_end(h);
    munmap(s, sizeof *s);
}

/* ---- poison ---- */

static uint32_t
ranges_of(store_host *h)
{
    sa_store *store = store_host_store(h);
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = sa_catalog_group(&store->cat, "p", 1);
    sa_topic *topic = sa_catalog_topic(&store->cat, "t", 1);
    pthread_mutex_unlock(&store->cat.lock);
    pthread_mutex_lock(&group->lock);
    uint32_t n = sa_pair_find(group, topic->parts[0]->id)->more->ranges.n;
    pthread_mutex_unlock(&group->lock);
    return n;
}

static _Noreturn void
poisoned(const char *dir, shared *s)
{
    sa_options opt = options();
    store_host *h = store_host_new(dir, 1);
    uint64_t most = 0;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t", "p", &earliest, 0, NULL), ==, 0);
    store_reader *r = store_host_read(h, 0, topic, "p", &stored);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 1, 20, 0), ==, 1);
    for (uint64_t at = 1; at <= s->poison; at += 10 * CHUNK) {
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", at, 10 * CHUNK, 20, 0), ==, 10 * CHUNK);
        for (uint64_t first = at; first < at + 10 * CHUNK; first += CHUNK)
            acknowledge(h, r, first, CHUNK, true);
        if (at % (1000 * CHUNK) == 1)
            most = MAX(most, ranges_of(h));
    }
    atomic_store(&s->ranges, (uint32_t)MAX(most, ranges_of(h)));
    store_host_reader_close(r); /* its acks are written */
    atomic_store(&s->acks, s->poison);
    while (true)
        pause();
}

static void
test_poison(void)
{
    g_autofree char *dir = is_long() ? folder_make() : folder_make_fast();
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s->poison = is_long() ? 10000000 : 50000;
    pid_t pid = begin(dir, s, poisoned);
    while (atomic_load(&s->acks) == 0)
        g_usleep(10000);
    end(pid);
    sa_options opt = options();
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    store_reader *r = store_host_read_all(h, topic, "p", 0);
    g_test_message("%" G_GUINT64_FORMAT " acked behind one that is not: %u ranges, %u after a kill; "
                   "%u offered again", s->poison, s->ranges, ranges_of(h), store_host_n(r));
    g_assert_cmpuint(s->ranges, <=, 3);
    g_assert_cmpuint(ranges_of(h), <=, 3);
    g_assert_cmpuint(store_host_n(r), ==, 1);
    g_assert_cmpuint(store_host_offset(r, 0), ==, 0);
    sa_topic_close(NULL, topic);
    store_host_end(h);
    munmap(s, sizeof *s);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-13/storm", test_storm);
    g_test_add_func("/store-test-13/poison", test_poison);
    return g_test_run();
}
