/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /eventmesh/subscribe/stream?topic=T: every event of a topic from now on, or behind the one
 * that Last-Event-ID names, as server-sent events with CloudEvents JSON in them. Who reads holds
 * the place: nothing is acknowledged, and no group is made. [lane]
 */
#include "api.h"
#include "session.h"
#include <string.h>

#define WINDOW_EVENTS 64u
#define WINDOW_BYTES (1u << 20)
#define SIGN_NS (15 * HTTP_SECOND) /* of life, when there is no event */

typedef struct chunk { /* in the response, until it is written */
    uint32_t n;
    uint64_t ids[];
} chunk;

typedef struct stream {
    http_actor actor;   /* first */
    http_member member; /* ctx of the subscription */
    http_lane *lane;
    http_request *request;
    emesh_session *mesh;
    emesh_member *sub;
    char *topic;
    emesh_start start;
    GQueue chunks; /* chunk, in order */
    emesh_timer *timer;
    GList in_lane;
    gulong wrote, finished; /* signal handlers */
    bool begun;
} stream;

static void
stream_free(stream *s)
{
    const http_instance *http = s->lane->http;

    if (s->request->msg != NULL) {
        g_signal_handler_disconnect(s->request->msg, s->wrote);
        g_signal_handler_disconnect(s->request->msg, s->finished);
    }
    g_queue_unlink(&s->lane->streams, &s->in_lane);
    http->loop->timer_end(s->timer);
    if (s->mesh != NULL)
        http->client->close(s->mesh, EMESH_LEFT_ORDERLY);
    g_queue_clear_full(&s->chunks, g_free);
    http_request_unref(s->request);
    g_free(s->topic);
    g_free(s);
}

/* ---- out ---- */

static void
put(stream *s, const char *text, size_t len, chunk *c)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, len);

    soup_message_body_append_bytes(soup_server_message_get_response_body(s->request->msg), bytes);
    g_queue_push_tail(&s->chunks, c);
    if (s->request->conn != NULL && s->chunks.length == 1)
        http_conn_enter(s->request->conn, HTTP_WRITING);
    soup_server_message_unpause(s->request->msg);
    s->lane->http->loop->timer_set(s->timer, http_now(s->lane) + SIGN_NS);
}

static void
put_sign(stream *s)
{
    put(s, ":\n\n", 3, g_malloc0(sizeof(chunk)));
}

static void
on_timer(void *ctx)
{
    put_sign(ctx);
}

static void
on_wrote(SoupServerMessage *msg, stream *s)
{
    chunk *c = g_queue_pop_head(&s->chunks);
    (void)msg;

    for (uint32_t i = 0; c != NULL && i < c->n; i++) {
        emesh_settle settle = { .id = c->ids[i], .outcome = EMESH_SETTLE_DONE };
        s->lane->http->client->settle(s->mesh, &settle, 1);
    }
    g_free(c);
    if (s->request->conn != NULL)
        http_conn_enter(s->request->conn, s->chunks.length > 0 ? HTTP_WRITING : HTTP_WORKING);
}

static void
on_finished(SoupServerMessage *msg, stream *s)
{
    (void)msg;
    stream_free(s);
}

static void
stream_end(stream *s, int32_t code, const char *why)
{
    if (!s->begun) {
        http_request *r = http_request_ref(s->request);
        stream_free(s);
        if (r->msg != NULL) {
            r->face = HTTP_FACE_PLAIN;
            http_refuse(r, code == EMESH_OK ? 503 : emesh_http_status(code), NULL, "%s", why);
        }
        http_request_unref(r);
        return;
    }
    soup_message_body_complete(soup_server_message_get_response_body(s->request->msg));
    soup_server_message_unpause(s->request->msg);
    s->lane->http->client->close(s->mesh, EMESH_LEFT_ORDERLY);
    s->mesh = NULL;
    s->lane->http->loop->timer_set(s->timer, 0);
    g_queue_clear_full(&s->chunks, g_free);
}

/* ---- events ---- */

/* One event: its place as the id, its type, its JSON line by line. */
static bool
put_event(stream *s, GString *out, const emesh_delivery *d)
{
    const http_instance *http = s->lane->http;
    emesh_part json = { NULL, 0, NULL };

    if (http->event->encode(http->host, EMESH_FORM_JSON, &d->event, 1, &json) != EMESH_OK)
        return false;
    g_string_append_printf(out, "id: %" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x\n",
                           d->position.hi, d->position.lo);
    const char *at = json.ptr, *end = at + json.len;
    while (at < end) { /* JSON may have line ends between its tokens, and they may be \r */
        size_t len = 0;
        while (at + len < end && at[len] != '\n' && at[len] != '\r')
            len++;
        g_string_append(out, "data: ");
        g_string_append_len(out, at, (gssize)len);
        g_string_append_c(out, '\n');
        at += len + 1;
    }
    g_string_append_c(out, '\n');
    http->event->buf_unref(json.owner);
    return true;
}

static void
on_deliver(http_member *member, const emesh_delivery *items, uint32_t n)
{
    stream *s = (stream *)((char *)member - offsetof(stream, member));
    g_autoptr(GString) out = g_string_new(NULL);
    chunk *c = g_malloc(sizeof *c + n * sizeof c->ids[0]);

    c->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        emesh_settle settle = { .id = items[i].id, .outcome = EMESH_SETTLE_UNFIT };
        if (put_event(s, out, &items[i]))
            c->ids[c->n++] = items[i].id;
        else
            s->lane->http->client->settle(s->mesh, &settle, 1);
    }
    if (c->n > 0)
        put(s, out->str, out->len, c);
    else
        g_free(c);
}

static void
begin(stream *s)
{
    SoupServerMessage *msg = s->request->msg;
    SoupMessageHeaders *head = soup_server_message_get_response_headers(msg);

    soup_message_headers_set_encoding(head, SOUP_ENCODING_CHUNKED);
    soup_message_headers_replace(head, "Content-Type", "text/event-stream; charset=utf-8");
    soup_message_headers_replace(head, "Cache-Control", "no-store");
    soup_message_body_set_accumulate(soup_server_message_get_response_body(msg), FALSE);
    soup_server_message_set_status(msg, 200, NULL);
    s->request->answered = true;
    s->begun = true;
    put_sign(s);
}

static void
on_subscribed(http_member *member, int32_t code, const emesh_error *err)
{
    stream *s = (stream *)((char *)member - offsetof(stream, member));

    if (code == EMESH_OK && !s->begun)
        begin(s);
    else if (code != EMESH_OK)
        stream_end(s, code, http_why(err, "the topic is refused"));
}

static const http_actor_ops member_ops = { .subscribed = on_subscribed, .deliver = on_deliver };

static void
on_opened(http_actor *actor, int32_t code, const emesh_error *err)
{
    stream *s = (stream *)actor;
    emesh_subscribe spec = { .size = sizeof spec,
                             .mode = EMESH_SUB_EVERY,
                             .topic = { s->topic, strlen(s->topic) },
                             .group = { "stream", 6 },
                             .start = &s->start,
                             .window_events = WINDOW_EVENTS,
                             .window_bytes = WINDOW_BYTES };
    if (code != EMESH_OK) {
        stream_end(s, code, http_why(err, "the session is refused"));
        return;
    }
    s->sub = s->lane->http->client->subscribe(s->mesh, &spec, &s->member);
    if (s->sub == NULL)
        stream_end(s, EMESH_E_NO_MEMORY, "out of memory");
}

static void
on_ask(http_actor *actor)
{
    stream_end((stream *)actor, EMESH_E_UNAVAILABLE, "the session was closed by an administrator");
}

static const http_actor_ops actor_ops = { .opened = on_opened, .ask = on_ask };

/* ---- the request ---- */

/* Where reading begins. false: the place cannot be read. */
static bool
read_start(http_request *r, emesh_start *start)
{
    const char *last = http_request_header(r, "Last-Event-ID");
    const char *from = http_request_param(r, "from");
    char *end = NULL;

    *start = (emesh_start){ .size = sizeof *start, .kind = EMESH_START_LATEST };
    last = last != NULL ? last : http_request_param(r, "lastEventId");
    if (last != NULL && *last != '\0') {
        start->kind = EMESH_START_AFTER;
        start->position.hi = g_ascii_strtoull(last, &end, 16);
        if (end == last || *end != '-')
            return false;
        last = end + 1;
        start->position.lo = g_ascii_strtoull(last, &end, 16);
        return end != last && *end == '\0';
    }
    if (from != NULL && strcmp(from, "earliest") == 0)
        start->kind = EMESH_START_EARLIEST;
    return from == NULL || strcmp(from, "earliest") == 0 || strcmp(from, "latest") == 0;
}

static void
stream_start(http_request *r, const char *topic, const emesh_start *start)
{
    http_lane *lane = r->lane;
    static const emesh_attr labels[] = {
        { .name = "protocol", .name_len = 8, .value = "http", .value_len = 4 },
        { .name = "purpose", .name_len = 7, .value = "stream", .value_len = 6 },
    };
    const char *user = http_request_header(r, "username"), *secret = http_request_secret(r);
    emesh_who who = { .size = sizeof who, .labels = labels, .n_labels = 2 };
    stream *s = g_new0(stream, 1);

    *s = (stream){ .actor = { &actor_ops }, .member = { &member_ops }, .lane = lane };
    s->request = http_request_ref(r);
    s->topic = g_strdup(topic);
    s->start = *start;
    s->in_lane.data = s;
    s->timer = lane->http->loop->timer(lane->loop, on_timer, s);
    s->wrote = g_signal_connect(r->msg, "wrote-chunk", G_CALLBACK(on_wrote), s);
    s->finished = g_signal_connect(r->msg, "finished", G_CALLBACK(on_finished), s);
    g_queue_init(&s->chunks);
    g_queue_push_tail_link(&lane->streams, &s->in_lane);
    who.peer = (emesh_slice){ r->conn->peer, strlen(r->conn->peer) };
    who.client = who.peer;
    who.user = (emesh_slice){ user, user != NULL ? strlen(user) : 0 };
    who.secret = (emesh_slice){ secret, secret != NULL ? strlen(secret) : 0 };
    http_request_wait(r);
    s->mesh = lane->http->client->open(lane->loop, &who, s);
    if (s->mesh == NULL)
        stream_end(s, EMESH_E_NO_MEMORY, "out of memory");
}

void
http_uri_stream(http_request *r, const char *rest)
{
    const char *topic = http_request_param(r, "topic");
    emesh_start start;
    (void)rest;

    r->face = HTTP_FACE_PLAIN;
    if (strcmp(r->method, "GET") != 0)
        http_refuse(r, 405, NULL, "a stream is read by GET");
    else if (topic == NULL || *topic == '\0')
        http_refuse(r, 400, "topic", "a stream needs ?topic=NAME");
    else if (!read_start(r, &start))
        http_refuse(r, 400, "Last-Event-ID",
                    "it is no place that was given out here, or from is "
                    "neither latest nor earliest");
    else if (r->lane->is_draining || r->conn == NULL)
        http_refuse(r, 503, NULL, "the server is stopping");
    else
        stream_start(r, topic, &start);
}

void
http_streams_end(http_lane *lane)
{
    for (GList *l = lane->streams.head, *next; l != NULL; l = next) {
        stream *s = l->data;
        next = l->next;
        if (s->mesh != NULL)
            stream_end(s, EMESH_E_CLOSED, "the server is stopping");
    }
}
