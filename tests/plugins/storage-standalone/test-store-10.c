/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 10 of the embedded store, short form: a log that a thousand topics wrote in turn is drained,
 * by one of them, by all of them, and by a hundred groups of one. Rates are judged by bench-reads;
 * here reads and bytes are counted, so that no machine is too slow for it.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#define TOPICS 1000u
#define ROUNDS 24u
#define SIZE 512u
#define GROUPS 100u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };

typedef struct mark {
    uint64_t reads, bytes;
} mark;

static mark
mark_of(store_host *h)
{
    const sa_stats *stats = &store_host_store(h)->stats;
    return (mark){ atomic_load(&stats->reads), atomic_load(&stats->read_bytes) };
}

/* What was read since: at most so much an event. */
static void
check_cost(store_host *h, mark from, const char *what, double events, double reads, double bytes)
{
    mark to = mark_of(h);
    double r = (double)(to.reads - from.reads) / events;
    double b = (double)(to.bytes - from.bytes) / events;
    g_test_message("%s: %.3f reads, %.0f bytes read an event", what, r, b);
    g_assert_cmpfloat(r, <=, reads);
    g_assert_cmpfloat(b, <=, bytes);
}

static void
check_events(store_reader *r, uint32_t n)
{
    store_host_records(r, n);
    g_assert_cmpuint(store_host_n(r), ==, n);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmpuint(store_host_offset(r, i), ==, i);
        g_assert_cmpuint(store_host_flags(r, i), ==, 0);
    }
}

/* ROUNDS events of each of n topics in turn, in segments of 4 MiB, closed and opened: nothing is in
 * memory. */
static struct emesh_topic **
fill(store_host *h, const sa_options *opt, uint32_t n, uint32_t rounds)
{
    g_assert_cmpint(store_host_open(h, opt, NULL), ==, EMESH_OK);
    struct emesh_topic **topics = store_host_topics(h, "t", n);
    g_autofree emesh_append *items = g_new0(emesh_append, n);
    for (uint32_t k = 0; k < rounds; k++) {
        const emesh_event *event = store_host_event("e", k, SIZE);
        for (uint32_t i = 0; i < n; i++)
            items[i] = (emesh_append){ .event = event, .topic = topics[i] };
        g_assert_cmpuint(store_host_append_items(h, 0, items, n), ==, n);
        emesh_event_unref(event);
    }
    store_host_topics_close(topics, n);
    store_host_close(h);
    g_assert_cmpint(store_host_open(h, opt, NULL), ==, EMESH_OK);
    return store_host_topics(h, "t", n);
}

static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.segment_size = 4u << 20;
    opt.shared_bytes = 16u << 20;
    return opt;
}

/* As written: each record of a topic is 640 KB behind the one before. One read each, of little more
 * than the record, and the place lists. */
static void
test_apart(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 2);
    sa_options opt = options();
    struct emesh_topic **topics = fill(h, &opt, TOPICS, ROUNDS);
    mark from = mark_of(h);
    store_reader *r = store_host_read(h, 0, topics[500], NULL, &earliest);
    store_host_check_data(r, SIZE);
    store_host_want(r, 1000, 0);
    check_events(r, ROUNDS);
    store_host_reader_close(r);
    check_cost(h, from, "one of 1,000", ROUNDS, 1.5, 1100);
    from = mark_of(h);
    g_autofree store_reader **all = g_new0(store_reader *, TOPICS);
    for (uint32_t i = 0; i < TOPICS; i++) {
        all[i] = store_host_read(h, i % 2, topics[i], NULL, &earliest);
        store_host_check_data(all[i], SIZE);
        store_host_want(all[i], 1000, 0);
    }
    for (uint32_t i = 0; i < TOPICS; i++) {
        check_events(all[i], ROUNDS);
        store_host_reader_close(all[i]);
    }
    check_cost(h, from, "all of 1,000 at once", (double)TOPICS * ROUNDS, 1.5, 1100);
    g_assert_cmpuint(store_host_store(h)->stats.shared_loads, ==, 0);
    store_host_topics_close(topics, TOPICS);
    store_host_end(h);
}

/* Ten topics: neighbours are near each other, 40 of them come with one read. */
static void
test_near(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 2);
    sa_options opt = options();
    struct emesh_topic **topics = fill(h, &opt, 10, 1200);
    mark from = mark_of(h);
    store_reader *r = store_host_read(h, 0, topics[3], NULL, &earliest);
    store_host_check_data(r, SIZE);
    store_host_want(r, 2000, 0);
    check_events(r, 1200);
    store_host_reader_close(r);
    check_cost(h, from, "one of ten", 1200, 1.0 / 25, 8000);
    store_host_topics_close(topics, 10);
    store_host_end(h);
}

/* A hundred groups of a topic at once read it as often as one does. */
static void
test_groups(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 2);
    sa_options opt = options();
    struct emesh_topic **topics = fill(h, &opt, 10, 1200);
    store_reader *r[GROUPS];
    for (uint32_t i = 0; i < GROUPS; i++) {
        g_autofree char *group = g_strdup_printf("g%u", i);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t7", group, &earliest, 0, NULL),
                        ==, EMESH_OK);
        r[i] = store_host_read(h, i % 2, topics[7], group, &earliest);
        store_host_check_data(r[i], SIZE);
    }
    mark from = mark_of(h);
    for (uint32_t i = 0; i < GROUPS; i++)
        store_host_want(r[i], 2000, 0);
    for (uint32_t i = 0; i < GROUPS; i++) {
        check_events(r[i], 1200);
        store_host_reader_close(r[i]);
    }
    check_cost(h, from, "100 groups of one of ten", 1200.0 * GROUPS, 1.0 / 2000, 90);
    store_host_topics_close(topics, 10);
    store_host_end(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-10/apart", test_apart);
    g_test_add_func("/store-test-10/near", test_near);
    g_test_add_func("/store-test-10/groups", test_groups);
    return g_test_run();
}
