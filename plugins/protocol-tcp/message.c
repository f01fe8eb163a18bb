/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an EventMeshMessage: one scan of the body, one event. The text of the message stays in
 * the connection's buffer when it has no escapes. [lane]
 */
#include "message.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const emesh_event *
tcp_reader_refuse(tcp_reader *r, int32_t code, const char *text)
{
    r->error = (emesh_error){ .size = sizeof r->error, .code = code };
    snprintf(r->error.text, sizeof r->error.text, "%s", text);
    return NULL;
}

void
tcp_reader_extra(tcp_reader *r)
{
    for (uint32_t i = 0; i < r->n_extra; i++)
        tcp_props_set(&r->props, r->extra[i].name, strlen(r->extra[i].name), r->extra[i].value);
}

typedef struct message {
    tcp_value topic, body, content_type;
    const char *flaw;
} message;

static bool
take_text(message *m, tcp_value *to, const tcp_value *v, const char *twice, const char *other)
{
    if (v->type == TCP_JSON_NULL)
        return true;
    if (to->type != TCP_JSON_BAD || v->type != TCP_JSON_STRING) {
        m->flaw = to->type != TCP_JSON_BAD ? twice : other;
        return false;
    }
    *to = *v;
    return true;
}

static bool
take_headers(message *m, tcp_json *j)
{
    tcp_value key, v;
    int more;
    if (!tcp_json_open(j, '{'))
        return false;
    while ((more = tcp_json_key(j, &key)) == 1) {
        if (!tcp_json_value(j, &v))
            return false;
        /* the others mean nothing to the reference, and have no place in an event */
        if (TCP_JSON_IS(&key, "datacontenttype") && v.type == TCP_JSON_STRING && v.len > 0)
            m->content_type = v;
    }
    return more == 0;
}

static bool
take_properties(tcp_json *j, tcp_props *props)
{
    tcp_value key, v;
    int more;
    if (!tcp_json_open(j, '{'))
        return false;
    while ((more = tcp_json_key(j, &key)) == 1) {
        if (!tcp_json_value(j, &v) || !tcp_props_add(props, &key, &v))
            return false;
    }
    return more == 0;
}

static bool
take_member(message *m, tcp_json *j, const tcp_value *key, tcp_props *props)
{
    tcp_value v;
    bool object = tcp_json_peek(j) == TCP_JSON_OBJECT;
    if (object && TCP_JSON_IS(key, "properties"))
        return take_properties(j, props);
    if (object && TCP_JSON_IS(key, "headers"))
        return take_headers(m, j);
    if (!tcp_json_value(j, &v))
        return false;
    if (TCP_JSON_IS(key, "topic"))
        return take_text(m, &m->topic, &v, "topic stands there twice", "topic is not a text");
    if (TCP_JSON_IS(key, "body"))
        return take_text(m, &m->body, &v, "body stands there twice", "body is not a text");
    if (v.type != TCP_JSON_NULL && TCP_JSON_IS(key, "properties"))
        m->flaw = "properties are not an object";
    return m->flaw == NULL;
}

/* NULL: fine. */
static const char *
scan(message *m, const tcp_frame *frame, tcp_props *props)
{
    tcp_json j;
    tcp_value key;
    int more = -1;

    *m = (message){ .flaw = NULL };
    tcp_json_begin(&j, frame->body, frame->body_len);
    if (tcp_json_open(&j, '{')) {
        while ((more = tcp_json_key(&j, &key)) == 1 && take_member(m, &j, &key, props))
            ;
    }
    if (m->flaw != NULL)
        return m->flaw;
    if (props->flaw != NULL)
        return props->flaw;
    if (more != 0 || !tcp_json_end(&j))
        return j.flaw != NULL ? j.flaw : "the message is malformed";
    if (m->topic.len == 0)
        return "the message has no topic";
    if (m->body.type == TCP_JSON_BAD)
        return "the message has no body";
    return NULL;
}

/* The text of the message: by reference, or decoded into a buffer of its own (*made, given). */
static bool
take_body(tcp_reader *r, const emesh_part *in, const tcp_value *body, emesh_part *data,
          emesh_buf **made)
{
    *made = NULL;
    *data = (emesh_part){ body->ptr, body->len, in->owner };
    if (!body->escaped)
        return true;
    void *mem;
    *made = r->event->buf(r->host, body->len, &mem);
    if (*made == NULL)
        return false;
    *data = (emesh_part){ mem, tcp_json_decode(body, mem), *made };
    return true;
}

static bool
is_json_type(const tcp_value *v)
{
    const char *end = memchr(v->ptr, ';', v->len);
    size_t len = end != NULL ? (size_t)(end - v->ptr) : v->len;
    while (len > 0 && v->ptr[len - 1] == ' ')
        len--;
    return len >= 5 && strncasecmp(v->ptr + len - 4, "json", 4) == 0 &&
           (v->ptr[len - 5] == '/' || v->ptr[len - 5] == '+');
}

static void
core_attributes(tcp_reader *r, const tcp_header *header)
{
    tcp_props *p = &r->props;
    if (header->seq.type != TCP_JSON_BAD && header->seq.len > 0) {
        TCP_PROPS_CORE_VALUE(p, "id", &header->seq);
    } else {
        int n = snprintf(r->id, sizeof r->id, "tcp-%llx-%x-%llx", (unsigned long long)r->boot,
                         r->lane, (unsigned long long)++r->serial);
        TCP_PROPS_CORE(p, "id", ((tcp_field){ r->id, (size_t)n }));
    }
    TCP_PROPS_CORE(p, "source", ((tcp_field){ "/", 1 }));
    TCP_PROPS_CORE(p, "type", ((tcp_field){ "eventmeshmessage", 16 }));
    TCP_PROPS_CORE(p, "subject", ((tcp_field){ "", 0 })); /* the topic, once it is known */
    tcp_props_extensions(p);
}

const emesh_event *
tcp_message_read(tcp_reader *r, const emesh_part *in, const tcp_frame *frame,
                 const tcp_header *header, tcp_era era)
{
    tcp_props *p = &r->props;
    const emesh_event *event = NULL;
    emesh_part data;
    emesh_buf *made;
    message m;

    tcp_props_begin(p, era != TCP_ERA_A);
    core_attributes(r, header);
    if (!tcp_props_add_header(p, header))
        return tcp_reader_refuse(r, EMESH_E_PROTOCOL, p->flaw);
    const char *flaw = scan(&m, frame, p);
    if (flaw == NULL && !tcp_props_end(p))
        flaw = p->flaw;
    if (flaw != NULL)
        return tcp_reader_refuse(r, EMESH_E_PROTOCOL, flaw);
    if (r->n_extra > 0)
        tcp_reader_extra(r);
    /* subject has its place already; the content type comes behind the extensions */
    uint32_t n = p->n;
    TCP_PROPS_CORE_VALUE(p, "subject", &m.topic);
    if (p->n > n)
        p->list[3] = p->list[--p->n];
    if (m.content_type.type == TCP_JSON_STRING)
        TCP_PROPS_CORE_VALUE(p, "datacontenttype", &m.content_type);
    if (p->flaw != NULL || !take_body(r, in, &m.body, &data, &made))
        return tcp_reader_refuse(r, EMESH_E_NO_MEMORY, "out of memory");
    bool json = m.content_type.type == TCP_JSON_STRING && is_json_type(&m.content_type) &&
                tcp_json_valid(data.ptr, data.len);
    emesh_event_view spec = { .size = sizeof spec,
                              .data_form = json ? EMESH_DATA_JSON : EMESH_DATA_TEXT,
                              .attrs = p->list,
                              .n_attrs = p->n,
                              .data = &data,
                              .n_data = 1,
                              .data_len = data.len };
    r->error = (emesh_error){ .size = sizeof r->error };
    if (r->event->build(r->host, &spec, NULL, &event, &r->error) != EMESH_OK)
        event = NULL;
    r->event->buf_unref(made);
    return event;
}
