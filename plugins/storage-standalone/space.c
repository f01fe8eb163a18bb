/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk, [keeper]: below min-free events are refused, progress of groups is not; dead files go
 * first, then the reserve; publishing resumes at twice min-free.
 */
#include "keeper.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>

#define SA_RESERVE "reserve"

uint64_t
sa_space_min(struct sa_store *store)
{
    uint64_t avail = 0, total = 0;
    if (store->opt.min_free != 0)
        return store->opt.min_free;
    if (store->io->space(store->io->ctx, store->dir, &avail, &total) < 0)
        total = 0;
    return MAX(2 * store->opt.segment_size, total / 100);
}

void
sa_space_reserve(struct sa_store *store)
{
    const sa_io *io = store->io;
    if (store->keeper.reserve)
        return;
    int fd = io->open(io->ctx, store->dir, SA_RESERVE, O_RDWR | O_CREAT);
    int rc = fd >= 0 ? io->allocate(io->ctx, fd, store->opt.segment_size) : fd;
    if (fd >= 0)
        io->close(io->ctx, fd);
    if (rc < 0)
        io->unlink(io->ctx, store->dir, SA_RESERVE);
    store->keeper.reserve = rc >= 0;
}

static void
set_low(struct sa_store *store, bool low, uint64_t avail, uint64_t least)
{
    sa_keeper *keeper = &store->keeper;
    emesh_error err = { .size = sizeof err };
    keeper->low = low;
    pthread_mutex_lock(&store->log.lock);
    store->log.full = low;
    if (!low)
        store->log.no_next = false;
    pthread_cond_broadcast(&store->log.writer_wake);
    pthread_mutex_unlock(&store->log.lock);
    if (!low) {
        sa_say(store, EMESH_LOG_NOTICE, "the disk of %s has room again: events are taken",
               store->path);
        sa_alarm_report(store);
        return;
    }
    sa_error(&err, EMESH_E_NO_SPACE, "the disk of %s is full: %llu MiB free, min-free is %llu MiB; "
             "events are refused until twice that is free: delete topics, shorten retention or add "
             "space", store->path, (unsigned long long)(avail >> 20),
             (unsigned long long)(least >> 20));
    sa_say(store, EMESH_LOG_ERROR, "%s", err.text);
    store->host->report(store->host, EMESH_HEALTH_DEGRADED, &err);
}

void
sa_space_check(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    const sa_io *io = store->io;
    uint64_t avail = 0, total = 0, least = sa_space_min(store);
    if (io->space(io->ctx, store->dir, &avail, &total) < 0)
        return;
    pthread_mutex_lock(&keeper->lock);
    bool met = keeper->disk_full;
    keeper->disk_full = false;
    pthread_mutex_unlock(&keeper->lock);
    if (!keeper->low && (avail < least || met)) {
        set_low(store, true, avail, least);
        keeper->checkpoint_at = keeper->retention_at = 0; /* so that dead files can go */
    }
    if (!keeper->low) {
        if (!keeper->reserve && avail >= 2 * least + store->opt.segment_size)
            sa_space_reserve(store);
        return;
    }
    if (avail >= 2 * least && !met)
        set_low(store, false, avail, least);
}

void
sa_space_give(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    const sa_io *io = store->io;
    uint64_t avail = 0, total = 0;
    if (!keeper->low || !keeper->reserve || io->space(io->ctx, store->dir, &avail, &total) < 0
        || avail >= sa_space_min(store))
        return;
    io->unlink(io->ctx, store->dir, SA_RESERVE);
    keeper->reserve = false;
    keeper->checkpoint_at = 0; /* it may have wanted that room */
}
