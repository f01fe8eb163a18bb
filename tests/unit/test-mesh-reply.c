/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and replies between two meshes on one broker, whose store routes replies: the requester is
 * here, the responder there.
 */
#include "bus/lane.h"
#include "harness/rr.h"
#include "harness/store-broker.h"

#include <string.h>

typedef struct setting {
    broker *b;
    mesh *here, *there;
    mesh_client *asker, *responder;
    rr *r;
    mesh_sub *sub;
} setting;

static mesh *
mesh_at(broker *b, const char *address)
{
    char options[200];

    broker_options(b, address, options, sizeof options);
    return mesh_new(broker_plugin(), options, 2, NULL, NULL);
}

static setting
set_up(void)
{
    setting s = { .b = broker_new() };

    s.here = mesh_at(s.b, "here");
    s.there = mesh_at(s.b, "there");
    s.asker = mesh_client_new(s.here, 1);
    s.responder = mesh_client_new(s.there, 1);
    s.r = rr_new(s.asker);
    s.sub = mesh_subscribe(s.responder, "ask", "g", EMESH_SUB_SHARED, 1000, false);
    return s;
}

static void
tear_down(setting *s)
{
    g_assert_cmpuint(rr_twice(s->r), ==, 0);
    mesh_free(s->here);
    mesh_free(s->there);
    rr_free(s->r);
    broker_free(s->b);
}

/* delivery-test-19, two daemons on a broker. */
static void
test_across(void)
{
    setting s = set_up();
    g_autofree char *address = NULL;

    for (uint32_t i = 0; i < 50; i++) {
        char id[16];
        g_snprintf(id, sizeof id, "q%u", i);
        rr_ask(s.r, "ask", id, "15000", 0);
    }
    rr_reply_all(s.sub, 50);
    address = mesh_attr(s.sub, 0, "reply99to99client");
    g_assert_cmpstr(address, ==, "here");
    rr_wait(s.r, 50);
    for (uint32_t i = 0; i < 50; i++) {
        char id[16];
        g_snprintf(id, sizeof id, "q%u", i);
        g_autofree char *answer = rr_answer(s.r, id);
        g_assert_cmpstr(answer, ==, id);
    }
    g_assert_cmpuint(broker_replies(s.b), ==, 50);
    RR_WAIT_COUNT(s.there, replies_out, 50);
    g_assert_cmpuint(RR_COUNT(s.here, replies), ==, 50);
    tear_down(&s);
}

/* delivery-test-19: answered at ttl when the reply is lost; who asked is gone; nothing old is seen. */
static void
test_lost_and_gone(void)
{
    setting s = set_up();
    mesh_client *gone = mesh_client_new(s.here, 0);
    rr *r = rr_new(gone);

    broker_lose_replies(s.b, 1);
    rr_ask(s.r, "ask", "lost", "500", 0);
    mesh_deliveries(s.sub, 1);
    g_assert_cmpint(rr_reply(s.sub, 0, RR_COPY, "x"), ==, EMESH_OK);
    rr_wait(s.r, 1);
    g_assert_cmpint(rr_code(s.r, "lost"), ==, EMESH_E_TIMEOUT);
    broker_lose_replies(s.b, 0);
    rr_ask(r, "ask", "gone", "10000", 0);
    mesh_deliveries(s.sub, 2);
    mesh_client_close(gone, EMESH_LEFT_CUT);
    g_assert_cmpint(rr_reply(s.sub, 1, RR_COPY, "x"), ==, EMESH_OK);
    RR_WAIT_COUNT(s.here, replies_dropped, 1);
    g_assert_cmpuint(RR_COUNT(s.here, replies), ==, 0);
    g_assert_cmpint(rr_reply_to(s.responder, "0123.4567.89", NULL, "x"), ==, EMESH_E_NOT_FOUND);
    tear_down(&s);
    rr_free(r);
}

/* The daemon that asked is another life of the one that has its address now. */
static void
test_other_life(void)
{
    setting s = set_up();

    g_assert_cmpint(rr_reply_to(s.responder, "0123456789abcdef.01234567.0123456789abcdef", "here",
                                "x"), ==, EMESH_OK);
    for (uint32_t i = 0; __atomic_load_n(&mesh_bus(s.here)->replies_strange, __ATOMIC_RELAXED) == 0;
         i++) {
        g_assert_cmpuint(i, <, 20000);
        g_usleep(1000);
    }
    g_assert_cmpuint(RR_COUNT(s.here, replies), ==, 0);
    tear_down(&s);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mesh/reply/delivery-test-19-two-daemons", test_across);
    g_test_add_func("/mesh/reply/delivery-test-19-lost-and-gone", test_lost_and_gone);
    g_test_add_func("/mesh/reply/other-life", test_other_life);
    return g_test_run();
}
