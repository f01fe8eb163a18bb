/* SPDX-License-Identifier: Apache-2.0
 *
 * See flavour.h. [lane]
 */
#include "flavour.h"
#include "json.h"
#include "make.h"
#include "old-event.h"
#include <string.h>

#define TTL_DEFAULT "14400000" /* of the reference: 4 hours */

typedef struct reading {
    http_request *r;
    http_params *p;
    http_attrs attrs;
    http_sent *out;
} reading;

static bool
refuse(reading *d, int ret, const char *why)
{
    d->out->ret = ret;
    g_snprintf(d->out->why, sizeof d->out->why, ": %s", why);
    return false;
}

static bool
is_blank(const char *text)
{
    return text == NULL || strspn(text, " \t\r\n") == strlen(text);
}

/* A field's text, kept by the reading; NULL: blank, absent or no UTF-8. */
static const char *
field(reading *d, const char *name)
{
    g_autofree char *text = http_form_text(&d->p->form, name);
    return is_blank(text) ? NULL : http_attrs_keep(&d->attrs, text, strlen(text));
}

static void
set_header(reading *d, const char *name, const char *otherwise)
{
    const char *value = http_request_header(d->r, name);
    value = value != NULL && *value != '\0' ? value : otherwise;
    if (value != NULL)
        http_attrs_set(&d->attrs, name, http_attrs_keep(&d->attrs, value, strlen(value)));
}

/* What every event of this API carries of its request. */
static void
set_request(reading *d, const char *flavour)
{
    char code[16];

    g_snprintf(code, sizeof code, "%d", d->r->code);
    http_attrs_set(&d->attrs, "code", http_attrs_keep(&d->attrs, code, strlen(code)));
    http_who_attrs(d->r, &d->attrs, false);
    set_header(d, "version", "1.0");
    set_header(d, "language", "JAVA");
    http_attrs_set(&d->attrs, "protocoltype", flavour);
    http_attrs_set(&d->attrs, "protocoldesc", "http");
    set_header(d, "protocolversion", "1.0");
}

static bool
take_extension(reading *d, const http_value *key, const http_value *value)
{
    g_autofree char *name = http_json_text(key);
    g_autofree char *text = http_json_scalar(value);

    if (name == NULL || !http_name_ok(name, strlen(name)) || http_name_reserved(name, strlen(name)))
        return refuse(d, 7, "extFields has a key that is no name of an extension");
    if (value->type == HTTP_JSON_NULL)
        return true;
    if (text == NULL)
        return refuse(d, 7, "extFields has a value that is no text");
    if (d->attrs.list->len >= HTTP_ATTRS_MAX)
        return refuse(d, 7, "extFields has too many keys");
    if (strcmp(name, "passwd") != 0)
        http_attrs_set(&d->attrs, http_attrs_keep(&d->attrs, name, strlen(name)),
                       http_attrs_keep(&d->attrs, text, strlen(text)));
    return true;
}

static bool
take_ext_fields(reading *d)
{
    const char *text = field(d, "extFields");
    http_json j;
    http_value key, value;
    bool first = true;

    if (text == NULL)
        return true;
    http_json_begin(&j, text, strlen(text));
    if (http_json_open(&j, '{')) {
        for (; http_json_key(&j, first, &key); first = false) {
            if (http_json_value(&j, &value) && !take_extension(d, &key, &value))
                return false;
        }
    }
    return http_json_end(&j) || refuse(d, 18, j.flaw);
}

static bool
make(reading *d, const char *type, const emesh_part *data)
{
    emesh_error err;
    d->out->event = http_make_event(d->r->lane, &d->attrs, type, data, &err);
    return d->out->event != NULL || refuse(d, 6, err.text);
}

/* ---- eventmeshmessage ---- */

static bool
read_message(reading *d, const char *content)
{
    const http_field *text = http_form_field(&d->p->form, content);
    const char *seq = field(d, "bizseqno");
    const char *topic = field(d, d->r->code == 301 ? "origtopic" : "topic");
    const char *unique = field(d, "uniqueid"), *group = field(d, "producergroup");
    bool v2 = d->r->code == 107;

    if (topic == NULL)
        return refuse(d, 6, "topic is missing");
    if (seq == NULL)
        return refuse(d, 7, "bizseqno is missing");
    if ((unique == NULL && !v2) || group == NULL)
        return refuse(d, 7, group == NULL ? "producergroup is missing" : "uniqueid is missing");
    if (text == NULL || (v2 && text->len == 0))
        return refuse(d, 7, v2 ? "msg is missing" : "content is missing");
    http_attrs_set(&d->attrs, "id", seq);
    http_attrs_set(&d->attrs, "source", "/");
    http_attrs_set(&d->attrs, "type", "eventmeshmessage");
    http_attrs_set(&d->attrs, "subject", topic);
    set_request(d, "eventmeshmessage");
    http_attrs_set(&d->attrs, "bizseqno", seq);
    http_attrs_set(&d->attrs, "uniqueid", unique);
    http_attrs_set(&d->attrs, "producergroup", group);
    http_attrs_set(&d->attrs, "ttl", d->r->code == 104 ? TTL_DEFAULT : NULL);
    http_attrs_set(&d->attrs, "ttl", field(d, "ttl"));
    http_attrs_set(&d->attrs, "tag", field(d, "tag"));
    if (!v2 && !take_ext_fields(d))
        return false;
    d->out->topic = g_strdup(topic);
    emesh_part data = { text->value, text->len, d->p->body.owner };
    return make(d, "text/plain", &data);
}

/* ---- cloudevents ---- */

static const emesh_event *
decode(reading *d, const http_field *text)
{
    const http_instance *http = d->r->lane->http;
    emesh_part part = { text->value, text->len, d->p->body.owner };
    const emesh_event *event = NULL;
    emesh_error err = { .size = sizeof err };
    g_autofree char *newer = NULL;
    uint32_t n = 0;

    if (g_strcmp0(http_request_header(d->r, "protocolversion"), "0.3") == 0) {
        newer = http_old_event(text->value, text->len);
        if (newer != NULL)
            part = (emesh_part){ newer, strlen(newer), NULL };
    }
    if (http->event->decode(http->host, EMESH_FORM_JSON, &part, 1, &event, 1, &n, &err) == EMESH_OK)
        return event;
    refuse(d, 7, http_why(&err, "content is no CloudEvent"));
    return NULL;
}

/* The request's own words over those of the event. */
static bool
overlay(reading *d, const emesh_event *event)
{
    const http_instance *http = d->r->lane->http;
    emesh_error err = { .size = sizeof err };
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = EMESH_DATA_NONE,
                              .attrs = (const emesh_attr *)(void *)d->attrs.list->data,
                              .n_attrs = d->attrs.list->len };
    if (http->event->build(http->host, &spec, event, &d->out->event, &err) == EMESH_OK)
        return true;
    d->out->event = NULL;
    return refuse(d, 6, http_why(&err, "the event cannot carry the request's headers"));
}

static bool
check_event(reading *d, const emesh_event *event)
{
    static const char *const wanted[] = { "bizseqno", "uniqueid" };
    emesh_event_view view = { .size = sizeof view };
    const emesh_attr *subject, *ttl;

    d->r->lane->http->event->view(event, &view);
    subject = http_view_attr(&view, "subject");
    if (subject == NULL)
        return refuse(d, 6, "the event has no subject, which names its topic");
    for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
        if (http_view_attr(&view, wanted[i]) == NULL && d->r->code != 107)
            return refuse(d, 7, i == 0 ? "the event has no bizseqno" : "the event has no uniqueid");
    }
    if (view.data_form == EMESH_DATA_NONE)
        return refuse(d, 7, "the event has no data");
    d->out->topic = g_strndup(subject->value, subject->value_len);
    ttl = http_view_attr(&view, "ttl");
    if (ttl != NULL)
        d->out->ttl = g_strndup(ttl->value, ttl->value_len);
    return true;
}

static bool
read_cloudevent(reading *d, const char *content)
{
    const http_field *text = http_form_field(&d->p->form, content);
    const char *group = field(d, "producergroup");
    const emesh_event *event;
    bool good;

    if (text == NULL || group == NULL)
        return refuse(d, 7, text == NULL ? "content is missing" : "producergroup is missing");
    set_request(d, "cloudevents");
    http_attrs_set(&d->attrs, "producergroup", group);
    event = decode(d, text);
    if (event == NULL)
        return false;
    good = check_event(d, event);
    if (good && d->out->ttl == NULL && d->r->code == 104)
        http_attrs_set(&d->attrs, "ttl", TTL_DEFAULT);
    good = good && overlay(d, event);
    d->r->lane->http->event->unref(&event, 1);
    return good;
}

/* ---- openmessage ---- */

typedef struct open_message {
    char *topic, *body, *tag, *id;
} open_message;

static void
open_message_clear(open_message *m)
{
    g_free(m->topic);
    g_free(m->body);
    g_free(m->tag);
    g_free(m->id);
}

/* userProperties with names that CloudEvents allows; others have no place in an event. */
static void
take_properties(reading *d, const http_value *object)
{
    http_json j;
    http_value key, value;
    bool first = true;

    http_json_begin(&j, object->ptr, object->len);
    if (!http_json_open(&j, '{'))
        return;
    for (; http_json_key(&j, first, &key) && http_json_value(&j, &value); first = false) {
        g_autofree char *name = http_json_text(&key);
        g_autofree char *text = http_json_scalar(&value);
        if (name != NULL && text != NULL && http_name_ok(name, strlen(name)) &&
            !http_name_reserved(name, strlen(name)) && d->attrs.list->len < HTTP_ATTRS_MAX)
            http_attrs_set(&d->attrs, http_attrs_keep(&d->attrs, name, strlen(name)),
                           http_attrs_keep(&d->attrs, text, strlen(text)));
    }
}

static void
take_member(reading *d, open_message *m, const http_value *key, const http_value *value)
{
    char **to = http_json_is(key, "topic")   ? &m->topic
                : http_json_is(key, "body")  ? &m->body
                : http_json_is(key, "tag")   ? &m->tag
                : http_json_is(key, "msgID") ? &m->id
                                             : NULL;
    if (to != NULL) {
        g_free(*to);
        *to = http_json_text(value);
    } else if (value->type == HTTP_JSON_OBJECT && http_json_is(key, "userProperties")) {
        take_properties(d, value);
    }
}

static bool
make_open(reading *d, const open_message *m)
{
    g_autofree char *id = m->id != NULL ? g_strdup(m->id) : http_make_id(d->r->lane);
    g_autofree char *seq = http_make_digits(30);
    g_autofree char *unique = http_make_digits(30);
    g_autofree guchar *bytes = NULL;
    gsize len = 0;

    bytes = g_base64_decode(m->body, &len);
    http_attrs_set(&d->attrs, "id", id);
    http_attrs_set(&d->attrs, "source", "/");
    http_attrs_set(&d->attrs, "type", "eventmeshmessage");
    http_attrs_set(&d->attrs, "subject", m->topic);
    set_request(d, "eventmeshmessage");
    http_attrs_set(&d->attrs, "bizseqno", seq);
    http_attrs_set(&d->attrs, "uniqueid", unique);
    http_attrs_set(&d->attrs, "tag", is_blank(m->tag) ? NULL : m->tag);
    http_attrs_set(&d->attrs, "producergroup", field(d, "producergroup"));
    d->out->topic = g_strdup(m->topic);
    emesh_part data = { bytes, len, NULL };
    return make(d, "text/plain", &data);
}

static bool
read_open(reading *d)
{
    const char *text = field(d, "content");
    open_message m = { .topic = NULL };
    http_json j;
    http_value key, value;
    bool first = true, good;

    if (text == NULL)
        return refuse(d, 7, "content is missing");
    http_json_begin(&j, text, strlen(text));
    if (http_json_open(&j, '{')) {
        for (; http_json_key(&j, first, &key); first = false) {
            if (http_json_value(&j, &value))
                take_member(d, &m, &key, &value);
        }
    }
    if (!http_json_end(&j))
        good = refuse(d, 7, j.flaw);
    else if (is_blank(m.topic) || m.body == NULL)
        good = refuse(d, 7, "the message has no topic or no body");
    else
        good = make_open(d, &m);
    open_message_clear(&m);
    return good;
}

/* ---- all ---- */

static void
read_begin(reading *d, http_request *r, http_params *p, http_sent *out)
{
    *out = (http_sent){ .event = NULL };
    *d = (reading){ .r = r, .p = p, .out = out };
    http_attrs_init(&d->attrs);
}

/* The open one says nothing about who sends it. */
static bool
who_is_said(reading *d)
{
    http_attrs who;
    const char *flaw;

    http_attrs_init(&who);
    http_who_attrs(d->r, &who, false);
    flaw = http_who_flaw(&who);
    http_attrs_clear(&who);
    if (flaw == NULL || (d->r->code == 102 && strcmp(flaw, "idc") == 0))
        return true;
    g_snprintf(d->out->why, sizeof d->out->why, ": header %s", flaw);
    d->out->ret = 6;
    return false;
}

static bool
read_any(reading *d, const char *content)
{
    const char *flavour = http_request_header(d->r, "protocoltype");
    const char *version = http_request_header(d->r, "protocolversion");

    flavour = is_blank(flavour) ? "eventmeshmessage" : flavour;
    if (g_ascii_strcasecmp(flavour, "openmessage") == 0)
        return read_open(d);
    if (!is_blank(version) && strcmp(version, "1.0") != 0 && strcmp(version, "0.3") != 0)
        return refuse(d, 6, "header protocolversion is neither 1.0 nor 0.3");
    if (!who_is_said(d))
        return false;
    if (g_ascii_strcasecmp(flavour, "eventmeshmessage") == 0)
        return read_message(d, content);
    if (g_ascii_strcasecmp(flavour, "cloudevents") == 0)
        return read_cloudevent(d, content);
    return refuse(d, 6,
                  "header protocoltype is none of eventmeshmessage, cloudevents, openmessage");
}

void
http_flavour_read(http_request *r, http_params *p, const char *content, http_sent *out)
{
    reading d;

    read_begin(&d, r, p, out);
    if (read_any(&d, content) && out->ttl == NULL)
        out->ttl = g_strdup(field(&d, "ttl"));
    http_attrs_clear(&d.attrs);
}

void
http_flavour_entry(http_request *r, const char *seq, const char *topic, const char *text,
                   const char *tag, const char *ttl, const char *group, http_sent *out)
{
    reading d;
    emesh_part data = { text, strlen(text), NULL };
    g_autofree char *made = seq == NULL ? http_make_digits(30) : NULL;

    read_begin(&d, r, NULL, out);
    seq = seq != NULL ? seq : made;
    http_attrs_set(&d.attrs, "id", seq);
    http_attrs_set(&d.attrs, "source", "/");
    http_attrs_set(&d.attrs, "type", "eventmeshmessage");
    http_attrs_set(&d.attrs, "subject", topic);
    set_request(&d, "eventmeshmessage");
    http_attrs_set(&d.attrs, "bizseqno", seq);
    http_attrs_set(&d.attrs, "producergroup", group);
    http_attrs_set(&d.attrs, "ttl", is_blank(ttl) ? NULL : ttl);
    http_attrs_set(&d.attrs, "tag", is_blank(tag) ? NULL : tag);
    out->topic = g_strdup(topic);
    make(&d, "text/plain", &data);
    http_attrs_clear(&d.attrs);
}

void
http_sent_clear(http_sent *s, const http_lane *lane)
{
    lane->http->event->unref(&s->event, 1);
    g_free(s->topic);
    g_free(s->ttl);
    *s = (http_sent){ .event = NULL };
}
