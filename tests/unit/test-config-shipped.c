/* SPDX-License-Identifier: Apache-2.0
 *
 * What is shipped beside the program says what the program does: the samples of conf.d, the man
 * page eventmesh.conf(5), the operator guide.
 */
#include "config/config.h"
#include "config/value.h"
#include "eventmesh/eventmesh.h"
#include "plugin/loader.h"
#include <glib/gstdio.h>
#include <string.h>

static char *
source_file(const char *path)
{
    const char *source = g_getenv("EMESH_SOURCE");
    g_assert_nonnull(source);
    g_autofree char *full = g_build_filename(source, path, NULL);
    char *text = NULL;
    GError *error = NULL;
    g_file_get_contents(full, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* "#key = value" becomes "key = value"; a second line with a key that cannot be repeated is dropped
 * in favour of the first. */
static char *
uncommented(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (uint32_t i = 0; lines[i] != NULL; i++)
        if (lines[i][0] == '#' && g_ascii_islower(lines[i][1]))
            memmove(lines[i], lines[i] + 1, strlen(lines[i]));
    return g_strjoinv("\n", lines);
}

static bool
has_line(const char *text, const char *line)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    return g_strv_contains((const char *const *)lines, line);
}

/* "#name = default", or the key with an example where there is no default. */
static void
assert_names(const char *file, const char *text, const emesh_option *option, const char *prefix)
{
    if ((option->may & (EMESH_OPT_HIDDEN | EMESH_OPT_DEPRECATED)) != 0)
        return;
    g_autofree char *line = g_strdup_printf("#%s%s = %s", prefix, option->name,
                                            option->value != NULL ? option->value : "");
    if (option->type == EMESH_OPT_MAP) /* "#webhook.": any key below it */
        *strchr(line, '*') = '\0';
    const bool there = option->value != NULL ? has_line(text, line) : strstr(text, line) != NULL;
    if (!there)
        g_error("%s lacks the line \"%s\"", file, line);
}

static emesh_conf *
shipped(void)
{
    g_autofree char *dir = g_build_filename(g_getenv("EMESH_SOURCE"), "conf.d", NULL);
    const char *dirs[] = { dir, NULL };
    GError *error = NULL;
    emesh_conf *conf = emesh_conf_load(dirs, &error);
    g_assert_no_error(error);
    return conf;
}

static void
test_samples_are_good(void)
{
    g_autoptr(emesh_conf) conf = shipped();
    static const struct {
        const char *name, *listen, *file, *open;
    } listeners[] = {
        { "protocol-tcp", "127.0.0.1:10000", "conf.d/10-protocol-tcp.conf",
          "#listen = [::]:10000" },
        { "protocol-http", "127.0.0.1:10105", "conf.d/20-protocol-http.conf",
          "#listen = [::]:10105" },
    };
    static const char *const stores[] = { "storage-standalone", "storage-kafka", "storage-redis" };
    const uint32_t n_listeners = G_N_ELEMENTS(listeners);
    g_assert_cmpuint(emesh_conf_n_instances(conf), ==, n_listeners + G_N_ELEMENTS(stores));
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++) {
        const emesh_conf_instance *instance = emesh_conf_instance_at(conf, i);
        g_assert_cmpstr(instance->name, ==, instance->component);
        if (i >= n_listeners)
            g_assert_cmpstr(instance->name, ==, stores[i - n_listeners]);
        g_assert_cmpint(instance->enabled, ==, i <= n_listeners); /* of stores the first alone */
    }
    /* nobody gets in from outside by default */
    for (uint32_t i = 0; i < n_listeners; i++) {
        const emesh_conf_instance *instance = emesh_conf_instance_at(conf, i);
        g_assert_cmpstr(instance->name, ==, listeners[i].name);
        g_assert_cmpuint(emesh_conf_section_n(instance->options), ==, 1);
        g_assert_cmpstr(emesh_conf_section_at(instance->options, 0).key, ==, "listen");
        g_assert_cmpstr(emesh_conf_section_at(instance->options, 0).value, ==,
                        listeners[i].listen);
        g_autofree char *text = source_file(listeners[i].file);
        g_assert_true(has_line(text, listeners[i].open));
    }
}

static void
test_daemon_sample(void)
{
    g_autofree char *text = source_file("conf.d/00-eventmesh.conf");
    uint32_t n;
    const emesh_option *table = emesh_daemon_option_table(&n);
    for (uint32_t i = 0; i < n; i++)
        assert_names("00-eventmesh.conf", text, &table[i], "");
    g_autofree char *all = uncommented(text);
    GError *error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_parse("00-eventmesh.conf", all, strlen(all), &error);
    g_assert_no_error(error);
    g_autoptr(emesh_conf) defaults = shipped();
    for (uint32_t i = 0; i < n; i++) {
        emesh_value value = { .size = sizeof value }, other = { .size = sizeof other };
        if (table[i].value == NULL) /* the sample has an example, and no default to differ from */
            continue;
        g_assert_true(emesh_config_get(emesh_conf_daemon_config(conf), table[i].name, 0, &value));
        g_assert_true(
            emesh_config_get(emesh_conf_daemon_config(defaults), table[i].name, 0, &other));
        g_assert_cmpmem(value.text.ptr, value.text.len, other.text.ptr, other.text.len);
        g_assert_cmpint(value.i, ==, other.i);
    }
    g_assert_cmpstr(emesh_config_origin(emesh_conf_daemon_config(conf), "workers"), !=, "default");
}

static const emesh_component *
component_of(emesh_loader *loader, const char *name)
{
    g_autofree char *path = emesh_loader_path(loader, name);
    if (path == NULL)
        return NULL;
    GError *error = NULL;
    const emesh_plugin *plugin = emesh_loader_open(loader, name, &error);
    g_assert_no_error(error);
    const emesh_component *component = emesh_plugin_component(plugin, name);
    g_assert_nonnull(component);
    return component;
}

/* The sample of a protocol or store names every option of its plugin, with the default. */
static void
test_instance_sample(gconstpointer data)
{
    const char *file = data;
    g_autofree char *path = g_build_filename("conf.d", file, NULL);
    g_autofree char *text = source_file(path);
    g_autofree char *plugins = g_build_filename(g_getenv("EMESH_BUILD"), "plugins", NULL);
    const char *dirs[] = { plugins, NULL };
    emesh_loader *loader = emesh_loader_new(dirs, NULL, NULL);
    g_autofree char *all = uncommented(text);
    GError *error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_parse(file, all, strlen(all), &error);
    g_assert_no_error(error);
    const emesh_conf_instance *instance = emesh_conf_instance_at(conf, 0);
    const emesh_component *component = component_of(loader, instance->component);
    if (component == NULL) {
        g_test_skip("the plugin is not built");
        emesh_loader_free(loader);
        return;
    }
    for (uint32_t i = 0; i < component->n_options; i++)
        assert_names(file, text, &component->options[i], "");
    for (uint32_t g = 0; g < component->n_groups; g++) {
        uint32_t n;
        const emesh_option *table = emesh_option_group_table(component->groups[g].id, &n);
        for (uint32_t i = 0; i < n; i++)
            assert_names(file, text, &table[i], component->groups[g].prefix);
    }
    g_autoptr(emesh_config) config =
        emesh_config_new(instance->options, component->options, component->n_options,
                         component->option_size, component->groups, component->n_groups, &error);
    g_assert_no_error(error);
    emesh_loader_free(loader);
}

/* ---- the man page ---- */

/* The text of a list item: from ".It Ic NAME" to the next one. NULL: there is none. Given. */
static char *
item(const char *page, const char *section, const char *name)
{
    g_autofree char *header = g_strdup_printf("\n.Ss %s\n", section);
    const char *from = strstr(page, header);
    if (from == NULL)
        g_error("eventmesh.conf.5 has no subsection \"%s\"", section);
    const char *section_end = strstr(from + strlen(header), "\n.Ss ");
    g_autofree char *begin = g_strdup_printf("\n.It Ic %s ", name);
    const char *at = strstr(from, begin);
    if (at == NULL || (section_end != NULL && at > section_end))
        return NULL;
    const char *end = strstr(at + 1, "\n.It ");
    const char *list_end = strstr(at + 1, "\n.El");
    if (end == NULL || list_end < end)
        end = list_end;
    return g_strndup(at, (gsize)(end - at));
}

static void
assert_documented(const char *page, const char *section, const emesh_option *table, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *text = item(page, section, table[i].name);
        if (text == NULL)
            g_error("eventmesh.conf.5, %s: \"%s\" is not described", section, table[i].name);
        if (table[i].value != NULL) {
            g_autofree char *value = g_strdup_printf("\nDefault: %s.\n", table[i].value);
            g_autofree char *whole = g_strconcat(text, "\n", NULL);
            if (strstr(whole, value) == NULL)
                g_error("eventmesh.conf.5, %s: \"%s\" lacks the line \"Default: %s.\"", section,
                        table[i].name, table[i].value);
        }
        const char *known = table[i].choices != NULL ? table[i].choices : "";
        g_auto(GStrv) choices = g_strsplit(known, "|", -1);
        for (uint32_t c = 0; choices[c] != NULL; c++) {
            g_autofree char *choice = g_strdup_printf("Cm %s", choices[c]);
            if (strstr(text, choice) == NULL)
                g_error("eventmesh.conf.5, %s: \"%s\" lacks \"%s\"", section, table[i].name,
                        choice);
        }
        g_autofree char *range = emesh_value_range(table[i].type, table[i].min, table[i].max);
        if (range != NULL && table[i].type != EMESH_OPT_TEXT && strstr(text, range) == NULL)
            g_error("eventmesh.conf.5, %s: \"%s\" lacks its range \"%s\"", section, table[i].name,
                    range);
    }
}

static void
test_man_page(void)
{
    g_autofree char *page = source_file("doc/man/eventmesh.conf.5");
    uint32_t n;
    const emesh_option *table = emesh_instance_option_table(&n);
    assert_documented(page, "[instance]", table, n);
    table = emesh_daemon_option_table(&n);
    assert_documented(page, "[daemon]", table, n);
    table = emesh_topic_option_table(&n);
    assert_documented(page, "[topic NAME]", table, n);
    table = emesh_group_option_table(&n);
    assert_documented(page, "[group NAME]", table, n);
    table = emesh_option_group_table("emesh.listen/1", &n);
    assert_documented(page, "Options of listeners", table, n);
    table = emesh_option_group_table("emesh.dial/1", &n);
    assert_documented(page, "Options of outgoing connections", table, n);
}

/* The example blocks that show files are files. */
static void
test_man_page_examples(void)
{
    g_autofree char *page = source_file("doc/man/eventmesh.conf.5");
    uint32_t read = 0;
    for (const char *at = strstr(page, "\n.Bd -literal -compact\n["); at != NULL;
         at = strstr(at + 1, "\n.Bd -literal -compact\n[")) {
        const char *from = strchr(at + 1, '\n') + 1;
        const char *end = strstr(from, "\n.Ed");
        g_assert_nonnull(end);
        GError *error = NULL;
        g_autoptr(emesh_conf) conf = emesh_conf_parse("10-example.conf", from,
                                                      (size_t)(end + 1 - from), &error);
        g_assert_no_error(error);
        read++;
    }
    g_assert_cmpuint(read, >=, 3);
}

/* ---- the operator guide ---- */

/* The text between "```KIND" and "```" from *at on; *at moves behind it. NULL: no more. Given. */
static char *
block(const char **at, const char *kind)
{
    g_autofree char *begin = g_strdup_printf("\n```%s\n", kind);
    const char *from = strstr(*at, begin);
    if (from == NULL)
        return NULL;
    from += strlen(begin);
    const char *end = strstr(from, "```\n");
    g_assert_nonnull(end);
    *at = end;
    return g_strndup(from, (gsize)(end - from));
}

static void
test_guide_files(void)
{
    g_autofree char *guide = source_file("doc/operator-guide.md");
    const char *at = guide;
    uint32_t read = 0;
    for (char *text = block(&at, "ini"); text != NULL; text = block(&at, "ini")) {
        GError *error = NULL;
        g_autoptr(emesh_conf) conf = emesh_conf_parse("10-x.conf", text, strlen(text), &error);
        g_assert_no_error(error);
        g_free(text);
        read++;
    }
    g_assert_cmpuint(read, >=, 2);
}

/* The broken file is answered as the guide says. */
static void
test_guide_errors(void)
{
    static const emesh_option_group groups[] = { { "emesh.listen/1", "" } };
    g_autofree char *guide = source_file("doc/operator-guide.md");
    const char *at = guide;
    g_autofree char *broken = block(&at, "ini broken");
    g_autofree char *answer = block(&at, "text");
    g_assert_nonnull(answer);
    g_autoptr(GError) error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_parse("10-protocol-tcp.conf", broken, strlen(broken),
                                                  &error);
    g_assert_no_error(error);
    g_assert_null(emesh_config_new(emesh_conf_instance_at(conf, 0)->options, NULL, 0, 0, groups, 1,
                                   &error));
    g_assert_cmpstr(error->message, ==, g_strchomp(answer));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/shipped/samples-are-good", test_samples_are_good);
    g_test_add_func("/config/shipped/daemon-sample", test_daemon_sample);
    g_test_add_data_func("/config/shipped/protocol-http", "20-protocol-http.conf",
                         test_instance_sample);
    g_test_add_data_func("/config/shipped/protocol-tcp", "10-protocol-tcp.conf",
                         test_instance_sample);
    g_test_add_data_func("/config/shipped/storage-kafka", "51-storage-kafka.conf",
                         test_instance_sample);
    g_test_add_data_func("/config/shipped/storage-redis", "52-storage-redis.conf",
                         test_instance_sample);
    g_test_add_data_func("/config/shipped/storage-standalone", "50-storage-standalone.conf",
                         test_instance_sample);
    g_test_add_func("/config/shipped/man-page", test_man_page);
    g_test_add_func("/config/shipped/man-page-examples", test_man_page_examples);
    g_test_add_func("/config/shipped/guide-files", test_guide_files);
    g_test_add_func("/config/shipped/guide-errors", test_guide_errors);
    return g_test_run();
}
