/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of a subscription: opened when its place is known, closed when nobody wants it, its topic
 * goes or its place changes, and opened again when the store is back. [owner's lane]
 */
#include "delivery/rest.h"

static void
open_reader(emesh_sub *sub)
{
    emesh_inst *inst = sub->store->inst;
    emesh_read_spec spec = {
        .size = sizeof spec,
        .mode = sub->alone || sub->keeps ? EMESH_READ_ALONE : EMESH_READ_SHARED,
        .topic = sub->topic->handle,
        .group = { sub->group, strlen(sub->group) },
        .options = sub->options,
        .flags = sub->ordered ? EMESH_READ_ORDERED : 0u,
    };

    sub->loop = emesh_inst_loop(inst, sub->owner->lane->worker);
    sub->opened = emesh_topic_reading(sub->topic, sub->opened);
    sub->state = EMESH_SUB_OPENING;
    sub->asked = 0;
    sub->asked_bytes = 0;
    sub->cursor = inst->storage.open(sub->loop->lane, &spec, &sub->reader);
    if (sub->cursor == NULL) {
        emesh_sub_failed(sub, EMESH_E_NO_MEMORY, "the store could not open a reader");
        return;
    }
    if (!sub->alone && !sub->keeps)
        emesh_sub_answer(sub); /* the place is durable: what is published now will come */
    emesh_inbox_enter(sub);
    emesh_sub_touch(sub);
}

void
emesh_sub_placed(emesh_sub *sub, int32_t code, const char *why)
{
    if (code != EMESH_OK)
        emesh_sub_failed(sub, code, why);
    else if (emesh_sub_is_wanted(sub) && !sub->ending && !sub->pausing && sub->change == NULL)
        open_reader(sub);
    else
        emesh_sub_touch(sub);
    if (sub->cursor == NULL)
        sub->state = EMESH_SUB_OPEN; /* without a reader: the pump ends or reopens it */
}

/* ---- the store is away ---- */

#define ASK_AGAIN_NS (500u * 1000000ull)
#define HURT_NS (5 * UINT64_C(1000000000)) /* one of the daemon's own that failed */

static void
topic_back(emesh_topic_waiter *waiter, emesh_bus_lane *lane, emesh_bus_topic *topic, int32_t code,
           const char *why)
{
    emesh_sub *sub = (emesh_sub *)((char *)waiter - offsetof(emesh_sub, waiter));

    sub->waiter.ready = NULL;
    if (sub->ending || !emesh_sub_is_wanted(sub)) {
        sub->state = EMESH_SUB_OPEN; /* without a reader: the pump ends it */
        emesh_sub_touch(sub);
    } else if (topic != NULL) {
        emesh_bus_topic_unref(sub->topic);
        sub->topic = emesh_bus_topic_ref(topic);
        sub->store = topic->store;
        sub->reader.inst = topic->store->inst;
        sub->state = EMESH_SUB_PLACING;
        emesh_sub_place(sub);
    } else if (EMESH_CLASS(code) == 3) {
        emesh_worker_alarm(lane->worker, &sub->again,
                           emesh_worker_now(lane->worker) + ASK_AGAIN_NS);
    } else {
        sub->state = EMESH_SUB_OPEN;
        emesh_sub_failed(sub, code, why);
    }
}

void
emesh_sub_ask_again(emesh_alarm *alarm)
{
    emesh_sub *sub = (emesh_sub *)((char *)alarm - offsetof(emesh_sub, again));
    emesh_bus_lane *lane = sub->owner->lane;
    emesh_bus_topic *known = emesh_topic_find(lane, sub->topic->name, sub->topic->name_len);

    sub->waiter.ready = topic_back;
    if (known != NULL && known != sub->topic)
        topic_back(&sub->waiter, lane, known, EMESH_OK, NULL);
    else
        emesh_topic_await(lane, sub->topic->name, sub->topic->name_len, &sub->waiter);
}

/* The reader is closed and nothing of it is under way: read on, wait for the store, or end. */
static void
after_reader(emesh_sub *sub)
{
    sub->closed = false;
    if (sub->watch != NULL && emesh_rest_make(sub))
        return;
    if (sub->change != NULL && !sub->ending && !sub->pausing) {
        sub->state = EMESH_SUB_CHANGING;
        emesh_change_begin(sub->change);
        return;
    }
    if (sub->change != NULL)
        emesh_change_refuse(g_steal_pointer(&sub->change),
                            "the topic goes, or its store, or the daemon is stopping");
    if (emesh_sub_is_wanted(sub) && sub->pausing && !sub->ending) {
        sub->pausing = false;
        sub->state = EMESH_SUB_PAUSED;
        emesh_sub_tell_ended(sub);
        if (sub->hurt)
            emesh_worker_alarm(sub->owner->lane->worker, &sub->again,
                               emesh_worker_now(sub->owner->lane->worker) + HURT_NS);
        else if (!sub->owner->lane->draining)
            emesh_sub_ask_again(&sub->again);
        sub->hurt = false;
        return;
    }
    if (emesh_sub_is_wanted(sub) && !sub->ending) {
        sub->state = EMESH_SUB_PLACING;
        emesh_sub_place(sub);
        return;
    }
    if (sub->ending)
        emesh_sub_tell_end(sub, EMESH_E_NOT_FOUND, "the topic has been deleted or the daemon is stopping");
    if (sub->forget && !sub->alone && !sub->keeps)
        emesh_group_forget(sub->topic, sub->group);
    emesh_sub_free(sub);
}

void
emesh_sub_changed(emesh_sub *sub)
{
    sub->change = NULL;
    after_reader(sub);
}

void
emesh_sub_saved(emesh_sub *sub)
{
    if (sub->closed)
        after_reader(sub);
}

static void
reader_closed(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_sub *sub = ctx;

    (void)value;
    if (code != EMESH_OK)
        emesh_bus_warn(sub->owner->lane->bus, "delivery",
                       "closing the reader of group \"%s\" on \"%s\": %s", sub->group,
                       sub->topic->name, err != NULL ? err->text : "failed");
    sub->cursor = NULL;
    sub->opened = emesh_topic_reading(NULL, sub->opened);
    sub->closed = true;
    if (sub->saving == 0)
        after_reader(sub);
}

/* What one of the daemon's own lent out comes back before it goes. */
static void
recall(emesh_sub *sub)
{
    for (uint32_t i = 0; sub->role != NULL && i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        for (uint32_t k = 0; k < window->order.n; k++)
            sub->role->drop(sub, window->order.at[(window->order.head + k) &
                                                  (window->order.room - 1)]);
    }
}

void
emesh_sub_close_reader(emesh_sub *sub)
{
    emesh_inst *inst = sub->store->inst;

    if (sub->keeps)
        emesh_positions_save(&sub->save);
    sub->state = EMESH_SUB_CLOSING;
    for (uint32_t i = 0; i < sub->consumers->len; i++)
        emesh_consumer_return_all(sub->consumers->pdata[i], false); /* before their slots go */
    emesh_inbox_leave(sub);
    recall(sub);
    emesh_order_clear(sub);
    for (uint32_t i = 0; i < sub->windows->len; i++)
        emesh_slots_forget(&sub->slots, sub->windows->pdata[i]);
    g_array_set_size(sub->waiting, 0);
    g_array_set_size(sub->unfit, 0);
    g_ptr_array_set_size(sub->windows, 0);
    emesh_sub_count(sub);
    if (sub->cursor == NULL) {
        reader_closed(sub, EMESH_OK, NULL, NULL);
        return;
    }
    inst->storage.close(sub->cursor,
                        emesh_op_new(inst, sub->owner->lane->worker, NULL, reader_closed, sub));
}
