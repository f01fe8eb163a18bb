/* SPDX-License-Identifier: Apache-2.0
 *
 * Service "emesh.loop/1": clock, tasks, pool work, foreign descriptors and timers of a plugin, each
 * a thin cover over worker and pool. Posting is for every thread; the rest belongs to the lane.
 */
#include "loop.h"

#include <sys/epoll.h>
#include <time.h>

struct emesh_watch {
    emesh_fd fd;
    emesh_loop *loop;
    void (*ready)(void *ctx, int32_t fd, uint32_t what);
    void *ctx;
};

struct emesh_timer {
    emesh_alarm alarm;
    emesh_loop *loop;
    void (*due)(void *ctx);
    void *ctx;
};

/* A task carries the worker's job in host[0..1] and the loop (or instance) it is for in host[2]. */
G_STATIC_ASSERT(sizeof(emesh_job) == 2 * sizeof(void *));

static emesh_job *
task_job(emesh_task *task)
{
    return (emesh_job *)(void *)&task->host[0];
}

static emesh_task *
job_task(emesh_job *job)
{
    return (emesh_task *)(void *)((char *)job - offsetof(emesh_task, host));
}

static uint64_t
loop_time(const emesh_loop *loop, uint32_t clock)
{
    struct timespec ts;
    if (clock == EMESH_CLOCK_MONOTONIC)
        return loop ? emesh_worker_now(loop->worker) : emesh_worker_now(NULL);
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

static void
run_closed(emesh_job *job)
{
    emesh_task *task = job_task(job);
    task->run(task, EMESH_E_CLOSED);
}

static void
run_on_lane(emesh_job *job)
{
    emesh_task *task = job_task(job);
    emesh_loop *loop = task->host[2];

    if (__atomic_load_n(&loop->closed, __ATOMIC_ACQUIRE)) {
        job->run = run_closed;
        emesh_worker_post(loop->main, job);
        return;
    }
    task->run(task, EMESH_OK);
}

static void
loop_post(emesh_loop *loop, emesh_task *task)
{
    emesh_job *job = task_job(task);

    /* Also the way of tasks for a closed lane: through its worker, so that the order among the
     * tasks of one thread is the same before, around and after the end of the lane. */
    task->host[2] = loop;
    job->run = run_on_lane;
    emesh_worker_post(loop->worker, job);
}

void
emesh_work_gate_init(emesh_work_gate *gate, emesh_worker *main)
{
    gate->count = 1;
    gate->main = main;
    gate->done = NULL;
}

void
emesh_work_gate_enter(emesh_work_gate *gate)
{
    __atomic_add_fetch(&gate->count, 1, __ATOMIC_RELAXED);
}

void
emesh_work_gate_leave(emesh_work_gate *gate)
{
    emesh_worker *main = gate->main;
    /* Reaching zero needs the wait, so done was set before; nobody else looks at the gate then. */
    if (__atomic_sub_fetch(&gate->count, 1, __ATOMIC_ACQ_REL) == 0)
        emesh_worker_post(main, gate->done);
}

void
emesh_work_gate_wait(emesh_work_gate *gate, emesh_job *done)
{
    gate->done = done;
    emesh_work_gate_leave(gate);
}

uint32_t
emesh_work_gate_outstanding(const emesh_work_gate *gate)
{
    uint32_t count = __atomic_load_n(&gate->count, __ATOMIC_ACQUIRE);
    return count ? count - 1 : 0;
}

static void
run_on_pool(emesh_job *job)
{
    emesh_task *task = job_task(job);
    emesh_work_gate *gate = task->host[2];

    task->run(task, EMESH_OK); /* may post the task home: it is not ours afterwards */
    emesh_work_gate_leave(gate);
}

static void
loop_work(const emesh_host *host, emesh_task *task)
{
    emesh_inst *inst = emesh_inst_of(host);
    emesh_work_gate *gate = emesh_inst_work_gate(inst);
    emesh_job *job = task_job(task);

    emesh_work_gate_enter(gate);
    task->host[2] = gate;
    job->run = run_on_pool;
    emesh_pool_submit(emesh_inst_pool(inst), job);
}

static uint32_t
to_epoll(uint32_t interest)
{
    return (interest & EMESH_IN ? (uint32_t)EPOLLIN : 0) |
           (interest & EMESH_OUT ? (uint32_t)EPOLLOUT : 0);
}

static void
watch_ready(emesh_fd *fd, uint32_t events)
{
    emesh_watch *watch = (emesh_watch *)fd;
    uint32_t what = (events & EPOLLIN ? EMESH_IN : 0) | (events & EPOLLOUT ? EMESH_OUT : 0) |
                    (events & (EPOLLHUP | EPOLLERR) ? EMESH_HUP : 0);
    watch->ready(watch->ctx, fd->fd, what); /* may end the watch */
}

static emesh_watch *
loop_watch(emesh_loop *loop, int32_t fd, uint32_t interest,
           void (*ready)(void *ctx, int32_t fd, uint32_t what), void *ctx)
{
    emesh_watch *watch = g_try_new0(emesh_watch, 1);
    if (!watch)
        return NULL;
    watch->fd.ready = watch_ready;
    watch->fd.fd = fd;
    watch->fd.interest = to_epoll(interest);
    watch->loop = loop;
    watch->ready = ready;
    watch->ctx = ctx;
    if (!emesh_worker_watch(loop->worker, &watch->fd))
        g_clear_pointer(&watch, g_free);
    return watch;
}

static void
loop_watch_set(emesh_watch *watch, uint32_t interest)
{
    emesh_worker_rewatch(watch->loop->worker, &watch->fd, to_epoll(interest));
}

static void
loop_watch_end(emesh_watch *watch)
{
    emesh_worker_unwatch(watch->loop->worker, &watch->fd);
    g_free(watch);
}

static void
timer_due(emesh_alarm *alarm)
{
    emesh_timer *timer = (emesh_timer *)alarm;
    timer->due(timer->ctx); /* may end the timer */
}

static emesh_timer *
loop_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    emesh_timer *timer = g_try_new0(emesh_timer, 1);
    if (!timer)
        return NULL;
    timer->alarm.due = timer_due;
    timer->loop = loop;
    timer->due = due;
    timer->ctx = ctx;
    return timer;
}

static void
loop_timer_set(emesh_timer *timer, uint64_t at_ns)
{
    emesh_worker_alarm(timer->loop->worker, &timer->alarm, at_ns);
}

static void
loop_timer_end(emesh_timer *timer)
{
    emesh_worker_alarm(timer->loop->worker, &timer->alarm, 0);
    g_free(timer);
}

const emesh_loop_api emesh_loop_service = {
    .size = sizeof(emesh_loop_api),
    .time = loop_time,
    .post = loop_post,
    .work = loop_work,
    .watch = loop_watch,
    .watch_set = loop_watch_set,
    .watch_end = loop_watch_end,
    .timer = loop_timer,
    .timer_set = loop_timer_set,
    .timer_end = loop_timer_end,
};
