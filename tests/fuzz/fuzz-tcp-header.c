/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON that clients send outside of messages: header, UserAgent, subscription. What is accepted
 * must be JSON to json-glib as well, and read the same there.
 */
#include "fuzz.h"
#include "header.h"
#include "hello.h"
#include "subscription.h"
#include <json-glib/json-glib.h>
#include <string.h>

static bool
inside(const uint8_t *data, size_t size, const char *ptr, size_t len)
{
    return ptr >= (const char *)data && len <= size &&
           (size_t)(ptr - (const char *)data) <= size - len;
}

static void
check_seq(const tcp_header *h, JsonObject *object)
{
    if (h->seq.type != TCP_JSON_STRING)
        return;
    g_autofree char *seq = g_malloc(h->seq.len + 1);
    size_t n = tcp_json_decode(&h->seq, seq);
    if (memchr(seq, 0, n) != NULL) /* json-glib's texts end there */
        return;
    seq[n] = '\0';
    g_assert_cmpstr(json_object_get_string_member(object, "seq"), ==, seq);
}

static void
check_header(const uint8_t *data, size_t size)
{
    static tcp_header h; /* large; written anew by each parse */
    if (!tcp_header_parse((const char *)data, size, &h)) {
        g_assert_nonnull(h.flaw);
        return;
    }
    g_assert_true(tcp_json_valid(data, size));
    g_assert_cmpint(h.command, <, TCP_COMMANDS);
    g_assert_cmpuint(h.n_props, <=, TCP_HEADER_PROPS);
    for (uint32_t i = 0; i < h.n_props; i++)
        g_assert_true(inside(data, size, h.props[i].name.ptr, h.props[i].name.len) &&
                      inside(data, size, h.props[i].value.ptr, h.props[i].value.len));
    g_autoptr(JsonParser) parser = json_parser_new();
    /* it stops at a NUL and does not know escaped keys apart; the rest must agree */
    if (!json_parser_load_from_data(parser, (const char *)data, (gssize)size, NULL))
        return;
    JsonNode *root = json_parser_get_root(parser);
    if (root != NULL && JSON_NODE_HOLDS_OBJECT(root) &&
        json_object_has_member(json_node_get_object(root), "seq"))
        check_seq(&h, json_node_get_object(root));
}

static void
check_agent(const uint8_t *data, size_t size)
{
    tcp_agent_info a;
    const char *flaw = NULL;
    g_autofree char *scratch = g_malloc(size + 1);
    if (!tcp_agent_parse((const char *)data, size, scratch, &a, &flaw)) {
        g_assert_nonnull(flaw);
        return;
    }
    g_assert_true(tcp_json_valid(data, size));
    tcp_field group = tcp_agent_group(&a);
    g_assert_true(group.len <= size);
    for (int era = TCP_ERA_A; era <= TCP_ERA_D; era++) {
        if (tcp_agent_check(&a, (tcp_era)era) == NULL)
            g_assert_cmpuint(group.len, >, 0);
    }
}

static bool
take_item(void *ctx, const tcp_topic_item *item)
{
    size_t *sum = ctx;
    if (item->topic.type == TCP_JSON_STRING)
        *sum += item->topic.len;
    return *sum < 60000;
}

static void
check_text(const uint8_t *data, size_t size)
{
    size_t n = tcp_json_escaped_len(data, size);
    g_autofree char *out = g_malloc(n + 2);
    g_assert_cmpuint(tcp_json_escape(data, size, out + 1), ==, n);
    out[0] = out[n + 1] = '"';
    g_assert_cmpint(tcp_json_valid(out, n + 2), ==, tcp_utf8_ok(data, size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *flaw = NULL;
    size_t sum = 0;
    check_header(data, size);
    check_agent(data, size);
    if (tcp_subscription_parse((const char *)data, size, take_item, &sum, &flaw))
        g_assert_true(tcp_json_valid(data, size));
    check_text(data, size);
    if (tcp_json_valid(data, size))
        g_assert_false(tcp_json_prefix(data, size));
    return 0;
}
