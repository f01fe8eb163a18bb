/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of topics and of places of groups. The op comes on main and is done by a worker.
 */
#include "admin.h"

#include "group.h"
#include <stdlib.h>
#include <string.h>

/* ---- places ---- */

int32_t
kf_start_offsets(kf_store *store, const emesh_start *start, rd_kafka_topic_partition_list_t *parts,
                 emesh_error *err)
{
    rd_kafka_topic_partition_list_t *ends;
    int32_t code;

    for (int i = 0; i < parts->cnt; i++)
        parts->elems[i].offset = start->kind == EMESH_START_EARLIEST ? RD_KAFKA_OFFSET_BEGINNING
                                 : start->kind == EMESH_START_TIME   ? (int64_t)start->time_ms
                                                                     : RD_KAFKA_OFFSET_END;
    code = kf_ask_offsets(store, parts, err);
    if (code != EMESH_OK ||
        (start->kind != EMESH_START_TIME && start->kind != EMESH_START_AFTER))
        return code;
    ends = rd_kafka_topic_partition_list_copy(parts);
    for (int i = 0; i < ends->cnt; i++)
        ends->elems[i].offset = RD_KAFKA_OFFSET_END;
    code = kf_ask_offsets(store, ends, err);
    for (int i = 0; i < parts->cnt && code == EMESH_OK; i++) {
        if (start->kind == EMESH_START_AFTER)
            parts->elems[i].offset =
                (int64_t)MIN(start->position.lo + 1, (uint64_t)ends->elems[i].offset);
        else if (parts->elems[i].offset < 0) /* nothing is that young */
            parts->elems[i].offset = ends->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(ends);
    return code;
}

/* Partitions of the topic in which the group has no place. any: it has one in some. */
static rd_kafka_topic_partition_list_t *
without_place(kf_store *store, const kf_asked *asked, uint32_t n, bool *any, emesh_error *err)
{
    rd_kafka_topic_partition_list_t *places = kf_parts(asked->topic, n, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_topic_partition_list_t *out = NULL;

    *any = false;
    if (kf_ask_places(store, asked->group, &places, err) == EMESH_OK) {
        out = rd_kafka_topic_partition_list_new((int)n);
        for (int i = 0; i < places->cnt; i++) {
            if (places->elems[i].offset < 0)
                rd_kafka_topic_partition_list_add(out, asked->topic, places->elems[i].partition);
            else
                *any = true;
        }
    }
    rd_kafka_topic_partition_list_destroy(places);
    return out;
}

static int32_t
place(kf_store *store, const kf_asked *asked, emesh_error *err)
{
    static const emesh_start earliest = { .size = sizeof earliest, .kind = EMESH_START_EARLIEST };
    uint32_t n = kf_ask_partitions(store, asked->topic, NULL, err);
    rd_kafka_topic_partition_list_t *parts;
    bool any;
    int32_t code;

    if (n == 0)
        return err->code;
    if (!kf_group_room(store, asked->group))
        return kf_error(err, EMESH_E_DENIED, "group %s would be one more than the %u that max-groups "
                        "of %s allows", asked->group, store->opt.max_groups, store->name);
    parts = without_place(store, asked, n, &any, err);
    if (parts == NULL)
        return err->code;
    /* what the group does not know although it knows others came later: it begins at its first */
    code = parts->cnt == 0 ? EMESH_OK
                           : kf_start_offsets(store, any ? &earliest : &asked->start, parts, err);
    if (code == EMESH_OK)
        code = kf_ask_place(store, asked->group, parts, err);
    rd_kafka_topic_partition_list_destroy(parts);
    return code;
}

static bool
number_of(const char *text, uint32_t n, int32_t *out)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);

    *out = (int32_t)number;
    return end != text && *end == '\0' && number < n;
}

static int32_t
seek(kf_store *store, const kf_asked *asked, emesh_error *err)
{
    uint32_t n = kf_ask_partitions(store, asked->topic, NULL, err);
    rd_kafka_topic_partition_list_t *parts;
    int32_t only = 0, code;

    if (n == 0)
        return err->code;
    if (asked->partition != NULL && !number_of(asked->partition, n, &only))
        return kf_error(err, EMESH_E_NOT_FOUND, "topic %s has no partition %s", asked->topic,
                        asked->partition);
    code = kf_group_leave(store, asked->group, err);
    if (code != EMESH_OK)
        return code;
    parts = kf_parts(asked->topic, n, 0);
    if (asked->partition != NULL) {
        rd_kafka_topic_partition_list_destroy(parts);
        parts = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(parts, asked->topic, only);
    }
    code = kf_start_offsets(store, &asked->start, parts, err);
    if (code == EMESH_OK)
        code = kf_ask_place(store, asked->group, parts, err);
    rd_kafka_topic_partition_list_destroy(parts);
    return code;
}

static rd_kafka_AdminOptions_t *
options(kf_store *store, rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(store->admin, op);
    char why[64];

    rd_kafka_AdminOptions_set_request_timeout(opt, KF_ASK_MS, why, sizeof why);
    return opt;
}

static int32_t
judge_group(const rd_kafka_group_result_t *const *results, size_t n, const char *group,
            emesh_error *err)
{
    const rd_kafka_error_t *e = n == 1 ? rd_kafka_group_result_error(results[0]) : NULL;
    const rd_kafka_topic_partition_list_t *parts =
        n == 1 ? rd_kafka_group_result_partitions(results[0]) : NULL;

    if (e != NULL)
        return rd_kafka_error_code(e) == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND
                   ? EMESH_OK
                   : kf_error(err, kf_code(rd_kafka_error_code(e)), "group %s: %s", group,
                              rd_kafka_error_string(e));
    for (int i = 0; parts != NULL && i < parts->cnt; i++)
        if (parts->elems[i].err == RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC)
            return kf_error(err, EMESH_E_BUSY, "group %s has subscribers of topic %s elsewhere", group,
                            parts->elems[i].topic);
    return EMESH_OK;
}

static int32_t
forget(kf_store *store, const kf_asked *asked, emesh_error *err)
{
    uint32_t n = kf_ask_partitions(store, asked->topic, NULL, err);
    rd_kafka_topic_partition_list_t *parts;
    rd_kafka_DeleteConsumerGroupOffsets_t *what;
    rd_kafka_AdminOptions_t *opt;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    size_t cnt = 0;
    int32_t code;

    if (n == 0)
        return err->code == EMESH_E_NOT_FOUND ? EMESH_OK : err->code;
    code = kf_group_leave(store, asked->group, err);
    if (code != EMESH_OK)
        return code;
    parts = kf_parts(asked->topic, n, 0);
    what = rd_kafka_DeleteConsumerGroupOffsets_new(asked->group, parts);
    opt = options(store, RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS);
    queue = rd_kafka_queue_new(store->admin);
    rd_kafka_DeleteConsumerGroupOffsets(store->admin, &what, 1, opt, queue);
    event = kf_ask(queue, err);
    code = err->code;
    if (event != NULL) {
        const rd_kafka_group_result_t **results = rd_kafka_DeleteConsumerGroupOffsets_result_groups(
            rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &cnt);
        code = judge_group(results, cnt, asked->group, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(what);
    rd_kafka_topic_partition_list_destroy(parts);
    return code;
}

/* ---- topics ---- */

static int32_t
delete_topic(kf_store *store, const kf_asked *asked, emesh_error *err)
{
    rd_kafka_DeleteTopic_t *what = rd_kafka_DeleteTopic_new(asked->topic);
    rd_kafka_AdminOptions_t *opt = options(store, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(store->admin);
    rd_kafka_event_t *event;
    size_t n = 0;

    rd_kafka_DeleteTopics(store->admin, &what, 1, opt, queue);
    event = kf_ask(queue, err);
    if (event != NULL) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
        rd_kafka_resp_err_t e = n == 1 ? rd_kafka_topic_result_error(results[0])
                                       : RD_KAFKA_RESP_ERR__BAD_MSG;
        if (e != RD_KAFKA_RESP_ERR_NO_ERROR)
            kf_error(err, kf_code(e), "deleting topic %s at the brokers: %s", asked->topic,
                     rd_kafka_err2str(e));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_DeleteTopic_destroy(what);
    return err->code;
}

static int32_t
trim(kf_store *store, const kf_asked *asked, emesh_error *err)
{
    uint32_t n = kf_ask_partitions(store, asked->topic, NULL, err);
    rd_kafka_topic_partition_list_t *parts;
    rd_kafka_DeleteRecords_t *what;
    rd_kafka_AdminOptions_t *opt;
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    int32_t number;

    if (n == 0)
        return err->code;
    if (asked->partition == NULL || !number_of(asked->partition, n, &number))
        return kf_error(err, EMESH_E_NOT_FOUND, "topic %s has no partition %s", asked->topic,
                        asked->partition != NULL ? asked->partition : "without number");
    parts = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(parts, asked->topic, number)->offset =
        (int64_t)asked->position.lo;
    what = rd_kafka_DeleteRecords_new(parts);
    opt = options(store, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    queue = rd_kafka_queue_new(store->admin);
    rd_kafka_DeleteRecords(store->admin, &what, 1, opt, queue);
    event = kf_ask(queue, err);
    if (event != NULL) {
        const rd_kafka_topic_partition_list_t *done =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
        if (done->cnt == 1 && done->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            kf_error(err, kf_code(done->elems[0].err), "trimming topic %s: %s", asked->topic,
                     rd_kafka_err2str(done->elems[0].err));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_DeleteRecords_destroy(what);
    rd_kafka_topic_partition_list_destroy(parts);
    return err->code;
}

/* ---- the op ---- */

static int32_t
change(kf_store *store, const kf_asked *asked, emesh_error *err)
{
    if (asked->topic == NULL)
        return kf_error(err, EMESH_E_INVALID, "a topic has to be named");
    switch (asked->what) {
    case EMESH_CHANGE_DELETE:
        return delete_topic(store, asked, err);
    case EMESH_CHANGE_TRIM:
        return trim(store, asked, err);
    default:
        break;
    }
    if (asked->group == NULL)
        return kf_error(err, EMESH_E_INVALID, "a group has to be named");
    switch (asked->what) {
    case EMESH_CHANGE_FORGET:
        return forget(store, asked, err);
    case EMESH_CHANGE_PLACE:
        return place(store, asked, err);
    case EMESH_CHANGE_SEEK:
        return seek(store, asked, err);
    default:
        return kf_error(err, EMESH_E_UNSUPPORTED, "storage-kafka cannot do that with topic %s",
                        asked->topic);
    }
}

static void
admin_run(kf_store *store, kf_job *job)
{
    kf_asked *asked = (kf_asked *)(void *)job;
    emesh_error err = { .size = sizeof err };
    int32_t code;

    if (store->stopping) {
        code = kf_error(&err, EMESH_E_CANCELED, "%s is stopping", store->name);
        store->host->complete(store->host, asked->op, code, &err, NULL);
    } else if (asked->what >= EMESH_LIST_TOPICS) {
        kf_list(store, asked);
    } else {
        code = change(store, asked, &err);
        if (EMESH_CLASS(code) == 4 && asked->what == EMESH_CHANGE_PLACE)
            code = err.code = EMESH_E_UNAVAILABLE; /* made twice is made once */
        store->host->complete(store->host, asked->op, code, code != EMESH_OK ? &err : NULL, NULL);
    }
    g_free(asked->topic);
    g_free(asked->group);
    g_free(asked->partition);
    g_free(asked->source);
    g_free(asked->id);
    g_free(asked);
}

static char *
text_of(const emesh_slice *slice)
{
    return slice->len > 0 ? g_strndup(slice->ptr, slice->len) : NULL;
}

void
kf_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op)
{
    kf_store *store = kf_store_of(self);
    kf_asked *asked = g_new0(kf_asked, 1);

    asked->job.run = admin_run;
    asked->op = op;
    asked->what = what->what;
    asked->topic = text_of(&what->topic);
    asked->group = text_of(&what->group);
    asked->partition = text_of(&what->partition);
    asked->source = text_of(&what->source);
    asked->id = text_of(&what->id);
    asked->position = what->position;
    asked->has_start = what->start != NULL;
    asked->start = (emesh_start){ .size = sizeof asked->start, .kind = EMESH_START_LATEST };
    if (what->start != NULL)
        asked->start = *what->start;
    kf_work_add(store->work, &asked->job);
}
