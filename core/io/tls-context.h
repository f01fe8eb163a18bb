/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of net: what TLS connections are made from. Counted: a connection keeps the context it
 * began with, also when the files were read again meanwhile.
 */
#pragma once
#include <openssl/ssl.h>

#include "net.h"

typedef struct emesh_tls_context {
    uint32_t refs; /* atomic */
    SSL_CTX *ssl;
    BIO_METHOD *stream; /* our stream, tls.c */
    uint8_t *alpn;      /* wire form, the server's choice in order */
    uint32_t alpn_len;
} emesh_tls_context;

emesh_tls_context *emesh_tls_client_context(const emesh_dial_spec *spec, GError **error);
emesh_tls_context *emesh_tls_context_ref(emesh_tls_context *context);
/* "h2,http/1.1" in wire form. NULL: a name is empty or too long. */
uint8_t *emesh_tls_alpn_wire(const char *list, size_t len, uint32_t *out_len);
BIO_METHOD *emesh_tls_stream_method(void); /* tls.c */
void emesh_tls_noticed(const SSL *ssl, int where, int alert); /* tls.c; OpenSSL's info callback */
