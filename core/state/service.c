/* SPDX-License-Identifier: Apache-2.0
 *
 * The service "emesh.state/1": the state of one instance, under "i:NAME:" in core's database.
 * Called on lanes; answers come to the lane from its inbox, never inside the call, or, once the
 * lane has ended, to [main] like its tasks. The instance is not destroyed before all are given.
 */
#include "plugin/inst.h"
#include "state/state-db.h"
#include <string.h>

#define KEY_MAX 256u
#define SPACE_MAX 80u /* instance names have at most 63 bytes */

typedef struct call {
    emesh_job job; /* first: to main, when the lane is gone */
    emesh_loop *loop;
    void *ctx;
    int32_t code;
    emesh_error err;
    /* write */
    void (*done)(void *ctx, int32_t code, const emesh_error *err);
    /* read */
    void (*found)(void *ctx, int32_t code, const emesh_pair *pairs, uint32_t n, uint32_t more);
    size_t space_len;
    GString *prefix;
} call;

static call *
call_new(emesh_loop *loop, void *ctx)
{
    call *c = g_new0(call, 1);
    c->loop = loop;
    c->ctx = ctx;
    emesh_work_gate_enter(emesh_inst_work_gate(loop->inst));
    return c;
}

static void
call_free(call *c)
{
    emesh_work_gate *gate = emesh_inst_work_gate(c->loop->inst);
    if (c->prefix != NULL)
        g_string_free(c->prefix, TRUE);
    g_free(c);
    emesh_work_gate_leave(gate);
}

static void
space_of(const emesh_loop *loop, char space[SPACE_MAX])
{
    g_snprintf(space, SPACE_MAX, "i:%s:", emesh_inst_name(loop->inst));
}

/* The answer, on the lane or on main. */
static void
answer(emesh_job *job)
{
    call *c = (call *)job;
    if (c->done != NULL)
        c->done(c->ctx, c->code, c->code != EMESH_OK ? &c->err : NULL);
    else
        c->found(c->ctx, c->code, NULL, 0, 0);
    call_free(c);
}

static bool
lane_is_gone(call *c)
{
    return __atomic_load_n(&c->loop->closed, __ATOMIC_ACQUIRE) != 0;
}

static void
settle(call *c, int32_t code, const emesh_error *err)
{
    c->code = code;
    if (err != NULL)
        c->err = *err;
    if (!lane_is_gone(c)) {
        answer(&c->job);
        return;
    }
    c->job.run = answer;
    emesh_worker_post(c->loop->main, &c->job);
}

/* ---- write ---- */

static void
written(void *ctx, int32_t code, const emesh_error *err)
{
    settle(ctx, code, err);
}

/* Names a key that is too long for a plugin, though it would fit; NULL: all fit. */
static const emesh_pair *
long_key(const emesh_pair *pairs, uint32_t n, uint32_t stride)
{
    for (uint32_t i = 0; i < n; i++) {
        const emesh_pair *pair = emesh_at(pairs, stride, i);
        if (pair->key.len > KEY_MAX)
            return pair;
    }
    return NULL;
}

static void
refused_at_once(emesh_job *job)
{
    call *c = (call *)job;
    settle(c, c->code, NULL);
}

static void
svc_write(emesh_loop *loop, const emesh_pair *pairs, uint32_t n,
          void (*done)(void *ctx, int32_t code, const emesh_error *err), void *ctx)
{
    call *c = call_new(loop, ctx);
    c->done = done;
    uint32_t stride = loop->inst->layout.pair;
    const emesh_pair *too_long = long_key(pairs, n, stride);
    if (too_long != NULL) {
        c->err.size = sizeof c->err;
        c->code = emesh_fail(&c->err, EMESH_E_TOO_LARGE,
                             "state key of %zu bytes, more than %u, in instance %s",
                             too_long->key.len, KEY_MAX, emesh_inst_name(loop->inst));
        c->job.run = refused_at_once;
        emesh_worker_post(loop->worker, &c->job);
        return;
    }
    char space[SPACE_MAX];
    space_of(loop, space);
    emesh_state_write(emesh_inst_state_db(loop->inst), loop->worker, space, pairs, n, stride,
                      written, c);
}

/* ---- read ---- */

static void paged(void *ctx, int32_t code, const emesh_error *err, const emesh_state_page *page);

static void
fetch(call *c, emesh_slice after)
{
    emesh_slice prefix = { .ptr = c->prefix->str, .len = c->prefix->len };
    emesh_state_fetch(emesh_inst_state_db(c->loop->inst), c->loop->worker, prefix, after, paged, c);
}

/* Hands a page to the plugin, in its stride; returns the last key, as it is in the database. */
static emesh_slice
hand_over(call *c, const emesh_state_page *page)
{
    uint32_t n = page->spans->len;
    uint32_t stride = c->loop->inst->layout.pair;
    g_autofree char *pairs = g_malloc0((size_t)stride * n + 1);
    const char *at = (const char *)page->bytes->data;
    emesh_slice last = { 0 };
    for (uint32_t i = 0; i < n; i++) {
        const emesh_state_span *span = &g_array_index(page->spans, emesh_state_span, i);
        last = (emesh_slice){ .ptr = at, .len = span->key_len };
        emesh_pair pair = {
            .key = { at + c->space_len, span->key_len - c->space_len },
            .value = { at + span->key_len, span->value_len },
        };
        memcpy(pairs + (size_t)stride * i, &pair, MIN(stride, sizeof pair));
        at += span->key_len + span->value_len;
    }
    c->found(c->ctx, EMESH_OK, n > 0 ? (const emesh_pair *)(const void *)pairs : NULL, n,
             page->more);
    return last;
}

static void
paged(void *ctx, int32_t code, const emesh_error *err, const emesh_state_page *page)
{
    call *c = ctx;
    if (code == EMESH_OK && lane_is_gone(c))
        code = EMESH_E_CLOSED;
    if (code != EMESH_OK) {
        settle(c, code, err);
        return;
    }
    emesh_slice last = hand_over(c, page);
    if (page->more)
        fetch(c, last);
    else
        call_free(c);
}

static void
svc_read(emesh_loop *loop, const char *prefix, size_t len,
         void (*found)(void *ctx, int32_t code, const emesh_pair *pairs, uint32_t n, uint32_t more),
         void *ctx)
{
    call *c = call_new(loop, ctx);
    char space[SPACE_MAX];
    space_of(loop, space);
    c->found = found;
    c->prefix = g_string_new(space);
    c->space_len = c->prefix->len;
    /* A longer prefix than any key finds nothing; LMDB would refuse it. */
    g_string_append_len(c->prefix, prefix, (gssize)MIN(len, KEY_MAX + 1u));
    fetch(c, (emesh_slice){ 0 });
}

const emesh_state_api emesh_state_service = {
    .size = sizeof(emesh_state_api),
    .write = svc_write,
    .read = svc_read,
};
