/* SPDX-License-Identifier: Apache-2.0
 *
 * The one allocation of an event, in this order: struct, attribute table, part table, image, copied
 * data. Internal to core/event.
 */
#pragma once
#include "event/event.h"

#define EMESH_DATA_MAX ((size_t)16 << 20)
#define EMESH_IMAGE_VERSION 1u
#define EMESH_IMAGE_HEAD 8u
#define EMESH_IMAGE_ENTRY 8u

struct emesh_event {
    uint32_t refs;
    uint32_t image_len;
    uint8_t *image;
    emesh_attr *attrs;
    size_t size; /* names, values and data */
    uint64_t hash; /* atomic; 0: nobody asked yet */
    emesh_event_view view;
};

/* A new event with room for an image and with the data in place: parts are kept by reference, or
 * copied where that is cheaper to keep; join makes them one. The caller fills the image, then
 * calls emesh_event_point. */
int32_t emesh_event_alloc(uint32_t n_attrs, size_t image_len, uint32_t form, const emesh_part *data,
                          uint32_t n_data, bool join, emesh_event **out, emesh_error *err);
/* Bytes of the image of these attributes. */
size_t emesh_image_size(const emesh_attr *attrs, uint32_t n);
/* Writes the image; event was allocated with its size. */
void emesh_image_write(emesh_event *event, const emesh_attr *attrs, uint32_t n, uint32_t form);
/* Sets the attribute table and the size from the image, which is known to be sound. */
void emesh_event_point(emesh_event *event);
/* Alloc, write, point: of checked attributes in order. */
int32_t emesh_event_make(const emesh_attr *attrs, uint32_t n, uint32_t form, const emesh_part *data,
                         uint32_t n_data, bool join, emesh_event **out, emesh_error *err);
