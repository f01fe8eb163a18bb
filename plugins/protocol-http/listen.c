/* SPDX-License-Identifier: Apache-2.0
 *
 * The lane's listening sockets: libsoup's own server counts no connections, so they are accepted
 * here, within the limits of the listener, and handed over. [lane]
 */
#include "http.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 32
#define PAUSE_MS 100 /* when there is no descriptor left */

typedef struct http_port {
    http_lane *lane;
    int fd;
    GSocketAddress *address;
    GSource *source;
} http_port;

static gboolean on_ready(gint fd, GIOCondition what, gpointer data);

static void
await(http_port *port, GSource *source, GSourceFunc call)
{
    port->source = source;
    g_source_set_callback(source, call, port, NULL);
    g_source_attach(source, port->lane->context);
}

static gboolean
on_pause_over(gpointer data)
{
    http_port *port = data;
    g_source_unref(port->source);
    await(port, g_unix_fd_source_new(port->fd, G_IO_IN), G_SOURCE_FUNC(on_ready));
    return G_SOURCE_REMOVE;
}

/* Over a limit: told so when it speaks plainly, and closed. The buffer of a fresh socket takes the
 * text whole; whoever does not read it loses nothing. */
static void
refuse(http_port *port, int fd)
{
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n"
        "Content-Type: application/json\r\nContent-Length: 53\r\n\r\n"
        "{\"error\":\"the server has all the connections it may\"}";
    http_instance *http = port->lane->http;

    http_count(http, http->counters.limited, 1);
    if (http->options.tls_certificate == NULL &&
        send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
}

static void
take(http_port *port, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
    http_instance *http = port->lane->http;
    g_autoptr(GSocketAddress) remote =
        g_socket_address_new_from_native((void *)(uintptr_t)peer, len);

    if (remote == NULL || __atomic_add_fetch(&http->n_connections, 1, __ATOMIC_RELAXED) >
                              http->options.max_connections) {
        if (remote != NULL)
            __atomic_sub_fetch(&http->n_connections, 1, __ATOMIC_RELAXED);
        http_log_conn(port->lane, "a client",
                      "refused, as many connections are open as max-connections allows");
        refuse(port, fd);
        return;
    }
    http_conn_new(port->lane, fd, port->address, remote);
}

static gboolean
on_ready(gint listener, GIOCondition what, gpointer data)
{
    http_port *port = data;
    (void)what;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t len = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(port, fd, &peer, len);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            http_log_conn(port->lane, "the listener",
                          "cannot accept for want of descriptors or memory; raise LimitNOFILE or "
                          "lower max-connections");
            g_source_unref(port->source); /* what waits stays readable: looking again would spin */
            await(port, g_timeout_source_new(PAUSE_MS), on_pause_over);
            return G_SOURCE_REMOVE;
        }
        if (errno != ECONNABORTED && errno != EINTR)
            break;
    }
    return G_SOURCE_CONTINUE;
}

static GSocketAddress *
address_of(int fd)
{
    struct sockaddr_storage own = { 0 };
    socklen_t len = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &len) != 0)
        return NULL;
    return g_socket_address_new_from_native(&own, len);
}

/* libsoup keeps connections alive only while its server has a listener. It gets one of ours, on a
 * context that nobody runs: it will never accept. */
static void
make_keeper(http_lane *lane, int fd)
{
    g_autoptr(GMainContext) nobody = g_main_context_new();
    g_autoptr(GError) error = NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    lane->keeper = copy >= 0 ? g_socket_new_from_fd(copy, &error) : NULL;
    if (lane->keeper == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    g_main_context_push_thread_default(nobody);
    soup_server_listen_socket(lane->server, lane->keeper, 0, &error);
    g_main_context_pop_thread_default(nobody);
}

bool
http_listen_start(http_lane *lane, emesh_error *err)
{
    int32_t fd = -1, code = EMESH_OK;

    lane->ports = g_ptr_array_new();
    for (uint32_t i = 0; (code = lane->http->net->listener(lane->loop, i, &fd)) == EMESH_OK; i++) {
        http_port *port = g_new0(http_port, 1);
        *port = (http_port){ .lane = lane, .fd = fd, .address = address_of(fd) };
        g_ptr_array_add(lane->ports, port);
        await(port, g_unix_fd_source_new(fd, G_IO_IN), G_SOURCE_FUNC(on_ready));
        if (i == 0)
            make_keeper(lane, fd);
    }
    if (code == EMESH_E_NOT_FOUND)
        return true;
    err->code = EMESH_E_IO;
    g_snprintf(err->text, sizeof err->text, "cannot listen: %s", g_strerror(errno));
    return false;
}

void
http_listen_stop(http_lane *lane)
{
    for (guint i = 0; lane->ports != NULL && i < lane->ports->len; i++) {
        http_port *port = lane->ports->pdata[i];
        g_source_destroy(port->source);
        g_source_unref(port->source);
        g_clear_object(&port->address);
        close(port->fd);
        g_free(port);
    }
    g_clear_pointer(&lane->ports, g_ptr_array_unref);
    if (lane->keeper != NULL)
        g_socket_close(lane->keeper, NULL);
    g_clear_object(&lane->keeper);
}
