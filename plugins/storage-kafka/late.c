/* SPDX-License-Identifier: Apache-2.0
 *
 * See alone.h: readers that are behind the tails take turns at one client.
 */
#include "alone.h"

#include "record.h"
#include "work.h"

#define TURN_NS (UINT64_C(5) * 1000000000)
#define TURN_RECORDS 512u

void
kf_late_want(kf_alone *a, kf_apart *part)
{
    if (part->queued || a->reading == part)
        return;
    part->queued = true;
    g_queue_push_tail(&a->behind, part);
}

void
kf_late_forget(kf_alone *a, const kf_apart *part)
{
    g_queue_remove(&a->behind, part);
    if (a->reading == part) {
        a->reading = NULL;
        rd_kafka_assign(a->late, NULL);
    }
}

static void
end_turn(kf_alone *a)
{
    rd_kafka_assign(a->late, NULL);
    a->reading = NULL;
}

/* Where it begins; false: later. */
static bool
resolve(kf_alone *a, kf_apart *part)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_add(list, part->cursor->topic, part->number);
    emesh_error err = { .size = sizeof err };
    bool fine;

    at->offset = part->start.kind == EMESH_START_TIME ? (int64_t)part->start.time_ms
                                                      : RD_KAFKA_OFFSET_BEGINNING;
    fine = kf_ask_offsets(a->store, list, &err) == EMESH_OK;
    if (fine) /* nothing is as young as that: the end */
        part->next = at->offset >= 0 ? at->offset : part->at_open;
    rd_kafka_topic_partition_list_destroy(list);
    return fine;
}

static void
begin_turn(kf_alone *a, uint64_t now)
{
    kf_apart *part = g_queue_pop_head(&a->behind);
    rd_kafka_topic_partition_list_t *list;

    if (part == NULL)
        return;
    part->queued = false;
    if (part->next < 0 && !resolve(a, part))
        return;
    if (part->next >= part->tail->first)
        return;
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, part->cursor->topic, part->number)->offset =
        part->next;
    rd_kafka_assign(a->late, list);
    rd_kafka_topic_partition_list_destroy(list);
    a->reading = part;
    a->read = 0;
    a->until_ns = now + TURN_NS;
}

static void
hand_over(kf_alone *a, kf_apart *part, const emesh_event *event, int64_t offset, int64_t ms,
          uint32_t flags)
{
    kf_cursor *c = part->cursor;
    emesh_record record = { .event = event,
                            .position = { 0, (uint64_t)offset },
                            .stored_ms = (uint64_t)MAX(ms, 0),
                            .partition = (uint32_t)part->number,
                            .epoch = part->epoch,
                            .attempt = 1,
                            .flags = flags };

    c->want -= MIN(c->want, 1);
    if (event != NULL)
        c->want_bytes -= kf_event_bytes(a->store, event);
    part->next = offset + 1;
    a->read++;
    a->store->st->records(c->reader, &record, 1);
}

/* Retention was faster. */
static void
out_of_range(kf_alone *a, kf_apart *part)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at =
        rd_kafka_topic_partition_list_add(list, part->cursor->topic, part->number);
    emesh_error err = { .size = sizeof err };

    at->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (kf_ask_offsets(a->store, list, &err) == EMESH_OK) {
        if (part->next < at->offset)
            hand_over(a, part, NULL, at->offset - 1, 0, EMESH_RECORD_TRIMMED);
        else
            part->next = part->tail->first;
    }
    rd_kafka_topic_partition_list_destroy(list);
    end_turn(a);
}

static void
take(kf_alone *a, const rd_kafka_message_t *m)
{
    kf_apart *part = a->reading;
    rd_kafka_timestamp_type_t type;
    const emesh_event *event;
    bool foreign = false;

    if (part == NULL || m->partition != part->number || m->rkt == NULL ||
        !g_str_equal(rd_kafka_topic_name(m->rkt), part->cursor->topic))
        return;
    if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        out_of_range(a, part);
        return;
    }
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        part->next = MAX(part->next, m->offset);
        end_turn(a);
        return;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR || m->offset < part->next)
        return;
    event = kf_message_in(a->store, m, &foreign);
    hand_over(a, part, event, m->offset, rd_kafka_message_timestamp(m, &type),
              event == NULL ? EMESH_RECORD_DAMAGED : foreign ? EMESH_RECORD_FOREIGN : 0);
    if (event != NULL)
        a->store->ev->unref(&event, 1);
}

bool
kf_late_turn(kf_alone *a)
{
    uint64_t now = a->store->lp->time(NULL, EMESH_CLOCK_MONOTONIC);
    bool any = false;

    for (int i = 0; i < 128; i++) {
        const kf_apart *part = a->reading;
        rd_kafka_message_t *m;
        if (part != NULL && (part->cursor->want == 0 || part->cursor->want_bytes <= 0 ||
                             part->next >= part->tail->first || now > a->until_ns ||
                             (a->read >= TURN_RECORDS && a->behind.length > 0)))
            end_turn(a);
        if (a->reading == NULL)
            begin_turn(a, now);
        m = rd_kafka_consumer_poll(a->late, 0);
        if (m == NULL)
            break;
        any = true;
        take(a, m);
        rd_kafka_message_destroy(m);
    }
    return any;
}
