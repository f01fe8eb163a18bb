/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepting on one port of one lane: limits first, then TLS or the plugin. The lane's thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE_FIRST_NS (NET_SECOND / 10)

static void
count(uint64_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static void
port_log(emesh_port *port, emesh_log_limit *limit, const char *what, const char *todo)
{
    emesh_listeners *listeners = port->listeners;
    uint32_t left_out = 0;

    if (!emesh_log_limit_pass(limit, emesh_worker_now(port->lane->worker), &left_out))
        return;
    g_autofree char *more = left_out ? g_strdup_printf(" (and %u times before)", left_out) : NULL;
    g_autofree char *text =
        g_strdup_printf("listener %s: %s; %s%s", listeners->bound[port->address].text, what, todo,
                        more ? more : "");
    emesh_inst_log(listeners->inst, EMESH_LOG_WARNING, text);
}

/* No descriptor left: others have to close first, so look again a little later. What waits in the
 * backlog stays there. */
static void
pause_port(emesh_port *port, int error)
{
    g_autofree char *what = g_strdup_printf("cannot accept: %s", g_strerror(error));

    port->again_ns =
        port->again_ns ? MIN(port->again_ns * 2, (uint64_t)NET_SECOND) : PAUSE_FIRST_NS;
    emesh_worker_rewatch(port->lane->worker, &port->fd, 0);
    emesh_worker_alarm(port->lane->worker, &port->again,
                       emesh_worker_now(port->lane->worker) + port->again_ns);
    port_log(port, &port->listeners->log_descriptors, what,
             "raise LimitNOFILE or lower max-connections; new connections wait");
}

void
emesh_port_again(emesh_alarm *alarm)
{
    emesh_port *port = EMESH_OWNER(alarm, emesh_port, again);
    emesh_worker_rewatch(port->lane->worker, &port->fd, EPOLLIN);
}

static void
refuse(emesh_port *port, int fd, const emesh_addr *peer)
{
    char from[EMESH_ADDR_TEXT];

    close(fd);
    count(&port->refused);
    emesh_addr_format(peer, from);
    g_autofree char *what = g_strdup_printf("connection from %s refused, %u are open", from,
                                            port->listeners->max_connections);
    port_log(port, &port->listeners->log_full, what, "raise max-connections to allow more");
}

static void
welcome(emesh_port *port, int fd, const emesh_addr *peer)
{
    emesh_listeners *listeners = port->listeners;
    uint32_t before = __atomic_fetch_add(&listeners->connections, 1, __ATOMIC_RELAXED);

    if (before >= listeners->max_connections) {
        __atomic_fetch_sub(&listeners->connections, 1, __ATOMIC_RELAXED);
        refuse(port, fd, peer);
        return;
    }
    emesh_conn *conn = emesh_conn_new(port->lane, port, fd, peer);
    count(&port->accepted);
    if (!emesh_conn_begin(conn, listeners->is_tls ? CONN_HANDSHAKE : CONN_OPEN, EPOLLIN)) {
        emesh_conn_fail(conn, EMESH_E_NO_MEMORY, "cannot watch the connection: %s",
                        g_strerror(errno));
        return;
    }
    if (!listeners->is_tls) {
        emesh_conn_established(conn);
        return;
    }
    pthread_mutex_lock(&listeners->tls_lock);
    bool begun = emesh_tls_begin_server(conn, listeners->tls);
    pthread_mutex_unlock(&listeners->tls_lock);
    if (!begun)
        emesh_conn_fail(conn, EMESH_E_NO_MEMORY, "cannot begin TLS: no memory");
}

void
emesh_port_ready(emesh_fd *fd, uint32_t events)
{
    emesh_port *port = (emesh_port *)fd;
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_TURN && port->fd.fd >= 0; i++) {
        emesh_addr peer;
        socklen_t len = sizeof peer;
        memset(&peer, 0, sizeof peer);
        int got = accept4(port->fd.fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got >= 0) {
            port->again_ns = 0;
            welcome(port, got, &peer);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_port(port, errno);
            return;
        }
        /* anything else is the end of that one connection, gone before it was ours */
    }
}
