/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to admin-listen. libsoup counts none and waits for ever for whoever sends half a
 * request or does not read; here they are counted, and each state has a clock. [lane]
 */
#include "admin/face.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 250u
#define PAUSE_MS 100u /* when there is no descriptor left */
#define ACCEPTS_PER_TURN 16

typedef struct tcp_port {
    emesh_admin_lane *lane;
    int fd;
    GSource *source;
} tcp_port;

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data);

static uint64_t
now_of(const emesh_admin_lane *lane)
{
    return lane->admin->loop->time(lane->loop, EMESH_CLOCK_MONOTONIC);
}

void
emesh_conn_log(const emesh_admin_conn *conn, emesh_peer_fault fault, const char *what)
{
    if (conn->is_unix || conn->lane == NULL)
        return;
    emesh_face *admin = conn->lane->admin;
    if (!emesh_peers_tell(admin->peers, conn->address, fault, now_of(conn->lane)))
        return;
    g_autofree char *line =
        g_strdup_printf("connection from %s: %s (told once in 10 minutes)", conn->peer, what);
    admin->host->log(admin->host, EMESH_LOG_WARNING, line, strlen(line), NULL, 0);
}

/* Received, sent and acknowledged bytes, one number that grows while something moves. */
static uint64_t
bytes_moved(const emesh_admin_conn *conn)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    if (getsockopt(g_socket_get_fd(conn->socket), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_received + info.tcpi_bytes_acked;
}

void
emesh_conn_enter(emesh_admin_conn *conn, emesh_conn_state state)
{
    if (conn->is_unix || conn->lane == NULL)
        return;
    conn->state = state;
    conn->since_ns = now_of(conn->lane);
    conn->moved = 0;
}

static void
expire(emesh_admin_conn *conn, emesh_peer_fault fault, const char *what)
{
    emesh_conn_log(conn, fault, what);
    emesh_conn_cut(conn);
    conn->since_ns = now_of(conn->lane); /* libsoup lets it go soon */
}

static void
sweep_one(emesh_admin_conn *conn, uint64_t now)
{
    const emesh_admin_options *o = &conn->lane->admin->options;
    uint64_t moved, rest = now - conn->since_ns;
    switch (conn->state) {
    case EMESH_CONN_HANDSHAKE: /* on_shaken tells */
        if (rest >= o->request_ns)
            emesh_conn_cut(conn);
        break;
    case EMESH_CONN_READING:
        if (rest >= o->request_ns)
            expire(conn, EMESH_PEER_SLOW,
                   "cut, its request was not whole within admin-handshake-timeout");
        break;
    case EMESH_CONN_WORKING:
        break;
    case EMESH_CONN_WRITING:
        moved = bytes_moved(conn);
        if (moved != conn->moved) {
            conn->moved = moved;
            conn->since_ns = now;
        } else if (rest >= o->idle_ns) {
            expire(conn, EMESH_PEER_UNREAD,
                   "cut, its answer was not read within admin-idle-timeout");
        }
        break;
    }
}

static gboolean
on_sweep(gpointer data)
{
    emesh_admin_lane *lane = data;
    uint64_t now = now_of(lane);
    bool any = false;
    for (GList *link = lane->conns.head, *next; link != NULL; link = next) {
        emesh_admin_conn *conn = link->data;
        next = link->next;
        if (conn->is_unix)
            continue;
        any = true;
        sweep_one(conn, now);
    }
    if (any)
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&lane->sweep, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void
want_sweep(emesh_admin_lane *lane)
{
    if (lane->sweep != NULL)
        return;
    lane->sweep = g_timeout_source_new(SWEEP_MS);
    g_source_set_callback(lane->sweep, on_sweep, lane, NULL);
    g_source_attach(lane->sweep, lane->context);
}

static void
warn(emesh_admin_lane *lane, const char *what, const GError *error)
{
    g_autofree char *line =
        g_strdup_printf("%s is not taken, the one before stays: %s", what, error->message);
    lane->admin->host->log(lane->admin->host, EMESH_LOG_WARNING, line, strlen(line), NULL, 0);
}

/* Certificates and token are read again when their files change; whoever connects has the new. */
static void
follow_files(emesh_admin_lane *lane)
{
    emesh_face *admin = lane->admin;
    const emesh_admin_options *o = &admin->options;
    g_autoptr(GError) error = NULL;
    int64_t stamp;
    if (o->tls_certificate != NULL && (stamp = emesh_admin_tls_stamp(o)) != lane->tls.stamp) {
        if (!emesh_admin_tls_load(&lane->tls, o, &error))
            warn(lane, "the changed certificate of admin-listen", error);
        lane->tls.stamp = stamp; /* told once for each change */
    }
    g_clear_error(&error);
    pthread_mutex_lock(&admin->token_lock);
    if ((stamp = emesh_file_stamp(o->token_file)) != admin->token.stamp) {
        if (!emesh_token_load(&admin->token, o->token_file, &error))
            warn(lane, "the changed token", error);
        admin->token.stamp = stamp;
    }
    pthread_mutex_unlock(&admin->token_lock);
}

static void
set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) != 0)
        g_debug("admin: socket option %d: %s", option, g_strerror(errno));
}

static void
take(emesh_admin_lane *lane, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    emesh_face *admin = lane->admin;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketAddress) address =
        g_socket_address_new_from_native((void *)(uintptr_t)peer, len);
    g_autoptr(GSocket) socket = address == NULL ? NULL : g_socket_new_from_fd(fd, &error);
    if (socket == NULL || !G_IS_INET_SOCKET_ADDRESS(address)) {
        if (socket == NULL)
            close(fd);
        return;
    }
    g_socket_set_blocking(socket, FALSE);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)MIN(admin->options.idle_ns / 1000000u,
                                                           (uint64_t)G_MAXINT));
    uint32_t n = __atomic_add_fetch(&admin->n_tcp, 1, __ATOMIC_RELAXED);
    emesh_admin_conn *conn = emesh_admin_conn_new(lane, socket, address);
    GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS(address);
    conn->address = g_object_ref(g_inet_socket_address_get_address(inet));
    g_autofree char *text = g_inet_address_to_string(conn->address);
    g_snprintf(conn->peer, sizeof conn->peer, strchr(text, ':') != NULL ? "[%s]:%u" : "%s:%u", text,
               g_inet_socket_address_get_port(inet));
    emesh_conn_enter(conn, EMESH_CONN_READING);
    if (n > admin->options.max_connections) {
        emesh_conn_log(conn, EMESH_PEER_TOO_MANY,
                       "refused, as many connections are open as admin-max-connections allows");
        if (admin->options.tls_certificate == NULL)
            emesh_accept_refuse(fcntl(fd, F_DUPFD_CLOEXEC, 3),
                                "as many connections are open as admin-max-connections allows");
        return; /* address, record and socket go together */
    }
    follow_files(lane);
    want_sweep(lane);
    g_autoptr(GIOStream) stream =
        G_IO_STREAM(g_socket_connection_factory_create_connection(socket));
    if (lane->tls.certificate == NULL) {
        emesh_conn_serve(conn, stream, address);
        return;
    }
    emesh_conn_enter(conn, EMESH_CONN_HANDSHAKE);
    emesh_admin_tls_begin(conn, stream, address);
}

static void
await(tcp_port *port, GSource *source, GSourceFunc call)
{
    port->source = source;
    g_source_set_callback(source, call, port, NULL);
    g_source_attach(source, port->lane->context);
}

static gboolean
on_pause_over(gpointer data)
{
    tcp_port *port = data;
    g_source_unref(port->source);
    await(port, g_unix_fd_source_new(port->fd, G_IO_IN), G_SOURCE_FUNC(on_connection));
    return G_SOURCE_REMOVE;
}

static gboolean
on_connection(gint listener, GIOCondition condition, gpointer data)
{
    tcp_port *port = data;
    (void)condition;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(port->lane, fd, &peer, len);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            g_source_unref(port->source); /* what waits stays readable: looking again spins */
            await(port, g_timeout_source_new(PAUSE_MS), on_pause_over);
            return G_SOURCE_REMOVE;
        }
        if (errno != ECONNABORTED && errno != EINTR)
            break;
    }
    return G_SOURCE_CONTINUE;
}

static void
port_free(gpointer data)
{
    tcp_port *port = data;
    g_source_destroy(port->source);
    g_source_unref(port->source);
    close(port->fd);
    g_free(port);
}

bool
emesh_tcp_start(emesh_admin_lane *lane, GError **error)
{
    const emesh_face *admin = lane->admin;
    int32_t fd = -1, code = EMESH_E_NOT_FOUND;
    if (admin->options.token_file == NULL)
        return true;
    if (admin->options.tls_certificate != NULL &&
        !emesh_admin_tls_load(&lane->tls, &admin->options, error))
        return false;
    lane->ports = g_ptr_array_new_with_free_func(port_free);
    for (uint32_t i = 0; (code = admin->net->listener(lane->loop, i, &fd)) == EMESH_OK; i++) {
        tcp_port *port = g_new0(tcp_port, 1);
        *port = (tcp_port){ .lane = lane, .fd = fd };
        await(port, g_unix_fd_source_new(fd, G_IO_IN), G_SOURCE_FUNC(on_connection));
        g_ptr_array_add(lane->ports, port);
    }
    if (code == EMESH_E_NOT_FOUND)
        return true;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                "cannot listen for the administration: %s", g_strerror(errno));
    return false;
}

void
emesh_tcp_stop(emesh_admin_lane *lane)
{
    g_clear_pointer(&lane->ports, g_ptr_array_unref);
    if (lane->sweep != NULL) {
        g_source_destroy(lane->sweep);
        g_clear_pointer(&lane->sweep, g_source_unref);
    }
    emesh_admin_tls_clear(&lane->tls);
}
