/* SPDX-License-Identifier: Apache-2.0
 *
 * Log files go, and with them the records of where groups stood; an index made anew from what is left
 * finds every group where it was: one that is idle, one that went back, one that forgot a topic,
 * ranges and attempts. With the cleaner and without, after an orderly stop and after a kill.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>
#include <string.h>

#define KEPT 60u
#define FLOOD 40u
#define SIZE 300u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };
static const char *const groups[] = { "idle", "back", "holes", "gone" };

typedef struct world {
    char *dir;
    store_host *h;
    sa_options opt;
    struct emesh_topic *keep, *other, *brief;
    uint64_t flooded;
} world;

static void
open_store(world *w)
{
    w->h = store_host_new(w->dir, 1);
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
    store_host_free(w->h);
}

static void
admin(world *w, uint32_t what, const char *topic, const char *group, const emesh_start *start,
      uint64_t position)
{
    g_assert_cmpint(store_host_admin(w->h, what, topic, group, start, position, NULL), ==, 0);
}

/* Several log files that hold nothing else but what comes in between. */
static void
flood(world *w)
{
    for (uint32_t i = 0; i < FLOOD; i++, w->flooded += 20)
        g_assert_cmpuint(store_host_append(w->h, 0, w->brief, "b", w->flooded, 20, SIZE, 0), ==, 20);
}

static void
commit(world *w, const char *group, const uint64_t *offsets, uint32_t n, uint32_t outcome)
{
    store_reader *r = store_host_read(w->h, 0, w->keep, group, &stored);
    store_host_want(r, KEPT, 1u << 30);
    store_host_records(r, 1);
    for (uint32_t i = 0; i < n; i++)
        store_host_commit(r, offsets[i], outcome, outcome == EMESH_COMMIT_TRIED ? 4 : 0, 1);
    store_host_reader_close(r);
}

static void
one(world *w, const char *group, uint64_t offset, uint32_t outcome)
{
    commit(w, group, &offset, 1, outcome);
}

/* The oldest file lives: it has what is kept, and what groups had done at first. */
static void
begin(world *w)
{
    g_assert_cmpuint(store_host_append(w->h, 0, w->keep, "k", 0, KEPT, SIZE, 0), ==, KEPT);
    g_assert_cmpuint(store_host_append(w->h, 0, w->other, "o", 0, 1, SIZE, 0), ==, 1);
    for (guint i = 0; i < G_N_ELEMENTS(groups); i++)
        admin(w, EMESH_CHANGE_PLACE, "keep", groups[i], &earliest, 0);
    admin(w, EMESH_CHANGE_PLACE, "other", "gone", &earliest, 0);
    one(w, "idle", 4, EMESH_COMMIT_UP_TO);
    one(w, "back", 49, EMESH_COMMIT_UP_TO);
    one(w, "gone", 19, EMESH_COMMIT_UP_TO);
}

/* What is said in files that go. */
static void
go_on(world *w)
{
    const uint64_t holes[] = { 12, 14, 15, 40 };
    const emesh_start back = { sizeof back, EMESH_START_AFTER, 0, { 0, 9 } };
    flood(w);
    one(w, "idle", 29, EMESH_COMMIT_UP_TO);
    flood(w);
    admin(w, EMESH_CHANGE_SEEK, "keep", "back", &back, 0);
    commit(w, "holes", holes, 4, EMESH_COMMIT_ONE);
    one(w, "holes", 20, EMESH_COMMIT_TRIED);
    flood(w);
    admin(w, EMESH_CHANGE_FORGET, "keep", "gone", NULL, 0);
    flood(w);
}

/* Files that end behind the first and before the last, which have to stay. The numbers are the keeper's
 * own; a look that comes too early is repeated. */
__attribute__((noinline, no_sanitize("thread"))) static guint
dead_files(world *w)
{
    sa_segs *segs = &store_host_store(w->h)->segs;
    guint n = 0;
    pthread_mutex_lock(&segs->lock);
    for (uint32_t i = 0; i + 1 < segs->n; i++)
        n += segs->all[i]->state == SA_SEG_SEALED && segs->all[i]->live == 0
             && segs->all[i + 1]->state == SA_SEG_SEALED && !segs->all[i]->cleaned
             && !(segs->all[i]->deletes && w->opt.clean_rate == 0);
    pthread_mutex_unlock(&segs->lock);
    return n;
}

static void
let_go(world *w)
{
    uint64_t unlinked = store_host_store(w->h)->stats.unlinked;
    admin(w, EMESH_CHANGE_TRIM, "brief", NULL, NULL, UINT64_MAX);
    store_host_await(&store_host_store(w->h)->stats.unlinked, unlinked + 1);
    for (int i = 0; i < 1500 && dead_files(w) > 0; i++)
        g_usleep(10000);
    g_assert_cmpuint(dead_files(w), ==, 0);
}

/* Where a group stands: what it gets, with attempts. */
static char *
stands(world *w, const char *group)
{
    GString *text = g_string_new(NULL);
    GArray *rows;
    store_reader *r = store_host_read_all(w->h, w->keep, group, 0);
    for (uint32_t i = 0; i < store_host_n(r); i++)
        g_string_append_printf(text, "%" G_GUINT64_FORMAT ":%u ", store_host_offset(r, i),
                               store_host_attempt(r, i));
    store_host_reader_close(r);
    g_assert_cmpint(store_host_admin(w->h, EMESH_LIST_GROUPS, "keep", group, NULL, 0, &rows), ==, 0);
    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(text, "at %" G_GUINT64_FORMAT, g_array_index(rows, store_row, i).committed);
    g_array_unref(rows);
    return g_string_free(text, FALSE);
}

static bool
has_pair(world *w, const char *group, struct emesh_topic *topic)
{
    sa_store *store = store_host_store(w->h);
    pthread_mutex_lock(&store->cat.lock);
    sa_group *g = sa_catalog_group(&store->cat, group, strlen(group));
    pthread_mutex_unlock(&store->cat.lock);
    g_assert_nonnull(g);
    pthread_mutex_lock(&g->lock);
    bool has = sa_pair_find(g, topic->parts[0]->id) != NULL;
    pthread_mutex_unlock(&g->lock);
    return has;
}

static void
lose_index(world *w, bool kill)
{
    char *left = kill ? folder_copy(w->dir) : NULL;
    close_store(w);
    if (kill) {
        folder_remove(w->dir);
        g_free(w->dir);
        w->dir = left;
    }
    g_autofree char *index = g_build_filename(w->dir, "index", NULL);
    folder_remove(index);
    open_store(w);
}

static void
run(uint64_t rate, bool kill)
{
    world w = { .dir = folder_make_fast(), .opt = store_host_options() };
    char *was[3] = { NULL };
    w.opt.checkpoint_ns = 50000000;
    w.opt.clean_rate = rate;
    open_store(&w);
    begin(&w);
    go_on(&w);
    let_go(&w);
    for (guint i = 0; i < 3; i++) {
        g_free(was[i]);
        was[i] = stands(&w, groups[i]);
    }
    g_assert_true(g_str_has_prefix(was[0], "30:1 "));
    g_assert_true(g_str_has_prefix(was[1], "10:1 "));
    g_assert_true(g_str_has_prefix(was[2], "0:1 "));
    g_assert_nonnull(strstr(was[2], "13:1 16:1 17:1 18:1 19:1 20:5 21:1 "));
    for (int again = 0; again < 2; again++) { /* and what the rebuilt one says, once more */
        lose_index(&w, kill);
        g_assert_cmpuint(store_host_store(w.h)->stats.damaged, ==, 0);
        for (guint i = 0; i < 3; i++) {
            g_autofree char *is = stands(&w, groups[i]);
            g_assert_cmpstr(is, ==, was[i]);
        }
        g_assert_false(has_pair(&w, "gone", w.keep));
        g_assert_true(has_pair(&w, "gone", w.other));
        flood(&w);
        let_go(&w);
    }
    g_test_message("%" G_GUINT64_FORMAT " records told again in the last life",
                   store_host_store(w.h)->stats.retold);
    close_store(&w);
    for (guint i = 0; i < 3; i++)
        g_free(was[i]);
    folder_remove(w.dir);
    g_free(w.dir);
}

static void
test_unlink(void)
{
    run(0, false);
}

static void
test_cleaner(void)
{
    run(1u << 30, false);
}

static void
test_kill(void)
{
    run(1u << 30, true);
}

/* One turn tells for all files that were there; what is idle costs once for a turn of the log. */
static void
test_cost(void)
{
    world w = { .dir = folder_make_fast(), .opt = store_host_options() };
    w.opt.checkpoint_ns = 20000000;
    w.opt.clean_rate = 0;
    open_store(&w);
    begin(&w);
    for (uint32_t i = 0; i < 5; i++) {
        flood(&w);
        let_go(&w);
    }
    const sa_store *store = store_host_store(w.h);
    g_test_message("%" G_GUINT64_FORMAT " files gone, %" G_GUINT64_FORMAT " records told again",
                   store->stats.unlinked, store->stats.retold);
    g_assert_cmpuint(store->stats.retold, >=, 1);
    g_assert_cmpuint(store->stats.retold, <=, 5 * 4 + 8);
    close_store(&w);
    folder_remove(w.dir);
    g_free(w.dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-told/unlink", test_unlink);
    g_test_add_func("/store-told/cleaner", test_cleaner);
    g_test_add_func("/store-told/kill", test_kill);
    g_test_add_func("/store-told/cost", test_cost);
    return g_test_run();
}
