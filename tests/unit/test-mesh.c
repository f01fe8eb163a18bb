/* SPDX-License-Identifier: Apache-2.0
 *
 * Bus and delivery over a store: publishing and its flow control, groups, windows, late answers,
 * sessions that end, broadcasting, topics that go. Two workers, so that mail crosses. Built twice:
 * over the smallest honest store, whose groups' positions core keeps, and, with MESH_OPTIONS, over
 * the embedded one, which keeps them itself.
 */
#include "bus/append.h"
#include "bus/lane.h"
#include "bus/topic.h"
#include "harness/mesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MESH_OPTIONS
#define DELETE_CODE EMESH_OK
#else
#define MESH_OPTIONS NULL
#define STORE_HAS_ONE_LANE 1 /* and answers at once, there */
#define DELETE_CODE EMESH_E_UNSUPPORTED /* this store cannot delete; nothing is lost */
#endif

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

static mesh *
up(const char *conf)
{
    return mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2, conf, NULL);
}

static void
test_publish_is_answered_once(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);

    g_assert_cmpuint(mesh_publish(c, "t", "a", 50, 512), ==, 50);
    g_assert_cmpuint(mesh_results(c, 50), ==, 50);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_publish_refusals(void)
{
    mesh *m = up("[topic small]\nmax-event = 1k\n");
    mesh_client *c = mesh_client_new(m, 0);

    g_assert_cmpuint(mesh_publish(c, "bad name", "a", 1, 1), ==, 1);
    g_assert_cmpuint(mesh_results(c, 1), ==, 0);
    g_assert_cmpint(mesh_last_code(c), ==, EMESH_E_INVALID);
    mesh_publish(c, "small", "b", 1, 4096);
    g_assert_cmpuint(mesh_results(c, 2), ==, 0);
    g_assert_cmpint(mesh_last_code(c), ==, EMESH_E_TOO_LARGE);
    mesh_publish(c, "small", "c", 1, 100);
    g_assert_cmpuint(mesh_results(c, 3), ==, 1);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static bool
has_room(void *ctx)
{
    return mesh_rooms(ctx) > 0;
}

static void
test_publish_takes_a_prefix(void)
{
    mesh *m = up("[daemon]\npublisher-events = 16\n");
    mesh_client *c = mesh_client_new(m, 1);

    g_assert_cmpuint(mesh_publish(c, "t", "a", 100, 10), ==, 16);
    g_assert_cmpuint(mesh_results(c, 16), ==, 16);
    mesh_wait(has_room, c);
    g_assert_cmpuint(mesh_publish(c, "t", "b", 4, 10), ==, 4);
    mesh_results(c, 20);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
deliver_in_order(uint32_t publisher, uint32_t subscriber)
{
    mesh *m = up(NULL);
    mesh_client *p = mesh_client_new(m, publisher), *s = mesh_client_new(m, subscriber);
    mesh_sub *sub = mesh_subscribe(s, "t", "g", EMESH_SUB_SHARED, 10, true);

    g_assert_cmpint(mesh_sub_code(sub), ==, EMESH_OK);
    mesh_publish(p, "t", "a", 200, 100);
    mesh_deliveries(sub, 200);
    for (uint32_t i = 0; i < 200; i++) {
        char id[16];
        g_snprintf(id, sizeof id, "a%u", i);
        g_assert_cmpstr(mesh_delivered(sub, i), ==, id);
        g_assert_cmpuint(mesh_attempt(sub, i), ==, 1);
    }
    mesh_client_close(s, EMESH_LEFT_ORDERLY);
    mesh_client_close(p, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_deliver_in_order(void)
{
    deliver_in_order(0, 0);
    deliver_in_order(0, 1);
    deliver_in_order(1, 0);
}

static void
test_window_holds(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 0, false);

    mesh_publish(c, "t", "a", 20, 10);
    mesh_results(c, 20);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 0);
    mesh_window(sub, 3);
    mesh_deliveries(sub, 3);
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0); /* a settle refills */
    mesh_deliveries(sub, 4);
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0); /* twice: stale, refills nothing */
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    mesh_deliveries(sub, 5);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 5);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_two_share_and_one_leaves(void)
{
    mesh *m = up(NULL);
    mesh_client *p = mesh_client_new(m, 0);
    mesh_client *a = mesh_client_new(m, 0), *b = mesh_client_new(m, 1);
    mesh_sub *sa = mesh_subscribe(a, "t", "g", EMESH_SUB_SHARED, 4, false);
    mesh_sub *sb = mesh_subscribe(b, "t", "g", EMESH_SUB_SHARED, 100, true);

    mesh_publish(p, "t", "a", 40, 10);
    mesh_deliveries(sa, 4);
    mesh_deliveries(sb, 36);
    mesh_client_close(a, EMESH_LEFT_CUT); /* its four go to the other */
    mesh_deliveries(sb, 40);
    g_assert_cmpuint(mesh_n_deliveries(sb), ==, 40);
    mesh_client_close(b, EMESH_LEFT_ORDERLY);
    mesh_client_close(p, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_unsubscribed_may_still_settle(void)
{
    mesh *m = up(NULL);
    mesh_client *a = mesh_client_new(m, 0), *b = mesh_client_new(m, 1);
    mesh_sub *sa = mesh_subscribe(a, "t", "g", EMESH_SUB_SHARED, 2, false);
    mesh_sub *sb;

    mesh_publish(a, "t", "a", 2, 10);
    mesh_deliveries(sa, 2);
    mesh_unsubscribe(sa);
    sb = mesh_subscribe(b, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_settle(sa, 0, EMESH_SETTLE_DONE, 0);
    mesh_settle(sa, 1, EMESH_SETTLE_RETURN, 0); /* only this one goes on */
    mesh_deliveries(sb, 1);
    g_assert_cmpstr(mesh_delivered(sb, 0), ==, "a1");
    mesh_client_close(a, EMESH_LEFT_ORDERLY);
    mesh_client_close(b, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_retry_comes_again(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);

    mesh_publish(c, "t", "a", 1, 10);
    mesh_deliveries(sub, 1);
    mesh_settle(sub, 0, EMESH_SETTLE_RETRY, 1);
    mesh_deliveries(sub, 2);
    g_assert_cmpuint(mesh_attempt(sub, 1), ==, 2);
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
test_groups_and_broadcast(void)
{
    mesh *m = up(NULL);
    mesh_client *p = mesh_client_new(m, 0);
    mesh_client *c[3] = { mesh_client_new(m, 0), mesh_client_new(m, 1), mesh_client_new(m, 1) };
    mesh_sub *g1 = mesh_subscribe(c[0], "t", "g1", EMESH_SUB_SHARED, 10, true);
    mesh_sub *g2 = mesh_subscribe(c[1], "t", "g2", EMESH_SUB_SHARED, 10, true);
    mesh_sub *all[3];

    for (uint32_t i = 0; i < 3; i++)
        all[i] = mesh_subscribe(c[i], "t", "g1", EMESH_SUB_EVERY, 10, true);
    mesh_publish(p, "t", "a", 30, 10);
    mesh_deliveries(g1, 30);
    mesh_deliveries(g2, 30);
    for (uint32_t i = 0; i < 3; i++) {
        mesh_deliveries(all[i], 30);
        g_assert_cmpuint(mesh_n_deliveries(all[i]), ==, 30);
    }
    for (uint32_t i = 0; i < 3; i++)
        mesh_client_close(c[i], EMESH_LEFT_ORDERLY);
    mesh_client_close(p, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

static void
remember(void *ctx, int32_t code, const char *why)
{
    (void)why;
    *(int32_t *)ctx = code;
}

static bool
is_told(void *ctx)
{
    return *(int32_t *)ctx != 1;
}

static bool
has_ended(void *ctx)
{
    return mesh_sub_code(ctx) != EMESH_OK;
}

static void
test_topic_goes(void)
{
    mesh *m = up("[group g]\nstart = earliest\n");
    mesh_client *c = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    int32_t code = 1;

    mesh_publish(c, "t", "a", 5, 10);
    mesh_deliveries(sub, 5);
    emesh_topic_delete_main(mesh_bus(m), "t", 1, remember, &code);
    mesh_wait(is_told, &code);
    g_assert_cmpint(code, ==, DELETE_CODE);
    mesh_wait(has_ended, sub);
    mesh_unsubscribe(sub);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_publish(c, "t", "b", 5, 10);
    mesh_deliveries(sub, 5);
    if (code == EMESH_OK) /* else what its settles did not reach in time comes again */
        g_assert_cmpstr(mesh_delivered(sub, 0), ==, "b0");
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

/* A group goes on where it was; of a plain store core knows, in its own small database. */
static void
test_group_goes_on(void)
{
    mesh *m = up(NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);

    mesh_publish(c, "t", "a", 10, 10);
    mesh_deliveries(sub, 10);
    mesh_unsubscribe(sub); /* closes the reader, saves the position */
    mesh_publish(c, "t", "b", 3, 10);
    mesh_results(c, 13);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(sub, 3);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "b0");
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_free(m);
}

/* Nothing settled yet, so no position: what the only member left behind is still there. */
static void
test_unsettled_stays(void)
{
    mesh *m = up(NULL);
    mesh_client *a = mesh_client_new(m, 0), *b = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(a, "t", "g", EMESH_SUB_SHARED, 10, false);

    mesh_publish(b, "t", "a", 3, 10);
    mesh_deliveries(sub, 3);
    mesh_client_close(a, EMESH_LEFT_CUT);
    mesh_publish(b, "t", "b", 1, 10);
    sub = mesh_subscribe(b, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(sub, 4);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 4);
    mesh_free(m);
}

/* One holds all and never says a word: nothing is lost, nothing comes twice to the next. */
static void
test_silent_one_leaves(void)
{
    mesh *m = up(NULL);
    mesh_client *p = mesh_client_new(m, 0);
    mesh_client *a = mesh_client_new(m, 1), *b = mesh_client_new(m, 0);
    mesh_sub *silent = mesh_subscribe(a, "t", "g", EMESH_SUB_SHARED, 1000, false), *next;
    bool seen[250] = { false };

    mesh_publish(p, "t", "a", 250, 100);
    mesh_deliveries(silent, 32); /* the credit of one who never acknowledged */
    next = mesh_subscribe(b, "t", "g", EMESH_SUB_SHARED, 7, true);
    mesh_client_close(a, EMESH_LEFT_CUT);
    mesh_deliveries(next, 250);
    for (uint32_t i = 0; i < 250; i++) {
        uint32_t n = (uint32_t)atoi(mesh_delivered(next, i) + 1);
        g_assert_false(seen[n]);
        seen[n] = true;
    }
    mesh_publish(p, "t", "b", 1, 100); /* and the subscription is alive */
    mesh_deliveries(next, 251);
    mesh_free(m);
}

#ifdef STORE_HAS_ONE_LANE
typedef struct crowded {
    mesh *m;
    mesh_client *late;
    emesh_job job;
} crowded;

/* On lane 0: waits until the store's window is full of lane 1's appends, whose results cannot come
 * while this lane, where the store lives, is kept here. */
static void
append_behind_a_full_window(emesh_job *job)
{
    crowded *cr = (crowded *)((char *)job - offsetof(crowded, job));
    emesh_store *store = mesh_bus(cr->m)->stores->pdata[0];
    emesh_bus_lane *lane = mesh_bus(cr->m)->lanes[0];

    while (__atomic_load_n(&store->under_way, __ATOMIC_RELAXED) < store->window_events)
        g_thread_yield();
    mesh_publish_here(cr->late, "t", "late", 1, 10);
    emesh_append_flush(&lane->append_item);
}

/* What waits for the store's window goes on although only another lane's results empty it. */
static void
test_window_of_other_lanes(void)
{
    mesh *m = up("[daemon]\npublisher-events = 2000\n");
    mesh_client *many = mesh_client_new(m, 1);
    crowded cr = { .m = m, .late = mesh_client_new(m, 0) };

    mesh_publish(many, "t", "a", 1, 10); /* both lanes know the topic */
    mesh_publish(cr.late, "t", "a", 1, 10);
    mesh_results(many, 1);
    mesh_results(cr.late, 1);
    cr.job.run = append_behind_a_full_window;
    mesh_post(m, 0, &cr.job);
    mesh_publish(many, "t", "b", 1500, 10);
    g_assert_cmpuint(mesh_results(cr.late, 2), ==, 2);
    g_assert_cmpuint(mesh_results(many, 1501), ==, 1501);
    mesh_free(m);
}
#endif

/* Events so large that bytes run out long before the records that were asked for. */
static void
test_bytes_run_out(void)
{
    mesh *m = up("[daemon]\nwindow-bytes = 256k\n");
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 1000, true);
    uint32_t sent = 0;

    for (uint32_t i = 0; i < 30; i++) {
        sent += mesh_publish(p, "t", "a", 10, i % 2 == 0 ? 20000 : 70000);
        g_assert_cmpuint(mesh_results(p, sent), ==, sent);
    }
    mesh_deliveries(sub, sent);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, sent);
    mesh_free(m);
}

#define CROWD 20000u
#define BATCH 250u

static void
count_ids(mesh_sub *sub, uint8_t *seen)
{
    for (uint32_t i = 0, n = mesh_n_deliveries(sub); i < n; i++) {
        uint32_t batch, number;
        g_assert_cmpint(sscanf(mesh_delivered(sub, i), "%u-%u", &batch, &number), ==, 2);
        g_assert_cmpuint(batch * BATCH + number, <, CROWD);
        seen[batch * BATCH + number]++;
    }
}

typedef struct crowd {
    mesh_sub *subs[4];
    uint32_t want;
} crowd;

static bool
crowd_has_all(void *ctx)
{
    crowd *c = ctx;
    uint32_t sum = 0;

    for (uint32_t i = 0; i < 4; i++)
        sum += mesh_n_deliveries(c->subs[i]);
    return sum >= c->want;
}

/* Publishers and subscribers on both workers: every id exactly once within a group. */
static void
test_every_id_once(void)
{
    mesh *m = up(NULL);
    mesh_client *p[2] = { mesh_client_new(m, 0), mesh_client_new(m, 1) };
    g_autofree uint8_t *seen = g_malloc0(CROWD);
    crowd c = { .want = CROWD };
    mesh_sub *other;

    for (uint32_t i = 0; i < 4; i++)
        c.subs[i] = mesh_subscribe(mesh_client_new(m, i), "t", "g", EMESH_SUB_SHARED, 20 + 30 * i,
                                   true);
    other = mesh_subscribe(mesh_client_new(m, 1), "t", "other", EMESH_SUB_SHARED, 1000, true);
    for (uint32_t batch = 0; batch < CROWD / BATCH; batch++) {
        char prefix[16];
        g_snprintf(prefix, sizeof prefix, "%u-", batch);
        g_assert_cmpuint(mesh_publish(p[batch % 2], "t", prefix, BATCH, 64), ==, BATCH);
        if (batch % 2 == 1) {
            uint32_t all = (batch + 1) / 2 * BATCH;
            g_assert_cmpuint(mesh_results(p[0], all), ==, all);
            g_assert_cmpuint(mesh_results(p[1], all), ==, all);
        }
    }
    mesh_wait(crowd_has_all, &c);
    for (uint32_t i = 0; i < 4; i++)
        count_ids(c.subs[i], seen);
    for (uint32_t i = 0; i < CROWD; i++)
        g_assert_cmpuint(seen[i], ==, 1);
    mesh_deliveries(other, CROWD);
    g_assert_cmpuint(mesh_n_deliveries(other), ==, CROWD);
    g_assert_cmpuint(mesh_stale(m), ==, 0);
    mesh_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mesh/publish-is-answered-once", test_publish_is_answered_once);
    g_test_add_func("/mesh/publish-refusals", test_publish_refusals);
    g_test_add_func("/mesh/publish-takes-a-prefix", test_publish_takes_a_prefix);
    g_test_add_func("/mesh/deliver-in-order", test_deliver_in_order);
    g_test_add_func("/mesh/window-holds", test_window_holds);
    g_test_add_func("/mesh/two-share-and-one-leaves", test_two_share_and_one_leaves);
    g_test_add_func("/mesh/unsubscribed-may-still-settle", test_unsubscribed_may_still_settle);
    g_test_add_func("/mesh/retry-comes-again", test_retry_comes_again);
    g_test_add_func("/mesh/groups-and-broadcast", test_groups_and_broadcast);
    g_test_add_func("/mesh/topic-goes", test_topic_goes);
    g_test_add_func("/mesh/group-goes-on", test_group_goes_on);
    g_test_add_func("/mesh/unsettled-stays", test_unsettled_stays);
    g_test_add_func("/mesh/silent-one-leaves", test_silent_one_leaves);
#ifdef STORE_HAS_ONE_LANE
    g_test_add_func("/mesh/window-of-other-lanes", test_window_of_other_lanes);
#endif
    g_test_add_func("/mesh/bytes-run-out", test_bytes_run_out);
    g_test_add_func("/mesh/every-id-once", test_every_id_once);
    return g_test_run();
}
