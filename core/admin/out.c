/* SPDX-License-Identifier: Apache-2.0
 *
 * The way out of an endless answer: queued bytes, written as the socket takes them. [lane]
 */
#include "admin/out.h"

#include <errno.h>
#include <sys/socket.h>

#define FINISH_SECONDS 5

struct emesh_out {
    GIOStream *stream;
    GSocket *socket;
    GIOStream *tls;
    GMainContext *context;
    GQueue chunks; /* GBytes */
    gsize offset;  /* written of the first chunk */
    guint64 queued, written;
    bool finishing;
    GSource *ready, *hup, *late;
    void (*wrote)(void *ctx);
    void (*gone)(void *ctx);
    void *ctx;
};

static void
source_end(GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy(*source);
    g_source_unref(*source);
    *source = NULL;
}

/* Bytes that left; 0: the socket is full; -1: the peer is gone. */
static gssize
write_piece(emesh_out *out, const char *data, gsize len)
{
    g_autoptr(GError) error = NULL;
    if (out->tls == NULL) {
        ssize_t sent = send(g_socket_get_fd(out->socket), data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        return sent >= 0 ? sent : errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    GPollableOutputStream *to = G_POLLABLE_OUTPUT_STREAM(g_io_stream_get_output_stream(out->tls));
    gssize sent = g_pollable_output_stream_write_nonblocking(to, data, len, NULL, &error);
    if (sent >= 0)
        return sent;
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK) ? 0 : -1;
}

/* Writes until the socket is full or nothing is left; false: the peer is gone. */
static bool
write_some(emesh_out *out)
{
    GBytes *chunk;
    while ((chunk = g_queue_peek_head(&out->chunks)) != NULL) {
        gsize len = 0;
        const char *data = g_bytes_get_data(chunk, &len);
        gssize sent = write_piece(out, data + out->offset, len - out->offset);
        if (sent <= 0)
            return sent == 0;
        out->written += (guint64)sent;
        out->offset += (gsize)sent;
        if (out->offset < len)
            continue;
        out->offset = 0;
        g_bytes_unref(g_queue_pop_head(&out->chunks));
    }
    return true;
}

static gboolean
on_ready(GObject *of, gpointer data)
{
    emesh_out *out = data;
    (void)of;
    bool alive = write_some(out);
    bool empty = g_queue_is_empty(&out->chunks);
    if (empty)
        source_end(&out->ready);
    if (!alive || (empty && out->finishing))
        out->gone(out->ctx); /* frees out */
    else
        out->wrote(out->ctx); /* may finish */
    return G_SOURCE_CONTINUE; /* of a destroyed source it means nothing */
}

static gboolean
on_socket_ready(GSocket *socket, GIOCondition condition, gpointer data)
{
    (void)condition;
    return on_ready(G_OBJECT(socket), data);
}

/* Over TCP the end of a peer is an end to read; what it says meanwhile interests nobody. */
static gboolean
on_input(GObject *of, gpointer data)
{
    emesh_out *out = data;
    char scrap[4096];
    g_autoptr(GError) error = NULL;
    GPollableInputStream *from = G_POLLABLE_INPUT_STREAM(of);
    gssize got = g_pollable_input_stream_read_nonblocking(from, scrap, sizeof scrap, NULL, &error);
    if (got == 0 || (got < 0 && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)))
        out->gone(out->ctx);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_hup(GSocket *socket, GIOCondition condition, gpointer data)
{
    emesh_out *out = data;
    (void)socket, (void)condition;
    out->gone(out->ctx);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_late(gpointer data)
{
    emesh_out *out = data;
    out->gone(out->ctx);
    return G_SOURCE_CONTINUE;
}

static void
want_ready(emesh_out *out)
{
    if (out->ready != NULL)
        return;
    if (out->tls == NULL) {
        out->ready = g_socket_create_source(out->socket, G_IO_OUT, NULL);
        g_source_set_callback(out->ready, G_SOURCE_FUNC(on_socket_ready), out, NULL);
    } else {
        GPollableOutputStream *to =
            G_POLLABLE_OUTPUT_STREAM(g_io_stream_get_output_stream(out->tls));
        out->ready = g_pollable_output_stream_create_source(to, NULL);
        g_source_set_callback(out->ready, G_SOURCE_FUNC(on_ready), out, NULL);
    }
    g_source_attach(out->ready, out->context);
}

/* A source that tells when the peer leaves. */
static GSource *
watch_peer(emesh_out *out)
{
    GSource *source;
    if (g_socket_get_family(out->socket) == G_SOCKET_FAMILY_UNIX) {
        source = g_socket_create_source(out->socket, G_IO_HUP, NULL);
        g_source_set_callback(source, G_SOURCE_FUNC(on_hup), out, NULL);
    } else {
        GIOStream *stream = out->tls != NULL ? out->tls : out->stream;
        GInputStream *from = g_io_stream_get_input_stream(stream);
        source = g_pollable_input_stream_create_source(G_POLLABLE_INPUT_STREAM(from), NULL);
        g_source_set_callback(source, G_SOURCE_FUNC(on_input), out, NULL);
    }
    g_source_attach(source, out->context);
    return source;
}

emesh_out *
emesh_out_new(GIOStream *stream, GSocket *socket, GIOStream *tls, GMainContext *context,
              void (*wrote)(void *ctx), void (*gone)(void *ctx), void *ctx)
{
    emesh_out *out = g_new0(emesh_out, 1);
    out->stream = stream;
    out->socket = g_object_ref(socket);
    out->tls = tls != NULL ? g_object_ref(tls) : NULL;
    out->context = context;
    out->wrote = wrote;
    out->gone = gone;
    out->ctx = ctx;
    g_socket_set_timeout(socket, 0); /* a quiet stream is no reason to hang up */
    out->hup = watch_peer(out);
    return out;
}

guint64
emesh_out_put(emesh_out *out, GBytes *bytes)
{
    out->queued += g_bytes_get_size(bytes);
    g_queue_push_tail(&out->chunks, g_bytes_ref(bytes));
    want_ready(out);
    return out->queued;
}

guint64
emesh_out_written(const emesh_out *out)
{
    return out->written;
}

void
emesh_out_finish(emesh_out *out)
{
    out->finishing = true;
    want_ready(out);
    if (out->late != NULL)
        return;
    out->late = g_timeout_source_new_seconds(FINISH_SECONDS);
    g_source_set_callback(out->late, on_late, out, NULL);
    g_source_attach(out->late, out->context);
}

void
emesh_out_free(emesh_out *out)
{
    source_end(&out->ready);
    source_end(&out->hup);
    source_end(&out->late);
    g_queue_clear_full(&out->chunks, (GDestroyNotify)g_bytes_unref);
    g_socket_close(out->socket, NULL); /* at once: closing the stream may block */
    g_object_unref(out->socket);
    g_clear_object(&out->tls);
    g_object_unref(out->stream);
    g_free(out);
}
