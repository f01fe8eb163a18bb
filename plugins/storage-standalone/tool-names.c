/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of topics, partitions and groups, from the catalogues of footers, CATALOG records and rows.
 * Ids are never used twice, so what is deleted keeps its name here.
 */
#include "le.h"
#include "tool.h"

static void
topic_free(gpointer data)
{
    tool_topic *topic = data;
    g_free(topic->name);
    g_free(topic);
}

static void
group_free(gpointer data)
{
    tool_group *group = data;
    g_free(group->name);
    g_free(group);
}

void
tool_names_init(tool_names *names)
{
    names->topics = g_hash_table_new_full(NULL, NULL, NULL, topic_free);
    names->parts = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    names->groups = g_hash_table_new_full(NULL, NULL, NULL, group_free);
}

void
tool_names_clear(tool_names *names)
{
    g_clear_pointer(&names->topics, g_hash_table_unref);
    g_clear_pointer(&names->parts, g_hash_table_unref);
    g_clear_pointer(&names->groups, g_hash_table_unref);
}

tool_part *
tool_names_part(tool_names *names, uint32_t id)
{
    tool_part *part = g_hash_table_lookup(names->parts, GUINT_TO_POINTER(id));
    if (part == NULL) {
        part = g_new0(tool_part, 1);
        part->id = id;
        g_hash_table_insert(names->parts, GUINT_TO_POINTER(id), part);
    }
    return part;
}

const tool_part *
tool_names_find(const tool_names *names, uint32_t id)
{
    return g_hash_table_lookup(names->parts, GUINT_TO_POINTER(id));
}

const char *
tool_names_group(const tool_names *names, uint32_t id)
{
    const tool_group *group = g_hash_table_lookup(names->groups, GUINT_TO_POINTER(id));
    return group != NULL ? group->name : NULL;
}

static void
take_topic(tool_names *names, const sa_cat_entry *e, bool offsets)
{
    tool_topic *topic = g_hash_table_lookup(names->topics, GUINT_TO_POINTER(e->id));
    if (topic == NULL) {
        topic = g_new0(tool_topic, 1);
        topic->id = e->id;
        topic->name = tool_clean(e->name, e->name_len);
        g_hash_table_insert(names->topics, GUINT_TO_POINTER(e->id), topic);
    }
    topic->deleted |= e->op == SA_CAT_DELETE;
    topic->level = e->level;
    topic->retention_ms = e->retention_ms;
    topic->retention_bytes = e->retention_bytes;
    for (uint32_t i = 0; i < e->n_parts; i++) {
        const uint8_t *at = e->parts + (size_t)SA_CAT_PART * i;
        tool_part *part = tool_names_part(names, sa_get32(at));
        part->topic = topic;
        part->number = i;
        if (offsets) {
            part->first = MAX(part->first, sa_get64(at + 8));
            part->next = MAX(part->next, sa_get64(at + 16));
        }
    }
}

static void
take_group(tool_names *names, const sa_cat_entry *e)
{
    tool_group *group = g_hash_table_lookup(names->groups, GUINT_TO_POINTER(e->id));
    if (group == NULL) {
        group = g_new0(tool_group, 1);
        group->id = e->id;
        group->name = tool_clean(e->name, e->name_len);
        g_hash_table_insert(names->groups, GUINT_TO_POINTER(e->id), group);
    }
    group->deleted |= e->op == SA_CAT_DELETE;
}

bool
tool_names_read(tool_names *names, const uint8_t *p, size_t n, bool offsets)
{
    sa_cat_entry e;
    while (n > 0) {
        if (!sa_cat_read(p, n, &e))
            return false;
        if (e.kind == SA_CAT_TOPIC)
            take_topic(names, &e, offsets);
        else
            take_group(names, &e);
        p += e.size;
        n -= e.size;
    }
    return true;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    const tool_part *x = *(tool_part *const *)a, *y = *(tool_part *const *)b;
    int order = g_strcmp0(x->topic != NULL ? x->topic->name : NULL,
                          y->topic != NULL ? y->topic->name : NULL);
    if (order != 0)
        return order;
    if (x->topic != y->topic && x->topic != NULL && y->topic != NULL) /* deleted, made again */
        return x->topic->id < y->topic->id ? -1 : 1;
    return x->number != y->number ? (x->number < y->number ? -1 : 1)
                                  : (x->id > y->id) - (x->id < y->id);
}

GPtrArray *
tool_names_parts(const tool_names *names)
{
    GPtrArray *list = g_ptr_array_new();
    GHashTableIter iter;
    gpointer part;
    g_hash_table_iter_init(&iter, names->parts);
    while (g_hash_table_iter_next(&iter, NULL, &part))
        g_ptr_array_add(list, part);
    g_ptr_array_sort(list, by_name);
    return list;
}
