/* SPDX-License-Identifier: Apache-2.0
 *
 * A pull scanner for JSON in contiguous bytes: RFC 8259 to the letter, UTF-8 checked, nesting
 * bounded, nothing allocated. What is skipped is checked as thoroughly as what is read, so that a
 * payload can be written out again as it came. Pure functions, any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMESH_JSON_DEPTH_MAX 64u

typedef enum emesh_json_type {
    EMESH_JSON_OBJECT,
    EMESH_JSON_ARRAY,
    EMESH_JSON_STRING,
    EMESH_JSON_NUMBER,
    EMESH_JSON_BOOLEAN,
    EMESH_JSON_NULL,
} emesh_json_type;

typedef struct emesh_json {
    const char *start, *at, *end;
    const char *flaw; /* NULL while all is well, then the first flaw, found near at */
} emesh_json;

typedef struct emesh_json_value {
    const char *ptr; /* as written; a string without its quotes */
    size_t len;
    emesh_json_type type;
    bool escaped; /* a string with backslashes in it */
} emesh_json_value;

void emesh_json_init(emesh_json *json, const char *text, size_t len);
/* Bytes read: where a flaw is. */
size_t emesh_json_offset(const emesh_json *json);
/* Enters '{' or '['. */
bool emesh_json_open(emesh_json *json, char bracket);
/* The next member's key (its value must be read next), or false: the object ended, or a flaw. */
bool emesh_json_key(emesh_json *json, bool first, emesh_json_value *key);
/* Is there a next item (to be read next)? false: the array ended, or a flaw. */
bool emesh_json_item(emesh_json *json, bool first);
/* One value with all that is in it. */
bool emesh_json_value_next(emesh_json *json, emesh_json_value *value);
/* Nothing but white space is left. */
bool emesh_json_end(emesh_json *json);
/* The whole text is one value. */
bool emesh_json_is_one_value(emesh_json *json);
/* Writes the text of a string that was scanned to dst (value->len bytes are enough). false: a
 * surrogate without its other half. */
bool emesh_json_unescape(const emesh_json_value *value, char *dst, size_t *len);

/* How many bytes at p need no escape in a JSON string: neither quote, backslash nor control
 * character. */
size_t emesh_json_plain(const char *p, size_t len);
