/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 14 of the embedded store: the index (LMDB) is deleted, cut, overwritten, or last week's. The
 * store opens, every event is there by name, no group is ahead of where it was.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>
#include <unistd.h>

#define N 600u
#define FLOOR 400u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

static void
publish(store_host *h, uint32_t from, uint32_t to, uint32_t done)
{
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_SYNCED, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "orders", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", from, to - from, 300, 0), ==, to - from);
    store_reader *r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 10000, 1 << 30);
    store_host_records(r, 1);
    store_host_commit(r, done - 1, EMESH_COMMIT_UP_TO, 0, 1);
    store_host_reader_close(r);
    sa_topic_close(NULL, topic);
}

static char *
index_of(const char *dir)
{
    return g_build_filename(dir, "index", NULL);
}

static char *
data_of(const char *dir)
{
    return g_build_filename(dir, "index", "data.mdb", NULL);
}

/* The folder opens and has everything; sets_aside: whether the index was of no use. */
static void
check(const char *dir, bool sets_aside)
{
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_autofree char *bad = g_build_filename(dir, "index.bad-1", NULL);
    g_assert_cmpint(g_file_test(bad, G_FILE_TEST_EXISTS), ==, sets_aside);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    struct emesh_topic *topic = NULL;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { "orders", 6 },
                              .level = EMESH_LEVEL_SYNCED };
    g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
    store_reader *r = store_host_read_all(h, topic, NULL, 300);
    g_assert_cmpuint(store_host_n(r), ==, N);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    for (uint32_t i = 0; i < N; i += 99)
        g_assert_cmpuint(store_host_offset(r, i), ==, i);
    store_host_reader_close(r);
    r = store_host_read_all(h, topic, "g", 0);
    g_assert_cmpuint(store_host_n(r), ==, N - FLOOR);
    g_assert_cmpuint(store_host_offset(r, 0), ==, FLOOR);
    store_host_reader_close(r);
    /* And it goes on. */
    g_assert_cmpuint(store_host_append(h, 0, topic, "n", 0, 10, 300, 0), ==, 10);
    g_assert_cmpuint(store_host_last_position(h).lo, >=, N);
    sa_topic_close(NULL, topic);
    store_host_close(h);
    store_host_free(h);
}

static void
make(const char *dir, char **old_index)
{
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    publish(h, 0, 200, 100);
    store_host_close(h);
    g_autofree char *index = index_of(dir);
    *old_index = folder_copy(index);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    publish(h, 200, N, FLOOR);
    store_host_close(h);
    store_host_free(h);
}

static void
test_index(void)
{
    g_autofree char *dir = folder_make_fast();
    g_autofree char *old_index = NULL;
    make(dir, &old_index);
    for (int how = 0; how < 6; how++) {
        g_autofree char *copy = folder_copy(dir);
        g_autofree char *index = index_of(copy);
        g_autofree char *data = data_of(copy);
        g_autofree char *old = g_build_filename(old_index, "data.mdb", NULL);
        g_autofree char *bytes = NULL;
        gsize size;
        g_assert_true(g_file_get_contents(data, &bytes, &size, NULL));
        switch (how) {
        case 0:
            break; /* as it was */
        case 1:
            folder_remove(index);
            break;
        case 2:
            g_assert_cmpint(truncate(data, (off_t)(size / 2)), ==, 0);
            break;
        case 3:
            g_assert_cmpint(truncate(data, 100), ==, 0);
            break;
        case 4:
            memset(bytes + size / 2, 0x5a, size / 2);
            g_assert_true(g_file_set_contents(data, bytes, (gssize)size, NULL));
            break;
        default:
            g_free(bytes);
            g_assert_true(g_file_get_contents(old, &bytes, &size, NULL));
            g_assert_true(g_file_set_contents(data, bytes, (gssize)size, NULL));
            break;
        }
        check(copy, how >= 2 && how <= 4);
        folder_remove(copy);
    }
    folder_remove(dir);
    folder_remove(old_index);
}

/* An index that ends the process three times is not asked a fourth time. */
static void
test_dead_starts(void)
{
    g_autofree char *dir = folder_make_fast();
    g_autofree char *old_index = NULL;
    make(dir, &old_index);
    g_autofree char *starts = g_build_filename(dir, "index", "starts", NULL);
    g_assert_true(g_file_set_contents(starts, "3\n", -1, NULL));
    check(dir, true);
    folder_remove(dir);
    folder_remove(old_index);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-14/index", test_index);
    g_test_add_func("/store-test-14/dead-starts", test_dead_starts);
    return g_test_run();
}
