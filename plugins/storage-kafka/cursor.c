/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers as lanes see them: everything is left for the thread that reads. Groups are found and made
 * here.
 */
#include "alone.h"
#include "group.h"
#include "work.h"

#include <string.h>

#define PLACE_NS (UINT64_C(20) * KF_SECOND_NS)

/* ---- groups ---- */

/* Under the lock. */
static kf_group *
start(kf_store *store, const char *name, emesh_error *err)
{
    kf_group *g = g_new0(kf_group, 1);
    pthread_attr_t attr;
    pthread_t thread;
    int failed;

    g->store = store;
    g->name = g_strdup(name);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    failed = !kf_inbox_init(&g->inbox) || pthread_create(&thread, &attr, kf_group_run, g) != 0;
    pthread_attr_destroy(&attr);
    if (failed) {
        kf_error(err, EMESH_E_NO_MEMORY, "no thread for group %s of %s", name, store->name);
        kf_inbox_clear(&g->inbox);
        g_free(g->name);
        g_free(g);
        return NULL;
    }
    store->n_groups++;
    kf_count(store, store->metrics.groups, 1);
    g_hash_table_insert(store->groups, g->name, g);
    return g;
}

static bool
has_room(const kf_store *store, const char *name)
{
    return g_hash_table_lookup(store->groups, name) != NULL ||
           g_hash_table_size(store->groups) < store->opt.max_groups;
}

/* Under the lock. The group with one more user. */
static kf_group *
need(kf_store *store, const char *name, emesh_error *err)
{
    kf_group *g = g_hash_table_lookup(store->groups, name);

    if (g == NULL && store->stopping) {
        kf_error(err, EMESH_E_CANCELED, "%s is stopping", store->name);
        return NULL;
    }
    if (g == NULL && !has_room(store, name)) {
        kf_error(err, EMESH_E_DENIED,
                 "group %s would be one more than the %u that max-groups of %s allows", name,
                 store->opt.max_groups, store->name);
        return NULL;
    }
    return g != NULL ? g : start(store, name, err);
}

bool
kf_group_room(kf_store *store, const char *name)
{
    bool room;

    pthread_mutex_lock(&store->lock);
    room = has_room(store, name);
    pthread_mutex_unlock(&store->lock);
    return room;
}

bool
kf_group_is_here(kf_store *store, const char *name)
{
    bool is;

    pthread_mutex_lock(&store->lock);
    is = g_hash_table_lookup(store->groups, name) != NULL;
    pthread_mutex_unlock(&store->lock);
    return is;
}

/* An order that somebody waits for. */
static int32_t
order_and_wait(kf_store *store, const char *name, kf_order *order, bool make, emesh_error *err)
{
    kf_answer answer;
    kf_group *g;

    kf_answer_init(&answer);
    order->answer = &answer;
    pthread_mutex_lock(&store->lock);
    g = make ? need(store, name, err) : g_hash_table_lookup(store->groups, name);
    if (g != NULL)
        kf_inbox_put(&g->inbox, order); /* under the lock: it cannot end before */
    pthread_mutex_unlock(&store->lock);
    if (g == NULL) {
        kf_order_free(order);
        kf_answer_give(&answer, make ? err->code : EMESH_OK, err->text);
    }
    return kf_answer_wait(&answer, err);
}

int32_t
kf_group_place(kf_store *store, const char *name, const rd_kafka_topic_partition_list_t *parts,
               emesh_error *err)
{
    kf_order *order = g_new0(kf_order, 1);
    emesh_error why = { .size = sizeof why };
    int32_t code;

    order->what = KF_ORDER_PLACE;
    order->parts = rd_kafka_topic_partition_list_copy(parts);
    order->until_ns = store->lp->time(NULL, EMESH_CLOCK_MONOTONIC) + PLACE_NS;
    code = order_and_wait(store, name, order, true, &why);
    if (code != EMESH_OK)
        kf_error(err, code, "the place of group %s in topic %s, as a member of it: %s", name,
                 parts->elems[0].topic, why.text);
    return code;
}

int32_t
kf_group_leave(kf_store *store, const char *name, emesh_error *err)
{
    kf_order *order = g_new0(kf_order, 1);

    order->what = KF_ORDER_LEAVE;
    return order_and_wait(store, name, order, false, err);
}

/* ---- readers ---- */

static kf_cursor *
cursor_of(emesh_cursor *cursor)
{
    return (kf_cursor *)(void *)cursor;
}

static kf_cursor *
cursor_new(kf_store *store, const kf_topic *topic, emesh_reader *reader)
{
    kf_cursor *c = g_new0(kf_cursor, 1);

    c->store = store;
    c->topic = g_strdup(topic->name);
    c->known = atomic_load(&topic->partitions);
    c->reader = reader;
    c->commits = g_array_new(FALSE, FALSE, sizeof(emesh_commit));
    return c;
}

static void
put(kf_cursor *c, kf_what what, uint32_t partition, uint32_t epoch, const emesh_start *start_at,
    emesh_op *op)
{
    kf_order *order = g_new0(kf_order, 1);

    order->what = what;
    order->cursor = c;
    order->partition = partition;
    order->epoch = epoch;
    order->op = op;
    if (start_at != NULL)
        order->start = *start_at;
    kf_inbox_put(c->inbox, order);
}

emesh_cursor *
kf_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    kf_store *store = ((kf_lane *)(void *)lane)->store;
    const kf_topic *topic = (const kf_topic *)(const void *)spec->topic;
    g_autofree char *name = g_strndup(spec->group.ptr, spec->group.len);
    kf_cursor *c = cursor_new(store, topic, reader);
    emesh_error err = { .size = sizeof err };

    pthread_mutex_lock(&store->lock);
    if (spec->mode == EMESH_READ_SHARED) {
        kf_group *g = need(store, name, &err);
        if (g != NULL) {
            g->users++;
            c->group = g;
            c->inbox = &g->inbox;
        }
    } else {
        kf_alone *alone = kf_alone_need(store, &err);
        c->inbox = alone != NULL ? kf_alone_inbox(alone) : NULL;
    }
    c->parts = g_ptr_array_new_with_free_func(c->group != NULL ? kf_group_part_free : kf_apart_free);
    if (c->inbox != NULL)
        put(c, KF_ORDER_OPEN, 0, 0, NULL, NULL);
    pthread_mutex_unlock(&store->lock);
    if (c->inbox != NULL)
        return (emesh_cursor *)(void *)c;
    kf_say(store, EMESH_LOG_WARNING, "topic %s cannot be read: %s", c->topic, err.text);
    kf_cursor_free(c);
    return NULL;
}

void
kf_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start_at)
{
    put(cursor_of(cursor), KF_ORDER_BEGIN, partition, epoch, start_at, NULL);
}

void
kf_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch)
{
    put(cursor_of(cursor), KF_ORDER_RELEASE, partition, epoch, NULL, NULL);
}

void
kf_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes)
{
    kf_inbox_wish(cursor_of(cursor), records, bytes);
}

void
kf_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n)
{
    if (cursor_of(cursor)->group != NULL)
        kf_inbox_commit(cursor_of(cursor), items, n);
}

void
kf_close(emesh_cursor *cursor, emesh_op *op)
{
    put(cursor_of(cursor), KF_ORDER_CLOSE, 0, 0, NULL, op);
}
