/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics opened and closed by the host, [main]. A new or changed topic is answered when its
 * CATALOG record is durable; one that is there as asked is answered at once.
 */
#include "admin.h"
#include "cursor.h"
#include "store.h"
#include <stdlib.h>

static struct emesh_topic *
handle_new(sa_topic *topic, uint32_t level)
{
    struct emesh_topic *handle = g_new0(struct emesh_topic, 1);
    handle->topic = topic;
    handle->n_parts = topic->n_parts;
    handle->parts = g_memdup2(topic->parts, topic->n_parts * sizeof *topic->parts);
    handle->level = level;
    topic->handles++;
    return handle;
}

static int32_t
check(const sa_store *store, const emesh_topic_spec *spec, emesh_error *err)
{
    int len = (int)MIN(spec->name.len, SA_CAT_NAME_MAX);
    const char *name = spec->name.ptr;
    if (spec->name.len == 0 || spec->name.len > SA_CAT_NAME_MAX)
        return sa_error(err, EMESH_E_INVALID, "topic name of %zu bytes: 1 to %u are possible",
                        spec->name.len, SA_CAT_NAME_MAX);
    if (spec->level > EMESH_LEVEL_SYNCED)
        return sa_error(err, EMESH_E_UNSUPPORTED, "topic %.*s asks for level %u: this store gives "
                        "memory, os and synced", len, name, spec->level);
    if (spec->partitions > store->opt.max_partitions)
        return sa_error(err, EMESH_E_CONFIG, "topic %.*s asks for %u partitions, max-partitions of "
                        "%s is %u", len, name, spec->partitions, store->name,
                        store->opt.max_partitions);
    return EMESH_OK;
}

/* lock held. Makes or changes the topic; *body is its entry when something has to be written. */
static int32_t
need_topic(sa_store *store, const emesh_topic_spec *spec, sa_topic **out, GByteArray **body,
           emesh_error *err)
{
    sa_catalog *cat = &store->cat;
    int len = (int)spec->name.len;
    const char *name = spec->name.ptr;
    sa_topic *topic = sa_catalog_topic(cat, name, spec->name.len);
    uint32_t level = spec->level != 0 ? spec->level : EMESH_LEVEL_SYNCED;
    uint32_t parts = spec->partitions != 0 ? spec->partitions : topic != NULL ? topic->n_parts : 1;
    uint32_t more = topic == NULL ? parts : parts > topic->n_parts ? parts - topic->n_parts : 0;
    uint32_t op = topic == NULL ? SA_CAT_PUT : SA_CAT_CHANGE;
    if (topic == NULL && !spec->create)
        return sa_error(err, EMESH_E_NOT_FOUND, "topic %.*s is not in store %s", len, name,
                        store->name);
    if (cat->live_parts + more > store->opt.max_partitions)
        return sa_error(err, EMESH_E_DENIED, "topic %.*s would make %u partitions in store %s, "
                        "max-partitions is %u: delete topics or raise it", len, name,
                        cat->live_parts + more, store->name, store->opt.max_partitions);
    if (topic == NULL) {
        topic = sa_catalog_make_topic(store, name, spec->name.len, 0, parts, NULL);
        topic->created_us = sa_wall_us(store);
    } else if (more == 0 && topic->level == level && topic->retention_ms == spec->retention_ms
               && topic->retention_bytes == spec->retention_bytes) {
        *out = topic;
        return EMESH_OK;
    } else {
        sa_catalog_grow_topic(store, topic, parts, NULL);
    }
    topic->level = level;
    topic->retention_ms = spec->retention_ms;
    topic->retention_bytes = spec->retention_bytes;
    *body = g_byte_array_new();
    sa_cat_put_topic(*body, topic, op);
    *out = topic;
    return EMESH_OK;
}

void
sa_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    sa_store *store = SA_STORE(self);
    emesh_error err = { .size = sizeof err };
    sa_topic *topic = NULL;
    GByteArray *body = NULL;
    int32_t code = check(store, spec, &err);
    if (code == EMESH_OK) {
        pthread_mutex_lock(&store->cat.lock);
        code = need_topic(store, spec, &topic, &body, &err);
        pthread_mutex_unlock(&store->cat.lock);
    }
    if (code != EMESH_OK) {
        store->host->complete(store->host, op, code, &err, NULL);
        return;
    }
    struct emesh_topic *handle = handle_new(topic, topic->level);
    if (body == NULL) {
        store->host->complete(store->host, op, EMESH_OK, NULL, handle);
        return;
    }
    sa_keeper_topic(store, topic);
    sa_change *change = sa_change_new(store, op, 1);
    sa_change_add(change, SA_CATALOG, body, NULL, 0);
    sa_change_submit(change, true, handle);
    sa_topic_grown(topic);
}

void
sa_topic_close(emesh_instance *self, emesh_topic *topic)
{
    struct emesh_topic *handle = topic;
    (void)self;
    handle->topic->handles--;
    g_free(handle->parts);
    g_free(handle);
}
