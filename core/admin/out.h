/* SPDX-License-Identifier: Apache-2.0
 *
 * The way out of an endless answer: chunks on a connection that was taken from libsoup. libsoup
 * itself neither sees a peer that left a quiet stream, nor ends a stream without a blocking write
 * on a thread of its own. [lane]
 */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>

typedef struct emesh_out emesh_out;

/* wrote: what was queued so far has left up to emesh_out_written(). gone: the peer broke off, or
 * after finish all has left; the owner frees then. Both come from the context, never from inside a
 * call. stream is taken over. tls: what to write through, NULL: the socket itself. */
emesh_out *emesh_out_new(GIOStream *stream, GSocket *socket, GIOStream *tls, GMainContext *context,
                         void (*wrote)(void *ctx), void (*gone)(void *ctx), void *ctx);
/* Queues bytes as they are; returns the place behind them, to compare with written. */
guint64 emesh_out_put(emesh_out *out, GBytes *bytes);
guint64 emesh_out_written(const emesh_out *out);
/* gone is called when all has left, or within 5 s. */
void emesh_out_finish(emesh_out *out);
void emesh_out_free(emesh_out *out); /* closes the connection */
