/* SPDX-License-Identifier: Apache-2.0
 *
 * The cleaner and held events: what waits moves, what was done goes, and each comes once: also after
 * a restart, without the index, and with an index of before the cleaning. The clock is the test's.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>
#include <string.h>

#define ROUNDS 80u
#define SIZE 300u
#define HOUR_MS 3600000

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

typedef struct world {
    char *dir;
    store_host *h;
    sa_options opt;
    struct emesh_topic *topic, *brief;
    uint64_t base_ms; /* what is late is due an hour later */
} world;

static void
open_store(world *w)
{
    g_assert_cmpint(store_host_open(w->h, &w->opt, NULL), ==, EMESH_OK);
    w->topic = store_host_topic(w->h, "t", EMESH_LEVEL_OS, 0, 0);
    w->brief = store_host_topic(w->h, "brief", EMESH_LEVEL_OS, 0, 0);
}

static void
close_store(world *w)
{
    sa_topic_close(NULL, w->topic);
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
    w->base_ms = (uint64_t)g_get_real_time() / 1000;
    open_store(w);
}

static void
world_end(world *w)
{
    close_store(w);
    store_host_end(w->h);
    g_free(w->dir);
}

static void
put(world *w, const char *prefix, uint64_t n, const char *group, uint64_t due_ms)
{
    const emesh_event *event = store_host_event(prefix, n, SIZE);
    emesh_append item = { .event = event, .topic = w->topic, .cookie = 1, .deliver_at_ms = due_ms,
                          .group = { group, group != NULL ? strlen(group) : 0 } };
    g_assert_cmpuint(store_host_append_items(w->h, 0, &item, 1), ==, 1);
    emesh_event_unref(event);
}

/* A round: one late and one soon, one late and two at once for the group, and much that goes. */
static void
publish(world *w)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        put(w, "late", i, NULL, w->base_ms + HOUR_MS + i);
        put(w, "soon", i, NULL, w->base_ms + 60000);
        put(w, "in", i, "g", w->base_ms + HOUR_MS + i);
        put(w, "done", i, "g", 0);
        put(w, "tried", i, "g", 0);
        g_assert_cmpuint(store_host_append(w->h, 0, w->brief, "b", i * 20, 20, SIZE, 0), ==, 20);
    }
}

static emesh_position
place_of(store_reader *r, uint32_t i)
{
    return (emesh_position){ store_host_due(r, i), store_host_offset(r, i) };
}

/* The group settles what is there: half is done, half has one attempt more. */
static void
settle(world *w)
{
    store_reader *r = store_host_read(w->h, 0, w->topic, "g", &stored);
    uint32_t done = 0;
    store_host_want(r, 10 * ROUNDS, 1u << 30);
    store_host_records(r, 3 * ROUNDS); /* and what came soon, for all */
    for (uint32_t i = 0; i < 3 * ROUNDS; i++) {
        if (!store_host_in_inbox(r, i))
            continue;
        bool ends = g_str_has_prefix(store_host_id(r, i), "done");
        store_host_commit_inbox(r, place_of(r, i), ends ? EMESH_COMMIT_ONE : EMESH_COMMIT_TRIED, 7, 1);
        done += ends;
    }
    g_assert_cmpuint(done, ==, ROUNDS);
    store_host_commit(r, ROUNDS - 1, EMESH_COMMIT_UP_TO, 0, 1);
    store_host_reader_close(r);
}

static void
shift(world *w, int64_t ms)
{
    store_host_shift(w->h, ms, 0);
    sa_holds_kick(store_host_store(w->h));
}

/* What is soon comes now, and goes with the brief topic; then only what waits is left. */
static void
age(world *w)
{
    shift(w, 120000);
    store_reader *r = store_host_read(w->h, 0, w->topic, NULL, &earliest);
    store_host_want(r, 10 * ROUNDS, 1u << 30);
    store_host_records(r, ROUNDS);
    store_host_reader_close(r);
    settle(w);
    g_assert_cmpuint(store_host_append(w->h, 0, w->brief, "end", 0, 200, SIZE, 0), ==, 200);
    g_assert_cmpint(store_host_admin(w->h, EMESH_CHANGE_TRIM, "t", NULL, NULL, ROUNDS, NULL), ==, 0);
    g_assert_cmpint(store_host_admin(w->h, EMESH_CHANGE_TRIM, "brief", NULL, NULL, 1u << 30, NULL), ==, 0);
}

static uint64_t
log_bytes(const world *w)
{
    g_autoptr(GPtrArray) files = folder_segments(w->dir);
    uint64_t bytes = 0;
    for (guint i = 0; i < files->len; i++) {
        GStatBuf st;
        bytes += g_stat(files->pdata[i], &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    return bytes;
}

/* Waits until the log is no larger than twice what lives and three files (two of them are not
 * sealed: the active one and the next). */
static void
wait_small(const world *w)
{
    uint64_t live = 3ull * ROUNDS * (SIZE + 300), most = 2 * live + 3 * w->opt.segment_size;
    for (int i = 0; i < 1500 && log_bytes(w) > most; i++)
        g_usleep(10000);
    g_test_message("%u rounds: %" G_GUINT64_FORMAT " bytes of log, at most %" G_GUINT64_FORMAT,
                   ROUNDS, log_bytes(w), most);
    g_assert_cmpuint(log_bytes(w), <=, most);
    g_assert_cmpuint(store_host_store(w->h)->stats.cleaned, >, 0);
}

/* Live HOLDs by the counts of the segments. */
static void
check_counts(world *w, uint32_t wanted)
{
    sa_segs *segs = &store_host_store(w->h)->segs;
    uint32_t held = 0;
    pthread_mutex_lock(&segs->lock);
    for (uint32_t i = 0; i < segs->n; i++)
        held += segs->all[i]->held;
    pthread_mutex_unlock(&segs->lock);
    g_assert_cmpuint(held, ==, wanted);
}

/* The hour is over: everything that waited is there, once, with its data and attempts. */
static void
check(world *w)
{
    check_counts(w, 3 * ROUNDS);
    shift(w, 2 * HOUR_MS);
    store_reader *r = store_host_read(w->h, 0, w->topic, NULL, &earliest);
    store_host_check_data(r, SIZE);
    store_host_want(r, 10 * ROUNDS, 1u << 30);
    store_host_records(r, ROUNDS);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        g_autofree char *id = g_strdup_printf("late%u", i);
        g_assert_cmpstr(store_host_id(r, i), ==, id);
    }
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, ROUNDS);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    store_host_reader_close(r);
    r = store_host_read(w->h, 0, w->topic, "g", &stored);
    store_host_check_data(r, SIZE);
    store_host_want(r, 10 * ROUNDS, 1u << 30);
    store_host_records(r, 3 * ROUNDS); /* and what was late for all */
    uint32_t in = 0, tried = 0;
    for (uint32_t i = 0; i < 3 * ROUNDS; i++) {
        bool again = g_str_has_prefix(store_host_id(r, i), "tried");
        if (!store_host_in_inbox(r, i))
            continue;
        in += g_str_has_prefix(store_host_id(r, i), "in");
        tried += again;
        g_assert_cmpuint(store_host_attempt(r, i), ==, again ? 8 : 1);
        store_host_commit_inbox(r, place_of(r, i), EMESH_COMMIT_ONE, 0, 1);
    }
    g_assert_cmpuint(in, ==, ROUNDS);
    g_assert_cmpuint(tried, ==, ROUNDS);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, 3 * ROUNDS);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    store_host_reader_close(r);
}

static void
place_group(world *w)
{
    g_assert_cmpint(store_host_admin(w->h, EMESH_CHANGE_PLACE, "t", "g", &earliest, 0, NULL), ==, 0);
}

static void
test_moves(void)
{
    world w;
    world_begin(&w, 1u << 30);
    place_group(&w);
    publish(&w);
    age(&w);
    wait_small(&w);
    check(&w);
    world_end(&w);
}

static void
again(world *w)
{
    close_store(w);
    open_store(w);
    shift(w, 120000);
}

static void
test_restart(void)
{
    world w;
    world_begin(&w, 1u << 30);
    place_group(&w);
    publish(&w);
    age(&w);
    wait_small(&w);
    again(&w);
    check(&w);
    again(&w);
    check_counts(&w, 0);
    world_end(&w);
}

static void
remove_index(const world *w)
{
    g_autofree char *index = g_build_filename(w->dir, "index", NULL);
    folder_remove(index);
}

/* What was done is not found again. */
static void
test_rebuild(void)
{
    world w;
    world_begin(&w, 1u << 30);
    place_group(&w);
    publish(&w);
    age(&w);
    wait_small(&w);
    close_store(&w);
    remove_index(&w);
    open_store(&w);
    shift(&w, 120000);
    check(&w);
    close_store(&w);
    remove_index(&w);
    open_store(&w);
    shift(&w, 3 * HOUR_MS);
    store_reader *r = store_host_read_all(w.h, w.topic, "g", 0);
    for (uint32_t i = 0; i < store_host_n(r); i++)
        g_assert_false(store_host_in_inbox(r, i));
    store_host_reader_close(r);
    r = store_host_read_all(w.h, w.topic, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, ROUNDS);
    store_host_reader_close(r);
    world_end(&w);
}

/* Its rows lead to places in files that are gone. */
static void
test_stale_index(void)
{
    world w;
    world_begin(&w, 0);
    place_group(&w);
    publish(&w);
    age(&w);
    close_store(&w);
    g_autofree char *copy = folder_copy(w.dir);
    w.opt.clean_rate = 1u << 30;
    open_store(&w);
    shift(&w, 120000);
    wait_small(&w);
    close_store(&w);
    g_autofree char *from = g_build_filename(copy, "index", NULL);
    g_autofree char *to = g_build_filename(w.dir, "index", NULL);
    remove_index(&w);
    g_assert_cmpint(g_rename(from, to), ==, 0);
    folder_remove(copy);
    open_store(&w);
    shift(&w, 120000);
    check(&w);
    world_end(&w);
}

/* A mark whose HOLD lies in an older file stays until that file is cleaned, then both go; the cleaner
 * comes to rest. */
static void
test_rest(void)
{
    world w;
    world_begin(&w, 1u << 30);
    place_group(&w);
    publish(&w);
    age(&w);
    wait_small(&w);
    shift(&w, 2 * HOUR_MS);
    store_reader *r = store_host_read(w.h, 0, w.topic, "g", &stored);
    store_host_want(r, 10 * ROUNDS, 1u << 30);
    store_host_records(r, 3 * ROUNDS);
    for (uint32_t i = 0; i < 3 * ROUNDS; i++) {
        if (store_host_in_inbox(r, i))
            store_host_commit_inbox(r, place_of(r, i), EMESH_COMMIT_ONE, 0, 1);
    }
    store_host_reader_close(r);
    g_assert_cmpint(store_host_admin(w.h, EMESH_CHANGE_TRIM, "t", NULL, NULL, 2 * ROUNDS, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(w.h, 0, w.brief, "end", 0, 600, SIZE, 0), ==, 600);
    g_assert_cmpint(store_host_admin(w.h, EMESH_CHANGE_TRIM, "brief", NULL, NULL, 1u << 30, NULL), ==, 0);
    for (int i = 0; i < 1500 && log_bytes(&w) > 4 * w.opt.segment_size; i++)
        g_usleep(10000);
    g_assert_cmpuint(log_bytes(&w), <=, 4 * w.opt.segment_size);
    uint64_t cleaned = 0, seen = 1;
    for (int i = 0; i < 50 && cleaned != seen; i++) {
        seen = store_host_store(w.h)->stats.cleaned;
        g_usleep(200000);
        cleaned = store_host_store(w.h)->stats.cleaned;
    }
    g_assert_cmpuint(cleaned, ==, seen);
    world_end(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-clean-held/moves", test_moves);
    g_test_add_func("/store-clean-held/restart", test_restart);
    g_test_add_func("/store-clean-held/rebuild", test_rebuild);
    g_test_add_func("/store-clean-held/stale-index", test_stale_index);
    g_test_add_func("/store-clean-held/rest", test_rest);
    return g_test_run();
}
