/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of one connection. OpenSSL sees a stream of ours: it reads from the descriptor as much as
 * there is, and writes into a buffer (wire) that leaves with one send() per wake-up, like plain
 * output. The lane's thread.
 */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "tls-context.h"

#define WIRE_SIZE (80u * 1024) /* of the buffer that lanes keep at rest */
#define WIRE_FULL (64u * 1024) /* encrypted ahead of the kernel */
#define RECORD (16u * 1024)

struct emesh_tls {
    SSL *ssl;
    emesh_tls_context *context;
    uint8_t *wire; /* [start, end) waits to be sent; NULL when empty */
    size_t cap, start, end;
    size_t turn;   /* read from the kernel in this turn */
    bool drained;  /* the kernel gave less than asked for: it has no more; or the turn is over */
    bool eof;      /* and said so */
    bool renegotiates; /* the peer asked for it, and was told no */
    int error;     /* errno of the descriptor */
    uint8_t *cert; /* DER of the peer, made when asked for */
    int cert_len;
};

/* ---- the stream under OpenSSL ---- */

static bool
wire_reserve(emesh_conn *conn, size_t more)
{
    emesh_tls *tls = conn->tls;

    if (!tls->wire && conn->lane->wire_spare) {
        tls->wire = g_steal_pointer(&conn->lane->wire_spare);
        tls->cap = WIRE_SIZE;
    }
    if (tls->end + more <= tls->cap)
        return true;
    size_t cap = MAX(tls->end + more, tls->wire ? 2 * tls->cap : WIRE_SIZE);
    uint8_t *grown = g_try_realloc(tls->wire, cap);
    if (!grown)
        return false;
    tls->wire = grown;
    tls->cap = cap;
    return true;
}

static void
wire_release(emesh_conn *conn)
{
    emesh_tls *tls = conn->tls;

    if (tls->wire && tls->cap == WIRE_SIZE && !conn->lane->wire_spare)
        conn->lane->wire_spare = tls->wire;
    else
        g_free(tls->wire);
    tls->wire = NULL;
    tls->cap = tls->start = tls->end = 0;
}

static int
stream_write(BIO *bio, const char *data, size_t n, size_t *written)
{
    emesh_conn *conn = BIO_get_data(bio);

    *written = 0;
    if (!wire_reserve(conn, n))
        return 0;
    memcpy(conn->tls->wire + conn->tls->end, data, n);
    conn->tls->end += n;
    conn->out.bytes += n;
    emesh_net_account(conn, (int64_t)n);
    emesh_conn_flush(conn);
    *written = n;
    return 1;
}

static int
stream_read(BIO *bio, char *data, size_t n, size_t *got)
{
    emesh_conn *conn = BIO_get_data(bio);
    emesh_tls *tls = conn->tls;
    ssize_t came = -1;

    *got = 0;
    BIO_clear_retry_flags(bio);
    if (tls->drained) {
        BIO_set_retry_read(bio);
        return 0;
    }
    do {
        came = recv(conn->fd.fd, data, n, 0);
    } while (came < 0 && errno == EINTR);
    if (came > 0) {
        /* Records without data (key updates, say) never come up: OpenSSL would read on for as long
         * as the peer sends. */
        tls->turn += (size_t)came;
        tls->drained = (size_t)came < n || tls->turn >= NET_TURN_BYTES;
        *got = (size_t)came;
        return 1;
    }
    if (came == 0)
        tls->eof = true;
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
        BIO_set_retry_read(bio);
    else
        tls->error = errno;
    return 0;
}

static long
stream_ctrl(BIO *bio, int command, long num, void *ptr)
{
    emesh_conn *conn = BIO_get_data(bio);

    (void)num;
    (void)ptr;
    if (command == BIO_CTRL_EOF)
        return conn->tls->eof;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *
emesh_tls_stream_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "eventmesh connection");

    if (method) {
        BIO_meth_set_write_ex(method, stream_write);
        BIO_meth_set_read_ex(method, stream_read);
        BIO_meth_set_ctrl(method, stream_ctrl);
    }
    return method;
}

void
emesh_tls_noticed(const SSL *ssl, int where, int alert)
{
    if (where != SSL_CB_WRITE_ALERT || (alert & 0xff) != SSL_AD_NO_RENEGOTIATION)
        return;
    emesh_conn *conn = BIO_get_data(SSL_get_wbio(ssl));
    conn->tls->renegotiates = true;
}

/* ---- beginning ---- */

static bool
tls_begin(emesh_conn *conn, emesh_tls_context *context)
{
    emesh_tls *tls = g_new0(emesh_tls, 1);
    BIO *bio = BIO_new(context->stream);

    conn->tls = tls;
    tls->context = emesh_tls_context_ref(context);
    tls->ssl = SSL_new(context->ssl);
    if (!tls->ssl || !bio) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

bool
emesh_tls_begin_server(emesh_conn *conn, emesh_tls_context *context)
{
    if (!tls_begin(conn, context))
        return false;
    SSL_set_accept_state(conn->tls->ssl);
    return true;
}

/* The name the certificate has to carry, and SNI where it is a name. */
static bool
expect_host(SSL *ssl, const char *host)
{
    emesh_addr number;

    if (emesh_addr_numeric(host, 0, &number))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool
emesh_tls_begin_client(emesh_conn *conn, const char *host, emesh_slice alpn, char **text)
{
    emesh_net_lane *lane = conn->lane;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *wire = NULL;
    uint32_t wire_len = 0;

    if (!lane->dial_tls)
        lane->dial_tls = emesh_tls_client_context(emesh_inst_dial_spec(lane->loop->inst), &error);
    if (!lane->dial_tls) {
        *text = g_strdup(error->message);
        return false;
    }
    if (!tls_begin(conn, lane->dial_tls) || !expect_host(conn->tls->ssl, host)) {
        *text = g_strdup("no memory, or the server name is none");
        return false;
    }
    if (alpn.len > 0) {
        wire = emesh_tls_alpn_wire(alpn.ptr, alpn.len, &wire_len);
        if (!wire || SSL_set_alpn_protos(conn->tls->ssl, wire, wire_len) != 0) {
            *text = g_strdup("the ALPN list is malformed");
            return false;
        }
    }
    SSL_set_connect_state(conn->tls->ssl);
    return true;
}

/* ---- errors in words ---- */

/* What it sent first was no record of TLS at all. */
static bool
is_no_tls(const emesh_conn *conn, unsigned long code)
{
    if (conn->state != CONN_HANDSHAKE || ERR_GET_LIB(code) != ERR_LIB_SSL)
        return false;
    switch (ERR_GET_REASON(code)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNKNOWN_PROTOCOL:
        return true;
    default:
        return false;
    }
}

static char *
tls_failure(emesh_conn *conn)
{
    emesh_tls *tls = conn->tls;
    unsigned long code = ERR_get_error();
    long verify = SSL_get_verify_result(tls->ssl);
    const char *reason = ERR_reason_error_string(code);
    g_autofree char *lower = NULL;

    ERR_clear_error();
    if (tls->error)
        return g_strdup_printf("the connection broke: %s", g_strerror(tls->error));
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return g_strdup_printf("the certificate of the peer is not trusted: %s",
                               X509_verify_cert_error_string(verify));
    if (tls->eof)
        return g_strdup("the peer broke off without a TLS goodbye");
    if (is_no_tls(conn, code))
        return g_strdup("the peer does not speak TLS");
    lower = g_ascii_strdown(reason ? reason : "unknown reason", -1);
    return g_strdup_printf("TLS: %s", lower);
}

static int32_t
handshake_code(const emesh_conn *conn)
{
    if (conn->port)
        return EMESH_E_PROTOCOL;
    return SSL_get_verify_result(conn->tls->ssl) == X509_V_OK ? EMESH_E_UNAVAILABLE
                                                              : EMESH_E_DENIED;
}

void
emesh_tls_handshake(emesh_conn *conn)
{
    emesh_tls *tls = conn->tls;

    emesh_tls_turn(conn);
    ERR_clear_error();
    int rc = SSL_do_handshake(tls->ssl);
    if (rc == 1) {
        emesh_conn_established(conn);
        if (conn->state == CONN_OPEN)
            emesh_input_turn(conn); /* what came behind the handshake is here already */
        return;
    }
    if (SSL_get_error(tls->ssl, rc) == SSL_ERROR_WANT_READ)
        return;
    int32_t code = handshake_code(conn);
    g_autofree char *why = tls_failure(conn);
    if (!emesh_output_send(conn)) /* the alert says it to the peer */
        return;
    char peer[EMESH_ADDR_TEXT];
    emesh_addr_format(&conn->peer, peer);
    emesh_conn_fail(conn, code, "the TLS handshake with %s failed: %s", peer, why);
}

/* ---- bytes ---- */

/* What TLS itself answers is output like any other: above the mark nothing more is read. */
static void
mind_output(emesh_conn *conn)
{
    if (conn->out.bytes > emesh_conn_limits_of(conn)->output_mark)
        conn->full = true;
}

ssize_t
emesh_tls_recv(emesh_conn *conn, void *to, size_t n, int32_t *code, char **text)
{
    emesh_tls *tls = conn->tls;
    size_t got = 0;

    ERR_clear_error();
    int rc = SSL_read_ex(tls->ssl, to, n, &got);
    mind_output(conn);
    if (tls->renegotiates) {
        *code = EMESH_E_PROTOCOL;
        *text = g_strdup("TLS: the peer asked for a renegotiation, which is refused");
        return -2;
    }
    if (rc == 1)
        return (ssize_t)got;
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        *code = tls->error || tls->eof ? EMESH_E_LOST : EMESH_E_PROTOCOL;
        *text = tls_failure(conn);
        return -2;
    }
}

void
emesh_tls_turn(emesh_conn *conn)
{
    conn->tls->drained = false;
    conn->tls->turn = 0;
}

bool
emesh_tls_pending(const emesh_conn *conn)
{
    return SSL_has_pending(conn->tls->ssl) == 1;
}

/* The next bytes of the queue, contiguous: a large piece as it is, small ones gathered. */
static size_t
gather(const emesh_output *out, uint8_t *into, const uint8_t **ptr)
{
    const emesh_piece *piece = &out->pieces[out->head];
    size_t n = 0;

    if (piece->len >= RECORD || out->head + 1 == out->n) {
        *ptr = piece->ptr;
        return MIN(piece->len, RECORD);
    }
    for (uint32_t i = out->head; i < out->n && n < RECORD; i++) {
        size_t part = MIN((size_t)out->pieces[i].len, RECORD - n);
        memcpy(into + n, out->pieces[i].ptr, part);
        n += part;
    }
    *ptr = into;
    return n;
}

bool
emesh_tls_encrypt(emesh_conn *conn)
{
    emesh_tls *tls = conn->tls;
    uint8_t record[RECORD];

    ERR_clear_error();
    while (conn->out.head < conn->out.n && tls->end - tls->start < WIRE_FULL) {
        const uint8_t *ptr;
        size_t n = gather(&conn->out, record, &ptr), written = 0;
        if (SSL_write_ex(tls->ssl, ptr, n, &written) != 1)
            return false;
        emesh_output_take(conn, written);
    }
    return true;
}

size_t
emesh_tls_wire(const emesh_conn *conn, const uint8_t **ptr)
{
    *ptr = conn->tls->wire + conn->tls->start;
    return conn->tls->end - conn->tls->start;
}

void
emesh_tls_wire_sent(emesh_conn *conn, size_t n)
{
    emesh_tls *tls = conn->tls;

    tls->start += n;
    conn->out.bytes -= n;
    emesh_net_account(conn, -(int64_t)n);
    if (tls->start == tls->end) {
        wire_release(conn);
    } else if (tls->start > 0) {
        memmove(tls->wire, tls->wire + tls->start, tls->end - tls->start);
        tls->end -= tls->start;
        tls->start = 0;
    }
}

void
emesh_tls_bye(emesh_conn *conn)
{
    ERR_clear_error();
    SSL_shutdown(conn->tls->ssl);
    ERR_clear_error();
}

bool
emesh_tls_said_bye(const emesh_conn *conn)
{
    return (SSL_get_shutdown(conn->tls->ssl) & SSL_SENT_SHUTDOWN) != 0;
}

/* ---- what the plugin may know ---- */

void
emesh_tls_info(const emesh_conn *conn, emesh_conn_info *out)
{
    emesh_tls *tls = conn->tls;
    const unsigned char *alpn = NULL;
    unsigned int alpn_len = 0;
    X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);

    out->tls = (uint32_t)SSL_version(tls->ssl);
    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
    out->alpn = (emesh_slice){ alpn, alpn_len };
    if (name)
        out->server_name = (emesh_slice){ name, strlen(name) };
    if (!cert)
        return;
    out->cert_trusted = SSL_get_verify_result(tls->ssl) == X509_V_OK;
    if (!tls->cert)
        tls->cert_len = i2d_X509(cert, &tls->cert);
    if (tls->cert_len > 0)
        out->cert = (emesh_slice){ tls->cert, (size_t)tls->cert_len };
}

void
emesh_tls_free(emesh_conn *conn)
{
    emesh_tls *tls = conn->tls;

    if (!tls)
        return;
    wire_release(conn);
    SSL_free(tls->ssl);
    emesh_tls_context_free(tls->context);
    OPENSSL_free(tls->cert);
    g_free(tls);
    conn->tls = NULL;
}

void
emesh_tls_lane_clear(emesh_net_lane *lane)
{
    g_clear_pointer(&lane->wire_spare, g_free);
    emesh_tls_context_free(lane->dial_tls);
    lane->dial_tls = NULL;
}
