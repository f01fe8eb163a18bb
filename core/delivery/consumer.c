/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumers, on the owner's lane: joining and leaving, windows, and the settling of offers.
 */
#include "delivery/rest.h"
#include "event/event.h"

void
emesh_consumer_gone(emesh_bus_lane *here, emesh_consumer *c)
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
    emesh_change *change = c->alone ? NULL
                                    : emesh_change_find(here->delivery, c->topic->name, c->group);

    if (change != NULL && emesh_sub_find(here->delivery, c->topic->name, c->group) == NULL)
        emesh_change_wait(change, c);
    else
        emesh_consumer_enter(here, c);
}

void
emesh_sub_take(emesh_sub *sub, emesh_consumer *c)
{
    c->sub = sub;
    c->number = ++sub->numbers;
    emesh_order_ask(sub, c->ordered);
    g_ptr_array_add(sub->consumers, c);
}

/* Does what is published from now on come? A place that the store keeps is durable before its reader is
 * opened; partitions may come much later, when another daemon gives them back. */
static bool
stands(const emesh_sub *sub)
{
    return sub->state == EMESH_SUB_OPEN || (sub->state == EMESH_SUB_OPENING && sub->cursor != NULL &&
                                            !sub->alone && !sub->keeps);
}

void
emesh_consumer_enter(emesh_bus_lane *here, emesh_consumer *c)
{
    emesh_sub *sub = emesh_sub_get(here->delivery, c);

    emesh_sub_take(sub, c);
    if (stands(sub) && !sub->ending &&
        (sub->change == NULL || !emesh_change_forgets(sub->change)))
        emesh_sub_answer(sub); /* else it is told when the reader stands, or that it is over */
    emesh_sub_touch(sub);
}

void
emesh_consumer_leave(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;

    c->leaving = true;
    if (c->rest != NULL)
        emesh_rest_lost(g_steal_pointer(&c->rest), c->member, mail->n != 0);
    else if (c->sub == NULL && !c->alone)
        emesh_change_unwait(here->delivery, c);
    if (c->sub != NULL && mail->n != 0 && c->sub->consumers->len + emesh_rest_waits(c->sub) == 1)
        c->sub->forget = true;
    if (c->sub != NULL && c->sub->alone && c->open_events > 0)
        emesh_sub_note(c->sub, c, EMESH_WHY_MEMBER_LEFT, c->open_events, NULL);
    if (mail->y != 0) /* the session is over */
        emesh_consumer_return_all(c, mail->x == EMESH_LEFT_CUT);
    emesh_consumer_gone(here, c);
}

void
emesh_consumer_free(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;

    (void)here;
    emesh_bus_topic_unref(c->topic);
    emesh_credit_unref(c->credit);
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

static void
undone(emesh_sub *sub, emesh_consumer *c, uint32_t index, const emesh_mail *mail)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    const char *error = mail->from;

    switch (mail->x) {
    case EMESH_SETTLE_RETURN:
        if (mail->a > 0)
            emesh_consumer_pause(sub, c, mail->a * 1000000u);
        sub->owner->lane->counts.returned++;
        sub->returned++;
        emesh_slot_stage(sub, slot, c, EMESH_WHY_RETURNED, 0, error);
        emesh_slot_back(sub, index);
        break;
    case EMESH_SETTLE_DOWN:
        emesh_consumer_down(sub, c, slot, mail->a * 1000000u, error);
        sub->owner->lane->counts.returned++;
        sub->returned++;
        emesh_slot_stage(sub, slot, c, EMESH_WHY_NOT_COUNTED, 0, error);
        emesh_slot_back(sub, index);
        break;
    case EMESH_SETTLE_DEAD:
        emesh_slot_failed(sub, index, EMESH_CAUSE_REJECTED, error, 0);
        break;
    case EMESH_SETTLE_UNFIT:
        emesh_slot_unfit(sub, index, c->inst, error);
        break;
    default:
        if (emesh_consumer_outcome(sub, c, slot, false)) {
            emesh_slot_failed(sub, index, EMESH_CAUSE_FAILED, error, mail->a * 1000000u);
        } else {
            emesh_slot_stage(sub, slot, c, EMESH_WHY_NOT_COUNTED, 0, error);
            emesh_slot_back(sub, index);
        }
        break;
    }
}

const emesh_event *
emesh_consumer_open_event(emesh_consumer *c, uint64_t id)
{
    uint32_t index = (uint32_t)(id >> 32) & ((1u << EMESH_SLOT_BITS) - 1);
    const emesh_slot *slot;

    if (c->sub == NULL || index / 64u >= c->sub->slots.n_slabs)
        return NULL;
    slot = emesh_slot_at(&c->sub->slots, index);
    return slot->state == EMESH_SLOT_OFFERED && slot->consumer == c && slot->epoch == (uint32_t)id
               ? slot->event
               : NULL;
}

/* x: outcome, a: delay in ms, from: words of the subscriber, given */
void
emesh_consumer_settle(emesh_bus_lane *here, const emesh_mail *mail)
{
    emesh_consumer *c = mail->to;
    emesh_sub *sub = c->sub;
    uint32_t index = (uint32_t)(mail->id >> 32) & ((1u << EMESH_SLOT_BITS) - 1);
    g_autofree char *words = mail->from;
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
    if (mail->x == EMESH_SETTLE_MORE) {
        emesh_offer_deadline(sub, slot, MAX(1u, mail->a) * UINT64_C(1000000));
        return;
    }
    emesh_consumer_close_offer(sub, slot);
    if (mail->x == EMESH_SETTLE_DONE) {
        here->counts.settled++;
        sub->settled++;
        emesh_slot_stage(sub, slot, c, EMESH_WHY_ACKED, 0, NULL);
        emesh_consumer_outcome(sub, c, slot, true);
        emesh_slot_done(sub, index, false);
    } else {
        undone(sub, c, index, mail);
    }
    emesh_consumer_gone(here, c);
    emesh_sub_touch(sub);
}
