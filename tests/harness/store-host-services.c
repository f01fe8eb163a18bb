/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-host.h. What the store gets from its host: clock, loop and pool, where operations end,
 * and where it reports and logs to. Any thread.
 */
#include "harness/store-host-inside.h"

#include <stdio.h>
#include <string.h>

static store_host *
host_of(const emesh_host *host)
{
    return (store_host *)(uintptr_t)host;
}

static uint64_t
host_time(const emesh_loop *loop, uint32_t clock)
{
    (void)loop;
    return clock == EMESH_CLOCK_MONOTONIC ? (uint64_t)g_get_monotonic_time() * 1000u
                                          : (uint64_t)g_get_real_time() / 1000u;
}

/* The service has no host to ask: a test turns the clock of all its hosts. */
static int64_t shift_wall, shift_mono;

static uint64_t
shifted_time(const emesh_loop *loop, uint32_t clock)
{
    uint64_t at = host_time(loop, clock);
    return clock == EMESH_CLOCK_MONOTONIC
               ? at + (uint64_t)__atomic_load_n(&shift_mono, __ATOMIC_RELAXED) * 1000000u
               : at + (uint64_t)__atomic_load_n(&shift_wall, __ATOMIC_RELAXED);
}

static void
work_run(emesh_job *job)
{
    emesh_task *task = (emesh_task *)(void *)((char *)job - offsetof(emesh_task, host));
    store_host *h = task->host[2];
    task->run(task, EMESH_OK);
    pthread_mutex_lock(&h->lock);
    h->works--;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static void
host_work(const emesh_host *host, emesh_task *task)
{
    store_host *h = host_of(host);
    emesh_job *job = (emesh_job *)(void *)&task->host[0];
    pthread_mutex_lock(&h->lock);
    h->works++;
    pthread_mutex_unlock(&h->lock);
    task->host[2] = h;
    job->run = work_run;
    emesh_pool_submit(h->pool, job);
}

static void
host_post(emesh_loop *loop, emesh_task *task)
{
    emesh_loop_service.post(loop, task);
}

static emesh_timer *
host_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    return emesh_loop_service.timer(loop, due, ctx);
}

static void
host_timer_set(emesh_timer *timer, uint64_t at_ns)
{
    emesh_loop_service.timer_set(timer, at_ns);
}

static void
host_timer_end(emesh_timer *timer)
{
    emesh_loop_service.timer_end(timer);
}

static const emesh_loop_api loop_api = {
    .size = sizeof loop_api, .time = shifted_time, .post = host_post, .work = host_work,
    .timer = host_timer, .timer_set = host_timer_set, .timer_end = host_timer_end,
};

static void
host_ready(const emesh_host *host, const emesh_store_info *info)
{
    (void)host, (void)info;
}

static const emesh_store_api store_api = {
    .size = sizeof store_api, .ready = host_ready, .appended = store_host_note_results,
    .records = store_host_note_records, .partition = store_host_note_partition,
};

static const void *
host_service(const emesh_host *host, const char *id)
{
    (void)host;
    return strcmp(id, EMESH_EVENT_ID) == 0 ? (const void *)&emesh_event_service
           : strcmp(id, EMESH_LOOP_ID) == 0 ? (const void *)&loop_api
           : strcmp(id, EMESH_STORE_ID) == 0 ? (const void *)&store_api : NULL;
}

static void
host_complete(const emesh_host *host, emesh_op *given, int32_t code, const emesh_error *err,
              const void *result)
{
    store_host *h = host_of(host);
    store_op *op = (store_op *)(void *)given;
    pthread_mutex_lock(&h->lock);
    op->code = code;
    op->result = (void *)(uintptr_t)result;
    if (err != NULL)
        op->err = *err;
    if (op->rows != NULL && result != NULL)
        store_host_note_rows(op->rows, result);
    op->done = true;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static void
host_report(const emesh_host *host, uint32_t health, const emesh_error *err)
{
    store_host *h = host_of(host);
    (void)err;
    pthread_mutex_lock(&h->lock);
    __atomic_store_n(&h->health, health, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static int32_t
host_log_on(const emesh_host *host, uint32_t level)
{
    (void)host;
    return level <= EMESH_LOG_INFO;
}

static void
host_log(const emesh_host *host, uint32_t level, const char *text, size_t len,
         const emesh_attr *fields, uint32_t n_fields)
{
    store_host *h = host_of(host);
    (void)fields, (void)n_fields;
    if (g_getenv("STORE_HOST_LOG") != NULL)
        fprintf(stderr, "# <%u> %.*s\n", level, (int)len, text);
    pthread_mutex_lock(&h->lock);
    g_ptr_array_add(h->lines, g_strndup(text, len));
    pthread_mutex_unlock(&h->lock);
}

void
store_host_serve(store_host *h)
{
    h->host = (emesh_host){ .size = sizeof h->host, .abi_minor = EMESH_ABI_MINOR,
                            .about = h->about, .n_about = 2, .n_lanes = h->n_lanes,
                            .service = host_service, .complete = host_complete,
                            .report = host_report, .log_on = host_log_on, .log = host_log };
}

void
store_host_shift(store_host *h, int64_t wall_ms, int64_t mono_ms)
{
    (void)h;
    __atomic_store_n(&shift_wall, wall_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&shift_mono, mono_ms, __ATOMIC_RELAXED);
}

uint32_t
store_host_health(const store_host *h)
{
    return __atomic_load_n(&h->health, __ATOMIC_RELAXED);
}

typedef struct wanted {
    const store_host *h;
    uint32_t health;
} wanted;

static bool
healthy(void *ctx)
{
    const wanted *w = ctx;
    return store_host_health(w->h) == w->health;
}

void
store_host_await_health(store_host *h, uint32_t health)
{
    wanted w = { h, health };
    store_host_wait(h, healthy, &w);
}

uint32_t
store_host_logged(store_host *h, const char *part)
{
    uint32_t n = 0;
    pthread_mutex_lock(&h->lock);
    for (guint i = 0; i < h->lines->len; i++)
        n += strstr(h->lines->pdata[i], part) != NULL;
    pthread_mutex_unlock(&h->lock);
    return n;
}
