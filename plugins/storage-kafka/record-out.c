/* SPDX-License-Identifier: Apache-2.0
 *
 * See record.h: events to headers.
 */
#include "form.h"
#include "record.h"

#include <string.h>

const emesh_attr *
kf_attr(const emesh_event_view *view, const char *name)
{
    size_t len = strlen(name);

    for (uint32_t i = 0; i < view->n_attrs; i++)
        if (view->attrs[i].name_len == len && memcmp(view->attrs[i].name, name, len) == 0)
            return &view->attrs[i];
    return NULL;
}

static bool
is(const emesh_attr *attr, const char *name)
{
    return attr->name_len == strlen(name) && memcmp(attr->name, name, attr->name_len) == 0;
}

/* Extensions that are no text would come back as text. */
static void
note_type(GString *types, const emesh_attr *attr)
{
    static const char *const core[] = { "id", "source", "type", "time", "dataschema", "subject" };

    if (attr->type == EMESH_ATTR_TEXT || attr->type >= KF_TYPES)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(core); i++)
        if (is(attr, core[i]))
            return;
    if (types->len > 0)
        g_string_append_c(types, ',');
    g_string_append_len(types, attr->name, attr->name_len);
    g_string_append_c(types, '=');
    g_string_append_c(types, kf_type_letters[attr->type]);
}

static bool
put_attr(rd_kafka_headers_t *headers, const emesh_attr *attr)
{
    g_autofree char *name = g_strdup_printf("ce_%.*s", (int)attr->name_len, attr->name);
    g_autofree char *text = NULL;
    const void *value = attr->value;
    size_t len = attr->value_len;

    if (attr->type == EMESH_ATTR_BINARY) {
        text = g_base64_encode(attr->value, attr->value_len);
        value = text;
        len = strlen(text);
    }
    return rd_kafka_header_add(headers, is(attr, "datacontenttype") ? "content-type" : name, -1,
                               len > 0 ? value : "", (ssize_t)len) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool
kf_record_structured(const emesh_event_view *view)
{
    const emesh_attr *type = kf_attr(view, "datacontenttype");
    bool json;

    return type != NULL && kf_is_structured(type->value, type->value_len, &json);
}

static rd_kafka_headers_t *
one_header(void)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);

    if (rd_kafka_header_add(headers, "content-type", -1, "application/cloudevents+json", -1) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return headers;
    rd_kafka_headers_destroy(headers);
    return NULL;
}

static rd_kafka_headers_t *
all_headers(const emesh_event_view *view)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(view->n_attrs + 3);
    const emesh_attr *type = kf_attr(view, "datacontenttype");
    g_autoptr(GString) types = g_string_new(NULL);
    bool fine = rd_kafka_header_add(headers, "ce_specversion", -1, "1.0", 3) ==
                RD_KAFKA_RESP_ERR_NO_ERROR;

    for (uint32_t i = 0; i < view->n_attrs && fine; i++) {
        if (is(&view->attrs[i], "specversion"))
            continue;
        note_type(types, &view->attrs[i]);
        fine = put_attr(headers, &view->attrs[i]);
    }
    if (fine && types->len > 0)
        fine = rd_kafka_header_add(headers, KF_TYPES_HEADER, -1, types->str,
                                   (ssize_t)types->len) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fine && view->data_form != EMESH_DATA_NONE &&
        view->data_form != kf_form_of(type != NULL ? type->value : NULL,
                                      type != NULL ? type->value_len : 0))
        fine = rd_kafka_header_add(headers, KF_FORM_HEADER, -1, kf_form_names[view->data_form],
                                   -1) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fine)
        return headers;
    rd_kafka_headers_destroy(headers);
    return NULL;
}

rd_kafka_headers_t *
kf_record_headers(const emesh_event_view *view)
{
    return kf_record_structured(view) ? one_header() : all_headers(view);
}
