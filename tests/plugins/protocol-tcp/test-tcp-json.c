/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner against a table of good and bad texts, escapes both ways, and the header read with
 * it.
 */
#include "header.h"
#include "json.h"
#include <glib.h>

#include <string.h>

static void
test_valid(void)
{
    static const char *const good[] = {
        "{}", "[]", "null", "true", "false", "0", "-0", "-1.5e+10", "1E2", "\"\"", " { } ",
        "{\"a\":1,\"b\":[1,2,{\"c\":null}]}", "[[],{},\"\\u0000\\uD83D\\uDE00\\/\"]",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
        "\"\x7f\"", "\t\r\n[1]\n",
    };
    static const char *const bad[] = {
        "", " ", "{", "}", "[", "]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "[,]", "[1,]",
        "[1 2]", "{\"a\":1 \"b\":2}", "{a:1}", "{1:1}", "nul", "nulll", "TRUE", "01", "-", "1.",
        ".5", "1e", "1e+", "+1", "0x1", "NaN", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"",
        "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"", "\"\x01\"",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xc3\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"",
        "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "{}{}", "{} x",
        "[}", "{]", "'a'", "{\"a\":1}]",
    };
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        size_t len = strlen(good[i]);
        g_autofree char *end = g_memdup2(good[i], len); /* a read beyond it is seen by ASan */
        if (!tcp_json_valid(good[i], len) || !tcp_json_valid(end, len))
            g_error("good text %u was refused", i);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        size_t len = strlen(bad[i]);
        g_autofree char *end = g_memdup2(bad[i], MAX(len, 1));
        if (tcp_json_valid(end, len))
            g_error("bad text %u passed", i);
    }
    g_assert_false(tcp_json_valid("\"a\0b\"", 5));
}

static void
test_depth(void)
{
    g_autoptr(GString) s = g_string_new(NULL);
    for (guint i = 0; i < TCP_JSON_DEPTH; i++)
        g_string_append(s, i % 2 ? "[" : "{\"a\":");
    g_string_append(s, "1");
    for (guint i = TCP_JSON_DEPTH; i-- > 0;)
        g_string_append(s, i % 2 ? "]" : "}");
    g_assert_true(tcp_json_valid(s->str, s->len));
    g_string_prepend_c(s, '[');
    g_string_append_c(s, ']');
    g_assert_false(tcp_json_valid(s->str, s->len));
}

/* Every proper prefix of a value is told from garbage. */
static void
test_prefix(void)
{
    static const char text[] = "{\"a\":[true,-1.5e7,null],\"b\\u00e9\":\"\\uD83D\\uDE00\xe2\x82"
                               "\xac\",\"c\":{}}";
    for (size_t n = 0; n < sizeof text - 1; n++)
        g_assert_true(tcp_json_prefix(text, n));
    g_assert_false(tcp_json_prefix(text, sizeof text - 1));
    g_assert_false(tcp_json_prefix("{\"a\":]", 6));
    g_assert_false(tcp_json_prefix("garbage and more of it", 22));
}

static void
check_round(const char *text, size_t len)
{
    size_t n = tcp_json_escaped_len(text, len);
    g_autofree char *json = g_malloc(n + 2);
    json[0] = '"';
    g_assert_cmpuint(tcp_json_escape(text, len, json + 1), ==, n);
    json[n + 1] = '"';
    tcp_json j;
    tcp_value v;
    tcp_json_begin(&j, json, n + 2);
    g_assert_true(tcp_json_value(&j, &v) && tcp_json_end(&j));
    g_assert_cmpint(v.escaped, ==, n != len);
    g_autofree char *back = g_malloc(v.len + 1);
    size_t m = tcp_json_decode(&v, back);
    g_assert_cmpmem(back, m, text, len);
}

static void
test_escapes(void)
{
    char all[128];
    for (int i = 0; i < 128; i++)
        all[i] = (char)i;
    check_round(all, sizeof all);
    static const char *const texts[] = { "", "plain text of more than eight bytes",
                                         "\xf0\x9f\x98\x80 \"quoted\" \\ \n \xc3\xa9" };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        check_round(texts[i], strlen(texts[i]));
    for (size_t at = 0; at < 40; at++) { /* a quote at every place of the eight-byte steps */
        char text[40];
        memset(text, 'x', sizeof text);
        text[at] = '"';
        check_round(text, sizeof text);
        memcpy(text + (at < 38 ? at : 38), "\xc3\xa9", 2);
        check_round(text, sizeof text);
    }
    static const struct {
        const char *json, *text;
    } pairs[] = {
        { "\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "\"\\b\\f\\n\\r\\t\\/\\\\\\\"\"", "\b\f\n\r\t/\\\"" },
    };
    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        tcp_json j;
        tcp_value v;
        char out[64];
        tcp_json_begin(&j, pairs[i].json, strlen(pairs[i].json));
        g_assert_true(tcp_json_value(&j, &v));
        g_assert_cmpmem(out, tcp_json_decode(&v, out), pairs[i].text, strlen(pairs[i].text));
        g_assert_true(tcp_json_is(&v, pairs[i].text, strlen(pairs[i].text)));
    }
}

/* ---- header ---- */

static bool
parse(const char *text, tcp_header *h)
{
    size_t len = strlen(text);
    g_autofree char *exact = g_memdup2(text, len);
    bool good = tcp_header_parse(exact, len, h);
    /* borrowed texts die with exact: look at them through the original */
    if (good && h->seq.type != TCP_JSON_BAD)
        h->seq.ptr = text + (h->seq.ptr - exact);
    return good;
}

static void
test_header(void)
{
    tcp_header h;
    g_assert_true(parse("{\"cmd\":\"ASYNC_MESSAGE_TO_SERVER\",\"code\":0,\"seq\":\"10\\u0030\","
                        "\"properties\":{\"protocoltype\":\"cloudevents\",\"n\":5,\"z\":null},"
                        "\"command\":\"ASYNC_MESSAGE_TO_SERVER\",\"x\":[{\"cmd\":\"NO\"}]}",
                        &h));
    g_assert_cmpint(h.command, ==, TCP_ASYNC_MESSAGE_TO_SERVER);
    g_assert_cmpmem(h.seq.ptr, h.seq.len, "10\\u0030", 8); /* raw: it goes back as it came */
    g_assert_cmpuint(h.n_props, ==, 2);
    g_assert_cmpint(h.protocol.type, ==, TCP_JSON_STRING);
    g_assert_true(h.has_cmd && h.has_command);
    /* era A, and cmd decides whatever the order */
    g_assert_true(parse("{\"code\":0,\"seq\":\"1\",\"command\":\"LISTEN_REQUEST\"}", &h));
    g_assert_cmpint(h.command, ==, TCP_LISTEN_REQUEST);
    g_assert_false(h.has_cmd);
    g_assert_true(parse("{\"command\":\"X\",\"cmd\":\"LISTEN_REQUEST\"}", &h));
    g_assert_true(parse("{\"cmd\":\"LISTEN_REQUEST\",\"command\":\"X\"}", &h));
    g_assert_cmpint(h.command, ==, TCP_LISTEN_REQUEST);
    g_assert_true(parse("{\"c\\u006dd\":\"LISTEN\\u005fREQUEST\"}", &h));
    g_assert_cmpint(h.command, ==, TCP_LISTEN_REQUEST);
    g_assert_true(parse("{\"cmd\":20,\"seq\":17,\"properties\":null,\"code\":-3}", &h));
    g_assert_cmpint(h.command, ==, TCP_ASYNC_MESSAGE_TO_SERVER);
    g_assert_cmpmem(h.seq.ptr, h.seq.len, "17", 2);
    g_assert_cmpint(h.code, ==, -3);
    g_assert_true(parse("{\"seq\":null,\"cmd\":null}", &h));
    g_assert_cmpint(h.command, ==, -1);
    g_assert_cmpint(h.seq.type, ==, TCP_JSON_BAD);

    static const char *const bad[] = {
        "[]", "\"x\"", "{\"cmd\":\"X\"}", "{\"command\":\"X\"}", "{\"cmd\":[]}", "{\"cmd\":true}",
        "{\"cmd\":-1}", "{\"cmd\":99}", "{\"cmd\":1e0}", "{\"seq\":{}}", "{\"seq\":true}",
        "{\"seq\":\"1\",\"seq\":\"2\"}", "{\"properties\":[]}", "{\"properties\":{\"a\":{}}}",
        "{\"properties\":{\"a\":\"1\"},\"properties\":{}}", "{\"code\":\"0\"}",
        "{\"cmd\":\"LISTEN_REQUEST\"} x", "{\"cmd\":\"LISTEN_REQUEST\"",
        "{\"command\":\"LISTEN_REQUEST\",\"command\":\"LISTEN_REQUEST\"}",
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        if (parse(bad[i], &h) || h.flaw == NULL)
            g_error("bad header %u passed", i);
    }
    g_autofree char *x = g_strnfill(1025, 'x');
    g_autofree char *seq = g_strdup_printf("{\"seq\":\"%s\"}", x);
    g_assert_false(parse(seq, &h));
    g_autoptr(GString) many = g_string_new("{\"cmd\":1,\"properties\":{\"p\":\"\"");
    for (guint i = 0; i < TCP_HEADER_PROPS; i++)
        g_string_append_printf(many, ",\"p%u\":\"\"", i);
    g_string_append(many, "}}");
    g_assert_false(parse(many->str, &h));
}

static void
test_commands(void)
{
    for (int i = 0; i < TCP_COMMANDS; i++) {
        const char *name = tcp_command_name((tcp_command)i);
        g_assert_cmpint(tcp_command_find(name, strlen(name)), ==, i);
        g_assert_cmpint(tcp_command_find(name, strlen(name) - 1), !=, i);
    }
    g_assert_cmpstr(tcp_command_name((tcp_command)36), ==, "RECOMMEND_RESPONSE");
    g_assert_cmpstr(tcp_command_name((tcp_command)20), ==, "ASYNC_MESSAGE_TO_SERVER");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/protocol-tcp/json/valid", test_valid);
    g_test_add_func("/protocol-tcp/json/depth", test_depth);
    g_test_add_func("/protocol-tcp/json/prefix", test_prefix);
    g_test_add_func("/protocol-tcp/json/escapes", test_escapes);
    g_test_add_func("/protocol-tcp/header", test_header);
    g_test_add_func("/protocol-tcp/commands", test_commands);
    return g_test_run();
}
