/* SPDX-License-Identifier: Apache-2.0
 *
 * See producer.h. Delivery reports come on the producer's own thread.
 */
#include "producer.h"

#include <string.h>

#define ROUND 256u

uint32_t
kf_level_acks(uint32_t level)
{
    return level == EMESH_LEVEL_MEMORY ? KF_ACKS_NONE
           : level == EMESH_LEVEL_OS   ? KF_ACKS_ONE
                                       : KF_ACKS_ALL;
}

uint32_t
kf_key_hash(const void *key, size_t len)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *at = key;
    uint32_t h = 0x9747b28cu ^ (uint32_t)len;

    for (; len >= 4; len -= 4, at += 4) {
        uint32_t k = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                     (uint32_t)at[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (len == 3)
        h ^= (uint32_t)at[2] << 16;
    if (len >= 2)
        h ^= (uint32_t)at[1] << 8;
    if (len >= 1) {
        h ^= (uint32_t)at[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h & 0x7fffffffu;
}

static void
hand_over(kf_producer *p)
{
    if (p->results->len > 0)
        p->store->st->appended(p->store->host,
                               (const emesh_appended *)(const void *)p->results->data,
                               p->results->len);
    g_array_set_size(p->results, 0);
    if (p->events->len > 0)
        p->store->ev->unref((const emesh_event *const *)p->events->pdata, p->events->len);
    g_ptr_array_set_size(p->events, 0);
}

static void
delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    kf_sent *sent = message->_private;
    kf_producer *p = rd_kafka_topic_opaque(message->rkt);
    const char *why = message->err != 0 ? rd_kafka_err2str(message->err) : "";
    emesh_appended result = {
        .cookie = sent->cookie,
        .code = kf_code_of_message(message->err, rd_kafka_message_status(message)),
        .reason = { why, strlen(why) },
        .level = sent->level,
    };

    (void)rk, (void)opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        result.partition = (uint32_t)MAX(message->partition, 0);
        if (message->offset >= 0) /* nobody tells it with acks=0 */
            result.position.lo = (uint64_t)message->offset;
    }
    g_array_append_val(p->results, result);
    if (sent->event != NULL)
        g_ptr_array_add(p->events, (void *)(uintptr_t)sent->event);
    p->store->ev->buf_unref(sent->text);
    g_free(sent);
    if (p->results->len >= ROUND)
        hand_over(p);
}

static void *
run(void *data)
{
    kf_producer *p = data;

    while (!atomic_load(&p->ending)) {
        rd_kafka_poll(p->rk, 100);
        hand_over(p);
    }
    return NULL;
}

static void
shape(rd_kafka_conf_t *conf, void *ctx)
{
    uint32_t acks = *(const uint32_t *)ctx;

    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    kf_conf(conf, "sticky.partitioning.linger.ms", "0"); /* what has no key goes by the hash too */
    kf_conf(conf, "acks", acks == KF_ACKS_ALL ? "all" : acks == KF_ACKS_ONE ? "1" : "0");
    if (acks == KF_ACKS_ALL)
        kf_conf(conf, "enable.idempotence", "true");
    else
        kf_conf(conf, "max.in.flight.requests.per.connection", "1");
}

static kf_producer *
make(kf_store *store, uint32_t acks, emesh_error *err)
{
    kf_producer *p = g_new0(kf_producer, 1);

    p->store = store;
    p->results = g_array_new(FALSE, FALSE, sizeof(emesh_appended));
    p->events = g_ptr_array_new();
    p->rk = kf_handle(&p->store, RD_KAFKA_PRODUCER, NULL, shape, &acks, err);
    if (p->rk != NULL && pthread_create(&p->thread, NULL, run, p) == 0)
        return p;
    if (p->rk != NULL) {
        rd_kafka_destroy(p->rk);
        kf_error(err, EMESH_E_NO_MEMORY, "no thread for a producer of %s", store->name);
    }
    g_array_unref(p->results);
    g_ptr_array_unref(p->events);
    g_free(p);
    return NULL;
}

kf_producer *
kf_producer_need(kf_store *store, uint32_t acks, emesh_error *err)
{
    kf_producer *p;

    pthread_mutex_lock(&store->lock);
    p = store->producers[acks];
    if (p == NULL && !store->stopping)
        p = store->producers[acks] = make(store, acks, err);
    else if (p == NULL)
        kf_error(err, EMESH_E_CANCELED, "%s is stopping", store->name);
    pthread_mutex_unlock(&store->lock);
    return p;
}

void
kf_producer_end(kf_producer *p)
{
    rd_kafka_flush(p->rk, 5000); /* the thread goes on handing over */
    if (rd_kafka_outq_len(p->rk) > 0) {
        rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(p->rk, 1000);
    }
    atomic_store(&p->ending, true);
    pthread_join(p->thread, NULL);
    rd_kafka_poll(p->rk, 0);
    hand_over(p);
    rd_kafka_destroy(p->rk);
    g_array_unref(p->results);
    g_ptr_array_unref(p->events);
    g_free(p);
}

static int32_t
place(const rd_kafka_topic_t *rkt, const void *key, size_t len, int32_t partitions, void *topic,
      void *message)
{
    const kf_sent *sent = message;

    (void)rkt, (void)key, (void)len, (void)topic;
    return (int32_t)(sent->hash % (uint32_t)partitions);
}

rd_kafka_topic_t *
kf_producer_topic(kf_producer *p, const char *name)
{
    /* starts from what the options say for topics in general */
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(p->rk);

    rd_kafka_topic_conf_set_partitioner_cb(conf, place);
    rd_kafka_topic_conf_set_opaque(conf, p);
    return rd_kafka_topic_new(p->rk, name, conf);
}
