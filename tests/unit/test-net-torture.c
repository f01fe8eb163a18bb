/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin and clients that do at random whatever the contract allows, on three lanes, plain and
 * TLS. What must hold: the bytes that come back are a prefix of those that were sent, every
 * connection is closed exactly once, nothing is left over (the harness looks at the end).
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-certs.h"
#include "net-harness.h"

static const emesh_net_api *const net = &emesh_net_service;
static const emesh_loop_api *const loop = &emesh_loop_service;

#define N_CLIENTS 4
#define N_ROUNDS 40
#define MOST 300000

typedef struct wild { /* a peer's state beside its connection */
    net_peer *peer;
    emesh_timer *timer;
    uint32_t random, n_data;
    bool in_call, waits_for_room;
} wild;

static uint32_t
next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void
wild_due(void *ctx)
{
    wild *w = ctx;
    g_assert_false(w->in_call);
    net->pause(w->peer->conn, 0);
}

static int32_t
wild_accept(net_peer *peer)
{
    wild *w = g_new0(wild, 1);
    emesh_net_api const *n = net;

    w->peer = peer;
    w->random = (uint32_t)g_random_int();
    peer->user = w;
    if (next_random(&w->random) % 10 == 0)
        n->pause(peer->conn, 1), n->pause(peer->conn, 0);
    if (next_random(&w->random) % 40 == 0)
        n->close(peer->conn, next_random(&w->random) & 1);
    if (next_random(&w->random) % 40 == 0) {
        g_free(w);
        return EMESH_E_DENIED;
    }
    return EMESH_OK;
}

static emesh_loop *
loop_of(net_peer *peer)
{
    net_server *server = peer->server;
    for (uint32_t i = 0; i < server->n_lanes; i++) {
        if (server->loops[i].worker == emesh_worker_current())
            return &server->loops[i];
    }
    g_assert_not_reached();
}

static void
pause_a_while(wild *w)
{
    emesh_loop *here = loop_of(w->peer);
    net->pause(w->peer->conn, 1);
    if (!w->timer)
        w->timer = loop->timer(here, wild_due, w);
    loop->timer_set(w->timer, loop->time(here, EMESH_CLOCK_MONOTONIC) +
                                  next_random(&w->random) % 2000000);
}

/* Echoes the first part of the input, in up to three pieces. */
static size_t
echo_part(wild *w, const emesh_part *in, size_t n)
{
    const uint8_t *bytes = in->ptr;
    size_t a = n ? next_random(&w->random) % n : 0, b = n - a;
    emesh_part parts[3] = { { bytes, a, in->owner },
                            { NULL, 0, NULL },
                            { bytes + a, b, next_random(&w->random) & 1 ? in->owner : NULL } };
    int32_t code = net->write(w->peer->conn, parts, 3);

    if (code == EMESH_E_BUSY) {
        w->waits_for_room = true;
        net->pause(w->peer->conn, 1);
        return 0;
    }
    g_assert_true(code == EMESH_OK || code == EMESH_E_CLOSED);
    return n;
}

static size_t
wild_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    wild *w = ((net_peer *)ctx)->user;
    size_t used = in->len;

    g_assert_false(w->in_call);
    g_assert_cmpuint(in->len, >, 0);
    w->in_call = true;
    w->n_data++;
    switch (next_random(&w->random) % 16) {
    case 0:
        pause_a_while(w);
        used = 0;
        break;
    case 1:
        used = 0;
        g_assert_cmpint(net->need(conn, in->len + next_random(&w->random) % 3000), ==, EMESH_OK);
        pause_a_while(w); /* else a peer that has sent everything would wait for ever */
        net->need(conn, 0);
        break;
    case 2:
        used = echo_part(w, in, in->len / 2);
        pause_a_while(w);
        break;
    case 3:
        used = echo_part(w, in, in->len);
        if (w->n_data > 20 && next_random(&w->random) % 4 == 0)
            net->close(conn, next_random(&w->random) & 1);
        break;
    case 4:
        net->pause(conn, 1);
        net->pause(conn, 0);
        used = echo_part(w, in, in->len);
        break;
    default:
        used = echo_part(w, in, in->len);
        break;
    }
    w->in_call = false;
    return used;
}

static void
wild_room(void *ctx, emesh_conn *conn)
{
    wild *w = ((net_peer *)ctx)->user;
    g_assert_false(w->in_call);
    g_assert_true(w->waits_for_room);
    w->waits_for_room = false;
    net->pause(conn, 0);
}

static void
wild_eof(void *ctx, emesh_conn *conn)
{
    wild *w = ((net_peer *)ctx)->user;
    g_assert_false(w->in_call);
    net->close(conn, next_random(&w->random) % 8 == 0);
}

static void
wild_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    wild *w = ((net_peer *)ctx)->user;
    g_assert_false(w->in_call);
    if (w->timer)
        loop->timer_end(w->timer);
    net->close(conn, EMESH_CLOSE_FLUSH); /* no effect any more */
    g_free(w);
    net_peer_closed(ctx, conn, code, err);
}

static const emesh_conn_ops wild_ops = { .size = sizeof(emesh_conn_ops),
                                         .data = wild_data,
                                         .eof = wild_eof,
                                         .room = wild_room,
                                         .closed = wild_closed };

/* ---- clients ---- */

typedef struct client {
    pthread_t thread;
    net_server *server;
    SSL_CTX *tls;
    uint32_t random;
    uint8_t *out;
    uint64_t back; /* bytes that came back in all rounds */
    bool done;     /* atomic */
} client;

static ssize_t
put(int fd, SSL *ssl, const uint8_t *bytes, size_t n)
{
    return ssl ? SSL_write(ssl, bytes, (int)n) : send(fd, bytes, n, MSG_NOSIGNAL);
}

static ssize_t
get(int fd, SSL *ssl, uint8_t *bytes, size_t n)
{
    return ssl ? SSL_read(ssl, bytes, (int)n) : recv(fd, bytes, n, 0);
}

/* Sends in pieces, reads now and then; the server may end it at any time. */
static void
talk(client *c, int fd, SSL *ssl)
{
    size_t sent = 0, got = 0, whole = next_random(&c->random) % MOST;
    uint8_t back[5000];

    while (got < whole) {
        size_t piece = 1 + next_random(&c->random) % 20000, n = MIN(whole - sent, piece);
        if (n > 0) {
            ssize_t put_n = put(fd, ssl, c->out + sent, n);
            if (put_n <= 0)
                return;
            sent += (size_t)put_n;
        }
        if (next_random(&c->random) % 400 == 0)
            return;
        if (sent < whole && sent - got < 100000)
            continue;
        ssize_t get_n = get(fd, ssl, back, MIN(sizeof back, whole - got));
        if (get_n <= 0)
            return;
        g_assert_cmpmem(back, get_n, c->out + got, get_n);
        got += (size_t)get_n;
        c->back += (uint64_t)get_n;
    }
}

static void
one_round(client *c)
{
    int fd = net_connect(c->server);
    SSL *ssl = NULL;

    if (c->tls) {
        ssl = SSL_new(c->tls);
        SSL_set_fd(ssl, fd);
        if (SSL_connect(ssl) == 1)
            talk(c, fd, ssl);
    } else {
        talk(c, fd, NULL);
    }
    switch (next_random(&c->random) % 4) {
    case 0:
        net_reset(fd);
        break;
    case 1:
        shutdown(fd, SHUT_WR);
        g_assert_true(net_at_end(fd));
        close(fd);
        break;
    default:
        close(fd);
        break;
    }
    SSL_free(ssl);
}

static void *
client_run(void *data)
{
    client *c = data;
    for (int i = 0; i < N_ROUNDS; i++)
        one_round(c);
    __atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void
torture(emesh_listen_spec *spec, bool tls)
{
    net_server server = { .ops = &wild_ops, .accepting = wild_accept };
    client clients[N_CLIENTS] = { { 0 } };
    g_autofree uint8_t *out = g_malloc(MOST);
    uint64_t back = 0;

    for (size_t i = 0; i < MOST; i++)
        out[i] = (uint8_t)(i * 13 + (i >> 8));
    spec->output_mark = 20000;
    spec->handshake_ns = 3000000000u;
    net_server_open(&server, spec, 3);
    for (int i = 0; i < N_CLIENTS; i++) {
        clients[i] = (client){ .server = &server, .out = out, .random = g_random_int() };
        if (tls)
            clients[i].tls = SSL_CTX_new(TLS_client_method());
        pthread_create(&clients[i].thread, NULL, client_run, &clients[i]);
    }
    for (int i = 0; i < N_CLIENTS; i++) {
        while (!__atomic_load_n(&clients[i].done, __ATOMIC_ACQUIRE))
            net_step();
        pthread_join(clients[i].thread, NULL);
        SSL_CTX_free(clients[i].tls);
        back += clients[i].back;
    }
    g_test_message("%" G_GUINT64_FORMAT " bytes came back", back);
    g_assert_cmpuint(back, >, 100000);
    net_server_close(&server);
}

static void
test_plain(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    torture(&spec, false);
}

static void
test_tls(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    g_autofree char *dir = g_dir_make_tmp("emesh-torture-XXXXXX", NULL);
    net_authority ca = net_authority_new(dir, "ca");
    net_identity identity = net_identity_new(dir, "server", &ca, 30, FALSE);

    spec.tls_certificate = identity.cert_file;
    spec.tls_key = identity.key_file;
    torture(&spec, true);
    net_identity_free(&identity);
    net_authority_free(&ca);
    g_rmdir(dir);
}

/* Memory so tight that connections starve and are ended. */
static void
test_tight(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    spec.max_memory = 200000;
    torture(&spec, false);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN); /* for the clients: OpenSSL writes to what the server has closed */
    g_test_add_func("/net/torture/plain", test_plain);
    g_test_add_func("/net/torture/tls", test_tls);
    g_test_add_func("/net/torture/tight", test_tight);
    return g_test_run();
}
