/* SPDX-License-Identifier: Apache-2.0
 *
 * What lanes leave for a thread that reads: orders one behind the other, and wishes and commits, which
 * are collected at their reader. The thread sleeps on one descriptor, which librdkafka wakes as well.
 */
#ifndef KF_INBOX_H
#define KF_INBOX_H
#include "kafka.h"

typedef struct kf_answer { /* somebody waits for it */
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool done;
    emesh_error err; /* code 0: fine */
} kf_answer;

typedef enum kf_what {
    KF_ORDER_OPEN,
    KF_ORDER_BEGIN,
    KF_ORDER_RELEASE,
    KF_ORDER_CLOSE,
    KF_ORDER_PLACE, /* of groups: commit as a member */
    KF_ORDER_LEAVE, /* of groups */
} kf_what;

typedef struct kf_order kf_order;
struct kf_order {
    kf_order *next;
    kf_what what;
    kf_cursor *cursor;
    uint32_t partition, epoch;
    emesh_start start;
    emesh_op *op;
    rd_kafka_topic_partition_list_t *parts;
    uint64_t until_ns;
    kf_answer *answer;
};

struct kf_cursor {
    kf_store *store;
    struct kf_inbox *inbox;
    kf_group *group; /* NULL: alone */
    char *topic;
    uint32_t known; /* partitions of the topic when it was opened */
    emesh_reader *reader;
    /* under the inbox' lock */
    uint64_t more_records, more_bytes;
    GArray *commits; /* emesh_commit */
    bool touched;
    kf_cursor *touched_next;
    /* the thread's own */
    uint64_t want;
    int64_t want_bytes;
    GPtrArray *parts; /* of the thread that reads */
    uint32_t turn;    /* whose is the next */
};

typedef struct kf_inbox {
    pthread_mutex_t lock;
    int fd;
    kf_order *head, **tail;
    kf_cursor *touched;
} kf_inbox;

bool kf_inbox_init(kf_inbox *inbox);
void kf_inbox_clear(kf_inbox *inbox);
/* [any] */
void kf_inbox_put(kf_inbox *inbox, kf_order *order);
void kf_inbox_wish(kf_cursor *cursor, uint32_t records, uint64_t bytes);
void kf_inbox_commit(kf_cursor *cursor, const emesh_commit *items, uint32_t n);
void kf_inbox_wake(kf_inbox *inbox);
/* [thread] All that came: orders in their order, cursors with their wishes taken over. For commits
 * take() is called. */
kf_order *kf_inbox_take(kf_inbox *inbox,
                        void (*take)(kf_cursor *cursor, const emesh_commit *commit));
/* [thread] Until something comes, or for ms at the most. */
void kf_inbox_sleep(kf_inbox *inbox, int ms);
/* librdkafka wakes the inbox when something comes into queue. */
void kf_inbox_follow(const kf_inbox *inbox, rd_kafka_queue_t *queue);

void kf_order_free(kf_order *order);
void kf_cursor_free(kf_cursor *cursor);

/* [waits] */
void kf_answer_init(kf_answer *answer);
int32_t kf_answer_wait(kf_answer *answer, emesh_error *err);
/* [thread] */
void kf_answer_give(kf_answer *answer, int32_t code, const char *text);

#endif
