/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for the TLS tests, made on the spot in a private folder.
 */
#pragma once
#include <glib.h>
#include <openssl/x509.h>

typedef struct net_authority {
    X509 *cert;
    EVP_PKEY *key;
    char *file; /* the CA's certificate, PEM */
} net_authority;

typedef struct net_identity {
    char *cert_file, *key_file; /* PEM */
} net_identity;

net_authority net_authority_new(const char *dir, const char *name);
void net_authority_free(net_authority *authority);
/* days: how long it is valid; negative: it ended so long ago. Names: localhost and 127.0.0.1, or
 * only `name` when other is set. */
net_identity net_identity_new(const char *dir, const char *name, const net_authority *authority,
                              int days, gboolean other);
void net_identity_free(net_identity *identity);
