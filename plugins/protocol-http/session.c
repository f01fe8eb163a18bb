/* SPDX-License-Identifier: Apache-2.0
 *
 * Who publishes: one session of the mesh for each identity on a lane, kept while it is used. What
 * the mesh has no room for waits here, a while. [lane]
 */
#include "eventmesh/rate.h"
#include "http.h"
#include "push.h"
#include "session.h"
#include <string.h>

#define SESSIONS_MAX 1024u
#define UNUSED_NS (60 * HTTP_SECOND)

struct http_session {
    http_actor actor; /* first: the client ops find their way through it */
    http_lane *lane;
    emesh_session *mesh;
    char *identity;
    GQueue waiting; /* http_publish: not, or not wholly, taken by the mesh */
    GQueue flying;  /* those that wait for results alone */
    uint64_t used_ns;
    bool opened;
    bool leaving; /* gets nothing new, ends with the last result */
    GList in_list;
};

/* ---- publishes ---- */

http_publish *
http_publish_new(http_request *r, uint32_t n, void (*done)(http_publish *p))
{
    http_publish *p = g_malloc0(sizeof *p + n * sizeof(emesh_publish));
    p->request = http_request_ref(r);
    p->done = done;
    p->n = n;
    p->err.size = sizeof p->err;
    p->since_ns = http_now(r->lane);
    p->in_queue.data = p;
    return p;
}

static void
publish_free(http_publish *p)
{
    const emesh_event_api *event = p->request->lane->http->event;
    for (uint32_t i = 0; i < p->n; i++)
        event->unref(&p->items[i].event, 1);
    event->unref(&p->reply, 1);
    http_request_unref(p->request);
    g_free(p->data);
    g_free(p);
}

void
http_publish_cancel(http_publish *p)
{
    publish_free(p);
}

static void
publish_end(http_publish *p)
{
    p->done(p);
    publish_free(p);
}

static bool
is_idle(const http_session *s)
{
    return s->waiting.length == 0 && s->flying.length == 0;
}

/* The number of the item rides in the upper bits of the pointer, which user space does not use. */
static uint64_t
cookie_of(const http_publish *p, uint32_t index)
{
    return (uint64_t)index << 48 | (uint64_t)(uintptr_t)p;
}

static void
note(http_publish *p, uint32_t index, int32_t code, const emesh_error *err)
{
    if (code == EMESH_OK) {
        p->n_stored++;
        return;
    }
    if (p->code != EMESH_OK)
        return;
    p->code = code;
    p->first = index;
    g_strlcpy(p->err.text, http_why(err, ""), sizeof p->err.text);
}

/* It has left the queue. Items that the mesh has not taken get their result here. */
static void
give_up(http_publish *p, int32_t code, const char *text)
{
    emesh_error err = { .size = sizeof err, .code = code };

    g_strlcpy(err.text, text, sizeof err.text);
    for (uint32_t i = p->taken; i < p->n; i++, p->answered++)
        note(p, i, code, &err);
    p->taken = p->n;
    if (p->answered < p->n)
        g_queue_push_tail_link(&p->session->flying, &p->in_queue);
    else
        publish_end(p);
}

/* false: there is no room, it stays in the queue. */
static bool
hand_over(http_session *s, http_publish *p)
{
    int32_t code = s->lane->http->client->publish(s->mesh, p->items + p->taken, p->n - p->taken);
    if (code < 0) {
        g_queue_unlink(&s->waiting, &p->in_queue);
        give_up(p, code, "the publish is refused");
        return true;
    }
    p->taken += MIN((uint32_t)code, p->n - p->taken);
    if (p->taken < p->n)
        return false;
    g_queue_unlink(&s->waiting, &p->in_queue);
    g_queue_push_tail_link(&s->flying, &p->in_queue);
    return true;
}

static void
go_on(http_session *s)
{
    while (s->opened && s->waiting.head != NULL && hand_over(s, s->waiting.head->data))
        ;
}

/* ---- sessions ---- */

static void
session_leave(http_session *s)
{
    if (!s->leaving)
        g_hash_table_remove(s->lane->sessions, s->identity);
    s->leaving = true;
}

static void
session_free(http_session *s)
{
    http_lane *lane = s->lane;

    session_leave(s);
    g_queue_unlink(&lane->session_list, &s->in_list);
    if (s->mesh != NULL)
        lane->http->client->close(s->mesh, EMESH_LEFT_ORDERLY);
    while (s->flying.head != NULL) { /* only when the lane goes */
        http_publish *p = s->flying.head->data;
        g_queue_unlink(&s->flying, &p->in_queue);
        p->code = p->code != EMESH_OK ? p->code : EMESH_E_LOST;
        publish_end(p);
    }
    g_free(s->identity);
    g_free(s);
}

static void
fail_all(http_session *s, int32_t code, const char *text)
{
    while (s->waiting.head != NULL) {
        http_publish *p = s->waiting.head->data;
        g_queue_unlink(&s->waiting, &p->in_queue);
        give_up(p, code, text);
    }
}

static void
session_opened(http_actor *actor, int32_t code, const emesh_error *err)
{
    http_session *s = (http_session *)actor;
    if (code != EMESH_OK) {
        fail_all(s, code, http_why(err, "the session is refused"));
        session_free(s);
        return;
    }
    s->opened = true;
    go_on(s);
}

static void
session_published(http_actor *actor, const emesh_published *results, uint32_t n)
{
    http_session *s = (http_session *)actor;
    for (uint32_t i = 0; i < n; i++) {
        http_publish *p =
            (http_publish *)(uintptr_t)(results[i].cookie & ((UINT64_C(1) << 48) - 1));
        note(p, (uint32_t)(results[i].cookie >> 48), results[i].code, results[i].err);
        if (results[i].reply != NULL && p->reply == NULL)
            p->reply = s->lane->http->event->ref(results[i].reply);
        if (++p->answered < p->n)
            continue;
        g_queue_unlink(&s->flying, &p->in_queue);
        publish_end(p);
    }
    if (s->leaving && is_idle(s))
        session_free(s);
}

static void
session_room(http_actor *actor)
{
    go_on((http_session *)actor);
}

static void
session_ask(http_actor *actor)
{
    http_session *s = (http_session *)actor;
    fail_all(s, EMESH_E_UNAVAILABLE, "the session was closed by an administrator");
    session_leave(s);
    if (is_idle(s))
        session_free(s);
}

static const http_actor_ops session_ops = { .opened = session_opened,
                                            .published = session_published,
                                            .room = session_room,
                                            .ask = session_ask };

static void
label(emesh_attr *to, const char *name, const char *value)
{
    *to = (emesh_attr){ .name = name,
                        .name_len = (uint32_t)strlen(name),
                        .value = value,
                        .value_len = (uint32_t)strlen(value) };
}

static http_session *
session_new(http_lane *lane, const char *identity, const http_conn *conn, const char *user,
            const char *secret)
{
    http_session *s = g_new0(http_session, 1);
    emesh_attr labels[2];
    emesh_who who = { .size = sizeof who, .labels = labels, .n_labels = 2 };

    label(&labels[0], "protocol", "http");
    label(&labels[1], "purpose", "pub");
    if (conn != NULL)
        who.peer = (emesh_slice){ conn->peer, strlen(conn->peer) };
    who.client = who.peer;
    who.user = (emesh_slice){ user, user != NULL ? strlen(user) : 0 };
    who.secret = (emesh_slice){ secret, secret != NULL ? strlen(secret) : 0 };
    s->actor.ops = &session_ops;
    s->lane = lane;
    s->identity = g_strdup(identity);
    s->in_list.data = s;
    g_queue_init(&s->waiting);
    g_queue_init(&s->flying);
    g_queue_push_tail_link(&lane->session_list, &s->in_list);
    g_hash_table_insert(lane->sessions, s->identity, s);
    s->mesh = lane->http->client->open(lane->loop, &who, s);
    if (s->mesh != NULL)
        return s;
    session_free(s);
    return NULL;
}

/* One line of it: the credentials are hashed, so that no secret stays in memory for its sake. */
static char *
identity_of(const http_conn *conn, const char *user, const char *secret)
{
    const char *host = conn != NULL ? conn->peer : "";
    const char *colon = strrchr(host, ':');
    g_autofree char *at = g_strndup(host, colon != NULL ? (gsize)(colon - host) : 0);
    g_autofree char *sum = NULL;

    if (secret != NULL && *secret != '\0')
        sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, secret, -1);
    return g_strconcat(at, " ", sum != NULL ? sum : "-", " ", user, NULL);
}

static http_session *
session_for(http_lane *lane, const http_conn *conn, const char *user, const char *secret)
{
    g_autofree char *identity = identity_of(conn, user, secret);
    http_session *s = g_hash_table_lookup(lane->sessions, identity);

    if (s == NULL && g_hash_table_size(lane->sessions) >= SESSIONS_MAX) {
        http_session *oldest = lane->session_list.head->data;
        if (!is_idle(oldest))
            return NULL;
        session_free(oldest);
    }
    if (s == NULL)
        return session_new(lane, identity, conn, user, secret);
    g_queue_unlink(&lane->session_list, &s->in_list);
    g_queue_push_tail_link(&lane->session_list, &s->in_list);
    return s;
}

/* Is it within the rate of its kind? */
static bool
rate_allows(const http_publish *p, uint64_t now)
{
    http_instance *http = p->request->lane->http;
    bool batch = p->request->code == 102 || p->request->code == 107;

    return emesh_rate_take(batch ? &http->batch_rate_ns : &http->rate_ns,
                           batch ? http->options.batch_rate : http->options.rate, p->n, now);
}

static void
turn_away(http_publish *p, int32_t code, const char *text)
{
    p->code = code;
    g_strlcpy(p->err.text, text, sizeof p->err.text);
    publish_end(p);
}

void
http_publish_start(http_publish *p, const char *user, const char *secret)
{
    http_lane *lane = p->request->lane;
    uint64_t now = http_now(lane);
    http_session *s;

    if (lane->is_draining) {
        turn_away(p, EMESH_E_UNAVAILABLE, "the server is stopping");
        return;
    }
    if (!rate_allows(p, now)) {
        turn_away(p, EMESH_E_BUSY, "more events a second than the server takes: try again later");
        return;
    }
    s = session_for(lane, p->request->conn, user, secret);
    if (s == NULL) {
        turn_away(p, EMESH_E_BUSY, "too many different clients publish: try again later");
        return;
    }
    if (!p->request->gone)
        http_request_wait(p->request);
    p->session = s;
    s->used_ns = now;
    for (uint32_t i = 0; i < p->n; i++) {
        p->items[i].cookie = cookie_of(p, i);
        if (p->items[i].deadline_ns == 0)
            p->items[i].deadline_ns = now + lane->http->options.publish_ns;
    }
    g_queue_push_tail_link(&s->waiting, &p->in_queue);
    go_on(s);
}

void
http_sessions_sweep(http_lane *lane, uint64_t now)
{
    for (GList *l = lane->session_list.head, *next; l != NULL; l = next) {
        http_session *s = l->data;
        next = l->next;
        while (s->waiting.head != NULL) {
            http_publish *p = s->waiting.head->data;
            if (now - p->since_ns < lane->http->options.queue_ns)
                break;
            g_queue_unlink(&s->waiting, &p->in_queue);
            give_up(p, EMESH_E_BUSY, "the mesh has no room for more: try again later");
        }
        if (is_idle(s) && now - s->used_ns >= UNUSED_NS)
            session_free(s);
    }
}

void
http_sessions_free(http_lane *lane)
{
    while (lane->session_list.head != NULL) {
        http_session *s = lane->session_list.head->data;
        fail_all(s, EMESH_E_CLOSED, "the server is stopping");
        session_free(s);
    }
    g_clear_pointer(&lane->sessions, g_hash_table_unref);
}

/* ---- what the host calls ---- */

static void
opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err)
{
    http_actor *actor = session;
    (void)lane;
    actor->ops->opened(actor, code, err);
}

static void
published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n)
{
    http_actor *actor = session;
    (void)lane;
    if (actor->ops->published != NULL)
        actor->ops->published(actor, results, n);
}

static void
room(emesh_lane *lane, void *session)
{
    http_actor *actor = session;
    (void)lane;
    if (actor->ops->room != NULL)
        actor->ops->room(actor);
}

static void
ask(emesh_lane *lane, void *session, const emesh_ask *what)
{
    http_actor *actor = session;
    (void)lane, (void)what;
    if (actor->ops->ask != NULL)
        actor->ops->ask(actor);
}

static void
subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err)
{
    http_member *m = member;
    (void)lane;
    m->ops->subscribed(m, code, err);
}

static void
deliver(emesh_lane *lane, void *member, const emesh_delivery *items, uint32_t n)
{
    http_member *m = member;
    (void)lane;
    m->ops->deliver(m, items, n);
}

const emesh_client_ops http_client = { .size = sizeof http_client,
                                       .opened = opened,
                                       .published = published,
                                       .room = room,
                                       .subscribed = subscribed,
                                       .deliver = deliver,
                                       .ask = ask,
                                       .adopt = http_adopt };
