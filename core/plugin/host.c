/* SPDX-License-Identifier: Apache-2.0
 *
 * The host as a plugin sees it: services, completion, health and log. All [any]; what concerns the
 * life of the instance is carried to main by a job.
 */
#include "plugin/private.h"

#include <string.h>

#include "emesh-build.h"

#define TEXT_MOST 4096u /* of one log record: a plugin's length is not believed */
#define FIELDS_MOST 32u

emesh_inst *
emesh_inst_of(const emesh_host *host)
{
    return (emesh_inst *)((char *)(uintptr_t)host - offsetof(emesh_inst, host));
}

void
emesh_error_take(emesh_error *dst, int32_t code, const emesh_error *err)
{
    memset(dst, 0, sizeof *dst);
    if (err != NULL)
        (void)emesh_take_sized(dst, sizeof *dst, err);
    dst->size = sizeof *dst;
    dst->code = code;
    dst->option[sizeof dst->option - 1] = '\0';
    dst->text[sizeof dst->text - 1] = '\0';
}

static const void *
host_service(const emesh_host *host, const char *id)
{
    return emesh_services_find(emesh_inst_of(host)->priv->env.services, id);
}

static void
host_complete(const emesh_host *host, emesh_op *op, int32_t code, const emesh_error *err,
              const void *result)
{
    emesh_op_complete(emesh_inst_of(host), op, code, err, result);
}

static int32_t
host_log_on(const emesh_host *host, uint32_t level)
{
    return emesh_log_on(emesh_inst_of(host)->priv->env.log, level);
}

static void
host_log(const emesh_host *host, uint32_t level, const char *text, size_t len,
         const emesh_attr *fields, uint32_t n_fields)
{
    const emesh_inst *inst = emesh_inst_of(host);

    emesh_log_write(inst->priv->env.log, level, inst->name, text, MIN(len, TEXT_MOST), fields,
                    MIN(n_fields, FIELDS_MOST));
}

void
emesh_inst_log(const emesh_inst *inst, uint32_t level, const char *text)
{
    emesh_log_write(inst->priv->env.log, level, inst->name, text, strlen(text), NULL, 0);
}

/* ---- health ---- */

static bool
is_alive(const emesh_inst *inst)
{
    return inst->state == EMESH_INST_STARTING || inst->state == EMESH_INST_ATTACHING ||
           inst->state == EMESH_INST_RUNNING;
}

static void
tell_health(emesh_inst *inst, uint32_t health)
{
    const char *what = health == EMESH_HEALTH_OK         ? "is well again"
                       : health == EMESH_HEALTH_DEGRADED ? "is degraded"
                                                         : "has failed";

    inst->health = health;
    emesh_log_say(inst->priv->env.log,
                  health == EMESH_HEALTH_OK ? EMESH_LOG_NOTICE : EMESH_LOG_WARNING, inst->name,
                  "%s%s%s", what, inst->reason[0] != '\0' ? ": " : "", inst->reason);
}

static void
reported(emesh_job *job)
{
    struct emesh_inst_private *priv =
        (struct emesh_inst_private *)((char *)job -
                                      offsetof(struct emesh_inst_private, report_job));
    emesh_inst *inst = priv->lanes[0].loop.inst;
    emesh_error err;

    pthread_mutex_lock(&priv->report_lock);
    priv->report_queued = false;
    pthread_mutex_unlock(&priv->report_lock);
    uint32_t health = emesh_inst_reported(inst, &err);
    if (!is_alive(inst) || priv->asked_down)
        return;
    emesh_inst_set_reason(inst, err.code, &err);
    if (health != inst->health)
        tell_health(inst, health);
    if (health >= EMESH_HEALTH_FAILED ||
        (health == EMESH_HEALTH_DEGRADED && priv->refuse_unavailable &&
         inst->state == EMESH_INST_STARTING))
        emesh_inst_fail(inst, &err);
    else if (priv->env.events.state_changed != NULL)
        priv->env.events.state_changed(priv->env.events.ctx, inst);
}

/* FAILED stays the last word of a life; else the newest counts. */
static void
host_report(const emesh_host *host, uint32_t health, const emesh_error *err)
{
    emesh_inst *inst = emesh_inst_of(host);
    struct emesh_inst_private *priv = inst->priv;

    pthread_mutex_lock(&priv->report_lock);
    if (priv->report_health < EMESH_HEALTH_FAILED) {
        priv->report_health = MIN(health, EMESH_HEALTH_FAILED);
        emesh_error_take(&priv->report_err, EMESH_OK, err);
        if (err != NULL && EMESH_HAS(err, code))
            priv->report_err.code = err->code;
        if (priv->report_err.code == EMESH_OK && health != EMESH_HEALTH_OK)
            priv->report_err.code =
                health == EMESH_HEALTH_DEGRADED ? EMESH_E_UNAVAILABLE : EMESH_E_INTERNAL;
    }
    if (!priv->report_queued) {
        priv->report_queued = true;
        priv->report_job.run = reported;
        emesh_worker_post(priv->env.main, &priv->report_job);
    }
    pthread_mutex_unlock(&priv->report_lock);
}

uint32_t
emesh_inst_reported(emesh_inst *inst, emesh_error *err)
{
    struct emesh_inst_private *priv = inst->priv;

    pthread_mutex_lock(&priv->report_lock);
    uint32_t health = priv->report_health;
    *err = priv->report_err;
    pthread_mutex_unlock(&priv->report_lock);
    return health;
}

void
emesh_inst_forget_report(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    pthread_mutex_lock(&priv->report_lock);
    priv->report_health = EMESH_HEALTH_OK;
    memset(&priv->report_err, 0, sizeof priv->report_err);
    pthread_mutex_unlock(&priv->report_lock);
    inst->health = EMESH_HEALTH_OK;
}

/* ---- what it is made of ---- */

static emesh_attr
about(const char *name, const char *value)
{
    return (emesh_attr){ .name = name,
                         .name_len = (uint32_t)strlen(name),
                         .value = value,
                         .value_len = (uint32_t)strlen(value) };
}

void
emesh_host_fill(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;
    uint32_t n = 0;

    priv->about[n++] = about("instance", inst->name);
    priv->about[n++] = about("component", inst->component->name);
    priv->about[n++] = about("version", EMESH_VERSION);
    if (priv->env.node != NULL)
        priv->about[n++] = about("node", priv->env.node);
    if (priv->env.daemon_id != NULL)
        priv->about[n++] = about("daemon-id", priv->env.daemon_id);
    if (priv->data_dir != NULL)
        priv->about[n++] = about("data-dir", priv->data_dir);
    inst->host = (emesh_host){ .size = sizeof(emesh_host),
                               .abi_minor = EMESH_ABI_MINOR,
                               .about = priv->about,
                               .n_about = n,
                               .n_lanes = inst->n_loops,
                               .service = host_service,
                               .complete = host_complete,
                               .report = host_report,
                               .log_on = host_log_on,
                               .log = host_log };
}
