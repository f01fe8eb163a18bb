/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors: opened, begun, told what is done, closed. All on the cursor's lane.
 */
#include "cursor.h"

#include "admin.h"
#include "store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

emesh_cursor *
sa_cursor_open(emesh_lane *self, const emesh_read_spec *spec, emesh_reader *reader)
{
    sa_lane *lane = (sa_lane *)(void *)self;
    const struct emesh_topic *handle = spec->topic;
    sa_cursor *c = calloc(1, sizeof *c);
    bool watch = spec->mode == EMESH_READ_WATCH;
    if (c != NULL && !watch)
        c->parts = calloc(handle->n_parts, sizeof *c->parts);
    if (c == NULL || (c->parts == NULL && !watch)) {
        free(c);
        return NULL;
    }
    c->store = lane->store;
    c->lane = lane;
    c->topic = handle->topic;
    c->reader = reader;
    c->watch = watch;
    c->n_parts = watch ? 0 : handle->n_parts;
    if (spec->mode == EMESH_READ_SHARED)
        c->group = sa_group_need(lane->store, &spec->group);
    for (uint32_t i = 0; i < c->n_parts; i++)
        c->parts[i].part = handle->parts[i];
    pthread_mutex_lock(&c->topic->lock);
    c->topic_next = c->topic->cursors;
    c->topic->cursors = c;
    atomic_fetch_add(&c->topic->n_cursors, !watch);
    pthread_mutex_unlock(&c->topic->lock);
    if (watch)
        sa_cursor_want((emesh_cursor *)c, 1, 0);
    for (uint32_t i = 0; i < c->n_parts; i++) {
        char name[12];
        int len = snprintf(name, sizeof name, "%u", i);
        c->store->st->partition(reader, EMESH_PARTITION_ASSIGNED, i, name, (size_t)len, NULL);
    }
    if (c->group != NULL)
        c->store->st->partition(reader, EMESH_PARTITION_ASSIGNED, SA_INBOX, "inbox", 5, NULL);
    return (emesh_cursor *)c;
}

void
sa_cursor_grow(sa_cursor *c)
{
    uint32_t n = atomic_load(&c->topic->n_parts), had = c->n_parts;
    if (n <= had || c->watch)
        return;
    sa_cpart *parts = realloc(c->parts, n * sizeof *parts);
    if (parts == NULL)
        return; /* when it is fed again */
    memset(parts + had, 0, (n - had) * sizeof *parts);
    c->parts = parts;
    c->n_parts = n;
    for (uint32_t i = had; i < n; i++)
        c->parts[i].part = c->topic->parts[i];
    for (uint32_t i = had; i < n; i++) {
        char name[12];
        int len = snprintf(name, sizeof name, "%u", i);
        c->store->st->partition(c->reader, EMESH_PARTITION_ASSIGNED, i, name, (size_t)len, NULL);
    }
}

void
sa_topic_grown(sa_topic *topic)
{
    pthread_mutex_lock(&topic->lock);
    for (sa_cursor *c = topic->cursors; c != NULL; c = c->topic_next)
        sa_lane_ready(c->lane, c);
    pthread_mutex_unlock(&topic->lock);
}

/* The group has a place in another partition of the topic. lock held. */
static bool
knows_topic(const sa_cursor *c)
{
    for (uint32_t i = 0; i < c->n_parts; i++) {
        if (sa_pair_find(c->group, c->parts[i].part->id) != NULL)
            return true;
    }
    return false;
}

/* The group's own place, made at start when it has none; a start that names another place than
 * AFTER moves it. lock held. */
static uint64_t
group_place(sa_cursor *c, sa_cpart *p, uint32_t kind, uint64_t offset)
{
    sa_pair *pair = sa_pair_find(c->group, p->part->id);
    if (pair == NULL && kind == EMESH_START_STORED && (c->group->lost || knows_topic(c)))
        offset = atomic_load(&p->part->first); /* a partition that appeared later */
    if (pair == NULL) {
        pair = sa_pair_make(c->group, p->part, offset);
        pair->floor_new = true;
        sa_pair_row(c->store, pair);
        sa_commit_dirty(c->lane, pair);
    }
    p->pair = pair;
    if (kind == EMESH_START_STORED)
        return pair->floor;
    /* Behind the floor only by a seek: what is done would be skipped. Ahead of it AFTER is a place
     * to read from, no more: what lies between is not done. */
    if (offset < pair->floor || (offset > pair->floor && kind != EMESH_START_AFTER)) {
        sa_pair_seek(pair, offset);
        sa_pair_row(c->store, pair);
        sa_commit_dirty(c->lane, pair);
    }
    return offset;
}

static void
set_place(sa_cursor *c, uint32_t i, uint32_t kind, uint64_t offset)
{
    sa_cpart *p = &c->parts[i];
    if (c->group != NULL) {
        pthread_mutex_lock(&c->group->lock);
        offset = group_place(c, p, kind, offset);
        pthread_mutex_unlock(&c->group->lock);
    }
    p->next = offset;
    p->resolving = false;
    sa_lane_ready(c->lane, c);
}

void
sa_cursor_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start)
{
    sa_cursor *c = (sa_cursor *)(void *)cursor;
    if (partition == SA_INBOX)
        sa_inbox_begin(c, epoch);
    if (partition >= c->n_parts)
        return;
    sa_cpart *p = &c->parts[partition];
    p->epoch = epoch;
    p->begun = true;
    p->told = false;
    switch (start->kind) {
    case EMESH_START_EARLIEST:
        set_place(c, partition, start->kind, atomic_load(&p->part->first));
        break;
    case EMESH_START_AFTER:
        set_place(c, partition, start->kind, start->position.lo + 1);
        break;
    case EMESH_START_TIME:
        p->resolving = true;
        p->time_us = start->time_ms > 0 ? start->time_ms * 1000 : 1;
        sa_lane_ready(c->lane, c);
        break;
    default: /* STORED of a group that has no place, LATEST: the end at this moment */
        set_place(c, partition, start->kind, atomic_load(&p->part->next));
        break;
    }
}

void
sa_cursor_resolved(sa_cursor *c, uint32_t i, uint64_t offset)
{
    set_place(c, i, EMESH_START_TIME, offset);
}

void
sa_cursor_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch)
{
    sa_cursor *c = (sa_cursor *)(void *)cursor;
    if (partition < c->n_parts && c->parts[partition].epoch == epoch)
        c->parts[partition].begun = false;
    if (partition == SA_INBOX && c->inbox.epoch == epoch)
        sa_inbox_end(c);
}

void
sa_cursor_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    sa_cursor *c = (sa_cursor *)(void *)cursor;
    if (c->watch) {
        c->want = 1;
        sa_cursor_wait(c);
        return;
    }
    c->want = records > UINT32_MAX - c->want ? UINT32_MAX : c->want + records;
    if (bytes > 0) {
        c->bytes_given = true;
        c->want_bytes = bytes > INT64_MAX / 2 ? INT64_MAX / 2 : c->want_bytes + (int64_t)bytes;
        if (c->want_bytes > INT64_MAX / 2)
            c->want_bytes = INT64_MAX / 2;
    }
    sa_lane_ready(c->lane, c);
}

/* lock held. True: the pair has something to tell. */
static bool
commit_one(sa_cpart *p, const emesh_commit *item)
{
    switch (item->outcome) {
    case EMESH_COMMIT_UP_TO:
        return sa_pair_up_to(p->pair, item->position.lo);
    case EMESH_COMMIT_ONE:
        return sa_pair_ack(p->pair, item->position.lo);
    case EMESH_COMMIT_TRIED:
        return sa_pair_tried(p->pair, item->position.lo, item->attempts);
    default: /* RETURN: it was never taken; RETRY is not claimed */
        return false;
    }
}

void
sa_cursor_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n)
{
    sa_cursor *c = (sa_cursor *)(void *)cursor;
    bool paused = false;
    if (c->group == NULL)
        return;
    pthread_mutex_lock(&c->group->lock);
    for (uint32_t k = 0; k < n; k++) {
        sa_cpart *p = items[k].partition < c->n_parts ? &c->parts[items[k].partition] : NULL;
        if (p == NULL || p->pair == NULL || p->epoch != items[k].epoch || !p->begun)
            continue; /* an earlier life of this reader */
        paused |= p->pair->more->ranges.n >= SA_RANGES_MAX;
        if (commit_one(p, &items[k])) {
            sa_pair_row(c->store, p->pair);
            sa_commit_dirty(c->lane, p->pair);
        }
    }
    pthread_mutex_unlock(&c->group->lock);
    sa_inbox_commit(c, items, n);
    if (paused)
        sa_lane_ready(c->lane, c);
}

uint32_t
sa_cursor_idle(emesh_cursor *cursor)
{
    const sa_cursor *c = (const sa_cursor *)(void *)cursor;
    if (c->group == NULL || c->close_op != NULL || c->job != NULL
        || c->n_parts != atomic_load(&c->topic->n_parts)
        || atomic_load(&c->store->log.failed) != 0)
        return 0;
    for (uint32_t i = 0; i < c->n_parts; i++) {
        const sa_cpart *p = &c->parts[i];
        if (!p->begun || p->resolving || p->pair == NULL)
            return 0;
        pthread_mutex_lock(&c->group->lock);
        uint64_t done = p->pair->more->ranges.n == 0 ? p->pair->floor : 0;
        pthread_mutex_unlock(&c->group->lock);
        if (MIN(done, p->next) < atomic_load(&p->part->visible))
            return 0;
    }
    return sa_inbox_idle(c);
}

static bool
dirty(const sa_cursor *c)
{
    for (uint32_t i = 0; c->group != NULL && i < c->n_parts; i++) {
        if (c->parts[i].pair != NULL && c->parts[i].pair->dirty)
            return true;
    }
    return false;
}

void
sa_cursors_flushed(sa_lane *lane)
{
    sa_cursor **at = &lane->closing;
    while (*at != NULL) {
        sa_cursor *c = *at;
        if (lane->flushes > 0 || c->job != NULL || c->inbox.job != NULL
            || atomic_load(&c->ready) != 0) {
            at = &c->closing_next;
            continue;
        }
        *at = c->closing_next;
        const sa_store *store = c->store;
        emesh_op *op = c->close_op;
        if (c->inbox.out != NULL)
            g_array_unref(c->inbox.out);
        free(c->parts);
        free(c);
        store->host->complete(store->host, op, EMESH_OK, NULL, NULL);
        at = &lane->closing; /* completing may have closed others */
    }
    if (lane->closing == NULL && lane->flushes == 0 && lane->detach != NULL)
        sa_lane_gone(lane);
}

void
sa_cursor_close(emesh_cursor *cursor, emesh_op *op)
{
    sa_cursor *c = (sa_cursor *)(void *)cursor;
    sa_topic *topic = c->topic;
    sa_cursor_unwait(c);
    pthread_mutex_lock(&topic->lock);
    sa_cursor **at = &topic->cursors;
    while (*at != c)
        at = &(*at)->topic_next;
    *at = c->topic_next;
    atomic_fetch_sub(&topic->n_cursors, !c->watch);
    pthread_mutex_unlock(&topic->lock);
    c->close_op = op;
    sa_inbox_end(c);
    for (uint32_t i = 0; i < c->n_parts; i++)
        c->parts[i].begun = false;
    if (dirty(c))
        sa_commit_flush(c->lane);
    c->closing_next = c->lane->closing;
    c->lane->closing = c;
    sa_cursors_flushed(c->lane);
}
