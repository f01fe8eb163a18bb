/* SPDX-License-Identifier: Apache-2.0
 *
 * See vector.h.
 */
#include "vector.h"

#include "crc32c.h"
#include "scan.h"
#include "store.h"
#include <stdlib.h>

void
sa_vectors_init(sa_vectors *vectors)
{
    memset(vectors, 0, sizeof *vectors);
    pthread_mutex_init(&vectors->lock, NULL);
}

void
sa_vectors_clear(sa_vectors *vectors)
{
    for (uint32_t i = 0; i < SA_VECTOR_SLOTS; i++)
        free(vectors->slot[i]);
    pthread_mutex_destroy(&vectors->lock);
}

static bool
take_place(void *ctx, const sa_found *found)
{
    sa_vector *vector = ctx;
    const sa_entry *entry = found->ctx2;
    if (found->head.type == SA_EVENT && found->head.partition == entry->partition
        && found->head.offset >= entry->base && found->head.offset <= entry->last)
        vector->place8[found->head.offset - entry->base] = (uint32_t)(found->place / 8);
    return true;
}

/* Reads the vector out of the footer; when that is damaged, the records themselves say it. */
static bool
load(struct sa_store *store, sa_segment *seg, int fd, const sa_entry *entry, sa_vector *vector)
{
    size_t size = 4ull * entry->count;
    uint8_t *raw = malloc(size);
    if (raw == NULL)
        return false;
    ssize_t got = sa_read_all(store->io, fd, raw, size, 8ull * entry->index);
    sa_count(&store->stats.reads, 1);
    sa_count(&store->stats.read_bytes, got > 0 ? (uint64_t)got : 0);
    if (got == (ssize_t)size && sa_crc32c(0, raw, size) == entry->index_crc) {
        for (uint32_t i = 0; i < entry->count; i++)
            vector->place8[i] = sa_get32(raw + 4ull * i);
        free(raw);
        return true;
    }
    free(raw);
    sa_count(&store->stats.damaged, 1);
    sa_say(store, EMESH_LOG_ERROR, "index of %s/log/%016llx.seg for partition %u is damaged: "
           "the records are searched instead", store->path, (unsigned long long)seg->base,
           entry->partition);
    memset(vector->place8, 0, size);
    sa_scan scan = { .io = store->io, .fd = fd, .base = seg->base, .salt = store->salt,
                     .end = atomic_load(&seg->end), .counter = &store->stats.scanned_bytes,
                     .ctx2 = entry };
    return sa_scan_run(&scan, take_place, vector) == 0;
}

/* lock held. Makes room for one more of so many bytes. */
static uint32_t
room(sa_vectors *vectors, uint64_t bytes)
{
    uint32_t free_slot = SA_VECTOR_SLOTS;
    do {
        uint32_t oldest = SA_VECTOR_SLOTS;
        for (uint32_t i = 0; i < SA_VECTOR_SLOTS; i++) {
            sa_vector *v = vectors->slot[i];
            if (v == NULL)
                free_slot = i;
            else if (v->refs == 1 && (oldest == SA_VECTOR_SLOTS
                                      || v->used < vectors->slot[oldest]->used))
                oldest = i;
        }
        if (free_slot < SA_VECTOR_SLOTS && vectors->bytes + bytes <= SA_VECTOR_BYTES)
            return free_slot;
        if (oldest == SA_VECTOR_SLOTS)
            return free_slot; /* all in use */
        vectors->bytes -= 4ull * vectors->slot[oldest]->count;
        free(vectors->slot[oldest]);
        vectors->slot[oldest] = NULL;
        free_slot = oldest;
    } while (vectors->bytes > 0);
    return free_slot;
}

sa_vector *
sa_vector_get(struct sa_store *store, struct sa_segment *seg, int fd, const sa_entry *entry)
{
    sa_vectors *vectors = &store->vectors;
    pthread_mutex_lock(&vectors->lock);
    for (uint32_t i = 0; i < SA_VECTOR_SLOTS; i++) {
        sa_vector *v = vectors->slot[i];
        if (v != NULL && v->base == seg->base && v->index == entry->index) {
            v->refs++;
            v->used = ++vectors->tick;
            pthread_mutex_unlock(&vectors->lock);
            return v;
        }
    }
    pthread_mutex_unlock(&vectors->lock);
    sa_vector *v = malloc(sizeof *v + 4ull * entry->count);
    if (v == NULL)
        return NULL;
    *v = (sa_vector){ .base = seg->base, .index = entry->index, .count = entry->count, .refs = 1 };
    if (!load(store, seg, fd, entry, v)) {
        free(v);
        return NULL;
    }
    pthread_mutex_lock(&vectors->lock);
    uint32_t slot = room(vectors, 4ull * v->count);
    if (slot < SA_VECTOR_SLOTS) {
        vectors->slot[slot] = v;
        vectors->bytes += 4ull * v->count;
        v->refs++;
        v->used = ++vectors->tick;
    }
    pthread_mutex_unlock(&vectors->lock);
    return v;
}

void
sa_vector_unref(struct sa_store *store, sa_vector *v)
{
    pthread_mutex_lock(&store->vectors.lock);
    bool last = --v->refs == 0;
    pthread_mutex_unlock(&store->vectors.lock);
    if (last)
        free(v);
}

void
sa_vectors_drop(sa_vectors *vectors, uint64_t base)
{
    pthread_mutex_lock(&vectors->lock);
    for (uint32_t i = 0; i < SA_VECTOR_SLOTS; i++) {
        sa_vector *v = vectors->slot[i];
        if (v == NULL || v->base != base)
            continue;
        vectors->slot[i] = NULL;
        vectors->bytes -= 4ull * v->count;
        if (--v->refs == 0)
            free(v);
    }
    pthread_mutex_unlock(&vectors->lock);
}
