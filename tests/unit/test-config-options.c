/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed options: tables, strides, groups, errors with origin, the service of the plugins, what a
 * reload has to do.
 */
#include "config/config.h"
#include <string.h>

static const emesh_option table[] = {
    { .name = "count", .type = EMESH_OPT_INT, .value = "5", .min = 1, .max = 100,
      .may = EMESH_OPT_LIVE },
    { .name = "wait", .type = EMESH_OPT_DURATION, .value = "60s", .may = EMESH_OPT_LIVE },
    { .name = "size", .type = EMESH_OPT_SIZE, .value = "64k" },
    { .name = "ratio", .type = EMESH_OPT_REAL, .value = "0.5" },
    { .name = "mode", .type = EMESH_OPT_CHOICE, .choices = "fast|safe", .value = "safe" },
    { .name = "flag", .type = EMESH_OPT_BOOL, .value = "no" },
    { .name = "title", .type = EMESH_OPT_TEXT },
    { .name = "peer", .type = EMESH_OPT_ADDRESS, .must = EMESH_OPT_REPEATED },
    { .name = "dir", .type = EMESH_OPT_PATH },
    { .name = "url", .type = EMESH_OPT_URL },
    { .name = "password", .type = EMESH_OPT_TEXT, .must = EMESH_OPT_SECRET },
    { .name = "pin", .type = EMESH_OPT_INT, .must = EMESH_OPT_SECRET },
    { .name = "lib.*", .type = EMESH_OPT_MAP, .must = EMESH_OPT_SECRET,
      .choices = "*password*|*.key" },
    { .name = "lib.own", .type = EMESH_OPT_INT },
    { .name = "lib.deep.*", .type = EMESH_OPT_MAP },
    { .name = "ghost", .type = EMESH_OPT_TEXT, .value = "boo", .may = EMESH_OPT_HIDDEN },
};
#define N_TABLE G_N_ELEMENTS(table)

static emesh_conf *
conf_of(const char *options)
{
    g_autofree char *text = g_strconcat("[instance]\ncomponent = c\n[options]\n", options, NULL);
    GError *error = NULL;
    emesh_conf *conf = emesh_conf_parse("10-a.conf", text, strlen(text), &error);
    g_assert_no_error(error);
    return conf;
}

static emesh_config *
config_of(const char *options, const emesh_option *t, uint32_t n, const emesh_option_group *groups,
          uint32_t n_groups, GError **error)
{
    g_autoptr(emesh_conf) conf = conf_of(options); /* the config does not need it */
    return emesh_config_new(emesh_conf_instance_at(conf, 0)->options, t, n, sizeof(emesh_option),
                            groups, n_groups, error);
}

static emesh_config *
good(const char *options)
{
    GError *error = NULL;
    emesh_config *config = config_of(options, table, N_TABLE, NULL, 0, &error);
    g_assert_no_error(error);
    g_assert_nonnull(config);
    return config;
}

static char *
refusal(const char *options, const emesh_option *t, uint32_t n, const emesh_option_group *groups,
        uint32_t n_groups)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(emesh_config) config = config_of(options, t, n, groups, n_groups, &error);
    g_assert_null(config);
    g_assert_error(error, EMESH_CONF_ERROR, 1);
    return g_strdup(error->message);
}

static emesh_value
value_of(const emesh_config *config, const char *name)
{
    emesh_value value = { .size = sizeof value };
    g_assert_true(emesh_config_get(config, name, 0, &value));
    g_assert_cmpuint(strlen(value.text.ptr), ==, value.text.len);
    g_assert_cmpuint(strlen(value.origin.ptr), ==, value.origin.len);
    return value;
}

static void
test_defaults(void)
{
    GError *error = NULL;
    g_autoptr(emesh_config) config = emesh_config_new(NULL, table, N_TABLE, sizeof *table, NULL, 0,
                                                      &error);
    g_assert_no_error(error);
    g_assert_cmpint(value_of(config, "count").i, ==, 5);
    g_assert_cmpint(value_of(config, "wait").i, ==, 60000000000);
    g_assert_cmpint(value_of(config, "size").i, ==, 65536);
    g_assert_cmpfloat(value_of(config, "ratio").d, ==, 0.5);
    g_assert_cmpint(value_of(config, "mode").i, ==, 1);
    g_assert_cmpint(value_of(config, "flag").i, ==, 0);
    g_assert_cmpstr(value_of(config, "mode").text.ptr, ==, "safe");
    g_assert_cmpstr(value_of(config, "mode").origin.ptr, ==, "default");
    g_assert_cmpuint(value_of(config, "mode").type, ==, EMESH_OPT_CHOICE);
    emesh_value value;
    g_assert_false(emesh_config_get(config, "title", 0, &value));
    g_assert_false(emesh_config_get(config, "count", 1, &value));
    g_assert_false(emesh_config_get(config, "unheard", 0, &value));
    g_assert_cmpstr(emesh_config_origin(config, "count"), ==, "default");
    g_assert_cmpstr(emesh_config_origin(config, "title"), ==, "default");
    g_assert_null(emesh_config_origin(config, "unheard"));
}

static void
test_given(void)
{
    g_setenv("EMESH_TEST_TITLE", "of the environment", TRUE);
    g_autoptr(emesh_config) config = good("count = 7\npeer = a:1\ntitle = ${EMESH_TEST_TITLE} $$1\n"
                                          "mode = fast\npeer = [::1]:2\n");
    g_assert_cmpint(value_of(config, "count").i, ==, 7);
    g_assert_cmpint(value_of(config, "mode").i, ==, 0);
    g_assert_cmpstr(value_of(config, "count").origin.ptr, ==, "10-a.conf:4");
    g_assert_cmpstr(value_of(config, "title").text.ptr, ==, "of the environment $1");
    g_assert_cmpstr(emesh_config_origin(config, "mode"), ==, "10-a.conf:7");
    emesh_value value;
    g_assert_true(emesh_config_get(config, "peer", 1, &value));
    g_assert_cmpstr(value.text.ptr, ==, "[::1]:2");
    g_assert_cmpstr(value.origin.ptr, ==, "10-a.conf:8");
    g_assert_cmpint(value.i, ==, 2);
    g_assert_false(emesh_config_get(config, "peer", 2, &value));
}

static void
test_refusals(void)
{
    g_unsetenv("EMESH_TEST_UNSET");
    static const struct {
        const char *options;
        const char *message;
    } cases[] = {
        { "cuont = 7", "10-a.conf:4: cuont: unknown key; did you mean \"count\"?" },
        { "zzzzzzz = 7", "10-a.conf:4: zzzzzzz: unknown key" },
        { "ghos = 7", "10-a.conf:4: ghos: unknown key" },
        { "enabled = no", "10-a.conf:4: enabled: unknown key; it stands in [instance]" },
        { "workers = 1", "10-a.conf:4: workers: unknown key; it stands in [daemon]" },
        { "lib = 7", "10-a.conf:4: lib: unknown key" },
        { "\nwait = 12 parsecs",
          "10-a.conf:5: wait: \"12 parsecs\" is no duration; write 250ms, 30s, 5m, 2h or 7d" },
        { "count = 0", "10-a.conf:4: count: \"0\" is out of range; write 1 to 100" },
        { "count = 101", "10-a.conf:4: count: \"101\" is out of range; write 1 to 100" },
        { "mode = saef",
          "10-a.conf:4: mode: \"saef\" is none of fast, safe; did you mean \"safe\"?" },
        { "count = 7\n# again\ncount = 8",
          "10-a.conf:6: count: given twice; first in 10-a.conf:4" },
        { "lib.a = 7\nlib.a = 8", "10-a.conf:5: lib.a: given twice; first in 10-a.conf:4" },
        { "pin = hunter2",
          "10-a.conf:4: pin: the value is no integer; write digits only, as 1000" },
        { "title = ${EMESH_TEST_UNSET}",
          "10-a.conf:4: title: the environment has no \"EMESH_TEST_UNSET\"; define it, or write $$ "
          "for a dollar" },
        { "count = x\nflag = maybe\nnope-at-all = 1",
          "10-a.conf:4: count: \"x\" is no integer; write digits only, as 1000\n"
          "10-a.conf:5: flag: \"maybe\" is neither true nor false\n"
          "10-a.conf:6: nope-at-all: unknown key" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *message = refusal(cases[k].options, table, N_TABLE, NULL, 0);
        g_assert_cmpstr(message, ==, cases[k].message);
    }
}

static void
test_required(void)
{
    static const emesh_option required[] = {
        { .name = "servers", .type = EMESH_OPT_TEXT, .must = EMESH_OPT_REQUIRED },
        { .name = "level", .type = EMESH_OPT_INT, .must = EMESH_OPT_REQUIRED, .value = "3" },
    };
    g_autofree char *message = refusal("level = 1\n", required, 2, NULL, 0);
    g_assert_cmpstr(message, ==, "10-a.conf:3: servers: is required but not given (text)");
    g_autoptr(GError) error = NULL;
    g_assert_null(emesh_config_new(NULL, required, 2, sizeof *required, NULL, 0, &error));
    g_assert_cmpstr(error->message, ==, "servers: is required but not given (text)");
    /* a wrong value is one error, not two */
    static const emesh_option wrong[] = {
        { .name = "n", .type = EMESH_OPT_INT, .must = EMESH_OPT_REQUIRED },
    };
    g_autofree char *once = refusal("n = ${EMESH_TEST_UNSET}", wrong, 1, NULL, 0);
    g_assert_null(strchr(once, '\n'));
    g_autoptr(emesh_config) config = config_of("servers = a\n", required, 2, NULL, 0, NULL);
    g_assert_nonnull(config);
}

static void
test_many_errors_are_counted(void)
{
    g_autoptr(GString) options = g_string_new(NULL);
    for (int i = 0; i < 250; i++)
        g_string_append_printf(options, "unheard-of-%d = 1\n", i);
    g_autofree char *message = refusal(options->str, table, N_TABLE, NULL, 0);
    g_assert_nonnull(strstr(message, "unheard-of-99:"));
    g_assert_null(strstr(message, "unheard-of-100:"));
    g_assert_true(g_str_has_suffix(message, "\nand 150 more"));
}

/* ---- tables ---- */

static void
test_table_check(void)
{
    static const struct {
        emesh_option option;
        const char *why; /* NULL: fine */
    } cases[] = {
        { { .name = "a", .type = EMESH_OPT_INT, .value = "1" }, NULL },
        { { .name = "a.b_c-9", .type = EMESH_OPT_TEXT }, NULL },
        { { .name = "a.*", .type = EMESH_OPT_MAP }, NULL },
        { { .name = NULL, .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "", .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "A", .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "a b", .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "-a", .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "a.*", .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "a", .type = EMESH_OPT_MAP }, "the name of an option" },
        { { .name = "0123456789012345678901234567890123456789012345678901234567890123",
            .type = EMESH_OPT_INT }, "the name of an option" },
        { { .name = "a", .type = 0 }, "a: type 0 is unknown" },
        { { .name = "a", .type = 12 }, "a: type 12 is unknown" },
        { { .name = "a", .type = EMESH_OPT_INT, .must = 0x8 }, "a: must bits 0x8 are unknown" },
        { { .name = "a", .type = EMESH_OPT_INT, .may = 0x80 }, NULL },
        { { .name = "a", .type = EMESH_OPT_CHOICE }, "a: a choice without choices" },
        { { .name = "a.*", .type = EMESH_OPT_MAP, .must = EMESH_OPT_REPEATED },
          "a map cannot be repeated" },
        { { .name = "a.*", .type = EMESH_OPT_MAP, .must = EMESH_OPT_SECRET }, "lists their globs" },
        { { .name = "a.*", .type = EMESH_OPT_MAP, .value = "x" }, "a map has no default" },
        { { .name = "a", .type = EMESH_OPT_INT, .min = 1 }, "min 1 is above max 0" },
        { { .name = "a", .type = EMESH_OPT_BOOL, .max = 1 }, "a bool has no range" },
        { { .name = "a", .type = EMESH_OPT_INT, .value = "x" }, "a: default: \"x\" is no integer" },
        { { .name = "a", .type = EMESH_OPT_INT, .value = "5", .min = 6, .max = 9 },
          "default: \"5\" is out of range" },
        { { .name = "a", .type = EMESH_OPT_CHOICE, .choices = "x|y", .value = "z" },
          "default: \"z\" is none of x, y" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autoptr(GError) error = NULL;
        const bool ok = emesh_options_check(&cases[k].option, 1, sizeof(emesh_option), &error);
        g_assert_cmpint(ok, ==, cases[k].why == NULL);
        if (!ok) {
            g_test_message("%s", error->message);
            g_assert_nonnull(strstr(error->message, cases[k].why));
            g_assert_null(strchr(error->message, '\n'));
        }
    }
    g_autoptr(GError) error = NULL;
    g_assert_true(emesh_options_check(table, N_TABLE, sizeof *table, &error));
    g_assert_true(emesh_options_check(NULL, 0, 0, &error));
    const emesh_option twice[] = { table[0], table[1], table[0] };
    g_assert_false(emesh_options_check(twice, 3, sizeof *twice, &error));
    g_assert_cmpstr(error->message, ==, "option table: count: declared twice");
}

/* A plugin compiled with a shorter, and with a longer emesh_option. */
static void
test_strides(void)
{
    static const uint32_t sizes[] = { offsetof(emesh_option, may), sizeof(emesh_option),
                                      sizeof(emesh_option) + 8, 4096 };
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        const uint32_t size = sizes[s] / 8 * 8;
        g_autofree char *options = g_malloc0((size_t)size * 3);
        for (uint32_t i = 0; i < 3; i++)
            memcpy(options + (size_t)size * i, &table[i], MIN(size, sizeof *table));
        GError *error = NULL;
        const emesh_option *from = (const emesh_option *)options;
        if (size < offsetof(emesh_option, may)) {
            g_assert_false(emesh_options_check(from, 3, size, NULL));
            continue;
        }
        g_assert_true(emesh_options_check(from, 3, size, &error));
        g_autoptr(emesh_config) config = emesh_config_new(NULL, from, 3, size, NULL, 0, &error);
        g_assert_no_error(error);
        g_assert_cmpint(value_of(config, "size").i, ==, 65536);

        if (size > sizeof *table) { /* something is set that this host does not know */
            options[(size_t)size * 2 - 1] = 1;
            g_autoptr(GError) newer = NULL;
            g_assert_false(emesh_options_check(from, 3, size, &newer));
            g_assert_nonnull(strstr(newer->message, "needs a newer host"));
            g_assert_null(emesh_config_new(NULL, from, 3, size, NULL, 0, NULL));
        }
    }
    static const uint32_t impossible[] = { 0, 8, 4104, sizeof(emesh_option) + 4, UINT32_MAX };
    for (size_t s = 0; s < G_N_ELEMENTS(impossible); s++)
        g_assert_false(emesh_options_check(table, 1, impossible[s], NULL));
}

/* ---- groups ---- */

static void
test_listen(void)
{
    static const emesh_option_group groups[] = { { "emesh.listen/1", "" },
                                                 { "emesh.listen/1", "admin-" } };
    GError *error = NULL;
    g_autoptr(emesh_config) config =
        config_of("listen = 127.0.0.1:10000\nlisten = [::1]:0\ntls-certificate = /c\ntls-key = /k\n"
                  "tls-client-ca = /ca\ntls-client-required = yes\nmax-connections = 7\n"
                  "max-memory = 1MiB\nmax-input = 64k\noutput-mark = 8k\nhandshake-timeout = 2s\n"
                  "idle-timeout = 1m\nadmin-max-input = 4k\n",
                  table, N_TABLE, groups, 2, &error);
    g_assert_no_error(error);
    emesh_listen_spec spec;
    g_assert_true(emesh_config_listen(config, "", &spec));
    g_assert_cmpuint(spec.n_addresses, ==, 2);
    g_assert_cmpstr(spec.addresses[0], ==, "127.0.0.1:10000");
    g_assert_cmpstr(spec.origins[1], ==, "10-a.conf:5");
    g_assert_cmpstr(spec.tls_certificate, ==, "/c");
    g_assert_cmpstr(spec.tls_key, ==, "/k");
    g_assert_cmpstr(spec.tls_client_ca, ==, "/ca");
    g_assert_true(spec.tls_client_required);
    g_assert_null(spec.alpn);
    g_assert_cmpuint(spec.max_connections, ==, 7);
    g_assert_cmpuint(spec.max_memory, ==, 1 << 20);
    g_assert_cmpuint(spec.max_input, ==, 65536);
    g_assert_cmpuint(spec.output_mark, ==, 8192);
    g_assert_cmpuint(spec.handshake_ns, ==, 2000000000);
    g_assert_cmpuint(spec.idle_ns, ==, 60000000000);
    /* no address: there is nothing to listen on, the limits are told all the same */
    g_assert_false(emesh_config_listen(config, "admin-", &spec));
    g_assert_cmpuint(spec.max_input, ==, 4096);
    g_assert_cmpuint(spec.max_connections, ==, 10000);
    g_assert_cmpuint(spec.max_memory, ==, 256 << 20);
    g_assert_cmpuint(spec.output_mark, ==, 256 << 10);
    g_assert_cmpuint(spec.handshake_ns, ==, 10000000000);
    g_assert_cmpuint(spec.idle_ns, ==, 0);
    g_assert_null(spec.tls_certificate);
    g_assert_false(spec.tls_client_required);
    g_assert_false(emesh_config_listen(config, "other-", &spec));
    emesh_value value;
    g_assert_true(emesh_config_get(config, "admin-max-memory", 0, &value));
}

static void
test_group_refusals(void)
{
    static const emesh_option_group listen[] = { { "emesh.listen/1", "" } };
    static const emesh_option_group admin[] = { { "emesh.listen/1", "admin-" } };
    static const emesh_option_group dial[] = { { "emesh.dial/1", "" } };
    static const emesh_option_group both[] = { { "emesh.listen/1", "" }, { "emesh.dial/1", "" } };
    static const emesh_option_group unknown[] = { { "emesh.fly/1", "" } };
    static const struct {
        const emesh_option_group *groups;
        uint32_t n;
        const char *options;
        const char *message;
    } cases[] = {
        { listen, 1, "max-connectionss = 1",
          "10-a.conf:4: max-connectionss: unknown key; did you mean \"max-connections\"?" },
        { listen, 1, "tls-certificate = /c",
          "10-a.conf:4: tls-certificate: needs tls-key as well" },
        { listen, 1, "tls-key = /c", "10-a.conf:4: tls-key: needs tls-certificate as well" },
        { listen, 1, "tls-client-ca = /c",
          "10-a.conf:4: tls-client-ca: needs tls-certificate as well" },
        { listen, 1, "tls-client-required = on",
          "10-a.conf:4: tls-client-required: needs tls-client-ca as well" },
        { admin, 1, "admin-tls-key = /c",
          "10-a.conf:4: admin-tls-key: needs admin-tls-certificate as well" },
        { admin, 1, "listen = 1.2.3.4:5",
          "10-a.conf:4: listen: unknown key" },
        { listen, 1, "listen = 1.2.3.4:5\nlisten = 1.2.3.4:5",
          "10-a.conf:5: listen: \"1.2.3.4:5\" is given twice; first in 10-a.conf:4" },
        { listen, 1, "listen = 10000",
          "10-a.conf:4: listen: \"10000\" is no address; write host:port, or [address]:port for "
          "IPv6" },
        { dial, 1, "tls-certificate = /c", "10-a.conf:4: tls-certificate: needs tls-key as well" },
        { dial, 1, "reconnect-wait = 10s\nreconnect-wait-max = 9s",
          "10-a.conf:5: reconnect-wait-max: \"9s\" is below reconnect-wait" },
        { both, 2, "",
          "option table: tls-certificate: declared twice: by the component and by an option group, "
          "or by two groups; give the group a prefix\n"
          "option table: tls-key: declared twice: by the component and by an option group, or by "
          "two groups; give the group a prefix" },
        { unknown, 1, "",
          "option table: emesh.fly/1: unknown option group; this version has emesh.listen/1 and "
          "emesh.dial/1" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autofree char *message = refusal(cases[k].options, NULL, 0, cases[k].groups, cases[k].n);
        g_assert_cmpstr(message, ==, cases[k].message);
    }
    static const emesh_option clash[] = { { .name = "listen", .type = EMESH_OPT_TEXT } };
    g_autofree char *message = refusal("", clash, 1, listen, 1);
    g_assert_nonnull(strstr(message, "option table: listen: declared twice"));
    /* port 0 is another one each time */
    g_autoptr(emesh_config) config = config_of("listen = 1.2.3.4:0\nlisten = 1.2.3.4:0", NULL, 0,
                                               listen, 1, NULL);
    g_assert_nonnull(config);
}

static void
test_dial(void)
{
    static const emesh_option_group groups[] = { { "emesh.listen/1", "" },
                                                 { "emesh.dial/1", "out-" } };
    emesh_dial_spec spec;
    g_autoptr(emesh_config) config =
        config_of("tls-certificate = /mine\ntls-key = /mine\nout-tls-ca = /ca\n"
                  "out-tls-certificate = /c\nout-tls-key = /k\nout-tls-verify = no\n"
                  "out-connect-timeout = 3s\n", NULL, 0, groups, 2, NULL);
    g_assert_nonnull(config);
    emesh_config_dial(config, "out-", &spec);
    g_assert_cmpstr(spec.tls_ca, ==, "/ca");
    g_assert_cmpstr(spec.tls_certificate, ==, "/c");
    g_assert_cmpstr(spec.tls_key, ==, "/k");
    g_assert_false(spec.tls_verify);
    g_assert_cmpuint(spec.connect_ns, ==, 3000000000);
    emesh_config_dial(config, "", &spec); /* not mixed in so: defaults, not the listener's key */
    g_assert_null(spec.tls_certificate);
    g_assert_true(spec.tls_verify);
    g_assert_cmpuint(spec.connect_ns, ==, 10000000000);
}

/* ---- the service ---- */

static int32_t
use_secret(void *ctx, const char *secret, size_t len)
{
    g_assert_cmpuint(strlen(secret), ==, len);
    g_string_assign(ctx, secret);
    return EMESH_E_BUSY;
}

static void
test_service(void)
{
    const emesh_config_api *api = &emesh_config_service;
    g_assert_cmpuint(api->size, ==, sizeof *api);
    g_autoptr(emesh_config) config = good("password = hunter2\nlib.own = 3\nlib.b = 1\n"
                                          "lib.ssl.key = hunter3\nlib.deep.x = 2\nlib.a = 3\n"
                                          "peer = a:1\npeer = b:2\n");
    emesh_value value = { .size = sizeof value };
    g_assert_cmpint(api->get(config, "count", 0, &value), ==, EMESH_OK);
    g_assert_cmpint(value.i, ==, 5);
    g_assert_cmpuint(value.size, ==, sizeof value);
    g_assert_cmpint(api->get(config, "count", 1, &value), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(api->get(config, "title", 0, &value), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(api->get(config, "unheard", 0, &value), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(api->get(config, "lib.*", 0, &value), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(api->get(config, "lib.own", 0, &value), ==, EMESH_OK);
    g_assert_cmpint(api->get(config, "peer", 1, &value), ==, EMESH_OK);
    g_assert_cmpstr(value.text.ptr, ==, "b:2");
    g_assert_cmpint(api->get(NULL, "count", 0, &value), ==, EMESH_E_INVALID);
    g_assert_cmpint(api->get(config, NULL, 0, &value), ==, EMESH_E_INVALID);
    g_assert_cmpint(api->get(config, "count", 0, NULL), ==, EMESH_E_INVALID);

    emesh_value untouched = { .size = sizeof untouched };
    g_assert_cmpint(api->get(config, "password", 0, &untouched), ==, EMESH_E_DENIED);
    g_assert_null(untouched.text.ptr);
    g_assert_cmpint(api->get(config, "pin", 0, &untouched), ==, EMESH_E_NOT_FOUND);

    g_autoptr(GString) seen = g_string_new(NULL);
    g_assert_cmpint(api->secret(config, "password", use_secret, seen), ==, EMESH_E_BUSY);
    g_assert_cmpstr(seen->str, ==, "hunter2");
    g_assert_cmpint(api->secret(config, "lib.ssl.key", use_secret, seen), ==, EMESH_E_BUSY);
    g_assert_cmpstr(seen->str, ==, "hunter3");
    g_assert_cmpint(api->secret(config, "pin", use_secret, seen), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(api->secret(config, "unheard", use_secret, seen), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(api->secret(config, "password", NULL, seen), ==, EMESH_E_INVALID);

    static const struct {
        const char *key;
        const char *text;
    } entries[] = { { "b", "1" }, { "ssl.key", "" }, { "a", "3" } };
    uint64_t cursor = 0;
    emesh_slice key;
    for (size_t k = 0; k < G_N_ELEMENTS(entries); k++) {
        g_assert_cmpint(api->next(config, "lib.*", &cursor, &key, &value), ==, EMESH_OK);
        g_assert_cmpstr(key.ptr, ==, entries[k].key);
        g_assert_cmpuint(key.len, ==, strlen(entries[k].key));
        g_assert_cmpstr(value.text.ptr, ==, entries[k].text);
    }
    g_assert_cmpint(api->next(config, "lib.*", &cursor, &key, &value), ==, EMESH_E_NOT_FOUND);
    cursor = UINT64_MAX;
    g_assert_cmpint(api->next(config, "lib.*", &cursor, &key, &value), ==, EMESH_E_NOT_FOUND);
    cursor = 0;
    g_assert_cmpint(api->next(config, "lib.deep.*", &cursor, &key, &value), ==, EMESH_OK);
    g_assert_cmpstr(key.ptr, ==, "x");
    g_assert_cmpint(api->next(config, "count", &cursor, &key, &value), ==, EMESH_E_INVALID);
    g_assert_cmpint(api->next(config, "unheard.*", &cursor, &key, &value), ==, EMESH_E_NOT_FOUND);
}

/* A plugin whose emesh_value is shorter, or longer, than the host's. */
static void
test_service_sizes(void)
{
    g_autoptr(emesh_config) config = good("count = 7\n");
    struct {
        emesh_value value;
        char tail[16];
    } out;
    memset(&out, 0xaa, sizeof out);
    out.value.size = offsetof(emesh_value, text);
    g_assert_cmpint(emesh_config_service.get(config, "count", 0, &out.value), ==, EMESH_OK);
    g_assert_cmpint(out.value.i, ==, 7);
    g_assert_cmpuint(out.value.size, ==, offsetof(emesh_value, text));
    g_assert_cmphex((uintptr_t)out.value.text.ptr & 0xff, ==, 0xaa);

    out.value.size = sizeof out;
    g_assert_cmpint(emesh_config_service.get(config, "count", 0, &out.value), ==, EMESH_OK);
    g_assert_cmpstr(out.value.text.ptr, ==, "7");
    for (size_t i = 0; i < sizeof out.tail; i++)
        g_assert_cmpint(out.tail[i], ==, 0);
    out.value.size = 0;
    g_assert_cmpint(emesh_config_service.get(config, "count", 0, &out.value), ==, EMESH_E_INVALID);
}

/* ---- reload, dump, sample ---- */

static void
test_diff(void)
{
    static const struct {
        const char *a, *b;
        emesh_config_change change;
    } cases[] = {
        { "", "", EMESH_CONFIG_SAME },
        { "", "count = 5\n", EMESH_CONFIG_SAME },
        { "wait = 60s\n", "\n\nwait = 1m\n", EMESH_CONFIG_SAME },
        { "size = 64KiB\n", "", EMESH_CONFIG_SAME },
        { "flag = off\n", "flag = 0\n", EMESH_CONFIG_SAME },
        { "ratio = 0.50\n", "", EMESH_CONFIG_SAME },
        { "", "count = 6\n", EMESH_CONFIG_LIVE },
        { "count = 6\nwait = 1s\n", "count = 7\nwait = 2s\n", EMESH_CONFIG_LIVE },
        { "", "size = 1\n", EMESH_CONFIG_RESTART },
        { "", "title = x\n", EMESH_CONFIG_RESTART },
        { "title = x\n", "title = X\n", EMESH_CONFIG_RESTART },
        { "count = 6\n", "count = 7\nmode = fast\n", EMESH_CONFIG_RESTART },
        { "peer = a:1\npeer = b:2\n", "peer = b:2\npeer = a:1\n", EMESH_CONFIG_RESTART },
        { "peer = a:1\n", "peer = a:1\npeer = b:2\n", EMESH_CONFIG_RESTART },
        { "password = a\n", "password = b\n", EMESH_CONFIG_RESTART },
        { "lib.a = 1\n", "lib.b = 1\n", EMESH_CONFIG_RESTART },
        { "lib.a = 1\nlib.b = 2\n", "lib.a = 1\nlib.b = 2\n", EMESH_CONFIG_SAME },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        g_autoptr(emesh_config) a = good(cases[k].a);
        g_autoptr(emesh_config) b = good(cases[k].b);
        g_assert_cmpint(emesh_config_diff(a, b), ==, cases[k].change);
        g_assert_cmpint(emesh_config_diff(b, a), ==, cases[k].change);
        g_assert_cmpint(emesh_config_diff(a, a), ==, EMESH_CONFIG_SAME);
    }
    g_autoptr(emesh_config) a = good("");
    g_autoptr(emesh_config) fewer = emesh_config_new(NULL, table, 3, sizeof *table, NULL, 0, NULL);
    g_assert_cmpint(emesh_config_diff(a, fewer), ==, EMESH_CONFIG_RESTART);
}

static void
add_visited(void *ctx, const char *key, const char *value, const char *origin)
{
    g_string_append_printf(ctx, "%s=%s@%s ", key, value, origin);
}

static void
test_each(void)
{
    g_autoptr(emesh_config) config = good("password = hunter2\nlib.ssl.key = hunter3\nlib.x = 1\n");
    g_autoptr(GString) seen = g_string_new(NULL);
    emesh_config_each(config, add_visited, seen);
    g_assert_cmpstr(seen->str, ==,
                    "count=5@default wait=60s@default size=64k@default ratio=0.5@default "
                    "mode=safe@default flag=no@default password=***@10-a.conf:4 "
                    "lib.ssl.key=***@10-a.conf:5 lib.x=1@10-a.conf:6 ");
    g_autoptr(emesh_config) ghost = good("ghost = me\n");
    g_string_truncate(seen, 0);
    emesh_config_each(ghost, add_visited, seen);
    g_assert_nonnull(strstr(seen->str, "ghost=me@10-a.conf:4"));
}

/* "#key = value" lines become keys. */
static char *
uncommented(const char *sample)
{
    g_auto(GStrv) lines = g_strsplit(sample, "\n", -1);
    for (uint32_t i = 0; lines[i] != NULL; i++)
        if (lines[i][0] == '#' && lines[i][1] != ' ' && lines[i][1] != '\0')
            memmove(lines[i], lines[i] + 1, strlen(lines[i]));
    return g_strjoinv("\n", lines);
}

/* The sample is read without error, with its keys commented and uncommented. */
static void
test_sample(void)
{
    static const emesh_option_group groups[] = { { "emesh.listen/1", "" },
                                                 { "emesh.dial/1", "out-" } };
    g_autofree char *sample = emesh_config_sample("storage-x", "keeps events in x", table, N_TABLE,
                                                  sizeof *table, groups, 2);
    g_assert_true(g_str_has_prefix(sample, "# storage-x: keeps events in x\n"));
    g_assert_nonnull(strstr(sample, "\n# integer, 1 to 100; a reload changes it without restart\n"
                                    "#count = 5\n"));
    g_assert_nonnull(strstr(sample, "\n#out-connect-timeout = 10s\n"));
    g_assert_nonnull(strstr(sample, "\n#lib.name = value\n"));
    g_assert_null(strstr(sample, "ghost"));
    g_auto(GStrv) lines = g_strsplit(sample, "\n", -1);
    for (uint32_t i = 0; lines[i] != NULL; i++)
        g_assert_cmpuint(strlen(lines[i]), <=, 100);

    g_autofree char *all = uncommented(sample);
    const char *texts[] = { sample, all };
    for (int k = 0; k < 2; k++) {
        GError *error = NULL;
        g_autoptr(emesh_conf) conf = emesh_conf_parse("50-x.conf", texts[k], strlen(texts[k]),
                                                      &error);
        g_assert_no_error(error);
        g_assert_cmpstr(emesh_conf_instance_at(conf, 0)->component, ==, "storage-x");
        g_autoptr(emesh_config) config =
            emesh_config_new(emesh_conf_instance_at(conf, 0)->options, table, N_TABLE,
                             sizeof *table, groups, 2, &error);
        g_assert_no_error(error);
        g_assert_cmpint(value_of(config, "count").i, ==, 5);
        const bool given = strcmp(emesh_config_origin(config, "wait"), "default") != 0;
        g_assert_cmpint(given, ==, k == 1); /* commented keys are comments */
    }
}

typedef struct dump_ctx {
    const emesh_config *config;
} dump_ctx;

static const emesh_config *
dump_options(void *ctx, const emesh_conf_instance *instance)
{
    (void)instance;
    return ((dump_ctx *)ctx)->config;
}

static const emesh_option store_keys[] = {
    { .name = "depth", .type = EMESH_OPT_INT, .value = "1" },
    { .name = "token", .type = EMESH_OPT_TEXT, .must = EMESH_OPT_SECRET },
};

static const emesh_option *
dump_store(void *ctx, const emesh_conf_instance *instance, bool groups, uint32_t *n, uint32_t *size)
{
    (void)ctx;
    (void)instance;
    *n = G_N_ELEMENTS(store_keys);
    *size = sizeof *store_keys;
    return groups ? NULL : store_keys;
}

static void
test_dump(void)
{
    static const char text[] = "[instance]\ncomponent = c\n[options]\npassword = hunter2\n"
                               "title = \" a \\\"b\\\" \"\n[daemon]\nworkers = 2\n"
                               "[topic t]\na.depth = 2\na.token = hunter3\n";
    g_autoptr(emesh_conf) conf = emesh_conf_parse("10-a.conf", text, sizeof text - 1, NULL);
    g_autoptr(emesh_config) config = emesh_config_new(emesh_conf_instance_at(conf, 0)->options,
                                                      table, N_TABLE, sizeof *table, NULL, 0, NULL);
    dump_ctx ctx = { config };
    emesh_conf_dump_view view = { dump_options, dump_store, &ctx };
    static const char *const lines[] = {
        "[daemon]\nworkers = 2                                      # 10-a.conf:7\n",
        "\npublisher-events = 256                           # default\n",
        "\n# 10-a.conf\n[instance]\n"
        "component = c                                    # 10-a.conf:2\n",
        "\nenabled = true                                   # default\n",
        "\npassword = ***                                   # 10-a.conf:4\n",
        "\ntitle = \" a \\\"b\\\" \"                              # 10-a.conf:5\n",
        "\n[topic t]                                        # 10-a.conf:8\n",
        "\na.depth = 2                                      # 10-a.conf:9\n",
        "\na.token = ***                                    # 10-a.conf:10\n",
        "\n# topics that no section matches\n",
        "\n# groups that no section matches\n",
    };
    g_autofree char *dump = emesh_conf_dump(conf, &view);
    for (size_t k = 0; k < G_N_ELEMENTS(lines); k++)
        g_assert_nonnull(strstr(dump, lines[k]));
    g_assert_null(strstr(dump, "hunter"));

    ctx.config = NULL; /* the component is not loaded: nothing of its options is known */
    g_autofree char *unloaded = emesh_conf_dump(conf, &view);
    g_assert_nonnull(strstr(unloaded, "\ntitle = ***"));
    g_assert_nonnull(strstr(unloaded, "\n# not loaded: "));
    g_assert_null(strstr(unloaded, "hunter"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/options/defaults", test_defaults);
    g_test_add_func("/config/options/given", test_given);
    g_test_add_func("/config/options/refusals", test_refusals);
    g_test_add_func("/config/options/required", test_required);
    g_test_add_func("/config/options/many-errors-are-counted", test_many_errors_are_counted);
    g_test_add_func("/config/options/table-check", test_table_check);
    g_test_add_func("/config/options/strides", test_strides);
    g_test_add_func("/config/options/listen", test_listen);
    g_test_add_func("/config/options/group-refusals", test_group_refusals);
    g_test_add_func("/config/options/dial", test_dial);
    g_test_add_func("/config/options/service", test_service);
    g_test_add_func("/config/options/service-sizes", test_service_sizes);
    g_test_add_func("/config/options/diff", test_diff);
    g_test_add_func("/config/options/each", test_each);
    g_test_add_func("/config/options/sample", test_sample);
    g_test_add_func("/config/options/dump", test_dump);
    return g_test_run();
}
