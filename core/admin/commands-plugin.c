/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin.list and plugin.show: what is loaded, what could be, and why something is not. [main]
 */
#include "admin/describe.h"
#include "admin/tables.h"
#include "admin/view.h"

#include <string.h>

static const emesh_inst *
find_instance(const emesh_admin_view *view, const char *name)
{
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *inst = g_ptr_array_index(view->instances, i);
        if (strcmp(inst->name, name) == 0)
            return inst;
    }
    return NULL;
}

/* File name of the .so behind a conf.d file. */
static const char *
file_of(const emesh_conf_instance *conf)
{
    return conf->plugin != NULL ? conf->plugin : conf->component;
}

static void
row_running(const emesh_admin_view *view, const emesh_inst *inst, emesh_command_reply *reply)
{
    const emesh_conf_instance *conf = emesh_conf_instance_find(view->conf, inst->name);
    g_autofree char *path = conf == NULL ? NULL : emesh_loader_path(view->loader, file_of(conf));
    const char *health = inst->health == EMESH_HEALTH_OK         ? "ok"
                         : inst->health == EMESH_HEALTH_DEGRADED ? "degraded"
                                                                 : "failed";
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "instance", -1);
    emesh_row_text(row, "instance", inst->name, -1);
    emesh_row_text(row, "component", inst->component->name, -1);
    emesh_row_text(row, "version", inst->plugin->version, -1);
    emesh_row_text(row, "state", emesh_inst_state_name(inst->state), -1);
    emesh_row_text(row, "health", inst->state == EMESH_INST_FAILED ? "failed" : health, -1);
    emesh_row_text(row, "reason", inst->reason, -1);
    emesh_row_text(row, "file", conf == NULL ? "(built in)" : path, -1);
    emesh_row_text(row, "conf", conf == NULL ? "" : conf->file, -1);
    emesh_row_send(row, reply);
}

/* An instance of conf.d that is not there: switched off, or without a record of why. */
static void
row_absent(const emesh_admin_view *view, const emesh_conf_instance *conf,
           emesh_command_reply *reply)
{
    g_autofree char *path = emesh_loader_path(view->loader, file_of(conf));
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "instance", -1);
    emesh_row_text(row, "instance", conf->name, -1);
    emesh_row_text(row, "component", conf->component, -1);
    emesh_row_text(row, "version", "", -1);
    emesh_row_text(row, "state", conf->enabled ? "absent" : "disabled", -1);
    emesh_row_text(row, "health", "ok", -1);
    emesh_row_text(row, "reason", conf->enabled ? "" : "disabled: enabled = false", -1);
    emesh_row_text(row, "file", path, -1);
    emesh_row_text(row, "conf", conf->file, -1);
    emesh_row_send(row, reply);
}

static uint32_t
count_users(const emesh_conf *conf, const char *file)
{
    uint32_t users = 0;
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++)
        users += strcmp(file_of(emesh_conf_instance_at(conf, i)), file) == 0;
    return users;
}

static void
run_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    (void)args, (void)n;
    for (guint i = 0; i < view->instances->len; i++)
        row_running(view, g_ptr_array_index(view->instances, i), reply);
    for (uint32_t i = 0; i < emesh_conf_n_instances(view->conf); i++) {
        const emesh_conf_instance *conf = emesh_conf_instance_at(view->conf, i);
        if (find_instance(view, conf->name) == NULL)
            row_absent(view, conf, reply);
    }
    g_auto(GStrv) files = emesh_loader_list(view->loader);
    for (char **file = files; *file != NULL; file++) {
        g_autofree char *path = emesh_loader_path(view->loader, *file);
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "file", -1);
        emesh_row_text(row, "plugin", *file, -1);
        emesh_row_number(row, "instances", count_users(view->conf, *file));
        emesh_row_text(row, "file", path, -1);
        emesh_row_send(row, reply);
    }
    reply->end(reply, EMESH_OK, NULL);
}

/* The plugin called name among those that run; by instance, component or file. */
static const emesh_inst *
find_plugin(const emesh_admin_view *view, const char *name)
{
    const emesh_inst *inst = find_instance(view, name);
    for (guint i = 0; inst == NULL && i < view->instances->len; i++) {
        const emesh_inst *other = g_ptr_array_index(view->instances, i);
        const emesh_conf_instance *conf = emesh_conf_instance_find(view->conf, other->name);
        if (strcmp(other->component->name, name) == 0 ||
            (conf != NULL && strcmp(file_of(conf), name) == 0))
            inst = other;
    }
    return inst;
}

static void
run_show(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    g_autofree char *name = emesh_command_text(args, n, "name");
    const emesh_inst *inst = find_plugin(view, name);
    const emesh_conf_instance *conf =
        emesh_conf_instance_find(view->conf, inst == NULL ? name : inst->name);
    g_autofree char *path = emesh_loader_path(view->loader, conf == NULL ? name : file_of(conf));
    if (inst == NULL && path == NULL) {
        emesh_command_fail(reply, EMESH_E_NOT_FOUND,
                           "there is neither an instance nor a plugin "
                           "file called '%.80s' (plugin.list names all)",
                           name);
        return;
    }
    if (inst == NULL) { /* not loaded, and the daemon loads only what conf.d names */
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "file", -1);
        emesh_row_text(row, "plugin", name, -1);
        emesh_row_text(row, "file", path, -1);
        emesh_row_send(row, reply);
        reply->end(reply, EMESH_OK, NULL);
        return;
    }
    emesh_plugin_describe(inst->plugin, conf == NULL ? "(built in)" : path, reply);
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *other = g_ptr_array_index(view->instances, i);
        if (other->plugin == inst->plugin)
            row_running(view, other, reply);
    }
    reply->end(reply, EMESH_OK, NULL);
}

const emesh_command emesh_plugin_commands[] = {
    { "plugin.list", "", "instances with their state, and the plugin files found", false,
      run_list },
    { "plugin.show", "name", "everything a plugin says of itself: components, claims, options",
      false, run_show },
    { NULL, NULL, NULL, false, NULL },
};
