/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings: topics, partitions, groups, and where an event lies. Rows are made on a pool thread:
 * counting may look into LMDB and footers.
 */
#include "admin.h"
#include "hash.h"
#include "reader.h"
#include "store.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct sa_listing {
    emesh_task task;
    sa_store *store;
    emesh_op *op;
    char *topic, *group, *source, *id; /* what to look for, NULL = any */
    emesh_start start;  /* count from there on; kind STORED: from the first, or where a group stands */
    GArray *rows;       /* emesh_row */
    GPtrArray *texts;   /* partition names */
    void (*make)(struct sa_listing *l);
} sa_listing;

static void
listing_run(emesh_task *task, int32_t code)
{
    sa_listing *l = (sa_listing *)(void *)task;
    (void)code;
    l->make(l);
    emesh_rows rows = { .size = sizeof rows, .n = l->rows->len,
                        .rows = (const emesh_row *)(void *)l->rows->data };
    l->store->host->complete(l->store->host, l->op, EMESH_OK, NULL, &rows);
    g_array_unref(l->rows);
    g_ptr_array_unref(l->texts);
    g_free(l->topic);
    g_free(l->group);
    g_free(l->source);
    g_free(l->id);
    g_free(l);
}

static char *
text_of(const emesh_slice *slice)
{
    return slice->len > 0 ? g_strndup(slice->ptr, slice->len) : NULL;
}

static void
listing(sa_store *store, const emesh_admin *what, emesh_op *op, void (*make)(sa_listing *l))
{
    sa_listing *l = g_new0(sa_listing, 1);
    l->task.run = listing_run;
    l->store = store;
    l->op = op;
    l->make = make;
    l->topic = text_of(&what->topic);
    l->group = text_of(&what->group);
    l->source = text_of(&what->source);
    l->id = text_of(&what->id);
    if (what->start != NULL)
        l->start = *what->start;
    l->rows = g_array_new(FALSE, TRUE, sizeof(emesh_row));
    l->texts = g_ptr_array_new_with_free_func(g_free);
    store->lp->work(store->host, &l->task);
}

static emesh_slice
slice_of(const char *text)
{
    return (emesh_slice){ text, strlen(text) };
}

/* Topics that match, as they are now. They live as long as the store. */
static GPtrArray *
topics_of(sa_listing *l)
{
    sa_catalog *cat = &l->store->cat;
    GPtrArray *out = g_ptr_array_new();
    pthread_mutex_lock(&cat->lock);
    for (guint i = 0; i < cat->every->len; i++) {
        sa_topic *topic = g_ptr_array_index(cat->every, i);
        if (!topic->deleted && (l->topic == NULL || strcmp(l->topic, topic->name) == 0))
            g_ptr_array_add(out, topic);
    }
    pthread_mutex_unlock(&cat->lock);
    return out;
}

/* Where counting begins, at least at from. */
static uint64_t
begin_of(const sa_listing *l, sa_partition *part, uint64_t from)
{
    uint64_t at = 0;
    switch (l->start.kind) {
    case EMESH_START_AFTER:
        at = l->start.position.lo + 1;
        break;
    case EMESH_START_TIME:
        at = sa_find_time(l->store, part, l->start.time_ms * 1000);
        break;
    case EMESH_START_LATEST:
        at = atomic_load(&part->visible);
        break;
    default: /* EARLIEST, STORED */
        break;
    }
    return MAX(from, at);
}

static emesh_row
part_row(sa_listing *l, sa_topic *topic, sa_partition *part)
{
    uint64_t records, bytes, shown = atomic_load(&part->shown);
    sa_measure(l->store, part, begin_of(l, part, atomic_load(&part->first)), &records, &bytes);
    emesh_row row = {
        .topic = slice_of(topic->name), .first = { 0, atomic_load(&part->first) },
        .last = { 0, shown > 0 ? shown - 1 : 0 }, .count = records, .bytes = bytes,
    };
    return row;
}

static void
make_topics(sa_listing *l)
{
    g_autoptr(GPtrArray) topics = topics_of(l);
    for (guint i = 0; i < topics->len; i++) {
        sa_topic *topic = g_ptr_array_index(topics, i);
        emesh_row row = part_row(l, topic, topic->parts[0]);
        for (uint32_t k = 1; k < topic->n_parts; k++) {
            emesh_row more = part_row(l, topic, topic->parts[k]);
            row.count += more.count;
            row.bytes += more.bytes;
        }
        g_array_append_val(l->rows, row);
    }
}

static emesh_slice
text_kept(sa_listing *l, const char *text, size_t len)
{
    char *copy = g_strndup(text, len);
    g_ptr_array_add(l->texts, copy);
    return (emesh_slice){ copy, len };
}

static emesh_slice
number_of(sa_listing *l, uint32_t number)
{
    char *text = g_strdup_printf("%u", number);
    g_ptr_array_add(l->texts, text);
    return slice_of(text);
}

static void
make_partitions(sa_listing *l)
{
    g_autoptr(GPtrArray) topics = topics_of(l);
    for (guint i = 0; i < topics->len; i++) {
        sa_topic *topic = g_ptr_array_index(topics, i);
        for (uint32_t k = 0; k < topic->n_parts; k++) {
            emesh_row row = part_row(l, topic, topic->parts[k]);
            row.partition = number_of(l, k);
            g_array_append_val(l->rows, row);
        }
    }
}

/* When the oldest record from offset on was stored; 0: not known. */
static uint64_t
stored_ms(sa_listing *l, sa_partition *part, uint64_t offset)
{
    uint8_t raw[SA_RECORD_HEAD];
    sa_rec_head head;
    sa_places places = { .seg = NULL };
    uint64_t ms = 0;
    if (sa_lookup(l->store, part, offset, atomic_load(&part->shown), 1, &places) == SA_LOOK_FOUND
        && places.n > 0 && places.place8[0] != 0) {
        uint64_t place = 8ull * places.place8[0];
        if (sa_read_all(l->store->io, places.fd, raw, sizeof raw, place) == (ssize_t)sizeof raw
            && sa_rec_head_read(raw, sizeof raw, places.seg->base + place, l->store->salt, &head))
            ms = head.time_us / 1000;
    }
    sa_places_leave(l->store, &places);
    return ms;
}

/* What lies between a group's floor and the end, less what it has done above the floor. */
static void
group_row(sa_listing *l, sa_group *group, sa_topic *topic, uint32_t number)
{
    sa_partition *part = topic->parts[number];
    uint64_t from, floor = 0, done = 0;
    pthread_mutex_lock(&group->lock);
    bool known = sa_pair_find(group, part->id) != NULL;
    pthread_mutex_unlock(&group->lock);
    if (!known)
        return;
    from = begin_of(l, part, atomic_load(&part->first)); /* may read: not under the lock */
    pthread_mutex_lock(&group->lock);
    sa_pair *pair = sa_pair_find(group, part->id);
    for (uint32_t i = 0; pair != NULL && i < pair->more->ranges.n; i++) {
        const sa_range *range = &pair->more->ranges.at[i];
        uint64_t end = range->first + range->count, first = MAX(range->first, from);
        if (range->state == SA_RANGE_ACKED && first < end)
            done += end - first;
    }
    if (pair != NULL)
        floor = pair->floor;
    pthread_mutex_unlock(&group->lock);
    if (pair == NULL)
        return;
    emesh_row row = part_row(l, topic, part);
    row.group = slice_of(group->name);
    row.partition = number_of(l, number);
    row.committed = (emesh_position){ 0, floor > 0 ? floor - 1 : 0 };
    sa_measure(l->store, part, MAX(floor, from), &row.count, &row.bytes);
    row.count -= MIN(row.count, done);
    row.flags = floor == 0 ? EMESH_ROW_UNREAD : 0;
    if (row.count > 0)
        row.stored_ms = stored_ms(l, part, MAX(floor, atomic_load(&part->first)));
    g_array_append_val(l->rows, row);
}

static void
make_groups(sa_listing *l)
{
    sa_catalog *cat = &l->store->cat;
    g_autoptr(GPtrArray) topics = topics_of(l);
    g_autoptr(GPtrArray) groups = g_ptr_array_new();
    pthread_mutex_lock(&cat->lock);
    for (guint i = 0; i < cat->every_group->len; i++) {
        sa_group *group = g_ptr_array_index(cat->every_group, i);
        if (!group->deleted && (l->group == NULL || strcmp(l->group, group->name) == 0))
            g_ptr_array_add(groups, group);
    }
    pthread_mutex_unlock(&cat->lock);
    for (guint i = 0; i < groups->len; i++) {
        for (guint k = 0; k < topics->len; k++) {
            sa_topic *topic = g_ptr_array_index(topics, k);
            for (uint32_t n = 0; n < topic->n_parts; n++)
                group_row(l, g_ptr_array_index(groups, i), topic, n);
        }
    }
}

/* ---- where an event lies ---- */

static bool
attr_is(const emesh_attr *attr, const char *text)
{
    return attr->value_len == strlen(text) && memcmp(attr->value, text, attr->value_len) == 0;
}

typedef struct span { /* of fingerprints */
    uint64_t from, to;
} span;

/* The record at place, when it is the event that is looked for. */
static void
match(sa_listing *l, sa_segment *seg, int fd, uint32_t place8)
{
    sa_rec_head head;
    emesh_event_view view = { .size = sizeof view };
    const emesh_event *event = sa_read_place(l->store, seg, fd, 8ull * place8, &head);
    if (event == NULL)
        return;
    l->store->ev->view(event, &view);
    sa_partition *part = sa_catalog_part(&l->store->cat, head.partition);
    if (view.n_attrs >= 2 && attr_is(&view.attrs[0], l->id)
        && (l->source == NULL || attr_is(&view.attrs[1], l->source)) && part != NULL && part->topic != NULL && !part->topic->deleted
        && (l->topic == NULL || strcmp(l->topic, part->topic->name) == 0)
        && head.offset >= atomic_load(&part->first)) {
        emesh_row row = {
            .topic = slice_of(part->topic->name), .partition = number_of(l, part->number),
            .first = { 0, head.offset }, .last = { 0, head.offset }, .count = 1,
            .bytes = sa_rec_size(head.body), .stored_ms = head.time_us / 1000,
            .source = text_kept(l, view.attrs[1].value, view.attrs[1].value_len),
        };
        g_array_append_val(l->rows, row);
    }
    l->store->ev->unref(&event, 1);
}

static void
match_open(sa_listing *l, sa_segment *seg, int fd, span what)
{
    uint32_t n;
    pthread_mutex_lock(&l->store->segs.lock);
    sa_print *copy = sa_prints_copy(seg, &n);
    pthread_mutex_unlock(&l->store->segs.lock);
    for (uint32_t i = 0; i < n; i++) {
        if (copy[i].hash >= what.from && copy[i].hash <= what.to)
            match(l, seg, fd, copy[i].place8);
    }
    free(copy);
}

static bool
read_print(sa_listing *l, int fd, const sa_trailer *t, uint32_t i, sa_print *print)
{
    uint8_t raw[SA_FOOT_PRINT];
    uint64_t place = 8ull * t->prints + (uint64_t)SA_FOOT_PRINT * i;
    sa_count(&l->store->stats.reads, 1);
    if (sa_read_all(l->store->io, fd, raw, sizeof raw, place) != (ssize_t)sizeof raw)
        return false;
    sa_print_read(raw, print);
    return true;
}

static void
match_sealed(sa_listing *l, sa_segment *seg, int fd, span what)
{
    sa_trailer t;
    sa_print print;
    if (!sa_seg_trailer(l->store, seg, fd, &t))
        return;
    uint32_t low = 0, high = t.n_prints;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (!read_print(l, fd, &t, mid, &print))
            return;
        if (print.hash < what.from)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < t.n_prints && read_print(l, fd, &t, low, &print) && print.hash <= what.to; low++)
        match(l, seg, fd, print.place8);
}

/* A segment of format 1.0 or 1.1 has the prints of its time: they find an id with its source only. */
static void
match_in(sa_listing *l, sa_segment *seg, int fd, bool sealed)
{
    uint32_t n_id = (uint32_t)strlen(l->id);
    uint64_t id = (uint64_t)sa_id_print(l->id, n_id) << 32;
    if (l->source == NULL) {
        (sealed ? match_sealed : match_open)(l, seg, fd, (span){ id, id | 0xffffffffu });
        return;
    }
    uint64_t hash = sa_fingerprint(l->source, strlen(l->source), l->id, n_id);
    (sealed ? match_sealed : match_open)(l, seg, fd, (span){ hash, hash });
    if (!sealed)
        return;
    hash = sa_fingerprint_1(l->source, strlen(l->source), l->id, n_id);
    match_sealed(l, seg, fd, (span){ hash, hash });
}

static void
make_event(sa_listing *l)
{
    sa_segs *segs = &l->store->segs;
    if (l->id == NULL)
        return;
    uint64_t base = 0, swaps = atomic_load(&segs->swaps);
    while (true) {
        pthread_mutex_lock(&segs->lock);
        uint32_t at = sa_segs_place(segs, base);
        sa_segment *seg = at < segs->n ? segs->all[at] : NULL;
        base = seg != NULL ? seg->base + 1 : 0;
        int fd = sa_seg_use(l->store, seg);
        pthread_mutex_unlock(&segs->lock);
        if (atomic_load(&segs->swaps) != swaps) { /* cleaned meanwhile: twice, or not at all */
            g_array_set_size(l->rows, 0);
            swaps = atomic_load(&segs->swaps);
            base = 0;
            if (fd >= 0)
                sa_seg_leave(l->store, seg);
            continue;
        }
        if (seg == NULL)
            break;
        if (fd < 0)
            continue;
        pthread_mutex_lock(&segs->lock);
        bool sealed = seg->state == SA_SEG_SEALED;
        pthread_mutex_unlock(&segs->lock);
        match_in(l, seg, fd, sealed);
        sa_seg_leave(l->store, seg);
    }
}

void
sa_list_topics(struct sa_store *store, const emesh_admin *what, emesh_op *op)
{
    listing(store, what, op, make_topics);
}

void
sa_list_partitions(struct sa_store *store, const emesh_admin *what, emesh_op *op)
{
    listing(store, what, op, make_partitions);
}

void
sa_list_groups(struct sa_store *store, const emesh_admin *what, emesh_op *op)
{
    listing(store, what, op, make_groups);
}

void
sa_list_event(struct sa_store *store, const emesh_admin *what, emesh_op *op)
{
    listing(store, what, op, make_event);
}
