/* SPDX-License-Identifier: Apache-2.0
 *
 * See alone.h: the newest events of each partition that has readers, read once for all of them.
 */
#include "alone.h"

#include "record.h"
#include <string.h>

#define BATCH 64u

kf_tail *
kf_tail_find(const kf_alone *a, const char *topic, int32_t number)
{
    for (guint i = 0; i < a->tails->len; i++) {
        kf_tail *tail = a->tails->pdata[i];
        if (tail->number == number && strcmp(tail->topic, topic) == 0)
            return tail;
    }
    return NULL;
}

static void
follow_from(kf_alone *a, const kf_tail *tail, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_error_t *error;

    rd_kafka_topic_partition_list_add(list, tail->topic, tail->number)->offset = offset;
    error = offset >= 0 ? rd_kafka_incremental_assign(a->follower, list)
                        : rd_kafka_incremental_unassign(a->follower, list);
    if (error != NULL) {
        kf_say(a->store, EMESH_LOG_WARNING, "topic %s, partition %d cannot be followed: %s",
               tail->topic, tail->number, rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

kf_tail *
kf_tail_join(kf_alone *a, const char *topic, int32_t number, int64_t end)
{
    kf_tail *tail = kf_tail_find(a, topic, number);

    if (tail == NULL) {
        tail = g_new0(kf_tail, 1);
        tail->topic = g_strdup(topic);
        tail->number = number;
        tail->first = tail->end = end;
        g_queue_init(&tail->kept);
        g_ptr_array_add(a->tails, tail);
        follow_from(a, tail, end);
    }
    tail->readers++;
    return tail;
}

static void
drop_oldest(kf_alone *a, kf_tail *tail)
{
    kf_kept *kept = g_queue_pop_head(&tail->kept);

    tail->first = kept->offset + 1;
    a->bytes -= kept->bytes;
    if (kept->event != NULL)
        a->store->ev->unref(&kept->event, 1);
    g_free(kept);
}

/* Readers that stand on an event that goes look anew. */
static void
forget_places(kf_alone *a, const kf_tail *tail)
{
    for (guint i = 0; i < a->cursors->len; i++) {
        const kf_cursor *c = a->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            kf_apart *part = c->parts->pdata[k];
            if (part->tail == tail && part->placed < tail->first)
                part->place = NULL;
        }
    }
}

void
kf_tail_leave(kf_alone *a, kf_tail *tail)
{
    if (--tail->readers > 0)
        return;
    follow_from(a, tail, -1);
    while (tail->kept.length > 0)
        drop_oldest(a, tail);
    g_ptr_array_remove(a->tails, tail);
    g_free(tail->topic);
    g_free(tail);
}

/* The partition begins again at its end: what was between is read by those who are behind. */
static void
begin_anew(kf_alone *a, kf_tail *tail)
{
    while (tail->kept.length > 0)
        drop_oldest(a, tail);
    tail->first = INT64_MAX;
    forget_places(a, tail);
    tail->first = tail->end = 0;
    follow_from(a, tail, -1);
    follow_from(a, tail, 0);
}

void
kf_tail_take(kf_alone *a, const rd_kafka_message_t *m)
{
    kf_tail *tail = m->rkt != NULL
                        ? kf_tail_find(a, rd_kafka_topic_name(m->rkt), m->partition) : NULL;
    rd_kafka_timestamp_type_t type;
    bool foreign = false, dropped = false;
    kf_kept *kept;

    if (tail == NULL)
        return;
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        tail->end = MAX(tail->end, m->offset);
    else if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        begin_anew(a, tail);
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR || m->offset < tail->end)
        return;
    kept = g_new0(kf_kept, 1);
    kept->event = kf_message_in(a->store, m, &foreign);
    kept->offset = m->offset;
    kept->stored_ms = (uint64_t)MAX(rd_kafka_message_timestamp(m, &type), 0);
    kept->flags = kept->event == NULL ? EMESH_RECORD_DAMAGED
                  : foreign           ? EMESH_RECORD_FOREIGN
                                      : 0;
    kept->bytes = kept->event != NULL ? kf_event_bytes(a->store, kept->event) + 256 : 256;
    g_queue_push_tail(&tail->kept, kept);
    tail->end = m->offset + 1;
    a->bytes += kept->bytes;
    while (a->bytes > KF_TAIL_BYTES && tail->kept.length > 1) {
        drop_oldest(a, tail);
        dropped = true;
    }
    if (dropped)
        forget_places(a, tail);
}

/* The first event from next on. */
static GList *
seek(const kf_apart *part)
{
    GList *at = part->place != NULL ? part->place->next : part->tail->kept.head;

    if (part->place == NULL && part->next >= part->tail->end)
        return NULL;
    while (at != NULL && ((kf_kept *)at->data)->offset < part->next)
        at = at->next;
    return at;
}

static void
caught_up(const kf_alone *a, kf_apart *part)
{
    part->next = MAX(part->next, part->tail->end);
    if (part->told)
        return;
    part->told = true;
    a->store->st->partition(part->cursor->reader, EMESH_PARTITION_CAUGHT_UP,
                            (uint32_t)part->number, "", 0, NULL);
}

bool
kf_tail_feed(kf_alone *a, kf_apart *part)
{
    kf_cursor *c = part->cursor;
    emesh_record records[BATCH];
    GList *at = seek(part);
    uint32_t n = 0;

    while (at != NULL && n < BATCH && n < c->want && c->want_bytes > 0) {
        const kf_kept *kept = at->data;
        records[n++] = (emesh_record){ .event = kept->event,
                                       .position = { 0, (uint64_t)kept->offset },
                                       .stored_ms = kept->stored_ms,
                                       .partition = (uint32_t)part->number,
                                       .epoch = part->epoch,
                                       .attempt = 1,
                                       .flags = kept->flags };
        c->want_bytes -= kept->bytes - 256;
        part->next = kept->offset + 1;
        part->place = at;
        part->placed = kept->offset;
        at = at->next;
    }
    c->want -= n;
    if (n > 0)
        a->store->st->records(c->reader, records, n);
    if (at == NULL)
        caught_up(a, part);
    return n > 0;
}
