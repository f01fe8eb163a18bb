/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /eventmesh/publish/TOPIC: a JSON object, a form, or anything with a content type becomes the
 * data of an event. CloudEvents keep what they are. [lane]
 */
#include "api.h"
#include "ce.h"
#include "cloudevents.h"
#include "json.h"
#include "make.h"
#include "percent.h"
#include <string.h>

#define TTL_DEFAULT "14400000" /* of the reference: 4 hours */

int
http_ret_of(int32_t code, int otherwise)
{
    switch (code) {
    case EMESH_OK:
        return 0;
    case EMESH_E_TOO_LARGE:
        return 8;
    case EMESH_E_BUSY:
        return 23;
    case EMESH_E_DENIED:
        return 22;
    default:
        return EMESH_CLASS(code) == 3 || EMESH_CLASS(code) == 5 ? 14 : otherwise;
    }
}

static void
published(http_publish *p)
{
    http_request *r = p->request;
    emesh_event_view view = { .size = sizeof view };
    uint32_t status = p->code == EMESH_E_BUSY ? 429 : p->code == EMESH_E_TOO_LARGE ? 413 : 200;
    if (p->code != EMESH_OK) {
        g_autofree char *text = g_strconcat(http_ret_text(http_ret_of(p->code, 15)),
                                            p->err.text[0] != '\0' ? ": " : "", p->err.text, NULL);
        if (status == 429)
            http_retry_after(r, 1);
        http_ret(r, status, http_ret_of(p->code, 15), text);
        return;
    }
    r->lane->http->event->view(p->items[0].event, &view);
    http_retf(r, 0, "SendResult[topic=%.*s, messageId=%.*s]", (int)p->items[0].topic.len,
              (const char *)p->items[0].topic.ptr, (int)view.attrs[0].value_len,
              (const char *)view.attrs[0].value);
}

/* A form as the JSON object that the reference makes of it. Given. */
static char *
object_of(const http_form *form, size_t *len)
{
    GString *out = g_string_new("{");
    for (unsigned i = 0; i < form->n; i++) {
        const http_field *f = &form->fields[i];
        g_autofree char *name = g_strndup(f->name, f->name_len);
        if (http_form_field(form, name) != f)
            continue; /* another of this name wins */
        if (out->len > 1)
            g_string_append_c(out, ',');
        http_json_put(out, f->name, f->name_len);
        g_string_append_c(out, ':');
        http_json_put(out, f->value, f->len);
    }
    g_string_append_c(out, '}');
    *len = out->len;
    return g_string_free(out, FALSE);
}

/* The data, and what they are. NULL: fine; else why they are refused. */
static const char *
read_data(http_request *r, emesh_part *data, const char **type)
{
    bool get = strcmp(r->method, "GET") == 0;
    http_params params;
    const char *flaw;

    *type = get ? NULL : http_request_header(r, "Content-Type");
    *data = (emesh_part){ NULL, 0, NULL };
    if (*type != NULL && g_ascii_strncasecmp(*type, "application/x-www-form", 22) != 0 &&
        g_ascii_strncasecmp(*type, "multipart/form-data", 19) != 0) {
        if (r->body->len == 0 && http_type_is_json(*type))
            g_byte_array_append(r->body, (const guint8 *)"{}", 2);
        if (http_type_is_json(*type) && !http_json_valid((const char *)r->body->data, r->body->len))
            return "the body is no JSON";
        return http_request_take_body(r, data) ? NULL : "out of memory";
    }
    flaw = http_params_read(&params, r);
    if (flaw == NULL) {
        size_t len = 0;
        char *text = object_of(&params.form, &len);
        GBytes *bytes = g_bytes_new_take(text, len);
        data->owner = r->lane->http->glib->adopt(r->lane->http->host, bytes, data);
        g_bytes_unref(bytes);
        *type = "application/json";
        flaw = data->owner != NULL ? NULL : "out of memory";
    }
    http_params_clear(&params, r->lane);
    return flaw;
}

static void
set_attributes(http_request *r, http_attrs *a, const char *topic, const char *type)
{
    static const char *const ours[] = { "bizseqno", "uniqueid", "ttl" };
    const char *source = http_request_header(r, "source");
    const char *kind = http_request_header(r, "type");
    g_autofree char *id = http_make_id(r->lane);
    g_autofree char *from = g_strconcat("source:",
                                        source != NULL    ? source
                                        : r->conn != NULL ? r->conn->peer
                                                          : "",
                                        NULL);

    http_attrs_set(a, "id", http_attrs_keep(a, id, strlen(id)));
    http_attrs_set(a, "source", http_attrs_keep(a, from, strlen(from)));
    http_attrs_set(a, "type", kind != NULL && *kind != '\0' ? kind : "http_request");
    http_attrs_set(a, "subject", topic);
    http_attrs_set(a, "datacontenttype", type);
    http_who_attrs(r, a, true);
    http_attrs_set(a, "protocoltype", "http");
    http_attrs_set(a, "protocoldesc", "http");
    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        const char *value = http_request_header(r, ours[i]);
        g_autofree char *made = NULL;
        if (value == NULL || *value == '\0')
            value = i < 2 ? (made = http_make_digits(32)) : TTL_DEFAULT;
        http_attrs_set(a, ours[i], http_attrs_keep(a, value, strlen(value)));
    }
}

static void
publish_data(http_request *r, char *topic, const emesh_part *data, const char *type)
{
    http_attrs attrs;
    emesh_error err;
    const emesh_event *event = NULL;
    const char *flaw;

    http_attrs_init(&attrs);
    set_attributes(r, &attrs, topic, type);
    flaw = http_who_flaw(&attrs);
    if (flaw != NULL)
        http_retf(r, 6, ": header %s", flaw);
    else if ((event = http_make_event(r->lane, &attrs, type, data, &err)) == NULL)
        http_retf(r, 13, "%s", err.text);
    http_attrs_clear(&attrs);
    if (event == NULL) {
        g_free(topic);
        return;
    }
    http_publish *p = http_publish_new(r, 1, published);
    p->data = topic;
    p->items[0].event = event;
    p->items[0].topic = (emesh_slice){ topic, strlen(topic) };
    http_publish_start(p, http_request_header(r, "username"), http_request_secret(r));
}

static void
publish_to(http_request *r, char *topic)
{
    const char *type = NULL, *flaw;
    emesh_part data;

    flaw = read_data(r, &data, &type);
    if (flaw != NULL)
        http_retf(r, 7, ": %s", flaw);
    else if (data.len > r->lane->http->options.max_event)
        http_ret(r, 413, 8, NULL);
    else {
        publish_data(r, topic, &data, type);
        topic = NULL;
    }
    r->lane->http->event->buf_unref(data.owner);
    g_free(topic);
}

/* rest: what follows /eventmesh/publish in the path. The character behind that is skipped without
 * a look, as the reference does. */
void
http_uri_publish(http_request *r, const char *rest)
{
    char *topic;

    if (*rest == '\0') {
        http_ret(r, 400, 7,
                 "eventMesh protocol[body] error: the path names no topic, write "
                 "/eventmesh/publish/TOPIC");
        return;
    }
    topic = http_percent_path(rest + 1, strlen(rest + 1));
    if (topic == NULL) {
        http_ret(r, 400, 7, "eventMesh protocol[body] error: the path has a wrong % in it");
        return;
    }
    if (*topic == '\0') {
        g_free(topic);
        topic = g_strdup("TEST-HTTP-TOPIC");
    }
    bool batch = strcmp(rest, "/batch") == 0 &&
                 http_ce_mode_of(http_request_header(r, "Content-Type"), false) == HTTP_CE_BATCH;
    if (http_cloudevents(r, batch ? http_request_param(r, "topic") : topic))
        g_free(topic);
    else
        publish_to(r, topic);
}
