/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepted connections and their clocks. libsoup's server waits for ever for whoever sends half a
 * head, keeps still, or does not read its answer; here each state has a limit, and the kernel's
 * byte counts tell who moves. [lane]
 */
#include "http.h"
#include <gio/gio.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONN_KEY "emesh-http-conn"
#define LINES_AT_ONCE 20u /* of the log, then one a second */

void
http_log_conn(http_lane *lane, const char *peer, const char *what)
{
    uint64_t now = http_now(lane), worn = (now - lane->log_ns) / HTTP_SECOND;

    if (worn > 0) {
        lane->log_said = worn >= lane->log_said ? 0 : lane->log_said - (uint32_t)worn;
        lane->log_ns = now;
    }
    if (lane->log_said >= LINES_AT_ONCE) {
        lane->log_left_out++;
        return;
    }
    lane->log_said++;
    g_autofree char *more = lane->log_left_out > 0
                                ? g_strdup_printf(" (%u such lines left out)", lane->log_left_out)
                                : NULL;
    g_autofree char *line =
        g_strdup_printf("connection from %s: %s%s", peer, what, more != NULL ? more : "");
    lane->log_left_out = 0;
    lane->http->host->log(lane->http->host, EMESH_LOG_NOTICE, line, strlen(line), NULL, 0);
}

static void
conn_free(gpointer data)
{
    http_conn *conn = data;
    if (conn->lane != NULL) {
        http_instance *http = conn->lane->http;
        g_queue_unlink(&conn->lane->conns, &conn->in_lane);
        __atomic_sub_fetch(&http->n_connections, 1, __ATOMIC_RELAXED);
        http_count(http, http->counters.connections, -1);
    }
    g_clear_object(&conn->stream);
    g_clear_object(&conn->local);
    if (conn->socket == NULL)
        close(conn->fd);
    g_clear_object(&conn->socket);
    g_free(conn);
}

/* -1: libsoup has closed it. */
static int
fd_of(const http_conn *conn)
{
    return conn->socket != NULL ? g_socket_get_fd(conn->socket) : conn->fd;
}

http_conn *
http_conn_of(SoupServerMessage *msg)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(msg);
    return remote == NULL ? NULL : g_object_get_data(G_OBJECT(remote), CONN_KEY);
}

/* Sent and received, in one number that grows while something moves. */
static uint64_t
bytes_moved(const http_conn *conn)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;

    if (getsockopt(fd_of(conn), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_received + info.tcpi_bytes_acked;
}

void
http_conn_enter(http_conn *conn, http_conn_state state)
{
    conn->state = state;
    conn->partial_ns = 0;
    if (conn->lane == NULL)
        return;
    conn->since_ns = http_now(conn->lane);
    if (state == HTTP_IDLE)
        conn->moved = 0; /* looked at when the answer has left */
}

void
http_conn_cut(http_conn *conn)
{
    if (conn->handshake != NULL)
        g_cancellable_cancel(conn->handshake);
    shutdown(fd_of(conn), SHUT_RDWR);
}

bool
http_conn_gone(const http_conn *conn)
{
    char byte;

    if (conn == NULL)
        return true;
    return recv(fd_of(conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void
expire(http_conn *conn, const char *what)
{
    http_instance *http = conn->lane->http;
    http_count(http, http->counters.expired, 1);
    if (what != NULL)
        http_log_conn(conn->lane, conn->peer, what);
    http_conn_cut(conn);
    conn->since_ns = conn->partial_ns = http_now(conn->lane); /* libsoup lets it go soon */
}

/* Between requests: what came since the last look is a part of a head. */
static void
sweep_idle(http_conn *conn, uint64_t now)
{
    const http_options *o = &conn->lane->http->options;
    uint64_t moved = bytes_moved(conn);

    if (conn->moved == 0)
        conn->moved = MAX(moved, 1);
    if (conn->partial_ns == 0 && (conn->greeted ? moved > conn->moved : moved > 1))
        conn->partial_ns = now;
    if (conn->partial_ns != 0 && now - conn->partial_ns >= o->request_ns)
        expire(conn, "the head of a request was not finished in time");
    else if (conn->partial_ns == 0 && !conn->greeted && now - conn->since_ns >= o->handshake_ns)
        expire(conn, "it sent no request");
    else if (conn->partial_ns == 0 &&
             (now - conn->since_ns >= o->keep_alive_ns || conn->lane->is_draining))
        expire(conn, NULL);
}

static void
sweep_one(http_conn *conn, uint64_t now)
{
    const http_options *o = &conn->lane->http->options;
    uint64_t moved;

    switch (conn->state) {
    case HTTP_HANDSHAKE:
        if (now - conn->since_ns >= o->handshake_ns)
            http_conn_cut(conn);
        break;
    case HTTP_IDLE:
        sweep_idle(conn, now);
        break;
    case HTTP_READING:
        if (now - conn->since_ns >= o->request_ns)
            expire(conn, "the body of a request was not finished in time");
        break;
    case HTTP_WORKING:
        break;
    case HTTP_WRITING:
        moved = bytes_moved(conn);
        if (moved != conn->moved) {
            conn->moved = moved;
            conn->since_ns = now;
        } else if (now - conn->since_ns >= o->request_ns) {
            expire(conn, "its answer was not read in time");
        }
        break;
    }
}

static void
follow_certificate(http_lane *lane)
{
    const http_options *o = &lane->http->options;
    g_autoptr(GError) error = NULL;
    int64_t stamp;

    if (o->tls_certificate == NULL || (stamp = http_tls_stamp(o)) == lane->tls.stamp)
        return;
    if (http_tls_load(&lane->tls, o, &error))
        return;
    lane->tls.stamp = stamp; /* told once for each change */
    g_autofree char *line = g_strdup_printf("the changed certificate is not taken, the old one "
                                            "stays: %s",
                                            error->message);
    lane->http->host->log(lane->http->host, EMESH_LOG_WARNING, line, strlen(line), NULL, 0);
}

void
http_conns_sweep(http_lane *lane, uint64_t now)
{
    follow_certificate(lane);
    for (GList *l = lane->conns.head, *next; l != NULL; l = next) {
        next = l->next;
        sweep_one(l->data, now);
    }
}

static void
serve(http_conn *conn, GIOStream *stream)
{
    g_autoptr(GError) error = NULL;
    if (conn->state != HTTP_IDLE)
        http_conn_enter(conn, HTTP_IDLE);
    if (!soup_server_accept_iostream(conn->lane->server, stream, conn->local, conn->remote, &error))
        http_log_conn(conn->lane, conn->peer, error->message);
}

static void
write_peer(http_conn *conn)
{
    GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS(conn->remote);
    g_autofree char *text = g_inet_address_to_string(g_inet_socket_address_get_address(inet));
    g_snprintf(conn->peer, sizeof conn->peer, strchr(text, ':') != NULL ? "[%s]:%u" : "%s:%u", text,
               g_inet_socket_address_get_port(inet));
}

void
http_conn_new(http_lane *lane, int fd, GSocketAddress *local, GSocketAddress *remote)
{
    http_conn *conn = g_new0(http_conn, 1);
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->lane = lane;
    conn->fd = fd;
    conn->local = local != NULL ? g_object_ref(local) : g_object_ref(remote);
    conn->remote = g_object_ref(remote);
    conn->in_lane.data = conn;
    conn->state = HTTP_HANDSHAKE;
    conn->since_ns = http_now(lane);
    write_peer(conn);
    g_queue_push_tail_link(&lane->conns, &conn->in_lane);
    http_count(lane->http, lane->http->counters.connections, 1);
    if (lane->tls.certificate != NULL) {
        http_conn_hand_over(conn);
        return;
    }
    http_conn_enter(conn, HTTP_IDLE);
    if (!http_direct_start(conn))
        http_conn_close(conn);
}

void
http_conn_close(http_conn *conn)
{
    GSocketAddress *remote = conn->remote;

    http_direct_stop(conn);
    conn_free(conn);
    g_object_unref(remote);
}

void
http_conn_hand_over(http_conn *conn)
{
    g_autoptr(GSocketAddress) remote = conn->remote;
    g_autoptr(GError) error = NULL;

    http_direct_stop(conn);
    conn->socket = g_socket_new_from_fd(conn->fd, &error);
    if (conn->socket == NULL) {
        http_log_conn(conn->lane, conn->peer, error->message);
        conn_free(conn);
        return;
    }
    g_socket_set_blocking(conn->socket, FALSE);
    g_object_set_data_full(G_OBJECT(remote), CONN_KEY, conn, conn_free);
    conn->stream = G_IO_STREAM(g_socket_connection_factory_create_connection(conn->socket));
    if (conn->lane->tls.certificate != NULL) {
        http_tls_begin(conn, serve);
        return;
    }
    serve(conn, conn->stream);
    g_clear_object(&conn->stream);
}

void
http_conns_forget(http_lane *lane)
{
    while (lane->conns.head != NULL) { /* libsoup may keep records a little longer */
        http_conn *conn = lane->conns.head->data;
        if (conn->direct != NULL) {
            http_conn_close(conn);
            continue;
        }
        g_queue_unlink(&lane->conns, &conn->in_lane);
        __atomic_sub_fetch(&lane->http->n_connections, 1, __ATOMIC_RELAXED);
        http_count(lane->http, lane->http->counters.connections, -1);
        conn->lane = NULL;
        http_conn_cut(conn);
    }
}
