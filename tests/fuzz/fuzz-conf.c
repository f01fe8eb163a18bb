/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of conf.d: any bytes are either a configuration or refused with a reason for each line,
 * and what was read is read the same when written out again.
 */
#include "config/config.h"
#include "config/pattern.h"
#include "fuzz.h"
#include <string.h>

static const emesh_option table[] = {
    { .name = "bool", .type = EMESH_OPT_BOOL },
    { .name = "int", .type = EMESH_OPT_INT, .min = -5, .max = 1000 },
    { .name = "real", .type = EMESH_OPT_REAL },
    { .name = "text", .type = EMESH_OPT_TEXT },
    { .name = "choice", .type = EMESH_OPT_CHOICE, .choices = "one|two|three" },
    { .name = "wait", .type = EMESH_OPT_DURATION, .must = EMESH_OPT_REPEATED },
    { .name = "size", .type = EMESH_OPT_SIZE },
    { .name = "url", .type = EMESH_OPT_URL },
    { .name = "path", .type = EMESH_OPT_PATH },
    { .name = "pin", .type = EMESH_OPT_INT, .must = EMESH_OPT_SECRET },
    { .name = "map.*", .type = EMESH_OPT_MAP, .must = EMESH_OPT_SECRET, .choices = "*key*" },
};
static const emesh_option_group groups[] = { { "emesh.listen/1", "" }, { "emesh.dial/1", "out-" } };

static void
check_error(GError *error)
{
    g_assert_nonnull(error);
    g_assert_true(error->message[0] != '\0');
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_error_free(error);
}

static void
append_quoted(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\n' || *p == '\t') {
            g_string_append(out, *p == '\n' ? "\\n" : "\\t");
            continue;
        }
        if (*p == '"' || *p == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *p);
    }
    g_string_append(out, "\"\n");
}

/* Written with every value in quotes, the options are the same. */
static void
check_written(const emesh_conf_section *section)
{
    g_autoptr(GString) out = g_string_new("[instance]\ncomponent = c\n[options]\n");
    for (uint32_t i = 0; i < emesh_conf_section_n(section); i++) {
        const emesh_conf_entry entry = emesh_conf_section_at(section, i);
        g_assert_cmpuint(strlen(entry.value), ==, entry.value_len);
        g_string_append_printf(out, "%s = ", entry.key);
        append_quoted(out, entry.value);
    }
    GError *error = NULL;
    g_autoptr(emesh_conf) again = emesh_conf_parse("10-x.conf", out->str, out->len, &error);
    if (again == NULL) { /* the escapes made a line, or the file, too long */
        g_assert_cmpuint(out->len, >, 32 * 1024);
        check_error(error);
        return;
    }
    const emesh_conf_section *other = emesh_conf_instance_at(again, 0)->options;
    g_assert_cmpuint(emesh_conf_section_n(other), ==, emesh_conf_section_n(section));
    for (uint32_t i = 0; i < emesh_conf_section_n(section); i++) {
        g_assert_cmpstr(emesh_conf_section_at(other, i).key, ==,
                        emesh_conf_section_at(section, i).key);
        g_assert_cmpstr(emesh_conf_section_at(other, i).value, ==,
                        emesh_conf_section_at(section, i).value);
    }
}

static void
check_instance(const emesh_conf_instance *instance)
{
    g_assert_true(instance->name[0] != '\0' && instance->component[0] != '\0');
    check_written(instance->options);
    GError *error = NULL;
    g_autoptr(emesh_config) config = emesh_config_new(instance->options, table, G_N_ELEMENTS(table),
                                                      sizeof *table, groups, G_N_ELEMENTS(groups),
                                                      &error);
    if (config == NULL) {
        check_error(error);
        return;
    }
    g_assert_cmpint(emesh_config_diff(config, config), ==, EMESH_CONFIG_SAME);
    emesh_listen_spec spec;
    g_assert_true(emesh_config_listen(config, "", &spec) == (spec.n_addresses > 0));
}

static const emesh_config *
no_options(void *ctx, const emesh_conf_instance *instance)
{
    (void)ctx, (void)instance;
    return NULL;
}

static const emesh_option *
no_keys(void *ctx, const emesh_conf_instance *instance, bool groups_of, uint32_t *n, uint32_t *size)
{
    (void)ctx, (void)instance, (void)groups_of, (void)n, (void)size;
    return NULL;
}

/* The rule of a section's own name is that section's, or that of an exact name. */
static void
check_rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
           const emesh_group_rule *group)
{
    const emesh_conf *conf = ctx;
    const size_t len = strlen(pattern);
    g_assert_true(emesh_pattern_ok(pattern));
    if (!emesh_name_ok(pattern, len))
        return;
    emesh_topic_rule t;
    emesh_group_rule g;
    if (is_group)
        emesh_conf_group(conf, pattern, len, &g);
    else
        emesh_conf_topic(conf, pattern, len, &t);
    g_assert_cmpstr(is_group ? g.origin : t.origin, ==, is_group ? group->origin : topic->origin);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GError *error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_parse("10-x.conf", (const char *)data, size, &error);
    if (conf == NULL) {
        check_error(error);
        return 0;
    }
    g_assert_null(error);
    if (emesh_conf_n_instances(conf) > 0)
        check_instance(emesh_conf_instance_at(conf, 0));
    emesh_conf_each_rule(conf, check_rule, conf);
    static const char *const names[] = { "a", "%DLQ%g", "emesh-x", "orders-eu" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        emesh_topic_rule rule;
        emesh_conf_topic(conf, names[i], strlen(names[i]), &rule);
        g_assert_cmpuint(rule.partitions, >, 0);
    }
    const emesh_conf_dump_view view = { no_options, no_keys, NULL };
    g_autofree char *dump = emesh_conf_dump(conf, &view);
    g_assert_true(g_utf8_validate(dump, -1, NULL));
    return 0;
}
