/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the daemon's parts, running the main loop, and ending them. No payload passes here.
 */
#include "bus/findings.h"
#include "daemon/private.h"
#include "delivery/adopt.h"
#include "event/event.h"
#include "plugin/metrics.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

emesh_bus *
emesh_daemon_bus(emesh_daemon *daemon)
{
    return daemon->bus;
}

static gboolean
on_stop(void *data)
{
    emesh_daemon_stop(data);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_reload(void *data)
{
    emesh_daemon_reload(data);
    return G_SOURCE_CONTINUE;
}

static uint32_t
set_log_level(emesh_daemon *daemon, uint32_t level)
{
    if (level != 0) {
        emesh_log_set_level(daemon->log, level);
        daemon->plan->options.log_level = level;
    }
    return daemon->plan->options.log_level;
}

static void
going_down(void *ctx, emesh_inst *inst, emesh_job *done)
{
    emesh_daemon *daemon = ctx;

    if (inst->is_storage)
        emesh_bus_store_going(daemon->bus, inst, done);
    else
        emesh_worker_post(daemon->main, done);
}

static void
state_changed(void *ctx, emesh_inst *inst)
{
    emesh_daemon *daemon = ctx;

    if (daemon->bus != NULL)
        emesh_bus_inst_changed(daemon->bus, inst);
    if (inst->state == EMESH_INST_FAILED)
        emesh_log_say(daemon->log, EMESH_LOG_ERROR, inst->name, "%s: %s",
                      daemon->ready ? "failed, the others go on" : "failed at start", inst->reason);
    else
        emesh_log_say(daemon->log, EMESH_LOG_DEBUG, inst->name, "is %s%s%s",
                      emesh_inst_state_name(inst->state), inst->reason[0] != '\0' ? ": " : "",
                      inst->reason);
}

static void
fill_view(emesh_daemon *daemon)
{
    emesh_admin_view *v = &daemon->view;

    v->node = daemon->env.node;
    v->data_dir = daemon->args->data_dir;
    v->run_dir = daemon->args->run_dir;
    v->conf_dirs = (const char *const *)daemon->args->conf_dirs;
    v->plugin_dirs = (const char *const *)daemon->args->plugin_dirs;
    v->state = "starting";
    v->started_ms = (uint64_t)(g_get_real_time() / 1000);
    v->main = daemon->main;
    v->workers = daemon->workers;
    v->n_workers = daemon->n_workers;
    v->conf = daemon->plan->conf;
    v->loader = daemon->loader;
    v->instances = daemon->instances;
    v->status = emesh_daemon_status;
    v->metrics = emesh_daemon_metrics;
    v->log_level = set_log_level;
}

static bool
make_workers(emesh_daemon *daemon, GError **error)
{
    uint32_t n = daemon->plan->options.workers;

    daemon->n_workers = n != 0 ? n : g_get_num_processors();
    daemon->workers = g_new0(emesh_worker *, daemon->n_workers);
    daemon->main = emesh_worker_new_main(error);
    if (daemon->main == NULL)
        return false;
    for (uint32_t i = 0; i < daemon->n_workers; i++) {
        g_autofree char *name = g_strdup_printf("worker-%u", i);
        daemon->workers[i] = emesh_worker_new(i, name, error);
        if (daemon->workers[i] == NULL)
            return false;
    }
    return true;
}

static bool
make_folders(const emesh_daemon_args *args, GError **error)
{
    const char *const dirs[] = { args->data_dir, args->run_dir };

    for (uint32_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        if (g_mkdir_with_parents(dirs[i], 0750) == 0)
            continue;
        g_set_error(error, G_FILE_ERROR, 0, "cannot make the folder %s: %s; see --data and --run",
                    dirs[i], g_strerror(errno));
        return false;
    }
    return true;
}

static void
journal_failed(void *ctx, const char *why)
{
    emesh_daemon *daemon = ctx;

    if (why != NULL)
        emesh_finding_raise(daemon->bus, "journal-failed", "core", "%s", why);
    else
        emesh_finding_clear(daemon->bus, "journal-failed", "core");
}

static emesh_journal *
open_journal(emesh_daemon *daemon, const char *core_dir, GError **error)
{
    const emesh_daemon_options *options = &daemon->plan->options;
    g_autofree char *path = g_build_filename(core_dir, "journal", NULL);

    return emesh_journal_open(path, options->journal_size, options->journal_sample, daemon->main,
                              daemon->pool, error);
}

static bool
make_rooms(emesh_daemon *daemon, GError **error)
{
    g_autofree char *core_dir = g_build_filename(daemon->args->data_dir, "core", NULL);

    if (!make_folders(daemon->args, error) || !make_workers(daemon, error))
        return false;
    daemon->state = emesh_state_open(core_dir, error);
    if (daemon->state == NULL)
        return false;
    daemon->pool = emesh_pool_new(2);
    daemon->journal = open_journal(daemon, core_dir, error);
    if (daemon->journal == NULL)
        return false;
    daemon->bus = emesh_bus_new(daemon->main, daemon->workers, daemon->n_workers,
                                &daemon->plan->options, daemon->state, daemon->journal);
    daemon->bus->daemon = daemon;
    emesh_journal_watch(daemon->journal, journal_failed, daemon);
    daemon->bus->log = daemon->log;
    emesh_bus_set_conf(daemon->bus, daemon->plan->conf);
    daemon->services = emesh_services_new();
    emesh_services_add(daemon->services, EMESH_LOOP_ID, &emesh_loop_service);
    emesh_services_add(daemon->services, EMESH_EVENT_ID, &emesh_event_service);
    emesh_services_add(daemon->services, EMESH_CONFIG_ID, &emesh_config_service);
    emesh_services_add(daemon->services, EMESH_NET_ID, &emesh_net_service);
    emesh_services_add(daemon->services, EMESH_STATE_ID, &emesh_state_service);
    emesh_services_add(daemon->services, EMESH_GLIB_ID, &emesh_glib_service);
    emesh_services_add(daemon->services, EMESH_METRICS_ID, &emesh_metrics_service);
    emesh_bus_add_services(daemon->services);
    daemon->budget.most = daemon->plan->options.session_memory;
    daemon->env = (emesh_inst_env){
        .main = daemon->main,
        .workers = daemon->workers,
        .n_workers = daemon->n_workers,
        .pool = daemon->pool,
        .services = daemon->services,
        .data_dir = daemon->args->data_dir,
        .node = g_get_host_name(),
        .daemon_id = daemon->bus->daemon_id,
        .mesh = daemon->bus,
        .state = daemon->state,
        .log = daemon->log,
        .budget = &daemon->budget,
        .events = { .state_changed = state_changed, .going_down = going_down, .ctx = daemon },
    };
    return true;
}

static void
unmake(emesh_daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->instances->len; i++)
        emesh_inst_free(daemon->instances->pdata[i]);
    g_ptr_array_unref(daemon->instances);
    g_hash_table_unref(daemon->held);
    for (uint32_t i = 0; i < daemon->n_workers; i++)
        if (daemon->workers[i] != NULL)
            emesh_worker_stop(daemon->workers[i]);
    emesh_bus_free(daemon->bus);
    if (daemon->pool != NULL)
        emesh_pool_free(daemon->pool);
    emesh_state_close(daemon->state);
    for (uint32_t i = 0; i < daemon->n_workers; i++)
        emesh_worker_free(daemon->workers[i]);
    g_free(daemon->workers);
    g_free(daemon->beats);
    emesh_worker_free(daemon->main);
    emesh_journal_close(daemon->journal); /* its last job may have been on its way to main */
    if (daemon->services != NULL)
        emesh_services_free(daemon->services);
    emesh_plan_free(daemon->next);
    emesh_plan_free(daemon->plan);
    if (daemon->admin_conf != NULL)
        emesh_conf_unref(daemon->admin_conf);
    emesh_loader_free(daemon->loader);
    emesh_log_free(daemon->log);
    g_main_loop_unref(daemon->loop);
}

static emesh_loader *
make_loader(const emesh_daemon_args *args)
{
    g_autofree char *cache = g_build_filename(args->data_dir, "core", "plugins.cache", NULL);

    return emesh_loader_new((const char *const *)args->plugin_dirs, args->self, cache);
}

/* Once, before any thread or plugin: signals that would end the process become errors. */
static void
tame_signals(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    umask(0027);
}

int
emesh_daemon_run(const emesh_daemon_args *args)
{
    emesh_daemon daemon = { .args = args };
    g_autoptr(GError) error = NULL;

    tame_signals();
    daemon.log = emesh_log_new(STDERR_FILENO, EMESH_LOG_INFO);
    daemon.loop = g_main_loop_new(NULL, FALSE);
    daemon.instances = g_ptr_array_new();
    daemon.held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        (GDestroyNotify)emesh_held_free);
    daemon.loader = make_loader(args);
    emesh_loader_log_to(daemon.loader, daemon.log);
    daemon.plan = emesh_plan_new((const char *const *)args->conf_dirs, daemon.loader);
    if (daemon.plan->wrong->len > 0) {
        emesh_daemon_say(&daemon, EMESH_LOG_ERROR, daemon.plan->wrong->str);
        daemon.exit_code =
            daemon.plan->plugin_refused ? EMESH_EXIT_INSTANCE : EMESH_EXIT_CONFIG;
    } else {
        emesh_log_set_level(daemon.log, daemon.plan->options.log_level);
        if (!make_rooms(&daemon, &error)) {
            emesh_daemon_say(&daemon, EMESH_LOG_ERROR, error->message);
            daemon.exit_code = EMESH_EXIT_INSTANCE;
        } else {
            fill_view(&daemon);
            g_unix_signal_add(SIGTERM, on_stop, &daemon);
            g_unix_signal_add(SIGINT, on_stop, &daemon);
            g_unix_signal_add(SIGHUP, on_reload, &daemon);
            for (uint32_t i = 0; i < daemon.n_workers; i++)
                emesh_worker_start(daemon.workers[i]);
            emesh_daemon_start(&daemon);
            g_main_loop_run(daemon.loop);
        }
    }
    unmake(&daemon);
    return daemon.exit_code;
}


int
emesh_daemon_check(const emesh_daemon_args *args, bool dump)
{
    emesh_loader *loader = make_loader(args);
    g_autoptr(emesh_plan) plan =
        emesh_plan_new((const char *const *)args->conf_dirs, loader);
    int code = EMESH_EXIT_OK;

    if (plan->wrong->len > 0) {
        g_printerr("%s\n", plan->wrong->str);
        code = plan->plugin_refused ? EMESH_EXIT_INSTANCE : EMESH_EXIT_CONFIG;
    } else if (dump) {
        emesh_plan_dump(plan);
    } else {
        g_print("configuration is fine: %u instances\n", plan->items->len);
    }
    g_clear_pointer(&plan, emesh_plan_free);
    emesh_loader_free(loader);
    return code;
}
