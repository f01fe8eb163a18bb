/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of an event that its subscriber does not take: tried again, parked in the group's
 * inbox, buried among the dead letters, expired; and of one that is not to be delivered yet. Built
 * three times: over the embedded store, where what is written and what is settled are one unit; over
 * one of a broker's shape, where the engine builds inbox and delay out of topics; and over a plain
 * one, whose positions the daemon keeps.
 */
#include "bus/findings.h"
#include "bus/topic.h"
#include "harness/mesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOON "attempts = 3\nretry-wait = 1ms\nretry-wait-max = 1ms\n"
#define RULES                                                                                      \
    "[group g]\n" SOON "[group admin]\nstart = earliest\n"

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

static mesh *
up(const char *conf, const char *data)
{
    return mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2, conf, data);
}

static void
assert_attr(mesh_sub *s, uint32_t i, const char *name, const char *value)
{
    g_autofree char *got = mesh_attr(s, i, name);

    g_assert_cmpstr(got, ==, value);
}

/* An event that fails each time is tried as often as the group says, then it is a dead letter with
 * its cause; those behind it go on meanwhile. */
static void
test_buried_after_the_last_attempt(void)
{
    mesh *m = up(RULES, NULL);
    mesh_client *c = mesh_client_new(m, 0), *admin = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *letters;

    mesh_publish(c, "t", "a", 3, 10);
    mesh_deliveries(sub, 3);
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0);
    mesh_settle(sub, 2, EMESH_SETTLE_DONE, 0);
    mesh_settle_why(sub, 0, EMESH_SETTLE_RETRY, "not now");
    for (uint32_t i = 3; i < 5; i++) {
        mesh_deliveries(sub, i + 1);
        g_assert_cmpstr(mesh_delivered(sub, i), ==, "a0");
        g_assert_cmpuint(mesh_attempt(sub, i), ==, i - 1);
        mesh_settle_why(sub, i, EMESH_SETTLE_RETRY, i == 4 ? "never\n" : "not now");
    }
    letters = mesh_subscribe(admin, MESH_LETTERS, "admin", EMESH_SUB_SHARED, 10, true);
    g_assert_cmpint(mesh_sub_code(letters), ==, EMESH_OK);
    mesh_deliveries(letters, 1);
    g_assert_cmpstr(mesh_delivered(letters, 0), ==, "a0");
    assert_attr(letters, 0, "dlgroup", "g");
    assert_attr(letters, 0, "dltopic", "t");
    assert_attr(letters, 0, "dlattempts", "3");
    assert_attr(letters, 0, "dlcause", "failed");
    assert_attr(letters, 0, "dlerror", "never ");
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 5);
    mesh_free(m);
}

static void
test_rejected_at_once(void)
{
    mesh *m = up(RULES, NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *letters;

    letters = mesh_subscribe(c, MESH_LETTERS, "admin", EMESH_SUB_SHARED, 10, true);
    mesh_publish(c, "t", "a", 2, 10);
    mesh_deliveries(sub, 2);
    mesh_settle(sub, 0, EMESH_SETTLE_DEAD, 0);
    mesh_settle(sub, 1, EMESH_SETTLE_UNFIT, 0); /* and nobody of another protocol is here */
    mesh_deliveries(letters, 2);
    for (uint32_t i = 0; i < 2; i++) {
        bool first = strcmp(mesh_delivered(letters, i), "a0") == 0;
        assert_attr(letters, i, "dlcause", first ? "rejected" : "unfit");
        assert_attr(letters, i, "dlattempts", "1");
    }
    mesh_free(m);
}

static void
test_dead_letters_off(void)
{
    mesh *m = up("[group g]\nattempts = 1\ndead-letter = off\n", NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 1, false);

    mesh_publish(c, "t", "a", 2, 10);
    mesh_deliveries(sub, 1);
    mesh_settle(sub, 0, EMESH_SETTLE_RETRY, 0);
    mesh_deliveries(sub, 2);
    g_assert_cmpstr(mesh_delivered(sub, 1), ==, "a1");
    mesh_free(m);
}

/* A dead letter that fails in turn stays where it is. */
static void
test_never_buried_twice(void)
{
    mesh *m = up(RULES "[group again]\n" SOON "start = earliest\n", NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *letters;

    mesh_publish(c, "t", "a", 1, 10);
    mesh_deliveries(sub, 1);
    mesh_settle(sub, 0, EMESH_SETTLE_DEAD, 0);
    letters = mesh_subscribe(c, MESH_LETTERS, "again", EMESH_SUB_SHARED, 10, false);
    for (uint32_t i = 0; i < 6; i++) {
        mesh_deliveries(letters, i + 1);
        g_assert_cmpstr(mesh_delivered(letters, i), ==, "a0");
        mesh_settle(letters, i, i == 5 ? EMESH_SETTLE_DONE : EMESH_SETTLE_DEAD, 0);
    }
    mesh_free(m);
}

static void
test_no_acknowledgement_in_time(void)
{
    mesh *m = up("[group g]\nack-timeout = 50ms\n" SOON, NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
    uint64_t stale;

    mesh_publish(c, "t", "a", 1, 10);
    mesh_deliveries(sub, 2);
    g_assert_cmpuint(mesh_attempt(sub, 1), ==, 2);
    stale = mesh_stale(m);
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0); /* too late: the second offer counts */
    g_assert_cmpuint(mesh_stale(m), ==, stale + 1);
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0);
    mesh_publish(c, "t", "b", 1, 10);
    mesh_deliveries(sub, 3);
    g_assert_cmpstr(mesh_delivered(sub, 2), ==, "b0");
    mesh_settle(sub, 2, EMESH_SETTLE_DONE, 0);
    mesh_free(m);
}

/* Who unsubscribes may still settle what it has; when it never does, its deadline ends both. */
static void
test_left_with_something_open(void)
{
    mesh *m = up("[group g]\nack-timeout = 200ms\n" SOON, NULL);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *other;

    mesh_publish(c, "t", "a", 2, 10);
    mesh_deliveries(sub, 2);
    mesh_unsubscribe(sub);
    other = mesh_subscribe(d, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(other, 2);
    g_assert_cmpuint(mesh_attempt(other, 0), ==, 2);
    while (mesh_members(c) > 0)
        g_main_context_iteration(NULL, FALSE);
    mesh_free(m);
}

static void
test_expired(void)
{
    mesh *m = up(NULL, NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);

    mesh_publish_attr(c, "t", "old", "expirytime", "2001-01-01T00:00:00Z");
    mesh_publish_attr(c, "t", "far", "expirytime", "2101-01-01T00:00:00+01:00");
    mesh_publish_attr(c, "t", "odd", "expirytime", "some day"); /* an attribute like any other */
    mesh_deliveries(sub, 2);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "far0");
    g_assert_cmpstr(mesh_delivered(sub, 1), ==, "odd0");
    mesh_free(m);
}

/* An event whose subscribers' connections break is met by each of the next alone; the third time it
 * is buried. Its neighbours are delivered once. */
static void
test_killed_sessions(void)
{
    mesh *m = up("[group admin]\nstart = earliest\n", NULL);
    mesh_client *c = mesh_client_new(m, 0), *p = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *letters;

    mesh_publish(p, "t", "a", 3, 10);
    mesh_deliveries(sub, 3);
    mesh_client_close(c, EMESH_LEFT_CUT);
    c = mesh_client_new(m, 1);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
    mesh_deliveries(sub, 2);
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0);
    mesh_deliveries(sub, 3);
    g_assert_cmpstr(mesh_delivered(sub, 2), ==, "a0");
    g_assert_cmpuint(mesh_attempt(sub, 2), ==, 2);
    mesh_publish(p, "t", "b", 1, 10);
    mesh_results(p, 4);
    g_assert_cmpuint(mesh_n_deliveries(sub), ==, 3); /* nothing beside a suspect */
    mesh_client_close(c, EMESH_LEFT_CUT);
    c = mesh_client_new(m, 0);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
    mesh_deliveries(sub, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "b0");
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    mesh_deliveries(sub, 2);
    g_assert_cmpstr(mesh_delivered(sub, 1), ==, "a0");
    mesh_client_close(c, EMESH_LEFT_CUT);
    letters = mesh_subscribe(p, MESH_LETTERS, "admin", EMESH_SUB_SHARED, 10, true);
    c = mesh_client_new(m, 0);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(letters, 1);
    assert_attr(letters, 0, "dlcause", "killed-sessions");
    assert_attr(letters, 0, "id", "a0");
    mesh_free(m);
}

/* A member that fails whatever it gets uses up no attempts: others take its events. */
static void
test_member_that_is_down(void)
{
    mesh *m = up(RULES, NULL);
    mesh_client *c = mesh_client_new(m, 0), *d = mesh_client_new(m, 1);
    mesh_sub *down = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false), *good;

    mesh_publish(c, "t", "a", 10, 10);
    mesh_deliveries(down, 10);
    mesh_settle_many(down, 0, 10, EMESH_SETTLE_RETRY);
    mesh_deliveries(down, 11); /* a second later, one to see */
    mesh_settle(down, 10, EMESH_SETTLE_RETRY, 0);
    good = mesh_subscribe(d, "t", "g", EMESH_SUB_SHARED, 10, true);
    mesh_deliveries(good, 10);
    for (uint32_t i = 0; i < 10; i++)
        g_assert_cmpuint(mesh_attempt(good, i), <=, 2);
    mesh_free(m);
}

/* Eight fail in a row, but what was offered behind them is acknowledged: the member is not down, and
 * each counts an attempt. */
static void
test_failures_of_one_that_is_well(void)
{
    mesh *m = up(RULES, NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 20, false);

    mesh_publish(c, "t", "a", 20, 10);
    mesh_deliveries(sub, 20);
    mesh_settle_many(sub, 8, 12, EMESH_SETTLE_DONE);
    mesh_settle_many(sub, 0, 8, EMESH_SETTLE_RETRY);
    mesh_deliveries(sub, 28);
    for (uint32_t i = 20; i < 28; i++)
        g_assert_cmpuint(mesh_attempt(sub, i), ==, 2);
    mesh_free(m);
}

/* All that is open fails at once, as deadlines of a subscriber that hung do: that is one failure of the
 * group, not one for each event, so it is tried again after a second and not after a minute. */
static void
test_failures_all_at_once(void)
{
    mesh *m = up("[group g]\nretry-wait = 1ms\nretry-wait-max = 1ms\n", NULL);
    mesh_client *c[2] = { mesh_client_new(m, 0), mesh_client_new(m, 1) };
    mesh_sub *sub[2];
    uint32_t had[2] = { 0 }, acked = 0;
    int64_t until;

    for (uint32_t i = 0; i < 2; i++)
        sub[i] = mesh_subscribe(c[i], "t", "g", EMESH_SUB_SHARED, 32, false);
    mesh_publish(c[0], "t", "e", 64, 10);
    for (uint32_t i = 0; i < 2; i++)
        mesh_deliveries(sub[i], 32);
    for (uint32_t i = 0; i < 2; i++, had[i - 1] = 32)
        mesh_settle_many(sub[i], 0, 32, EMESH_SETTLE_RETRY);
    until = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    while (acked < 64) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
        for (uint32_t i = 0; i < 2; i++)
            for (; had[i] < mesh_n_deliveries(sub[i]); had[i]++, acked++)
                mesh_settle(sub[i], had[i], EMESH_SETTLE_DONE, 0);
    }
    mesh_free(m);
}

/* More events that fail wherever they go than open a breaker, and good ones behind them: the member is
 * tried with one of the latter, so all of these come, and in the end each of the former is buried. */
static void
test_poison_stops_nobody(void)
{
    mesh *m = up(RULES, NULL);
    mesh_client *c = mesh_client_new(m, 0), *admin = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
    mesh_sub *letters = mesh_subscribe(admin, MESH_LETTERS, "admin", EMESH_SUB_SHARED, 10, true);
    uint32_t had = 0, good = 0, sent = 0;
    int64_t until = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    mesh_publish(c, "t", "poison", 8, 10);
    while (good < 5 || mesh_n_deliveries(letters) < 8) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        if (sent <= good) { /* somebody goes on publishing */
            mesh_publish(c, "t", "good", 1, 10);
            sent++;
        }
        g_usleep(1000);
        for (; had < mesh_n_deliveries(sub); had++) {
            bool is_good = mesh_delivered(sub, had)[0] == 'g';
            good += is_good;
            mesh_settle(sub, had, is_good ? EMESH_SETTLE_DONE : EMESH_SETTLE_RETRY, 0);
        }
    }
    g_test_message("%u good ones meanwhile", good);
    g_assert_cmpuint(mesh_n_deliveries(letters), ==, 8);
    mesh_free(m);
}

/* Events that fail for ever come back in a row, as many as a breaker takes, while the member takes all
 * else: that says nothing of the member, which goes on getting as much as before. */
static void
test_poison_comes_again(void)
{
    mesh *m = up("[group g]\nattempts = 5\nretry-wait = 100ms\n", NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 30, false);

    for (uint32_t i = 0; i < 12; i++)
        mesh_publish(c, "t", i % 2 == 0 ? "poison" : "good", 1, 10);
    mesh_deliveries(sub, 12);
    for (uint32_t i = 0; i < 12; i++)
        mesh_settle(sub, i, i % 2 == 0 ? EMESH_SETTLE_RETRY : EMESH_SETTLE_DONE, 0);
    mesh_deliveries(sub, 18);
    mesh_publish(c, "t", "good", 1, 10);
    mesh_deliveries(sub, 19);
    mesh_settle(sub, 18, EMESH_SETTLE_DONE, 0);
    mesh_settle_many(sub, 12, 6, EMESH_SETTLE_RETRY);
    mesh_publish(c, "t", "new", 10, 10);
    mesh_deliveries(sub, 35); /* none of them acknowledged: it is not tried with one at a time */
    for (uint32_t i = 12; i < 18; i++)
        g_assert_cmpuint(mesh_attempt(sub, i), ==, 2);
    mesh_free(m);
}

/* More events that fail wherever they go, each for the whole of its deadline, than a member has at a
 * time, while others are published: the latter flow all the while, and the former are buried. */
static void
test_much_poison(void)
{
    mesh *m = up("[group g]\nattempts = 3\nretry-wait = 20ms\nretry-wait-max = 20ms\n"
                 "ack-timeout = 100ms\n", NULL);
    mesh_client *c = mesh_client_new(m, 0), *admin = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 2, false);
    mesh_sub *letters = mesh_subscribe(admin, MESH_LETTERS, "admin", EMESH_SUB_SHARED, 200, true);
    uint32_t had = 0, good = 0, sent = 0, poison = 0;
    int64_t begun = g_get_monotonic_time(), last = begun, longest = 0;

    while (mesh_n_deliveries(letters) < 20) {
        g_assert_cmpint(g_get_monotonic_time(), <, begun + 60 * G_TIME_SPAN_SECOND);
        if (sent <= good + 8) {
            sent += mesh_publish(c, "t", "good", 1, 10);
            if (sent % 9 == 0 && poison < 20)
                poison += mesh_publish(c, "t", "poison", 1, 10);
        }
        g_usleep(500);
        for (; had < mesh_n_deliveries(sub); had++) {
            if (mesh_delivered(sub, had)[0] != 'g')
                continue;
            mesh_settle(sub, had, EMESH_SETTLE_DONE, 0);
            good++;
            longest = MAX(longest, g_get_monotonic_time() - last);
            last = g_get_monotonic_time();
        }
    }
    g_test_message("%.1f s, %u good ones meanwhile, at most %.1f s between two of them",
                   (double)(g_get_monotonic_time() - begun) / 1e6, good, (double)longest / 1e6);
    g_assert_cmpuint(good, >, 200);
    g_assert_cmpint(longest, <, G_TIME_SPAN_SECOND);
    mesh_free(m);
}

/* The same with nothing new: whether the member is down cannot be told, so each has its attempts and
 * is buried; a group does not stand still for ever because its last events are bad. */
static void
test_poison_alone(void)
{
    mesh *m = up("[group g]\nattempts = 2\nretry-wait = 1ms\nretry-wait-max = 1ms\n", NULL);
    mesh_client *c = mesh_client_new(m, 0), *admin = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
    mesh_sub *letters = mesh_subscribe(admin, MESH_LETTERS, "admin", EMESH_SUB_SHARED, 10, true);
    uint32_t had = 0;
    int64_t until = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;

    mesh_publish(c, "t", "poison", 6, 10);
    while (mesh_n_deliveries(letters) < 6) {
        g_assert_cmpint(g_get_monotonic_time(), <, until);
        g_usleep(1000);
        for (; had < mesh_n_deliveries(sub); had++)
            mesh_settle(sub, had, EMESH_SETTLE_RETRY, 0);
    }
    mesh_free(m);
}

/* A member has no room for the next of a key; when it has, the next one is still the next. */
static void
test_order_without_room(void)
{
    mesh *m = up("[group g]\norder = key\nstart = earliest\n", NULL);
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1);
    static const char *const order[] = { "a0", "b0", "c0", "d0" };
    mesh_sub *sub;

    for (uint32_t i = 0; i < 4; i++) {
        char id[] = { order[i][0], '\0' };
        mesh_publish_attr(p, "t", id, "partitionkey", i == 1 ? "other" : "one");
    }
    mesh_results(p, 4);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 2, false); /* and three are read */
    mesh_deliveries(sub, 2);
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0); /* room for one, and the fourth is read */
    mesh_publish_attr(p, "t", "e", "partitionkey", "third");
    mesh_deliveries(sub, 3);
    mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
    for (uint32_t i = 2, next = 2; next < G_N_ELEMENTS(order); i++) {
        mesh_deliveries(sub, i + 1);
        if (mesh_delivered(sub, i)[0] != 'e')
            g_assert_cmpstr(mesh_delivered(sub, i), ==, order[next++]);
        mesh_settle(sub, i, EMESH_SETTLE_DONE, 0);
    }
    mesh_free(m);
}

/* One key, three members: what failed comes first again, and then the rest in order; other keys do
 * not wait for it. */
static void
test_order_by_key(void)
{
    mesh *m = up("[group g]\norder = key\nretry-wait = 300ms\nretry-wait-max = 300ms\n", NULL);
    mesh_client *p = mesh_client_new(m, 0), *c[3];
    mesh_sub *sub[3];
    uint32_t had[3] = { 0 }, next = 0, other = 0, failed = 0;

    for (uint32_t i = 0; i < 3; i++) {
        c[i] = mesh_client_new(m, i);
        sub[i] = mesh_subscribe(c[i], "t", "g", EMESH_SUB_SHARED, 10, false);
    }
    for (uint32_t i = 0; i < 30; i++) {
        g_autofree char *k = g_strdup_printf("k%02u-", i), *l = g_strdup_printf("l%02u-", i);
        mesh_publish_attr(p, "t", k, "partitionkey", "one");
        mesh_publish_attr(p, "t", l, "partitionkey", "other");
    }
    while (next < 30 || other < 30) {
        for (uint32_t i = 0; i < 3; i++) {
            for (; had[i] < mesh_n_deliveries(sub[i]); had[i]++) {
                const char *id = mesh_delivered(sub[i], had[i]);
                uint32_t n = (uint32_t)atoi(id + 1);
                bool fails = id[0] == 'k' && n % 10 == 3 && mesh_attempt(sub[i], had[i]) == 1;
                if (id[0] == 'k' && !fails && n == next)
                    next++;
                else if (id[0] == 'l')
                    g_assert_cmpuint(n, ==, other++);
                failed += fails;
                mesh_settle(sub[i], had[i],
                            fails                       ? EMESH_SETTLE_RETRY
                            : id[0] == 'k' && n >= next ? EMESH_SETTLE_RETURN
                                                        : EMESH_SETTLE_DONE,
                            0);
            }
        }
        g_main_context_iteration(NULL, FALSE);
    }
    g_assert_cmpuint(failed, ==, 3);
    mesh_free(m);
}

static void
test_delayed(void)
{
    mesh *m = up(NULL, NULL);
    mesh_client *c = mesh_client_new(m, 0);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, true);
    int64_t from = g_get_real_time();
    g_autofree char *instant = g_strdup_printf("%" G_GINT64_FORMAT, from / 1000 + 300);
    static const char *const order[] = { "word0", "past0", "soon0", "level0" };

    mesh_publish_attr(c, "t", "level", "delay", "1");
    mesh_publish_attr(c, "t", "soon", "deliverytime", instant);
    mesh_publish_attr(c, "t", "word", "delay", "abc");
    mesh_publish_attr(c, "t", "past", "deliverytime", "2001-01-01T00:00:00Z");
    g_assert_cmpuint(mesh_results(c, 4), ==, 4);
    mesh_publish_attr(c, "t", "far", "deliverytime", "2101-01-01T00:00:00Z");
    g_assert_cmpuint(mesh_results(c, 5), ==, 4); /* more than 30 days */
    mesh_deliveries(sub, 4);
    for (uint32_t i = 0; i < 4; i++)
        g_assert_cmpstr(mesh_delivered(sub, i), ==, order[i]);
    assert_attr(sub, 0, "delay", "abc");
    g_assert_cmpint(mesh_delivered_us(sub, 2) - from, >=, 299000);
    g_assert_cmpint(mesh_delivered_us(sub, 3) - from, >=, 999000);
    mesh_free(m);
}

/* A long wait is the inbox's: the window is free for others, and a restart keeps both. */
static void
test_parked(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = g_dir_make_tmp("emesh-fate-XXXXXX", &error);
    mesh *m;
    mesh_client *c;
    mesh_sub *sub;
    int64_t from = g_get_real_time();

    g_assert_no_error(error);
    m = up(NULL, data);
    c = mesh_client_new(m, 0);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 2, false);
    mesh_publish(c, "t", "a", 3, 10);
    mesh_deliveries(sub, 2);
    mesh_settle(sub, 0, EMESH_SETTLE_RETRY, 9000);
    mesh_deliveries(sub, 3);
    g_assert_cmpstr(mesh_delivered(sub, 2), ==, "a2");
    mesh_settle(sub, 1, EMESH_SETTLE_DONE, 0);
    mesh_settle(sub, 2, EMESH_SETTLE_DONE, 0);
    mesh_free(m);

    m = up(NULL, data);
    c = mesh_client_new(m, 1);
    sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 2, true);
    mesh_deliveries(sub, 1);
    g_assert_cmpstr(mesh_delivered(sub, 0), ==, "a0");
    g_assert_cmpuint(mesh_attempt(sub, 0), ==, 2);
    g_assert_cmpint(mesh_delivered_us(sub, 0) - from, >=, 9000000);
    mesh_publish(c, "t", "b", 1, 10);
    mesh_deliveries(sub, 2);
    g_assert_cmpstr(mesh_delivered(sub, 1), ==, "b0");
    mesh_free(m);
    mesh_remove_tree(data);
}

/* One member holds its events and never says a word: the others get all the rest, the floor passes
 * what it holds, and when it goes its events are another's at once. */
static void
test_slow_holder(void)
{
    mesh *m = up("[daemon]\nwindow-events = 64\n", NULL);
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1), *d = mesh_client_new(m, 0);
    mesh_sub *slow = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 4, false), *good;
    bool seen[500] = { false };

    for (uint32_t n = 0; n < 4; n++)
        mesh_publish(p, "t", n == 0 ? "a" : n == 1 ? "b" : n == 2 ? "c" : "d", 1, 10);
    mesh_deliveries(slow, 4);
    good = mesh_subscribe(d, "t", "g", EMESH_SUB_SHARED, 100, true);
    mesh_publish(p, "t", "e", 200, 10);
    mesh_deliveries(good, 200); /* many windows of 64: the hole does not stop it */
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t n = (uint32_t)atoi(mesh_delivered(good, i) + 1);
        g_assert_cmpint(mesh_delivered(good, i)[0], ==, 'e');
        g_assert_false(seen[n]);
        seen[n] = true;
    }
    mesh_settle(slow, 0, EMESH_SETTLE_DONE, 0); /* late, but not too late: it is never again */
    mesh_client_close(c, EMESH_LEFT_ORDERLY);
    mesh_deliveries(good, 203);
    for (uint32_t i = 200; i < 203; i++)
        g_assert_cmpint(mesh_delivered(good, i)[0], !=, 'a');
    mesh_publish(p, "t", "z", 1, 10);
    mesh_deliveries(good, 204);
    g_assert_cmpuint(mesh_n_deliveries(good), ==, 204);
    mesh_free(m);
}

/* One that failed and waits does not stop what is behind it at the end of the window. */
static void
test_wait_stops_nobody(void)
{
    mesh *m = up("[daemon]\nwindow-events = 64\n[group g]\nretry-wait = 4s\n", NULL);
    mesh_client *c = mesh_client_new(m, 1);
    mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 100, false);

    mesh_publish(c, "t", "a", 1, 10);
    mesh_deliveries(sub, 1);
    mesh_settle(sub, 0, EMESH_SETTLE_RETRY, 0);
    mesh_publish(c, "t", "e", 200, 10);
    for (uint32_t i = 1; i <= 200; i++) {
        mesh_deliveries(sub, i + 1);
        g_assert_cmpint(mesh_delivered(sub, i)[0], ==, 'e');
        mesh_settle(sub, i, EMESH_SETTLE_DONE, 0);
    }
    mesh_deliveries(sub, 202);
    g_assert_cmpstr(mesh_delivered(sub, 201), ==, "a0");
    g_assert_cmpuint(mesh_attempt(sub, 201), ==, 2);
    mesh_free(m);
}

static void
see_blocked(void *ctx, const emesh_finding *finding)
{
    *(bool *)ctx |= strcmp(finding->finding, "dead-letter-blocked") == 0;
}

static bool
letters_blocked(void *ctx)
{
    bool seen = false;

    emesh_findings_each(mesh_bus(ctx), see_blocked, &seen);
    return seen;
}

/* Dead letters that cannot be written settle nothing: the event is the next member's. */
static void
test_dead_letters_blocked(void)
{
    mesh *m = up("[group g]\ndead-letter-store = nowhere\n", NULL);
    mesh_client *c = mesh_client_new(m, 0);

    for (uint32_t life = 0; life < 2; life++) {
        mesh_sub *sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 10, false);
        uint32_t at = life == 0; /* a group that has settled something has a place to come back to */
        if (life == 0) {
            mesh_publish(c, "t", "z", 1, 10);
            mesh_deliveries(sub, 1);
            mesh_settle(sub, 0, EMESH_SETTLE_DONE, 0);
            mesh_publish(c, "t", "a", 2, 10);
        }
        mesh_deliveries(sub, at + 2);
        g_assert_cmpstr(mesh_delivered(sub, at), ==, "a0");
        mesh_settle(sub, at, EMESH_SETTLE_DEAD, 0);
        mesh_wait(letters_blocked, m);
        mesh_settle(sub, at + 1, EMESH_SETTLE_RETURN, 0);
        mesh_deliveries(sub, at + 3);
        g_assert_cmpstr(mesh_delivered(sub, at + 2), ==, "a1");
        mesh_unsubscribe(sub);
        mesh_settle(sub, at + 2, EMESH_SETTLE_RETURN, 0);
        while (mesh_members(c) > 0)
            g_main_context_iteration(NULL, FALSE);
    }
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

/* The topic goes while somebody holds events of it that left the window. */
static void
test_held_topic_goes(void)
{
    mesh *m = up("[daemon]\nwindow-events = 64\n", NULL);
    mesh_client *p = mesh_client_new(m, 0), *c = mesh_client_new(m, 1);
    mesh_sub *slow = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 4, false), *good;
    int32_t code = 1;

    mesh_publish(p, "t", "a", 4, 10);
    mesh_deliveries(slow, 4);
    good = mesh_subscribe(p, "t", "g", EMESH_SUB_SHARED, 100, true);
    mesh_publish(p, "t", "e", 100, 10);
    mesh_deliveries(good, 100);
    emesh_topic_delete_main(mesh_bus(m), "t", 1, remember, &code);
    mesh_wait(is_told, &code);
    g_assert_cmpint(code, ==, EMESH_OK);
    mesh_settle(slow, 0, EMESH_SETTLE_DONE, 0);
    mesh_free(m);
}

#if MESH_REMEMBERS
/* Attempts are the store's to remember: a restart gives none away. */
static void
test_attempts_survive(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *data = g_dir_make_tmp("emesh-fate-XXXXXX", &error);
    mesh_sub *sub;

    g_assert_no_error(error);
    for (uint32_t life = 0; life < 3; life++) {
        mesh *m = up("[group g]\nretry-wait = 5s\n", data);
        mesh_client *c = mesh_client_new(m, 0);
        sub = mesh_subscribe(c, "t", "g", EMESH_SUB_SHARED, 2, false);
        if (life == 0)
            mesh_publish(c, "t", "a", 1, 10);
        mesh_deliveries(sub, 1);
        g_assert_cmpuint(mesh_attempt(sub, 0), ==, life + 1);
        mesh_settle(sub, 0, EMESH_SETTLE_RETRY, 0);
        mesh_free(m);
    }
    mesh_remove_tree(data);
}
#endif

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fate/buried-after-the-last-attempt", test_buried_after_the_last_attempt);
    g_test_add_func("/fate/rejected-at-once", test_rejected_at_once);
    g_test_add_func("/fate/dead-letters-off", test_dead_letters_off);
    g_test_add_func("/fate/never-buried-twice", test_never_buried_twice);
    g_test_add_func("/fate/no-acknowledgement-in-time", test_no_acknowledgement_in_time);
    g_test_add_func("/fate/left-with-something-open", test_left_with_something_open);
    g_test_add_func("/fate/expired", test_expired);
    g_test_add_func("/fate/killed-sessions", test_killed_sessions);
    g_test_add_func("/fate/member-that-is-down", test_member_that_is_down);
    g_test_add_func("/fate/much-poison", test_much_poison);
    g_test_add_func("/fate/failures-of-one-that-is-well", test_failures_of_one_that_is_well);
    g_test_add_func("/fate/failures-all-at-once", test_failures_all_at_once);
    g_test_add_func("/fate/poison-stops-nobody", test_poison_stops_nobody);
    g_test_add_func("/fate/poison-comes-again", test_poison_comes_again);
    g_test_add_func("/fate/poison-alone", test_poison_alone);
    g_test_add_func("/fate/order-by-key", test_order_by_key);
    g_test_add_func("/fate/order-without-room", test_order_without_room);
    g_test_add_func("/fate/delayed", test_delayed);
    g_test_add_func("/fate/parked", test_parked);
    g_test_add_func("/fate/delivery-test-7/slow-holder", test_slow_holder);
    g_test_add_func("/fate/wait-stops-nobody", test_wait_stops_nobody);
    g_test_add_func("/fate/dead-letters-blocked", test_dead_letters_blocked);
    g_test_add_func("/fate/held-topic-goes", test_held_topic_goes);
#if MESH_REMEMBERS
    g_test_add_func("/fate/attempts-survive", test_attempts_survive);
#endif
    return g_test_run();
}
