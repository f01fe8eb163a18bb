/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-host.h. Topics and events, appends of them on a lane, and what comes back.
 */
#include "harness/store-host-inside.h"
#include "admin.h"
#include "lane.h"

#include <stdio.h>
#include <string.h>

#define SOURCE "/store-host"

int32_t
store_host_topic_code(store_host *h, const emesh_topic_spec *spec, struct emesh_topic **out)
{
    store_op op = { .h = h };
    sa_topic_open((emesh_instance *)(void *)h->store, spec, (emesh_op *)(void *)&op);
    store_host_op_wait(&op);
    *out = op.code == EMESH_OK ? op.result : NULL;
    h->err = op.err;
    return op.code;
}

struct emesh_topic **
store_host_topics(store_host *h, const char *prefix, uint32_t n)
{
    struct emesh_topic **topics = g_new0(struct emesh_topic *, n);
    g_autofree store_op *op = g_new0(store_op, n);
    for (uint32_t i = 0; i < n; i++) {
        char name[64];
        int len = snprintf(name, sizeof name, "%s%u", prefix, i);
        emesh_topic_spec spec = { .size = sizeof spec, .name = { name, (size_t)len }, .create = 1,
                                  .level = EMESH_LEVEL_OS };
        op[i].h = h;
        sa_topic_open((emesh_instance *)(void *)h->store, &spec, (emesh_op *)(void *)&op[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        store_host_op_wait(&op[i]);
        g_assert_cmpint(op[i].code, ==, EMESH_OK);
        topics[i] = op[i].result;
    }
    return topics;
}

void
store_host_topics_close(struct emesh_topic **topics, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        sa_topic_close(NULL, topics[i]);
    g_free(topics);
}

struct emesh_topic *
store_host_topic(store_host *h, const char *name, uint32_t level, uint64_t age_ms, uint64_t bytes)
{
    struct emesh_topic *topic;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { name, strlen(name) }, .create = 1,
                              .level = level, .retention_ms = age_ms, .retention_bytes = bytes };
    g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
    return topic;
}

static void
fill_data(uint8_t *data, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(number * 31 + i * 7);
}

const emesh_event *
store_host_event(const char *prefix, uint64_t number, size_t size)
{
    char id[64];
    void *mem;
    const emesh_event *event = NULL;
    int len = snprintf(id, sizeof id, "%s%llu", prefix, (unsigned long long)number);
    emesh_attr attrs[] = { { "id", id, 2, (uint32_t)len, 0, 0 },
                           { "source", SOURCE, 6, sizeof SOURCE - 1, EMESH_ATTR_URI_REF, 0 },
                           { "type", "test", 4, 4, 0, 0 } };
    emesh_part part = { .len = size, .owner = emesh_buf_new(size > 0 ? size : 1, &mem) };
    fill_data(mem, size, number);
    part.ptr = mem;
    emesh_event_view view = { .size = sizeof view, .data_form = EMESH_DATA_BYTES, .attrs = attrs,
                              .data = &part, .data_len = size, .n_attrs = 3, .n_data = 1 };
    emesh_error err = { .size = sizeof err };
    if (emesh_event_build(&view, NULL, &event, &err) != EMESH_OK)
        g_error("event: %s", err.text);
    emesh_buf_unref(part.owner);
    return event;
}

bool
store_host_event_ok(const emesh_event *event, size_t size)
{
    const emesh_event_view *view = emesh_event_peek(event);
    const emesh_attr *id = emesh_event_attr(event, "id", 2);
    g_autofree uint8_t *want = g_malloc(size + 1);
    char text[64] = { 0 };
    memcpy(text, id->value, MIN(id->value_len, sizeof text - 1));
    const char *digits = text + strlen(text);
    while (digits > text && g_ascii_isdigit(digits[-1]))
        digits--;
    fill_data(want, size, g_ascii_strtoull(digits, NULL, 10));
    size_t at = 0;
    for (uint32_t i = 0; i < view->n_data; i++) {
        if (at + view->data[i].len > size || memcmp(want + at, view->data[i].ptr,
                                                    view->data[i].len) != 0)
            return false;
        at += view->data[i].len;
    }
    return at == size;
}

/* ---- results ---- */

void
store_host_note_results(const emesh_host *host, const emesh_appended *results, uint32_t n)
{
    store_host *h = (store_host *)(uintptr_t)host;
    pthread_mutex_lock(&h->lock);
    if (h->on_results != NULL)
        h->on_results(h->on_results_ctx, results, n);
    for (uint32_t i = 0; i < n; i++) {
        h->tally.failed += results[i].code != EMESH_OK;
        if (results[i].code != EMESH_OK)
            h->tally.last_code = results[i].code;
        h->tally.last_position = results[i].position;
    }
    h->tally.results += n;
    if (h->on_results == NULL) /* a benchmark looks itself */
        pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

typedef struct counting {
    store_host *h;
    uint64_t n;
} counting;

static bool
counted(void *ctx)
{
    const counting *c = ctx;
    return c->h->tally.results >= c->n;
}

static store_tally
tally_of(store_host *h)
{
    pthread_mutex_lock(&h->lock);
    store_tally tally = h->tally;
    pthread_mutex_unlock(&h->lock);
    return tally;
}

uint64_t
store_host_results(store_host *h, uint64_t at_least)
{
    counting c = { h, at_least };
    store_host_wait(h, counted, &c);
    return tally_of(h).results;
}

uint64_t
store_host_failed(store_host *h)
{
    return tally_of(h).failed;
}

int32_t
store_host_last_code(store_host *h)
{
    return tally_of(h).last_code;
}

emesh_position
store_host_last_position(store_host *h)
{
    return tally_of(h).last_position;
}

void
store_host_on_results(store_host *h,
                      void (*fn)(void *ctx, const emesh_appended *results, uint32_t n), void *ctx)
{
    pthread_mutex_lock(&h->lock);
    h->on_results = fn;
    h->on_results_ctx = ctx;
    pthread_mutex_unlock(&h->lock);
}

/* ---- appends ---- */

typedef struct appending {
    emesh_job job;
    store_host *h;
    uint32_t lane, n;
    emesh_append *items;
} appending;

static void
append_now(void *ctx)
{
    appending *a = ctx;
    sa_append(a->h->lanes[a->lane], a->items, a->n);
}

uint32_t
store_host_append_items(store_host *h, uint32_t lane, emesh_append *items, uint32_t n)
{
    appending a = { .h = h, .lane = lane, .n = n, .items = items };
    store_tally before = tally_of(h);
    store_host_on_lane(h, lane, append_now, &a);
    store_host_results(h, before.results + n);
    return n - (uint32_t)(store_host_failed(h) - before.failed);
}

static emesh_append
item_of(const emesh_event *event, struct emesh_topic *topic, uint32_t i, uint32_t level)
{
    return (emesh_append){ .event = event, .topic = topic, .cookie = i + 1, .level = level };
}

uint32_t
store_host_append_events(store_host *h, uint32_t lane, struct emesh_topic *topic,
                         const emesh_event *const *events, uint32_t n, uint32_t level)
{
    g_autofree emesh_append *items = g_new(emesh_append, n);
    for (uint32_t i = 0; i < n; i++)
        items[i] = item_of(events[i], topic, i, level);
    return store_host_append_items(h, lane, items, n);
}

static emesh_append *
make_items(struct emesh_topic *topic, const char *prefix, uint64_t first, uint32_t n, size_t size,
           uint32_t level)
{
    emesh_append *items = g_new(emesh_append, n);
    for (uint32_t i = 0; i < n; i++)
        items[i] = item_of(store_host_event(prefix, first + i, size), topic, i, level);
    return items;
}

static void
drop_items(emesh_append *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        emesh_event_unref(items[i].event);
    g_free(items);
}

uint32_t
store_host_append(store_host *h, uint32_t lane, struct emesh_topic *topic, const char *prefix,
                  uint64_t first, uint32_t n, size_t size, uint32_t level)
{
    emesh_append *items = make_items(topic, prefix, first, n, size, level);
    uint32_t good = store_host_append_items(h, lane, items, n);
    drop_items(items, n);
    return good;
}

static void
append_job(emesh_job *job)
{
    appending *a = (appending *)(void *)job;
    append_now(a);
    drop_items(a->items, a->n);
    g_free(a);
}

void
store_host_append_async(store_host *h, uint32_t lane, struct emesh_topic *topic,
                        const char *prefix, uint64_t first, uint32_t n, size_t size,
                        uint32_t level)
{
    appending *a = g_new0(appending, 1);
    *a = (appending){ .job.run = append_job, .h = h, .lane = lane, .n = n,
                      .items = make_items(topic, prefix, first, n, size, level) };
    emesh_worker_post(h->workers[lane], &a->job);
}
