/* SPDX-License-Identifier: Apache-2.0
 *
 * The cleaner: what lives in half-dead log files goes into new ones, everything is found as before,
 * also after a restart, without the index, and with an index of before.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>

#define ROUNDS 60u
#define SIZE 300u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

typedef struct world {
    char *dir;
    store_host *h;
    sa_options opt;
    struct emesh_topic *keep, *other, *brief;
    uint32_t n; /* events in keep and other each */
} world;

static void
open_store(world *w)
{
    g_assert_cmpint(store_host_open(w->h, &w->opt, NULL), ==, EMESH_OK);
    w->keep = store_host_topic(w->h, "keep", EMESH_LEVEL_OS, 0, 0);
    w->other = store_host_topic(w->h, "other", EMESH_LEVEL_OS, 0, 0);
    w->brief = store_host_topic(w->h, "brief", EMESH_LEVEL_OS, 0, 0);
}

static void
close_store(world *w)
{
    sa_topic_close(NULL, w->keep);
    sa_topic_close(NULL, w->other);
    sa_topic_close(NULL, w->brief);
    store_host_close(w->h);
}

static void
world_begin(world *w, uint64_t rate)
{
    *w = (world){ .dir = folder_make_fast(), .opt = store_host_options() };
    w->h = store_host_new(w->dir, 1);
    w->opt.checkpoint_ns = 50000000;
    w->opt.clean_rate = rate;
    open_store(w);
}

static void
world_end(world *w)
{
    close_store(w);
    store_host_end(w->h);
    g_free(w->dir);
}

/* Three topics take turns; two of them stay. */
static void
publish(world *w, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        g_assert_cmpuint(store_host_append(w->h, 0, w->brief, "b", i * 20, 20, SIZE, 0), ==, 20);
        g_assert_cmpuint(store_host_append(w->h, 0, w->keep, "k", w->n, 2, SIZE, 0), ==, 2);
        g_assert_cmpuint(store_host_append(w->h, 0, w->brief, "c", i * 20, 20, SIZE, 0), ==, 20);
        g_assert_cmpuint(store_host_append(w->h, 0, w->other, "o", w->n, 2, SIZE, 0), ==, 2);
        w->n += 2;
    }
    g_assert_cmpuint(store_host_append(w->h, 0, w->brief, "s", 0, 1, SIZE, EMESH_LEVEL_SYNCED), ==, 1);
}

/* All of a topic, once, in order, with its data. */
static void
check_topic(world *w, struct emesh_topic *topic, const char *prefix)
{
    store_reader *r = store_host_read_all(w->h, topic, NULL, SIZE);
    g_assert_cmpuint(store_host_n(r), ==, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        g_autofree char *id = g_strdup_printf("%s%u", prefix, i);
        g_assert_cmpstr(store_host_id(r, i), ==, id);
        g_assert_cmpuint(store_host_flags(r, i), ==, 0);
    }
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    store_host_reader_close(r);
}

static void
check(world *w)
{
    check_topic(w, w->keep, "k");
    check_topic(w, w->other, "o");
    for (uint32_t i = 0; i < w->n; i += 37) {
        GArray *rows;
        g_autofree char *id = g_strdup_printf("k%u", i);
        g_assert_cmpint(store_host_find(w->h, "/store-host", id, &rows), ==, 0);
        g_assert_cmpuint(rows->len, ==, 1);
        g_assert_cmpstr(g_array_index(rows, store_row, 0).topic, ==, "keep");
        g_array_unref(rows);
    }
    g_assert_cmpuint(store_host_store(w->h)->stats.damaged, ==, 0);
}

static uint64_t
log_bytes(const world *w, guint *cleaned)
{
    g_autoptr(GPtrArray) files = folder_segments(w->dir);
    uint64_t bytes = 0;
    *cleaned = 0;
    for (guint i = 0; i < files->len; i++) {
        GStatBuf st;
        if (g_stat(files->pdata[i], &st) == 0)
            bytes += (uint64_t)st.st_size;
        *cleaned += strstr(files->pdata[i], "/c-") != NULL;
    }
    return bytes;
}

/* Waits until the log is no larger than twice what lives and three files. */
static void
wait_small(const world *w)
{
    const sa_store *store = store_host_store(w->h);
    uint64_t live = 2ull * w->n * (SIZE + 200), most = 2 * live + 3 * store->opt.segment_size;
    guint cleaned = 0;
    for (int i = 0; i < 1500 && log_bytes(w, &cleaned) > most; i++)
        g_usleep(10000);
    g_assert_cmpuint(log_bytes(w, &cleaned), <=, most);
    g_assert_cmpuint(cleaned, >, 0);
}

static void
trim_brief(world *w, uint64_t to)
{
    g_assert_cmpint(store_host_admin(w->h, EMESH_CHANGE_TRIM, "brief", NULL, NULL, to, NULL), ==, 0);
}

/* What the brief topic was goes; the rest is merged, and found after it. */
static void
test_merge(void)
{
    world w;
    world_begin(&w, 1u << 30);
    publish(&w, ROUNDS);
    guint cleaned;
    uint64_t before = log_bytes(&w, &cleaned);
    trim_brief(&w, ROUNDS * 40);
    store_host_await(&store_host_store(w.h)->stats.cleaned, 1);
    wait_small(&w);
    g_assert_cmpuint(log_bytes(&w, &cleaned), <, before / 2);
    check(&w);
    close_store(&w);
    open_store(&w);
    check(&w);
    /* And again, what is there already with what comes. */
    publish(&w, ROUNDS);
    trim_brief(&w, ROUNDS * 80);
    wait_small(&w);
    check(&w);
    world_end(&w);
}

static void
remove_index(const world *w)
{
    g_autofree char *index = g_build_filename(w->dir, "index", NULL);
    folder_remove(index);
}

static void
test_rebuild(void)
{
    world w;
    world_begin(&w, 1u << 30);
    g_assert_cmpint(store_host_admin(w.h, EMESH_CHANGE_PLACE, "keep", "g", &earliest, 0, NULL), ==, 0);
    publish(&w, ROUNDS / 2);
    store_reader *r = store_host_read(w.h, 0, w.keep, "g", &stored);
    store_host_want(r, 30, 1u << 30);
    store_host_records(r, 30);
    store_host_commit(r, 24, EMESH_COMMIT_UP_TO, 0, 1);
    store_host_commit(r, 27, EMESH_COMMIT_ONE, 0, 1);
    store_host_reader_close(r);
    publish(&w, ROUNDS / 2);
    trim_brief(&w, ROUNDS * 40);
    store_host_await(&store_host_store(w.h)->stats.cleaned, 1);
    wait_small(&w);
    close_store(&w);
    remove_index(&w);
    open_store(&w);
    check(&w);
    r = store_host_read(w.h, 0, w.keep, "g", &stored);
    store_host_want(r, 30, 1u << 30);
    store_host_records(r, 30);
    g_assert_cmpuint(store_host_offset(r, 0), ==, 25);
    g_assert_cmpuint(store_host_offset(r, 2), ==, 28);
    store_host_reader_close(r);
    world_end(&w);
}

/* The index of before the cleaning comes back: its rows name files that are gone. */
static void
test_stale_index(void)
{
    world w;
    world_begin(&w, 0);
    publish(&w, ROUNDS);
    close_store(&w);
    g_autofree char *copy = folder_copy(w.dir);
    w.opt.clean_rate = 1u << 30;
    open_store(&w);
    trim_brief(&w, ROUNDS * 40);
    wait_small(&w);
    close_store(&w);
    g_autofree char *from = g_build_filename(copy, "index", NULL);
    g_autofree char *to = g_build_filename(w.dir, "index", NULL);
    remove_index(&w);
    g_assert_cmpint(g_rename(from, to), ==, 0);
    folder_remove(copy);
    open_store(&w);
    check_topic(&w, w.keep, "k");
    check_topic(&w, w.other, "o");
    world_end(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-clean/merge", test_merge);
    g_test_add_func("/store-clean/rebuild", test_rebuild);
    g_test_add_func("/store-clean/stale-index", test_stale_index);
    return g_test_run();
}
