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

/* Writes until the socket is full or nothing is left; false: the peer is gone. */
static bool
write_some(emesh_out *out)
{
    GBytes *chunk;
    while ((chunk = g_queue_peek_head(&out->chunks)) != NULL) {
        gsize len = 0;
        const char *data = g_bytes_get_data(chunk, &len);
        ssize_t sent = send(g_socket_get_fd(out->socket), data + out->offset, len - out->offset,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
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
on_ready(GSocket *socket, GIOCondition condition, gpointer data)
{
    emesh_out *out = data;
    (void)socket, (void)condition;
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
    out->ready = g_socket_create_source(out->socket, G_IO_OUT, NULL);
    g_source_set_callback(out->ready, G_SOURCE_FUNC(on_ready), out, NULL);
    g_source_attach(out->ready, out->context);
}

emesh_out *
emesh_out_new(GIOStream *stream, GSocket *socket, GMainContext *context, void (*wrote)(void *ctx),
              void (*gone)(void *ctx), void *ctx)
{
    emesh_out *out = g_new0(emesh_out, 1);
    out->stream = stream;
    out->socket = g_object_ref(socket);
    out->context = context;
    out->wrote = wrote;
    out->gone = gone;
    out->ctx = ctx;
    g_socket_set_timeout(socket, 0); /* a quiet stream is no reason to hang up */
    out->hup = g_socket_create_source(socket, G_IO_HUP, NULL);
    g_source_set_callback(out->hup, G_SOURCE_FUNC(on_hup), out, NULL);
    g_source_attach(out->hup, context);
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
    g_object_unref(out->stream);
    g_free(out);
}
