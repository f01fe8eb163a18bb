/* SPDX-License-Identifier: Apache-2.0
 *
 * Offers that nobody acknowledges: each has a deadline, the group's, else the protocol's, else a
 * minute. [owner's lane]
 */
#include "delivery/sub.h"

#define ACK_TIMEOUT_NS (60u * UINT64_C(1000000000))

/* wait_ns 0: what the group or the member says. */
void
emesh_offer_deadline(emesh_sub *sub, emesh_slot *slot, uint64_t wait_ns)
{
    emesh_worker *worker = sub->owner->lane->worker;

    if (wait_ns == 0)
        wait_ns = sub->rule.ack_timeout_ns;
    if (wait_ns == 0 && !sub->ordered) /* a key must not wait as long as a protocol may */
        wait_ns = slot->consumer->ack_timeout_ns;
    if (wait_ns == 0)
        wait_ns = ACK_TIMEOUT_NS;
    if (wait_ns > INT64_MAX) { /* never */
        slot->due_ns = UINT64_MAX;
        return;
    }
    slot->due_ns = emesh_worker_now(worker) + wait_ns;
    if (sub->overdue.place == 0 || slot->due_ns < sub->overdue.at_ns)
        emesh_worker_alarm(worker, &sub->overdue, slot->due_ns);
}

/* Ends what is late of one consumer; the earliest deadline of the rest. */
static uint64_t
look(emesh_sub *sub, emesh_consumer *c, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t at = c->open_head, following; at != 0; at = following) {
        emesh_slot *slot = emesh_slot_at(&sub->slots, at - 1);
        following = slot->next;
        if (slot->due_ns > now) {
            next = MIN(next, slot->due_ns);
            continue;
        }
        emesh_consumer_close_offer(sub, slot);
        if ((slot->flags & EMESH_SLOT_CUSTODY) != 0) { /* its copy comes now */
            emesh_consumer_outcome(sub, c, slot, false);
            emesh_custody_over(sub, at - 1);
            continue;
        }
        if (emesh_consumer_outcome(sub, c, slot, false)) {
            emesh_slot_failed(sub, at - 1, EMESH_CAUSE_DEADLINE, "no acknowledgement in time", 0);
        } else {
            emesh_slot_stage(sub, slot, c, EMESH_WHY_NOT_COUNTED, 0, "no acknowledgement in time");
            emesh_slot_back(sub, at - 1);
        }
    }
    return next;
}

void
emesh_sub_overdue(emesh_alarm *alarm)
{
    emesh_sub *sub = (emesh_sub *)((char *)alarm - offsetof(emesh_sub, overdue));
    emesh_worker *worker = sub->owner->lane->worker;
    uint64_t now = emesh_worker_now(worker), next = UINT64_MAX;

    for (uint32_t i = sub->consumers->len; i > 0; i--) { /* who leaves may go with its last offer */
        emesh_consumer *c = sub->consumers->pdata[i - 1];
        uint64_t mine = look(sub, c, now);
        next = MIN(next, mine);
        emesh_consumer_gone(sub->owner->lane, c);
    }
    emesh_worker_alarm(worker, &sub->overdue, next != UINT64_MAX ? next : 0);
    emesh_sub_touch(sub);
}
