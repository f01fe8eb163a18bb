/* SPDX-License-Identifier: Apache-2.0
 *
 * Main's register of topics: opening one in the store its rule names, deleting one, closing all.
 * A topic is pinned to its store at first use: a conf.d that moves it is refused.
 */
#include "bus/lane.h"
#include "bus/own-topic.h"
#include "bus/topic-main.h"
#include "bus/refresh.h"
#include "delivery/forget.h"
#include "delivery/patterns.h"
#include "delivery/delivery.h"

#include <string.h>

typedef struct opening { /* a topic on its way into the register */
    emesh_bus *bus;
    emesh_bus_topic *topic;
    emesh_config *options;
    GArray *waiters;         /* of waiter */
} opening;

typedef struct waiter {
    emesh_topic_opened done;
    void *ctx;
} waiter;

static void
opening_end(opening *o, emesh_bus_topic *topic, int32_t code, const char *why)
{
    emesh_bus_topic *own = o->topic;

    g_hash_table_remove(o->bus->opening, own->name);
    if (topic != NULL) {
        g_hash_table_insert(o->bus->topics, topic->name, emesh_bus_topic_ref(topic));
        emesh_patterns_appeared(o->bus, topic->name);
    }
    for (uint32_t i = 0; i < o->waiters->len; i++) {
        waiter w = g_array_index(o->waiters, waiter, i);
        w.done(w.ctx, topic, code, why);
    }
    emesh_bus_topic_unref(own);
    emesh_config_unref(o->options);
    g_array_unref(o->waiters);
    g_free(o);
}

static void
opening_done(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    opening *o = ctx;

    if (code != EMESH_OK) {
        opening_end(o, NULL, code,
                    err != NULL && err->text[0] != '\0' ? err->text
                                                        : "the store did not open the topic");
        return;
    }
    o->topic->handle = value;
    if (emesh_step_seconds(o->topic->name) != 0)
        emesh_ladder_start(o->topic->store);
    opening_end(o, o->topic, EMESH_OK, NULL);
}

static void
pin_seen(void *ctx, const emesh_pair *pair)
{
    GString *pinned = ctx;

    if (pinned->len == 0) /* the first key with this prefix is the shortest, the name itself */
        g_string_append_len(pinned, pair->value.ptr, (gssize)pair->value.len);
}

static void
pin_written(void *ctx, int32_t code, const emesh_error *err)
{
    if (code != EMESH_OK)
        emesh_bus_warn(ctx, "bus", "could not pin a topic to its store: %s",
                   err != NULL ? err->text : "unknown error");
}

/* Does the pin agree, or is it made now? Keys end in a NUL so that no name is another's prefix. */
static bool
pin(emesh_bus *bus, const char *name, const emesh_store *store, char **why)
{
    g_autoptr(GString) pinned = g_string_new(NULL);
    emesh_pair pair = { { name, strlen(name) + 1 },
                        { store->inst->name, strlen(store->inst->name) } };

    emesh_state_read(bus->state, "pin:", name, strlen(name) + 1, pin_seen, pinned);
    if (pinned->len == 0) {
        emesh_state_write(bus->state, bus->main, "pin:", &pair, 1, sizeof pair, pin_written, bus);
        return true;
    }
    if (strcmp(pinned->str, store->inst->name) == 0)
        return true;
    *why = g_strdup_printf("topic \"%s\" lives in store \"%s\" since its first use and cannot move "
                           "to \"%s\"; set its \"store\" back, or delete the topic first",
                           name, pinned->str, store->inst->name);
    return false;
}

/* Where a topic is that no rule places: it stays where it is, a new one goes home. Given, or NULL. */
static char *
former_home(emesh_bus *bus, const char *name, const char *home)
{
    g_autoptr(GString) pinned = g_string_new(NULL);

    emesh_state_read(bus->state, "pin:", name, strlen(name) + 1, pin_seen, pinned);
    return pinned->len > 0 ? g_strdup(pinned->str) : g_strdup(home);
}

#define DAY_MS (UINT64_C(86400) * 1000)

/* What the daemon's own topics are made with, unless a rule says else. The ladder is read through by
 * some daemon all the time; what waits there longer than a step and a week has none. */
static void
own_rule(const char *name, emesh_topic_rule *rule)
{
    if (emesh_is_closed_topic(name, strlen(name)))
        rule->partitions = 1; /* first in, first out */
    if (rule->retention_ms != 0 || strcmp(rule->origin, "default") != 0)
        return;
    if (emesh_is_letter_topic(name) || emesh_is_inbox_topic(name))
        rule->retention_ms = 14 * DAY_MS;
    else if (emesh_step_seconds(name) != 0)
        rule->retention_ms = 7 * DAY_MS + emesh_step_seconds(name) * UINT64_C(1000);
}

void
emesh_topic_rule_of(emesh_bus *bus, const char *name, emesh_topic_rule *rule)
{
    emesh_conf_topic(bus->conf, name, emesh_store_name_len(name), rule);
    own_rule(name, rule);
}

static emesh_store *
place(emesh_bus *bus, const char *name, const char *home, emesh_topic_rule *rule, int32_t *code,
      char **why)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *former = NULL;
    emesh_store *store;

    *code = EMESH_E_UNAVAILABLE;
    if (bus->closing) {
        *why = g_strdup("the daemon is stopping");
        return NULL;
    }
    emesh_topic_rule_of(bus, name, rule);
    if (home != NULL && emesh_is_closed_topic(name, strlen(name)))
        rule->store = home; /* it lies where the events lie */
    if (rule->store == NULL)
        former = former_home(bus, name, home);
    store = emesh_bus_store(bus, rule->store != NULL ? rule->store : former, &error);
    if (store == NULL) {
        *why = g_strdup(error->message);
        *code = EMESH_E_CONFIG;
        return NULL;
    }
    if (!store->ready) {
        *why = g_strdup_printf("store \"%s\" is away", store->inst->name);
        return NULL;
    }
    *code = EMESH_E_CONFIG;
    if (rule->level != EMESH_LEVEL_TOPIC && rule->level > store->max_level) {
        *why = g_strdup_printf("store \"%s\" cannot give the durability \"%s\" that %s asks for",
                               store->inst->name, emesh_level_name(rule->level), rule->origin);
        return NULL;
    }
    return pin(bus, name, store, why) ? store : NULL;
}

static void
open_in_store(opening *o, const emesh_topic_rule *rule)
{
    emesh_bus_topic *t = o->topic;
    emesh_inst *inst = t->store->inst;
    emesh_topic_spec spec = {
        .size = sizeof spec,
        .partitions = rule->partitions,
        .name = { t->name, t->store_len },
        .options = o->options,
        .retention_ms = rule->retention_ms,
        .retention_bytes = rule->retention_bytes,
        .create = 1,
        .level = t->level,
    };

    inst->storage.topic_open(inst->self, &spec,
                             emesh_op_new(inst, o->bus->main, NULL, opening_done, o));
}

emesh_bus_topic *
emesh_bus_topic_new(const char *name, uint32_t len, emesh_store *store,
                    const emesh_topic_rule *rule)
{
    emesh_bus_topic *topic = g_new0(emesh_bus_topic, 1);

    topic->refs = 1;
    topic->name = g_strndup(name, len);
    topic->name_len = len;
    topic->store_len = (uint32_t)emesh_store_name_len(topic->name);
    topic->store = store;
    topic->level = rule->level != EMESH_LEVEL_TOPIC ? rule->level : store->max_level;
    topic->partitions = MAX(1u, rule->partitions);
    topic->max_event = rule->max_event;
    topic->retention_ms = rule->retention_ms;
    topic->retention_bytes = rule->retention_bytes;
    topic->foreign_letters = rule->foreign_dead_letter != 0;
    topic->closed = emesh_is_closed_topic(topic->name, len);
    return topic;
}

void
emesh_topic_open_main(emesh_bus *bus, const char *name, size_t len, const char *home,
                      emesh_topic_opened done, void *ctx)
{
    g_autofree char *text = g_strndup(name, len);
    emesh_bus_topic *topic = g_hash_table_lookup(bus->topics, text);
    opening *o = g_hash_table_lookup(bus->opening, text);
    waiter w = { done, ctx };
    g_autofree char *why = NULL;
    g_autoptr(GError) error = NULL;
    emesh_topic_rule rule;
    emesh_store *store;
    int32_t code;

    if (topic != NULL && topic->gone) {
        done(ctx, NULL, EMESH_E_BUSY, "the topic is being deleted");
        return;
    }
    if (topic != NULL) {
        done(ctx, topic, EMESH_OK, NULL);
        return;
    }
    if (o != NULL) {
        g_array_append_val(o->waiters, w);
        return;
    }
    store = place(bus, text, home, &rule, &code, &why);
    if (store == NULL) {
        done(ctx, NULL, code, why);
        return;
    }
    o = g_new0(opening, 1);
    o->bus = bus;
    o->waiters = g_array_new(FALSE, FALSE, sizeof(waiter));
    g_array_append_val(o->waiters, w);
    topic = o->topic = emesh_bus_topic_new(text, (uint32_t)len, store, &rule);
    g_hash_table_insert(bus->opening, topic->name, o);
    o->options = emesh_conf_topic_options(bus->conf, name, topic->store_len, store->inst->name,
                                          store->inst->storage.topic_options,
                                          store->inst->storage.n_topic_options,
                                          store->inst->component->option_size, &error);
    if (o->options == NULL) {
        opening_end(o, NULL, EMESH_E_CONFIG, error->message);
        return;
    }
    open_in_store(o, &rule);
}

/* ---- a topic goes ---- */

#define APPENDS_AWAITED_NS (5u * 1000000000ull)

typedef enum emesh_ending {
    ENDING_DELETE, /* the topic */
    ENDING_PAUSE,  /* its store goes for a while */
    ENDING_STOP,   /* the daemon */
} emesh_ending;

typedef struct closing {
    emesh_bus *bus;
    emesh_bus_topic *topic;
    emesh_ending how;
    uint32_t lanes_left;
    emesh_alarm poll; /* appends under way at the store: there is no event for the last of them */
    uint64_t until;   /* so long they are waited for */
    bool unanswered;  /* and longer not: the store has until its stop to hand them over */
    void (*done)(void *ctx, int32_t code, const char *why);
    void *ctx;
} closing;

static void
closing_end(closing *c, int32_t code, const char *why)
{
    emesh_bus_topic *topic = c->topic;

    if (code == EMESH_OK) {
        if (c->unanswered)
            g_ptr_array_add(c->bus->unanswered, emesh_bus_topic_ref(topic));
        else if (topic->handle != NULL) /* else it stands for replies */
            topic->store->inst->storage.topic_close(topic->store->inst->self, topic->handle);
        if (g_hash_table_remove(c->bus->topics, topic->name))
            emesh_bus_topic_unref(topic);
    } else {
        topic->gone = false; /* still there: usable again, lanes ask for it anew */
    }
    c->done(c->ctx, code, why);
    emesh_bus_topic_unref(topic);
    g_free(c);
}

static void
deleted(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    (void)value;
    closing_end(ctx, code, err != NULL ? err->text : NULL);
}

/* A store that never answers an append must not keep the daemon from stopping. */
static void
closing_waited(closing *c, uint32_t under_way)
{
    emesh_bus_warn(c->bus, "bus", "store \"%s\" has not answered %u appends to topic \"%s\"",
                   c->topic->store->inst->name, under_way, c->topic->name);
    if (c->how == ENDING_DELETE) {
        closing_end(c, EMESH_E_BUSY, "its store has not answered all appends yet");
        return;
    }
    c->unanswered = true;
    closing_end(c, EMESH_OK, NULL);
}

static void
closing_step(emesh_alarm *alarm)
{
    closing *c = (closing *)((char *)alarm - offsetof(closing, poll));
    emesh_inst *inst = c->topic->store->inst;
    emesh_admin what = { .size = sizeof what, .what = EMESH_CHANGE_DELETE,
                         .topic = { c->topic->name, c->topic->store_len } };

    uint32_t under_way = __atomic_load_n(&c->topic->under_way, __ATOMIC_ACQUIRE);
    uint64_t now = emesh_worker_now(c->bus->main);

    if (under_way > 0 && now >= c->until) {
        closing_waited(c, under_way);
        return;
    }
    if (under_way > 0) {
        emesh_worker_alarm(c->bus->main, &c->poll, now + 5000000u);
        return;
    }
    if (c->how != ENDING_DELETE) {
        closing_end(c, EMESH_OK, NULL);
        return;
    }
    if (inst->storage.admin == NULL) {
        closing_end(c, EMESH_E_UNSUPPORTED, "this store cannot delete topics");
        return;
    }
    inst->storage.admin(inst->self, &what, emesh_op_new(inst, c->bus->main, NULL, deleted, c));
}

static void
lane_forgot(void *ctx)
{
    closing *c = ctx;

    if (--c->lanes_left == 0)
        closing_step(&c->poll);
}

static void
topic_close(emesh_bus *bus, emesh_bus_topic *topic, emesh_ending how,
            void (*done)(void *ctx, int32_t code, const char *why), void *ctx)
{
    closing *c = g_new0(closing, 1);

    topic->gone = true;
    c->bus = bus;
    c->topic = emesh_bus_topic_ref(topic);
    c->how = how;
    c->done = done;
    c->ctx = ctx;
    c->poll.due = closing_step;
    c->until = emesh_worker_now(bus->main) + APPENDS_AWAITED_NS;
    c->lanes_left = __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0, n = c->lanes_left; i < n; i++)
        emesh_topic_forget(bus->lanes[i], topic, how == ENDING_PAUSE, lane_forgot, c);
}

static void
unpin(emesh_bus *bus, const char *name)
{
    emesh_pair pair = { { name, strlen(name) + 1 }, { NULL, 0 } };

    emesh_state_write(bus->state, bus->main, "pin:", &pair, 1, sizeof pair, pin_written, bus);
}

typedef struct deleting {
    emesh_bus *bus;
    char *name;
    void (*done)(void *ctx, int32_t code, const char *why);
    void *ctx;
} deleting;

static void
delete_closed(void *ctx, int32_t code, const char *why)
{
    deleting *d = ctx;

    if (code == EMESH_OK)
        unpin(d->bus, d->name);
    d->done(d->ctx, code, why);
    g_free(d->name);
    g_free(d);
}

static void
delete_opened(void *ctx, emesh_bus_topic *topic, int32_t code, const char *why)
{
    deleting *d = ctx;

    if (topic == NULL)
        delete_closed(d, code, why);
    else
        topic_close(d->bus, topic, ENDING_DELETE, delete_closed, d);
}

void
emesh_topic_delete_main(emesh_bus *bus, const char *name, size_t len,
                        void (*done)(void *ctx, int32_t code, const char *why), void *ctx)
{
    deleting *d = g_new0(deleting, 1);

    d->bus = bus;
    d->name = g_strndup(name, len);
    d->done = done;
    d->ctx = ctx;
    emesh_topic_open_main(bus, name, len, NULL, delete_opened, d);
}

/* ---- the end ---- */

typedef struct closing_all {
    emesh_bus *bus;
    const emesh_store *store;
    uint32_t left;
    void (*done)(void *ctx);
    void *ctx;
} closing_all;

static void
one_closed(void *ctx, int32_t code, const char *why)
{
    closing_all *all = ctx;

    (void)code, (void)why;
    if (--all->left > 0)
        return;
    emesh_retired_close(all->bus, all->store);
    all->done(all->ctx);
    g_free(all);
}

/* All topics, or those of one store. */
static void
close_topics(emesh_bus *bus, const emesh_store *store, void (*done)(void *ctx), void *ctx)
{
    closing_all *all = g_new0(closing_all, 1);
    GHashTableIter iter;
    void *value;

    all->bus = bus;
    all->store = store;
    all->left = 1;
    all->done = done;
    all->ctx = ctx;
    g_hash_table_iter_init(&iter, bus->topics); /* closing answers later, never inside */
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        emesh_bus_topic *topic = value;
        if (topic->gone || (store != NULL && topic->store != store))
            continue;
        all->left++;
        topic_close(bus, topic, store != NULL ? ENDING_PAUSE : ENDING_STOP, one_closed, all);
    }
    for (uint32_t i = 0; i < bus->stores->len; i++) {
        emesh_store *one = bus->stores->pdata[i];
        emesh_bus_topic *replies = NULL;
        if (store == NULL || store == one)
            replies = emesh_store_reply_end(one);
        if (replies == NULL)
            continue;
        all->left++;
        topic_close(bus, replies, ENDING_PAUSE, one_closed, all);
        emesh_bus_topic_unref(replies);
    }
    one_closed(all, EMESH_OK, NULL);
}

bool
emesh_topic_pinned(emesh_bus *bus, const char *name, const char *store)
{
    g_autofree char *home = former_home(bus, name, NULL);

    return g_strcmp0(home, store) == 0;
}

void
emesh_bus_close(emesh_bus *bus, void (*done)(void *ctx), void *ctx)
{
    bus->closing = true;
    emesh_forget_stop(bus->forget);
    for (uint32_t i = 0; i < bus->stores->len; i++)
        emesh_ladder_stop(bus->stores->pdata[i]);
    close_topics(bus, NULL, done, ctx);
}

typedef struct store_going {
    emesh_bus *bus;
    emesh_job *done;
} store_going;

static void
store_gone(void *ctx)
{
    store_going *going = ctx;

    emesh_worker_post(going->bus->main, going->done);
    g_free(going);
}

void
emesh_bus_store_going(emesh_bus *bus, emesh_inst *inst, emesh_job *done)
{
    store_going *going = g_new0(store_going, 1);
    emesh_store *store = inst->bus;

    *going = (store_going){ bus, done };
    if (store == NULL) { /* it never became ready */
        store_gone(going);
        return;
    }
    store->ready = false;
    close_topics(bus, store, store_gone, going);
}
