/* SPDX-License-Identifier: Apache-2.0
 *
 * config.show and config.check: every value with its origin, and whether a reload would succeed.
 * [main]
 */
#include "admin/check.h"
#include "admin/tables.h"
#include "admin/view.h"
#include "config/rules.h"

#include <string.h>

typedef struct show {
    emesh_command_reply *reply;
    const char *section;
} show;

typedef struct store_show { /* keys of a store in a [topic …] or [group …] */
    show show;
    const char *store;
} store_show;

static void
row_value(void *ctx, const char *key, const char *value, const char *origin)
{
    const show *s = ctx;
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "section", s->section, -1);
    emesh_row_text(row, "key", key, -1);
    emesh_row_text(row, "value", value, -1);
    emesh_row_text(row, "origin", origin, -1);
    emesh_row_send(row, s->reply);
}

static void
show_daemon(const emesh_conf *conf, emesh_command_reply *reply)
{
    uint32_t n = 0;
    show s = { reply, "daemon" };
    const emesh_option *table = emesh_daemon_option_table(&n);
    g_autoptr(emesh_config) config =
        emesh_config_new(emesh_conf_daemon(conf), table, n, sizeof *table, NULL, 0, NULL);
    if (config != NULL)
        emesh_config_each(config, row_value, &s);
}

/* What the section says to one store, under the store's name; secrets are masked. */
static void
row_store_value(void *ctx, const char *key, const char *value, const char *origin)
{
    const store_show *s = ctx;
    if (strcmp(origin, "default") == 0)
        return;
    g_autofree char *full = g_strconcat(s->store, ".", key, NULL);
    row_value((void *)&s->show, full, value, origin);
}

static void
show_store_keys(const emesh_admin_view *view, bool groups, const char *pattern, store_show *s)
{
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *inst = g_ptr_array_index(view->instances, i);
        const emesh_storage_ops *ops = &inst->storage;
        if (!inst->is_storage)
            continue;
        g_autoptr(emesh_config) values =
            groups ? emesh_conf_group_options(view->conf, pattern, strlen(pattern), inst->name,
                                              ops->group_options, ops->n_group_options,
                                              inst->component->option_size, NULL)
                   : emesh_conf_topic_options(view->conf, pattern, strlen(pattern), inst->name,
                                              ops->topic_options, ops->n_topic_options,
                                              inst->component->option_size, NULL);
        s->store = inst->name;
        if (values != NULL)
            emesh_config_each(values, row_store_value, s);
    }
}

static void
show_rules(const emesh_admin_view *view, bool groups, emesh_command_reply *reply)
{
    const emesh_rules *rules = emesh_conf_rules(view->conf, groups);
    for (guint i = 0; i < rules->sorted->len; i++) {
        const emesh_rule *rule = g_ptr_array_index(rules->sorted, i);
        const char *pattern = rule->section->name;
        g_autofree char *section = g_strconcat(groups ? "group " : "topic ", pattern, NULL);
        store_show s = { .show = { reply, section } };
        emesh_config_each(rule->values, row_value, &s.show);
        show_store_keys(view, groups, pattern, &s);
    }
}

static void
run_show(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    g_autofree char *only = emesh_command_text(args, n, "instance");
    bool found = only == NULL || strcmp(only, "daemon") == 0;
    if (found)
        show_daemon(view->conf, reply);
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *inst = g_ptr_array_index(view->instances, i);
        show s = { reply, inst->name };
        if (only != NULL && strcmp(only, inst->name) != 0)
            continue;
        found = true;
        emesh_config_each(emesh_inst_config(inst), row_value, &s);
    }
    if (only == NULL) {
        show_rules(view, false, reply);
        show_rules(view, true, reply);
    }
    if (found)
        reply->end(reply, EMESH_OK, NULL);
    else
        emesh_command_fail(reply, EMESH_E_NOT_FOUND,
                           "there is no instance called '%.80s' "
                           "(plugin.list names all)",
                           only);
}

static void
run_check(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    (void)args, (void)n;
    emesh_check_conf(view->conf_dirs, view->loader, reply);
    reply->end(reply, EMESH_OK, NULL);
}

const emesh_command emesh_config_commands[] = {
    { "config.show", "instance?", "the values that hold, each with the file and line it is from",
      false, run_show },
    { "config.check", "", "would a reload of the configuration folders succeed?", false,
      run_check },
    { NULL, NULL, NULL, false, NULL },
};
