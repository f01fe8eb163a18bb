/* SPDX-License-Identifier: Apache-2.0
 *
 * A reload that changes the rule of a topic in use: the store opens it once more, with more
 * partitions perhaps; the new record takes the place of the old one in the register and on each
 * lane. What is open or under way ends on the old one, which is closed behind the last. [main]
 */
#include "bus/append.h"
#include "bus/refresh.h"
#include "bus/session.h"
#include "bus/topic-main.h"
#include "delivery/delivery.h"

#include <string.h>

#define LOOK_NS (200u * UINT64_C(1000000))

typedef struct refreshing {
    emesh_bus *bus;
    emesh_bus_topic *old, *fresh; /* references */
    emesh_config *options;
    uint32_t lanes_left;
    emesh_alarm look; /* is anything left on the old one? */
} refreshing;

static void
refreshing_free(refreshing *r)
{
    emesh_worker_alarm(r->bus->main, &r->look, 0);
    emesh_bus_topic_unref(r->old);
    emesh_bus_topic_unref(r->fresh);
    if (r->options != NULL)
        emesh_config_unref(r->options);
    g_free(r);
}

static bool
is_idle(emesh_bus_topic *topic)
{
    return __atomic_load_n(&topic->readers, __ATOMIC_ACQUIRE) == 0 &&
           __atomic_load_n(&topic->under_way, __ATOMIC_ACQUIRE) == 0;
}

static void
close_old(refreshing *r)
{
    emesh_inst *inst = r->old->store->inst;

    inst->storage.topic_close(inst->self, r->old->handle);
    g_ptr_array_remove_fast(r->bus->retired, r);
    refreshing_free(r);
}

static void
look(emesh_alarm *alarm)
{
    refreshing *r = (refreshing *)((char *)alarm - offsetof(refreshing, look));

    if (is_idle(r->old))
        close_old(r);
    else
        emesh_worker_alarm(r->bus->main, &r->look, emesh_worker_now(r->bus->main) + LOOK_NS);
}

void
emesh_retired_close(emesh_bus *bus, const emesh_store *store)
{
    for (uint32_t i = bus->retired->len; i > 0; i--) {
        refreshing *r = bus->retired->pdata[i - 1];
        if (store != NULL && r->old->store != store)
            continue;
        if (r->lanes_left == 0 && is_idle(r->old)) {
            close_old(r);
        } else { /* the store has until its stop to hand over what is under way */
            g_ptr_array_remove_index_fast(bus->retired, i - 1);
            g_ptr_array_add(bus->unanswered, emesh_bus_topic_ref(r->old));
            if (r->lanes_left == 0)
                refreshing_free(r);
        }
    }
}

static void refresh(emesh_bus *bus, emesh_bus_topic *old);

/* ---- the lanes take it over ---- */

typedef struct swap {
    emesh_job job;
    emesh_bus_lane *lane;
    refreshing *r;
} swap;

static void
swapped(emesh_job *job)
{
    swap *s = (swap *)job;
    refreshing *r = s->r;

    g_free(s);
    if (--r->lanes_left > 0)
        return;
    if (g_ptr_array_find(r->bus->retired, r, NULL))
        look(&r->look);
    else
        refreshing_free(r); /* the bus closed meanwhile */
}

static void
swap_run(emesh_job *job)
{
    swap *s = (swap *)job;
    emesh_bus_lane *lane = s->lane;
    emesh_bus_topic *old = s->r->old, *fresh = s->r->fresh;

    for (GList *l = lane->sessions.head; l != NULL; l = l->next) {
        emesh_session *session = l->data;
        if (session->last_topic == old)
            session->last_topic = NULL;
    }
    if (g_hash_table_lookup(lane->topics, old->name) == old) {
        g_hash_table_remove(lane->topics, old->name);
        emesh_bus_topic_unref(old);
        g_hash_table_insert(lane->topics, fresh->name, emesh_bus_topic_ref(fresh));
    }
    emesh_append_swap_topic(lane, old, fresh);
    emesh_delivery_swap_topic(lane->delivery, old, fresh);
    s->job = (emesh_job){ .run = swapped };
    emesh_worker_post(lane->bus->main, &s->job);
}

static void
opened(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    refreshing *r = ctx;
    emesh_bus *bus = r->bus;

    if (code == EMESH_OK && !r->old->gone && r->old->newer != NULL) { /* reloaded twice */
        emesh_bus_topic *now = g_hash_table_lookup(bus->topics, r->old->name);
        r->old->store->inst->storage.topic_close(r->old->store->inst->self, value);
        refreshing_free(r);
        if (now != NULL && !now->gone)
            refresh(bus, now);
        return;
    }
    if (code != EMESH_OK || r->old->gone || bus->closing) {
        if (code == EMESH_OK)
            r->old->store->inst->storage.topic_close(r->old->store->inst->self, value);
        else
            emesh_bus_warn(bus, "bus", "topic \"%s\" stays as it was before the reload: %s",
                           r->old->name, err != NULL ? err->text : "its store refuses");
        refreshing_free(r);
        return;
    }
    r->fresh->handle = value;
    __atomic_store_n(&r->fresh->published, __atomic_load_n(&r->old->published, __ATOMIC_RELAXED),
                     __ATOMIC_RELAXED);
    g_hash_table_remove(bus->topics, r->old->name);
    g_hash_table_insert(bus->topics, r->fresh->name, emesh_bus_topic_ref(r->fresh));
    __atomic_store_n(&r->old->newer, emesh_bus_topic_ref(r->fresh), __ATOMIC_RELEASE);
    g_ptr_array_add(bus->retired, r);
    emesh_bus_topic_unref(r->old); /* the register's; r has one of its own */
    r->lanes_left = __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0, n = r->lanes_left; i < n; i++) {
        swap *s = g_new0(swap, 1);
        *s = (swap){ { .run = swap_run }, bus->lanes[i], r };
        emesh_worker_post(bus->lanes[i]->worker, &s->job);
    }
}

/* ---- which ---- */

static void
refresh(emesh_bus *bus, emesh_bus_topic *old)
{
    emesh_inst *inst = old->store->inst;
    g_autoptr(GError) error = NULL;
    refreshing *r;
    emesh_topic_spec spec = { .size = sizeof spec, .create = 1 };
    emesh_topic_rule rule;
    emesh_bus_topic *fresh;

    emesh_topic_rule_of(bus, old->name, &rule);
    fresh = emesh_bus_topic_new(old->name, old->name_len, old->store, &rule);
    if (fresh->level == old->level && fresh->max_event == old->max_event &&
        fresh->retention_ms == old->retention_ms && fresh->partitions <= old->partitions &&
        fresh->retention_bytes == old->retention_bytes &&
        fresh->foreign_letters == old->foreign_letters) {
        emesh_bus_topic_unref(fresh);
        return;
    }
    fresh->partitions = MAX(fresh->partitions, old->partitions); /* none is taken away */
    r = g_new0(refreshing, 1);
    r->bus = bus;
    r->old = emesh_bus_topic_ref(old);
    r->fresh = fresh;
    r->look.due = look;
    r->options = emesh_conf_topic_options(bus->conf, old->name, old->name_len, inst->name,
                                          inst->storage.topic_options,
                                          inst->storage.n_topic_options,
                                          inst->component->option_size, &error);
    if (r->options == NULL) {
        emesh_bus_warn(bus, "bus", "topic \"%s\" stays as it was before the reload: %s", old->name,
                       error->message);
        refreshing_free(r);
        return;
    }
    spec.partitions = fresh->partitions;
    spec.name = (emesh_slice){ fresh->name, fresh->store_len };
    spec.options = r->options;
    spec.retention_ms = fresh->retention_ms;
    spec.retention_bytes = fresh->retention_bytes;
    spec.level = fresh->level;
    inst->storage.topic_open(inst->self, &spec, emesh_op_new(inst, bus->main, NULL, opened, r));
}

void
emesh_bus_refresh(emesh_bus *bus)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    void *topic;

    g_hash_table_iter_init(&iter, bus->topics);
    while (g_hash_table_iter_next(&iter, NULL, &topic))
        g_ptr_array_add(all, topic);
    for (uint32_t i = 0; i < all->len; i++) {
        topic = all->pdata[i];
        if (!((emesh_bus_topic *)topic)->gone && ((emesh_bus_topic *)topic)->store->ready)
            refresh(bus, topic);
    }
}
