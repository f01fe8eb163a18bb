/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as CloudEvents JSON 1.0: measured first, then written into one buffer of that size. JSON
 * data are copied as they came. Any thread.
 */
#include "event/attr.h"
#include "event/base64.h"
#include "event/event-struct.h"
#include "event/json-scan.h"
#include <string.h>

#define HEAD "{\"specversion\":\"1.0\""

typedef enum data_face { FACE_NONE, FACE_RAW, FACE_STRING, FACE_BASE64 } data_face;

/* How data show in JSON, so that a receiver who follows the specification gets the same bytes. */
static data_face
face_of(const emesh_event *event)
{
    static const char name[] = "datacontenttype";
    const emesh_event_view *view = &event->view;
    const emesh_attr *type = emesh_event_attr(event, name, sizeof name - 1);
    bool json_type = type != NULL && emesh_type_is_json(type->value, type->value_len);
    emesh_json json;
    switch (view->data_form) {
    case EMESH_DATA_NONE:
        return FACE_NONE;
    case EMESH_DATA_JSON:
        /* Stated or, without a type, implied; under another type a value would not be allowed. */
        return type == NULL || json_type ? FACE_RAW : FACE_STRING;
    case EMESH_DATA_TEXT:
        /* Without a type a string would be a JSON value, quotes and all. */
        if (type == NULL)
            return FACE_BASE64;
        if (!json_type)
            return FACE_STRING;
        if (view->n_data == 0)
            return FACE_BASE64;
        emesh_json_init(&json, view->data[0].ptr, view->data[0].len);
        return emesh_json_is_one_value(&json) ? FACE_RAW : FACE_BASE64;
    default:
        return FACE_BASE64;
    }
}

/* ---- strings ---- */

static inline char
short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return '\0';
    }
}

static size_t
string_size(const char *p, size_t len)
{
    size_t size = 2 + len;
    for (size_t at = 0;;) {
        at += emesh_json_plain(p + at, len - at);
        if (at == len)
            return size;
        size += short_escape(p[at]) != '\0' ? 1 : 5;
        at++;
    }
}

static char *
put_string(const char *p, size_t len, char *dst)
{
    static const char hex[] = "0123456789abcdef";
    *dst++ = '"';
    for (size_t at = 0;;) {
        size_t run = emesh_json_plain(p + at, len - at);
        memcpy(dst, p + at, run);
        dst += run;
        at += run;
        if (at == len)
            break;
        char c = p[at++];
        char letter = short_escape(c);
        *dst++ = '\\';
        if (letter != '\0') {
            *dst++ = letter;
            continue;
        }
        memcpy(dst, "u00", 3);
        dst[3] = hex[(unsigned char)c >> 4];
        dst[4] = hex[c & 15];
        dst += 5;
    }
    *dst++ = '"';
    return dst;
}

static char *
put_bytes(const void *p, size_t len, char *dst)
{
    memcpy(dst, p, len);
    return dst + len;
}
#define PUT(text, dst) put_bytes(text, sizeof(text) - 1, dst)

/* ---- events ---- */

static size_t
attr_size(const emesh_attr *attr)
{
    size_t name = sizeof ",\"\":" - 1 + attr->name_len;
    switch (attr->type) {
    case EMESH_ATTR_INTEGER:
    case EMESH_ATTR_BOOLEAN:
        return name + attr->value_len;
    case EMESH_ATTR_BINARY:
        return name + 2 + emesh_base64_size(attr->value_len);
    default:
        return name + string_size(attr->value, attr->value_len);
    }
}

static char *
put_attr(const emesh_attr *attr, char *dst)
{
    dst = PUT(",\"", dst);
    dst = put_bytes(attr->name, attr->name_len, dst);
    dst = PUT("\":", dst);
    emesh_base64 base64 = { .n_left = 0 };
    switch (attr->type) {
    case EMESH_ATTR_INTEGER:
    case EMESH_ATTR_BOOLEAN:
        return put_bytes(attr->value, attr->value_len, dst);
    case EMESH_ATTR_BINARY:
        *dst++ = '"';
        dst = emesh_base64_put(&base64, attr->value, attr->value_len, dst);
        dst = emesh_base64_finish(&base64, dst);
        *dst++ = '"';
        return dst;
    default:
        return put_string(attr->value, attr->value_len, dst);
    }
}

static size_t
event_size(const emesh_event *event, data_face face)
{
    const emesh_event_view *view = &event->view;
    size_t size = sizeof HEAD - 1 + sizeof "}" - 1;
    for (uint32_t i = 0; i < view->n_attrs; i++)
        size += attr_size(&view->attrs[i]);
    switch (face) {
    case FACE_NONE:
        return size;
    case FACE_RAW:
        return size + sizeof ",\"data\":" - 1 + view->data_len;
    case FACE_STRING:
        size += sizeof ",\"data\":" - 1;
        return size + (view->n_data > 0 ? string_size(view->data[0].ptr, view->data_len) : 2);
    default:
        return size + sizeof ",\"data_base64\":\"\"" - 1 + emesh_base64_size(view->data_len);
    }
}

static char *
put_data(const emesh_event_view *view, data_face face, char *dst)
{
    /* Text and JSON are always one part (build.c, image.c), or empty. */
    const char *data = view->n_data > 0 ? view->data[0].ptr : "";
    emesh_base64 base64 = { .n_left = 0 };
    switch (face) {
    case FACE_NONE:
        return dst;
    case FACE_RAW:
        dst = PUT(",\"data\":", dst);
        return put_bytes(data, view->data_len, dst);
    case FACE_STRING:
        dst = PUT(",\"data\":", dst);
        return put_string(data, view->data_len, dst);
    default:
        dst = PUT(",\"data_base64\":\"", dst);
        for (uint32_t i = 0; i < view->n_data; i++)
            dst = emesh_base64_put(&base64, view->data[i].ptr, view->data[i].len, dst);
        dst = emesh_base64_finish(&base64, dst);
        *dst++ = '"';
        return dst;
    }
}

static char *
put_event(const emesh_event *event, data_face face, char *dst)
{
    const emesh_event_view *view = &event->view;
    dst = PUT(HEAD, dst);
    for (uint32_t i = 0; i < view->n_attrs; i++)
        dst = put_attr(&view->attrs[i], dst);
    dst = put_data(view, face, dst);
    *dst++ = '}';
    return dst;
}

int32_t
emesh_event_to_json(const emesh_event *const *events, uint32_t n, bool batch, emesh_part *out)
{
    if (!batch && n != 1)
        return EMESH_E_INVALID;
    g_autofree uint8_t *many = n > 64 ? g_malloc(n) : NULL;
    uint8_t few[64];
    uint8_t *faces = many != NULL ? many : few;
    size_t size = batch ? (n > 0 ? n + 1u : 2) : 0; /* brackets and commas */
    for (uint32_t i = 0; i < n; i++) {
        faces[i] = (uint8_t)face_of(events[i]);
        size += event_size(events[i], faces[i]);
    }
    void *mem = NULL;
    emesh_buf *buf = emesh_buf_new(size, &mem);
    if (buf == NULL)
        return size > EMESH_BUF_MAX ? EMESH_E_TOO_LARGE : EMESH_E_NO_MEMORY;
    char *dst = mem;
    if (batch)
        *dst++ = '[';
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            *dst++ = ',';
        dst = put_event(events[i], faces[i], dst);
    }
    if (batch)
        *dst++ = ']';
    g_assert((size_t)(dst - (char *)mem) == size);
    *out = (emesh_part){ .ptr = mem, .len = size, .owner = buf };
    return EMESH_OK;
}
