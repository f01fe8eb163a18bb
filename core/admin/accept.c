/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: their records, which ride on the address object that libsoup keeps exactly as long
 * as the connection; and the accepting of those of the Unix socket, for libsoup has no limit on
 * their number. [lane]
 */
#include "admin/face.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE_MS 100 /* when there is no descriptor left */

static gboolean on_ready(gint listener, GIOCondition condition, gpointer data);

/* The record is off its lane, which counts it no more. */
static void
conn_leave(emesh_admin_conn *conn)
{
    g_queue_unlink(&conn->lane->conns, &conn->in_lane);
    if (conn->is_unix)
        conn->lane->n_unix--;
    else
        __atomic_sub_fetch(&conn->lane->admin->n_tcp, 1, __ATOMIC_RELAXED);
    conn->lane = NULL;
}

static void
conn_free(gpointer data)
{
    emesh_admin_conn *conn = data;
    if (conn->lane != NULL)
        conn_leave(conn);
    g_clear_object(&conn->address);
    g_clear_object(&conn->tls);
    g_object_unref(conn->socket);
    g_free(conn);
}

emesh_admin_conn *
emesh_conn_of(SoupServerMessage *msg)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(msg);
    return remote == NULL ? NULL : g_object_get_data(G_OBJECT(remote), EMESH_CONN_KEY);
}

void
emesh_conn_cut(emesh_admin_conn *conn)
{
    if (conn->handshake != NULL)
        g_cancellable_cancel(conn->handshake);
    g_socket_shutdown(conn->socket, TRUE, TRUE, NULL);
}

emesh_admin_conn *
emesh_admin_conn_new(emesh_admin_lane *lane, GSocket *socket, GSocketAddress *address)
{
    emesh_admin_conn *conn = g_new0(emesh_admin_conn, 1);
    conn->lane = lane;
    conn->socket = g_object_ref(socket);
    conn->in_lane.data = conn;
    g_queue_push_tail_link(&lane->conns, &conn->in_lane);
    g_object_set_data_full(G_OBJECT(address), EMESH_CONN_KEY, conn, conn_free);
    return conn;
}

void
emesh_conn_serve(emesh_admin_conn *conn, GIOStream *stream, GSocketAddress *address)
{
    g_autoptr(GError) error = NULL;
    if (!soup_server_accept_iostream(conn->lane->server, stream, address, address, &error))
        g_debug("admin: a connection could not be taken: %s", error->message);
}

void
emesh_conns_forget(emesh_admin_lane *lane)
{
    while (lane->conns.head != NULL) { /* records that libsoup still keeps: theirs from now on */
        emesh_admin_conn *conn = lane->conns.head->data;
        conn_leave(conn);
        emesh_conn_cut(conn);
    }
}

/* One accepted socket of a local user. libsoup takes its address for an internet one. */
static void
conn_take(emesh_admin_lane *lane, GSocket *socket, uid_t uid, pid_t pid)
{
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.1", 80);
    emesh_admin_conn *conn = emesh_admin_conn_new(lane, socket, address);
    conn->is_unix = true;
    lane->n_unix++;
    conn->uid = uid;
    conn->pid = pid;
    g_snprintf(conn->user, sizeof conn->user, "uid:%ld", (long)uid);
    g_snprintf(conn->peer, sizeof conn->peer, "unix:%s", conn->user);
    emesh_conn_serve(conn, G_IO_STREAM(stream), address);
}

void
emesh_accept_refuse(int fd, const char *why)
{
    gsize len = 0;
    g_autofree char *body = emesh_json_error(EMESH_E_BUSY, why, &len);
    g_autofree char *answer = g_strdup_printf(
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        len, body);
    /* A fresh socket buffer takes this whole; whoever does not read it loses nothing. */
    ssize_t sent = send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        g_debug("admin: refusal not sent: %s", g_strerror(errno));
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void
await(emesh_admin_lane *lane, GSource *source, GSourceFunc call)
{
    lane->accept = source;
    g_source_set_callback(source, call, lane, NULL);
    g_source_attach(source, lane->context);
}

static void
await_connections(emesh_admin_lane *lane)
{
    await(lane, g_unix_fd_source_new(emesh_admin_socket_fd(lane->admin->held), G_IO_IN),
          G_SOURCE_FUNC(on_ready));
}

static gboolean
on_pause_over(gpointer data)
{
    emesh_admin_lane *lane = data;
    g_source_unref(lane->accept);
    await_connections(lane);
    return G_SOURCE_REMOVE;
}

static gboolean
on_ready(gint listener, GIOCondition condition, gpointer data)
{
    emesh_admin_lane *lane = data;
    uid_t uid = 0;
    pid_t pid = 0;
    (void)condition;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        g_source_unref(lane->accept); /* what waits stays readable: looking again at once spins */
        await(lane, g_timeout_source_new(PAUSE_MS), on_pause_over);
        return G_SOURCE_REMOVE;
    }
    if (fd < 0)
        return G_SOURCE_CONTINUE;
    if (lane->n_unix >= EMESH_ADMIN_MAX_CONNS) {
        emesh_accept_refuse(fd, "64 admin connections are open already");
        return G_SOURCE_CONTINUE;
    }
    if (!emesh_admin_peer(fd, &uid, &pid)) {
        close(fd);
        return G_SOURCE_CONTINUE;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, &error);
    if (socket == NULL) {
        close(fd);
        return G_SOURCE_CONTINUE;
    }
    g_socket_set_timeout(socket, EMESH_ADMIN_IDLE_SECONDS);
    conn_take(lane, socket, uid, pid);
    return G_SOURCE_CONTINUE;
}

void
emesh_accept_start(emesh_admin_lane *lane)
{
    await_connections(lane);
}

void
emesh_accept_stop(emesh_admin_lane *lane)
{
    if (lane->accept == NULL)
        return;
    g_source_destroy(lane->accept);
    g_clear_pointer(&lane->accept, g_source_unref);
}
