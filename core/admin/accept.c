/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of the admin socket: accepted here and handed to libsoup, which has no limit on
 * their number and takes the address of a Unix peer for an internet one. [lane]
 */
#include "admin/face.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONN_KEY "emesh-admin-conn"
#define PAUSE_MS 100 /* when there is no descriptor left */

static gboolean on_ready(gint listener, GIOCondition condition, gpointer data);

static void
conn_free(gpointer data)
{
    emesh_admin_conn *conn = data;
    if (conn->lane != NULL)
        g_queue_unlink(&conn->lane->conns, &conn->in_lane);
    g_object_unref(conn->socket);
    g_free(conn);
}

emesh_admin_conn *
emesh_conn_of(SoupServerMessage *msg)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(msg);
    return remote == NULL ? NULL : g_object_get_data(G_OBJECT(remote), CONN_KEY);
}

void
emesh_conn_cut(emesh_admin_conn *conn)
{
    g_socket_shutdown(conn->socket, TRUE, TRUE, NULL);
}

/* Hands one accepted socket to the server; the record rides on the address object, which libsoup
 * keeps exactly as long as the connection. */
static void
conn_new(emesh_admin_lane *lane, GSocket *socket, uid_t uid, pid_t pid)
{
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string("127.0.0.1", 80);
    g_autoptr(GError) error = NULL;
    emesh_admin_conn *conn = g_new0(emesh_admin_conn, 1);
    conn->lane = lane;
    conn->socket = g_object_ref(socket);
    conn->uid = uid;
    conn->pid = pid;
    conn->in_lane.data = conn;
    g_queue_push_tail_link(&lane->conns, &conn->in_lane);
    g_object_set_data_full(G_OBJECT(address), CONN_KEY, conn, conn_free);
    if (!soup_server_accept_iostream(lane->server, G_IO_STREAM(stream), address, address, &error))
        g_debug("admin: a connection could not be taken: %s", error->message);
}

static void
refuse(int fd)
{
    gsize len = 0;
    g_autofree char *body =
        emesh_json_error(EMESH_E_BUSY, "64 admin connections are open already", &len);
    g_autofree char *answer =
        g_strdup_printf("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                        len, body);
    /* A fresh socket buffer takes this whole; whoever does not read it loses nothing. */
    ssize_t sent = send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        g_debug("admin: refusal not sent: %s", g_strerror(errno));
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
    if (lane->conns.length >= EMESH_ADMIN_MAX_CONNS) {
        refuse(fd);
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
    conn_new(lane, socket, uid, pid);
    return G_SOURCE_CONTINUE;
}

bool
emesh_accept_start(emesh_admin_lane *lane, GError **error)
{
    (void)error;
    g_queue_init(&lane->conns);
    await_connections(lane);
    return true;
}

void
emesh_accept_stop(emesh_admin_lane *lane)
{
    if (lane->accept == NULL)
        return;
    g_source_destroy(lane->accept);
    g_clear_pointer(&lane->accept, g_source_unref);
}
