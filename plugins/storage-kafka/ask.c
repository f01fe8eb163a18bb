/* SPDX-License-Identifier: Apache-2.0
 *
 * See work.h: questions to brokers that wait for their answer. On workers and on threads of groups,
 * never on a lane.
 */
#include "group.h"
#include "work.h"

#include <string.h>
#include <time.h>

rd_kafka_event_t *
kf_ask(rd_kafka_queue_t *queue, emesh_error *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * KF_ASK_MS);

    if (event == NULL) {
        kf_error(err, EMESH_E_TIMEOUT, "the brokers did not answer within %d s",
                 2 * KF_ASK_MS / 1000);
        return NULL;
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kf_error(err, kf_code(rd_kafka_event_error(event)), "%s",
                 rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

rd_kafka_topic_partition_list_t *
kf_parts(const char *topic, uint32_t n, int64_t offset)
{
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new((int)n);

    for (uint32_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(parts, topic, (int32_t)i)->offset = offset;
    return parts;
}

uint32_t
kf_ask_partitions(kf_store *store, const char *topic, uint32_t *replicas, emesh_error *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(store->admin, topic, NULL);
    const struct rd_kafka_metadata *data = NULL;
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR__FAIL;
    uint32_t n = 0;

    if (rkt != NULL)
        e = rd_kafka_metadata(store->admin, 0, rkt, &data, KF_ASK_MS);
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR && data->topic_cnt == 1)
        e = data->topics[0].err;
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR && data->topic_cnt == 1) {
        n = (uint32_t)data->topics[0].partition_cnt;
        if (replicas != NULL)
            *replicas = n > 0 ? (uint32_t)data->topics[0].partitions[0].replica_cnt : 0;
    }
    if (n == 0)
        kf_error(err, e == RD_KAFKA_RESP_ERR_NO_ERROR ? EMESH_E_NOT_FOUND : kf_code(e),
                 "topic %s at the brokers: %s", topic, rd_kafka_err2str(e));
    if (data != NULL)
        rd_kafka_metadata_destroy(data);
    if (rkt != NULL)
        rd_kafka_topic_destroy(rkt);
    return n;
}

/* A leader that is not known yet, or no longer one. */
static bool
passes(rd_kafka_resp_err_t e)
{
    return e == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           e == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || e == RD_KAFKA_RESP_ERR__TRANSPORT ||
           e == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || e == RD_KAFKA_RESP_ERR__WAIT_CACHE ||
           e == RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH ||
           e == RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH;
}

static void
pause_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

int32_t
kf_ask_offsets(kf_store *store, rd_kafka_topic_partition_list_t *parts, emesh_error *err)
{
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (int i = 0; i < KF_ASK_MS / 50 && !store->stopping; i++) {
        rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_copy(parts);
        e = rd_kafka_offsets_for_times(store->admin, asked, KF_ASK_MS);
        for (int k = 0; k < asked->cnt && e == RD_KAFKA_RESP_ERR_NO_ERROR; k++)
            e = asked->elems[k].err;
        for (int k = 0; k < asked->cnt && e == RD_KAFKA_RESP_ERR_NO_ERROR; k++)
            parts->elems[k].offset = asked->elems[k].offset;
        rd_kafka_topic_partition_list_destroy(asked);
        if (!passes(e))
            break;
        pause_ms(50);
    }
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        return EMESH_OK;
    return kf_error(err, kf_code(e), "offsets of topic %s: %s",
                    parts->cnt > 0 ? parts->elems[0].topic : "?", rd_kafka_err2str(e));
}

static rd_kafka_AdminOptions_t *
options(kf_store *store, rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(store->admin, op);
    char why[64];

    rd_kafka_AdminOptions_set_request_timeout(opt, KF_ASK_MS, why, sizeof why);
    return opt;
}

/* The partitions of the one group that an answer is about; NULL: err. */
static rd_kafka_topic_partition_list_t *
parts_of(const rd_kafka_group_result_t *const *groups, size_t n, const char *group,
         emesh_error *err)
{
    const rd_kafka_topic_partition_list_t *parts;

    if (n != 1 || rd_kafka_group_result_error(groups[0]) != NULL) {
        const rd_kafka_error_t *e = n == 1 ? rd_kafka_group_result_error(groups[0]) : NULL;
        kf_error(err, e != NULL ? kf_code(rd_kafka_error_code(e)) : EMESH_E_PROTOCOL,
                 "group %s at the brokers: %s", group,
                 e != NULL ? rd_kafka_error_string(e) : "no answer about it");
        return NULL;
    }
    parts = rd_kafka_group_result_partitions(groups[0]);
    return parts != NULL ? rd_kafka_topic_partition_list_copy(parts)
                         : rd_kafka_topic_partition_list_new(0);
}

static int32_t
ask_places_once(kf_store *store, const char *group, rd_kafka_topic_partition_list_t **parts,
              emesh_error *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(store->admin);
    rd_kafka_AdminOptions_t *opt = options(store, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets_t *what =
        rd_kafka_ListConsumerGroupOffsets_new(group, *parts);
    rd_kafka_topic_partition_list_t *found = NULL;
    rd_kafka_event_t *event;
    size_t n = 0;

    rd_kafka_ListConsumerGroupOffsets(store->admin, &what, 1, opt, queue);
    event = kf_ask(queue, err);
    if (event != NULL) {
        const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
        found = parts_of(groups, n, group, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ListConsumerGroupOffsets_destroy(what);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_queue_destroy(queue);
    if (found == NULL)
        return err->code;
    if (*parts != NULL)
        rd_kafka_topic_partition_list_destroy(*parts);
    *parts = found;
    return EMESH_OK;
}

/* The broker of a group is just taking over its work. */
static bool
soon(const emesh_error *err)
{
    return strstr(err->text, "oordinator") != NULL;
}

int32_t
kf_ask_places(kf_store *store, const char *group, rd_kafka_topic_partition_list_t **parts,
              emesh_error *err)
{
    for (int i = 0; i < KF_ASK_MS / 100 && !store->stopping; i++) {
        err->code = EMESH_OK;
        if (ask_places_once(store, group, parts, err) == EMESH_OK || !soon(err))
            break;
        pause_ms(100);
    }
    return err->code;
}

/* As somebody outside the group, which works only when it has no members. */
static rd_kafka_resp_err_t
alter(kf_store *store, const char *group, const rd_kafka_topic_partition_list_t *parts,
      emesh_error *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(store->admin);
    rd_kafka_AdminOptions_t *opt = options(store, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_AlterConsumerGroupOffsets_t *what =
        rd_kafka_AlterConsumerGroupOffsets_new(group, parts);
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
    rd_kafka_topic_partition_list_t *done = NULL;
    rd_kafka_event_t *event;
    size_t n = 0;

    rd_kafka_AlterConsumerGroupOffsets(store->admin, &what, 1, opt, queue);
    event = kf_ask(queue, err);
    if (event != NULL) {
        const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(event), &n);
        e = n == 1 && rd_kafka_group_result_error(groups[0]) != NULL
                ? rd_kafka_error_code(rd_kafka_group_result_error(groups[0]))
                : RD_KAFKA_RESP_ERR_NO_ERROR;
        done = parts_of(groups, n, group, err);
    }
    for (int i = 0; done != NULL && i < done->cnt && e == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        e = done->elems[i].err;
    if (done != NULL)
        rd_kafka_topic_partition_list_destroy(done);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AlterConsumerGroupOffsets_destroy(what);
    rd_kafka_AdminOptions_destroy(opt);
    rd_kafka_queue_destroy(queue);
    return e;
}

int32_t
kf_ask_place(kf_store *store, const char *group, rd_kafka_topic_partition_list_t *parts,
             emesh_error *err)
{
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;

    if (parts->cnt == 0)
        return EMESH_OK;
    for (int i = 0; i < KF_ASK_MS / 100 && !kf_group_is_here(store, group); i++) {
        err->code = EMESH_OK;
        e = alter(store, group, parts, err);
        if (e != RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS &&
            e != RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE &&
            e != RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
            break;
        pause_ms(100);
    }
    if (e == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || e == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
        e == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION)
        return kf_group_place(store, group, parts, err); /* it has members: as one of them */
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        return EMESH_OK;
    return kf_error(err, kf_code(e), "the place of group %s in topic %s: %s", group,
                    parts->elems[0].topic, rd_kafka_err2str(e));
}
