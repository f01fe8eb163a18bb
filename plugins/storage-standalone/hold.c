/* SPDX-License-Identifier: Apache-2.0
 *
 * See hold.h: queues and what the log says of them.
 */
#include "hold.h"

#include "store.h"
#include <stdlib.h>

static gint
by_due(gconstpointer a, gconstpointer b, gpointer ctx)
{
    const sa_hold *x = a, *y = b;
    (void)ctx;
    if (x->due != y->due)
        return x->due < y->due ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

static void
queue_free(gpointer data)
{
    sa_queue *queue = data;
    g_tree_unref(queue->waiting);
    g_free(queue);
}

void
sa_holds_init(sa_holds *holds)
{
    memset(holds, 0, sizeof *holds);
    pthread_mutex_init(&holds->rows_lock, NULL);
    pthread_mutex_init(&holds->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&holds->wake, &attr);
    pthread_condattr_destroy(&attr);
    holds->queues = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, queue_free);
    holds->active = g_ptr_array_new();
    holds->by_token = g_hash_table_new(g_int64_hash, g_int64_equal);
    holds->dead = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    holds->forgot = g_array_new(FALSE, FALSE, sizeof(sa_forgot));
    holds->done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    holds->tried = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    holds->puts = g_array_new(FALSE, FALSE, sizeof(sa_hold_put));
    TAILQ_INIT(&holds->dirty);
    holds->next = 1;
    holds->recovering = true;
    holds->delayed = sa_queue_need(holds, 0, 0);
    g_ptr_array_add(holds->active, holds->delayed);
}

void
sa_holds_clear(sa_holds *holds)
{
    GHashTableIter iter;
    gpointer hold;
    g_hash_table_iter_init(&iter, holds->by_token);
    while (g_hash_table_iter_next(&iter, NULL, &hold))
        g_free(hold);
    g_hash_table_unref(holds->by_token);
    g_hash_table_unref(holds->queues);
    g_hash_table_unref(holds->dead);
    g_hash_table_unref(holds->done);
    g_hash_table_unref(holds->tried);
    g_ptr_array_unref(holds->active);
    g_array_unref(holds->forgot);
    g_array_unref(holds->puts);
    pthread_cond_destroy(&holds->wake);
    pthread_mutex_destroy(&holds->lock);
    pthread_mutex_destroy(&holds->rows_lock);
}

void
sa_holds_kick(struct sa_store *store)
{
    pthread_mutex_lock(&store->holds.lock);
    store->holds.kicked = true;
    pthread_cond_signal(&store->holds.wake);
    pthread_mutex_unlock(&store->holds.lock);
}

void
sa_holds_durable(struct sa_store *store)
{
    if (atomic_exchange(&store->holds.unseen, 0) != 0)
        sa_holds_kick(store);
}

sa_queue *
sa_queue_need(sa_holds *holds, uint32_t group, uint32_t topic)
{
    gint64 key = (gint64)((uint64_t)group << 32 | topic);
    sa_queue *queue = g_hash_table_lookup(holds->queues, &key);
    if (queue == NULL) {
        queue = g_new0(sa_queue, 1);
        queue->group = group;
        queue->topic = topic;
        queue->waiting = g_tree_new_full(by_due, NULL, NULL, NULL);
        g_hash_table_insert(holds->queues, g_memdup2(&key, sizeof key), queue);
    }
    return queue;
}

void
sa_queue_drop(sa_holds *holds, sa_queue *queue)
{
    gint64 key = (gint64)((uint64_t)queue->group << 32 | queue->topic);
    g_hash_table_remove(holds->queues, &key);
}

void
sa_hold_out(sa_hold *hold)
{
    if (!hold->out)
        g_tree_remove(hold->queue->waiting, hold);
    hold->out = true;
}

void
sa_hold_back(sa_hold *hold)
{
    if (hold->out)
        g_tree_insert(hold->queue->waiting, hold, hold);
    hold->out = false;
    atomic_store(&hold->queue->look, true);
}

sa_hold *
sa_queue_first(const sa_queue *queue)
{
    GTreeNode *node = g_tree_node_first(queue->waiting);
    return node != NULL ? g_tree_node_value(node) : NULL;
}

static bool
below_rows(const sa_queue *queue, const sa_hold *hold)
{
    return queue->all || hold->due < queue->from_due
           || (hold->due == queue->from_due && hold->token < queue->from_token);
}

sa_hold *
sa_queue_due(struct sa_store *store, const sa_queue *queue, uint64_t now_us)
{
    sa_hold *hold = sa_queue_first(queue);
    if (hold == NULL || hold->due > now_us || !below_rows(queue, hold)
        || hold->after > atomic_load(&store->log.durable))
        return NULL;
    return hold;
}

void
sa_hold_dirty(sa_holds *holds, sa_hold *hold)
{
    if (!hold->dirty)
        TAILQ_INSERT_TAIL(&holds->dirty, hold, dirty_link);
    hold->dirty = true;
}

sa_hold *
sa_hold_add(sa_holds *holds, sa_queue *queue, sa_partition *part, uint64_t due, uint64_t token)
{
    sa_hold *hold = g_new0(sa_hold, 1);
    hold->due = due;
    hold->token = token;
    hold->queue = queue;
    hold->part = part;
    queue->n_holds++;
    g_hash_table_insert(holds->by_token, &hold->token, hold);
    g_tree_insert(queue->waiting, hold, hold);
    return hold;
}

void
sa_hold_free(sa_holds *holds, sa_hold *hold)
{
    sa_hold_out(hold);
    hold->queue->n_holds--;
    g_hash_table_remove(holds->by_token, &hold->token);
    if (hold->dirty)
        TAILQ_REMOVE(&holds->dirty, hold, dirty_link);
    g_free(hold);
}

void
sa_hold_bury(sa_holds *holds, uint32_t group, uint32_t topic, uint64_t due, uint64_t token,
             bool counted)
{
    if (g_hash_table_contains(holds->dead, &token))
        return;
    sa_hold_dead *dead = g_new0(sa_hold_dead, 1);
    *dead = (sa_hold_dead){ group, topic, due, token, counted, false };
    g_hash_table_insert(holds->dead, &dead->token, dead);
}

void
sa_queue_trim(sa_holds *holds, sa_queue *queue)
{
    bool idle = queue->cursor == NULL && queue != holds->delayed;
    uint32_t keep = idle ? 0 : SA_HOLD_KEEP;
    uint32_t n = (uint32_t)g_tree_nnodes(queue->waiting);
    if (idle) {
        queue->all = false;
        queue->from_due = queue->from_token = 0;
    } else if (n <= keep && queue->all) {
        return;
    }
    uint32_t i = 0;
    for (GTreeNode *node = g_tree_node_first(queue->waiting), *next; node != NULL; node = next) {
        sa_hold *hold = g_tree_node_value(node);
        next = g_tree_node_next(node);
        if (i++ == keep && below_rows(queue, hold)) {
            queue->all = false;
            queue->from_due = hold->due;
            queue->from_token = hold->token;
        }
        if (!below_rows(queue, hold) && hold->row == SA_HOLD_ROW && !hold->dirty)
            sa_hold_free(holds, hold);
    }
}

/* ---- what the log says ---- */

void
sa_hold_head_write(uint8_t out[SA_HOLD_HEAD], uint64_t due, uint32_t kind, uint32_t group)
{
    sa_put64(out, due);
    sa_put32(out + 8, kind);
    sa_put32(out + 12, group);
}

void
sa_hold_done_rec(struct sa_store *store, sa_batch *batch, uint64_t due, uint64_t token,
                 uint32_t kind, uint32_t group, uint32_t partition, uint32_t attempts)
{
    sa_rec *rec = sa_batch_control_hold(store, batch, SA_HOLD_DONE, due, kind, group);
    rec->offset = token;
    rec->about = partition;
    rec->own = attempts;
}

/* lock held. */
void
sa_hold_count(struct sa_store *store, uint64_t lsn, uint32_t size, int n)
{
    pthread_mutex_lock(&store->segs.lock);
    sa_segment *seg = sa_segs_at(&store->segs, lsn);
    if (seg != NULL && (n > 0 || seg->held > 0)) {
        seg->held += (uint32_t)n;
        seg->held_bytes = n > 0 ? seg->held_bytes + size
                                : seg->held_bytes - MIN(seg->held_bytes, (uint64_t)size);
    }
    pthread_mutex_unlock(&store->segs.lock);
}

void
sa_hold_note(struct sa_store *store, enum sa_type type, uint64_t token, uint64_t lsn)
{
    pthread_mutex_lock(&store->segs.lock);
    sa_segment *seg = sa_segs_at(&store->segs, lsn);
    if (seg != NULL) {
        sa_tokens *tokens = type == SA_HOLD ? &seg->holds : &seg->dones;
        if (tokens->last == 0 || token < tokens->first)
            tokens->first = token;
        tokens->last = MAX(tokens->last, token);
    }
    pthread_mutex_unlock(&store->segs.lock);
}

static void
apply_hold(struct sa_store *store, const sa_hold_seen *s)
{
    sa_holds *holds = &store->holds;
    sa_partition *part = sa_catalog_part(&store->cat, s->partition);
    if (part == NULL || part->topic == NULL || s->head == NULL)
        return; /* deleted, or nothing that could ever be handed over */
    uint32_t kind = sa_get32(s->head + 8), group = sa_get32(s->head + 12);
    if (kind > SA_HOLD_PREPARED || g_hash_table_contains(holds->done, &s->token)
        || (part->topic->deleted && !holds->recovering))
        return;
    sa_hold *hold = g_hash_table_lookup(holds->by_token, &s->token);
    if (hold == NULL) {
        sa_queue *queue = kind == SA_HOLD_TOPIC ? holds->delayed
                          : kind == SA_HOLD_INBOX
                              ? sa_queue_need(holds, group, part->topic->id)
                              : sa_queue_need(holds, UINT32_MAX, part->topic->id);
        hold = sa_hold_add(holds, queue, part, sa_get64(s->head), s->token);
        hold->kind = kind;
        hold->attempts = s->own;
        if (!holds->recovering)
            sa_hold_count(store, s->lsn, s->size, 1);
    }
    hold->lsn = s->lsn;
    hold->size = s->size;
    hold->after = s->after;
    if (s->after != 0)
        atomic_store(&holds->unseen, 1);
    sa_hold_dirty(holds, hold);
    if (hold->queue->cursor != NULL || hold->queue == holds->delayed) {
        holds->kicked = true;
        pthread_cond_signal(&holds->wake);
    }
}

static void
apply_done(struct sa_store *store, const sa_hold_seen *s)
{
    sa_holds *holds = &store->holds;
    sa_hold *hold = g_hash_table_lookup(holds->by_token, &s->token);
    if (s->own > 0) {
        if (hold != NULL) {
            hold->attempts = s->own;
            sa_hold_dirty(holds, hold);
        } else if (holds->recovering) {
            g_hash_table_insert(holds->tried, g_memdup2(&s->token, sizeof s->token),
                                GUINT_TO_POINTER(s->own));
        }
        return;
    }
    if (holds->recovering)
        g_hash_table_add(holds->done, g_memdup2(&s->token, sizeof s->token));
    if (hold != NULL) {
        if (!holds->recovering)
            sa_hold_count(store, hold->lsn, hold->size, -1);
        if (hold->row != SA_HOLD_NO_ROW)
            sa_hold_bury(holds, hold->queue->group, hold->queue->topic, hold->due, hold->token,
                         true);
        sa_hold_free(holds, hold);
    } else if (s->head != NULL && !holds->recovering) {
        uint32_t kind = sa_get32(s->head + 8), group = sa_get32(s->head + 12);
        sa_partition *part = sa_catalog_part(&store->cat, s->partition);
        if (part != NULL && part->topic != NULL)
            sa_hold_bury(holds, kind == SA_HOLD_INBOX ? group : 0,
                         kind == SA_HOLD_INBOX ? part->topic->id : 0, sa_get64(s->head), s->token,
                         false);
    }
}

void
sa_hold_apply(struct sa_store *store, const sa_hold_seen *s)
{
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    sa_hold_note(store, s->type, s->token, s->lsn);
    holds->seen = MAX(holds->seen, s->token);
    if (s->type == SA_HOLD)
        apply_hold(store, s);
    else
        apply_done(store, s);
    pthread_mutex_unlock(&holds->lock);
    atomic_store(&store->keeper.dirty, true);
}

bool
sa_hold_elsewhere(struct sa_store *store, uint64_t token, uint64_t lsn)
{
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    const sa_hold *hold = g_hash_table_lookup(holds->by_token, &token);
    bool elsewhere = hold != NULL && hold->lsn != lsn;
    pthread_mutex_unlock(&holds->lock);
    return elsewhere;
}

void
sa_holds_undone(struct sa_store *store, const sa_batch *batch)
{
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    for (uint32_t i = 0; i < batch->n; i++) {
        sa_hold *hold = batch->rec[i].type == SA_HOLD_DONE
                            ? g_hash_table_lookup(holds->by_token, &batch->rec[i].offset) : NULL;
        if (hold == NULL || !hold->writing)
            continue;
        hold->writing = false;
        holds->undone++;
    }
    pthread_cond_signal(&holds->wake);
    pthread_mutex_unlock(&holds->lock);
}
