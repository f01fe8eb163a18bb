/* SPDX-License-Identifier: Apache-2.0
 *
 * Output of one connection: a queue of pieces, each with the buffer that keeps it alive. Parts
 * without an owner (and very small ones) are copied into a chunk that all connections of the lane
 * share and that is empty again after most wake-ups; what the kernel does not take at once moves
 * to a buffer of the connection, so that one slow reader does not pin the lane's chunk. One
 * sendmsg() carries what a wake-up has queued.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "conn.h"
#include "tls.h"

#define PIECES_PER_CALL 64

/* ---- the queue ---- */

static bool
pieces_reserve(emesh_output *out, uint32_t more)
{
    if (out->head == out->n)
        out->head = out->n = out->fresh = 0;
    if (out->n + more <= out->cap)
        return true;
    if (out->head > 0) {
        memmove(out->pieces, out->pieces + out->head,
                (size_t)(out->n - out->head) * sizeof *out->pieces);
        out->n -= out->head;
        out->fresh -= out->head;
        out->head = 0;
    }
    if (out->n + more <= out->cap)
        return true;
    uint32_t cap = out->cap ? out->cap : 4;
    while (cap < out->n + more)
        cap *= 2;
    emesh_piece *grown = g_try_renew(emesh_piece, out->pieces, cap);
    if (!grown)
        return false;
    out->pieces = grown;
    out->cap = cap;
    return true;
}

static void
pieces_add(emesh_output *out, const void *ptr, size_t len, emesh_buf *owner, bool in_chunk)
{
    emesh_piece *last = out->n > out->head ? &out->pieces[out->n - 1] : NULL;

    if (last && last->owner == owner && last->ptr + last->len == (const uint8_t *)ptr) {
        last->len += (uint32_t)len;
        return;
    }
    out->pieces[out->n++] =
        (emesh_piece){ ptr, emesh_buf_ref(owner), (uint32_t)len, in_chunk ? 1 : 0 };
}

/* Makes sure that need bytes fit. False: no memory. */
static bool
space_reserve(emesh_space *space, size_t need, size_t usual)
{
    void *mem;

    if (space->buf && emesh_buf_is_unique(space->buf))
        space->used = 0;
    if (space->buf && space->cap - space->used >= need)
        return true;
    emesh_buf *buf = emesh_buf_new(MAX(need, usual), &mem);
    if (!buf)
        return false;
    emesh_buf_unref(space->buf);
    *space = (emesh_space){ .buf = buf, .mem = mem, .cap = (uint32_t)MAX(need, usual) };
    return true;
}

static const uint8_t *
space_put(emesh_space *space, const void *ptr, size_t len)
{
    uint8_t *to = space->mem + space->used;
    memcpy(to, ptr, len);
    space->used += (uint32_t)len;
    return to;
}

static bool
is_copied(const emesh_part *part)
{
    return !part->owner || part->len < NET_COPY_BELOW;
}

int32_t
emesh_output_write(emesh_conn *conn, const emesh_part *parts, uint32_t n)
{
    emesh_output *out = &conn->out;
    emesh_space *chunk = &conn->lane->chunk;
    const size_t mark = emesh_conn_limits_of(conn)->output_mark;
    size_t copied = 0, total = 0;

    if (conn->state >= CONN_FLUSH)
        return EMESH_E_CLOSED;
    if (out->bytes >= mark * NET_BUSY_FACTOR || (out->bytes > 0 && emesh_net_over(conn))) {
        conn->want_room = true;
        return EMESH_E_BUSY;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (parts[i].len > NET_WRITE_MOST - total)
            return EMESH_E_TOO_LARGE;
        total += parts[i].len;
        copied += is_copied(&parts[i]) ? parts[i].len : 0;
    }
    if (total == 0)
        return EMESH_OK;
    if (!pieces_reserve(out, n) || (copied > 0 && !space_reserve(chunk, copied, NET_CHUNK)))
        return EMESH_E_NO_MEMORY;
    for (uint32_t i = 0; i < n; i++) {
        if (parts[i].len == 0)
            continue;
        if (is_copied(&parts[i]))
            pieces_add(out, space_put(chunk, parts[i].ptr, parts[i].len), parts[i].len, chunk->buf,
                       true);
        else
            pieces_add(out, parts[i].ptr, parts[i].len, parts[i].owner, false);
    }
    out->bytes += total;
    emesh_net_account(conn, (int64_t)total);
    if (out->bytes > mark)
        conn->full = true;
    emesh_conn_flush(conn);
    return EMESH_OK;
}

void
emesh_output_take(emesh_conn *conn, size_t n)
{
    emesh_output *out = &conn->out;

    out->bytes -= n;
    emesh_net_account(conn, -(int64_t)n);
    while (n > 0) {
        emesh_piece *piece = &out->pieces[out->head];
        uint32_t part = (uint32_t)MIN(n, (size_t)piece->len);
        piece->ptr += part;
        piece->len -= part;
        n -= part;
        if (piece->len > 0)
            break;
        emesh_buf_unref(piece->owner);
        out->head++;
    }
    out->fresh = MAX(out->fresh, out->head);
}

void
emesh_output_clear(emesh_conn *conn)
{
    emesh_output *out = &conn->out;

    while (out->head < out->n)
        emesh_buf_unref(out->pieces[out->head++].owner);
    emesh_net_account(conn, -(int64_t)out->bytes);
    out->bytes = 0;
    emesh_buf_unref(out->own.buf);
    g_free(out->pieces);
    *out = (emesh_output){ 0 };
}

/* What stays queued leaves the lane's chunk; a connection without output keeps next to nothing. */
void
emesh_output_settle(emesh_conn *conn)
{
    emesh_output *out = &conn->out;
    size_t need = 0;

    if (out->head == out->n) {
        if (out->cap > 8)
            g_clear_pointer(&out->pieces, g_free);
        out->cap = out->pieces ? out->cap : 0;
        g_clear_pointer(&out->own.buf, emesh_buf_unref);
        out->own = (emesh_space){ 0 };
        out->head = out->n = out->fresh = 0;
        return;
    }
    for (uint32_t i = out->fresh; i < out->n; i++)
        need += out->pieces[i].in_chunk ? out->pieces[i].len : 0;
    if (need > 0 && !space_reserve(&out->own, need, NET_SMALL))
        return; /* no memory: the chunk stays pinned */
    for (uint32_t i = out->fresh; i < out->n; i++) {
        emesh_piece *piece = &out->pieces[i];
        if (!piece->in_chunk)
            continue;
        emesh_buf *chunk = piece->owner;
        piece->ptr = space_put(&out->own, piece->ptr, piece->len);
        piece->owner = emesh_buf_ref(out->own.buf);
        piece->in_chunk = 0;
        emesh_buf_unref(chunk);
    }
    out->fresh = out->n;
}

/* ---- to the kernel ---- */

/* The result of one send: bytes, 0 = the kernel is full, -1 = the connection is dead now. */
static ssize_t
sent(emesh_conn *conn, ssize_t n)
{
    if (n >= 0) {
        if (n > 0)
            conn->last_ns = emesh_worker_now(conn->lane->worker);
        if (conn->port)
            __atomic_store_n(&conn->port->bytes_out, conn->port->bytes_out + (uint64_t)n,
                             __ATOMIC_RELAXED);
        return n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)
        return 0;
    emesh_conn_fail(conn, EMESH_E_LOST, "the connection broke: %s", g_strerror(errno));
    return -1;
}

static ssize_t
send_pieces(emesh_conn *conn, size_t *asked)
{
    emesh_output *out = &conn->out;
    struct iovec iov[PIECES_PER_CALL];
    struct msghdr message = { .msg_iov = iov };
    ssize_t n;

    *asked = 0;
    for (uint32_t i = out->head; i < out->n && message.msg_iovlen < PIECES_PER_CALL; i++) {
        struct iovec *to = &iov[message.msg_iovlen++];
        to->iov_base = (void *)(uintptr_t)out->pieces[i].ptr;
        to->iov_len = out->pieces[i].len;
        *asked += to->iov_len;
    }
    do {
        n = sendmsg(conn->fd.fd, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return sent(conn, n);
}

static bool
send_plain(emesh_conn *conn)
{
    while (conn->out.head < conn->out.n) {
        size_t asked;
        ssize_t n = send_pieces(conn, &asked);
        if (n < 0)
            return false;
        emesh_output_take(conn, (size_t)n);
        if ((size_t)n < asked) {
            conn->blocked = true;
            return true;
        }
    }
    return true;
}

static bool
send_tls(emesh_conn *conn)
{
    const uint8_t *ptr;

    for (;;) {
        size_t len = emesh_tls_wire(conn, &ptr);
        if (len == 0) {
            if (conn->out.head == conn->out.n || conn->state == CONN_HANDSHAKE)
                return true;
            if (!emesh_tls_encrypt(conn)) {
                emesh_conn_fail(conn, EMESH_E_IO, "TLS cannot encrypt any more");
                return false;
            }
            continue;
        }
        ssize_t n;
        do {
            n = send(conn->fd.fd, ptr, len, MSG_NOSIGNAL);
        } while (n < 0 && errno == EINTR);
        n = sent(conn, n);
        if (n < 0)
            return false;
        emesh_tls_wire_sent(conn, (size_t)n);
        if ((size_t)n < len) {
            conn->blocked = true;
            return true;
        }
    }
}

bool
emesh_output_send(emesh_conn *conn)
{
    if (conn->state == CONN_LINGER)
        return true;
    return conn->tls ? send_tls(conn) : send_plain(conn);
}
