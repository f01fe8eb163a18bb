/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection on its way out: look-up on the pool, connect() to each address in turn, each with
 * its share of the time that is left, then TLS. The lane's thread.
 */
#include "dial.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lookup.h"
#include "tls.h"

#define CONNECT_NS (10ull * NET_SECOND)
#define TRY_LEAST_NS (NET_SECOND / 4)

struct emesh_dialing {
    emesh_lookup *lookup; /* under way */
    emesh_addr addrs[EMESH_LOOKUP_MOST];
    uint32_t n, at;
    uint64_t deadline_ns, try_ns; /* of all, of this address; 0 = none yet */
    bool tls;
    char host[EMESH_HOST_MAX];
    uint16_t port;
    char *server_name, *alpn;
    char failure[160]; /* of the last address */
};

static void
try_next(emesh_conn *conn)
{
    emesh_dialing *d = conn->dialing;
    uint64_t now = emesh_worker_now(conn->lane->worker);

    for (; d->at < d->n; d->at++) {
        const emesh_addr *addr = &d->addrs[d->at];
        char text[EMESH_ADDR_TEXT];
        int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        conn->peer = *addr;
        conn->fd.fd = fd;
        if (fd >= 0) {
            emesh_net_stream_options(fd);
            if ((connect(fd, &addr->sa, emesh_addr_len(addr)) == 0 || errno == EINPROGRESS) &&
                emesh_conn_begin(conn, CONN_DIAL, EPOLLOUT)) {
                uint64_t share = (d->deadline_ns - now) / (d->n - d->at);
                d->try_ns = MIN(d->deadline_ns, now + MAX(share, (uint64_t)TRY_LEAST_NS));
                emesh_conn_arm(conn);
                return;
            }
        }
        emesh_addr_format(addr, text);
        g_snprintf(d->failure, sizeof d->failure, "%s: %s", text, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        conn->fd.fd = -1;
    }
    emesh_conn_fail(conn, EMESH_E_UNAVAILABLE, "cannot connect to %s:%u: %s", d->host, d->port,
                    d->failure);
}

static void
give_up_address(emesh_conn *conn, const char *why)
{
    emesh_dialing *d = conn->dialing;
    char text[EMESH_ADDR_TEXT];

    emesh_addr_format(&d->addrs[d->at], text);
    g_snprintf(d->failure, sizeof d->failure, "%s: %s", text, why);
    emesh_worker_unwatch(conn->lane->worker, &conn->fd);
    close(conn->fd.fd);
    conn->fd.fd = -1;
    d->at++;
    try_next(conn);
}

static void
looked_up(void *ctx, int32_t code, const emesh_addr *addrs, uint32_t n, const char *text)
{
    emesh_conn *conn = ctx;
    emesh_dialing *d = conn->dialing;

    d->lookup = NULL;
    if (code != EMESH_OK) {
        emesh_conn_fail(conn, code, "cannot connect to %s:%u: %s", d->host, d->port, text);
        return;
    }
    memcpy(d->addrs, addrs, n * sizeof *addrs);
    d->n = n;
    try_next(conn);
}

uint64_t
emesh_dialing_deadline(const emesh_conn *conn)
{
    const emesh_dialing *d = conn->dialing;
    return conn->state == CONN_DIAL && d->try_ns ? d->try_ns : d->deadline_ns;
}

void
emesh_dialing_due(emesh_conn *conn)
{
    emesh_dialing *d = conn->dialing;

    if (emesh_worker_now(conn->lane->worker) < d->deadline_ns && d->try_ns)
        give_up_address(conn, "no answer");
    else
        emesh_conn_fail(conn, EMESH_E_UNAVAILABLE, "cannot connect to %s:%u: %s in time", d->host,
                        d->port, d->lookup ? "the name was not found" : "no answer");
}

void
emesh_dialing_ready(emesh_conn *conn)
{
    emesh_dialing *d = conn->dialing;
    int error = emesh_conn_socket_error(conn);
    g_autofree char *text = NULL;

    if (error != 0) {
        give_up_address(conn, g_strerror(error));
        return;
    }
    emesh_worker_rewatch(conn->lane->worker, &conn->fd, EPOLLIN);
    if (!d->tls) {
        emesh_conn_established(conn);
        return;
    }
    conn->state = CONN_HANDSHAKE;
    emesh_conn_arm(conn);
    emesh_slice alpn = { d->alpn, d->alpn ? strlen(d->alpn) : 0 };
    if (!emesh_tls_begin_client(conn, d->server_name ? d->server_name : d->host, alpn, &text)) {
        emesh_conn_fail(conn, EMESH_E_CONFIG, "cannot begin TLS with %s:%u: %s", d->host, d->port,
                        text);
        return;
    }
    emesh_tls_handshake(conn);
}

void
emesh_dialing_free(emesh_conn *conn)
{
    emesh_dialing *d = conn->dialing;

    if (!d)
        return;
    conn->dialing = NULL;
    if (d->lookup)
        emesh_lookup_cancel(d->lookup);
    g_free(d->server_name);
    g_free(d->alpn);
    g_free(d);
}

static char *
slice_dup(emesh_slice slice)
{
    return slice.len ? g_strndup(slice.ptr, slice.len) : NULL;
}

int32_t
emesh_net_dial(emesh_loop *loop, const emesh_dial *spec, const emesh_conn_ops *ops, void *ctx,
               emesh_conn **out)
{
    const emesh_dial_spec *instance = emesh_inst_dial_spec(loop->inst);
    emesh_net_lane *lane = emesh_net_lane_of(loop);
    char host[EMESH_HOST_MAX];
    uint16_t number = 0;
    emesh_addr addr;

    if (lane->ending)
        return EMESH_E_CLOSED;
    if (emesh_addr_split(spec->address.ptr, spec->address.len, host, &number) || number == 0)
        return EMESH_E_INVALID;
    emesh_conn *conn = emesh_conn_new(lane, NULL, -1, NULL);
    if (!emesh_conn_known(conn, ops, ctx)) {
        conn->known = false; /* refused by the return value */
        emesh_conn_free_now(conn);
        return EMESH_E_INVALID;
    }
    emesh_dialing *d = conn->dialing = g_new0(emesh_dialing, 1);
    g_strlcpy(d->host, host, sizeof d->host);
    d->port = number;
    d->tls = spec->tls != 0;
    d->server_name = slice_dup(spec->server_name);
    d->alpn = slice_dup(spec->alpn);
    d->deadline_ns = EMESH_HAS(spec, deadline_ns) ? spec->deadline_ns : 0;
    if (d->deadline_ns == 0)
        d->deadline_ns = emesh_worker_now(lane->worker) +
                         (instance && instance->connect_ns ? instance->connect_ns : CONNECT_NS);
    *out = conn;
    conn->state = CONN_DIAL;
    emesh_conn_arm(conn);
    if (emesh_addr_numeric(host, number, &addr)) {
        d->addrs[0] = addr;
        d->n = 1;
        try_next(conn); /* a failure is told later */
    } else {
        d->lookup = emesh_lookup_begin(lane, host, number, looked_up, conn);
    }
    return EMESH_OK;
}
