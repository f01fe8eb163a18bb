/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker: inbox, descriptors, alarms and phases inside one GSource. Everything here runs on the
 * worker's thread, except posting (any thread) and start, stop, free ([main]).
 *
 * A worker with a thread of its own hands GLib a poll function that waits in epoll itself: one
 * system call per wake-up instead of poll() and epoll_wait(). As soon as somebody else adds
 * descriptors to the context (libsoup on a GLIB lane), the ordinary poll is used.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "heap.h"

#define EVENTS_PER_TURN 256
#define ROUNDS_PER_TURN 8

typedef struct worker_source {
    GSource source;
    emesh_worker *worker;
} worker_source;

struct emesh_worker {
    /* read by all */
    uint32_t index;
    char name[16];
    GMainContext *context;
    int epoll_fd, event_fd;
    bool running;
    pthread_t thread;

    /* written by all, on a line of its own */
    emesh_job *inbox __attribute__((aligned(64))); /* newest first */
    uint32_t armed; /* 1: the thread sleeps or is about to, a post must write the eventfd */
    uint64_t eventfd_writes;

    /* the thread's own */
    GSource *source __attribute__((aligned(64)));
    void *epoll_tag;
    emesh_job *local_first, *local_last; /* posted by the worker itself */
    emesh_phased phases[EMESH_N_PHASES]; /* heads of rings */
    emesh_heap alarms;
    uint64_t now; /* of the running turn, 0 outside */
    bool quit;
    int glib_fd;     /* GLib's own wake-up descriptor, once it is in our epoll set; else -1 */
    int n_ready, at; /* the batch of descriptors: size, next */
    struct epoll_event ready[EVENTS_PER_TURN];
    emesh_job stop_job;
    emesh_worker_stats stats; /* read by all */
};

static _Thread_local emesh_worker *worker_current;

static void
count(uint64_t *counter, uint64_t n)
{
    /* one writer; atomic for readers elsewhere */
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static uint64_t
clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- inbox ---- */

void
emesh_worker_post(emesh_worker *worker, emesh_job *job)
{
    if (worker_current == worker) {
        job->next = NULL;
        if (worker->local_last)
            worker->local_last->next = job;
        else
            worker->local_first = job;
        worker->local_last = job;
        return;
    }
    emesh_job *head = __atomic_load_n(&worker->inbox, __ATOMIC_RELAXED);
    do {
        job->next = head;
    } while (!__atomic_compare_exchange_n(&worker->inbox, &head, job, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    /* Sequentially consistent on both sides: either we see it armed, or it sees the job. */
    if (__atomic_load_n(&worker->armed, __ATOMIC_SEQ_CST) &&
        __atomic_exchange_n(&worker->armed, 0, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        __atomic_fetch_add(&worker->eventfd_writes, 1, __ATOMIC_RELAXED);
        while (write(worker->event_fd, &one, sizeof one) < 0 && errno == EINTR)
            continue;
    }
}

static bool
inbox_empty(emesh_worker *worker)
{
    return !worker->local_first && !__atomic_load_n(&worker->inbox, __ATOMIC_SEQ_CST);
}

/* Runs what is in the inbox now; what these jobs post waits for the next call. */
static bool
run_jobs(emesh_worker *worker)
{
    emesh_job *mine = worker->local_first, *others = NULL;
    uint64_t n = 0;

    worker->local_first = worker->local_last = NULL;
    if (__atomic_load_n(&worker->inbox, __ATOMIC_RELAXED)) {
        emesh_job *newest = __atomic_exchange_n(&worker->inbox, NULL, __ATOMIC_ACQUIRE);
        while (newest) {
            emesh_job *next = newest->next;
            newest->next = others;
            others = newest;
            newest = next;
        }
    }
    for (int pass = 0; pass < 2; pass++) {
        emesh_job *job = pass == 0 ? others : mine;
        while (job) {
            emesh_job *next = job->next;
            job->next = NULL;
            job->run(job);
            job = next;
            n++;
        }
    }
    count(&worker->stats.jobs, n);
    return n != 0;
}

/* ---- phases ---- */

static void
ring_unlink(emesh_phased *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    item->next = item->prev = NULL;
}

void
emesh_worker_phase(emesh_worker *worker, emesh_phase phase, emesh_phased *item)
{
    emesh_phased *head = &worker->phases[phase];
    if (item->queued)
        return;
    item->queued = true;
    item->next = head;
    item->prev = head->prev;
    head->prev->next = item;
    head->prev = item;
}

void
emesh_worker_unphase(emesh_worker *worker, emesh_phase phase, emesh_phased *item)
{
    (void)worker;
    (void)phase;
    if (!item->queued)
        return;
    item->queued = false;
    ring_unlink(item);
}

static bool
phase_queued(const emesh_worker *worker, emesh_phase phase)
{
    const emesh_phased *head = &worker->phases[phase];
    return head->next != head;
}

/* Runs what is queued now; what is queued meanwhile is for the next round. */
static void
run_phase(emesh_worker *worker, emesh_phase phase)
{
    emesh_phased *head = &worker->phases[phase], batch;

    if (!phase_queued(worker, phase))
        return;
    batch = *head;
    batch.next->prev = batch.prev->next = &batch;
    head->next = head->prev = head;
    while (batch.next != &batch) {
        emesh_phased *item = batch.next;
        ring_unlink(item);
        item->queued = false;
        item->run(item);
    }
    count(&worker->stats.phase_rounds, 1);
}

static bool
work_queued(emesh_worker *worker)
{
    if (!inbox_empty(worker))
        return true;
    for (int p = 0; p < EMESH_N_PHASES; p++) {
        if (phase_queued(worker, (emesh_phase)p))
            return true;
    }
    return false;
}

/* Jobs and phases until nothing is queued. Output leaves last, so that it leaves at once; after
 * some rounds the descriptors have their turn again. */
static void
run_rounds(emesh_worker *worker)
{
    for (int round = 0; round < ROUNDS_PER_TURN; round++) {
        run_jobs(worker);
        for (int p = 0; p < EMESH_PHASE_WRITE; p++)
            run_phase(worker, (emesh_phase)p);
        bool quiet = inbox_empty(worker);
        for (int p = 0; p < EMESH_PHASE_WRITE && quiet; p++)
            quiet = !phase_queued(worker, (emesh_phase)p);
        if (!quiet && round + 1 < ROUNDS_PER_TURN)
            continue;
        run_phase(worker, EMESH_PHASE_WRITE);
        if (!work_queued(worker))
            break;
    }
}

/* ---- descriptors ---- */

/* Adds or changes. False: errno. */
static bool
set_polled(emesh_worker *worker, emesh_fd *fd, int op)
{
    struct epoll_event event = { .events = fd->interest, .data.ptr = fd };
    return epoll_ctl(worker->epoll_fd, op, fd->fd, &event) == 0;
}

/* Events of fd that the kernel reported in this batch and that were not handled yet are void. */
static void
forget_events(emesh_worker *worker, const emesh_fd *fd)
{
    for (int i = worker->at; i < worker->n_ready; i++) {
        if (worker->ready[i].data.ptr == fd)
            worker->ready[i].data.ptr = NULL;
    }
}

bool
emesh_worker_watch(emesh_worker *worker, emesh_fd *fd)
{
    if (fd->interest != 0) {
        if (!set_polled(worker, fd, EPOLL_CTL_ADD))
            return false;
        fd->polled = true;
    }
    fd->watched = true;
    return true;
}

static void
unpoll(emesh_worker *worker, emesh_fd *fd)
{
    if (!fd->polled)
        return;
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, fd->fd, NULL);
    fd->polled = false;
    forget_events(worker, fd);
}

void
emesh_worker_rewatch(emesh_worker *worker, emesh_fd *fd, uint32_t interest)
{
    if (!fd->watched || fd->interest == interest)
        return;
    fd->interest = interest;
    if (interest == 0) {
        unpoll(worker, fd);
    } else if (set_polled(worker, fd, fd->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD)) {
        fd->polled = true;
    } else {
        g_critical("worker %s: cannot watch descriptor %d: %s", worker->name, fd->fd,
                   g_strerror(errno));
    }
}

void
emesh_worker_unwatch(emesh_worker *worker, emesh_fd *fd)
{
    unpoll(worker, fd);
    fd->watched = false;
}

static void
run_ready(emesh_worker *worker)
{
    uint64_t n = 0;
    while (worker->at < worker->n_ready) {
        struct epoll_event *event = &worker->ready[worker->at++];
        emesh_fd *fd = event->data.ptr;
        if (!fd || event->data.ptr == worker) /* forgotten; or a wake-up only */
            continue;
        /* The interest may have been taken back earlier in this batch. */
        uint32_t events = event->events & (fd->interest | EPOLLHUP | EPOLLERR);
        if (events == 0)
            continue;
        fd->ready(fd, events);
        n++;
    }
    worker->at = worker->n_ready = 0;
    count(&worker->stats.fds_ready, n);
}

static void
wait_ready(emesh_worker *worker, int timeout_ms)
{
    int n = epoll_wait(worker->epoll_fd, worker->ready, EVENTS_PER_TURN, timeout_ms);
    worker->at = 0;
    worker->n_ready = n > 0 ? n : 0;
}

/* ---- alarms ---- */

void
emesh_worker_alarm(emesh_worker *worker, emesh_alarm *alarm, uint64_t at_ns)
{
    emesh_heap_set(&worker->alarms, alarm, at_ns);
}

static void
run_alarms(emesh_worker *worker)
{
    /* An alarm that sets itself to a time gone by waits for the next turn. */
    uint32_t most = worker->alarms.n;
    uint64_t n = 0;
    while (most-- > 0) {
        emesh_alarm *alarm = emesh_heap_top(&worker->alarms);
        if (!alarm || alarm->at_ns > worker->now)
            break;
        emesh_heap_set(&worker->alarms, alarm, 0);
        alarm->due(alarm);
        n++;
    }
    count(&worker->stats.alarms, n);
}

uint64_t
emesh_worker_now(const emesh_worker *worker)
{
    if (worker && worker == worker_current && worker->now != 0)
        return worker->now;
    return clock_ns();
}

/* ---- the source ---- */

static gboolean
source_prepare(GSource *source, gint *timeout_ms)
{
    emesh_worker *worker = ((worker_source *)source)->worker;
    const emesh_alarm *alarm = emesh_heap_top(&worker->alarms);

    *timeout_ms = -1;
    if (worker->now != 0) /* a nested loop inside of a turn: not ours */
        return FALSE;
    *timeout_ms = 0;
    if (worker->n_ready > 0 || work_queued(worker))
        return TRUE;
    if (alarm) {
        uint64_t now = clock_ns();
        if (alarm->at_ns <= now)
            return TRUE;
        uint64_t ms = (alarm->at_ns - now + 999999u) / 1000000u;
        *timeout_ms = (gint)MIN(ms, (uint64_t)G_MAXINT);
    } else {
        *timeout_ms = -1;
    }
    __atomic_store_n(&worker->armed, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&worker->inbox, __ATOMIC_SEQ_CST)) {
        *timeout_ms = 0;
        return TRUE;
    }
    return FALSE;
}

static gboolean
source_check(GSource *source)
{
    emesh_worker *worker = ((worker_source *)source)->worker;
    const emesh_alarm *alarm = emesh_heap_top(&worker->alarms);

    if (worker->now != 0)
        return FALSE;
    return worker->n_ready > 0 || g_source_query_unix_fd(source, worker->epoll_tag) != 0 ||
           work_queued(worker) || (alarm && alarm->at_ns <= clock_ns());
}

static gboolean
source_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    emesh_worker *worker = ((worker_source *)source)->worker;
    (void)callback;
    (void)data;

    __atomic_store_n(&worker->armed, 0, __ATOMIC_RELAXED);
    worker->now = clock_ns();
    count(&worker->stats.wakeups, 1);
    if (worker->n_ready == 0 && g_source_query_unix_fd(source, worker->epoll_tag) != 0)
        wait_ready(worker, 0);
    run_ready(worker);
    run_alarms(worker);
    run_rounds(worker);
    worker->now = 0;
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {
    .prepare = source_prepare,
    .check = source_check,
    .dispatch = source_dispatch,
};

/* GLib's wake-up descriptor goes into our set (again when it is another), marked as the worker. */
static bool
adopt_glib_fd(emesh_worker *worker, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = worker };
    if (worker->glib_fd == fd)
        return true;
    if (worker->glib_fd >= 0)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->glib_fd, NULL);
    worker->glib_fd = -1;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return false;
    worker->glib_fd = fd;
    return true;
}

/* Instead of poll(): waits in epoll when our set and GLib's wake-up are all there is. */
static gint
worker_poll(GPollFD *fds, guint n, gint timeout_ms)
{
    emesh_worker *worker = worker_current;
    GPollFD *ours = NULL, *glib = NULL;

    if (worker && n == 2) {
        ours = fds[0].fd == worker->epoll_fd ? &fds[0] : &fds[1];
        glib = ours == &fds[0] ? &fds[1] : &fds[0];
    }
    if (!ours || ours->fd != worker->epoll_fd || !adopt_glib_fd(worker, glib->fd))
        return g_poll(fds, n, timeout_ms);
    if (worker->n_ready == 0 && worker->now == 0) /* else the batch still waits for its turn */
        wait_ready(worker, timeout_ms);
    ours->revents = worker->n_ready ? G_IO_IN : 0;
    glib->revents = 0;
    for (int i = 0; i < worker->n_ready; i++) {
        if (worker->ready[i].data.ptr == worker)
            glib->revents = G_IO_IN;
    }
    return (ours->revents != 0) + (glib->revents != 0);
}

/* ---- life ---- */

static bool
open_descriptors(emesh_worker *worker, GError **error)
{
    /* Edge triggered: the count is never read, each write is one wake-up. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };

    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->epoll_fd >= 0 && worker->event_fd >= 0 &&
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->event_fd, &event) == 0)
        return true;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "cannot make worker %s: epoll and eventfd: %s; raise the limit of open files",
                worker->name, g_strerror(errno));
    return false;
}

static emesh_worker *
worker_new(uint32_t index, const char *name, GMainContext *context, GError **error)
{
    emesh_worker *worker = g_aligned_alloc0(1, sizeof *worker, 64);

    worker->index = index;
    g_strlcpy(worker->name, name, sizeof worker->name);
    worker->context = context;
    worker->glib_fd = -1;
    for (int p = 0; p < EMESH_N_PHASES; p++)
        worker->phases[p].next = worker->phases[p].prev = &worker->phases[p];
    worker->epoll_fd = worker->event_fd = -1;
    if (!open_descriptors(worker, error)) {
        emesh_worker_free(worker);
        return NULL;
    }
    worker->source = g_source_new(&source_funcs, sizeof(worker_source));
    ((worker_source *)worker->source)->worker = worker;
    g_source_set_static_name(worker->source, "emesh-worker");
    /* Otherwise GLib takes the descriptor out of its set before each dispatch, puts it back after
     * it and writes to its own wake-up for that: three system calls for nothing. */
    g_source_set_can_recurse(worker->source, TRUE);
    worker->epoll_tag = g_source_add_unix_fd(worker->source, worker->epoll_fd, G_IO_IN);
    g_source_attach(worker->source, context);
    return worker;
}

emesh_worker *
emesh_worker_new(uint32_t index, const char *name, GError **error)
{
    emesh_worker *worker = worker_new(index, name, g_main_context_new(), error);
    if (worker)
        g_main_context_set_poll_func(worker->context, worker_poll);
    return worker;
}

emesh_worker *
emesh_worker_new_main(GError **error)
{
    emesh_worker *worker =
        worker_new(UINT32_MAX, "main", g_main_context_ref(g_main_context_default()), error);
    if (worker)
        worker_current = worker;
    return worker;
}

static void *
worker_thread(void *data)
{
    emesh_worker *worker = data;

    worker_current = worker;
    g_main_context_push_thread_default(worker->context);
    while (!worker->quit)
        g_main_context_iteration(worker->context, TRUE);
    g_main_context_pop_thread_default(worker->context);
    return NULL;
}

void
emesh_worker_start(emesh_worker *worker)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&worker->thread, NULL, worker_thread, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        g_error("cannot start the thread of worker %s: %s", worker->name, g_strerror(rc));
    pthread_setname_np(worker->thread, worker->name);
    worker->running = true;
}

static void
run_stop(emesh_job *job)
{
    emesh_worker *worker = (emesh_worker *)(void *)((char *)job - offsetof(emesh_worker, stop_job));
    worker->quit = true;
}

void
emesh_worker_stop(emesh_worker *worker)
{
    if (!worker->running)
        return;
    worker->stop_job.run = run_stop;
    emesh_worker_post(worker, &worker->stop_job);
    pthread_join(worker->thread, NULL);
    worker->running = false;

    /* Mail that came behind the stop: every job runs exactly once, here in the thread's place. */
    emesh_worker *before = worker_current;
    worker_current = worker;
    while (work_queued(worker))
        run_rounds(worker);
    worker_current = before;
}

void
emesh_worker_free(emesh_worker *worker)
{
    if (!worker)
        return;
    emesh_worker_stop(worker);
    if (worker_current == worker)
        worker_current = NULL;
    if (worker->source) {
        g_source_destroy(worker->source);
        g_source_unref(worker->source);
    }
    g_main_context_unref(worker->context);
    emesh_heap_clear(&worker->alarms);
    if (worker->event_fd >= 0)
        close(worker->event_fd);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    g_aligned_free(worker);
}

uint32_t
emesh_worker_index(const emesh_worker *worker)
{
    return worker->index;
}

const char *
emesh_worker_name(const emesh_worker *worker)
{
    return worker->name;
}

GMainContext *
emesh_worker_context(emesh_worker *worker)
{
    return worker->context;
}

bool
emesh_worker_is_current(const emesh_worker *worker)
{
    return worker_current == worker;
}

emesh_worker *
emesh_worker_current(void)
{
    return worker_current;
}

void
emesh_worker_read_stats(const emesh_worker *worker, emesh_worker_stats *out)
{
    const emesh_worker_stats *from = &worker->stats;

    out->wakeups = __atomic_load_n(&from->wakeups, __ATOMIC_RELAXED);
    out->jobs = __atomic_load_n(&from->jobs, __ATOMIC_RELAXED);
    out->fds_ready = __atomic_load_n(&from->fds_ready, __ATOMIC_RELAXED);
    out->alarms = __atomic_load_n(&from->alarms, __ATOMIC_RELAXED);
    out->eventfd_writes = __atomic_load_n(&worker->eventfd_writes, __ATOMIC_RELAXED);
    out->phase_rounds = __atomic_load_n(&from->phase_rounds, __ATOMIC_RELAXED);
}
