/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS by configuration alone: the same plugin as over plain TCP. The client is OpenSSL on a
 * blocking socket, or net's own dial.
 */
#include <glib/gstdio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-certs.h"
#include "net-harness.h"

static const emesh_net_api *const net = &emesh_net_service;

typedef struct seen { /* by accept(), of the last connection */
    uint32_t tls, trusted, has_cert;
    char alpn[32], server_name[64];
} seen;

typedef struct fixture {
    char *dir;
    net_authority ca, other_ca;
    net_identity good, expired, wrong, client, stranger, elsewhere;
    net_server server;
    emesh_listen_spec spec;
    seen seen;
} fixture;

static int32_t
look(net_peer *peer)
{
    seen *s = peer->server->user;
    emesh_conn_info info = { .size = sizeof info };

    net->info(peer->conn, &info);
    *s = (seen){ .tls = info.tls, .trusted = info.cert_trusted, .has_cert = info.cert.len > 0 };
    g_snprintf(s->alpn, sizeof s->alpn, "%.*s", (int)info.alpn.len, (const char *)info.alpn.ptr);
    g_snprintf(s->server_name, sizeof s->server_name, "%.*s", (int)info.server_name.len,
               (const char *)info.server_name.ptr);
    return EMESH_OK;
}

static const emesh_conn_ops echo_ops = { .size = sizeof(emesh_conn_ops),
                                         .data = net_peer_echo,
                                         .closed = net_peer_closed };

static void
setup(fixture *f, gconstpointer data)
{
    (void)data;
    f->dir = g_dir_make_tmp("emesh-tls-XXXXXX", NULL);
    f->ca = net_authority_new(f->dir, "ca");
    f->other_ca = net_authority_new(f->dir, "other-ca");
    f->good = net_identity_new(f->dir, "good", &f->ca, 30, FALSE);
    f->expired = net_identity_new(f->dir, "expired", &f->ca, -1, FALSE);
    f->wrong = net_identity_new(f->dir, "wrong", &f->other_ca, 30, FALSE);
    f->elsewhere = net_identity_new(f->dir, "elsewhere.example", &f->ca, 30, TRUE);
    f->client = net_identity_new(f->dir, "client", &f->ca, 30, TRUE);
    f->stranger = net_identity_new(f->dir, "stranger", &f->other_ca, 30, TRUE);
    f->spec = net_spec(net_any_port);
    f->spec.tls_certificate = f->good.cert_file;
    f->spec.tls_key = f->good.key_file;
    f->server.ops = &echo_ops;
    f->server.accepting = look;
    f->server.user = &f->seen;
}

static void
teardown(fixture *f, gconstpointer data)
{
    (void)data;
    net_identity_free(&f->good);
    net_identity_free(&f->expired);
    net_identity_free(&f->wrong);
    net_identity_free(&f->elsewhere);
    net_identity_free(&f->client);
    net_identity_free(&f->stranger);
    net_authority_free(&f->ca);
    net_authority_free(&f->other_ca);
    g_rmdir(f->dir);
    g_free(f->dir);
}

/* ---- the OpenSSL client ---- */

typedef struct client {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
} client;

typedef struct client_wish {
    const net_authority *trust;
    const net_identity *identity;
    const char *alpn; /* wire form */
    int version;      /* only this one */
} client_wish;

/* Connects; the result of SSL_connect(). */
static int
client_open(client *c, const fixture *f, const client_wish *wish)
{
    c->fd = net_connect(&f->server);
    c->context = SSL_CTX_new(TLS_client_method());
    if (wish->trust)
        SSL_CTX_load_verify_file(c->context, wish->trust->file);
    SSL_CTX_set_verify(c->context, wish->trust ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (wish->identity) {
        SSL_CTX_use_certificate_chain_file(c->context, wish->identity->cert_file);
        SSL_CTX_use_PrivateKey_file(c->context, wish->identity->key_file, SSL_FILETYPE_PEM);
    }
    if (wish->version) {
        SSL_CTX_set_security_level(c->context, 0);
        SSL_CTX_set_min_proto_version(c->context, wish->version);
        SSL_CTX_set_max_proto_version(c->context, wish->version);
    }
    c->ssl = SSL_new(c->context);
    SSL_set_tlsext_host_name(c->ssl, "localhost");
    SSL_set1_host(c->ssl, "localhost");
    if (wish->alpn)
        SSL_set_alpn_protos(c->ssl, (const unsigned char *)wish->alpn,
                            (unsigned int)strlen(wish->alpn));
    SSL_set_fd(c->ssl, c->fd);
    ERR_clear_error();
    return SSL_connect(c->ssl);
}

static void
client_close(client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->context);
    close(c->fd);
}

static bool
client_echoes(client *c, size_t n)
{
    g_autofree char *out = g_malloc(n), *back = g_malloc0(n);
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(i * 7 + (i >> 9));
    while (got < n) { /* in steps: both directions have to flow */
        if (sent < n) {
            int wrote = SSL_write(c->ssl, out + sent, (int)MIN(n - sent, (size_t)50000));
            if (wrote <= 0)
                return false;
            sent += (size_t)wrote;
        }
        while (got < sent) {
            int read = SSL_read(c->ssl, back + got, (int)(sent - got));
            if (read <= 0)
                return false;
            got += (size_t)read;
        }
    }
    return memcmp(out, back, n) == 0;
}

/* ---- tests ---- */

static void
test_echo(fixture *f, gconstpointer data)
{
    emesh_listener_info info;
    static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

    (void)data;
    net_server_open(&f->server, &f->spec, 2);
    emesh_net_listener_info(f->server.inst.listeners, &info, 1);
    g_assert_true(info.tls);
    for (int i = 0; i < 2; i++) {
        client c;
        client_wish wish = { .trust = &f->ca, .version = versions[i] };
        g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
        g_assert_true(client_echoes(&c, 1));
        g_assert_true(client_echoes(&c, 100));
        g_assert_true(client_echoes(&c, 3u << 20));
        g_assert_cmpuint(f->seen.tls, ==, (uint32_t)versions[i]);
        g_assert_cmpstr(f->seen.server_name, ==, "localhost");
        g_assert_cmpstr(f->seen.alpn, ==, "");
        g_assert_cmpuint(f->seen.has_cert, ==, 0);
        SSL_shutdown(c.ssl); /* an orderly end */
        NET_WAIT(__atomic_load_n(&f->server.closed, __ATOMIC_ACQUIRE) == (uint32_t)i + 1);
        g_assert_cmpint(f->server.last_code, ==, EMESH_E_LOST);
        g_assert_cmpint(SSL_shutdown(c.ssl), ==, 1); /* and its answer */
        client_close(&c);
    }
    net_server_close(&f->server);
}

/* A floor of 1.2. */
static void
test_old_version(fixture *f, gconstpointer data)
{
    client c;
    client_wish wish = { .version = TLS1_1_VERSION };

    (void)data;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&c, f, &wish), !=, 1);
    client_close(&c);
    NET_WAIT(net_logged(&f->server, "the TLS handshake with 127.0.0.1:"));
    g_assert_cmpuint(f->server.accepted, ==, 0); /* the plugin never saw it */
    net_server_close(&f->server);
}

static void
test_alpn(fixture *f, gconstpointer data)
{
    client c;
    client_wish both = { .trust = &f->ca, .alpn = "\x08http/1.1\x02h2" };
    client_wish none = { .trust = &f->ca };
    client_wish alien = { .trust = &f->ca, .alpn = "\x04smtp" };

    (void)data;
    f->spec.alpn = "h2,http/1.1";
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&c, f, &both), ==, 1);
    g_assert_true(client_echoes(&c, 10));
    g_assert_cmpstr(f->seen.alpn, ==, "h2"); /* the server's order */
    client_close(&c);
    g_assert_cmpint(client_open(&c, f, &none), ==, 1);
    g_assert_true(client_echoes(&c, 10));
    g_assert_cmpstr(f->seen.alpn, ==, "");
    client_close(&c);
    g_assert_cmpint(client_open(&c, f, &alien), !=, 1);
    client_close(&c);
    net_server_close(&f->server);
}

/* TLS 1.3: a refused client certificate is told after SSL_connect(), with the first read. */
static bool
gets_in(fixture *f, const client_wish *wish)
{
    client c;
    bool in = client_open(&c, f, wish) == 1 && client_echoes(&c, 10);
    client_close(&c);
    return in;
}

static void
test_client_certificate(fixture *f, gconstpointer data)
{
    client_wish known = { .trust = &f->ca, .identity = &f->client };
    client_wish stranger = { .trust = &f->ca, .identity = &f->stranger };
    client_wish nobody = { .trust = &f->ca };

    (void)data;
    f->spec.tls_client_ca = f->ca.file;
    f->spec.tls_client_required = true;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_true(gets_in(f, &known));
    g_assert_cmpuint(f->seen.trusted, ==, 1);
    g_assert_cmpuint(f->seen.has_cert, ==, 1);
    g_assert_false(gets_in(f, &stranger));
    g_assert_false(gets_in(f, &nobody));
    g_assert_cmpuint(f->server.accepted, ==, 1);
    net_server_close(&f->server);
}

static void
test_client_certificate_optional(fixture *f, gconstpointer data)
{
    client_wish known = { .trust = &f->ca, .identity = &f->client };
    client_wish stranger = { .trust = &f->ca, .identity = &f->stranger };
    client_wish nobody = { .trust = &f->ca };

    (void)data;
    f->spec.tls_client_ca = f->ca.file;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_true(gets_in(f, &known));
    g_assert_cmpuint(f->seen.trusted, ==, 1);
    g_assert_true(gets_in(f, &nobody));
    g_assert_cmpuint(f->seen.trusted + f->seen.has_cert, ==, 0);
    g_assert_false(gets_in(f, &stranger));
    net_server_close(&f->server);
}

static void
copy_file(const char *from, const char *to)
{
    g_autofree char *text = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(from, &text, &len, NULL));
    g_assert_true(g_file_set_contents(to, text, (gssize)len, NULL));
}

/* New connections get the new certificate, open ones go on, a bad file changes nothing. */
static void
test_reload(fixture *f, gconstpointer data)
{
    client old, fresh;
    client_wish first = { .trust = &f->ca }, second = { .trust = &f->other_ca };
    g_autoptr(GError) error = NULL;
    g_autofree char *cert = g_build_filename(f->dir, "live.pem", NULL);
    g_autofree char *key = g_build_filename(f->dir, "live.key", NULL);

    (void)data;
    copy_file(f->good.cert_file, cert);
    copy_file(f->good.key_file, key);
    f->spec.tls_certificate = cert;
    f->spec.tls_key = key;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&old, f, &first), ==, 1);
    copy_file(f->wrong.cert_file, cert);
    g_assert_false(emesh_net_reload_tls(f->server.inst.listeners, &error)); /* not its key */
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "tls-key"));
    g_assert_nonnull(strstr(error->message, key));
    g_clear_error(&error);
    g_assert_true(gets_in(f, &first));
    copy_file(f->wrong.key_file, key);
    g_assert_true(emesh_net_reload_tls(f->server.inst.listeners, &error));
    g_assert_no_error(error);
    g_assert_cmpint(client_open(&fresh, f, &second), ==, 1);
    g_assert_true(client_echoes(&fresh, 1000));
    g_assert_true(client_echoes(&old, 1000));
    g_assert_false(gets_in(f, &first));
    client_close(&old);
    client_close(&fresh);
    net_server_close(&f->server);
    g_unlink(cert);
    g_unlink(key);
}

static void
test_files(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    emesh_listen_spec spec = f->spec;

    (void)data;
    spec.tls_certificate = "/nonexistent/cert.pem";
    g_assert_null(emesh_net_bind(&spec, 1, false, &error));
    g_assert_cmpstr(error->message, ==, "cannot use tls-certificate = /nonexistent/cert.pem: "
                                        "no such file or directory");
    g_clear_error(&error);
    spec = f->spec;
    spec.tls_key = f->client.key_file;
    g_assert_null(emesh_net_bind(&spec, 1, false, &error));
    g_assert_nonnull(strstr(error->message, "cannot use tls-key = "));
    g_clear_error(&error);
    spec = f->spec;
    spec.tls_client_ca = f->good.key_file;
    g_assert_null(emesh_net_bind(&spec, 1, false, &error));
    g_assert_nonnull(strstr(error->message, "cannot use tls-client-ca = "));
}

/* A handshake that stalls is cut in time, garbage at once. The plugin sees neither. */
static void
test_stalled(fixture *f, gconstpointer data)
{
    static const uint8_t half_hello[] = { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01 };
    gint64 start = g_get_monotonic_time();

    (void)data;
    f->spec.handshake_ns = 400000000u;
    net_server_open(&f->server, &f->spec, 1);
    int silent = net_connect(&f->server), half = net_connect(&f->server);
    int garbage = net_connect(&f->server);
    net_send(half, half_hello, sizeof half_hello);
    net_send(garbage, "GET / HTTP/1.1\r\n\r\n", 18);
    g_assert_true(net_at_end(garbage));
    g_assert_true(net_at_end(silent));
    g_assert_true(net_at_end(half));
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 400000);
    g_assert_cmpuint(f->server.accepted, ==, 0);
    g_assert_cmpuint(net_count_logged(&f->server, "connection from 127.0.0.1:"), ==, 3);
    g_assert_cmpuint(net_count_logged(&f->server, "the peer does not speak TLS"), ==, 1);
    g_assert_cmpuint(net_count_logged(&f->server, "was not finished in time"), ==, 2);
    close(silent);
    close(half);
    close(garbage);
    for (int i = 0; i < 400; i++) { /* a flood: a hundred lines, then one a second */
        garbage = net_connect(&f->server);
        net_send(garbage, "GET / HTTP/1.1\r\n\r\n", 18);
        g_assert_true(net_at_end(garbage));
        close(garbage);
    }
    gint64 seconds = (g_get_monotonic_time() - start) / G_USEC_PER_SEC;
    g_assert_cmpuint(net_count_logged(&f->server, "connection from"), >=, 100);
    g_assert_cmpuint(net_count_logged(&f->server, "connection from"), <=, 101 + seconds);
    net_server_close(&f->server);
}

/* Bytes that stop in the middle of a record, and an end without a goodbye. */
static void
test_truncated(fixture *f, gconstpointer data)
{
    static const uint8_t alien_record[5 + 32] = { 0x17, 0x03, 0x03, 0x00, 0x20, 'x' };
    client c;
    client_wish wish = { .trust = &f->ca };

    (void)data;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
    g_assert_true(client_echoes(&c, 10));
    shutdown(c.fd, SHUT_WR);
    NET_WAIT(__atomic_load_n(&f->server.closed, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpint(f->server.last_code, ==, EMESH_E_LOST);
    g_assert_cmpstr(f->server.last_text, ==, "the peer broke off without a TLS goodbye");
    client_close(&c);
    g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
    net_send(c.fd, alien_record, sizeof alien_record);
    NET_WAIT(__atomic_load_n(&f->server.closed, __ATOMIC_ACQUIRE) == 2);
    g_assert_cmpint(f->server.last_code, ==, EMESH_E_PROTOCOL);
    g_assert_true(g_str_has_prefix(f->server.last_text, "TLS: "));
    client_close(&c);
    net_server_close(&f->server);
}

/* TLS 1.2 lets a client ask for a new handshake at any time, each costing the server a signature. */
static void
test_renegotiation(fixture *f, gconstpointer data)
{
    client c, other;
    client_wish wish = { .trust = &f->ca, .version = TLS1_2_VERSION };

    (void)data;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&other, f, &wish), ==, 1);
    g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
    g_assert_true(client_echoes(&c, 10));
    g_assert_cmpint(SSL_renegotiate(c.ssl), ==, 1);
    g_assert_cmpint(SSL_do_handshake(c.ssl), <=, 0);
    NET_WAIT(__atomic_load_n(&f->server.closed, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpint(f->server.last_code, ==, EMESH_E_PROTOCOL);
    g_assert_nonnull(strstr(f->server.last_text, "renegotiation"));
    g_assert_true(client_echoes(&other, 10));
    client_close(&c);
    client_close(&other);
    net_server_close(&f->server);
}

/* Accepted connections inherit it; else megabytes fit into the kernel. */
static void
shrink_send_buffers(void)
{
    int small = 4096, listens = 0;
    socklen_t len = sizeof listens;

    for (int fd = 3; fd < 64; fd++)
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens)
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

/* A client that asks for new keys without end and reads no answer: it is not read any more. */
static void
test_key_updates(fixture *f, gconstpointer data)
{
    client c, other;
    client_wish wish = { .trust = &f->ca, .version = TLS1_3_VERSION };
    uint64_t sent = 0;
    int small = 4096;
    gint64 moved = g_get_monotonic_time();

    (void)data;
    f->spec.output_mark = 16u << 10;
    net_server_open(&f->server, &f->spec, 1);
    shrink_send_buffers();
    g_assert_cmpint(client_open(&other, f, &wish), ==, 1);
    g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
    g_assert_true(client_echoes(&c, 10));
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    while (g_get_monotonic_time() - moved < 500000) { /* until it takes no more */
        SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED);
        for (int rc = 0; (rc = SSL_do_handshake(c.ssl)) != 1;) {
            g_assert_cmpint(SSL_get_error(c.ssl, rc), ==, SSL_ERROR_WANT_WRITE);
            if (g_get_monotonic_time() - moved > 500000)
                break;
            g_usleep(1000);
        }
        if (sent++ % 1000 == 0)
            g_assert_true(client_echoes(&other, 10));
        if (SSL_want(c.ssl) == SSL_NOTHING)
            moved = g_get_monotonic_time();
        g_assert_cmpuint(sent, <, 20000000);
    }
    g_test_message("%" G_GUINT64_FORMAT " key updates", sent);
    g_assert_true(client_echoes(&other, 100));
    client_close(&c);
    client_close(&other);
    net_server_close(&f->server);
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

/* The last answer arrives whole, with a goodbye behind it. */
static void
test_flush(fixture *f, gconstpointer data)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = answer_and_close,
                                        .closed = net_peer_closed };
    client c;
    client_wish wish = { .trust = &f->ca };
    char bin[65536];
    size_t got = 0;
    int n;

    (void)data;
    f->server.ops = &ops;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
    g_assert_cmpint(SSL_write(c.ssl, "ask", 3), ==, 3);
    while ((n = SSL_read(c.ssl, bin, sizeof bin)) > 0)
        got += (size_t)n;
    g_assert_cmpuint(got, ==, 2u << 20);
    g_assert_cmpint(SSL_get_error(c.ssl, n), ==, SSL_ERROR_ZERO_RETURN);
    client_close(&c);
    net_server_close(&f->server);
}

typedef struct stop_go {
    emesh_job job;
    net_peer *peer;
    uint32_t stopped; /* atomic */
} stop_go;

static size_t
stop_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    stop_go *s = peer->server->user;

    if (peer->n_data++ > 0)
        return net_peer_echo(ctx, conn, in);
    net->pause(conn, 1);
    s->peer = peer;
    __atomic_store_n(&s->stopped, 1, __ATOMIC_RELEASE);
    return 0;
}

static void
go(net_server *server, void *arg)
{
    stop_go *s = arg;
    (void)server;
    net->pause(s->peer->conn, 0);
}

/* What OpenSSL has read already does not wait for the descriptor when the plugin goes on. */
static void
test_pause(fixture *f, gconstpointer data)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = stop_data,
                                        .closed = net_peer_closed };
    client c;
    client_wish wish = { .trust = &f->ca };
    stop_go s = { .stopped = 0 };
    char back[8] = "";

    (void)data;
    f->server.ops = &ops;
    f->server.accepting = NULL;
    f->server.user = &s;
    net_server_open(&f->server, &f->spec, 1);
    g_assert_cmpint(client_open(&c, f, &wish), ==, 1);
    g_assert_cmpint(SSL_write(c.ssl, "one", 3), ==, 3);
    g_assert_cmpint(SSL_write(c.ssl, "two", 3), ==, 3);
    NET_WAIT(__atomic_load_n(&s.stopped, __ATOMIC_ACQUIRE));
    net_on_lane(&f->server, go, &s);
    for (int got = 0; got < 6;) {
        int n = SSL_read(c.ssl, back + got, 6 - got);
        g_assert_cmpint(n, >, 0);
        got += n;
    }
    g_assert_cmpstr(back, ==, "onetwo");
    client_close(&c);
    net_server_close(&f->server);
}

/* ---- net's own client ---- */

typedef struct call {
    const char *address, *server_name, *alpn;
    uint32_t connected, closed; /* atomic */
    int32_t code;
    char text[256], chosen[32];
    emesh_conn *conn;
    size_t got;
} call;

static void
call_connected(void *ctx, emesh_conn *conn)
{
    call *c = ctx;
    static const uint8_t much[300000];
    emesh_part part = { much, sizeof much, NULL };
    emesh_conn_info info = { .size = sizeof info };

    net->info(conn, &info);
    g_assert_cmpuint(info.tls, ==, 0x0304);
    g_assert_cmpuint(info.cert_trusted, ==, 1);
    g_snprintf(c->chosen, sizeof c->chosen, "%.*s", (int)info.alpn.len,
               (const char *)info.alpn.ptr);
    g_assert_cmpint(net->write(conn, &part, 1), ==, EMESH_OK);
    __atomic_fetch_add(&c->connected, 1, __ATOMIC_RELEASE);
}

static size_t
call_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    call *c = ctx;
    c->got += in->len;
    if (c->got == 300000)
        net->close(conn, EMESH_CLOSE_FLUSH);
    return in->len;
}

static void
call_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    call *c = ctx;
    (void)conn;
    c->code = code;
    g_strlcpy(c->text, err ? err->text : "", sizeof c->text);
    __atomic_fetch_add(&c->closed, 1, __ATOMIC_RELEASE);
}

static const emesh_conn_ops call_ops = { .size = sizeof(emesh_conn_ops),
                                         .connected = call_connected,
                                         .data = call_data,
                                         .closed = call_closed };

static void
place_call(net_server *server, void *arg)
{
    call *c = arg;
    emesh_dial spec = { .size = sizeof spec,
                        .tls = 1,
                        .address = { c->address, strlen(c->address) } };

    if (c->server_name)
        spec.server_name = (emesh_slice){ c->server_name, strlen(c->server_name) };
    if (c->alpn)
        spec.alpn = (emesh_slice){ c->alpn, strlen(c->alpn) };
    g_assert_cmpint(net->dial(&server->loops[0], &spec, &call_ops, c, &c->conn), ==, EMESH_OK);
}

static call
call_of(fixture *f, const net_identity *as, const net_authority *trust, const char *server_name)
{
    call c = { .server_name = server_name, .alpn = "h2" };

    f->spec.tls_certificate = as->cert_file;
    f->spec.tls_key = as->key_file;
    f->spec.alpn = "h2";
    f->server.inst.dial = (emesh_dial_spec){ .tls_ca = trust->file, .tls_verify = true };
    net_server_open(&f->server, &f->spec, 1);
    c.address = f->server.address;
    net_on_lane(&f->server, place_call, &c);
    NET_WAIT(__atomic_load_n(&c.closed, __ATOMIC_ACQUIRE) == 1);
    net_server_close(&f->server);
    g_test_message("%s", c.text);
    c.address = NULL;
    return c;
}

static void
test_dial(fixture *f, gconstpointer data)
{
    (void)data;
    call c = call_of(f, &f->good, &f->ca, NULL);
    g_assert_cmpint(c.code, ==, EMESH_OK);
    g_assert_cmpuint(c.got, ==, 300000);
    g_assert_cmpstr(c.chosen, ==, "h2");
}

static void
test_dial_server_name(fixture *f, gconstpointer data)
{
    (void)data;
    call c = call_of(f, &f->elsewhere, &f->ca, "elsewhere.example");
    g_assert_cmpint(c.code, ==, EMESH_OK);
    g_assert_cmpstr(f->seen.server_name, ==, "elsewhere.example");
}

static void
distrusted(const call *c, const char *why)
{
    g_assert_cmpuint(c->connected, ==, 0);
    g_assert_cmpint(c->code, ==, EMESH_E_DENIED);
    g_assert_nonnull(strstr(c->text, "the certificate of the peer is not trusted"));
    g_assert_nonnull(strstr(c->text, why));
}

static void
test_dial_expired(fixture *f, gconstpointer data)
{
    (void)data;
    call c = call_of(f, &f->expired, &f->ca, NULL);
    distrusted(&c, "expired");
}

static void
test_dial_wrong_ca(fixture *f, gconstpointer data)
{
    (void)data;
    call c = call_of(f, &f->wrong, &f->ca, NULL);
    distrusted(&c, "issuer");
}

static void
test_dial_wrong_name(fixture *f, gconstpointer data)
{
    (void)data;
    call c = call_of(f, &f->elsewhere, &f->ca, NULL);
    distrusted(&c, "mismatch");
}

static void
add(const char *path, void (*test)(fixture *f, gconstpointer data))
{
    g_test_add(path, fixture, NULL, setup, test, teardown);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/net/tls/echo", test_echo);
    add("/net/tls/old-version", test_old_version);
    add("/net/tls/alpn", test_alpn);
    add("/net/tls/client-certificate/required", test_client_certificate);
    add("/net/tls/client-certificate/optional", test_client_certificate_optional);
    add("/net/tls/reload", test_reload);
    add("/net/tls/files", test_files);
    add("/net/tls/stalled", test_stalled);
    add("/net/tls/truncated", test_truncated);
    add("/net/tls/renegotiation", test_renegotiation);
    add("/net/tls/key-updates", test_key_updates);
    add("/net/tls/flush", test_flush);
    add("/net/tls/pause", test_pause);
    add("/net/tls/dial/echo", test_dial);
    add("/net/tls/dial/server-name", test_dial_server_name);
    add("/net/tls/dial/expired", test_dial_expired);
    add("/net/tls/dial/wrong-ca", test_dial_wrong_ca);
    add("/net/tls/dial/wrong-name", test_dial_wrong_name);
    return g_test_run();
}
