/* SPDX-License-Identifier: Apache-2.0
 *
 * The firer thread: a due delayed event is written {EVENT, HOLD_DONE} as one unit, a bounded batch a
 * turn; readers of inboxes are woken when something of theirs is due; rows come into memory ahead of
 * their time. Due times are wall clock, so it looks at the clock at least twice a second.
 */
#include "cursor.h"
#include "hold.h"
#include "recovery.h"
#include "store.h"
#include <stdlib.h>
#include <time.h>

#define FIRE_MAX 64u
#define FIRE_BYTES (256u << 10)
#define LOOK_NS 500000000u
#define AGAIN_NS 1000000000u

typedef struct sa_firing { /* a copy of what is due */
    uint64_t due, token, lsn;
    uint32_t kind, group, attempts;
    sa_partition *part;
} sa_firing;

static void
fired(sa_batch *batch, int32_t code)
{
    sa_store *store = batch->ctx;
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    for (uint32_t i = 0; i < batch->n; i++) {
        sa_hold *hold = batch->rec[i].type == SA_HOLD_DONE
                            ? g_hash_table_lookup(holds->by_token, &batch->rec[i].offset) : NULL;
        if (hold != NULL)
            sa_hold_back(hold); /* it was not written */
    }
    if (code != EMESH_OK)
        holds->retry_ns = sa_mono_ns(store) + AGAIN_NS;
    holds->firing = false;
    holds->kicked = true;
    pthread_cond_signal(&holds->wake);
    pthread_mutex_unlock(&holds->lock);
}

/* Adds the unit of one held event. False: it is not its turn, for want of memory or room. */
static bool
add_unit(sa_store *store, sa_batch *batch, GPtrArray *bodies, const sa_firing *f)
{
    uint8_t *body = NULL;
    sa_rec_head head;
    bool again = false;
    const emesh_event *event = sa_hold_read(store, f->lsn, f->token, &body, &head, &again);
    if (again)
        return false;
    if (event == NULL) {
        sa_count(&store->stats.damaged, 1);
        sa_say(store, EMESH_LOG_ERROR, "a delayed event of topic %s at byte %llu of the log of %s "
               "is damaged and skipped", f->part->topic->name, (unsigned long long)f->lsn,
               store->path);
        sa_hold_done_rec(store, batch, f->due, f->token, f->kind, f->group, f->part->id, 0);
        return true;
    }
    sa_rec *rec = &batch->rec[batch->n];
    memset(rec, 0, sizeof *rec);
    memset(&batch->results[batch->n], 0, sizeof batch->results[0]);
    g_ptr_array_add(bodies, body);
    rec->type = SA_EVENT;
    rec->flags = SA_REC_STOP;
    rec->event = event;
    rec->part = f->part;
    rec->first = body + SA_HOLD_HEAD;
    rec->first_len = head.body - SA_HOLD_HEAD;
    rec->attrs = head.attrs;
    rec->time_us = sa_wall_us(store);
    rec->hash = sa_image_fingerprint(rec->first, head.attrs);
    rec->follow = 1;
    rec->sync = f->part->topic->level == EMESH_LEVEL_SYNCED;
    sa_rec_seal(batch, rec);
    bool sync = rec->sync;
    sa_hold_done_rec(store, batch, f->due, f->token, f->kind, f->group, f->part->id, 0);
    rec = &batch->rec[batch->n - 1];
    rec->flags |= SA_REC_JOINED;
    rec->sync = sync;
    batch->n_sync += sync ? 2 : 0;
    return true;
}

static void
fire_done(sa_batch *batch, int32_t code)
{
    GPtrArray *bodies = batch->memory;
    batch->memory = NULL;
    fired(batch, code);
    g_ptr_array_unref(bodies);
}

/* What has not found room in the batch goes back to its queue. */
static void
give_back(sa_store *store, const sa_firing *list, uint32_t n)
{
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    for (uint32_t i = 0; i < n; i++) {
        sa_hold *hold = g_hash_table_lookup(holds->by_token, &list[i].token);
        if (hold != NULL)
            sa_hold_back(hold);
    }
    pthread_mutex_unlock(&holds->lock);
}

static void
fire(sa_store *store, const sa_firing *list, uint32_t n)
{
    uint64_t most = MIN((uint64_t)FIRE_BYTES, store->opt.segment_size / 4);
    sa_batch *batch = sa_batch_new(2 * n);
    GPtrArray *bodies = g_ptr_array_new_with_free_func(free);
    uint32_t i = 0;
    while (batch != NULL && i < n && (i == 0 || batch->bytes < most)
           && add_unit(store, batch, bodies, &list[i]))
        i++;
    give_back(store, list + i, n - i);
    if (i == 0) {
        g_ptr_array_unref(bodies);
        if (batch != NULL)
            sa_batch_unref(batch);
        pthread_mutex_lock(&store->holds.lock);
        store->holds.firing = false;
        store->holds.retry_ns = sa_mono_ns(store) + AGAIN_NS;
        pthread_mutex_unlock(&store->holds.lock);
        return;
    }
    batch->control = false; /* events: they do not get the last of a full disk */
    batch->done = fire_done;
    batch->ctx = store;
    batch->memory = bodies;
    sa_point(store->io, "fire");
    sa_log_submit(store, batch, false);
}

/* lock held. Takes what is due of the delayed events. */
static uint32_t
take_due(sa_store *store, sa_firing *list, uint64_t now_us)
{
    sa_holds *holds = &store->holds;
    uint64_t bytes = 0;
    uint32_t n = 0;
    sa_hold *hold;
    while (n < FIRE_MAX && bytes < FIRE_BYTES
           && (hold = sa_queue_due(store, holds->delayed, now_us)) != NULL) {
        list[n++] = (sa_firing){ hold->due, hold->token, hold->lsn, hold->kind, 0, hold->attempts,
                                 hold->part };
        bytes += hold->size;
        sa_hold_out(hold);
    }
    return n;
}

/* HOLD_DONEs that did not find room on the disk are written again. */
static void
write_undone(sa_store *store)
{
    sa_holds *holds = &store->holds;
    sa_firing list[FIRE_MAX];
    GHashTableIter iter;
    gpointer value;
    uint32_t n = 0;
    pthread_mutex_lock(&holds->lock);
    g_hash_table_iter_init(&iter, holds->by_token);
    while (n < FIRE_MAX && g_hash_table_iter_next(&iter, NULL, &value)) {
        sa_hold *hold = value;
        if (!hold->settled || hold->writing)
            continue;
        hold->writing = true;
        list[n++] = (sa_firing){ hold->due, hold->token, hold->lsn, hold->kind, hold->queue->group,
                                 0, hold->part };
    }
    holds->undone = n == FIRE_MAX ? 1 : 0;
    pthread_mutex_unlock(&holds->lock);
    sa_batch *batch = n > 0 ? sa_batch_new(n) : NULL;
    for (uint32_t i = 0; batch != NULL && i < n; i++)
        sa_hold_done_rec(store, batch, list[i].due, list[i].token, list[i].kind, list[i].group,
                         list[i].part->id, 0);
    if (batch != NULL)
        sa_holds_submit(store, batch);
}

static void
settle_done(sa_batch *batch, int32_t code)
{
    if (code != EMESH_OK)
        sa_holds_undone(batch->ctx, batch);
}

void
sa_holds_submit(struct sa_store *store, sa_batch *batch)
{
    batch->done = settle_done;
    batch->ctx = store;
    sa_log_submit(store, batch, false);
}

/* lock held. When this queue wants to be looked at, wall clock; now: there is work. */
static uint64_t
queue_when(sa_store *store, const sa_queue *queue, uint64_t now_us, bool *load)
{
    const sa_hold *first = sa_queue_first(queue);
    bool ready = sa_queue_due(store, queue, now_us) != NULL;
    *load = !queue->all && queue->from_due <= now_us && !ready;
    if (*load || ready)
        return now_us;
    if (first != NULL && first->due <= now_us) { /* not durable yet: the syncer tells */
        atomic_store(&store->holds.unseen, 1);
        return sa_queue_due(store, queue, now_us) != NULL ? now_us : UINT64_MAX;
    }
    uint64_t when = first != NULL ? first->due : UINT64_MAX;
    return queue->all ? when : MIN(when, queue->from_due);
}

/* lock held, given up while rows are read. Returns when to look again. */
static uint64_t
look(sa_store *store, uint64_t now_us)
{
    sa_holds *holds = &store->holds;
    uint64_t when = UINT64_MAX;
    bool again = false;
    for (guint i = 0; i < holds->active->len; i++) {
        sa_queue *queue = g_ptr_array_index(holds->active, i);
        bool load;
        uint64_t at = queue_when(store, queue, now_us, &load);
        if (load) {
            queue->loading = true;
            pthread_mutex_unlock(&holds->lock);
            bool good = sa_queue_load(store, queue);
            pthread_mutex_lock(&holds->lock);
            queue->loading = false;
            if (!good)
                return now_us + AGAIN_NS / 1000;
            /* The queue may be gone from the list, and others have another place in it. */
            if (g_ptr_array_find(holds->active, queue, NULL))
                sa_queue_wake(queue); /* or it hears that it has all */
            again = true; /* not from the front: there may be a thousand to load */
            continue;
        }
        if (at <= now_us && queue->cursor != NULL)
            sa_queue_wake(queue);
        else
            when = MIN(when, at);
    }
    if (again)
        holds->kicked = true;
    return again ? now_us : when;
}

/* lock held. The lock was let go since the caller asked for stopping: a wake-up may be past. */
static void
wait(sa_store *store, uint64_t now_us, uint64_t when_us)
{
    sa_holds *holds = &store->holds;
    if (holds->stopping)
        return;
    if (!holds->kicked && when_us == UINT64_MAX && holds->undone == 0) {
        pthread_cond_wait(&holds->wake, &holds->lock);
    } else if (!holds->kicked) {
        uint64_t us = when_us > now_us ? MIN(when_us - now_us, LOOK_NS / 1000u) : LOOK_NS / 10000u;
        uint64_t until = sa_mono_ns(store) + us * 1000u;
        struct timespec ts = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
        pthread_cond_timedwait(&holds->wake, &holds->lock, &ts);
    }
    holds->kicked = false;
}

static void *
firer_main(void *arg)
{
    sa_store *store = arg;
    sa_holds *holds = &store->holds;
    sa_firing list[FIRE_MAX];
    pthread_setname_np(pthread_self(), "store-firer");
    pthread_mutex_lock(&holds->lock);
    while (!holds->stopping) {
        uint64_t now_us = sa_wall_us(store);
        uint64_t when = look(store, now_us);
        bool may = sa_mono_ns(store) >= holds->retry_ns && atomic_load(&store->log.failed) == 0;
        uint32_t n = may && !holds->firing ? take_due(store, list, now_us) : 0;
        if (n > 0) {
            holds->firing = true;
            pthread_mutex_unlock(&holds->lock);
            fire(store, list, n);
            pthread_mutex_lock(&holds->lock);
            continue;
        }
        if (may && holds->undone > 0) {
            pthread_mutex_unlock(&holds->lock);
            write_undone(store);
            pthread_mutex_lock(&holds->lock);
        }
        wait(store, now_us, when);
    }
    while (holds->firing)
        pthread_cond_wait(&holds->wake, &holds->lock);
    pthread_mutex_unlock(&holds->lock);
    return NULL;
}

int
sa_holds_start(struct sa_store *store)
{
    int rc = pthread_create(&store->holds.thread, NULL, firer_main, store);
    store->holds.running = rc == 0;
    return -rc;
}

void
sa_holds_stop(struct sa_store *store)
{
    sa_holds *holds = &store->holds;
    if (!holds->running)
        return;
    pthread_mutex_lock(&holds->lock);
    holds->stopping = true;
    pthread_cond_broadcast(&holds->wake);
    pthread_mutex_unlock(&holds->lock);
    pthread_join(holds->thread, NULL);
    holds->running = false;
}
