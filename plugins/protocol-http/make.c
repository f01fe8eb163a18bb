/* SPDX-License-Identifier: Apache-2.0
 *
 * See make.h. [lane]
 */
#include "make.h"
#include "ce.h"

static const emesh_event *
build(const http_lane *lane, const http_attrs *attrs, uint32_t form, const emesh_part *data,
      emesh_error *err)
{
    const emesh_event *event = NULL;
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = form,
                              .attrs = (const emesh_attr *)(void *)attrs->list->data,
                              .n_attrs = attrs->list->len,
                              .data = form != EMESH_DATA_NONE ? data : NULL,
                              .n_data = form != EMESH_DATA_NONE,
                              .data_len = form != EMESH_DATA_NONE ? data->len : 0 };
    *err = (emesh_error){ .size = sizeof *err };
    int32_t code = lane->http->event->build(lane->http->host, &spec, NULL, &event, err);
    if (code == EMESH_OK)
        return event;
    err->code = code;
    return NULL;
}

const emesh_event *
http_make_event(const http_lane *lane, const http_attrs *attrs, const char *type,
                const emesh_part *data, emesh_error *err)
{
    uint32_t form = EMESH_DATA_BYTES;
    const emesh_event *event;

    if (data == NULL)
        form = EMESH_DATA_NONE;
    else if (type != NULL && http_type_is_json(type))
        form = EMESH_DATA_JSON;
    else if (type != NULL && http_type_is_text(type))
        form = EMESH_DATA_TEXT;
    event = build(lane, attrs, form, data, err);
    if (event == NULL && (form == EMESH_DATA_JSON || form == EMESH_DATA_TEXT))
        event = build(lane, attrs, EMESH_DATA_BYTES, data, err);
    return event;
}

char *
http_make_id(http_lane *lane)
{
    (void)lane;
    return g_uuid_string_random();
}

char *
http_make_digits(unsigned n)
{
    char *text = g_malloc(n + 1);
    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('0' + g_random_int_range(0, 10));
    text[n] = '\0';
    return text;
}
