/* SPDX-License-Identifier: Apache-2.0
 *
 * eventmeshd: arguments in, exit code out.
 */
#include "daemon/daemon.h"
#include "emesh-build.h"
#include "plugin/loader.h"

#include <glib.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

typedef struct options {
    char **conf, **plugin_dir;
    char *data, *run, *probe;
    int ready_fd;
    gboolean check, dump, version;
} options;

static char **
dirs_or(char **given, const char *variable, const char *const *defaults)
{
    const char *value = g_getenv(variable);

    if (given != NULL)
        return g_strdupv(given);
    if (value != NULL && *value != '\0')
        return g_strsplit(value, ":", -1);
    return g_strdupv((char **)defaults);
}

static char *
dir_or(const char *given, const char *variable, const char *fallback)
{
    const char *value = given != NULL ? given : g_getenv(variable);

    return g_strdup(value != NULL && *value != '\0' ? value : fallback);
}

static bool
parse(int argc, char **argv, options *o)
{
    const GOptionEntry entries[] = {
        { "conf", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->conf,
          "Folder of conf.d files, instead of the usual ones; a later one overrides", "DIR" },
        { "plugin-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->plugin_dir,
          "Folder of plugins; a later one wins", "DIR" },
        { "data", 0, 0, G_OPTION_ARG_FILENAME, &o->data, "Folder of all that is durable", "DIR" },
        { "run", 0, 0, G_OPTION_ARG_FILENAME, &o->run, "Folder of admin.sock", "DIR" },
        { "check-config", 0, 0, G_OPTION_ARG_NONE, &o->check,
          "Check the configuration and end", NULL },
        { "dump-config", 0, 0, G_OPTION_ARG_NONE, &o->dump,
          "Print every value with its origin and end", NULL },
        { "ready-fd", 0, 0, G_OPTION_ARG_INT, &o->ready_fd,
          "Write a byte to this descriptor when ready", "N" },
        { "probe", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME, &o->probe,
          "Open one plugin in this process and say what is wrong with it", "FILE" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "Print the version and end", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- moves CloudEvents");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (g_option_context_parse(context, &argc, &argv, &error) && argc == 1)
        return true;
    g_printerr("eventmeshd: %s; see eventmeshd --help\n",
               error != NULL ? error->message : "it takes no argument but options");
    return false;
}

/* A shell gives 1,024 descriptors, fewer than one listener may hold connections; what may be had
 * without privilege is taken, up to what the shipped unit gives. */
static void
raise_descriptors(void)
{
    const rlim_t enough = 65536;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= enough)
        return;
    limit.rlim_cur = MIN(limit.rlim_max, enough);
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void
leave(int code)
{
    fflush(NULL);
#ifdef __SANITIZE_ADDRESS__
    __lsan_do_leak_check();
#endif
    _exit(code); /* no destructor runs beside threads of plugins */
}

int
main(int argc, char **argv)
{
    static const char *const conf_dirs[] = { EMESH_VENDOR_CONF_DIR, "/etc/eventmesh/conf.d",
                                             "/run/eventmesh/conf.d", NULL };
    static const char *const plugin_dirs[] = { EMESH_PLUGIN_DIR, NULL };
    options o = { .ready_fd = -1 };
    emesh_daemon_args args = { 0 };
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    int code;

    if (!parse(argc, argv, &o))
        return EMESH_EXIT_CONFIG;
    if (o.version) {
        g_print("eventmeshd %s\n", EMESH_VERSION);
        return EMESH_EXIT_OK;
    }
    if (o.probe != NULL)
        leave(emesh_loader_probe(o.probe));
    args.conf_dirs = dirs_or(o.conf, "EVENTMESH_CONF", conf_dirs);
    args.plugin_dirs = dirs_or(o.plugin_dir, "EVENTMESH_PLUGIN_DIR", plugin_dirs);
    args.data_dir = dir_or(o.data, "EVENTMESH_DATA", "/var/lib/eventmesh");
    args.run_dir = dir_or(o.run, "EVENTMESH_RUN", "/run/eventmesh");
    args.self = self;
    args.ready_fd = o.ready_fd;
    raise_descriptors();
    code = o.check || o.dump ? emesh_daemon_check(&args, o.dump) : emesh_daemon_run(&args);
    g_strfreev(args.conf_dirs);
    g_strfreev(args.plugin_dirs);
    g_free(args.data_dir);
    g_free(args.run_dir);
    g_strfreev(o.conf);
    g_strfreev(o.plugin_dir);
    g_free(o.data);
    g_free(o.run);
    g_clear_pointer(&self, g_free);
    leave(code);
}
