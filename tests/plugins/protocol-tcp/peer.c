/* SPDX-License-Identifier: Apache-2.0
 *
 * The client side of the protocol for tests.
 */
#include "peer.h"
#include "event/event.h"

#include <string.h>

const char *const em_props =
    "{\"protocolversion\":\"1.0\",\"protocoldesc\":\"tcp\",\"protocoltype\":\"eventmeshmessage\"}";
const char *const ce_props =
    "{\"protocolversion\":\"1.0\",\"protocoldesc\":\"tcp\",\"protocoltype\":\"cloudevents\"}";

static int
convention(char era)
{
    return era <= 'C' ? 8 : 13;
}

static void
be32(GByteArray *out, guint32 v)
{
    guint32 big = GUINT32_TO_BE(v);
    g_byte_array_append(out, (const guint8 *)&big, 4);
}

GByteArray *
peer_frame(char era, const char *header, const char *body, gssize len)
{
    GByteArray *out = g_byte_array_new();
    if (body == NULL && era <= 'C')
        body = "null";
    if (body == NULL)
        body = "";
    guint body_len = (guint)(len >= 0 ? (gsize)len : strlen(body));
    guint header_len = (guint)strlen(header);
    g_byte_array_append(out, (const guint8 *)"EventMesh0000", 13);
    be32(out, (guint32)convention(era) + header_len + body_len);
    be32(out, header_len);
    g_byte_array_append(out, (const guint8 *)header, header_len);
    g_byte_array_append(out, (const guint8 *)body, body_len);
    return out;
}

char *
peer_header(char era, const char *cmd, const char *seq, const char *props)
{
    g_autofree char *q = seq != NULL ? g_strdup_printf(",\"seq\":\"%s\"", seq) : g_strdup("");
    if (era == 'A')
        return g_strdup_printf("{\"code\":0%s,\"command\":\"%s\"}", q, cmd);
    if (era == 'B')
        return g_strdup_printf("{\"cmd\":\"%s\",\"code\":0%s,\"properties\":%s}", cmd, q,
                               props != NULL ? props : "{}");
    return g_strdup_printf("{\"cmd\":\"%s\",\"code\":0%s,\"properties\":%s,\"command\":\"%s\"}",
                           cmd, q, props != NULL ? props : "{}", cmd);
}

char *
peer_agent(char era, const char *group, const char *purpose)
{
    g_autofree char *groups =
        era <= 'B'
            ? g_strdup_printf("\"producerGroup\":\"%s-p\",\"consumerGroup\":\"%s\"", group, group)
            : g_strdup_printf("\"group\":\"%s\"%s", group, era >= 'D' ? ",\"token\":\"eyJ\"" : "");
    return g_strdup_printf("{\"env\":\"test\",\"subsystem\":\"5017\",\"path\":\"/opt\",\"pid\":428,"
                           "\"host\":\"127.0.0.1\",\"port\":9362,\"version\":\"2.0.11\","
                           "\"username\":\"app\",\"password\":\"secret\",\"idc\":\"FT\",%s,"
                           "\"purpose\":\"%s\",\"unack\":0}",
                           groups, purpose);
}

peer *
peer_new(ph_host *h, char era)
{
    peer *p = g_new0(peer, 1);
    p->conn = ph_connect(h);
    g_assert_nonnull(p->conn);
    p->era = era;
    p->read = g_byte_array_new();
    return p;
}

void
peer_free(peer *p)
{
    g_byte_array_unref(p->read);
    g_free(p);
}

void
peer_send(peer *p, const char *cmd, const char *seq, const char *props, const char *body,
          gssize len)
{
    g_autofree char *header = peer_header(p->era, cmd, seq, props);
    g_autoptr(GByteArray) frame = peer_frame(p->era, header, body, len);
    ph_feed(p->conn, frame->data, frame->len);
}

static guint32
read32(const guint8 *p)
{
    guint32 v;
    memcpy(&v, p, 4);
    return GUINT32_FROM_BE(v);
}

answer *
peer_next(peer *p)
{
    g_autoptr(GBytes) more = ph_take(p->conn);
    gsize n;
    const guint8 *bytes = g_bytes_get_data(more, &n);
    g_byte_array_append(p->read, bytes, (guint)n);
    if (p->read->len == 0)
        return NULL;
    /* the server writes whole frames only */
    g_assert_cmpuint(p->read->len, >=, 21);
    g_assert_cmpmem(p->read->data, 13, "EventMesh0000", 13);
    guint32 length = read32(p->read->data + 13), header = read32(p->read->data + 17);
    guint32 total = length + 21 - (guint32)convention(p->era);
    g_assert_cmpuint(length, <=, 4194296);
    g_assert_cmpuint(total, <=, p->read->len);
    g_assert_cmpuint(21 + header, <=, total);
    answer *a = g_new0(answer, 1);
    g_autofree char *text = g_strndup((const char *)p->read->data + 21, header);
    GError *error = NULL;
    a->root = json_from_string(text, &error);
    g_assert_no_error(error);
    a->header = json_node_get_object(a->root);
    a->len = total - 21 - header;
    a->body = g_malloc(a->len + 1);
    memcpy(a->body, p->read->data + 21 + header, a->len);
    a->body[a->len] = '\0';
    g_byte_array_remove_range(p->read, 0, total);
    return a;
}

void
answer_free(answer *a)
{
    if (a == NULL)
        return;
    json_node_unref(a->root);
    g_free(a->body);
    g_free(a);
}

const char *
answer_text(const answer *a, const char *member)
{
    return json_object_get_string_member_with_default(a->header, member, NULL);
}

answer *
peer_expect(peer *p, const char *cmd, int code, const char *seq)
{
    answer *a = peer_next(p);
    g_assert_nonnull(a);
    g_assert_cmpstr(answer_text(a, "cmd"), ==, cmd);
    g_assert_cmpstr(answer_text(a, "command"), ==, cmd);
    g_assert_cmpint(json_object_get_int_member(a->header, "code"), ==, code);
    if (seq != NULL)
        g_assert_cmpstr(answer_text(a, "seq"), ==, seq);
    return a;
}

void
peer_check(peer *p, const char *cmd, int code, const char *seq)
{
    g_autoptr(answer) a = peer_expect(p, cmd, code, seq);
}

void
peer_silent(peer *p)
{
    g_autoptr(answer) a = peer_next(p);
    g_assert_null(a);
}

void
peer_hello(peer *p, const char *group, const char *purpose)
{
    g_autofree char *agent = peer_agent(p->era, group, purpose);
    peer_send(p, "HELLO_REQUEST", "1111111111", NULL, agent, -1);
    peer_check(p, "HELLO_RESPONSE", 0, "1111111111");
}

void
peer_subscribe(peer *p, const char *topic, const char *mode, const char *type)
{
    g_autofree char *body = g_strdup_printf(
        "{\"topicList\":[{\"topic\":\"%s\",\"mode\":\"%s\",\"type\":\"%s\"}]}", topic, mode, type);
    peer_send(p, "SUBSCRIBE_REQUEST", "2222222222", NULL, body, -1);
    peer_check(p, "SUBSCRIBE_RESPONSE", 0, "2222222222");
}

void
peer_listen(peer *p)
{
    peer_send(p, "LISTEN_REQUEST", "3333333333", NULL, NULL, -1);
    peer_check(p, "LISTEN_RESPONSE", 0, "3333333333");
}

peer *
peer_subscriber(ph_host *h, char era, const char *group, const char *topic)
{
    peer *p = peer_new(h, era);
    peer_hello(p, group, "sub");
    peer_subscribe(p, topic, "CLUSTERING", "ASYNC");
    peer_listen(p);
    return p;
}

void
peer_publish(peer *p, const char *seq, const char *topic, const char *properties, const char *body)
{
    g_autofree char *message =
        g_strdup_printf("{\"topic\":\"%s\",\"properties\":%s%s,\"body\":\"%s\"}", topic, properties,
                        p->era >= 'D' ? ",\"headers\":{}" : "", body);
    peer_send(p, "ASYNC_MESSAGE_TO_SERVER", seq, em_props, message, -1);
}

JsonObject *
answer_body(const answer *a, JsonParser *parser)
{
    GError *error = NULL;
    json_parser_load_from_data(parser, a->body, (gssize)a->len, &error);
    g_assert_no_error(error);
    return json_node_get_object(json_parser_get_root(parser));
}

const emesh_event *
event_text(const char *topic, const char *text)
{
    emesh_attr attrs[] = {
        { "id", "7", 2, 1, 0, 0 },
        { "source", "/", 6, 1, 0, 0 },
        { "type", "eventmeshmessage", 4, 16, 0, 0 },
        { "subject", topic, 7, (uint32_t)strlen(topic), 0, 0 },
        { "protocoltype", "eventmeshmessage", 12, 16, 0, 0 },
        { "ttl", "4000", 3, 4, 0, 0 },
    };
    void *mem;
    size_t len = strlen(text);
    g_autoptr(emesh_buf) buf = emesh_buf_new(len, &mem);
    memcpy(mem, text, len);
    emesh_part part = { mem, len, buf };
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = EMESH_DATA_TEXT,
                              .attrs = attrs,
                              .n_attrs = G_N_ELEMENTS(attrs),
                              .data = &part,
                              .n_data = 1,
                              .data_len = len };
    const emesh_event *event = NULL;
    g_assert_cmpint(emesh_event_build(&spec, NULL, &event, NULL), ==, EMESH_OK);
    return event;
}
