/* SPDX-License-Identifier: Apache-2.0
 *
 * The way down, entered at the step that undoes what is there: users told, listeners shut, lanes
 * drained, connections closed, lanes detached, stop, what still runs awaited, destroy. And the way
 * up again after a failure. All on main but for the lanes' own calls.
 */
#include "plugin/private.h"

#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define LONGEST_STEP_NS (30 * SECOND_NS) /* detach, stop */
#define LONGEST_WAIT_S 60u               /* before a restart */
#define WELL_AFTER_NS (60 * SECOND_NS)   /* running so long, it starts again at 1 s */

static struct emesh_inst_private *
priv_of_step(emesh_job *job)
{
    return (struct emesh_inst_private *)((char *)job -
                                         offsetof(struct emesh_inst_private, step_job));
}

static emesh_inst *
inst_of_step(emesh_job *job)
{
    return priv_of_step(job)->lanes[0].loop.inst;
}

/* ---- the end ---- */

static void
restart_due(emesh_alarm *alarm)
{
    struct emesh_inst_private *priv =
        (struct emesh_inst_private *)((char *)alarm - offsetof(struct emesh_inst_private, restart));

    __atomic_fetch_add(&priv->restarts, 1, __ATOMIC_RELAXED);
    emesh_inst_begin_up(priv->lanes[0].loop.inst);
}

static void
plan_restart(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;
    uint64_t now = emesh_worker_now(priv->env.main);

    if (priv->running_since != 0 && now - priv->running_since > WELL_AFTER_NS)
        priv->restarts_in_a_row = 0;
    priv->running_since = 0;
    uint32_t wait = MIN(1u << MIN(priv->restarts_in_a_row, 6u), LONGEST_WAIT_S);
    priv->restarts_in_a_row++;
    emesh_log_say(priv->env.log, EMESH_LOG_NOTICE, inst->name, "starts anew in %u s", wait);
    priv->restart.due = restart_due;
    emesh_worker_alarm(priv->env.main, &priv->restart, now + wait * SECOND_NS);
}

/* The callbacks may free the instance: nothing is touched after them. */
static void
finish(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;
    void (*up_done)(void *, emesh_inst *, int32_t) = g_steal_pointer(&priv->up_done);
    void (*down_done)(void *, emesh_inst *) = g_steal_pointer(&priv->down_done);
    void *up_ctx = priv->up_ctx, *down_ctx = priv->down_ctx;
    int32_t code = priv->failure != EMESH_OK ? priv->failure : EMESH_E_CANCELED;
    bool failed = priv->failure != EMESH_OK;

    emesh_worker_alarm(priv->env.main, &priv->limit, 0);
    if (failed && priv->stay_up && !priv->asked_down && !priv->abandoned)
        plan_restart(inst);
    emesh_inst_set_state(inst, failed ? EMESH_INST_FAILED : EMESH_INST_STOPPED);
    if (up_done != NULL)
        up_done(up_ctx, inst, code);
    if (down_done != NULL)
        down_done(down_ctx, inst);
}

/* ---- destroy ---- */

void
emesh_inst_down_destroy(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    if (inst->self != NULL)
        inst->life.destroy(inst->self);
    inst->self = NULL;
    g_clear_pointer(&priv->listeners, emesh_listeners_free);
    finish(inst);
}

static void
pass_on_lane(emesh_lane_rec *rec)
{
    emesh_lane_return(rec);
}

/* Tasks that were on the pool have been posted home; lanes forward theirs to main, CLOSED, and
 * return after that: when all have returned, every task has run. */
static void
pool_is_empty(emesh_job *job)
{
    emesh_lanes_each(inst_of_step(job), EMESH_LANES_ALL, pass_on_lane, emesh_inst_down_destroy);
}

static void
ops_are_over(emesh_job *job)
{
    job->run = pool_is_empty;
    emesh_work_gate_wait(&priv_of_step(job)->gate, job);
}

/* ---- stop ---- */

/* Whoever holds a thread or a lane in the plugin's code cannot be freed below it. */
static void
abandon(emesh_alarm *alarm)
{
    struct emesh_inst_private *priv =
        (struct emesh_inst_private *)((char *)alarm - offsetof(struct emesh_inst_private, limit));
    emesh_inst *inst = priv->lanes[0].loop.inst;
    emesh_error why = { .size = sizeof why, .code = EMESH_E_TIMEOUT };

    g_snprintf(why.text, sizeof why.text, "%s was not completed in time: abandoned",
               inst->state == EMESH_INST_STOPPING ? "stop" : "detach");
    priv->abandoned = true;
    priv->failure = why.code;
    emesh_inst_set_reason(inst, why.code, &why);
    emesh_log_say(priv->env.log, EMESH_LOG_ERROR, inst->name, "bug in the plugin: %s", why.text);
    finish(inst);
}

static uint64_t
longest_step(const struct emesh_inst_private *priv)
{
    return priv->env.step_limit_ns != 0 ? priv->env.step_limit_ns : LONGEST_STEP_NS;
}

static void
limit_step(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    priv->limit.due = abandon;
    emesh_worker_alarm(priv->env.main, &priv->limit,
                       emesh_worker_now(priv->env.main) + longest_step(priv));
}

static void
stopped(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_inst *inst = ctx;
    struct emesh_inst_private *priv = inst->priv;

    (void)err;
    (void)value;
    if (priv->abandoned)
        return;
    if (code != EMESH_OK)
        emesh_log_say(priv->env.log, EMESH_LOG_WARNING, inst->name, "stop ended with code %d",
                      code);
    priv->step_op = NULL;
    priv->step_job.run = ops_are_over;
    emesh_ops_end(inst, &priv->step_job);
}

void
emesh_inst_down_stop(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    if (priv->abandoned)
        return;
    if (priv->step_op != NULL) /* start is not completed: the plugin does it in stop */
        emesh_op_cut(inst, priv->step_op);
    emesh_inst_set_state(inst, EMESH_INST_STOPPING);
    if (inst->life.stop == NULL) {
        stopped(inst, EMESH_OK, NULL, NULL);
        return;
    }
    limit_step(inst);
    priv->step_op = emesh_op_new(inst, priv->env.main, NULL, stopped, inst);
    inst->life.stop(inst->self, priv->step_op);
}

/* ---- detach ---- */

static void
detached(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_lane_rec *rec = ctx;

    (void)code;
    (void)err;
    (void)value;
    __atomic_store_n(&rec->loop.closed, 1, __ATOMIC_RELEASE);
    emesh_net_lane_end(&rec->loop);
    rec->attached = false;
    emesh_lane_return(rec);
}

static void
detach_on_lane(emesh_lane_rec *rec)
{
    emesh_inst *inst = rec->loop.inst;

    if (inst->life.detach == NULL) {
        detached(rec, EMESH_OK, NULL, NULL);
        return;
    }
    rec->op = emesh_op_new(inst, rec->loop.worker, NULL, detached, rec);
    inst->life.detach(rec->loop.lane, rec->op);
}

void
emesh_inst_down_detach(emesh_inst *inst)
{
    emesh_inst_set_state(inst, EMESH_INST_DETACHING);
    limit_step(inst);
    emesh_lanes_each(inst, EMESH_LANES_ATTACHED, detach_on_lane, emesh_inst_down_stop);
}

/* ---- drain ---- */

static void
conns_are_closed(emesh_job *job)
{
    emesh_inst_down_detach(inst_of_step(job));
}

static void
close_conns(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    priv->step_job.run = conns_are_closed;
    if (priv->listening)
        emesh_net_close_all(priv->listeners, &priv->step_job);
    else
        emesh_inst_down_detach(inst);
}

/* The calls must have returned, their operations be completed or cut. */
static void
drain_check(emesh_inst *inst)
{
    if (inst->priv->pending == 0 && inst->priv->pending_ops == 0)
        close_conns(inst);
}

static void
drained(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_lane_rec *rec = ctx;
    emesh_inst *inst = rec->loop.inst;

    (void)code;
    (void)err;
    (void)value;
    rec->op = NULL;
    inst->priv->pending_ops--;
    drain_check(inst);
}

static void
drain_is_cut(emesh_alarm *alarm)
{
    struct emesh_inst_private *priv =
        (struct emesh_inst_private *)((char *)alarm - offsetof(struct emesh_inst_private, limit));
    emesh_inst *inst = priv->lanes[0].loop.inst;

    if (priv->pending_ops == 0)
        return; /* only a call that has not returned is missing */
    emesh_log_say(priv->env.log, EMESH_LOG_NOTICE, inst->name,
                  "drain was cut at its deadline on %u lanes", priv->pending_ops);
    for (uint32_t i = 0; i < inst->n_loops; i++)
        if (priv->lanes[i].op != NULL)
            emesh_op_cut(inst, g_steal_pointer(&priv->lanes[i].op));
    priv->pending_ops = 0;
    drain_check(inst);
}

static void
drain_on_lane(emesh_lane_rec *rec)
{
    emesh_inst *inst = rec->loop.inst;

    inst->life.drain(rec->loop.lane, inst->priv->down_deadline, rec->op);
    emesh_lane_return(rec);
}

static void
drain(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    if (inst->life.drain == NULL) {
        close_conns(inst);
        return;
    }
    priv->limit.due = drain_is_cut;
    emesh_worker_alarm(priv->env.main, &priv->limit, priv->down_deadline);
    priv->pending_ops = inst->n_loops;
    for (uint32_t i = 0; i < inst->n_loops; i++)
        priv->lanes[i].op = emesh_op_new(inst, priv->env.main, NULL, drained, &priv->lanes[i]);
    emesh_lanes_each(inst, EMESH_LANES_ALL, drain_on_lane, drain_check);
}

/* ---- the beginning of the end ---- */

static void
is_shut(emesh_job *job)
{
    drain(inst_of_step(job));
}

static void
shut(emesh_job *job)
{
    struct emesh_inst_private *priv = priv_of_step(job);

    job->run = is_shut;
    if (priv->listening)
        emesh_net_shut(priv->listeners, job);
    else
        is_shut(job);
}

void
emesh_inst_down_begin(emesh_inst *inst, uint64_t deadline_ns)
{
    struct emesh_inst_private *priv = inst->priv;
    const emesh_inst_events *events = &priv->env.events;

    priv->down_deadline = deadline_ns;
    emesh_inst_set_state(inst, EMESH_INST_DRAINING);
    priv->step_job.run = shut;
    if (events->going_down != NULL)
        events->going_down(events->ctx, inst, &priv->step_job);
    else
        shut(&priv->step_job);
}

void
emesh_inst_fail(emesh_inst *inst, const emesh_error *err)
{
    struct emesh_inst_private *priv = inst->priv;

    if (priv->failure != EMESH_OK)
        return;
    priv->failure = err->code != EMESH_OK ? err->code : EMESH_E_INTERNAL;
    emesh_inst_set_reason(inst, priv->failure, err);
    if (inst->state == EMESH_INST_RUNNING)
        emesh_inst_down_begin(inst, emesh_worker_now(priv->env.main) + 5 * SECOND_NS);
    else if (inst->state == EMESH_INST_STARTING)
        emesh_inst_down_stop(inst);
    else if (inst->state != EMESH_INST_ATTACHING) /* there attached() goes on */
        emesh_inst_down_destroy(inst);
}

/* ---- asked down ---- */

static void
nothing_to_end(emesh_job *job)
{
    emesh_inst *inst = inst_of_step(job);

    if (!inst->priv->abandoned)
        inst->priv->failure = EMESH_OK;
    finish(inst);
}

static void
destroy_only(emesh_job *job)
{
    emesh_inst_down_destroy(inst_of_step(job));
}

void
emesh_inst_down(emesh_inst *inst, uint64_t deadline_ns, void (*done)(void *ctx, emesh_inst *inst),
                void *ctx)
{
    struct emesh_inst_private *priv = inst->priv;
    g_return_if_fail(priv->down_done == NULL);
    priv->asked_down = true;
    priv->stay_up = false;
    priv->down_done = done;
    priv->down_ctx = ctx;
    emesh_worker_alarm(priv->env.main, &priv->restart, 0);
    if (deadline_ns == 0)
        deadline_ns = emesh_worker_now(priv->env.main) + longest_step(priv);
    switch (inst->state) {
    case EMESH_INST_LOADED:
    case EMESH_INST_CREATED:
        priv->step_job.run = destroy_only;
        emesh_worker_post(priv->env.main, &priv->step_job);
        break;
    case EMESH_INST_STARTING:
        emesh_inst_down_stop(inst);
        break;
    case EMESH_INST_RUNNING:
        emesh_inst_down_begin(inst, deadline_ns);
        break;
    case EMESH_INST_STOPPED:
    case EMESH_INST_FAILED:
        priv->step_job.run = nothing_to_end;
        emesh_worker_post(priv->env.main, &priv->step_job);
        break;
    case EMESH_INST_ATTACHING: /* the lanes' return goes down */
    case EMESH_INST_DRAINING:
    case EMESH_INST_DETACHING:
    case EMESH_INST_STOPPING:
        break;
    }
}
