/* SPDX-License-Identifier: Apache-2.0
 *
 * Producers: one for each promise that an append may ask for. acks=all is idempotent; acks=1 and 0 send
 * one request at a time, so that a repeated one does not overtake. Each has a thread that serves its
 * delivery reports and hands them over in one call per round.
 */
#ifndef KF_PRODUCER_H
#define KF_PRODUCER_H
#include "kafka.h"

typedef struct kf_sent { /* an append until its delivery report */
    uint64_t cookie;
    const emesh_event *event; /* keeps the bytes that librdkafka reads; NULL: it has a copy */
    emesh_buf *text;          /* the same of an event in structured mode */
    uint32_t hash;            /* of the key */
    uint32_t level;
} kf_sent;

struct kf_producer {
    kf_store *store; /* the first: see kf_handle() */
    rd_kafka_t *rk;
    pthread_t thread;
    atomic_bool ending;
    GArray *results;   /* emesh_appended of this round: [its thread] */
    GPtrArray *events; /* to be let go */
};

uint32_t kf_level_acks(uint32_t level);
/* The producer, made at its first use. NULL: err says why. [any; makes a client: not on lanes] */
kf_producer *kf_producer_need(kf_store *store, uint32_t acks, emesh_error *err);
/* What it has is sent, or told as unknown; blocks for seconds. [work] */
void kf_producer_end(kf_producer *producer);
/* The topic as that producer knows it; NULL: err. */
rd_kafka_topic_t *kf_producer_topic(kf_producer *producer, const char *name);

/* murmur2 as the Java client hashes keys, so that both put a key into the same partition */
uint32_t kf_key_hash(const void *key, size_t len);

#endif
