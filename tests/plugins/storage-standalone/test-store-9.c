/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 9 of the embedded store: the wall clock is stepped by ten years, forth and back, while it runs
 * and across a stop, orderly or not. Nothing goes early, nothing stays for ever: age is counted on the
 * store's own clock, which across a stop goes on by that of the machine; when the machine was started
 * in between, the stop does not count. (The daemon under libfaketime: tests/integration/store-clock.)
 */
#include "folder-of.h"
#include "harness/store-host.h"

#define DAY_MS 86400000ll
#define MINUTE_MS 60000ll
#define AGE_MS (60 * MINUTE_MS)
#define YEARS_MS (3650 * DAY_MS)


static uint32_t
count(store_host *h, struct emesh_topic *topic)
{
    store_reader *r = store_host_read_all(h, topic, NULL, 0);
    uint32_t n = 0;
    for (uint32_t i = 0; i < store_host_n(r); i++)
        n += *store_host_id(r, i) != '\0';
    store_host_reader_close(r);
    return n;
}

/* A round of the keeper, which looks at what is too old once a second. */
static void
keeper_round(void)
{
    g_usleep(1300000);
}

static void
test_running(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 100000000;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    /* An eighth of it closes the segment: a second. */
    struct emesh_topic *topic = store_host_topic(h, "aged", EMESH_LEVEL_SYNCED, 8000, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 20, 100, 0), ==, 20);
    const sa_stats *stats = &store_host_store(h)->stats;
    store_host_shift(h, YEARS_MS, 0);
    store_host_await(&stats->sealed, 1);
    g_assert_cmpuint(count(h, topic), ==, 20);
    store_host_shift(h, -YEARS_MS, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 20, 1, 100, 0), ==, 1);
    keeper_round();
    g_assert_cmpuint(count(h, topic), ==, 21);
    store_host_await(&stats->sealed, 2);
    /* Only the store's own clock counts. */
    store_host_shift(h, -YEARS_MS, 60000);
    store_host_await(&stats->trimmed, 21);
    g_assert_cmpuint(count(h, topic), ==, 0);
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* Publishes, so that there is something to age, and ends in order or not. */
static _Noreturn void
one_life(const char *dir, uint64_t first, int64_t wall_ms, bool orderly, uint64_t boot)
{
    sa_options opt = store_host_options();
    opt.boot_id = boot;
    store_host *h = store_host_new(dir, 1);
    store_host_shift(h, wall_ms, 0);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "aged", EMESH_LEVEL_SYNCED, AGE_MS, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", first, 10, 100, 0), ==, 10);
    keeper_round();
    g_assert_cmpuint(count(h, topic), ==, first + 10);
    sa_topic_close(NULL, topic);
    if (orderly)
        store_host_close(h);
    folder_die();
}

static void
test_across_stops(void)
{
    static const int64_t walls[] = { 0, YEARS_MS, -YEARS_MS, YEARS_MS, 0, -YEARS_MS };
    g_autofree char *dir = folder_make();
    sa_options opt = store_host_options();
    uint64_t n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(walls); i++, n += 10) {
        if (folder_fork())
            one_life(dir, n, walls[i], i % 2 == 0, i < 3 ? 1 : i); /* at last a boot each */
        g_assert_cmpint(folder_child_ended(), ==, 0);
    }
    /* No step was an hour by the store's clock, neither forth nor back. */
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "aged", EMESH_LEVEL_SYNCED, AGE_MS, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", n, 1, 100, 0), ==, 1);
    /* The segment they are in grows too old and is closed; from then on its events age. */
    const sa_stats *stats = &store_host_store(h)->stats;
    uint64_t sealed = atomic_load(&stats->sealed);
    store_host_shift(h, 0, 20 * MINUTE_MS);
    store_host_await(&stats->sealed, sealed + 1);
    store_reader *r = store_host_read_all(h, topic, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, n + 1);
    uint64_t last = store_host_offset(r, (uint32_t)n - 1); /* a kill leaves a gap before the next */
    store_host_reader_close(r);
    /* And nothing is for ever, though the wall said years ahead when it was written. */
    store_host_shift(h, 0, 20 * MINUTE_MS + 2 * AGE_MS);
    store_host_await(&topic->parts[0]->first, last + 1);
    g_assert_cmpuint(count(h, topic), <=, 1); /* the newest lies in a segment that is written to */
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* While the machine runs a stop counts as long as it was, whatever the wall says; the wall alone, after
 * a start of the machine, says nothing. */
static void
test_stop_counts(void)
{
    g_autofree char *dir = folder_make();
    sa_options opt = store_host_options();
    for (uint64_t boot = 1; boot <= 2; boot++) {
        if (folder_fork())
            one_life(dir, (boot - 1) * 10, 0, true, 7);
        g_assert_cmpint(folder_child_ended(), ==, 0);
    }
    opt.boot_id = 8;
    store_host *h = store_host_new(dir, 1);
    store_host_shift(h, YEARS_MS, 2 * AGE_MS); /* since the machine was started, not since the stop */
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "aged", EMESH_LEVEL_SYNCED, AGE_MS, 0);
    keeper_round();
    g_assert_cmpuint(count(h, topic), ==, 20);
    sa_topic_close(NULL, topic);
    store_host_close(h);
    store_host_shift(h, -YEARS_MS, 5 * AGE_MS);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    topic = store_host_topic(h, "aged", EMESH_LEVEL_SYNCED, AGE_MS, 0);
    store_host_await(&store_host_store(h)->stats.trimmed, 1); /* the newest file stays */
    g_assert_cmpuint(count(h, topic), <, 20);
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-9/across-stops", test_across_stops);
    g_test_add_func("/store-test-9/stop-counts", test_stop_counts);
    g_test_add_func("/store-test-9/running", test_running);
    return g_test_run();
}
