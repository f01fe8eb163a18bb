/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumers, on the owner's lane: joining and leaving, windows, and the settling of offers.
 */
#include "delivery/sub.h"
#include "event/event.h"

static void
gone(emesh_bus_lane *here, emesh_consumer *c)
{
    emesh_sub *sub = c->sub;

    if (c->gone_sent || !c->leaving || c->open_events > 0)
        return;
    c->gone_sent = true;
    if (sub != NULL) {
        g_ptr_array_remove_fast(sub->consumers, c);
        emesh_sub_touch(sub);
    }
    c->sub = NULL;
    emesh_mail_to(here, c->home, emesh_member_gone, c->member);
}

void
emesh_consumer_join(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;
    emesh_sub *sub = emesh_sub_get(here->delivery, c);

    c->sub = sub;
    g_ptr_array_add(sub->consumers, c);
    if (sub->state == EMESH_SUB_OPEN && !sub->ending)
        emesh_sub_answer(sub); /* else it is told when the reader stands, or that it is over */
    emesh_sub_touch(sub);
}

void
emesh_consumer_leave(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;

    c->leaving = true;
    if (c->sub != NULL && mail->n != 0 && c->sub->consumers->len == 1)
        c->sub->forget = true;
    if (mail->y != 0) /* the session is over: how it ended will matter to suspects */
        emesh_consumer_return_all(c);
    gone(here, c);
}

void
emesh_consumer_free(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;

    (void)here;
    emesh_bus_topic_unref(c->topic);
    g_free(c->group);
    g_free(c);
}

void
emesh_consumer_window(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;

    (void)here;
    c->window_events = mail->x;
    c->window_bytes = mail->a;
    if (c->sub != NULL)
        emesh_sub_touch(c->sub);
}

#define RETRY_WAIT_NS (1000u * 1000000ull)
#define REFUSED_WAIT_NS (60000u * 1000000ull)

void
emesh_consumer_settle(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;
    emesh_sub *sub = c->sub;
    uint32_t index = (uint32_t)(mail->id >> 32) & ((1u << EMESH_SLOT_BITS) - 1);
    emesh_slot *slot;

    if (sub == NULL || index / 64u >= sub->slots.n_slabs) {
        here->counts.stale_settles++;
        return;
    }
    slot = emesh_slot_at(&sub->slots, index);
    if (slot->state != EMESH_SLOT_OFFERED || slot->consumer != c ||
        slot->epoch != (uint32_t)mail->id) {
        here->counts.stale_settles++;
        return;
    }
    if (mail->x == EMESH_SETTLE_MORE)
        return; /* no deadline runs yet that it could put off */
    emesh_consumer_close_offer(sub, slot);
    if (mail->x == EMESH_SETTLE_DONE) {
        emesh_window *window = sub->windows->pdata[slot->partition];
        emesh_commit one = { .position = slot->position, .partition = window->number,
                             .epoch = window->epoch, .outcome = EMESH_COMMIT_ONE };
        here->counts.settled++;
        sub->settled++;
        if (!emesh_slots_settle(&sub->slots, window, index) && !sub->alone &&
            emesh_store_can(sub->store, EMESH_STORE_CAN_ACK_EACH))
            g_array_append_val(sub->commits, one);
    } else if (mail->x == EMESH_SETTLE_RETURN) {
        here->counts.returned++;
        sub->returned++;
        emesh_slots_return(&sub->slots, index);
    } else {
        bool refused = mail->x == EMESH_SETTLE_DEAD || mail->x == EMESH_SETTLE_UNFIT;
        uint64_t wait = MAX(mail->a * 1000000u, refused ? REFUSED_WAIT_NS : RETRY_WAIT_NS);
        if (refused)
            emesh_bus_warn(here->bus, "delivery", "group \"%s\" refuses an event of topic \"%s\"; it stays and is "
                       "offered again in a minute", sub->group, sub->topic->name);
        slot->attempt++;
        emesh_sub_wait(sub, index, wait);
    }
    gone(here, c);
    emesh_sub_touch(sub);
}
