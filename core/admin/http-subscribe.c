/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/subscribe?topic=T[&group=G][&mode=every][&max=N][&from=earliest]: a stream of
 * CloudEvents, one JSON line each. An event is done when its line has been written to the socket;
 * what is not written when the peer breaks off goes to others. Each stream is a session of its own.
 * [lane]
 */
#include "admin/face.h"
#include "admin/out.h"

#include <gio/gio.h>
#include <string.h>

#define WINDOW_EVENTS 32u
#define WINDOW_BYTES (1u << 20)

typedef struct batch { /* the deliveries whose lines are one chunk */
    guint64 end;       /* done when so much is written */
    uint32_t n;
    uint64_t ids[];
} batch;

typedef struct stream {
    emesh_admin_session base; /* first */
    emesh_admin_lane *lane;
    emesh_admin_request *request; /* a reference, until the answer begins */
    GSocketAddress *address;      /* keeps the connection's record, and so its place of 64 */
    emesh_out *out;               /* from then on */
    emesh_member *member;
    char *topic, *group;
    emesh_start from;
    uint32_t mode;
    bool ended;     /* by us: accuses nobody */
    uint64_t max;   /* 0 = no end */
    uint64_t taken; /* deliveries so far */
    uint64_t unsettled;
    GQueue batches; /* in the order written */
    GSource *hup;   /* while the answer waits */
    GList in_lane;
} stream;

static void
hup_end(stream *s)
{
    if (s->hup == NULL)
        return;
    g_source_destroy(s->hup);
    g_clear_pointer(&s->hup, g_source_unref);
}

static void
stream_free(stream *s)
{
    g_queue_unlink(&s->lane->streams, &s->in_lane);
    hup_end(s);
    if (s->base.host != NULL)
        s->lane->admin->cl->close(s->base.host, s->ended ? EMESH_LEFT_ORDERLY : EMESH_LEFT_CUT);
    if (s->out != NULL)
        emesh_out_free(s->out);
    if (s->request != NULL)
        emesh_request_unref(s->request);
    g_queue_clear_full(&s->batches, g_free);
    g_object_unref(s->address);
    g_free(s->topic);
    g_free(s->group);
    g_free(s);
}

/* Ends the answer behind what is queued; or answers the error when none has begun, and frees. */
static void
stream_end(stream *s, int32_t code, const emesh_error *err)
{
    static const char last[] = "0\r\n\r\n";
    if (s->ended)
        return;
    s->ended = true;
    if (s->out == NULL) {
        g_socket_set_timeout(s->request->conn->socket, EMESH_ADMIN_IDLE_SECONDS);
        emesh_request_error(s->request, code, err);
        stream_free(s);
        return;
    }
    g_autoptr(GBytes) bytes = g_bytes_new_static(last, sizeof last - 1);
    emesh_out_put(s->out, bytes);
    emesh_out_finish(s->out);
}

/* The peer left before there was anything to answer. */
static gboolean
on_hup(GSocket *socket, GIOCondition condition, gpointer data)
{
    stream *s = data;
    (void)socket, (void)condition;
    emesh_request_fail(s->request, EMESH_E_LOST, "the peer is gone"); /* so libsoup looks */
    stream_free(s);
    return G_SOURCE_CONTINUE;
}

static void
on_gone(void *ctx)
{
    stream_free(ctx);
}

static void
stream_settle(stream *s, const uint64_t *ids, uint32_t n, uint32_t outcome)
{
    s->unsettled -= n;
    if (s->max > 0 && s->member != NULL) {
        /* absolute: leaves room for what is still wanted, not for more */
        uint64_t window = MIN(s->max - s->taken + s->unsettled, WINDOW_EVENTS);
        s->lane->admin->cl->window(s->member, (uint32_t)window, WINDOW_BYTES);
    }
    for (uint32_t i = 0; i < n; i++) {
        emesh_settle settle = { .id = ids[i], .outcome = outcome };
        s->lane->admin->cl->settle(s->base.host, &settle, 1);
    }
}

static void
on_wrote(void *ctx)
{
    stream *s = ctx;
    batch *first;
    while ((first = g_queue_peek_head(&s->batches)) != NULL &&
           first->end <= emesh_out_written(s->out)) {
        g_queue_pop_head(&s->batches);
        stream_settle(s, first->ids, first->n, EMESH_SETTLE_DONE);
        g_free(first);
    }
    if (s->max > 0 && s->taken >= s->max && s->unsettled == 0)
        stream_end(s, EMESH_OK, NULL);
}

/* Lines as one chunk; the batch is done when it has left. */
static void
put_lines(stream *s, const GString *lines, batch *b)
{
    g_autoptr(GString) chunk = g_string_sized_new(lines->len + 16);
    g_string_append_printf(chunk, "%zx\r\n", lines->len);
    g_string_append_len(chunk, lines->str, (gssize)lines->len);
    g_string_append(chunk, "\r\n");
    g_autoptr(GBytes) bytes = g_string_free_to_bytes(g_steal_pointer(&chunk));
    b->end = emesh_out_put(s->out, bytes);
    g_queue_push_tail(&s->batches, b);
}

void
emesh_http_deliver(void *member, const emesh_delivery *items, uint32_t n)
{
    stream *s = member;
    const emesh_face *admin = s->lane->admin;
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autofree batch *b = g_malloc(sizeof *b + n * sizeof b->ids[0]);
    b->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        const emesh_delivery *d = &items[i];
        emesh_part json = { NULL, 0, NULL };
        s->unsettled++;
        if (s->ended || (s->max > 0 && s->taken >= s->max)) {
            stream_settle(s, &d->id, 1, EMESH_SETTLE_RETURN);
        } else if (admin->ev->encode(admin->host, EMESH_FORM_JSON, &d->event, 1, &json) != 0) {
            stream_settle(s, &d->id, 1, EMESH_SETTLE_UNFIT);
        } else {
            g_string_append_len(lines, json.ptr, (gssize)json.len);
            g_string_append_c(lines, '\n');
            admin->ev->buf_unref(json.owner);
            b->ids[b->n++] = d->id;
            s->taken++;
        }
    }
    if (b->n > 0)
        put_lines(s, lines, g_steal_pointer(&b));
}

void
emesh_http_subscribed(void *member, int32_t code, const emesh_error *err)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                               "Cache-Control: no-store\r\nConnection: close\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    stream *s = member;
    if (code != EMESH_OK || s->out != NULL) {
        stream_end(s, code, err);
        return;
    }
    hup_end(s);
    GSocket *socket = s->request->conn->socket;
    GIOStream *taken = soup_server_message_steal_connection(s->request->msg);
    s->out = emesh_out_new(taken, socket, s->request->conn->tls, s->lane->context, on_wrote,
                           on_gone, s);
    g_clear_pointer(&s->request, emesh_request_unref);
    g_autoptr(GBytes) bytes = g_bytes_new_static(head, sizeof head - 1);
    emesh_out_put(s->out, bytes);
}

static void
stream_opened(emesh_admin_session *session, int32_t code, const emesh_error *err)
{
    stream *s = (stream *)session;
    if (code != EMESH_OK) {
        stream_end(s, code, err);
        return;
    }
    uint64_t window = s->max > 0 ? MIN(s->max, WINDOW_EVENTS) : WINDOW_EVENTS;
    emesh_subscribe spec = { .size = sizeof spec,
                             .mode = s->mode,
                             .flags = strpbrk(s->topic, "*?") != NULL ? EMESH_SUB_PATTERN : 0,
                             .topic = { s->topic, strlen(s->topic) },
                             .group = { s->group, strlen(s->group) },
                             .start = &s->from,
                             .window_events = (uint32_t)window,
                             .window_bytes = WINDOW_BYTES };
    s->member = s->lane->admin->cl->subscribe(s->base.host, &spec, s);
    if (s->member == NULL) {
        emesh_error none = { .size = sizeof none, .text = "no memory for a subscription" };
        stream_end(s, EMESH_E_NO_MEMORY, &none);
    }
}

static void
stream_asked(emesh_admin_session *session, const emesh_ask *ask)
{
    emesh_error kicked = { .size = sizeof kicked };
    g_snprintf(kicked.text, sizeof kicked.text, "closed by the daemon: %.*s",
               (int)MIN(ask->reason.len, 200u), (const char *)ask->reason.ptr);
    stream_end((stream *)session, EMESH_E_CLOSED, &kicked);
}

static void
stream_published(emesh_admin_session *session, const emesh_published *result)
{
    (void)session, (void)result; /* a stream publishes nothing */
}

static const emesh_admin_session_ops stream_ops = { stream_opened, stream_published, stream_asked };

/* Reads the parameters; answers itself when one is wrong. */
static bool
stream_params(emesh_admin_request *request, stream *s)
{
    const char *topic = emesh_request_param(request, "topic");
    const char *group = emesh_request_param(request, "group");
    const char *mode = emesh_request_param(request, "mode");
    const char *from = emesh_request_param(request, "from");
    const char *max = emesh_request_param(request, "max");
    g_autoptr(GError) error = NULL;
    if (topic == NULL || *topic == '\0')
        emesh_request_refuse(request, "topic", "subscribe needs ?topic=NAME");
    else if (mode != NULL && strcmp(mode, "every") != 0 && strcmp(mode, "shared") != 0)
        emesh_request_refuse(request, "mode", "unknown mode '%.40s' (shared, every)", mode);
    else if (from != NULL && strcmp(from, "earliest") != 0 && strcmp(from, "latest") != 0)
        emesh_request_refuse(request, "from", "unknown from '%.40s' (earliest, latest)",
                           from);
    else if (max != NULL && !g_ascii_string_to_unsigned(max, 10, 1, G_MAXINT64, &s->max, &error))
        emesh_request_refuse(request, "max", "max: %s", error->message);
    else {
        bool every = mode != NULL ? mode[0] == 'e' : group == NULL;
        s->mode = every ? EMESH_SUB_EVERY : EMESH_SUB_SHARED;
        s->topic = g_strdup(topic);
        s->group = g_strdup(group != NULL ? group : "eventmeshctl");
        s->from = (emesh_start){ .size = sizeof s->from, .kind = EMESH_START_STORED };
        if (from != NULL)
            s->from.kind = from[0] == 'e' ? EMESH_START_EARLIEST : EMESH_START_LATEST;
        return true;
    }
    return false;
}

void
emesh_http_subscribe(emesh_admin_request *request)
{
    emesh_admin_lane *lane = request->lane;
    stream *s = g_new0(stream, 1);
    if (!stream_params(request, s)) {
        g_free(s);
        return;
    }
    s->base.ops = &stream_ops;
    s->lane = lane;
    s->request = emesh_request_ref(request);
    s->address = g_object_ref(soup_server_message_get_remote_address(request->msg));
    s->in_lane.data = s;
    g_queue_push_tail_link(&lane->streams, &s->in_lane);
    emesh_request_wait(request);
    g_socket_set_timeout(request->conn->socket, 0); /* the answer may take its time */
    s->hup = g_socket_create_source(request->conn->socket, G_IO_HUP, NULL);
    g_source_set_callback(s->hup, G_SOURCE_FUNC(on_hup), s, NULL);
    g_source_attach(s->hup, lane->context);
    const char *client = request->conn->is_unix ? "eventmeshctl subscribe" : "admin subscribe";
    s->base.host = emesh_admin_open(lane, request->user, request->conn, client, s);
    if (s->base.host == NULL)
        stream_end(s, EMESH_E_NO_MEMORY, NULL);
}

void
emesh_http_streams_end(emesh_admin_lane *lane, bool cut)
{
    emesh_error over = { .size = sizeof over, .text = "the daemon is stopping" };
    for (GList *link = lane->streams.head, *next; link != NULL; link = next) {
        stream *s = link->data;
        bool begun = s->out != NULL;
        next = link->next;
        stream_end(s, EMESH_E_CLOSED, &over);
        if (cut && begun)
            stream_free(s);
    }
}
