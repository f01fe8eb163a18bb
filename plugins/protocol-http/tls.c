/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of accepted connections, through GIO (glib-networking). The files are read again when they
 * change; connections keep what they began with. [lane]
 */
#include "http.h"
#include <gio/gio.h>
#include <sys/stat.h>

static int64_t
file_stamp(const char *path)
{
    struct stat st;
    if (path == NULL || stat(path, &st) != 0)
        return 0;
    return (int64_t)st.st_ino * 31 + (int64_t)st.st_mtim.tv_sec * 1000003 + st.st_mtim.tv_nsec;
}

int64_t
http_tls_stamp(const http_options *o)
{
    return file_stamp(o->tls_certificate) ^ file_stamp(o->tls_key) << 1 ^
           file_stamp(o->tls_client_ca) << 2;
}

bool
http_tls_load(http_tls *tls, const http_options *o, GError **error)
{
    http_tls fresh = { .stamp = http_tls_stamp(o) };

    fresh.certificate = g_tls_certificate_new_from_files(
        o->tls_certificate, o->tls_key != NULL ? o->tls_key : o->tls_certificate, error);
    if (fresh.certificate == NULL)
        return false;
    if (o->tls_client_ca != NULL) {
        fresh.clients = g_tls_file_database_new(o->tls_client_ca, error);
        if (fresh.clients == NULL) {
            http_tls_clear(&fresh);
            return false;
        }
    }
    http_tls_clear(tls);
    *tls = fresh;
    return true;
}

void
http_tls_clear(http_tls *tls)
{
    g_clear_object(&tls->certificate);
    g_clear_object(&tls->clients);
}

typedef struct shake {
    http_conn *conn;
    void (*ready)(http_conn *conn, GIOStream *stream);
    GSocketAddress *remote; /* keeps conn alive */
} shake;

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    shake *s = data;
    http_conn *conn = s->conn;
    g_autoptr(GError) error = NULL;
    bool good = g_tls_connection_handshake_finish(G_TLS_CONNECTION(source), result, &error);

    g_clear_object(&conn->handshake);
    g_clear_object(&conn->stream);
    if (conn->lane == NULL) {
        /* nobody is there any more */
    } else if (good) {
        s->ready(conn, G_IO_STREAM(source));
    } else {
        http_count(conn->lane->http, conn->lane->http->counters.expired, 1);
        http_log_conn(conn->lane, conn->peer,
                      g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)
                          ? "the TLS handshake was not finished in time"
                          : error->message);
        http_conn_cut(conn);
    }
    g_object_unref(s->remote);
    g_free(s);
}

static const char *
flaw_of(GTlsCertificateFlags flags)
{
    if ((flags & G_TLS_CERTIFICATE_UNKNOWN_CA) != 0)
        return "the client's certificate is of an authority that is not known";
    if ((flags & G_TLS_CERTIFICATE_EXPIRED) != 0)
        return "the client's certificate has expired";
    if ((flags & G_TLS_CERTIFICATE_NOT_ACTIVATED) != 0)
        return "the client's certificate is not valid yet";
    if ((flags & G_TLS_CERTIFICATE_INSECURE) != 0)
        return "the client's certificate uses an algorithm that is not safe";
    return "the client's certificate is not good";
}

/* On a server GIO takes nothing that nobody has taken: good ones come here as well. */
static gboolean
on_certificate(GTlsConnection *tls, GTlsCertificate *peer, GTlsCertificateFlags flags,
               http_conn *conn)
{
    (void)tls, (void)peer;
    if (flags != 0 && conn->lane != NULL)
        http_log_conn(conn->lane, conn->peer, flaw_of(flags));
    return flags == 0;
}

void
http_tls_begin(http_conn *conn, void (*ready)(http_conn *conn, GIOStream *stream))
{
    http_lane *lane = conn->lane;
    const http_options *o = &lane->http->options;
    g_autoptr(GError) error = NULL;
    GIOStream *tls = g_tls_server_connection_new(conn->stream, lane->tls.certificate, &error);

    if (tls == NULL) {
        http_log_conn(lane, conn->peer, error->message);
        http_conn_cut(conn);
        return;
    }
    if (lane->tls.clients != NULL) {
        g_tls_connection_set_database(G_TLS_CONNECTION(tls), lane->tls.clients);
        g_object_set(tls, "authentication-mode",
                     o->tls_client_required ? G_TLS_AUTHENTICATION_REQUIRED
                                            : G_TLS_AUTHENTICATION_REQUESTED,
                     NULL);
    }
    g_signal_connect(tls, "accept-certificate", G_CALLBACK(on_certificate), conn);
    shake *s = g_new0(shake, 1);
    *s = (shake){ conn, ready, g_object_ref(conn->remote) };
    conn->handshake = g_cancellable_new();
    g_tls_connection_handshake_async(G_TLS_CONNECTION(tls), G_PRIORITY_DEFAULT, conn->handshake,
                                     on_done, s);
    g_object_unref(tls); /* the handshake keeps it */
}
