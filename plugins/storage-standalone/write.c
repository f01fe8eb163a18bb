/* SPDX-License-Identifier: Apache-2.0
 *
 * One turn of the writer: takes batches that fit, gives them LSNs, gathers them into one pwritev,
 * indexes them, moves the watermark, tells the results. Only one thread is the writer at a time
 * (log->who); what it alone touches needs no lock.
 */
#include "cursor.h"
#include "lane.h"
#include "log.h"
#include "store.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

static uint64_t
room(const sa_log *log, bool control)
{
    const sa_segment *seg = log->active;
    uint64_t end = seg->last - SA_RECORD_HEAD; /* the closing record fits always */
    if (log->next == NULL && !control)
        end -= (seg->last - seg->base) / 16; /* for progress, should there be no room for a next */
    uint64_t at = atomic_load_explicit(&seg->end, memory_order_relaxed);
    return end > at ? end - at : 0;
}

static sa_batch *
pop(sa_log *log)
{
    sa_batch *batch = log->head;
    log->head = batch->next;
    if (log->head == NULL)
        log->tail = &log->head;
    log->queued -= batch->bytes;
    batch->next = NULL;
    return batch;
}

static bool
no_room(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;
}

enum taken { TAKEN_NONE, TAKEN_SOME, TAKEN_ROLL, TAKEN_WAIT, TAKEN_REFUSE };

/* lock held. Batches for one turn, in *list. */
static enum taken
take(sa_log *log, sa_batch **list, sa_batch ***end)
{
    uint64_t bytes = 0;
    uint32_t iov = 1;
    bool any = false;
    while (log->head != NULL) {
        sa_batch *batch = log->head;
        if (log->roll_asked && log->next != NULL && !any)
            return TAKEN_ROLL;
        if (bytes + batch->bytes > room(log, batch->control)) {
            if (any)
                break;
            if (log->next != NULL)
                return TAKEN_ROLL;
            if (!log->no_next)
                return TAKEN_WAIT;
            *list = pop(log);
            return TAKEN_REFUSE;
        }
        if (any && (bytes + batch->bytes > SA_TURN_BYTES || iov + batch->n_iov > SA_IOV))
            break;
        bytes += batch->bytes;
        iov += batch->n_iov;
        any = true;
        **end = pop(log);
        *end = &(**end)->next;
    }
    return any ? TAKEN_SOME : TAKEN_NONE;
}

/* Closes the active segment with an empty record that says so, and goes on in the next. */
static void
roll(struct sa_store *store)
{
    sa_log *log = &store->log;
    sa_segment *old = log->active;
    uint8_t head[SA_RECORD_HEAD];
    uint64_t end = atomic_load(&old->end);
    sa_rec_head closing = {
        .lsn = end, .epoch = store->epoch, .type = SA_COMMIT, .flags = SA_REC_CLOSE,
        .time_us = sa_wall_us(store),
    };
    closing.lag = (uint32_t)MIN(end - atomic_load(&log->durable), UINT32_MAX);
    sa_rec_head_write(head, &closing, store->salt);
    int rc = sa_write_all(store->io, old->fd, head, sizeof head, end - old->base);
    if (rc == 0)
        atomic_store(&old->end, end + SA_RECORD_HEAD);
    else if (no_room(rc))
        sa_keeper_full(store); /* the footer takes the place, as there is room again */
    else
        sa_log_fail(store, EMESH_E_LOST, -rc, "write");
    pthread_mutex_lock(&store->segs.lock);
    old->clock_us = sa_clock_us(store);
    old->state = SA_SEG_CLOSED;
    pthread_mutex_unlock(&store->segs.lock);
    pthread_mutex_lock(&log->lock);
    log->active = log->next;
    log->next = NULL;
    log->roll_asked = false;
    pthread_mutex_unlock(&log->lock);
    sa_keeper_kick(store);
}

typedef struct sa_gather {
    struct sa_store *store;
    int fd;
    int n;           /* pieces */
    uint64_t place;  /* of the first piece in the file */
    uint64_t queued; /* bytes in the pieces */
    uint64_t done;   /* bytes written in this turn */
    int rc;
} sa_gather;

/* Writes the pieces gathered so far; a short write is continued, an error is kept. */
static void
flush(sa_gather *g)
{
    sa_log *log = &g->store->log;
    struct iovec *iov = log->iov;
    int n = g->n;
    while (g->queued > 0 && g->rc == 0) {
        ssize_t wrote = g->store->io->pwritev(g->store->io->ctx, g->fd, iov, n, g->place);
        sa_count(&g->store->stats.writes, 1);
        if (wrote <= 0) {
            g->rc = wrote < 0 ? (int)wrote : -ENOSPC;
            break;
        }
        sa_count(&g->store->stats.write_bytes, (uint64_t)wrote);
        g->place += (uint64_t)wrote;
        g->done += (uint64_t)wrote;
        g->queued -= (uint64_t)wrote;
        size_t skip = (size_t)wrote;
        while (n > 0 && skip >= iov->iov_len) {
            skip -= iov->iov_len;
            iov++;
            n--;
        }
        if (n > 0 && skip > 0) {
            iov->iov_base = (char *)iov->iov_base + skip;
            iov->iov_len -= skip;
        }
    }
    g->n = 0;
    g->queued = 0;
}

static inline void
piece(sa_gather *g, const void *at, size_t len)
{
    if (len == 0)
        return;
    if (g->n == SA_IOV)
        flush(g);
    g->store->log.iov[g->n++] = (struct iovec){ (void *)(uintptr_t)at, len };
    g->queued += len;
}

/* Header and pieces of one record at lsn; pad: zeros that complete the record before. */
static void
gather_rec(sa_gather *g, sa_rec *rec, uint64_t lsn, uint32_t pad)
{
    sa_rec_head head = {
        .lsn = lsn, .body = rec->body, .body_crc = rec->body_crc, .epoch = g->store->epoch,
        .type = rec->type, .flags = rec->flags, .follow = rec->follow,
        .partition = rec->type == SA_EVENT ? rec->part->id : rec->about,
        .offset = rec->offset, .time_us = rec->time_us,
        .attrs = rec->attrs, .own = rec->own,
    };
    uint64_t lag = lsn - atomic_load_explicit(&g->store->log.durable, memory_order_relaxed);
    head.lag = lag < UINT32_MAX ? (uint32_t)lag : UINT32_MAX;
    rec->lsn = lsn;
    sa_rec_head_write(rec->head, &head, g->store->salt);
    piece(g, rec->zero + (sizeof rec->zero - pad),
          SA_RECORD_HEAD + pad + (rec->held ? SA_HOLD_HEAD : 0));
    piece(g, rec->first, rec->first_len);
    for (uint32_t i = 0; i < rec->n_data; i++)
        piece(g, rec->data[i].ptr, rec->data[i].len);
}

static uint64_t
waits_so_far(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_nvcsw;
}

/* A slow write raises suspicion; one that is slow because this thread had to wait, not because
 * another was given the processor, says that the disk stalls: then no lane writes for a second. */
static void
flush_timed(sa_gather *g)
{
    sa_log *log = &g->store->log;
    uint64_t before = sa_mono_ns(g->store);
    bool suspect = before < log->suspect_until;
    uint64_t waits = suspect ? waits_so_far() : 0;
    flush(g);
    uint64_t after = sa_mono_ns(g->store);
    if (after - before <= SA_SLOW_NS)
        return;
    if (suspect && waits_so_far() > waits)
        atomic_store(&log->slow_until, after + SA_CALM_NS);
    log->suspect_until = after + SA_CALM_NS;
}

static sa_gather
write_list(struct sa_store *store, sa_batch *list)
{
    static const uint8_t zeros[8];
    sa_segment *seg = store->log.active;
    uint64_t lsn = atomic_load(&seg->end);
    sa_gather g = { .store = store, .fd = seg->fd, .place = lsn - seg->base };
    uint32_t pad = 0;
    if (atomic_load_explicit(&seg->born_us, memory_order_relaxed) == 0)
        atomic_store(&seg->born_us, MAX(sa_clock_us(store), 1u));
    for (sa_batch *batch = list; batch != NULL; batch = batch->next) {
        for (uint32_t i = 0; i < batch->n; i++) {
            sa_rec *rec = &batch->rec[i];
            gather_rec(&g, rec, lsn, pad);
            pad = (uint32_t)(sa_pad8(rec->body) - rec->body);
            lsn += sa_rec_size(rec->body);
        }
        batch->lsn_end = lsn;
    }
    piece(&g, zeros, pad);
    flush_timed(&g);
    return g;
}

static bool
touch(sa_log *log, sa_rec *rec)
{
    sa_partition *part = rec->part;
    if (part->turn != log->turn) {
        if (log->n_touched == log->cap_touched) {
            uint32_t cap = log->cap_touched ? log->cap_touched * 2 : 256;
            sa_partition **list = realloc(log->touched, cap * sizeof *list);
            if (list == NULL)
                return false;
            log->touched = list;
            log->cap_touched = cap;
        }
        log->touched[log->n_touched++] = part;
        part->turn = log->turn;
        part->turn_sync = false;
    }
    part->turn_end = rec->offset + 1;
    part->turn_sync |= rec->sync;
    return true;
}

static void
enter_hold(struct sa_store *store, sa_rec *rec, uint64_t size)
{
    const uint8_t *head = rec->held ? rec->hold : rec->first_len >= SA_HOLD_HEAD ? rec->first : NULL;
    sa_hold_seen seen = { .type = (enum sa_type)rec->type, .partition = rec->about,
                          .own = rec->own, .size = (uint32_t)size, .token = rec->offset,
                          .lsn = rec->lsn, .after = rec->sync ? rec->lsn + size : 0, .head = head };
    sa_hold_apply(store, &seen);
    if (rec->event != NULL) {
        store->ev->unref(&rec->event, 1);
        rec->event = NULL;
    }
}

/* Indexes a record that is written; an event's reference goes to the tail. False: no memory. */
static bool
enter(struct sa_store *store, sa_rec *rec, uint32_t *n_fresh)
{
    sa_log *log = &store->log;
    sa_segment *seg = log->active;
    uint64_t place = rec->lsn - seg->base;
    uint64_t size = sa_rec_size(rec->body);
    if (rec->type != SA_EVENT) {
        sa_partition *control = &store->cat.control;
        if (rec->type == SA_HOLD || rec->type == SA_HOLD_DONE)
            enter_hold(store, rec, size);
        else if (rec->pair != NULL)
            sa_commit_entered(store, rec);
        else if (rec->type == SA_COMMIT && rec->own != 0)
            seg->deletes = true;
        uint64_t at = control->open_base == seg->base ? atomic_load(&control->next) : 0;
        atomic_store(&control->next, at + 1);
        return sa_index_add(store, seg, control, at, place, size, rec->time_us);
    }
    if (!sa_index_add(store, seg, rec->part, rec->offset, place, size, rec->time_us)
        || !sa_prints_add(seg, rec->hash, place) || !touch(log, rec))
        return false;
    if (rec->event != NULL) {
        if (*n_fresh == log->cap_fresh) {
            uint32_t cap = log->cap_fresh ? log->cap_fresh * 2 : 256;
            sa_tail_new *fresh = realloc(log->fresh, cap * sizeof *fresh);
            if (fresh == NULL)
                return false;
            log->fresh = fresh;
            log->cap_fresh = cap;
        }
        log->fresh[(*n_fresh)++] = (sa_tail_new){ rec->event, rec->part, rec->offset,
                                                  rec->time_us,
                                                  sa_event_bytes(rec->first, rec->attrs,
                                                                 rec->body) };
        rec->event = NULL;
    }
    return true;
}

/* Marks what is not whole within the written bytes as refused, by units. Returns the LSN behind
 * the last unit that is. */
static uint64_t
settle_short(struct sa_store *store, sa_batch *list, uint64_t end, const char *reason)
{
    uint64_t kept = atomic_load(&store->log.active->end);
    for (sa_batch *batch = list; batch != NULL; batch = batch->next) {
        for (uint32_t i = 0; i < batch->n;) {
            uint32_t last = i + batch->rec[i].follow;
            sa_rec *rec = &batch->rec[last];
            bool whole = rec->lsn + sa_rec_size(rec->body) <= end;
            for (; i <= last; i++) {
                if (whole)
                    kept = rec->lsn + sa_rec_size(rec->body);
                else if (batch->rec[i].early)
                    sa_count(&store->stats.memory_lost, 1);
                else
                    batch->results[i] = (emesh_appended){
                        .cookie = batch->results[i].cookie, .code = EMESH_E_NO_SPACE,
                        .reason = { reason, strlen(reason) } };
                batch->rec[i].lsn = whole ? batch->rec[i].lsn : 0;
            }
            if (!whole)
                batch->code = EMESH_E_NO_SPACE;
        }
    }
    return kept;
}

/* Bytes of units that did not fit must not look like records later. A full disk is no matter: the
 * next write takes the place. */
static int
wipe(struct sa_store *store, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[4096];
    const sa_segment *seg = store->log.active;
    for (uint64_t at = from; at < to; at += sizeof zeros) {
        size_t n = MIN(sizeof zeros, (size_t)(to - at));
        int rc = sa_write_all(store->io, seg->fd, zeros, n, at - seg->base);
        if (rc < 0)
            return no_room(rc) ? 0 : rc;
    }
    return 0;
}

/* lock held. Moves the written watermark; visible is what needs no disk. Partitions that became
 * readable stay in touched. Returns what the syncer will never take, as it failed meanwhile. */
static sa_batch *
publish(struct sa_store *store, sa_batch *list, uint64_t end)
{
    sa_log *log = &store->log;
    bool waits = false;
    for (uint32_t i = 0; i < log->n_touched; i++) {
        sa_partition *part = log->touched[i];
        if (part->pending == 0 && !part->turn_sync) {
            sa_part_show(part, part->turn_end);
        } else if (sa_unseen_push(log, part, part->turn_end, end)) {
            part->pending++;
            log->touched[i] = NULL;
        }
    }
    for (sa_batch *batch = list; batch != NULL; batch = batch->next) {
        if (batch->n_sync == 0 || (batch->done != NULL && batch->code != 0))
            continue;
        waits = true;
        atomic_fetch_add(&batch->refs, 1);
        batch->wait_next = NULL;
        *log->wait_tail = batch;
        log->wait_tail = &batch->wait_next;
    }
    atomic_store(&log->written, end);
    if (log->first_unsynced_ns == 0) {
        log->first_unsynced_ns = sa_mono_ns(store);
        waits = true; /* the syncer sets its clock */
    }
    if (waits || end - atomic_load(&log->durable) > store->opt.sync_bytes
        || end - atomic_load(&log->flushed) >= SA_FLUSH_BYTES)
        pthread_cond_signal(&log->sync_wake);
    if (log->failed == 0)
        return NULL;
    sa_batch *lost = log->wait_head;
    log->wait_head = NULL;
    log->wait_tail = &log->wait_head;
    return lost;
}

/* Answers what is written; what waits for the disk is the syncer's. */
static void
tell(struct sa_store *store, sa_batch *list)
{
    for (sa_batch *batch = list, *next; batch != NULL; batch = next) {
        next = batch->next;
        if (batch->n_sync < batch->n)
            sa_batch_answer(store, batch, SA_ANSWER_WRITTEN);
        if (batch->done != NULL && (batch->n_sync == 0 || batch->code != 0))
            batch->done(batch, batch->code);
        for (uint32_t i = 0; batch->code != 0 && i < batch->n; i++) {
            if (batch->rec[i].event != NULL)
                store->ev->unref(&batch->rec[i].event, 1);
            batch->rec[i].event = NULL;
        }
        sa_batch_unref(batch);
    }
}

static void
refuse_list(struct sa_store *store, sa_batch *list, int32_t code, const char *reason)
{
    for (sa_batch *next; list != NULL; list = next) {
        next = list->next;
        sa_batch_refuse(store, list, code, reason);
    }
}

/* Enters what was written, from the place where the segment ended to end. */
static bool
enter_list(struct sa_store *store, sa_batch *list)
{
    sa_log *log = &store->log;
    uint32_t n_fresh = 0;
    bool whole = true;
    log->turn++;
    log->n_touched = 0;
    for (sa_batch *batch = list; batch != NULL && whole; batch = batch->next) {
        for (uint32_t i = 0; i < batch->n && whole; i++) {
            if (batch->rec[i].lsn != 0) {
                whole = enter(store, &batch->rec[i], &n_fresh);
                sa_count(&store->stats.records, 1);
            }
        }
    }
    sa_tail_push(store, log->fresh, n_fresh);
    return whole;
}

/* The batches are written, or as much of them as fits: everything that follows. */
static void
finish(struct sa_store *store, sa_batch *list, const sa_gather *g)
{
    sa_log *log = &store->log;
    uint64_t end = atomic_load(&log->active->end) + g->done;
    bool full = no_room(g->rc);
    int rc = full ? 0 : g->rc;
    if (full) {
        uint64_t kept = settle_short(store, list, end, "the disk of the store is full");
        rc = wipe(store, kept, end);
        end = kept;
    }
    if (rc < 0) {
        sa_log_fail(store, EMESH_E_LOST, -rc, "write");
        refuse_list(store, list, EMESH_E_LOST, "the disk failed while it was written");
        return;
    }
    if (full) {
        for (sa_batch *batch = list; batch != NULL; batch = batch->next) {
            if (batch->code != 0)
                sa_batch_answer(store, batch, SA_ANSWER_FAILED);
        }
        sa_keeper_full(store);
    }
    atomic_store(&log->entered, end);
    if (!enter_list(store, list)) {
        sa_log_fail(store, EMESH_E_LOST, ENOMEM, "indexing");
        refuse_list(store, list, EMESH_E_LOST, "no memory to index what was written");
        return;
    }
    atomic_store(&log->active->end, end);
    pthread_mutex_lock(&log->lock);
    sa_batch *lost = publish(store, list, end);
    pthread_mutex_unlock(&log->lock);
    for (uint32_t i = 0; i < log->n_touched; i++) {
        if (log->touched[i] != NULL)
            sa_topic_wake(log->touched[i]->topic);
    }
    tell(store, list);
    for (sa_batch *next; lost != NULL; lost = next) {
        next = lost->wait_next;
        sa_batch_lost(store, lost, "the disk failed before it was synced");
    }
}

/* lock held. No next segment: who writes waits for the keeper, but a lane never waits. */
static bool
wait_next(struct sa_store *store, sa_who me)
{
    sa_log *log = &store->log;
    if (!log->threads) {
        pthread_mutex_unlock(&log->lock);
        sa_keeper_make_next(store, store->opt.segment_size);
        pthread_mutex_lock(&log->lock);
        return true;
    }
    sa_keeper_kick(store);
    if (me == SA_WHO_LANE) {
        log->who = SA_WHO_THREAD;
        sa_count(&store->stats.handovers, 1);
        pthread_cond_signal(&log->writer_wake);
        return false;
    }
    pthread_cond_wait(&log->writer_wake, &log->lock);
    return true;
}

sa_turn
sa_write_turn(struct sa_store *store, sa_who me)
{
    sa_log *log = &store->log;
    sa_batch *list = NULL, **end = &list;
    enum taken what;
    pthread_mutex_lock(&log->lock);
    while ((what = take(log, &list, &end)) == TAKEN_ROLL || what == TAKEN_WAIT) {
        if (what == TAKEN_WAIT) {
            if (wait_next(store, me))
                continue;
            pthread_mutex_unlock(&log->lock);
            return SA_TURN_HANDED;
        }
        pthread_mutex_unlock(&log->lock);
        roll(store);
        pthread_mutex_lock(&log->lock);
    }
    if (what == TAKEN_NONE) {
        log->who = SA_WHO_NOBODY;
        if (log->stopping)
            pthread_cond_signal(&log->writer_wake);
        pthread_mutex_unlock(&log->lock);
        return SA_TURN_IDLE;
    }
    pthread_mutex_unlock(&log->lock);
    if (what == TAKEN_REFUSE) {
        refuse_list(store, list, EMESH_E_NO_SPACE, "the disk of the store is full");
        return SA_TURN_MORE;
    }
    sa_gather g = write_list(store, list);
    finish(store, list, &g);
    return SA_TURN_MORE;
}
