/* SPDX-License-Identifier: Apache-2.0
 *
 * The CloudEvents HTTP binding 1.0.2, as far as it is text: which mode a message has, headers to
 * attributes and back. Pure; any thread.
 */
#ifndef HTTP_CE_H
#define HTTP_CE_H
#include "attrs.h"

typedef enum http_ce_mode {
    HTTP_CE_NONE, /* no CloudEvent */
    HTTP_CE_BINARY,
    HTTP_CE_STRUCTURED,
    HTTP_CE_BATCH,
    HTTP_CE_FORMAT, /* structured, in a format or charset that is not known here */
} http_ce_mode;

/* type: Content-Type or NULL; version: is there a ce-specversion? */
http_ce_mode http_ce_mode_of(const char *type, bool version);
bool http_type_is_json(const char *type);
bool http_type_is_text(const char *type);

typedef struct http_ce_flaw {
    char field[80]; /* the header it is about */
    char text[160]; /* empty: none */
} http_ce_flaw;

/* One header of a message in binary mode; others than ce- are left alone. lenient: what does not
 * decode stays as it is, and *taken counts. false: flaw says why. */
bool http_ce_take_header(http_attrs *to, const char *name, const char *value, bool lenient,
                         uint32_t *taken, http_ce_flaw *flaw);
/* After the last header: is all there that must be? */
bool http_ce_take_end(http_attrs *to, http_ce_flaw *flaw);

#endif
