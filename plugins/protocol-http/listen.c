/* SPDX-License-Identifier: Apache-2.0
 *
 * The lane's listening sockets: libsoup's own server counts no connections, so they are accepted
 * here, within the limits of the listener, and handed over. [lane]
 */
#include "http.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 32
#define PAUSE_NS (HTTP_SECOND / 10) /* when there is no descriptor left */

typedef struct http_port {
    http_lane *lane;
    int fd;
    GSocketAddress *address;
    emesh_watch *watch;
    emesh_timer *pause;
} http_port;

static void
on_pause_over(void *ctx)
{
    http_port *port = ctx;
    port->lane->http->loop->watch_set(port->watch, EMESH_IN);
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

static void
on_ready(void *ctx, int32_t listener, uint32_t what)
{
    http_port *port = ctx;
    const http_lane *lane = port->lane;
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
            lane->http->loop->watch_set(port->watch, 0); /* looking again would spin */
            lane->http->loop->timer_set(port->pause, http_now(lane) + PAUSE_NS);
            return;
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
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
        port->pause = lane->http->loop->timer(lane->loop, on_pause_over, port);
        port->watch = lane->http->loop->watch(lane->loop, fd, EMESH_IN, on_ready, port);
        if (port->pause == NULL || port->watch == NULL) {
            errno = ENOMEM;
            code = EMESH_E_NO_MEMORY;
            break;
        }
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
        if (port->watch != NULL)
            lane->http->loop->watch_end(port->watch);
        if (port->pause != NULL)
            lane->http->loop->timer_end(port->pause);
        g_clear_object(&port->address);
        close(port->fd);
        g_free(port);
    }
    g_clear_pointer(&lane->ports, g_ptr_array_unref);
    if (lane->keeper != NULL)
        g_socket_close(lane->keeper, NULL);
    g_clear_object(&lane->keeper);
}
