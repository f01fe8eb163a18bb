/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host has settled goes to the broker: every half second, and before a partition is given
 * back or a reader closed. One commit is under way at a time.
 */
#include "group.h"
#include "work.h"

#include <string.h>

void
kf_settle_take(kf_group *g, kf_cursor *cursor, const emesh_commit *commit)
{
    int64_t offset = (int64_t)commit->position.lo;

    for (guint i = 0; i < cursor->parts->len; i++) {
        kf_part *part = cursor->parts->pdata[i];
        if (part->number != (int32_t)commit->partition || part->epoch != commit->epoch ||
            part->epoch == 0 || !part->resolved)
            continue;
        if (commit->outcome == EMESH_COMMIT_UP_TO)
            part->dirty |= kf_done_up_to(&part->done, offset + 1);
        else if (commit->outcome == EMESH_COMMIT_ONE)
            part->dirty |= kf_done_one(&part->done, offset);
        if (part->dirty && g->settle_ns == 0)
            g->settle_ns = kf_now(g) + KF_SETTLE_NS;
    }
}

static rd_kafka_topic_partition_list_t *
gather(kf_group *g, const kf_cursor *only)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len && (only == NULL || only == c); k++) {
            kf_part *part = c->parts->pdata[k];
            rd_kafka_topic_partition_t *place;
            if (!part->dirty || !part->resolved)
                continue;
            part->dirty = false;
            place = rd_kafka_topic_partition_list_add(list, c->topic, part->number);
            place->offset = part->done.floor;
            place->metadata = kf_done_write(&part->done);
            place->metadata_size = strlen(place->metadata);
        }
    }
    return list;
}

/* What could not be committed is dirty again. */
static void
undo(kf_group *g, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        kf_part *part = kf_group_part(g, list->elems[i].topic, list->elems[i].partition);
        if (part != NULL)
            part->dirty = true;
    }
}

static void
took(kf_group *g, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        kf_part *part = kf_group_part(g, list->elems[i].topic, list->elems[i].partition);
        if (part != NULL)
            part->committed = list->elems[i].offset;
    }
}

/* [event of a commit] */
static rd_kafka_resp_err_t
judge(kf_group *g, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);

    for (int i = 0; list != NULL && i < list->cnt && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        err = list->elems[i].err;
    kf_count(g->store, g->store->metrics.commits, 1);
    if (err == RD_KAFKA_RESP_ERR__NO_OFFSET)
        err = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        took(g, list);
        g->fails = 0;
        return err;
    }
    kf_count(g->store, g->store->metrics.commit_failures, 1);
    undo(g, list);
    if (g->fails++ == 3)
        kf_say(g->store, EMESH_LOG_WARNING, "group %s: what is settled cannot be committed: %s; it is "
               "tried again", g->name, rd_kafka_err2str(err));
    return err;
}

static void
collect(kf_group *g, int ms)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(g->events, ms);

    if (event == NULL)
        return;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
        g->committing = false;
        judge(g, event);
    }
    rd_kafka_event_destroy(event);
}

rd_kafka_resp_err_t
kf_settle_wait(kf_group *g, const rd_kafka_topic_partition_list_t *parts)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(g->rk);
    rd_kafka_resp_err_t err = rd_kafka_commit_queue(g->rk, parts, queue, NULL, NULL);
    rd_kafka_event_t *event = NULL;

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        event = rd_kafka_queue_poll(queue, KF_ASK_MS);
        err = event != NULL ? judge(g, event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    if (event != NULL)
        rd_kafka_event_destroy(event);
    else
        undo(g, parts);
    rd_kafka_queue_destroy(queue);
    return err;
}

void
kf_settle_now(kf_group *g, const kf_cursor *cursor)
{
    rd_kafka_topic_partition_list_t *list;

    if (g->committing)
        collect(g, KF_ASK_MS); /* or it would come behind and take places back */
    list = gather(g, cursor);
    if (list->cnt > 0) {
        rd_kafka_resp_err_t err = kf_settle_wait(g, list);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            kf_say(g->store, EMESH_LOG_INFO, "group %s: the last commit failed, events since the one "
                   "before may come again: %s", g->name, rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void
kf_settle_turn(kf_group *g, uint64_t now)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t err;

    collect(g, 0);
    if (g->settle_ns == 0 || now < g->settle_ns || g->committing || g->assigned == NULL)
        return;
    g->settle_ns = 0;
    list = gather(g, NULL);
    if (list->cnt > 0) {
        err = rd_kafka_commit_queue(g->rk, list, g->events, NULL, NULL);
        g->committing = err == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (!g->committing)
            undo(g, list);
        g->settle_ns = now + KF_SETTLE_NS; /* once more behind it, for what failed or came */
    }
    rd_kafka_topic_partition_list_destroy(list);
}
