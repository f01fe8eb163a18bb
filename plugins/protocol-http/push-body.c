/* SPDX-License-Identifier: Apache-2.0
 *
 * What a webhook is sent: the form that EventMesh's clients read, or a CloudEvent in one of the
 * modes of the HTTP binding. [lane]
 */
#include "attrs.h"
#include "ce.h"
#include "json.h"
#include "make.h"
#include "percent.h"
#include "push.h"
#include <string.h>

#define FORM_TYPE "application/x-www-form-urlencoded; charset=UTF-8"

bool
http_format_read(http_format *format, const char *name, size_t len)
{
    static const char *const names[] = { [HTTP_FORMAT_EVENTMESH] = "eventmesh",
                                         [HTTP_FORMAT_BINARY] = "binary",
                                         [HTTP_FORMAT_STRUCTURED] = "structured",
                                         [HTTP_FORMAT_BATCH] = "batch" };

    *format = HTTP_FORMAT_EVENTMESH;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0) {
            *format = (http_format)i;
            return true;
        }
    }
    return len == 0;
}

/* ---- data ---- */

static void
append_data(GString *to, const emesh_event_view *view)
{
    for (uint32_t i = 0; i < view->n_data; i++)
        g_string_append_len(to, view->data[i].ptr, (gssize)view->data[i].len);
}

/* The event as JSON, appended. false: it cannot be written. */
static bool
append_json(GString *to, const http_lane *lane, const emesh_event *event)
{
    emesh_part text = { NULL, 0, NULL };
    if (lane->http->event->encode(lane->http->host, EMESH_FORM_JSON, &event, 1, &text) != EMESH_OK)
        return false;
    g_string_append_len(to, text.ptr, (gssize)text.len);
    lane->http->event->buf_unref(text.owner);
    return true;
}

/* ---- headers ---- */

static void
common_headers(const http_lane *lane, SoupMessageHeaders *head)
{
    const http_options *o = &lane->http->options;
    g_autofree char *origin = g_strdup_printf("eventmesh.%s", o->idc);

    soup_message_headers_replace(head, "language", "JAVA");
    soup_message_headers_replace(head, "version", "1.0");
    soup_message_headers_replace(head, "eventmeshcluster", o->cluster);
    soup_message_headers_replace(head, "eventmeship",
                                 o->address != NULL ? o->address : "127.0.0.1");
    soup_message_headers_replace(head, "eventmeshenv", o->env);
    soup_message_headers_replace(head, "eventmeshidc", o->idc);
    soup_message_headers_replace(head, "WebHook-Request-Origin", origin);
}

static void
put_header(SoupMessageHeaders *head, const char *prefix, const emesh_attr *attr)
{
    g_autoptr(GString) value = g_string_sized_new(attr->value_len);
    size_t before = strlen(prefix);
    g_autofree char *name = g_malloc(before + attr->name_len + 1);

    memcpy(name, prefix, before);
    memcpy(name + before, attr->name, attr->name_len);
    name[before + attr->name_len] = '\0';

    if (attr->type == EMESH_ATTR_BINARY) {
        g_autofree char *text = g_base64_encode(attr->value, attr->value_len);
        http_percent_put_header(value, text, strlen(text));
    } else {
        http_percent_put_header(value, attr->value, attr->value_len);
    }
    soup_message_headers_replace(head, name, value->str);
}

/* Names that mean something to HTTP itself, or stand there already. */
static bool
is_taken(const char *name, size_t len)
{
    static const char *const taken[] = { "host",    "connection",    "upgrade",  "te",
                                         "trailer", "expect",        "cookie",   "via",
                                         "date",    "authorization", "language", "version",
                                         "code",    "range" };
    for (size_t i = 0; i < G_N_ELEMENTS(taken); i++) {
        if (strlen(taken[i]) == len && memcmp(taken[i], name, len) == 0)
            return true;
    }
    return false;
}

/* ---- EventMesh's form ---- */

static void
put_member(GString *out, const char *name, size_t name_len, const void *value, size_t len)
{
    if (out->len > 1)
        g_string_append_c(out, ',');
    http_json_put(out, name, name_len);
    g_string_append_c(out, ':');
    http_json_put(out, value, len);
}

static void
put_stamp(GString *out, const char *name, uint64_t ms)
{
    char text[24];
    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, ms);
    put_member(out, name, strlen(name), text, strlen(text));
}

/* All extensions as texts, and where the event has been. Given. */
static GString *
ext_fields(const http_job *job, const emesh_event_view *view)
{
    static const char *const stamps[] = { "reqmq2eventmeshtimestamp",
                                          "reqeventmesh2ctimestamp",
                                          "reqc2eventmeshtimestamp",
                                          "reqeventmesh2mqtimestamp",
                                          "rsp0url",
                                          "rsp0group",
                                          "passwd" };
    uint64_t now = http_wall_ms(job->hook->push->lane);
    GString *out = g_string_new("{");

    for (uint32_t i = 0; i < view->n_attrs; i++) {
        const emesh_attr *a = &view->attrs[i];
        bool skip = http_name_reserved(a->name, a->name_len);
        for (size_t k = 0; !skip && k < G_N_ELEMENTS(stamps); k++)
            skip = strlen(stamps[k]) == a->name_len && memcmp(stamps[k], a->name, a->name_len) == 0;
        if (!skip)
            put_member(out, a->name, a->name_len, a->value, a->value_len);
    }
    put_stamp(out, "reqc2eventmeshtimestamp", job->stored_ms);
    put_stamp(out, "reqeventmesh2mqtimestamp", job->stored_ms);
    put_stamp(out, "reqmq2eventmeshtimestamp", now);
    put_stamp(out, "reqeventmesh2ctimestamp", now);
    put_member(out, "rsp0url", 7, job->hook->target->url, strlen(job->hook->target->url));
    put_member(out, "rsp0group", 9, job->hook->name, strlen(job->hook->name));
    g_string_append_c(out, '}');
    return out;
}

static void
put_field(GString *form, const char *name, const char *value, size_t len)
{
    g_string_append_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
    http_percent_put_form(form, value, len);
}

static void
put_attr_field(GString *form, const char *field, const emesh_attr *attr)
{
    g_autofree char *made = NULL;
    if (attr == NULL || attr->value_len == 0) {
        made = http_make_digits(20);
        put_field(form, field, made, strlen(made));
    } else {
        put_field(form, field, attr->value, attr->value_len);
    }
}

/* The text that a client of the publisher's flavour expects. */
static bool
put_content(GString *form, const http_job *job, const emesh_event_view *view, bool *as_headers)
{
    const http_lane *lane = job->hook->push->lane;
    const emesh_attr *flavour = http_view_attr(view, "protocoltype");
    bool data_only = flavour != NULL ? !http_view_is(view, "protocoltype", "cloudevents")
                                     : http_view_is(view, "type", "eventmeshmessage");
    g_autoptr(GString) text = g_string_sized_new(view->data_len + 64);

    *as_headers =
        http_view_is(view, "protocoltype", "http") || http_view_is(view, "protocoltype", "webhook");
    if (data_only)
        append_data(text, view);
    else if (!append_json(text, lane, job->event))
        return false;
    put_field(form, "content", text->str, text->len);
    return true;
}

static const char *
compose_form(http_job *job, http_sheet *sheet, const emesh_event_view *view)
{
    const http_lane *lane = job->hook->push->lane;
    SoupMessageHeaders *head = sheet->head;
    g_autoptr(GString) form = g_string_sized_new(view->data_len * 2 + 1024);
    g_autoptr(GString) fields = NULL;
    g_autofree char *number = NULL;
    bool as_headers = false;

    if (!put_content(form, job, view, &as_headers))
        return "the event could not be written as CloudEvents JSON";
    put_attr_field(form, "bizseqno", http_view_attr(view, "bizseqno"));
    put_attr_field(form, "uniqueId", http_view_attr(view, "uniqueid"));
    number = g_strdup_printf("%" G_GUINT64_FORMAT "%04d", http_wall_ms(lane),
                             g_random_int_range(0, 10000));
    put_field(form, "randomNo", number, strlen(number));
    put_field(form, "topic", job->topic_name, strlen(job->topic_name));
    fields = ext_fields(job, view);
    put_field(form, "extFields", fields->str, fields->len);
    if (as_headers) {
        for (uint32_t i = 0; i < view->n_attrs; i++) {
            if (!is_taken(view->attrs[i].name, view->attrs[i].name_len))
                put_header(head, "", &view->attrs[i]);
        }
    }
    common_headers(lane, head);
    soup_message_headers_replace(head, "code", job->sync ? "106" : "105");
    gsize len = form->len;
    sheet->body = g_bytes_new_take(g_string_free(g_steal_pointer(&form), FALSE), len);
    soup_message_headers_replace(head, "Content-Type", FORM_TYPE);
    return NULL;
}

/* ---- CloudEvents ---- */

static const char *
compose_binary(http_job *job, http_sheet *sheet, const emesh_event_view *view)
{
    SoupMessageHeaders *head = sheet->head;
    g_autoptr(GString) data = g_string_sized_new(view->data_len + 1);
    const emesh_attr *type = http_view_attr(view, "datacontenttype");
    g_autofree char *given = type != NULL ? g_strndup(type->value, type->value_len) : NULL;
    (void)job;

    for (const char *c = given; c != NULL && *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7f) /* as a header it would end there */
            return "its datacontenttype cannot be the value of a header";
    }
    soup_message_headers_replace(head, "ce-specversion", "1.0");
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        if (&view->attrs[i] != type)
            put_header(head, "ce-", &view->attrs[i]);
    }
    append_data(data, view);
    if (given == NULL && view->data_form == EMESH_DATA_JSON)
        given = g_strdup("application/json"); /* what JSON format implies */
    gsize len = data->len;
    bool none = view->data_form == EMESH_DATA_NONE;
    if (!none)
        sheet->body = g_bytes_new_take(g_string_free(g_steal_pointer(&data), FALSE), len);
    if (given != NULL)
        soup_message_headers_replace(head, "Content-Type", given);
    return NULL;
}

static const char *
compose_json(http_job *first, http_sheet *sheet)
{
    const http_lane *lane = first->hook->push->lane;
    bool batch = first->format == HTTP_FORMAT_BATCH;
    g_autoptr(GString) text = g_string_new(batch ? "[" : NULL);

    for (http_job *job = first; job != NULL; job = job->more) {
        if (job != first)
            g_string_append_c(text, ',');
        if (!append_json(text, lane, job->event))
            return "the event could not be written as CloudEvents JSON";
    }
    if (batch)
        g_string_append_c(text, ']');
    gsize len = text->len;
    sheet->body = g_bytes_new_take(g_string_free(g_steal_pointer(&text), FALSE), len);
    soup_message_headers_replace(sheet->head, "Content-Type",
                                 batch ? "application/cloudevents-batch+json; charset=utf-8"
                                       : "application/cloudevents+json; charset=utf-8");
    return NULL;
}

const char *
http_job_compose(http_job *job, http_sheet *sheet)
{
    emesh_event_view view = { .size = sizeof view };

    job->hook->push->lane->http->event->view(job->event, &view);
    switch (job->format) {
    case HTTP_FORMAT_EVENTMESH:
        return compose_form(job, sheet, &view);
    case HTTP_FORMAT_BINARY:
        return compose_binary(job, sheet, &view);
    default:
        return compose_json(job, sheet);
    }
}
