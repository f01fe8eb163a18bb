/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that need no more of libsoup than its parser of heads: POST on plain TCP with a body of
 * known, modest length, which is what publishers send. They are read, answered and written here, on
 * the lane's own descriptors. A head is looked at while it is in the socket; if it is anything else
 * it stays there, and libsoup's server has the connection from then on. [lane]
 */
#include "http.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LOOK 16384u     /* a longer head is libsoup's */
#define BODY_MAX 65536u /* and so is a longer body */
#define ANSWER_KEPT 65536u

struct http_direct {
    emesh_watch *watch;
    http_request *request; /* under way; a reference */
    SoupMessageHeaders *head;
    char *host;      /* the last one that was found good */
    size_t body_len; /* READING: of the whole body */
    size_t wanted;   /* the socket wakes us when it has so much */
    GString *rest;   /* of an answer that the socket did not take */
    size_t rest_at;
    bool busy;    /* inside of on_ready(), which ends the request */
    bool closing; /* when the answer has left */
};

static void
want(http_conn *conn, size_t n)
{
    int bytes = (int)n;

    if (conn->direct->wanted == n)
        return;
    setsockopt(conn->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    conn->direct->wanted = n;
}

static void
listen_for(http_conn *conn, uint32_t interest)
{
    conn->lane->http->loop->watch_set(conn->direct->watch, interest);
}

/* ---- the answer ---- */

/* It has left: the next one may come. */
static void
end_request(http_conn *conn)
{
    http_direct *d = conn->direct;
    http_request *r = g_steal_pointer(&d->request);

    http_request_end(r);
    http_request_unref(r);
    if (d->closing)
        http_conn_close(conn);
    else
        listen_for(conn, EMESH_IN);
}

static void
flush(http_conn *conn)
{
    http_direct *d = conn->direct;

    while (d->rest_at < d->rest->len) {
        ssize_t n = send(conn->fd, d->rest->str + d->rest_at, d->rest->len - d->rest_at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            listen_for(conn, EMESH_OUT);
            return;
        }
        if (n < 0) {
            http_conn_close(conn);
            return;
        }
        d->rest_at += (size_t)n;
    }
    g_string_free(g_steal_pointer(&d->rest), TRUE);
    end_request(conn);
}

static const char *
date(http_lane *lane)
{
    uint64_t now = http_wall_ms(lane) / 1000;

    if (now != lane->date_s) {
        g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc((gint64)now);
        g_autofree char *text = soup_date_time_to_string(when, SOUP_DATE_HTTP);
        g_strlcpy(lane->date, text, sizeof lane->date);
        lane->date_s = now;
    }
    return lane->date;
}

static void
put_number(GString *out, size_t n)
{
    char text[24], *at = text + sizeof text;

    do {
        *--at = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    g_string_append_len(out, at, text + sizeof text - at);
}

static void
put_head(GString *out, const http_request *r, uint32_t status, const char *type, size_t len)
{
    g_string_append(out, "HTTP/1.1 ");
    put_number(out, status);
    g_string_append_c(out, ' ');
    g_string_append(out, soup_status_get_phrase(status));
    g_string_append(out, "\r\nDate: ");
    g_string_append(out, date(r->lane));
    if (r->conn->direct->closing)
        g_string_append(out, "\r\nConnection: close");
    g_string_append(out, "\r\nContent-Type: ");
    g_string_append(out, type);
    g_string_append(out, "\r\nContent-Length: ");
    put_number(out, len);
    g_string_append(out, "\r\n");
    if (r->lines != NULL)
        g_string_append_len(out, r->lines->str, (gssize)r->lines->len);
    g_string_append(out, "\r\n");
}

void
http_direct_answer(http_request *r, uint32_t status, const char *type, char *body, size_t len)
{
    http_conn *conn = r->conn;
    http_direct *d = conn->direct;
    GString *out = r->lane->answer;
    ssize_t n;

    d->closing = d->closing || r->lane->is_draining || status == 413;
    g_string_truncate(out, 0);
    put_head(out, r, status, type, len);
    g_string_append_len(out, body, (gssize)len);
    g_free(body);
    http_conn_enter(conn, HTTP_WRITING);
    n = send(conn->fd, out->str, out->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n != (ssize_t)out->len) {
        d->rest = g_string_new_len(out->str, (gssize)out->len);
        d->rest_at = n > 0 ? (size_t)n : 0;
        listen_for(conn, EMESH_OUT); /* errors show there as well */
    }
    if (out->allocated_len > ANSWER_KEPT) {
        g_string_free(out, TRUE);
        r->lane->answer = g_string_sized_new(1024);
    }
    if (d->rest == NULL && !d->busy)
        end_request(conn);
}

/* ---- the request ---- */

/* Its length with the empty line; 0: it is not whole; -1: not for us. */
static ssize_t
head_len(const char *text, size_t len)
{
    static const char method[] = "POST /";
    const char *line = text, *end = text + len, *lf;

    if (memcmp(text, method, MIN(len, sizeof method - 1)) != 0)
        return -1;
    while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        if (lf == line || lf[-1] != '\r')
            return -1;
        if (lf == line + 1)
            return lf + 1 - text;
        line = lf + 1;
    }
    return 0;
}

/* What GUri makes of it, as for libsoup's server. false: it makes nothing of it. */
static bool
take_encoded(const char *target, char **path, char **query)
{
    g_autofree char *text = g_strconcat("http://host", target, NULL);
    g_autoptr(GUri) uri = g_uri_parse(text, SOUP_HTTP_URI_FLAGS, NULL);

    if (uri == NULL || g_uri_get_fragment(uri) != NULL)
        return false;
    *path = g_strdup(g_uri_get_path(uri));
    *query = g_strdup(g_uri_get_query(uri));
    return true;
}

static bool
take_target(char *target, char **path, char **query) /* takes target */
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/-_.~?&=,:;@+$!*()";
    char *mark;

    if (target[strspn(target, plain)] != '\0' || strstr(target, "/.") != NULL) {
        bool good = take_encoded(target, path, query);
        g_free(target);
        return good;
    }
    mark = strchr(target, '?');
    *query = mark != NULL ? g_strdup(mark + 1) : NULL;
    if (mark != NULL)
        *mark = '\0';
    *path = target;
    return true;
}

static bool
host_ok(http_direct *d, const char *host)
{
    g_autofree char *text = NULL;
    g_autoptr(GUri) uri = NULL;

    if (host == NULL || strpbrk(host, "/?#@") != NULL)
        return false;
    if (d->host != NULL && strcmp(d->host, host) == 0)
        return true;
    text = g_strconcat("http://", host, "/", NULL);
    uri = g_uri_parse(text, SOUP_HTTP_URI_FLAGS, NULL);
    if (uri == NULL || *g_uri_get_host(uri) == '\0')
        return false;
    g_free(d->host);
    d->host = g_strdup(host);
    return true;
}

/* The length of the body. false: not for us. */
static bool
body_of(const http_lane *lane, SoupMessageHeaders *head, size_t *len)
{
    const char *text = soup_message_headers_get_list(head, "Content-Length");

    *len = 0;
    if (soup_message_headers_get_list(head, "Transfer-Encoding") != NULL ||
        soup_message_headers_get_list(head, "Expect") != NULL)
        return false;
    for (const char *c = text; c != NULL && *c != '\0'; c++) {
        if (!g_ascii_isdigit(*c) || *len > BODY_MAX)
            return false;
        *len = *len * 10 + (size_t)(*c - '0');
    }
    return (text == NULL || *text != '\0') && *len <= MIN(BODY_MAX, lane->http->options.max_input);
}

/* NULL: it is not for us. */
static http_request *
parse(http_conn *conn, char *text, size_t len)
{
    http_direct *d = conn->direct;
    SoupHTTPVersion version = SOUP_HTTP_1_0;
    char *target = NULL, *path, *query;
    const char *ends;
    http_request *r;

    soup_message_headers_clear(d->head);
    text[len - 2] = '\0';
    if (memchr(text, '\0', len - 2) != NULL ||
        soup_headers_parse_request(text, (int)len - 2, d->head, NULL, &target, &version) !=
            SOUP_STATUS_OK)
        return NULL;
    if (version != SOUP_HTTP_1_1 || target[0] != '/' ||
        !host_ok(d, soup_message_headers_get_list(d->head, "Host")) ||
        !body_of(conn->lane, d->head, &d->body_len)) {
        g_free(target);
        return NULL;
    }
    if (!take_target(target, &path, &query))
        return NULL;
    ends = soup_message_headers_get_list(d->head, "Connection");
    d->closing = ends != NULL && soup_header_contains(ends, "close");
    r = http_request_new(conn->lane, conn);
    r->path = path;
    r->query = query;
    r->method = "POST";
    r->head = d->head;
    r->body = g_byte_array_sized_new((guint)d->body_len + 1);
    return r;
}

/* The request is whole. */
static void
serve(http_conn *conn)
{
    http_direct *d = conn->direct;

    want(conn, 1);
    d->busy = true;
    http_request_serve(d->request);
    d->busy = false;
    if (d->request->answered && d->rest == NULL)
        end_request(conn);
}

/* Takes the head out of the socket, and what there is of the body. */
static void
begin(http_conn *conn, char *look, size_t head, http_request *r)
{
    http_direct *d = conn->direct;
    struct iovec into[2] = { { look, head }, { r->body->data, d->body_len } };
    struct msghdr message = { .msg_iov = into, .msg_iovlen = d->body_len > 0 ? 2 : 1 };
    ssize_t n;

    d->request = r;
    n = recvmsg(conn->fd, &message, MSG_DONTWAIT);
    if (n < (ssize_t)head) { /* what was there a moment ago is gone: so is the peer */
        http_conn_close(conn);
        return;
    }
    r->body->len = (guint)((size_t)n - head);
    http_request_account(r, r->body->len);
    if (r->body->len == d->body_len)
        serve(conn);
    else
        want(conn, 1);
}

static void
read_body(http_conn *conn)
{
    http_direct *d = conn->direct;
    GByteArray *body = d->request->body;
    ssize_t n = recv(conn->fd, body->data + body->len, d->body_len - body->len, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        http_conn_close(conn);
        return;
    }
    body->len += (guint)n;
    http_request_account(d->request, (size_t)n);
    if (body->len == d->body_len)
        serve(conn);
}

static void
look(http_conn *conn)
{
    char text[LOOK];
    ssize_t n = recv(conn->fd, text, sizeof text, MSG_PEEK | MSG_DONTWAIT), head;
    http_request *r = NULL;

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n <= 0) {
        http_conn_close(conn);
        return;
    }
    head = head_len(text, (size_t)n);
    if (head > 0)
        r = parse(conn, text, (size_t)head);
    if (r != NULL)
        begin(conn, text, (size_t)head, r);
    else if (head != 0 || (size_t)n == sizeof text || (size_t)n < conn->direct->wanted)
        http_conn_hand_over(conn); /* the last: nothing more will come */
    else
        want(conn, (size_t)n + 1);
}

static void
on_ready(void *ctx, int32_t fd, uint32_t what)
{
    http_conn *conn = ctx;
    (void)fd;

    if ((what & EMESH_HUP) != 0)
        http_conn_close(conn);
    else if (conn->direct->rest != NULL)
        flush(conn);
    else if (conn->state == HTTP_IDLE)
        look(conn);
    else if (conn->state == HTTP_READING)
        read_body(conn);
    else
        listen_for(conn, 0); /* the next request, or the end: seen to behind the answer */
}

/* ---- life ---- */

bool
http_direct_start(http_conn *conn)
{
    http_direct *d = g_new0(http_direct, 1);

    conn->direct = d;
    if (conn->lane->answer == NULL)
        conn->lane->answer = g_string_sized_new(1024);
    d->wanted = 1;
    d->head = soup_message_headers_new(SOUP_MESSAGE_HEADERS_REQUEST);
    d->watch = conn->lane->http->loop->watch(conn->lane->loop, conn->fd, EMESH_IN, on_ready, conn);
    return d->watch != NULL;
}

void
http_direct_stop(http_conn *conn)
{
    http_direct *d = conn->direct;
    http_request *r;

    if (d == NULL)
        return;
    r = g_steal_pointer(&d->request);
    if (r != NULL) {
        http_request_end(r);
        http_request_unref(r);
    }
    want(conn, 1);
    if (d->watch != NULL)
        conn->lane->http->loop->watch_end(d->watch);
    soup_message_headers_unref(d->head);
    if (d->rest != NULL)
        g_string_free(d->rest, TRUE);
    g_free(d->host);
    g_free(d);
    conn->direct = NULL;
}
