/* SPDX-License-Identifier: Apache-2.0
 *
 * One request to the daemon, over its Unix socket: commands, publish, and the endless answer of
 * subscribe. Blocking: the tool has nothing else to do.
 */
#include "ctl/ctl.h"
#include "admin/json.h"

#include <gio/gunixsocketaddress.h>
#include <libsoup/soup.h>
#include <string.h>

#define BASE "http://eventmesh"
#define MAX_ANSWER (128u << 20)
#define FIRST_LINE (64u << 10) /* grows with the line */

struct ctl_stream {
    SoupSession *session;
    GDataInputStream *lines;
    GInputStream *body;
};

void
ctl_say(const char *format, ...)
{
    va_list ap;
    fflush(stdout);
    fputs("eventmeshctl: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
}

static SoupSession *
session_new(const ctl *c)
{
    g_autofree char *path = ctl_socket_path(&c->opt);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    return soup_session_new_with_options("remote-connectable", address, "timeout", 0,
                                         "idle-timeout", 0, NULL);
}

static void
say_unreachable(const ctl *c, const GError *error)
{
    g_autofree char *path = ctl_socket_path(&c->opt);
    const char *why = error->message;
    if (g_str_has_prefix(why, "Could not connect: "))
        why += strlen("Could not connect: ");
    ctl_say("cannot reach the daemon at %s: %s; is eventmeshd running? (--socket PATH)", path, why);
}

/* What a failed answer says, on standard error. */
static void
say_refused(const char *what, guint status, const char *body, gsize len)
{
    g_autoptr(JsonNode) root = emesh_json_parse(body, len, NULL);
    JsonObject *error = NULL;
    if (root != NULL && JSON_NODE_HOLDS_OBJECT(root) &&
        json_object_has_member(json_node_get_object(root), "error")) {
        JsonNode *node = json_object_get_member(json_node_get_object(root), "error");
        error = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    }
    if (error == NULL) {
        ctl_say("%s: the daemon answered with status %u", what, status);
        return;
    }
    ctl_say("%s: %s (%s)", what, json_object_get_string_member_with_default(error, "text", ""),
            json_object_get_string_member_with_default(error, "name", "refused"));
}

/* Reads an answer of bounded size. NULL: error. Given. */
static GBytes *
read_all(GInputStream *in, GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autofree guint8 *piece = g_malloc(64 << 10);
    gssize got;
    while ((got = g_input_stream_read(in, piece, 64 << 10, NULL, error)) > 0) {
        if (all->len + (gsize)got > MAX_ANSWER) {
            g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                                "the answer is too large");
            return NULL;
        }
        g_byte_array_append(all, piece, (guint)got);
    }
    return got < 0 ? NULL : g_byte_array_free_to_bytes(g_steal_pointer(&all));
}

/* Sends and waits for the whole answer, which must be JSON. NULL with *code. Given. */
static JsonNode *
exchange(ctl *c, const char *what, SoupMessage *msg, bool quiet, int *code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SoupSession) session = session_new(c);
    g_autoptr(GInputStream) in = soup_session_send(session, msg, NULL, &error);
    g_autoptr(GBytes) body = in == NULL ? NULL : read_all(in, &error);
    *code = CTL_UNREACHABLE;
    if (body == NULL) {
        if (!quiet)
            say_unreachable(c, error);
        return NULL;
    }
    gsize len = 0;
    const char *text = g_bytes_get_data(body, &len);
    guint status = soup_message_get_status(msg);
    *code = CTL_REFUSED;
    if (status != SOUP_STATUS_OK) {
        say_refused(what, status, text, len);
        return NULL;
    }
    JsonNode *root = emesh_json_parse(text, len, &error);
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        ctl_say("%s: the answer is not understood%s%s", what, error != NULL ? ": " : "",
                error != NULL ? error->message : "");
        g_clear_pointer(&root, json_node_unref);
        return NULL;
    }
    *code = CTL_OK;
    return root;
}

static JsonArray *
rows_of(ctl *c, const char *verb, JsonObject *args, bool quiet, int *code)
{
    g_autofree char *uri = g_strconcat(BASE "/v1/command/", verb, NULL);
    g_autoptr(SoupMessage) msg = soup_message_new("POST", uri);
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    gsize len = 0;
    json_node_take_object(node, args != NULL ? args : json_object_new());
    char *text = emesh_json_text(node, false, &len);
    g_autoptr(GBytes) body = g_bytes_new_take(text, len);
    soup_message_set_request_body_from_bytes(msg, "application/json", body);
    g_autoptr(JsonNode) root = exchange(c, verb, msg, quiet, code);
    if (root == NULL)
        return NULL;
    JsonNode *rows = json_object_get_member(json_node_get_object(root), "rows");
    if (rows == NULL || !JSON_NODE_HOLDS_ARRAY(rows)) {
        ctl_say("%s: the answer has no rows", verb);
        *code = CTL_REFUSED;
        return NULL;
    }
    return json_array_ref(json_node_get_array(rows));
}

JsonArray *
ctl_rows(ctl *c, const char *verb, JsonObject *args, int *code)
{
    return rows_of(c, verb, args, false, code);
}

JsonArray *
ctl_rows_if_up(ctl *c, const char *verb, JsonObject *args, int *code)
{
    return rows_of(c, verb, args, true, code);
}

JsonNode *
ctl_post_event(ctl *c, const char *query, GString *event, int *code)
{
    g_autofree char *uri = g_strconcat(BASE "/v1/publish?", query, NULL);
    g_autoptr(SoupMessage) msg = soup_message_new("POST", uri);
    g_autoptr(GBytes) body = g_bytes_new(event->str, event->len);
    soup_message_set_request_body_from_bytes(msg, "application/cloudevents+json", body);
    return exchange(c, "publish", msg, false, code);
}

ctl_stream *
ctl_stream_open(ctl *c, const char *query, int *code)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *uri = g_strconcat(BASE "/v1/subscribe?", query, NULL);
    g_autoptr(SoupMessage) msg = soup_message_new("GET", uri);
    g_autoptr(SoupSession) session = session_new(c);
    g_autoptr(GInputStream) in = soup_session_send(session, msg, NULL, &error);
    *code = CTL_UNREACHABLE;
    if (in == NULL) {
        say_unreachable(c, error);
        return NULL;
    }
    if (soup_message_get_status(msg) != SOUP_STATUS_OK) {
        g_autoptr(GBytes) body = read_all(in, NULL);
        gsize len = 0;
        const char *text = body == NULL ? "" : g_bytes_get_data(body, &len);
        say_refused("subscribe", soup_message_get_status(msg), text, len);
        *code = CTL_REFUSED;
        return NULL;
    }
    ctl_stream *stream = g_new0(ctl_stream, 1);
    stream->session = g_steal_pointer(&session);
    stream->body = g_steal_pointer(&in);
    stream->lines = g_data_input_stream_new(stream->body);
    g_buffered_input_stream_set_buffer_size(G_BUFFERED_INPUT_STREAM(stream->lines), FIRST_LINE);
    *code = CTL_OK;
    return stream;
}

char *
ctl_stream_line(ctl_stream *stream, gsize *len, bool *broken)
{
    g_autoptr(GError) error = NULL;
    char *line = g_data_input_stream_read_line(stream->lines, len, NULL, &error);
    *broken = error != NULL;
    return line;
}

void
ctl_stream_close(ctl_stream *stream)
{
    g_object_unref(stream->lines);
    g_object_unref(stream->body);
    g_object_unref(stream->session);
    g_free(stream);
}
