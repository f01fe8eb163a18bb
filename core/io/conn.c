/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of one connection: states, time limits, its end, and the order in which the plugin is
 * told. See conn.h for the rule on who may call whom.
 */
#include "conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dial.h"
#include "tls.h"

static void conn_ready(emesh_fd *fd, uint32_t events);
static void run_call(emesh_phased *item);
static void run_flush(emesh_phased *item);
static void conn_due(emesh_alarm *alarm);

const emesh_conn_limits *
emesh_conn_limits_of(const emesh_conn *conn)
{
    /* The plugin that dials judges the peer itself; the bounds only keep memory finite. */
    static const emesh_conn_limits dialled = { .max_input = 64u << 20, .output_mark = 1u << 20 };
    return conn->port ? &conn->port->listeners->limits : &dialled;
}

static uint64_t
now_of(const emesh_conn *conn)
{
    return emesh_worker_now(conn->lane->worker);
}

emesh_conn *
emesh_conn_new(emesh_net_lane *lane, emesh_port *port, int fd, const emesh_addr *peer)
{
    emesh_conn *conn = g_new0(emesh_conn, 1);

    conn->lane = lane;
    conn->port = port;
    conn->fd.ready = conn_ready;
    conn->fd.fd = fd;
    conn->call.run = run_call;
    conn->flush.run = run_flush;
    conn->alarm.due = conn_due;
    conn->in.chunk = NET_READ_MIN;
    if (peer)
        conn->peer = *peer;
    conn->opened_ns = conn->last_ns = now_of(conn);
    emesh_ring_append(&lane->conns, &conn->link);
    if (port)
        lane->n_accepted++;
    return conn;
}

bool
emesh_conn_begin(emesh_conn *conn, emesh_conn_state state, uint32_t interest)
{
    conn->state = (uint8_t)state;
    conn->fd.interest = interest;
    if (!emesh_worker_watch(conn->lane->worker, &conn->fd))
        return false;
    emesh_conn_arm(conn);
    return true;
}

void
emesh_conn_flush(emesh_conn *conn)
{
    emesh_worker_phase(conn->lane->worker, EMESH_PHASE_WRITE, &conn->flush);
}

void
emesh_conn_call(emesh_conn *conn)
{
    emesh_worker_phase(conn->lane->worker, EMESH_PHASE_RESULT, &conn->call);
}

bool
emesh_conn_may_read(const emesh_conn *conn)
{
    return conn->state == CONN_OPEN && !conn->paused && !conn->full && !conn->starved &&
           !conn->eof && conn->stuffed_ns == 0;
}

int
emesh_conn_socket_error(const emesh_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(conn->fd.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        return errno;
    return error;
}

/* ---- the end ---- */

static void
drop_descriptor(emesh_conn *conn)
{
    emesh_worker *worker = conn->lane->worker;

    if (conn->fd.fd >= 0) {
        emesh_worker_unwatch(worker, &conn->fd);
        close(conn->fd.fd);
        conn->fd.fd = -1;
    }
    emesh_worker_alarm(worker, &conn->alarm, 0);
    emesh_worker_unphase(worker, EMESH_PHASE_WRITE, &conn->flush);
    emesh_link_remove(&conn->starved_link);
    emesh_input_clear(conn);
    emesh_output_clear(conn);
    emesh_dialing_free(conn);
    if (conn->port && conn->refusal == CONN_WELCOME) {
        __atomic_fetch_sub(&conn->port->connections, 1, __ATOMIC_RELAXED);
        __atomic_fetch_sub(&conn->port->listeners->connections, 1, __ATOMIC_RELAXED);
    } else if (conn->port) {
        __atomic_fetch_sub(&conn->port->listeners->refusing, 1, __ATOMIC_RELAXED);
    }
}

static void
conn_die(emesh_conn *conn)
{
    if (conn->state == CONN_DEAD)
        return;
    conn->state = CONN_DEAD;
    drop_descriptor(conn);
    emesh_conn_call(conn);
}

static void
set_reason(emesh_conn *conn, int32_t code, const char *text)
{
    if (conn->code != EMESH_OK)
        return;
    conn->code = code;
    if (code == EMESH_OK || !text)
        return;
    conn->err = g_new0(emesh_error, 1);
    conn->err->size = sizeof *conn->err;
    conn->err->code = code;
    g_strlcpy(conn->err->text, text, sizeof conn->err->text);
}

/* What the plugin never saw it cannot count and log. */
static void
log_unknown(emesh_conn *conn, const char *text)
{
    emesh_listeners *listeners = conn->port ? conn->port->listeners : NULL;
    uint32_t left_out = 0;

    if (!listeners || conn->code == EMESH_E_CLOSED)
        return;
    __atomic_store_n(&conn->port->failed, conn->port->failed + 1, __ATOMIC_RELAXED);
    if (!emesh_listeners_may_log(listeners, &listeners->log_handshake, now_of(conn), &left_out))
        return;
    char peer[EMESH_ADDR_TEXT];
    emesh_addr_format(&conn->peer, peer);
    g_autofree char *more = left_out ? g_strdup_printf(" (and %u times before)", left_out) : NULL;
    g_autofree char *line =
        g_strdup_printf("listener %s: connection from %s ended: %s%s",
                        listeners->bound[conn->port->address].text, peer, text, more ? more : "");
    emesh_inst_log(listeners->inst, EMESH_LOG_NOTICE, line);
}

void
emesh_conn_fail(emesh_conn *conn, int32_t code, const char *format, ...)
{
    va_list args;

    if (conn->state == CONN_DEAD)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    set_reason(conn, code, text);
    if (!conn->known && conn->state == CONN_HANDSHAKE)
        log_unknown(conn, text);
    conn_die(conn);
}

void
emesh_conn_abort(emesh_conn *conn)
{
    conn_die(conn);
}

void
emesh_conn_leave(emesh_conn *conn, int32_t code, const char *text)
{
    if (conn->state >= CONN_FLUSH) { /* under way; perhaps its time limit is shorter now */
        emesh_conn_arm(conn);
        return;
    }
    set_reason(conn, code, text);
    if (conn->state == CONN_DIAL || conn->state == CONN_HANDSHAKE) { /* nothing can leave */
        conn_die(conn);
        return;
    }
    conn->state = CONN_FLUSH;
    conn->last_ns = now_of(conn);
    emesh_input_clear(conn);
    emesh_conn_arm(conn);
    emesh_conn_flush(conn);
}

/* All output is with the kernel: FIN, and the plugin is told; then for the peer's FIN, because
 * closing with unread input would reset the connection and destroy what it has not read yet. */
static void
flushed(emesh_conn *conn)
{
    shutdown(conn->fd.fd, SHUT_WR);
    conn->state = CONN_LINGER;
    conn->last_ns = now_of(conn); /* what still comes does not prolong it */
    emesh_conn_arm(conn);
    if (conn->eof)
        conn_die(conn);
    else
        emesh_conn_call(conn);
}

static void
tell_closed(emesh_conn *conn)
{
    if (!conn->known)
        return;
    conn->known = false;
    if (!conn->lane->ending)
        conn->ops->closed(conn->ctx, conn, conn->code, conn->code == EMESH_OK ? NULL : conn->err);
}

void
emesh_conn_free_now(emesh_conn *conn)
{
    emesh_net_lane *lane = conn->lane;
    emesh_port *port = conn->port;

    tell_closed(conn);
    emesh_worker_unphase(lane->worker, EMESH_PHASE_RESULT, &conn->call);
    emesh_link_remove(&conn->link);
    emesh_tls_free(conn);
    g_free(conn->err);
    g_free(conn->texts);
    g_free(conn);
    if (!port || --lane->n_accepted > 0)
        return;
    emesh_part_jobs *part = &port->listeners->parts[lane->loop->index];
    if (part->closing) {
        part->closing = false;
        emesh_listeners_lane_done(port->listeners);
    }
}

/* ---- the beginning ---- */

bool
emesh_conn_known(emesh_conn *conn, const emesh_conn_ops *ops, void *ctx)
{
    if (!ops || !EMESH_CAN(ops, closed))
        return false;
    conn->ops = ops;
    conn->ctx = ctx;
    conn->known = true;
    return EMESH_CAN(ops, data);
}

/* What the peer may know; the log and the operator were told more. NULL: it is welcome. */
static const emesh_error *
refusal_of(const emesh_conn *conn, emesh_error *err)
{
    *err = (emesh_error){ .size = sizeof *err };
    switch ((emesh_conn_refusal)conn->refusal) {
    case CONN_REFUSED_FULL:
        err->code = EMESH_E_BUSY;
        g_snprintf(err->text, sizeof err->text, "the server has its limit of %u connections",
                   conn->port->listeners->max_connections);
        return err;
    case CONN_REFUSED_MEMORY:
        err->code = EMESH_E_NO_MEMORY;
        g_strlcpy(err->text, "the server's memory for connections is used up", sizeof err->text);
        return err;
    case CONN_WELCOME:
        break;
    }
    return NULL;
}

void
emesh_conn_established(emesh_conn *conn)
{
    const emesh_conn_ops *ops = NULL;
    void *ctx = NULL;
    emesh_error err;

    conn->state = CONN_OPEN;
    conn->opened_ns = conn->last_ns = now_of(conn);
    emesh_conn_arm(conn);
    emesh_conn_flush(conn); /* the interest, and what was written before */
    if (!conn->port) {
        emesh_dialing_free(conn);
        if (EMESH_CAN(conn->ops, connected))
            conn->ops->connected(conn->ctx, conn);
        return;
    }
    int32_t code = conn->port->listeners->accept(conn->lane->loop, conn, refusal_of(conn, &err),
                                                 &ops, &ctx);
    if (code != EMESH_OK) {
        conn_die(conn);
        return;
    }
    if (!emesh_conn_known(conn, ops, ctx)) {
        emesh_inst_log(conn->port->listeners->inst, EMESH_LOG_ERROR,
                       "accept() gave no table with data() and closed(): a bug of the plugin");
        emesh_conn_fail(conn, EMESH_E_INVALID, "accept() gave no table with data() and closed()");
    }
}

/* ---- time limits ---- */

static uint64_t
limit_at(uint64_t from, uint64_t duration)
{
    return duration ? from + duration : 0;
}

/* When the connection is to be looked at; 0 = not. */
static uint64_t
conn_deadline(const emesh_conn *conn)
{
    const emesh_conn_limits *limits = emesh_conn_limits_of(conn);

    switch ((emesh_conn_state)conn->state) {
    case CONN_DIAL:
        return emesh_dialing_deadline(conn);
    case CONN_HANDSHAKE:
        return conn->port ? limit_at(conn->opened_ns, limits->handshake_ns)
                          : emesh_dialing_deadline(conn);
    case CONN_OPEN:
        if (conn->stuffed_ns && !conn->paused)
            return conn->stuffed_ns + (limits->handshake_ns ? limits->handshake_ns : NET_FLUSH_NS);
        if (conn->port && !conn->got_byte && limits->handshake_ns)
            return limit_at(conn->opened_ns, limits->handshake_ns);
        return limit_at(conn->last_ns, limits->idle_ns);
    case CONN_FLUSH:
        return conn->last_ns + (conn->short_linger ? NET_SECOND : NET_FLUSH_NS);
    case CONN_LINGER:
        return conn->last_ns + (conn->short_linger ? NET_LINGER_SHORT_NS : NET_LINGER_NS);
    case CONN_DEAD:
        break;
    }
    return 0;
}

void
emesh_conn_arm(emesh_conn *conn)
{
    emesh_worker_alarm(conn->lane->worker, &conn->alarm, conn_deadline(conn));
}

/* The kernel holds output that a slow peer has not taken yet, and closing now would reset the
 * connection if the peer still sends: a longer wait. */
static bool
still_takes(emesh_conn *conn)
{
    int unsent = 0;

    if (conn->short_linger || conn->lingered >= NET_LINGER_MORE ||
        ioctl(conn->fd.fd, SIOCOUTQ, &unsent) != 0 || unsent <= 1) /* 1: the FIN */
        return false;
    conn->lingered++;
    conn->last_ns = now_of(conn);
    return true;
}

static void
conn_expire(emesh_conn *conn)
{
    const emesh_conn_limits *limits = emesh_conn_limits_of(conn);
    char peer[EMESH_ADDR_TEXT];

    switch ((emesh_conn_state)conn->state) {
    case CONN_DIAL:
        emesh_dialing_due(conn);
        break;
    case CONN_HANDSHAKE:
        emesh_addr_format(&conn->peer, peer);
        emesh_conn_fail(conn, conn->port ? EMESH_E_TIMEOUT : EMESH_E_UNAVAILABLE,
                        "the TLS handshake with %s was not finished in time", peer);
        break;
    case CONN_OPEN:
        if (conn->stuffed_ns && !conn->paused)
            emesh_conn_fail(conn, EMESH_E_TOO_LARGE,
                            "%u unread bytes are no complete message: over max-input",
                            conn->in.end - conn->in.start);
        else if (conn->port && !conn->got_byte && limits->handshake_ns)
            emesh_conn_fail(conn, EMESH_E_TIMEOUT, "no byte came in %" G_GUINT64_FORMAT " ms",
                            limits->handshake_ns / 1000000u);
        else
            emesh_conn_fail(conn, EMESH_E_TIMEOUT,
                            "no byte in either direction for %" G_GUINT64_FORMAT " s",
                            limits->idle_ns / NET_SECOND);
        break;
    case CONN_FLUSH:
        emesh_conn_fail(conn, EMESH_E_TIMEOUT, "the peer did not read the last output");
        break;
    case CONN_LINGER:
        if (still_takes(conn))
            emesh_conn_arm(conn);
        else
            conn_die(conn);
        break;
    case CONN_DEAD:
        break;
    }
}

/* Bytes only note their time: the alarm moves on when it is due, not with every byte. */
static void
conn_due(emesh_alarm *alarm)
{
    emesh_conn *conn = EMESH_OWNER(alarm, emesh_conn, alarm);

    /* Who is not read by our own wish is not silent by his. */
    if (conn->state == CONN_OPEN && (conn->paused || conn->starved) && conn->out.bytes == 0)
        conn->last_ns = conn->opened_ns = now_of(conn);
    uint64_t at = conn_deadline(conn);
    if (at != 0 && at <= now_of(conn))
        conn_expire(conn);
    else
        emesh_conn_arm(conn);
}

/* ---- what happens on the descriptor ---- */

static void
lost(emesh_conn *conn)
{
    int error = emesh_conn_socket_error(conn);
    emesh_conn_fail(conn, EMESH_E_LOST, "the connection broke: %s",
                    g_strerror(error ? error : EPIPE));
}

static void
conn_ready(emesh_fd *fd, uint32_t events)
{
    emesh_conn *conn = (emesh_conn *)fd;
    bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;

    switch ((emesh_conn_state)conn->state) {
    case CONN_DIAL:
        emesh_dialing_ready(conn);
        return;
    case CONN_HANDSHAKE:
        emesh_tls_handshake(conn);
        break;
    case CONN_OPEN:
        if (!emesh_conn_may_read(conn)) {
            if (broken)
                lost(conn);
        } else if (broken || (events & EPOLLIN)) {
            emesh_input_turn(conn);
        }
        break;
    case CONN_FLUSH:
        if (events & EPOLLIN)
            emesh_input_discard(conn);
        else if (broken)
            lost(conn);
        break;
    case CONN_LINGER:
        emesh_input_discard(conn);
        if (conn->eof)
            conn_die(conn);
        break;
    case CONN_DEAD:
        return;
    }
    if ((events & EPOLLOUT) && conn->state != CONN_DEAD) {
        conn->blocked = false;
        emesh_conn_flush(conn);
    }
}

/* ---- phase WRITE ---- */

static void
update_interest(emesh_conn *conn)
{
    uint32_t interest = conn->blocked ? EPOLLOUT : 0;

    switch ((emesh_conn_state)conn->state) {
    case CONN_HANDSHAKE:
        interest |= EPOLLIN;
        break;
    case CONN_OPEN:
        interest |= emesh_conn_may_read(conn) ? EPOLLIN : 0;
        break;
    case CONN_FLUSH:
    case CONN_LINGER:
        interest |= conn->eof ? 0 : EPOLLIN;
        break;
    case CONN_DIAL:
    case CONN_DEAD:
        return;
    }
    /* Nothing wanted: a broken connection is still reported, edge triggered, so only once. */
    emesh_worker_rewatch(conn->lane->worker, &conn->fd, interest ? interest : (uint32_t)EPOLLET);
}

static void
run_flush(emesh_phased *item)
{
    emesh_conn *conn = EMESH_OWNER(item, emesh_conn, flush);
    size_t half = emesh_conn_limits_of(conn)->output_mark / 2;

    if (conn->state == CONN_DEAD || conn->state == CONN_DIAL)
        return;
    if (!conn->blocked && !emesh_output_send(conn))
        return;
    emesh_output_settle(conn);
    if (conn->full && conn->out.bytes <= half) {
        conn->full = false;
        emesh_conn_call(conn);
    }
    if (conn->want_room && conn->out.bytes <= half)
        emesh_conn_call(conn);
    if (conn->state == CONN_FLUSH && conn->out.bytes == 0 && conn->tls &&
        !emesh_tls_said_bye(conn)) {
        emesh_tls_bye(conn);
        if (!emesh_output_send(conn))
            return;
    }
    if (conn->state == CONN_FLUSH && conn->out.bytes == 0)
        flushed(conn);
    if (conn->state != CONN_DEAD)
        update_interest(conn);
}

/* ---- phase RESULT ---- */

void
emesh_conn_tell_eof(emesh_conn *conn)
{
    if (conn->state != CONN_OPEN || !conn->eof_due || conn->paused || conn->full)
        return;
    conn->eof_due = false;
    if (EMESH_CAN(conn->ops, eof))
        conn->ops->eof(conn->ctx, conn);
    else
        emesh_conn_leave(conn, EMESH_E_LOST, "the peer closed the connection");
}

static void
run_call(emesh_phased *item)
{
    emesh_conn *conn = EMESH_OWNER(item, emesh_conn, call);
    size_t half = emesh_conn_limits_of(conn)->output_mark / 2;

    if (conn->state == CONN_DEAD) {
        emesh_conn_free_now(conn);
        return;
    }
    if (conn->state == CONN_LINGER) {
        tell_closed(conn);
        return;
    }
    if (conn->state != CONN_OPEN)
        return;
    if (conn->want_room && conn->out.bytes <= half) {
        conn->want_room = false;
        if (EMESH_CAN(conn->ops, room))
            conn->ops->room(conn->ctx, conn);
    }
    emesh_input_deliver(conn);
    if (conn->tls && emesh_conn_may_read(conn) && emesh_tls_pending(conn))
        emesh_input_turn(conn); /* epoll knows nothing of these bytes */
    emesh_conn_tell_eof(conn);
    if (conn->state == CONN_OPEN) {
        emesh_input_settle(conn);
        emesh_conn_flush(conn); /* the interest */
    }
}
