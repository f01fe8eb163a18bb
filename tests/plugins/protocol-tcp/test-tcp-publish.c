/* SPDX-License-Identifier: Apache-2.0
 *
 * The way in: events from both flavours and every era, one acknowledgement for each frame, back
 * pressure, and what is refused.
 */
#include "peer.h"
#include "event/event.h"

#include <string.h>

static ph_host *
host(void)
{
    return ph_new(emesh_plugin_entry_1(0), "");
}

static const emesh_event_view *
published(ph_session *s, guint i)
{
    g_assert_cmpuint(i, <, s->published->len);
    return emesh_event_peek(((ph_published *)s->published->pdata[i])->event);
}

static const char *
attr(const emesh_event_view *view, const char *name)
{
    static char text[512];
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        const emesh_attr *a = &view->attrs[i];
        if (a->name_len == strlen(name) && memcmp(a->name, name, a->name_len) == 0) {
            g_snprintf(text, sizeof text, "%.*s", (int)a->value_len, (const char *)a->value);
            return text;
        }
    }
    return NULL;
}

static void
check_data(const emesh_event_view *view, const void *data, size_t len)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    for (uint32_t i = 0; i < view->n_data; i++)
        g_byte_array_append(all, view->data[i].ptr, (guint)view->data[i].len);
    g_assert_cmpmem(all->data, all->len, data, len);
}

static void
test_message(void)
{
    ph_host *h = host();
    for (char era = 'A'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        peer_hello(p, "g", era % 2 ? "pub" : "sub"); /* purpose does not matter */
        peer_publish(p, "1002784745", "T", "{\"ttl\":\"4000\",\"n\":5,\"b\":true,\"z\":null}",
                     "he\\\"llo\\n\\uD83D\\uDE00");
        g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1002784745");
        g_assert_cmpuint(a->len, ==, 0);
        ph_session *s = ph_last_session(h);
        ph_published *one = s->published->pdata[0];
        const emesh_event_view *v = published(s, 0);
        g_assert_cmpstr(one->topic, ==, "T");
        g_assert_cmpstr(attr(v, "id"), ==, "1002784745");
        g_assert_cmpstr(attr(v, "source"), ==, "/");
        g_assert_cmpstr(attr(v, "type"), ==, "eventmeshmessage");
        g_assert_cmpstr(attr(v, "subject"), ==, "T");
        g_assert_cmpstr(attr(v, "ttl"), ==, "4000");
        g_assert_cmpstr(attr(v, "n"), ==, "5");
        g_assert_cmpstr(attr(v, "b"), ==, "true");
        g_assert_null(attr(v, "z"));
        g_assert_cmpstr(attr(v, "protocoltype"), ==, era == 'A' ? NULL : "eventmeshmessage");
        g_assert_cmpstr(attr(v, "protocoldesc"), ==, era == 'A' ? NULL : "tcp");
        g_assert_cmpuint(v->data_form, ==, EMESH_DATA_TEXT);
        check_data(v, "he\"llo\n\xf0\x9f\x98\x80", 11);
    }
    ph_free(h);
}

static void
test_bodies(void)
{
    ph_host *h = host();
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    ph_session *s = ph_last_session(h);
    g_autofree char *big = g_strnfill(200 * 1024, 'x');
    peer_publish(p, "1", "T", "{}", "");
    peer_publish(p, "2", "T", "{}", "a\\u0000b");
    peer_publish(p, "3", "T", "{}", big);
    peer_publish(p, "4", "T", "{}", "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80");
    g_autofree char *quoted = g_strdup_printf("%s\\\"%s", big, big);
    peer_publish(p, "5", "T", "{}", quoted);
    for (int i = 1; i <= 5; i++) {
        g_autofree char *seq = g_strdup_printf("%d", i);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, seq);
    }
    check_data(published(s, 0), "", 0);
    g_assert_cmpuint(published(s, 0)->data_form, ==, EMESH_DATA_TEXT);
    check_data(published(s, 1), "a\0b", 3);
    check_data(published(s, 2), big, strlen(big));
    g_assert_nonnull(published(s, 2)->data[0].owner); /* the connection's buffer, not a copy */
    check_data(published(s, 3), "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80", 11);
    g_autofree char *decoded = g_strdup_printf("%s\"%s", big, big);
    check_data(published(s, 4), decoded, strlen(decoded));

    /* a content type, and the form of the data by it */
    peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "6", em_props,
              "{\"topic\":\"T\",\"headers\":{\"datacontenttype\":\"application/json\",\"x\":\"y\"},"
              "\"body\":\"{\\\"a\\\":1}\"}",
              -1);
    peer_send(p, "BROADCAST_MESSAGE_TO_SERVER", "7", em_props,
              "{\"topic\":\"T\",\"headers\":{\"datacontenttype\":\"text/plain\"},\"body\":\"{}\"}",
              -1);
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "6");
    peer_check(p, "BROADCAST_MESSAGE_TO_SERVER_ACK", 0, "7");
    g_assert_cmpstr(attr(published(s, 5), "datacontenttype"), ==, "application/json");
    g_assert_cmpuint(published(s, 5)->data_form, ==, EMESH_DATA_JSON);
    g_assert_cmpstr(attr(published(s, 6), "datacontenttype"), ==, "text/plain");
    g_assert_cmpuint(published(s, 6)->data_form, ==, EMESH_DATA_TEXT);
    ph_free(h);
}

static void
test_names(void)
{
    ph_host *h = host();
    g_autoptr(peer) a = peer_new(h, 'A');
    peer_hello(a, "g", "pub");
    peer_publish(a, "1", "T",
                 "{\"TTL\":\"1\",\"msg_type\":\"2\",\"KEYS\":\"3\",\"ttl\":\"4\",\"type\":\"5\","
                 "\"x.y-z\":\"6\",\"\xc3\xa9\":\"7\",\"ttl\":\"8\"}",
                 "x");
    peer_check(a, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
    const emesh_event_view *v = published(ph_last_session(h), 0);
    g_assert_cmpstr(attr(v, "ttl"), ==, "1");
    g_assert_cmpstr(attr(v, "ttl2"), ==, "8"); /* the later of two equal names */
    g_assert_cmpstr(attr(v, "msg99type"), ==, "2");
    g_assert_cmpstr(attr(v, "keys"), ==, "3");
    g_assert_cmpstr(attr(v, "emtype"), ==, "5");
    g_assert_cmpstr(attr(v, "xyz"), ==, "6");
    g_assert_cmpstr(attr(v, "em"), ==, "7");
    g_assert_cmpstr(attr(v, "type"), ==, "eventmeshmessage");
    g_assert_cmpstr(attr(v, "emnames"), ==,
                    "ttl=TTL,msg99type=msg_type,keys=KEYS,ttl2=ttl,emtype=type,xyz=x.y-z,"
                    "em=\xc3\xa9");

    g_autoptr(peer) e = peer_new(h, 'E');
    peer_hello(e, "g", "pub");
    peer_publish(e, "1", "T", "{\"Bad_Key\":\"1\"}", "x"); /* accepted and mapped */
    peer_check(e, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
    g_assert_cmpstr(attr(published(ph_last_session(h), 0), "bad99key"), ==, "1");
    peer_publish(e, "2", "T", "{\"bad.key\":\"1\"}", "x"); /* cannot be mapped */
    peer_check(e, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "2");
    peer_publish(e, "3", "T", "{\"a\":{\"b\":1}}", "x");
    peer_check(e, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "3");
    peer_publish(e, "4", "T", "{\"a\":\"nul \\u0000\"}", "x");
    peer_check(e, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "4");
    /* the message's own properties win over those of the header */
    peer_publish(e, "5", "T", "{\"protocoldesc\":\"mine\"}", "x");
    peer_check(e, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "5");
    g_assert_cmpstr(attr(published(ph_last_session(h), 1), "protocoldesc"), ==, "mine");
    ph_free(h);
}

static void
test_cloudevent(void)
{
    ph_host *h = host();
    for (char era = 'B'; era <= 'E'; era++) {
        g_autoptr(peer) p = peer_new(h, era);
        peer_hello(p, "g", "pub");
        ph_session *s = ph_last_session(h);
        peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "1", ce_props,
                  "{\"specversion\":\"1.0\",\"id\":\"3c2f\",\"source\":\"/a?b=c\",\"type\":\"t\","
                  "\"datacontenttype\":\"application/cloudevents+json\",\"subject\":\"T\","
                  "\"time\":\"2024-01-02T03:04:05.678900+08:00\",\"ttl\":\"30000\",\"num\":42,"
                  "\"flag\":true,\"dataschema\":\"http://x/y\",\"protocoldesc\":\"mine\","
                  "\"data\":{\"content\":\"\xf0\x9f\x98\x80\"}}",
                  -1);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
        const emesh_event_view *v = published(s, 0);
        g_assert_cmpstr(((ph_published *)s->published->pdata[0])->topic, ==, "T");
        g_assert_cmpstr(attr(v, "id"), ==, "3c2f");
        g_assert_cmpstr(attr(v, "source"), ==, "/a?b=c");
        g_assert_cmpstr(attr(v, "time"), ==, "2024-01-02T03:04:05.678900+08:00");
        g_assert_cmpstr(attr(v, "ttl"), ==, "30000");
        g_assert_cmpstr(attr(v, "num"), ==, "42");
        g_assert_cmpstr(attr(v, "protocoltype"), ==, "cloudevents");
        g_assert_cmpstr(attr(v, "protocoldesc"), ==, "tcp"); /* the header's win here */
        g_assert_cmpuint(v->data_form, ==, EMESH_DATA_JSON);
        check_data(v, "{\"content\":\"\xf0\x9f\x98\x80\"}", 18);
        /* scenario 21: data that are no JSON: an answer, and the connection goes on */
        peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "2", ce_props,
                  "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\","
                  "\"subject\":\"T\",\"data\":not json}",
                  -1);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "2");
        peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "3", ce_props,
                  "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\"}", -1);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "3"); /* no subject */
        peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "4", ce_props,
                  "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\","
                  "\"subject\":\"T\",\"data_base64\":\"AAEC\"}",
                  -1);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "4");
        check_data(published(s, 1), "\0\1\2", 3);
        g_assert_cmpuint(published(s, 1)->data_form, ==, EMESH_DATA_BYTES);
        peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "5", ce_props,
                  "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\","
                  "\"subject\":\"T\",\"data\":\"text\"}",
                  -1);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "5");
        g_assert_false(p->conn->closing);
    }
    ph_free(h);
}

static void
test_refused(void)
{
    static const struct {
        const char *props, *body, *desc;
    } bad[] = {
        { "{\"protocoltype\":\"openmessage\"}", "{}", "java.lang.Exception: event is null" },
        { "{\"protocoltype\":\"x\"}", "{}",
          "java.lang.IllegalArgumentException: Cannot find the Protocol adaptor: x" },
        { "{\"protocolversion\":\"2.0\"}", "{}", "Unsupported protocolVersion: 2.0" },
        { "{}", NULL, "it is not an object" },
        { "{}", "[]", "it is not an object" },
        { "{}", "{\"topic\":\"T\"}", "the message has no body" },
        { "{}", "{\"topic\":\"T\",\"body\":null}", "the message has no body" },
        { "{}", "{\"body\":\"x\"}", "the message has no topic" },
        { "{}", "{\"topic\":\"\",\"body\":\"x\"}", "the message has no topic" },
        { "{}", "{\"topic\":\"T\",\"topic\":\"U\",\"body\":\"x\"}", "topic stands there twice" },
        { "{}", "{\"topic\":\"T\",\"body\":{}}", "body is not a text" },
        { "{}", "{\"topic\":\"T\",\"body\":\"\xff\"}", "it is not UTF-8" },
        { "{}", "{\"topic\":\"T\",\"body\":\"x\"", "it ends too early" },
        { "{}", "{\"topic\":\"T\",\"body\":\"x\",\"properties\":[]}",
          "properties are not an object" },
        { "{\"protocoltype\":\"cloudevents\"}", NULL, NULL },
    };
    ph_host *h = host();
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        peer_send(p, "ASYNC_MESSAGE_TO_SERVER", "7", bad[i].props, bad[i].body, -1);
        g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "7");
        if (bad[i].desc != NULL)
            g_assert_cmpstr(answer_text(a, "desc"), ==, bad[i].desc);
        g_assert_cmpuint(strlen(answer_text(a, "desc")), >, 0);
    }
    g_autoptr(GString) many = g_string_new("{\"p\":\"\"");
    for (int i = 0; i < 520; i++)
        g_string_append_printf(many, ",\"p%d\":\"\"", i);
    g_string_append(many, "}");
    peer_publish(p, "8", "T", many->str, "x");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "8");
    /* what the mesh says */
    h->auto_result = false;
    ph_session *s = ph_last_session(h);
    peer_publish(p, "9", "T", "{}", "x");
    ph_result(s, 0, EMESH_E_TOO_LARGE, "event size exceeds the limit: \"1000\"");
    g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "9");
    g_assert_cmpstr(answer_text(a, "desc"), ==, "event size exceeds the limit: \"1000\"");
    peer_publish(p, "10", "T", "{}", "x");
    ph_result(s, 1, EMESH_E_TIMEOUT, NULL);
    g_autoptr(answer) b = peer_expect(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "10");
    g_assert_nonnull(strstr(answer_text(b, "desc"), "not known"));
    /* a desc cut inside a character is still UTF-8 */
    peer_publish(p, "11", "T", "{}", "x");
    ph_result(s, 2, EMESH_E_DENIED, "half \xe2\x82");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "11");
    h->publish_code = EMESH_E_STATE;
    peer_publish(p, "12", "T", "{}", "x");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "12");
    ph_free(h);
}

/* ---- acknowledgements ---- */

static GByteArray *
many_frames(char era, int from, int to)
{
    GByteArray *all = g_byte_array_new();
    for (int i = from; i < to; i++) {
        g_autofree char *seq = g_strdup_printf("%010d", i);
        g_autofree char *header = peer_header(era, "ASYNC_MESSAGE_TO_SERVER", seq, em_props);
        g_autofree char *body =
            g_strdup_printf("{\"topic\":\"T\",\"properties\":{},\"body\":\"%d\"}", i);
        g_autoptr(GByteArray) frame = peer_frame(era, header, body, -1);
        g_byte_array_append(all, frame->data, frame->len);
    }
    return all;
}

/* 1,000 in one write; results in a mixed order; every acknowledgement has its own seq, once. */
static void
test_pipelined(void)
{
    ph_host *h = host();
    h->auto_result = false;
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    ph_session *s = ph_last_session(h);
    g_autoptr(GByteArray) all = many_frames('E', 0, 1000);
    uint32_t calls = h->publish_calls;
    ph_feed(p->conn, all->data, all->len);
    g_assert_cmpuint(s->published->len, ==, 1000);
    g_assert_cmpuint(h->publish_calls - calls, ==, 4); /* batches of 256 */
    for (guint i = 0; i < 1000; i++) {                 /* in frame order */
        g_autofree char *text = g_strdup_printf("%u", i);
        check_data(published(s, i), text, strlen(text));
    }
    uint32_t order[1000], writes = p->conn->writes;
    for (uint32_t i = 0; i < 1000; i++)
        order[i] = (i * 617) % 1000; /* 617 and 1000 have no common factor */
    ph_results(s, order, 1000);
    g_assert_cmpuint(p->conn->writes, ==, writes + 1);
    for (uint32_t i = 0; i < 1000; i++) {
        g_autofree char *seq = g_strdup_printf("%010u", order[i]);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, seq);
    }
    peer_silent(p);
    ph_free(h);
}

/* The mesh takes a part: the rest stays unread, and each frame is taken exactly once. */
static void
test_back_pressure(void)
{
    ph_host *h = host();
    h->auto_result = false;
    g_autoptr(peer) p = peer_new(h, 'C');
    peer_hello(p, "g", "sub");
    ph_session *s = ph_last_session(h);
    g_autoptr(GByteArray) all = many_frames('C', 0, 10);
    g_autofree char *beat = peer_header('C', "HEARTBEAT_REQUEST", "77", NULL);
    g_autoptr(GByteArray) frame = peer_frame('C', beat, NULL, -1);
    g_byte_array_append(all, frame->data, frame->len);
    g_autoptr(GByteArray) bad = peer_frame('C',
                                           "{\"cmd\":\"ASYNC_MESSAGE_TO_SERVER\","
                                           "\"command\":\"x\",\"seq\":\"78\"}",
                                           "{}", -1);
    g_byte_array_append(all, bad->data, bad->len);
    h->publish_room = 3;
    ph_feed(p->conn, all->data, all->len);
    g_assert_cmpuint(s->published->len, ==, 3);
    g_assert_true(p->conn->paused);
    peer_silent(p); /* neither heartbeat nor refusal overtook, to be answered twice later */
    ph_advance(h, 200ull * 1000000000); /* a session we do not listen to does not expire */
    g_assert_false(p->conn->closed);
    ph_room(s, 0); /* a spurious room takes none, loses none */
    g_assert_cmpuint(s->published->len, ==, 3);
    g_assert_true(p->conn->paused);
    ph_room(s, 6);
    g_assert_cmpuint(s->published->len, ==, 9);
    peer_silent(p);
    ph_room(s, UINT32_MAX);
    g_assert_cmpuint(s->published->len, ==, 10);
    g_assert_false(p->conn->paused);
    peer_check(p, "HEARTBEAT_RESPONSE", 0, "77");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 1, "78");
    for (guint i = 0; i < 10; i++) {
        g_autofree char *text = g_strdup_printf("%u", i);
        check_data(published(s, i), text, strlen(text));
    }
    for (uint32_t i = 0; i < 10; i++)
        ph_result(s, i, EMESH_OK, NULL);
    for (int i = 0; i < 10; i++) {
        g_autofree char *seq = g_strdup_printf("%010d", i);
        peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, seq);
    }
    ph_free(h);
}

/* A peer that shuts its half down after publishing still gets every acknowledgement. */
static void
test_half_close(void)
{
    ph_host *h = host();
    h->auto_result = false;
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    ph_session *s = ph_last_session(h);
    g_autoptr(GByteArray) all = many_frames('E', 0, 4);
    h->publish_room = 2;
    ph_feed(p->conn, all->data, all->len);
    ph_eof(p->conn);
    ph_result(s, 0, EMESH_OK, NULL);
    ph_result(s, 1, EMESH_OK, NULL);
    g_assert_false(p->conn->closed);
    ph_room(s, UINT32_MAX);
    ph_result(s, 3, EMESH_OK, NULL);
    g_assert_false(p->conn->closed);
    ph_result(s, 2, EMESH_OK, NULL);
    g_assert_true(p->conn->closed);
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "0000000000");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "0000000001");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "0000000003");
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "0000000002");
    ph_free(h);
}

/* An acknowledgement that finds the connection BUSY is kept, in order, and reading stops. */
static void
test_busy_answers(void)
{
    ph_host *h = host();
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    p->conn->busy = true;
    peer_publish(p, "1", "T", "{}", "x");
    peer_send(p, "HEARTBEAT_REQUEST", "2", NULL, NULL, -1);
    g_assert_true(p->conn->paused);
    p->conn->busy = false;
    ph_writable(p->conn);
    g_assert_false(p->conn->paused);
    peer_check(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, "1");
    peer_check(p, "HEARTBEAT_RESPONSE", 0, "2");
    ph_free(h);
}

/* seq is opaque: whatever it is, it comes back byte for byte. */
static void
test_seq(void)
{
    ph_host *h = host();
    g_autoptr(peer) p = peer_new(h, 'E');
    peer_hello(p, "g", "pub");
    g_autofree char *x = g_strnfill(900, 'x');
    const char *const seqs[] = { "", "a\\\"b", "\xe6\x97\xa5", "\\u0041", "s1", x };
    for (guint i = 0; i < G_N_ELEMENTS(seqs); i++) {
        peer_publish(p, seqs[i], "T", "{}", "x");
        g_autoptr(GBytes) raw = ph_take(p->conn);
        g_autofree char *want = g_strdup_printf("\"seq\":\"%s\"", seqs[i]);
        gsize n;
        const char *bytes = g_bytes_get_data(raw, &n);
        g_assert_nonnull(g_strstr_len(bytes + 21, (gssize)n - 21, want));
    }
    peer_publish(p, NULL, "T", "{}", "x");
    g_autoptr(answer) a = peer_expect(p, "ASYNC_MESSAGE_TO_SERVER_ACK", 0, NULL);
    g_assert_false(json_object_has_member(a->header, "seq"));
    const emesh_event_view *v = published(ph_last_session(h), G_N_ELEMENTS(seqs));
    g_assert_nonnull(attr(v, "id")); /* made up */
    ph_free(h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/tcp-scenario-3/message", test_message);
    g_test_add_func("/protocol-tcp/tcp-scenario-4/bodies", test_bodies);
    g_test_add_func("/protocol-tcp/tcp-scenario-22/names", test_names);
    g_test_add_func("/protocol-tcp/tcp-scenario-5/cloudevent", test_cloudevent);
    g_test_add_func("/protocol-tcp/tcp-scenario-21/refused", test_refused);
    g_test_add_func("/protocol-tcp/publish/pipelined", test_pipelined);
    g_test_add_func("/protocol-tcp/publish/back-pressure", test_back_pressure);
    g_test_add_func("/protocol-tcp/publish/half-close", test_half_close);
    g_test_add_func("/protocol-tcp/publish/busy-answers", test_busy_answers);
    g_test_add_func("/protocol-tcp/publish/seq", test_seq);
    return g_test_run();
}
