/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions by bytes: hello in every era, control commands, expiry, goodbye, drain, bad input.
 */
#include "peer.h"
#include "event/event.h"

#include <string.h>

#define SECOND 1000000000ull

static ph_host *
host(const char *conf)
{
    return ph_new(emesh_plugin_entry_1(0), conf);
}

static void
test_hello_eras(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        for (int sub = 0; sub < 2; sub++) {
            g_autoptr(peer) p = peer_new(h, era);
            peer_hello(p, "orders", sub ? "sub" : "pub");
            ph_session *s = ph_last_session(h);
            g_assert_cmpstr(s->client, ==, "5017/10.0.0.9");
            g_assert_cmpstr(g_hash_table_lookup(s->labels, "group"), ==,
                            era <= 'B' && !sub ? "orders-p" : "orders");
            g_assert_cmpstr(g_hash_table_lookup(s->labels, "purpose"), ==, sub ? "sub" : "pub");
            g_assert_cmpstr(g_hash_table_lookup(s->labels, "pid"), ==, "428");
            g_assert_cmpstr(g_hash_table_lookup(s->labels, "protocol"), ==, "tcp");
            const char *told = g_hash_table_lookup(s->labels, "era");
            g_assert_cmpint(told[0], ==, era == 'E' ? 'D' : era);
            /* a second one changes nothing */
            peer_hello(p, "other", "pub");
            g_assert_true(ph_last_session(h) == s);
            peer_silent(p);
            g_assert_false(p->conn->closing);
        }
    }
    ph_free(h);
}

static void
check_refused(ph_host *h, char era, const char *agent, const char *desc)
{
    g_autoptr(peer) p = peer_new(h, era);
    guint sessions = h->sessions->len;
    peer_send(p, "HELLO_REQUEST", "42", NULL, agent, -1);
    g_autoptr(answer) a = peer_expect(p, "HELLO_RESPONSE", 1, "42");
    g_assert_cmpstr(answer_text(a, "desc"), ==, desc);
    g_assert_cmpstr(answer_text(a, "msg"), ==, desc);
    g_assert_true(p->conn->closing);
    g_assert_cmpuint(p->conn->how, ==, EMESH_CLOSE_FLUSH);
    g_assert_cmpuint(h->sessions->len, ==, sessions);
}

static void
test_hello_refused(void)
{
    ph_host *h = host("");
    check_refused(h, 'D', NULL, "client info cannot be null");
    check_refused(h, 'C', NULL, "client info cannot be null");
    check_refused(h, 'D', "{\"purpose\":\"pub\",\"group\":\"g\"}", "client version cannot be null");
    check_refused(h, 'D', "{\"version\":null,\"purpose\":\"pub\",\"group\":\"g\"}",
                  "client version cannot be null");
    check_refused(h, 'D', "{\"version\":\"1\",\"purpose\":\"PUB\",\"group\":\"g\"}",
                  "client purpose config is error");
    check_refused(h, 'D', "{\"version\":\"1\",\"purpose\":\"sub\",\"group\":\" \"}",
                  "client group cannot be null");
    check_refused(h, 'B', "{\"version\":\"1\",\"purpose\":\"sub\"}",
                  "client consumerGroup cannot be null");
    check_refused(h, 'A', "{\"version\":\"1\",\"purpose\":\"pub\"}",
                  "client producerGroup cannot be null");
    check_refused(h, 'D', "{\"version\":[}", "malformed client info: a value is malformed");
    /* the least that is accepted */
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_send(p, "HELLO_REQUEST", "1", NULL,
              "{\"version\":\"\",\"purpose\":\"sub\",\"group\":\"g\",\"new\":{\"a\":[1]}}", -1);
    peer_check(p, "HELLO_RESPONSE", 0, "1");
    ph_free(h);
}

/* The mesh says no, or takes its time: frames behind the HELLO wait. */
static void
test_hello_waits(void)
{
    ph_host *h = host("");
    h->auto_open = false;
    g_autoptr(peer) p = peer_new(h, 'E');
    g_autofree char *agent = peer_agent('E', "g", "pub");
    peer_send(p, "HELLO_REQUEST", "1", NULL, agent, -1);
    peer_send(p, "HEARTBEAT_REQUEST", "2", NULL, NULL, -1);
    peer_silent(p);
    g_assert_true(p->conn->paused);
    ph_opened(ph_last_session(h), EMESH_OK, NULL);
    peer_check(p, "HELLO_RESPONSE", 0, "1");
    peer_check(p, "HEARTBEAT_RESPONSE", 0, "2");

    g_autoptr(peer) q = peer_new(h, 'E');
    peer_send(q, "HELLO_REQUEST", "3", NULL, agent, -1);
    ph_opened(ph_last_session(h), EMESH_E_DENIED, "no such user \"x\"");
    g_autoptr(answer) a = peer_expect(q, "HELLO_RESPONSE", 1, "3");
    g_assert_cmpstr(answer_text(a, "desc"), ==, "no such user \"x\"");
    g_assert_true(q->conn->closing);

    g_autoptr(peer) r = peer_new(h, 'E'); /* gone before the answer */
    peer_send(r, "HELLO_REQUEST", "4", NULL, agent, -1);
    ph_cut(r->conn, EMESH_E_LOST);
    g_assert_true(ph_last_session(h)->closed);
    ph_free(h);
}

static void
test_no_session(void)
{
    static const struct {
        const char *cmd, *reply;
    } early[] = {
        { "HEARTBEAT_REQUEST", "HEARTBEAT_RESPONSE" },
        { "SUBSCRIBE_REQUEST", "SUBSCRIBE_RESPONSE" },
        { "UNSUBSCRIBE_REQUEST", "UNSUBSCRIBE_RESPONSE" },
        { "LISTEN_REQUEST", "LISTEN_RESPONSE" },
        { "CLIENT_GOODBYE_REQUEST", "CLIENT_GOODBYE_RESPONSE" },
        { "REQUEST_TO_SERVER", "RESPONSE_TO_CLIENT" },
        { "ASYNC_MESSAGE_TO_SERVER", "ASYNC_MESSAGE_TO_SERVER_ACK" },
        { "BROADCAST_MESSAGE_TO_SERVER", "BROADCAST_MESSAGE_TO_SERVER_ACK" },
        { "ASYNC_MESSAGE_TO_CLIENT_ACK", "ASYNC_MESSAGE_TO_CLIENT_ACK" },
        { "REGISTER_REQUEST", "REGISTER_REQUEST" },
    };
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        for (guint i = 0; i < G_N_ELEMENTS(early); i++) {
            peer_send(p, early[i].cmd, "9", NULL, NULL, -1);
            g_autoptr(answer) a = peer_expect(p, early[i].reply, 1, "9");
            g_assert_cmpstr(answer_text(a, "desc"), ==, "java.lang.Exception: no session is found");
            g_assert_cmpstr(a->body, ==, i == 5 ? "null" : "");
        }
        peer_send(p, "RESPONSE_TO_SERVER", "9", NULL, NULL, -1);
        peer_silent(p);
        peer_send(p, "RECOMMEND_REQUEST", "9", NULL, "{}", -1);
        peer_check(p, "RECOMMEND_RESPONSE", 1, "9");
        peer_hello(p, "g", "pub"); /* still welcome */
    }
    ph_free(h);
}

static void
test_control(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        peer_hello(p, "g", "sub");
        peer_send(p, "HEARTBEAT_REQUEST", "8501234567", NULL, NULL, -1);
        peer_check(p, "HEARTBEAT_RESPONSE", 0, "8501234567");
        peer_listen(p);
        peer_listen(p); /* scenario 28: every LISTEN is answered */
        peer_send(p, "UNSUBSCRIBE_REQUEST", "1", NULL, NULL, -1);
        peer_check(p, "UNSUBSCRIBE_RESPONSE", 0, "1");
        peer_send(p, "SUBSCRIBE_REQUEST", "2", NULL, NULL, -1);
        peer_check(p, "SUBSCRIBE_RESPONSE", 1, "2");
        peer_send(p, "SYS_LOG_TO_LOGSERVER", "3", NULL, "{}", -1);
        peer_check(p, "SYS_LOG_TO_LOGSERVER", 1, "3");
        peer_send(p, "HELLO_RESPONSE", "4", NULL, NULL, -1);
        peer_check(p, "HELLO_RESPONSE", 1, "4");
        peer_send(p, "REQUEST_TO_SERVER", "5", em_props,
                  "{\"topic\":\"T\",\"properties\":{},\"body\":\"x\"}", -1);
        g_autoptr(answer) a = peer_expect(p, "RESPONSE_TO_CLIENT", 1, "5");
        g_assert_cmpstr(a->body, ==, "null");
        peer_send(p, "RESPONSE_TO_SERVER", "6", em_props, "{}", -1);
        peer_send(p, "RESPONSE_TO_CLIENT_ACK", "7", NULL, "\"x\"", -1);
        peer_silent(p);
        /* no seq in, no seq out; a number as command */
        g_autoptr(GByteArray) odd = peer_frame(era, "{\"cmd\":0}", NULL, -1);
        ph_feed(p->conn, odd->data, odd->len);
        g_autoptr(answer) b = peer_expect(p, "HEARTBEAT_RESPONSE", 0, NULL);
        g_assert_false(json_object_has_member(b->header, "seq"));
        g_assert_false(p->conn->closing);
    }
    g_autoptr(peer) pub = peer_new(h, 'E');
    peer_hello(pub, "g", "pub");
    peer_send(pub, "LISTEN_REQUEST", "1", NULL, NULL, -1);
    peer_check(pub, "LISTEN_RESPONSE", 1, "1");
    ph_free(h);
}

/* ---- subscribe ---- */

static ph_member *
member(ph_host *h, guint i)
{
    return ph_last_session(h)->members->pdata[i];
}

static void
test_listen(void)
{
    ph_host *h = host("window = 77\nwindow-bytes = 1MiB\n");
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "sub");
    peer_subscribe(p, "T", "CLUSTERING", "ASYNC");
    g_assert_cmpuint(member(h, 0)->window_events, ==, 0); /* recorded, receives nothing */
    g_assert_cmpstr(member(h, 0)->group, ==, "g");
    g_assert_cmpuint(member(h, 0)->mode, ==, EMESH_SUB_SHARED);
    g_assert_cmpuint(member(h, 0)->ack_timeout_ns, ==, 15 * 60 * SECOND);
    peer_listen(p);
    g_assert_cmpuint(member(h, 0)->window_events, ==, 77);
    g_assert_cmpuint(member(h, 0)->window_bytes, ==, 1 << 20);
    peer_subscribe(p, "U", "BROADCASTING", "SYNC"); /* at once after LISTEN */
    g_assert_cmpuint(member(h, 1)->window_events, ==, 77);
    g_assert_cmpuint(member(h, 1)->mode, ==, EMESH_SUB_EVERY);
    peer_subscribe(p, "T", "BROADCASTING", "SYNC"); /* keeps its first mode */
    g_assert_cmpuint(ph_last_session(h)->members->len, ==, 2);
    peer_send(p, "UNSUBSCRIBE_REQUEST", "1", NULL, NULL, -1);
    peer_check(p, "UNSUBSCRIBE_RESPONSE", 0, "1");
    g_assert_true(member(h, 0)->gone && member(h, 1)->gone);
    peer_subscribe(p, "T", "CLUSTERING", "ASYNC");
    g_assert_cmpuint(member(h, 2)->window_events, ==, 77);
    ph_free(h);
}

/* Answered only when every topic of the request is durable; one refusal undoes the request. */
static void
test_subscribe_durable(void)
{
    ph_host *h = host("max-subscriptions = 4\n");
    h->auto_subscribe = false;
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "sub");
    peer_send(p, "SUBSCRIBE_REQUEST", "1", NULL,
              "{\"topicList\":[{\"topic\":\"A\"},{\"topic\":\"B\",\"mode\":null}]}", -1);
    peer_silent(p);
    ph_subscribed(member(h, 1), EMESH_OK, NULL);
    peer_silent(p);
    ph_subscribed(member(h, 0), EMESH_OK, NULL);
    peer_check(p, "SUBSCRIBE_RESPONSE", 0, "1");

    peer_send(p, "SUBSCRIBE_REQUEST", "2", NULL,
              "{\"topicList\":[{\"topic\":\"C\"},{\"topic\":\"D\"}]}", -1);
    /* D is on its way: asked for again, the second request waits, and so does what follows */
    peer_send(p, "SUBSCRIBE_REQUEST", "3", NULL, "{\"topicList\":[{\"topic\":\"D\"}]}", -1);
    peer_send(p, "HEARTBEAT_REQUEST", "4", NULL, NULL, -1);
    peer_silent(p);
    ph_subscribed(member(h, 2), EMESH_E_DENIED, "topic C is not for you");
    ph_subscribed(member(h, 3), EMESH_OK, NULL);
    g_autoptr(answer) a = peer_expect(p, "SUBSCRIBE_RESPONSE", 1, "2");
    g_assert_cmpstr(answer_text(a, "desc"), ==, "topic C is not for you");
    g_assert_true(member(h, 2)->gone && member(h, 3)->gone);
    ph_subscribed(member(h, 4), EMESH_OK, NULL);
    peer_check(p, "HEARTBEAT_RESPONSE", 0, "4");
    peer_check(p, "SUBSCRIBE_RESPONSE", 0, "3");

    /* ended by the mesh later */
    ph_subscribed(member(h, 0), EMESH_E_CLOSED, "topic A is gone");
    g_assert_true(member(h, 0)->gone);
    peer_silent(p);
    /* too many */
    peer_send(p, "SUBSCRIBE_REQUEST", "5", NULL,
              "{\"topicList\":[{\"topic\":\"E\"},{\"topic\":\"F\"},{\"topic\":\"G\"}]}", -1);
    for (guint i = 5; i < ph_last_session(h)->members->len; i++)
        ph_subscribed(member(h, i), EMESH_OK, NULL);
    peer_check(p, "SUBSCRIBE_RESPONSE", 1, "5");
    /* UNSUBSCRIBE overtakes a SUBSCRIBE under way */
    peer_send(p, "SUBSCRIBE_REQUEST", "6", NULL, "{\"topicList\":[{\"topic\":\"H\"}]}", -1);
    peer_send(p, "UNSUBSCRIBE_REQUEST", "7", NULL, NULL, -1);
    peer_check(p, "SUBSCRIBE_RESPONSE", 0, "6");
    peer_check(p, "UNSUBSCRIBE_RESPONSE", 0, "7");
    peer_send(p, "SUBSCRIBE_REQUEST", "8", NULL, "{\"topicList\":[{\"mode\":\"CLUSTERING\"}]}", -1);
    peer_check(p, "SUBSCRIBE_RESPONSE", 1, "8");
    ph_free(h);
}

/* ---- ends ---- */

static void
test_expiry(void)
{
    ph_host *h = host("session-expiry = 90s\n");
    g_autoptr(peer) silent = peer_new(h, 'E');
    g_autoptr(peer) hello = peer_new(h, 'E');
    g_autoptr(peer) alive = peer_new(h, 'E');
    peer_hello(hello, "g", "sub");
    peer_hello(alive, "g", "sub");
    for (int i = 0; i < 5; i++) { /* 150 s */
        ph_advance(h, 30 * SECOND);
        if (i < 2)
            g_assert_false(hello->conn->closed);
        if (i == 0) /* who has not said hello has ten seconds */
            g_assert_true(silent->conn->closed);
        peer_send(alive, "HEARTBEAT_REQUEST", "1", NULL, NULL, -1);
        peer_check(alive, "HEARTBEAT_RESPONSE", 0, "1");
        if (i == 3)
            g_assert_true(hello->conn->closed);
    }
    g_assert_false(alive->conn->closed);
    g_assert_cmpuint(((ph_session *)h->sessions->pdata[0])->how, ==, EMESH_LEFT_ORDERLY);
    g_assert_nonnull(strstr(h->logs->pdata[0], "10.0.0.9:"));
    g_assert_cmpint(ph_metric(h, "connections_expired"), ==, 2);
    ph_free(h);
}

/* A byte now and then keeps nobody alive: before HELLO, in a frame's head, in its body. */
static void
test_trickle(void)
{
    static const char head[] = "EventMesh0000\0\0\0\x40\0\0\0\x20{\"cmd\":";
    ph_host *h = host("session-expiry = 30s\nhandshake-timeout = 5s\n");
    g_autoptr(peer) before = peer_new(h, 'E');
    g_autoptr(peer) in_head = peer_new(h, 'E');
    g_autoptr(peer) in_body = peer_new(h, 'E');
    g_autoptr(peer) early = peer_new(h, 'E');
    peer_hello(in_head, "g", "sub");
    peer_hello(in_body, "g", "sub");
    ph_feed(in_body->conn, head, 22);
    for (int i = 0; i < 9; i++) {
        peer *all[] = { before, in_head, in_body };
        for (guint k = 0; k < G_N_ELEMENTS(all); k++)
            if (!all[k]->conn->closed)
                ph_feed(all[k]->conn, head + (k == 2 ? 22 + i % 7 : i), 1);
        if (i == 0) /* frames without HELLO are none either */
            peer_send(early, "HEARTBEAT_REQUEST", "1", NULL, NULL, -1);
        ph_advance(h, 4 * SECOND);
        g_assert_cmpint(before->conn->closed, ==, i >= 1);
        g_assert_cmpint(early->conn->closed, ==, i >= 1);
        g_assert_cmpint(in_head->conn->closed, ==, i >= 7);
        g_assert_cmpint(in_body->conn->closed, ==, i >= 7);
    }
    g_assert_cmpuint(h->logs->len, ==, 4);
    for (guint i = 0; i < h->logs->len; i++)
        g_assert_true(strstr(h->logs->pdata[i], "a frame was not finished in time") != NULL ||
                      strstr(h->logs->pdata[i], "no hello in time") != NULL);
    ph_free(h);
}

/* Forty lines of a kind, then one a second, and the number of the others. */
static void
test_lines_are_rationed(void)
{
    ph_host *h = host("");
    for (int i = 0; i < 1000; i++) {
        g_autoptr(peer) p = peer_new(h, 'E');
        ph_feed(p->conn, "\x16\x03\x01\x02\0\x01", 6);
        g_assert_true(p->conn->closed);
    }
    g_assert_cmpuint(h->logs->len, ==, 40);
    g_assert_nonnull(strstr(h->logs->pdata[39], "it speaks TLS"));
    g_autoptr(peer) other = peer_new(h, 'E'); /* another kind */
    ph_feed(other->conn, "Event", 5);
    ph_cut(other->conn, EMESH_E_LOST);
    g_assert_cmpuint(h->logs->len, ==, 41);
    ph_advance(h, 12 * SECOND);
    g_assert_cmpuint(h->logs->len, ==, 42);
    g_assert_nonnull(strstr(h->logs->pdata[41], "960 more connections"));
    for (int i = 0; i < 100; i++) {
        g_autoptr(peer) p = peer_new(h, 'E');
        ph_feed(p->conn, "X", 1);
    }
    g_assert_cmpuint(h->logs->len, ==, 54); /* twelve seconds have gone by */
    ph_advance(h, 20 * SECOND);
    g_assert_cmpuint(h->logs->len, ==, 55);
    g_assert_nonnull(strstr(h->logs->pdata[54], "88 more connections"));
    g_assert_cmpint(ph_metric(h, "connections_refused"), ==, 1100);
    ph_free(h);
}

/* Over a limit of the host: HELLO is answered with the reason. */
static void
test_over_limit(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autofree char *agent = peer_agent(era, "g", "pub");
        peer p = { .conn = ph_connect_over_limit(h, "the server has its limit of 7 connections"),
                   .era = era,
                   .read = g_byte_array_new() };
        peer_send(&p, "HEARTBEAT_REQUEST", "0", NULL, NULL, -1);
        peer_check(&p, "HEARTBEAT_RESPONSE", 1, "0");
        peer_send(&p, "HELLO_REQUEST", "1", NULL, agent, -1);
        g_autoptr(answer) a = peer_expect(&p, "HELLO_RESPONSE", 1, "1");
        g_assert_cmpstr(answer_text(a, "desc"), ==,
                        "the server has its limit of 7 connections");
        g_assert_true(p.conn->closed);
        g_byte_array_unref(p.read);
    }
    g_assert_cmpuint(h->sessions->len, ==, 0);
    g_assert_cmpuint(h->logs->len, ==, 0); /* the host's to log */
    ph_free(h);
}

/* Behind much output the host may not read: the peer's heartbeats wait in the kernel. */
static void
test_expiry_unheard(void)
{
    ph_host *h = host("output-mark = 64KiB\n");
    g_autofree char *text = g_strnfill(100 * 1024, 'x');
    const emesh_event *large = event_text("T", text), *small = event_text("T", "x");
    g_autoptr(peer) busy = peer_subscriber(h, 'E', "g", "T");
    ph_deliver(member(h, 0), &large, 1);
    g_autoptr(peer) dead = peer_subscriber(h, 'E', "g", "T");
    ph_deliver(member(h, 0), &small, 1);
    ph_advance(h, 100 * SECOND);
    g_assert_true(dead->conn->closed);
    g_assert_false(busy->conn->closed);
    ph_advance(h, 280 * SECOND);
    g_assert_true(busy->conn->closed);
    emesh_event_unref(large);
    emesh_event_unref(small);
    ph_free(h);
}

static void
test_goodbye(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_subscriber(h, era, "g", "T");
        ph_session *s = ph_last_session(h);
        peer_send(p, "CLIENT_GOODBYE_REQUEST", "5", NULL, NULL, -1);
        peer_check(p, "CLIENT_GOODBYE_RESPONSE", 0, "5");
        g_assert_cmpuint(member(h, 0)->window_events, ==, 0); /* nothing new is offered */
        peer_send(p, "HEARTBEAT_REQUEST", "6", NULL, NULL, -1);
        peer_check(p, "HEARTBEAT_RESPONSE", 0, "6");
        if (era % 2) { /* the client closes */
            ph_eof(p->conn);
        } else { /* it does not */
            ph_advance(h, 36 * SECOND);
        }
        g_assert_true(p->conn->closed && s->closed);
        g_assert_cmpuint(s->how, ==, EMESH_LEFT_ORDERLY);
    }
    ph_free(h);
}

static void
test_cut(void)
{
    ph_host *h = host("");
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    ph_cut(p->conn, EMESH_E_LOST); /* reset without goodbye */
    g_assert_cmpuint(ph_last_session(h)->how, ==, EMESH_LEFT_CUT);
    g_autoptr(peer) q = peer_subscriber(h, 'E', "g", "T");
    ph_eof(q->conn);
    g_assert_cmpuint(ph_last_session(h)->how, ==, EMESH_LEFT_CUT);
    g_autoptr(peer) r = peer_subscriber(h, 'E', "g", "T");
    ph_cut(r->conn, EMESH_E_TIMEOUT); /* the host closed it */
    g_assert_cmpuint(ph_last_session(h)->how, ==, EMESH_LEFT_ORDERLY);
    ph_free(h);
}

static void
test_kick(void)
{
    ph_host *h = host("");
    h->auto_result = false;
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    ph_session *s = ph_last_session(h);
    peer_publish(p, "1", "T", "{}", "x");
    ph_ask(s, EMESH_ASK_CLOSE, "kicked by an operator");
    peer_silent(p); /* a publish is under way: its answer comes first */
    peer_publish(p, "2", "T", "{}", "x");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "2");
    ph_result(s, 0, EMESH_OK, NULL);
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
    g_autoptr(answer) a = peer_expect(p, "SERVER_GOODBYE_REQUEST", 0, NULL);
    g_assert_cmpstr(answer_text(a, "desc"), ==, "kicked by an operator");
    g_assert_nonnull(answer_text(a, "seq"));
    g_assert_true(p->conn->closed);
    g_assert_cmpuint(s->how, ==, EMESH_LEFT_ORDERLY);

    g_autoptr(peer) q = peer_new(h, 'A'); /* an answer that never comes is not waited for */
    peer_hello(q, "g", "pub");
    peer_publish(q, "1", "T", "{}", "x");
    ph_ask(ph_last_session(h), EMESH_ASK_REDIRECT, "");
    g_assert_false(q->conn->closed);
    ph_advance(h, 11 * SECOND);
    peer_check(q, "SERVER_GOODBYE_REQUEST", 0, NULL);
    g_assert_true(q->conn->closed);
    ph_free(h);
}

static void
test_drain(void)
{
    ph_host *h = host("");
    g_autoptr(peer) quiet = peer_new(h, 'E');
    g_autoptr(peer) busy = peer_subscriber(h, 'E', "g", "T");
    ph_member *m = member(h, 0);
    g_autoptr(peer) idle = peer_new(h, 'C');
    g_autoptr(peer) stuck = peer_subscriber(h, 'E', "g", "T");
    peer_hello(idle, "g", "sub");
    const emesh_event *e = event_text("T", "x");
    ph_deliver(m, &e, 1);
    ph_deliver(((ph_session *)h->sessions->pdata[1])->members->len > 0
                   ? ((ph_session *)h->sessions->pdata[1])->members->pdata[0]
                   : m,
               &e, 1);
    emesh_event_unref(e);
    g_autoptr(answer) push = peer_expect(busy, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    ph_drain(h, 8 * SECOND);
    g_assert_null(ph_connect(h));
    g_assert_true(quiet->conn->closed);
    peer_check(idle, "SERVER_GOODBYE_REQUEST", 0, NULL);
    g_assert_true(idle->conn->closed);
    g_assert_false(busy->conn->closed); /* its acknowledgement is awaited */
    g_assert_cmpuint(m->window_events, ==, 0);
    peer_send(busy, "ASYNC_MESSAGE_TO_CLIENT_ACK", answer_text(push, "seq"), NULL, "\"\"", -1);
    while (!busy->conn->closed) {
        g_autoptr(answer) a = peer_next(busy);
        if (a == NULL)
            break;
        peer_send(busy, "ASYNC_MESSAGE_TO_CLIENT_ACK", answer_text(a, "seq"), NULL, "\"\"", -1);
    }
    g_assert_true(busy->conn->closed);
    if (!h->op_done)
        ph_advance(h, 7 * SECOND);
    g_assert_true(stuck->conn->closed);
    g_assert_true(h->op_done);
    for (guint i = 0; i < h->settled->len; i++)
        g_assert_cmpuint(g_array_index(h->settled, ph_settled, i).outcome, ==, EMESH_SETTLE_DONE);
    ph_free(h);
}

static bool
is(const char *state, const char *one, const char *two)
{
    return g_str_equal(state, one) || (two != NULL && g_str_equal(state, two));
}

static void
reach_hello(ph_host *h, peer *p, const char *state)
{
    g_autofree char *agent = peer_agent('E', "g", "sub");
    h->auto_open = !is(state, "opening", NULL);
    if (is(state, "half a frame", NULL))
        ph_feed(p->conn, "EventMesh0000\0\0\1\0\0\0\1\0{", 22);
    else if (is(state, "opening", NULL))
        peer_send(p, "HELLO_REQUEST", "1", NULL, agent, -1);
    else if (!is(state, "new", NULL))
        peer_hello(p, "g", "sub");
}

static void
reach_state(ph_host *h, peer *p, const char *state, const emesh_event *e)
{
    h->auto_result = is(state, "full", "held");
    h->auto_subscribe = !is(state, "subscribing", "waiting");
    p->conn->busy = is(state, "held", NULL);
    if (is(state, "full", NULL))
        h->publish_room = 0;
    if (is(state, "publishing", "full") || is(state, "leaving", "half closed") ||
        is(state, "held", NULL))
        peer_publish(p, "1", "T", "{}", "x");
    for (int i = 0; !h->auto_subscribe && i <= is(state, "waiting", NULL); i++)
        peer_send(p, "SUBSCRIBE_REQUEST", "1", NULL, "{\"topicList\":[{\"topic\":\"T\"}]}", -1);
    if (is(state, "pushed", "blocked")) {
        peer_subscribe(p, "T", "CLUSTERING", "ASYNC");
        peer_listen(p);
        p->conn->busy = is(state, "blocked", NULL);
        ph_deliver(member(h, 0), &e, 1);
    }
    if (is(state, "goodbye", NULL))
        peer_send(p, "CLIENT_GOODBYE_REQUEST", "1", NULL, NULL, -1);
    if (is(state, "half closed", NULL))
        ph_eof(p->conn);
    if (is(state, "leaving", NULL))
        ph_ask(ph_last_session(h), EMESH_ASK_CLOSE, "kick");
}

static void
end_by(ph_host *h, peer *p, guint how)
{
    ph_session *s = ph_last_session(h);
    if (how == 0)
        ph_cut(p->conn, EMESH_E_LOST);
    else if (how == 1)
        ph_cut(p->conn, EMESH_E_TIMEOUT);
    else if (how == 2)
        ph_eof(p->conn);
    else if (how == 3 && s != NULL && s->how != UINT32_MAX)
        ph_ask(s, EMESH_ASK_CLOSE, "kick");
    else if (how == 4)
        ph_drain(h, SECOND);
}

/* The peer goes, the host closes, an operator kicks, the lane ends: in every state. */
static void
test_end_in_every_state(void)
{
    static const char *const states[] = { "new",         "half a frame", "opening",     "open",
                                          "publishing",  "full",         "subscribing", "waiting",
                                          "pushed",      "blocked",      "held",        "goodbye",
                                          "half closed", "leaving" };
    const emesh_event *e = event_text("T", "x");
    for (guint i = 0; i < G_N_ELEMENTS(states) * 5; i++) {
        const char *state = states[i / 5];
        ph_host *h = host("");
        g_autoptr(peer) p = peer_new(h, 'E');
        reach_hello(h, p, state);
        if (i / 5 > 2)
            reach_state(h, p, state, e);
        end_by(h, p, i % 5);
        ph_advance(h, 2 * SECOND);
        if (i % 5 == 4 && !h->op_done)
            g_error("not drained: %s", state);
        ph_free(h); /* checks that sessions, timers and references are gone */
    }
    emesh_event_unref(e);
}

/* ---- bad input ---- */

static void
check_closed(ph_host *h, const void *bytes, size_t len, const char *goodbye, const char *reason)
{
    g_autoptr(peer) p = peer_new(h, 'E');
    guint logs = h->logs->len;
    ph_feed(p->conn, bytes, len);
    if (goodbye != NULL) {
        g_autoptr(answer) a = peer_expect(p, "SERVER_GOODBYE_REQUEST", 1, NULL);
        g_assert_cmpstr(answer_text(a, "desc"), ==, goodbye);
    }
    peer_silent(p);
    g_assert_true(p->conn->closed);
    g_assert_cmpuint(h->logs->len, ==, logs + 1);
    g_assert_nonnull(strstr(h->logs->pdata[logs], p->conn->peer));
    g_assert_nonnull(strstr(h->logs->pdata[logs], reason));
}

static void
check_header_closed(ph_host *h, const char *header, const char *goodbye)
{
    g_autoptr(GByteArray) frame = peer_frame('E', header, NULL, -1);
    check_closed(h, frame->data, frame->len, goodbye, "header");
}

static void
test_bad_input(void)
{
    ph_host *h = host("");
    g_autofree char *deep = g_strnfill(100, '[');
    g_autofree char *nested = g_strdup_printf("{\"cmd\":\"HEARTBEAT_REQUEST\",\"x\":%s}", deep);
    check_closed(h, "GET / HTTP/1.1\r\n", 16, NULL, "magic");
    check_closed(h, "EventMesh0001", 13, NULL, "version");
    check_closed(h, "EventMesh0000\x7f\xff\xff\xff\0\0\0\x10", 21, NULL, "4 MiB");
    check_closed(h, "EventMesh0000\0\0\0\x0d\0\0\0\0", 21,
                 "java.lang.Exception: the incoming message does not have a header.", "header");
    check_header_closed(h, "{\"cmd\":\"NO_SUCH\"}", "malformed header: the command is unknown");
    check_header_closed(h, "{\"cmd\":37}", "malformed header: the command is unknown");
    check_header_closed(h, "{\"cmd\":\"HEARTBEAT_REQUEST\",\"seq\":\"\xff\"}",
                        "malformed header: it is not UTF-8");
    check_header_closed(h, "{\"cmd\":\"HEARTBEAT_REQUEST\",\"cmd\":\"HELLO_REQUEST\"}",
                        "malformed header: the command stands there twice");
    check_header_closed(h, nested, "malformed header: it is nested too deeply");
    check_header_closed(h, "garbage", "malformed header: it is not an object");
    g_autoptr(GByteArray) none = peer_frame('E', "{\"seq\":\"1\"}", NULL, -1);
    check_closed(h, none->data, none->len,
                 "java.lang.Exception: the incoming message does not have a command type.",
                 "command");
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "sub");
    peer_send(p, "SUBSCRIBE_REQUEST", "1", NULL,
              "{\"topicList\":[{\"topic\":\"T\",\"mode\":\"clustering\"}]}", -1);
    peer_check(p, "SERVER_GOODBYE_REQUEST", 1, NULL);
    g_assert_true(p->conn->closed);
    /* a limit of the listener below the protocol's */
    h->input_limit = 1000;
    g_autoptr(peer) q = peer_new(h, 'E');
    ph_feed(q->conn, "EventMesh0000\0\0\x10\0\0\0\0\x10", 21);
    g_assert_true(q->conn->closed);
    g_assert_cmpint(ph_metric(h, "connections_refused"), ==, h->logs->len);
    ph_free(h);
}

static void
test_bytewise_and_coalesced(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        g_autofree char *agent = peer_agent(era, "g", "pub");
        g_autofree char *header = peer_header(era, "HELLO_REQUEST", "1", NULL);
        g_autoptr(GByteArray) hello = peer_frame(era, header, agent, -1);
        for (guint i = 0; i < hello->len; i++)
            ph_feed(p->conn, hello->data + i, 1);
        peer_check(p, "HELLO_RESPONSE", 0, "1");
        g_assert_cmpuint(p->conn->data_calls, <, 40); /* not one for each byte */
        g_autoptr(GByteArray) many = g_byte_array_new();
        for (int i = 0; i < 100; i++) {
            g_autofree char *seq = g_strdup_printf("%d", i);
            g_autofree char *beat = peer_header(era, "HEARTBEAT_REQUEST", seq, NULL);
            g_autoptr(GByteArray) frame = peer_frame(era, beat, NULL, -1);
            g_byte_array_append(many, frame->data, frame->len);
        }
        guint writes = p->conn->writes;
        ph_feed(p->conn, many->data, many->len);
        for (int i = 0; i < 100; i++) {
            g_autofree char *seq = g_strdup_printf("%d", i);
            peer_check(p, "HEARTBEAT_RESPONSE", 0, seq);
        }
        g_assert_cmpuint(p->conn->writes, ==, writes + 1);
    }
    ph_free(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/tcp-scenario-1/hello-in-every-era", test_hello_eras);
    g_test_add_func("/protocol-tcp/tcp-scenario-2/hello-refused", test_hello_refused);
    g_test_add_func("/protocol-tcp/hello-waits-for-the-mesh", test_hello_waits);
    g_test_add_func("/protocol-tcp/tcp-scenario-29/no-session", test_no_session);
    g_test_add_func("/protocol-tcp/tcp-scenario-28/control", test_control);
    g_test_add_func("/protocol-tcp/tcp-scenario-18/listen", test_listen);
    g_test_add_func("/protocol-tcp/subscribe-is-durable", test_subscribe_durable);
    g_test_add_func("/protocol-tcp/tcp-scenario-23/expiry", test_expiry);
    g_test_add_func("/protocol-tcp/tcp-scenario-23/expiry-unheard", test_expiry_unheard);
    g_test_add_func("/protocol-tcp/tcp-scenario-23/trickle", test_trickle);
    g_test_add_func("/protocol-tcp/lines-are-rationed", test_lines_are_rationed);
    g_test_add_func("/protocol-tcp/over-limit", test_over_limit);
    g_test_add_func("/protocol-tcp/tcp-scenario-25/goodbye", test_goodbye);
    g_test_add_func("/protocol-tcp/cut", test_cut);
    g_test_add_func("/protocol-tcp/tcp-scenario-27/kick", test_kick);
    g_test_add_func("/protocol-tcp/tcp-scenario-27/drain", test_drain);
    g_test_add_func("/protocol-tcp/end-in-every-state", test_end_in_every_state);
    g_test_add_func("/protocol-tcp/tcp-scenario-29/bad-input", test_bad_input);
    g_test_add_func("/protocol-tcp/tcp-scenario-29/bytewise-and-coalesced",
                    test_bytewise_and_coalesced);
    return g_test_run();
}
