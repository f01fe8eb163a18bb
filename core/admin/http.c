/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP face: who may ask, which endpoint, bodies with a limit, answers as JSON. [lane]
 */
#include "admin/compat.h"

#include <string.h>

#define REQUEST_KEY "emesh-admin-request"
#define FLOOD (16u * EMESH_ADMIN_MAX_BODY) /* a body that does not end: the connection is cut */

emesh_admin_request *
emesh_request_ref(emesh_admin_request *request)
{
    request->refs++;
    return request;
}

void
emesh_request_unref(emesh_admin_request *request)
{
    if (--request->refs > 0)
        return;
    g_clear_pointer(&request->query, g_hash_table_unref);
    g_clear_pointer(&request->rows, json_array_unref);
    g_byte_array_unref(request->body);
    g_free(request->call);
    if (request->late != NULL) {
        g_source_destroy(request->late);
        g_source_unref(request->late);
    }
    if (request->forget != NULL)
        request->forget(request->plan);
    g_free(request->verb);
    g_free(request->topic);
    g_free(request->event_id);
    g_free(request->args);
    g_free(request);
}

const char *
emesh_request_param(const emesh_admin_request *request, const char *name)
{
    return request->query == NULL ? NULL : g_hash_table_lookup(request->query, name);
}

void
emesh_request_wait(emesh_admin_request *request)
{
    if (request->msg != NULL)
        soup_server_message_pause(request->msg);
}

void
emesh_request_answer(emesh_admin_request *request, uint32_t status, const char *type, char *body,
                     gsize len)
{
    if (request->publish.event != NULL) { /* decoded, but never handed to the bus */
        request->lane->admin->ev->unref(&request->publish.event, 1);
        request->publish.event = NULL;
    }
    if (request->msg == NULL) { /* the peer is gone */
        g_free(body);
        return;
    }
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(request->msg);
    soup_message_headers_replace(headers, "Connection", "close");
    soup_message_headers_replace(headers, "Cache-Control", "no-store");
    soup_server_message_set_status(request->msg, status, NULL);
    soup_server_message_set_response(request->msg, type, SOUP_MEMORY_TAKE, body, len);
    if (request->conn != NULL)
        emesh_conn_enter(request->conn, EMESH_CONN_WRITING);
    soup_server_message_unpause(request->msg);
}

void
emesh_request_error(emesh_admin_request *request, int32_t code, const emesh_error *err)
{
    gsize len = 0;
    if (request->compat) {
        emesh_compat_failed(request, code, err);
        return;
    }
    emesh_error none = { .size = sizeof none, .code = code };
    if (err == NULL || err->text[0] == '\0') {
        g_strlcpy(none.text, emesh_code_name(code), sizeof none.text);
        err = &none;
    }
    char *body = emesh_json_error_of(code, err, &len);
    if (request->msg != NULL && emesh_http_status(code) == 429)
        soup_message_headers_replace(soup_server_message_get_response_headers(request->msg),
                                     "Retry-After", "1");
    emesh_request_answer(request, emesh_http_status(code), "application/json", body, len);
}

static void
fail_text(emesh_admin_request *request, int32_t code, const char *argument, const char *text)
{
    emesh_error err = { .size = sizeof err, .code = code };
    g_strlcpy(err.option, argument, sizeof err.option);
    g_strlcpy(err.text, text, sizeof err.text);
    emesh_request_error(request, code, &err);
}

void
emesh_request_fail(emesh_admin_request *request, int32_t code, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fail_text(request, code, "", text);
}

void
emesh_request_refuse(emesh_admin_request *request, const char *argument, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fail_text(request, EMESH_E_INVALID, argument, text);
}

static uint32_t
body_most(const emesh_admin_request *request)
{
    return request->conn->is_unix ? EMESH_ADMIN_MAX_BODY : request->lane->admin->options.max_input;
}

static void
on_chunk(SoupServerMessage *msg, GBytes *chunk, emesh_admin_request *request)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(chunk, &len);
    (void)msg;
    if (request->body->len + len <= body_most(request) && !request->too_large) {
        g_byte_array_append(request->body, data, (guint)len);
        return;
    }
    request->too_large = true;
    request->cookie += len; /* no cookie yet: counts what is thrown away */
    if (request->cookie > FLOOD) {
        emesh_conn_log(request->conn, EMESH_PEER_FLOOD,
                       "cut, the body of its request does not end");
        emesh_conn_cut(request->conn);
    }
}

static void
on_finished(SoupServerMessage *msg, emesh_admin_request *request)
{
    (void)msg;
    request->msg = NULL;
    request->conn = NULL;
}

/* After the headers: a request record, and a refusal for whoever may not ask. A status set here
 * keeps the handler from being called. */
static void
on_headers(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *query,
           gpointer data)
{
    emesh_admin_lane *lane = data;
    (void)server;
    emesh_admin_request *request = g_new0(emesh_admin_request, 1);
    request->refs = 1;
    request->lane = lane;
    request->msg = msg;
    request->conn = emesh_conn_of(msg);
    request->query = query == NULL ? NULL : g_hash_table_ref(query);
    request->body = g_byte_array_new();
    g_object_set_data_full(G_OBJECT(msg), REQUEST_KEY, request,
                           (GDestroyNotify)emesh_request_unref);
    soup_message_body_set_accumulate(soup_server_message_get_request_body(msg), FALSE);
    g_signal_connect(msg, "got-chunk", G_CALLBACK(on_chunk), request);
    g_signal_connect(msg, "finished", G_CALLBACK(on_finished), request);
    if (request->conn == NULL) {
        emesh_request_fail(request, EMESH_E_DENIED, "nobody knows whose connection this is");
        return;
    }
    g_strlcpy(request->user, request->conn->user, sizeof request->user);
    if (!emesh_auth_ok(request, path))
        return;
    goffset length =
        soup_message_headers_get_content_length(soup_server_message_get_request_headers(msg));
    if (length > body_most(request))
        emesh_request_fail(request, EMESH_E_TOO_LARGE,
                           "a body of %" G_GINT64_FORMAT " bytes is over the limit of %u",
                           (gint64)length, body_most(request));
}

static void
on_request(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *query,
           gpointer data)
{
    emesh_admin_lane *lane = data;
    emesh_admin_request *request = g_object_get_data(G_OBJECT(msg), REQUEST_KEY);
    (void)server, (void)query;
    request->cookie = 0;
    emesh_conn_enter(request->conn, EMESH_CONN_WORKING);
    if (request->too_large)
        emesh_request_fail(request, EMESH_E_TOO_LARGE, "the body is over the limit of %u bytes",
                           body_most(request));
    else if (lane->draining)
        emesh_request_fail(request, EMESH_E_UNAVAILABLE, "the daemon is stopping");
    else
        emesh_http_route(request, path);
}

bool
emesh_http_start(emesh_admin_lane *lane, GError **error)
{
    g_queue_init(&lane->conns);
    lane->server = soup_server_new("server-header", "eventmesh", NULL);
    soup_server_add_early_handler(lane->server, NULL, on_headers, lane, NULL);
    soup_server_add_handler(lane->server, NULL, on_request, lane, NULL);
    return emesh_tcp_start(lane, error);
}

void
emesh_http_stop(emesh_admin_lane *lane)
{
    emesh_accept_stop(lane);
    emesh_tcp_stop(lane);
    if (lane->server == NULL)
        return;
    soup_server_disconnect(lane->server);
    g_clear_object(&lane->server);
    emesh_conns_forget(lane);
}
