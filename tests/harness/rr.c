/* SPDX-License-Identifier: Apache-2.0
 *
 * See rr.h. Results are heard on the client's lane and kept under a mutex.
 */
#include "harness/rr.h"
#include "bus/lane.h"
#include "event/event.h"

#include <pthread.h>
#include <string.h>

#define MOST 4096u
#define ASK UINT64_C(0x100000000)  /* cookies of requests: the test's own publishes have others */
#define REPLY UINT64_C(0x200000000)

typedef struct asked {
    char *id, *answer;
    int32_t code;
    uint32_t results;
    int64_t from_us, to_us;
} asked;

struct rr {
    mesh_client *c;
    pthread_mutex_t lock;
    asked all[MOST];
    uint32_t n, results, twice;
};

static char *
data_of(const emesh_event *event)
{
    const emesh_event_view *view = emesh_event_peek(event);
    GString *text = g_string_new(NULL);

    for (uint32_t i = 0; i < view->n_data; i++)
        g_string_append_len(text, view->data[i].ptr, (gssize)view->data[i].len);
    return g_string_free(text, FALSE);
}

static void
hear(void *ctx, const emesh_published *results, uint32_t n)
{
    rr *r = ctx;

    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < n; i++) {
        asked *a = &r->all[results[i].cookie % MOST];
        if ((results[i].cookie & ASK) == 0)
            continue;
        r->results++;
        r->twice += a->results++ > 0;
        a->code = results[i].code;
        a->to_us = g_get_monotonic_time();
        if (results[i].reply != NULL)
            a->answer = data_of(results[i].reply);
    }
    pthread_mutex_unlock(&r->lock);
}

rr *
rr_new(mesh_client *c)
{
    rr *r = g_new0(rr, 1);

    r->c = c;
    pthread_mutex_init(&r->lock, NULL);
    mesh_hear(c, hear, r);
    return r;
}

void
rr_free(rr *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        g_free(r->all[i].id);
        g_free(r->all[i].answer);
    }
    pthread_mutex_destroy(&r->lock);
    g_free(r);
}

typedef struct asking {
    rr *r;
    const char *topic, *id, *ttl;
    uint32_t wait_ms;
} asking;

static emesh_attr
text_of(const char *name, const char *value)
{
    return (emesh_attr){ .name = name, .name_len = (uint32_t)strlen(name), .value = value,
                         .value_len = (uint32_t)strlen(value) };
}

static void
ask_on_lane(void *ctx)
{
    asking *q = ctx;
    emesh_part data = { q->id, strlen(q->id), NULL };
    emesh_attr attrs[] = { text_of("id", q->id), text_of("source", "/rr"), text_of("type", "ask"),
                           text_of("ttl", q->ttl != NULL ? q->ttl : "") };
    emesh_event_view view = { .size = sizeof view, .attrs = attrs,
                              .n_attrs = q->ttl != NULL ? 4 : 3, .data = &data, .n_data = 1,
                              .data_len = data.len, .data_form = EMESH_DATA_TEXT };
    emesh_publish item = { .topic = { q->topic, strlen(q->topic) }, .what = EMESH_PUB_REQUEST };

    pthread_mutex_lock(&q->r->lock);
    g_assert_cmpuint(q->r->n, <, MOST);
    item.cookie = ASK | q->r->n;
    q->r->all[q->r->n++] = (asked){ .id = g_strdup(q->id), .code = 1,
                                    .from_us = g_get_monotonic_time() };
    pthread_mutex_unlock(&q->r->lock);
    if (q->wait_ms != 0)
        item.deadline_ns = emesh_worker_now(emesh_worker_current()) + q->wait_ms * 1000000ull;
    g_assert_cmpint(emesh_event_build(&view, NULL, &item.event, NULL), ==, EMESH_OK);
    g_assert_cmpint(emesh_client_service.publish(mesh_session(q->r->c), &item, 1), ==, 1);
    emesh_event_unref(item.event);
}

void
rr_ask(rr *r, const char *topic, const char *id, const char *ttl, uint32_t wait_ms)
{
    asking q = { r, topic, id, ttl, wait_ms };

    mesh_on_lane(mesh_of(r->c), mesh_client_lane(r->c), ask_on_lane, &q);
}

typedef struct waiting {
    rr *r;
    uint32_t n;
} waiting;

static bool
came(void *ctx)
{
    waiting *w = ctx;

    return rr_results(w->r) >= w->n;
}

void
rr_wait(rr *r, uint32_t n)
{
    waiting w = { r, n };

    mesh_wait(came, &w);
}

uint32_t
rr_results(rr *r)
{
    pthread_mutex_lock(&r->lock);
    uint32_t n = r->results;
    pthread_mutex_unlock(&r->lock);
    return n;
}

uint32_t
rr_twice(rr *r)
{
    pthread_mutex_lock(&r->lock);
    uint32_t n = r->twice;
    pthread_mutex_unlock(&r->lock);
    return n;
}

static asked
find(rr *r, const char *id)
{
    asked found = { .code = 1 };

    pthread_mutex_lock(&r->lock);
    for (uint32_t i = 0; i < r->n; i++)
        if (strcmp(r->all[i].id, id) == 0)
            found = r->all[i];
    pthread_mutex_unlock(&r->lock);
    return found;
}

int32_t
rr_code(rr *r, const char *id)
{
    return find(r, id).code;
}

char *
rr_answer(rr *r, const char *id)
{
    return g_strdup(find(r, id).answer);
}

double
rr_ms(rr *r, const char *id)
{
    asked a = find(r, id);

    return (double)(a.to_us - a.from_us) / 1000;
}

/* ---- answers ---- */

typedef struct replying {
    mesh_client *c;
    const emesh_event *base;
    uint64_t to;
    const char *correlation, *address, *data;
} replying;

static void
reply_on_lane(void *ctx)
{
    replying *p = ctx;
    emesh_part data = { p->data, strlen(p->data), NULL };
    emesh_attr attrs[5] = { text_of("id", "answer"), text_of("source", "/rr"),
                            text_of("type", "answer") };
    emesh_event_view view = { .size = sizeof view, .attrs = attrs, .n_attrs = 3, .data = &data,
                              .n_data = 1, .data_len = data.len, .data_form = EMESH_DATA_TEXT };
    emesh_publish item = { .topic = { "answers", 7 }, .what = EMESH_PUB_REPLY, .reply_to = p->to,
                           .cookie = REPLY };

    if (p->correlation != NULL)
        attrs[view.n_attrs++] = text_of("correlation99id", p->correlation);
    if (p->address != NULL)
        attrs[view.n_attrs++] = text_of("reply99to99client", p->address);
    g_assert_cmpint(emesh_event_build(&view, p->base, &item.event, NULL), ==, EMESH_OK);
    g_assert_cmpint(emesh_client_service.publish(mesh_session(p->c), &item, 1), ==, 1);
    emesh_event_unref(item.event);
}

static int32_t
reply(replying *p)
{
    uint32_t before = mesh_all_results(p->c);

    mesh_on_lane(mesh_of(p->c), mesh_client_lane(p->c), reply_on_lane, p);
    mesh_results(p->c, before + 1);
    return mesh_last_code(p->c);
}

int32_t
rr_reply(mesh_sub *s, uint32_t i, rr_kind kind, const char *data)
{
    replying p = { .c = mesh_sub_client(s), .data = data,
                   .base = kind != RR_FRESH ? mesh_event(s, i) : NULL,
                   .to = kind != RR_COPY ? mesh_delivery_id(s, i) : 0 };
    int32_t code = reply(&p);

    mesh_settle(s, i, EMESH_SETTLE_DONE, 0);
    return code;
}

void
rr_reply_all(mesh_sub *s, uint32_t n)
{
    g_autofree bool *answered = g_new0(bool, n);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t k, open;
        mesh_deliveries(s, MIN(i + 16, n)); /* these are there, whatever was answered */
        open = MIN(mesh_n_deliveries(s), n);
        do
            k = (uint32_t)g_test_rand_int_range(0, (int)open);
        while (answered[k]);
        answered[k] = true;
        g_assert_cmpint(rr_reply(s, k, k % 2 == 0 ? RR_COPY : RR_FRESH, mesh_delivered(s, k)), ==,
                        EMESH_OK);
    }
}

int32_t
rr_reply_to(mesh_client *c, const char *correlation, const char *address, const char *data)
{
    replying p = { .c = c, .correlation = correlation, .address = address, .data = data };

    return reply(&p);
}

typedef struct counting {
    const emesh_bus_lane *lane;
    size_t offset;
    uint64_t count;
    bool done;
} counting;

static void
count_on_lane(void *ctx)
{
    counting *c = ctx;

    if (c->done || !emesh_worker_is_current(c->lane->worker))
        return;
    c->count = *(const uint64_t *)(const void *)((const char *)&c->lane->counts + c->offset);
    c->done = true;
}

/* Counts are of their lane alone: each is asked there. */
uint64_t
rr_count(mesh *m, size_t offset)
{
    emesh_bus *bus = mesh_bus(m);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < bus->n_lanes; i++) {
        counting c = { .lane = bus->lanes[i], .offset = offset };
        for (uint32_t w = 0; w < bus->n_lanes && !c.done; w++)
            mesh_on_lane(m, w, count_on_lane, &c);
        sum += c.count;
    }
    return sum;
}

void
rr_wait_count(mesh *m, size_t offset, uint64_t least)
{
    for (uint32_t i = 0; rr_count(m, offset) < least; i++) {
        g_assert_cmpuint(i, <, 20000);
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_usleep(1000);
    }
}
