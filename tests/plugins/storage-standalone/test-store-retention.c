/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention per topic: by bytes, by age (test-store-9.c too), by trim and by deletion; dead files go,
 * others stay; what a group misses is told; the wall clock decides nothing.
 */
#include "folder-of.h"
#include "harness/store-host.h"

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };

static void
publish(store_host *h, struct emesh_topic *topic, uint32_t n)
{
    for (uint32_t i = 0; i < n; i += 50)
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", i, 50, 300, 0), ==, 50);
    /* The disk has it: only then may a segment be sealed. */
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", n, 1, 300, EMESH_LEVEL_SYNCED), ==, 1);
}

/* First offset that a new reader gets. */
static uint64_t
first_of(store_host *h, struct emesh_topic *topic, uint32_t *n)
{
    store_reader *r = store_host_read_all(h, topic, NULL, 0);
    *n = store_host_n(r);
    uint64_t first = *n > 0 ? store_host_offset(r, 0) : UINT64_MAX;
    store_host_reader_close(r);
    return first;
}

static void
test_bytes(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 100000000;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *cut = store_host_topic(h, "cut", EMESH_LEVEL_OS, 0, 100000);
    struct emesh_topic *kept = store_host_topic(h, "kept", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "cut", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(h, 0, kept, "k", 0, 5, 100, 0), ==, 5);
    publish(h, cut, 2000);
    const sa_stats *stats = &store_host_store(h)->stats;
    store_host_await(&stats->unlinked, 5);
    uint32_t n, n_kept;
    uint64_t first = first_of(h, cut, &n);
    g_assert_cmpuint(first, >, 1000);
    g_assert_cmpuint(first + n, ==, 2001);
    g_assert_cmpuint(n * 420u, >=, 100000 - 65536);
    g_assert_cmpuint(first_of(h, kept, &n_kept), ==, 0);
    g_assert_cmpuint(n_kept, ==, 5);
    /* Disk: what lives and no more than three segments beside it. */
    guint files = UINT_MAX;
    for (int i = 0; i < 1500 && files > 100000 / 65536 + 1 + 1 + 3; i++) {
        g_autoptr(GPtrArray) segments = folder_segments(dir);
        files = segments->len;
        g_usleep(10000);
    }
    g_assert_cmpuint(files, <=, 100000 / 65536 + 1 + 1 + 3);
    first = first_of(h, cut, &n);
    /* The group is told, and goes on at the earliest. */
    store_reader *r = store_host_read_all(h, cut, "g", 0);
    g_assert_cmpuint(store_host_flags(r, 0), ==, EMESH_RECORD_TRIMMED);
    g_assert_cmpuint(store_host_offset(r, 0), ==, first - 1);
    g_assert_cmpuint(store_host_offset(r, 1), ==, first);
    g_assert_cmpuint(store_host_n(r), ==, n + 1);
    sa_topic_close(NULL, cut);
    sa_topic_close(NULL, kept);
    store_host_close(h);
    /* And so it is after a restart. */
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    cut = store_host_topic(h, "cut", EMESH_LEVEL_OS, 0, 100000);
    g_assert_cmpuint(first_of(h, cut, &n), >=, first);
    g_assert_cmpuint(store_host_append(h, 0, cut, "n", 0, 1, 100, 0), ==, 1);
    g_assert_cmpuint(store_host_last_position(h).lo, ==, 2001);
    sa_topic_close(NULL, cut);
    store_host_close(h);
    /* What earlier lives wrote counts: a smaller limit cuts without a new event. */
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    cut = store_host_topic(h, "cut", EMESH_LEVEL_OS, 0, 30000);
    store_host_await(&store_host_store(h)->stats.trimmed, 1);
    g_assert_cmpuint(first_of(h, cut, &n), >, first);
    sa_topic_close(NULL, cut);
    store_host_end(h);
}

static void
test_trim_and_delete(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 100000000;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *a = store_host_topic(h, "a", EMESH_LEVEL_OS, 0, 0);
    struct emesh_topic *b = store_host_topic(h, "b", EMESH_LEVEL_OS, 0, 0);
    publish(h, a, 1000);
    publish(h, b, 1000);
    const sa_stats *stats = &store_host_store(h)->stats;
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_TRIM, "a", NULL, NULL, 777, NULL), ==, 0);
    uint32_t n;
    g_assert_cmpuint(first_of(h, a, &n), ==, 777);
    g_assert_cmpuint(n, ==, 1001 - 777);
    store_host_await(&stats->unlinked, 3);
    g_assert_cmpuint(first_of(h, b, &n), ==, 0);
    g_assert_cmpuint(n, ==, 1001);
    sa_topic_close(NULL, b);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_DELETE, "b", NULL, NULL, 0, NULL), ==, 0);
    store_host_await(&stats->unlinked, 8);
    g_assert_cmpuint(first_of(h, a, &n), ==, 777);
    g_assert_cmpuint(n, ==, 1001 - 777);
    /* A topic of the same name is a new one. */
    b = store_host_topic(h, "b", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpuint(first_of(h, b, &n), ==, UINT64_MAX);
    g_assert_cmpuint(store_host_append(h, 0, b, "n", 0, 1, 100, 0), ==, 1);
    g_assert_cmpuint(first_of(h, b, &n), ==, 0);
    g_assert_cmpuint(n, ==, 1);
    GArray *rows;
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_TOPICS, NULL, NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 2);
    g_assert_cmpuint(g_array_index(rows, store_row, 0).count, ==, 1001 - 777);
    g_assert_cmpuint(g_array_index(rows, store_row, 1).count, ==, 1);
    g_array_unref(rows);
    sa_topic_close(NULL, a);
    sa_topic_close(NULL, b);
    store_host_end(h);
}

/* Places by time, and an event by its id, in memory, in sealed segments and behind the rows. */
static void
test_find(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "timed", EMESH_LEVEL_OS, 0, 0);
    uint64_t begin = (uint64_t)g_get_real_time() / 1000;
    for (uint32_t hour = 0; hour < 30; hour++) {
        store_host_shift(h, hour * 3600000ll, 0);
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", hour * 50, 50, 100, 0), ==, 50);
    }
    for (int round = 0; round < 2; round++) {
        for (uint32_t hour = 0; hour < 30; hour += 7) {
            emesh_start start = { sizeof start, EMESH_START_TIME, begin + hour * 3600000ull - 60000,
                                  { 0, 0 } };
            store_reader *r = store_host_read(h, 0, topic, NULL, &start);
            store_host_want(r, 1, 1u << 20);
            store_host_records(r, 1);
            g_assert_cmpuint(store_host_offset(r, 0), ==, hour * 50);
            store_host_reader_close(r);
        }
        GArray *rows;
        g_assert_cmpint(store_host_find(h, "/store-host", "e777", &rows), ==, 0);
        g_assert_cmpuint(rows->len, ==, 1);
        g_assert_cmpstr(g_array_index(rows, store_row, 0).topic, ==, "timed");
        g_assert_cmpuint(g_array_index(rows, store_row, 0).first, ==, 777);
        g_array_unref(rows);
        g_assert_cmpint(store_host_find(h, NULL, "e777", &rows), ==, 0);
        g_assert_cmpuint(rows->len, ==, 1);
        g_assert_cmpuint(g_array_index(rows, store_row, 0).first, ==, 777);
        g_array_unref(rows);
        g_assert_cmpint(store_host_find(h, "/other", "e777", &rows), ==, 0);
        g_assert_cmpuint(rows->len, ==, 0);
        g_array_unref(rows);
        sa_topic_close(NULL, topic);
        store_host_close(h);
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        topic = store_host_topic(h, "timed", EMESH_LEVEL_OS, 0, 0);
    }
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-retention/bytes", test_bytes);
    g_test_add_func("/store-retention/trim-and-delete", test_trim_and_delete);
    g_test_add_func("/store-retention/find", test_find);
    return g_test_run();
}
