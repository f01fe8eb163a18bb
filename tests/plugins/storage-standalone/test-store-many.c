/* SPDX-License-Identifier: Apache-2.0
 *
 * Many at once: four lanes publish to shared topics at all levels while others read and acknowledge,
 * through rolls, seals, checkpoints and retention. Every event is answered once and read once, in
 * order per partition. The one that ThreadSanitizer watches.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#define LANES 4u
#define CALLS 30u
#define BURST 40u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

/* Offsets rise by one; what each lane published came in its order. */
static void
check_order(store_reader *r, uint32_t n)
{
    uint64_t next[LANES] = { 0 };
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmpuint(store_host_offset(r, i), ==, i);
        const char *id = store_host_id(r, i);
        uint32_t lane = (uint32_t)(id[0] - 'a');
        g_assert_cmpuint(lane, <, LANES);
        g_assert_cmpuint(g_ascii_strtoull(id + 1, NULL, 10), ==, next[lane]++);
    }
}

static void
run(store_host *h, uint32_t level, const char *name)
{
    struct emesh_topic *topic = store_host_topic(h, name, level, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, name, "g", &earliest, 0, NULL), ==, 0);
    store_reader *alone = store_host_read(h, 0, topic, NULL, &earliest);
    store_reader *group = store_host_read(h, 1, topic, "g", &stored);
    uint64_t before = store_host_results(h, 0);
    uint32_t all = LANES * CALLS * BURST;
    store_host_check_data(alone, 200);
    store_host_want(alone, all + 10, 1u << 30);
    store_host_want(group, all / 2, 1u << 30);
    for (uint32_t call = 0; call < CALLS; call++) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            char prefix[2] = { (char)('a' + lane), 0 };
            store_host_append_async(h, lane, topic, prefix, call * BURST, BURST, 200, 0);
        }
        if (call % 5 == 4) { /* progress of what it surely has */
            store_host_records(group, call);
            store_host_commit(group, call - 1, EMESH_COMMIT_UP_TO, 0, 1);
        }
    }
    store_host_results(h, before + all);
    g_assert_cmpuint(store_host_results(h, before + all), ==, before + all);
    g_assert_cmpuint(store_host_failed(h), ==, 0);
    store_host_records(alone, all);
    store_host_records(group, all / 2);
    store_host_want(group, all, 1u << 30);
    store_host_records(group, all);
    check_order(alone, all);
    check_order(group, all);
    g_assert_cmpuint(store_host_bad(alone), ==, 0);
    store_host_reader_close(alone);
    store_host_reader_close(group);
    sa_topic_close(NULL, topic);
}

static void
test_many(gconstpointer data)
{
    uint32_t level = GPOINTER_TO_UINT(data);
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, LANES);
    sa_options opt = store_host_options();
    opt.segment_size = 256 << 10;
    opt.tail_bytes = 128 << 10; /* readers fall behind it */
    opt.checkpoint_ns = 100000000;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    run(h, level, "one");
    run(h, level, "two");
    g_assert_cmpuint(store_host_store(h)->stats.sealed, >, 4);
    store_host_close(h);
    /* All of it is there after a restart. */
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "two", level, 0, 0);
    store_reader *r = store_host_read(h, 2, topic, NULL, &earliest);
    store_host_want(r, 100000, 1u << 30);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, LANES * CALLS * BURST);
    check_order(r, store_host_n(r));
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* So many segments that their indexes leave memory for the rows of LMDB while readers go on. */
static void
test_rows(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.tail_bytes = 64 << 10;
    opt.checkpoint_ns = 50000000;
    opt.sync_interval_ns = 10000000;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    struct emesh_topic *rare = store_host_topic(h, "rare", EMESH_LEVEL_OS, 0, 0);
    store_reader *early = store_host_read(h, 0, topic, NULL, &earliest);
    const uint32_t all = 10000;
    store_host_check_data(early, 400);
    for (uint32_t i = 0; i < all; i += 100) {
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", i, 100, 400, 0), ==, 100);
        g_assert_cmpuint(store_host_append(h, 0, rare, "r", i / 100, 1, 400, 0), ==, 1);
        store_host_want(early, 60, 1u << 30); /* falls behind, from the tail into the rows */
    }
    store_host_await(&topic->parts[0]->rows_to, 1001);
    store_host_want(early, all, 1u << 30);
    store_host_records(early, all);
    for (uint32_t i = 0; i < all; i++)
        g_assert_cmpuint(store_host_offset(early, i), ==, i);
    g_assert_cmpuint(store_host_bad(early), ==, 0);
    store_reader *late = store_host_read(h, 0, topic, NULL, &earliest);
    store_host_want(late, all, 1u << 30);
    store_host_records(late, all);
    store_reader *few = store_host_read(h, 0, rare, NULL, &earliest);
    store_host_want(few, 200, 1u << 30);
    store_host_caught_up(few);
    g_assert_cmpuint(store_host_n(few), ==, 100);
    GArray *rows;
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_TOPICS, "t", NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(g_array_index(rows, store_row, 0).count, ==, all);
    g_assert_cmpuint(g_array_index(rows, store_row, 0).last, ==, all - 1);
    g_array_unref(rows);
    sa_topic_close(NULL, topic);
    sa_topic_close(NULL, rare);
    store_host_end(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/store-many/memory", GUINT_TO_POINTER(EMESH_LEVEL_MEMORY), test_many);
    g_test_add_data_func("/store-many/os", GUINT_TO_POINTER(EMESH_LEVEL_OS), test_many);
    g_test_add_data_func("/store-many/synced", GUINT_TO_POINTER(EMESH_LEVEL_SYNCED), test_many);
    g_test_add_func("/store-many/rows", test_rows);
    return g_test_run();
}
