/* SPDX-License-Identifier: Apache-2.0
 *
 * See watch.h. Waking takes turns: so many in a wake-up, that those of other topics are not held up.
 */
#include "delivery/watch.h"

#include <string.h>

#define WAKE_AT_ONCE 64u

/* ---- groups ---- */

static unsigned
group_hash(const void *data)
{
    return ((const emesh_rest_group *)data)->hash;
}

static gboolean
group_equal(const void *a, const void *b)
{
    const emesh_rest_group *x = a, *y = b;

    return x->store == y->store && strcmp(x->name, y->name) == 0;
}

static emesh_rest_group *
group_new(const emesh_store *store, const char *name)
{
    size_t len = strlen(name);
    emesh_rest_group *group = g_malloc(sizeof *group + len + 1);

    *group = (emesh_rest_group){ 0, g_str_hash(name) * 2654435769u, store };
    memcpy(group->name, name, len + 1);
    return group;
}

static void
group_empty(emesh_rest_group *group)
{
    g_free((char *)(uintptr_t)group->rule.dead_letter_store);
    g_free(group->letters);
    if (group->options != NULL)
        emesh_config_unref(group->options);
}

emesh_rest_group *
emesh_rest_group_of(emesh_sub *sub)
{
    emesh_delivery_lane *owner = sub->owner;
    emesh_rest_group *made = group_new(sub->store, sub->group), *group;

    if (owner->rest_groups == NULL)
        owner->rest_groups = g_hash_table_new(group_hash, group_equal);
    group = g_hash_table_lookup(owner->rest_groups, made);
    if (group == NULL)
        g_hash_table_add(owner->rest_groups, group = g_steal_pointer(&made));
    g_free(made);
    group->refs++;
    group_empty(group);
    group->rule = sub->rule;
    sub->rule.dead_letter_store = NULL;
    group->letters = g_steal_pointer(&sub->letters);
    group->options = g_steal_pointer(&sub->options);
    return group;
}

void
emesh_rest_group_give(const emesh_rest_group *group, emesh_sub *sub)
{
    sub->rule = group->rule;
    sub->rule.dead_letter_store = g_strdup(group->rule.dead_letter_store);
    sub->letters = g_strdup(group->letters);
    sub->options = group->options != NULL ? emesh_config_ref(group->options) : NULL;
    emesh_order_ask(sub, group->rule.ordered != 0);
}

void
emesh_rest_group_free(emesh_delivery_lane *owner, emesh_rest_group *group)
{
    if (--group->refs > 0)
        return;
    g_hash_table_remove(owner->rest_groups, group);
    group_empty(group);
    g_free(group);
}

/* ---- the table ---- */

static uint32_t
home_of(const emesh_watch *w, const emesh_rest *rest)
{
    return rest->group->hash & (w->room - 1);
}

static void
put(emesh_watch *w, emesh_rest *rest)
{
    uint32_t i = home_of(w, rest);

    while (w->at[i] != NULL)
        i = (i + 1) & (w->room - 1);
    w->at[i] = rest;
}

static void
resize(emesh_watch *w, uint32_t room)
{
    g_autofree emesh_rest **old = w->at;
    uint32_t n = w->room;

    w->at = g_new0(emesh_rest *, room);
    w->room = room;
    for (uint32_t i = 0; i < n; i++)
        if (old[i] != NULL)
            put(w, old[i]);
}

void
emesh_watch_add(emesh_watch *w, emesh_rest *rest)
{
    if (w->n >= w->room / 4 * 3)
        resize(w, MAX(8u, w->room * 2));
    put(w, rest);
    w->n++;
}

/* What lies behind a hole and may lie in it moves there, so that no mark is left. */
void
emesh_watch_remove(emesh_watch *w, emesh_rest *rest)
{
    uint32_t mask = w->room - 1, hole = home_of(w, rest), i;

    while (w->at[hole] != rest)
        hole = (hole + 1) & mask;
    for (i = (hole + 1) & mask; w->at[i] != NULL; i = (i + 1) & mask)
        if (((i - home_of(w, w->at[i])) & mask) >= ((i - hole) & mask)) {
            w->at[hole] = w->at[i];
            hole = i;
        }
    w->at[hole] = NULL;
    if (--w->n == 0) {
        g_free(w->at);
        w->at = NULL;
        w->room = 0;
    }
}

emesh_rest *
emesh_watch_find(const emesh_delivery_lane *owner, const char *topic, const char *name)
{
    const emesh_watch *w = owner->watches != NULL ? g_hash_table_lookup(owner->watches, topic) : NULL;
    uint32_t hash = g_str_hash(name) * 2654435769u;

    if (w == NULL || w->n == 0)
        return NULL;
    for (uint32_t i = hash & (w->room - 1); w->at[i] != NULL; i = (i + 1) & (w->room - 1))
        if (w->at[i]->group->hash == hash && strcmp(w->at[i]->group->name, name) == 0)
            return w->at[i];
    return NULL;
}

/* ---- the store's watch ---- */

static void
news(emesh_watch *w)
{
    if (w->ended) {
        if (w->heir != NULL)
            news(w->heir);
        return;
    }
    w->armed = false;
    if (w->n == 0 || w->news)
        return;
    w->news = true;
    emesh_worker_alarm(w->owner->lane->worker, &w->again,
                       emesh_worker_now(w->owner->lane->worker));
}

static void
wake(emesh_alarm *alarm)
{
    emesh_watch *w = (emesh_watch *)((char *)alarm - offsetof(emesh_watch, again));
    uint32_t woken = 0;

    for (uint32_t i = 0; w->n > 0 && i < w->room && woken < WAKE_AT_ONCE;) {
        if (w->at[i] == NULL) {
            i++;
            continue;
        }
        emesh_rest_wake(w->at[i]); /* another may move to its place */
        woken++;
    }
    w->news = w->n > 0;
    if (w->news)
        emesh_worker_alarm(w->owner->lane->worker, &w->again,
                           emesh_worker_now(w->owner->lane->worker));
}

static void
take_record(emesh_reader *reader, const emesh_record *record)
{
    (void)reader, (void)record;
}

static void
take_partition(emesh_reader *reader, uint32_t change, uint32_t number, const char *name,
               int32_t code, const char *why)
{
    emesh_watch *w = (emesh_watch *)((char *)reader - offsetof(emesh_watch, reader));

    (void)number, (void)name, (void)code, (void)why;
    w->dead |= change == EMESH_PARTITION_END;
    if (change == EMESH_PARTITION_NEWS || change == EMESH_PARTITION_END)
        news(w);
}

static void
touch(emesh_reader *reader)
{
    (void)reader;
}

static const emesh_reader_ears ears = { take_record, take_partition, touch };

static emesh_watch *
watch_new(emesh_delivery_lane *owner, emesh_bus_topic *topic)
{
    emesh_inst *inst = topic->store->inst;
    emesh_loop *loop = emesh_inst_loop(inst, owner->lane->worker);
    emesh_read_spec spec = { .size = sizeof spec, .mode = EMESH_READ_WATCH,
                             .topic = topic->handle };
    emesh_watch *w = g_new0(emesh_watch, 1);

    w->owner = owner;
    w->reader = (emesh_reader){ .ears = &ears, .lane = owner->lane, .inst = inst };
    w->again.due = wake;
    w->cursor = inst->storage.open(loop->lane, &spec, &w->reader);
    if (w->cursor == NULL) {
        g_free(w);
        return NULL;
    }
    w->armed = true;
    w->topic = emesh_topic_reading(topic, NULL);
    if (owner->watches == NULL)
        owner->watches = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_replace(owner->watches, w->topic->name, w);
    return w;
}

emesh_watch *
emesh_watch_armed(emesh_delivery_lane *owner, emesh_bus_topic *topic)
{
    emesh_watch *w =
        owner->watches != NULL ? g_hash_table_lookup(owner->watches, topic->name) : NULL;

    if (w == NULL)
        return watch_new(owner, topic);
    if (w->topic != topic || w->news || w->dead)
        return NULL;
    if (!w->armed)
        w->topic->store->inst->storage.want(w->cursor, 1, 0);
    w->armed = true;
    return w;
}

/* ---- its end ---- */

void
emesh_watch_settle(emesh_watch *w)
{
    if (!w->ended || w->cursor != NULL || w->holds > 0 || w->n > 0)
        return;
    if (w->heir != NULL)
        emesh_watch_let_go(w->heir);
    g_free(w->at);
    g_free(w);
}

void
emesh_watch_let_go(emesh_watch *w)
{
    w->holds--;
    emesh_watch_settle(w);
}

static void
closed(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    emesh_watch *w = ctx;
    g_autoptr(GArray) waiting = g_steal_pointer(&w->waiting);

    (void)code, (void)err, (void)value;
    w->cursor = NULL;
    w->topic = emesh_topic_reading(NULL, w->topic);
    for (uint32_t i = 0; waiting != NULL && i < waiting->len; i++) {
        emesh_sub_ended *e = &g_array_index(waiting, emesh_sub_ended, i);
        e->done(e->ctx);
    }
    emesh_watch_settle(w);
}

static void
end(emesh_watch *w)
{
    emesh_inst *inst = w->topic->store->inst;
    emesh_worker *worker = w->owner->lane->worker;

    w->ended = true;
    w->armed = false;
    emesh_worker_alarm(worker, &w->again, 0);
    if (g_hash_table_lookup(w->owner->watches, w->topic->name) == w)
        g_hash_table_remove(w->owner->watches, w->topic->name);
    inst->storage.close(w->cursor, emesh_op_new(inst, worker, NULL, closed, w));
}

static GPtrArray *
all_of(const emesh_delivery_lane *owner, const emesh_bus_topic *topic)
{
    GPtrArray *all = g_ptr_array_new();
    GHashTableIter iter;
    void *value;

    if (owner->watches != NULL)
        g_hash_table_iter_init(&iter, owner->watches);
    while (owner->watches != NULL && g_hash_table_iter_next(&iter, NULL, &value))
        if (topic == NULL || ((emesh_watch *)value)->topic == topic)
            g_ptr_array_add(all, value);
    return all;
}

uint32_t
emesh_rests_end(emesh_delivery_lane *owner, const emesh_bus_topic *topic, void (*done)(void *ctx),
                void *ctx)
{
    g_autoptr(GPtrArray) all = all_of(owner, topic);
    emesh_sub_ended ended = { done, ctx };

    for (uint32_t k = 0; k < all->len; k++) {
        emesh_watch *w = all->pdata[k];
        for (uint32_t i = 0; topic != NULL && w->n > 0 && i < w->room;)
            if (w->at[i] != NULL)
                emesh_rest_wake(w->at[i]);
            else
                i++;
        w->waiting = g_array_new(FALSE, FALSE, sizeof ended);
        g_array_append_val(w->waiting, ended);
        end(w);
    }
    return all->len;
}

void
emesh_rests_swap(emesh_delivery_lane *owner, const emesh_bus_topic *old, emesh_bus_topic *fresh)
{
    g_autoptr(GPtrArray) all = all_of(owner, old);

    for (uint32_t k = 0; k < all->len; k++) {
        emesh_watch *w = all->pdata[k], *heir = watch_new(owner, fresh);
        if (heir == NULL)
            continue; /* no memory: it goes on with the old one */
        heir->at = g_steal_pointer(&w->at);
        heir->n = w->n;
        heir->room = w->room;
        w->n = w->room = 0;
        for (uint32_t i = 0; i < heir->room; i++)
            if (heir->at[i] != NULL)
                heir->at[i]->watch = heir;
        w->heir = heir;
        heir->holds++;
        if (w->news || !w->armed)
            news(heir);
        end(w);
    }
}

void
emesh_rests_look(emesh_delivery_lane *owner)
{
    g_autoptr(GPtrArray) all = all_of(owner, NULL);

    for (uint32_t k = 0; k < all->len; k++) {
        emesh_watch *w = all->pdata[k];
        if (w->n == 0 && w->holds == 0)
            end(w);
    }
}

void
emesh_rests_clear(emesh_delivery_lane *owner)
{
    if (owner->watches != NULL)
        g_hash_table_unref(owner->watches);
    if (owner->rest_groups != NULL)
        g_hash_table_unref(owner->rest_groups);
}

void
emesh_rests_each(const emesh_delivery_lane *owner,
                 void (*visit)(void *ctx, const emesh_resting *resting), void *ctx)
{
    static const emesh_tally none = { 0 };
    g_autoptr(GPtrArray) all = all_of(owner, NULL);

    for (uint32_t k = 0; k < all->len; k++) {
        emesh_watch *w = all->pdata[k];
        for (uint32_t i = 0; i < w->room; i++) {
            emesh_rest *rest = w->at[i];
            if (rest == NULL)
                continue;
            emesh_resting seen = { w->topic, rest->group->name, rest->n,
                                   rest->tally != NULL ? rest->tally : &none,
                                   emesh_rest_members(rest) };
            visit(ctx, &seen);
        }
    }
}
