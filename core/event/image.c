/* SPDX-License-Identifier: Apache-2.0
 *
 * The flat image: the attributes of an event as stores keep them, little-endian, version 1 for
 * ever: u8 version, u8 data form, u16 n, u32 0; n × {u32 value bytes, u16 name bytes, u16 type};
 * names and values in turn; zeros to 8. Any thread.
 */
#include "event/attr.h"
#include "event/event-struct.h"
#include <string.h>

#define PAD8(n) (((n) + 7u) & ~(size_t)7u)

static inline void
put_u16(uint8_t *at, uint32_t value)
{
    uint16_t le = GUINT16_TO_LE((uint16_t)value);
    memcpy(at, &le, sizeof le);
}

static inline void
put_u32(uint8_t *at, uint32_t value)
{
    uint32_t le = GUINT32_TO_LE(value);
    memcpy(at, &le, sizeof le);
}

static inline uint32_t
get_u16(const uint8_t *at)
{
    uint16_t le;
    memcpy(&le, at, sizeof le);
    return GUINT16_FROM_LE(le);
}

static inline uint32_t
get_u32(const uint8_t *at)
{
    uint32_t le;
    memcpy(&le, at, sizeof le);
    return GUINT32_FROM_LE(le);
}

size_t
emesh_image_size(const emesh_attr *attrs, uint32_t n)
{
    size_t size = EMESH_IMAGE_HEAD + (size_t)n * EMESH_IMAGE_ENTRY;
    for (uint32_t i = 0; i < n; i++)
        size += attrs[i].name_len + (size_t)attrs[i].value_len;
    return PAD8(size);
}

void
emesh_image_write(emesh_event *event, const emesh_attr *attrs, uint32_t n, uint32_t form)
{
    uint8_t *image = event->image;
    image[0] = EMESH_IMAGE_VERSION;
    image[1] = (uint8_t)form;
    put_u16(image + 2, n);
    put_u32(image + 4, 0);
    uint8_t *entry = image + EMESH_IMAGE_HEAD;
    uint8_t *text = entry + (size_t)n * EMESH_IMAGE_ENTRY;
    for (uint32_t i = 0; i < n; i++, entry += EMESH_IMAGE_ENTRY) {
        put_u32(entry, attrs[i].value_len);
        put_u16(entry + 4, attrs[i].name_len);
        put_u16(entry + 6, attrs[i].type);
        memcpy(text, attrs[i].name, attrs[i].name_len);
        text += attrs[i].name_len;
        if (attrs[i].value_len > 0)
            memcpy(text, attrs[i].value, attrs[i].value_len);
        text += attrs[i].value_len;
    }
    memset(text, 0, (size_t)(image + event->image_len - text));
}

/* Fills attrs from an image whose bounds were checked; returns the bytes of names and values. */
static size_t
read_attrs(const uint8_t *image, emesh_attr *attrs, uint32_t n)
{
    const uint8_t *entry = image + EMESH_IMAGE_HEAD;
    const uint8_t *text = entry + (size_t)n * EMESH_IMAGE_ENTRY;
    const uint8_t *first = text;
    for (uint32_t i = 0; i < n; i++, entry += EMESH_IMAGE_ENTRY) {
        uint32_t value_len = get_u32(entry);
        uint32_t name_len = get_u16(entry + 4);
        attrs[i] = (emesh_attr){
            .name = (const char *)text,
            .value = text + name_len,
            .name_len = name_len,
            .value_len = value_len,
            .type = get_u16(entry + 6),
        };
        text += name_len + (size_t)value_len;
    }
    return (size_t)(text - first);
}

void
emesh_event_point(emesh_event *event)
{
    size_t bytes = read_attrs(event->image, event->attrs, event->view.n_attrs);
    event->size = bytes + event->view.data_len;
}

int32_t
emesh_event_make(const emesh_attr *attrs, uint32_t n, uint32_t form, const emesh_part *data,
                 uint32_t n_data, bool join, emesh_event **out, emesh_error *err)
{
    int32_t code =
        emesh_event_alloc(n, emesh_image_size(attrs, n), form, data, n_data, join, out, err);
    if (code != EMESH_OK)
        return code;
    emesh_image_write(*out, attrs, n, form);
    emesh_event_point(*out);
    return EMESH_OK;
}

/* Length of the image at the start of (image, len). */
static int32_t
measure(const uint8_t *image, size_t len, size_t *out, emesh_error *err)
{
    if (len < EMESH_IMAGE_HEAD)
        return emesh_fail(err, EMESH_E_CORRUPT, "event image of %zu bytes is cut", len);
    if (image[0] != EMESH_IMAGE_VERSION)
        return emesh_fail(err, EMESH_E_UNSUPPORTED,
                          "event image of version %u, this daemon reads %u", image[0],
                          EMESH_IMAGE_VERSION);
    uint32_t n = get_u16(image + 2);
    size_t end = EMESH_IMAGE_HEAD + (size_t)n * EMESH_IMAGE_ENTRY;
    if (image[1] > EMESH_DATA_PROTO || get_u32(image + 4) != 0 || n < 3 || n > EMESH_ATTRS_MAX ||
        end > len)
        return emesh_fail(err, EMESH_E_CORRUPT,
                          "event image with a bad head (form %u, %u attributes)", image[1], n);
    size_t fixed = end;
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *entry = image + EMESH_IMAGE_HEAD + (size_t)i * EMESH_IMAGE_ENTRY;
        end += get_u32(entry) + (size_t)get_u16(entry + 4);
    }
    size_t size = PAD8(end);
    bool sound = size <= len && end - fixed <= EMESH_ATTR_BYTES_MAX;
    for (; sound && end < size; end++)
        sound = image[end] == 0;
    if (!sound)
        return emesh_fail(err, EMESH_E_CORRUPT, "event image of %zu bytes in %zu", size, len);
    *out = size;
    return EMESH_OK;
}

/* What the image says must be what build would have made. Checks may become looser, never
 * stricter: images are readable for ever. */
static int32_t
check_attrs(emesh_attr *attrs, uint32_t n, emesh_error *err)
{
    static const emesh_attr_kind first[] = { EMESH_ATTR_IS_ID, EMESH_ATTR_IS_SOURCE,
                                             EMESH_ATTR_IS_TYPE };
    emesh_names names;
    emesh_names_init(&names);
    emesh_error why;
    why.size = sizeof why;
    why.code = EMESH_OK; /* the rest is written when it is filled */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t type = attrs[i].type;
        emesh_attr_kind kind = emesh_attr_kind_of(attrs[i].name, attrs[i].name_len);
        if (emesh_attr_check(&attrs[i], kind, &why) != EMESH_OK || attrs[i].type != type ||
            kind == EMESH_ATTR_IS_SPECVERSION || (i < 3 && kind != first[i]))
            return emesh_fail(err, EMESH_E_CORRUPT, "event image, attribute %u: %.200s", i,
                              why.code != 0 ? why.text : "not in order");
        if (emesh_names_find(&names, attrs, attrs[i].name, attrs[i].name_len) >= 0)
            return emesh_fail(err, EMESH_E_CORRUPT, "event image, attribute %u is there twice", i);
        emesh_names_add(&names, attrs);
    }
    return EMESH_OK;
}

/* What others take for granted whatever the image: which attributes come first, and known types. */
static int32_t
check_order(const emesh_attr *attrs, uint32_t n, emesh_error *err)
{
    bool good = emesh_attr_kind_of(attrs[0].name, attrs[0].name_len) == EMESH_ATTR_IS_ID &&
                emesh_attr_kind_of(attrs[1].name, attrs[1].name_len) == EMESH_ATTR_IS_SOURCE &&
                emesh_attr_kind_of(attrs[2].name, attrs[2].name_len) == EMESH_ATTR_IS_TYPE;
    uint32_t types = 0;
    for (uint32_t i = 0; i < n; i++)
        types = MAX(types, attrs[i].type);
    if (good && types <= EMESH_ATTR_TIME)
        return EMESH_OK;
    return emesh_fail(err, EMESH_E_CORRUPT, "event image, attributes are not in order");
}

int32_t
emesh_event_from_image(const emesh_part *in, uint32_t n_in, bool kept, const emesh_event **out,
                       emesh_error *err)
{
    if (n_in == 0)
        return emesh_fail(err, EMESH_E_INVALID, "no event image given");
    const uint8_t *image = in[0].ptr;
    size_t len = 0;
    int32_t code = measure(image, in[0].len, &len, err);
    if (code != EMESH_OK)
        return code;
    uint32_t form = image[1];
    uint32_t n = get_u16(image + 2);

    /* What follows the image in its own part is data, then the other parts. */
    emesh_part head = { .ptr = image + len, .len = in[0].len - len, .owner = in[0].owner };
    emesh_part parts[64];
    uint32_t n_parts = 0;
    if (head.len > 0)
        parts[n_parts++] = head;
    for (uint32_t i = 1; i < n_in; i++) {
        if (in[i].len == 0)
            continue;
        if (n_parts == G_N_ELEMENTS(parts))
            return emesh_fail(err, EMESH_E_INVALID, "event image with data in %u parts", n_in);
        parts[n_parts++] = in[i];
    }
    if (form == EMESH_DATA_NONE && n_parts > 0)
        return emesh_fail(err, EMESH_E_CORRUPT, "event image without data, but data follow");

    bool whole = form == EMESH_DATA_TEXT || form == EMESH_DATA_JSON;
    emesh_event *event = NULL;
    code = emesh_event_alloc(n, len, form, parts, n_parts, whole, &event, err);
    if (code != EMESH_OK)
        return code;
    memcpy(event->image, image, len);
    emesh_event_point(event);
    code = kept ? check_order(event->attrs, n, err) : check_attrs(event->attrs, n, err);
    if (code != EMESH_OK) {
        emesh_event_unref(event);
        return code;
    }
    *out = event;
    return EMESH_OK;
}
