/* SPDX-License-Identifier: Apache-2.0
 *
 * Feeding cursors: from the memory tail and from read blocks at once, from disk by a job. Runs on
 * the cursor's lane; a job's first half runs on a pool thread and comes home by post. What came is
 * handed over while the next job reads.
 */
#include "cursor.h"
#include "store.h"
#include <stdlib.h>

static void job_home(emesh_task *task, int32_t code);

static bool
may_take(const sa_cursor *c)
{
    return c->want > 0 && c->close_op == NULL && (!c->bytes_given || c->want_bytes > 0)
           && atomic_load_explicit(&c->store->log.failed, memory_order_relaxed) == 0;
}

static uint64_t
bytes_left(const sa_cursor *c)
{
    return c->bytes_given ? (uint64_t)MAX(c->want_bytes, 0) : UINT64_MAX;
}

/* Others read the topic too: what one takes from disk serves all. */
static bool
is_shared(const sa_cursor *c)
{
    return c->store->blocks.limit > 0
           && atomic_load_explicit(&c->topic->n_cursors, memory_order_relaxed) > 1;
}

/* Something can be handed over of this partition now. */
static bool
has_more(const sa_cursor *c, const sa_cpart *p)
{
    if (!p->begun || p->resolving || p->next >= atomic_load(&p->part->visible))
        return false;
    if (c->group == NULL || p->pair == NULL)
        return true;
    pthread_mutex_lock(&c->group->lock);
    bool paused = p->pair->more->ranges.n > SA_RANGES_MAX;
    pthread_mutex_unlock(&c->group->lock);
    return !paused;
}

static void
say_caught_up(sa_cursor *c, uint32_t i)
{
    sa_cpart *p = &c->parts[i];
    if (p->told || p->next < atomic_load(&p->part->visible))
        return;
    p->told = true;
    c->store->st->partition(c->reader, EMESH_PARTITION_CAUGHT_UP, i, "", 0, NULL);
}

/* Hands over got, less what the group has done already. References end here. */
static void
hand_over(sa_cursor *c, uint32_t i, const sa_got *got, uint32_t n)
{
    sa_cpart *p = &c->parts[i];
    emesh_record records[SA_READ_MAX];
    const emesh_event *events[SA_READ_MAX];
    uint32_t count = 0;
    if (p->pair != NULL)
        pthread_mutex_lock(&c->group->lock);
    for (uint32_t k = 0; k < n; k++) {
        events[k] = got[k].event;
        uint32_t attempts = 0;
        if (p->pair != NULL && p->pair->more->ranges.n > 0) {
            if (sa_pair_open(p->pair, got[k].offset) != got[k].offset)
                continue;
            attempts = sa_pair_attempts(p->pair, got[k].offset);
        }
        records[count++] = (emesh_record){
            .event = got[k].event, .position = { 0, got[k].offset },
            .stored_ms = got[k].time_us / 1000, .partition = i, .epoch = p->epoch,
            .attempt = attempts + 1,
            .flags = got[k].event == NULL ? EMESH_RECORD_DAMAGED : 0,
        };
        c->want_bytes -= (int64_t)got[k].bytes;
    }
    if (p->pair != NULL)
        pthread_mutex_unlock(&c->group->lock);
    c->want -= MIN(c->want, count);
    if (count > 0)
        c->store->st->records(c->reader, records, count);
    c->store->ev->unref(events, n);
}

/* Retention took what lies below first. */
static void
skip_trimmed(sa_cursor *c, uint32_t i, uint64_t first)
{
    sa_cpart *p = &c->parts[i];
    emesh_record record = { .position = { 0, first - 1 }, .partition = i, .epoch = p->epoch,
                            .attempt = 1, .flags = EMESH_RECORD_TRIMMED };
    p->next = first;
    c->want--;
    c->store->st->records(c->reader, &record, 1);
}

/* [any] The answer is there, or can be had by now. */
static void
job_done(sa_ask *ask)
{
    sa_job *job = (sa_job *)(void *)((char *)ask - offsetof(sa_job, ask));
    job->task.run = job_home;
    job->cursor->store->lp->post(job->cursor->lane->loop, &job->task);
}

/* Reads what is asked for. False: it waits for a block that another one loads. */
static bool
job_read(sa_store *store, sa_ask *ask, bool shared)
{
    ask->got = malloc(ask->max * sizeof *ask->got);
    if (ask->got == NULL) {
        sa_read_pause(); /* it is asked for again */
        return true;
    }
    if (shared)
        return sa_blocks_load(store, ask);
    ask->n = sa_read(store, ask->part, ask->from, ask->end, ask->got, ask->max, ask->max_bytes,
                     &ask->next, &ask->ahead);
    sa_ahead_plan(&ask->ahead, ask->next, &ask->fetch_from, &ask->fetch_to);
    return true;
}

static void
job_run(emesh_task *task, int32_t code)
{
    sa_job *job = (sa_job *)(void *)task;
    sa_store *store = job->cursor->store;
    sa_partition *part = job->ask.part;
    (void)code;
    if (job->time_us != 0)
        job->ask.next = sa_find_time(store, part, job->time_us);
    else if (!job_read(store, &job->ask, job->shared))
        return;
    uint64_t from = job->ask.fetch_from, to = job->ask.fetch_to;
    job_done(&job->ask); /* from here on it is the lane's */
    sa_ahead_fetch(store, part, from, to);
}

static bool
start_job(sa_cursor *c, uint32_t i, uint64_t time_us)
{
    sa_cpart *p = &c->parts[i];
    if (c->job != NULL)
        return false;
    sa_job *job = g_new(sa_job, 1);
    *job = (sa_job){
        .task.run = job_run, .cursor = c, .part = i, .epoch = p->epoch, .time_us = time_us,
        .shared = time_us == 0 && is_shared(c),
        .ask = { .part = p->part, .from = p->next, .next = p->next,
                 .end = atomic_load(&p->part->visible), .ahead = p->ahead,
                 .max_bytes = bytes_left(c), .max = time_us != 0 ? 0 : MIN(c->want, SA_READ_MAX),
                 .done = job_done },
    };
    job->ask.ahead.end = job->ask.end;
    c->job = job;
    c->want -= job->ask.max; /* given back with the result */
    if (!job->shared || !sa_blocks_wait(c->store, &job->ask))
        c->store->lp->work(c->store->host, &job->task);
    return true;
}

/* Where the group goes on. False: there is nothing to read now. */
static bool
find_place(sa_cursor *c, sa_cpart *p)
{
    uint64_t visible = atomic_load(&p->part->visible);
    if (p->pair == NULL)
        return p->next < visible;
    pthread_mutex_lock(&c->group->lock);
    p->next = MIN(sa_pair_open(p->pair, p->next), visible);
    pthread_mutex_unlock(&c->group->lock);
    return p->next < visible;
}

/* What comes behind n records that are about to be handed over is read meanwhile, when it is on the
 * disk: within what the reader wants beyond them. */
static void
read_on(sa_cursor *c, const sa_got *got, uint32_t n)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < n; k++)
        bytes += got[k].bytes;
    c->want -= n;
    c->want_bytes -= (int64_t)bytes;
    for (uint32_t k = 0; k < c->n_parts && may_take(c) && c->job == NULL; k++) {
        uint32_t i = (c->turn + k) % c->n_parts;
        sa_cpart *p = &c->parts[i];
        if (has_more(c, p) && p->next >= atomic_load(&p->part->first) && find_place(c, p)
            && !sa_tail_has(c->store, p->part, p->next)
            && !(is_shared(c) && sa_blocks_has(c->store, p->part, p->next)))
            start_job(c, i, 0);
    }
    c->want += n;
    c->want_bytes += (int64_t)bytes;
}

static void
job_home(emesh_task *task, int32_t code)
{
    const sa_job job = *(sa_job *)(void *)task;
    sa_cursor *c = job.cursor;
    sa_cpart *p = &c->parts[job.part];
    sa_ask ask = job.ask;
    (void)code;
    g_free(task);
    c->job = NULL;
    c->want += ask.max;
    p->ahead = ask.ahead;
    bool current = p->epoch == job.epoch && p->begun && c->close_op == NULL;
    if (job.time_us != 0) {
        if (current && p->resolving)
            sa_cursor_resolved(c, job.part, ask.next);
    } else if (current && p->next == ask.from) {
        p->next = ask.next;
        read_on(c, ask.got, ask.n);
        hand_over(c, job.part, ask.got, ask.n);
        ask.n = 0;
    }
    for (uint32_t k = 0; k < ask.n; k++)
        c->store->ev->unref(&ask.got[k].event, 1);
    free(ask.got);
    if (c->close_op != NULL)
        sa_cursors_flushed(c->lane);
    else
        sa_feed(c);
}

/* Out of memory: the tail, or blocks that another reader of the topic had read. False: neither. */
static bool
take_at_once(sa_cursor *c, sa_cpart *p, uint64_t end, sa_ask *ask)
{
    ask->n = sa_tail_get(c->store, p->part, p->next, end, ask->got, ask->max, ask->max_bytes);
    if (ask->n > 0)
        ask->next = ask->got[ask->n - 1].offset + 1;
    return ask->n > 0 || (is_shared(c) && sa_blocks_get(c->store, ask));
}

/* One step for one partition. True: it may have more. */
static bool
feed_part(sa_cursor *c, uint32_t i)
{
    sa_cpart *p = &c->parts[i];
    sa_got got[SA_READ_MAX];
    uint64_t first = atomic_load(&p->part->first);
    if (p->next < first) {
        skip_trimmed(c, i, first);
        return true;
    }
    if (!find_place(c, p))
        return false;
    sa_ask ask = { .part = p->part, .from = p->next, .got = got, .max_bytes = bytes_left(c),
                   .max = MIN(c->want, SA_READ_MAX) };
    if (!take_at_once(c, p, atomic_load(&p->part->visible), &ask)) {
        start_job(c, i, 0);
        return false;
    }
    p->next = ask.next;
    read_on(c, got, ask.n);
    hand_over(c, i, got, ask.n);
    return true;
}

/* Nothing to hand over now: the next visible event wakes it. */
void
sa_cursor_wait(sa_cursor *c)
{
    sa_topic *topic = c->topic;
    pthread_mutex_lock(&topic->lock);
    if (!c->waiting) {
        c->waiting = true;
        atomic_fetch_add(&topic->n_waiting, 1);
    }
    pthread_mutex_unlock(&topic->lock);
}

void
sa_cursor_unwait(sa_cursor *c)
{
    sa_topic *topic = c->topic;
    pthread_mutex_lock(&topic->lock);
    if (c->waiting) {
        c->waiting = false;
        atomic_fetch_sub(&topic->n_waiting, 1);
    }
    pthread_mutex_unlock(&topic->lock);
}

static bool
any_more(const sa_cursor *c)
{
    for (uint32_t i = 0; i < c->n_parts; i++) {
        if (has_more(c, &c->parts[i]))
            return true;
    }
    return false;
}

/* A place given by time is looked up by a job, one at a time. */
static void
resolve_next(sa_cursor *c)
{
    for (uint32_t i = 0; i < c->n_parts && c->job == NULL; i++) {
        if (c->parts[i].begun && c->parts[i].resolving)
            start_job(c, i, c->parts[i].time_us);
    }
}

static void
tell_news(sa_cursor *c)
{
    pthread_mutex_lock(&c->topic->lock);
    bool news = !c->waiting && c->want > 0;
    pthread_mutex_unlock(&c->topic->lock);
    if (!news)
        return;
    c->want = 0;
    c->store->st->partition(c->reader, EMESH_PARTITION_NEWS, 0, "", 0, NULL);
}

void
sa_feed(sa_cursor *c)
{
    bool more = true;
    if (c->watch) {
        tell_news(c);
        return;
    }
    sa_cursor_grow(c);
    resolve_next(c);
    sa_inbox_feed(c);
    while (may_take(c) && more) {
        more = false;
        for (uint32_t k = 0; k < c->n_parts && may_take(c); k++) {
            uint32_t i = (c->turn + k) % c->n_parts;
            if (has_more(c, &c->parts[i]))
                more |= feed_part(c, i);
        }
        c->turn = c->n_parts > 0 ? (c->turn + 1) % c->n_parts : 0;
        if (more || !may_take(c) || c->job != NULL)
            continue;
        sa_cursor_wait(c);
        more = any_more(c); /* became visible in between, and nobody woke us */
    }
    for (uint32_t i = 0; i < c->n_parts && c->close_op == NULL; i++) {
        if (c->parts[i].begun && !c->parts[i].resolving)
            say_caught_up(c, i);
    }
}

void
sa_topic_wake(sa_topic *topic)
{
    if (atomic_load(&topic->n_waiting) == 0)
        return;
    pthread_mutex_lock(&topic->lock);
    for (sa_cursor *c = topic->cursors; c != NULL; c = c->topic_next) {
        if (c->waiting) {
            c->waiting = false;
            atomic_fetch_sub(&topic->n_waiting, 1);
            sa_lane_ready(c->lane, c);
        }
    }
    pthread_mutex_unlock(&topic->lock);
}

void
sa_lane_ready(sa_lane *lane, sa_cursor *c)
{
    if (atomic_exchange(&c->ready, 1) != 0)
        return;
    c->ready_next = atomic_load(&lane->ready);
    while (!atomic_compare_exchange_weak(&lane->ready, &c->ready_next, c)) {
    }
    if (atomic_exchange(&lane->ready_posted, 1) == 0)
        lane->store->lp->post(lane->loop, &lane->ready_task);
}

void
sa_lane_feed(emesh_task *task, int32_t code)
{
    sa_lane *lane = (sa_lane *)(void *)((char *)task - offsetof(sa_lane, ready_task));
    (void)code;
    atomic_store(&lane->ready_posted, 0);
    sa_cursor *list = atomic_exchange(&lane->ready, NULL), *order = NULL;
    for (sa_cursor *next; list != NULL; list = next) { /* first come, first served */
        next = list->ready_next;
        list->ready_next = order;
        order = list;
    }
    bool closing = false;
    for (sa_cursor *next; order != NULL; order = next) {
        next = order->ready_next;
        atomic_store(&order->ready, 0);
        closing |= order->close_op != NULL;
        if (order->close_op == NULL)
            sa_feed(order);
    }
    if (closing)
        sa_cursors_flushed(lane);
}
