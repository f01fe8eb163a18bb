/* SPDX-License-Identifier: Apache-2.0
 *
 * See tail.h. Per partition a ring of slots without gaps in offsets (a gap forgets what is older);
 * over all one ring that says whose turn it is to give up its oldest.
 */
#include "tail.h"

#include "store.h"
#include <stdlib.h>

#define SA_GONE 64u /* references let go per turn outside the lock */

bool
sa_tail_init(sa_tail *tail, uint64_t limit)
{
    memset(tail, 0, sizeof *tail);
    pthread_mutex_init(&tail->lock, NULL);
    tail->limit = limit;
    tail->cap = 1024;
    tail->order = malloc(tail->cap * sizeof *tail->order);
    return tail->order != NULL;
}

void
sa_tail_clear(struct sa_store *store)
{
    free(store->tail.order);
    pthread_mutex_destroy(&store->tail.lock);
}

static const emesh_event *
pop_oldest(sa_tail *tail, sa_partition *part)
{
    sa_tail_slot *slot = &part->tail[part->tail_at];
    const emesh_event *event = slot->event;
    tail->bytes -= slot->bytes + SA_TAIL_COST;
    part->tail_at = (part->tail_at + 1) & (part->tail_cap - 1);
    part->tail_n--;
    part->tail_base++;
    if (part->tail_n == 0 && part->tail_cap > 16) {
        free(part->tail);
        part->tail = NULL;
        part->tail_cap = 0;
    }
    return event;
}

/* Evicts up to max events while the tail is too large. */
static uint32_t
evict(sa_tail *tail, const emesh_event **gone, uint32_t max)
{
    uint32_t n = 0;
    while (n < max && tail->n > 0 && tail->bytes > tail->limit) {
        sa_partition *part = tail->order[tail->at];
        tail->at = (tail->at + 1) & (tail->cap - 1);
        tail->n--;
        if (part != NULL && part->tail_n > 0)
            gone[n++] = pop_oldest(tail, part);
    }
    return n;
}

static bool
room_order(sa_tail *tail)
{
    if (tail->n < tail->cap)
        return true;
    sa_partition **order = malloc(2u * tail->cap * sizeof *order);
    if (order == NULL)
        return false;
    for (uint32_t i = 0; i < tail->n; i++)
        order[i] = tail->order[(tail->at + i) & (tail->cap - 1)];
    free(tail->order);
    tail->order = order;
    tail->cap *= 2;
    tail->at = 0;
    return true;
}

static bool
room_slots(sa_partition *part)
{
    if (part->tail_n < part->tail_cap)
        return true;
    uint32_t cap = part->tail_cap > 0 ? part->tail_cap * 2 : 2;
    sa_tail_slot *slots = malloc(cap * sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < part->tail_n; i++)
        slots[i] = part->tail[(part->tail_at + i) & (part->tail_cap - 1)];
    free(part->tail);
    part->tail = slots;
    part->tail_cap = cap;
    part->tail_at = 0;
    return true;
}

/* Takes all of part out. The order ring keeps its turns; they count for nothing or for later
 * events, which then leave a little earlier. */
static uint32_t
pop_all(sa_tail *tail, sa_partition *part, const emesh_event ***out)
{
    uint32_t n = 0;
    *out = part->tail_n > 0 ? malloc(part->tail_n * sizeof **out) : NULL;
    while (part->tail_n > 0 && *out != NULL)
        (*out)[n++] = pop_oldest(tail, part);
    return n;
}

/* False: the event is not kept. lock held. */
static bool
push_one(struct sa_store *store, const sa_tail_new *item)
{
    sa_tail *tail = &store->tail;
    sa_partition *part = item->part;
    if (part->tail_n > 0 && part->tail_base + part->tail_n != item->offset) {
        const emesh_event **gone;
        uint32_t n = pop_all(tail, part, &gone);
        store->ev->unref(gone, n); /* rare: a gap after a write that failed */
        free(gone);
    }
    if (part->tail_n > 0 && part->tail_base + part->tail_n != item->offset)
        return false;
    if (!room_order(tail) || !room_slots(part))
        return false;
    if (part->tail_n == 0)
        part->tail_base = item->offset;
    part->tail[(part->tail_at + part->tail_n) & (part->tail_cap - 1)] =
        (sa_tail_slot){ item->event, item->time_us, item->bytes, 0 };
    part->tail_n++;
    tail->bytes += item->bytes + SA_TAIL_COST;
    tail->order[(tail->at + tail->n) & (tail->cap - 1)] = part;
    tail->n++;
    return true;
}

void
sa_tail_push(struct sa_store *store, const sa_tail_new *items, uint32_t n)
{
    sa_tail *tail = &store->tail;
    const emesh_event *gone[SA_GONE];
    uint32_t i = 0, n_gone;
    bool more;
    do {
        n_gone = 0;
        pthread_mutex_lock(&tail->lock);
        for (; i < n && n_gone < SA_GONE; i++) {
            if (!push_one(store, &items[i]))
                gone[n_gone++] = items[i].event;
        }
        n_gone += evict(tail, gone + n_gone, SA_GONE - n_gone);
        more = i < n || (tail->bytes > tail->limit && tail->n > 0);
        pthread_mutex_unlock(&tail->lock);
        store->ev->unref(gone, n_gone);
    } while (more);
}

uint32_t
sa_tail_get(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end, sa_got *out,
            uint32_t max, uint64_t max_bytes)
{
    sa_tail *tail = &store->tail;
    uint32_t n = 0;
    pthread_mutex_lock(&tail->lock);
    if (part->tail_n > 0 && offset >= part->tail_base) {
        uint64_t bytes = 0;
        for (uint64_t o = offset; o < end && o - part->tail_base < part->tail_n && n < max; o++) {
            uint32_t i = (uint32_t)(o - part->tail_base);
            const sa_tail_slot *slot = &part->tail[(part->tail_at + i) & (part->tail_cap - 1)];
            if (n > 0 && bytes + slot->bytes > max_bytes)
                break;
            bytes += slot->bytes;
            out[n++] = (sa_got){ store->ev->ref(slot->event), o, slot->time_us, slot->bytes };
        }
    }
    pthread_mutex_unlock(&tail->lock);
    return n;
}

bool
sa_tail_has(struct sa_store *store, sa_partition *part, uint64_t offset)
{
    pthread_mutex_lock(&store->tail.lock);
    bool has = part->tail_n > 0 && offset >= part->tail_base;
    pthread_mutex_unlock(&store->tail.lock);
    return has;
}

void
sa_tail_drop(struct sa_store *store, sa_partition *part)
{
    const emesh_event **gone;
    pthread_mutex_lock(&store->tail.lock);
    uint32_t n = pop_all(&store->tail, part, &gone);
    pthread_mutex_unlock(&store->tail.lock);
    store->ev->unref(gone, n);
    free(gone);
    free(part->tail);
    part->tail = NULL;
}
