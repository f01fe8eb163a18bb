/* SPDX-License-Identifier: Apache-2.0
 *
 * Partitions come and go. What the broker assigns is offered to the host, which begins; then it is
 * known where the group stands, and librdkafka is told to fetch. What is revoked is asked back from
 * the host; when that has settled what it could, it is committed and given back.
 *
 * A revoke that comes only of what this client subscribed itself, as a reader was opened or closed,
 * brings nearly all partitions back at once. Then the host hears nothing of it: they are suspended,
 * what is settled is committed, and when they come back where they were left, reading goes on.
 */
#include "group.h"
#include "work.h"

#include <stdio.h>
#include <string.h>

#define REVOKE_NS (UINT64_C(6) * KF_SECOND_NS) /* the host takes 5 s at the most */
#define AGAIN_NS (UINT64_C(300) * 1000000)

static void
tell(const kf_group *g, const kf_part *part, uint32_t change)
{
    char name[16];
    int n = snprintf(name, sizeof name, "%d", part->number);

    g->store->st->partition(part->cursor->reader, change, (uint32_t)part->number, name, (size_t)n,
                            NULL);
}

/* ---- coming ---- */

static void
offer(kf_group *g, kf_cursor *cursor, int32_t number)
{
    kf_part *part = g_new0(kf_part, 1);

    part->cursor = cursor;
    part->number = number;
    kf_done_init(&part->done, 0);
    g_ptr_array_add(cursor->parts, part);
    tell(g, part, EMESH_PARTITION_ASSIGNED);
}

void
kf_rebalance_offer(kf_group *g, kf_cursor *cursor)
{
    for (int i = 0; g->assigned != NULL && g->revoke_ns == 0 && i < g->assigned->cnt; i++)
        if (strcmp(g->assigned->elems[i].topic, cursor->topic) == 0 &&
            kf_group_part(g, cursor->topic, g->assigned->elems[i].partition) == NULL)
            offer(g, cursor, g->assigned->elems[i].partition);
}

static bool
is_in(const rd_kafka_topic_partition_list_t *parts, const kf_part *part)
{
    for (int i = 0; i < parts->cnt; i++)
        if (parts->elems[i].partition == part->number &&
            strcmp(parts->elems[i].topic, part->cursor->topic) == 0)
            return true;
    return false;
}

/* What was suspended goes on if it is among parts, and is lost if not. */
static void
resume(kf_group *g, const rd_kafka_topic_partition_list_t *parts)
{
    for (guint i = 0; i < g->cursors->len; i++) {
        kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len;) {
            kf_part *part = c->parts->pdata[k];
            if (part->suspended && !is_in(parts, part)) {
                tell(g, part, EMESH_PARTITION_LOST);
                g_ptr_array_remove_index(c->parts, k);
                continue;
            }
            part->recheck |= part->suspended && part->resolved;
            part->suspended = false;
            k++;
        }
    }
}

static void
assigned(kf_group *g, const rd_kafka_topic_partition_list_t *parts)
{
    g->own_change = false;
    resume(g, parts);
    if (g->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(g->assigned);
    g->assigned = rd_kafka_topic_partition_list_copy(parts);
    g->assign_due = true; /* also of nothing: the client waits for it */
    for (guint i = 0; i < g->cursors->len; i++)
        kf_rebalance_offer(g, g->cursors->pdata[i]);
}

/* ---- where to begin ---- */

/* The group has a place with other partitions or none at all: what is there waits for it. */
static bool
from_start(kf_group *g, kf_part *part)
{
    int64_t low, high;

    if (rd_kafka_query_watermark_offsets(g->rk, part->cursor->topic, part->number, &low, &high,
                                         KF_ASK_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    switch (part->start.kind) {
    case EMESH_START_LATEST:
        part->next = high;
        break;
    case EMESH_START_AFTER:
        part->next = (int64_t)part->start.position.lo + 1;
        break;
    default:
        part->next = low;
        break;
    }
    kf_done_clear(&part->done);
    kf_done_init(&part->done, part->next);
    part->dirty = true;
    return true;
}

static bool
resolve_one(kf_group *g, kf_part *part, const rd_kafka_topic_partition_t *place)
{
    if (place->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (part->recheck && place->offset == part->committed) {
        part->recheck = false;
        return true;
    }
    if (part->recheck) { /* somebody else had it meanwhile */
        kf_say(g->store, EMESH_LOG_INFO, "group %s: partition %d of %s was left at %lld and is at %lld",
               g->name, part->number, part->cursor->topic, (long long)part->committed,
               (long long)place->offset);
        kf_cursor *c = part->cursor;
        int32_t number = part->number;
        tell(g, part, EMESH_PARTITION_LOST);
        g_ptr_array_remove(c->parts, part);
        offer(g, c, number);
        return false;
    }
    if (place->offset < 0 || part->start.kind != EMESH_START_STORED)
        return from_start(g, part);
    kf_done_clear(&part->done);
    kf_done_init(&part->done, place->offset);
    if (place->metadata != NULL)
        kf_done_read(&part->done, place->metadata, place->metadata_size);
    part->next = part->done.floor;
    part->committed = place->offset;
    return true;
}

/* Asks for all that is begun and not known yet. False: some answer is missing. */
static bool
resolve(kf_group *g)
{
    rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(8);
    bool all = true;

    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            const kf_part *part = c->parts->pdata[k];
            if (part->epoch != 0 && (!part->resolved || part->recheck) && !part->revoking)
                rd_kafka_topic_partition_list_add(places, c->topic, part->number);
        }
    }
    if (places->cnt > 0 && rd_kafka_committed(g->rk, places, KF_ASK_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        all = false;
    for (int i = 0; all && i < places->cnt; i++) {
        kf_part *part = kf_group_part(g, places->elems[i].topic, places->elems[i].partition);
        bool known = part == NULL || resolve_one(g, part, &places->elems[i]);
        if (known && part != NULL)
            part->resolved = true;
        all = known;
    }
    rd_kafka_topic_partition_list_destroy(places);
    return all;
}

/* The queue of a partition is its own before it is fetched: what nobody wants stays there. */
static void
own_queue(kf_group *g, kf_part *part)
{
    if (part->queue != NULL)
        return;
    part->queue = rd_kafka_queue_get_partition(g->rk, part->cursor->topic, part->number);
    rd_kafka_queue_forward(part->queue, NULL);
    kf_inbox_follow(&g->inbox, part->queue);
}

static void
assign(kf_group *g)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t err;

    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            kf_part *part = c->parts->pdata[k];
            if (part->epoch == 0 || !part->resolved || part->revoking || part->suspended)
                continue;
            own_queue(g, part);
            rd_kafka_topic_partition_list_add(list, c->topic, part->number)->offset = part->next;
            part->fetching = true;
        }
    }
    err = rd_kafka_assign(g->rk, list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        kf_say(g->store, EMESH_LOG_WARNING, "group %s: partitions cannot be read: %s", g->name,
               rd_kafka_err2str(err));
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- going ---- */

static void
drop_parts(kf_group *g, bool lost)
{
    for (guint i = 0; i < g->cursors->len; i++) {
        kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++)
            if (lost)
                tell(g, c->parts->pdata[k], EMESH_PARTITION_LOST);
        g_ptr_array_set_size(c->parts, 0);
    }
    if (g->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(g->assigned);
    g->assigned = NULL;
    g->assign_due = false;
    g->revoke_ns = 0;
}

static void
suspend(kf_group *g)
{
    kf_settle_now(g, NULL);
    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            kf_part *part = c->parts->pdata[k];
            part->suspended = true;
            part->fetching = false;
        }
    }
    if (g->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(g->assigned);
    g->assigned = NULL;
    g->assign_due = false;
    rd_kafka_assign(g->rk, NULL);
}

/* Everything goes at once: range is an eager protocol. */
static void
revoked(kf_group *g)
{
    if (rd_kafka_assignment_lost(g->rk)) {
        drop_parts(g, true);
        rd_kafka_assign(g->rk, NULL);
        return;
    }
    if (g->own_change) {
        suspend(g);
        return;
    }
    g->revoke_ns = kf_now(g) + REVOKE_NS;
    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++) {
            kf_part *part = c->parts->pdata[k];
            part->revoking = true;
            tell(g, part, EMESH_PARTITION_REVOKING);
        }
    }
}

static bool
is_released(const kf_group *g)
{
    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; k < c->parts->len; k++)
            if (((kf_part *)c->parts->pdata[k])->revoking)
                return false;
    }
    return true;
}

static void
give_back(kf_group *g, uint64_t now)
{
    bool late = !is_released(g);

    if (late && now < g->revoke_ns)
        return;
    kf_say(g->store, EMESH_LOG_INFO, "group %s: partitions given back, %s", g->name,
           late ? "the host was late" : "settled");
    kf_settle_now(g, NULL);
    drop_parts(g, late);
    rd_kafka_assign(g->rk, NULL);
}

void
kf_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *parts,
             void *opaque)
{
    kf_group *g = opaque;

    kf_count(g->store, g->store->metrics.rebalances, 1);
    if (g->leaving) { /* nobody reads any more */
        rd_kafka_assign(rk, NULL);
        return;
    }
    kf_say(g->store, EMESH_LOG_INFO, "group %s: %d partitions %s%s", g->name, parts->cnt,
           err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "assigned" : "revoked",
           err != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && g->own_change
               ? ", by a change of our own" : "");
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        assigned(g, parts);
    else
        revoked(g);
}

void
kf_rebalance_turn(kf_group *g, uint64_t now)
{
    if (g->revoke_ns != 0) {
        give_back(g, now);
        return;
    }
    if (!g->assign_due || now < g->assign_ns || g->assigned == NULL)
        return;
    g->assign_due = !resolve(g);
    if (g->assign_due) {
        g->assign_ns = now + AGAIN_NS;
        return;
    }
    assign(g);
}
