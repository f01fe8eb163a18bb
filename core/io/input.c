/* SPDX-License-Identifier: Apache-2.0
 *
 * Input of one connection: from the kernel into a counted buffer, and from there to the plugin,
 * contiguous and without a copy. The plugin may keep parts of the buffer for as long as it likes:
 * bytes it has seen are never written again, what comes later is appended behind them or goes into
 * another buffer. A connection without unread bytes holds no buffer.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"

/* ---- the buffer ---- */

static emesh_buf *
buffer_new(emesh_net_lane *lane, size_t size, uint8_t **mem)
{
    emesh_buf *buf = lane->spare;
    void *fresh = NULL;

    if (buf && emesh_buf_size(buf) >= size && size > NET_SMALL) {
        lane->spare = NULL;
        *mem = emesh_buf_mem(buf);
        return buf;
    }
    buf = emesh_buf_new(size, &fresh);
    *mem = fresh;
    return buf;
}

static void
buffer_end(emesh_net_lane *lane, emesh_buf *buf)
{
    size_t size = emesh_buf_size(buf);

    if (!lane->spare && size >= NET_READ_MIN && size <= NET_READ_MAX && emesh_buf_is_unique(buf))
        lane->spare = buf;
    else
        emesh_buf_unref(buf);
}

/* Unread bytes go into a buffer of at least size bytes. False: no memory. */
static bool
input_move(emesh_conn *conn, size_t size)
{
    emesh_input *in = &conn->in;
    uint32_t unread = in->end - in->start;
    uint8_t *mem;
    emesh_buf *buf = buffer_new(conn->lane, size, &mem);

    if (!buf)
        return false;
    if (in->buf) {
        memcpy(mem, in->mem + in->start, unread);
        emesh_net_account(conn, -(int64_t)in->cap);
        buffer_end(conn->lane, in->buf);
    }
    in->buf = buf;
    in->mem = mem;
    in->cap = (uint32_t)emesh_buf_size(buf);
    in->offered = in->offered > in->start ? in->offered - in->start : 0;
    in->start = 0;
    in->end = unread;
    emesh_net_account(conn, in->cap);
    return true;
}

void
emesh_input_clear(emesh_conn *conn)
{
    emesh_input *in = &conn->in;

    if (conn->in_data || !in->buf)
        return;
    emesh_net_account(conn, -(int64_t)in->cap);
    buffer_end(conn->lane, in->buf);
    in->buf = NULL;
    in->mem = NULL;
    in->cap = in->start = in->end = in->offered = 0;
}

void
emesh_input_settle(emesh_conn *conn)
{
    emesh_input *in = &conn->in;
    uint32_t unread = in->end - in->start;

    if (!in->buf)
        return;
    if (unread == 0) {
        emesh_input_clear(conn);
    } else if (unread <= NET_SMALL && in->cap > 2 * NET_SMALL) {
        size_t size = 256;
        while (size < unread)
            size *= 2;
        input_move(conn, size); /* if there is no memory it stays where it is */
    }
}

/* Room behind the unread bytes for what the plugin waits for. 0: none to be had now. A length that
 * the peer only claims costs nothing: buffers grow with what has really come. */
static uint32_t
input_room(emesh_conn *conn)
{
    emesh_input *in = &conn->in;
    const uint32_t most = emesh_conn_limits_of(conn)->max_input;
    uint32_t unread = in->end - in->start;
    size_t want = MAX(in->need, unread + 1u), size;

    if (in->buf && unread == 0 && emesh_buf_is_unique(in->buf))
        in->start = in->end = in->offered = 0;
    if (in->buf && in->start + want <= in->cap && in->cap - in->end >= NET_SMALL / 2)
        return in->cap - in->end;
    if (in->buf && in->start + want <= in->cap && want > unread + 1u)
        return in->cap - in->end; /* the last bytes of a message it was made for */
    size = MAX((size_t)in->chunk, 2 * (size_t)unread);
    if (want > size)
        size = MIN(want, MAX(size, 4 * (size_t)unread));
    size = MIN(size, MAX((size_t)most, (size_t)NET_READ_MIN));
    if (emesh_net_over(conn) || !input_move(conn, size)) {
        emesh_net_starve(conn);
        return 0;
    }
    return in->cap - in->end;
}

/* ---- to the plugin ---- */

void
emesh_input_deliver(emesh_conn *conn)
{
    emesh_input *in = &conn->in;
    uint32_t unread = in->end - in->start;

    if (conn->state != CONN_OPEN || conn->paused || conn->full || unread == 0 ||
        unread < in->need || (!conn->resume && in->offered == in->end))
        return;
    emesh_part part = { in->mem + in->start, unread, in->buf };
    conn->resume = false;
    in->need = 0;
    in->offered = in->end;
    conn->in_data = true;
    size_t used = conn->ops->data(conn->ctx, conn, &part);
    conn->in_data = false;
    if (conn->state != CONN_OPEN) {
        emesh_input_clear(conn);
        return;
    }
    if (used > unread) {
        emesh_conn_fail(conn, EMESH_E_INVALID, "data() used %zu bytes of %u: a bug of the plugin",
                        used, unread);
        return;
    }
    in->start += (uint32_t)used;
    bool stuffed = in->end - in->start >= emesh_conn_limits_of(conn)->max_input;
    if (stuffed != (conn->stuffed_ns != 0)) {
        conn->stuffed_ns = stuffed ? emesh_worker_now(conn->lane->worker) : 0;
        emesh_conn_arm(conn);
        emesh_conn_flush(conn);
    }
}

/* ---- from the kernel ---- */

/* As recv(), with -1 for "nothing there" and -2 for broken: then the connection is dead. */
static ssize_t
input_recv(emesh_conn *conn, void *to, size_t n)
{
    ssize_t got;

    if (conn->tls) {
        g_autofree char *text = NULL;
        int32_t code = EMESH_OK;
        got = emesh_tls_recv(conn, to, n, &code, &text);
        if (got == -2 && emesh_output_send(conn)) /* the alert says it to the peer */
            emesh_conn_fail(conn, code, "%s", text);
        return got;
    }
    do {
        got = recv(conn->fd.fd, to, n, 0);
    } while (got < 0 && errno == EINTR);
    if (got >= 0)
        return got;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return -1;
    emesh_conn_fail(conn, EMESH_E_LOST, "the connection broke: %s", g_strerror(errno));
    return -2;
}

static void
input_came(emesh_conn *conn, uint32_t n)
{
    conn->in.end += n;
    conn->last_ns = emesh_worker_now(conn->lane->worker);
    if (!conn->got_byte) {
        conn->got_byte = true;
        emesh_conn_arm(conn); /* from the first byte's limit to the idle one */
    }
    if (conn->port)
        __atomic_store_n(&conn->port->bytes_in, conn->port->bytes_in + n, __ATOMIC_RELAXED);
}

void
emesh_input_turn(emesh_conn *conn)
{
    emesh_input *in = &conn->in;
    size_t read = 0, most = emesh_net_turn_share(conn->lane);
    bool dry = false;

    if (conn->tls)
        emesh_tls_turn(conn);
    while (read < most && emesh_conn_may_read(conn)) {
        uint32_t room = input_room(conn);
        if (room == 0)
            break;
        size_t ask = MIN((size_t)room, most - read);
        ssize_t got = input_recv(conn, in->mem + in->end, ask);
        if (got == -2)
            return;
        dry = got <= 0;
        if (got == -1)
            break;
        if (got == 0) {
            conn->eof = conn->eof_due = true;
            emesh_conn_flush(conn); /* the interest */
            break;
        }
        input_came(conn, (uint32_t)got);
        read += (size_t)got;
        conn->lane->turn_bytes += (size_t)got;
        emesh_input_deliver(conn);
        if (conn->state != CONN_OPEN)
            return;
        /* Less than asked for: the kernel has no more, and would tell. */
        if ((size_t)got < ask && !conn->tls)
            break;
        if ((size_t)got == room && room >= in->chunk && in->chunk < NET_READ_MAX)
            in->chunk *= 2;
    }
    if (read < in->chunk / 4 && in->chunk > NET_READ_MIN)
        in->chunk /= 2;
    emesh_conn_tell_eof(conn);
    if (conn->state != CONN_OPEN)
        return;
    if (conn->tls && !dry && emesh_conn_may_read(conn))
        emesh_conn_call(conn); /* epoll knows nothing of decrypted bytes */
    if (!emesh_conn_may_read(conn))
        emesh_conn_flush(conn);
    emesh_input_settle(conn);
}

void
emesh_input_discard(emesh_conn *conn)
{
    char bin[16 * 1024];

    for (size_t n = 0; n < NET_TURN_BYTES;) {
        ssize_t got = recv(conn->fd.fd, bin, sizeof bin, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (got < 0 && conn->state == CONN_FLUSH) {
            emesh_conn_fail(conn, EMESH_E_LOST, "the connection broke: %s", g_strerror(errno));
            return;
        }
        if (got <= 0) {
            conn->eof = true;
            emesh_conn_flush(conn);
            return;
        }
        n += (size_t)got;
        if ((size_t)got < sizeof bin)
            return;
    }
}
