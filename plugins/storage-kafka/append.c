/* SPDX-License-Identifier: Apache-2.0
 *
 * Appends: events into the queues of producers, on the lanes. Nothing here waits; what cannot be queued
 * is answered at once, the rest by its delivery report.
 */
#include "producer.h"
#include "record.h"

#include <string.h>

static void
answer(const kf_store *store, const emesh_append *item, int32_t code, const char *why)
{
    emesh_appended result = { .cookie = item->cookie, .code = code,
                              .reason = { why, strlen(why) } };

    store->st->appended(store->host, &result, 1);
}

typedef struct payload {
    void *ptr; /* NULL: null */
    size_t len;
    bool copy; /* librdkafka frees it; else the event keeps it */
} payload;

static bool
payload_of(const emesh_event_view *view, payload *out)
{
    size_t at = 0;

    *out = (payload){ .len = view->data_len };
    if (view->data_form == EMESH_DATA_NONE)
        return true;
    if (view->n_data == 1) {
        out->ptr = (void *)(uintptr_t)view->data[0].ptr;
    } else if (view->data_len > 0) {
        out->ptr = malloc(view->data_len);
        out->copy = true;
        if (out->ptr == NULL)
            return false;
        for (uint32_t i = 0; i < view->n_data; at += view->data[i++].len)
            memcpy((char *)out->ptr + at, view->data[i].ptr, view->data[i].len);
    }
    if (out->ptr == NULL) /* empty, which is not null */
        out->ptr = (void *)(uintptr_t)"";
    return true;
}

/* What the record's value is, and who keeps it. */
static bool
value_of(const kf_store *store, const emesh_event *event, const emesh_event_view *view,
         kf_sent *sent, payload *out)
{
    emesh_part text = { NULL, 0, NULL };

    if (kf_record_structured(view)) {
        if (store->ev->encode(store->host, EMESH_FORM_JSON, &event, 1, &text) != EMESH_OK)
            return false;
        sent->text = text.owner;
        *out = (payload){ .ptr = (void *)(uintptr_t)text.ptr, .len = text.len };
        return true;
    }
    if (!payload_of(view, out))
        return false;
    if (!out->copy && out->ptr != NULL)
        sent->event = store->ev->ref(event);
    return true;
}

static emesh_slice
key_of(const kf_lane *lane, const emesh_append *item, const emesh_event_view *view)
{
    const emesh_attr *attr;

    if (item->key.len > 0)
        return item->key;
    attr = kf_attr(view, "partitionkey");
    if (attr != NULL && attr->value_len > 0)
        return (emesh_slice){ attr->value, attr->value_len };
    return (emesh_slice){ lane->key, strlen(lane->key) };
}

/* Queues one; 0, or why not. */
static rd_kafka_resp_err_t
produce(kf_lane *lane, const emesh_append *item, const emesh_event_view *view, uint32_t acks,
        const kf_topic *topic, int32_t partition)
{
    kf_store *store = lane->store;
    rd_kafka_headers_t *headers = kf_record_headers(view);
    const emesh_attr *named = store->opt.record_key ? kf_attr(view, "partitionkey") : NULL;
    const void *record_key = named != NULL ? named->value : NULL;
    size_t record_key_len = named != NULL ? named->value_len : 0;
    emesh_slice key = key_of(lane, item, view);
    kf_sent *sent = g_new0(kf_sent, 1);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__FAIL;
    payload data;

    *sent = (kf_sent){ .cookie = item->cookie,
                       .hash = kf_key_hash(key.ptr, key.len),
                       .level = acks == KF_ACKS_ALL   ? EMESH_LEVEL_QUORUM
                                : acks == KF_ACKS_ONE ? EMESH_LEVEL_OS
                                                      : EMESH_LEVEL_MEMORY };
    if (headers != NULL && value_of(store, item->event, view, sent, &data)) {
        err = rd_kafka_producev(
            topic->producers[acks]->rk, RD_KAFKA_V_RKT(topic->of[acks]), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_MSGFLAGS(data.copy ? RD_KAFKA_MSG_F_FREE : 0),
            RD_KAFKA_V_VALUE(data.ptr, data.len),
            RD_KAFKA_V_KEY(record_key, record_key_len),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(sent), RD_KAFKA_V_END);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR && data.copy)
            free(data.ptr);
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return err;
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    if (sent->event != NULL)
        store->ev->unref(&sent->event, 1);
    store->ev->buf_unref(sent->text);
    g_free(sent);
    return err;
}

/* An answer to another daemon: into the partition that it reads. */
static const kf_topic *
reply_place(kf_store *store, const emesh_event_view *view, int32_t *partition)
{
    const emesh_attr *to = kf_attr(view, "reply99to99client");

    if (to == NULL)
        return NULL;
    *partition = (int32_t)(kf_key_hash(to->value, to->value_len) % KF_REPLY_PARTITIONS);
    return atomic_load(&store->replies);
}

static void
append_one(kf_lane *lane, const emesh_append *item)
{
    kf_store *store = lane->store;
    bool reply = (item->flags & EMESH_APPEND_REPLY) != 0;
    uint32_t acks = reply ? KF_ACKS_ONE : kf_level_acks(item->level);
    int32_t partition = RD_KAFKA_PARTITION_UA;
    emesh_event_view view = { .size = sizeof view };
    const kf_topic *topic;
    rd_kafka_resp_err_t err;

    store->ev->view(item->event, &view);
    topic = reply ? reply_place(store, &view, &partition)
                  : (const kf_topic *)(const void *)item->topic;
    if (topic == NULL || topic->of[acks] == NULL) {
        answer(store, item, EMESH_E_UNAVAILABLE,
               reply ? "replies to other daemons cannot be sent: their topic is not there yet"
                     : "the topic was opened for a lower level");
        return;
    }
    err = produce(lane, item, &view, acks, topic, partition);
    if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        answer(store, item, EMESH_E_TOO_LARGE,
               "the event is larger than librdkafka.message.max.bytes allows");
    else if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        answer(store, item, kf_code(err), rd_kafka_err2str(err));
}

void
kf_append(emesh_lane *self, const emesh_append *items, uint32_t n)
{
    kf_lane *lane = (kf_lane *)(void *)self;

    for (uint32_t i = 0; i < n; i++)
        append_one(lane, &items[i]);
}
