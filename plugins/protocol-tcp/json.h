/* SPDX-License-Identifier: Apache-2.0
 *
 * A pull scanner over JSON text: one pass, no tree, no allocation, nothing decoded before it is
 * asked for. Strict: RFC 8259 grammar, valid UTF-8, no lone surrogates, depth at most
 * TCP_JSON_DEPTH. Pure functions over (pointer, length); any thread.
 */
#ifndef TCP_JSON_H
#define TCP_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TCP_JSON_DEPTH 64u

typedef enum tcp_json_type {
    TCP_JSON_BAD,
    TCP_JSON_STRING,
    TCP_JSON_NUMBER,
    TCP_JSON_TRUE,
    TCP_JSON_FALSE,
    TCP_JSON_NULL,
    TCP_JSON_OBJECT,
    TCP_JSON_ARRAY,
} tcp_json_type;

typedef struct tcp_json {
    const uint8_t *at;
    const uint8_t *end;
    const char *flaw; /* why it was refused; NULL = fine so far */
    uint32_t depth;
    bool cut;   /* the flaw may come from the text's end being cut off */
    bool comma; /* a value stands before the cursor, so a comma or the end must follow */
} tcp_json;

typedef struct tcp_value { /* borrowed from the text */
    const char *ptr;       /* STRING: between the quotes; others: the raw text */
    size_t len;
    uint8_t type; /* tcp_json_type */
    bool escaped; /* STRING: has a backslash */
} tcp_value;

void tcp_json_begin(tcp_json *j, const void *text, size_t len);
/* What comes next, without moving. */
tcp_json_type tcp_json_peek(tcp_json *j);
/* Enters an object or array; open is '{' or '['. */
bool tcp_json_open(tcp_json *j, char open);
/* Inside an object: 1 = key read, its value is next; 0 = the object has ended; -1 = flaw. */
int tcp_json_key(tcp_json *j, tcp_value *key);
/* Inside an array: 1 = a value is next; 0 = the array has ended; -1 = flaw. */
int tcp_json_element(tcp_json *j);
/* Reads one value; a container is checked and skipped, v spans it. */
bool tcp_json_value(tcp_json *j, tcp_value *v);
/* Nothing but white space is left, and all containers are closed. */
bool tcp_json_end(tcp_json *j);

/* The whole text is one JSON value. */
bool tcp_json_valid(const void *text, size_t len);
/* It is not a value, but more text behind it might make it one. */
bool tcp_json_prefix(const void *text, size_t len);
bool tcp_json_is_escaped(const tcp_value *v, const char *text, size_t len);
/* Does this string (escapes counted in) read text? */
static inline bool
tcp_json_is(const tcp_value *v, const char *text, size_t len)
{
    if (v->escaped)
        return tcp_json_is_escaped(v, text, len);
    return v->len == len && memcmp(v->ptr, text, len) == 0;
}
#define TCP_JSON_IS(v, text) tcp_json_is(v, text, sizeof(text) - 1)
/* Decodes a string's escapes into out, which has room for v->len bytes; returns the length. */
size_t tcp_json_decode(const tcp_value *v, char *out);
/* How many bytes text takes between the quotes of a JSON string; equal to len: as it is. */
size_t tcp_json_escaped_len(const void *text, size_t len);
/* Writes them; out has room. Returns their number. */
size_t tcp_json_escape(const void *text, size_t len, char *out);
/* Is this UTF-8? */
bool tcp_utf8_ok(const void *text, size_t len);

#endif
