/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads records by their places: neighbours less than 64 KiB apart share one read of at most
 * 256 KiB. Check sums are checked; a damaged record is handed over as such, counted and named.
 */
#include "reader.h"

#include "store.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define SA_RETRIES 50

typedef struct sa_window {
    uint8_t *bytes;
    size_t cap, have;
    uint64_t at;
    sa_ahead *ahead; /* is told how long reads take; may be NULL */
    bool short_of_memory; /* the last record could not be told for want of it: no damage */
} sa_window;

/* Bytes [place, place + n) into the window, unless they are there. */
static bool
fill(struct sa_store *store, int fd, sa_window *w, uint64_t place, size_t n)
{
    if (place >= w->at && place + n <= w->at + w->have)
        return true;
    if (n > w->cap) {
        uint8_t *bytes = malloc(n);
        if (bytes == NULL) {
            w->short_of_memory = true;
            return false;
        }
        free(w->bytes);
        w->bytes = bytes;
        w->cap = n;
    }
    uint64_t before = w->ahead != NULL ? sa_mono_ns(store) : 0;
    ssize_t got = sa_read_all(store->io, fd, w->bytes, n, place);
    sa_count(&store->stats.reads, 1);
    if (w->ahead != NULL)
        sa_ahead_note(w->ahead, sa_mono_ns(store) - before, n);
    w->short_of_memory |= got == -ENOMEM;
    w->at = place;
    w->have = got > 0 ? (size_t)got : 0;
    sa_count(&store->stats.read_bytes, w->have);
    return w->have == n;
}

/* The body's check sum is right. The data go into the event, or into a buffer of its own: nothing of the
 * window is kept. */
static const emesh_event *
decode(struct sa_store *store, const sa_rec_head *head, const uint8_t *body, sa_window *w)
{
    const emesh_event *event = NULL;
    uint32_t n = 0, data = head->body - head->attrs;
    const emesh_part parts[2] = { { body, head->attrs, NULL },
                                  { body + head->attrs, data, NULL } };
    int32_t code = store->ev->decode(store->host, EMESH_FORM_KEPT, parts, data > 0 ? 2 : 1,
                                     &event, 1, &n, NULL);
    w->short_of_memory = code == EMESH_E_NO_MEMORY;
    return code == EMESH_OK && n == 1 ? event : NULL;
}

/* The record at places[i]; event NULL when it is damaged. */
static sa_got
read_one(struct sa_store *store, sa_partition *part, const sa_places *p, uint32_t i, sa_window *w)
{
    uint64_t place = 8ull * p->place8[i];
    sa_got got = { .offset = p->offset + i };
    sa_rec_head head;
    uint32_t after;
    if (place == 0)
        return got;
    if (place < w->at || place + SA_RECORD_HEAD > w->at + w->have) {
        fill(store, p->fd, w, place, sa_places_span(p, i, &after));
        if (w->ahead != NULL)
            sa_ahead_places(store, w->ahead, p, after);
    }
    if (place + SA_RECORD_HEAD > w->at + w->have
        || !sa_rec_head_read(w->bytes + (place - w->at), w->have - (size_t)(place - w->at),
                             p->seg->base + place, store->salt, &head)
        || head.type != SA_EVENT || head.partition != part->id || head.offset != got.offset)
        return got;
    got.time_us = head.time_us;
    if (!fill(store, p->fd, w, place, sa_rec_size(head.body)))
        return got;
    const uint8_t *body = w->bytes + (place - w->at) + SA_RECORD_HEAD;
    if (sa_rec_body_ok(&head, body, sa_pad8(head.body))) {
        got.event = decode(store, &head, body, w);
        got.bytes = sa_event_bytes(body, head.attrs, head.body);
    }
    return got;
}

static void
note_damage(struct sa_store *store, sa_partition *part, const sa_places *p, uint64_t offset)
{
    sa_count(&store->stats.damaged, 1);
    sa_say(store, EMESH_LOG_ERROR, "record %llu of topic %s, partition %u, in %s/log/%016llx.seg is "
           "damaged and skipped", (unsigned long long)offset,
           part->topic != NULL ? part->topic->name : "?", part->number, store->path,
           (unsigned long long)p->seg->base);
}

void
sa_read_pause(void)
{
    struct timespec wait = { 0, 20000000 };
    nanosleep(&wait, NULL);
}

/* Nothing is skipped: the caller asks again from here, and this is said again. */
static void
note_want(struct sa_store *store, sa_partition *part, uint64_t offset, const char *what)
{
    sa_say(store, EMESH_LOG_WARNING, "record %llu of topic %s, partition %u, of %s cannot be read "
           "for want of %s; it is tried again", (unsigned long long)offset,
           part->topic != NULL ? part->topic->name : "?", part->number, store->path, what);
}

/* A record that cannot be told for want of memory is tried again; false: it still cannot. */
static bool
read_patiently(struct sa_store *store, sa_partition *part, const sa_places *p, uint32_t i,
               sa_window *w, sa_got *got)
{
    for (int tries = 0; tries < SA_RETRIES; tries++) {
        w->short_of_memory = false;
        *got = read_one(store, part, p, i, w);
        if (got->event != NULL || !w->short_of_memory)
            return true;
        sa_read_pause();
    }
    return false;
}

/* Look-ups that lack memory or descriptors are tried again: skipping would lose records. */
static sa_look
look(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end, uint32_t max,
     sa_places *places)
{
    for (int i = 0; i < SA_RETRIES; i++) {
        sa_look found = sa_lookup(store, part, offset, end, max, places);
        if (found != SA_LOOK_ERROR)
            return found;
        sa_read_pause();
    }
    return SA_LOOK_ERROR;
}

uint32_t
sa_read(struct sa_store *store, sa_partition *part, uint64_t offset, uint64_t end, sa_got *out,
        uint32_t max, uint64_t max_bytes, uint64_t *next, sa_ahead *ahead)
{
    uint32_t n = 0;
    uint64_t bytes = 0;
    sa_window w = { .ahead = ahead };
    bool able = true;
    *next = offset;
    if (ahead != NULL)
        sa_ahead_begin(ahead);
    while (able && n < max && *next < end && (n == 0 || bytes < max_bytes)) {
        sa_places places;
        sa_look found = look(store, part, *next, end, max - n, &places);
        if (found == SA_LOOK_ERROR) {
            note_want(store, part, *next, "memory, descriptors or the index");
            break;
        }
        if (found == SA_LOOK_NONE) {
            *next = end;
            break;
        }
        w.have = 0; /* of another file */
        for (uint32_t i = 0; i < places.n; i++) {
            sa_got got;
            able = read_patiently(store, part, &places, i, &w, &got);
            if (!able) {
                note_want(store, part, *next, "memory");
                break;
            }
            if (n > 0 && bytes + got.bytes > max_bytes) {
                store->ev->unref(&got.event, 1);
                bytes = max_bytes;
                break;
            }
            if (got.event == NULL)
                note_damage(store, part, &places, got.offset);
            bytes += got.bytes;
            out[n++] = got;
            *next = got.offset + 1;
        }
        if (ahead != NULL && ahead->cold > 0)
            sa_clean_note(store, part, places.offset);
        sa_places_leave(store, &places);
    }
    free(w.bytes);
    if (ahead != NULL)
        ahead->cold -= MIN(ahead->cold, n);
    return n;
}

const emesh_event *
sa_read_place(struct sa_store *store, sa_segment *seg, int fd, uint64_t place, sa_rec_head *head)
{
    sa_window w = { 0 };
    const emesh_event *event = NULL;
    for (int tries = 0; tries < SA_RETRIES && event == NULL; tries++) {
        w.short_of_memory = false;
        if (fill(store, fd, &w, place, SA_RECORD_HEAD)
            && sa_rec_head_read(w.bytes + (place - w.at), w.have - (size_t)(place - w.at),
                                seg->base + place, store->salt, head)
            && head->type == SA_EVENT && fill(store, fd, &w, place, sa_rec_size(head->body))
            && sa_rec_body_ok(head, w.bytes + SA_RECORD_HEAD, w.have - SA_RECORD_HEAD))
            event = decode(store, head, w.bytes + SA_RECORD_HEAD, &w);
        if (event == NULL && !w.short_of_memory)
            break;
        if (event == NULL)
            sa_read_pause();
    }
    free(w.bytes);
    return event;
}

const emesh_event *
sa_hold_read(struct sa_store *store, uint64_t lsn, uint64_t token, uint8_t **body,
             sa_rec_head *head, bool *again)
{
    sa_window w = { 0 };
    const emesh_event *event = NULL;
    *again = false;
    pthread_mutex_lock(&store->segs.lock);
    sa_segment *seg = sa_segs_at(&store->segs, lsn);
    int fd = sa_seg_use(store, seg);
    pthread_mutex_unlock(&store->segs.lock);
    if (fd < 0) {
        *again = fd != -ENOENT || sa_hold_elsewhere(store, token, lsn);
        return NULL;
    }
    uint64_t place = lsn - seg->base;
    if (fill(store, fd, &w, place, SA_RECORD_HEAD)
        && sa_rec_head_read(w.bytes, w.have, lsn, store->salt, head) && head->type == SA_HOLD
        && head->offset == token && head->body - head->attrs >= SA_HOLD_HEAD
        && fill(store, fd, &w, place + SA_RECORD_HEAD, sa_pad8(head->body))
        && sa_rec_body_ok(head, w.bytes, w.have)) {
        sa_rec_head inner = *head;
        inner.body -= SA_HOLD_HEAD;
        event = decode(store, &inner, w.bytes + SA_HOLD_HEAD, &w);
    }
    sa_seg_leave(store, seg);
    *again = event == NULL && (w.short_of_memory || sa_hold_elsewhere(store, token, lsn));
    if (event == NULL)
        free(w.bytes);
    else
        *body = w.bytes;
    return event;
}
