/* SPDX-License-Identifier: Apache-2.0
 *
 * See log.h: queue, who writes, life of the threads, failure.
 */
#include "log.h"

#include "cursor.h"
#include "store.h"
#include <stdlib.h>
#include <time.h>

#define SA_LANE_TURNS 2 /* turns a lane writes for others before it hands over */

static void *writer_main(void *arg);

int
sa_log_init(struct sa_store *store)
{
    sa_log *log = &store->log;
    memset(log, 0, sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&log->writer_wake, &attr);
    pthread_cond_init(&log->sync_wake, &attr);
    pthread_cond_init(&log->idle_wake, &attr);
    pthread_condattr_destroy(&attr);
    log->tail = &log->head;
    log->wait_tail = &log->wait_head;
    return 0;
}

void
sa_log_clear(struct sa_store *store)
{
    sa_log *log = &store->log;
    free(log->unseen);
    free(log->touched);
    free(log->fresh);
    pthread_cond_destroy(&log->writer_wake);
    pthread_cond_destroy(&log->sync_wake);
    pthread_cond_destroy(&log->idle_wake);
    pthread_mutex_destroy(&log->lock);
}

int
sa_log_start(struct sa_store *store)
{
    sa_log *log = &store->log;
    int rc = pthread_create(&log->writer, NULL, writer_main, store);
    if (rc != 0)
        return -rc;
    rc = pthread_create(&log->syncer, NULL, sa_syncer, store);
    log->threads = true;
    if (rc != 0) {
        pthread_mutex_lock(&log->lock);
        log->stopping = true;
        pthread_cond_broadcast(&log->writer_wake);
        pthread_mutex_unlock(&log->lock);
        pthread_join(log->writer, NULL);
        log->threads = false;
    }
    return -rc;
}

void
sa_log_stop(struct sa_store *store)
{
    sa_log *log = &store->log;
    if (!log->threads)
        return;
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_broadcast(&log->writer_wake);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->writer, NULL);
    pthread_mutex_lock(&log->lock);
    log->sync_now = true;
    pthread_cond_broadcast(&log->sync_wake);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->syncer, NULL);
    log->threads = false;
}

/* Offsets are given in the order of the queue, so that level memory knows its place at once; a
 * write that fails leaves a gap, which is legal. lock held. */
static void
give_offsets(struct sa_store *store, sa_batch *batch)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        sa_rec *rec = &batch->rec[i];
        if (rec->type == SA_HOLD && !rec->fixed)
            rec->offset = store->holds.next++;
        if (rec->type != SA_EVENT)
            continue;
        uint64_t next = atomic_load_explicit(&rec->part->next, memory_order_relaxed);
        if (!rec->fixed)
            rec->offset = next;
        if (rec->offset >= next)
            atomic_store_explicit(&rec->part->next, rec->offset + 1, memory_order_relaxed);
    }
}

static const char *
refusal(const sa_log *log, const sa_batch *batch, int32_t *code)
{
    if (log->failed != 0 || log->stopping) {
        *code = EMESH_E_UNAVAILABLE;
        return log->failed != 0 ? "the store has failed and is being restarted"
                                : "the store is stopping";
    }
    if (log->full && !batch->control) {
        *code = EMESH_E_NO_SPACE;
        return "the disk of the store is full: free space, or shorten retention";
    }
    return NULL;
}

static void
lane_turns(struct sa_store *store)
{
    sa_log *log = &store->log;
    for (int turn = 0; turn < SA_LANE_TURNS || !log->threads; turn++) {
        if (sa_write_turn(store, SA_WHO_LANE) != SA_TURN_MORE)
            return;
        if (log->threads && atomic_load_explicit(&log->slow_until, memory_order_relaxed) != 0)
            break;
    }
    pthread_mutex_lock(&log->lock);
    log->who = log->head != NULL ? SA_WHO_THREAD : SA_WHO_NOBODY;
    if (log->who == SA_WHO_THREAD) {
        sa_count(&store->stats.handovers, 1);
        pthread_cond_signal(&log->writer_wake);
    }
    pthread_mutex_unlock(&log->lock);
}

void
sa_log_submit(struct sa_store *store, sa_batch *batch, bool may_write)
{
    sa_log *log = &store->log;
    int32_t code = 0;
    uint64_t slow = atomic_load_explicit(&log->slow_until, memory_order_relaxed);
    if (slow != 0 && slow > sa_mono_ns(store))
        may_write = false;
    pthread_mutex_lock(&log->lock);
    const char *reason = refusal(log, batch, &code);
    if (reason != NULL) {
        pthread_mutex_unlock(&log->lock);
        batch->n_early = 0;
        for (uint32_t i = 0; i < batch->n; i++)
            batch->rec[i].early = false;
        sa_batch_refuse(store, batch, code, reason);
        return;
    }
    give_offsets(store, batch);
    bool early = batch->n_early > 0;
    if (early)
        atomic_fetch_add(&batch->refs, 1);
    batch->next = NULL;
    *log->tail = batch;
    log->tail = &batch->next;
    log->queued += batch->bytes;
    bool mine = log->who == SA_WHO_NOBODY && (may_write || !log->threads);
    if (mine) {
        log->who = SA_WHO_LANE;
    } else if (log->who == SA_WHO_NOBODY) {
        log->who = SA_WHO_THREAD;
        pthread_cond_signal(&log->writer_wake);
    }
    pthread_mutex_unlock(&log->lock);
    if (early) {
        sa_batch_answer(store, batch, SA_ANSWER_EARLY);
        sa_batch_unref(batch);
    }
    if (mine)
        lane_turns(store);
}

static void *
writer_main(void *arg)
{
    sa_store *store = arg;
    sa_log *log = &store->log;
    pthread_setname_np(pthread_self(), "store-writer");
    pthread_mutex_lock(&log->lock);
    while (true) {
        while (log->who != SA_WHO_THREAD && !(log->stopping && log->who == SA_WHO_NOBODY))
            pthread_cond_wait(&log->writer_wake, &log->lock);
        if (log->who != SA_WHO_THREAD)
            break;
        pthread_mutex_unlock(&log->lock);
        while (sa_write_turn(store, SA_WHO_THREAD) == SA_TURN_MORE) {
        }
        pthread_mutex_lock(&log->lock);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

void
sa_log_give_next(struct sa_store *store, sa_segment *seg, bool full)
{
    sa_log *log = &store->log;
    pthread_mutex_lock(&log->lock);
    if (seg != NULL)
        log->next = seg;
    log->no_next = full && log->next == NULL;
    pthread_cond_broadcast(&log->writer_wake);
    pthread_mutex_unlock(&log->lock);
}

int
sa_log_sync(struct sa_store *store)
{
    sa_log *log = &store->log;
    if (!log->threads)
        return sa_sync_once(store) == 0 ? 0 : -1;
    uint64_t target = MAX(atomic_load(&log->written), atomic_load(&log->entered));
    pthread_mutex_lock(&log->lock);
    while (atomic_load(&log->durable) < target && log->failed == 0) {
        log->sync_now = true;
        pthread_cond_signal(&log->sync_wake);
        pthread_cond_wait(&log->idle_wake, &log->lock);
    }
    int rc = log->failed != 0 ? -1 : 0;
    pthread_mutex_unlock(&log->lock);
    return rc;
}

void
sa_log_fail(struct sa_store *store, int32_t code, int os_errno, const char *what)
{
    sa_log *log = &store->log;
    pthread_mutex_lock(&log->lock);
    bool first = log->failed == 0;
    log->failed = code;
    sa_batch *waiting = log->wait_head, *queued = log->head;
    log->wait_head = NULL;
    log->wait_tail = &log->wait_head;
    log->head = NULL;
    log->tail = &log->head;
    log->queued = 0;
    pthread_cond_broadcast(&log->writer_wake);
    pthread_cond_broadcast(&log->sync_wake);
    pthread_cond_broadcast(&log->idle_wake);
    pthread_mutex_unlock(&log->lock);
    for (sa_batch *next; waiting != NULL; waiting = next) {
        next = waiting->wait_next;
        sa_batch_lost(store, waiting, "the disk failed before it was synced");
    }
    for (sa_batch *next; queued != NULL; queued = next) {
        next = queued->next;
        sa_batch_refuse(store, queued, EMESH_E_UNAVAILABLE, "the store has failed");
    }
    if (!first)
        return;
    emesh_error err = { .size = sizeof err, .code = code, .os_errno = (uint32_t)os_errno };
    sa_error(&err, code, "%s in %s/log failed: %s; what was not synced is unknown, the store starts "
             "anew through recovery", what, store->path, g_strerror(os_errno));
    err.os_errno = (uint32_t)os_errno;
    sa_say(store, EMESH_LOG_ERROR, "%s", err.text);
    store->host->report(store->host, EMESH_HEALTH_FAILED, &err);
}
