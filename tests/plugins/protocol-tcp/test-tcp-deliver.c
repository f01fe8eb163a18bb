/* SPDX-License-Identifier: Apache-2.0
 *
 * The way out: pushes in the flavour and dialect of each client, acknowledgements by seq, slow
 * readers, and events that do not fit.
 */
#include "peer.h"
#include "ring.h"
#include "event/event.h"

#include <string.h>

static ph_host *
host(const char *conf)
{
    return ph_new(emesh_plugin_entry_1(0), conf);
}

static ph_member *
last_member(ph_host *h)
{
    GPtrArray *members = ph_last_session(h)->members;
    return members->pdata[members->len - 1];
}

static uint64_t
deliver(ph_member *m, const emesh_event *e)
{
    return ph_deliver(m, &e, 1);
}

/* What a real client does: sends the body back as a JSON string. */
static void
ack(peer *p, const answer *push, const char *cmd)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);
    json_node_set_string(node, push->body);
    g_autofree char *echo = json_to_string(node, FALSE);
    peer_send(p, cmd, answer_text(push, "seq"), NULL, p->era == 'A' ? push->body : echo, -1);
}

static const char *
push_protocol(const answer *a)
{
    return json_object_get_string_member(json_object_get_object_member(a->header, "properties"),
                                         "protocoltype");
}

static const emesh_event *
ce(const char *json)
{
    emesh_part part = { json, strlen(json), NULL };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    if (emesh_event_from_json(&part, &event, &err) != EMESH_OK)
        g_error("%s", err.text);
    return event;
}

static const char ce_event[] =
    "{\"specversion\":\"1.0\",\"id\":\"3c2f\",\"source\":\"/a?b=c\",\"type\":\"order\","
    "\"datacontenttype\":\"application/cloudevents+json\",\"subject\":\"T\","
    "\"time\":\"2024-01-02T03:04:05.678900+08:00\",\"ttl\":\"30000\",\"num\":42,\"flag\":true,"
    "\"protocoltype\":\"cloudevents\",\"data\":{\"content\":\"\xf0\x9f\x98\x80\"}}";

static void
test_message(void)
{
    ph_host *h = host("");
    const emesh_event *e = event_text("T", "he\"llo\n\xf0\x9f\x98\x80\x01");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_subscriber(h, era, "orders", "T");
        uint64_t id = deliver(last_member(h), e);
        g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        g_autoptr(JsonParser) parser = json_parser_new();
        JsonObject *body = answer_body(a, parser);
        g_assert_cmpstr(json_object_get_string_member(body, "topic"), ==, "T");
        g_assert_cmpstr(json_object_get_string_member(body, "body"), ==,
                        "he\"llo\n\xf0\x9f\x98\x80\x01");
        /* clients of eras B and C close on a member they do not know */
        g_assert_cmpint(json_object_has_member(body, "headers"), ==, era >= 'D');
        g_assert_cmpuint(json_object_get_size(body), ==, era >= 'D' ? 4 : 3);
        g_assert_cmpstr(push_protocol(a), ==, "eventmeshmessage");
        JsonObject *props = json_object_get_object_member(body, "properties");
        g_assert_cmpstr(json_object_get_string_member(props, "ttl"), ==, "4000");
        static const char *const stamped[] = {
            "reqc2eventmeshtimestamp",
            "reqeventmesh2mqtimestamp",
            "reqsendeventmeship",
            "reqmq2eventmeshtimestamp",
            "reqreceiveeventmeship",
            "reqeventmesh2ctimestamp",
            "rsp0sys",
            "rsp0group",
            "rsp0idc",
            "rsp0ip",
        };
        for (guint i = 0; i < G_N_ELEMENTS(stamped); i++)
            g_assert_cmpint(json_node_get_value_type(json_object_get_member(props, stamped[i])), ==,
                            G_TYPE_STRING);
        g_assert_cmpstr(json_object_get_string_member(props, "rsp0group"), ==, "orders");
        g_assert_cmpstr(json_object_get_string_member(props, "rsp0ip"), ==, "10.0.0.9");
        g_assert_cmpstr(json_object_get_string_member(props, "reqsendeventmeship"), ==, "10.0.0.1");
        /* a seq that no SDK makes: those are digits alone */
        g_assert_true(strspn(answer_text(a, "seq"), "012345678") < strlen(answer_text(a, "seq")));
        g_assert_null(ph_settled_find(h, id)); /* not before the client says so */
        ack(p, a, "ASYNC_MESSAGE_TO_CLIENT_ACK");
        g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_DONE);
        peer_silent(p);
    }
    emesh_event_unref(e);
    ph_free(h);
}

static void
test_commands(void)
{
    static const struct {
        const char *mode, *type, *cmd;
    } rows[] = {
        { "CLUSTERING", "ASYNC", "ASYNC_MESSAGE_TO_CLIENT" },
        { "CLUSTERING", "SYNC", "REQUEST_TO_CLIENT" },
        { "BROADCASTING", "ASYNC", "BROADCAST_MESSAGE_TO_CLIENT" },
        { "BROADCASTING", "SYNC", "BROADCAST_MESSAGE_TO_CLIENT" },
    };
    ph_host *h = host("");
    const emesh_event *e = event_text("T", "x");
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(peer) p = peer_new(h, 'E');
        peer_hello(p, "g", "sub");
        peer_subscribe(p, "T", rows[i].mode, rows[i].type);
        peer_listen(p);
        uint64_t id = deliver(last_member(h), e);
        g_autoptr(answer) a = peer_expect(p, rows[i].cmd, 0, NULL);
        /* the reply of a hook comes first and settles nothing; any of the three acks does */
        peer_send(p, "RESPONSE_TO_SERVER", "5", em_props, a->body, -1);
        g_assert_null(ph_settled_find(h, id));
        ack(p, a, i % 2 ? "REQUEST_TO_CLIENT_ACK" : "BROADCAST_MESSAGE_TO_CLIENT_ACK");
        g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_DONE);
        peer_silent(p);
    }
    emesh_event_unref(e);
    ph_free(h);
}

/* Late, repeated, unknown and foreign acknowledgements change nothing. */
static void
test_stale(void)
{
    ph_host *h = host("");
    const emesh_event *e = event_text("T", "x");
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    uint64_t id = deliver(last_member(h), e);
    g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    static const char *const wrong[] = { "s0", "s",   "sg",  "s2", "sffffffffffffffff",
                                         "x1", "s01", "s1 ", "1",  "" };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++)
        peer_send(p, "ASYNC_MESSAGE_TO_CLIENT_ACK", wrong[i], NULL, "\"\"", -1);
    peer_send(p, "ASYNC_MESSAGE_TO_CLIENT_ACK", NULL, NULL, NULL, -1);
    g_assert_cmpuint(h->settled->len, ==, 0);
    ack(p, a, "ASYNC_MESSAGE_TO_CLIENT_ACK");
    ack(p, a, "ASYNC_MESSAGE_TO_CLIENT_ACK");
    g_assert_cmpuint(h->settled->len, ==, 1);
    g_assert_cmpuint(g_array_index(h->settled, ph_settled, 0).id, ==, id);
    g_assert_cmpint(ph_metric(h, "acks_late"), ==, G_N_ELEMENTS(wrong) + 2);
    /* after UNSUBSCRIBE an open push may still be acknowledged */
    uint64_t open = deliver(last_member(h), e);
    g_autoptr(answer) b = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    peer_send(p, "UNSUBSCRIBE_REQUEST", "1", NULL, NULL, -1);
    peer_check(p, "UNSUBSCRIBE_RESPONSE", 0, "1");
    ack(p, b, "ASYNC_MESSAGE_TO_CLIENT_ACK");
    g_assert_cmpuint(ph_settled_find(h, open)->outcome, ==, EMESH_SETTLE_DONE);
    peer_silent(p);
    emesh_event_unref(e);
    ph_free(h);
}

/* A thousand in one call leave in few writes; acks in one read are settled in few calls. */
static void
test_batches(void)
{
    ph_host *h = host("");
    const emesh_event *events[1000];
    for (guint i = 0; i < 1000; i++) {
        g_autofree char *text = g_strdup_printf("%u", i);
        events[i] = event_text("T", text);
    }
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    uint32_t writes = p->conn->writes;
    uint64_t first = ph_deliver(last_member(h), events, 1000);
    g_assert_cmpuint(p->conn->writes - writes, ==, 4);
    g_autoptr(GByteArray) acks = g_byte_array_new();
    for (guint i = 0; i < 1000; i++) {
        g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autofree char *text = g_strdup_printf("%u", i);
        g_assert_cmpstr(json_object_get_string_member(answer_body(a, parser), "body"), ==, text);
        g_autofree char *header =
            peer_header('E', "ASYNC_MESSAGE_TO_CLIENT_ACK", answer_text(a, "seq"), NULL);
        g_autoptr(GByteArray) frame = peer_frame('E', header, "\"x\"", -1);
        if (i % 3 == 0) /* the first third last */
            g_byte_array_append(acks, frame->data, frame->len);
        else
            g_byte_array_prepend(acks, frame->data, frame->len);
    }
    uint32_t calls = h->settle_calls;
    ph_feed(p->conn, acks->data, acks->len);
    g_assert_cmpuint(h->settled->len, ==, 1000);
    g_assert_cmpuint(h->settle_calls - calls, <=, 4);
    for (guint i = 0; i < 1000; i++) {
        g_assert_nonnull(ph_settled_find(h, first + i));
        emesh_event_unref(events[i]);
    }
    ph_free(h);
}

/* Every seq names one push, for longer than the ring is large. */
static void
test_ring(void)
{
    tcp_ring r = { 0 };
    uint64_t id, kept = tcp_ring_add(&r, 1), last = 0;
    g_assert_cmpuint(kept, ==, 1);
    for (uint64_t i = 2; i < 200000; i++) {
        uint64_t count = tcp_ring_add(&r, i);
        char seq[TCP_SEQ_MAX];
        g_assert_cmpuint(count, >, last);
        g_assert_cmpuint(tcp_seq_read(seq, tcp_seq_write(count, seq)), ==, count);
        if (i % 1000 != 0) {
            g_assert_true(tcp_ring_take(&r, count, &id));
            g_assert_cmpuint(id, ==, i);
            g_assert_false(tcp_ring_take(&r, count, &id));
        }
        last = count;
    }
    g_assert_cmpuint(r.open, ==, 200);
    g_assert_cmpuint(r.n, <=, 1024); /* no larger than what is open asks for */
    g_assert_true(tcp_ring_take(&r, kept, &id));
    g_assert_cmpuint(id, ==, 1);
    tcp_ring_free(&r);
    /* nobody ever acknowledges: bounded, the oldest are forgotten */
    uint64_t first = tcp_ring_add(&r, 7);
    for (uint32_t i = 0; i < TCP_RING_MAX * 2; i++)
        last = tcp_ring_add(&r, i);
    g_assert_cmpuint(r.n, ==, TCP_RING_MAX);
    g_assert_cmpuint(r.open, <=, TCP_RING_MAX);
    g_assert_false(tcp_ring_take(&r, first, &id));
    g_assert_true(tcp_ring_take(&r, last, &id));
    tcp_ring_free(&r);
}

/* A reader that does not read: what did not leave goes back uncounted, windows close until there
 * is room. */
static void
test_slow(void)
{
    ph_host *h = host("");
    const emesh_event *e = event_text("T", "x");
    const emesh_event *three[] = { e, e, e };
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    ph_member *m = last_member(h);
    p->conn->busy = true;
    uint64_t id = ph_deliver(m, three, 3);
    for (uint64_t i = id; i < id + 3; i++)
        g_assert_cmpuint(ph_settled_find(h, i)->outcome, ==, EMESH_SETTLE_RETURN);
    g_assert_cmpuint(m->window_events, ==, 0);
    uint32_t writes = p->conn->writes;
    id = ph_deliver(m, three, 1); /* was on its way when the window closed */
    g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_RETURN);
    g_assert_cmpuint(p->conn->writes, ==, writes);
    g_assert_false(p->conn->paused); /* its acknowledgements are still heard */
    ph_writable(p->conn);
    g_assert_cmpuint(m->window_events, ==, 1024);
    id = ph_deliver(m, three, 1);
    g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    ack(p, a, "ASYNC_MESSAGE_TO_CLIENT_ACK");
    g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_DONE);
    emesh_event_unref(e);
    ph_free(h);
}

/* Large bodies go by reference; what a client could not read or acknowledge is told as unfit. */
static void
test_sizes(void)
{
    ph_host *h = host("");
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    g_autofree char *text = g_strnfill(4300000, 'x');
    const struct {
        size_t len;
        char fill;
        bool fits;
        uint32_t refs;
    } rows[] = {
        { 200 * 1024, 'x', true, 1 }, { 200 * 1024, '"', true, 0 }, { 4190000, 'x', true, 1 },
        { 4193900, 'x', false, 0 },   { 4300000, 'x', false, 0 },   { 700000, '"', true, 0 },
        { 1100000, '"', false, 0 },   { 2100000, '"', false, 0 },
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        memset(text, rows[i].fill, rows[i].len);
        text[rows[i].len] = '\0';
        const emesh_event *e = event_text("T", text);
        uint32_t refs = p->conn->refs_written;
        uint64_t id = deliver(last_member(h), e);
        emesh_event_unref(e);
        if (!rows[i].fits) {
            g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_UNFIT);
            g_assert_cmpuint(strlen(ph_settled_find(h, id)->reason), >, 0);
            peer_silent(p);
            continue;
        }
        g_assert_cmpuint(p->conn->refs_written - refs, ==, rows[i].refs);
        g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        g_autoptr(JsonParser) parser = json_parser_new();
        g_assert_cmpstr(json_object_get_string_member(answer_body(a, parser), "body"), ==, text);
        ack(p, a, "ASYNC_MESSAGE_TO_CLIENT_ACK");
        g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_DONE);
        memset(text, 'x', 4300000);
    }
    /* an unfit one in the middle takes nothing of its neighbours with it */
    memset(text, 'x', 4299999);
    text[4299999] = '\0';
    const emesh_event *three[] = { event_text("T", "one"), event_text("T", text),
                                   event_text("T", "three") };
    ph_deliver(last_member(h), three, 3);
    for (guint i = 0; i < 3; i++)
        emesh_event_unref(three[i]);
    peer_check(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    g_autoptr(answer) last = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    g_assert_nonnull(strstr(last->body, "three"));
    peer_silent(p);
    ph_free(h);
}

/* ---- flavours ---- */

static void
check_ce(const answer *a, bool old)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *o = answer_body(a, parser);
    g_assert_cmpstr(push_protocol(a), ==, "cloudevents");
    g_assert_cmpstr(json_object_get_string_member(o, "id"), ==, "3c2f");
    g_assert_cmpstr(json_object_get_string_member(o, "source"), ==, "/a?b=c");
    g_assert_cmpstr(json_object_get_string_member(o, "type"), ==, "order");
    g_assert_cmpstr(json_object_get_string_member(o, "time"), ==,
                    "2024-01-02T03:04:05.678900+08:00");
    g_assert_cmpint(json_object_get_int_member(o, "num"), ==, 42);
    g_assert_true(json_object_get_boolean_member(o, "flag"));
    g_assert_cmpstr(json_object_get_string_member(o, "rsp0group"), ==, "g");
    g_assert_cmpstr(json_object_get_string_member(o, "reqmq2eventmeshtimestamp"), !=, NULL);
    g_assert_cmpint(json_object_has_member(o, "data_base64"), ==, old);
    if (old) {
        gsize n;
        g_autofree guchar *data =
            g_base64_decode(json_object_get_string_member(o, "data_base64"), &n);
        g_assert_cmpmem(data, n, "{\"content\":\"\xf0\x9f\x98\x80\"}", 18);
    } else {
        JsonObject *data = json_object_get_object_member(o, "data");
        g_assert_cmpstr(json_object_get_string_member(data, "content"), ==, "\xf0\x9f\x98\x80");
    }
}

static void
check_ce_as_message(const answer *a)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *o = answer_body(a, parser), *props;
    g_assert_cmpstr(push_protocol(a), ==, "eventmeshmessage");
    g_assert_cmpstr(json_object_get_string_member(o, "topic"), ==, "T");
    g_assert_cmpstr(json_object_get_string_member(o, "body"), ==,
                    "{\"content\":\"\xf0\x9f\x98\x80\"}");
    props = json_object_get_object_member(o, "properties");
    g_assert_cmpstr(json_object_get_string_member(props, "num"), ==, "42");
    g_assert_cmpstr(json_object_get_string_member(props, "flag"), ==, "true");
    g_assert_cmpstr(json_object_get_string_member(props, "ceid"), ==, "3c2f");
    g_assert_cmpstr(json_object_get_string_member(props, "cesource"), ==, "/a?b=c");
    g_assert_cmpstr(json_object_get_string_member(props, "cetime"), ==,
                    "2024-01-02T03:04:05.678900+08:00");
    if (json_object_has_member(o, "headers"))
        g_assert_cmpstr(json_object_get_string_member(json_object_get_object_member(o, "headers"),
                                                      "datacontenttype"),
                        ==, "application/cloudevents+json");
}

/* A client that never published gets what the publisher sent; era A always a message. */
static void
test_publisher_flavour(void)
{
    ph_host *h = host("");
    const emesh_event *event = ce(ce_event), *message = event_text("T", "x");
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_subscriber(h, era, "g", "T");
        deliver(last_member(h), event);
        g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        if (era == 'A')
            check_ce_as_message(a);
        else
            check_ce(a, era <= 'C');
        deliver(last_member(h), message);
        g_autoptr(answer) b = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        g_assert_cmpstr(push_protocol(b), ==, "eventmeshmessage");
    }
    emesh_event_unref(event);
    emesh_event_unref(message);
    ph_free(h);
}

/* The other connection of the same client object has published: that is what it reads. */
static void
test_learned_flavour(void)
{
    ph_host *h = host("");
    const emesh_event *event = ce(ce_event), *message = event_text("T", "x");
    g_autoptr(peer) sub = peer_subscriber(h, 'E', "g", "T");
    ph_member *m = last_member(h);
    g_autoptr(peer) stranger = peer_new(h, 'E'); /* same host, another purpose: another object */
    peer_hello(stranger, "g", "pub");
    peer_send(stranger, "ASYNC_MESSAGE_TO_SERVER", "1", ce_props, ce_event, -1);
    peer_check(stranger, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
    deliver(m, message);
    g_autoptr(answer) a = peer_expect(sub, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    g_assert_cmpstr(push_protocol(a), ==, "eventmeshmessage");

    g_autoptr(peer) twin = peer_new(h, 'E');
    peer_hello(twin, "g", "sub");
    peer_publish(twin, "2", "T", "{}", "x");
    peer_check(twin, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "2");
    deliver(m, event);
    g_autoptr(answer) b = peer_expect(sub, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    check_ce_as_message(b);
    /* a client that shows both gets what the publisher sent */
    peer_send(twin, "ASYNC_MESSAGE_TO_SERVER", "3", ce_props, ce_event, -1);
    peer_check(twin, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "3");
    deliver(m, event);
    g_autoptr(answer) c = peer_expect(sub, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    check_ce(c, false);
    emesh_event_unref(event);
    emesh_event_unref(message);
    ph_free(h);
}

static void
test_forced_flavour(void)
{
    const emesh_event *event = ce(ce_event), *message = event_text("T", "he\"llo");
    const emesh_event *binary = ce("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\","
                                   "\"type\":\"t\",\"subject\":\"T\",\"data_base64\":\"/wAB\"}");
    ph_host *h = host("push-flavour = eventmeshmessage\n");
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    deliver(last_member(h), event);
    g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    check_ce_as_message(a);
    uint64_t id = deliver(last_member(h), binary);
    g_assert_cmpuint(ph_settled_find(h, id)->outcome, ==, EMESH_SETTLE_UNFIT);
    g_assert_nonnull(strstr(ph_settled_find(h, id)->reason, "binary"));
    ph_free(h);

    h = host("push-flavour = cloudevents\n");
    for (char era = 'C'; era <= 'E'; era++) {
        g_autoptr(peer) q = peer_subscriber(h, era, "g", "T");
        deliver(last_member(h), message);
        g_autoptr(answer) b = peer_expect(q, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        g_autoptr(JsonParser) parser = json_parser_new();
        JsonObject *o = answer_body(b, parser);
        g_assert_cmpstr(json_object_get_string_member(o, "type"), ==, "eventmeshmessage");
        g_assert_cmpstr(json_object_get_string_member(o, "subject"), ==, "T");
        g_assert_cmpstr(json_object_get_string_member(o, "ttl"), ==, "4000");
        /* text of no type: as a JSON string it would come out with its quotes */
        g_assert_cmpstr(json_object_get_string_member(o, "data_base64"), ==, "aGUibGxv");
        deliver(last_member(h), binary);
        g_autoptr(answer) c = peer_expect(q, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
        g_assert_nonnull(strstr(c->body, "\"data_base64\":\"/wAB\""));
    }
    ph_free(h);
    emesh_event_unref(event);
    emesh_event_unref(message);
    emesh_event_unref(binary);
}

/* An event that has been delivered before carries stamps of then: ours replace them. */
static void
test_stamps_replaced(void)
{
    ph_host *h = host("");
    const emesh_event *event =
        ce("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\",\"subject\":\"T\""
           ",\"rsp0group\":\"old\",\"reqmq2eventmeshtimestamp\":\"1\",\"protocoltype\":"
           "\"cloudevents\",\"data\":1}");
    g_autoptr(peer) p = peer_subscriber(h, 'E', "g", "T");
    deliver(last_member(h), event);
    g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    g_assert_null(strstr(a->body, "old"));
    g_assert_nonnull(strstr(a->body, "\"rsp0group\":\"g\""));
    g_autoptr(peer) q = peer_subscriber(h, 'A', "g", "T");
    deliver(last_member(h), event);
    g_autoptr(answer) b = peer_expect(q, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
    g_assert_null(strstr(b->body, "old"));
    emesh_event_unref(event);
    ph_free(h);
}

/* ---- through the mesh and back: what one era sent is what another gets ---- */

static void
test_matrix(void)
{
    ph_host *h = host("");
    h->auto_result = true;
    for (char from = 'A'; from <= 'E'; from++) {
        g_autoptr(peer) pub = peer_new(h, from);
        peer_hello(pub, "p", "pub");
        ph_session *s = ph_last_session(h);
        peer_publish(pub, "1", "T",
                     "{\"TTL\":\"1\",\"msg_type\":\"2\",\"plain\":\"a\\\"b\",\"empty\":\"\"}",
                     "he\\\"llo \\uD83D\\uDE00 \\u0000");
        peer_check(pub, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
        const emesh_event *e = ((ph_published *)s->published->pdata[0])->event;
        for (char to = 'A'; to <= 'E'; to++) {
            g_autoptr(peer) sub = peer_subscriber(h, to, "g", "T");
            deliver(last_member(h), e);
            g_autoptr(answer) a = peer_expect(sub, "ASYNC_MESSAGE_TO_CLIENT", 0, NULL);
            g_autoptr(JsonParser) parser = json_parser_new();
            JsonObject *o = answer_body(a, parser);
            JsonObject *props = json_object_get_object_member(o, "properties");
            g_assert_cmpstr(json_object_get_string_member(props, "TTL"), ==, "1");
            g_assert_cmpstr(json_object_get_string_member(props, "msg_type"), ==, "2");
            g_assert_cmpstr(json_object_get_string_member(props, "plain"), ==, "a\"b");
            g_assert_cmpstr(json_object_get_string_member(props, "empty"), ==, "");
            g_assert_false(json_object_has_member(props, "ttl"));
            g_assert_false(json_object_has_member(props, "emnames"));
            g_assert_nonnull(strstr(a->body, "\"body\":\"he\\\"llo \xf0\x9f\x98\x80 \\u0000\""));
        }
    }
    ph_free(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/tcp-scenario-4/message", test_message);
    g_test_add_func("/protocol-tcp/tcp-scenario-17/push-commands", test_commands);
    g_test_add_func("/protocol-tcp/deliver/stale-acks", test_stale);
    g_test_add_func("/protocol-tcp/deliver/batches", test_batches);
    g_test_add_func("/protocol-tcp/deliver/ring", test_ring);
    g_test_add_func("/protocol-tcp/deliver/slow-reader", test_slow);
    g_test_add_func("/protocol-tcp/tcp-scenario-20/sizes", test_sizes);
    g_test_add_func("/protocol-tcp/tcp-scenario-5/publisher-flavour", test_publisher_flavour);
    g_test_add_func("/protocol-tcp/flavour/learned", test_learned_flavour);
    g_test_add_func("/protocol-tcp/flavour/forced", test_forced_flavour);
    g_test_add_func("/protocol-tcp/flavour/stamps-replaced", test_stamps_replaced);
    g_test_add_func("/protocol-tcp/tcp-scenario-7/matrix", test_matrix);
    return g_test_run();
}
