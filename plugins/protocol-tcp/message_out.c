/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing an event as EventMeshMessage. What the message has no member for travels in its
 * properties, so that nothing is lost on the way from another flavour or protocol. [lane]
 */
#include "message.h"

#include <string.h>

#define BY_REFERENCE 2048u /* shorter texts are cheaper to copy */
#define IS(attr, text)                                                                             \
    ((attr)->name_len == sizeof(text) - 1 && memcmp((attr)->name, text, sizeof(text) - 1) == 0)

const emesh_attr *
tcp_view_find(const emesh_event_view *view, const char *name, size_t len)
{
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        if (view->attrs[i].name_len == len && memcmp(view->attrs[i].name, name, len) == 0)
            return &view->attrs[i];
    }
    return NULL;
}

bool
tcp_stamped(const tcp_stamps *stamps, const emesh_attr *attr)
{
    return stamps->reply ? tcp_name_stamped_reply(attr->name, attr->name_len)
                         : tcp_name_stamped(attr->name, attr->name_len);
}

void
tcp_stamps_write(tcp_out *o, const tcp_stamps *s)
{
    tcp_out_put(o, s->session.ptr, s->session.len);
    tcp_out_put(o, s->moment.ptr, s->moment.len);
    if (s->stored_ms > 0) {
        TCP_OUT_TEXT(o, "\"reqc2eventmeshtimestamp\":\"");
        tcp_out_number(o, s->stored_ms);
        TCP_OUT_TEXT(o, "\",\"reqeventmesh2mqtimestamp\":\"");
        tcp_out_number(o, s->stored_ms);
        TCP_OUT_TEXT(o, "\",");
    }
}

static void
put_base64(tcp_out *o, const uint8_t *p, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (len > 0) {
        uint32_t v =
            (uint32_t)p[0] << 16 | (len > 1 ? (uint32_t)p[1] << 8 : 0) | (len > 2 ? p[2] : 0);
        char out[4] = { digits[v >> 18], digits[v >> 12 & 63], len > 1 ? digits[v >> 6 & 63] : '=',
                        len > 2 ? digits[v & 63] : '=' };
        tcp_out_put(o, out, 4);
        size_t n = len > 3 ? 3 : len;
        p += n;
        len -= n;
    }
}

static void
put_name(tcp_out *o, const emesh_attr *attr, const emesh_attr *names)
{
    char text[1024];
    tcp_field original = { NULL, 0 };
    if (names != NULL)
        original = tcp_names_original(names, attr);
    if (original.ptr != NULL && original.len <= sizeof text) {
        size_t n = tcp_names_decode(original, text);
        if (tcp_utf8_ok(text, n)) {
            tcp_out_escaped(o, text, n);
            return;
        }
    }
    tcp_out_put(o, attr->name, attr->name_len);
}

static void
put_property(tcp_out *o, const emesh_attr *attr, const emesh_attr *names)
{
    TCP_OUT_TEXT(o, "\"");
    put_name(o, attr, names);
    TCP_OUT_TEXT(o, "\":\"");
    if (attr->type == EMESH_ATTR_BINARY)
        put_base64(o, attr->value, attr->value_len);
    else
        tcp_out_escaped(o, attr->value, attr->value_len);
    TCP_OUT_TEXT(o, "\",");
}

/* An attribute of the specification that a message has no member for. */
static void
put_core(tcp_out *o, const emesh_attr *attr)
{
    TCP_OUT_TEXT(o, "\"ce");
    tcp_out_put(o, attr->name, attr->name_len);
    TCP_OUT_TEXT(o, "\":\"");
    tcp_out_escaped(o, attr->value, attr->value_len);
    TCP_OUT_TEXT(o, "\",");
}

static void
put_properties(tcp_out *o, const emesh_event_view *view, tcp_field topic, const tcp_stamps *stamps)
{
    const emesh_attr *names = TCP_VIEW_ATTR(view, TCP_NAMES);
    /* a message has type eventmeshmessage; its id, source and type are nothing of its own */
    bool message = view->n_attrs > 2 && view->attrs[2].value_len == 16 &&
                   memcmp(view->attrs[2].value, "eventmeshmessage", 16) == 0;
    for (uint32_t i = 0; i < view->n_attrs; i++) {
        const emesh_attr *a = &view->attrs[i];
        if (!tcp_name_reserved(a->name, a->name_len)) {
            if (!tcp_stamped(stamps, a))
                put_property(o, a, names);
        } else if (IS(a, "specversion") || IS(a, "datacontenttype") || a == names) {
            continue;
        } else if (IS(a, "subject")
                       ? a->value_len != topic.len || memcmp(a->value, topic.ptr, topic.len) != 0
                       : !message) {
            put_core(o, a);
        }
    }
    tcp_stamps_write(o, stamps);
}

static const char *
put_body(tcp_out *o, const emesh_event_view *view)
{
    bool raw = view->data_form == EMESH_DATA_BYTES || view->data_form == EMESH_DATA_PROTO;
    size_t from = o->len;
    for (uint32_t i = 0; i < view->n_data; i++) {
        const emesh_part *part = &view->data[i];
        if (raw || part->len < BY_REFERENCE || part->owner == NULL ||
            tcp_json_escaped_len(part->ptr, part->len) != part->len)
            tcp_out_escaped(o, part->ptr, part->len);
        else
            tcp_out_ref(o, part, false);
    }
    /* a character may be split between two parts, so the whole is looked at */
    if (raw && !o->failed && !tcp_utf8_ok(o->mem + from, o->len - from))
        return "binary data do not fit into an EventMeshMessage";
    return NULL;
}

bool
tcp_message_write(tcp_out *o, const emesh_event_view *view, tcp_field topic, bool headers,
                  const tcp_stamps *stamps, const char **why)
{
    const emesh_attr *content_type = headers ? TCP_VIEW_ATTR(view, "datacontenttype") : NULL;
    TCP_OUT_TEXT(o, "{\"topic\":\"");
    tcp_out_escaped(o, topic.ptr, topic.len);
    TCP_OUT_TEXT(o, "\",\"properties\":{");
    put_properties(o, view, topic, stamps);
    if (o->len > 0 && !o->failed && o->mem[o->len - 1] == ',')
        o->len--; /* the comma behind the last property */
    TCP_OUT_TEXT(o, "},");
    if (content_type != NULL) {
        TCP_OUT_TEXT(o, "\"headers\":{\"datacontenttype\":\"");
        tcp_out_escaped(o, content_type->value, content_type->value_len);
        TCP_OUT_TEXT(o, "\"},");
    } else if (headers) {
        TCP_OUT_TEXT(o, "\"headers\":{},");
    }
    TCP_OUT_TEXT(o, "\"body\":\"");
    *why = put_body(o, view);
    TCP_OUT_TEXT(o, "\"}");
    return *why == NULL;
}
