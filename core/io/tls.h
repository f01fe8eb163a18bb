/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of net: TLS of one connection over OpenSSL, and the contexts it is made from. The stream
 * is not OpenSSL's: it reads from the connection's descriptor and writes encrypted bytes into a
 * buffer (`wire`) that leaves with one send() per wake-up.
 */
#pragma once
#include "conn.h"

/* [main] Files of a listener; NULL: error names the file and what is wrong. */
emesh_tls_context *emesh_tls_server_context(const char *certificate, const char *key,
                                            const char *client_ca, bool client_required,
                                            const char *alpn, GError **error);
void emesh_tls_context_free(emesh_tls_context *context); /* NULL is fine */

/* All below: [lane]. False: no memory. */
bool emesh_tls_begin_server(emesh_conn *conn, emesh_tls_context *context);
/* host: for SNI and the check of the certificate. False: *text says why (g_free). */
bool emesh_tls_begin_client(emesh_conn *conn, const char *host, emesh_slice alpn, char **text);
/* A step of the handshake; on its end the connection is established or failed. */
void emesh_tls_handshake(emesh_conn *conn);
/* As recv(): bytes, 0 = end, -1 = EAGAIN, -2 = broken (*code, and *text, g_free). */
ssize_t emesh_tls_recv(emesh_conn *conn, void *to, size_t n, int32_t *code, char **text);
void emesh_tls_turn(emesh_conn *conn); /* the descriptor may have more again */
bool emesh_tls_pending(const emesh_conn *conn); /* decrypted or read bytes wait inside */
/* Encrypts queued output into the wire buffer. False: broken. */
bool emesh_tls_encrypt(emesh_conn *conn);
size_t emesh_tls_wire(const emesh_conn *conn, const uint8_t **ptr); /* encrypted bytes to send */
void emesh_tls_wire_sent(emesh_conn *conn, size_t n);
void emesh_tls_bye(emesh_conn *conn); /* close_notify into the wire buffer */
bool emesh_tls_said_bye(const emesh_conn *conn);
void emesh_tls_info(const emesh_conn *conn, emesh_conn_info *out);
void emesh_tls_free(emesh_conn *conn);
void emesh_tls_lane_clear(emesh_net_lane *lane);
