/* SPDX-License-Identifier: Apache-2.0
 *
 * The start, in order: stores, then the rules of conf.d held against them, then protocols and the
 * admin face. The first failure undoes all and ends with its code.
 */
#include "admin/admin.h"
#include "daemon/private.h"
#include "delivery/forget.h"

static void
fail_stop(emesh_job *job)
{
    emesh_daemon_stop((emesh_daemon *)((char *)job - offsetof(emesh_daemon, stop_job)));
}

void
emesh_daemon_fail(emesh_daemon *daemon, int code, const char *text)
{
    if (text != NULL)
        emesh_daemon_say(daemon, EMESH_LOG_ERROR, text);
    if (daemon->failing || daemon->stopping)
        return;
    daemon->failing = true;
    daemon->exit_code = code;
    daemon->stop_job.run = fail_stop;
    emesh_worker_post(daemon->main, &daemon->stop_job);
}

bool
emesh_daemon_add(emesh_daemon *daemon, const emesh_planned *planned, GError **error)
{
    emesh_inst *inst = emesh_inst_new(&daemon->env, planned->plugin, planned->component,
                                      planned->conf, planned->config, error);

    if (inst == NULL)
        return false;
    g_ptr_array_add(daemon->instances, inst);
    return true;
}

static bool
add_admin(emesh_daemon *daemon, GError **error)
{
    static const char text[] = "[instance]\ncomponent = " EMESH_ADMIN_NAME "\n";
    emesh_planned planned = { .plugin = &emesh_admin_plugin, .component = &emesh_admin_component };

    daemon->admin_conf = emesh_conf_parse("admin.conf", text, sizeof text - 1, error);
    if (daemon->admin_conf == NULL)
        return false;
    planned.conf = emesh_conf_instance_at(daemon->admin_conf, 0);
    planned.config = emesh_admin_config(daemon->plan->conf, daemon->args->run_dir, error);
    if (planned.config == NULL)
        return false;
    if (!emesh_daemon_add(daemon, &planned, error))
        return false;
    emesh_config_unref(planned.config);
    return true;
}

static void
came_up(void *ctx, emesh_inst *inst, int32_t code);

/* Brings up all instances of one sort that are still at rest. True when some are on their way. */
static bool
bring_up(emesh_daemon *daemon, bool storage)
{
    daemon->left = 1; /* until all are asked: an answer may come at once */
    for (uint32_t i = 0; i < daemon->instances->len && !daemon->failing; i++) {
        emesh_inst *inst = daemon->instances->pdata[i];
        if (inst->is_storage != storage)
            continue;
        daemon->left++;
        emesh_inst_up(inst, came_up, daemon);
    }
    return --daemon->left > 0 || daemon->failing;
}

static void
all_up(emesh_daemon *daemon)
{
    daemon->ready = true;
    daemon->view.state = "ready";
    emesh_forget_start(daemon->bus->forget);
    emesh_daemon_tell_ready(daemon);
}

static void
stores_up(emesh_daemon *daemon)
{
    g_autoptr(GError) error = NULL;

    if (!emesh_bus_check_rules(daemon->bus, daemon->plan->conf, &error))
        emesh_daemon_fail(daemon, EMESH_EXIT_CONFIG, error->message);
    else if (!bring_up(daemon, false))
        all_up(daemon);
}

static void
came_up(void *ctx, emesh_inst *inst, int32_t code)
{
    emesh_daemon *daemon = ctx;

    if (daemon->failing || daemon->stopping)
        return; /* left counts those that go down now */
    daemon->left--;
    if (code != EMESH_OK) {
        emesh_daemon_fail(daemon, EMESH_EXIT_INSTANCE, NULL); /* told with its state */
        return;
    }
    if (daemon->left > 0)
        return;
    if (inst->is_storage)
        stores_up(daemon);
    else
        all_up(daemon);
}

void
emesh_daemon_start(emesh_daemon *daemon)
{
    g_autoptr(GError) error = NULL;

    for (uint32_t i = 0; i < daemon->plan->items->len; i++) {
        const emesh_planned *planned = &g_array_index(daemon->plan->items, emesh_planned, i);
        if (!emesh_daemon_add(daemon, planned, &error)) {
            emesh_daemon_fail(daemon, EMESH_EXIT_INSTANCE, error->message);
            return;
        }
    }
    if (!add_admin(daemon, &error)) {
        emesh_daemon_fail(daemon, EMESH_EXIT_INSTANCE, error->message);
        return;
    }
    if (!bring_up(daemon, true))
        stores_up(daemon);
}
