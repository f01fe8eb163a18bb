/* SPDX-License-Identifier: Apache-2.0
 *
 * See record.h: records to events. Whatever a record holds, an event comes of it: a partition never
 * stands still for a record that somebody else wrote.
 */
#include "form.h"
#include "record.h"

#include <stdio.h>
#include <string.h>

typedef struct reading {
    const emesh_event_api *ev;
    const emesh_host *host;
    const kf_raw *raw;
    GArray *attrs;     /* emesh_attr */
    GPtrArray *texts;  /* what they point to, where it is not the record */
    const kf_header *type, *form, *types;
    bool version; /* ce_specversion is there */
    bool old;     /* and is 0.3 */
} reading;

static bool
named(const kf_header *header, const char *name)
{
    return g_ascii_strcasecmp(header->name, name) == 0;
}

static bool
said(const kf_header *header, const char *value)
{
    return header->value != NULL && header->len == strlen(value) &&
           memcmp(header->value, value, header->len) == 0;
}

static void
add_attr(reading *r, const char *name, size_t name_len, const void *value, size_t len,
         uint32_t type)
{
    emesh_attr attr = { .name = name, .value = value, .name_len = (uint32_t)name_len,
                        .value_len = (uint32_t)len, .type = type };

    g_array_append_val(r->attrs, attr);
}

/* ce_NAME, with NAME in lower case. */
static void
take_attr(reading *r, const kf_header *header)
{
    char *name = g_ascii_strdown(header->name + 3, -1);
    const char *now = r->old && strcmp(name, "schemaurl") == 0 ? "dataschema" : name;

    g_ptr_array_add(r->texts, name);
    if (strcmp(name, "datacontenttype") != 0 && header->value != NULL) /* null is not set */
        add_attr(r, now, strlen(now), header->value, header->len, EMESH_ATTR_TEXT);
}

static void
look(reading *r)
{
    for (uint32_t i = 0; i < r->raw->n; i++) {
        const kf_header *header = &r->raw->headers[i];
        if (named(header, "content-type") && header->value != NULL)
            r->type = header;
        else if (named(header, KF_FORM_HEADER) && header->value != NULL)
            r->form = header;
        else if (named(header, KF_TYPES_HEADER) && header->value != NULL)
            r->types = header;
        else if (named(header, "ce_specversion") && header->value != NULL) {
            r->version = true;
            r->old = said(header, "0.3");
        }
    }
}

/* The extension gets the type that emesh-types gives it; binary ones come as Base64. */
static void
set_type(reading *r, const char *name, size_t len, char letter)
{
    const char *at = letter != '\0' ? strchr(kf_type_letters, letter) : NULL;

    for (guint i = 0; at != NULL && i < r->attrs->len; i++) {
        emesh_attr *attr = &g_array_index(r->attrs, emesh_attr, i);
        if (attr->name_len != len || memcmp(attr->name, name, len) != 0)
            continue;
        attr->type = (uint32_t)(at - kf_type_letters);
        if (attr->type == EMESH_ATTR_BINARY) {
            gsize n = 0;
            g_autofree char *text = g_strndup(attr->value, attr->value_len);
            void *bytes = g_base64_decode(text, &n);
            g_ptr_array_add(r->texts, bytes);
            attr->value = bytes;
            attr->value_len = (uint32_t)n;
        }
    }
}

static void
set_types(reading *r)
{
    const char *at, *end;

    if (r->types == NULL)
        return;
    at = r->types->value;
    end = at + r->types->len;
    while (at < end) {
        const char *stop = memchr(at, ',', (size_t)(end - at));
        const char *mark;
        if (stop == NULL)
            stop = end;
        mark = memchr(at, '=', (size_t)(stop - at));
        if (mark != NULL && mark + 1 < stop)
            set_type(r, at, (size_t)(mark - at), mark[1]);
        at = stop + 1;
    }
}

static const emesh_event *
build(const reading *r, uint32_t form)
{
    emesh_part data = { r->raw->value, r->raw->len, NULL };
    emesh_event_view view = { .size = sizeof view,
                              .attrs = (const emesh_attr *)(const void *)r->attrs->data,
                              .n_attrs = r->attrs->len };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };

    if (r->raw->value != NULL) {
        view.data_form = form;
        view.data = &data;
        view.n_data = 1;
        view.data_len = data.len;
    }
    return r->ev->build(r->host, &view, NULL, &event, &err) == EMESH_OK ? event : NULL;
}

/* With the form that was said, else as bytes: what is called JSON need not be. */
static const emesh_event *
build_any(const reading *r)
{
    uint32_t form = kf_form_of(r->type != NULL ? r->type->value : NULL,
                               r->type != NULL ? r->type->len : 0);
    const emesh_event *event;

    for (uint32_t i = 1; r->form != NULL && i < G_N_ELEMENTS(kf_form_names); i++)
        if (said(r->form, kf_form_names[i]))
            form = i;
    event = build(r, form);
    if (event == NULL && form != EMESH_DATA_BYTES && r->raw->value != NULL)
        event = build(r, EMESH_DATA_BYTES);
    return event;
}

static const emesh_event *
binary(reading *r)
{
    for (uint32_t i = 0; i < r->raw->n; i++) {
        const kf_header *header = &r->raw->headers[i];
        if (g_ascii_strncasecmp(header->name, "ce_", 3) == 0 && !named(header, "ce_specversion"))
            take_attr(r, header);
        else if (named(header, "ce_specversion") && !r->old && header->value != NULL)
            add_attr(r, "specversion", 11, header->value, header->len, EMESH_ATTR_TEXT);
    }
    if (r->type != NULL && r->type->len > 0)
        add_attr(r, "datacontenttype", 15, r->type->value, r->type->len, EMESH_ATTR_TEXT);
    set_types(r);
    return build_any(r);
}

static const emesh_event *
structured(const reading *r)
{
    emesh_part in = { .len = r->raw->len };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    uint32_t n = 0;
    void *mem;

    if (r->raw->value == NULL || r->raw->len == 0)
        return NULL;
    in.owner = r->ev->buf(r->host, r->raw->len, &mem);
    if (in.owner == NULL)
        return NULL;
    memcpy(mem, r->raw->value, r->raw->len);
    in.ptr = mem;
    if (r->ev->decode(r->host, EMESH_FORM_JSON, &in, 1, &event, 1, &n, &err) != EMESH_OK || n != 1)
        event = NULL;
    r->ev->buf_unref(in.owner);
    return event;
}

static bool
is_text(const void *bytes, size_t len)
{
    return g_utf8_validate_len(bytes, len, NULL);
}

/* Its identity is its place, which is the same for everybody who reads it. */
static const emesh_event *
made_up(reading *r)
{
    const kf_raw *raw = r->raw;
    const emesh_event *event = NULL;
    char id[320], source[300];
    bool text = raw->value != NULL && is_text(raw->value, raw->len);

    snprintf(id, sizeof id, "%s-%d-%lld", raw->topic, raw->partition, (long long)raw->offset);
    snprintf(source, sizeof source, "/kafka/%s", raw->topic);
    for (int plain = 0; plain < 2 && event == NULL; plain++) {
        g_array_set_size(r->attrs, 0);
        add_attr(r, "id", 2, id, strlen(id), EMESH_ATTR_TEXT);
        add_attr(r, "source", 6, source, strlen(source), EMESH_ATTR_TEXT);
        add_attr(r, "type", 4, "kafka.record", 12, EMESH_ATTR_TEXT);
        if (plain == 0 && r->type != NULL && r->type->len > 0)
            add_attr(r, "datacontenttype", 15, r->type->value, r->type->len, EMESH_ATTR_TEXT);
        if (plain == 0 && raw->key_len > 0 && raw->key_len < 1024)
            add_attr(r, "partitionkey", 12, raw->key, raw->key_len, EMESH_ATTR_TEXT);
        event = build(r, text ? EMESH_DATA_TEXT : EMESH_DATA_BYTES);
    }
    return event;
}

const emesh_event *
kf_record_in(const emesh_event_api *ev, const emesh_host *host, const kf_raw *raw, bool *foreign)
{
    reading r = { .ev = ev, .host = host, .raw = raw,
                  .attrs = g_array_new(FALSE, FALSE, sizeof(emesh_attr)),
                  .texts = g_ptr_array_new_with_free_func(g_free) };
    const emesh_event *event = NULL;
    bool json;

    look(&r);
    if (kf_is_structured(r.type != NULL ? r.type->value : NULL, r.type != NULL ? r.type->len : 0,
                         &json))
        event = json ? structured(&r) : NULL;
    if (event == NULL && r.version)
        event = binary(&r);
    *foreign = event == NULL;
    if (event == NULL)
        event = made_up(&r);
    g_array_unref(r.attrs);
    g_ptr_array_unref(r.texts);
    return event;
}

const emesh_event *
kf_message_in(const kf_store *store, const rd_kafka_message_t *message, bool *foreign)
{
    kf_header list[KF_HEADERS_MAX];
    kf_raw raw = { .topic = rd_kafka_topic_name(message->rkt),
                   .partition = message->partition,
                   .offset = message->offset,
                   .key = message->key,
                   .key_len = message->key_len,
                   .value = message->payload,
                   .len = message->len,
                   .headers = list };
    rd_kafka_headers_t *headers;

    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        while (raw.n < KF_HEADERS_MAX &&
               rd_kafka_header_get_all(headers, raw.n, &list[raw.n].name, &list[raw.n].value,
                                       &list[raw.n].len) == RD_KAFKA_RESP_ERR_NO_ERROR)
            raw.n++;
    return kf_record_in(store->ev, store->host, &raw, foreign);
}
