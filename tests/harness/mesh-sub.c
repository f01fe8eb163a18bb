/* SPDX-License-Identifier: Apache-2.0
 *
 * See mesh.h: subscriptions, and what tests see of their deliveries and settle.
 */
#include "harness/mesh-inside.h"
#include "bus/lane.h"
#include "delivery/adopt.h"
#include "event/event.h"

#include <string.h>

typedef struct subscribing {
    mesh_sub *s;
    const char *topic, *group, *push_to;
    uint32_t mode, window;
} subscribing;

static void
subscribe_on_lane(void *ctx)
{
    subscribing *p = ctx;
    emesh_subscribe spec = { .size = sizeof spec, .mode = p->mode,
                             .flags = strpbrk(p->topic, "*?") != NULL ? EMESH_SUB_PATTERN : 0,
                             .topic = { p->topic, strlen(p->topic) },
                             .group = { p->group, strlen(p->group) },
                             .window_events = p->window };

    if (p->push_to != NULL)
        spec.push_to = (emesh_slice){ p->push_to, strlen(p->push_to) };
    p->s->member = emesh_client_service.subscribe(p->s->c->session, &spec, p->s);
}

static bool
is_answered(void *ctx)
{
    mesh_sub *s = ctx;
    bool answered;

    pthread_mutex_lock(&s->c->lock);
    answered = s->answered;
    pthread_mutex_unlock(&s->c->lock);
    return answered;
}

static mesh_sub *
subscribe(mesh_client *c, subscribing *p)
{
    mesh_sub *s = g_new0(mesh_sub, 1);

    g_ptr_array_add(c->subs, s);
    s->c = c;
    s->seen = g_array_new(FALSE, FALSE, sizeof(seen));
    p->s = s;
    return s;
}

mesh_sub *
mesh_subscribe_begin(mesh_client *c, const char *topic, const char *group, uint32_t mode,
                     uint32_t window, bool ack)
{
    subscribing p = { .topic = topic, .group = group, .mode = mode, .window = window };
    mesh_sub *s = subscribe(c, &p);

    s->ack = ack;
    mesh_on_lane(c->m, c->lane, subscribe_on_lane, &p);
    return s;
}

typedef struct many {
    mesh_sub *s;
    const char *prefix, *group;
    uint32_t n, window;
} many;

static void
subscribe_many_on_lane(void *ctx)
{
    const many *p = ctx;

    for (uint32_t i = 0; i < p->n; i++) {
        g_autofree char *topic = g_strdup_printf("%s%u", p->prefix, i);
        emesh_subscribe spec = { .size = sizeof spec, .topic = { topic, strlen(topic) },
                                 .group = { p->group, strlen(p->group) },
                                 .window_events = p->window };
        emesh_client_service.subscribe(p->s->c->session, &spec, p->s);
    }
}

mesh_sub *
mesh_subscribe_many(mesh_client *c, const char *prefix, uint32_t n, const char *group,
                    uint32_t window)
{
    subscribing p = { .group = group };
    many all = { subscribe(c, &p), prefix, group, n, window };

    all.s->many = all.s->ack = true;
    mesh_on_lane(c->m, c->lane, subscribe_many_on_lane, &all);
    return all.s;
}

void
mesh_answers(mesh_sub *s, uint32_t n)
{
    mesh_await_count(s->c, &s->answers, n);
    g_assert_cmpint(mesh_sub_code(s), ==, EMESH_OK);
}

uint32_t
mesh_n_many(mesh_sub *s)
{
    return mesh_read(s->c, &s->delivered);
}

void
mesh_await_many(mesh_sub *s, uint32_t n)
{
    mesh_await_count(s->c, &s->delivered, n);
}

size_t
mesh_sub_bytes(void)
{
    return sizeof(mesh_sub) + 16 + 48 + sizeof(void *); /* its array of deliveries is empty */
}

void
mesh_subscribe_end(mesh_sub *s)
{
    mesh_wait(is_answered, s);
}

mesh_sub *
mesh_subscribe(mesh_client *c, const char *topic, const char *group, uint32_t mode,
               uint32_t window, bool ack)
{
    mesh_sub *s = mesh_subscribe_begin(c, topic, group, mode, window, ack);

    mesh_subscribe_end(s);
    return s;
}

mesh_sub *
mesh_subscribe_to(mesh_client *c, const char *topic, const char *group, uint32_t mode,
                  const char *url)
{
    subscribing p = { .topic = topic, .group = group, .mode = mode, .push_to = url };
    mesh_sub *s = subscribe(c, &p);

    mesh_on_lane(c->m, c->lane, subscribe_on_lane, &p);
    mesh_wait(is_answered, s);
    return s;
}

char *
mesh_sub_words(mesh_sub *s)
{
    char *words;

    pthread_mutex_lock(&s->c->lock);
    words = g_strdup(s->words);
    pthread_mutex_unlock(&s->c->lock);
    return words;
}

static bool
has_code(void *ctx)
{
    return mesh_sub_code(ctx) != EMESH_OK;
}

void
mesh_sub_ended(mesh_sub *s)
{
    mesh_wait(has_code, s);
}

int32_t
mesh_sub_code(mesh_sub *s)
{
    return (int32_t)mesh_read(s->c, (const uint32_t *)&s->code);
}

static void
unsubscribe_on_lane(void *ctx)
{
    emesh_client_service.unsubscribe(((mesh_sub *)ctx)->member, 0);
}

void
mesh_unsubscribe(mesh_sub *s)
{
    mesh_on_lane(s->c->m, s->c->lane, unsubscribe_on_lane, s);
}

typedef struct membering {
    mesh_client *c;
    uint32_t n;
} membering;

static void
members_on_lane(void *ctx)
{
    membering *m = ctx;

    m->n = m->c->session->n_members;
}

uint32_t
mesh_members(mesh_client *c)
{
    membering m = { .c = c };

    mesh_on_lane(c->m, c->lane, members_on_lane, &m);
    return m.n;
}

typedef struct windowing {
    mesh_sub *s;
    uint32_t window;
} windowing;

static void
window_on_lane(void *ctx)
{
    windowing *w = ctx;

    emesh_client_service.window(w->s->member, w->window, 0);
}

void
mesh_window(mesh_sub *s, uint32_t window)
{
    windowing w = { s, window };

    mesh_on_lane(s->c->m, s->c->lane, window_on_lane, &w);
}

void
mesh_deliveries(mesh_sub *s, uint32_t n)
{
    mesh_await_count(s->c, &s->seen->len, n);
}

uint32_t
mesh_n_deliveries(mesh_sub *s)
{
    return mesh_read(s->c, &s->seen->len);
}

static seen
seen_at(mesh_sub *s, uint32_t i)
{
    seen one;

    pthread_mutex_lock(&s->c->lock);
    g_assert_cmpuint(i, <, s->seen->len);
    one = g_array_index(s->seen, seen, i);
    pthread_mutex_unlock(&s->c->lock);
    return one;
}

const char *
mesh_delivered(mesh_sub *s, uint32_t i)
{
    return seen_at(s, i).event_id;
}

uint32_t
mesh_attempt(mesh_sub *s, uint32_t i)
{
    return seen_at(s, i).attempt;
}

uint32_t
mesh_most_at_once(mesh_sub *s)
{
    uint32_t most;

    pthread_mutex_lock(&s->c->lock);
    most = s->most;
    pthread_mutex_unlock(&s->c->lock);
    return most;
}

char *
mesh_attr(mesh_sub *s, uint32_t i, const char *name)
{
    const emesh_attr *attr = emesh_event_attr(seen_at(s, i).event, name, strlen(name));

    return attr != NULL ? g_strndup(attr->value, attr->value_len) : NULL;
}

int64_t
mesh_delivered_us(mesh_sub *s, uint32_t i)
{
    return seen_at(s, i).at_us;
}

typedef struct settling {
    mesh_client *c;
    emesh_settle item;
} settling;

static void
settle_on_lane(void *ctx)
{
    settling *p = ctx;

    emesh_client_service.settle(p->c->session, &p->item, 1);
}

uint64_t
mesh_delivery_id(mesh_sub *s, uint32_t i)
{
    return seen_at(s, i).id;
}

uint32_t
mesh_delivery_flags(mesh_sub *s, uint32_t i)
{
    return seen_at(s, i).flags;
}

const emesh_event *
mesh_event(mesh_sub *s, uint32_t i)
{
    return seen_at(s, i).event;
}

mesh_client *
mesh_sub_client(mesh_sub *s)
{
    return s->c;
}

uint32_t
mesh_client_lane(mesh_client *c)
{
    return c->lane;
}

mesh *
mesh_of(mesh_client *c)
{
    return c->m;
}

void
mesh_settle_id(mesh_client *c, uint64_t id, uint32_t outcome, uint32_t delay_ms)
{
    settling p = { c, { .id = id, .outcome = outcome, .delay_ms = delay_ms } };

    mesh_on_lane(c->m, c->lane, settle_on_lane, &p);
}

void
mesh_settle(mesh_sub *s, uint32_t i, uint32_t outcome, uint32_t delay_ms)
{
    mesh_settle_id(s->c, mesh_delivery_id(s, i), outcome, delay_ms);
}

void
mesh_settle_why(mesh_sub *s, uint32_t i, uint32_t outcome, const char *reason)
{
    settling p = { s->c, { .id = mesh_delivery_id(s, i), .outcome = outcome,
                           .reason = { reason, strlen(reason) } } };

    mesh_on_lane(s->c->m, s->c->lane, settle_on_lane, &p);
}

typedef struct settling_many {
    mesh_client *c;
    emesh_settle *items;
    uint32_t n;
} settling_many;

static void
settle_many_on_lane(void *ctx)
{
    settling_many *p = ctx;

    emesh_client_service.settle(p->c->session, p->items, p->n);
}

void
mesh_settle_many(mesh_sub *s, uint32_t from, uint32_t n, uint32_t outcome)
{
    g_autofree emesh_settle *items = g_new0(emesh_settle, n);
    settling_many p = { s->c, items, n };

    for (uint32_t i = 0; i < n; i++)
        items[i] = (emesh_settle){ .id = mesh_delivery_id(s, from + i), .outcome = outcome };
    mesh_on_lane(s->c->m, s->c->lane, settle_many_on_lane, &p);
}

typedef struct staling {
    mesh *m;
    uint32_t lane;
    uint64_t sum;
} staling;

static void
add_stale(void *ctx)
{
    staling *st = ctx;

    for (uint32_t i = 0; i < st->m->bus->n_lanes; i++)
        if (st->m->bus->lanes[i]->worker == st->m->workers[st->lane])
            st->sum += st->m->bus->lanes[i]->counts.stale_settles;
}

uint64_t
mesh_stale(mesh *m)
{
    staling st = { .m = m };

    for (; st.lane < m->n_workers; st.lane++)
        mesh_on_lane(m, st.lane, add_stale, &st);
    return st.sum;
}
