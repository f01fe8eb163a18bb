/* SPDX-License-Identifier: Apache-2.0
 *
 * Worker, pool and loop service: order, coalescing, alarms, descriptors, fairness, end.
 */
#include <errno.h>
#include <glib-unix.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/io/loop.h"

/* ---- what the plugin room answers in the daemon ---- */

struct emesh_inst {
    emesh_pool *pool;
    emesh_work_gate gate;
};

emesh_inst *
emesh_inst_of(const emesh_host *host)
{
    return (emesh_inst *)(uintptr_t)host;
}

emesh_pool *
emesh_inst_pool(const emesh_inst *inst)
{
    return inst->pool;
}

emesh_work_gate *
emesh_inst_work_gate(emesh_inst *inst)
{
    return &inst->gate;
}

/* ---- a main worker that a test runs until something is true ---- */

static emesh_worker *
main_worker(void)
{
    g_autoptr(GError) error = NULL;
    emesh_worker *worker = emesh_worker_new_main(&error);
    g_assert_no_error(error);
    return worker;
}

static emesh_worker *
data_worker(const char *name)
{
    g_autoptr(GError) error = NULL;
    emesh_worker *worker = emesh_worker_new(0, name, &error);
    g_assert_no_error(error);
    return worker;
}

#define RUN_UNTIL(condition)                                                                       \
    while (!(condition))                                                                           \
    g_main_context_iteration(NULL, TRUE)

/* ---- posts ---- */

#define N_SENDERS 4
#define N_JOBS 5000

typedef struct counted_job {
    emesh_job job;
    uint32_t sender, number;
} counted_job;

typedef struct sender {
    pthread_t thread;
    emesh_worker *to;
    counted_job jobs[N_JOBS];
} sender;

static uint32_t seen[N_SENDERS]; /* by the worker's thread; read after the join */
static bool in_job;

static void
run_counted(emesh_job *job)
{
    counted_job *mine = (counted_job *)job;
    g_assert_false(in_job);
    in_job = true;
    g_assert_cmpuint(seen[mine->sender], ==, mine->number);
    seen[mine->sender]++;
    in_job = false;
}

static void *
send_all(void *data)
{
    sender *s = data;
    for (uint32_t i = 0; i < N_JOBS; i++)
        emesh_worker_post(s->to, &s->jobs[i].job);
    return NULL;
}

static void
test_post_order(void)
{
    g_autoptr(emesh_worker) worker = data_worker("order");
    g_autofree sender *senders = g_new0(sender, N_SENDERS);
    emesh_worker_stats stats;

    memset(seen, 0, sizeof seen);
    emesh_worker_start(worker);
    for (uint32_t s = 0; s < N_SENDERS; s++) {
        senders[s].to = worker;
        for (uint32_t i = 0; i < N_JOBS; i++)
            senders[s].jobs[i] = (counted_job){ .job.run = run_counted, .sender = s, .number = i };
        g_assert_cmpint(pthread_create(&senders[s].thread, NULL, send_all, &senders[s]), ==, 0);
    }
    for (uint32_t s = 0; s < N_SENDERS; s++)
        pthread_join(senders[s].thread, NULL);
    emesh_worker_stop(worker);
    for (uint32_t s = 0; s < N_SENDERS; s++)
        g_assert_cmpuint(seen[s], ==, N_JOBS);
    emesh_worker_read_stats(worker, &stats);
    g_assert_cmpuint(stats.jobs, ==, N_SENDERS * N_JOBS + 1);
    g_assert_cmpuint(stats.eventfd_writes, <=, stats.wakeups + 1);
}

/* Posts before the thread runs need one wake-up at most, however many they are. */
static void
test_post_coalesced(void)
{
    g_autoptr(emesh_worker) worker = data_worker("coalesce");
    g_autofree sender *s = g_new0(sender, 1);
    emesh_worker_stats stats;

    memset(seen, 0, sizeof seen);
    s->to = worker;
    for (uint32_t i = 0; i < N_JOBS; i++)
        s->jobs[i] = (counted_job){ .job.run = run_counted, .number = i };
    send_all(s);
    emesh_worker_read_stats(worker, &stats);
    g_assert_cmpuint(stats.eventfd_writes, ==, 0);
    emesh_worker_start(worker);
    emesh_worker_stop(worker);
    g_assert_cmpuint(seen[0], ==, N_JOBS);
    emesh_worker_read_stats(worker, &stats);
    g_assert_cmpuint(stats.wakeups, <=, 2);
}

typedef struct ping {
    emesh_job job;
    emesh_worker *here, *there;
    uint32_t *left;
} ping;

static void
run_ping(emesh_job *job)
{
    ping *p = (ping *)job;
    emesh_worker *next = emesh_worker_is_current(p->here) ? p->there : p->here;
    if (__atomic_sub_fetch(p->left, 1, __ATOMIC_ACQ_REL) > 0)
        emesh_worker_post(next, job);
}

/* No wake-up is lost between two sleepers. */
static void
test_post_ping_pong(void)
{
    emesh_worker *main = main_worker();
    g_autoptr(emesh_worker) worker = data_worker("pong");
    uint32_t left = 20000;
    ping p = { .job.run = run_ping, .here = main, .there = worker, .left = &left };

    emesh_worker_start(worker);
    emesh_worker_post(main, &p.job);
    RUN_UNTIL(__atomic_load_n(&left, __ATOMIC_ACQUIRE) <= 1);
    emesh_worker_stop(worker);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    g_assert_cmpuint(left, ==, 0);
    emesh_worker_free(main);
}

/* ---- the order within one wake-up ---- */

typedef struct script {
    emesh_worker *worker;
    GString *said;
    emesh_job job, nested, nested_too, forever;
    emesh_phased items[EMESH_N_PHASES];
    emesh_phased extra;
    emesh_fd fd;
    bool fd_seen;
    uint32_t rounds;
} script;

static script *play; /* test programs may have it: one test at a time */

static void
say_phase(emesh_phased *item)
{
    g_string_append_c(play->said, "AMRDW"[item - play->items]);
    if (item == &play->items[EMESH_PHASE_DELIVER] && play->rounds++ == 0) {
        emesh_worker_phase(play->worker, EMESH_PHASE_APPEND, &play->items[EMESH_PHASE_APPEND]);
        emesh_worker_post(play->worker, &play->nested_too);
        g_string_append_c(play->said, '+');
    }
    if (item == &play->items[EMESH_PHASE_APPEND])
        emesh_worker_unphase(play->worker, EMESH_PHASE_APPEND, &play->extra);
}

static void
say_never(emesh_phased *item)
{
    (void)item;
    g_assert_not_reached();
}

static void
say_nested(emesh_job *job)
{
    (void)job;
    g_string_append_c(play->said, 'n');
}

static void
say_job(emesh_job *job)
{
    (void)job;
    g_string_append_c(play->said, 'j');
    emesh_worker_post(play->worker, &play->nested);
    for (int p = EMESH_N_PHASES - 1; p >= 0; p--) {
        play->items[p].run = say_phase;
        emesh_worker_phase(play->worker, (emesh_phase)p, &play->items[p]);
        emesh_worker_phase(play->worker, (emesh_phase)p, &play->items[p]); /* no-op */
    }
    play->extra.run = say_never;
    emesh_worker_phase(play->worker, EMESH_PHASE_APPEND, &play->extra);
    g_string_append_c(play->said, '.');
}

static void
test_wakeup_order(void)
{
    script s = { .worker = main_worker(), .said = g_string_new(NULL) };
    emesh_worker_stats stats;

    play = &s;
    s.job.run = say_job;
    s.nested.run = s.nested_too.run = say_nested;
    emesh_worker_post(s.worker, &s.job);
    g_main_context_iteration(NULL, TRUE);
    /* One wake-up: the job; its phases but WRITE; nested mail; what was queued again; output. */
    g_assert_cmpstr(s.said->str, ==, "j.AMRD+nnAW");
    emesh_worker_read_stats(s.worker, &stats);
    g_assert_cmpuint(stats.wakeups, ==, 1);
    g_string_free(s.said, TRUE);
    emesh_worker_free(s.worker);
}

static void
run_forever(emesh_job *job)
{
    play->rounds++;
    if (!play->fd_seen)
        emesh_worker_post(play->worker, job);
}

static void
fd_seen(emesh_fd *fd, uint32_t events)
{
    (void)fd;
    g_assert_cmpuint(events, ==, EPOLLIN);
    play->fd_seen = true;
}

/* A job that posts itself for ever does not starve descriptors. */
static void
test_wakeup_fair(void)
{
    script s = { .worker = main_worker() };

    play = &s;
    s.forever.run = run_forever;
    s.fd = (emesh_fd){ .ready = fd_seen, .fd = eventfd(1, EFD_CLOEXEC), .interest = EPOLLIN };
    emesh_worker_post(s.worker, &s.forever);
    g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(s.rounds, <, 100);
    g_assert_true(emesh_worker_watch(s.worker, &s.fd));
    RUN_UNTIL(s.fd_seen);
    emesh_worker_unwatch(s.worker, &s.fd);
    close(s.fd.fd);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    emesh_worker_free(s.worker);
}

/* ---- alarms ---- */

typedef struct bell {
    emesh_alarm alarm;
    emesh_worker *worker;
    uint64_t at;
    uint32_t *rung;
    uint64_t *last;
} bell;

static void
ring(emesh_alarm *alarm)
{
    bell *b = (bell *)alarm;
    g_assert_cmpuint(emesh_worker_now(b->worker), >=, b->at);
    g_assert_cmpuint(b->at, >=, *b->last);
    g_assert_cmpuint(alarm->place, ==, 0);
    *b->last = b->at;
    ++*b->rung;
}

static void
test_alarm_order(void)
{
    emesh_worker *main = main_worker();
    uint64_t start = emesh_worker_now(main), last = 0;
    uint32_t rung = 0, expected = 0;
    g_autofree bell *bells = g_new0(bell, 500);

    for (uint32_t i = 0; i < 500; i++) {
        bell *b = &bells[i];
        *b = (bell){ .alarm.due = ring, .worker = main, .rung = &rung, .last = &last };
        b->at = start + (uint64_t)g_test_rand_int_range(1, 50000000);
        emesh_worker_alarm(main, &b->alarm, b->at);
    }
    for (uint32_t i = 0; i < 500; i++) {
        bell *b = &bells[i];
        if (i % 3 == 0) { /* moved */
            b->at = start + (uint64_t)g_test_rand_int_range(1, 50000000);
            emesh_worker_alarm(main, &b->alarm, b->at);
        }
        if (i % 3 == 1) /* taken back, twice */
            emesh_worker_alarm(main, &b->alarm, 0);
        if (i % 6 == 1)
            emesh_worker_alarm(main, &b->alarm, 0);
        expected += i % 3 != 1;
    }
    RUN_UNTIL(rung == expected);
    g_assert_cmpuint(emesh_worker_now(main), >=, last);
    emesh_worker_free(main);
}

static void
ring_again(emesh_alarm *alarm)
{
    bell *b = (bell *)alarm;
    if (++*b->rung < 5)
        emesh_worker_alarm(b->worker, alarm, 1); /* long ago */
}

/* An alarm that is due at once again rings once a turn. */
static void
test_alarm_past(void)
{
    emesh_worker *main = main_worker();
    uint32_t rung = 0;
    bell b = { .alarm.due = ring_again, .worker = main, .rung = &rung };

    emesh_worker_alarm(main, &b.alarm, 1);
    g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(rung, ==, 1);
    RUN_UNTIL(rung == 5);
    g_assert_false(g_main_context_iteration(NULL, FALSE));
    emesh_worker_free(main);
}

/* ---- descriptors ---- */

typedef struct pair {
    emesh_fd fd;
    emesh_worker *worker;
    struct pair *other; /* ended by whoever is first */
    uint32_t calls;
} pair;

static void
end_other(emesh_fd *fd, uint32_t events)
{
    pair *p = (pair *)fd;
    (void)events;
    p->calls++;
    if (p->other) {
        int other = p->other->fd.fd;
        emesh_worker_unwatch(p->worker, &p->other->fd);
        close(other);
        memset(&p->other->fd, 0xee, sizeof p->other->fd); /* as if freed */
        p->other = NULL;
    }
    emesh_worker_unwatch(p->worker, fd);
}

/* Two descriptors ready in one batch: the first ends the second, which is not called again. */
static void
test_fd_ended_in_batch(void)
{
    emesh_worker *main = main_worker();
    pair a = { .worker = main }, b = { .worker = main };

    a.fd = (emesh_fd){ .ready = end_other, .fd = eventfd(1, EFD_CLOEXEC), .interest = EPOLLIN };
    b.fd = (emesh_fd){ .ready = end_other, .fd = eventfd(1, EFD_CLOEXEC), .interest = EPOLLIN };
    a.other = &b;
    b.other = &a;
    g_assert_true(emesh_worker_watch(main, &a.fd));
    g_assert_true(emesh_worker_watch(main, &b.fd));
    g_main_context_iteration(NULL, TRUE);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    g_assert_cmpuint(a.calls + b.calls, ==, 1);
    close(a.calls ? a.fd.fd : b.fd.fd);
    emesh_worker_free(main);
}

static void
count_call(emesh_fd *fd, uint32_t events)
{
    pair *p = (pair *)fd;
    g_assert_cmpuint(events, ==, EPOLLIN);
    p->calls++;
}

static void
test_fd_sleeps(void)
{
    emesh_worker *main = main_worker();
    pair a = { .worker = main };
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    a.fd = (emesh_fd){ .ready = count_call, .fd = fds[0], .interest = EPOLLIN };
    g_assert_true(emesh_worker_watch(main, &a.fd));
    g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(a.calls, ==, 1);
    emesh_worker_rewatch(main, &a.fd, 0);
    close(fds[1]); /* a hang-up does not wake a sleeper either */
    g_assert_false(g_main_context_iteration(NULL, FALSE));
    emesh_worker_unwatch(main, &a.fd);
    close(fds[0]);
    g_assert_cmpuint(a.calls, ==, 1);

    a.fd = (emesh_fd){ .ready = count_call, .fd = -1, .interest = EPOLLIN };
    g_assert_false(emesh_worker_watch(main, &a.fd));
    g_assert_cmpint(errno, ==, EBADF);
    emesh_worker_free(main);
}

/* A GSource of somebody else in a worker's context (a GLIB lane): both are served. */
typedef struct guest {
    emesh_worker *main, *worker;
    emesh_job home, in;
    int fds[2];
    GThread *ran_on;
    bool done;
} guest;

static void
guest_home(emesh_job *job)
{
    guest *g = (guest *)(void *)((char *)job - offsetof(guest, home));
    g->done = true;
}

static gboolean
guest_readable(gint fd, GIOCondition condition, gpointer data)
{
    guest *g = data;
    char byte;
    g_assert_cmpint(condition, ==, G_IO_IN);
    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    g_assert_true(emesh_worker_is_current(g->worker));
    emesh_worker_post(g->main, &g->home);
    return G_SOURCE_REMOVE;
}

static void
guest_in(emesh_job *job)
{
    guest *g = (guest *)(void *)((char *)job - offsetof(guest, in));
    GSource *source = g_unix_fd_source_new(g->fds[0], G_IO_IN);
    g_assert_true(g_main_context_get_thread_default() == emesh_worker_context(g->worker));
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))guest_readable, g, NULL);
    g_source_attach(source, emesh_worker_context(g->worker));
    g_source_unref(source);
    g_assert_cmpint(write(g->fds[1], "x", 1), ==, 1);
}

static void
test_glib_guest(void)
{
    guest g = { .main = main_worker(), .worker = data_worker("glib") };

    g_assert_cmpint(pipe(g.fds), ==, 0);
    g.in.run = guest_in;
    g.home.run = guest_home;
    emesh_worker_start(g.worker);
    for (int i = 0; i < 20; i++) {
        g.done = false;
        emesh_worker_post(g.worker, &g.in);
        RUN_UNTIL(g.done);
    }
    emesh_worker_free(g.worker);
    close(g.fds[0]);
    close(g.fds[1]);
    emesh_worker_free(g.main);
}

/* ---- pool and loop service ---- */

typedef struct chore {
    emesh_task task;
    emesh_loop *loop;
    pthread_t ran_on;
    int32_t code;
    uint32_t steps;
} chore;

static void
chore_home(emesh_task *task, int32_t code)
{
    chore *c = (chore *)task;
    c->code = code;
    c->steps++;
}

static void
chore_work(emesh_task *task, int32_t code)
{
    chore *c = (chore *)task;
    g_assert_cmpint(code, ==, EMESH_OK);
    g_assert_null(emesh_worker_current());
    c->ran_on = pthread_self();
    c->steps++;
    task->run = chore_home;
    emesh_loop_service.post(c->loop, task);
}

static void
gate_open(emesh_job *job)
{
    *(bool *)((char *)job + sizeof *job) = true;
}

static void
test_loop_work(void)
{
    emesh_worker *main = main_worker();
    emesh_inst inst = { .pool = emesh_pool_new(2) };
    emesh_loop loop = { .worker = main, .main = main, .inst = &inst };
    chore chores[100] = { 0 };
    struct {
        emesh_job job;
        bool open;
    } gate = { .job.run = gate_open };
    uint32_t home = 0;

    emesh_work_gate_init(&inst.gate, main);
    for (int i = 0; i < 100; i++) {
        chores[i].task.run = chore_work;
        chores[i].loop = &loop;
        emesh_loop_service.work((const emesh_host *)(void *)&inst, &chores[i].task);
    }
    emesh_work_gate_wait(&inst.gate, &gate.job);
    RUN_UNTIL(gate.open);
    g_assert_cmpuint(emesh_work_gate_outstanding(&inst.gate), ==, 0);
    emesh_pool_free(inst.pool);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    for (int i = 0; i < 100; i++) {
        g_assert_cmpint(chores[i].code, ==, EMESH_OK);
        home += chores[i].steps == 2;
    }
    g_assert_cmpuint(home, ==, 100);
    emesh_worker_free(main);
}

/* Jobs that hang hold up each other, not the others; at the end of the pool all have run. */
typedef struct hanging {
    emesh_job job;
    pthread_mutex_t *gate;
    uint32_t *ran;
} hanging;

static void
hang(emesh_job *job)
{
    hanging *h = (hanging *)job;
    pthread_mutex_lock(h->gate);
    ++*h->ran;
    pthread_mutex_unlock(h->gate);
}

static void
quick(emesh_job *job)
{
    __atomic_fetch_add(((hanging *)job)->ran, 1, __ATOMIC_RELEASE);
}

static void
test_pool_slow(void)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    emesh_pool *pool = emesh_pool_new(2);
    hanging slow[10], fast[10];
    uint32_t slow_ran = 0, fast_ran = 0;

    pthread_mutex_lock(&gate);
    for (int i = 0; i < 10; i++) {
        slow[i] = (hanging){ .job.run = hang, .gate = &gate, .ran = &slow_ran };
        emesh_pool_submit_slow(pool, &slow[i].job);
    }
    for (int i = 0; i < 10; i++) {
        fast[i] = (hanging){ .job.run = quick, .ran = &fast_ran };
        emesh_pool_submit(pool, &fast[i].job);
    }
    while (__atomic_load_n(&fast_ran, __ATOMIC_ACQUIRE) < 10)
        g_usleep(100);
    g_assert_cmpuint(slow_ran, ==, 0);
    pthread_mutex_unlock(&gate);
    emesh_pool_free(pool);
    g_assert_cmpuint(slow_ran, ==, 10);
}

/* After the lane has closed, tasks run on [main] and say so: those already on the way as well. */
static void
test_loop_post_closed(void)
{
    emesh_worker *main = main_worker();
    emesh_worker *lane = data_worker("lane");
    emesh_loop loop = { .worker = lane, .main = main };
    chore before = { .task.run = chore_home, .code = 1 };
    chore after = { .task.run = chore_home, .code = 1 };

    emesh_loop_service.post(&loop, &before.task);
    __atomic_store_n(&loop.closed, 1, __ATOMIC_RELEASE);
    emesh_loop_service.post(&loop, &after.task);
    emesh_worker_start(lane);
    RUN_UNTIL(after.steps == 1);
    g_assert_cmpuint(before.steps, ==, 1);
    g_assert_cmpint(before.code, ==, EMESH_E_CLOSED);
    g_assert_cmpint(after.code, ==, EMESH_E_CLOSED);
    emesh_worker_free(lane);
    emesh_worker_free(main);
}

typedef struct watcher {
    emesh_loop *loop;
    emesh_watch *watch;
    emesh_timer *timer;
    uint32_t reads, dues, what;
} watcher;

static void
on_ready(void *ctx, int32_t fd, uint32_t what)
{
    watcher *w = ctx;
    char byte;
    w->what |= what;
    w->reads++;
    if (what & EMESH_IN) {
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    } else {
        emesh_loop_service.watch_end(w->watch); /* inside its own call */
        w->watch = NULL;
    }
}

static void
on_due(void *ctx)
{
    watcher *w = ctx;
    if (++w->dues < 3) {
        emesh_loop_service.timer_set(
            w->timer, emesh_loop_service.time(w->loop, EMESH_CLOCK_MONOTONIC) + 1000000);
    } else {
        emesh_loop_service.timer_end(w->timer);
        w->timer = NULL;
    }
}

static void
test_loop_watch_timer(void)
{
    emesh_worker *main = main_worker();
    emesh_loop loop = { .worker = main, .main = main };
    watcher w = { .loop = &loop };
    int fds[2];

    g_assert_cmpint(pipe(fds), ==, 0);
    w.watch = emesh_loop_service.watch(&loop, fds[0], EMESH_IN, on_ready, &w);
    w.timer = emesh_loop_service.timer(&loop, on_due, &w);
    g_assert_cmpint(write(fds[1], "xy", 2), ==, 2);
    close(fds[1]);
    RUN_UNTIL(!w.watch);
    g_assert_cmpuint(w.reads, ==, 3);
    g_assert_cmpuint(w.what, ==, EMESH_IN | EMESH_HUP);
    close(fds[0]);
    emesh_loop_service.timer_set(w.timer, 1);
    RUN_UNTIL(!w.timer);
    g_assert_cmpuint(w.dues, ==, 3);
    g_assert_cmpuint(emesh_loop_service.time(NULL, EMESH_CLOCK_WALL), >, 1700000000000u);
    emesh_worker_free(main);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/worker/post/order", test_post_order);
    g_test_add_func("/worker/post/coalesced", test_post_coalesced);
    g_test_add_func("/worker/post/ping-pong", test_post_ping_pong);
    g_test_add_func("/worker/wake-up/order", test_wakeup_order);
    g_test_add_func("/worker/wake-up/fair", test_wakeup_fair);
    g_test_add_func("/worker/alarm/order", test_alarm_order);
    g_test_add_func("/worker/alarm/past", test_alarm_past);
    g_test_add_func("/worker/fd/ended-in-batch", test_fd_ended_in_batch);
    g_test_add_func("/worker/fd/sleeps", test_fd_sleeps);
    g_test_add_func("/worker/glib-guest", test_glib_guest);
    g_test_add_func("/pool/slow", test_pool_slow);
    g_test_add_func("/loop/work", test_loop_work);
    g_test_add_func("/loop/post-closed", test_loop_post_closed);
    g_test_add_func("/loop/watch-timer", test_loop_watch_timer);
    return g_test_run();
}
