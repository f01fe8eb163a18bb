/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: control records behind the checkpoint are applied in the order of the log, kept events
 * are indexed, and every partition learns its next offset.
 */
#include "recovery.h"

#include "hash.h"
#include "index.h"
#include "store.h"
#include "vector.h"
#include <errno.h>
#include <stdlib.h>


typedef uint64_t print_of(const void *source, size_t n_source, const void *id, size_t n_id);

static uint64_t
image_print(const uint8_t *image, size_t n, print_of *print)
{
    if (n < 8)
        return 0;
    uint32_t attrs = sa_get16(image + 2);
    size_t at = 8 + 8ull * attrs;
    const uint8_t *value[2];
    size_t len[2];
    if (attrs < 2 || at > n)
        return 0;
    for (int i = 0; i < 2; i++) {
        len[i] = sa_get32(image + 8 + 8 * i);
        at += sa_get16(image + 12 + 8 * i);
        if (at > n || len[i] > n - at)
            return 0;
        value[i] = image + at;
        at += len[i];
    }
    return print(value[1], len[1], value[0], len[0]);
}

uint64_t
sa_image_fingerprint(const uint8_t *image, size_t n)
{
    return image_print(image, n, sa_fingerprint);
}

uint64_t
sa_image_fingerprint_1(const uint8_t *image, size_t n)
{
    return image_print(image, n, sa_fingerprint_1);
}

/* Body of a record, whole; NULL when it cannot be read. Given: free. For want of memory nothing is
 * skipped: *code says so. */
static uint8_t *
read_body(sa_recovery *r, int fd, uint64_t place, const sa_rec_head *head, int32_t *code)
{
    sa_store *store = r->store;
    size_t size = sa_pad8(head->body);
    uint8_t *body = malloc(size + 8);
    ssize_t got = body != NULL
                      ? sa_read_all(store->io, fd, body, size, place + SA_RECORD_HEAD) : -ENOMEM;
    if (got == -ENOMEM)
        *code = sa_error(r->err, EMESH_E_NO_MEMORY, "no memory for a control record of %zu bytes in "
                         "%s/log", size, store->path);
    sa_count(&store->stats.scanned_bytes, got > 0 ? (uint64_t)got : 0);
    if (got != (ssize_t)size || !sa_rec_body_ok(head, body, size)) {
        free(body);
        return NULL;
    }
    return body;
}

static void
replay_hold(sa_store *store, uint64_t lsn, const sa_rec_head *head, const uint8_t *body)
{
    sa_hold_seen seen = {
        .type = (enum sa_type)head->type, .partition = head->partition, .own = head->own,
        .size = (uint32_t)sa_rec_size(head->body), .token = head->offset, .lsn = lsn,
        .head = head->body >= SA_HOLD_HEAD ? body : NULL,
    };
    sa_hold_apply(store, &seen);
}

/* What lies in a segment, whether or not the index knows it. */
static void
note(sa_store *store, sa_segment *seg, uint64_t lsn, const sa_rec_head *head, const uint8_t *body)
{
    if (head->type == SA_HOLD || head->type == SA_HOLD_DONE)
        sa_hold_note(store, (enum sa_type)head->type, head->offset, lsn);
    else if (head->type == SA_COMMIT)
        seg->deletes |= sa_commit_deletes(body, head->body);
}

/* Does the index not know a record yet? A segment that was cleaned after it was written tells what
 * was so then, whatever the LSN. */
static bool
is_news(const sa_recovery *r, const sa_segment *seg, uint64_t lsn)
{
    return lsn >= r->store->keeper.applied || (seg->cleaned && seg->swap > r->swap);
}

/* False: the body is not what its type says. */
static bool
apply(sa_recovery *r, const sa_segment *seg, uint64_t lsn, const sa_rec_head *head,
      const uint8_t *body)
{
    sa_store *store = r->store;
    sa_partition *part;
    switch (head->type) {
    case SA_HOLD:
    case SA_HOLD_DONE:
        replay_hold(store, lsn, head, body);
        return head->type == SA_HOLD_DONE || head->body >= SA_HOLD_HEAD;
    case SA_COMMIT:
        return sa_commit_apply(store, seg->cleaned ? seg->last - 1 : lsn, body, head->body);
    case SA_CATALOG:
        if (r->rebuild && lsn < r->catalog_lsn)
            return true; /* the footer knows it, and what was deleted later */
        return sa_cat_apply_record(store, body, head->body);
    case SA_START:
        part = sa_catalog_part(&store->cat, head->partition);
        if (part != NULL && head->offset > atomic_load(&part->first)) {
            atomic_store(&part->first, head->offset);
            if (part->topic != NULL)
                sa_keeper_topic(store, part->topic);
        }
        return true;
    default:
        return true;
    }
}

static int32_t
unknown_type(sa_recovery *r, const sa_segment *seg, const sa_rec_head *head)
{
    return sa_error(r->err, EMESH_E_TOO_NEW, "segment %s/log/%016llx.seg holds a record of type %u "
                    "that this version must not skip: start a newer eventmeshd", r->store->path,
                    (unsigned long long)seg->base, head->type);
}

/* A partition whose catalogue entry is lost keeps its events under a name that says so. */
static sa_partition *
partition_of(sa_recovery *r, uint32_t id)
{
    sa_store *store = r->store;
    sa_partition *part = sa_catalog_part(&store->cat, id);
    if (part != NULL)
        return part;
    if (id < store->cat.next_part)
        return NULL; /* deleted */
    g_autofree char *name = g_strdup_printf("emesh-lost-%u", id);
    pthread_mutex_lock(&store->cat.lock);
    sa_topic *topic = sa_catalog_make_topic(store, name, strlen(name), 0, 1, &id);
    topic->level = EMESH_LEVEL_SYNCED;
    topic->created_us = sa_wall_us(store);
    pthread_mutex_unlock(&store->cat.lock);
    sa_keeper_topic(store, topic);
    sa_count(&store->stats.damaged, 1);
    sa_say(store, EMESH_LOG_ERROR, "the catalogue of %s lost a topic: its events are in topic %s",
           store->path, name);
    return topic->parts[0];
}

static void
saw(sa_partition *part, uint64_t offset)
{
    if (offset >= part->turn_end)
        part->turn_end = offset + 1;
    if (offset >= atomic_load(&part->next))
        atomic_store(&part->next, offset + 1);
}

/* ---- sealed segments behind the checkpoint ---- */

static int32_t
replay_control(sa_recovery *r, sa_segment *seg, int fd, const sa_entry *entry)
{
    sa_store *store = r->store;
    sa_vector *places = sa_vector_get(store, seg, fd, entry);
    int32_t code = EMESH_OK;
    if (places == NULL)
        return sa_error(r->err, EMESH_E_IO, "index of %s/log/%016llx.seg could not be read",
                        store->path, (unsigned long long)seg->base);
    for (uint32_t i = 0; i < places->count && code == EMESH_OK; i++) {
        uint8_t raw[SA_RECORD_HEAD];
        sa_rec_head head;
        uint64_t place = 8ull * places->place8[i];
        ssize_t got = sa_read_all(store->io, fd, raw, sizeof raw, place);
        bool good = got == (ssize_t)sizeof raw
                    && sa_rec_head_read(raw, sizeof raw, seg->base + place, store->salt, &head);
        uint8_t *body = good ? read_body(r, fd, place, &head, &code) : NULL;
        if (code != EMESH_OK)
            break;
        if (body != NULL)
            note(store, seg, seg->base + place, &head, body);
        if (body != NULL && is_news(r, seg, seg->base + place))
            good = apply(r, seg, seg->base + place, &head, body);
        if (body == NULL || !good) {
            sa_count(&store->stats.damaged, 1);
            sa_say(store, EMESH_LOG_ERROR, "control record at byte %llu of %s/log/%016llx.seg is "
                   "damaged", (unsigned long long)place, store->path,
                   (unsigned long long)seg->base);
        } else if (head.type > SA_START && (head.flags & SA_REC_STOP) != 0) {
            code = unknown_type(r, seg, &head);
        }
        free(body);
    }
    sa_vector_unref(store, places);
    return code;
}

static int32_t
replay_sealed(sa_recovery *r, sa_segment *seg)
{
    sa_store *store = r->store;
    int32_t code = EMESH_OK;
    pthread_mutex_lock(&store->segs.lock);
    int fd = sa_seg_use(store, seg);
    pthread_mutex_unlock(&store->segs.lock);
    if (fd < 0)
        return sa_error(r->err, EMESH_E_IO, "segment %s/log/%016llx.seg could not be opened: %s",
                        store->path, (unsigned long long)seg->base, g_strerror(-fd));
    for (uint32_t i = 0; i < seg->n_dir && code == EMESH_OK && seg->dir[i].partition == 0; i++)
        code = replay_control(r, seg, fd, &seg->dir[i]);
    sa_seg_leave(store, seg);
    for (uint32_t i = 0; i < seg->n_dir && code == EMESH_OK; i++) {
        const sa_entry *e = &seg->dir[i];
        sa_partition *part = e->partition != 0 ? partition_of(r, e->partition) : NULL;
        if (part == NULL)
            continue;
        saw(part, e->last);
        if (e->last < part->dead_to)
            continue; /* cut before the last life ended */
        seg->live++;
        seg->live_bytes += e->bytes;
        if (e->last >= atomic_load(&part->rows_to))
            part->bytes += e->bytes; /* else an older index counted it */
    }
    return code;
}

/* ---- scanned segments ---- */

static bool
index_control(sa_recovery *r, sa_segment *seg, const sa_item *item)
{
    sa_store *store = r->store;
    sa_partition *control = &store->cat.control;
    uint64_t at = control->open_base == seg->base ? atomic_load(&control->next) : 0;
    atomic_store(&control->next, at + 1);
    return sa_index_add(store, seg, control, at, item->place, item->size, item->head.time_us);
}

static int32_t
replay_item(sa_recovery *r, sa_scanned *s, sa_item *item)
{
    sa_store *store = r->store;
    sa_segment *seg = s->seg;
    bool fits = true;
    if (item->head.type == SA_EVENT) {
        sa_partition *part = partition_of(r, item->head.partition);
        if (part == NULL || item->head.offset < part->turn_end) {
            item->keep = item->copy = false; /* of a deleted topic, or a copy that is there twice */
            return EMESH_OK;
        }
        saw(part, item->head.offset);
        if (item->keep)
            fits = sa_index_add(store, seg, part, item->head.offset, item->place, item->size,
                                item->head.time_us)
                   && sa_prints_add(seg, item->hash, item->place);
    } else {
        if (item->head.type > SA_START && (item->head.flags & SA_REC_STOP) != 0)
            return unknown_type(r, seg, &item->head);
        int32_t code = EMESH_OK;
        uint8_t *body = item->whole ? read_body(r, seg->fd, item->place, &item->head, &code) : NULL;
        if (code != EMESH_OK)
            return code;
        if (body != NULL)
            note(store, seg, seg->base + item->place, &item->head, body);
        if (body != NULL && is_news(r, seg, seg->base + item->place)
            && !apply(r, seg, seg->base + item->place, &item->head, body))
            sa_count(&store->stats.damaged, 1);
        free(body);
        if (item->keep)
            fits = index_control(r, seg, item);
    }
    return fits ? EMESH_OK : sa_error(r->err, EMESH_E_NO_MEMORY, "no memory for the index of "
                                      "%s/log/%016llx.seg", store->path,
                                      (unsigned long long)seg->base);
}

static sa_scanned *
scanned_of(const sa_recovery *r, const sa_segment *seg)
{
    for (guint i = 0; i < r->scanned->len; i++) {
        sa_scanned *s = g_ptr_array_index(r->scanned, i);
        if (s->seg == seg)
            return s;
    }
    return NULL;
}

int32_t
sa_recover_replay(sa_recovery *r)
{
    sa_store *store = r->store;
    sa_segs *segs = &store->segs;
    int32_t code = EMESH_OK;
    for (uint32_t i = 0; i < segs->n && code == EMESH_OK; i++) {
        sa_segment *seg = segs->all[i];
        if (seg->rows)
            continue;
        sa_scanned *s = scanned_of(r, seg);
        if (s == NULL) {
            code = replay_sealed(r, seg);
            continue;
        }
        for (guint k = 0; k < s->items->len && code == EMESH_OK; k++) {
            sa_item *item = &g_array_index(s->items, sa_item, k);
            if (item->keep || item->copy)
                code = replay_item(r, s, item);
        }
    }
    return code;
}
