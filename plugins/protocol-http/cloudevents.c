/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents published over HTTP, in each of the three modes. The answer says what the store said:
 * 200 when all is stored at its topic's level, 504 when that is not known. [lane]
 */
#include "cloudevents.h"
#include "ce.h"
#include "json.h"
#include "make.h"
#include <string.h>

static void
put_ids(GString *body, const http_publish *p)
{
    const http_lane *lane = p->request->lane;
    for (uint32_t i = 0; i < p->n; i++) {
        emesh_event_view view = { .size = sizeof view };
        lane->http->event->view(p->items[i].event, &view);
        if (i > 0)
            g_string_append_c(body, ',');
        http_json_put(body, view.attrs[0].value, view.attrs[0].value_len);
    }
}

static void
published(http_publish *p)
{
    http_request *r = p->request;
    g_autoptr(GString) body = NULL;

    if (p->code != EMESH_OK) {
        const char *why = p->err.text[0] != '\0' ? p->err.text : "the event is refused";
        if (p->n == 1)
            http_refuse(r, emesh_http_status(p->code), NULL, "%s", why);
        else
            http_refuse(r, emesh_http_status(p->code), NULL, "event %u: %s; %u of %u are stored",
                        p->first, why, p->n_stored, p->n);
        return;
    }
    body = g_string_new("{\"retCode\":0,\"retMsg\":\"success\",\"ids\":[");
    put_ids(body, p);
    g_string_append(body, "]}");
    size_t len = body->len;
    http_answer(r, 200, "application/json", g_string_free(g_steal_pointer(&body), FALSE), len);
}

/* NULL: the request is answered. */
static const emesh_event *
read_binary(http_request *r)
{
    const http_instance *http = r->lane->http;
    const char *type = http_request_header(r, "Content-Type"), *name, *value;
    const emesh_event *event = NULL;
    emesh_part data = { NULL, 0, NULL };
    http_ce_flaw flaw = { .text = "" };
    emesh_error err;
    uint32_t lenient = 0;
    SoupMessageHeadersIter iter;
    http_attrs attrs;
    bool good = true;

    http_attrs_init(&attrs);
    soup_message_headers_iter_init(&iter, r->head);
    while (good && soup_message_headers_iter_next(&iter, &name, &value))
        good = http_ce_take_header(&attrs, name, value, http->options.lenient, &lenient, &flaw);
    good = good && http_ce_take_end(&attrs, &flaw);
    if (lenient > 0)
        http_count(http, http->counters.lenient, lenient);
    if (!good) {
        http_refuse(r, 400, flaw.field, "%s %s", flaw.field, flaw.text);
    } else {
        bool empty = r->body->len == 0;
        http_attrs_set(&attrs, "datacontenttype", type);
        if (!empty && !http_request_take_body(r, &data))
            http_refuse(r, 503, NULL, "out of memory");
        else if ((event = http_make_event(r->lane, &attrs, type, empty ? NULL : &data, &err)) ==
                 NULL)
            http_refuse(r, emesh_http_status(err.code), NULL, "%s", err.text);
        http->event->buf_unref(data.owner);
    }
    http_attrs_clear(&attrs);
    return event;
}

/* How many of at most cap; 0: the request is answered. */
static uint32_t
read_json(http_request *r, uint32_t form, const emesh_event **out, uint32_t cap)
{
    const http_instance *http = r->lane->http;
    emesh_error err = { .size = sizeof err };
    emesh_part part;
    uint32_t n = 0;

    if (!http_request_take_body(r, &part)) {
        http_refuse(r, 503, NULL, "out of memory");
        return 0;
    }
    int32_t code = http->event->decode(http->host, form, &part, 1, out, cap, &n, &err);
    http->event->buf_unref(part.owner);
    if (code == EMESH_OK)
        return n;
    http_refuse(r, code == EMESH_E_UNSUPPORTED ? 400 : emesh_http_status(code), NULL, "%s",
                http_why(&err, "the body is no CloudEvent"));
    return 0;
}

/* topic NULL: the event's subject names it. */
static bool
fill(http_publish *p, uint32_t i, const emesh_event *event, const char *topic)
{
    const http_lane *lane = p->request->lane;
    emesh_event_view view = { .size = sizeof view };
    const emesh_attr *subject;

    lane->http->event->view(event, &view);
    subject = http_view_attr(&view, "subject");
    p->items[i].event = event;
    if (view.data_len > lane->http->options.max_event) {
        http_refuse(p->request, 413, NULL,
                    "event %u has %zu bytes of data, the limit is %" G_GUINT64_FORMAT, i,
                    view.data_len, lane->http->options.max_event);
        return false;
    }
    if (topic != NULL)
        p->items[i].topic = (emesh_slice){ topic, strlen(topic) };
    else if (subject != NULL)
        p->items[i].topic = (emesh_slice){ subject->value, subject->value_len };
    else {
        http_refuse(p->request, 400, "subject",
                    "event %u names no topic: neither the path, nor ?topic=, nor its subject", i);
        return false;
    }
    return true;
}

static void
publish_all(http_request *r, const emesh_event *const *events, uint32_t n, const char *topic)
{
    http_publish *p = http_publish_new(r, n, published);
    bool good = true;

    p->data = g_strdup(topic);
    for (uint32_t i = 0; i < n; i++) {
        if (good)
            good = fill(p, i, events[i], p->data);
        else
            p->items[i].event = events[i]; /* freed with p */
    }
    if (!good)
        http_publish_cancel(p);
    else
        http_publish_start(p, http_request_header(r, "username"), http_request_secret(r));
}

static void
publish_batch(http_request *r, const char *topic)
{
    uint32_t cap = r->lane->http->options.max_batch;
    const emesh_event **events = g_new0(const emesh_event *, cap);
    uint32_t n = read_json(r, EMESH_FORM_JSON_BATCH, events, cap);
    static const char none[] = "{\"retCode\":0,\"retMsg\":\"success\",\"ids\":[]}";

    if (n > 0)
        publish_all(r, events, n, topic);
    else if (!r->answered) /* an empty batch is a good one */
        http_answer(r, 200, "application/json", g_strdup(none), sizeof none - 1);
    g_free(events);
}

bool
http_cloudevents(http_request *r, const char *topic)
{
    const char *type = http_request_header(r, "Content-Type");
    http_ce_mode mode = http_ce_mode_of(type, http_request_header(r, "ce-specversion") != NULL);
    const emesh_event *event = NULL;

    switch (mode) {
    case HTTP_CE_NONE:
        return false;
    case HTTP_CE_FORMAT:
        http_refuse(r, 415, "Content-Type",
                    "%s is not spoken here: application/cloudevents+json and "
                    "application/cloudevents-batch+json are, in UTF-8",
                    type);
        return true;
    case HTTP_CE_BATCH:
        publish_batch(r, topic);
        return true;
    case HTTP_CE_BINARY:
        event = read_binary(r);
        break;
    case HTTP_CE_STRUCTURED:
        if (read_json(r, EMESH_FORM_JSON, &event, 1) == 0)
            event = NULL;
        break;
    }
    if (event != NULL)
        publish_all(r, &event, 1, topic);
    return true;
}
