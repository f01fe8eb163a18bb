/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and replies: whose request a RESPONSE_TO_SERVER answers, and the RESPONSE_TO_CLIENT that
 * the requester gets, in the flavour of its request. [lane]
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_SLOT UINT64_MAX /* cookie of replies: their senders are told nothing */

/* ---- the responder's ---- */

/* A reply asks for nothing, so it goes at once, ahead of the acknowledgement that settles what it
 * answers. */
static void
publish_reply(tcp_session *s, const emesh_event *reply, uint64_t reply_to)
{
    const tcp_instance *tcp = s->lane->tcp;
    emesh_event_view view = { .size = sizeof view };
    const emesh_attr *topic;
    emesh_publish item = { .event = reply, .cookie = NO_SLOT, .what = EMESH_PUB_REPLY,
                           .reply_to = reply_to };

    tcp->event->view(reply, &view);
    topic = TCP_VIEW_ATTR(&view, "subject");
    if (topic != NULL)
        item.topic = (emesh_slice){ topic->value, topic->value_len };
    if (tcp->client->publish(s->mesh, &item, 1) != 1)
        tcp_count(tcp, tcp->reply_lost);
    tcp->event->unref(&reply, 1);
}

void
tcp_loose_drop(tcp_session *s)
{
    if (s->loose == NULL)
        return;
    tcp_count(s->lane->tcp, s->lane->tcp->reply_lost);
    s->lane->tcp->event->unref(&s->loose, 1);
    s->loose = NULL;
}

void
tcp_loose_acked(tcp_session *s, uint64_t id)
{
    const emesh_event *reply = s->loose;
    s->loose = NULL;
    publish_reply(s, reply, id);
}

/* When it was received here, as the reference stamps it. */
static const emesh_event *
read_reply(tcp_session *s, const emesh_part *in, const tcp_frame *f, const tcp_header *h,
           tcp_flavour flavour)
{
    tcp_reader *r = &s->lane->reader;
    char now[24];
    int n = snprintf(now, sizeof now, "%llu", (unsigned long long)tcp_wall_ms(s->lane));
    tcp_field moment = { now, (size_t)n }, host = { s->local, strlen(s->local) };
    const tcp_extra extra[] = { { "rspc2eventmeshtimestamp", moment },
                                { "rspeventmesh2mqtimestamp", moment },
                                { "rspsendeventmeship", host } };
    const emesh_event *event;

    r->extra = extra;
    r->n_extra = host.len > 0 ? 3 : 2;
    event = flavour == TCP_FLAVOUR_CE ? tcp_ce_read(r, in, f, h)
                                      : tcp_message_read(r, in, f, h, (tcp_era)s->era);
    r->extra = NULL;
    r->n_extra = 0;
    return event;
}

tcp_verdict
tcp_respond(tcp_session *s, const emesh_part *in, const tcp_frame *f, const tcp_header *h)
{
    const tcp_instance *tcp = s->lane->tcp;
    emesh_event_view view = { .size = sizeof view };
    char why[160];
    uint64_t id;
    tcp_flavour flavour = tcp_flavour_of(h, why, sizeof why);
    const emesh_event *reply = NULL;

    if (flavour != TCP_FLAVOUR_UNKNOWN)
        reply = read_reply(s, in, f, h, flavour);
    if (reply == NULL) { /* never answered, not even for errors */
        tcp_count(tcp, tcp->reply_lost);
        return TCP_DONE;
    }
    tcp_show(s, flavour);
    tcp->event->view(reply, &view);
    if (h->seq.type != TCP_JSON_BAD &&
        tcp_ring_peek(&s->pushes, tcp_seq_read(h->seq.ptr, h->seq.len), &id)) {
        publish_reply(s, reply, id); /* era A may reuse the seq of the push */
    } else if (TCP_VIEW_ATTR(&view, "correlation99id") != NULL) {
        publish_reply(s, reply, 0);
    } else { /* a fresh message: the acknowledgement behind it says what it answers */
        tcp_loose_drop(s);
        s->loose = reply;
    }
    return TCP_DONE;
}

/* ---- the requester's ---- */

static void
begin_frame(tcp_out *o, const tcp_slot *slot)
{
    size_t len;
    const char *begin = tcp_command_begin(TCP_RESPONSE_TO_CLIENT, &len);

    tcp_out_begin(o);
    tcp_out_put(o, begin, len);
    TCP_OUT_TEXT(o, "0,\"desc\":\"success\",\"msg\":\"success\"");
    if (slot->has_seq) {
        TCP_OUT_TEXT(o, ",\"seq\":\"");
        tcp_out_put(o, tcp_slot_seq(slot), slot->seq_len);
        TCP_OUT_TEXT(o, "\"");
    }
    if (slot->flavour == TCP_FLAVOUR_CE)
        TCP_OUT_TEXT(o, ",\"properties\":{\"protocoltype\":\"cloudevents\"}}");
    else
        TCP_OUT_TEXT(o, ",\"properties\":{\"protocoltype\":\"eventmeshmessage\"}}");
    tcp_out_body_here(o);
}

static tcp_stamps
stamps_of(const tcp_session *s, char *text, size_t size)
{
    unsigned long long now = (unsigned long long)tcp_wall_ms(s->lane);
    int n = snprintf(text, size,
                     "\"rspmq2eventmeshtimestamp\":\"%llu\",\"rspeventmesh2ctimestamp\":\"%llu\","
                     "\"rspreceiveeventmeship\":\"%s\",",
                     now, now, s->local);

    return (tcp_stamps){ .reply = true, .moment = { text, (size_t)n } };
}

/* The body must be readable in the flavour of the request, else the client closes. */
void
tcp_answer_request(tcp_session *s, const tcp_slot *slot, const emesh_event *reply)
{
    tcp_lane *lane = s->lane;
    tcp_out *o = &lane->out;
    emesh_event_view view = { .size = sizeof view };
    const emesh_attr *topic;
    char moment[256];
    tcp_stamps stamps = stamps_of(s, moment, sizeof moment);
    bool old = s->convention == TCP_C8, written;
    const char *why = NULL;

    lane->tcp->event->view(reply, &view);
    o->copies = true; /* an answer may have to wait for room on the connection */
    begin_frame(o, slot);
    if (slot->flavour == TCP_FLAVOUR_CE) {
        written = tcp_ce_write(o, &lane->reader, reply, &view, old, &stamps, &why);
    } else {
        topic = TCP_VIEW_ATTR(&view, "subject");
        tcp_field name = { topic != NULL ? topic->value : "", topic != NULL ? topic->value_len : 0 };
        written = tcp_message_write(o, &view, name, !old, &stamps, &why);
    }
    o->copies = false;
    if (!written)
        tcp_out_cancel(o);
    else if (!tcp_out_end(o, s->convention))
        why = "the reply is longer than an EventMesh client reads";
    if (why != NULL)
        tcp_reply(s, TCP_RESPONSE_TO_CLIENT, tcp_slot_seq(slot), slot->seq_len, 1, why);
}
