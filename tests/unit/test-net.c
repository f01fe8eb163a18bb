/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of accepted connections: bytes in every cut, backpressure, pause, the ways to end.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-harness.h"

static const emesh_net_api *const net = &emesh_net_service;

static const emesh_conn_ops echo_ops = { .size = sizeof(emesh_conn_ops),
                                         .data = net_peer_echo,
                                         .closed = net_peer_closed };

static void
open_echo(net_server *server, uint32_t n_lanes)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    server->ops = &echo_ops;
    net_server_open(server, &spec, n_lanes);
}

static void
test_echo(void)
{
    net_server server = { 0 };
    emesh_listener_info info = { 0 };
    char back[6] = "";

    open_echo(&server, 1);
    int fd = net_connect(&server);
    net_send(fd, "hello", 5);
    net_receive(fd, back, 5);
    g_assert_cmpstr(back, ==, "hello");
    NET_WAIT(emesh_net_listener_info(server.inst.listeners, &info, 1) && info.bytes_out == 5);
    g_assert_cmpuint(info.accepted, ==, 1);
    g_assert_cmpuint(info.connections, ==, 1);
    g_assert_cmpuint(info.bytes_in, ==, 5);
    g_assert_false(info.open_to_others);
    g_assert_false(info.tls);
    close(fd);
    NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpint(server.last_code, ==, EMESH_E_LOST);
    net_server_close(&server);
}

/* ---- frames: 4 bytes of length, then the body; whole frames are echoed ---- */

static uint32_t
frame_len(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static size_t
frame_put(uint8_t *at, uint32_t number, uint32_t body)
{
    at[0] = (uint8_t)(body >> 24);
    at[1] = (uint8_t)(body >> 16);
    at[2] = (uint8_t)(body >> 8);
    at[3] = (uint8_t)body;
    for (uint32_t i = 0; i < body; i++)
        at[4 + i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
    return 4 + body;
}

static size_t
frames_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    const uint8_t *at = in->ptr;
    size_t done = 0;

    __atomic_fetch_add(&peer->n_data, 1, __ATOMIC_RELAXED);
    while (in->len - done >= 4) {
        size_t whole = 4 + (size_t)frame_len(at + done);
        if (in->len - done < whole) {
            int32_t code = net->need(conn, whole);
            if (code != EMESH_OK) {
                g_assert_cmpint(code, ==, EMESH_E_TOO_LARGE);
                net->close(conn, EMESH_CLOSE_FLUSH);
                return in->len;
            }
            break;
        }
        emesh_part frame = { at + done, whole, in->owner };
        g_assert_cmpint(net->write(conn, &frame, 1), ==, EMESH_OK);
        peer->bytes += whole;
        done += whole;
    }
    return done;
}

static const emesh_conn_ops frame_ops = { .size = sizeof(emesh_conn_ops),
                                          .data = frames_data,
                                          .closed = net_peer_closed };

static void
open_frames(net_server *server)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    server->ops = &frame_ops;
    net_server_open(server, &spec, 1);
}

/* tcp-like: a sender that gives one byte at a time gets the same answer. */
static void
test_byte_at_a_time(void)
{
    net_server server = { 0 };
    uint8_t frames[600], back[600];
    size_t n = 0;

    open_frames(&server);
    n += frame_put(frames + n, 1, 300);
    n += frame_put(frames + n, 2, 0);
    n += frame_put(frames + n, 3, 200);
    int fd = net_connect(&server);
    for (size_t i = 0; i < n; i++) {
        net_send(fd, frames + i, 1);
        if (i % 50 == 0)
            g_usleep(200); /* lets some bytes come alone */
    }
    net_receive(fd, back, n);
    g_assert_cmpmem(back, n, frames, n);
    close(fd);
    net_server_close(&server);
}

static void
test_pipelined(void)
{
    net_server server = { 0 };
    g_autofree uint8_t *frames = g_malloc(2000 * 1004);
    g_autofree uint8_t *back = g_malloc(2000 * 1004);
    size_t n = 0, at = 0;
    emesh_worker_stats before, after;

    open_frames(&server);
    for (uint32_t i = 0; i < 2000; i++)
        n += frame_put(frames + n, i, i % 1000);
    int fd = net_connect(&server);
    emesh_worker_read_stats(server.workers[0], &before);
    while (at < n) { /* in pieces that cut frames anywhere */
        size_t part = MIN(n - at, (size_t)g_test_rand_int_range(1, 60000));
        net_send(fd, frames + at, part);
        at += part;
    }
    net_receive(fd, back, n);
    g_assert_cmpmem(back, n, frames, n);
    emesh_worker_read_stats(server.workers[0], &after);
    g_assert_cmpuint(after.wakeups - before.wakeups, <, 1000); /* not one a frame */
    close(fd);
    net_server_close(&server);
}

/* A frame far larger than a read buffer arrives whole, contiguous; one over max-input does not. */
static void
test_large(void)
{
    net_server server = { 0 };
    const uint32_t body = 5u << 20;
    g_autofree uint8_t *frame = g_malloc(body + 4), *back = g_malloc(body + 4);
    static const uint8_t too_large[] = { 0x7f, 0xff, 0xff, 0xff, 'x' };

    open_frames(&server);
    frame_put(frame, 9, body);
    int fd = net_connect(&server);
    net_send(fd, frame, 100);
    g_usleep(1000);
    net_send(fd, frame + 100, body + 4 - 100);
    net_receive(fd, back, body + 4);
    g_assert_cmpmem(back, body + 4, frame, body + 4);
    net_send(fd, too_large, sizeof too_large);
    g_assert_true(net_at_fin(fd));
    close(fd);
    net_server_close(&server);
}

/* ---- a reader that does not read ---- */

#define ANSWER (64u << 10)

typedef struct slow_state {
    uint32_t busy, answered, room; /* atomic */
} slow_state;

/* Each byte of input is answered with 64 KiB. A write that is BUSY stops the input. */
static size_t
slow_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    slow_state *state = peer->server->user;
    static const uint8_t answer[ANSWER];
    emesh_part part = { answer, sizeof answer, NULL };

    for (size_t i = 0; i < in->len; i++) {
        int32_t code = net->write(conn, &part, 1);
        if (code == EMESH_E_BUSY) {
            __atomic_fetch_add(&state->busy, 1, __ATOMIC_RELAXED);
            net->pause(conn, 1);
            return i;
        }
        g_assert_cmpint(code, ==, EMESH_OK);
        __atomic_fetch_add(&state->answered, 1, __ATOMIC_RELAXED);
    }
    return in->len;
}

static void
slow_room(void *ctx, emesh_conn *conn)
{
    net_peer *peer = ctx;
    slow_state *state = peer->server->user;
    __atomic_fetch_add(&state->room, 1, __ATOMIC_RELAXED);
    net->pause(conn, 0);
}

static void
test_slow_reader(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = slow_data,
                                        .room = slow_room,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    slow_state state = { 0 };
    net_server server = { .ops = &ops, .user = &state };
    char asks[400];
    g_autofree char *got = g_malloc(ANSWER);

    spec.output_mark = 128u << 10;
    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    memset(asks, 'x', sizeof asks);
    net_send(fd, asks, sizeof asks);
    NET_WAIT(__atomic_load_n(&state.busy, __ATOMIC_RELAXED) > 0);
    /* At most what the kernel takes, and eight marks: far from the 25 MiB asked for. */
    uint32_t answered, before;
    do {
        before = __atomic_load_n(&state.answered, __ATOMIC_RELAXED);
        g_usleep(100000);
        answered = __atomic_load_n(&state.answered, __ATOMIC_RELAXED);
    } while (answered != before);
    g_assert_cmpuint(answered, <, 300);
    for (size_t i = 0; i < sizeof asks; i++)
        net_receive(fd, got, ANSWER);
    g_assert_cmpuint(__atomic_load_n(&state.answered, __ATOMIC_RELAXED), ==, sizeof asks);
    g_assert_cmpuint(__atomic_load_n(&state.room, __ATOMIC_RELAXED), ==,
                     __atomic_load_n(&state.busy, __ATOMIC_RELAXED));
    close(fd);
    net_server_close(&server);
}

/* Above the mark nothing more is read: the sender is stopped by its own full socket, and whatever
 * it gets through is answered in the end. */
static void
test_reading_stops(void)
{
    net_server server = { 0 };
    emesh_listener_info info;
    g_autofree char *much = g_malloc0(1u << 20);
    size_t sent = 0, back = 0;

    open_echo(&server, 1);
    int fd = net_connect(&server);
    for (;;) {
        ssize_t n = send(fd, much, 1u << 20, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            sent += (size_t)n;
            continue;
        }
        size_t before = 0;
        emesh_net_listener_info(server.inst.listeners, &info, 1);
        before = info.bytes_in;
        g_usleep(100000);
        emesh_net_listener_info(server.inst.listeners, &info, 1);
        if (info.bytes_in == before)
            break;
    }
    g_assert_cmpuint(sent, <, 64u << 20);
    while (back < sent) {
        ssize_t n = recv(fd, much, 1u << 20, 0);
        g_assert_cmpint(n, >, 0);
        back += (size_t)n;
    }
    close(fd);
    net_server_close(&server);
}

/* ---- pause ---- */

typedef struct pauser {
    emesh_job job;
    net_peer *peer;
    uint32_t paused; /* atomic */
} pauser;

static size_t
pause_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    pauser *p = peer->server->user;

    switch (peer->n_data++) {
    case 0: /* takes two bytes and stops */
        g_assert_cmpuint(in->len, ==, 5);
        net->pause(conn, 1);
        p->peer = peer;
        __atomic_store_n(&p->paused, 1, __ATOMIC_RELEASE);
        return 2;
    case 1: /* went on: the rest comes again, with what came meanwhile or before it */
        g_assert_true(memcmp(in->ptr, "llo", 3) == 0);
        net->pause(conn, 1); /* and at once back: again, but never inside of this call */
        net->pause(conn, 0);
        g_assert_cmpuint(peer->n_data, ==, 2);
        return 0;
    default:
        g_assert_cmpint(net->write(conn, in, 1), ==, EMESH_OK);
        return in->len;
    }
}

static void
go_on(net_server *server, void *arg)
{
    pauser *p = arg;
    (void)server;
    net->pause(p->peer->conn, 0);
    g_assert_cmpuint(p->peer->n_data, ==, 1); /* later, not inside of the call */
}

static void
test_pause(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = pause_data,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    pauser p = { 0 };
    net_server server = { .ops = &ops, .user = &p };
    char back[9] = "";

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    net_send(fd, "hello", 5);
    NET_WAIT(__atomic_load_n(&p.paused, __ATOMIC_ACQUIRE));
    net_send(fd, " more", 5);
    net_on_lane(&server, go_on, &p);
    net_receive(fd, back, 8);
    g_assert_cmpstr(back, ==, "llo more");
    close(fd);
    net_server_close(&server);
}

/* ---- the ways to end ---- */

#define AT_ACCEPT 0
#define AT_DATA 1
#define AT_EOF 2
#define AT_ROOM 3

typedef struct end_script {
    uint32_t where, how;
    bool twice;
} end_script;

static void
end_here(net_peer *peer, uint32_t where)
{
    const end_script *script = peer->server->user;
    static const uint8_t last[] = "last words";
    emesh_part part = { last, sizeof last - 1, NULL };

    if (script->where != where)
        return;
    g_assert_cmpint(net->write(peer->conn, &part, 1), ==, EMESH_OK);
    net->close(peer->conn, script->how);
    g_assert_cmpint(net->write(peer->conn, &part, 1), ==, EMESH_E_CLOSED);
    net->pause(peer->conn, 1);
    net->pause(peer->conn, 0);
    if (script->twice)
        net->close(peer->conn, EMESH_CLOSE_ABORT);
    g_assert_cmpuint(peer->n_closed, ==, 0);
}

static int32_t
end_accept(net_peer *peer)
{
    end_here(peer, AT_ACCEPT);
    return EMESH_OK;
}

static size_t
end_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    const char *bytes = in->ptr;
    (void)conn;
    end_here(peer, AT_DATA);
    g_assert_cmpint(bytes[in->len - 1], ==, '.'); /* borrowed until the call returns */
    return in->len;
}

static void
end_eof(void *ctx, emesh_conn *conn)
{
    (void)conn;
    end_here(ctx, AT_EOF);
}

static void
test_close_everywhere(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = end_data,
                                        .eof = end_eof,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);

    for (uint32_t where = AT_ACCEPT; where <= AT_EOF; where++) {
        for (uint32_t variant = 0; variant < 3; variant++) {
            end_script script = { .where = where,
                                  .how = variant == 1 ? EMESH_CLOSE_ABORT : EMESH_CLOSE_FLUSH,
                                  .twice = variant == 2 };
            net_server server = { .ops = &ops, .accepting = end_accept, .user = &script };
            char back[10];
            net_server_open(&server, &spec, 1);
            int fd = net_connect(&server);
            send(fd, "ask.", 4, MSG_NOSIGNAL); /* may meet a closed socket: then EPIPE */
            shutdown(fd, SHUT_WR);
            if (variant == 0) {
                net_receive(fd, back, sizeof back);
                g_assert_cmpmem(back, sizeof back, "last words", 10);
                g_assert_true(net_at_fin(fd));
            } else {
                g_assert_true(net_at_end(fd));
            }
            NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == 1);
            g_assert_cmpint(server.last_code, ==, EMESH_OK);
            close(fd);
            net_server_close(&server);
        }
    }
}

static int32_t
no_thanks(net_peer *peer)
{
    return peer->server->user ? EMESH_E_DENIED : EMESH_OK;
}

/* accept() says no, or gives a table without data(): closed without closed(). */
static void
test_not_accepted(void)
{
    static const emesh_conn_ops no_data = { .size = sizeof no_data, .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops, .accepting = no_thanks, .user = &server };

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    g_assert_true(net_at_end(fd));
    close(fd);
    g_assert_cmpuint(server.accepted, ==, 0);
    net_server_close(&server);

    net_server lacking = { .ops = &no_data, .accepting = no_thanks };
    net_server_open(&lacking, &spec, 1);
    fd = net_connect(&lacking);
    g_assert_true(net_at_end(fd));
    close(fd);
    NET_WAIT(net_logged(&lacking, "a bug of the plugin"));
    NET_WAIT(__atomic_load_n(&lacking.closed, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpint(lacking.last_code, ==, EMESH_E_INVALID);
    net_server_close(&lacking);
}

static void
answer_eof(void *ctx, emesh_conn *conn)
{
    net_peer *peer = ctx;
    g_autofree uint8_t *answer = g_malloc(3u << 20);
    emesh_part part = { answer, 3u << 20, NULL };

    memset(answer, 'a', 3u << 20);
    peer->n_eof++;
    g_assert_cmpuint(peer->n_eof, ==, 1);
    g_assert_cmpint(net->write(conn, &part, 1), ==, EMESH_OK);
    net->close(conn, EMESH_CLOSE_FLUSH);
}

static size_t
swallow(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    (void)ctx;
    (void)conn;
    return in->len;
}

/* The peer ends its direction and still gets all of a long answer. */
static void
test_half_close(void)
{
    static const emesh_conn_ops ops = {
        .size = sizeof ops, .data = swallow, .eof = answer_eof, .closed = net_peer_closed
    };
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &ops };
    g_autofree char *back = g_malloc(3u << 20);

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    net_send(fd, "ask", 3);
    shutdown(fd, SHUT_WR);
    net_receive(fd, back, 3u << 20);
    g_assert_true(net_at_fin(fd));
    NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpint(server.last_code, ==, EMESH_OK);
    close(fd);
    net_server_close(&server);
}

static size_t
answer_and_close(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    static const uint8_t answer[2u << 20];
    emesh_part part = { answer, sizeof answer, NULL };
    (void)ctx;
    g_assert_cmpint(net->write(conn, &part, 1), ==, EMESH_OK);
    net->close(conn, EMESH_CLOSE_FLUSH);
    return in->len;
}

/* The last answer is not destroyed by a reset although the peer goes on sending. */
static void
test_flush_with_unread_input(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = answer_and_close,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &ops };
    g_autofree char *bulk = g_malloc0(2u << 20);

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    net_send(fd, "ask", 3);
    net_send(fd, bulk, 200000);
    net_receive(fd, bulk, 2u << 20);
    g_assert_true(net_at_fin(fd));
    close(fd);
    net_server_close(&server);
}

/* A slow reader that goes on sending gets all of it, although that takes longer than the wait for
 * its FIN. */
static void
test_flush_slow(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = answer_and_close,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &ops };
    g_autofree char *bulk = g_malloc0(2u << 20);
    int small = 65536;
    size_t got = 0;

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    net_send(fd, "ask", 3);
    for (int i = 0; i < 25; i++) { /* 2.5 s: a fifth of it */
        net_receive(fd, bulk, 16384);
        got += 16384;
        net_send(fd, "more", 4);
        g_usleep(100000);
    }
    net_receive(fd, bulk, (2u << 20) - got);
    g_assert_true(net_at_fin(fd));
    close(fd);
    net_server_close(&server);
}

/* A peer that never reads cannot keep a closing connection for ever, nor hold up the end. */
static void
test_flush_never_read(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = answer_and_close,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &ops };
    int small = 4096;

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    net_send(fd, "ask", 3);
    NET_WAIT(__atomic_load_n(&server.accepted, __ATOMIC_ACQUIRE) == 1);
    g_usleep(20000);
    gint64 start = g_get_monotonic_time();
    net_server_close(&server);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    close(fd);
}

static size_t
pause_for_ever(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    (void)ctx;
    (void)in;
    net->pause(conn, 1);
    return 0;
}

/* A reset is noticed, while reading and while paused. */
static void
test_reset(void)
{
    static const emesh_conn_ops paused = { .size = sizeof paused,
                                           .data = pause_for_ever,
                                           .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);

    for (int variant = 0; variant < 2; variant++) {
        net_server server = { .ops = variant ? &paused : &echo_ops };
        emesh_listener_info info = { 0 };
        net_server_open(&server, &spec, 1);
        int fd = net_connect(&server);
        net_send(fd, "x", 1);
        NET_WAIT(emesh_net_listener_info(server.inst.listeners, &info, 1) && info.bytes_in == 1);
        g_usleep(5000);
        net_reset(fd);
        NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == 1);
        g_assert_cmpint(server.last_code, ==, EMESH_E_LOST);
        net_server_close(&server);
    }
}

/* Everybody is closed at the end, on every lane, and told why. */
static void
test_close_all(void)
{
    net_server server = { 0 };
    int fds[60];
    char byte;

    open_echo(&server, 3);
    for (int i = 0; i < 60; i++) {
        fds[i] = net_connect(&server);
        net_send(fds[i], "x", 1);
        net_receive(fds[i], &byte, 1);
    }
    net_server_close(&server);
    g_assert_cmpuint(server.accepted, ==, 60);
    g_assert_cmpuint(server.closed, ==, 60);
    g_assert_cmpint(server.last_code, ==, EMESH_E_CLOSED);
    for (int i = 0; i < 60; i++) {
        g_assert_true(net_at_fin(fds[i]));
        close(fds[i]);
    }
}

static int32_t
show_conn(net_peer *peer)
{
    __atomic_store_n((emesh_conn **)peer->server->user, peer->conn, __ATOMIC_RELEASE);
    return EMESH_OK;
}

/* A call from another thread than the lane is refused and reported. */
static void
test_foreign_thread(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    emesh_conn *conn = NULL;
    net_server server = { .ops = &echo_ops, .accepting = show_conn, .user = &conn };
    emesh_part part = { "x", 1, NULL };
    char byte = 'y';

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    NET_WAIT(__atomic_load_n(&conn, __ATOMIC_ACQUIRE));
    g_assert_cmpint(net->write(conn, &part, 1), ==, EMESH_E_INVALID);
    g_assert_cmpint(net->need(conn, 1), ==, EMESH_E_INVALID);
    net->close(conn, EMESH_CLOSE_ABORT);
    g_assert_cmpuint(net_count_logged(&server, "another thread"), ==, 3);
    net_send(fd, &byte, 1);
    net_receive(fd, &byte, 1);
    g_assert_cmpint(byte, ==, 'y');
    close(fd);
    net_server_close(&server);
}

/* One request, one wake-up. */
static void
test_ping_pong(void)
{
    net_server server = { 0 };
    emesh_worker_stats before, after;
    char byte = 'x';

    open_echo(&server, 1);
    int fd = net_connect(&server);
    net_send(fd, &byte, 1);
    net_receive(fd, &byte, 1);
    emesh_worker_read_stats(server.workers[0], &before);
    for (int i = 0; i < 1000; i++) {
        net_send(fd, &byte, 1);
        net_receive(fd, &byte, 1);
    }
    emesh_worker_read_stats(server.workers[0], &after);
    g_assert_cmpuint(after.wakeups - before.wakeups, <=, 1010);
    g_assert_cmpuint(after.eventfd_writes - before.eventfd_writes, ==, 0);
    close(fd);
    net_server_close(&server);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/echo", test_echo);
    g_test_add_func("/net/byte-at-a-time", test_byte_at_a_time);
    g_test_add_func("/net/pipelined", test_pipelined);
    g_test_add_func("/net/large", test_large);
    g_test_add_func("/net/slow-reader", test_slow_reader);
    g_test_add_func("/net/reading-stops", test_reading_stops);
    g_test_add_func("/net/pause", test_pause);
    g_test_add_func("/net/close/everywhere", test_close_everywhere);
    g_test_add_func("/net/close/not-accepted", test_not_accepted);
    g_test_add_func("/net/close/half", test_half_close);
    g_test_add_func("/net/close/flush-with-unread-input", test_flush_with_unread_input);
    g_test_add_func("/net/close/flush-slow", test_flush_slow);
    g_test_add_func("/net/close/flush-never-read", test_flush_never_read);
    g_test_add_func("/net/close/reset", test_reset);
    g_test_add_func("/net/close/all", test_close_all);
    g_test_add_func("/net/foreign-thread", test_foreign_thread);
    g_test_add_func("/net/ping-pong", test_ping_pong);
    return g_test_run();
}
