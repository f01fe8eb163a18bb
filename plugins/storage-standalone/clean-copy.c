/* SPDX-License-Identifier: Apache-2.0
 *
 * The cleaner's copying, see clean.h: inputs are read, events go into the new segment. Check sums are
 * checked on the way; a damaged event keeps its offset and is told when it is read, as before.
 * Control records: clean-control.c.
 */
#include "clean-copy.h"

#include "reader.h"
#include "recovery.h"
#include "store.h"
#include "vector.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define SA_CLEAN_WINDOW (256u << 10)
#define SA_CLEAN_GAP (16u << 10)

/* ---- inputs ---- */

bool
sa_piece_live(struct sa_store *store, const sa_entry *entry)
{
    const sa_partition *part = sa_catalog_part(&store->cat, entry->partition);
    return part != NULL && part->id != 0 && part->topic != NULL && !part->topic->deleted
           && entry->last >= part->dead_to;
}

int
sa_clean_use(struct sa_store *store, sa_segment *seg)
{
    pthread_mutex_lock(&store->segs.lock);
    int fd = sa_seg_use(store, seg);
    pthread_mutex_unlock(&store->segs.lock);
    return fd;
}

static void
add_piece(struct sa_store *store, sa_segment *seg, const uint8_t *raw)
{
    sa_cleaner *c = &store->cleaner;
    sa_piece piece = { .seg = seg };
    sa_entry_read(raw, &piece.entry);
    if (piece.entry.clock_us == 0)
        piece.entry.clock_us = seg->clock_us;
    if (piece.entry.partition == 0)
        g_array_append_val(c->controls, piece);
    else if (sa_piece_live(store, &piece.entry))
        g_array_append_val(c->pieces, piece);
}

/* Much of it is read soon, in another order than it lies there: the disk may begin. */
static void
fetch(struct sa_store *store, const sa_segment *seg, int fd)
{
    const sa_io *io = store->io;
    if (io->ahead == NULL || (seg->live_bytes + seg->held_bytes) * 4 < seg->size)
        return;
    for (uint64_t place = 0; place < seg->size; place += SA_CLEAN_WINDOW)
        io->ahead(io->ctx, fd, place, MIN(SA_CLEAN_WINDOW, seg->size - place));
}

/* The directory of an input. */
static int
add_pieces(struct sa_store *store, sa_segment *seg)
{
    sa_trailer t;
    int fd = sa_clean_use(store, seg);
    if (fd < 0)
        return fd;
    g_autofree uint8_t *dir = NULL;
    bool good = sa_seg_trailer(store, seg, fd, &t);
    if (good) {
        size_t size = (size_t)t.n_dir * SA_FOOT_ENTRY;
        dir = g_malloc(size + 1);
        good = sa_read_all(store->io, fd, dir, size, 8ull * t.dir) == (ssize_t)size
               && sa_dir_ok(dir, &t);
    }
    for (uint32_t i = 0; good && i < t.n_dir; i++)
        add_piece(store, seg, dir + (size_t)i * SA_FOOT_ENTRY);
    if (good)
        fetch(store, seg, fd);
    sa_seg_leave(store, seg);
    if (good)
        return 0;
    seg->uncleanable = true;
    sa_count(&store->stats.damaged, 1);
    sa_say(store, EMESH_LOG_ERROR, "directory of %s/log/" SA_SEG_NAME " is damaged: the file is not "
           "cleaned", store->path, SA_SEG_ARGS(seg));
    return -ECANCELED;
}

static gint
by_partition(gconstpointer a, gconstpointer b)
{
    const sa_entry *x = &((const sa_piece *)a)->entry, *y = &((const sa_piece *)b)->entry;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->base < y->base ? -1 : x->base > y->base;
}

int
sa_clean_begin(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    int rc = 0;
    for (guint i = 0; i < c->inputs->len && rc == 0; i++)
        rc = add_pieces(store, g_ptr_array_index(c->inputs, i));
    g_array_sort(c->pieces, by_partition);
    if (rc == 0)
        sa_clean_older(store);
    return rc;
}

/* Bytes [place, place + n) of an input. NULL: they cannot be read. */
static const uint8_t *
bytes_at(struct sa_store *store, int fd, uint64_t place, size_t n)
{
    sa_cleaner *c = &store->cleaner;
    if (place >= c->window_at && place + n <= c->window_at + c->window_have)
        return c->window + (place - c->window_at);
    if (n > c->window_cap) {
        free(c->window);
        c->window = malloc(n);
        c->window_cap = c->window != NULL ? n : 0;
        c->window_have = 0;
        if (c->window == NULL) {
            c->read_error = -ENOMEM;
            return NULL;
        }
    }
    ssize_t got = sa_read_all(store->io, fd, c->window, n, place);
    if (got < 0)
        c->read_error = (int)got;
    c->window_at = place;
    c->window_have = got > 0 ? (size_t)got : 0;
    return c->window_have == n ? c->window : NULL;
}

/* Reads ahead up to the last neighbour that is near. */
static void
look_ahead(struct sa_store *store, const sa_segment *seg, int fd, const sa_vector *v, uint32_t i)
{
    const sa_cleaner *c = &store->cleaner;
    uint64_t from = 8ull * v->place8[i], to = from, end = atomic_load(&seg->end) - seg->base;
    if (from >= c->window_at && from + SA_RECORD_HEAD <= c->window_at + c->window_have)
        return;
    for (uint32_t k = i + 1; k < v->count; k++) {
        uint64_t at = 8ull * v->place8[k];
        if (at <= to || at - to > SA_CLEAN_GAP || at - from > SA_CLEAN_WINDOW)
            break;
        to = at;
    }
    if (from < end)
        bytes_at(store, fd, from, (size_t)MIN(to - from + 2048, end - from));
}

bool
sa_clean_record(struct sa_store *store, const sa_segment *seg, int fd, const sa_vector *v,
                uint32_t i, sa_rec_head *head, const uint8_t **body)
{
    uint64_t place = 8ull * v->place8[i];
    if (place == 0)
        return false;
    look_ahead(store, seg, fd, v, i);
    const uint8_t *raw = bytes_at(store, fd, place, SA_RECORD_HEAD);
    if (raw == NULL
        || !sa_rec_head_read(raw, SA_RECORD_HEAD, seg->base + place, store->salt, head))
        return false;
    raw = bytes_at(store, fd, place, sa_rec_size(head->body));
    if (raw == NULL || !sa_rec_body_ok(head, raw + SA_RECORD_HEAD, sa_pad8(head->body)))
        return false;
    *body = raw + SA_RECORD_HEAD;
    return true;
}

/* ---- the new segment ---- */

int
sa_clean_flush(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    const sa_io *io = store->io;
    int rc = sa_write_all(io, c->out->fd, c->buffer->data, c->buffer->len, c->place);
    if (rc < 0)
        return rc;
    sa_count(&store->stats.clean_bytes, c->buffer->len);
    c->place += c->buffer->len;
    c->unsynced += c->buffer->len;
    g_byte_array_set_size(c->buffer, 0);
    if (c->unsynced >= SA_CLEAN_SYNC) {
        c->unsynced = 0;
        rc = io->datasync(io->ctx, c->out->fd);
    }
    return rc;
}

void
sa_clean_put(struct sa_store *store, sa_rec_head *head, const uint8_t *body)
{
    sa_cleaner *c = &store->cleaner;
    uint8_t raw[SA_RECORD_HEAD];
    uint64_t place = c->place + c->buffer->len;
    uint32_t place8 = (uint32_t)(place / 8);
    head->lsn = c->out->base + place;
    head->lag = UINT32_MAX;
    head->flags &= (uint8_t)~SA_REC_JOINED;
    head->follow = 0;
    sa_rec_head_write(raw, head, store->salt);
    g_byte_array_append(c->buffer, raw, sizeof raw);
    g_byte_array_append(c->buffer, body, (guint)sa_pad8(head->body));
    g_array_append_val(c->places, place8);
}

void
sa_clean_temp(char name[SA_NAME_MAX], uint64_t base)
{
    g_snprintf(name, SA_NAME_MAX, "c-%016llx.new", (unsigned long long)base);
}

/* So many bytes end where the last input's LSNs do. No other segment has this base. */
static uint64_t
base_for(struct sa_store *store, uint64_t last, uint64_t bytes)
{
    uint64_t base = (last & ~(uint64_t)7) - SA_SEGMENT_HEAD - bytes;
    pthread_mutex_lock(&store->segs.lock);
    while (sa_segs_find(&store->segs, base) != NULL)
        base -= 8;
    pthread_mutex_unlock(&store->segs.lock);
    return base;
}

int
sa_clean_create(struct sa_store *store, uint64_t bytes)
{
    sa_cleaner *c = &store->cleaner;
    const sa_io *io = store->io;
    const sa_segment *newest = g_ptr_array_index(c->inputs, c->inputs->len - 1);
    uint64_t inputs[SA_CLEAN_INPUTS];
    uint8_t page[SA_SEGMENT_HEAD];
    char name[SA_NAME_MAX];
    sa_segment *out = sa_seg_new(base_for(store, newest->last, bytes), newest->last);
    if (out == NULL)
        return -ENOMEM;
    out->cleaned = true;
    out->epoch = store->epoch;
    out->state = SA_SEG_SEALED;
    out->pure = c->pure;
    out->swap = store->swap + 1;
    for (guint i = 0; i < c->inputs->len; i++) {
        const sa_segment *seg = g_ptr_array_index(c->inputs, i);
        inputs[i] = seg->base;
        out->clock_us = MAX(out->clock_us, seg->clock_us);
    }
    sa_seg_head head = {
        .major = SA_MAJOR, .minor = SA_MINOR, .incompat = SA_FEATURE_CLEANED, .salt = store->salt,
        .base = out->base, .created = sa_wall_us(store), .epoch = store->epoch,
        .kind = SA_SEGMENT_CLEANED, .first = out->base + SA_SEGMENT_HEAD, .last = out->last,
        .n_inputs = c->inputs->len, .swap = store->swap + 1,
    };
    memcpy(head.store, store->id, sizeof head.store);
    sa_seg_head_write(page, &head, inputs);
    c->out = out;
    c->place = 0;
    sa_clean_temp(name, out->base);
    io->unlink(io->ctx, store->log_dir, name);
    out->fd = io->open(io->ctx, store->log_dir, name, O_RDWR | O_CREAT | O_EXCL);
    if (out->fd < 0)
        return out->fd;
    g_byte_array_append(c->buffer, page, sizeof page);
    return 0;
}

/* ---- events ---- */

/* A record that cannot be read keeps its offset; its bytes go to quarantine. */
static void
put_damaged(struct sa_store *store, const sa_piece *piece, int fd, uint32_t place8, uint32_t body)
{
    sa_cleaner *c = &store->cleaner;
    uint32_t none = 0;
    g_array_append_val(c->places, none);
    sa_count(&store->stats.damaged, 1);
    sa_say(store, EMESH_LOG_ERROR, "record %llu of partition %u in %s/log/" SA_SEG_NAME " is "
           "damaged: it is left out of the cleaned file",
           (unsigned long long)(piece->entry.base + c->record), piece->entry.partition, store->path,
           SA_SEG_ARGS(piece->seg));
    if (place8 != 0)
        sa_quarantine(store, fd, piece->seg->base, 8ull * place8, sa_rec_size(body));
}

static int
copy_events(struct sa_store *store, const sa_piece *piece, int fd, const sa_vector *v,
            uint64_t *bytes)
{
    sa_cleaner *c = &store->cleaner;
    int rc = 0;
    for (; c->record < v->count && *bytes < SA_CLEAN_SLICE && rc == 0; c->record++) {
        sa_rec_head head = { 0 };
        const uint8_t *body;
        bool good = sa_clean_record(store, piece->seg, fd, v, c->record, &head, &body)
                    && head.type == SA_EVENT && head.partition == piece->entry.partition
                    && head.offset == piece->entry.base + c->record;
        if (c->read_error != 0)
            return c->read_error;
        if (good) {
            sa_print print = { sa_image_fingerprint(body, head.attrs),
                               (uint32_t)((c->place + c->buffer->len) / 8) };
            sa_clean_put(store, &head, body);
            g_array_append_val(c->prints, print);
        } else {
            put_damaged(store, piece, fd, v->place8[c->record], head.body);
        }
        *bytes += sa_rec_size(head.body);
        if (c->buffer->len >= SA_CLEAN_SLICE)
            rc = sa_clean_flush(store);
    }
    return rc;
}

int
sa_clean_events(struct sa_store *store, uint64_t *bytes, bool *done)
{
    sa_cleaner *c = &store->cleaner;
    int rc = 0;
    while (c->at < c->pieces->len && *bytes < SA_CLEAN_SLICE && rc == 0) {
        const sa_piece *piece = &g_array_index(c->pieces, sa_piece, c->at);
        int fd = sa_clean_use(store, piece->seg);
        if (fd < 0)
            return fd;
        sa_vector *v = sa_vector_get(store, piece->seg, fd, &piece->entry);
        c->window_have = 0; /* of another file */
        rc = v != NULL ? copy_events(store, piece, fd, v, bytes) : -ENOMEM;
        if (rc == 0 && c->record == v->count) {
            g_array_append_val(c->entries, piece->entry);
            c->at++;
            c->record = 0;
        }
        if (v != NULL)
            sa_vector_unref(store, v);
        sa_seg_leave(store, piece->seg);
    }
    *done = rc == 0 && c->at == c->pieces->len;
    return rc == 0 && *done ? sa_clean_flush(store) : rc;
}
