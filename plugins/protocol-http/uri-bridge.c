/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /eventmesh/bridge/publish: what another mesh pushes is published here, as the same event.
 * What cannot be stored is answered so that the other mesh brings it again: it would take any other
 * retCode for an acknowledgement. [lane]
 */
#include "api.h"
#include "cloudevents.h"
#include "json.h"
#include "make.h"
#include <string.h>

enum { RET_AGAIN = 2 };

static void
published(http_publish *p)
{
    if (p->code == EMESH_OK) {
        http_ret(p->request, 200, 0, NULL);
        return;
    }
    http_retry_after(p->request, 1);
    http_ret(p->request, 503, RET_AGAIN, p->err.text[0] != '\0' ? p->err.text : NULL);
}

/* Where an event has been in the other mesh is of no interest here. */
static bool
is_stamp(const char *name)
{
    return g_str_has_prefix(name, "rsp0") || g_str_has_prefix(name, "reqmq2") ||
           g_str_has_prefix(name, "reqc2") || g_str_has_prefix(name, "reqeventmesh2");
}

static const char *
take_extensions(http_attrs *attrs, const char *text)
{
    http_json j;
    http_value key, value;
    bool first = true;

    http_json_begin(&j, text, strlen(text));
    if (http_json_open(&j, '{')) {
        for (; http_json_key(&j, first, &key); first = false) {
            if (!http_json_value(&j, &value))
                break;
            g_autofree char *name = http_json_text(&key);
            g_autofree char *scalar = http_json_scalar(&value);
            if (name != NULL && scalar != NULL && http_name_ok(name, strlen(name)) &&
                !http_name_reserved(name, strlen(name)) && !is_stamp(name) &&
                attrs->list->len < HTTP_ATTRS_MAX)
                http_attrs_set(attrs, http_attrs_keep(attrs, name, strlen(name)),
                               http_attrs_keep(attrs, scalar, strlen(scalar)));
        }
    }
    return http_json_end(&j) ? NULL : j.flaw;
}

static void
set_core(http_request *r, http_attrs *attrs, const char *seq, const char *topic)
{
    const char *id = http_request_header(r, "id"), *source = http_request_header(r, "source");
    const char *type = http_request_header(r, "type");
    g_autofree char *made = http_make_id(r->lane);

    id = id != NULL ? id : seq != NULL ? seq : made;
    http_attrs_set(attrs, "id", http_attrs_keep(attrs, id, strlen(id)));
    http_attrs_set(attrs, "source", source != NULL ? source : "/");
    http_attrs_set(attrs, "type", type != NULL ? type : "eventmeshmessage");
    http_attrs_set(attrs, "subject", topic);
    http_attrs_set(attrs, "datacontenttype", http_request_header(r, "datacontenttype"));
}

/* NULL: err. */
static const emesh_event *
make_event(http_request *r, const http_params *p, const http_field *content, const char *topic,
           emesh_error *err)
{
    const http_instance *http = r->lane->http;
    g_autofree char *ext = http_form_text(&p->form, "extFields");
    g_autofree char *seq = http_form_text(&p->form, "bizseqno");
    emesh_part data = { content->value, content->len, p->body.owner };
    const char *type = http_request_header(r, "datacontenttype");
    const emesh_event *event = NULL;
    http_attrs attrs;
    uint32_t n = 0;

    *err = (emesh_error){ .size = sizeof *err };
    if (http->event->decode(http->host, EMESH_FORM_JSON, &data, 1, &event, 1, &n, err) == EMESH_OK)
        return event; /* a CloudEvent is what it is */
    http_attrs_init(&attrs);
    set_core(r, &attrs, seq, topic);
    if (ext != NULL && take_extensions(&attrs, ext) != NULL)
        g_strlcpy(err->text, "extFields are no JSON", sizeof err->text);
    else
        event = http_make_event(r->lane, &attrs, type != NULL ? type : "text/plain", &data, err);
    http_attrs_clear(&attrs);
    return event;
}

static void
publish(http_request *r, const http_params *p)
{
    const http_field *content = http_form_field(&p->form, "content");
    g_autofree char *topic = http_form_text(&p->form, "topic");
    const emesh_event *event;
    emesh_error err;

    if (topic == NULL)
        topic = g_strdup(http_request_header(r, "subject"));
    if (content == NULL || topic == NULL) {
        http_retf(r, 7, ": %s is missing", content == NULL ? "content" : "topic");
        return;
    }
    event = make_event(r, p, content, topic, &err);
    if (event == NULL) {
        http_retf(r, 7, ": %s", err.text);
        return;
    }
    http_publish *out = http_publish_new(r, 1, published);
    out->items[0].event = event;
    out->items[0].topic = (emesh_slice){ topic, strlen(topic) };
    out->data = g_steal_pointer(&topic);
    http_publish_start(out, http_request_header(r, "username"), http_request_secret(r));
}

void
http_uri_bridge(http_request *r, const char *rest)
{
    http_params params;
    const char *flaw;
    (void)rest;

    if (http_cloudevents(r, http_request_param(r, "topic")))
        return;
    flaw = http_params_read(&params, r);
    if (flaw != NULL)
        http_retf(r, 7, ": %s", flaw);
    else
        publish(r, &params);
    http_params_clear(&params, r->lane);
}
