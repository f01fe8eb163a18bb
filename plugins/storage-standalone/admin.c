/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin op, [main]: changes of topics and of groups' places. Listings are in list.c.
 */
#include "admin.h"

#include "reader.h"
#include "store.h"
#include <stdlib.h>

static void
fail(sa_store *store, emesh_op *op, int32_t code, const char *what, const emesh_slice *name)
{
    emesh_error err = { .size = sizeof err };
    sa_error(&err, code, "%s %.*s in store %s", what, (int)MIN(name->len, SA_CAT_NAME_MAX),
             (const char *)name->ptr, store->name);
    store->host->complete(store->host, op, code, &err, NULL);
}

static sa_topic *
find_topic(sa_store *store, const emesh_slice *name)
{
    pthread_mutex_lock(&store->cat.lock);
    sa_topic *topic = sa_catalog_topic(&store->cat, name->ptr, name->len);
    pthread_mutex_unlock(&store->cat.lock);
    return topic;
}

static sa_group *
find_group(sa_store *store, const emesh_slice *name)
{
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = sa_catalog_group(&store->cat, name->ptr, name->len);
    pthread_mutex_unlock(&store->cat.lock);
    return group;
}

/* Makes the group when it is not there; *body is its entry then. */
static sa_group *
need_group(sa_store *store, const emesh_slice *name, GByteArray **body)
{
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = sa_catalog_group(&store->cat, name->ptr, name->len);
    if (group == NULL) {
        group = sa_catalog_make_group(&store->cat, name->ptr, MIN(name->len, SA_CAT_NAME_MAX), 0);
        group->created_us = sa_wall_us(store);
        *body = g_byte_array_new();
        sa_cat_put_group(*body, group, SA_CAT_PUT);
    }
    pthread_mutex_unlock(&store->cat.lock);
    return group;
}

sa_group *
sa_group_need(struct sa_store *store, const emesh_slice *name)
{
    GByteArray *body = NULL;
    sa_group *group = need_group(store, name, &body);
    if (body != NULL) {
        sa_keeper_group(store, group);
        sa_change *change = sa_change_new(store, NULL, 1);
        sa_change_add(change, SA_CATALOG, body, NULL, 0);
        sa_change_submit(change, false, NULL);
    }
    return group;
}

/* ---- places of a group: PLACE, SEEK, FORGET ---- */

typedef struct sa_placing { /* a look-up by time on a pool thread comes first */
    emesh_task task;
    sa_store *store;
    emesh_op *op;
    sa_topic *topic;
    sa_group *group;
    GByteArray *made; /* CATALOG entry of a new group */
    uint32_t what, kind;
    uint64_t time_ms;
    uint64_t offset; /* AFTER */
    const sa_partition *only; /* NULL: all of the topic */
} sa_placing;

static uint64_t
place_of(const sa_placing *p, sa_partition *part)
{
    if (p->group->lost && p->what == EMESH_CHANGE_PLACE)
        return atomic_load(&part->first); /* it may have had a place here */
    switch (p->kind) {
    case EMESH_START_EARLIEST:
        return atomic_load(&part->first);
    case EMESH_START_AFTER:
        return MIN(p->offset + 1, atomic_load(&part->next)); /* nobody stands beyond the end */
    case EMESH_START_TIME:
        return sa_find_time(p->store, part, p->time_ms * 1000);
    default:
        return atomic_load(&part->next);
    }
}

static void
place_now(sa_placing *p)
{
    sa_store *store = p->store;
    GByteArray *body = g_byte_array_new();
    uint32_t n_parts = p->topic->n_parts; /* first: the array has at least as many */
    sa_partition **parts = p->topic->parts;
    g_autofree uint64_t *offsets = g_new(uint64_t, n_parts);
    for (uint32_t i = 0; i < n_parts; i++)
        offsets[i] = place_of(p, parts[i]); /* may read the log: not under the lock */
    pthread_mutex_lock(&p->group->lock);
    bool known = false; /* then what it has no place in appeared later */
    for (uint32_t i = 0; i < n_parts && p->what == EMESH_CHANGE_PLACE; i++)
        known |= sa_pair_find(p->group, parts[i]->id) != NULL;
    for (uint32_t i = 0; i < n_parts; i++) {
        if (p->only != NULL && parts[i] != p->only)
            continue;
        sa_pair *pair = sa_pair_find(p->group, parts[i]->id);
        bool made = pair == NULL;
        if (made)
            pair = sa_pair_make(p->group, parts[i],
                                known ? atomic_load(&parts[i]->first) : offsets[i]);
        else if (p->what == EMESH_CHANGE_PLACE)
            continue;
        else
            sa_pair_seek(pair, offsets[i]);
        pair->floor_new = false;
        sa_pair_row(store, pair);
        sa_commit_put(body, pair, made ? SA_OP_CREATE : SA_OP_SEEK, NULL);
    }
    pthread_mutex_unlock(&p->group->lock);
    sa_change *change = sa_change_new(store, p->op, 2);
    if (p->made != NULL)
        sa_change_add(change, SA_CATALOG, p->made, NULL, 0);
    /* An empty record when nothing changed: the answer still waits for what was made before. */
    sa_change_add(change, SA_COMMIT, body, NULL, 0);
    sa_change_submit(change, true, NULL);
    g_free(p);
}

static void
place_on_pool(emesh_task *task, int32_t code)
{
    (void)code;
    place_now((sa_placing *)(void *)task);
}

static sa_partition *find_part(sa_store *store, const emesh_admin *what);

static void
place(sa_store *store, const emesh_admin *what, emesh_op *op)
{
    const sa_partition *only = what->partition.len > 0 ? find_part(store, what) : NULL;
    sa_topic *topic = find_topic(store, &what->topic);
    if (topic == NULL) {
        fail(store, op, EMESH_E_NOT_FOUND, "there is no topic", &what->topic);
        return;
    }
    if (what->group.len == 0 || what->group.len > SA_CAT_NAME_MAX) {
        fail(store, op, EMESH_E_INVALID, "a group name has 1 to 249 bytes, not", &what->group);
        return;
    }
    if (what->partition.len > 0 && only == NULL) {
        fail(store, op, EMESH_E_NOT_FOUND, "there is no such partition of topic", &what->topic);
        return;
    }
    sa_placing *p = g_new0(sa_placing, 1);
    p->store = store;
    p->op = op;
    p->topic = topic;
    p->what = what->what;
    p->only = only;
    p->kind = what->start != NULL ? what->start->kind : EMESH_START_LATEST;
    p->time_ms = what->start != NULL ? what->start->time_ms : 0;
    p->offset = what->start != NULL ? what->start->position.lo : 0;
    p->group = need_group(store, &what->group, &p->made);
    if (p->made != NULL)
        sa_keeper_group(store, p->group);
    if (p->kind == EMESH_START_TIME) {
        p->task.run = place_on_pool;
        store->lp->work(store->host, &p->task);
    } else {
        place_now(p);
    }
}

/* lock held. Does the group still have a place anywhere? */
static bool
has_pairs(const sa_group *group)
{
    return group->n_pairs > 0;
}

static void
forget(sa_store *store, const emesh_admin *what, emesh_op *op)
{
    sa_topic *topic = find_topic(store, &what->topic);
    sa_group *group = find_group(store, &what->group);
    if (group == NULL) {
        fail(store, op, EMESH_E_NOT_FOUND, "there is no group", &what->group);
        return;
    }
    if (topic == NULL) {
        fail(store, op, EMESH_E_NOT_FOUND, "there is no topic", &what->topic);
        return;
    }
    GByteArray *body = g_byte_array_new();
    pthread_mutex_lock(&group->lock);
    for (uint32_t i = 0; i < topic->n_parts; i++) {
        sa_pair *pair = sa_pair_find(group, topic->parts[i]->id);
        if (pair == NULL)
            continue;
        sa_commit_put(body, pair, SA_OP_DELETE, NULL);
        sa_pair_forget(store, group, pair->part->id);
    }
    if (body->len == 0 && sa_holds_any(store, group->id, topic->id)) {
        const sa_pair none = { .group = group, .part = topic->parts[0] };
        sa_commit_put(body, &none, SA_OP_DELETE, NULL); /* it had an inbox only */
    }
    bool last = !has_pairs(group);
    pthread_mutex_unlock(&group->lock);
    sa_holds_forget(store, group->id, last ? 0 : topic->id);
    sa_change *change = sa_change_new(store, op, 2);
    sa_change_add(change, SA_COMMIT, body, NULL, 0);
    if (last) {
        GByteArray *entry = g_byte_array_new();
        pthread_mutex_lock(&store->cat.lock);
        sa_cat_put_group(entry, group, SA_CAT_DELETE);
        sa_catalog_drop_group(&store->cat, group);
        pthread_mutex_unlock(&store->cat.lock);
        sa_keeper_group(store, group);
        sa_change_add(change, SA_CATALOG, entry, NULL, 0);
    }
    sa_change_submit(change, true, NULL);
}

/* ---- topics: DELETE, TRIM ---- */

static void
delete_topic(sa_store *store, const emesh_admin *what, emesh_op *op)
{
    pthread_mutex_lock(&store->cat.lock);
    sa_topic *topic = sa_catalog_topic(&store->cat, what->topic.ptr, what->topic.len);
    GByteArray *entry = topic != NULL ? g_byte_array_new() : NULL;
    if (topic != NULL) {
        sa_cat_put_topic(entry, topic, SA_CAT_DELETE);
        sa_catalog_drop_topic(&store->cat, topic);
    }
    pthread_mutex_unlock(&store->cat.lock);
    if (topic == NULL) {
        fail(store, op, EMESH_E_NOT_FOUND, "there is no topic", &what->topic);
        return;
    }
    sa_groups_forget_topic(store, topic);
    sa_holds_drop_topic(store, topic->id);
    sa_keeper_topic(store, topic);
    sa_change *change = sa_change_new(store, op, 1);
    sa_change_add(change, SA_CATALOG, entry, NULL, 0);
    sa_change_submit(change, true, NULL);
    sa_keeper_retain(store);
}

static sa_partition *
find_part(sa_store *store, const emesh_admin *what)
{
    sa_topic *topic = find_topic(store, &what->topic);
    char text[12] = { 0 };
    if (topic == NULL || what->partition.len >= sizeof text)
        return NULL;
    memcpy(text, what->partition.ptr, what->partition.len);
    char *end = text;
    unsigned long number = strtoul(text, &end, 10);
    if (*end != '\0' || number >= topic->n_parts)
        return NULL;
    return topic->parts[number];
}

static void
trim(sa_store *store, const emesh_admin *what, emesh_op *op)
{
    sa_partition *part = find_part(store, what);
    if (part == NULL) {
        fail(store, op, EMESH_E_NOT_FOUND, "there is no such partition of topic", &what->topic);
        return;
    }
    uint64_t first = MIN(what->position.lo, atomic_load(&part->visible));
    if (first > atomic_load(&part->first))
        atomic_store(&part->first, first);
    sa_keeper_topic(store, part->topic);
    sa_change *change = sa_change_new(store, op, 1);
    sa_change_add(change, SA_START, NULL, part, first);
    sa_change_submit(change, true, NULL);
    sa_keeper_retain(store);
}

void
sa_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op)
{
    sa_store *store = SA_STORE(self);
    switch (what->what) {
    case EMESH_CHANGE_DELETE:
        delete_topic(store, what, op);
        break;
    case EMESH_CHANGE_TRIM:
        trim(store, what, op);
        break;
    case EMESH_CHANGE_FORGET:
        forget(store, what, op);
        break;
    case EMESH_CHANGE_PLACE:
    case EMESH_CHANGE_SEEK:
        place(store, what, op);
        break;
    case EMESH_LIST_TOPICS:
        sa_list_topics(store, what, op);
        break;
    case EMESH_LIST_PARTITIONS:
        sa_list_partitions(store, what, op);
        break;
    case EMESH_LIST_GROUPS:
        sa_list_groups(store, what, op);
        break;
    case EMESH_LIST_EVENT:
        sa_list_event(store, what, op);
        break;
    default:
        fail(store, op, EMESH_E_UNSUPPORTED, "this store cannot do what is asked with topic",
             &what->topic);
        break;
    }
}
