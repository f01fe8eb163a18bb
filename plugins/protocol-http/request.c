/* SPDX-License-Identifier: Apache-2.0
 *
 * From libsoup's messages to requests: what may not come in at all is refused behind its head,
 * bodies are collected within limits, one answer leaves for each. [lane]
 */
#include "http.h"
#include "form.h"
#include "json.h"
#include <string.h>

#define REQUEST_KEY "emesh-http-request"

http_request *
http_request_ref(http_request *r)
{
    r->refs++;
    return r;
}

static void
unaccount(http_request *r)
{
    __atomic_sub_fetch(&r->lane->http->memory, r->announced, __ATOMIC_RELAXED);
    r->announced = 0;
}

void
http_request_unref(http_request *r)
{
    if (--r->refs > 0)
        return;
    if (r->body != NULL)
        g_byte_array_unref(r->body);
    g_clear_pointer(&r->params, g_hash_table_unref);
    if (r->lines != NULL)
        g_string_free(r->lines, TRUE);
    g_free(r->query);
    g_free(r->path);
    g_free(r);
}

const char *
http_request_param(http_request *r, const char *name)
{
    http_form form = { .first_wins = true };

    if (r->query == NULL)
        return NULL;
    if (r->params == NULL) {
        g_autofree char *copy = g_strdup(r->query);
        r->params = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        http_form_parse(&form, copy, strlen(copy)); /* what is wrong is absent */
        for (unsigned i = form.n; i-- > 0;)
            g_hash_table_insert(r->params, g_strndup(form.fields[i].name, form.fields[i].name_len),
                                g_strndup(form.fields[i].value, form.fields[i].len));
    }
    return g_hash_table_lookup(r->params, name);
}

const char *
http_request_secret(http_request *r)
{
    static const char *const names[] = { "passwd", "token" };
    const char *bearer = http_request_header(r, "Authorization");

    if (bearer != NULL && g_ascii_strncasecmp(bearer, "Bearer ", 7) == 0)
        return bearer + 7;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *value = http_request_header(r, names[i]);
        if (value != NULL && *value != '\0')
            return value;
    }
    return http_request_param(r, "access_token");
}

const char *
http_request_header(const http_request *r, const char *name)
{
    return r->head != NULL ? soup_message_headers_get_one(r->head, name) : NULL;
}

bool
http_request_take_body(http_request *r, emesh_part *out)
{
    GBytes *bytes = g_byte_array_free_to_bytes(g_steal_pointer(&r->body));
    *out = (emesh_part){ NULL, 0, NULL };
    out->owner = r->lane->http->glib->adopt(r->lane->http->host, bytes, out);
    g_bytes_unref(bytes);
    r->body = g_byte_array_new();
    return out->owner != NULL;
}

void
http_request_wait(http_request *r)
{
    if (r->msg != NULL)
        soup_server_message_pause(r->msg);
}

void
http_answer_header(http_request *r, const char *name, const char *value)
{
    if (r->msg != NULL) {
        soup_message_headers_replace(soup_server_message_get_response_headers(r->msg), name, value);
        return;
    }
    if (strpbrk(value, "\r\n") != NULL)
        return;
    if (r->lines == NULL)
        r->lines = g_string_new(NULL);
    g_string_append(r->lines, name);
    g_string_append(r->lines, ": ");
    g_string_append(r->lines, value);
    g_string_append(r->lines, "\r\n");
}

void
http_answer(http_request *r, uint32_t status, const char *type, char *body, size_t len)
{
    const http_instance *http = r->lane->http;

    if (r->gone || r->answered) { /* the peer is gone */
        g_free(body);
        return;
    }
    r->answered = true;
    http_count(http, http->counters.requests, 1);
    if (status >= 400)
        http_count(http, http->counters.refused, 1);
    if (r->msg == NULL) {
        http_direct_answer(r, status, type, body, len);
        return;
    }
    if (r->lane->is_draining || status == 413)
        http_answer_header(r, "Connection", "close");
    soup_server_message_set_status(r->msg, status, NULL);
    soup_server_message_set_response(r->msg, type, SOUP_MEMORY_TAKE, body, len);
    if (r->conn != NULL)
        http_conn_enter(r->conn, HTTP_WRITING);
    soup_server_message_unpause(r->msg);
}

/* ---- what comes in ---- */

void
http_request_account(http_request *r, size_t n)
{
    http_instance *http = r->lane->http;
    uint64_t all = __atomic_add_fetch(&http->memory, n, __ATOMIC_RELAXED);

    r->announced += n;
    if (all <= http->options.max_memory)
        return;
    http_log_conn(r->lane, r->conn != NULL ? r->conn->peer : "a client",
                  "cut, the bodies that are being received fill max-memory");
    if (r->conn != NULL)
        http_conn_cut(r->conn);
}

static void
on_chunk(SoupServerMessage *msg, GBytes *chunk, http_request *r)
{
    http_instance *http = r->lane->http;
    const http_options *o = &http->options;
    size_t len = 0;
    const void *data = g_bytes_get_data(chunk, &len);
    (void)msg;

    if (r->thrown == 0 && !r->answered && r->body->len + len <= o->max_input) {
        http_request_account(r, len);
        g_byte_array_append(r->body, data, (guint)len);
        return;
    }
    if (r->thrown == 0) { /* none of it is of use any more */
        g_byte_array_set_size(r->body, 0);
        unaccount(r);
    }
    r->thrown += len;
    if (r->thrown > 2 * o->max_input && r->conn != NULL)
        http_conn_cut(r->conn);
}

void
http_request_end(http_request *r)
{
    unaccount(r);
    if (r->conn != NULL)
        http_conn_enter(r->conn, HTTP_IDLE);
    r->lane->n_requests--;
    r->gone = true;
    r->msg = NULL;
    r->conn = NULL;
    r->head = NULL;
    http_lane_settle_down(r->lane);
}

static void
on_finished(SoupServerMessage *msg, http_request *r)
{
    (void)msg;
    http_request_end(r);
}

static void
request_gone(gpointer data)
{
    http_request *r = data;
    if (!r->gone) /* it never finished */
        http_request_end(r);
    http_request_unref(r);
}

http_request *
http_request_new(http_lane *lane, http_conn *conn)
{
    http_request *r = g_new0(http_request, 1);

    r->refs = 1;
    r->lane = lane;
    r->conn = conn;
    lane->n_requests++;
    if (conn != NULL) {
        conn->greeted = true;
        http_conn_enter(conn, HTTP_READING);
    }
    return r;
}

static http_request *
request_of(http_lane *lane, SoupServerMessage *msg)
{
    http_request *r = http_request_new(lane, http_conn_of(msg));
    GUri *uri = soup_server_message_get_uri(msg);

    r->msg = msg;
    r->method = soup_server_message_get_method(msg);
    r->head = soup_server_message_get_request_headers(msg);
    r->body = g_byte_array_new();
    r->path = g_strdup(g_uri_get_path(uri));
    r->query = g_strdup(g_uri_get_query(uri));
    return r;
}

/* Two lengths of one body, which a proxy in front may understand otherwise than we do. */
static const char *
framing_flaw(SoupMessageHeaders *head)
{
    const char *length = soup_message_headers_get_list(head, "Content-Length");
    const char *coding = soup_message_headers_get_list(head, "Transfer-Encoding");

    if (length != NULL && coding != NULL)
        return "both Content-Length and Transfer-Encoding are given";
    if (length != NULL && strspn(length, "0123456789") != strlen(length))
        return "it is not one number";
    if (coding != NULL && g_ascii_strcasecmp(coding, "chunked") != 0)
        return "the only transfer coding known here is chunked";
    return NULL;
}

/* Answered before the body: libsoup answers behind it only, so where the connection is plain the
 * answer is written past it, and what still comes is thrown away for a moment. */
static void
refuse_early(http_request *r, uint32_t status, const char *field, const char *text)
{
    g_autoptr(GString) body = g_string_new("{\"error\":");
    g_autofree char *answer = NULL;

    http_answer_header(r, "Connection", "close");
    http_refuse(r, status, field, "%s", text);
    if (r->conn == NULL || r->lane->tls.certificate != NULL)
        return;
    http_json_put(body, text, strlen(text));
    g_string_append(body, ",\"field\":");
    http_json_put(body, field, strlen(field));
    g_string_append_c(body, '}');
    answer = g_strdup_printf("HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: "
                             "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                             status, soup_status_get_phrase(status), body->len, body->str);
    if (g_socket_send(r->conn->socket, answer, strlen(answer), NULL, NULL) > 0)
        g_socket_shutdown(r->conn->socket, FALSE, TRUE, NULL);
}

/* After the head. A status set here keeps the handler from being called. */
static void
on_headers(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *query,
           gpointer data)
{
    http_lane *lane = data;
    http_request *r = request_of(lane, msg);
    (void)server, (void)path, (void)query;

    g_object_set_data_full(G_OBJECT(msg), REQUEST_KEY, r, request_gone);
    soup_message_body_set_accumulate(soup_server_message_get_request_body(msg), FALSE);
    g_signal_connect(msg, "got-chunk", G_CALLBACK(on_chunk), r);
    g_signal_connect(msg, "finished", G_CALLBACK(on_finished), r);
    const char *flaw = framing_flaw(r->head);
    if (flaw != NULL) {
        refuse_early(r, 400,
                     soup_message_headers_get_list(r->head, "Transfer-Encoding") != NULL
                         ? "Transfer-Encoding"
                         : "Content-Length",
                     flaw);
        return;
    }
    goffset length = soup_message_headers_get_content_length(r->head);
    if (soup_message_headers_get_encoding(r->head) == SOUP_ENCODING_CONTENT_LENGTH && length > 0 &&
        (uint64_t)length > lane->http->options.max_input) {
        g_autofree char *text =
            g_strdup_printf("a body of %" G_GINT64_FORMAT " bytes, the limit is %" G_GUINT64_FORMAT,
                            (gint64)length, lane->http->options.max_input);
        refuse_early(r, 413, "Content-Length", text);
    }
}

static void
on_request(SoupServer *server, SoupServerMessage *msg, const char *path, GHashTable *query,
           gpointer data)
{
    http_request *r = g_object_get_data(G_OBJECT(msg), REQUEST_KEY);
    (void)server, (void)path, (void)query, (void)data;

    if (!r->answered)
        http_request_serve(r);
}

void
http_request_serve(http_request *r)
{
    if (r->conn != NULL)
        http_conn_enter(r->conn, HTTP_WORKING);
    if (r->thrown > 0)
        http_refuse(r, 413, NULL, "the body is over the limit of %" G_GUINT64_FORMAT " bytes",
                    r->lane->http->options.max_input);
    else
        http_route(r);
}

void
http_server_start(http_lane *lane)
{
    lane->server = soup_server_new("raw-paths", TRUE, NULL);
    soup_server_add_early_handler(lane->server, NULL, on_headers, lane, NULL);
    soup_server_add_handler(lane->server, NULL, on_request, lane, NULL);
}
