/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 5 of the embedded store: a process ends at each named point of seal, checkpoint, stop,
 * deletion, cleaning and of recovery itself, twice in a row. What was answered at level synced is there, once
 * and in order; no group is ahead; no offset carries two events.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <sys/mman.h>

static const char *const points[] = {
    "next-begin",        "next-made",          "seal-begin",       "seal-written",
    "seal-cut",          "seal-synced",        "checkpoint-begin", "checkpoint-synced",
    "checkpoint-commit", "checkpoint-committed", "unlink",         "stop-synced",
    "stop-sealed",
};
static const char *const recovery_points[] = {
    "recover-read", "recover-replayed", "recover-written", "recover-synced", "recover-seal",
    "recover-copied", "next-made", "checkpoint-committed",
};

static const char *const clean_points[] = {
    "clean-begin",  "clean-written",   "clean-synced",   "clean-renamed", "clean-commit",
    "clean-committed", "unlink", "clean-unlinked", "clean-end",
};

typedef struct shared { /* between a child and the test */
    _Atomic uint64_t acked;   /* ids below it were answered */
    _Atomic uint64_t asked;   /* ids below it were published */
    _Atomic uint64_t floor;   /* offsets below it were acknowledged by the group */
    _Atomic uint64_t reached; /* times a point ended a child */
} shared;

typedef struct ending {
    sa_io io;
    const char *at;
    uint32_t skip; /* times the point is passed */
    shared *state;
} ending;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

static void
end_here(void *ctx, const char *name)
{
    ending *e = ctx;
    if (g_strcmp0(name, e->at) != 0)
        return;
    if (e->skip > 0) {
        e->skip--;
        return;
    }
    atomic_fetch_add(&e->state->reached, 1);
    folder_die();
}

static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 20000000;
    opt.sync_interval_ns = 10000000;
    return opt;
}

static void
publish(store_host *h, struct emesh_topic *topic, struct emesh_topic *brief, shared *state)
{
    uint64_t from = atomic_load(&state->asked);
    atomic_store(&state->asked, from + 10);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", from, 10, 200, 0), ==, 10);
    if (atomic_load(&state->acked) == from)
        atomic_store(&state->acked, from + 10);
    g_assert_cmpuint(store_host_append(h, 0, brief, "b", from, 60, 300, 0), ==, 60);
}

static void
acknowledge(store_host *h, struct emesh_topic *topic, shared *state)
{
    store_reader *r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 20, 1 << 20);
    store_host_records(r, 20);
    atomic_store(&state->floor, store_host_offset(r, 19) + 1);
    store_host_commit(r, store_host_offset(r, 19), EMESH_COMMIT_UP_TO, 0, 1);
    store_host_reader_close(r);
}

/* Cuts, and waits a while for so many jobs of the cleaner. */
static void
let_clean(store_host *h, uint64_t to, uint64_t cleaned)
{
    const sa_stats *stats = &store_host_store(h)->stats;
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_TRIM, "brief", NULL, NULL, to, NULL), ==, 0);
    for (int i = 1; i < 600 && atomic_load(&stats->cleaned) < cleaned; i++)
        g_usleep(5000);
}

/* Publishes and acknowledges for a while, then stops in order; ends wherever the point is. To be
 * cleaned: most of what it writes is cut, and the rest is in the way of a cleaner. */
static _Noreturn void
child(const char *dir, shared *state, bool clean, const char *at, uint32_t skip)
{
    ending e = { .io = sa_io_posix, .at = at, .skip = skip, .state = state };
    sa_options opt = options();
    e.io.ctx = &e;
    e.io.point = end_here;
    if (clean)
        opt.clean_rate = 1u << 30;
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, &e.io), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_SYNCED, 0, 0);
    struct emesh_topic *brief = store_host_topic(h, "brief", EMESH_LEVEL_OS, 0, clean ? 0 : 1000);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "orders", "g", &earliest, 0, NULL), ==, 0);
    for (int i = 0; i < (clean ? 24 : 12); i++) {
        publish(h, topic, brief, state);
        if (i == 5)
            acknowledge(h, topic, state);
        if (i == 5 && !clean)
            g_usleep(30000); /* let a checkpoint come between */
        if (i % 12 == 11 && clean)
            let_clean(h, store_host_last_position(h).lo, i / 12 + 1);
    }
    if (clean)
        g_usleep(20000);
    sa_topic_close(NULL, topic);
    sa_topic_close(NULL, brief);
    store_host_close(h);
    folder_die();
}

/* Ids that were answered are all there; offsets rise; no id twice. */
static void
verify(const char *dir, const GArray *acked, const shared *state)
{
    store_host *h = store_host_new(dir, 1);
    sa_options opt = options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_SYNCED, 0, 0);
    store_reader *r = store_host_read_all(h, topic, NULL, 200);
    uint32_t n = store_host_n(r);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmpuint(store_host_flags(r, i), ==, 0);
        g_assert_true(g_hash_table_add(seen, (char *)(uintptr_t)store_host_id(r, i)));
        if (i > 0)
            g_assert_cmpuint(store_host_offset(r, i), >, store_host_offset(r, i - 1));
    }
    for (guint i = 0; i < acked->len; i++) {
        g_autofree char *id = g_strdup_printf("e%" G_GUINT64_FORMAT,
                                              g_array_index(acked, uint64_t, i));
        if (!g_hash_table_contains(seen, id))
            g_error("%s was answered and is gone; %u of %u are there", id, n, acked->len);
    }
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    store_host_reader_close(r);
    r = store_host_read_all(h, topic, "g", 0);
    if (atomic_load(&state->floor) > 0 && store_host_n(r) > 0)
        g_assert_cmpuint(store_host_offset(r, 0), <=, atomic_load(&state->floor));
    sa_topic_close(NULL, topic);
    store_host_close(h);
    store_host_free(h);
}

/* Ids answered in a child that began at from. */
static void
note_acked(GArray *acked, uint64_t from, const shared *state)
{
    for (uint64_t id = from; id < atomic_load(&state->acked); id++)
        g_array_append_val(acked, id);
}

/* The same without its index. */
static void
verify_rebuilt(const char *dir, const GArray *acked, const shared *state)
{
    g_autofree char *copy = folder_copy(dir);
    g_autofree char *index = g_build_filename(copy, "index", NULL);
    folder_remove(index);
    verify(copy, acked, state);
    folder_remove(copy);
}

/* Two children one after the other, each with its point. Returns how many ended there. What an
 * ended child had asked for is not published again: its outcome is unknown. */
static uint64_t
twice(bool clean, const char *first, uint32_t skip, const char *second)
{
    g_autofree char *dir = folder_make_fast();
    g_autoptr(GArray) acked = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    shared *state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    const char *at[2] = { first, second };
    g_assert_true(state != MAP_FAILED);
    g_test_message("%s (%u), then %s", first, skip, second);
    for (int i = 0; i < 2; i++) {
        uint64_t from = atomic_load(&state->asked);
        atomic_store(&state->acked, from);
        if (folder_fork())
            child(dir, state, clean, at[i], i == 0 ? skip : 0);
        g_assert_cmpint(folder_child_ended(), ==, 0);
        note_acked(acked, from, state);
    }
    if (clean)
        verify_rebuilt(dir, acked, state);
    verify(dir, acked, state);
    folder_remove(dir);
    uint64_t reached = atomic_load(&state->reached);
    munmap(state, sizeof *state);
    return reached;
}

static void
test_points(void)
{
    uint64_t reached = 0, runs = 0;
    for (guint i = 0; i < G_N_ELEMENTS(points); i++) {
        reached += twice(false, points[i], 0, points[i]);
        reached += twice(false, points[i], 2, points[i]);
        runs += 4;
    }
    for (guint i = 0; i < G_N_ELEMENTS(recovery_points); i++) {
        reached += twice(false, "stop-synced", 0, recovery_points[i]);
        reached += twice(false, recovery_points[i], 1, recovery_points[i]);
        runs += 4;
    }
    /* A point that no run meets would test nothing. */
    g_test_message("%u of %u children ended at their point", (unsigned)reached, (unsigned)runs);
    g_assert_cmpuint(reached, >, runs * 2 / 3);
}

static void
test_clean(void)
{
    uint64_t reached = 0, runs = 0;
    for (guint i = 0; i < G_N_ELEMENTS(clean_points); i++) {
        reached += twice(true, clean_points[i], 0, clean_points[i]);
        reached += twice(true, clean_points[i], 1, clean_points[i]);
        runs += 4;
    }
    static const char *const before[] = { "clean-renamed", "clean-commit", "clean-committed" };
    for (guint i = 0; i < G_N_ELEMENTS(before); i++) {
        reached += twice(true, before[i], 0, "recover-clean");
        runs += 2;
    }
    g_test_message("%u of %u children ended at their point", (unsigned)reached, (unsigned)runs);
    g_assert_cmpuint(reached, >, runs * 4 / 5);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-5/points", test_points);
    g_test_add_func("/store-test-5/clean", test_clean);
    return g_test_run();
}
