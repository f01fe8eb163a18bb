/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /eventmesh/poll and POST /eventmesh/ack, for clients that cannot be called back: events of a
 * group are leased for a while, and come again unless they are acknowledged in time. A (group,
 * topic) lives on the lane of the group's name; requests are carried there and back.
 */
#include "poll.h"
#include "api.h"
#include "json.h"
#include "push.h"
#include <string.h>

#define UNUSED_NS (300 * HTTP_SECOND)
#define BYTES_MAX (4u << 20) /* of one answer */

typedef struct fetch fetch;

typedef struct poller { /* [lane] of the group; one for each (group, topic) */
    http_actor actor;   /* first */
    http_member base;
    http_lane *lane;
    emesh_session *mesh;
    emesh_member *member;
    char *group, *topic, *key;
    uint32_t life;      /* part of tokens: those of an earlier one mean nothing */
    GHashTable *leases; /* delivery id → until when, both in memory of their own */
    GQueue waiting;     /* fetch */
    uint64_t used_ns;
    bool ready;
} poller;

struct fetch {             /* a request for events, or one about leased ones */
    emesh_task task;       /* first */
    http_request *request; /* of the lane `from` alone */
    http_lane *from, *to;
    char *group, *topic;
    uint32_t max, n;
    uint64_t until_ns;
    GString *out;  /* what is answered, as far as it is there */
    GArray *ids;   /* uint64_t: leased by it, or acknowledged with it */
    GArray *again; /* uint64_t: to be brought again */
    uint32_t life;
    uint32_t outcome; /* for again */
    bool settles;
    int32_t code;
    char *why;
};

static void
fetch_free(fetch *f)
{
    if (f->request != NULL)
        http_request_unref(f->request);
    if (f->out != NULL)
        g_string_free(f->out, TRUE);
    g_array_unref(f->ids);
    g_array_unref(f->again);
    g_free(f->group);
    g_free(f->topic);
    g_free(f->why);
    g_free(f);
}

static fetch *
fetch_new(http_request *r, const char *group, const char *topic)
{
    fetch *f = g_new0(fetch, 1);
    f->request = http_request_ref(r);
    f->from = r->lane;
    f->to = http_push_lane(r->lane->http, group);
    f->group = g_strdup(group);
    f->topic = g_strdup(topic);
    f->ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    f->again = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    return f;
}

/* ---- back, on the lane of the request ---- */

static void arrived(emesh_task *task, int32_t code);

/* Nobody hears it any more: what it leased goes to others, and no attempt is counted. */
static void
give_back(fetch *f)
{
    f->settles = true;
    f->outcome = EMESH_SETTLE_RETURN;
    g_array_set_size(f->again, 0);
    g_array_append_vals(f->again, f->ids->data, f->ids->len);
    g_array_set_size(f->ids, 0);
    http_request_unref(g_steal_pointer(&f->request));
    f->task.run = arrived;
    f->from->http->loop->post(f->to->loop, &f->task);
}

static void
returned(emesh_task *task, int32_t code)
{
    fetch *f = (fetch *)task;
    http_request *r = f->request;

    if (code != EMESH_OK) { /* that lane is gone */
        f->request = NULL;
        fetch_free(f);
        return;
    }
    if (f->ids->len > 0 && !f->settles && (r->gone || http_conn_gone(r->conn))) {
        give_back(f);
        return;
    }
    if (f->code != EMESH_OK) {
        http_refuse(r, emesh_http_status(f->code), NULL, "%s", f->why);
    } else {
        size_t len = f->out->len;
        char *text = g_string_free(g_steal_pointer(&f->out), FALSE);
        http_answer(r, 200, "application/json", text, len);
    }
    fetch_free(f);
}

static void
send_back(fetch *f)
{
    if (f->request == NULL) { /* it was given back */
        fetch_free(f);
        return;
    }
    f->task.run = returned;
    f->to->http->loop->post(f->from->loop, &f->task);
}

static void
fail(fetch *f, int32_t code, const char *why)
{
    f->code = code;
    g_free(f->why);
    f->why = g_strdup(why);
    send_back(f);
}

/* ---- pollers ---- */

static gboolean
is_over(gpointer id, gpointer until, gpointer now)
{
    (void)id;
    return *(uint64_t *)until <= *(uint64_t *)now;
}

/* What is leased, and what is waited for: never more, for what comes unasked goes back at once. */
static void
set_window(poller *p)
{
    uint64_t now = http_now(p->lane), want;

    g_hash_table_foreach_remove(p->leases, is_over, &now);
    want = g_hash_table_size(p->leases);

    for (GList *l = p->waiting.head; l != NULL; l = l->next)
        want += ((fetch *)l->data)->max;
    if (p->member != NULL && p->ready)
        p->lane->http->client->window(p->member, (uint32_t)MIN(want, UINT32_MAX), 0);
}

static void
poller_free(poller *p, int32_t code, const char *why)
{
    g_hash_table_remove(p->lane->pollers, p->key);
    if (p->mesh != NULL)
        p->lane->http->client->close(p->mesh, EMESH_LEFT_ORDERLY);
    while (p->waiting.head != NULL)
        fail(g_queue_pop_head(&p->waiting), code, why);
    g_hash_table_unref(p->leases);
    g_free(p->group);
    g_free(p->topic);
    g_free(p->key);
    g_free(p);
}

static void
settle(poller *p, uint64_t id, uint32_t outcome)
{
    emesh_settle s = { .id = id, .outcome = outcome };
    p->lane->http->client->settle(p->mesh, &s, 1);
}

static void
finish_fetch(poller *p, fetch *f)
{
    g_queue_remove(&p->waiting, f);
    g_string_append(f->out, "]}");
    send_back(f);
}

/* false: it does not fit into this answer, or cannot be written. */
static bool
add_event(poller *p, fetch *f, const emesh_delivery *d)
{
    const http_instance *http = p->lane->http;
    emesh_part json = { NULL, 0, NULL };
    uint64_t until;

    if (http->event->encode(http->host, EMESH_FORM_JSON, &d->event, 1, &json) != EMESH_OK)
        return false;
    g_string_append_printf(f->out,
                           "%s{\"token\":\"%08x-%" G_GINT64_MODIFIER "x\",\"attempt\":%u,"
                           "\"event\":",
                           f->n > 0 ? "," : "", p->life, d->id, d->attempt);
    g_string_append_len(f->out, json.ptr, (gssize)json.len);
    g_string_append_c(f->out, '}');
    http->event->buf_unref(json.owner);
    g_array_append_val(f->ids, d->id);
    f->n++;
    until = http_now(p->lane) + http->options.poll_lease_ns;
    g_hash_table_replace(p->leases, g_memdup2(&d->id, sizeof d->id),
                         g_memdup2(&until, sizeof until));
    return true;
}

static void
on_deliver(http_member *member, const emesh_delivery *items, uint32_t n)
{
    poller *p = (poller *)((char *)member - offsetof(poller, base));

    for (uint32_t i = 0; i < n; i++) {
        fetch *f = p->waiting.head != NULL ? p->waiting.head->data : NULL;
        if (f == NULL)
            settle(p, items[i].id, EMESH_SETTLE_RETURN);
        else if (!add_event(p, f, &items[i]))
            settle(p, items[i].id, EMESH_SETTLE_UNFIT);
        else if (f->n == f->max || f->out->len > BYTES_MAX)
            finish_fetch(p, f);
    }
    fetch *begun = p->waiting.head != NULL ? p->waiting.head->data : NULL;
    if (begun != NULL && begun->n > 0) /* what is there goes at once */
        finish_fetch(p, begun);
    set_window(p);
}

static void
on_subscribed(http_member *member, int32_t code, const emesh_error *err)
{
    poller *p = (poller *)((char *)member - offsetof(poller, base));

    if (code != EMESH_OK) {
        poller_free(p, code, http_why(err, "the topic is refused"));
        return;
    }
    p->ready = true;
    set_window(p);
}

static const http_actor_ops member_ops = { .subscribed = on_subscribed, .deliver = on_deliver };

static void
on_opened(http_actor *actor, int32_t code, const emesh_error *err)
{
    poller *p = (poller *)actor;
    emesh_subscribe spec = { .size = sizeof spec,
                             .mode = EMESH_SUB_SHARED,
                             .topic = { p->topic, strlen(p->topic) },
                             .group = { p->group, strlen(p->group) },
                             .ack_timeout_ns = p->lane->http->options.poll_lease_ns };
    if (code != EMESH_OK) {
        poller_free(p, code, http_why(err, "the session is refused"));
        return;
    }
    p->member = p->lane->http->client->subscribe(p->mesh, &spec, &p->base);
    if (p->member == NULL)
        poller_free(p, EMESH_E_NO_MEMORY, "out of memory");
}

static void
on_ask(http_actor *actor)
{
    poller_free((poller *)actor, EMESH_E_UNAVAILABLE, "the session was closed by an administrator");
}

static const http_actor_ops actor_ops = { .opened = on_opened, .ask = on_ask };

static char *
key_of(const char *group, const char *topic)
{
    return g_strdup_printf("%s %s", group, topic); /* names have no spaces */
}

static void
label(emesh_attr *to, const char *name, const char *value)
{
    *to = (emesh_attr){ .name = name,
                        .name_len = (uint32_t)strlen(name),
                        .value = value,
                        .value_len = (uint32_t)strlen(value) };
}

static poller *
poller_new(http_lane *lane, const fetch *f)
{
    poller *p = g_new0(poller, 1);
    emesh_attr labels[3];
    emesh_who who = { .size = sizeof who, .labels = labels, .n_labels = 3 };

    label(&labels[0], "protocol", "http");
    label(&labels[1], "group", f->group);
    label(&labels[2], "purpose", "poll");
    *p = (poller){ .actor = { &actor_ops }, .base = { &member_ops }, .lane = lane };
    p->group = g_strdup(f->group);
    p->topic = g_strdup(f->topic);
    p->key = key_of(f->group, f->topic);
    p->life = g_random_int();
    p->leases = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    g_queue_init(&p->waiting);
    g_hash_table_insert(lane->pollers, p->key, p);
    p->mesh = lane->http->client->open(lane->loop, &who, p);
    if (p->mesh != NULL)
        return p;
    poller_free(p, EMESH_E_NO_MEMORY, "out of memory");
    return NULL;
}

/* ---- there, on the lane of the group ---- */

/* How many of them were still leased. */
static uint32_t
settle_all(poller *p, const GArray *ids, uint32_t outcome)
{
    uint32_t n = 0;

    for (guint i = 0; i < ids->len; i++) {
        uint64_t id = g_array_index(ids, uint64_t, i);
        if (!g_hash_table_remove(p->leases, &id))
            continue;
        settle(p, id, outcome);
        n++;
    }
    return n;
}

static void
acknowledge(poller *p, fetch *f)
{
    uint32_t n = 0;

    if (p != NULL)
        set_window(p); /* leases that are over are no more */
    if (p != NULL && (f->life == p->life || f->request == NULL)) {
        n = settle_all(p, f->ids, EMESH_SETTLE_DONE);
        n += settle_all(p, f->again, f->outcome);
        set_window(p);
    }
    if (f->out == NULL)
        f->out = g_string_new(NULL);
    g_string_printf(f->out, "{\"retCode\":0,\"retMsg\":\"success\",\"settled\":%u}", n);
    send_back(f);
}

static void
arrived(emesh_task *task, int32_t code)
{
    fetch *f = (fetch *)task;
    http_lane *lane = f->to;
    poller *p = NULL;

    if (code != EMESH_OK) {
        f->request = NULL; /* its lane goes as well */
        fetch_free(f);
        return;
    }
    if (lane->pollers != NULL) {
        g_autofree char *key = key_of(f->group, f->topic);
        p = g_hash_table_lookup(lane->pollers, key);
    }
    if (f->settles) {
        acknowledge(p, f);
        return;
    }
    if (lane->is_draining || lane->pollers == NULL) {
        fail(f, EMESH_E_UNAVAILABLE, "the server is stopping");
        return;
    }
    if (p == NULL && (p = poller_new(lane, f)) == NULL) {
        fail(f, EMESH_E_NO_MEMORY, "out of memory");
        return;
    }
    p->used_ns = http_now(lane);
    f->out = g_string_new("{\"retCode\":0,\"events\":[");
    f->until_ns += p->used_ns;
    g_queue_push_tail(&p->waiting, f);
    set_window(p);
}

void
http_polls_sweep(http_lane *lane, uint64_t now)
{
    g_autoptr(GList) all = g_hash_table_get_values(lane->pollers);

    for (GList *l = all; l != NULL; l = l->next) {
        poller *p = l->data;
        for (GList *w = p->waiting.head, *next; w != NULL; w = next) {
            fetch *f = w->data;
            next = w->next;
            if (now >= f->until_ns || lane->is_draining)
                finish_fetch(p, f);
        }
        set_window(p);
        if (p->waiting.length == 0 && (now - p->used_ns >= UNUSED_NS || lane->is_draining))
            poller_free(p, EMESH_OK, NULL);
    }
}

void
http_polls_free(http_lane *lane)
{
    g_autoptr(GList) all = g_hash_table_get_values(lane->pollers);

    for (GList *l = all; l != NULL; l = l->next)
        poller_free(l->data, EMESH_E_UNAVAILABLE, "the server is stopping");
    g_clear_pointer(&lane->pollers, g_hash_table_unref);
}

/* ---- requests ---- */

static uint32_t
number(const char *text, uint32_t otherwise, uint32_t most)
{
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return otherwise;
    return (uint32_t)MIN(g_ascii_strtoull(text, NULL, 10), most);
}

static void
start(fetch *f)
{
    if (f->to == NULL || f->from->is_draining) {
        http_refuse(f->request, 503, NULL, "the server is stopping");
        fetch_free(f);
        return;
    }
    http_request_wait(f->request);
    f->task.run = arrived;
    f->from->http->loop->post(f->to->loop, &f->task);
}

void
http_uri_poll(http_request *r, const char *rest)
{
    const char *group = http_request_param(r, "group"), *topic = http_request_param(r, "topic");
    fetch *f;
    (void)rest;

    r->face = HTTP_FACE_PLAIN;
    if (group == NULL || topic == NULL || *group == '\0' || *topic == '\0') {
        http_refuse(r, 400, group == NULL || *group == '\0' ? "group" : "topic",
                    "poll needs ?group=GROUP&topic=TOPIC");
        return;
    }
    f = fetch_new(r, group, topic);
    f->max = MAX(1, number(http_request_param(r, "max"), 16, 256));
    f->until_ns = number(http_request_param(r, "wait"), 20, 60) * HTTP_SECOND;
    start(f);
}

/* Tokens of one life; others are left out, they mean nothing any more. */
static void
take_tokens(fetch *f, GArray *to, const http_value *list)
{
    http_json j;
    http_value value;
    bool first = true;

    http_json_begin(&j, list->ptr, list->len);
    if (!http_json_open(&j, '['))
        return;
    for (; http_json_item(&j, first) && http_json_value(&j, &value); first = false) {
        g_autofree char *text = http_json_text(&value);
        char *end = NULL;
        if (text == NULL || strlen(text) < 10 || text[8] != '-')
            continue;
        uint32_t life = (uint32_t)g_ascii_strtoull(text, &end, 16);
        uint64_t id = g_ascii_strtoull(text + 9, NULL, 16);
        if (end != text + 8 || (f->life != 0 && f->life != life))
            continue;
        f->life = life;
        g_array_append_val(to, id);
    }
}

void
http_uri_ack(http_request *r, const char *rest)
{
    g_autofree char *text = g_strndup((const char *)r->body->data, r->body->len);
    g_autofree char *group = NULL;
    g_autofree char *topic = NULL;
    http_value ack = { NULL, 0, HTTP_JSON_BAD, false }, again = ack, key, value;
    http_json j;
    bool first = true;
    (void)rest;

    r->face = HTTP_FACE_PLAIN;
    http_json_begin(&j, text, r->body->len);
    if (http_json_open(&j, '{')) {
        for (; http_json_key(&j, first, &key) && http_json_value(&j, &value); first = false) {
            if (http_json_is(&key, "group") && group == NULL)
                group = http_json_text(&value);
            else if (http_json_is(&key, "topic") && topic == NULL)
                topic = http_json_text(&value);
            else if (http_json_is(&key, "ack") && value.type == HTTP_JSON_ARRAY)
                ack = value;
            else if (http_json_is(&key, "retry") && value.type == HTTP_JSON_ARRAY)
                again = value;
        }
    }
    if (!http_json_end(&j) || group == NULL || topic == NULL) {
        http_refuse(r, 400,
                    group == NULL   ? "group"
                    : topic == NULL ? "topic"
                                    : NULL,
                    "ack needs {\"group\":…,\"topic\":…,\"ack\":[tokens]}%s%s",
                    j.flaw != NULL ? ": " : "", j.flaw != NULL ? j.flaw : "");
        return;
    }
    fetch *f = fetch_new(r, group, topic);
    f->settles = true;
    f->outcome = EMESH_SETTLE_RETRY;
    if (ack.type == HTTP_JSON_ARRAY)
        take_tokens(f, f->ids, &ack);
    if (again.type == HTTP_JSON_ARRAY)
        take_tokens(f, f->again, &again);
    start(f);
}
