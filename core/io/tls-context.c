/* SPDX-License-Identifier: Apache-2.0
 *
 * What TLS connections are made from: certificate, key, CA, protocol floor, ALPN. Read on [main]
 * (listeners) or on the lane at its first dial.
 */
#include "tls-context.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "tls.h"

#define CONTEXT_ERROR G_FILE_ERROR, G_FILE_ERROR_FAILED

static void
set_tls_error(GError **error, const char *option, const char *file)
{
    const char *reason = NULL;
    unsigned long code;
    bool system = false;

    /* OpenSSL leaves a trail; an errno in it says most, else its last entry. */
    while ((code = ERR_get_error()) != 0) {
        if (system)
            continue;
        system = ERR_SYSTEM_ERROR(code);
        reason = system ? g_strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    }
    g_autofree char *why = g_ascii_strdown(reason ? reason : "no such thing in this file", -1);
    g_set_error(error, CONTEXT_ERROR, "cannot use %s = %s: %s", option, file, why);
}

/* A key with a pass phrase cannot be used by a daemon: no question is asked. */
static int
no_password(char *buf, int size, int rwflag, void *data)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)data;
    return 0;
}

uint8_t *
emesh_tls_alpn_wire(const char *list, size_t len, uint32_t *out_len)
{
    g_autofree uint8_t *wire = g_malloc(len + 2);
    size_t at = 0, out = 0;

    while (at <= len) {
        const char *comma = memchr(list + at, ',', len - at);
        size_t n = (comma ? (size_t)(comma - list) : len) - at;
        if (n == 0 || n > 255)
            return NULL;
        wire[out++] = (uint8_t)n;
        memcpy(wire + out, list + at, n);
        out += n;
        at += n + 1;
    }
    *out_len = (uint32_t)out;
    return g_steal_pointer(&wire);
}

static int
choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
            unsigned int in_len, void *data)
{
    const emesh_tls_context *context = data;
    unsigned char *chosen = NULL;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, context->alpn, context->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static emesh_tls_context *
context_new(const SSL_METHOD *method, GError **error)
{
    emesh_tls_context *context = g_new0(emesh_tls_context, 1);

    ERR_clear_error();
    context->refs = 1;
    context->ssl = SSL_CTX_new(method);
    context->stream = emesh_tls_stream_method();
    if (!context->ssl || !context->stream) {
        g_set_error(error, CONTEXT_ERROR, "cannot begin with TLS: no memory");
        emesh_tls_context_free(context);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_info_callback(context->ssl, emesh_tls_noticed);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context->ssl, 1);
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF); /* tickets hold the state */
    SSL_CTX_set_default_passwd_cb(context->ssl, no_password);
    return context;
}

/* certificate (with its chain) and key; the key may be in the certificate's file. */
static bool
load_identity(emesh_tls_context *context, const char *certificate, const char *key, GError **error)
{
    if (!key)
        key = certificate;
    if (SSL_CTX_use_certificate_chain_file(context->ssl, certificate) != 1) {
        set_tls_error(error, "tls-certificate", certificate);
        return false;
    }
    if (SSL_CTX_use_PrivateKey_file(context->ssl, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context->ssl) != 1) {
        set_tls_error(error, "tls-key", key);
        return false;
    }
    return true;
}

emesh_tls_context *
emesh_tls_server_context(const char *certificate, const char *key, const char *client_ca,
                         bool client_required, const char *alpn, GError **error)
{
    emesh_tls_context *context = context_new(TLS_server_method(), error);

    if (!context)
        return NULL;
    if (!load_identity(context, certificate, key, error)) {
        emesh_tls_context_free(context);
        return NULL;
    }
    if (client_ca) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
        if (!names || SSL_CTX_load_verify_file(context->ssl, client_ca) != 1) {
            set_tls_error(error, "tls-client-ca", client_ca);
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            emesh_tls_context_free(context);
            return NULL;
        }
        SSL_CTX_set_client_CA_list(context->ssl, names);
        SSL_CTX_set_verify(
            context->ssl, SSL_VERIFY_PEER | (client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
            NULL);
    }
    SSL_CTX_set_session_id_context(context->ssl, (const unsigned char *)"eventmesh", 9);
    SSL_CTX_set_num_tickets(context->ssl, 1);
    if (alpn && (context->alpn = emesh_tls_alpn_wire(alpn, strlen(alpn), &context->alpn_len)))
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_alpn, context);
    return context;
}

emesh_tls_context *
emesh_tls_client_context(const emesh_dial_spec *spec, GError **error)
{
    emesh_tls_context *context = context_new(TLS_client_method(), error);
    const char *ca = spec ? spec->tls_ca : NULL;

    if (!context)
        return NULL;
    if (ca && SSL_CTX_load_verify_file(context->ssl, ca) != 1) {
        set_tls_error(error, "tls-ca", ca);
        emesh_tls_context_free(context);
        return NULL;
    }
    if (!ca)
        SSL_CTX_set_default_verify_paths(context->ssl);
    if (spec && spec->tls_certificate &&
        !load_identity(context, spec->tls_certificate, spec->tls_key, error)) {
        emesh_tls_context_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context->ssl, !spec || spec->tls_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       NULL);
    return context;
}

emesh_tls_context *
emesh_tls_context_ref(emesh_tls_context *context)
{
    __atomic_fetch_add(&context->refs, 1, __ATOMIC_RELAXED);
    return context;
}

void
emesh_tls_context_free(emesh_tls_context *context)
{
    if (!context || __atomic_sub_fetch(&context->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    SSL_CTX_free(context->ssl);
    if (context->stream)
        BIO_meth_free(context->stream);
    g_free(context->alpn);
    g_free(context);
}
