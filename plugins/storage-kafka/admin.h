/* SPDX-License-Identifier: Apache-2.0
 *
 * An administrative question on its way through a worker: admin.c has changes, list.c listings.
 */
#ifndef KF_ADMIN_H
#define KF_ADMIN_H
#include "work.h"

typedef struct kf_asked {
    kf_job job;
    emesh_op *op;
    uint32_t what;
    char *topic, *group, *partition, *source, *id; /* NULL: not given */
    bool has_start;
    emesh_start start;
    emesh_position position;
} kf_asked;

/* [worker] Makes rows and completes op. */
void kf_list(kf_store *store, kf_asked *asked);

/* Offsets to start from, for all partitions of parts (their offsets are replaced). */
int32_t kf_start_offsets(kf_store *store, const emesh_start *start,
                         rd_kafka_topic_partition_list_t *parts, emesh_error *err);

#endif
