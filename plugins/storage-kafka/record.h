/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents and records of Kafka, by the CloudEvents Kafka binding: binary mode is written, binary
 * and structured mode are read. Two headers besides keep what the binding loses, and only where it
 * does: `emesh-data` the form of the data, `emesh-types` the types of extensions. Any thread.
 */
#ifndef KF_RECORD_H
#define KF_RECORD_H
#include "kafka.h"

typedef struct kf_header {
    const char *name;
    const void *value; /* NULL: null */
    size_t len;
} kf_header;

typedef struct kf_raw { /* a record as it was read */
    const char *topic;
    int32_t partition;
    int64_t offset;
    const void *key;
    size_t key_len;
    const void *value; /* NULL: null */
    size_t len;
    const kf_header *headers;
    uint32_t n;
} kf_raw;

#define KF_HEADERS_MAX 512u

/* The event of a record; of one that is no CloudEvent an event with made-up attributes, and *foreign
 * set. NULL: no memory. Given. */
const emesh_event *kf_record_in(const emesh_event_api *ev, const emesh_host *host,
                                const kf_raw *raw, bool *foreign);
/* The same of a message. */
const emesh_event *kf_message_in(const kf_store *store, const rd_kafka_message_t *message,
                                 bool *foreign);

/* Data whose own type is application/cloudevents…: in binary mode nobody could tell it from an event in
 * structured mode, so it is written in that. */
bool kf_record_structured(const emesh_event_view *view);
/* The headers of an event's record. NULL: no memory. Given. */
rd_kafka_headers_t *kf_record_headers(const emesh_event_view *view);
/* The attribute of this name, or NULL. */
const emesh_attr *kf_attr(const emesh_event_view *view, const char *name);

#endif
