/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of an event: its allocation, where its data go, references and look-ups. Any thread;
 * after it is made only the count is written.
 */
#include "event/event-struct.h"
#include <stdlib.h>
#include <string.h>

/* Kept by reference unless the buffer is large and mostly somebody else's. */
#define PIN_FREE 4096u
#define PIN_RATIO 4u
/* Copies up to this size live in the event, larger ones in a buffer that receivers can share. */
#define INLINE_MAX 4096u
/* More parts than this are joined: a table without bound helps nobody. */
#define PARTS_MAX 64u

static bool
is_kept(const emesh_part *part)
{
    if (part->owner == NULL)
        return false;
    size_t pinned = emesh_buf_size(part->owner);
    return pinned <= PIN_FREE || pinned / PIN_RATIO <= part->len;
}

typedef struct data_plan {
    size_t total;
    size_t copied;
    uint32_t n; /* parts that are not empty */
} data_plan;

static int32_t
plan_data(const emesh_part *data, uint32_t n, bool join, data_plan *plan, emesh_error *err)
{
    *plan = (data_plan){ 0 };
    for (uint32_t i = 0; i < n; i++) {
        const emesh_part *part = &data[i];
        if (part->len == 0)
            continue;
        if (part->ptr == NULL)
            return emesh_fail(err, EMESH_E_INVALID, "data part %u has no memory", i);
        if (part->owner != NULL) {
            const char *mem = emesh_buf_mem(part->owner);
            const char *ptr = part->ptr;
            if (ptr < mem || part->len > emesh_buf_size(part->owner) ||
                (size_t)(ptr - mem) > emesh_buf_size(part->owner) - part->len)
                return emesh_fail(err, EMESH_E_INVALID, "data part %u is not in its buffer", i);
        }
        if (part->len > EMESH_DATA_MAX || plan->total + part->len > EMESH_DATA_MAX)
            return emesh_fail(err, EMESH_E_TOO_LARGE, "data of more than %zu bytes",
                              EMESH_DATA_MAX);
        plan->total += part->len;
        plan->n++;
        if (join || !is_kept(part))
            plan->copied += part->len;
    }
    return EMESH_OK;
}

/* Places the data; spare is where copies go, inside the event or at the start of a buffer. */
static void
place_data(emesh_event *event, const emesh_part *data, uint32_t n, bool join, char *spare,
           emesh_buf *spare_buf)
{
    emesh_part *table = (emesh_part *)(uintptr_t)event->view.data;
    uint32_t at = 0;
    char *first = spare;
    for (uint32_t i = 0; i < n; i++) {
        const emesh_part *part = &data[i];
        if (part->len == 0)
            continue;
        if (!join && is_kept(part)) {
            table[at] = *part;
            emesh_buf_ref(part->owner);
            at++;
            continue;
        }
        memcpy(spare, part->ptr, part->len);
        if (!join) {
            table[at] = (emesh_part){ .ptr = spare, .len = part->len, .owner = spare_buf };
            if (spare_buf != NULL)
                emesh_buf_ref(spare_buf);
            at++;
        }
        spare += part->len;
    }
    if (join && spare > first) {
        table[0] = (emesh_part){ .ptr = first, .len = (size_t)(spare - first), .owner = spare_buf };
        if (spare_buf != NULL)
            emesh_buf_ref(spare_buf);
    }
}

int32_t
emesh_event_alloc(uint32_t n_attrs, size_t image_len, uint32_t form, const emesh_part *data,
                  uint32_t n_data, bool join, emesh_event **out, emesh_error *err)
{
    data_plan plan;
    int32_t code = plan_data(data, n_data, join, &plan, err);
    if (code != EMESH_OK)
        return code;
    if (!join && plan.n > PARTS_MAX)
        return emesh_event_alloc(n_attrs, image_len, form, data, n_data, true, out, err);
    /* One part needs no joining: it is kept if it can be. */
    if (join && plan.n == 1)
        return emesh_event_alloc(n_attrs, image_len, form, data, n_data, false, out, err);
    uint32_t n_parts = join && plan.n > 0 ? 1 : plan.n;
    bool apart = plan.copied > INLINE_MAX;

    size_t size = sizeof(emesh_event) + n_attrs * sizeof(emesh_attr) +
                  n_parts * sizeof(emesh_part) + image_len + (apart ? 0 : plan.copied);
    emesh_event *event = malloc(size);
    void *spare = NULL;
    emesh_buf *spare_buf = event != NULL && apart ? emesh_buf_new(plan.copied, &spare) : NULL;
    if (event == NULL || (apart && spare_buf == NULL)) {
        free(event);
        return emesh_fail(err, EMESH_E_NO_MEMORY, "no memory for an event of %zu bytes",
                          size + plan.copied);
    }
    *event = (emesh_event){ .refs = 1, .image_len = (uint32_t)image_len };
    event->attrs = (emesh_attr *)(event + 1);
    emesh_part *table = (emesh_part *)(event->attrs + n_attrs);
    event->image = (uint8_t *)(table + n_parts);
    event->view = (emesh_event_view){
        .size = sizeof event->view,
        .data_form = form,
        .attrs = event->attrs,
        .data = table,
        .data_len = plan.total,
        .n_attrs = n_attrs,
        .n_data = n_parts,
    };
    place_data(event, data, n_data, join, apart ? spare : (char *)event->image + image_len,
               spare_buf);
    emesh_buf_unref(spare_buf);
    *out = event;
    return EMESH_OK;
}

const emesh_event *
emesh_event_ref(const emesh_event *event)
{
    __atomic_fetch_add(&((emesh_event *)(uintptr_t)event)->refs, 1, __ATOMIC_RELAXED);
    return event;
}

void
emesh_event_unref(const emesh_event *event)
{
    emesh_event *own = (emesh_event *)(uintptr_t)event;
    if (own == NULL || __atomic_sub_fetch(&own->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (uint32_t i = 0; i < own->view.n_data; i++)
        emesh_buf_unref(own->view.data[i].owner);
    free(own);
}

const emesh_event_view *
emesh_event_peek(const emesh_event *event)
{
    return &event->view;
}

const emesh_attr *
emesh_event_attr(const emesh_event *event, const char *name, size_t len)
{
    for (uint32_t i = 0; i < event->view.n_attrs; i++) {
        const emesh_attr *attr = &event->attrs[i];
        if (attr->name_len == len && memcmp(attr->name, name, len) == 0)
            return attr;
    }
    return NULL;
}

size_t
emesh_event_size(const emesh_event *event)
{
    return event->size;
}

emesh_slice
emesh_event_image(const emesh_event *event)
{
    return (emesh_slice){ .ptr = event->image, .len = event->image_len };
}

/* ---- which event it is ---- */

static uint64_t
mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0xa0761d6478bd642f);
    return h ^ h >> 32;
}

static inline uint64_t
word_at(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return GUINT64_FROM_LE(word);
}

/* Eight bytes a step, little-endian; the last ones together with some before them, which costs less
 * than counting. The length tells apart what is alike then. */
static uint64_t
eat(uint64_t h, const char *p, size_t n)
{
    uint64_t word = n;

    if (n < sizeof word) {
        for (size_t i = 0; i < n; i++)
            word = word << 8 | (uint8_t)p[i];
        return mix(h, word);
    }
    h ^= n;
    for (size_t i = 0; i + sizeof word < n; i += sizeof word)
        h = mix(h, word_at(p + i));
    return mix(h, word_at(p + n - sizeof word));
}

uint64_t
emesh_event_hash_of(const void *source, size_t n_source, const void *id, size_t n_id)
{
    uint64_t h = eat(eat(UINT64_C(0x656d657368), source, n_source), id, n_id);

    h = (h ^ h >> 29) * UINT64_C(0xe7037ed1a0b428db);
    h ^= h >> 32;
    return h != 0 ? h : 1;
}

uint64_t
emesh_event_hash(const emesh_event *event)
{
    uint64_t *kept = &((emesh_event *)(uintptr_t)event)->hash;
    uint64_t hash = __atomic_load_n(kept, __ATOMIC_RELAXED);

    if (hash == 0) { /* whoever else asks now finds the same */
        const emesh_attr *attrs = event->attrs; /* id, source */
        hash = emesh_event_hash_of(attrs[1].value, attrs[1].value_len, attrs[0].value,
                                   attrs[0].value_len);
        __atomic_store_n(kept, hash, __ATOMIC_RELAXED);
    }
    return hash;
}
