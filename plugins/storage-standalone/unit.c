/* SPDX-License-Identifier: Apache-2.0
 *
 * Units: appends chained to each other, and a commit with an append, as one atom of the log. All or
 * none is written, answered and seen, at the strictest level that one of them asks for. [lane]
 */
#include "cursor.h"
#include "hold.h"
#include "pack.h"
#include "store.h"
#include <stdlib.h>

#define ENTRY (SA_COMMIT_HEAD + SA_COMMIT_RANGE)

/* Is the commit of this life of the reader, and one that can be written with an append? */
static const char *
check_commit(const sa_lane *lane, const emesh_append *item, int32_t *code)
{
    const sa_cursor *c = (const sa_cursor *)(const void *)item->cursor;
    const emesh_commit *commit = item->commit;
    const sa_cpart *p;
    *code = EMESH_E_INVALID;
    if (c == NULL || c->lane != lane || c->group == NULL)
        return "a commit comes with the cursor of a group, on the lane of that";
    *code = EMESH_E_UNSUPPORTED;
    if (commit->outcome != EMESH_COMMIT_ONE && commit->outcome != EMESH_COMMIT_TRIED
        && (commit->outcome != EMESH_COMMIT_UP_TO || commit->partition == SA_INBOX))
        return "with an append goes a commit of one record, or up to one of a topic's partition";
    *code = EMESH_E_STALE;
    if (commit->partition == SA_INBOX)
        return c->inbox.begun && c->inbox.epoch == commit->epoch
                   ? NULL : "the commit is of an earlier life of the reader";
    p = commit->partition < c->n_parts ? &c->parts[commit->partition] : NULL;
    return p != NULL && p->begun && p->pair != NULL && p->epoch == commit->epoch
               ? NULL : "the commit is of an earlier life of the reader";
}

static const char *
look(sa_lane *lane, const emesh_append *items, uint32_t n, sa_packing *p, uint32_t *records,
     int32_t *code)
{
    sa_store *store = lane->store;
    uint64_t bytes = 0;
    const char *reason = NULL;
    *records = n;
    for (uint32_t i = 0; i < n && reason == NULL; i++) {
        reason = sa_pack_look(store, &items[i], &p[i], code);
        bytes += p[i].size;
        if (reason == NULL && items[i].commit != NULL) {
            reason = check_commit(lane, &items[i], code);
            bytes += SA_RECORD_HEAD + ENTRY;
            (*records)++;
        }
    }
    if (reason == NULL && (*records > SA_UNIT_RECORDS || bytes > store->opt.segment_size / 2)) {
        *code = EMESH_E_TOO_LARGE;
        reason = "a unit has at most 1024 records and half a segment";
    }
    return reason;
}

/* A COMMIT of this alone; the pair learns of it when it is written. */
static void
add_commit(sa_store *store, sa_batch *batch, const sa_cursor *c, const emesh_commit *commit,
           uint8_t *body)
{
    sa_pair *pair = c->parts[commit->partition].pair;
    uint64_t offset = commit->position.lo;
    bool range = commit->outcome != EMESH_COMMIT_UP_TO;
    bool tried = commit->outcome == EMESH_COMMIT_TRIED;
    pthread_mutex_lock(&pair->group->lock);
    uint64_t floor = pair->floor;
    sa_put32(body, pair->group->id);
    sa_put32(body + 4, pair->part->id);
    sa_put32(body + 8, pair->epoch);
    pthread_mutex_unlock(&pair->group->lock);
    if (!tried && (!range || offset == floor))
        floor = MAX(floor, offset + 1);
    range = range && offset >= floor;
    sa_put16(body + 12, range);
    sa_put16(body + 14, SA_OP_ACK);
    sa_put64(body + 16, floor);
    sa_put64(body + 24, offset);
    sa_put32(body + 32, 1);
    sa_put16(body + 36, tried ? MIN(commit->attempts, UINT16_MAX) : 0);
    sa_put16(body + 38, tried ? SA_RANGE_TRIED : SA_RANGE_ACKED);
    sa_rec *rec = sa_batch_control(store, batch, SA_COMMIT, body, range ? ENTRY : SA_COMMIT_HEAD);
    rec->pair = pair;
    rec->outcome = commit->outcome;
    rec->attempts = commit->attempts;
    rec->settles = offset;
}

static void
add_done(sa_store *store, sa_batch *batch, const sa_cursor *c, const emesh_commit *commit)
{
    sa_holds *holds = &store->holds;
    uint64_t token = commit->position.lo;
    pthread_mutex_lock(&holds->lock);
    const sa_hold *hold = g_hash_table_lookup(holds->by_token, &token);
    uint32_t part = hold != NULL ? hold->part->id : c->parts[0].part->id;
    pthread_mutex_unlock(&holds->lock);
    sa_hold_done_rec(store, batch, commit->position.hi, token, SA_HOLD_INBOX, c->group->id, part,
                     commit->outcome == EMESH_COMMIT_TRIED ? MAX(commit->attempts, 1) : 0);
}

static void
join(sa_batch *batch)
{
    bool sync = false, early = true;
    for (uint32_t i = 0; i < batch->n; i++) {
        sync |= batch->rec[i].sync;
        early &= batch->rec[i].early || batch->rec[i].silent;
    }
    for (uint32_t i = 0; i < batch->n; i++) {
        sa_rec *rec = &batch->rec[i];
        rec->follow = (uint16_t)(batch->n - 1 - i);
        rec->flags |= i > 0 ? SA_REC_JOINED : 0;
        rec->sync = sync;
        rec->early = early && !rec->silent;
    }
    batch->n_sync = sync ? batch->n : 0;
    batch->n_early = early ? batch->n : 0;
    batch->control = false; /* with events: they do not get the last of a full disk */
}

void
sa_append_unit(sa_lane *lane, const emesh_append *items, uint32_t n, uint64_t now_us)
{
    sa_store *store = lane->store;
    sa_packing few[8], *p = n <= 8 ? few : n <= SA_UNIT_RECORDS ? malloc(n * sizeof *p) : NULL;
    uint32_t records = n;
    int32_t code = n <= SA_UNIT_RECORDS ? EMESH_E_NO_MEMORY : EMESH_E_TOO_LARGE;
    const char *reason = p != NULL ? look(lane, items, n, p, &records, &code)
                         : n <= SA_UNIT_RECORDS ? "no memory to pack the unit"
                                                : "a unit has at most 1024 records";
    sa_batch *batch = NULL;
    uint8_t *bodies = NULL;
    if (reason == NULL) {
        batch = records <= SA_BATCH_RECORDS ? sa_batch_get(lane, records) : sa_batch_new(records);
        bodies = records > n ? malloc((size_t)(records - n) * ENTRY) : NULL;
        if (batch == NULL || (records > n && bodies == NULL)) {
            reason = "no memory to pack the unit";
            code = EMESH_E_NO_MEMORY;
            free(bodies);
            if (batch != NULL)
                sa_batch_unref(batch);
        }
    }
    for (uint32_t i = 0; reason != NULL && i < n; i++)
        sa_pack_refuse(store, &items[i], code, reason);
    for (uint32_t i = 0, k = 0; reason == NULL && i < n; i++) {
        const sa_cursor *c = (const sa_cursor *)(const void *)items[i].cursor;
        sa_pack_fill(store, batch, &p[i], now_us);
        if (items[i].commit == NULL)
            continue;
        if (items[i].commit->partition == SA_INBOX)
            add_done(store, batch, c, items[i].commit);
        else
            add_commit(store, batch, c, items[i].commit, bodies + (size_t)ENTRY * k++);
        batch->rec[batch->n - 1].silent = true;
    }
    if (p != few)
        free(p);
    if (reason != NULL)
        return;
    batch->memory = bodies;
    join(batch);
    sa_log_submit(store, batch, true);
}
