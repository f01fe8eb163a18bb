/* SPDX-License-Identifier: Apache-2.0
 *
 * The way up: listeners, start, attach on every lane, open. All on main but for attach itself. Each
 * step that fails hands over to the descent (down.c) at the place that undoes what is there.
 */
#include "plugin/private.h"

#include <string.h>

static int32_t
accept_conn(emesh_loop *loop, emesh_conn *conn, const emesh_error *refused,
            const emesh_conn_ops **ops, void **ctx)
{
    const emesh_protocol_ops *protocol = &loop->inst->protocol;

    return refused != NULL ? protocol->refuse(loop->lane, conn, refused, ops, ctx)
                           : protocol->accept(loop->lane, conn, ops, ctx);
}

static bool
bind_listeners(emesh_inst *inst, GError **error)
{
    struct emesh_inst_private *priv = inst->priv;
    const emesh_component *component = inst->component;

    for (uint32_t i = 0; i < component->n_groups; i++) {
        emesh_listen_spec spec = { 0 };
        if (strcmp(component->groups[i].id, "emesh.listen/1") != 0 ||
            !emesh_config_listen(priv->config, component->groups[i].prefix, &spec))
            continue;
        spec.alpn = inst->protocol.alpn;
        spec.can_refuse = inst->protocol.refuse != NULL;
        spec.budget = priv->env.budget;
        priv->listeners = emesh_net_bind_held(&spec, inst->n_loops, inst->protocol.accept == NULL,
                                              priv->held, error);
        g_clear_pointer(&priv->held, emesh_held_free);
        return priv->listeners != NULL; /* the group is there once: descriptor.c */
    }
    return true;
}

static void
read_dial(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;
    const emesh_component *component = inst->component;

    g_clear_pointer(&priv->start_config, emesh_config_unref);
    priv->start_config = emesh_config_ref(priv->config);
    memset(&priv->dial, 0, sizeof priv->dial);
    priv->dial.tls_verify = true;
    for (uint32_t i = 0; i < component->n_groups; i++) {
        if (strcmp(component->groups[i].id, "emesh.dial/1") != 0)
            continue;
        emesh_config_dial(priv->start_config, component->groups[i].prefix, &priv->dial);
        return;
    }
}

/* ---- running ---- */

/* Somebody else can have taken an address between bind and now. */
static bool
open_listeners(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;
    emesh_error err = { .size = sizeof err, .code = EMESH_E_CONFIG };
    g_autoptr(GError) error = NULL;

    if (priv->listeners == NULL)
        return true;
    priv->listening = emesh_net_open(priv->listeners, inst->loops, accept_conn, &error);
    if (priv->listening)
        return true;
    g_strlcpy(err.text, error->message, sizeof err.text);
    emesh_inst_fail(inst, &err);
    return false;
}

static void
running(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;
    void (*done)(void *, emesh_inst *, int32_t) = priv->up_done;

    if (!open_listeners(inst)) {
        emesh_inst_down_detach(inst);
        return;
    }
    priv->stay_up = true;
    priv->running_since = emesh_worker_now(priv->env.main);
    priv->up_done = NULL;
    if (priv->apply_later) {
        priv->apply_later = false;
        emesh_lanes_apply(inst, priv->config);
    }
    emesh_inst_set_state(inst, EMESH_INST_RUNNING);
    if (done != NULL)
        done(priv->up_ctx, inst, EMESH_OK);
}

/* ---- attach ---- */

static void
attach_on_lane(emesh_lane_rec *rec)
{
    emesh_inst *inst = rec->loop.inst;
    emesh_lane *lane = (emesh_lane *)inst->self; /* what a plugin without attach gets */

    memset(&rec->err, 0, sizeof rec->err);
    rec->err.size = sizeof rec->err;
    rec->code = EMESH_OK;
    if (inst->life.attach != NULL) {
        lane = NULL;
        rec->code = inst->life.attach(inst->self, &rec->loop, rec->loop.index, &lane, &rec->err);
    }
    rec->loop.lane = lane;
    rec->attached = rec->code == EMESH_OK;
    emesh_lane_return(rec);
}

static void
attached(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    for (uint32_t i = 0; i < inst->n_loops && priv->failure == EMESH_OK; i++) {
        emesh_lane_rec *rec = &priv->lanes[i];
        if (rec->code == EMESH_OK)
            continue;
        rec->err.code = rec->code;
        emesh_inst_fail(inst, &rec->err);
    }
    if (priv->failure != EMESH_OK || priv->asked_down)
        emesh_inst_down_detach(inst);
    else
        running(inst);
}

static void
attach(emesh_inst *inst)
{
    emesh_inst_set_state(inst, EMESH_INST_ATTACHING);
    if (inst->state == EMESH_INST_ATTACHING)
        emesh_lanes_each(inst, EMESH_LANES_ALL, attach_on_lane, attached);
}

/* ---- start ---- */

static void
started(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_inst *inst = ctx;
    struct emesh_inst_private *priv = inst->priv;
    emesh_error why;
    uint32_t health = emesh_inst_reported(inst, &why);

    (void)value;
    priv->step_op = NULL;
    if (code != EMESH_OK) {
        emesh_error_take(&why, code, err);
        emesh_inst_fail(inst, &why);
    } else if (health == EMESH_HEALTH_FAILED ||
               (health == EMESH_HEALTH_DEGRADED && priv->refuse_unavailable)) {
        emesh_inst_fail(inst, &why); /* told before start was completed, its job is on the way */
    } else {
        attach(inst);
    }
}

static void
start(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    emesh_inst_set_state(inst, EMESH_INST_STARTING);
    if (inst->state != EMESH_INST_STARTING)
        return; /* whoever was told took it down */
    if (inst->life.start == NULL) {
        attach(inst);
        return;
    }
    priv->step_op = emesh_op_new(inst, priv->env.main, NULL, started, inst);
    inst->life.start(inst->self, priv->step_op);
}

/* ---- from the ground ---- */

static void
fresh_life(emesh_inst *inst)
{
    struct emesh_inst_private *priv = inst->priv;

    priv->failure = EMESH_OK;
    priv->asked_down = false;
    priv->listening = false;
    emesh_inst_forget_report(inst);
    emesh_work_gate_init(&priv->gate, priv->env.main);
    for (uint32_t i = 0; i < inst->n_loops; i++) {
        priv->lanes[i].attached = false;
        priv->lanes[i].loop.lane = NULL;
        __atomic_store_n(&priv->lanes[i].loop.closed, 0, __ATOMIC_RELEASE);
    }
    inst->reason[0] = '\0';
}

void
emesh_inst_begin_up(emesh_inst *inst)
{
    g_autoptr(GError) error = NULL;
    emesh_error why = { .size = sizeof why, .code = EMESH_E_CONFIG };

    fresh_life(inst);
    if ((inst->self == NULL && !emesh_inst_create(inst, &error)) || !bind_listeners(inst, &error)) {
        g_strlcpy(why.text, error->message, sizeof why.text);
        emesh_inst_fail(inst, &why);
        return;
    }
    read_dial(inst);
    start(inst);
}

void
emesh_inst_up(emesh_inst *inst, void (*done)(void *ctx, emesh_inst *inst, int32_t code), void *ctx)
{
    struct emesh_inst_private *priv = inst->priv;

    g_return_if_fail(inst->state == EMESH_INST_CREATED || inst->state == EMESH_INST_STOPPED ||
                     inst->state == EMESH_INST_FAILED);
    g_return_if_fail(!priv->abandoned);
    emesh_worker_alarm(priv->env.main, &priv->restart, 0);
    priv->restarts_in_a_row = 0;
    priv->stay_up = false;
    priv->up_done = done;
    priv->up_ctx = ctx;
    emesh_inst_begin_up(inst);
}
