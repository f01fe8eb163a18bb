/* SPDX-License-Identifier: Apache-2.0
 *
 * The partition "inbox" of a shared reader: what was appended for its group alone, handed over when
 * due. Positions are (due, token). A place is settled by its HOLD_DONE; UP_TO settles what was
 * handed over before it under this epoch, in that order. [lane], the read itself on a pool thread.
 */
#include "cursor.h"
#include "hold.h"
#include "store.h"
#include <stdlib.h>

typedef struct sa_inbox_item {
    uint64_t due, token, lsn, stored_us, bytes;
    uint32_t attempts;
    const emesh_event *event;
    bool again; /* could not be read now */
} sa_inbox_item;

typedef struct sa_inbox_job {
    emesh_task task;
    sa_cursor *cursor;
    uint32_t epoch, n;
    sa_inbox_item item[SA_READ_MAX];
} sa_inbox_job;

/* lock held. */
void
sa_queue_wake(sa_queue *queue)
{
    atomic_store(&queue->look, true);
    if (queue->cursor != NULL)
        sa_lane_ready(queue->cursor->lane, queue->cursor);
}

/* lock held. What a reader had goes back. */
static void
return_all(sa_holds *holds, sa_inbox *in)
{
    if (in->out == NULL)
        return;
    for (guint i = 0; i < in->out->len; i++) {
        uint64_t token = g_array_index(in->out, emesh_position, i).lo;
        sa_hold *hold = g_hash_table_lookup(holds->by_token, &token);
        if (hold != NULL && !hold->settled)
            sa_hold_back(hold);
    }
    g_array_set_size(in->out, 0);
}

void
sa_inbox_begin(sa_cursor *c, uint32_t epoch)
{
    sa_holds *holds = &c->store->holds;
    sa_inbox *in = &c->inbox;
    if (c->group == NULL)
        return;
    pthread_mutex_lock(&holds->lock);
    if (in->queue == NULL)
        in->queue = sa_queue_need(holds, c->group->id, c->topic->id);
    return_all(holds, in);
    if (in->queue->cursor == NULL)
        g_ptr_array_add(holds->active, in->queue);
    in->queue->cursor = c;
    in->epoch = epoch;
    in->begun = true;
    in->told = false;
    holds->kicked = true;
    pthread_cond_signal(&holds->wake);
    pthread_mutex_unlock(&holds->lock);
    sa_lane_ready(c->lane, c);
}

void
sa_inbox_end(sa_cursor *c)
{
    sa_holds *holds = &c->store->holds;
    sa_inbox *in = &c->inbox;
    if (!in->begun)
        return;
    pthread_mutex_lock(&holds->lock);
    return_all(holds, in);
    if (in->queue->cursor == c) {
        bool empty = in->queue->all && in->queue->n_holds == 0;
        in->queue->cursor = NULL;
        g_ptr_array_remove_fast(holds->active, in->queue);
        sa_queue_trim(holds, in->queue);
        if (empty && !in->queue->loading)
            sa_queue_drop(holds, in->queue);
    }
    in->queue = NULL;
    in->begun = false;
    pthread_mutex_unlock(&holds->lock);
}

bool
sa_inbox_idle(const sa_cursor *c)
{
    sa_holds *holds = &c->store->holds;
    const sa_inbox *in = &c->inbox;
    if (!in->begun || in->job != NULL || (in->out != NULL && in->out->len > 0))
        return false;
    pthread_mutex_lock(&holds->lock);
    bool idle = in->queue->all && in->queue->n_holds == 0;
    pthread_mutex_unlock(&holds->lock);
    return idle;
}

/* ---- handing over ---- */

static void inbox_home(emesh_task *task, int32_t code);

static void
inbox_run(emesh_task *task, int32_t code)
{
    sa_inbox_job *job = (sa_inbox_job *)(void *)task;
    sa_store *store = job->cursor->store;
    (void)code;
    for (uint32_t i = 0; i < job->n; i++) {
        sa_inbox_item *item = &job->item[i];
        sa_rec_head head = { 0 };
        uint8_t *body = NULL;
        item->event = sa_hold_read(store, item->lsn, item->token, &body, &head, &item->again);
        if (item->event != NULL) {
            item->stored_us = head.time_us;
            item->bytes = sa_event_bytes(body + SA_HOLD_HEAD, head.attrs,
                                         head.body - SA_HOLD_HEAD);
            free(body);
        } else if (!item->again) {
            sa_count(&store->stats.damaged, 1);
            sa_say(store, EMESH_LOG_ERROR, "an inbox record of group %s at byte %llu of the log of "
                   "%s is damaged and skipped", job->cursor->group->name,
                   (unsigned long long)item->lsn, store->path);
        }
    }
    job->task.run = inbox_home;
    store->lp->post(job->cursor->lane->loop, &job->task);
}

/* lock held. Is the item still to be handed over? */
static bool
current(sa_holds *holds, const sa_inbox_job *job, const sa_inbox_item *item)
{
    const sa_inbox *in = &job->cursor->inbox;
    sa_hold *hold = g_hash_table_lookup(holds->by_token, &item->token);
    bool mine = in->begun && in->epoch == job->epoch && in->queue->cursor == job->cursor;
    if (hold == NULL || hold->settled)
        return false;
    if (mine && !item->again)
        return true;
    sa_hold_back(hold);
    sa_queue_wake(hold->queue);
    return false;
}

static void
inbox_home(emesh_task *task, int32_t code)
{
    sa_inbox_job *job = (sa_inbox_job *)(void *)task;
    sa_cursor *c = job->cursor;
    sa_inbox *in = &c->inbox;
    sa_holds *holds = &c->store->holds;
    emesh_record records[SA_READ_MAX];
    uint32_t n = 0;
    (void)code;
    in->job = NULL;
    c->want += job->n;
    pthread_mutex_lock(&holds->lock);
    for (uint32_t i = 0; i < job->n; i++) {
        const sa_inbox_item *item = &job->item[i];
        if (!current(holds, job, item))
            continue;
        records[n] = (emesh_record){
            .event = item->event, .position = { item->due, item->token },
            .stored_ms = item->stored_us / 1000, .partition = SA_INBOX, .epoch = in->epoch,
            .attempt = item->attempts + 1,
            .flags = item->event == NULL ? EMESH_RECORD_DAMAGED : 0,
        };
        if (in->out == NULL)
            in->out = g_array_new(FALSE, FALSE, sizeof(emesh_position));
        g_array_append_val(in->out, records[n].position);
        c->want_bytes -= (int64_t)item->bytes;
        n++;
    }
    pthread_mutex_unlock(&holds->lock);
    c->want -= MIN(c->want, n);
    if (n > 0)
        c->store->st->records(c->reader, records, n);
    for (uint32_t i = 0; i < job->n; i++) {
        if (job->item[i].event != NULL)
            c->store->ev->unref(&job->item[i].event, 1);
    }
    free(job);
    if (c->close_op != NULL)
        sa_cursors_flushed(c->lane);
    else
        sa_feed(c);
}

void
sa_inbox_feed(sa_cursor *c)
{
    sa_store *store = c->store;
    sa_holds *holds = &store->holds;
    sa_inbox *in = &c->inbox;
    bool may = c->want > 0 && c->close_op == NULL && (!c->bytes_given || c->want_bytes > 0)
               && atomic_load_explicit(&store->log.failed, memory_order_relaxed) == 0;
    /* Nearly always there is nothing: no lock is taken for that. */
    if (!in->begun || in->job != NULL
        || (in->told && (!may || !atomic_load(&in->queue->look))))
        return;
    uint64_t now_us = sa_wall_us(store), bytes = 0;
    sa_inbox_job *job = NULL;
    pthread_mutex_lock(&holds->lock);
    sa_hold *hold = sa_queue_due(store, in->queue, now_us);
    if (may && hold != NULL)
        job = malloc(sizeof *job);
    if (may && (hold == NULL || job != NULL))
        atomic_store(&in->queue->look, hold != NULL);
    bool known = in->queue->all || in->queue->from_due > now_us;
    uint32_t n = 0;
    while (job != NULL && hold != NULL && n < MIN(c->want, SA_READ_MAX)
           && (n == 0 || !c->bytes_given || bytes + hold->size <= (uint64_t)c->want_bytes)) {
        job->item[n++] = (sa_inbox_item){ .due = hold->due, .token = hold->token,
                                          .lsn = hold->lsn, .attempts = hold->attempts };
        bytes += hold->size;
        sa_hold_out(hold);
        hold = sa_queue_due(store, in->queue, now_us);
    }
    if (n > 0) { /* the firer looks when the next one is due */
        holds->kicked = true;
        pthread_cond_signal(&holds->wake);
    }
    pthread_mutex_unlock(&holds->lock);
    if (n == 0) {
        free(job);
        if (known && hold == NULL && !in->told) {
            in->told = true;
            store->st->partition(c->reader, EMESH_PARTITION_CAUGHT_UP, SA_INBOX, "", 0, NULL);
        }
        return;
    }
    job->task.run = inbox_run;
    job->cursor = c;
    job->epoch = in->epoch;
    job->n = n;
    c->want -= n; /* given back with the result */
    in->job = job;
    store->lp->work(store->host, &job->task);
}

/* ---- settling ---- */

/* lock held. One HOLD_DONE; what is only in the rows is told by its position alone. */
static void
settle(sa_cursor *c, sa_batch *batch, const emesh_position *at, uint32_t attempts, bool handed)
{
    sa_holds *holds = &c->store->holds;
    uint64_t token = at->lo;
    sa_hold *hold = g_hash_table_lookup(holds->by_token, &token);
    if (hold != NULL && (hold->queue != c->inbox.queue || hold->settled))
        return;
    if (hold == NULL && g_hash_table_contains(holds->dead, &token))
        return;
    if (hold != NULL && attempts == 0) {
        sa_hold_out(hold);
        hold->settled = hold->writing = true;
    }
    if (hold == NULL && (attempts > 0 || handed))
        return; /* gone with a unit meanwhile */
    uint32_t part = hold != NULL ? hold->part->id : c->parts[0].part->id;
    sa_hold_done_rec(c->store, batch, at->hi, token, SA_HOLD_INBOX, c->group->id, part, attempts);
}

/* Handed over up to and with position, in that order. */
static uint32_t
handed(const sa_inbox *in, const emesh_position *position)
{
    for (guint i = 0; in->out != NULL && i < in->out->len; i++) {
        if (g_array_index(in->out, emesh_position, i).lo == position->lo)
            return i + 1;
    }
    return 0;
}

static void
commit_one(sa_cursor *c, const emesh_commit *item)
{
    sa_holds *holds = &c->store->holds;
    sa_inbox *in = &c->inbox;
    uint32_t n = handed(in, &item->position);
    uint32_t most = item->outcome == EMESH_COMMIT_UP_TO ? n : 1;
    sa_batch *batch = most > 0 ? sa_batch_new(most) : NULL;
    if (batch == NULL)
        return;
    pthread_mutex_lock(&holds->lock);
    if (item->outcome == EMESH_COMMIT_UP_TO) {
        for (uint32_t i = 0; i < n; i++)
            settle(c, batch, &g_array_index(in->out, emesh_position, i), 0, true);
        g_array_remove_range(in->out, 0, n);
    } else if (item->outcome == EMESH_COMMIT_ONE) {
        settle(c, batch, &item->position, 0, n > 0);
        if (n > 0)
            g_array_remove_index(in->out, n - 1);
    } else if (item->outcome == EMESH_COMMIT_TRIED) {
        settle(c, batch, &item->position, MAX(item->attempts, 1), n > 0);
    }
    pthread_mutex_unlock(&holds->lock);
    if (batch->n > 0)
        sa_commit_batch(c->lane, batch);
    else
        sa_batch_unref(batch);
}

void
sa_inbox_commit(sa_cursor *c, const emesh_commit *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (items[i].partition == SA_INBOX && c->inbox.begun && items[i].epoch == c->inbox.epoch)
            commit_one(c, &items[i]);
    }
}
