/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for the TLS tests, made on the spot in a private folder.
 */
#include "net-certs.h"

#include <glib/gstdio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY (24 * 3600)

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    g_assert_nonnull(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *
cert_new(const char *name, EVP_PKEY *key, long from, long to)
{
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), g_random_int_range(1, G_MAXINT32));
    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), to);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_pubkey(cert, key);
    return cert;
}

static char *
write_cert(const char *dir, const char *name, X509 *cert)
{
    char *file = g_strdup_printf("%s/%s.pem", dir, name);
    FILE *to = g_fopen(file, "w");
    g_assert_nonnull(to);
    PEM_write_X509(to, cert);
    fclose(to);
    return file;
}

net_authority
net_authority_new(const char *dir, const char *name)
{
    net_authority ca = { .key = EVP_EC_gen("P-256") };

    ca.cert = cert_new(name, ca.key, -DAY, 365L * DAY);
    X509_set_issuer_name(ca.cert, X509_get_subject_name(ca.cert));
    add_extension(ca.cert, ca.cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca.cert, ca.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    g_assert_cmpint(X509_sign(ca.cert, ca.key, EVP_sha256()), >, 0);
    ca.file = write_cert(dir, name, ca.cert);
    return ca;
}

void
net_authority_free(net_authority *authority)
{
    X509_free(authority->cert);
    EVP_PKEY_free(authority->key);
    g_unlink(authority->file);
    g_free(authority->file);
}

net_identity
net_identity_new(const char *dir, const char *name, const net_authority *authority, int days,
                 gboolean other)
{
    net_identity id;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = cert_new(name, key, -400L * DAY, (long)days * DAY);
    g_autofree char *alone = g_strdup_printf("DNS:%s", name);

    X509_set_issuer_name(cert, X509_get_subject_name(authority->cert));
    add_extension(cert, authority->cert, NID_subject_alt_name,
                  other ? alone : "DNS:localhost,IP:127.0.0.1");
    g_assert_cmpint(X509_sign(cert, authority->key, EVP_sha256()), >, 0);
    id.cert_file = write_cert(dir, name, cert);
    id.key_file = g_strdup_printf("%s/%s.key", dir, name);
    FILE *to = g_fopen(id.key_file, "w");
    g_assert_nonnull(to);
    PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL);
    fclose(to);
    X509_free(cert);
    EVP_PKEY_free(key);
    return id;
}

void
net_identity_free(net_identity *identity)
{
    g_unlink(identity->cert_file);
    g_unlink(identity->key_file);
    g_free(identity->cert_file);
    g_free(identity->key_file);
}
