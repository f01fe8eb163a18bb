/* SPDX-License-Identifier: Apache-2.0
 *
 * health: do all loops turn, and is the daemon ready? Main asks every thread that carries
 * connections or events for a sign of life and waits a second for it. [main]
 */
#include "admin/tables.h"
#include "admin/view.h"

#include <string.h>

#define WAIT_NS UINT64_C(1000000000)

typedef struct health health;

typedef struct beat {
    emesh_job job;
    health *of;
    char *name;
    uint64_t ns; /* until it answered */
    bool home;
} beat;

struct health {
    emesh_daemon *daemon;
    emesh_command_reply *reply; /* NULL: answered */
    emesh_alarm alarm;
    uint64_t begun_ns;
    uint32_t n, left; /* beats; those that are not home */
    beat beats[];
};

static void
health_free(health *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        g_free(h->beats[i].name);
    g_free(h);
}

static const char *
health_name(const emesh_inst *inst)
{
    if (inst->state == EMESH_INST_FAILED || inst->health == EMESH_HEALTH_FAILED)
        return "failed";
    return inst->health == EMESH_HEALTH_DEGRADED ? "degraded" : "ok";
}

typedef struct verdict {
    bool alive, ready;
    uint32_t degraded, failed;
} verdict;

static void
rows_loops(const health *h, verdict *v)
{
    for (uint32_t i = 0; i < h->n; i++) {
        const beat *b = &h->beats[i];
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "loop", -1);
        emesh_row_text(row, "loop", b->name, -1);
        emesh_row_flag(row, "answered", b->home);
        emesh_row_number(row, "us", b->home ? b->ns / 1000 : WAIT_NS / 1000);
        emesh_row_send(row, h->reply);
        v->alive = v->alive && b->home;
    }
}

static void
rows_instances(const emesh_admin_view *view, emesh_command_reply *reply, verdict *v)
{
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *inst = g_ptr_array_index(view->instances, i);
        const char *name = health_name(inst);
        bool running = inst->state == EMESH_INST_RUNNING && strcmp(name, "failed") != 0;
        v->failed += !running;
        v->degraded += running && strcmp(name, "degraded") == 0;
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "instance", -1);
        emesh_row_text(row, "instance", inst->name, -1);
        emesh_row_text(row, "is", inst->is_storage ? "storage" : "protocol", -1);
        emesh_row_text(row, "state", emesh_inst_state_name(inst->state), -1);
        emesh_row_text(row, "health", name, -1);
        emesh_row_text(row, "reason", inst->reason, -1);
        emesh_row_send(row, reply);
    }
}

static void
answer(health *h)
{
    const emesh_admin_view *view = emesh_admin_view_of(h->daemon);
    verdict v = { .alive = true };
    rows_loops(h, &v);
    rows_instances(view, h->reply, &v);
    v.ready = v.alive && v.failed == 0 && strcmp(view->state, "ready") == 0;
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "health", -1);
    emesh_row_text(row, "state", view->state, -1);
    emesh_row_flag(row, "alive", v.alive);
    emesh_row_flag(row, "ready", v.ready);
    emesh_row_number(row, "degraded", v.degraded);
    emesh_row_number(row, "failed", v.failed);
    emesh_row_send(row, h->reply);
    h->reply->end(h->reply, EMESH_OK, NULL);
    h->reply = NULL;
    emesh_worker_alarm(view->main, &h->alarm, 0);
}

static void
beat_home(emesh_job *job)
{
    beat *b = (beat *)job;
    health *h = b->of;
    b->home = true;
    b->ns = emesh_worker_now(emesh_admin_view_of(h->daemon)->main) - h->begun_ns;
    if (--h->left > 0)
        return;
    if (h->reply != NULL)
        answer(h);
    health_free(h);
}

/* On the loop that is asked. */
static void
beat_run(emesh_job *job)
{
    beat *b = (beat *)job;
    b->job = (emesh_job){ .run = beat_home };
    emesh_worker_post(emesh_admin_view_of(b->of->daemon)->main, &b->job);
}

/* Not all have answered: that is the answer. Their letters come home some day, or never. */
static void
on_late(emesh_alarm *alarm)
{
    answer((health *)((char *)alarm - offsetof(health, alarm)));
}

static void
ask(health *h, emesh_worker *worker)
{
    beat *b = &h->beats[h->n++];
    b->of = h;
    b->name = g_strdup(emesh_worker_name(worker));
    b->job = (emesh_job){ .run = beat_run };
    emesh_worker_post(worker, &b->job);
}

/* Threads of their own that instances have: the loops of GLIB lanes. */
static bool
has_own(const emesh_inst *inst)
{
    return inst->state == EMESH_INST_RUNNING && inst->component->lanes == EMESH_LANES_GLIB;
}

static void
run_health(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    const emesh_admin_view *view = emesh_admin_view_of(daemon);
    uint32_t most = view->n_workers;
    (void)args, (void)n;
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *inst = g_ptr_array_index(view->instances, i);
        most += has_own(inst) ? inst->n_loops : 0;
    }
    health *h = g_malloc0(sizeof *h + most * sizeof h->beats[0]);
    h->daemon = daemon;
    h->reply = reply;
    h->left = most;
    h->begun_ns = emesh_worker_now(view->main);
    h->alarm.due = on_late;
    emesh_worker_alarm(view->main, &h->alarm, h->begun_ns + WAIT_NS);
    for (uint32_t i = 0; i < view->n_workers; i++)
        ask(h, view->workers[i]);
    for (guint i = 0; i < view->instances->len; i++) {
        const emesh_inst *inst = g_ptr_array_index(view->instances, i);
        for (uint32_t l = 0; has_own(inst) && l < inst->n_loops; l++)
            ask(h, inst->loops[l]->worker);
    }
}

const emesh_command emesh_health_commands[] = {
    { "health", "", "whether all loops turn and the daemon is ready, and what is not", false,
      run_health },
    { NULL, NULL, NULL, false, NULL },
};
