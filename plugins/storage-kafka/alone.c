/* SPDX-License-Identifier: Apache-2.0
 *
 * See alone.h: the thread, its orders, and where readers begin.
 */
#include "alone.h"

#include "producer.h"
#include "record.h"
#include "work.h"
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)
#define AGAIN_NS (SECOND_NS / 2)

void
kf_apart_free(void *data)
{
    g_free(data);
}

kf_inbox *
kf_alone_inbox(kf_alone *a)
{
    return &a->inbox;
}

/* ---- opening ---- */

static void
announce(kf_alone *a, kf_cursor *c, const rd_kafka_topic_partition_list_t *ends)
{
    for (int i = 0; i < ends->cnt; i++) {
        kf_apart *part = g_new0(kf_apart, 1);
        part->cursor = c;
        part->number = ends->elems[i].partition;
        part->at_open = ends->elems[i].offset;
        part->tail = kf_tail_join(a, c->topic, part->number, part->at_open);
        g_ptr_array_add(c->parts, part);
    }
    g_ptr_array_add(a->cursors, c);
    for (guint i = 0; i < c->parts->len; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "%u", i);
        a->store->st->partition(c->reader, EMESH_PARTITION_ASSIGNED, i, name, (size_t)n, NULL);
    }
}

/* False: later again. */
static bool
open_one(kf_alone *a, kf_cursor *c)
{
    emesh_error err = { .size = sizeof err };
    uint32_t n = kf_ask_partitions(a->store, c->topic, NULL, &err);
    rd_kafka_topic_partition_list_t *ends = kf_parts(c->topic, n, RD_KAFKA_OFFSET_END);
    int32_t code = n > 0 ? kf_ask_offsets(a->store, ends, &err) : err.code;

    if (code == EMESH_OK) {
        announce(a, c, ends);
    } else if (EMESH_CLASS(code) == 2) {
        a->store->st->partition(c->reader, EMESH_PARTITION_END, 0, "", 0, &err);
        g_ptr_array_add(a->cursors, c);
        code = EMESH_OK;
    }
    rd_kafka_topic_partition_list_destroy(ends);
    return code == EMESH_OK;
}

static void
open_all(kf_alone *a)
{
    uint64_t now = a->store->lp->time(NULL, EMESH_CLOCK_MONOTONIC);

    if (a->opening->len == 0 || now < a->again_ns)
        return;
    for (guint i = 0; i < a->opening->len;)
        if (open_one(a, a->opening->pdata[i]))
            g_ptr_array_remove_index(a->opening, i);
        else
            i++;
    a->again_ns = a->opening->len > 0 ? now + AGAIN_NS : 0;
}

/* ---- orders ---- */

static void
close_cursor(kf_alone *a, kf_order *order)
{
    kf_cursor *c = order->cursor;

    for (guint i = 0; i < c->parts->len; i++) {
        kf_apart *part = c->parts->pdata[i];
        kf_late_forget(a, part);
        kf_tail_leave(a, part->tail);
    }
    g_ptr_array_remove(a->cursors, c);
    g_ptr_array_remove(a->opening, c);
    kf_cursor_free(c);
    a->store->host->complete(a->store->host, order->op, EMESH_OK, NULL, NULL);
}

static void
begin(kf_alone *a, const kf_order *order)
{
    kf_apart *part = order->partition < order->cursor->parts->len
                         ? order->cursor->parts->pdata[order->partition] : NULL;

    if (part == NULL)
        return;
    kf_late_forget(a, part);
    part->epoch = order->epoch;
    part->start = order->start;
    part->place = NULL;
    part->told = false;
    part->next = order->start.kind == EMESH_START_AFTER ? (int64_t)order->start.position.lo + 1
                 : order->start.kind == EMESH_START_EARLIEST ||
                           order->start.kind == EMESH_START_TIME
                     ? -1
                     : part->at_open;
}

static void
nothing(kf_cursor *cursor, const emesh_commit *commit)
{
    (void)cursor, (void)commit;
}

static void
obey_all(kf_alone *a)
{
    kf_order *order = kf_inbox_take(&a->inbox, nothing);

    while (order != NULL) {
        kf_order *next = order->next;
        if (order->what == KF_ORDER_OPEN)
            g_ptr_array_add(a->opening, order->cursor);
        else if (order->what == KF_ORDER_BEGIN)
            begin(a, order);
        else if (order->what == KF_ORDER_CLOSE)
            close_cursor(a, order);
        kf_order_free(order);
        order = next;
    }
}

/* ---- replies to this daemon ---- */

static void
follow_replies(kf_alone *a)
{
    const kf_topic *topic = atomic_load(&a->store->replies);
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_error_t *error;

    if (topic == NULL || a->reply_at >= 0)
        return;
    a->reply_at = (int32_t)(kf_key_hash(a->store->address, strlen(a->store->address)) %
                            KF_REPLY_PARTITIONS);
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, KF_REPLY_TOPIC, a->reply_at)->offset =
        RD_KAFKA_OFFSET_END;
    error = rd_kafka_incremental_assign(a->follower, list);
    if (error != NULL)
        rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Others may share the partition. */
static void
take_reply(kf_alone *a, const rd_kafka_message_t *m)
{
    const kf_store *store = a->store;
    emesh_event_view view = { .size = sizeof view };
    const emesh_event *event;
    const emesh_attr *to;
    bool foreign = false;

    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    event = kf_message_in(store, m, &foreign);
    if (event == NULL)
        return;
    store->ev->view(event, &view);
    to = kf_attr(&view, "reply99to99client");
    if (!foreign && to != NULL && to->value_len == strlen(store->address) &&
        memcmp(to->value, store->address, to->value_len) == 0)
        store->st->replied(store->host, &event, 1);
    store->ev->unref(&event, 1);
}

/* ---- the thread ---- */

static bool
follow(kf_alone *a)
{
    for (int i = 0; i < 256; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(a->follower, 0);
        if (m == NULL)
            return false;
        if (m->rkt != NULL && strcmp(rd_kafka_topic_name(m->rkt), KF_REPLY_TOPIC) == 0)
            take_reply(a, m);
        else
            kf_tail_take(a, m);
        rd_kafka_message_destroy(m);
    }
    return true;
}

static bool
feed(kf_alone *a)
{
    bool more = false;

    for (guint i = 0; i < a->cursors->len; i++) {
        kf_cursor *c = a->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            kf_apart *part = c->parts->pdata[k];
            if (part->epoch == 0 || c->want == 0 || c->want_bytes <= 0)
                continue;
            if (part->next >= part->tail->first)
                more |= kf_tail_feed(a, part);
            else
                kf_late_want(a, part);
        }
    }
    return more;
}

static rd_kafka_t *
client(kf_alone *a)
{
    g_autofree char *group = g_strdup_printf("emesh-alone-%s", a->store->address);
    emesh_error err = { .size = sizeof err };
    rd_kafka_t *rk = kf_handle(&a->store, RD_KAFKA_CONSUMER, group, NULL, NULL, &err);
    rd_kafka_queue_t *queue;

    if (rk == NULL)
        return NULL;
    rd_kafka_poll_set_consumer(rk);
    queue = rd_kafka_queue_get_consumer(rk);
    kf_inbox_follow(&a->inbox, queue);
    rd_kafka_queue_destroy(queue);
    return rk;
}

static void *
run(void *data)
{
    kf_alone *a = data;
    bool more = false;

    while (!atomic_load(&a->ending)) {
        kf_inbox_sleep(&a->inbox, more ? 0 : a->opening->len > 0 ? 50 : 200);
        obey_all(a);
        open_all(a);
        follow_replies(a);
        more = follow(a);
        more |= feed(a);
        more |= kf_late_turn(a);
    }
    rd_kafka_consumer_close(a->follower);
    rd_kafka_consumer_close(a->late);
    rd_kafka_destroy(a->follower);
    rd_kafka_destroy(a->late);
    return NULL;
}

static void
alone_free(kf_alone *a)
{
    kf_inbox_clear(&a->inbox);
    g_ptr_array_unref(a->cursors);
    g_ptr_array_unref(a->opening);
    g_ptr_array_unref(a->tails);
    g_free(a);
}

kf_alone *
kf_alone_need(kf_store *store, emesh_error *err)
{
    kf_alone *a = store->alone;

    if (a != NULL)
        return a;
    a = g_new0(kf_alone, 1);
    a->store = store;
    a->reply_at = -1;
    a->cursors = g_ptr_array_new();
    a->opening = g_ptr_array_new();
    a->tails = g_ptr_array_new();
    g_queue_init(&a->behind);
    if (kf_inbox_init(&a->inbox) && (a->follower = client(a)) != NULL &&
        (a->late = client(a)) != NULL && pthread_create(&a->thread, NULL, run, a) == 0)
        return store->alone = a;
    kf_error(err, EMESH_E_NO_MEMORY, "no client for readers without a group of %s", store->name);
    if (a->follower != NULL)
        rd_kafka_destroy(a->follower);
    if (a->late != NULL)
        rd_kafka_destroy(a->late);
    alone_free(a);
    return NULL;
}

void
kf_alone_end(kf_alone *a)
{
    atomic_store(&a->ending, true);
    kf_inbox_wake(&a->inbox);
    pthread_join(a->thread, NULL);
    alone_free(a);
}
