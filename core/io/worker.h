/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: one thread, one GMainContext, and in it ONE GSource around an epoll descriptor, an
 * inbox of jobs (eventfd, wake-ups coalesced) and a heap of alarms. All connections, timers and
 * mail of the daemon's data path live here; GLib never sees a descriptor of theirs.
 *
 * One wake-up is: ready descriptors, due alarms, jobs, then the phases below, in order and again
 * until none is queued. So what one wake-up brings leaves in batches: one append, one list of
 * results, one delivery call, one writev per connection.
 *
 * The main thread is a worker as well (emesh_worker_new_main): same inbox, same alarms, in the
 * default context. All structs below live inside their owners: posting never allocates.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct emesh_worker emesh_worker;

typedef struct emesh_job emesh_job;
struct emesh_job { /* zero it once; not posted again before it ran */
    void (*run)(emesh_job *job);
    emesh_job *next; /* the worker's */
};

typedef struct emesh_alarm emesh_alarm;
struct emesh_alarm { /* one shot; zero it once */
    void (*due)(emesh_alarm *alarm);
    uint64_t at_ns;  /* the worker's */
    uint32_t place;  /* the worker's: 1 + index in the heap, 0 = at rest */
};

typedef struct emesh_fd emesh_fd;
struct emesh_fd { /* one descriptor; zero it once */
    void (*ready)(emesh_fd *fd, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP | EPOLLERR */
    int fd;
    uint32_t interest;
    bool watched; /* the worker's */
    bool polled;  /* the worker's: the kernel knows it (not while it sleeps with interest 0) */
};

typedef enum emesh_phase {
    EMESH_PHASE_APPEND,  /* what was published goes to the stores */
    EMESH_PHASE_MAIL,    /* batches for other workers and for this one */
    EMESH_PHASE_RESULT,  /* results and openings go to the protocols */
    EMESH_PHASE_DELIVER, /* deliveries go to the protocols */
    EMESH_PHASE_WRITE,   /* output leaves */
    EMESH_N_PHASES
} emesh_phase;

typedef struct emesh_phased emesh_phased;
struct emesh_phased { /* runs once at the end of this wake-up; queueing it again is a no-op */
    void (*run)(emesh_phased *item);
    emesh_phased *next, *prev; /* the worker's */
    bool queued;               /* the worker's */
};

/* [main] A worker at rest; its thread runs from start to stop. Given: free. index is 0-based among
 * the data workers; others (GLIB lanes) take any larger number. */
emesh_worker *emesh_worker_new(uint32_t index, const char *name, GError **error);
/* [main] The main thread as a worker, on the default GMainContext; never started or stopped. */
emesh_worker *emesh_worker_new_main(GError **error);
void emesh_worker_start(emesh_worker *worker);
/* [main] Asks the thread to end after the jobs posted so far, and waits for it. */
void emesh_worker_stop(emesh_worker *worker);
void emesh_worker_free(emesh_worker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(emesh_worker, emesh_worker_free)

uint32_t emesh_worker_index(const emesh_worker *worker);       /* [any] */
const char *emesh_worker_name(const emesh_worker *worker);     /* [any] */
GMainContext *emesh_worker_context(emesh_worker *worker);      /* [any] */
bool emesh_worker_is_current(const emesh_worker *worker);      /* [any] is this its thread? */
emesh_worker *emesh_worker_current(void);                      /* [any] NULL on foreign threads */

/* [any] Monotonic ns; during a wake-up, on the worker's own thread, its instant (cached). */
uint64_t emesh_worker_now(const emesh_worker *worker);

/* [any] Runs job on the worker, after those posted before it by the same thread. From the worker
 * itself: later in this wake-up, never inside the call. */
void emesh_worker_post(emesh_worker *worker, emesh_job *job);

/* All below: [lane], the worker's own thread (before start: the thread that builds it). */
void emesh_worker_phase(emesh_worker *worker, emesh_phase phase, emesh_phased *item);
void emesh_worker_unphase(emesh_worker *worker, emesh_phase phase, emesh_phased *item);
void emesh_worker_alarm(emesh_worker *worker, emesh_alarm *alarm, uint64_t at_ns); /* 0 = rest */
bool emesh_worker_watch(emesh_worker *worker, emesh_fd *fd); /* false: errno, as epoll_ctl */
/* 0 = sleep: not even an error is reported until it is woken with another interest. */
void emesh_worker_rewatch(emesh_worker *worker, emesh_fd *fd, uint32_t interest);
void emesh_worker_unwatch(emesh_worker *worker, emesh_fd *fd); /* before it is closed */

/* [any] What the benchmark and `status` count. */
typedef struct emesh_worker_stats {
    uint64_t wakeups, jobs, fds_ready, alarms, eventfd_writes, phase_rounds;
} emesh_worker_stats;
void emesh_worker_read_stats(const emesh_worker *worker, emesh_worker_stats *out);
