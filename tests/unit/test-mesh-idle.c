/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions at rest: what one costs that has a member and nothing to do, and that nothing is lost
 * or repeated when it wakes. Over the embedded store.
 */
#include "bus/lane.h"
#include "harness/mesh.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

#define MOST 520u /* B of a subscription, its member and the store's place; grows only by mistake */
#define TOPICS 100u
#define GROUPS 100u /* one member session each, which subscribes to all topics */

/* What all threads have allocated, with what the allocator adds. */
static uint64_t
in_use(void)
{
    struct mallinfo2 now = mallinfo2();

    return now.uordblks + now.hblkhd;
}

static mesh_sub *subs[GROUPS][TOPICS];

static mesh *
crowd(mesh_client *clients[GROUPS], mesh_client **publisher)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2,
                       "[daemon]\nno-progress-after = 1200ms\n", NULL);
    mesh_client *p = *publisher = mesh_client_new(m, 0);

    for (uint32_t t = 0; t < TOPICS; t++) {
        g_autofree char *topic = g_strdup_printf("topic-%u", t);
        mesh_publish(p, topic, "warm", 1, 10);
        mesh_results(p, t + 1);
    }
    for (uint32_t g = 0; g < GROUPS; g++)
        clients[g] = mesh_client_new(m, g % 2);
    return m;
}

static void
subscribe_all(mesh_client *clients[GROUPS])
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        g_autofree char *group = g_strdup_printf("group-%u", g);
        for (uint32_t t = 0; t < TOPICS; t++) {
            g_autofree char *topic = g_strdup_printf("topic-%u", t);
            subs[g][t] = mesh_subscribe_begin(clients[g], topic, group, EMESH_SUB_SHARED, 1000,
                                              t % 10 != 9);
        }
        for (uint32_t t = 0; t < TOPICS; t++)
            mesh_subscribe_end(subs[g][t]);
    }
}

/* Rounds of the self-check, 200 ms each, have put all to rest; what the mesh has allocated then. */
static uint64_t
settled_down(void)
{
    uint64_t last = UINT64_MAX, now = in_use();

    for (uint32_t i = 0, same = 0; i < 80 && same < 3; i++) {
        last = now;
        g_usleep(300000);
        now = in_use();
        same = now == last ? same + 1 : 0;
    }
    return now;
}

/* delivery-test-22, first half, its memory in small: bytes of one. */
static void
test_idle(void)
{
    mesh_client *clients[GROUPS], *p;
    mesh *m = crowd(clients, &p);
    uint64_t before = in_use(), harness = mesh_sub_bytes(), all, each;

    subscribe_all(clients);
    all = settled_down() - before;
    each = all / (TOPICS * GROUPS);
    if (each == 0) {
        g_test_skip("the allocator does not count, as that of a sanitizer");
    } else {
        each -= MIN(each, harness);
        g_test_message("%u topics, %u groups: %u B each, without the harness's %u", TOPICS, GROUPS,
                       (unsigned)each, (unsigned)harness);
        g_assert_cmpuint(each, <=, MOST);
    }
    mesh_free(m);
}

static void
publish_to(mesh_client *p, uint32_t t, const char *prefix, uint32_t *results)
{
    g_autofree char *topic = g_strdup_printf("topic-%u", t);

    mesh_publish(p, topic, prefix, 3, 10);
    mesh_results(p, *results += 3);
}

/* Each group gets each event once, woken by it or awake, also what is published while they wake and
 * while they go to rest again. A late acknowledgement finds nothing; who leaves at rest is gone. */
static void
test_wake(void)
{
    mesh_client *clients[GROUPS], *p;
    mesh *m = crowd(clients, &p);
    uint32_t results = TOPICS;
    uint64_t stale;

    subscribe_all(clients);
    for (uint32_t round = 0; round < 4; round++) {
        g_autofree char *prefix = g_strdup_printf("r%u-", round);
        for (uint32_t t = 0; t < 5; t++)
            publish_to(p, t, prefix, &results);
        g_usleep(round * 250000u); /* at rest, or about to, or not */
    }
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t t = 0; t < 5; t++) {
            mesh_deliveries(subs[g][t], 12);
            for (uint32_t i = 0; i < 12; i++) {
                g_autofree char *id = g_strdup_printf("r%u-%u", i / 3, i % 3);
                g_assert_cmpstr(mesh_delivered(subs[g][t], i), ==, id);
            }
        }
    publish_to(p, 9, "e", &results); /* acknowledged by hand */
    for (uint32_t g = 0; g < GROUPS; g++)
        mesh_deliveries(subs[g][9], 3);
    g_usleep(800000); /* what is open stays open */
    for (uint32_t g = 0; g < GROUPS; g++)
        mesh_settle_many(subs[g][9], 0, 3, EMESH_SETTLE_DONE);
    settled_down();
    g_assert_cmpuint(mesh_stale(m), ==, 0);
    mesh_settle(subs[0][9], 1, EMESH_SETTLE_RETRY, 0); /* late, at rest */
    publish_to(p, 9, "f", &results);
    mesh_deliveries(subs[0][9], 6);
    mesh_settle(subs[0][9], 0, EMESH_SETTLE_RETRY, 0); /* late, awake */
    stale = mesh_stale(m);
    g_assert_cmpuint(stale, ==, 2);
    g_assert_cmpstr(mesh_delivered(subs[0][9], 3), ==, "f0");
    for (uint32_t t = 10; t < 20; t++)
        mesh_unsubscribe(subs[0][t]);
    mesh_client_close(clients[1], EMESH_LEFT_CUT);
    publish_to(p, 10, "g", &results);
    for (uint32_t g = 2; g < GROUPS; g++)
        mesh_deliveries(subs[g][10], 3);
    g_assert_cmpuint(mesh_n_deliveries(subs[0][10]), ==, 0);
    g_assert_cmpuint(mesh_n_deliveries(subs[1][10]), ==, 0);
    subs[0][10] = mesh_subscribe(clients[0], "topic-10", "group-0", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(subs[0][10], 3); /* its place stood */
    mesh_free(m);
}

/* ---- long: as delivery.md has it ---- */

#define MANY 1000u
#define AT_ONCE 8u /* sessions that subscribe at a time */
#define RESIDENT (300u << 20) /* delivery.md has 220; what is left is in doc/architecture.md */

/* kB of this process that are its own: what is mapped from files is the page cache's. */
static uint64_t
resident(const char *what)
{
    g_autofree char *text = NULL;
    const char *at;

    g_file_get_contents("/proc/self/status", &text, NULL, NULL);
    at = text != NULL ? strstr(text, what) : NULL;
    return at != NULL ? g_ascii_strtoull(at + strlen(what), NULL, 10) : 0;
}

typedef struct cost {
    mesh *m;
    uint64_t n; /* jobs and boxes of mail that the publisher's lane has seen */
} cost;

static void
cost_on_lane(void *ctx)
{
    cost *c = ctx;
    emesh_bus *bus = mesh_bus(c->m);
    emesh_worker_stats stats;

    for (uint32_t i = 0; i < bus->n_lanes; i++)
        if (emesh_worker_is_current(bus->lanes[i]->worker)) {
            emesh_worker_read_stats(bus->lanes[i]->worker, &stats);
            c->n = stats.jobs + bus->lanes[i]->counts.mail_boxes;
        }
}

static int
by_number(const void *a, const void *b)
{
    return *(const int64_t *)a < *(const int64_t *)b ? -1 : 1;
}

/* Messages on the lane of the publisher from a publish to its result, the median of nine topics. */
static int64_t
publish_cost(mesh *m, mesh_client *p, const char *prefix, uint32_t *results)
{
    int64_t costs[9];

    for (uint32_t i = 0; i < G_N_ELEMENTS(costs); i++) {
        g_autofree char *topic = g_strdup_printf("%s%u", prefix, i * 7);
        cost before = { .m = m }, after = { .m = m };
        mesh_on_lane(m, 0, cost_on_lane, &before);
        mesh_publish(p, topic, "e", 1, 10);
        mesh_results(p, ++*results);
        mesh_on_lane(m, 0, cost_on_lane, &after);
        costs[i] = (int64_t)(after.n - before.n);
    }
    qsort(costs, G_N_ELEMENTS(costs), sizeof costs[0], by_number);
    return costs[G_N_ELEMENTS(costs) / 2];
}

/* delivery-test-22, first half: 1,000 topics, 1,000 groups with a member session each. */
static void
test_million(void)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), NULL, 2, NULL, NULL);
    mesh_client *p = mesh_client_new(m, 0);
    uint32_t results = 0, woken = 0;
    uint64_t anon, files, used;
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    int64_t one, many;

    for (uint32_t i = 0; i < 2 * MANY; i++) {
        g_autofree char *topic = g_strdup_printf("%s-%u", i < MANY ? "many" : "one", i % MANY);
        mesh_publish(p, topic, "warm", 1, 10);
        mesh_results(p, ++results);
    }
    mesh_answers(mesh_subscribe_many(mesh_client_new(m, 1), "one-", MANY, "only", 100), MANY);
    malloc_trim(0);
    anon = resident("RssAnon:");
    files = resident("RssFile:");
    used = in_use();
    for (uint32_t g = 0; g < MANY; g++) {
        g_autofree char *group = g_strdup_printf("group-%u", g);
        g_ptr_array_add(all, mesh_subscribe_many(mesh_client_new(m, g % 2), "many-", MANY, group,
                                                 100));
        if (g >= AT_ONCE)
            mesh_answers(all->pdata[g - AT_ONCE], MANY);
    }
    for (uint32_t g = MANY - AT_ONCE; g < MANY; g++)
        mesh_answers(all->pdata[g], MANY);
    g_usleep(25 * G_USEC_PER_SEC); /* two rounds of the self-check, and a checkpoint */
    used = in_use() - used;
    g_test_message("1,000 x 1,000: %u MB in use, %u B each; RssAnon +%u MB, RssFile +%u MB",
                   (unsigned)(used >> 20), (unsigned)(used / (MANY * MANY)),
                   (unsigned)((resident("RssAnon:") - anon) >> 10),
                   (unsigned)((resident("RssFile:") - files) >> 10));
    if (used > 0)
        g_assert_cmpuint((resident("RssAnon:") - anon) << 10, <, RESIDENT);
    one = publish_cost(m, p, "one-", &results);
    many = publish_cost(m, p, "many-", &results);
    g_test_message("a publish: %d messages with one group, %d with 1,000", (int)one, (int)many);
    for (uint32_t g = 0; g < MANY; g++)
        mesh_await_many(all->pdata[g], 9);
    for (uint32_t g = 0; g < MANY; g++)
        woken += mesh_n_many(all->pdata[g]) == 9;
    g_assert_cmpuint(woken, ==, MANY);
    g_assert_cmpint(many, <=, one + 16); /* some turns of waking meanwhile, whatever the groups */
    mesh_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/idle/delivery-test-22-idle", test_idle);
    g_test_add_func("/idle/wake", test_wake);
    if (g_test_slow())
        g_test_add_func("/idle/delivery-test-22-million", test_million);
    return g_test_run();
}
