/* SPDX-License-Identifier: Apache-2.0
 *
 * Request and reply over the embedded store, in one daemon: correlation, deadlines, bounds, replies
 * that nobody awaits. Two workers, so that replies cross.
 */
#include "bus/lane.h"
#include "event/event.h"
#include "harness/rr.h"

#include <stdlib.h>
#include <string.h>

const emesh_plugin *emesh_plugin_entry_1(uint32_t host_minor); /* of the store linked in */

typedef struct setting { /* one asker, one responder */
    mesh *m;
    mesh_client *a, *b;
    rr *r;
    mesh_sub *sub;
} setting;

static setting
set_up(const char *conf, uint32_t lane_a, uint32_t lane_b)
{
    setting s = { .m = mesh_new(emesh_plugin_entry_1(0), MESH_OPTIONS, 2, conf, NULL) };

    s.a = mesh_client_new(s.m, lane_a);
    s.b = mesh_client_new(s.m, lane_b);
    s.r = rr_new(s.a);
    s.sub = mesh_subscribe(s.b, "ask", "g", EMESH_SUB_SHARED, 1000, false);
    g_assert_cmpint(mesh_sub_code(s.sub), ==, EMESH_OK);
    return s;
}

static void
tear_down(setting *s)
{
    g_assert_cmpuint(rr_twice(s->r), ==, 0);
    mesh_free(s->m); /* waits for what is under way */
    rr_free(s->r);
}

static void
one_answer(setting *s, const char *id, rr_kind kind, uint32_t i)
{
    g_autofree char *answer = NULL;
    uint32_t results = rr_results(s->r);

    rr_ask(s->r, "ask", id, NULL, 0);
    mesh_deliveries(s->sub, i + 1);
    g_assert_cmpstr(mesh_delivered(s->sub, i), ==, id);
    g_assert_cmpuint(mesh_delivery_flags(s->sub, i), ==, EMESH_DELIVERY_REQUEST);
    g_assert_cmpint(rr_reply(s->sub, i, kind, id), ==, EMESH_OK);
    rr_wait(s->r, results + 1);
    answer = rr_answer(s->r, id);
    g_assert_cmpint(rr_code(s->r, id), ==, EMESH_OK);
    g_assert_cmpstr(answer, ==, id);
}

static void
test_answered(const void *same_lane)
{
    setting s = set_up(NULL, 0, same_lane != NULL ? 0 : 1);
    g_autofree char *correlation = NULL, *address = NULL, *expires = NULL;
    uint64_t ms = 0, now = (uint64_t)g_get_real_time() / 1000u;

    one_answer(&s, "copy", RR_COPY, 0);
    one_answer(&s, "fresh", RR_FRESH, 1);
    one_answer(&s, "both", RR_BOTH, 2);
    correlation = mesh_attr(s.sub, 0, "correlation99id");
    address = mesh_attr(s.sub, 0, "reply99to99client");
    expires = mesh_attr(s.sub, 0, "expirytime");
    g_assert_cmpuint(strlen(correlation), ==, 42);
    g_assert_true(g_str_has_prefix(correlation, address)); /* no store routes: the daemon's id */
    g_assert_true(emesh_time_read(expires, strlen(expires), &ms));
    g_assert_cmpuint(ms, >=, now + 2900);
    g_assert_cmpuint(ms, <=, now + 4000);
    g_assert_cmpuint(RR_COUNT(s.m, replies), ==, 3);
    g_assert_cmpuint(mesh_bus(s.m)->requests, ==, 0);
    tear_down(&s);
}

/* delivery-test-19, embedded store: each of 50 in flight gets its own answer, in whatever order. */
static void
test_50_in_flight(void)
{
    setting s = set_up(NULL, 0, 1);

    for (uint32_t i = 0; i < 50; i++) {
        char id[16];
        g_snprintf(id, sizeof id, "q%u", i);
        rr_ask(s.r, "ask", id, "15000", 0);
    }
    rr_reply_all(s.sub, 50);
    rr_wait(s.r, 50);
    for (uint32_t i = 0; i < 50; i++) {
        char id[16];
        g_snprintf(id, sizeof id, "q%u", i);
        g_autofree char *answer = rr_answer(s.r, id);
        g_assert_cmpstr(answer, ==, id);
    }
    g_assert_cmpuint(RR_COUNT(s.m, replies), ==, 50);
    tear_down(&s);
}

/* delivery-test-19: no responder; one that comes after the deadline sees nothing old. */
static void
test_nobody_answers(void)
{
    setting s = set_up(NULL, 1, 0);
    mesh_sub *late;

    mesh_client_close(s.b, EMESH_LEFT_ORDERLY);
    rr_ask(s.r, "ask", "ttl", "300", 0);
    rr_ask(s.r, "ask", "deadline", "60000", 200);
    rr_wait(s.r, 2);
    g_assert_cmpint(rr_code(s.r, "ttl"), ==, EMESH_E_TIMEOUT);
    g_assert_cmpint(rr_code(s.r, "deadline"), ==, EMESH_E_TIMEOUT);
    g_assert_cmpfloat(rr_ms(s.r, "ttl"), >=, 299);
    g_assert_cmpfloat(rr_ms(s.r, "ttl"), <, 1500);
    g_assert_cmpfloat(rr_ms(s.r, "deadline"), >=, 199);
    g_assert_cmpfloat(rr_ms(s.r, "deadline"), <, 1500);
    g_assert_cmpuint(RR_COUNT(s.m, request_timeouts), ==, 2);
    s.b = mesh_client_new(s.m, 0);
    late = mesh_subscribe(s.b, "ask", "g", EMESH_SUB_SHARED, 10, true);
    mesh_publish(s.a, "ask", "event", 1, 10);
    mesh_deliveries(late, 1);
    g_assert_cmpstr(mesh_delivered(late, 0), ==, "event0");
    tear_down(&s);
}

/* delivery-test-19: who asked is gone; and the other replies that nobody awaits. */
static void
test_dropped(void)
{
    setting s = set_up(NULL, 0, 1);
    mesh_client *gone = mesh_client_new(s.m, 0);
    rr *r = rr_new(gone);
    g_autofree char *of_life = NULL;

    rr_ask(r, "ask", "gone", "10000", 0);
    mesh_deliveries(s.sub, 1);
    mesh_client_close(gone, EMESH_LEFT_CUT);
    g_assert_cmpuint(mesh_bus(s.m)->requests, ==, 0);
    rr_reply(s.sub, 0, RR_COPY, "too late");
    one_answer(&s, "first", RR_BOTH, 1);
    rr_reply(s.sub, 1, RR_COPY, "second");
    of_life = g_strdup_printf("%s.00000000.0000000000000000", mesh_bus(s.m)->daemon_id);
    g_assert_cmpint(rr_reply_to(s.b, of_life, NULL, "old"), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(rr_reply_to(s.b, "x.y.z", NULL, "?"), ==, EMESH_E_UNSUPPORTED);
    g_assert_cmpint(rr_reply_to(s.b, NULL, NULL, "?"), ==, EMESH_E_NOT_FOUND);
    RR_WAIT_COUNT(s.m, replies_dropped, 4); /* some are mail to the lane that asked */
    g_assert_cmpuint(RR_COUNT(s.m, replies_dropped), ==, 4);
    g_assert_cmpuint(RR_COUNT(s.m, replies_stray), ==, 1);
    g_assert_cmpuint(RR_COUNT(s.m, replies), ==, 1);
    tear_down(&s);
    rr_free(r);
}

/* A subscriber of ordinary events that answers each: nothing breaks. */
static void
test_stray(void)
{
    setting s = set_up(NULL, 0, 1);

    mesh_publish(s.a, "ask", "e", 1, 10);
    mesh_deliveries(s.sub, 1);
    g_assert_cmpuint(mesh_delivery_flags(s.sub, 0), ==, 0);
    g_assert_cmpint(rr_reply(s.sub, 0, RR_FRESH, "thanks"), ==, EMESH_OK);
    mesh_publish(s.a, "ask", "f", 1, 10);
    mesh_deliveries(s.sub, 2);
    RR_WAIT_COUNT(s.m, replies_stray, 1);
    g_assert_cmpuint(RR_COUNT(s.m, replies_stray), ==, 1);
    g_assert_cmpuint(RR_COUNT(s.m, replies_dropped), ==, 0);
    tear_down(&s);
}

static void
test_bounds(void)
{
    setting s = set_up("[daemon]\nsession-requests = 2\nrequest-wait = 400ms\n"
                       "request-wait-most = 500ms\n[topic small]\nmax-event = 1k\n", 0, 1);

    rr_ask(s.r, "ask", "a", "3600000", 0); /* cut to the most */
    rr_ask(s.r, "ask", "b", NULL, 0);
    rr_ask(s.r, "ask", "c", NULL, 0);
    rr_wait(s.r, 1);
    g_assert_cmpint(rr_code(s.r, "c"), ==, EMESH_E_BUSY);
    rr_wait(s.r, 3);
    g_assert_cmpint(rr_code(s.r, "a"), ==, EMESH_E_TIMEOUT);
    g_assert_cmpint(rr_code(s.r, "b"), ==, EMESH_E_TIMEOUT);
    g_assert_cmpfloat(rr_ms(s.r, "a"), <, 3000);
    rr_ask(s.r, "ask", "d", "abc", 0);
    rr_ask(s.r, "bad name", "e", NULL, 0);
    rr_wait(s.r, 5);
    g_assert_cmpint(rr_code(s.r, "d"), ==, EMESH_E_INVALID);
    g_assert_cmpint(rr_code(s.r, "e"), ==, EMESH_E_INVALID);
    g_assert_cmpuint(mesh_bus(s.m)->requests, ==, 0);
    one_answer(&s, "f", RR_COPY, 2);
    tear_down(&s);
}

/* Requests whose topic is still being opened when the session goes are never published. */
static void
test_gone_before_topic(void)
{
    setting s = set_up(NULL, 0, 1);

    for (uint32_t i = 0; i < 20; i++) {
        mesh_client *c = mesh_client_new(s.m, i % 2);
        rr *r = rr_new(c);
        char topic[16];
        g_snprintf(topic, sizeof topic, "new%u", i);
        rr_ask(r, topic, "x", NULL, 0);
        mesh_client_close(c, EMESH_LEFT_CUT);
        rr_free(r);
        mesh_publish(s.a, topic, "behind", 1, 10); /* the topic is there behind it */
        g_assert_cmpuint(mesh_results(s.a, i + 1), ==, i + 1);
    }
    g_assert_cmpuint(mesh_bus(s.m)->requests, ==, 0);
    g_assert_cmpuint(RR_COUNT(s.m, appended), ==, 20); /* of the publishes behind them alone */
    tear_down(&s);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/mesh/request/answered-across", NULL, test_answered);
    g_test_add_data_func("/mesh/request/answered-here", "here", test_answered);
    g_test_add_func("/mesh/request/delivery-test-19-50-in-flight", test_50_in_flight);
    g_test_add_func("/mesh/request/delivery-test-19-no-responder", test_nobody_answers);
    g_test_add_func("/mesh/request/delivery-test-19-dropped", test_dropped);
    g_test_add_func("/mesh/request/stray", test_stray);
    g_test_add_func("/mesh/request/bounds", test_bounds);
    g_test_add_func("/mesh/request/gone-before-topic", test_gone_before_topic);
    return g_test_run();
}
