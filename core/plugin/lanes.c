/* SPDX-License-Identifier: Apache-2.0
 *
 * The lanes of an instance: where they are, and one step on all of them, with main waiting for the
 * last. One step at a time; a lane's record is written by the lane between out and back.
 */
#include "plugin/private.h"

#include <string.h>

static bool
make_own_workers(emesh_inst *inst, GError **error)
{
    struct emesh_inst_private *priv = inst->priv;

    priv->own = g_new0(emesh_worker *, inst->n_loops);
    for (uint32_t i = 0; i < inst->n_loops; i++) {
        g_autofree char *name = g_strdup_printf("%u-%s", i, inst->name);
        priv->own[i] = emesh_worker_new(priv->env.n_workers + i, name, error);
        if (priv->own[i] == NULL)
            return false;
        emesh_worker_start(priv->own[i]);
    }
    return true;
}

static emesh_worker *
worker_of(const emesh_inst *inst, uint32_t i)
{
    const struct emesh_inst_private *priv = inst->priv;

    if (priv->own != NULL)
        return priv->own[i];
    if (inst->component->lanes == EMESH_LANES_WORKERS)
        return priv->env.workers[i];
    return priv->env.workers[g_str_hash(inst->name) % priv->env.n_workers];
}

bool
emesh_lanes_make(emesh_inst *inst, GError **error)
{
    struct emesh_inst_private *priv = inst->priv;
    bool home = inst->component->lanes == EMESH_LANES_HOME;

    inst->n_loops = home ? 1 : priv->env.n_workers;
    if (inst->component->lanes == EMESH_LANES_GLIB && !make_own_workers(inst, error))
        return false;
    priv->lanes = g_new0(emesh_lane_rec, inst->n_loops);
    inst->loops = g_new0(emesh_loop *, inst->n_loops);
    for (uint32_t i = 0; i < inst->n_loops; i++) {
        emesh_loop *loop = &priv->lanes[i].loop;
        loop->worker = worker_of(inst, i);
        loop->main = priv->env.main;
        loop->inst = inst;
        loop->pool = priv->env.pool;
        loop->index = i;
        inst->loops[i] = loop;
    }
    return true;
}

void
emesh_lanes_free(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    for (uint32_t i = 0; priv->own != NULL && i < inst->n_loops && priv->own[i] != NULL; i++) {
        emesh_worker_stop(priv->own[i]);
        if (priv->env.events.worker_gone != NULL)
            priv->env.events.worker_gone(priv->env.events.ctx, inst, priv->own[i]);
        emesh_worker_free(priv->own[i]);
    }
    g_free(priv->own);
    g_free(priv->lanes);
    g_free(inst->loops);
}

emesh_loop *
emesh_inst_loop(const emesh_inst *inst, const emesh_worker *worker)
{
    for (uint32_t i = 0; i < inst->n_loops; i++)
        if (inst->loops[i]->worker == worker)
            return inst->loops[i];
    return NULL;
}

static void
lane_runs(emesh_job *job)
{
    emesh_lane_rec *rec = (emesh_lane_rec *)((char *)job - offsetof(emesh_lane_rec, out));

    rec->on_lane(rec);
}

static void
lane_returned(emesh_job *job)
{
    emesh_lane_rec *rec = (emesh_lane_rec *)((char *)job - offsetof(emesh_lane_rec, back));
    emesh_inst *inst = rec->loop.inst;
    struct emesh_inst_private *priv = inst->priv;

    if (--priv->pending == 0)
        priv->then(inst);
}

void
emesh_lane_return(emesh_lane_rec *rec)
{
    rec->back.run = lane_returned;
    emesh_worker_post(rec->loop.main, &rec->back);
}

static void
nobody(emesh_job *job)
{
    struct emesh_inst_private *priv =
        (struct emesh_inst_private *)((char *)job - offsetof(struct emesh_inst_private, step_job));

    priv->then(priv->lanes[0].loop.inst);
}

void
emesh_lanes_each(emesh_inst *inst, emesh_lane_set set, void (*on_lane)(emesh_lane_rec *rec),
                 void (*then)(emesh_inst *inst))
{
    struct emesh_inst_private *priv = inst->priv;

    priv->then = then;
    priv->pending = 0;
    for (uint32_t i = 0; i < inst->n_loops; i++)
        priv->pending += set == EMESH_LANES_ALL || priv->lanes[i].attached;
    if (priv->pending == 0) {
        priv->step_job.run = nobody;
        emesh_worker_post(priv->env.main, &priv->step_job);
        return;
    }
    for (uint32_t i = 0; i < inst->n_loops; i++) {
        emesh_lane_rec *rec = &priv->lanes[i];
        if (set != EMESH_LANES_ALL && !rec->attached)
            continue;
        rec->on_lane = on_lane;
        rec->out.run = lane_runs;
        emesh_worker_post(rec->loop.worker, &rec->out);
    }
}

/* ---- apply ---- */

typedef struct apply_call {
    emesh_job job;
    emesh_lane_rec *rec;
    emesh_config *config;
} apply_call;

static void
apply_on_lane(emesh_job *job)
{
    apply_call *call = (apply_call *)job;
    emesh_inst *inst = call->rec->loop.inst;

    inst->life.apply(inst->self, call->rec->loop.lane, call->config);
    emesh_config_unref(call->config);
    g_free(call);
}

/* The steps of the descent are posted by main after these jobs, so a lane applies before it ends.
 */
void
emesh_lanes_apply(emesh_inst *inst, emesh_config *config)
{
    if (inst->life.apply == NULL)
        return;
    inst->life.apply(inst->self, NULL, config);
    for (uint32_t i = 0; i < inst->n_loops; i++) {
        apply_call *call = g_new0(apply_call, 1);
        call->job.run = apply_on_lane;
        call->rec = &inst->priv->lanes[i];
        call->config = emesh_config_ref(config);
        emesh_worker_post(call->rec->loop.worker, &call->job);
    }
}
