/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests 15 and 16 of the embedded store. An orderly stop leaves nothing to scan: the bytes read at
 * the next start are counted, and do not grow with the log; after kill -9 they are bounded by the
 * segments that were not sealed. A folder in use is refused by name.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <string.h>

typedef struct counted_io {
    sa_io io;
    _Atomic uint64_t bytes;
} counted_io;

static ssize_t
counting_pread(void *ctx, int fd, void *into, size_t n, uint64_t place)
{
    ssize_t got = sa_io_posix.pread(NULL, fd, into, n, place);
    if (got > 0)
        atomic_fetch_add(&((counted_io *)ctx)->bytes, (uint64_t)got);
    return got;
}

static counted_io
counting(void)
{
    counted_io c = { .io = sa_io_posix };
    c.io.pread = counting_pread;
    return c;
}

static void
fill(store_host *h, uint32_t n)
{
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_OS, 0, 0);
    for (uint32_t i = 0; i < n; i += 200)
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", i, 200, 500, 0), ==, 200);
    sa_topic_close(NULL, topic);
}

/* Bytes that a start reads from the log. */
static uint64_t
start_bytes(const char *dir, uint64_t segment)
{
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    counted_io c = counting();
    opt.segment_size = segment;
    c.io.ctx = &c;
    g_assert_cmpint(store_host_open(h, &opt, &c.io), ==, EMESH_OK);
    uint64_t bytes = atomic_load(&c.bytes);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    store_host_close(h);
    store_host_free(h);
    return bytes;
}

static void
test_orderly(void)
{
    uint64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        g_autofree char *dir = folder_make();
        store_host *h = store_host_new(dir, 1);
        sa_options opt = store_host_options();
        opt.segment_size = 4 << 20;
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        fill(h, i == 0 ? 1000 : 20000);
        store_host_close(h);
        store_host_free(h);
        bytes[i] = start_bytes(dir, 4 << 20);
        g_autoptr(GPtrArray) segments = folder_segments(dir);
        /* Headers, to know the version; not one record. */
        g_assert_cmpuint(bytes[i], <=, 4096u * segments->len);
        folder_remove(dir);
    }
}

static void
test_killed(void)
{
    g_autofree char *dir = folder_make();
    const uint64_t segment = 1 << 20;
    if (folder_fork()) {
        store_host *h = store_host_new(dir, 1);
        sa_options opt = store_host_options();
        opt.segment_size = segment;
        opt.checkpoint_ns = 50000000;
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        fill(h, 20000);
        struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_OS, 0, 0);
        /* The keeper seals what is synced; the rest is what a start has to look at. */
        g_assert_cmpuint(store_host_append(h, 0, topic, "s", 0, 1, 500, EMESH_LEVEL_SYNCED), ==, 1);
        store_host_await(&store_host_store(h)->stats.sealed, 10);
        folder_die();
    }
    folder_child_ended();
    g_autoptr(GPtrArray) segments = folder_segments(dir);
    uint32_t unsealed = 0;
    for (guint i = 0; i < segments->len; i++) {
        g_autofree char *bytes = NULL;
        gsize size;
        g_assert_true(g_file_get_contents(segments->pdata[i], &bytes, &size, NULL));
        unsealed += memcmp(bytes + size - 64, "EMSHSEAL", 8) != 0;
    }
    g_assert_cmpuint(segments->len, >, 10);
    g_assert_cmpuint(unsealed, <, 6);
    /* Each unsealed one is read once, and what is copied twice more; footers of the others. */
    g_assert_cmpuint(start_bytes(dir, segment), <=, (unsealed + 1) * 3 * segment);
    g_assert_cmpuint(start_bytes(dir, segment), <=, 4096u * (segments->len + 2)); /* headers */
    folder_remove(dir);
}

static void
test_twice(void)
{
    g_autofree char *dir = folder_make();
    sa_options opt = store_host_options();
    store_host *a = store_host_new(dir, 1), *b = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(a, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpint(store_host_open(b, &opt, NULL), ==, EMESH_E_BUSY);
    g_assert_nonnull(strstr(store_host_text(b), dir));
    g_assert_nonnull(strstr(store_host_text(b), "another"));
    store_host_close(a);
    g_assert_cmpint(store_host_open(b, &opt, NULL), ==, EMESH_OK);
    store_host_close(b);
    store_host_free(a);
    store_host_end(b);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-15/killed", test_killed);
    g_test_add_func("/store-test-15/orderly", test_orderly);
    g_test_add_func("/store-test-16/twice", test_twice);
    return g_test_run();
}
