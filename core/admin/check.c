/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a configuration one that the daemon would start with? Every problem is told, not the first
 * alone. [main]
 */
#include "admin/check.h"
#include "eventmesh/kind-storage.h"

#include <string.h>

typedef struct check_run {
    emesh_check *check;
    emesh_conf *conf;
    GHashTable *stores; /* instance name → const emesh_component */
} check_run;

static void
told(emesh_check *check, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (**line == '\0')
            continue;
        check->n_problems++;
        check->problem(check->ctx, *line);
    }
}

static const emesh_component *
check_plugin(check_run *run, const emesh_conf_instance *inst, emesh_loader *loader)
{
    g_autoptr(GError) error = NULL;
    const char *file = inst->plugin != NULL ? inst->plugin : inst->component;
    const emesh_plugin *plugin = emesh_loader_open(loader, file, &error);
    const emesh_component *component =
        plugin == NULL ? NULL : emesh_plugin_component(plugin, inst->component);
    g_autofree char *text = NULL;
    if (plugin == NULL)
        text = g_strdup_printf("%s: component: %s", inst->component_origin, error->message);
    else if (component == NULL)
        text = g_strdup_printf("%s: component: the file %s.so has no component \"%s\"",
                               inst->component_origin, file, inst->component);
    if (text != NULL)
        told(run->check, text);
    return component;
}

static void
check_instance(check_run *run, const emesh_conf_instance *inst, emesh_loader *loader)
{
    g_autoptr(GError) error = NULL;
    emesh_error err = { .size = sizeof err };
    const emesh_component *component = check_plugin(run, inst, loader);
    if (component == NULL)
        return;
    if (strcmp(component->kind, EMESH_STORAGE_KIND) == 0)
        g_hash_table_insert(run->stores, (gpointer)inst->name, (gpointer)component);
    g_autoptr(emesh_config) config =
        emesh_config_new(inst->options, component->options, component->n_options,
                         component->option_size, component->groups, component->n_groups, &error);
    if (config == NULL) {
        told(run->check, error->message);
        return;
    }
    if (!EMESH_CAN(component->life, check) || component->life->check(config, &err) == EMESH_OK)
        return;
    const char *origin = err.option[0] == '\0' ? NULL : emesh_config_origin(config, err.option);
    g_autofree char *text = g_strdup_printf("%s: %s%s%s", origin != NULL ? origin : inst->file,
                                            err.option, err.option[0] != '\0' ? ": " : "",
                                            err.text);
    told(run->check, text);
}

/* The store component that a rule names, or the only one. */
static const emesh_component *
rule_store(check_run *run, const emesh_topic_rule *topic, const char *pattern, const char **name)
{
    const emesh_component *component = NULL;
    g_autofree char *text = NULL;
    *name = topic->store;
    if (topic->store != NULL) {
        component = g_hash_table_lookup(run->stores, topic->store);
        if (component == NULL)
            text = g_strdup_printf("%s: store: there is no storage instance \"%s\"", topic->origin,
                                   topic->store);
    } else if (g_hash_table_size(run->stores) == 1) {
        GHashTableIter iter;
        gpointer key = NULL, value = NULL;
        g_hash_table_iter_init(&iter, run->stores);
        g_hash_table_iter_next(&iter, &key, &value);
        *name = key;
        component = value;
    } else {
        text = g_strdup_printf("%s: store: there are %u storage instances: [topic %s] must name "
                               "one", topic->origin, g_hash_table_size(run->stores), pattern);
    }
    if (text != NULL)
        told(run->check, text);
    return component;
}

static void
check_rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
           const emesh_group_rule *group)
{
    check_run *run = ctx;
    g_autoptr(GError) error = NULL;
    run->check->n_rules++;
    if (is_group) {
        if (group->dead_letter_store == NULL
            || g_hash_table_contains(run->stores, group->dead_letter_store))
            return;
        g_autofree char *text = g_strdup_printf(
            "%s: dead-letter-store: there is no storage instance \"%s\"", group->origin,
            group->dead_letter_store);
        told(run->check, text);
        return;
    }
    const char *store = NULL;
    const emesh_component *component = rule_store(run, topic, pattern, &store);
    if (component == NULL)
        return;
    emesh_storage_ops ops = { .size = 0 };
    memcpy(&ops, component->ops, MIN(*(const uint32_t *)component->ops, sizeof ops));
    g_autoptr(emesh_config) options = emesh_conf_topic_options(
        run->conf, pattern, strlen(pattern), store, ops.topic_options, ops.n_topic_options,
        component->option_size, &error);
    if (options == NULL)
        told(run->check, error->message);
}

bool
emesh_check_conf(emesh_check *check, const char *const *conf_dirs, emesh_loader *loader)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_load(conf_dirs, &error);
    emesh_daemon_options daemon_options;
    if (conf == NULL) {
        told(check, error->message);
        return false;
    }
    if (!emesh_daemon_options_read(conf, &daemon_options, &error))
        told(check, error->message);
    g_autoptr(GHashTable) stores = g_hash_table_new(g_str_hash, g_str_equal);
    check_run run = { check, conf, stores };
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++) {
        const emesh_conf_instance *inst = emesh_conf_instance_at(conf, i);
        if (inst->enabled) {
            check->n_instances++;
            check_instance(&run, inst, loader);
        } else {
            check->n_disabled++;
        }
    }
    emesh_conf_each_rule(conf, check_rule, &run);
    return check->n_problems == 0;
}

void
emesh_check_verdict(const emesh_check *check, bool good, const char *conf_dirs,
                    emesh_command_reply *reply)
{
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "verdict", -1);
    emesh_row_flag(row, "good", good);
    emesh_row_number(row, "problems", check->n_problems);
    emesh_row_number(row, "instances", check->n_instances);
    emesh_row_number(row, "disabled", check->n_disabled);
    emesh_row_number(row, "rules", check->n_rules);
    emesh_row_text(row, "conf", conf_dirs, -1);
    emesh_row_send(row, reply);
}
