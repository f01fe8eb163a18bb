/* SPDX-License-Identifier: Apache-2.0
 *
 * One instance: what all of its files share. Lanes and main only queue; whatever may block is done by
 * threads of the instance: workers (work.h), one for each producer (producer.h), one for each group
 * that is read (group.h), one for readers without a group (alone.h).
 */
#ifndef KF_KAFKA_H
#define KF_KAFKA_H
#include "eventmesh/eventmesh.h"
#include "eventmesh/layout.h"

#include <glib.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define KF_CLAIMS                                                                             \
    (EMESH_STORE_CAN_GROUPS | EMESH_STORE_CAN_ACK_EACH | EMESH_STORE_CAN_REPLAY |             \
     EMESH_STORE_CAN_TIME | EMESH_STORE_CAN_ORDER | EMESH_STORE_CAN_TRIM | EMESH_STORE_CAN_REPLY)

#define KF_REPLY_TOPIC "emesh-reply"
#define KF_REPLY_PARTITIONS 16

typedef struct kf_store kf_store;
typedef struct kf_group kf_group;
typedef struct kf_alone kf_alone;
typedef struct kf_producer kf_producer;
typedef struct kf_work kf_work;
typedef struct kf_cursor kf_cursor;
typedef struct kf_topic kf_topic;

typedef struct kf_pair { /* a property of librdkafka */
    char *name;
    char *value;
    bool secret;
} kf_pair;

typedef struct kf_options {
    GArray *pairs; /* kf_pair, in the order in which they are set */
    uint32_t replication; /* 0: the broker's default */
    uint32_t max_groups;
    uint64_t leave_ns;
    bool record_key;
} kf_options;

typedef struct kf_metrics {
    emesh_metric *groups, *rebalances, *commits, *commit_failures, *foreign;
} kf_metrics;

struct kf_store {
    kf_store *self; /* a handle's opaque is the address of such a pointer */
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_store_api *st;
    const emesh_loop_api *lp;
    const emesh_metrics_api *mt;
    char *name;    /* of the instance */
    char *address; /* where replies to this daemon go: its id */
    kf_options opt;
    kf_metrics metrics;
    rd_kafka_t *admin; /* metadata, offsets, admin requests: a consumer without group */
    kf_work *work;
    kf_producer *producers[3]; /* by KF_ACKS_*; made with the first topic that needs it */
    pthread_mutex_t lock;      /* what follows, and making producers */
    GHashTable *groups;        /* name → kf_group that may still be joined */
    uint32_t n_groups;         /* threads of groups, also those that are ending */
    pthread_cond_t groups_gone;
    kf_alone *alone; /* NULL until somebody reads without a group */
    kf_topic *_Atomic replies; /* emesh-reply, once it is there */
    atomic_bool stopping;
    atomic_bool down;   /* no broker can be reached, or it refuses us */
    atomic_bool denied; /* for what we said who we are */
    atomic_bool fatal;  /* a producer cannot go on */
    emesh_op *start_op, *stop_op;
    emesh_task stop_task;
};

static inline kf_store *
kf_store_of(emesh_instance *self)
{
    return (kf_store *)(void *)self;
}

typedef struct kf_lane {
    kf_store *store;
    emesh_loop *loop;
    char key[24]; /* placement of what has no key of its own: all of a connection in order */
} kf_lane;

#define KF_ACKS_ALL 0
#define KF_ACKS_ONE 1
#define KF_ACKS_NONE 2

struct kf_topic {
    kf_store *store;
    char *name;
    _Atomic uint32_t partitions;
    uint32_t level;
    kf_producer *producers[3]; /* by KF_ACKS_*: of its level and of higher ones; else NULL */
    rd_kafka_topic_t *of[3];   /* the topic there */
};

/* ---- report.c: [any] ---- */
int32_t kf_error(emesh_error *err, int32_t code, const char *format, ...) G_GNUC_PRINTF(3, 4);
void kf_say(const kf_store *store, uint32_t level, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The status that an error of librdkafka or of a broker is to the host. */
int32_t kf_code(rd_kafka_resp_err_t err);
/* Of a delivery report: was it surely not stored? */
int32_t kf_code_of_message(rd_kafka_resp_err_t err, rd_kafka_msg_status_t status);
void kf_count(const kf_store *store, emesh_metric *metric, int64_t delta);

/* Bytes of an event as the host counts them: names, values and data. */
int64_t kf_event_bytes(const kf_store *store, const emesh_event *event);

/* ---- conf.c ---- */
/* [any] Judges options; fills *opt when it is not NULL. */
int32_t kf_options_read(const emesh_config_api *api, const emesh_config *cfg, kf_options *opt,
                        emesh_error *err);
void kf_options_clear(kf_options *opt);
/* A handle; NULL: err says why. group: its group.id, or NULL. owner begins with a kf_store *, and is the
 * handle's opaque. */
rd_kafka_t *kf_handle(kf_store **owner, rd_kafka_type_t type, const char *group,
                      void (*more)(rd_kafka_conf_t *conf, void *ctx), void *ctx, emesh_error *err);
void kf_conf(rd_kafka_conf_t *conf, const char *name, const char *value);

/* ---- topic.c, admin.c, list.c: kind ops, [main] ---- */
void kf_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op);
void kf_topic_close(emesh_instance *self, emesh_topic *topic);
/* [worker] The topic that replies go through, made if it is not there; its partition is followed. */
void kf_replies_open(kf_store *store);
void kf_replies_close(kf_store *store); /* nothing is appended any more */
void kf_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op);

/* ---- append.c, [lane] ---- */
void kf_append(emesh_lane *lane, const emesh_append *items, uint32_t n);

/* ---- cursor.c, [lane] ---- */
emesh_cursor *kf_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader);
void kf_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start);
void kf_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch);
void kf_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes);
void kf_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n);
void kf_close(emesh_cursor *cursor, emesh_op *op);

/* ---- instance.c ---- */
int32_t kf_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
                  emesh_error *err);
void kf_start(emesh_instance *self, emesh_op *op);
int32_t kf_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
                  emesh_error *err);
void kf_detach(emesh_lane *lane, emesh_op *op);
void kf_stop(emesh_instance *self, emesh_op *op);
void kf_destroy(emesh_instance *self);

#endif
