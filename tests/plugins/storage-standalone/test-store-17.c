/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 17 of the embedded store: a folder of each format version opens for ever, and one of a version
 * to come is refused by name. golden/v1 was written by this program (STORE_GOLDEN_MAKE=DIR): a sealed
 * segment, one that a kill left open, one that was prepared, an index; records of all types.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>

#define EVENTS 260u
#define DONE 100u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

/* ---- how it was made ---- */

static void
held_done(sa_batch *batch, int32_t code)
{
    (void)batch;
    g_assert_cmpint(code, ==, EMESH_OK);
}

/* A held event and its end, as the Delivery issue will write them. */
static void
write_holds(sa_store *store)
{
    uint8_t body[SA_HOLD_HEAD] = { 0 };
    sa_batch *batch = sa_batch_new(2);
    sa_put64(body, 4102444800000000u);
    sa_batch_control(store, batch, SA_HOLD, body, sizeof body)->offset = 1;
    sa_batch_control(store, batch, SA_HOLD_DONE, NULL, 0)->offset = 1;
    batch->rec[0].follow = 1;
    batch->rec[1].flags |= SA_REC_JOINED;
    batch->done = held_done;
    sa_log_submit(store, batch, false);
}

static void
make(const char *dir)
{
    if (folder_fork()) {
        store_host *h = store_host_new(dir, 1);
        sa_options opt = store_host_options();
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        emesh_topic_spec spec = { .size = sizeof spec, .name = { "golden", 6 }, .create = 1,
                                  .partitions = 1, .level = EMESH_LEVEL_OS, .retention_ms = 0,
                                  .retention_bytes = 1ull << 40 };
        struct emesh_topic *topic, *other;
        g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
        spec.name = (emesh_slice){ "wide", 4 };
        spec.partitions = 3;
        g_assert_cmpint(store_host_topic_code(h, &spec, &other), ==, EMESH_OK);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "golden", "g", &earliest, 0, NULL),
                        ==, 0);
        write_holds(store_host_store(h));
        for (uint32_t i = 0; i < EVENTS; i += 20)
            g_assert_cmpuint(store_host_append(h, 0, topic, "e", i, 20, 300, 0), ==, 20);
        store_reader *r = store_host_read(h, 0, topic, "g", &stored);
        store_host_want(r, EVENTS, 1 << 30);
        store_host_records(r, EVENTS);
        store_host_commit(r, DONE - 1, EMESH_COMMIT_UP_TO, 0, 1);
        store_host_commit(r, DONE + 1, EMESH_COMMIT_ONE, 0, 1);
        store_host_commit(r, DONE + 2, EMESH_COMMIT_TRIED, 5, 1);
        store_host_reader_close(r);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_TRIM, "golden", NULL, NULL, 7, NULL), ==, 0);
        while (atomic_load(&store_host_store(h)->stats.sealed) < 1)
            g_usleep(1000);
        folder_die();
    }
    g_assert_cmpint(folder_child_ended(), ==, 0);
    g_autofree char *lock = g_build_filename(dir, "lock", NULL);
    g_autofree char *reserve = g_build_filename(dir, "reserve", NULL);
    g_unlink(lock);
    g_unlink(reserve);
}

/* ---- it opens ---- */

static char *
golden(void)
{
    g_autofree char *kept = g_build_filename(g_getenv("EMESH_SOURCE"), "tests", "plugins",
                                             "storage-standalone", "golden", "v1", NULL);
    return folder_copy(kept);
}

static void
check(store_host *h)
{
    struct emesh_topic *topic = NULL;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { "golden", 6 },
                              .level = EMESH_LEVEL_OS, .retention_bytes = 1ull << 40 };
    g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
    store_reader *r = store_host_read(h, 0, topic, NULL, &earliest);
    store_host_check_data(r, 300);
    store_host_want(r, 10000, 1 << 30);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, EVENTS - 7);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    g_assert_cmpuint(store_host_offset(r, 0), ==, 7);
    g_assert_cmpstr(store_host_id(r, EVENTS - 8), ==, "e259");
    store_host_reader_close(r);
    r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 10000, 1 << 30);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, EVENTS - DONE - 1);
    g_assert_cmpuint(store_host_offset(r, 0), ==, DONE);
    g_assert_cmpuint(store_host_offset(r, 1), ==, DONE + 2);
    g_assert_cmpuint(store_host_attempt(r, 1), ==, 6);
    store_host_reader_close(r);
    GArray *rows;
    g_assert_cmpint(store_host_find(h, "/store-host", "e200", &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 1);
    g_array_unref(rows);
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_PARTITIONS, "wide", NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 3);
    g_array_unref(rows);
    sa_topic_close(NULL, topic);
}

static void
test_opens(gconstpointer with_index)
{
    g_autofree char *dir = golden();
    g_autofree char *index = g_build_filename(dir, "index", NULL);
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    if (with_index == NULL)
        folder_remove(index);
    for (int round = 0; round < 2; round++) { /* as it was, and as this version left it */
        if (store_host_open(h, &opt, NULL) != EMESH_OK)
            g_error("golden folder: %s", store_host_text(h));
        g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
        check(h);
        store_host_close(h);
    }
    store_host_free(h);
    folder_remove(dir);
}

/* ---- a version to come ---- */

static void
change_head(const char *path, void (*change)(sa_seg_head *head))
{
    g_autofree char *bytes = NULL;
    gsize size;
    sa_seg_head head;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpint(sa_seg_head_read((uint8_t *)bytes, size, &head), ==, SA_HEAD_OK);
    change(&head);
    sa_seg_head_write((uint8_t *)bytes, &head, NULL);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
}

static void
incompat(sa_seg_head *head)
{
    head->incompat = 0x40;
}

static void
major(sa_seg_head *head)
{
    head->major = SA_MAJOR + 1;
}

static void
minor(sa_seg_head *head)
{
    head->minor = SA_MINOR + 1;
}

static void
test_newer(void)
{
    static void (*const changes[])(sa_seg_head *) = { incompat, major, minor };
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *dir = golden();
        g_autoptr(GPtrArray) segments = folder_segments(dir);
        store_host *h = store_host_new(dir, 1);
        sa_options opt = store_host_options();
        change_head(segments->pdata[1], changes[i]);
        int32_t code = store_host_open(h, &opt, NULL);
        if (changes[i] == minor) { /* adds what may be skipped */
            g_assert_cmpint(code, ==, EMESH_OK);
            check(h);
            store_host_close(h);
        } else {
            g_autofree char *name = g_path_get_basename(segments->pdata[1]);
            g_assert_cmpint(code, ==, EMESH_E_TOO_NEW);
            g_assert_nonnull(strstr(store_host_text(h), name));
            g_assert_nonnull(strstr(store_host_text(h), "newer"));
        }
        store_host_free(h);
        folder_remove(dir);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("STORE_GOLDEN_MAKE") != NULL) {
        make(g_getenv("STORE_GOLDEN_MAKE"));
        return 0;
    }
    g_test_add_data_func("/store-test-17/opens", "index", test_opens);
    g_test_add_data_func("/store-test-17/opens-without-index", NULL, test_opens);
    g_test_add_func("/store-test-17/newer", test_newer);
    return g_test_run();
}
