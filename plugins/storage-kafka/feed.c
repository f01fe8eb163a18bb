/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages to records: as many as the host wants, of all partitions of a reader in turn.
 */
#include "group.h"
#include "record.h"
#include "work.h"

#define BATCH 64u

/* What lies behind the last record is no event: marks of transactions, and what was aborted or
 * compacted away. */
static bool
at_end(const kf_part *part, const rd_kafka_message_t *m, emesh_record *out)
{
    if (m->offset <= part->next)
        return false;
    *out = (emesh_record){ .position = { 0, (uint64_t)m->offset - 1 },
                           .partition = (uint32_t)part->number, .epoch = part->epoch, .attempt = 1 };
    return true;
}

/* The place is not there: retention was faster, or the topic is another one of the same name. */
static bool
out_of_range(kf_group *g, kf_part *part, emesh_record *out)
{
    int64_t low, high;

    if (rd_kafka_query_watermark_offsets(g->rk, part->cursor->topic, part->number, &low, &high,
                                         KF_ASK_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        g->assign_due = true; /* tried again */
        return false;
    }
    g->assign_due = true;
    part->fetching = false;
    if (part->next < low) {
        *out = (emesh_record){ .position = { 0, (uint64_t)low - 1 },
                               .partition = (uint32_t)part->number, .epoch = part->epoch,
                               .attempt = 1, .flags = EMESH_RECORD_TRIMMED };
        part->next = low;
        return true;
    }
    if (part->next > high) {
        kf_say(g->store, EMESH_LOG_WARNING, "group %s stands at %lld of topic %s, partition %d, which "
               "ends at %lld: the topic was made anew; the group begins at its first event", g->name,
               (long long)part->next, part->cursor->topic, part->number, (long long)high);
        kf_done_clear(&part->done);
        kf_done_init(&part->done, low);
        part->next = low;
        part->dirty = true;
    }
    return false;
}

/* True: out is to be handed over. */
static bool
take_error(kf_group *g, kf_part *part, const rd_kafka_message_t *m, emesh_record *out)
{
    switch (m->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        part->caught_up = true;
        if (at_end(part, m, out)) {
            part->next = m->offset;
            return true;
        }
        return false;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        return out_of_range(g, part, out);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        if (g->look_ns == 0)
            g->look_ns = kf_now(g) + KF_SECOND_NS;
        return false;
    default:
        kf_say(g->store, EMESH_LOG_INFO, "group %s: topic %s, partition %d: %s", g->name,
               part->cursor->topic, part->number, rd_kafka_message_errstr(m));
        return false;
    }
}

static bool
take_event(kf_group *g, kf_part *part, const rd_kafka_message_t *m, emesh_record *out)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(m, &type);
    bool foreign = false;

    if (m->offset < part->next)
        return false; /* of before an assignment */
    part->next = m->offset + 1;
    if (kf_done_has(&part->done, m->offset))
        return false;
    *out = (emesh_record){ .event = kf_message_in(g->store, m, &foreign),
                           .position = { 0, (uint64_t)m->offset },
                           .stored_ms = ms > 0 ? (uint64_t)ms : 0,
                           .partition = (uint32_t)part->number,
                           .epoch = part->epoch,
                           .attempt = 1 };
    if (out->event == NULL)
        out->flags = EMESH_RECORD_DAMAGED;
    else if (foreign)
        out->flags = EMESH_RECORD_FOREIGN;
    if (foreign)
        kf_count(g->store, g->store->metrics.foreign, 1);
    if (out->event != NULL)
        part->cursor->want_bytes -= kf_event_bytes(g->store, out->event);
    return true;
}

/* One round of one partition; true: it may have more. */
static bool
feed_part(kf_group *g, kf_part *part)
{
    kf_cursor *c = part->cursor;
    rd_kafka_message_t *messages[BATCH];
    emesh_record records[BATCH];
    const emesh_event *events[BATCH];
    uint32_t n = 0;
    ssize_t got;

    if (part->epoch == 0 || !part->fetching || part->revoking || c->want == 0 ||
        c->want_bytes <= 0)
        return false;
    got = rd_kafka_consume_batch_queue(part->queue, 0, messages, MIN(BATCH, c->want));
    for (ssize_t i = 0; i < got; i++) {
        const rd_kafka_message_t *m = messages[i];
        bool is = part->fetching && (m->err != RD_KAFKA_RESP_ERR_NO_ERROR
                                         ? take_error(g, part, m, &records[n])
                                         : take_event(g, part, m, &records[n]));
        if (is) {
            events[n] = records[n].event;
            n++;
        }
        rd_kafka_message_destroy(messages[i]);
    }
    if (n > 0) {
        c->want -= MIN(c->want, n);
        g->store->st->records(c->reader, records, n);
        g->store->ev->unref(events, n);
    }
    if (part->caught_up && !part->told) {
        part->told = true;
        g->store->st->partition(c->reader, EMESH_PARTITION_CAUGHT_UP, (uint32_t)part->number, "", 0,
                                NULL);
    }
    return got > 0;
}

bool
kf_feed(kf_group *g)
{
    bool more = false;

    for (guint i = 0; i < g->cursors->len; i++) {
        kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++)
            more |= feed_part(g, c->parts->pdata[(k + c->turn) % c->parts->len]);
        c->turn++;
    }
    return more;
}
