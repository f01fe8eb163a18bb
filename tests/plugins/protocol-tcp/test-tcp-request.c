/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and replies, redirect, recommend and rates, frame by frame on a host that the test holds.
 */
#include "event/event.h"
#include "peer.h"

#include <string.h>

static ph_host *
host(const char *conf)
{
    return ph_new(emesh_plugin_entry_1(0), conf);
}

static ph_published *
published(ph_session *s, guint i)
{
    g_assert_cmpuint(s->published->len, >, i);
    return s->published->pdata[i];
}

static void
ask(peer *p, const char *seq, const char *body)
{
    g_autofree char *text =
        g_strdup_printf("{\"topic\":\"T\",\"properties\":{\"ttl\":\"9000\"},\"body\":\"%s\"}", body);
    peer_send(p, "REQUEST_TO_SERVER", seq, p->era != 'A' ? em_props : NULL, text, -1);
}

static void
test_request(void)
{
    ph_host *h = host("");
    h->auto_result = false;
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        peer_hello(p, "g", "pub");
        ph_session *s = ph_last_session(h);
        ask(p, "8501234567", "one");
        ask(p, "8501234568", "two");
        ask(p, "8501234569", "three");
        g_assert_cmpuint(published(s, 0)->what, ==, EMESH_PUB_REQUEST);
        g_assert_cmpstr(published(s, 0)->topic, ==, "T");
        peer_silent(p); /* nothing acknowledges a request */
        const emesh_event *e = event_text("T", "answer");
        ph_reply(s, 1, e);
        g_autoptr(answer) two = peer_expect(p, "RESPONSE_TO_CLIENT", 0, "8501234568");
        g_assert_nonnull(strstr(two->body, "\"body\":\"answer\""));
        g_assert_nonnull(strstr(two->body, "\"rspmq2eventmeshtimestamp\":\""));
        g_assert_nonnull(strstr(two->body, "\"rspeventmesh2ctimestamp\":\""));
        g_assert_true((strstr(two->body, "\"headers\"") != NULL) == (era >= 'D'));
        ph_result(s, 0, EMESH_E_TIMEOUT, "no reply came in time");
        g_autoptr(answer) one = peer_expect(p, "RESPONSE_TO_CLIENT", 1, "8501234567");
        g_assert_cmpstr(one->body, ==, "null"); /* clients read it before the code */
        g_assert_cmpstr(answer_text(one, "desc"), ==, "no reply came in time");
        peer_send(p, "RESPONSE_TO_CLIENT_ACK", "8501234568", NULL, "\"x\"", -1);
        peer_silent(p);
        ph_reply(s, 2, e);
        peer_check(p, "RESPONSE_TO_CLIENT", 0, "8501234569");
        emesh_event_unref(e);
    }
    ph_free(h);
}

/* A reply that finds the connection busy waits for room; none is lost, none comes twice. */
static void
test_reply_waits(void)
{
    ph_host *h = host("");
    h->auto_result = false;
    g_autofree char *big = g_strnfill(300 * 1024, 'x');
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    ph_session *s = ph_last_session(h);
    ask(p, "1", "a");
    ask(p, "2", "b");
    const emesh_event *e = event_text("T", big);
    p->conn->busy = true;
    ph_reply(s, 0, e);
    ph_reply(s, 1, e);
    peer_silent(p);
    ph_writable(p->conn);
    g_autoptr(answer) one = peer_expect(p, "RESPONSE_TO_CLIENT", 0, "1");
    g_autoptr(answer) two = peer_expect(p, "RESPONSE_TO_CLIENT", 0, "2");
    g_assert_cmpuint(one->len, >, 300 * 1024);
    g_assert_cmpuint(one->len, ==, two->len);
    emesh_event_unref(e);
    ph_free(h);
}

static void
respond(peer *p, const char *seq, const char *properties)
{
    g_autofree char *text =
        g_strdup_printf("{\"topic\":\"T\",\"properties\":{%s},\"body\":\"re\"}", properties);
    peer_send(p, "RESPONSE_TO_SERVER", seq, p->era != 'A' ? em_props : NULL, text, -1);
}

static uint64_t
push(ph_host *h, peer *p, char **seq)
{
    ph_session *s = ph_last_session(h);
    const emesh_event *e = event_text("T", "question");
    uint64_t id = ph_deliver(s->members->pdata[s->members->len - 1], &e, 1);
    g_autoptr(answer) a = peer_expect(p, "REQUEST_TO_CLIENT", 0, NULL);
    *seq = g_strdup(answer_text(a, "seq"));
    emesh_event_unref(e);
    return id;
}

static char *
attr_of(const emesh_event *event, const char *name)
{
    const emesh_attr *a = emesh_event_attr(event, name, strlen(name));
    return a != NULL ? g_strndup(a->value, a->value_len) : NULL;
}

/* Whose request is it? By correlation, by the seq of the push, by the acknowledgement behind it. */
static void
test_respond(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        g_autofree char *s1 = NULL, *s2 = NULL, *s3 = NULL;
        peer_hello(p, "g", "sub");
        peer_subscribe(p, "T", "CLUSTERING", "SYNC");
        peer_listen(p);
        ph_session *s = ph_last_session(h);
        push(h, p, &s1);
        uint64_t two = push(h, p, &s2), three = push(h, p, &s3);
        respond(p, "8888888888", "\"correlation99id\":\"a.b.c\"");
        g_assert_cmpuint(published(s, 0)->what, ==, EMESH_PUB_REPLY);
        g_assert_cmpuint(published(s, 0)->reply_to, ==, 0);
        g_autofree char *when = attr_of(published(s, 0)->event, "rspc2eventmeshtimestamp");
        g_assert_nonnull(when);
        respond(p, s2, "");
        g_assert_cmpuint(published(s, 1)->reply_to, ==, two);
        respond(p, "7777777777", "");
        g_assert_cmpuint(s->published->len, ==, 2); /* waits for its acknowledgement */
        peer_send(p, "HEARTBEAT_REQUEST", "6", NULL, NULL, -1);
        peer_check(p, "HEARTBEAT_RESPONSE", 0, "6");
        peer_send(p, "REQUEST_TO_CLIENT_ACK", s3, NULL, "\"x\"", -1);
        g_assert_cmpuint(published(s, 2)->reply_to, ==, three);
        g_assert_cmpuint(ph_settled_find(h, three)->outcome, ==, EMESH_SETTLE_DONE);
        peer_silent(p); /* a reply is never answered */
        int64_t lost = ph_metric(h, "replies_unreadable");
        peer_send(p, "RESPONSE_TO_SERVER", "5", NULL, "no json", -1);
        peer_send(p, "RESPONSE_TO_SERVER", "5", NULL, NULL, -1);
        respond(p, "4", "");
        respond(p, "3", ""); /* the one before it answers nothing */
        g_assert_cmpint(ph_metric(h, "replies_unreadable"), ==, lost + 3);
        peer_silent(p);
        g_assert_cmpuint(s->published->len, ==, 3);
    }
    ph_free(h);
}

/* Behind the peer's end nobody waits for replies, but publishes are still answered. */
static void
test_end(void)
{
    ph_host *h = host("");
    h->auto_result = false;
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    ph_session *s = ph_last_session(h);
    ask(p, "1", "a");
    peer_publish(p, "2", "T", "{}", "x");
    ph_eof(p->conn);
    g_assert_false(p->conn->closing);
    ph_result(s, 1, EMESH_OK, NULL);
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "2");
    g_assert_true(s->closed);
    ph_free(h);
}

static void
test_redirect(void)
{
    ph_host *h = host("");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        g_autofree char *seq = NULL;
        peer_hello(p, "g", "sub");
        peer_subscribe(p, "T", "CLUSTERING", "SYNC");
        peer_listen(p);
        ph_session *s = ph_last_session(h);
        uint64_t id = push(h, p, &seq);
        ph_redirect(s, era == 'E' ? "[::1]:10001" : "10.0.0.5:10000", "moving");
        g_autoptr(answer) to = peer_expect(p, "REDIRECT_TO_CLIENT", 0, NULL);
        g_assert_cmpstr(to->body, ==,
                        era == 'E' ? "{\"ip\":\"::1\",\"port\":10001}"
                                   : "{\"ip\":\"10.0.0.5\",\"port\":10000}");
        g_assert_nonnull(answer_text(to, "seq"));
        g_assert_false(p->conn->closing); /* what was pushed may be acknowledged */
        peer_send(p, "REQUEST_TO_CLIENT_ACK", seq, NULL, "\"x\"", -1);
        g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_DONE);
        g_autoptr(answer) bye = peer_expect(p, "SERVER_GOODBYE_REQUEST", 0, NULL);
        g_assert_cmpstr(answer_text(bye, "desc"), ==, "moving");
        g_assert_true(p->conn->closing);
        g_assert_cmpuint(s->how, ==, EMESH_LEFT_ORDERLY);
    }
    g_autoptr(peer) silent = peer_new(h, 'E'); /* does not acknowledge: five seconds */
    g_autofree char *seq = NULL;
    peer_hello(silent, "g", "sub");
    peer_subscribe(silent, "T", "CLUSTERING", "SYNC");
    peer_listen(silent);
    push(h, silent, &seq);
    ph_redirect(ph_last_session(h), "10.0.0.5:10000", "moving");
    peer_check(silent, "REDIRECT_TO_CLIENT", 0, NULL);
    ph_advance(h, 11 * 1000000000ull);
    peer_check(silent, "SERVER_GOODBYE_REQUEST", 0, NULL);
    g_assert_true(silent->conn->closing);
    ph_free(h);
}

static void
test_recommend(void)
{
    ph_host *h = host("recommend = 10.0.0.5:10000\nrecommend = 10.0.0.6:10000\n");
    for (char era = 'B'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        const char *good = "{\"version\":\"1\",\"username\":\"u\",\"password\":\"p\",\"purpose\":\"pub\"}";
        peer_send(p, "RECOMMEND_REQUEST", "1", NULL, good, -1);
        peer_send(p, "RECOMMEND_REQUEST", "2", NULL, good, -1);
        g_autoptr(answer) one = peer_expect(p, "RECOMMEND_RESPONSE", 0, "1");
        g_autoptr(answer) two = peer_expect(p, "RECOMMEND_RESPONSE", 0, "2");
        g_assert_cmpstr(one->body, ==, "\"10.0.0.5:10000\"");
        g_assert_cmpstr(two->body, ==, "\"10.0.0.6:10000\"");
        peer_send(p, "RECOMMEND_REQUEST", "3", NULL, "{\"version\":\"1\",\"username\":\"u\"}", -1);
        g_autoptr(answer) bad = peer_expect(p, "RECOMMEND_RESPONSE", 1, "3");
        g_assert_cmpstr(answer_text(bad, "desc"), ==, "client EventMeshPasswd cannot be null");
        peer_hello(p, "g", "pub");
        peer_send(p, "RECOMMEND_REQUEST", "4", NULL, "{}", -1);
        peer_check(p, "RECOMMEND_RESPONSE", 1, "4");
    }
    ph_free(h);
}

static void
test_rate(void)
{
    ph_host *h = host("rate-limit = 10\n");
    g_autoptr(peer) one = peer_new(h, 'E'), two = peer_new(h, 'C');
    peer_hello(one, "g", "pub");
    peer_hello(two, "g", "pub");
    for (int i = 0; i < 5; i++) { /* of all connections together, a second's worth at once */
        peer_publish(one, "1", "T", "{}", "x");
        peer_check(one, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
        peer_publish(two, "2", "T", "{}", "x");
        peer_check(two, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "2");
    }
    peer_publish(one, "3", "T", "{}", "x");
    g_autoptr(answer) over = peer_expect(one, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "3");
    g_assert_cmpstr(answer_text(over, "desc"), ==, "Tps overload, global flow control");
    ask(two, "4", "x");
    g_autoptr(answer) rr = peer_expect(two, "RESPONSE_TO_CLIENT", 1, "4");
    g_assert_cmpstr(rr->body, ==, "null");
    peer_send(two, "HEARTBEAT_REQUEST", "5", NULL, NULL, -1);
    peer_check(two, "HEARTBEAT_RESPONSE", 0, "5");
    ph_advance(h, 100000000);
    peer_publish(one, "6", "T", "{}", "x");
    peer_check(one, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "6");
    ph_free(h);
}

/* Who is over its own rate is read from later, and refused nothing. */
static void
test_session_rate(void)
{
    ph_host *h = host("session-rate-limit = 10\n");
    g_autoptr(peer) fast = peer_new(h, 'E'), slow = peer_new(h, 'E');
    peer_hello(fast, "g", "pub");
    peer_hello(slow, "g", "pub");
    for (int i = 0; i < 15; i++)
        peer_publish(fast, "1", "T", "{}", "x");
    for (int i = 0; i < 10; i++)
        peer_check(fast, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
    peer_silent(fast);
    g_assert_true(fast->conn->paused);
    peer_publish(slow, "2", "T", "{}", "x");
    peer_check(slow, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "2");
    for (int i = 0; i < 5; i++) {
        ph_advance(h, 100000000);
        peer_check(fast, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
        peer_silent(fast);
    }
    ph_advance(h, 100000000);
    g_assert_false(fast->conn->paused);
    for (int i = 0; i < 15; i++)
        peer_publish(fast, "1", "T", "{}", "x");
    ph_cut(fast->conn, EMESH_E_LOST); /* one that goes while it waits is forgotten */
    ph_advance(h, 1000000000);
    ph_free(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/tcp-scenario-12/request", test_request);
    g_test_add_func("/protocol-tcp/request/reply-waits-for-room", test_reply_waits);
    g_test_add_func("/protocol-tcp/tcp-scenario-14/respond", test_respond);
    g_test_add_func("/protocol-tcp/request/end", test_end);
    g_test_add_func("/protocol-tcp/tcp-scenario-27/redirect", test_redirect);
    g_test_add_func("/protocol-tcp/recommend", test_recommend);
    g_test_add_func("/protocol-tcp/rate/all", test_rate);
    g_test_add_func("/protocol-tcp/rate/session", test_session_rate);
    return g_test_run();
}
