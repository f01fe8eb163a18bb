/* SPDX-License-Identifier: Apache-2.0
 *
 * append(): packs what a lane publishes into batches. Check sums and fingerprints are made here, on
 * the publishing lane and outside of every lock; payloads are borrowed, never copied.
 */
#include "pack.h"

#include "admin.h"
#include "hash.h"
#include "store.h"

static sa_partition *
choose(const struct emesh_topic *topic, const emesh_slice *key)
{
    if (topic->n_parts == 1 || key->len == 0)
        return topic->parts[0];
    return topic->parts[sa_key_hash(key->ptr, key->len) % topic->n_parts];
}

static bool
is_held(const emesh_append *item)
{
    return item->group.len > 0 || item->deliver_at_ms != 0;
}

const char *
sa_pack_look(struct sa_store *store, const emesh_append *item, sa_packing *p, int32_t *code)
{
    p->item = item;
    p->view = (emesh_event_view){ .size = sizeof p->view };
    store->ev->view(item->event, &p->view);
    *code = store->ev->encode(store->host, EMESH_FORM_IMAGE, &item->event, 1, &p->image);
    if (*code != EMESH_OK)
        return "the event has no image";
    p->size = SA_RECORD_HEAD
              + sa_pad8(p->image.len + p->view.data_len + (is_held(item) ? SA_HOLD_HEAD : 0));
    if (item->level > EMESH_LEVEL_SYNCED) {
        *code = EMESH_E_UNSUPPORTED;
        return "the store does not claim what this append asks for";
    }
    if (p->size > MIN((uint64_t)SA_RECORD_MAX, store->opt.segment_size / 2)) {
        *code = EMESH_E_TOO_LARGE;
        return "the event is larger than a record of the store may be";
    }
    if (item->group.len > SA_CAT_NAME_MAX || item->deliver_at_ms > UINT64_MAX / 1000) {
        *code = EMESH_E_INVALID;
        return "a group name has 1 to 249 bytes, and a due time fits in 64 bits of microseconds";
    }
    return NULL;
}

void
sa_pack_refuse(struct sa_store *store, const emesh_append *item, int32_t code, const char *reason)
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

/* What is delayed, or for one group, becomes a HOLD. */
static void
hold(struct sa_store *store, sa_rec *rec, const emesh_append *item, uint64_t now_us)
{
    uint64_t due = item->deliver_at_ms * 1000;
    rec->type = SA_HOLD;
    rec->held = true;
    rec->about = rec->part->id;
    rec->own = item->attempts;
    if (item->group.len > 0)
        sa_hold_head_write(rec->hold, MAX(due, now_us), SA_HOLD_INBOX,
                           sa_group_need(store, &item->group)->id);
    else
        sa_hold_head_write(rec->hold, due, SA_HOLD_TOPIC, 0);
}

sa_rec *
sa_pack_fill(struct sa_store *store, sa_batch *batch, const sa_packing *p, uint64_t now_us)
{
    const emesh_append *item = p->item;
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
    if (item->group.len > 0 || item->deliver_at_ms * 1000 > now_us)
        hold(store, rec, item, now_us);
    rec->first = p->image.ptr;
    rec->first_len = (uint32_t)p->image.len;
    rec->attrs = (uint32_t)p->image.len;
    rec->data = p->view.data;
    rec->n_data = p->view.n_data;
    rec->time_us = now_us;
    rec->hash = fingerprint(&p->view);
    rec->sync = level == EMESH_LEVEL_SYNCED;
    rec->early = level == EMESH_LEVEL_MEMORY;
    batch->n_sync += rec->sync;
    batch->n_early += rec->early;
    result->cookie = item->cookie;
    sa_rec_seal(batch, rec);
    return rec;
}

/* How many of the n items belong together with the first. */
static uint32_t
unit_of(const emesh_append *items, uint32_t n)
{
    uint32_t i = 0;
    while (i + 1 < n && (items[i].flags & EMESH_APPEND_CHAIN) != 0)
        i++;
    return i + 1;
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
        sa_packing p;
        int32_t code;
        if ((items[i].flags & EMESH_APPEND_CHAIN) != 0 || items[i].commit != NULL) {
            uint32_t count = unit_of(items + i, n - i);
            if (batch != NULL) /* order of the caller */
                sa_log_submit(store, batch, true);
            batch = NULL;
            sa_append_unit(lane, items + i, count, now_us);
            i += count - 1;
            continue;
        }
        const char *reason = sa_pack_look(store, &items[i], &p, &code);
        if (reason != NULL) {
            sa_pack_refuse(store, &items[i], code, reason);
            continue;
        }
        if (batch != NULL && (batch->n == batch->cap || batch->bytes + p.size > most
                              || batch->n_iov + 2 + p.view.n_data > SA_IOV - 1)) {
            sa_log_submit(store, batch, true);
            batch = NULL;
        }
        if (batch == NULL)
            batch = sa_batch_get(lane, MIN(n - i, SA_BATCH_RECORDS));
        if (batch == NULL) {
            sa_pack_refuse(store, &items[i], EMESH_E_NO_MEMORY, "no memory to pack the event");
            continue;
        }
        sa_pack_fill(store, batch, &p, now_us);
    }
    if (batch != NULL)
        sa_log_submit(store, batch, true);
}
