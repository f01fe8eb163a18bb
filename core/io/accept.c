/* SPDX-License-Identifier: Apache-2.0
 *
 * Accepting on one port of one lane: limits first, then TLS or the plugin. The lane's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"

#define ACCEPTS_PER_TURN 64
#define PAUSE_FIRST_NS (NET_SECOND / 10)
#define KEPT_PART 8u   /* of the process's descriptors listeners leave alone this part ... */
#define KEPT_MOST 128u /* ... or so many: for stores, the admin socket, dialled connections */

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

    if (!emesh_listeners_may_log(listeners, limit, emesh_worker_now(port->lane->worker), &left_out))
        return;
    g_autofree char *more = left_out ? g_strdup_printf(" (and %u times before)", left_out) : NULL;
    g_autofree char *text =
        g_strdup_printf("listener %s: %s; %s%s", listeners->bound[port->address].text, what, todo,
                        more ? more : "");
    emesh_inst_log(listeners->inst, EMESH_LOG_WARNING, text);
}

/* ---- descriptors ---- */

/* Descriptors from here on are not for connections. The kernel gives the lowest free one, so that a
 * high number says how many are in use. */
static int
first_kept(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > G_MAXINT)
        return G_MAXINT;
    return (int)(limit.rlim_cur - MIN(limit.rlim_cur / KEPT_PART, KEPT_MOST));
}

/* No descriptor left: others have to close first, so look again a little later. What waits in the
 * backlog stays there. */
static void
pause_port(emesh_port *port, const char *what)
{
    port->again_ns =
        port->again_ns ? MIN(port->again_ns * 2, (uint64_t)NET_SECOND) : PAUSE_FIRST_NS;
    emesh_worker_rewatch(port->lane->worker, &port->fd, 0);
    emesh_worker_alarm(port->lane->worker, &port->again,
                       emesh_worker_now(port->lane->worker) + port->again_ns);
    port_log(port, &port->listeners->log_descriptors, what,
             "raise LimitNOFILE or lower max-connections; new connections wait");
}

static void
pause_for_error(emesh_port *port, int error)
{
    g_autofree char *what = g_strdup_printf("cannot accept: %s", g_strerror(error));
    pause_port(port, what);
}

static void
pause_for_kept(emesh_port *port, int kept)
{
    g_autofree char *what = g_strdup_printf("cannot accept more: %d descriptors are in use, the "
                                            "rest is kept for stores and eventmeshctl", kept);
    pause_port(port, what);
}

/* Asks the kernel for the lowest free descriptor, because the paused port cannot ask by accepting. */
static bool
may_accept_again(const emesh_port *port)
{
    int lowest = fcntl(port->fd.fd, F_DUPFD_CLOEXEC, 0);

    if (lowest >= 0)
        close(lowest);
    return lowest >= 0 && lowest < first_kept();
}

void
emesh_port_again(emesh_alarm *alarm)
{
    emesh_port *port = EMESH_OWNER(alarm, emesh_port, again);
    if (may_accept_again(port))
        emesh_worker_rewatch(port->lane->worker, &port->fd, EPOLLIN);
    else
        pause_for_kept(port, first_kept());
}

/* ---- limits ---- */

static void
log_refusal(emesh_port *port, const emesh_addr *peer, emesh_conn_refusal why)
{
    emesh_listeners *listeners = port->listeners;
    char from[EMESH_ADDR_TEXT];

    emesh_addr_format(peer, from);
    if (why == CONN_REFUSED_FULL) {
        g_autofree char *what = g_strdup_printf("connection from %s refused, %u are open", from,
                                                listeners->max_connections);
        port_log(port, &listeners->log_full, what, "raise max-connections to allow more");
    } else {
        g_autofree char *what = g_strdup_printf(
            "connection from %s refused, the memory for connections is used up", from);
        port_log(port, &listeners->log_full, what,
                 "raise max-memory, or session-memory of [daemon]");
    }
}

/* Is there room for one more? It is counted then. */
static emesh_conn_refusal
take_place(emesh_port *port)
{
    emesh_listeners *listeners = port->listeners;

    if (emesh_net_used_up(port->lane)) {
        emesh_net_wants(port->lane);
        return CONN_REFUSED_MEMORY;
    }
    if (__atomic_fetch_add(&listeners->connections, 1, __ATOMIC_RELAXED) <
        listeners->max_connections)
        return CONN_WELCOME;
    __atomic_fetch_sub(&listeners->connections, 1, __ATOMIC_RELAXED);
    return CONN_REFUSED_FULL;
}

/* A few of those over the limit live until the protocol has told them why; the others are closed. */
static bool
may_be_told(emesh_listeners *listeners)
{
    if (!listeners->can_refuse)
        return false;
    if (__atomic_fetch_add(&listeners->refusing, 1, __ATOMIC_RELAXED) < NET_REFUSING_MOST)
        return true;
    __atomic_fetch_sub(&listeners->refusing, 1, __ATOMIC_RELAXED);
    return false;
}

static void
welcome(emesh_port *port, int fd, const emesh_addr *peer)
{
    emesh_listeners *listeners = port->listeners;
    emesh_conn_refusal refusal = take_place(port);

    if (refusal != CONN_WELCOME) {
        count(&port->refused);
        log_refusal(port, peer, refusal);
        if (!may_be_told(listeners)) {
            close(fd);
            return;
        }
    } else {
        count(&port->accepted);
        __atomic_fetch_add(&port->connections, 1, __ATOMIC_RELAXED);
    }
    emesh_conn *conn = emesh_conn_new(port->lane, port, fd, peer);
    conn->refusal = (uint8_t)refusal;
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
    int kept = first_kept();
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_TURN && port->fd.fd >= 0; i++) {
        emesh_addr peer;
        socklen_t len = sizeof peer;
        memset(&peer, 0, sizeof peer);
        int got = accept4(port->fd.fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (got >= 0) {
            port->again_ns = 0;
            welcome(port, got, &peer);
            if (got < kept)
                continue;
            pause_for_kept(port, kept);
            return;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_for_error(port, errno);
            return;
        }
        /* anything else is the end of that one connection, gone before it was ours */
    }
}
