/* SPDX-License-Identifier: Apache-2.0
 *
 * append(): packs what a lane publishes into batches. Check sums and fingerprints are made here, on
 * the publishing lane and outside of every lock; payloads are borrowed, never copied.
 */
#include "hash.h"
#include "lane.h"
#include "store.h"

static sa_partition *
choose(const struct emesh_topic *topic, const emesh_slice *key)
{
    if (topic->n_parts == 1 || key->len == 0)
        return topic->parts[0];
    return topic->parts[sa_key_hash(key->ptr, key->len) % topic->n_parts];
}

static const char *
check(const sa_store *store, const emesh_append *item, uint64_t size, int32_t *code)
{
    if ((item->flags & EMESH_APPEND_CHAIN) != 0 || item->commit != NULL || item->group.len > 0
        || item->deliver_at_ms != 0 || item->level > EMESH_LEVEL_SYNCED) {
        *code = EMESH_E_UNSUPPORTED;
        return "the store does not claim what this append asks for";
    }
    if (size > MIN((uint64_t)SA_RECORD_MAX, store->opt.segment_size / 2)) {
        *code = EMESH_E_TOO_LARGE;
        return "the event is larger than a record of the store may be";
    }
    return NULL;
}

static void
refuse(sa_store *store, const emesh_append *item, int32_t code, const char *reason)
{
    emesh_appended result = { .cookie = item->cookie, .code = code,
                              .reason = { reason, strlen(reason) } };
    store->st->appended(store->host, &result, 1);
}

/* Attributes 0 and 1 of an event are its id and its source. */
static uint64_t
fingerprint(const emesh_event_view *view)
{
    if (view->n_attrs < 2)
        return 0;
    return sa_fingerprint(view->attrs[1].value, view->attrs[1].value_len, view->attrs[0].value,
                          view->attrs[0].value_len);
}

static void
fill(sa_store *store, sa_batch *batch, const emesh_append *item, const emesh_event_view *view,
     const emesh_part *image, uint64_t now_us)
{
    const struct emesh_topic *topic = item->topic;
    sa_rec *rec = &batch->rec[batch->n];
    emesh_appended *result = &batch->results[batch->n];
    uint32_t level = item->level != EMESH_LEVEL_TOPIC ? item->level : topic->level;
    memset(rec, 0, sizeof *rec);
    memset(result, 0, sizeof *result);
    rec->type = SA_EVENT;
    rec->flags = SA_REC_STOP;
    rec->event = store->ev->ref(item->event);
    rec->part = choose(topic, &item->key);
    rec->first = image->ptr;
    rec->first_len = (uint32_t)image->len;
    rec->attrs = (uint32_t)image->len;
    rec->data = view->data;
    rec->n_data = view->n_data;
    rec->time_us = now_us;
    rec->hash = fingerprint(view);
    rec->sync = level == EMESH_LEVEL_SYNCED;
    rec->early = level == EMESH_LEVEL_MEMORY;
    batch->n_sync += rec->sync;
    batch->n_early += rec->early;
    result->cookie = item->cookie;
    sa_rec_seal(batch, rec);
}

void
sa_append(emesh_lane *self, const emesh_append *items, uint32_t n)
{
    sa_lane *lane = (sa_lane *)(void *)self;
    sa_store *store = lane->store;
    uint64_t now_us = sa_wall_us(store);
    uint64_t most = MIN((uint64_t)SA_BATCH_BYTES, store->opt.segment_size / 4);
    sa_batch *batch = NULL;
    for (uint32_t i = 0; i < n; i++) {
        emesh_event_view view = { .size = sizeof view };
        emesh_part image;
        int32_t code;
        store->ev->view(items[i].event, &view);
        code = store->ev->encode(store->host, EMESH_FORM_IMAGE, &items[i].event, 1, &image);
        uint64_t size = code == EMESH_OK ? SA_RECORD_HEAD + sa_pad8(image.len + view.data_len) : 0;
        const char *reason = code == EMESH_OK ? check(store, &items[i], size, &code)
                                              : "the event has no image";
        if (reason != NULL) {
            refuse(store, &items[i], code, reason);
            continue;
        }
        if (batch != NULL && (batch->n == batch->cap || batch->bytes + size > most
                              || batch->n_iov + 2 + view.n_data > SA_IOV - 1)) {
            sa_log_submit(store, batch, true);
            batch = NULL;
        }
        if (batch == NULL)
            batch = sa_batch_get(lane, MIN(n - i, SA_BATCH_RECORDS));
        if (batch == NULL) {
            refuse(store, &items[i], EMESH_E_NO_MEMORY, "no memory to pack the event");
            continue;
        }
        fill(store, batch, &items[i], &view, &image, now_us);
    }
    if (batch != NULL)
        sa_log_submit(store, batch, true);
}
