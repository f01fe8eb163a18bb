/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 11 of the embedded store: 10,000 topics in one log. Descriptors, memory and bytes written per
 * event are counted; afterwards each topic has what it was given.
 */
#include "folder-of.h"
#include "harness/store-host.h"
#include "lane.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define TOPICS 10000u
#define ROUNDS 4u
#define SIZE 500u
#define BATCH 250u


static uint32_t
descriptors(void)
{
    uint32_t n = 0;
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    while (g_dir_read_name(dir) != NULL)
        n++;
    g_dir_close(dir);
    return n;
}

static uint64_t
resident(void)
{
    unsigned long all = 0, in_memory = 0, of_files = 0; /* the index is mapped */
    FILE *f = fopen("/proc/self/statm", "re");
    g_assert_nonnull(f);
    g_assert_cmpint(fscanf(f, "%lu %lu %lu", &all, &in_memory, &of_files), ==, 3);
    fclose(f);
    return (uint64_t)(in_memory - of_files) * (uint64_t)sysconf(_SC_PAGESIZE);
}

typedef struct burst {
    store_host *h;
    emesh_append items[BATCH];
} burst;

static void
append_burst(void *ctx)
{
    burst *b = ctx;
    sa_append(store_host_lane(b->h, 0), b->items, BATCH);
}

/* One event to each topic, BATCH topics to a call. */
static void
publish_round(store_host *h, struct emesh_topic **topics, const emesh_event *event)
{
    uint64_t before = store_host_results(h, 0);
    for (uint32_t t = 0; t < TOPICS; t += BATCH) {
        burst b = { .h = h };
        for (uint32_t i = 0; i < BATCH; i++)
            b.items[i] = (emesh_append){ .event = event, .topic = topics[t + i] };
        store_host_on_lane(h, 0, append_burst, &b);
    }
    store_host_results(h, before + TOPICS);
    g_assert_cmpuint(store_host_failed(h), ==, 0);
}

static void
check_topic(store_host *h, struct emesh_topic *topic)
{
    store_reader *r = store_host_read_all(h, topic, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, ROUNDS);
    for (uint32_t i = 0; i < ROUNDS; i++)
        g_assert_cmpuint(store_host_offset(r, i), ==, i);
    store_host_reader_close(r);
}

static void
test_topics(void)
{
    g_autofree char *dir = folder_make_fast();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.segment_size = 16 << 20;
    opt.tail_bytes = 256 << 10;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    const emesh_event *event = store_host_event("e", 1, SIZE);
    uint64_t before = resident();
    size_t used = mallinfo2().uordblks;
    struct emesh_topic **topics = store_host_topics(h, "topic-", TOPICS);
    const sa_stats *stats = &store_host_store(h)->stats;
    /* Footers are written later: all of it is counted when the store is closed. */
    uint64_t made = stats->write_bytes;
    for (uint32_t i = 0; i < ROUNDS; i++)
        publish_round(h, topics, event);
    malloc_trim(0); /* what all requests at once took */
    uint64_t grown = resident() - before;
    used = mallinfo2().uordblks - used; /* the rest are holes that all requests at once left */
    g_assert_cmpuint(descriptors(), <=, 80);
    uint64_t record = SA_RECORD_HEAD + sa_pad8(emesh_event_image(event).len + SIZE);
    uint64_t written = stats->write_bytes - made;
    g_test_message("%.1f MB resident more, %.1f MB of it in use, %u descriptors, %.3f bytes written "
                   "a byte of a record", (double)grown / 1e6, (double)used / 1e6, descriptors(),
                   (double)written / (double)(record * TOPICS * ROUNDS));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    g_assert_cmpuint(grown, <, 16u << 20);
#endif
    g_assert_cmpuint(written * 4, <=, record * TOPICS * ROUNDS * 5);
    for (uint32_t i = 0; i < TOPICS; i += 997)
        check_topic(h, topics[i]);
    emesh_topic_spec one_more = { .size = sizeof one_more, .name = { "more", 4 }, .create = 1 };
    struct emesh_topic *none;
    g_assert_cmpint(store_host_topic_code(h, &one_more, &none), ==, EMESH_E_DENIED);
    g_assert_nonnull(strstr(store_host_text(h), "max-partitions"));
    store_host_topics_close(topics, TOPICS);
    store_host_close(h);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    topics = store_host_topics(h, "topic-", TOPICS);
    for (uint32_t i = 0; i < TOPICS; i += 997)
        check_topic(h, topics[i]);
    g_assert_cmpuint(descriptors(), <=, 80);
    store_host_topics_close(topics, TOPICS);
    emesh_event_unref(event);
    store_host_end(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-11/topics", test_topics);
    return g_test_run();
}
