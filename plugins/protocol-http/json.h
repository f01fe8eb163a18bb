/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON of the control plane and of form fields: a strict pull reader that builds nothing, and
 * strings on the way out. What is skipped is checked as well: RFC 8259, UTF-8, no lone surrogates,
 * at most HTTP_JSON_DEPTH levels. Pure functions; any thread.
 */
#ifndef HTTP_JSON_H
#define HTTP_JSON_H
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_JSON_DEPTH 64

typedef enum http_json_type {
    HTTP_JSON_BAD,
    HTTP_JSON_STRING,
    HTTP_JSON_NUMBER,
    HTTP_JSON_TRUE,
    HTTP_JSON_FALSE,
    HTTP_JSON_NULL,
    HTTP_JSON_OBJECT,
    HTTP_JSON_ARRAY,
} http_json_type;

typedef struct http_json { /* a reader */
    const char *at, *end;
    const char *flaw; /* NULL while all is well */
} http_json;

typedef struct http_value {
    const char *ptr; /* as written; a string without its quotes */
    size_t len;
    http_json_type type;
    bool escaped;
} http_value;

void http_json_begin(http_json *j, const char *text, size_t len);
bool http_json_open(http_json *j, char bracket); /* '{' or '[' comes next: goes inside */
/* Inside an object: the next key, whose value must be read next. false: its end, or a flaw. */
bool http_json_key(http_json *j, bool first, http_value *key);
/* Inside an array: is there a next element? */
bool http_json_item(http_json *j, bool first);
/* One value, all that is in it included. */
bool http_json_value(http_json *j, http_value *v);
bool http_json_end(http_json *j); /* nothing but white space is left, and there was no flaw */
bool http_json_valid(const char *text, size_t len);
/* The text of a string, NUL-terminated; NULL for anything else, and when a NUL is in it. */
char *http_json_text(const http_value *v);
/* The same for scalars of any kind: true, 12. NULL: null, object, array. */
char *http_json_scalar(const http_value *v);
bool http_json_is(const http_value *v, const char *text);

/* Appends text as a JSON string, quotes included; bytes that are no UTF-8 become U+FFFD. */
void http_json_put(GString *to, const char *text, size_t len);

#endif
