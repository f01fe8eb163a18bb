/* SPDX-License-Identifier: Apache-2.0
 *
 * config.show and config.check: every value with its origin, and whether a reload would succeed.
 * [main]
 */
#include "admin/check.h"
#include "admin/tables.h"
#include "admin/view.h"

#include <string.h>

typedef struct show {
    emesh_command_reply *reply;
    const char *section;
} show;

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
    g_autoptr(emesh_config) config = emesh_config_new(emesh_conf_daemon(conf), table, n,
                                                      sizeof *table, NULL, 0, NULL);
    if (config != NULL)
        emesh_config_each(config, row_value, &s);
}

static void
row_rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
         const emesh_group_rule *group)
{
    static const char *const levels[] = { "the store's highest", "memory", "os", "synced",
                                          "quorum" };
    g_autofree char *section = g_strconcat(is_group ? "group " : "topic ", pattern, NULL);
    show s = { ctx, section };
    char number[32];
    if (is_group) {
        row_value(&s, "order", group->ordered != 0 ? "key" : "none", group->origin);
        g_snprintf(number, sizeof number, "%u", group->attempts);
        row_value(&s, "attempts", number, group->origin);
        row_value(&s, "dead-letter", group->dead_letter != 0 ? "on" : "off", group->origin);
        return;
    }
    row_value(&s, "store", topic->store != NULL ? topic->store : "the only one", topic->origin);
    row_value(&s, "durability", levels[MIN(topic->level, 4u)], topic->level_origin);
    g_snprintf(number, sizeof number, "%u", topic->partitions);
    row_value(&s, "partitions", number, topic->origin);
    g_snprintf(number, sizeof number, "%" G_GUINT64_FORMAT "ms", topic->retention_ms);
    row_value(&s, "retention-age", number, topic->origin);
    g_snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, topic->retention_bytes);
    row_value(&s, "retention-bytes", number, topic->origin);
    g_snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, topic->max_event);
    row_value(&s, "max-event", number, topic->origin);
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
    if (only == NULL)
        emesh_conf_each_rule(view->conf, row_rule, reply);
    if (found)
        reply->end(reply, EMESH_OK, NULL);
    else
        emesh_command_fail(reply, EMESH_E_NOT_FOUND, "there is no instance called '%.80s' "
                           "(plugin.list names all)", only);
}

static void
row_problem(void *ctx, const char *text)
{
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "problem", -1);
    emesh_row_text(row, "problem", text, -1);
    emesh_row_send(row, ctx);
}

static void
run_check(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    emesh_check check = { .problem = row_problem, .ctx = reply };
    g_autofree char *dirs = g_strjoinv(":", (char **)view->conf_dirs);
    (void)args, (void)n;
    bool good = emesh_check_conf(&check, view->conf_dirs, view->loader);
    emesh_check_verdict(&check, good, dirs, reply);
    reply->end(reply, EMESH_OK, NULL);
}

const emesh_command emesh_config_commands[] = {
    { "config.show", "instance?", "the values that hold, each with the file and line it is from",
      false, run_show },
    { "config.check", "", "would a reload of the configuration folders succeed?", false,
      run_check },
    { NULL, NULL, NULL, false, NULL },
};
