/* SPDX-License-Identifier: Apache-2.0
 *
 * --dump-config: the effective configuration, every value with its origin, secrets masked.
 */
#include "conf.h"
#include "instance.h"
#include <string.h>

#define ORIGIN_COLUMN 48

/* As it would have to be written in a file. */
static char *
quoted(const char *value)
{
    const size_t len = strlen(value);
    if (len > 0 && value[0] != '"' && value[0] != ' ' && value[len - 1] != ' ' &&
        strpbrk(value, "\n\t") == NULL)
        return g_strdup(value);
    GString *out = g_string_new("\"");
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_c(out, '\\');
        if (*p == '\n' || *p == '\t')
            g_string_append(out, *p == '\n' ? "\\n" : "\\t");
        else
            g_string_append_c(out, *p);
    }
    g_string_append_c(out, '"');
    return g_string_free(out, FALSE);
}

typedef struct lines {
    GString *out;
    const char *front; /* "INSTANCE." of a store's keys */
} lines;

static void
add_line(void *ctx, const char *key, const char *value, const char *origin)
{
    const lines *l = ctx;
    g_autofree char *text = quoted(value);
    g_autofree char *line = g_strdup_printf("%s%s = %s", l->front, key, text);
    g_string_append_printf(l->out, "%-*s # %s\n", ORIGIN_COLUMN, line, origin);
}

static void
add_given(void *ctx, const char *key, const char *value, const char *origin)
{
    if (strcmp(origin, "default") != 0)
        add_line(ctx, key, value, origin);
}

static void
add_config(GString *out, const emesh_config *config)
{
    lines l = { .out = out, .front = "" };
    emesh_config_each(config, add_line, &l);
}

static void
add_instance(GString *out, const emesh_conf_instance *instance, const emesh_conf_dump_view *view)
{
    g_string_append_printf(out, "\n# %s\n[instance]\n", instance->file);
    add_config(out, emesh_instance_values(instance));
    const emesh_config *options = view->options(view->ctx, instance);
    g_string_append(out, "\n[options]\n");
    if (options != NULL) {
        add_config(out, options);
        return;
    }
    /* which of them are secret is known to the component alone */
    lines l = { .out = out, .front = "" };
    for (uint32_t i = 0; i < emesh_conf_section_n(instance->options); i++) {
        const emesh_conf_entry entry = emesh_conf_section_at(instance->options, i);
        add_line(&l, entry.key, "***", entry.origin);
    }
    g_string_append(out, "# not loaded: defaults are not known, values are not shown\n");
}

/* The keys INSTANCE.… of one rule. */
static void
add_store_keys(GString *out, const emesh_conf *conf, const emesh_rule *rule, bool groups,
               const emesh_conf_dump_view *view)
{
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++) {
        const emesh_conf_instance *instance = emesh_conf_instance_at(conf, i);
        uint32_t n = 0;
        uint32_t size = 0;
        const emesh_option *table = view->store(view->ctx, instance, groups, &n, &size);
        if (table == NULL)
            continue;
        const emesh_config_source source = { .section = rule->section,
                                             .filter = EMESH_KEYS_INSTANCE,
                                             .instance = instance->name };
        g_auto(emesh_problems) problems;
        emesh_problems_init(&problems);
        g_autoptr(emesh_config) config = emesh_config_build(&source, table, n, size, NULL, 0,
                                                            &problems);
        g_autofree char *front = g_strconcat(instance->name, ".", NULL);
        lines l = { .out = out, .front = front };
        emesh_config_each(config, add_given, &l);
    }
}

static void
add_rules(GString *out, const emesh_conf *conf, bool groups, const emesh_conf_dump_view *view)
{
    const emesh_rules *rules = emesh_conf_rules(conf, groups);
    for (uint32_t i = 0; i < rules->sorted->len; i++) {
        const emesh_rule *rule = rules->sorted->pdata[i];
        g_autofree char *header = g_strdup_printf("[%s %s]", rule->section->kind,
                                                  rule->section->name);
        g_string_append_printf(out, "\n%-*s # %s\n", ORIGIN_COLUMN, header, rule->section->origin);
        add_config(out, rule->values);
        add_store_keys(out, conf, rule, groups, view);
    }
    g_string_append_printf(out, "\n# %s that no section matches\n", groups ? "groups" : "topics");
    add_config(out, rules->none->values);
}

char *
emesh_conf_dump(const emesh_conf *conf, const emesh_conf_dump_view *view)
{
    GString *out = g_string_new("[daemon]\n");
    add_config(out, emesh_conf_daemon_config(conf));
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++)
        add_instance(out, emesh_conf_instance_at(conf, i), view);
    add_rules(out, conf, false, view);
    add_rules(out, conf, true, view);
    return g_string_free(out, FALSE);
}
