/* SPDX-License-Identifier: Apache-2.0
 *
 * The syncer thread: one fdatasync for all that waits, again and again while anything waits; else
 * each second or 16 MiB, and between the bytes are sent ahead in pieces. It moves the durable watermark, makes events of level synced visible and
 * answers them, one batch each.
 */
#include "cursor.h"
#include "log.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define SA_UNSYNCED 64 /* segments that may wait for their sync */
#define SA_WOKEN 128

bool
sa_unseen_push(sa_log *log, sa_partition *part, uint64_t offset, uint64_t lsn)
{
    if (log->unseen_n == log->unseen_cap) {
        uint32_t cap = log->unseen_cap ? log->unseen_cap * 2 : 256;
        sa_unseen *ring = malloc(cap * sizeof *ring);
        if (ring == NULL)
            return false;
        for (uint32_t i = 0; i < log->unseen_n; i++)
            ring[i] = log->unseen[(log->unseen_at + i) & (log->unseen_cap - 1)];
        free(log->unseen);
        log->unseen = ring;
        log->unseen_cap = cap;
        log->unseen_at = 0;
    }
    log->unseen[(log->unseen_at + log->unseen_n) & (log->unseen_cap - 1)] =
        (sa_unseen){ part, offset, lsn };
    log->unseen_n++;
    return true;
}

/* Makes visible what is durable, a bounded number per hold of the lock. */
static void
show(struct sa_store *store, uint64_t durable)
{
    sa_log *log = &store->log;
    sa_topic *woken[SA_WOKEN];
    uint32_t n;
    do {
        n = 0;
        pthread_mutex_lock(&log->lock);
        while (n < SA_WOKEN && log->unseen_n > 0 && log->unseen[log->unseen_at].lsn <= durable) {
            sa_unseen *unseen = &log->unseen[log->unseen_at];
            unseen->part->pending--;
            sa_part_show(unseen->part, unseen->offset);
            woken[n++] = unseen->part->topic;
            log->unseen_at = (log->unseen_at + 1) & (log->unseen_cap - 1);
            log->unseen_n--;
        }
        pthread_mutex_unlock(&log->lock);
        for (uint32_t i = 0; i < n; i++) {
            if (i == 0 || woken[i] != woken[i - 1])
                sa_topic_wake(woken[i]);
        }
    } while (n == SA_WOKEN);
}

/* Segments with bytes the disk does not have, oldest first. They are not closed or deleted before
 * they are sealed, which needs this thread. */
static uint32_t
unsynced(struct sa_store *store, sa_segment **out)
{
    sa_segs *segs = &store->segs;
    uint32_t n = 0;
    pthread_mutex_lock(&segs->lock);
    uint32_t i = segs->n;
    while (i > 0 && segs->all[i - 1]->state != SA_SEG_SEALED)
        i--;
    for (; i < segs->n && n < SA_UNSYNCED; i++) {
        sa_segment *seg = segs->all[i];
        if (seg->state != SA_SEG_SEALED && seg->fd >= 0
            && atomic_load(&seg->end) > atomic_load(&seg->synced))
            out[n++] = seg;
    }
    pthread_mutex_unlock(&segs->lock);
    return n;
}

static sa_batch *
take_durable(sa_log *log, uint64_t durable)
{
    sa_batch *list = log->wait_head, **at = &log->wait_head;
    while (*at != NULL && (*at)->lsn_end <= durable)
        at = &(*at)->wait_next;
    if (at == &log->wait_head)
        return NULL;
    log->wait_head = *at;
    *at = NULL;
    if (log->wait_head == NULL)
        log->wait_tail = &log->wait_head;
    return list;
}

int32_t
sa_sync_once(struct sa_store *store)
{
    sa_log *log = &store->log;
    sa_segment *list[SA_UNSYNCED];
    uint64_t target = atomic_load(&log->written);
    uint32_t n = unsynced(store, list);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t end = atomic_load(&list[i]->end);
        int rc = store->io->datasync(store->io->ctx, list[i]->fd);
        sa_count(&store->stats.syncs, 1);
        if (rc < 0) {
            sa_log_fail(store, EMESH_E_LOST, -rc, "fdatasync");
            return EMESH_E_LOST;
        }
        atomic_store(&list[i]->synced, end);
    }
    /* More than the list holds: only what lies before the next one is durable. */
    if (n == SA_UNSYNCED && target > list[n - 1]->last)
        target = atomic_load(&list[n - 1]->end);
    pthread_mutex_lock(&log->lock);
    if (target > atomic_load(&log->durable))
        atomic_store(&log->durable, target);
    if (target > atomic_load(&log->flushed))
        atomic_store(&log->flushed, target);
    if (atomic_load(&log->written) == target)
        log->first_unsynced_ns = 0;
    else if (log->first_unsynced_ns != 0)
        log->first_unsynced_ns = sa_mono_ns(store);
    pthread_mutex_unlock(&log->lock);
    show(store, target);
    sa_holds_durable(store);
    pthread_mutex_lock(&log->lock);
    sa_batch *done = take_durable(log, target);
    pthread_cond_broadcast(&log->idle_wake);
    pthread_mutex_unlock(&log->lock);
    if (n > 1)
        sa_keeper_kick(store); /* a closed one may be sealed */
    for (sa_batch *next; done != NULL; done = next) {
        next = done->wait_next;
        if (done->done != NULL)
            done->done(done, EMESH_OK);
        else
            sa_batch_answer(store, done, SA_ANSWER_SYNCED);
        sa_batch_unref(done);
    }
    return EMESH_OK;
}

/* lock held. Something to do now? Else *until is when there will be, 0 = unknown. */
static bool
due(struct sa_store *store, uint64_t *until)
{
    sa_log *log = &store->log;
    *until = 0;
    if (log->failed != 0)
        return false;
    if (log->wait_head != NULL || log->sync_now || log->unseen_n > 0)
        return true;
    if (log->first_unsynced_ns == 0)
        return false;
    if (atomic_load(&log->written) - atomic_load(&log->durable) > store->opt.sync_bytes)
        return true;
    *until = log->first_unsynced_ns + store->opt.sync_interval_ns;
    return sa_mono_ns(store) >= *until;
}

/* Sends what is written to the disk, without the page that is still being filled: a write into a
 * page under way waits for it. */
static void
flush(struct sa_store *store)
{
    sa_log *log = &store->log;
    sa_segment *list[SA_UNSYNCED];
    uint64_t target = atomic_load(&log->written);
    uint32_t n = store->io->flush == NULL ? 0 : unsynced(store, list);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t from = MAX(atomic_load(&list[i]->synced), list[i]->flushed);
        uint64_t to = atomic_load(&list[i]->end);
        to -= (to - list[i]->base) % 4096;
        if (to <= from)
            continue;
        store->io->flush(store->io->ctx, list[i]->fd, from - list[i]->base, to - from);
        list[i]->flushed = to;
    }
    atomic_store(&log->flushed, target);
}

void *
sa_syncer(void *arg)
{
    sa_store *store = arg;
    sa_log *log = &store->log;
    pthread_setname_np(pthread_self(), "store-syncer");
    pthread_mutex_lock(&log->lock);
    while (true) {
        uint64_t until;
        if (due(store, &until)) {
            log->sync_now = false;
            pthread_mutex_unlock(&log->lock);
            sa_sync_once(store);
            pthread_mutex_lock(&log->lock);
            continue;
        }
        if (log->failed == 0
            && atomic_load(&log->written) - atomic_load(&log->flushed) >= SA_FLUSH_BYTES) {
            pthread_mutex_unlock(&log->lock);
            flush(store);
            pthread_mutex_lock(&log->lock);
            continue;
        }
        if (log->stopping && log->who == SA_WHO_NOBODY && log->head == NULL)
            break;
        if (until == 0) {
            pthread_cond_wait(&log->sync_wake, &log->lock);
        } else {
            struct timespec ts = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
            pthread_cond_timedwait(&log->sync_wake, &log->lock, &ts);
        }
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}
