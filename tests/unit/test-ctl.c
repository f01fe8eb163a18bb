/* SPDX-License-Identifier: Apache-2.0
 *
 * What eventmeshctl prints and sends: units, tables, events, the table of commands and flags.
 */
#include "admin/json.h"
#include "ctl/event-out.h"
#include "ctl/table.h"

#include <string.h>

#define ASSERT_TEXT(call, want)                                                                    \
    do {                                                                                           \
        g_autofree char *got_ = (call);                                                            \
        g_assert_cmpstr(got_, ==, want);                                                           \
    } while (0)

static void
test_units(void)
{
    ASSERT_TEXT(ctl_count_text(0), "0");
    ASSERT_TEXT(ctl_count_text(999), "999");
    ASSERT_TEXT(ctl_count_text(1000), "1.0 k");
    ASSERT_TEXT(ctl_count_text(1234567), "1.2 M");
    ASSERT_TEXT(ctl_count_text(123456), "123 k");
    ASSERT_TEXT(ctl_bytes_text(512), "512 B");
    ASSERT_TEXT(ctl_bytes_text(1536), "1.5 KiB");
    ASSERT_TEXT(ctl_bytes_text(UINT64_MAX), "16384 PiB");
    ASSERT_TEXT(ctl_span_text(0), "0ms");
    ASSERT_TEXT(ctl_span_text(59000), "59s");
    ASSERT_TEXT(ctl_span_text(200000), "3m20s");
    ASSERT_TEXT(ctl_span_text(604800000), "7d");
    ASSERT_TEXT(ctl_span_text(90000000), "1d1h");
    ASSERT_TEXT(ctl_ago_text(0, 1000), "");
    ASSERT_TEXT(ctl_ago_text(1000, 1500), "now");
    ASSERT_TEXT(ctl_ago_text(5000, 1000), "now"); /* clocks may differ */
    ASSERT_TEXT(ctl_ago_text(1000, 181000), "3m ago");
    ASSERT_TEXT(ctl_ago_text(1000, 1000 + 86400000LL * 40), "40d ago");
}

/* Nothing that a client chose may steer the operator's terminal. */
static void
test_clean(void)
{
    ASSERT_TEXT(ctl_clean("plain caf\xc3\xa9", -1), "plain caf\xc3\xa9");
    ASSERT_TEXT(ctl_clean("\x1b[31mred\x07", -1), "\\x1b[31mred\\x07");
    ASSERT_TEXT(ctl_clean("a\xff\xc3", -1), "a\\xff\\xc3");
    ASSERT_TEXT(ctl_clean("a\0b", 3), "a\\x00b");
    ASSERT_TEXT(ctl_clean("\xc2\x9b"
                          "31m",
                          -1),
                "\\xc2\\x9b31m");                                  /* C1 CSI */
    ASSERT_TEXT(ctl_clean("\xe2\x80\xae", -1), "\\xe2\\x80\\xae"); /* right-to-left override */
    g_assert_cmpuint(ctl_width("caf\xc3\xa9"), ==, 4);
    g_assert_cmpuint(ctl_width("\xe6\x97\xa5"), ==, 2);
}

static const ctl_column columns[] = {
    { "name", "NAME", CTL_TEXT },    { "bytes", "BYTES", CTL_BYTES }, { "note", "NOTE", CTL_TEXT },
    { "state", "STATE", CTL_STATE }, { "seen", "SEEN", CTL_AGO },     { NULL, NULL, CTL_TEXT },
};

static JsonArray *
array_of(const char *json)
{
    g_autoptr(JsonNode) node = emesh_json_parse(json, strlen(json), NULL);
    g_assert_nonnull(node);
    return json_array_ref(json_node_get_array(node));
}

static void
test_table(void)
{
    g_autoptr(JsonArray) rows = array_of(
        "[{\"kind\":\"a\",\"name\":\"x\",\"bytes\":2048,\"note\":\"\",\"state\":\"ok\",\"seen\":"
        "1000},"
        "{\"kind\":\"b\",\"name\":\"other\"},"
        "{\"kind\":\"a\",\"name\":\"long-name\",\"bytes\":7,\"state\":\"failed\",\"seen\":61000}]");
    g_autoptr(GString) out = g_string_new(NULL);
    g_assert_cmpuint(ctl_table(out, rows, "a", columns, false, 62000), ==, 2);
    /* NOTE is empty throughout and gone; numbers to the right; no blank at the end of a line */
    g_assert_cmpstr(out->str, ==,
                    "NAME         BYTES  STATE   SEEN\n"
                    "x          2.0 KiB  ok      1m ago\n"
                    "long-name      7 B  failed  1s ago\n");
    g_string_truncate(out, 0);
    g_assert_cmpuint(ctl_table(out, rows, "c", columns, false, 0), ==, 0);
    g_assert_cmpstr(out->str, ==, "");
    g_assert_cmpuint(ctl_table(out, rows, "a", columns, true, 62000), ==, 2);
    g_assert_nonnull(strstr(out->str, "\x1b[2mNAME\x1b[0m"));
    g_assert_nonnull(strstr(out->str, "\x1b[31mfailed\x1b[0m"));
}

static char *
event_json(ctl *c, const char *data, gsize len)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = data == NULL ? NULL : g_bytes_new(data, len);
    GString *json = ctl_event_json(c, bytes, &error);
    g_assert_no_error(error);
    return g_string_free(json, FALSE);
}

static void
test_event_json(void)
{
    ctl c = { .opt = { .id = (char *)"1" } };
    g_autofree char *number = event_json(&c, "{\"n\": 1.00000000000000000001}", 29);
    /* JSON data are not read and written again: no digit is lost */
    g_assert_nonnull(strstr(number, "\"datacontenttype\":\"application/json\""));
    g_assert_true(g_str_has_suffix(number, ",\"data\":{\"n\": 1.00000000000000000001}}"));
    g_autofree char *text = event_json(&c, "say \"hi\"\n", 9);
    g_assert_nonnull(strstr(text, "\"datacontenttype\":\"text/plain\""));
    g_assert_true(g_str_has_suffix(text, ",\"data\":\"say \\\"hi\\\"\\n\"}"));
    g_autofree char *bytes = event_json(&c, "\xff\x00", 2);
    g_assert_nonnull(strstr(bytes, "\"datacontenttype\":\"application/octet-stream\""));
    g_assert_true(g_str_has_suffix(bytes, ",\"data_base64\":\"/wA=\"}"));
    g_autofree char *none = event_json(&c, NULL, 0);
    g_assert_null(strstr(none, "data"));
    g_autofree char *empty = event_json(&c, "", 0);
    g_assert_true(g_str_has_suffix(empty, ",\"data\":\"\"}"));

    char *attrs[] = { (char *)"subject=a=b", NULL };
    c.opt.attrs = attrs;
    g_autofree char *more = event_json(&c, NULL, 0);
    g_assert_nonnull(strstr(more, "\"subject\":\"a=b\""));
    static const char *const bad[] = { "novalue", "=x", "id=2", "data=x", "data_base64=x" };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        attrs[0] = (char *)bad[i];
        g_assert_null(ctl_event_json(&c, NULL, &error));
        g_assert_nonnull(error);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) broken = g_bytes_new("{", 1);
    c.opt.attrs = NULL;
    c.opt.content_type = (char *)"application/vnd.x+json; charset=utf-8";
    g_assert_null(ctl_event_json(&c, broken, &error));
    g_assert_nonnull(error);
}

static void
test_event_text(void)
{
    ctl c = { 0 };
    static const char one[] =
        "{\"id\":\"7\",\"type\":\"t\\u001b\",\"source\":\"/\",\"data\":{\"a\":1}}";
    static const char lines[] = "{\"id\":\"7\",\"type\":\"t\",\"data\":\"x\\ny\"}";
    static const char bytes[] = "{\"id\":\"7\",\"type\":\"t\",\"data_base64\":\"/wA=\"}";
    g_autofree char *first = ctl_event_text(&c, "orders", one, strlen(one));
    g_assert_true(g_str_has_suffix(first, "  orders  7  t\\x1b  {\"a\":1}"));
    g_autofree char *second = ctl_event_text(&c, "orders", lines, strlen(lines));
    g_assert_true(g_str_has_suffix(second, "  orders  7  t\n    x\n    y"));
    g_autofree char *third = ctl_event_text(&c, "orders", bytes, strlen(bytes));
    g_assert_true(g_str_has_suffix(third, "  orders  7  t  (2 bytes)"));
    g_autofree char *odd = ctl_event_text(&c, "orders", "{\x1b", 2);
    g_assert_cmpstr(odd, ==, "{\\x1b");
}

static void
test_commands(void)
{
    int used = 0;
    char *topic[] = { (char *)"topic", (char *)"list", (char *)"x" };
    char *half[] = { (char *)"topic" };
    g_assert_cmpstr(ctl_command_find(topic, 3, &used)->name, ==, "topic list");
    g_assert_cmpint(used, ==, 2);
    g_assert_null(ctl_command_find(half, 1, &used));
    g_assert_null(ctl_command_find(half, 0, &used));
}

/* Every flag that a command names exists, and sets its own member. */
static void
test_flags(void)
{
    for (const ctl_command *c = ctl_commands; c->name != NULL; c++) {
        g_auto(GStrv) names = g_strsplit(c->options, " ", -1);
        for (char **name = names; *name != NULL && **name != '\0'; name++) {
            ctl_options opt = { 0 };
            g_autoptr(GError) error = NULL;
            g_autofree char *flag = g_strconcat("--", *name, NULL);
            char *args[] = { (char *)"x", flag, (char *)"7", NULL };
            char **argv = args;
            int argc = 3;
            ctl_options blank = { 0 };
            g_assert_true(ctl_options_parse(&opt, c, &argc, &argv, &error));
            g_assert_no_error(error);
            g_assert_cmpint(memcmp(&opt, &blank, sizeof opt), !=, 0);
            ctl_options_clear(&opt);
        }
        ctl_options opt = { 0 };
        g_autoptr(GError) error = NULL;
        char *args[] = { (char *)"x", (char *)"--frob", NULL };
        char **argv = args;
        int argc = 2;
        g_assert_false(ctl_options_parse(&opt, c, &argc, &argv, &error));
    }
}

static void
test_places(void)
{
    ctl_options opt = { 0 };
    g_unsetenv("EVENTMESH_SOCKET");
    g_unsetenv("EVENTMESH_RUN");
    ASSERT_TEXT(ctl_socket_path(&opt), "/run/eventmesh/admin.sock");
    g_setenv("EVENTMESH_RUN", "/tmp/r", TRUE);
    ASSERT_TEXT(ctl_socket_path(&opt), "/tmp/r/admin.sock");
    g_setenv("EVENTMESH_SOCKET", "/tmp/s", TRUE);
    ASSERT_TEXT(ctl_socket_path(&opt), "/tmp/s");
    opt.socket = (char *)"/tmp/t";
    ASSERT_TEXT(ctl_socket_path(&opt), "/tmp/t");
    g_setenv("EVENTMESH_CONF", "/a:/b", TRUE);
    g_auto(GStrv) dirs = ctl_conf_dirs(&opt);
    g_assert_cmpuint(g_strv_length(dirs), ==, 2);
    g_assert_cmpstr(dirs[1], ==, "/b");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("TZ", "UTC", TRUE);
    g_test_add_func("/ctl/units", test_units);
    g_test_add_func("/ctl/clean", test_clean);
    g_test_add_func("/ctl/table", test_table);
    g_test_add_func("/ctl/event-json", test_event_json);
    g_test_add_func("/ctl/event-text", test_event_text);
    g_test_add_func("/ctl/commands", test_commands);
    g_test_add_func("/ctl/flags", test_flags);
    g_test_add_func("/ctl/places", test_places);
    return g_test_run();
}
