/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers and the immutable CloudEvent behind the handles of eventmesh/event.h.
 *
 * An event is one allocation: counts, view, attribute table and the flat image of the attributes
 * (version 1: u8 version, u8 data form, u16 n, u32 0, n × {u32 value bytes, u16 name bytes, u16
 * type}, names and values in turn, zero-padded to 8). Its data are parts of counted buffers: the
 * bytes that came from the socket are kept, not copied. Stores keep image + data.
 */
#pragma once
#include "eventmesh/event.h"
#include <glib.h>
#include <stdbool.h>

/* ---- buffers ---- */
#define EMESH_BUF_MAX ((size_t)64 << 20)
emesh_buf *emesh_buf_new(size_t n, void **mem); /* NULL: no memory, or n over EMESH_BUF_MAX */
emesh_buf *emesh_buf_new_bytes(GBytes *bytes, emesh_part *out); /* keeps bytes alive, no copy */
emesh_buf *emesh_buf_ref(emesh_buf *buf);
void emesh_buf_unref(emesh_buf *buf);
size_t emesh_buf_size(const emesh_buf *buf); /* bytes it pins */
bool emesh_buf_is_unique(const emesh_buf *buf);
void *emesh_buf_mem(emesh_buf *buf); /* its first byte; write only while unique */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(emesh_buf, emesh_buf_unref)

/* ---- events ---- */
int32_t emesh_event_build(const emesh_event_view *spec, const emesh_event *base,
                          const emesh_event **out, emesh_error *err);
const emesh_event *emesh_event_ref(const emesh_event *event);
void emesh_event_unref(const emesh_event *event);
/* Borrowed, lives as long as the event. */
const emesh_event_view *emesh_event_peek(const emesh_event *event);
/* The attribute named name, or NULL. */
const emesh_attr *emesh_event_attr(const emesh_event *event, const char *name, size_t len);
size_t emesh_event_size(const emesh_event *event); /* attributes + data: what limits count */
/* Of source and id, the same on every daemon and for ever; never 0. Worked out once per event. */
uint64_t emesh_event_hash(const emesh_event *event);
uint64_t emesh_event_hash_of(const void *source, size_t n_source, const void *id, size_t n_id);
/* Flat image of the attributes (borrowed); the data are emesh_event_peek()->data. */
emesh_slice emesh_event_image(const emesh_event *event);
/* image and data as a store kept them, contiguous in in[0] (image, then data) or in two parts. */
/* kept: EMESH_FORM_KEPT, else EMESH_FORM_IMAGE. */
int32_t emesh_event_from_image(const emesh_part *in, uint32_t n_in, bool kept,
                               const emesh_event **out,
                               emesh_error *err);

/* ---- CloudEvents JSON format, json-decode.c and json-encode.c ---- */
/* in is contiguous; JSON data are kept as the slice of in->owner that they are. */
int32_t emesh_event_from_json(const emesh_part *in, const emesh_event **out, emesh_error *err);
/* All or nothing: one bad element refuses the batch, err names the bad ones by index. */
int32_t emesh_event_batch_from_json(const emesh_part *in, const emesh_event **out, uint32_t cap,
                                    uint32_t *n_out, emesh_error *err);
/* Given: out->owner. */
int32_t emesh_event_to_json(const emesh_event *const *events, uint32_t n, bool batch,
                            emesh_part *out);

/* Is name a legal CloudEvents attribute name (a-z0-9, 1 to 128 bytes; "data" is not)? */
bool emesh_attr_name_ok(const char *name, size_t len);

/* An instant in milliseconds since 1970: RFC 3339, or the number itself. Before 1970 reads as 0. */
bool emesh_time_read(const char *text, size_t len, uint64_t *ms);

/* The same as RFC 3339 text in UTC; its length. */
#define EMESH_TIME_MAX 40u
size_t emesh_time_write(uint64_t ms, char out[EMESH_TIME_MAX]);

/* Fills err (may be NULL) with code and a formatted text; returns code. */
int32_t emesh_fail(emesh_error *err, int32_t code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The table of service "emesh.event/1". Constant. */
extern const emesh_event_api emesh_event_service;
