/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations a plugin completes. The handle is index and generation, so a second completion is told
 * from the first of whatever uses the slot next. One pthread mutex per instance: operations are
 * steps of life and of topics, never messages.
 */
#include "plugin/private.h"

#include <string.h>

#define INDEX_BITS (sizeof(uintptr_t) == 8 ? 24u : 20u)
#define INDEX_MASK (((uintptr_t)1 << INDEX_BITS) - 1)

typedef enum op_state { OP_FREE, OP_OPEN, OP_COMPLETED } op_state;

struct emesh_op_slot {
    emesh_job job;
    emesh_inst *inst;
    emesh_worker *home;
    emesh_op_take take;
    emesh_op_done done;
    void *ctx;
    void *value;
    emesh_error err;
    bool has_err;
    bool cut;
    int32_t code;
    op_state state;
    uint32_t index;
    uint32_t next_free;
    uintptr_t generation;
};

void
emesh_ops_init(emesh_ops *ops)
{
    pthread_mutex_init(&ops->lock, NULL);
    ops->slots = g_ptr_array_new_with_free_func(g_free);
}

void
emesh_ops_clear(emesh_ops *ops)
{
    pthread_mutex_destroy(&ops->lock);
    g_ptr_array_unref(ops->slots);
}

static emesh_op *
handle_of(const emesh_op_slot *slot)
{
    return (emesh_op *)((slot->generation << INDEX_BITS) | slot->index);
}

/* lock is held */
static emesh_op_slot *
find(emesh_ops *ops, const emesh_op *op)
{
    uintptr_t handle = (uintptr_t)op, index = handle & INDEX_MASK;

    if (index >= ops->slots->len)
        return NULL;
    emesh_op_slot *slot = ops->slots->pdata[index];
    return slot->state == OP_OPEN && handle_of(slot) == op ? slot : NULL;
}

/* lock is held */
static void
release(emesh_inst *inst, emesh_op_slot *slot)
{
    emesh_ops *ops = &inst->priv->ops;

    slot->state = OP_FREE;
    slot->generation++;
    if (slot->generation << INDEX_BITS == 0)
        slot->generation = 1;
    slot->next_free = ops->free;
    ops->free = slot->index + 1;
    ops->live--;
    if (ops->live == 0 && ops->quiet != NULL)
        emesh_worker_post(inst->priv->env.main, g_steal_pointer(&ops->quiet));
}

emesh_op *
emesh_op_new(emesh_inst *inst, emesh_worker *home, emesh_op_take take, emesh_op_done done,
             void *ctx)
{
    emesh_ops *ops = &inst->priv->ops;
    emesh_op_slot *slot;

    pthread_mutex_lock(&ops->lock);
    if (ops->free != 0) {
        slot = ops->slots->pdata[ops->free - 1];
        ops->free = slot->next_free;
    } else {
        slot = g_new0(emesh_op_slot, 1);
        slot->inst = inst;
        slot->index = ops->slots->len;
        slot->generation = 1;
        g_assert(slot->index <= INDEX_MASK);
        g_ptr_array_add(ops->slots, slot);
    }
    slot->home = home;
    slot->take = take;
    slot->done = done;
    slot->ctx = ctx;
    slot->cut = false;
    slot->state = OP_OPEN;
    ops->live++;
    emesh_op *op = handle_of(slot);
    pthread_mutex_unlock(&ops->lock);
    return op;
}

static void
op_done(emesh_job *job)
{
    emesh_op_slot *slot = (emesh_op_slot *)job;
    emesh_ops *ops = &slot->inst->priv->ops;

    pthread_mutex_lock(&ops->lock);
    bool cut = slot->cut;
    pthread_mutex_unlock(&ops->lock);
    if (!cut)
        slot->done(slot->ctx, slot->code, slot->has_err ? &slot->err : NULL, slot->value);
    pthread_mutex_lock(&ops->lock);
    release(slot->inst, slot);
    pthread_mutex_unlock(&ops->lock);
}

/* state is COMPLETED: nobody else writes the slot until op_done ran */
static void
go_home(emesh_op_slot *slot, int32_t code, const emesh_error *err, const void *result)
{
    slot->code = code;
    slot->has_err = err != NULL;
    if (err != NULL)
        emesh_error_take(&slot->err, code, err);
    slot->value = (void *)(uintptr_t)result;
    if (slot->take != NULL && result != NULL)
        slot->value = slot->take(slot->inst, result);
    slot->job.run = op_done;
    emesh_worker_post(slot->home, &slot->job);
}

void
emesh_op_complete(emesh_inst *inst, emesh_op *op, int32_t code, const emesh_error *err,
                  const void *result)
{
    emesh_ops *ops = &inst->priv->ops;

    pthread_mutex_lock(&ops->lock);
    emesh_op_slot *slot = find(ops, op);
    bool cut = slot != NULL && slot->cut;
    if (slot == NULL)
        ops->bad++;
    else if (cut)
        release(inst, slot);
    else
        slot->state = OP_COMPLETED;
    pthread_mutex_unlock(&ops->lock);

    if (slot == NULL)
        emesh_log_say(inst->priv->env.log, EMESH_LOG_WARNING, inst->name,
                      "bug in the plugin: it completed an operation that is not open (twice, or "
                      "after its end), code %d; ignored",
                      code);
    else if (!cut)
        go_home(slot, code, err, result);
}

void
emesh_op_cut(emesh_inst *inst, emesh_op *op)
{
    emesh_ops *ops = &inst->priv->ops;
    uintptr_t index = (uintptr_t)op & INDEX_MASK;

    pthread_mutex_lock(&ops->lock);
    if (index < ops->slots->len) {
        emesh_op_slot *slot = ops->slots->pdata[index];
        if (slot->state != OP_FREE && handle_of(slot) == op)
            slot->cut = true;
    }
    pthread_mutex_unlock(&ops->lock);
}

void
emesh_ops_end(emesh_inst *inst, emesh_job *quiet)
{
    emesh_ops *ops = &inst->priv->ops;
    g_autoptr(GPtrArray) lost = g_ptr_array_new();

    pthread_mutex_lock(&ops->lock);
    for (uint32_t i = 0; i < ops->slots->len; i++) {
        emesh_op_slot *slot = ops->slots->pdata[i];
        if (slot->state != OP_OPEN)
            continue;
        if (slot->cut) {
            release(inst, slot);
        } else {
            slot->state = OP_COMPLETED;
            g_ptr_array_add(lost, slot);
        }
    }
    ops->bad += lost->len;
    if (ops->live == 0)
        emesh_worker_post(inst->priv->env.main, quiet);
    else
        ops->quiet = quiet;
    pthread_mutex_unlock(&ops->lock);

    if (lost->len > 0)
        emesh_log_say(inst->priv->env.log, EMESH_LOG_WARNING, inst->name,
                      "bug in the plugin: it stopped and left %u operations open; they end as lost",
                      lost->len);
    for (uint32_t i = 0; i < lost->len; i++) {
        emesh_op_slot *slot = lost->pdata[i];
        slot->take = NULL;
        go_home(slot, EMESH_E_LOST, NULL, NULL);
    }
}
