/* SPDX-License-Identifier: Apache-2.0
 *
 * What is told: errors with their class, lines of the log, numbers. Any thread.
 */
#include "kafka.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t
kf_error(emesh_error *err, int32_t code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    err->code = code;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

void
kf_say(const kf_store *store, uint32_t level, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!store->host->log_on(store->host, level))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    store->host->log(store->host, level, text, strlen(text), NULL, 0);
}

void
kf_count(const kf_store *store, emesh_metric *metric, int64_t delta)
{
    store->mt->add(metric, delta);
}

int32_t
kf_code(rd_kafka_resp_err_t err)
{
    switch (err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return EMESH_OK;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return EMESH_E_DENIED;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
        return EMESH_E_NOT_FOUND;
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
        return EMESH_E_CONFIG;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return EMESH_E_TOO_LARGE;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
    case RD_KAFKA_RESP_ERR_GROUP_SUBSCRIBED_TO_TOPIC:
        return EMESH_E_BUSY;
    case RD_KAFKA_RESP_ERR__DESTROY:
        return EMESH_E_CANCELED;
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
        return EMESH_E_CORRUPT;
    default:
        return EMESH_E_UNAVAILABLE;
    }
}

int32_t
kf_code_of_message(rd_kafka_resp_err_t err, rd_kafka_msg_status_t status)
{
    int32_t code;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return EMESH_OK;
    if (status == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED)
        return err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ? EMESH_E_TIMEOUT : EMESH_E_LOST;
    code = kf_code(err);
    return EMESH_CLASS(code) == 5 ? EMESH_E_UNAVAILABLE : code;
}

int64_t
kf_event_bytes(const kf_store *store, const emesh_event *event)
{
    emesh_event_view view = { .size = sizeof view };
    size_t n;

    store->ev->view(event, &view);
    n = view.data_len;
    for (uint32_t i = 0; i < view.n_attrs; i++)
        n += (size_t)view.attrs[i].name_len + view.attrs[i].value_len;
    return (int64_t)n;
}
