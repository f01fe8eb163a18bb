/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of commands, rows, JSON in and out, and a command's way to main and home.
 */
#include "admin/command.h"
#include "admin/json.h"
#include "config/config.h"

#include <string.h>

typedef struct capture {
    emesh_command_reply reply; /* first */
    JsonArray *rows;
    int32_t code;
    char text[256];
    uint32_t ends;
} capture;

static void
capture_row(emesh_command_reply *reply, const emesh_attr *attrs, uint32_t n)
{
    json_array_add_object_element(((capture *)reply)->rows, emesh_json_row(attrs, n));
}

static void
capture_end(emesh_command_reply *reply, int32_t code, const emesh_error *err)
{
    capture *c = (capture *)reply;
    c->code = code;
    c->ends++;
    g_strlcpy(c->text, err != NULL ? err->text : "", sizeof c->text);
}

static capture
run(const char *verb, const emesh_attr *args, uint32_t n)
{
    capture c = { .reply = { capture_row, capture_end }, .rows = json_array_new() };
    emesh_command_run(NULL, verb, args, n, &c.reply);
    g_assert_cmpuint(c.ends, ==, 1);
    return c;
}

#define ARG(n, v)                                                                                  \
    {                                                                                              \
        n, v, sizeof(n) - 1, sizeof(v) - 1, 0, 0                                                   \
    }

static void
test_arguments(void)
{
    const emesh_attr name[] = { ARG("name", "x") };
    const emesh_attr twice[] = { ARG("level", "info"), ARG("level", "debug") };
    const emesh_attr empty[] = { ARG("name", "") };
    static const struct {
        const char *verb;
        const emesh_attr *args;
        uint32_t n;
        int32_t code;
        const char *text;
    } cases[] = {
        { "nothing", NULL, 0, EMESH_E_NOT_FOUND, "no command 'nothing'" },
        { "", NULL, 0, EMESH_E_NOT_FOUND, "no command ''" },
        { "plugin.show", NULL, 0, EMESH_E_INVALID, "needs the argument 'name'" },
        { "status", NULL, 1, EMESH_E_INVALID, "status has no argument 'name' (it knows: none)" },
        { "log-level", NULL, 2, EMESH_E_INVALID, "was given 'level' twice" },
        { "plugin.show", NULL, 3, EMESH_E_INVALID, "needs the argument 'name'" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        const emesh_attr *args = cases[i].n == 1 ? name : cases[i].n == 2 ? twice : empty;
        capture c = run(cases[i].verb, args, MIN(cases[i].n, cases[i].n == 3 ? 1u : 2u));
        g_assert_cmpint(c.code, ==, cases[i].code);
        g_assert_nonnull(strstr(c.text, cases[i].text));
        g_assert_cmpuint(json_array_get_length(c.rows), ==, 0);
        json_array_unref(c.rows);
    }
}

/* Every verb is there once, with a help and an argument list that can be checked. */
static void
test_registry(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    capture all = run("command.list", NULL, 0);
    guint n = 0;
    for (const emesh_command *const *t = emesh_command_tables(); *t != NULL; t++) {
        for (const emesh_command *c = *t; c->verb != NULL; c++, n++) {
            g_assert_true(g_hash_table_add(seen, (gpointer)c->verb));
            g_assert_true(emesh_command_find(c->verb) == c);
            g_assert_nonnull(c->run);
            g_assert_nonnull(c->args);
            g_assert_cmpuint(strlen(c->help), >, 8);
        }
    }
    g_assert_cmpuint(json_array_get_length(all.rows), ==, n);
    json_array_unref(all.rows);
}

static void
test_rows(void)
{
    capture c = { .reply = { capture_row, capture_end }, .rows = json_array_new() };
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "t", "a\"b\xffz", -1);
    emesh_row_text(row, "cut", "abcdef", 3);
    emesh_row_text(row, "none", NULL, -1);
    emesh_row_number(row, "n", 9007199254740993u);
    emesh_row_flag(row, "yes", true);
    emesh_row_flag(row, "no", false);
    emesh_row_send(row, &c.reply);
    g_autofree char *text = emesh_json_text(json_array_get_element(c.rows, 0), false, NULL);
    g_assert_cmpstr(text, ==,
                    "{\"t\":\"a\\\"b\xef\xbf\xbdz\",\"cut\":\"abc\",\"none\":\"\","
                    "\"n\":9007199254740993,\"yes\":true,\"no\":false}");
    json_array_unref(c.rows);
}

static void
test_json_args(void)
{
    static const char good[] = "{\"name\":\"caf\xc3\xa9\",\"n\":-12,\"on\":true,\"q\":\"[{\\\"\"}";
    static const char *const bad[] = { "[]", "{\"a\":1.5}", "{\"a\":null}", "{\"a\":[1]}",
                                       "{",  "nul",         "\"x\"",        "{\"a\":\"\xc3\"}" };
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;
    g_autofree emesh_attr *args = emesh_json_args(good, strlen(good), &n, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 4);
    g_autofree char *name = emesh_command_text(args, n, "name");
    g_autofree char *number = emesh_command_text(args, n, "n");
    g_autofree char *on = emesh_command_text(args, n, "on");
    g_autofree char *quoted = emesh_command_text(args, n, "q");
    g_assert_cmpstr(name, ==, "caf\xc3\xa9");
    g_assert_cmpstr(number, ==, "-12");
    g_assert_cmpstr(on, ==, "true");
    g_assert_cmpstr(quoted, ==, "[{\"");
    g_assert_null(emesh_command_text(args, n, "nam"));
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) why = NULL;
        g_assert_null(emesh_json_args(bad[i], strlen(bad[i]), &n, &why));
        g_assert_nonnull(why);
    }
    g_autofree emesh_attr *none = emesh_json_args("", 0, &n, &error);
    g_assert_nonnull(none);
    g_assert_cmpuint(n, ==, 0);
}

static void
test_depth(void)
{
    g_autofree char *open = g_strnfill(32, '[');
    g_autofree char *close = g_strnfill(32, ']');
    g_autofree char *fits = g_strconcat(open, close, NULL);
    g_autofree char *over = g_strconcat("[", open, close, "]", NULL);
    g_autofree char *text = g_strconcat("\"\\\"", open, open, "\"", NULL); /* inside a string */
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) good = emesh_json_parse(fits, strlen(fits), &error);
    g_assert_no_error(error);
    g_autoptr(JsonNode) string = emesh_json_parse(text, strlen(text), NULL);
    g_assert_nonnull(good);
    g_assert_nonnull(string);
    g_assert_null(emesh_json_parse(over, strlen(over), NULL));
    g_autofree char *flood = g_strnfill(1 << 20, '[');
    g_assert_null(emesh_json_parse(flood, 1 << 20, NULL));
}

static void
test_errors(void)
{
    gsize len = 0;
    g_autofree char *text = emesh_json_error(EMESH_E_NOT_FOUND, "no \"x\"", &len);
    g_assert_cmpstr(text, ==,
                    "{\"error\":{\"code\":-202,\"name\":\"not-found\",\"text\":\"no \\\"x\\\"\"}}");
    g_assert_cmpstr(emesh_code_name(-299), ==, "refused"); /* unknown: its class */
    g_assert_cmpstr(emesh_code_name(-499), ==, "unknown-outcome");
    g_assert_cmpstr(emesh_code_name(-9999), ==, "failed");
}

/* Is every option of a table told in eventmeshd(8), with its default? */
static void
assert_documented(const char *page, const emesh_option *options, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if ((options[i].may & EMESH_OPT_HIDDEN) != 0)
            continue;
        g_auto(GStrv) parts = g_strsplit(options[i].name, "-", -1);
        g_autofree char *name =
            g_strjoinv("\\\\-", parts); /* as roff writes a hyphen, in a regex */
        g_autofree char *pattern =
            options[i].value == NULL
                ? g_strdup_printf("\\n\\.TP\\n\\.BR? (.* )?%s( .*)?\\n", name)
                : g_strdup_printf("\\n\\.TP\\n\\.BR? (.* )?%s \" \\(%s\\)", name, options[i].value);
        if (!g_regex_match_simple(pattern, page, 0, 0))
            g_error("doc/man/eventmeshd.8 lacks %s (default %s)", options[i].name,
                    options[i].value != NULL ? options[i].value : "none");
    }
}

static void
test_daemon_page(void)
{
    g_autofree char *path =
        g_build_filename(g_getenv("EMESH_SOURCE"), "doc", "man", "eventmeshd.8", NULL);
    g_autofree char *page = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t n = 0;
    g_file_get_contents(path, &page, NULL, &error);
    g_assert_no_error(error);
    const emesh_option *options = emesh_daemon_option_table(&n);
    assert_documented(page, options, n);
    options = emesh_topic_option_table(&n);
    assert_documented(page, options, n);
    options = emesh_group_option_table(&n);
    assert_documented(page, options, n);
}

typedef struct home {
    emesh_worker *worker;
    emesh_job ask;
    GMainLoop *loop;
    guint rows, ends;
    int32_t code;
    emesh_worker *main;
    const char *verb;
    bool wrong_thread;
    uint32_t over; /* atomic: what the lane wrote may be read */
} home;

static gboolean
quit(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

static void
came_home(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row, uint32_t n_row,
          uint32_t more)
{
    home *h = ctx;
    (void)err;
    h->wrong_thread |= !emesh_worker_is_current(h->worker);
    if (more != 0) {
        g_assert_cmpuint(n_row, ==, 4);
        g_assert_cmpuint(row[0].value_len, >, 0);
        h->rows++;
        return;
    }
    h->ends++;
    h->code = code;
    __atomic_add_fetch(&h->over, 1, __ATOMIC_RELEASE);
    g_idle_add(quit, h->loop);
}

static void
ask_from_worker(emesh_job *job)
{
    home *h = (home *)((char *)job - offsetof(home, ask));
    emesh_command_post(NULL, h->main, h->worker, h->verb, NULL, 0, came_home, h);
}

static void
test_post(void)
{
    g_autoptr(GError) error = NULL;
    home h = { .main = emesh_worker_new_main(&error), .verb = "command.list" };
    h.worker = emesh_worker_new(100, "lane", &error);
    g_assert_no_error(error);
    h.loop = g_main_loop_new(NULL, FALSE);
    emesh_worker_start(h.worker);
    h.ask.run = ask_from_worker;
    emesh_worker_post(h.worker, &h.ask);
    g_main_loop_run(h.loop);
    g_assert_cmpuint(__atomic_load_n(&h.over, __ATOMIC_ACQUIRE), ==, 1);
    g_assert_cmpint(h.code, ==, EMESH_OK);
    g_assert_cmpuint(h.ends, ==, 1);
    g_assert_cmpuint(h.rows, >, 5);
    g_assert_false(h.wrong_thread);
    h.verb = "no.such";
    h.rows = 0;
    emesh_worker_post(h.worker, &h.ask);
    g_main_loop_run(h.loop);
    g_assert_cmpuint(__atomic_load_n(&h.over, __ATOMIC_ACQUIRE), ==, 2);
    g_assert_cmpint(h.code, ==, EMESH_E_NOT_FOUND);
    g_assert_cmpuint(h.rows, ==, 0);
    emesh_worker_stop(h.worker);
    emesh_worker_free(h.worker);
    emesh_worker_free(h.main);
    g_main_loop_unref(h.loop);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/admin/arguments", test_arguments);
    g_test_add_func("/admin/registry", test_registry);
    g_test_add_func("/admin/rows", test_rows);
    g_test_add_func("/admin/json-args", test_json_args);
    g_test_add_func("/admin/depth", test_depth);
    g_test_add_func("/admin/errors", test_errors);
    g_test_add_func("/admin/post", test_post);
    g_test_add_func("/admin/daemon-page", test_daemon_page);
    return g_test_run();
}
