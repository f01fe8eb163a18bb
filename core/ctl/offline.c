/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be said without a daemon: is a configuration good, what does a plugin file say. Uses the
 * daemon's own reader and loader; a plugin is tried in a child process before it is opened here.
 */
#include "admin/check.h"
#include "admin/describe.h"
#include "admin/json.h"
#include "config/config.h"
#include "ctl/ctl.h"

#include <string.h>
#include <unistd.h>

typedef struct collect {       /* a reply whose rows become JSON */
    emesh_command_reply reply; /* first */
    JsonArray *rows;
} collect;

static void
collect_row(emesh_command_reply *reply, const emesh_attr *attrs, uint32_t n)
{
    json_array_add_object_element(((collect *)reply)->rows, emesh_json_row(attrs, n));
}

static void
collect_end(emesh_command_reply *reply, int32_t code, const emesh_error *err)
{
    (void)reply, (void)code, (void)err; /* these answers end when their function returns */
}

static collect
collect_new(void)
{
    return (collect){ .reply = { collect_row, collect_end }, .rows = json_array_new() };
}

static emesh_loader *
loader_new(ctl *c)
{
    g_auto(GStrv) dirs = ctl_plugin_dirs(&c->opt);
    return emesh_loader_new((const char *const *)dirs, "/proc/self/exe", NULL);
}

JsonArray *
ctl_offline_check(ctl *c)
{
    collect all = collect_new();
    g_auto(GStrv) dirs = ctl_conf_dirs(&c->opt);
    emesh_loader *loader = loader_new(c);
    emesh_check_conf((const char *const *)dirs, loader, &all.reply);
    emesh_loader_free(loader);
    return all.rows;
}

JsonArray *
ctl_offline_plugin(ctl *c, const char *name)
{
    g_autoptr(GError) error = NULL;
    emesh_loader *loader = loader_new(c);
    const emesh_plugin *plugin = emesh_loader_open(loader, name, &error);
    JsonArray *rows = NULL;
    if (plugin == NULL) {
        ctl_say("plugin show: %s", error->message);
    } else {
        collect all = collect_new();
        g_autofree char *path = emesh_loader_path(loader, name);
        emesh_plugin_describe(plugin, path != NULL ? path : name, &all.reply);
        rows = all.rows;
    }
    emesh_loader_free(loader);
    return rows;
}

char *
ctl_offline_sample(ctl *c, const char *name)
{
    g_autoptr(GError) error = NULL;
    emesh_loader *loader = loader_new(c);
    const emesh_plugin *plugin = emesh_loader_open(loader, name, &error);
    GString *text = g_string_new(NULL);
    if (plugin == NULL)
        ctl_say("plugin sample: %s", error->message);
    for (uint32_t i = 0; plugin != NULL && i < plugin->n_components; i++) {
        const emesh_component *component = plugin->components[i];
        if (emesh_plugin_component(plugin, component->name) == NULL)
            continue; /* of a kind that this version does not have */
        g_autofree char *sample = emesh_config_sample(
            component->name, component->summary, component->options, component->n_options,
            component->option_size, component->groups, component->n_groups);
        g_string_append_printf(text, "%s%s", text->len > 0 ? "\n" : "", sample);
    }
    emesh_loader_free(loader);
    return g_string_free(text, plugin == NULL);
}
