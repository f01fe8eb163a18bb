/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches of appends, and the results that come back from whatever thread the store likes.
 */
#include "bus/append.h"
#include "bus/note.h"
#include "event/event.h"

#include <string.h>

static emesh_batch *
batch_for(emesh_bus_lane *lane, emesh_store *store)
{
    emesh_batch *batch;

    if (store->index >= lane->batches->len)
        g_ptr_array_set_size(lane->batches, (int)store->index + 1);
    batch = lane->batches->pdata[store->index];
    if (batch == NULL) {
        batch = g_new0(emesh_batch, 1);
        batch->store = store;
        lane->batches->pdata[store->index] = batch;
    }
    return batch;
}

void
emesh_batch_free(emesh_batch *batch)
{
    if (batch == NULL)
        return;
    g_free(batch->items);
    g_free(batch->array);
    g_free(batch);
}

void
emesh_append_queue(emesh_bus_lane *lane, emesh_pending *pending)
{
    emesh_batch *batch = batch_for(lane, pending->topic->store);

    pending->topic = emesh_topic_current(pending->topic);
    if (batch->n == batch->room) {
        batch->room = MAX(64u, batch->room * 2);
        batch->items = g_renew(emesh_pending *, batch->items, batch->room);
    }
    batch->items[batch->n++] = pending;
    emesh_worker_phase(lane->worker, EMESH_PHASE_APPEND, &lane->append_item);
}

/* Same key, same partition: the publisher's key, the event's partitionkey, else the session. */
static emesh_slice
key_of(const emesh_pending *p)
{
    const emesh_attr *attr;

    if (p->own != NULL && p->own->key.len > 0)
        return p->own->key;
    if (p->own != NULL && p->topic->closed) /* one partition: the order is that of the writes */
        return (emesh_slice){ "", 0 };
    if (p->key != NULL)
        return (emesh_slice){ p->key, p->key_len };
    if (p->topic->partitions == 1)
        return (emesh_slice){ "", 0 };
    attr = emesh_event_attr(p->event, "partitionkey", 12);
    if (attr != NULL && attr->value_len > 0)
        return (emesh_slice){ attr->value, attr->value_len };
    if (p->own != NULL) /* dead letters and what was delayed go where they come */
        return (emesh_slice){ "", 0 };
    return (emesh_slice){ p->session->key, 16 };
}

static void
fill(emesh_bus_lane *lane, const emesh_batch *batch, void *array, uint32_t stride, uint32_t n)
{
    memset(array, 0, (size_t)stride * n);
    for (uint32_t i = 0; i < n; i++) {
        emesh_pending *p = batch->items[batch->sent + i];
        emesh_append item = {
            .event = p->event,
            .topic = p->topic->handle,
            .key = key_of(p),
            .cookie = emesh_pending_cookie(lane, p),
            .deliver_at_ms = p->deliver_at_ms,
            .deadline_ns = p->deadline_ns,
            .level = MAX(p->level, p->topic->level),
        };
        if (p->own != NULL) {
            item.group = p->own->group;
            item.cursor = p->own->cursor;
            item.commit = p->own->cursor != NULL ? &p->own->commit : NULL;
            item.deliver_at_ms = p->own->deliver_at_ms;
            item.attempts = p->own->attempts;
            item.flags = p->own->reply ? EMESH_APPEND_REPLY : 0;
        }
        memcpy(emesh_at(array, stride, i), &item, MIN(stride, sizeof item));
    }
}

typedef struct hop { /* a batch on its way to the store's only lane */
    emesh_job job;
    emesh_loop *loop;
    uint64_t n;
    char array[]; /* emesh_append in the store's stride: aligned by what is before it */
} hop;

static void
hop_run(emesh_job *job)
{
    hop *h = (hop *)job;

    h->loop->inst->storage.append(h->loop->lane, (const emesh_append *)h->array, (uint32_t)h->n);
    g_free(h);
}

static void
hand_over(emesh_bus_lane *lane, emesh_batch *batch, uint32_t n)
{
    emesh_store *store = batch->store;
    uint32_t stride = store->inst->layout.append;
    emesh_loop *loop = emesh_store_loop(store, lane->worker, lane->id);

    lane->counts.append_calls++;
    if (loop->worker != lane->worker) {
        hop *h = g_malloc0(sizeof *h + (size_t)stride * n);
        h->job.run = hop_run;
        h->loop = loop;
        h->n = n;
        fill(lane, batch, h->array, stride, n);
        batch->sent += n;
        emesh_worker_post(loop->worker, &h->job);
        return;
    }
    if (batch->array_room < n) {
        batch->array_room = MAX(64u, n);
        batch->array = g_realloc(batch->array, (size_t)stride * batch->array_room);
    }
    fill(lane, batch, batch->array, stride, n);
    batch->sent += n; /* before the call: results may come inside it */
    store->inst->storage.append(loop->lane, batch->array, n);
}

/* One is always let through, however large. The window may change at any time: ready() is main's. */
static bool
fits(const emesh_store *store, uint64_t events, uint64_t bytes, const emesh_pending *p)
{
    return events == 0 ||
           (events < __atomic_load_n(&store->window_events, __ATOMIC_RELAXED) &&
            bytes + p->bytes <= __atomic_load_n(&store->window_bytes, __ATOMIC_RELAXED));
}

/* How many of the waiting items the store's window admits; counts them as under way. */
static uint32_t
admit(emesh_batch *batch)
{
    emesh_store *store = batch->store;
    uint32_t have = __atomic_load_n(&store->under_way, __ATOMIC_RELAXED);
    uint64_t have_bytes = __atomic_load_n(&store->under_way_bytes, __ATOMIC_RELAXED);
    uint32_t window = __atomic_load_n(&store->window_events, __ATOMIC_RELAXED);
    uint64_t window_bytes = __atomic_load_n(&store->window_bytes, __ATOMIC_RELAXED);
    uint64_t bytes = 0;
    uint32_t n = 0;

    for (uint32_t i = batch->sent; i < batch->n; i++) {
        emesh_pending *p = batch->items[i];
        bool empty = have + n == 0; /* one is always let through, however large */
        if (!empty && (have + n >= window || have_bytes + bytes + p->bytes > window_bytes))
            break;
        bytes += p->bytes;
        n++;
    }
    __atomic_add_fetch(&store->under_way, n, __ATOMIC_RELAXED);
    __atomic_add_fetch(&store->under_way_bytes, bytes, __ATOMIC_RELAXED);
    return n;
}

static void
count_topics(const emesh_batch *batch, uint32_t n)
{
    for (uint32_t i = 0, run; i < n; i += run) {
        emesh_bus_topic *topic = batch->items[batch->sent + i]->topic;
        uint32_t published = 0;
        for (run = 0; i + run < n && batch->items[batch->sent + i + run]->topic == topic; run++)
            published += batch->items[batch->sent + i + run]->own == NULL && !topic->closed;
        __atomic_add_fetch(&topic->under_way, run, __ATOMIC_RELAXED);
        __atomic_add_fetch(&topic->published, published, __ATOMIC_RELAXED);
    }
}

/* The window is full, perhaps with appends of other lanes only: whoever takes a result of theirs
 * wakes this lane. Looked at once more behind the mark, as the last of them may have come before. */
static void
await_window(emesh_bus_lane *lane, const emesh_batch *batch)
{
    emesh_store *store = batch->store;

    __atomic_or_fetch(&store->waiting, UINT64_C(1) << (lane->id & 63u), __ATOMIC_SEQ_CST);
    if (fits(store, __atomic_load_n(&store->under_way, __ATOMIC_SEQ_CST),
             __atomic_load_n(&store->under_way_bytes, __ATOMIC_SEQ_CST), batch->items[batch->sent]))
        emesh_worker_phase(lane->worker, EMESH_PHASE_APPEND, &lane->append_item);
}

static void
batch_flush(emesh_bus_lane *lane, emesh_batch *batch)
{
    uint32_t n;

    while (batch->sent < batch->n && (n = admit(batch)) > 0) {
        count_topics(batch, n);
        hand_over(lane, batch, n);
    }
    if (batch->sent < batch->n)
        await_window(lane, batch);
    if (batch->sent == batch->n) {
        batch->sent = batch->n = 0;
    } else if (batch->sent > 0) {
        memmove(batch->items, batch->items + batch->sent,
                (batch->n - batch->sent) * sizeof *batch->items);
        batch->n -= batch->sent;
        batch->sent = 0;
    }
}

void
emesh_append_flush(emesh_phased *item)
{
    emesh_bus_lane *lane =
        (emesh_bus_lane *)((char *)item - offsetof(emesh_bus_lane, append_item));

    emesh_notes_flush(lane->notes); /* an append may carry the settle that a note explains */
    for (uint32_t i = 0; i < lane->batches->len; i++)
        if (lane->batches->pdata[i] != NULL)
            batch_flush(lane, lane->batches->pdata[i]);
}

void
emesh_append_drop_topic(emesh_bus_lane *lane, const emesh_bus_topic *topic, bool away)
{
    emesh_batch *batch = topic->store->index < lane->batches->len
                             ? lane->batches->pdata[topic->store->index]
                             : NULL;
    uint32_t kept = 0;

    for (uint32_t i = 0; batch != NULL && i < batch->n; i++) {
        emesh_pending *p = batch->items[i];
        if (p->topic == topic) {
            emesh_note_publish(lane, p, NULL,
                               away ? EMESH_WHY_REFUSED_AWAY : EMESH_WHY_REFUSED_DELETED, 0, NULL);
            emesh_pending_end(lane, p, away ? EMESH_E_UNAVAILABLE : EMESH_E_NOT_FOUND, 0,
                              away ? "the store is away" : "the topic is being deleted");
        } else {
            batch->items[kept++] = p;
        }
    }
    if (batch != NULL)
        batch->n = kept;
}

void
emesh_append_swap_topic(emesh_bus_lane *lane, const emesh_bus_topic *old, emesh_bus_topic *fresh)
{
    emesh_batch *batch =
        old->store->index < lane->batches->len ? lane->batches->pdata[old->store->index] : NULL;

    for (uint32_t i = batch != NULL ? batch->sent : 0; batch != NULL && i < batch->n; i++)
        if (batch->items[i]->topic == old)
            batch->items[i]->topic = fresh;
}

static void
window_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    (void)mail;
    emesh_worker_phase(here->worker, EMESH_PHASE_APPEND, &here->append_item);
}

static void
wake_waiting(emesh_bus_lane *lane, emesh_store *store)
{
    emesh_bus *bus = lane->bus;
    uint32_t n = __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE);
    uint64_t waiting;

    if (__atomic_load_n(&store->waiting, __ATOMIC_SEQ_CST) == 0)
        return;
    waiting = __atomic_exchange_n(&store->waiting, 0, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < n; i++)
        if ((waiting >> (i & 63u) & 1u) != 0)
            emesh_mail_to(lane, bus->lanes[i], window_mail, NULL);
}

/* One result on the lane that appended. The window it frees may let waiting items go. */
static void
one_result(emesh_bus_lane *lane, uint64_t cookie, int32_t code, uint32_t level,
           emesh_position position, const char *reason, size_t reason_len)
{
    emesh_pending *p = emesh_pending_at(lane, (uint32_t)cookie);
    emesh_store *store;
    emesh_batch *batch;

    if (p == NULL || !emesh_pending_busy(p) || p->topic == NULL ||
        emesh_pending_cookie(lane, p) != cookie)
        return;
    store = p->topic->store;
    __atomic_sub_fetch(&store->under_way_bytes, p->bytes, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&store->under_way, 1, __ATOMIC_SEQ_CST);
    wake_waiting(lane, store);
    __atomic_sub_fetch(&p->topic->under_way, 1, __ATOMIC_RELEASE);
    emesh_publish_done(lane, cookie, code, level, position, reason, reason_len);
    batch = lane->batches->pdata[store->index];
    if (batch->n > batch->sent)
        emesh_worker_phase(lane->worker, EMESH_PHASE_APPEND, &lane->append_item);
}

static void
result_mail(emesh_bus_lane *here, const emesh_mail *mail)
{
    char *reason = mail->from;

    one_result(here, mail->id, mail->code, mail->x, mail->position, reason,
               reason != NULL ? strlen(reason) : 0);
    g_free(reason);
}

void
emesh_append_results(const emesh_host *host, const emesh_appended *results, uint32_t n)
{
    emesh_inst *inst = emesh_inst_of(host);
    emesh_bus *bus = inst->mesh;
    uint32_t stride = inst->layout.appended;
    emesh_worker *current = emesh_worker_current();
    emesh_mail_box *box = NULL;

    for (uint32_t i = 0; i < n; i++) {
        emesh_appended r;
        emesh_bus_lane *lane;
        emesh_mail *mail;

        if (emesh_take(&r, sizeof r, results, stride, i) != EMESH_OK)
            r.code = EMESH_E_LOST; /* it says more than this host knows: perhaps it is stored */
        if ((r.cookie >> 56) >= __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE))
            continue;
        lane = bus->lanes[r.cookie >> 56];
        if (lane->worker == current) {
            one_result(lane, r.cookie, r.code, r.level, r.position, r.reason.ptr, r.reason.len);
            continue;
        }
        if (box != NULL && box->dest != lane) {
            emesh_mail_box_send(box);
            box = NULL;
        }
        if (box == NULL)
            box = emesh_mail_box_new(lane, n - i);
        mail = emesh_mail_box_add(box, result_mail, NULL);
        mail->id = r.cookie;
        mail->code = r.code;
        mail->x = r.level;
        mail->position = r.position;
        mail->from = r.code != EMESH_OK && r.reason.len > 0
                         ? g_strndup(r.reason.ptr, MIN(r.reason.len, 255u))
                         : NULL;
    }
    if (box != NULL)
        emesh_mail_box_send(box);
}
