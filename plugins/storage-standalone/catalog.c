/* SPDX-License-Identifier: Apache-2.0
 *
 * See catalog.h: the tables. Their form on disk is in catalog-entry.c.
 */
#include "catalog.h"

#include "store.h"
#include "tail.h"
#include <stdlib.h>

void
sa_catalog_init(sa_catalog *cat)
{
    memset(cat, 0, sizeof *cat);
    pthread_mutex_init(&cat->lock, NULL);
    cat->topics = g_hash_table_new(g_str_hash, g_str_equal);
    cat->groups = g_hash_table_new(g_str_hash, g_str_equal);
    cat->topic_ids = g_hash_table_new(NULL, NULL);
    cat->group_ids = g_hash_table_new(NULL, NULL);
    cat->every = g_ptr_array_new();
    cat->every_group = g_ptr_array_new();
    cat->parts = g_ptr_array_new();
    cat->next_topic = cat->next_part = cat->next_group = 1;
    g_ptr_array_add(cat->parts, &cat->control);
}

static void
part_free(struct sa_store *store, sa_partition *part)
{
    sa_tail_drop(store, part);
    g_free(part);
}

void
sa_catalog_clear(struct sa_store *store)
{
    sa_catalog *cat = &store->cat;
    for (guint i = 1; i < cat->parts->len; i++) {
        if (g_ptr_array_index(cat->parts, i) != NULL)
            part_free(store, g_ptr_array_index(cat->parts, i));
    }
    for (guint i = 0; i < cat->every->len; i++) {
        sa_topic *topic = g_ptr_array_index(cat->every, i);
        pthread_mutex_destroy(&topic->lock);
        g_free(topic->parts);
        g_slist_free_full(topic->old_parts, g_free);
        g_free(topic->name);
        g_free(topic);
    }
    for (guint i = 0; i < cat->every_group->len; i++) {
        sa_group *group = g_ptr_array_index(cat->every_group, i);
        sa_group_clear(group);
        pthread_mutex_destroy(&group->lock);
        g_free(group->name);
        g_free(group);
    }
    g_hash_table_unref(cat->topics);
    g_hash_table_unref(cat->groups);
    g_hash_table_unref(cat->topic_ids);
    g_hash_table_unref(cat->group_ids);
    g_ptr_array_unref(cat->every);
    g_ptr_array_unref(cat->every_group);
    g_ptr_array_unref(cat->parts);
    pthread_mutex_destroy(&cat->lock);
}

sa_partition *
sa_catalog_part(sa_catalog *cat, uint32_t id)
{
    pthread_mutex_lock(&cat->lock);
    sa_partition *part = id < cat->parts->len ? g_ptr_array_index(cat->parts, id) : NULL;
    pthread_mutex_unlock(&cat->lock);
    return part;
}

sa_topic *
sa_catalog_topic(sa_catalog *cat, const void *name, size_t len)
{
    char key[SA_CAT_NAME_MAX + 1];
    if (len > SA_CAT_NAME_MAX)
        return NULL;
    memcpy(key, name, len);
    key[len] = '\0';
    return g_hash_table_lookup(cat->topics, key);
}

sa_group *
sa_catalog_group(sa_catalog *cat, const void *name, size_t len)
{
    char key[SA_CAT_NAME_MAX + 1];
    if (len > SA_CAT_NAME_MAX)
        return NULL;
    memcpy(key, name, len);
    key[len] = '\0';
    return g_hash_table_lookup(cat->groups, key);
}

sa_group *
sa_catalog_group_id(sa_catalog *cat, uint32_t id)
{
    return g_hash_table_lookup(cat->group_ids, GUINT_TO_POINTER(id));
}

static sa_partition *
make_part(sa_catalog *cat, sa_topic *topic, uint32_t number, uint32_t id)
{
    if (id == 0)
        id = cat->next_part;
    if (id < cat->parts->len && g_ptr_array_index(cat->parts, id) != NULL) {
        /* Only a damaged catalogue names a partition twice; the first owner keeps it. */
        id = cat->next_part;
    }
    sa_partition *part = g_new0(sa_partition, 1);
    part->id = id;
    part->number = number;
    part->topic = topic;
    if (id >= cat->parts->len)
        g_ptr_array_set_size(cat->parts, (gint)id + 1);
    g_ptr_array_index(cat->parts, id) = part;
    if (id >= cat->next_part)
        cat->next_part = id + 1;
    cat->live_parts++;
    return part;
}

static void
more_parts(sa_catalog *cat, sa_topic *topic, uint32_t n_parts, const uint32_t *part_ids)
{
    sa_partition **parts = g_new0(sa_partition *, n_parts);
    if (topic->n_parts > 0)
        memcpy(parts, topic->parts, topic->n_parts * sizeof *parts);
    for (uint32_t i = topic->n_parts; i < n_parts; i++)
        parts[i] = make_part(cat, topic, i, part_ids != NULL ? part_ids[i] : 0);
    if (topic->parts != NULL)
        topic->old_parts = g_slist_prepend(topic->old_parts, topic->parts);
    topic->parts = parts;
    topic->n_parts = n_parts;
}

sa_topic *
sa_catalog_make_topic(struct sa_store *store, const char *name, size_t len, uint32_t id,
                      uint32_t n_parts, const uint32_t *part_ids)
{
    sa_catalog *cat = &store->cat;
    sa_topic *topic = g_new0(sa_topic, 1);
    topic->id = id != 0 ? id : cat->next_topic;
    if (topic->id >= cat->next_topic)
        cat->next_topic = topic->id + 1;
    topic->name = g_strndup(name, len);
    pthread_mutex_init(&topic->lock, NULL);
    more_parts(cat, topic, n_parts, part_ids);
    g_hash_table_insert(cat->topics, topic->name, topic);
    g_hash_table_insert(cat->topic_ids, GUINT_TO_POINTER(topic->id), topic);
    g_ptr_array_add(cat->every, topic);
    return topic;
}

bool
sa_catalog_grow_topic(struct sa_store *store, sa_topic *topic, uint32_t n_parts,
                      const uint32_t *part_ids)
{
    if (n_parts <= topic->n_parts)
        return false;
    more_parts(&store->cat, topic, n_parts, part_ids);
    return true;
}

void
sa_catalog_drop_topic(sa_catalog *cat, sa_topic *topic)
{
    topic->deleted = true;
    cat->live_parts -= topic->n_parts;
    if (g_hash_table_lookup(cat->topics, topic->name) == topic)
        g_hash_table_remove(cat->topics, topic->name);
    g_hash_table_remove(cat->topic_ids, GUINT_TO_POINTER(topic->id));
}

sa_group *
sa_catalog_make_group(sa_catalog *cat, const char *name, size_t len, uint32_t id)
{
    sa_group *group = g_new0(sa_group, 1);
    group->id = id != 0 ? id : cat->next_group;
    if (group->id >= cat->next_group)
        cat->next_group = group->id + 1;
    group->name = g_strndup(name, len);
    pthread_mutex_init(&group->lock, NULL);
    g_hash_table_insert(cat->groups, group->name, group);
    g_hash_table_insert(cat->group_ids, GUINT_TO_POINTER(group->id), group);
    g_ptr_array_add(cat->every_group, group);
    return group;
}

void
sa_catalog_drop_group(sa_catalog *cat, sa_group *group)
{
    group->deleted = true;
    if (g_hash_table_lookup(cat->groups, group->name) == group)
        g_hash_table_remove(cat->groups, group->name);
    g_hash_table_remove(cat->group_ids, GUINT_TO_POINTER(group->id));
}
