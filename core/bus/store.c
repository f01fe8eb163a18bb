/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores as the bus knows them, and the rules of conf.d held against what they can.
 */
#include "bus/topic.h"
#include "delivery/delivery.h"
#include "delivery/forget.h"

#include <string.h>

const char *
emesh_level_name(uint32_t level)
{
    static const char *const names[] = { "topic", "memory", "os", "synced", "quorum" };

    return level < G_N_ELEMENTS(names) ? names[level] : "unknown";
}

emesh_loop *
emesh_store_loop(const emesh_store *store, const emesh_worker *worker, uint32_t spread)
{
    emesh_loop *loop = emesh_inst_loop(store->inst, worker);

    return loop != NULL ? loop : store->inst->loops[spread % store->inst->n_loops];
}

static emesh_store *
store_of(emesh_bus *bus, emesh_inst *inst)
{
    emesh_store *store = inst->bus;

    if (store != NULL)
        return store;
    store = g_new0(emesh_store, 1);
    store->bus = bus;
    store->inst = inst;
    store->index = bus->stores->len;
    g_ptr_array_add(bus->stores, store);
    inst->bus = store;
    return store;
}

void
emesh_store_free(void *data)
{
    emesh_store *store = data;

    if (store->addresses != NULL)
        g_ptr_array_unref(store->addresses);
    emesh_bus_topic_unref(store->replies);
    g_free(store->ladder);
    g_free(store);
}

/* Stands in appends for where the store sends replies to other daemons: it has no handle. */
static emesh_bus_topic *
reply_topic(emesh_store *store)
{
    emesh_bus_topic *topic = g_new0(emesh_bus_topic, 1);

    topic->name = g_strdup("");
    topic->refs = 1;
    topic->store = store;
    topic->level = EMESH_LEVEL_MEMORY;
    topic->partitions = 1;
    return topic;
}

static void
take_address(emesh_bus *bus, emesh_store *store, const emesh_store_info *info)
{
    char *address = NULL;

    if (emesh_store_can(store, EMESH_STORE_CAN_REPLY) && info->reply_address.len > 0) {
        address = g_strndup(info->reply_address.ptr, info->reply_address.len);
        if (store->addresses == NULL)
            store->addresses = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(store->addresses, address);
        if (store->replies == NULL)
            __atomic_store_n(&store->replies, reply_topic(store), __ATOMIC_RELEASE);
        for (uint32_t i = 0; i < G_N_ELEMENTS(bus->routers) && bus->routers[i] != store; i++)
            if (bus->routers[i] == NULL) {
                __atomic_store_n(&bus->routers[i], store, __ATOMIC_RELEASE);
                break;
            }
    }
    __atomic_store_n(&store->reply_address, address, __ATOMIC_RELEASE);
}

emesh_bus_topic *
emesh_store_reply_end(emesh_store *store)
{
    __atomic_store_n(&store->reply_address, NULL, __ATOMIC_RELEASE);
    return __atomic_exchange_n(&store->replies, NULL, __ATOMIC_ACQ_REL);
}

void
emesh_bus_store_ready(emesh_bus *bus, emesh_inst *inst, const emesh_store_info *info)
{
    emesh_store *store = store_of(bus, inst);

    __atomic_store_n(&store->levels, info->levels, __ATOMIC_RELAXED);
    __atomic_store_n(&store->can, info->can & inst->component->claims, __ATOMIC_RELAXED);
    __atomic_store_n(&store->max_event_bytes,
                     info->max_event_bytes != 0 ? info->max_event_bytes : UINT64_MAX,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&store->window_bytes, info->window_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&store->window_events, info->window_events, __ATOMIC_RELAXED);
    store->max_level = EMESH_LEVEL_MEMORY;
    for (uint32_t level = EMESH_LEVEL_MEMORY; level <= EMESH_LEVEL_QUORUM; level++)
        if ((info->levels & 1u << level) != 0)
            store->max_level = level;
    store->ready = true;
    emesh_forget_look(bus->forget);
    take_address(bus, store, info);
    emesh_ladder_look(store);
}

typedef struct told { /* ready() on its way to main */
    emesh_job job;
    emesh_inst *inst;
    emesh_store_info info;
    char address[256]; /* of replies; the plugin's own is borrowed */
} told;

static void
told_run(emesh_job *job)
{
    told *t = (told *)job;

    emesh_bus_store_ready(t->inst->mesh, t->inst, &t->info);
    g_free(t);
}

void
emesh_store_told_ready(const emesh_host *host, const emesh_store_info *info)
{
    told *t = g_new0(told, 1);

    t->job.run = told_run;
    t->inst = emesh_inst_of(host);
    memcpy(&t->info, info, MIN(info->size, sizeof t->info));
    if (t->info.reply_address.ptr == NULL || t->info.reply_address.len > sizeof t->address)
        t->info.reply_address.len = 0;
    if (t->info.reply_address.len > 0)
        memcpy(t->address, t->info.reply_address.ptr, t->info.reply_address.len);
    t->info.reply_address.ptr = t->address;
    emesh_worker_post(t->inst->mesh->main, &t->job);
}

emesh_store *
emesh_bus_store(emesh_bus *bus, const char *name, GError **error)
{
    if (name == NULL && bus->stores->len == 1)
        return bus->stores->pdata[0];
    if (name == NULL) {
        g_set_error(error, EMESH_CONF_ERROR, 0,
                    bus->stores->len == 0
                        ? "no storage instance is running; enable one in conf.d"
                        : "several storage instances are running and the topic names none; set "
                          "\"store\" in its [topic] section");
        return NULL;
    }
    for (uint32_t i = 0; i < bus->stores->len; i++) {
        emesh_store *store = bus->stores->pdata[i];
        if (strcmp(store->inst->name, name) == 0)
            return store;
    }
    g_set_error(error, EMESH_CONF_ERROR, 0,
                "store \"%s\" is not a running storage instance of this daemon", name);
    return NULL;
}

typedef struct check {
    emesh_bus *bus;
    GString *wrong;
} check;

static void
check_line(check *c, const char *origin, const char *key, const char *why)
{
    if (c->wrong->len > 0)
        g_string_append_c(c->wrong, '\n');
    g_string_append_printf(c->wrong, "%s: %s: %s", origin, key, why);
}

static void
check_rule(void *ctx, bool is_group, const char *pattern, const emesh_topic_rule *topic,
           const emesh_group_rule *group)
{
    check *c = ctx;
    g_autoptr(GError) error = NULL;
    emesh_store *store;

    (void)pattern;
    if (is_group) {
        if (group->dead_letter_store != NULL &&
            emesh_bus_store(c->bus, group->dead_letter_store, &error) == NULL)
            check_line(c, group->origin, "dead-letter-store", error->message);
        return;
    }
    store = emesh_bus_store(c->bus, topic->store, &error);
    if (store == NULL) {
        check_line(c, topic->origin, "store", error->message);
    } else if (topic->level != EMESH_LEVEL_TOPIC && topic->level > store->max_level) {
        g_autofree char *why = g_strdup_printf(
            "the store \"%s\" cannot give \"%s\"; its highest is \"%s\"", store->inst->name,
            emesh_level_name(topic->level), emesh_level_name(store->max_level));
        check_line(c, topic->level_origin, "durability", why);
    }
}

bool
emesh_bus_check_rules(emesh_bus *bus, emesh_conf *conf, GError **error)
{
    g_autoptr(GString) wrong = g_string_new(NULL);
    check c = { bus, wrong };

    emesh_conf_each_rule(conf, check_rule, &c);
    if (wrong->len == 0)
        return true;
    g_set_error(error, EMESH_CONF_ERROR, 0, "%s", wrong->str);
    return false;
}
