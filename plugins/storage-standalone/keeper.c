/* SPDX-License-Identifier: Apache-2.0
 *
 * See keeper.h: the thread and what it does when.
 */
#include "keeper.h"

#include "store.h"
#include <errno.h>
#include <time.h>

#define SA_TICK_NS 1000000000u

void
sa_keeper_init(sa_keeper *keeper)
{
    memset(keeper, 0, sizeof *keeper);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->wake, &attr);
    pthread_condattr_destroy(&attr);
    keeper->pairs = g_ptr_array_new();
    keeper->topics = g_ptr_array_new();
    keeper->groups = g_ptr_array_new();
    keeper->doomed = g_array_new(FALSE, FALSE, sizeof(sa_doomed));
    keeper->changed = g_hash_table_new(NULL, NULL);
}

void
sa_keeper_clear(sa_keeper *keeper)
{
    g_ptr_array_unref(keeper->pairs);
    g_ptr_array_unref(keeper->topics);
    g_ptr_array_unref(keeper->groups);
    g_array_unref(keeper->doomed);
    g_hash_table_unref(keeper->changed);
    pthread_cond_destroy(&keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
}

void
sa_keeper_kick(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    pthread_mutex_lock(&keeper->lock);
    keeper->kicked = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

void
sa_keeper_retain(struct sa_store *store)
{
    pthread_mutex_lock(&store->keeper.lock);
    store->keeper.retain = true;
    pthread_mutex_unlock(&store->keeper.lock);
    sa_keeper_kick(store);
}

void
sa_keeper_full(struct sa_store *store)
{
    pthread_mutex_lock(&store->keeper.lock);
    store->keeper.disk_full = true;
    pthread_mutex_unlock(&store->keeper.lock);
    sa_keeper_kick(store);
}

void
sa_keeper_topic(struct sa_store *store, sa_topic *topic)
{
    sa_keeper *keeper = &store->keeper;
    pthread_mutex_lock(&keeper->lock);
    if (!topic->row_dirty)
        g_ptr_array_add(keeper->topics, topic);
    topic->row_dirty = true;
    pthread_mutex_unlock(&keeper->lock);
    atomic_store(&keeper->dirty, true);
}

void
sa_keeper_group(struct sa_store *store, sa_group *group)
{
    sa_keeper *keeper = &store->keeper;
    pthread_mutex_lock(&keeper->lock);
    if (!group->row_dirty)
        g_ptr_array_add(keeper->groups, group);
    group->row_dirty = true;
    pthread_mutex_unlock(&keeper->lock);
    atomic_store(&keeper->dirty, true);
}

/* Base of the segment behind the newest. */
static uint64_t
next_base(struct sa_store *store)
{
    sa_segs *segs = &store->segs;
    pthread_mutex_lock(&segs->lock);
    uint64_t base = segs->n > 0 ? segs->all[segs->n - 1]->last : store->opt.segment_size;
    pthread_mutex_unlock(&segs->lock);
    return MAX(base, store->base_floor);
}

static bool
next_needed(struct sa_store *store)
{
    sa_log *log = &store->log;
    pthread_mutex_lock(&log->lock);
    bool needed = log->next == NULL && log->failed == 0;
    pthread_mutex_unlock(&log->lock);
    return needed;
}

void
sa_keeper_make_next(struct sa_store *store, uint64_t size)
{
    sa_segment *seg = NULL;
    if (!next_needed(store))
        return;
    if (store->keeper.low) {
        sa_log_give_next(store, NULL, true);
        return;
    }
    sa_point(store->io, "next-begin");
    int rc = sa_seg_create(store, next_base(store), size, &seg);
    sa_point(store->io, "next-made");
    if (rc == 0) {
        pthread_mutex_lock(&store->segs.lock);
        rc = sa_segs_add(&store->segs, seg);
        pthread_mutex_unlock(&store->segs.lock);
        if (rc < 0)
            sa_seg_free(store, seg);
    }
    if (rc == 0) {
        sa_log_give_next(store, seg, false);
    } else if (rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG) {
        sa_keeper_full(store);
        sa_log_give_next(store, NULL, true);
    } else if (rc == -EIO) {
        sa_log_fail(store, EMESH_E_LOST, EIO, "making a segment");
    } else {
        sa_say(store, EMESH_LOG_ERROR, "a new segment could not be made in %s/log: %s", store->path,
               g_strerror(-rc));
        sa_log_give_next(store, NULL, true);
    }
}

/* Age at which the active segment is closed: an hour, or an eighth of the shortest retention. */
static uint64_t
roll_age(struct sa_store *store)
{
    sa_catalog *cat = &store->cat;
    uint64_t age = store->opt.roll_ns;
    pthread_mutex_lock(&cat->lock);
    for (guint i = 0; i < cat->every->len; i++) {
        const sa_topic *topic = g_ptr_array_index(cat->every, i);
        if (!topic->deleted && topic->retention_ms > 0)
            age = MIN(age, topic->retention_ms * 1000000u / 8u);
    }
    pthread_mutex_unlock(&cat->lock);
    return age;
}

static void
roll_done(sa_batch *batch, int32_t code)
{
    (void)batch;
    (void)code;
}

/* Asks for the end of a segment that has been written to for long; an empty record carries it. */
static void
roll_old(struct sa_store *store)
{
    sa_log *log = &store->log;
    uint64_t now = sa_clock_us(store);
    pthread_mutex_lock(&log->lock);
    uint64_t born = log->active != NULL ? atomic_load(&log->active->born_us) : 0;
    bool old = born != 0 && log->next != NULL && !log->roll_asked && log->failed == 0;
    pthread_mutex_unlock(&log->lock);
    if (!old || now < born || (now - born) * 1000 < roll_age(store))
        return;
    sa_batch *batch = sa_batch_new(1);
    if (batch == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    log->roll_asked = true;
    pthread_mutex_unlock(&log->lock);
    batch->done = roll_done;
    sa_batch_control(store, batch, SA_COMMIT, NULL, 0);
    sa_log_submit(store, batch, false);
}

static void
body_done(sa_batch *batch, int32_t code)
{
    (void)code;
    g_byte_array_unref(batch->ctx);
}

/* A new segment soon carries the catalogue, when that is small: one that is not sealed yet has no
 * footer, and a damaged CATALOG record must not cost its topic. Queued under the lock, so that no
 * deletion comes between. */
static void
repeat_catalog(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    sa_log *log = &store->log;
    uint64_t most = MAX(store->opt.segment_size / 64, 4096);
    pthread_mutex_lock(&log->lock);
    const sa_segment *active = log->active;
    uint64_t base = active->base;
    bool begun = atomic_load(&active->end) > base + SA_SEGMENT_HEAD;
    pthread_mutex_unlock(&log->lock);
    if (!begun || keeper->catalogued == base)
        return;
    keeper->catalogued = base;
    sa_batch *batch = sa_batch_new(1);
    if (batch == NULL)
        return;
    GByteArray *body = g_byte_array_new();
    batch->done = body_done;
    batch->ctx = body;
    pthread_mutex_lock(&store->cat.lock);
    sa_cat_put_all(body, &store->cat);
    bool fits = body->len > 0 && body->len <= most;
    if (fits) {
        sa_batch_control(store, batch, SA_CATALOG, body->data, body->len);
        sa_log_submit(store, batch, false);
    }
    pthread_mutex_unlock(&store->cat.lock);
    if (!fits) {
        body_done(batch, EMESH_OK);
        sa_batch_unref(batch);
    }
}

static void
round_of_work(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    uint64_t now = sa_mono_ns(store);
    /* Before each segment, or many would be made in the second between two looks, and none be left
     * for the next start. */
    if (now >= keeper->space_at || next_needed(store))
        sa_space_check(store);
    if (now >= keeper->space_at) {
        sa_metrics_tell(store);
        keeper->space_at = now + SA_TICK_NS;
    }
    sa_keeper_make_next(store, store->opt.segment_size);
    repeat_catalog(store);
    sa_seal_closed(store);
    if (now >= keeper->retention_at) {
        roll_old(store);
        sa_retain(store);
        keeper->retention_at = now + SA_TICK_NS;
    }
    bool due = now >= keeper->checkpoint_at || keeper->sealed >= 2 * SA_ROWS_BATCH;
    if (due && atomic_load(&keeper->dirty) && keeper->row_errors < 3) {
        sa_checkpoint(store, keeper->all_rows, false);
        keeper->all_rows = false;
        keeper->checkpoint_at = sa_mono_ns(store) + store->opt.checkpoint_ns;
    }
    sa_tell_step(store);
    sa_unlink_dead(store);
    sa_clean_step(store);
    sa_scrub_step(store);
    sa_alarm_step(store);
    sa_space_give(store);
}

static void *
keeper_main(void *arg)
{
    sa_store *store = arg;
    sa_keeper *keeper = &store->keeper;
    pthread_setname_np(pthread_self(), "store-keeper");
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->stopping) {
        if (!keeper->kicked) {
            uint64_t until = sa_mono_ns(store) + MIN(SA_TICK_NS, store->opt.checkpoint_ns);
            until = MIN(until, sa_clean_due(store));
            struct timespec ts = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
            pthread_cond_timedwait(&keeper->wake, &keeper->lock, &ts);
        }
        if (keeper->stopping)
            break;
        keeper->kicked = false;
        if (keeper->retain)
            keeper->retention_at = 0;
        keeper->retain = false;
        pthread_mutex_unlock(&keeper->lock);
        round_of_work(store);
        pthread_mutex_lock(&keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

int
sa_keeper_start(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    uint64_t now = sa_mono_ns(store);
    keeper->checkpoint_at = now + store->opt.checkpoint_ns;
    int rc = pthread_create(&keeper->thread, NULL, keeper_main, store);
    keeper->running = rc == 0;
    return -rc;
}

void
sa_keeper_stop(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    if (!keeper->running)
        return;
    pthread_mutex_lock(&keeper->lock);
    keeper->stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    pthread_join(keeper->thread, NULL);
    keeper->running = false;
    sa_clean_stop(store);
}
