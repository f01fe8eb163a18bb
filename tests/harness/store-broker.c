/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-broker.h. One lock for all of it; records and replies come to their meshes from whatever
 * thread appends, which is what the service functions allow.
 */
#include "harness/store-broker.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 256u

typedef struct cursor cursor;

typedef struct topic {
    char name[256];
    const emesh_event **events;
    size_t n, room;
    cursor *cursors;
} topic;

typedef struct store store; /* one mesh's */

struct broker {
    pthread_mutex_t lock;
    topic *topics[MOST];
    uint32_t n_topics;
    store *stores[8];
    uint32_t n_stores;
    unsigned replies;
    int lose;
    const emesh_event_api *event;
};

struct cursor {
    store *of;
    topic *topic;
    cursor *next;
    emesh_reader *reader;
    size_t at;
    uint32_t epoch, wanted, begun;
};

struct store {
    broker *b;
    const emesh_host *host;
    const emesh_event_api *event;
    const emesh_store_api *api;
    char address[64];
};

broker *
broker_new(void)
{
    broker *b = calloc(1, sizeof *b);

    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void
broker_free(broker *b)
{
    for (uint32_t i = 0; i < b->n_topics; i++) {
        b->event->unref(b->topics[i]->events, (uint32_t)b->topics[i]->n);
        free(b->topics[i]->events);
        free(b->topics[i]);
    }
    pthread_mutex_destroy(&b->lock);
    free(b);
}

unsigned
broker_replies(broker *b)
{
    pthread_mutex_lock(&b->lock);
    unsigned n = b->replies;
    pthread_mutex_unlock(&b->lock);
    return n;
}

void
broker_lose_replies(broker *b, int lose)
{
    pthread_mutex_lock(&b->lock);
    b->lose = lose;
    pthread_mutex_unlock(&b->lock);
}

void
broker_options(broker *b, const char *address, char *out, size_t size)
{
    snprintf(out, size, "broker = %" PRIuPTR "\naddress = %s\n", (uintptr_t)b, address);
}

/* ---- life ---- */

static int32_t
store_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
             emesh_error *err)
{
    const emesh_config_api *config = host->service(host, EMESH_CONFIG_ID);
    emesh_value v = { .size = sizeof v };
    store *s = calloc(1, sizeof *s);

    (void)err;
    config->get(cfg, "broker", 0, &v);
    s->b = (broker *)(uintptr_t)v.i;
    config->get(cfg, "address", 0, &v);
    snprintf(s->address, sizeof s->address, "%.*s", (int)v.text.len, (const char *)v.text.ptr);
    s->host = host;
    s->event = host->service(host, EMESH_EVENT_ID);
    s->api = host->service(host, EMESH_STORE_ID);
    pthread_mutex_lock(&s->b->lock);
    s->b->event = s->event;
    s->b->stores[s->b->n_stores++] = s;
    pthread_mutex_unlock(&s->b->lock);
    *out = (emesh_instance *)s;
    return EMESH_OK;
}

static void
store_start(emesh_instance *self, emesh_op *op)
{
    store *s = (store *)self;
    emesh_store_info info = { .size = sizeof info,
                              .levels = 1u << EMESH_LEVEL_MEMORY,
                              .can = EMESH_STORE_CAN_REPLAY | EMESH_STORE_CAN_REPLY,
                              .max_event_bytes = 1u << 20,
                              .window_events = 1024,
                              .window_bytes = 1u << 24,
                              .reply_address = { s->address, strlen(s->address) } };

    s->api->ready(s->host, &info);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

static int32_t
store_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
             emesh_error *err)
{
    (void)loop, (void)index, (void)err;
    *out = (emesh_lane *)self;
    return EMESH_OK;
}

static void
store_destroy(emesh_instance *self)
{
    store *s = (store *)self;
    broker *b = s->b;

    pthread_mutex_lock(&b->lock);
    for (uint32_t i = 0; i < b->n_stores; i++)
        if (b->stores[i] == s)
            b->stores[i] = b->stores[--b->n_stores];
    pthread_mutex_unlock(&b->lock);
    free(s);
}

/* ---- topics; they outlive the meshes that open them ---- */

static topic *
topic_get(broker *b, emesh_slice name)
{
    for (uint32_t i = 0; i < b->n_topics; i++)
        if (strlen(b->topics[i]->name) == name.len &&
            memcmp(b->topics[i]->name, name.ptr, name.len) == 0)
            return b->topics[i];
    if (b->n_topics == MOST || name.len >= sizeof b->topics[0]->name)
        return NULL;
    topic *t = b->topics[b->n_topics++] = calloc(1, sizeof *t);
    memcpy(t->name, name.ptr, name.len);
    return t;
}

static void
store_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op)
{
    store *s = (store *)self;

    pthread_mutex_lock(&s->b->lock);
    topic *t = topic_get(s->b, spec->name);
    pthread_mutex_unlock(&s->b->lock);
    s->host->complete(s->host, op, t != NULL ? EMESH_OK : EMESH_E_INVALID, NULL, t);
}

static void
store_topic_close(emesh_instance *self, emesh_topic *closed)
{
    (void)self, (void)closed;
}

/* ---- appends ---- */

static void
feed(cursor *c)
{
    while (c->begun && c->wanted > 0 && c->at < c->topic->n) {
        emesh_record r = { .event = c->topic->events[c->at],
                           .position = { 0, c->at },
                           .epoch = c->epoch,
                           .attempt = 1 };
        c->wanted--;
        c->at++;
        c->of->api->records(c->reader, &r, 1);
    }
}

/* To the mesh whose address the reply bears. */
static void
route(store *from, const emesh_event *reply)
{
    broker *b = from->b;
    emesh_event_view view = { .size = sizeof view };

    b->replies++;
    from->event->view(reply, &view);
    for (uint32_t i = 0; i < view.n_attrs && !b->lose; i++) {
        const emesh_attr *a = &view.attrs[i];
        if (a->name_len != 17 || memcmp(a->name, "reply99to99client", 17) != 0)
            continue;
        for (uint32_t k = 0; k < b->n_stores; k++)
            if (strlen(b->stores[k]->address) == a->value_len &&
                memcmp(b->stores[k]->address, a->value, a->value_len) == 0)
                b->stores[k]->api->replied(b->stores[k]->host, &reply, 1);
    }
}

static void
append_one(store *s, const emesh_append *item)
{
    topic *t = (topic *)item->topic;
    emesh_appended r = { .cookie = item->cookie, .level = EMESH_LEVEL_MEMORY };

    pthread_mutex_lock(&s->b->lock);
    if ((item->flags & EMESH_APPEND_REPLY) != 0) {
        route(s, item->event);
        s->api->appended(s->host, &r, 1);
        pthread_mutex_unlock(&s->b->lock);
        return;
    }
    if (t->n == t->room) {
        t->room = t->room > 0 ? t->room * 2 : 64;
        t->events = realloc(t->events, t->room * sizeof *t->events);
    }
    r.position.lo = t->n;
    t->events[t->n++] = s->event->ref(item->event);
    s->api->appended(s->host, &r, 1);
    for (cursor *c = t->cursors; c != NULL; c = c->next)
        feed(c);
    pthread_mutex_unlock(&s->b->lock);
}

static void
store_append(emesh_lane *lane, const emesh_append *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        append_one((store *)lane, &items[i]);
}

/* ---- readers ---- */

static emesh_cursor *
store_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader)
{
    cursor *c = calloc(1, sizeof *c);

    c->of = (store *)lane;
    c->topic = (topic *)spec->topic;
    c->reader = reader;
    pthread_mutex_lock(&c->of->b->lock);
    c->next = c->topic->cursors;
    c->topic->cursors = c;
    c->of->api->partition(reader, EMESH_PARTITION_ASSIGNED, 0, "0", 1, NULL);
    pthread_mutex_unlock(&c->of->b->lock);
    return (emesh_cursor *)c;
}

static void
store_begin(emesh_cursor *of, uint32_t partition, uint32_t epoch, const emesh_start *start)
{
    cursor *c = (cursor *)of;

    (void)partition;
    pthread_mutex_lock(&c->of->b->lock);
    c->epoch = epoch;
    c->begun = 1;
    c->at = start->kind == EMESH_START_EARLIEST ? 0
            : start->kind == EMESH_START_AFTER  ? (size_t)start->position.lo + 1
                                                : c->topic->n;
    feed(c);
    pthread_mutex_unlock(&c->of->b->lock);
}

static void
store_want(emesh_cursor *of, uint32_t records, uint64_t bytes)
{
    cursor *c = (cursor *)of;

    (void)bytes;
    pthread_mutex_lock(&c->of->b->lock);
    c->wanted += records;
    feed(c);
    pthread_mutex_unlock(&c->of->b->lock);
}

static void
store_close(emesh_cursor *of, emesh_op *op)
{
    cursor *c = (cursor *)of, **at = &c->topic->cursors;
    store *s = c->of;

    pthread_mutex_lock(&s->b->lock);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pthread_mutex_unlock(&s->b->lock);
    free(c);
    s->host->complete(s->host, op, EMESH_OK, NULL, NULL);
}

/* ---- what it is ---- */

static const emesh_option options[] = {
    { .name = "broker", .type = EMESH_OPT_INT, .value = "0", .max = INT64_MAX,
      .help = "Where the broker is in memory." },
    { .name = "address", .type = EMESH_OPT_TEXT, .value = "here", .help = "Of replies." },
};
static const emesh_life_ops life = { .size = sizeof life,       .create = store_create,
                                     .start = store_start,      .attach = store_attach,
                                     .destroy = store_destroy };
static const emesh_storage_ops ops = {
    .size = sizeof ops,   .topic_open = store_topic_open, .topic_close = store_topic_close,
    .append = store_append, .open = store_open,           .begin = store_begin,
    .want = store_want,   .close = store_close,
};
static const emesh_need needs[] = { EMESH_NEED(EMESH_EVENT_ID, emesh_event_api, view),
                                    EMESH_NEED(EMESH_STORE_ID, emesh_store_api, replied),
                                    EMESH_NEED(EMESH_CONFIG_ID, emesh_config_api, get) };
static const emesh_component component = {
    .size = sizeof component, .option_size = sizeof(emesh_option), .kind = EMESH_STORAGE_KIND,
    .name = "storage-broker", .summary = "a broker in memory, for tests",
    .claims = EMESH_STORE_CAN_REPLAY | EMESH_STORE_CAN_REPLY,
    .life = &life,            .ops = &ops,
    .options = options,       .n_options = 2,
    .needs = needs,           .n_needs = 3,
    .lanes = EMESH_LANES_HOME,
};
static const emesh_component *const components[] = { &component };
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_plugin plugin = {
    .size = sizeof plugin, .abi_minor = EMESH_ABI_MINOR, .n_components = 1,
    .id = "eventmesh.storage-broker", .version = "1.0.0", .licence = "Apache-2.0",
    .vendor = "EventMesh", .summary = "for tests", .components = components, .layout = &layout,
};

const emesh_plugin *
broker_plugin(void)
{
    return &plugin;
}
