/* SPDX-License-Identifier: Apache-2.0
 *
 * COMMIT records: progress of groups on its way to the log, one record per lane and 5 ms for all
 * pairs that changed, at level os; and their replay.
 */
#include "cursor.h"
#include "groups.h"
#include "lane.h"
#include "store.h"
#include <stdlib.h>

#define SA_COMMIT_WAIT_NS 5000000u
#define SA_COMMIT_AGAIN_NS 200000000u /* after a full disk */
#define SA_COMMIT_BODY (128u << 10)   /* then another record */

typedef struct sa_flush { /* one COMMIT batch under way */
    struct sa_flush *next;
    sa_lane *lane;
    int32_t code;
    uint32_t n;
    sa_pair *pair[];
} sa_flush;

bool
sa_commit_read(const uint8_t *p, size_t n, sa_commit_entry *e)
{
    if (n < SA_COMMIT_HEAD)
        return false;
    e->group = sa_get32(p);
    e->partition = sa_get32(p + 4);
    e->epoch = sa_get32(p + 8);
    e->n = sa_get16(p + 12);
    e->op = sa_get16(p + 14);
    e->floor = sa_get64(p + 16);
    e->ranges = p + SA_COMMIT_HEAD;
    e->size = SA_COMMIT_HEAD + (size_t)SA_COMMIT_RANGE * e->n;
    return e->size <= n && e->op <= SA_OP_DELETE;
}

bool
sa_commit_deletes(const uint8_t *p, size_t n)
{
    sa_commit_entry e;
    bool deletes = false;
    for (; n > 0 && !deletes && sa_commit_read(p, n, &e); p += e.size, n -= e.size)
        deletes = e.op == SA_OP_DELETE;
    return deletes;
}

void
sa_commit_range(const sa_commit_entry *e, uint32_t i, sa_range *range)
{
    const uint8_t *p = e->ranges + (size_t)SA_COMMIT_RANGE * i;
    range->first = sa_get64(p);
    range->count = sa_get32(p + 8);
    range->attempts = sa_get16(p + 12);
    range->state = sa_get16(p + 14);
}

void
sa_commit_put(GByteArray *out, const sa_pair *pair, uint32_t op, const sa_ranges *ranges)
{
    uint32_t n = ranges != NULL ? MIN(ranges->n, UINT16_MAX) : 0;
    guint at = out->len;
    g_byte_array_set_size(out, at + SA_COMMIT_HEAD + SA_COMMIT_RANGE * n);
    uint8_t *p = out->data + at;
    sa_put32(p, pair->group->id);
    sa_put32(p + 4, pair->part->id);
    sa_put32(p + 8, pair->epoch);
    sa_put16(p + 12, n);
    sa_put16(p + 14, op);
    sa_put64(p + 16, pair->floor);
    p += SA_COMMIT_HEAD;
    for (uint32_t i = 0; i < n; i++, p += SA_COMMIT_RANGE) {
        sa_put64(p, ranges->at[i].first);
        sa_put32(p + 8, ranges->at[i].count);
        sa_put16(p + 12, ranges->at[i].attempts);
        sa_put16(p + 14, ranges->at[i].state);
    }
}

void
sa_commit_take(sa_pair *pair, const sa_commit_entry *e)
{
    if (e->epoch > pair->epoch || e->op == SA_OP_SEEK || e->op == SA_OP_CREATE) {
        sa_pair_seek(pair, e->floor);
        pair->epoch = e->epoch;
    }
    for (uint32_t i = 0; i < e->n; i++) {
        sa_range range;
        sa_commit_range(e, i, &range);
        if (range.first + range.count > e->floor && range.state <= SA_RANGE_TRIED)
            sa_ranges_add(&sa_pair_more_of(pair)->ranges, range);
    }
    if (e->floor > 0)
        sa_pair_up_to(pair, e->floor - 1);
}

static void
apply_one(struct sa_store *store, uint64_t lsn, const sa_commit_entry *e)
{
    sa_partition *part = sa_catalog_part(&store->cat, e->partition);
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = sa_catalog_group_id(&store->cat, e->group);
    pthread_mutex_unlock(&store->cat.lock);
    if (part == NULL || part->topic == NULL || part->topic->deleted || group == NULL)
        return; /* deleted later; ids are never used again */
    sa_pair *pair = sa_pair_find(group, e->partition);
    if (pair != NULL && (pair->lsn > lsn || e->epoch < pair->epoch))
        return;
    if (e->op == SA_OP_DELETE) {
        sa_pair_forget(store, group, e->partition);
        sa_holds_forget(store, group->id, part->topic->id);
        return;
    }
    if (pair == NULL) {
        pair = sa_pair_make(group, part, e->floor);
        pair->epoch = e->epoch;
    }
    sa_commit_take(pair, e);
    sa_pair_told(pair);
    pair->lsn = lsn + 1;
    sa_pair_row(store, pair);
}

bool
sa_commit_apply(struct sa_store *store, uint64_t lsn, const uint8_t *body, size_t n)
{
    sa_commit_entry e;
    while (n > 0) {
        if (!sa_commit_read(body, n, &e))
            return false;
        apply_one(store, lsn, &e);
        body += e.size;
        n -= e.size;
    }
    return true;
}

void
sa_commit_dirty(sa_lane *lane, sa_pair *pair)
{
    if (!pair->dirty) {
        pair->dirty = true;
        pair->dirty_next = lane->dirty;
        lane->dirty = pair;
    }
    if (!lane->timer_set && lane->timer != NULL) {
        lane->timer_set = true;
        lane->store->lp->timer_set(lane->timer, lane->store->lp->time(lane->loop,
                                   EMESH_CLOCK_MONOTONIC) + SA_COMMIT_WAIT_NS);
    }
}

/* [lane] A COMMIT batch is written, or was refused: then all of its pairs have to tell again. */
static void
flush_end(sa_flush *flush)
{
    sa_lane *lane = flush->lane;
    lane->flushes--;
    for (uint32_t i = 0; flush->code != 0 && i < flush->n; i++) {
        sa_pair *pair = flush->pair[i];
        pthread_mutex_lock(&pair->group->lock);
        pair->whole = true;
        pthread_mutex_unlock(&pair->group->lock);
        if (!pair->dirty) {
            pair->dirty = true;
            pair->dirty_next = lane->dirty;
            lane->dirty = pair;
        }
    }
    if (flush->code != 0 && !lane->timer_set && lane->timer != NULL && lane->detach == NULL) {
        lane->timer_set = true;
        lane->store->lp->timer_set(lane->timer, lane->store->lp->time(lane->loop,
                                   EMESH_CLOCK_MONOTONIC) + SA_COMMIT_AGAIN_NS);
    }
    free(flush);
    if (lane->flushes == 0)
        sa_cursors_flushed(lane);
}

/* What came back inside a call needs no task. True: something was refused. */
static bool
take_back(sa_lane *lane)
{
    sa_flush *back = atomic_exchange(&lane->flushed, NULL);
    bool refused = false;
    for (sa_flush *next; back != NULL; back = next) {
        next = back->next;
        refused |= back->code != 0;
        flush_end(back);
    }
    return refused;
}

void
sa_commit_flushed(emesh_task *task, int32_t code)
{
    sa_lane *lane = (sa_lane *)(void *)((char *)task - offsetof(sa_lane, flushed_task));
    (void)code;
    atomic_store(&lane->flushed_posted, 0);
    take_back(lane);
}

static void
flush_done(sa_batch *batch, int32_t code)
{
    sa_flush *flush = batch->ctx;
    sa_lane *lane = flush->lane;
    if (code != EMESH_OK)
        sa_holds_undone(lane->store, batch);
    flush->code = code;
    flush->next = atomic_load(&lane->flushed);
    while (!atomic_compare_exchange_weak(&lane->flushed, &flush->next, flush)) {
    }
    if (pthread_equal(lane->thread, pthread_self()) && lane->flushing)
        return; /* inside sa_commit_flush, which looks itself */
    if (atomic_exchange(&lane->flushed_posted, 1) == 0)
        lane->store->lp->post(lane->loop, &lane->flushed_task);
}

/* Takes dirty pairs until the body is large enough. */
static sa_flush *
collect(sa_lane *lane, GByteArray *body)
{
    uint32_t n = 0;
    for (sa_pair *pair = lane->dirty; pair != NULL; pair = pair->dirty_next)
        n++;
    sa_flush *flush = malloc(sizeof *flush + n * sizeof flush->pair[0]);
    if (flush == NULL)
        return NULL;
    *flush = (sa_flush){ .lane = lane };
    uint32_t most = (uint32_t)MIN(SA_COMMIT_BODY, lane->store->opt.segment_size / 8);
    while (lane->dirty != NULL && body->len < most) {
        sa_pair *pair = lane->dirty;
        lane->dirty = pair->dirty_next;
        pair->dirty = false;
        pthread_mutex_lock(&pair->group->lock);
        if (!pair->group->deleted && (pair->floor_new || pair->whole || pair->more->news.n > 0)) {
            sa_commit_put(body, pair, SA_OP_ACK, pair->whole ? &pair->more->ranges : &pair->more->news);
            flush->pair[flush->n++] = pair;
        }
        sa_pair_told(pair);
        pthread_mutex_unlock(&pair->group->lock);
    }
    return flush;
}

void
sa_commit_flush(sa_lane *lane)
{
    sa_store *store = lane->store;
    bool refused = false;
    while (lane->dirty != NULL && !refused) {
        sa_batch *batch = sa_batch_new(1);
        GByteArray *body = g_byte_array_new();
        sa_flush *flush = batch != NULL ? collect(lane, body) : NULL;
        uint32_t len = body->len;
        void *bytes = g_byte_array_free(body, FALSE);
        if (flush == NULL || flush->n == 0) {
            if (batch != NULL)
                sa_batch_unref(batch);
            g_free(bytes);
            if (flush == NULL)
                return; /* no memory: with the next commit */
            free(flush);
            continue;
        }
        batch->memory = bytes;
        batch->done = flush_done;
        batch->ctx = flush;
        sa_batch_control(store, batch, SA_COMMIT, bytes, len);
        lane->flushes++;
        sa_count(&store->stats.commits, 1);
        lane->flushing = true;
        sa_log_submit(store, batch, true);
        lane->flushing = false;
        refused = take_back(lane); /* then the timer tries again */
    }
}

void
sa_commit_entered(struct sa_store *store, const struct sa_rec *rec)
{
    sa_pair *pair = rec->pair;
    pthread_mutex_lock(&pair->group->lock);
    bool news = rec->outcome == EMESH_COMMIT_UP_TO ? sa_pair_up_to(pair, rec->settles)
                : rec->outcome == EMESH_COMMIT_ONE ? sa_pair_ack(pair, rec->settles)
                                                   : sa_pair_tried(pair, rec->settles, rec->attempts);
    if (news && !pair->gone)
        sa_pair_row(store, pair);
    pthread_mutex_unlock(&pair->group->lock);
}

void
sa_commit_batch(sa_lane *lane, struct sa_batch *batch)
{
    sa_flush *flush = malloc(sizeof *flush);
    if (flush == NULL) {
        sa_holds_undone(lane->store, batch); /* the firer writes them */
        sa_batch_unref(batch);
        return;
    }
    *flush = (sa_flush){ .lane = lane };
    batch->done = flush_done;
    batch->ctx = flush;
    lane->flushes++;
    sa_count(&lane->store->stats.commits, 1);
    sa_log_submit(lane->store, batch, true);
}

void
sa_commit_due(void *ctx)
{
    sa_lane *lane = ctx;
    lane->timer_set = false;
    sa_commit_flush(lane);
}
