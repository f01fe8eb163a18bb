/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of connections to admin-listen, through GIO. [lane]
 */
#include "admin/face.h"

int64_t
emesh_admin_tls_stamp(const emesh_admin_options *o)
{
    return emesh_file_stamp(o->tls_certificate) ^ emesh_file_stamp(o->tls_key) * 3 ^
           emesh_file_stamp(o->tls_client_ca) * 5;
}

void
emesh_admin_tls_clear(emesh_admin_tls *tls)
{
    g_clear_object(&tls->certificate);
    g_clear_object(&tls->clients);
}

bool
emesh_admin_tls_load(emesh_admin_tls *tls, const emesh_admin_options *o, GError **error)
{
    emesh_admin_tls fresh = { .stamp = emesh_admin_tls_stamp(o) };
    fresh.certificate = g_tls_certificate_new_from_files(o->tls_certificate, o->tls_key, error);
    if (fresh.certificate != NULL && o->tls_client_ca != NULL)
        fresh.clients = g_tls_file_database_new(o->tls_client_ca, error);
    if (fresh.certificate == NULL || (o->tls_client_ca != NULL && fresh.clients == NULL)) {
        emesh_admin_tls_clear(&fresh);
        return false;
    }
    emesh_admin_tls_clear(tls);
    *tls = fresh;
    return true;
}

static void
on_shaken(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GSocketAddress) address = data; /* keeps the record */
    g_autoptr(GError) error = NULL;
    bool good = g_tls_connection_handshake_finish(G_TLS_CONNECTION(source), result, &error);
    emesh_admin_conn *conn = g_object_get_data(G_OBJECT(address), EMESH_CONN_KEY);
    g_clear_object(&conn->handshake);
    if (conn->lane == NULL)
        return; /* nobody is there any more */
    if (good) {
        emesh_conn_enter(conn, EMESH_CONN_READING);
        emesh_conn_serve(conn, G_IO_STREAM(source), address);
        return;
    }
    bool late = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_autofree char *why = g_strdup_printf(
        "TLS handshake: %s%s", conn->flaw != NULL ? "the client's certificate is refused: " : "",
        conn->flaw != NULL ? conn->flaw
        : late             ? "not finished in time"
                           : error->message);
    emesh_conn_log(conn, EMESH_PEER_HANDSHAKE, why);
    emesh_conn_cut(conn);
    g_clear_object(&conn->tls);
}

/* GIO asks about every certificate of a client, good ones too. */
static gboolean
on_certificate(GTlsConnection *tls, GTlsCertificate *peer, GTlsCertificateFlags flags,
               gpointer data)
{
    emesh_admin_conn *conn = g_object_get_data(data, EMESH_CONN_KEY);
    g_autoptr(GFlagsClass) known = g_type_class_ref(G_TYPE_TLS_CERTIFICATE_FLAGS);
    const GFlagsValue *first = flags != 0 ? g_flags_get_first_value(known, flags) : NULL;
    (void)tls, (void)peer;
    if (flags != 0)
        conn->flaw = first != NULL ? first->value_nick : "not good"; /* of a static type */
    return flags == 0;
}

void
emesh_admin_tls_begin(emesh_admin_conn *conn, GIOStream *plain, GSocketAddress *address)
{
    emesh_admin_lane *lane = conn->lane;
    const emesh_admin_options *o = &lane->admin->options;
    g_autoptr(GError) error = NULL;
    conn->tls = g_tls_server_connection_new(plain, lane->tls.certificate, &error);
    if (conn->tls == NULL) {
        emesh_conn_log(conn, EMESH_PEER_HANDSHAKE, error->message);
        emesh_conn_cut(conn);
        return;
    }
    if (lane->tls.clients != NULL) {
        g_tls_connection_set_database(G_TLS_CONNECTION(conn->tls), lane->tls.clients);
        g_object_set(conn->tls, "authentication-mode",
                     o->tls_client_required ? G_TLS_AUTHENTICATION_REQUIRED
                                            : G_TLS_AUTHENTICATION_REQUESTED,
                     NULL);
    }
    /* a client that closes without goodbye has still sent a whole request: HTTP tells its length */
    g_tls_connection_set_require_close_notify(G_TLS_CONNECTION(conn->tls), FALSE);
    g_signal_connect(conn->tls, "accept-certificate", G_CALLBACK(on_certificate),
                     address); /* which the handshake keeps */
    conn->handshake = g_cancellable_new();
    g_tls_connection_handshake_async(G_TLS_CONNECTION(conn->tls), G_PRIORITY_DEFAULT,
                                     conn->handshake, on_shaken, g_object_ref(address));
}
