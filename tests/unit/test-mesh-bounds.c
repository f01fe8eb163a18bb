/* SPDX-License-Identifier: Apache-2.0
 *
 * Every bound of publishing and delivery, with options so small that it is reached: what is under way
 * to a store, windows, the daemon's sum of them, credit, turns. Nothing that was accepted is lost at
 * any of them. Over the embedded store.
 */
#include "bus/append.h"
#include "bus/lane.h"
#include "delivery/member.h"
#include "harness/mesh.h"

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

static mesh *
up_on(uint32_t workers, const char *conf)
{
    return mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, workers, conf, NULL);
}

static mesh *
up(const char *conf)
{
    return up_on(2, conf);
}

/* Nothing is on its way any more: what is delivered by now is all there will be. */
static void
quiet(mesh_sub *const *subs, uint32_t n)
{
    uint32_t have = 0, now = 0;

    do {
        have = now;
        now = 0;
        for (uint32_t i = 0; i < 20; i++) {
            g_usleep(5000);
            while (g_main_context_iteration(NULL, FALSE))
                ;
        }
        for (uint32_t i = 0; i < n; i++)
            now += mesh_n_deliveries(subs[i]);
    } while (now != have);
}

static uint32_t
sum(mesh_sub *const *subs, uint32_t n)
{
    uint32_t all = 0;

    quiet(subs, n);
    for (uint32_t i = 0; i < n; i++)
        all += mesh_n_deliveries(subs[i]);
    return all;
}

static void
publish(mesh_client *c, const char *topic, uint32_t n, size_t size)
{
    uint32_t before = mesh_results(c, 0);

    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *prefix = g_strdup_printf("%s-%u-", topic, i);
        g_assert_cmpuint(mesh_publish(c, topic, prefix, 1, size), ==, 1);
        g_assert_cmpuint(mesh_results(c, before + i + 1), ==, before + i + 1);
    }
}

static bool
has_room(void *ctx)
{
    return mesh_rooms(ctx) > 0;
}

/* A publisher is paused at so many events and at so many bytes without an answer. */
static void
test_publisher_is_paused(void)
{
    mesh *m = up("[daemon]\npublisher-events = 256\npublisher-bytes = 1MiB\n");
    mesh_client *events = mesh_client_new(m, 0), *bytes = mesh_client_new(m, 0);
    uint32_t taken = mesh_publish(events, "t", "a", 400, 10);

    g_assert_cmpuint(taken, ==, 256);
    g_assert_cmpuint(mesh_results(events, taken), ==, taken);
    mesh_wait(has_room, events);
    taken = mesh_publish(bytes, "t", "b", 40, 100000);
    g_assert_cmpuint(taken, ==, 11); /* the one that reaches the mark goes beyond it */
    g_assert_cmpuint(mesh_results(bytes, taken), ==, taken);
    mesh_wait(has_room, bytes);
    g_assert_cmpuint(mesh_publish(bytes, "t", "c", 5, 100000), ==, 5);
    g_assert_cmpuint(mesh_results(bytes, taken + 5), ==, taken + 5);
    mesh_free(m);
}

#define MANY 30u

typedef struct many {
    mesh_client *c[MANY];
    uint32_t taken[MANY];
    uint32_t accepted;
    uint64_t most;
} many;

/* In one job: no result comes meanwhile. */
static void
publish_many(void *ctx)
{
    many *all = ctx;

    for (uint32_t i = 0; i < MANY; i++) {
        all->taken[i] = mesh_publish_here(all->c[i], "t", "a", 1, 100000);
        all->accepted += all->taken[i];
    }
}

static bool
all_have_room(void *ctx)
{
    many *all = ctx;

    for (uint32_t i = 0; i < MANY; i++)
        if (all->taken[i] == 0 && mesh_rooms(all->c[i]) == 0)
            return false;
    return true;
}

/* The queue to the stores is bounded for all together, also for sessions that have nothing under way;
 * these are told when there is room. */
static void
test_append_queue(void)
{
    mesh *m = up("[daemon]\nappend-queue = 1MiB\n");
    many all = { 0 };

    for (uint32_t i = 0; i < MANY; i++)
        all.c[i] = mesh_client_new(m, 0);
    mesh_publish(all.c[0], "t", "first", 1, 10); /* the lane knows the topic */
    mesh_results(all.c[0], 1);
    mesh_on_lane(m, 0, publish_many, &all);
    g_assert_cmpuint(all.accepted, ==, 11);
    mesh_wait(all_have_room, &all);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t before = i == 0;
        if (all.taken[i] == 0)
            g_assert_cmpuint(mesh_publish(all.c[i], "t", "b", 1, 100000), ==, 1);
        g_assert_cmpuint(mesh_results(all.c[i], before + 1), ==, before + 1);
    }
    mesh_free(m);
}

#define MEMBERS 8u

static void
subscribe(mesh *m, mesh_sub **subs, const char *topic, const char *group, bool ack)
{
    for (uint32_t i = 0; i < MEMBERS; i++)
        subs[i] = mesh_subscribe(mesh_client_new(m, i % 2), topic, group, EMESH_SUB_SHARED, 1000,
                                 ack);
}

static void
settle_all(mesh_sub *const *subs, uint32_t n, uint32_t all)
{
    uint32_t done[MEMBERS] = { 0 }, sum_done = 0;

    while (sum_done < all) {
        g_usleep(1000);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t have = mesh_n_deliveries(subs[i]);
            if (have > done[i])
                mesh_settle_many(subs[i], done[i], have - done[i], EMESH_SETTLE_DONE);
            sum_done += have - done[i];
            done[i] = have;
        }
    }
}

/* What a group has read and not settled: in events, and in bytes. */
static void
window(const char *conf, size_t size, uint32_t least, uint32_t most)
{
    mesh *m = up(conf);
    mesh_client *p = mesh_client_new(m, 0);
    mesh_sub *subs[MEMBERS];
    uint32_t open;

    subscribe(m, subs, "t", "g", false);
    publish(p, "t", 200, size);
    open = sum(subs, MEMBERS);
    g_assert_cmpuint(open, >=, least);
    g_assert_cmpuint(open, <=, most);
    settle_all(subs, MEMBERS, 200);
    mesh_free(m);
}

static void
test_window(void)
{
    window("[daemon]\nwindow-events = 100\n", 10, 100, 100);
    window("[daemon]\nwindow-bytes = 300000\n", 10000, 25, 31);
}

/* Of all groups together; each may have 64 all the same. */
static void
test_total_window(void)
{
    static const char *const groups[] = { "g0", "g1", "g2", "g3" };
    mesh *m = up("[daemon]\ntotal-window-events = 300\n[group *]\nstart = earliest\n");
    mesh_client *p = mesh_client_new(m, 0);
    mesh_sub *subs[4][MEMBERS];
    uint32_t open[4];

    publish(p, "t", 400, 10);
    for (uint32_t g = 0; g < 4; g++) {
        subscribe(m, subs[g], "t", groups[g], false);
        open[g] = sum(subs[g], MEMBERS);
        g_test_message("group %u has %u", g, open[g]);
    }
    g_assert_cmpuint(open[0], ==, MEMBERS * 32); /* its credit: the sum is not reached */
    g_assert_cmpuint(open[1], >=, 64);
    g_assert_cmpuint(open[1], <, MEMBERS * 32);
    g_assert_cmpuint(open[2], ==, 64);
    g_assert_cmpuint(open[3], ==, 64);
    for (uint32_t g = 4; g > 0; g--) /* the last ones go on while the first holds all it has */
        settle_all(subs[g - 1], MEMBERS, 400);
    g_assert_cmpuint(__atomic_load_n(&mesh_bus(m)->window_slots, __ATOMIC_RELAXED), <=, 4 * 64);
    mesh_free(m);
}

static void
test_total_window_in_bytes(void)
{
    static const char *const groups[] = { "g0", "g1", "g2" };
    mesh *m = up("[daemon]\ntotal-window-bytes = 1MiB\n[group *]\nstart = earliest\n");
    mesh_client *p = mesh_client_new(m, 0);
    mesh_sub *subs[3][MEMBERS];
    uint32_t open[3];

    publish(p, "t", 300, 10000);
    for (uint32_t g = 0; g < 3; g++) {
        subscribe(m, subs[g], "t", groups[g], false);
        open[g] = sum(subs[g], MEMBERS);
        g_test_message("group %u has %u", g, open[g]);
    }
    g_assert_cmpuint(open[0], >=, 90);
    g_assert_cmpuint(open[0], <=, 120);
    g_assert_cmpuint(open[2], >=, 6);  /* 64 KiB */
    g_assert_cmpuint(open[2], <=, 14); /* and what was asked for at once */
    for (uint32_t g = 3; g > 0; g--)
        settle_all(subs[g - 1], MEMBERS, 300);
    mesh_free(m);
}

/* Credit is a session's, over all it subscribes to: an equal part for each, and what is over for who
 * comes first. */
static void
test_credit_of_a_session(void)
{
    mesh *m = up("[group *]\nstart = earliest\n");
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1);
    mesh_sub *subs[4];

    for (uint32_t i = 0; i < 4; i++) {
        g_autofree char *topic = g_strdup_printf("t%u", i), *group = g_strdup_printf("g%u", i);
        publish(p, topic, 100, 10);
        subs[i] = mesh_subscribe(c, topic, group, EMESH_SUB_SHARED, 0, false);
    }
    for (uint32_t i = 0; i < 4; i++)
        mesh_window(subs[i], 1000);
    g_assert_cmpuint(sum(subs, 4), <=, 64);
    for (uint32_t i = 0; i < 4; i++)
        g_assert_cmpuint(mesh_n_deliveries(subs[i]), >=, 8);
    settle_all(subs, 4, 400);
    mesh_free(m);
}

static void
test_credit_in_bytes(void)
{
    mesh *m = up("[daemon]\ncredit-bytes = 64k\n");
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1);
    mesh_sub *subs[2] = { mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 1000, false),
                          mesh_subscribe(c, "u", "g", EMESH_SUB_SHARED, 1000, false) };

    publish(p, "t", 30, 10000);
    g_assert_cmpuint(sum(subs, 2), ==, 7);
    publish(p, "u", 30, 10000); /* who has nothing open gets one, however full the session is */
    g_assert_cmpuint(sum(subs, 2), ==, 8);
    settle_all(subs, 2, 60);
    mesh_free(m);
}

/* delivery-test-23, the credit of a session whose subscriber takes long for each event. */
static void
test_credit_of_the_slow(void)
{
    mesh *m = up(NULL);
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 1000, false);
    uint32_t open;

    publish(p, "t", 100, 10);
    mesh_deliveries(sub, 32);
    g_usleep(1100000); /* later than a second */
    mesh_settle_many(sub, 0, 28, EMESH_SETTLE_DONE);
    open = sum(&sub, 1) - 28;
    g_test_message("%u open", open);
    g_assert_cmpuint(open, <=, 4);
    settle_all(&sub, 1, 100); /* quickly: its credit grows again */
    mesh_free(m);
}

/* What a group is offered in one turn. On one worker: another lane may take several at once. */
static void
test_turns(void)
{
    mesh *m = up_on(1, "[daemon]\nturn-events = 4\n[group *]\nstart = earliest\n");
    mesh_client *p = mesh_client_new(m, 0);
    mesh_sub *sub;

    publish(p, "t", 200, 10);
    sub = mesh_subscribe(mesh_client_new(m, 0), "t", "g", EMESH_SUB_SHARED, 1000, true);
    mesh_deliveries(sub, 200);
    g_assert_cmpuint(mesh_most_at_once(sub), <=, 4);
    mesh_free(m);

    m = up_on(1, "[daemon]\nturn-bytes = 25000\n[group *]\nstart = earliest\n");
    p = mesh_client_new(m, 0);
    publish(p, "t", 50, 10000);
    publish(p, "t", 2, 200000); /* larger than eight turns */
    sub = mesh_subscribe(mesh_client_new(m, 0), "t", "g", EMESH_SUB_SHARED, 1000, true);
    mesh_deliveries(sub, 52);
    g_assert_cmpuint(mesh_most_at_once(sub), <=, 3);
    mesh_free(m);
}

/* What this process has read, from whatever cache. */
static uint64_t
bytes_read(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents("/proc/self/io", &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "rchar: "));
    return g_ascii_strtoull(text + 7, NULL, 10);
}

#define GROUPS 200u
#define COLD 1000u
#define SIZE 20000u
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ONCE 4.0 /* so slow that groups come apart further than the shared blocks reach */
#else
#define ONCE 1.2
#endif

/* delivery-test-22, second half: many groups on one topic that cannot keep up with its publisher, and
 * fall behind the memory tail, read the log about once together. */
static void
test_many_groups_read_once(void)
{
    mesh *m = mesh_new(emesh_plugin_entry_1(0), "tail-bytes = 64k\n", 2,
                       "[topic *]\ndurability = os\n", NULL);
    mesh_client *p = mesh_client_new(m, 0);
    g_autofree mesh_sub **subs = g_new(mesh_sub *, GROUPS);
    uint64_t before, whole = (uint64_t)COLD * SIZE;
    double share;

    for (uint32_t i = 0; i < GROUPS; i++) {
        g_autofree char *group = g_strdup_printf("g%u", i);
        subs[i] = mesh_subscribe(mesh_client_new(m, i % 2), "t", group, EMESH_SUB_SHARED, 1000,
                                 true);
    }
    before = bytes_read();
    for (uint32_t i = 0; i < COLD; i += 10) {
        g_autofree char *prefix = g_strdup_printf("%u-", i);
        g_assert_cmpuint(mesh_publish(p, "t", prefix, 10, SIZE), ==, 10);
        g_assert_cmpuint(mesh_results(p, i + 10), ==, i + 10);
    }
    for (uint32_t i = 0; i < GROUPS; i++)
        mesh_deliveries(subs[i], COLD);
    share = (double)(bytes_read() - before) / (double)whole;
    g_test_message("%u groups, %u events each: %.2f times the log was read", GROUPS, COLD, share);
    g_assert_cmpfloat(share, <=, ONCE);
    mesh_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bounds/publisher-is-paused", test_publisher_is_paused);
    g_test_add_func("/bounds/append-queue", test_append_queue);
    g_test_add_func("/bounds/window", test_window);
    g_test_add_func("/bounds/total-window", test_total_window);
    g_test_add_func("/bounds/total-window-in-bytes", test_total_window_in_bytes);
    g_test_add_func("/bounds/credit-of-a-session", test_credit_of_a_session);
    g_test_add_func("/bounds/credit-in-bytes", test_credit_in_bytes);
    g_test_add_func("/bounds/delivery-test-23-credit-of-the-slow", test_credit_of_the_slow);
    g_test_add_func("/bounds/turns", test_turns);
    g_test_add_func("/bounds/delivery-test-22-many-groups-read-once", test_many_groups_read_once);
    return g_test_run();
}
