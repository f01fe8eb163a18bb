/* SPDX-License-Identifier: Apache-2.0
 *
 * See check.h. A few hundred subscriptions a look, so that a million of them hold nobody up. Events
 * wait when some are READY, or when a store of this daemon alone was asked for records, more were
 * published, and none comes. [owner's lane]
 */
#include "delivery/check.h"
#include "delivery/rest.h"

#define PER_LOOK 512u
#define LOOKS 6u /* within the time after which it is a finding */
#define SOONEST_NS UINT64_C(20000000)
#define REST_NS (60 * UINT64_C(1000000000)) /* the same where nothing is a finding: rounds go on */

static uint64_t
moved(const emesh_sub *sub)
{
    return sub->read + sub->delivered + sub->settled + sub->returned + sub->retried + sub->parked +
           sub->buried + sub->expired + sub->dropped + sub->custody;
}

static bool
somebody_is_ready(emesh_sub *sub, uint64_t now)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++)
        if (emesh_consumer_has_credit(sub, sub->consumers->pdata[i], now))
            return true;
    return false;
}

static bool
events_wait(const emesh_sub *sub)
{
    uint64_t appended = __atomic_load_n(&sub->topic->appended, __ATOMIC_RELAXED);

    if (sub->slots.ready > 0)
        return true;
    if (emesh_store_can(sub->store,
                        EMESH_STORE_CAN_REPLY)) /* a broker: another daemon may have it */
        return false;
    return sub->state == EMESH_SUB_OPEN && sub->asked > 0 && appended > sub->check.appended;
}

static void
over(emesh_sub *sub)
{
    if (sub->check.told)
        emesh_sub_finding(sub, "no-progress", NULL);
    sub->check.told = false;
    sub->check.since_ns = 0;
}

/* What has not moved since the last round may rest, which ends it. */
static void
look_at(emesh_sub *sub, uint64_t now)
{
    uint64_t limit = sub->owner->lane->bus->limits.no_progress_ns, mark = moved(sub);
    bool went_on = mark != sub->check.mark, waits;

    if (!went_on && sub->slots.used == 0)
        emesh_rest_try(sub);
    if (sub->state == EMESH_SUB_CLOSING || limit == 0) {
        sub->check.mark = mark;
        return;
    }
    waits = events_wait(sub);

    sub->check.mark = mark;
    if (went_on || !waits)
        sub->check.appended = __atomic_load_n(&sub->topic->appended, __ATOMIC_RELAXED);
    if (went_on || !waits || sub->owner->lane->draining || !somebody_is_ready(sub, now)) {
        over(sub);
        return;
    }
    if (sub->check.since_ns == 0)
        sub->check.since_ns = now;
    if (sub->check.told || now - sub->check.since_ns < limit)
        return;
    sub->check.told = true;
    emesh_sub_note(sub, NULL, EMESH_WHY_NO_PROGRESS, (now - sub->check.since_ns) / 1000000u, NULL);
    emesh_sub_finding(
        sub, "no-progress",
        "%u members, some of them ready, and %s, but nothing moved for %" G_GUINT64_FORMAT " s",
        sub->consumers->len,
        sub->slots.ready > 0 ? "events wait to be offered"
                             : "the store brings nothing of what was published",
        (now - sub->check.since_ns) / 1000000000u);
}

static uint64_t
round_ns(const emesh_delivery_lane *d)
{
    uint64_t limit = d->lane->bus->limits.no_progress_ns;

    return MAX((limit != 0 ? limit : REST_NS) / LOOKS, SOONEST_NS);
}

static void
look(emesh_alarm *alarm)
{
    emesh_delivery_lane *d =
        (emesh_delivery_lane *)((char *)alarm - offsetof(emesh_delivery_lane, check));
    emesh_worker *worker = d->lane->worker;
    uint64_t now = emesh_worker_now(worker), wait = round_ns(d);
    uint32_t n;

    if (d->checked >= d->all->len) {
        d->checked = 0;
        emesh_rests_look(d);
    }
    for (n = 0; n < PER_LOOK && d->checked < d->all->len; n++)
        look_at(d->all->pdata[d->checked++], now);
    if (d->all->len == 0)
        return;
    if (d->checked < d->all->len) /* the rest in as many pieces, all within one round */
        wait = MAX(wait / (d->all->len / PER_LOOK + 1), SOONEST_NS / 20);
    emesh_worker_alarm(worker, &d->check, now + wait);
}

void
emesh_check_add(emesh_sub *sub)
{
    emesh_delivery_lane *d = sub->owner;

    sub->check.appended = __atomic_load_n(&sub->topic->appended, __ATOMIC_RELAXED);
    sub->check.place = d->all->len + 1;
    g_ptr_array_add(d->all, sub);
    d->check.due = look;
    if (d->check.place == 0)
        emesh_worker_alarm(d->lane->worker, &d->check,
                           emesh_worker_now(d->lane->worker) + round_ns(d));
}

void
emesh_check_remove(emesh_sub *sub)
{
    emesh_delivery_lane *d = sub->owner;
    emesh_sub *last;

    over(sub);
    if (sub->check.place == 0)
        return;
    last = d->all->pdata[d->all->len - 1];
    g_ptr_array_remove_index_fast(d->all, sub->check.place - 1);
    last->check.place = sub->check.place;
    sub->check.place = 0;
    if (d->all->len == 0)
        emesh_worker_alarm(d->lane->worker, &d->check, 0);
}

void
emesh_check_end(emesh_delivery_lane *delivery)
{
    g_ptr_array_unref(delivery->all);
}
