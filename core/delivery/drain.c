/* SPDX-License-Identifier: Apache-2.0
 *
 * The drain before a stop. From its first moment a lane refuses publishes and offers nothing; what
 * was accepted before is answered, what was offered before may be acknowledged. When nothing is open
 * any more, or the time is over, its subscriptions close their readers, which has the stores write
 * what is settled. Protocols say goodbye behind that, so an acknowledgement that was sent before the
 * goodbye counts. Asked for on main, done on each lane.
 */
#include "bus/gather.h"
#include "bus/request.h"
#include "delivery/delivery.h"

#define LOOK_NS 2000000u

typedef struct drain drain;

typedef struct drain_lane {
    emesh_job job;
    emesh_alarm look;
    drain *of;
    emesh_bus_lane *lane;
    uint64_t until_ns;
} drain_lane;

struct drain {
    emesh_bus *bus;
    drain_lane *lanes;
    uint32_t n, left;           /* [main] lanes, and those not done */
    bool cut;                   /* atomic: waited for no longer */
    uint32_t publishes, offers; /* atomic: what was left at the end */
    void (*done)(void *ctx, const emesh_drained *how);
    void *ctx;
};

static void
passed(void *ctx, emesh_bus_lane *lane)
{
    (void)ctx, (void)lane;
}

static void
end_requests(void *ctx, emesh_bus_lane *lane)
{
    (void)ctx;
    emesh_requests_end(lane, EMESH_E_LOST, "the daemon is stopping, no reply will come");
}

static void
requests_ended(void *ctx)
{
    drain *d = ctx;
    emesh_drained how = { .publishes = d->publishes, .offers = d->offers };

    d->bus->drain = NULL;
    d->done(d->ctx, &how);
    g_free(d->lanes);
    g_free(d);
}

static void
replies_passed(void *ctx)
{
    drain *d = ctx;

    emesh_gather(d->bus, end_requests, requests_ended, d);
}

/* Nobody here holds a request any more. Replies may still be mail from lane to lane: one walk over all
 * lanes lets them arrive, then who still waits is told. */
static void
lane_done(emesh_job *job)
{
    drain *d = ((drain_lane *)job)->of;

    if (--d->left == 0)
        emesh_gather(d->bus, passed, replies_passed, d);
}

static void
readers_closed(void *ctx)
{
    drain_lane *l = ctx;

    l->job = (emesh_job){ .run = lane_done };
    emesh_worker_post(l->of->bus->main, &l->job);
}

static void
look(emesh_alarm *alarm)
{
    drain_lane *l = (drain_lane *)((char *)alarm - offsetof(drain_lane, look));
    emesh_bus_lane *lane = l->lane;
    uint64_t now = emesh_worker_now(lane->worker);
    uint32_t publishes = lane->publishing, offers = lane->delivery->open;

    if ((publishes > 0 || offers > 0) && now < l->until_ns &&
        !__atomic_load_n(&l->of->cut, __ATOMIC_RELAXED)) {
        emesh_worker_alarm(lane->worker, &l->look, now + LOOK_NS);
        return;
    }
    __atomic_add_fetch(&l->of->publishes, publishes, __ATOMIC_RELAXED);
    __atomic_add_fetch(&l->of->offers, offers, __ATOMIC_RELAXED);
    emesh_delivery_end_all(lane->delivery, readers_closed, l);
}

static void
begin(emesh_job *job)
{
    drain_lane *l = (drain_lane *)job;

    l->lane->draining = true;
    look(&l->look);
}

void
emesh_bus_drain(emesh_bus *bus, uint64_t wait_ns, void (*done)(void *ctx, const emesh_drained *how),
                void *ctx)
{
    drain *d = g_new0(drain, 1);

    d->bus = bus;
    d->done = done;
    d->ctx = ctx;
    pthread_mutex_lock(&bus->lanes_lock);
    bus->draining = true; /* lanes made from here on refuse from their first moment */
    d->n = d->left = bus->n_lanes;
    pthread_mutex_unlock(&bus->lanes_lock);
    d->lanes = g_new0(drain_lane, d->n);
    bus->drain = d;
    for (uint32_t i = 0; i < d->n; i++) {
        drain_lane *l = &d->lanes[i];
        l->job.run = begin;
        l->look.due = look;
        l->of = d;
        l->lane = bus->lanes[i];
        l->until_ns = emesh_worker_now(bus->main) + wait_ns;
        emesh_worker_post(l->lane->worker, &l->job);
    }
}

void
emesh_bus_drain_cut(emesh_bus *bus)
{
    drain *d = bus->drain;

    if (d != NULL)
        __atomic_store_n(&d->cut, true, __ATOMIC_RELAXED);
}
