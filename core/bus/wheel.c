/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines in a ring of buckets, with a bit for each that holds some. [lane]
 */
#include "bus/wheel.h"

#define TICK_NS (UINT64_C(1) << EMESH_WHEEL_TICK_BITS)
#define MASK (EMESH_WHEEL_BUCKETS - 1)

/* The tick in which it is looked at: the first that begins at its time or later. */
static uint64_t
tick_of(uint64_t at_ns)
{
    return (at_ns + TICK_NS - 1) >> EMESH_WHEEL_TICK_BITS;
}

/* The alarm goes to the next bucket that holds something. */
static void
arm(emesh_wheel *w)
{
    for (uint64_t tick = w->last + 1; w->n > 0; tick++) {
        uint64_t bits = w->used[(tick & MASK) / 64] >> (tick & 63);
        if (bits != 0) {
            tick += (uint64_t)__builtin_ctzll(bits);
            emesh_worker_alarm(w->worker, &w->alarm, tick << EMESH_WHEEL_TICK_BITS);
            return;
        }
        tick |= 63; /* nothing more in this word */
    }
    emesh_worker_alarm(w->worker, &w->alarm, 0);
}

static void
put(emesh_wheel *w, emesh_wheel_entry *e, uint32_t bucket)
{
    e->bucket = bucket;
    e->prev = NULL;
    e->next = w->buckets[bucket];
    if (e->next != NULL)
        e->next->prev = e;
    w->buckets[bucket] = e;
    if (bucket < EMESH_WHEEL_BUCKETS)
        w->used[bucket / 64] |= UINT64_C(1) << (bucket & 63);
    w->n++;
}

static void
bucket_due(emesh_wheel *w, uint32_t bucket, uint64_t now)
{
    emesh_wheel_entry *e;

    while ((e = w->buckets[bucket]) != NULL) { /* aside: who is not due yet goes back */
        uint64_t at = e->at_ns;
        emesh_wheel_remove(w, e);
        e->at_ns = at;
        put(w, e, EMESH_WHEEL_BUCKETS);
    }
    while ((e = w->buckets[EMESH_WHEEL_BUCKETS]) != NULL) {
        uint64_t at = e->at_ns;
        emesh_wheel_remove(w, e);
        if (at <= now) {
            w->due(e);
        } else {
            e->at_ns = at;
            put(w, e, bucket);
        }
    }
}

static void
alarm_due(emesh_alarm *alarm)
{
    emesh_wheel *w = (emesh_wheel *)((char *)alarm - offsetof(emesh_wheel, alarm));
    uint64_t now = emesh_worker_now(w->worker);
    uint64_t upto = now >> EMESH_WHEEL_TICK_BITS;
    uint64_t tick = w->last + 1;

    if (upto - w->last > EMESH_WHEEL_BUCKETS)
        tick = upto - EMESH_WHEEL_BUCKETS + 1; /* each bucket once is enough */
    w->last = upto;
    for (; tick <= upto; tick++)
        bucket_due(w, (uint32_t)(tick & MASK), now);
    arm(w);
}

void
emesh_wheel_init(emesh_wheel *w, emesh_worker *worker, void (*due)(emesh_wheel_entry *entry))
{
    *w = (emesh_wheel){ .worker = worker, .due = due };
    w->alarm.due = alarm_due;
}

void
emesh_wheel_end(emesh_wheel *w)
{
    if (w->alarm.place != 0)
        emesh_worker_alarm(w->worker, &w->alarm, 0);
}

void
emesh_wheel_add(emesh_wheel *w, emesh_wheel_entry *e, uint64_t at_ns)
{
    uint64_t tick;

    if (w->n == 0) /* at rest until now */
        w->last = emesh_worker_now(w->worker) >> EMESH_WHEEL_TICK_BITS;
    tick = MAX(tick_of(at_ns), w->last + 1);
    e->at_ns = MAX(at_ns, 1u);
    put(w, e, (uint32_t)(tick & MASK));
    if (w->alarm.place == 0 || w->alarm.at_ns > tick << EMESH_WHEEL_TICK_BITS)
        emesh_worker_alarm(w->worker, &w->alarm, tick << EMESH_WHEEL_TICK_BITS);
}

void
emesh_wheel_remove(emesh_wheel *w, emesh_wheel_entry *e)
{
    if (e->at_ns == 0)
        return;
    if (e->next != NULL)
        e->next->prev = e->prev;
    if (e->prev != NULL)
        e->prev->next = e->next;
    else
        w->buckets[e->bucket] = e->next;
    if (e->bucket < EMESH_WHEEL_BUCKETS && w->buckets[e->bucket] == NULL)
        w->used[e->bucket / 64] &= ~(UINT64_C(1) << (e->bucket & 63));
    e->at_ns = 0;
    w->n--;
}
