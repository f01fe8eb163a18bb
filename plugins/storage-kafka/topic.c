/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics are opened and made on workers: their partitions are asked for, and the producers that they
 * need are there before the first append.
 */
#include "alone.h"
#include "producer.h"
#include "work.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct opening {
    kf_job job;
    emesh_op *op;
    char *name;
    uint32_t partitions, create, level;
    uint64_t retention_ms, retention_bytes;
} opening;

static void
topic_free(kf_topic *topic)
{
    for (uint32_t i = 0; i < 3; i++)
        if (topic->of[i] != NULL)
            rd_kafka_topic_destroy(topic->of[i]);
    g_free(topic->name);
    g_free(topic);
}

/* Producers of the topic's level and of higher ones, which an event may ask for. */
static kf_topic *
topic_new(kf_store *store, const char *name, uint32_t partitions, uint32_t level, emesh_error *err)
{
    kf_topic *topic = g_new0(kf_topic, 1);

    topic->store = store;
    topic->name = g_strdup(name);
    topic->level = level;
    atomic_store(&topic->partitions, partitions);
    for (uint32_t acks = KF_ACKS_ALL; acks <= kf_level_acks(level); acks++) {
        topic->producers[acks] = kf_producer_need(store, acks, err);
        if (topic->producers[acks] != NULL)
            topic->of[acks] = kf_producer_topic(topic->producers[acks], name);
        if (topic->of[acks] == NULL) {
            if (err->code == EMESH_OK)
                kf_error(err, EMESH_E_CONFIG, "librdkafka takes no topic %s", name);
            topic_free(topic);
            return NULL;
        }
    }
    return topic;
}

static void
set_number(rd_kafka_NewTopic_t *topic, const char *key, uint64_t n, uint64_t none)
{
    char text[24];

    if (n == none)
        snprintf(text, sizeof text, "-1");
    else
        snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    rd_kafka_NewTopic_set_config(topic, key, text);
}

/* The result of making one topic; that somebody else was faster is fine. */
static int32_t
made(rd_kafka_event_t *event, const char *name, emesh_error *err)
{
    size_t n = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    rd_kafka_resp_err_t e = n == 1 ? rd_kafka_topic_result_error(results[0])
                                   : RD_KAFKA_RESP_ERR__BAD_MSG;

    if (e == RD_KAFKA_RESP_ERR_NO_ERROR || e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return EMESH_OK;
    return kf_error(err, kf_code(e), "making topic %s at the brokers: %s", name,
                    n == 1 && rd_kafka_topic_result_error_string(results[0]) != NULL
                        ? rd_kafka_topic_result_error_string(results[0])
                        : rd_kafka_err2str(e));
}

static int32_t
create(kf_store *store, const opening *o, emesh_error *err)
{
    char why[256];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
        o->name, o->partitions > 0 ? (int)o->partitions : 1,
        store->opt.replication > 0 ? (int)store->opt.replication : -1, why, sizeof why);
    rd_kafka_AdminOptions_t *opt;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;

    if (topic == NULL)
        return kf_error(err, EMESH_E_CONFIG, "there can be no topic %s: %s", o->name, why);
    set_number(topic, "retention.ms", o->retention_ms, 0);
    set_number(topic, "retention.bytes", o->retention_bytes, 0);
    opt = rd_kafka_AdminOptions_new(store->admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_request_timeout(opt, KF_ASK_MS, why, sizeof why);
    rd_kafka_AdminOptions_set_operation_timeout(opt, KF_ASK_MS, why, sizeof why);
    queue = rd_kafka_queue_new(store->admin);
    rd_kafka_CreateTopics(store->admin, &topic, 1, opt, queue);
    event = kf_ask(queue, err);
    if (event != NULL) {
        made(event, o->name, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_NewTopic_destroy(topic);
    return err->code;
}

/* How many partitions, making the topic when it may be made. */
static uint32_t
partitions_of(kf_store *store, const opening *o, uint32_t *replicas, emesh_error *err)
{
    uint32_t n = kf_ask_partitions(store, o->name, replicas, err);

    if (n > 0 || err->code != EMESH_E_NOT_FOUND || !o->create)
        return n;
    err->code = EMESH_OK;
    if (create(store, o, err) != EMESH_OK)
        return 0;
    for (int i = 0; i < 100 && n == 0 && !store->stopping; i++) { /* until brokers know of it */
        err->code = EMESH_OK;
        n = kf_ask_partitions(store, o->name, replicas, err);
        if (n == 0 && err->code != EMESH_E_NOT_FOUND)
            break;
        if (n == 0)
            nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    return n;
}

static void
open_run(kf_store *store, kf_job *job)
{
    opening *o = (opening *)(void *)job;
    emesh_error err = { .size = sizeof err };
    kf_topic *topic = NULL;
    uint32_t n = 0, replicas = 0;

    if (store->stopping)
        kf_error(&err, EMESH_E_CANCELED, "%s is stopping", store->name);
    else
        n = partitions_of(store, o, &replicas, &err);
    if (n > 0) {
        err.code = EMESH_OK;
        topic = topic_new(store, o->name, n, o->level, &err);
    }
    if (topic != NULL && replicas == 1 && o->level == EMESH_LEVEL_QUORUM)
        kf_say(store, EMESH_LOG_INFO, "topic %s has one replica: level quorum is what one broker "
               "has taken", o->name);
    if (EMESH_CLASS(err.code) == 4) /* asked for, and asked again by whoever needs it */
        err.code = EMESH_E_UNAVAILABLE;
    store->host->complete(store->host, o->op, topic != NULL ? EMESH_OK : err.code,
                          topic != NULL ? NULL : &err, topic);
    g_free(o->name);
    g_free(o);
}

void
kf_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    kf_store *store = kf_store_of(self);
    opening *o = g_new0(opening, 1);

    o->job.run = open_run;
    o->op = op;
    o->name = g_strndup(spec->name.ptr, spec->name.len);
    o->partitions = spec->partitions;
    o->create = spec->create;
    o->level = spec->level;
    o->retention_ms = spec->retention_ms;
    o->retention_bytes = spec->retention_bytes;
    kf_work_add(store->work, &o->job);
}

void
kf_topic_close(emesh_instance *self, emesh_topic *topic)
{
    (void)self;
    topic_free((kf_topic *)(void *)topic);
}

/* ---- the topic of replies ---- */

void
kf_replies_open(kf_store *store)
{
    opening o = { .name = (char *)(uintptr_t)KF_REPLY_TOPIC, .partitions = KF_REPLY_PARTITIONS,
                  .create = 1, .retention_ms = 3600000 };
    emesh_error err = { .size = sizeof err };
    uint32_t n;

    if (atomic_load(&store->replies) != NULL || store->stopping)
        return;
    n = partitions_of(store, &o, NULL, &err);
    if (n == 0)
        return;
    err.code = EMESH_OK;
    atomic_store(&store->replies, topic_new(store, KF_REPLY_TOPIC, n, EMESH_LEVEL_OS, &err));
    if (atomic_load(&store->replies) == NULL)
        return;
    if (n != KF_REPLY_PARTITIONS)
        kf_say(store, EMESH_LOG_WARNING, "topic %s has %u partitions instead of %d: replies between "
               "daemons go astray", KF_REPLY_TOPIC, n, KF_REPLY_PARTITIONS);
    pthread_mutex_lock(&store->lock);
    kf_alone *alone = store->stopping ? NULL : kf_alone_need(store, &err);
    pthread_mutex_unlock(&store->lock);
    if (alone != NULL)
        kf_inbox_wake(kf_alone_inbox(alone));
}

void
kf_replies_close(kf_store *store)
{
    kf_topic *topic = atomic_exchange(&store->replies, NULL);

    if (topic != NULL)
        topic_free(topic);
}
