/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's journal: its file, the sync of each second, and what is told when it cannot be
 * written. Lanes only raise marks; main arms the alarm, the pool does what blocks.
 */
#include "journal/private.h"

#include <string.h>

#define SYNC_NS UINT64_C(1000000000)

#define OF(type, member, pointer) ((type *)((char *)(pointer)-offsetof(type, member)))

static void
work_sync(emesh_job *job) /* pool */
{
    emesh_journal *j = OF(emesh_journal, work, job);

    if (!emesh_ring_sync(j->ring))
        __atomic_store_n(&j->bad, (uint32_t)errno, __ATOMIC_RELAXED);
    __atomic_add_fetch(&j->syncs, 1, __ATOMIC_RELAXED);
    emesh_worker_post(j->main, &j->back);
}

static void
tell(emesh_journal *j)
{
    uint32_t bad = __atomic_exchange_n(&j->bad, 0, __ATOMIC_RELAXED);
    g_autofree char *why = NULL;

    if (j->failed == NULL || (bad != 0) == j->complained)
        return;
    j->complained = bad != 0;
    if (bad != 0)
        why = g_strdup_printf("cannot write %s: %s; decisions are not kept", j->path,
                              bad == EBUSY ? "it is too small for the number of workers "
                                             "(journal-size)"
                                           : g_strerror((int)bad));
    j->failed(j->ctx, why);
}

static void
synced(emesh_job *job) /* main */
{
    emesh_journal *j = OF(emesh_journal, back, job);

    j->syncing = false;
    tell(j);
}

static void
sync_due(emesh_alarm *alarm)
{
    emesh_journal *j = OF(emesh_journal, sync, alarm);

    if (j->syncing) { /* a disk that takes longer than a second */
        emesh_worker_alarm(j->main, &j->sync, emesh_worker_now(j->main) + SYNC_NS);
        return;
    }
    __atomic_store_n(&j->dirty, 0, __ATOMIC_SEQ_CST);
    j->syncing = true;
    emesh_pool_submit(j->pool, &j->work);
}

static void
wake(emesh_job *job)
{
    emesh_journal *j = OF(emesh_journal, wake, job);

    emesh_worker_alarm(j->main, &j->sync, emesh_worker_now(j->main) + SYNC_NS);
}

static void
mark(emesh_journal *j)
{
    if (__atomic_load_n(&j->dirty, __ATOMIC_RELAXED) == 0 &&
        __atomic_exchange_n(&j->dirty, 1, __ATOMIC_SEQ_CST) == 0)
        emesh_worker_post(j->main, &j->wake);
}

void
emesh_journal_wrote(emesh_journal *j, uint32_t n)
{
    __atomic_add_fetch(&j->lines, n, __ATOMIC_RELAXED);
    mark(j);
}

void
emesh_journal_lost(emesh_journal *j, uint32_t n, int error)
{
    __atomic_add_fetch(&j->lost, n, __ATOMIC_RELAXED);
    __atomic_store_n(&j->bad, (uint32_t)error, __ATOMIC_RELAXED);
    mark(j);
}

emesh_journal *
emesh_journal_open(const char *path, uint64_t size, uint32_t sample, emesh_worker *main,
                   emesh_pool *pool, GError **error)
{
    emesh_ring *ring = emesh_ring_open(path, size, error);
    emesh_journal *j;

    if (ring == NULL)
        return NULL;
    j = g_new0(emesh_journal, 1);
    j->ring = ring;
    j->path = g_strdup(path);
    for (j->sample = sample != 0; j->sample < sample; j->sample *= 2)
        ;
    j->main = main;
    j->pool = pool;
    j->wake.run = wake;
    j->work.run = work_sync;
    j->back.run = synced;
    j->sync.due = sync_due;
    return j;
}

void
emesh_journal_watch(emesh_journal *j, void (*failed)(void *ctx, const char *why), void *ctx)
{
    j->failed = failed;
    j->ctx = ctx;
}

void
emesh_journal_close(emesh_journal *j)
{
    if (j == NULL)
        return;
    emesh_ring_sync(j->ring);
    emesh_ring_close(j->ring);
    g_free(j->path);
    g_free(j);
}

const char *
emesh_journal_path(const emesh_journal *j)
{
    return j->path;
}

void
emesh_journal_read_counts(const emesh_journal *j, emesh_journal_counts *out)
{
    out->lines = __atomic_load_n(&j->lines, __ATOMIC_RELAXED);
    out->lost = __atomic_load_n(&j->lost, __ATOMIC_RELAXED);
    out->syncs = __atomic_load_n(&j->syncs, __ATOMIC_RELAXED);
}

uint32_t
emesh_journal_sample(const emesh_journal *j)
{
    return j->sample;
}

void
emesh_journal_work(emesh_journal *j, emesh_job *job)
{
    emesh_pool_submit_slow(j->pool, job);
}
