/* SPDX-License-Identifier: Apache-2.0
 *
 * Feeding cursors: from the memory tail at once, from disk by a job. Runs on the cursor's lane; a
 * job's first half runs on a pool thread and comes home by post.
 */
#include "cursor.h"
#include "reader.h"
#include "store.h"
#include <stdlib.h>

typedef struct sa_job {
    emesh_task task;
    sa_cursor *cursor;
    uint32_t part;   /* number in the cursor */
    uint32_t epoch;
    uint64_t from, end, next;
    uint64_t time_us; /* look-up of START_TIME, else 0 */
    uint64_t max_bytes;
    uint32_t max, n;
    sa_ahead ahead;
    sa_got got[SA_READ_MAX];
} sa_job;

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

/* Something can be handed over of this partition now. */
static bool
has_more(const sa_cursor *c, const sa_cpart *p)
{
    if (!p->begun || p->resolving || p->next >= atomic_load(&p->part->visible))
        return false;
    if (c->group == NULL || p->pair == NULL)
        return true;
    pthread_mutex_lock(&c->group->lock);
    bool paused = p->pair->ranges.n > SA_RANGES_MAX;
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
        if (p->pair != NULL && p->pair->ranges.n > 0) {
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

static void
job_run(emesh_task *task, int32_t code)
{
    sa_job *job = (sa_job *)(void *)task;
    sa_cursor *c = job->cursor;
    sa_partition *part = c->parts[job->part].part;
    (void)code;
    if (job->time_us != 0)
        job->next = sa_find_time(c->store, part, job->time_us);
    else
        job->n = sa_read(c->store, part, job->from, job->end, job->got, job->max, job->max_bytes,
                         &job->next, &job->ahead);
    job->task.run = job_home;
    c->store->lp->post(c->lane->loop, &job->task);
}

static void
job_home(emesh_task *task, int32_t code)
{
    sa_job *job = (sa_job *)(void *)task;
    sa_cursor *c = job->cursor;
    sa_cpart *p = &c->parts[job->part];
    (void)code;
    c->job = NULL;
    c->want += job->max;
    p->ahead = job->ahead;
    bool current = p->epoch == job->epoch && p->begun && c->close_op == NULL;
    if (job->time_us != 0) {
        if (current && p->resolving)
            sa_cursor_resolved(c, job->part, job->next);
    } else if (current && p->next == job->from) {
        p->next = job->next;
        hand_over(c, job->part, job->got, job->n);
        job->n = 0;
    }
    for (uint32_t k = 0; k < job->n; k++)
        c->store->ev->unref(&job->got[k].event, 1);
    free(job);
    if (c->close_op != NULL)
        sa_cursors_flushed(c->lane);
    else
        sa_feed(c);
}

static bool
start_job(sa_cursor *c, uint32_t i, uint64_t time_us)
{
    sa_cpart *p = &c->parts[i];
    sa_job *job = c->job == NULL ? malloc(sizeof *job) : NULL;
    if (job == NULL)
        return false;
    memset(job, 0, offsetof(sa_job, got));
    job->task.run = job_run;
    job->cursor = c;
    job->part = i;
    job->epoch = p->epoch;
    job->from = p->next;
    job->end = atomic_load(&p->part->visible);
    job->time_us = time_us;
    job->ahead = p->ahead;
    job->max_bytes = bytes_left(c);
    job->max = time_us != 0 ? 0 : MIN(c->want, SA_READ_MAX);
    c->want -= job->max; /* given back with the result */
    c->job = job;
    c->store->lp->work(c->store->host, &job->task);
    return true;
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
    uint64_t visible = atomic_load(&p->part->visible);
    if (p->pair != NULL) {
        pthread_mutex_lock(&c->group->lock);
        p->next = MIN(sa_pair_open(p->pair, p->next), visible);
        pthread_mutex_unlock(&c->group->lock);
        if (p->next >= visible)
            return false;
    }
    uint32_t n = sa_tail_get(c->store, p->part, p->next, visible, got,
                             MIN(c->want, SA_READ_MAX), bytes_left(c));
    if (n == 0) {
        start_job(c, i, 0);
        return false;
    }
    p->next = got[n - 1].offset + 1;
    hand_over(c, i, got, n);
    return true;
}

/* Nothing to hand over now: the next visible event wakes it. */
static void
wait_for_more(sa_cursor *c)
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

void
sa_feed(sa_cursor *c)
{
    bool more = true;
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
        wait_for_more(c);
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
