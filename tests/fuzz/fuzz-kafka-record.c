/* SPDX-License-Identifier: Apache-2.0
 *
 * A record of Kafka that anybody may have written: an event comes of it whatever it holds, and what is
 * written from that event reads back as the same one. Also the metadata of a commit. The input is lines:
 * NAME=VALUE is a header, NAME alone one that is null, what follows an empty line is the value.
 */
#include "done.h"
#include "event/event.h"
#include "form.h"
#include "fuzz.h"
#include "record.h"

#include <string.h>

#define MOST 64

static const emesh_event *
read_raw(const kf_raw *raw, bool *foreign)
{
    const emesh_event *event = kf_record_in(&emesh_event_service, NULL, raw, foreign);

    g_assert_nonnull(event);
    return event;
}

static void
check_again(const emesh_event *event)
{
    emesh_event_view view = *emesh_event_peek(event);
    rd_kafka_headers_t *made = kf_record_headers(&view);
    kf_header list[600];
    kf_raw raw = { .topic = "again", .headers = list };
    g_autoptr(GByteArray) value = g_byte_array_new();
    emesh_part text = { NULL, 0, NULL };
    const emesh_event *again;
    bool foreign;

    g_assert_nonnull(made);
    while (raw.n < G_N_ELEMENTS(list) &&
           rd_kafka_header_get_all(made, raw.n, &list[raw.n].name, &list[raw.n].value,
                                   &list[raw.n].len) == RD_KAFKA_RESP_ERR_NO_ERROR)
        raw.n++;
    for (uint32_t i = 0; i < view.n_data; i++)
        g_byte_array_append(value, view.data[i].ptr, (guint)view.data[i].len);
    if (kf_record_structured(&view)) {
        g_assert_cmpint(emesh_event_to_json(&event, 1, false, &text), ==, EMESH_OK);
        g_byte_array_set_size(value, 0);
        g_byte_array_append(value, text.ptr, (guint)text.len);
        emesh_buf_unref(text.owner);
    }
    raw.value = view.data_form == EMESH_DATA_NONE && text.ptr == NULL ? NULL
                : value->len > 0                                     ? (void *)value->data
                                                                     : "";
    raw.len = value->len;
    again = read_raw(&raw, &foreign);
    g_assert_false(foreign);
    g_assert_cmpuint(emesh_event_peek(again)->n_attrs, ==, view.n_attrs);
    if (text.ptr == NULL) /* else text under a type of JSON comes back as JSON */
        g_assert_cmpuint(emesh_event_peek(again)->data_form, ==, view.data_form);
    if (text.ptr == NULL)
        g_assert_cmpuint(emesh_event_size(again), ==, emesh_event_size(event));
    emesh_event_unref(again);
    rd_kafka_headers_destroy(made);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    kf_header headers[MOST];
    kf_raw raw = { .topic = "fuzz", .offset = 7, .headers = headers };
    char *at = text, *end = text + size;
    const emesh_event *event;
    bool foreign;

    while (at < end && *at != '\n' && raw.n < MOST) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        char *mark;
        if (stop == NULL)
            stop = end;
        *stop = '\0';
        mark = memchr(at, '=', (size_t)(stop - at));
        if (mark != NULL)
            *mark = '\0';
        headers[raw.n++] = (kf_header){ at, mark != NULL ? mark + 1 : NULL,
                                        mark != NULL ? (size_t)(stop - mark - 1) : 0 };
        at = stop + 1;
    }
    if (at < end) {
        raw.value = at + 1;
        raw.len = (size_t)(end - at - 1);
    }
    event = read_raw(&raw, &foreign);
    check_again(event);
    emesh_event_unref(event);
    if (raw.value != NULL) {
        kf_done done;
        kf_done_init(&done, 5);
        kf_done_read(&done, raw.value, raw.len);
        g_assert_cmpint(done.floor, >=, 5);
        g_free(kf_done_write(&done));
        kf_done_clear(&done);
    }
    return 0;
}
