/* SPDX-License-Identifier: Apache-2.0
 *
 * Catalogue entries: one form for CATALOG records, footers and LMDB rows.
 */
#include "catalog.h"

#include "groups.h"
#include "store.h"

bool
sa_cat_read(const uint8_t *p, size_t n, sa_cat_entry *e)
{
    if (n < SA_CAT_HEAD)
        return false;
    e->kind = sa_get16(p);
    e->op = sa_get16(p + 2);
    e->id = sa_get32(p + 4);
    e->n_parts = sa_get32(p + 8);
    e->name_len = sa_get16(p + 12);
    e->level = sa_get16(p + 14);
    e->retention_ms = sa_get64(p + 16);
    e->retention_bytes = sa_get64(p + 24);
    e->created_us = sa_get64(p + 32);
    if (e->n_parts > SA_CAT_PARTS_MAX || e->name_len > SA_CAT_NAME_MAX || e->name_len == 0
        || e->id == 0)
        return false;
    e->size = sa_pad8(SA_CAT_HEAD + (size_t)SA_CAT_PART * e->n_parts + e->name_len);
    if (e->size > n)
        return false;
    e->parts = p + SA_CAT_HEAD;
    e->name = (const char *)e->parts + (size_t)SA_CAT_PART * e->n_parts;
    return (e->kind == SA_CAT_TOPIC && e->n_parts > 0) || e->kind == SA_CAT_GROUP;
}

static uint8_t *
grow(GByteArray *out, size_t n)
{
    guint at = out->len;
    g_byte_array_set_size(out, at + (guint)n);
    memset(out->data + at, 0, n);
    return out->data + at;
}

void
sa_cat_put_topic(GByteArray *out, const sa_topic *topic, uint32_t op)
{
    size_t name_len = strlen(topic->name);
    uint8_t *p = grow(out, sa_pad8(SA_CAT_HEAD + (size_t)SA_CAT_PART * topic->n_parts + name_len));
    sa_put16(p, SA_CAT_TOPIC);
    sa_put16(p + 2, op);
    sa_put32(p + 4, topic->id);
    sa_put32(p + 8, topic->n_parts);
    sa_put16(p + 12, (uint32_t)name_len);
    sa_put16(p + 14, topic->level);
    sa_put64(p + 16, topic->retention_ms);
    sa_put64(p + 24, topic->retention_bytes);
    sa_put64(p + 32, topic->created_us);
    for (uint32_t i = 0; i < topic->n_parts; i++) {
        uint8_t *at = p + SA_CAT_HEAD + (size_t)SA_CAT_PART * i;
        sa_put32(at, topic->parts[i]->id);
        sa_put64(at + 8, atomic_load(&topic->parts[i]->first));
        sa_put64(at + 16, atomic_load(&topic->parts[i]->next));
    }
    memcpy(p + SA_CAT_HEAD + (size_t)SA_CAT_PART * topic->n_parts, topic->name, name_len);
}

void
sa_cat_put_group(GByteArray *out, const sa_group *group, uint32_t op)
{
    size_t name_len = strlen(group->name);
    uint8_t *p = grow(out, sa_pad8(SA_CAT_HEAD + name_len));
    sa_put16(p, SA_CAT_GROUP);
    sa_put16(p + 2, op);
    sa_put32(p + 4, group->id);
    sa_put16(p + 12, (uint32_t)name_len);
    sa_put16(p + 14, group->lost);
    sa_put64(p + 32, group->created_us);
    memcpy(p + SA_CAT_HEAD, group->name, name_len);
}

/* An id that was given and is free again; 0: none. */
static uint32_t
dead_id(GHashTable *ids, uint32_t next)
{
    uint32_t id = next - 1;
    while (id > 0 && g_hash_table_contains(ids, GUINT_TO_POINTER(id)))
        id--;
    return id;
}

/* Ids are never used twice, also when nothing of what had the largest is left: a deletion says them. */
static void
put_ids(GByteArray *out, const sa_catalog *cat)
{
    uint32_t topic = dead_id(cat->topic_ids, cat->next_topic);
    uint32_t group = dead_id(cat->group_ids, cat->next_group);
    if (topic != 0) {
        uint8_t *p = grow(out, sa_pad8(SA_CAT_HEAD + SA_CAT_PART + 1));
        sa_put16(p, SA_CAT_TOPIC);
        sa_put16(p + 2, SA_CAT_DELETE);
        sa_put32(p + 4, topic);
        sa_put32(p + 8, 1);
        sa_put16(p + 12, 1);
        sa_put32(p + SA_CAT_HEAD, cat->next_part - 1);
        p[SA_CAT_HEAD + SA_CAT_PART] = '-';
    }
    if (group != 0) {
        uint8_t *p = grow(out, sa_pad8(SA_CAT_HEAD + 1));
        sa_put16(p, SA_CAT_GROUP);
        sa_put16(p + 2, SA_CAT_DELETE);
        sa_put32(p + 4, group);
        sa_put16(p + 12, 1);
        p[SA_CAT_HEAD] = '-';
    }
}

void
sa_cat_put_all(GByteArray *out, sa_catalog *cat)
{
    for (guint i = 0; i < cat->every->len; i++) {
        const sa_topic *topic = g_ptr_array_index(cat->every, i);
        if (!topic->deleted)
            sa_cat_put_topic(out, topic, SA_CAT_PUT);
    }
    for (guint i = 0; i < cat->every_group->len; i++) {
        const sa_group *group = g_ptr_array_index(cat->every_group, i);
        if (!group->deleted)
            sa_cat_put_group(out, group, SA_CAT_PUT);
    }
    put_ids(out, cat);
}

static void
raise_offsets(sa_topic *topic, const sa_cat_entry *e)
{
    for (uint32_t i = 0; i < e->n_parts && i < topic->n_parts; i++) {
        const uint8_t *at = e->parts + (size_t)SA_CAT_PART * i;
        sa_partition *part = topic->parts[i];
        if (part->id != sa_get32(at))
            continue;
        if (sa_get64(at + 8) > atomic_load(&part->first))
            atomic_store(&part->first, sa_get64(at + 8));
        if (sa_get64(at + 16) > atomic_load(&part->next))
            atomic_store(&part->next, sa_get64(at + 16));
    }
}

/* The topic it is about, or NULL. */
static sa_topic *
apply_topic(struct sa_store *store, const sa_cat_entry *e, bool offsets)
{
    sa_catalog *cat = &store->cat;
    sa_topic *topic = g_hash_table_lookup(cat->topic_ids, GUINT_TO_POINTER(e->id));
    g_autofree uint32_t *list = g_new(uint32_t, e->n_parts);
    for (uint32_t i = 0; i < e->n_parts; i++)
        list[i] = sa_get32(e->parts + (size_t)SA_CAT_PART * i);
    if (e->op == SA_CAT_DELETE) {
        if (topic != NULL)
            sa_catalog_drop_topic(cat, topic);
        if (e->id >= cat->next_topic)
            cat->next_topic = e->id + 1;
        for (uint32_t i = 0; i < e->n_parts; i++) {
            if (list[i] >= cat->next_part)
                cat->next_part = list[i] + 1;
        }
        return topic;
    }
    if (topic == NULL) {
        sa_topic *other = sa_catalog_topic(cat, e->name, e->name_len);
        if (other != NULL && other->id > e->id)
            return NULL; /* a newer footer knows the one of this name that came later */
        if (other != NULL)
            sa_catalog_drop_topic(cat, other); /* deleted, and made again later */
        topic = sa_catalog_make_topic(store, e->name, e->name_len, e->id, e->n_parts, list);
    } else {
        sa_catalog_grow_topic(store, topic, e->n_parts, list);
    }
    topic->level = e->level;
    topic->retention_ms = e->retention_ms;
    topic->retention_bytes = e->retention_bytes;
    topic->created_us = e->created_us;
    if (offsets)
        raise_offsets(topic, e);
    return topic;
}

static sa_group *
apply_group(struct sa_store *store, const sa_cat_entry *e)
{
    sa_catalog *cat = &store->cat;
    sa_group *group = sa_catalog_group_id(cat, e->id);
    if (e->op == SA_CAT_DELETE) {
        if (group != NULL)
            sa_catalog_drop_group(cat, group);
        if (e->id >= cat->next_group)
            cat->next_group = e->id + 1;
        return group;
    }
    if (group == NULL) {
        sa_group *other = sa_catalog_group(cat, e->name, e->name_len);
        if (other != NULL && other->id > e->id)
            return NULL;
        if (other != NULL)
            sa_catalog_drop_group(cat, other);
        group = sa_catalog_make_group(cat, e->name, e->name_len, e->id);
    }
    group->created_us = e->created_us;
    group->lost |= e->level != 0;
    return group;
}

static void
note_topic(struct sa_store *store, sa_topic *topic)
{
    if (topic == NULL)
        return;
    if (topic->deleted) {
        sa_groups_forget_topic(store, topic);
        sa_holds_drop_topic(store, topic->id);
    }
    sa_keeper_topic(store, topic);
}

static void
apply(struct sa_store *store, const sa_cat_entry *e, bool offsets, bool row)
{
    sa_catalog *cat = &store->cat;
    sa_topic *topic = NULL;
    sa_group *group = NULL;
    pthread_mutex_lock(&cat->lock);
    if (e->kind == SA_CAT_TOPIC)
        topic = apply_topic(store, e, offsets);
    else
        group = apply_group(store, e);
    pthread_mutex_unlock(&cat->lock);
    if (row)
        return;
    note_topic(store, topic);
    if (group != NULL)
        sa_keeper_group(store, group);
}

void
sa_cat_apply_row(struct sa_store *store, const sa_cat_entry *e)
{
    apply(store, e, true, true);
}

static bool
apply_all(struct sa_store *store, const uint8_t *p, size_t n, bool offsets)
{
    sa_cat_entry e;
    while (n > 0) {
        if (!sa_cat_read(p, n, &e))
            return false;
        apply(store, &e, offsets, false);
        p += e.size;
        n -= e.size;
    }
    return true;
}

bool
sa_cat_apply_footer(struct sa_store *store, const uint8_t *p, size_t n)
{
    return apply_all(store, p, n, true);
}

bool
sa_cat_apply_record(struct sa_store *store, const uint8_t *p, size_t n)
{
    return apply_all(store, p, n, false);
}
