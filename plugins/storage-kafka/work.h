/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers: a few threads for what asks brokers and waits for the answer. Jobs of different kinds run at
 * once; each wait has an end.
 */
#ifndef KF_WORK_H
#define KF_WORK_H
#include "kafka.h"

#define KF_ASK_MS 5000 /* for one answer of a broker */

typedef struct kf_job kf_job;
struct kf_job { /* the first member of something that run() frees */
    kf_job *next;
    void (*run)(kf_store *store, kf_job *job);
};

kf_work *kf_work_new(kf_store *store);
/* [any] */
void kf_work_add(kf_work *work, kf_job *job);
/* Runs what is still queued (store->stopping is set: jobs end at once), then ends the threads. */
void kf_work_end(kf_work *work);

/* ---- ask.c: questions to brokers, [worker] ---- */
/* A change by an admin request: wait for its event, of which the caller takes the result. NULL: time is
 * over. */
rd_kafka_event_t *kf_ask(rd_kafka_queue_t *queue, emesh_error *err);
/* Partitions of a topic; 0: err, code NOT_FOUND when there is none. */
uint32_t kf_ask_partitions(kf_store *store, const char *topic, uint32_t *replicas,
                           emesh_error *err);
/* Fills in offset: of RD_KAFKA_OFFSET_BEGINNING, _END, or the first at a time in ms. In parts that
 * failed err is set. */
int32_t kf_ask_offsets(kf_store *store, rd_kafka_topic_partition_list_t *parts, emesh_error *err);
/* Where a group stands, with metadata; offset INVALID: it has no place. */
int32_t kf_ask_places(kf_store *store, const char *group, rd_kafka_topic_partition_list_t **parts,
                      emesh_error *err);
/* Places a group that has no members, or by its membership here. */
int32_t kf_ask_place(kf_store *store, const char *group, rd_kafka_topic_partition_list_t *parts,
                     emesh_error *err);
rd_kafka_topic_partition_list_t *kf_parts(const char *topic, uint32_t n, int64_t offset);

#endif
