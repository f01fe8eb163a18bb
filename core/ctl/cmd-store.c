/* SPDX-License-Identifier: Apache-2.0
 *
 * store check, store dump, store stats: finds the folder of a store and the tool that its plugin
 * brings, COMPONENT-tool, and becomes that tool. Only the plugin knows what its files mean.
 *
 *   COMPONENT-tool check|dump|stats FOLDER [FLAG]…
 *
 * The tool's exit code is ours: 0, 1 for damage, 2 when it could not look.
 */
#include "config/config.h"
#include "ctl/output.h"
#include "emesh-build.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define COMPONENT "storage-standalone" /* of a folder that no instance is named for */
#define IS_STORE "storage-"

typedef struct place {
    char *instance, *component, *folder;
} place;

static void
place_clear(place *p)
{
    g_free(p->instance);
    g_free(p->component);
    g_free(p->folder);
}

/* Takes an instance that may be meant. False: a second one, which is said. */
static bool
take(place *p, const char *wanted, const char *instance, const char *component)
{
    if (wanted != NULL ? strcmp(wanted, instance) != 0 : !g_str_has_prefix(component, IS_STORE))
        return true;
    if (p->instance != NULL) {
        ctl_say("store: there are several stores, %s and %s: name one", p->instance, instance);
        return false;
    }
    p->instance = g_strdup(instance);
    p->component = g_strdup(component);
    return true;
}

static bool
none(const char *wanted, const char *where)
{
    if (wanted != NULL)
        ctl_say("store: there is no instance '%s' in %s", wanted, where);
    else
        ctl_say("store: there is no store in %s: name an instance, or a folder with --folder",
                where);
    return false;
}

/* Instances of a running daemon: it may have been started with folders that we do not know. */
static bool
find_in_daemon(place *p, const char *wanted, JsonArray *rows)
{
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        g_autofree char *instance = ctl_field(row, "instance");
        g_autofree char *component = ctl_field(row, "component");
        if (*component != '\0' && !take(p, wanted, instance, component))
            return false;
    }
    return p->instance != NULL || none(wanted, "the running daemon");
}

static bool
find_in_conf(ctl *c, place *p, const char *wanted)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) dirs = ctl_conf_dirs(&c->opt);
    g_autofree char *where = g_strjoinv(", ", dirs);
    g_autoptr(emesh_conf) conf = emesh_conf_load((const char *const *)dirs, &error);
    if (conf == NULL) {
        ctl_say("store: %s", error->message);
        return false;
    }
    for (uint32_t i = 0; i < emesh_conf_n_instances(conf); i++) {
        const emesh_conf_instance *instance = emesh_conf_instance_at(conf, i);
        if (instance->component != NULL && !take(p, wanted, instance->name, instance->component))
            return false;
    }
    return p->instance != NULL || none(wanted, where);
}

/* --data-dir, EVENTMESH_DATA, what the daemon says, the default. Given. */
static char *
data_dir(ctl *c, JsonArray *status)
{
    const char *set = g_getenv("EVENTMESH_DATA");
    JsonObject *row = status != NULL ? ctl_row_of_kind(status, "daemon") : NULL;
    g_autofree char *said = row != NULL ? ctl_field(row, "data") : NULL;
    if (c->opt.data_dir != NULL)
        return g_strdup(c->opt.data_dir);
    if (set != NULL && *set != '\0')
        return g_strdup(set);
    return g_strdup(said != NULL && *said != '\0' ? said : "/var/lib/eventmesh");
}

static bool
find(ctl *c, place *p, const char *wanted)
{
    int code;
    if (c->opt.folder != NULL && wanted == NULL) {
        p->component = g_strdup(COMPONENT);
        p->folder = g_strdup(c->opt.folder);
        return true;
    }
    bool ask = c->opt.conf == NULL && g_getenv("EVENTMESH_CONF") == NULL;
    g_autoptr(JsonArray) status = ask ? ctl_rows_if_up(c, "status", NULL, &code) : NULL;
    if (status != NULL ? !find_in_daemon(p, wanted, status) : !find_in_conf(c, p, wanted))
        return false;
    if (strchr(p->component, '/') != NULL)
        return none(wanted, "any plugin: its component is no name");
    g_autofree char *data = data_dir(c, status);
    p->folder = c->opt.folder != NULL ? g_strdup(c->opt.folder)
                                      : g_build_filename(data, p->instance, NULL);
    return true;
}

/* PLUGIN-DIR/COMPONENT/COMPONENT-tool in a build folder, TOOL-DIR/COMPONENT-tool where it is
 * installed. NULL: said. Given. */
static char *
find_tool(ctl *c, const char *component)
{
    g_auto(GStrv) dirs = ctl_plugin_dirs(&c->opt);
    g_autofree char *name = g_strdup_printf("%s-tool", component);
    g_autoptr(GString) looked = g_string_new(NULL);
    for (guint i = g_strv_length(dirs) + 1; i > 0; i--) { /* a later folder wins */
        g_autofree char *path = i > 1 ? g_build_filename(dirs[i - 2], component, name, NULL)
                                      : g_build_filename(EMESH_TOOL_DIR, name, NULL);
        if (access(path, X_OK) == 0)
            return g_steal_pointer(&path);
        g_string_append_printf(looked, "%s%s", looked->len > 0 ? ", " : "", path);
    }
    ctl_say("store: component '%s' brings no tool for its files (looked for %s)", component,
            looked->str);
    return NULL;
}

static void
add(GPtrArray *argv, const char *flag, const char *value)
{
    g_ptr_array_add(argv, g_strdup_printf("--%s=%s", flag, value));
}

static void
add_number(GPtrArray *argv, const char *flag, gint64 value)
{
    if (value >= 0)
        g_ptr_array_add(argv, g_strdup_printf("--%s=%" G_GINT64_FORMAT, flag, value));
}

static GPtrArray *
arguments(ctl *c, const char *command, const char *tool, const char *folder)
{
    const ctl_options *opt = &c->opt;
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(tool));
    g_ptr_array_add(argv, g_strdup(command));
    if (opt->json)
        g_ptr_array_add(argv, g_strdup("--json"));
    if (opt->quiet)
        g_ptr_array_add(argv, g_strdup("--quiet"));
    if (opt->data)
        g_ptr_array_add(argv, g_strdup("--data"));
    if (opt->topic != NULL)
        add(argv, "topic", opt->topic);
    if (opt->record != NULL)
        add(argv, "type", opt->record);
    add_number(argv, "partition", opt->partition);
    add_number(argv, "from", opt->from_offset);
    add_number(argv, "to", opt->to_offset);
    add_number(argv, "limit", opt->limit);
    g_ptr_array_add(argv, g_strdup("--"));
    g_ptr_array_add(argv, g_strdup(folder));
    g_ptr_array_add(argv, NULL);
    return argv;
}

static int
become(ctl *c, const char *command, const char *wanted)
{
    place p = { 0 };
    int code = CTL_USAGE;
    const ctl_options *opt = &c->opt;
    if (MIN(MIN(opt->partition, opt->limit), MIN(opt->from_offset, opt->to_offset)) < -1) {
        ctl_say("store %s: --partition, --from, --to and --limit take no negative number", command);
        return code;
    }
    g_autofree char *tool = find(c, &p, wanted) ? find_tool(c, p.component) : NULL;
    if (tool != NULL) {
        g_autoptr(GPtrArray) argv = arguments(c, command, tool, p.folder);
        signal(SIGPIPE, SIG_DFL); /* `store dump | head` ends the tool */
        execv(tool, (char **)argv->pdata);
        ctl_say("store: %s could not be run: %s", tool, g_strerror(errno));
    }
    place_clear(&p);
    return code;
}

int
ctl_store_check(ctl *c, char **args, int n)
{
    return become(c, "check", n > 0 ? args[0] : NULL);
}

int
ctl_store_dump(ctl *c, char **args, int n)
{
    return become(c, "dump", n > 0 ? args[0] : NULL);
}

int
ctl_store_stats(ctl *c, char **args, int n)
{
    return become(c, "stats", n > 0 ? args[0] : NULL);
}
