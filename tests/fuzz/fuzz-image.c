/* SPDX-License-Identifier: Apache-2.0
 *
 * The flat image of events, as a store hands it back. What is accepted must be exactly what build
 * makes of the same attributes and data.
 */
#include "event/event.h"
#include "fuzz.h"
#include <string.h>

static void
check_same(const emesh_event *event)
{
    const emesh_event *again = NULL;
    emesh_error err = { .size = sizeof err };
    const emesh_event_view *view = emesh_event_peek(event);
    if (emesh_event_build(view, NULL, &again, &err) != EMESH_OK) {
        /* Only what data hold is trusted to the store that kept them. */
        g_assert_true(view->data_form == EMESH_DATA_TEXT || view->data_form == EMESH_DATA_JSON);
        return;
    }
    emesh_slice a = emesh_event_image(event), b = emesh_event_image(again);
    g_assert_cmpmem(a.ptr, a.len, b.ptr, b.len);
    g_assert_cmpuint(emesh_event_size(event), ==, emesh_event_size(again));
    emesh_event_unref(again);
}

/* One whose attributes are not looked at may say anything, but within its bytes. */
static void
check_kept(const emesh_part *one, const emesh_event *good)
{
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    int32_t code = emesh_event_from_image(one, 1, true, &event, &err);
    g_assert_true((code == EMESH_OK) == (event != NULL));
    g_assert_true(event != NULL || good == NULL);
    if (event == NULL)
        return;
    const emesh_event_view *view = emesh_event_peek(event);
    size_t bytes = 0;
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        const uint8_t *name = (const uint8_t *)view->attrs[i].name;
        const uint8_t *value = view->attrs[i].value;
        g_assert_cmpuint(view->attrs[i].type, <=, EMESH_ATTR_TIME);
        for (uint32_t k = 0; k < view->attrs[i].name_len; k++, bytes++)
            g_assert_true(name >= (const uint8_t *)emesh_event_image(event).ptr && name[k] < 256);
        for (uint32_t k = 0; k < view->attrs[i].value_len; k++, bytes++)
            g_assert_true(value[k] < 256);
    }
    g_assert_cmpuint(emesh_event_size(event), ==, bytes + view->data_len);
    if (good != NULL) {
        emesh_slice a = emesh_event_image(event), b = emesh_event_image(good);
        g_assert_cmpmem(a.ptr, a.len, b.ptr, b.len);
    }
    emesh_event_unref(event);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    emesh_part one = { .ptr = data, .len = size };
    int32_t code = emesh_event_from_image(&one, 1, false, &event, &err);
    g_assert_true((code == EMESH_OK) == (event != NULL));
    check_kept(&one, event);
    if (event == NULL) {
        g_assert_true(err.code == code && err.text[0] != '\0');
        return 0;
    }
    check_same(event);
    /* The same from a buffer, and with its data apart. */
    emesh_slice image = emesh_event_image(event);
    void *mem;
    emesh_buf *buf = emesh_buf_new(size - image.len, &mem);
    memcpy(mem, data + image.len, size - image.len);
    emesh_part two[] = { { .ptr = data, .len = image.len },
                         { .ptr = mem, .len = size - image.len, .owner = buf } };
    const emesh_event *apart = NULL;
    g_assert_cmpint(emesh_event_from_image(two, 2, false, &apart, &err), ==, EMESH_OK);
    emesh_slice other = emesh_event_image(apart);
    g_assert_cmpmem(image.ptr, image.len, other.ptr, other.len);
    emesh_buf_unref(buf);
    check_same(apart);
    emesh_event_unref(apart);
    emesh_event_unref(event);
    return 0;
}
