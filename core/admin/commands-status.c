/* SPDX-License-Identifier: Apache-2.0
 *
 * status, metrics, log-level: what the daemon is doing. [main]
 */
#include "admin/tables.h"
#include "admin/view.h"
#include "emesh-build.h"
#include "io/net.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Resident bytes of this process; 0 when the kernel does not say. */
static uint64_t
resident_bytes(void)
{
    g_autofree char *text = NULL;
    unsigned long pages = 0;
    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL) ||
        sscanf(text, "%*u %lu", &pages) != 1)
        return 0;
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
row_daemon(const emesh_admin_view *view, emesh_command_reply *reply)
{
    g_autofree char *dirs = g_strjoinv(":", (char **)view->conf_dirs);
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "daemon", -1);
    emesh_row_text(row, "version", EMESH_VERSION, -1);
    emesh_row_text(row, "state", view->state, -1);
    emesh_row_text(row, "node", view->node, -1);
    emesh_row_number(row, "pid", (uint64_t)getpid());
    emesh_row_number(row, "since", view->started_ms);
    emesh_row_number(row, "workers", view->n_workers);
    emesh_row_number(row, "memory", resident_bytes());
    emesh_row_text(row, "data", view->data_dir, -1);
    emesh_row_text(row, "run", view->run_dir, -1);
    emesh_row_text(row, "conf", dirs, -1);
    emesh_row_send(row, reply);
}

static const char *
health_name(const emesh_inst *inst)
{
    if (inst->state == EMESH_INST_FAILED || inst->health == EMESH_HEALTH_FAILED)
        return "failed";
    return inst->health == EMESH_HEALTH_DEGRADED ? "degraded" : "ok";
}

static void
row_instance(const emesh_inst *inst, emesh_command_reply *reply)
{
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "instance", -1);
    emesh_row_text(row, "instance", inst->name, -1);
    emesh_row_text(row, "component", inst->component->name, -1);
    emesh_row_text(row, "state", emesh_inst_state_name(inst->state), -1);
    emesh_row_text(row, "health", health_name(inst), -1);
    emesh_row_text(row, "reason", inst->reason, -1);
    emesh_row_send(row, reply);
}

static void
rows_listeners(const emesh_inst *inst, emesh_command_reply *reply)
{
    emesh_listeners *listeners = emesh_inst_listeners(inst);
    if (listeners == NULL)
        return;
    uint32_t n = emesh_net_listener_info(listeners, NULL, 0);
    g_autofree emesh_listener_info *infos = g_new0(emesh_listener_info, n);
    n = MIN(n, emesh_net_listener_info(listeners, infos, n));
    for (uint32_t i = 0; i < n; i++) {
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "listener", -1);
        emesh_row_text(row, "instance", inst->name, -1);
        emesh_row_text(row, "address", infos[i].address, -1);
        emesh_row_flag(row, "tls", infos[i].tls);
        emesh_row_text(row, "open-to", infos[i].open_to_others ? "network" : "this host", -1);
        emesh_row_number(row, "connections", infos[i].connections);
        emesh_row_number(row, "accepted", infos[i].accepted);
        emesh_row_number(row, "refused", infos[i].refused);
        emesh_row_number(row, "failed", infos[i].failed);
        emesh_row_number(row, "bytes-in", infos[i].bytes_in);
        emesh_row_number(row, "bytes-out", infos[i].bytes_out);
        emesh_row_send(row, reply);
    }
}

static void
row_worker(const emesh_worker *worker, emesh_command_reply *reply)
{
    emesh_worker_stats stats = { 0 };
    emesh_worker_read_stats(worker, &stats);
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "worker", -1);
    emesh_row_text(row, "worker", emesh_worker_name(worker), -1);
    emesh_row_number(row, "wake-ups", stats.wakeups);
    emesh_row_number(row, "jobs", stats.jobs);
    emesh_row_number(row, "ready", stats.fds_ready);
    emesh_row_number(row, "alarms", stats.alarms);
    emesh_row_number(row, "signals", stats.eventfd_writes);
    emesh_row_send(row, reply);
}

static void
run_status(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    (void)args, (void)n;
    row_daemon(view, reply);
    for (guint i = 0; i < view->instances->len; i++)
        row_instance(g_ptr_array_index(view->instances, i), reply);
    for (guint i = 0; i < view->instances->len; i++)
        rows_listeners(g_ptr_array_index(view->instances, i), reply);
    for (uint32_t i = 0; i < view->n_workers; i++)
        row_worker(view->workers[i], reply);
    if (view->status != NULL)
        view->status(daemon, reply);
    reply->end(reply, EMESH_OK, NULL);
}

static void
run_metrics(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    (void)args, (void)n;
    if (view->metrics != NULL)
        view->metrics(daemon, reply);
    reply->end(reply, EMESH_OK, NULL);
}

static const char *const level_names[] = { "error", "warning", "notice", "info", "debug" };

static void
run_log_level(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    g_autofree char *wanted = emesh_command_text(args, n, "level");
    uint32_t level = 0;
    for (uint32_t i = 0; wanted != NULL && i < G_N_ELEMENTS(level_names); i++)
        if (strcmp(wanted, level_names[i]) == 0)
            level = EMESH_LOG_ERROR + i;
    if (wanted != NULL && level == 0) {
        emesh_command_refuse(reply, "level",
                           "unknown level '%.20s' (error, warning, notice, "
                           "info, debug)",
                           wanted);
        return;
    }
    level = view->log_level(daemon, level);
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "level",
                   level_names[CLAMP(level, EMESH_LOG_ERROR, EMESH_LOG_DEBUG) - EMESH_LOG_ERROR],
                   -1);
    emesh_row_send(row, reply);
    reply->end(reply, EMESH_OK, NULL);
}

const emesh_command emesh_status_commands[] = {
    { "status", "", "the daemon, its instances, listeners, stores and findings", false,
      run_status },
    { "metrics", "", "counters of all rooms and instances", false, run_metrics },
    { "log-level", "level?", "shows the log level, or sets it until the next start", true,
      run_log_level },
    { NULL, NULL, NULL, false, NULL },
};
