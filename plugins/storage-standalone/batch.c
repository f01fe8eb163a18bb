/* SPDX-License-Identifier: Apache-2.0
 *
 * See batch.h.
 */
#include "batch.h"

#include "crc32c.h"
#include "lane.h"
#include "store.h"
#include <stdlib.h>

static const uint32_t class_cap[3] = { 4, 32, SA_BATCH_RECORDS };

static sa_batch *
batch_alloc(uint32_t cap)
{
    size_t results = sizeof(sa_batch) + cap * sizeof(sa_rec);
    sa_batch *batch = malloc(results + cap * sizeof(emesh_appended));
    if (batch != NULL) {
        memset(batch, 0, sizeof *batch);
        batch->cap = cap;
        batch->results = (emesh_appended *)(void *)((char *)batch + results);
    }
    return batch;
}

static sa_batch *
batch_reset(sa_batch *batch, sa_lane *lane)
{
    uint32_t cap = batch->cap;
    emesh_appended *results = batch->results;
    memset(batch, 0, sizeof *batch);
    batch->cap = cap;
    batch->results = results;
    batch->lane = lane;
    atomic_init(&batch->refs, 1);
    return batch;
}

sa_batch *
sa_batch_get(sa_lane *lane, uint32_t n)
{
    sa_batches *free_list = &lane->batches;
    for (int k = 0; k < 3; k++) {
        if (n > class_cap[k])
            continue;
        sa_batch *batch = free_list->own[k];
        if (batch == NULL)
            batch = atomic_exchange_explicit(&free_list->returned[k], NULL, memory_order_acquire);
        if (batch != NULL)
            free_list->own[k] = batch->next;
        else
            batch = batch_alloc(class_cap[k]);
        return batch != NULL ? batch_reset(batch, lane) : NULL;
    }
    return NULL;
}

sa_batch *
sa_batch_new(uint32_t n)
{
    sa_batch *batch = batch_alloc(n);
    return batch != NULL ? batch_reset(batch, NULL) : NULL;
}

void
sa_batch_unref(sa_batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(batch->memory);
    sa_lane *lane = batch->lane;
    if (lane == NULL) {
        free(batch);
        return;
    }
    int k = batch->cap == class_cap[0] ? 0 : batch->cap == class_cap[1] ? 1 : 2;
    sa_batch *_Atomic *head = &lane->batches.returned[k];
    batch->next = atomic_load_explicit(head, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(head, &batch->next, batch, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

static void
free_list(sa_batch *batch)
{
    for (sa_batch *next; batch != NULL; batch = next) {
        next = batch->next;
        free(batch);
    }
}

void
sa_batches_clear(sa_batches *batches)
{
    for (int k = 0; k < 3; k++) {
        free_list(batches->own[k]);
        free_list(atomic_load(&batches->returned[k]));
    }
}

void
sa_rec_seal(sa_batch *batch, sa_rec *rec)
{
    static const uint8_t zeros[8];
    uint32_t crc = rec->held ? sa_crc32c(0, rec->hold, SA_HOLD_HEAD) : 0;
    uint32_t body = rec->first_len + (rec->held ? SA_HOLD_HEAD : 0);
    crc = sa_crc32c(crc, rec->first, rec->first_len);
    uint32_t pieces = 2;
    for (uint32_t i = 0; i < rec->n_data; i++) {
        crc = sa_crc32c(crc, rec->data[i].ptr, rec->data[i].len);
        body += (uint32_t)rec->data[i].len;
        pieces++;
    }
    rec->body = body;
    rec->body_crc = sa_crc32c(crc, zeros, sa_pad8(body) - body);
    memset(rec->zero, 0, sizeof rec->zero);
    batch->bytes += sa_rec_size(body);
    batch->n_iov += pieces;
    batch->n++;
}

static sa_rec *
control(struct sa_store *store, sa_batch *batch, enum sa_type type, const void *body, uint32_t len)
{
    sa_rec *rec = &batch->rec[batch->n];
    memset(rec, 0, sizeof *rec);
    memset(&batch->results[batch->n], 0, sizeof batch->results[0]);
    rec->type = (uint8_t)type;
    rec->flags = SA_REC_STOP;
    rec->part = &store->cat.control;
    rec->first = body;
    rec->first_len = len;
    rec->time_us = sa_wall_us(store);
    return rec;
}

sa_rec *
sa_batch_control(struct sa_store *store, sa_batch *batch, enum sa_type type, const void *body,
                 uint32_t len)
{
    sa_rec *rec = control(store, batch, type, body, len);
    batch->control = true;
    sa_rec_seal(batch, rec);
    return rec;
}

sa_rec *
sa_batch_control_hold(struct sa_store *store, sa_batch *batch, enum sa_type type, uint64_t due,
                      uint32_t kind, uint32_t group)
{
    sa_rec *rec = control(store, batch, type, NULL, 0);
    rec->held = true;
    sa_hold_head_write(rec->hold, due, kind, group);
    batch->control = true;
    sa_rec_seal(batch, rec);
    return rec;
}

/* A batch with both kinds is answered by writer and syncer at once: each looks at the records of
 * its kind alone. */
static bool
answers(const sa_batch *batch, uint32_t i, enum sa_answer which)
{
    const sa_rec *rec = &batch->rec[i];
    if (rec->silent)
        return false;
    if (which == SA_ANSWER_EARLY || rec->early)
        return which == SA_ANSWER_EARLY && rec->early;
    if (which == SA_ANSWER_FAILED)
        return !rec->answered && batch->results[i].code != 0;
    if (rec->sync != (which == SA_ANSWER_SYNCED || which == SA_ANSWER_LOST))
        return false;
    return !rec->answered && (batch->results[i].code == 0 || which == SA_ANSWER_LOST);
}

void
sa_batch_answer(struct sa_store *store, sa_batch *batch, enum sa_answer which)
{
    static const uint32_t level[] = { EMESH_LEVEL_MEMORY, EMESH_LEVEL_OS, EMESH_LEVEL_SYNCED, 0, 0 };
    if (batch->done != NULL)
        return;
    for (uint32_t i = 0; i < batch->n;) {
        uint32_t from = i;
        while (i < batch->n && answers(batch, i, which)) {
            sa_rec *rec = &batch->rec[i];
            if (which != SA_ANSWER_EARLY)
                rec->answered = true; /* of an early one only its submitter tells */
            batch->results[i].level = level[which];
            batch->results[i].partition = rec->held && sa_get32(rec->hold + 8) == SA_HOLD_INBOX
                                              ? SA_INBOX : rec->part->number;
            if (level[which] != 0)
                batch->results[i].position =
                    (emesh_position){ rec->held ? sa_get64(rec->hold) : 0, rec->offset };
            i++;
        }
        if (i > from)
            store->st->appended(store->host, &batch->results[from], i - from);
        else
            i++;
    }
}

void
sa_batch_refuse(struct sa_store *store, sa_batch *batch, int32_t code, const char *reason)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        emesh_appended *result = &batch->results[i];
        if (batch->rec[i].early)
            sa_count(&store->stats.memory_lost, 1); /* answered, as its level allows */
        if (!batch->rec[i].early && !batch->rec[i].answered && result->code == 0) {
            result->code = code;
            result->reason = (emesh_slice){ reason, strlen(reason) };
        }
        if (batch->rec[i].event != NULL) {
            store->ev->unref(&batch->rec[i].event, 1);
            batch->rec[i].event = NULL;
        }
    }
    if (batch->done != NULL)
        batch->done(batch, code);
    else
        sa_batch_answer(store, batch, SA_ANSWER_FAILED);
    sa_batch_unref(batch);
}

void
sa_batch_lost(struct sa_store *store, sa_batch *batch, const char *reason)
{
    for (uint32_t i = 0; i < batch->n; i++) {
        emesh_appended *result = &batch->results[i];
        if (batch->rec[i].sync && !batch->rec[i].early && result->code == 0) {
            result->code = EMESH_E_LOST;
            result->reason = (emesh_slice){ reason, strlen(reason) };
        }
    }
    if (batch->done != NULL)
        batch->done(batch, EMESH_E_LOST);
    else
        sa_batch_answer(store, batch, SA_ANSWER_LOST);
    sa_batch_unref(batch);
}
