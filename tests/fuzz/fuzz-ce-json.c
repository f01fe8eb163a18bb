/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents JSON, one event or (when it begins with a bracket) a batch. What is accepted is
 * written again; that must read as the same event.
 */
#include "event/event.h"
#include "fuzz.h"
#include <string.h>

static void
check_data(const emesh_event_view *a, const emesh_event_view *b)
{
    g_assert_cmpuint(a->data_len, ==, b->data_len);
    g_assert_true(a->n_data <= 1 && b->n_data <= 1);
    if (a->data_len > 0)
        g_assert_cmpmem(a->data[0].ptr, a->data_len, b->data[0].ptr, b->data_len);
}

static void
check_again(const emesh_event *event)
{
    emesh_part out;
    g_assert_cmpint(emesh_event_to_json(&event, 1, false, &out), ==, EMESH_OK);
    const emesh_event *again = NULL;
    emesh_error err = { .size = sizeof err };
    g_assert_cmpint(emesh_event_from_json(&out, &again, &err), ==, EMESH_OK);
    emesh_slice a = emesh_event_image(event), b = emesh_event_image(again);
    g_assert_cmpmem(a.ptr, a.len, b.ptr, b.len);
    check_data(emesh_event_peek(event), emesh_event_peek(again));
    emesh_buf_unref(out.owner);
    emesh_event_unref(again);

    /* build agrees with what the decoder let through. */
    g_assert_cmpint(emesh_event_build(emesh_event_peek(event), NULL, &again, &err), ==, EMESH_OK);
    b = emesh_event_image(again);
    g_assert_cmpmem(a.ptr, a.len, b.ptr, b.len);
    emesh_event_unref(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const emesh_event *events[16] = { NULL };
    uint32_t n = 0;
    emesh_error err = { .size = sizeof err };
    emesh_part in = { .ptr = data, .len = size };
    uint32_t form = size > 0 && data[0] == '[' ? EMESH_FORM_JSON_BATCH : EMESH_FORM_JSON;
    int32_t code = emesh_event_service.decode(NULL, form, &in, 1, events, 16, &n, &err);
    if (code != EMESH_OK) {
        g_assert_true(n == 0 && events[0] == NULL);
        g_assert_true(err.code == code && err.text[0] != '\0');
        g_assert_true(g_utf8_validate(err.text, -1, NULL));
        return 0;
    }
    for (uint32_t i = 0; i < n; i++)
        check_again(events[i]);
    emesh_event_service.unref(events, n);
    return 0;
}
