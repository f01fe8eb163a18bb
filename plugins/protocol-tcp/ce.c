/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents flavour: header properties become extensions on the way in, stamps are spliced into
 * the JSON on the way out. Nothing is wrapped, nothing that was sent is changed. [lane]
 */
#include "ce.h"

#include <string.h>

#define COPY (64u << 10) /* longer texts go out by reference */

const emesh_event *
tcp_ce_read(tcp_reader *r, const emesh_part *in, const tcp_frame *frame, const tcp_header *header)
{
    emesh_part part = { frame->body, frame->body_len, in->owner };
    const emesh_event *sent = NULL, *event = NULL;
    emesh_event_view view = { .size = sizeof view };
    uint32_t n = 0;

    r->error = (emesh_error){ .size = sizeof r->error };
    if (r->event->decode(r->host, EMESH_FORM_JSON, &part, 1, &sent, 1, &n, &r->error) != EMESH_OK)
        return NULL;
    r->event->view(sent, &view);
    const emesh_attr *subject = TCP_VIEW_ATTR(&view, "subject");
    tcp_props_begin(&r->props, true);
    tcp_props_extensions(&r->props);
    if (subject == NULL) {
        tcp_reader_refuse(r, EMESH_E_PROTOCOL, "the event has no subject, which names its topic");
    } else if (!tcp_props_add_header(&r->props, header) || !tcp_props_end(&r->props)) {
        tcp_reader_refuse(r, EMESH_E_PROTOCOL, r->props.flaw);
    } else {
        tcp_reader_extra(r);
        emesh_event_view spec = { .size = sizeof spec,
                                  .data_form = EMESH_DATA_NONE,
                                  .attrs = r->props.list,
                                  .n_attrs = r->props.n };
        if (r->event->build(r->host, &spec, sent, &event, &r->error) != EMESH_OK)
            event = NULL;
    }
    r->event->unref(&sent, 1);
    return event;
}

/* An event that carries a name we stamp, or whose data must become data_base64: a copy without. */
static const emesh_event *
derive(tcp_reader *r, const emesh_event *event, const emesh_event_view *view,
       const tcp_stamps *stamps, bool old)
{
    const emesh_event *made = NULL;
    emesh_event_view spec = { .size = sizeof spec, .data_form = EMESH_DATA_NONE };
    tcp_props *p = &r->props;

    tcp_props_begin(p, true);
    for (uint32_t i = 0; i < view->n_attrs && p->n < TCP_PROPS_MAX; i++) {
        emesh_attr gone = view->attrs[i];
        gone.value_len = 0; /* an empty value removes */
        if (tcp_stamped(stamps, &gone))
            p->list[p->n++] = gone;
    }
    spec.attrs = p->list;
    spec.n_attrs = p->n;
    if (old && view->n_data > 0) {
        spec.data_form = EMESH_DATA_BYTES;
        spec.data = view->data;
        spec.n_data = view->n_data;
        spec.data_len = view->data_len;
    }
    r->error = (emesh_error){ .size = sizeof r->error };
    if (r->event->build(r->host, &spec, event, &made, &r->error) != EMESH_OK)
        return NULL;
    return made;
}

static bool
must_derive(const emesh_event_view *view, const tcp_stamps *stamps, bool old)
{
    if (old && view->data_form != EMESH_DATA_BYTES && view->n_data > 0)
        return true;
    for (uint32_t i = 3; i < view->n_attrs; i++) {
        if (tcp_stamped(stamps, &view->attrs[i]))
            return true;
    }
    return false;
}

static bool
put_event(tcp_out *o, tcp_reader *r, const emesh_event *event, const tcp_stamps *stamps)
{
    emesh_part text = { NULL, 0, NULL };
    if (r->event->encode(r->host, EMESH_FORM_JSON, &event, 1, &text) != EMESH_OK || text.len < 2) {
        r->event->buf_unref(text.owner);
        return false;
    }
    TCP_OUT_TEXT(o, "{");
    tcp_stamps_write(o, stamps);
    emesh_part rest = { (const char *)text.ptr + 1, text.len - 1, text.owner };
    if (rest.len > COPY) {
        tcp_out_ref(o, &rest, true);
    } else {
        tcp_out_put(o, rest.ptr, rest.len);
        r->event->buf_unref(text.owner);
    }
    return true;
}

bool
tcp_ce_write(tcp_out *o, tcp_reader *r, const emesh_event *event, const emesh_event_view *view,
             bool old, const tcp_stamps *stamps, const char **why)
{
    const emesh_event *made = NULL;
    *why = NULL;
    if (must_derive(view, stamps, old)) {
        made = derive(r, event, view, stamps, old);
        if (made == NULL) {
            *why = "the event could not be prepared as CloudEvents JSON";
            return false;
        }
    }
    if (!put_event(o, r, made != NULL ? made : event, stamps))
        *why = "the event could not be written as CloudEvents JSON";
    r->event->unref(&made, 1);
    return *why == NULL;
}
