/* SPDX-License-Identifier: Apache-2.0
 *
 * An event as the fields of a stream entry, and back. Nothing is lost on the way:
 *
 *   ce_specversion 1.0, then ce_NAME for each attribute in its order; datacontenttype is
 *   content-type. data has the data; without data the field is missing. emesh_types names the
 *   attributes that are no text ("seq=integer,flag=boolean"), emesh_form says how the data were
 *   given if not as bytes.
 */
#ifndef RS_CODEC_H
#define RS_CODEC_H
#include "link.h"

/* Adds field and value in turn. Texts made for it are in chunk, data of several parts too. */
void rs_words_of(const emesh_event_api *ev, const emesh_event *event, GStringChunk *chunk,
                 rs_args *out);

/* The event of an entry's fields (field and value in turn). *foreign: it was no CloudEvent, and
 * attributes were made up from topic and id. NULL: no memory, or nothing that could be an event. */
const emesh_event *rs_event_of(const emesh_host *host, const emesh_event_api *ev,
                               const redisReply *const *fields, size_t n, const char *topic,
                               const char *id, bool *foreign);

/* Words as a msgpack array of strings, as scripts unpack it. */
void rs_pack_array(GByteArray *out, uint32_t n);
void rs_pack_bytes(GByteArray *out, const void *bytes, size_t len);
void rs_pack_text(GByteArray *out, const char *text);
void rs_pack_words(GByteArray *out, const rs_args *words, uint32_t from);
/* What was packed here, elsewhere; false: it was not. */
bool rs_unpack_array(const uint8_t **at, const uint8_t *end, uint32_t *n);
bool rs_unpack_bytes(const uint8_t **at, const uint8_t *end, const char **bytes, size_t *len);
#endif
