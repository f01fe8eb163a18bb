/* SPDX-License-Identifier: Apache-2.0
 *
 * Attributes of CloudEvents: which names are legal, which values, and a set of names that stays
 * fast when somebody sends a thousand. Internal to core/event.
 */
#pragma once
#include "event/event.h"

#define EMESH_ATTRS_MAX 1024u
#define EMESH_ATTR_BYTES_MAX ((size_t)1 << 20)

/* What specversion 1.0 says of a name. */
typedef enum emesh_attr_kind {
    EMESH_ATTR_EXTENSION,
    EMESH_ATTR_IS_ID,
    EMESH_ATTR_IS_SOURCE,
    EMESH_ATTR_IS_TYPE,
    EMESH_ATTR_IS_SPECVERSION,
    EMESH_ATTR_IS_SUBJECT,
    EMESH_ATTR_IS_TIME,
    EMESH_ATTR_IS_CONTENT_TYPE,
    EMESH_ATTR_IS_SCHEMA,
} emesh_attr_kind;
emesh_attr_kind emesh_attr_kind_of(const char *name, size_t len);

/* Valid UTF-8 without NUL. (Other control characters pass: old EventMesh clients send them in
 * properties, and a gateway that refuses what its peers accept loses events.) */
bool emesh_text_ok(const void *text, size_t len);
/* Valid UTF-8, zero bytes as well: what data of form text must be. */
bool emesh_utf8_ok(const void *text, size_t len);
/* RFC 3339 with any offset and any fraction. */
bool emesh_time_ok(const char *text, size_t len);
/* The media type is JSON: any/json or any/any+json, parameters allowed. */
bool emesh_type_is_json(const char *text, size_t len);

int32_t emesh_attr_check_name(const emesh_attr *attr, emesh_error *err);
/* Checks name and value, and gives attributes of the specification the type it says; kind is that of
 * its name. */
int32_t emesh_attr_check(emesh_attr *attr, emesh_attr_kind kind, emesh_error *err);

/* ---- a set of the names of an attribute array; no cleanup needed ---- */
#define EMESH_NAMES_SLOTS 4096u
#define EMESH_NAMES_LINEAR 24u
typedef struct emesh_names {
    uint64_t mask; /* which hashes are in it, mod 64: most look-ups end here */
    uint32_t n;
    uint16_t slots[EMESH_NAMES_SLOTS]; /* 1 + index; used above EMESH_NAMES_LINEAR names */
} emesh_names;
void emesh_names_init(emesh_names *names);
/* Index of name in attrs, or -1. */
int32_t emesh_names_find(const emesh_names *names, const emesh_attr *attrs, const char *name,
                         uint32_t len);
/* attrs[names->n] is new: counts it in. */
void emesh_names_add(emesh_names *names, const emesh_attr *attrs);
