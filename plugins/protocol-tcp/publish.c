/* SPDX-License-Identifier: Apache-2.0
 *
 * The way in: one event for each frame, one batch for each call, and for each result the answer
 * to the very frame that asked. [lane]
 */
#include "eventmesh/rate.h"
#include "session.h"

#include <stdio.h>
#include <string.h>

/* The frame is refused by us: answered behind what was published before it. */
static tcp_verdict
refuse(tcp_session *s, const tcp_header *h, const char *why)
{
    if (!tcp_publish_flush(s))
        return TCP_WAIT; /* it is read again behind those */
    tcp_reply_to(s, h, 1, why);
    return TCP_DONE;
}

tcp_flavour
tcp_flavour_of(const tcp_header *h, char *why, size_t size)
{
    const tcp_value *p = &h->protocol, *v = &h->version;
    if (v->type != TCP_JSON_BAD && !TCP_JSON_IS(v, "1.0") && !TCP_JSON_IS(v, "0.3")) {
        snprintf(why, size, "Unsupported protocolVersion: %.*s", (int)(v->len < 60 ? v->len : 60),
                 v->ptr);
        return TCP_FLAVOUR_UNKNOWN;
    }
    if (p->type == TCP_JSON_BAD || TCP_JSON_IS(p, "eventmeshmessage"))
        return TCP_FLAVOUR_MESSAGE;
    if (TCP_JSON_IS(p, "cloudevents"))
        return TCP_FLAVOUR_CE;
    if (TCP_JSON_IS(p, "openmessage"))
        snprintf(why, size, "java.lang.Exception: event is null");
    else
        snprintf(why, size,
                 "java.lang.IllegalArgumentException: Cannot find the Protocol adaptor: %.*s",
                 (int)(p->len < 60 ? p->len : 60), p->ptr);
    return TCP_FLAVOUR_UNKNOWN;
}

void
tcp_show(tcp_session *s, tcp_flavour flavour)
{
    if (s->flavour != flavour) {
        s->flavour = (uint8_t)flavour;
        tcp_agent_show(s->agent, flavour);
    }
}

tcp_verdict
tcp_publish(tcp_session *s, const emesh_part *in, size_t at, const tcp_frame *f,
            const tcp_header *h)
{
    tcp_lane *lane = s->lane;
    emesh_event_view view = { .size = sizeof view };
    char why[160];

    if (s->state != TCP_OPEN)
        return refuse(s, h,
                      "java.lang.Exception: this eventMesh tcp session will be closed, may "
                      "be reboot or version change!");
    if (lane->tcp->options.session_rate != 0 && !tcp_rate_session(s)) {
        tcp_publish_flush(s); /* this frame is read again behind those */
        return TCP_WAIT;
    }
    if (lane->tcp->options.rate != 0 &&
        !emesh_rate_take(&lane->tcp->rate_ns, lane->tcp->options.rate, 1, tcp_now(lane)))
        return refuse(s, h, "Tps overload, global flow control");
    tcp_flavour flavour = tcp_flavour_of(h, why, sizeof why);
    if (flavour == TCP_FLAVOUR_UNKNOWN)
        return refuse(s, h, why);
    const emesh_event *event = flavour == TCP_FLAVOUR_CE
                                   ? tcp_ce_read(&lane->reader, in, f, h)
                                   : tcp_message_read(&lane->reader, in, f, h, (tcp_era)s->era);
    if (event == NULL)
        return refuse(s, h, lane->reader.error.text);
    tcp_show(s, flavour);
    bool has_seq = h->seq.type != TCP_JSON_BAD;
    int64_t slot = tcp_slots_take(&s->publishes, has_seq ? h->seq.ptr : NULL, h->seq.len,
                                  tcp_command_reply((tcp_command)h->command));
    if (slot < 0) {
        lane->tcp->event->unref(&event, 1);
        return refuse(s, h, "out of memory");
    }
    bool request = h->command == TCP_REQUEST_TO_SERVER;
    s->publishes.all[slot].flavour = (uint8_t)flavour;
    s->asking += request;
    lane->tcp->event->view(event, &view);
    const emesh_attr *topic = TCP_VIEW_ATTR(&view, "subject");
    uint32_t i = lane->n_publish++;
    lane->events[i] = event;
    lane->publish_at[i] = at;
    lane->publish[i] = (emesh_publish){ .event = event,
                                        .topic = { topic->value, topic->value_len },
                                        .cookie = (uint64_t)slot,
                                        .what = request ? EMESH_PUB_REQUEST : EMESH_PUB_EVENT,
                                        .level = EMESH_LEVEL_TOPIC };
    return lane->n_publish < TCP_BATCH || tcp_publish_flush(s) ? TCP_DONE : TCP_WAIT;
}

static void
answer(tcp_session *s, tcp_slot *slot, int32_t code, const emesh_error *err)
{
    const char *why = NULL;
    if (code != EMESH_OK)
        why = tcp_why(err, EMESH_CLASS(code) == 4   ? "whether the event was stored is not known"
                           : EMESH_CLASS(code) == 3 ? "the event is refused for now"
                                                    : "the event is refused");
    tcp_reply(s, (tcp_command)slot->command, tcp_slot_seq(slot), slot->seq_len, code != EMESH_OK,
              why);
}

bool
tcp_publish_flush(tcp_session *s)
{
    tcp_lane *lane = s->lane;
    uint32_t n = lane->n_publish, taken = n;
    if (n == 0)
        return !s->full;
    int32_t code = lane->tcp->client->publish(s->mesh, lane->publish, n);
    if (code >= 0)
        taken = (uint32_t)code < n ? (uint32_t)code : n;
    for (uint32_t i = code < 0 ? 0 : taken; i < n; i++) {
        tcp_slot *slot = tcp_slots_at(&s->publishes, lane->publish[i].cookie);
        if (code < 0)
            answer(s, slot, code, NULL);
        s->asking -= slot->command == TCP_RESPONSE_TO_CLIENT;
        tcp_slots_give(&s->publishes, slot);
    }
    lane->tcp->event->unref(lane->events, n);
    lane->n_publish = 0;
    if (taken == n)
        return true;
    lane->resume_at = lane->publish_at[taken];
    s->full = true;
    tcp_session_pause(s);
    return false;
}

void
tcp_published(emesh_lane *of, void *session, const emesh_published *results, uint32_t n)
{
    tcp_session *s = session;
    (void)of;
    for (uint32_t i = 0; i < n; i++) {
        tcp_slot *slot = tcp_slots_at(&s->publishes, results[i].cookie);
        if (slot == NULL)
            continue;
        if (results[i].reply != NULL)
            tcp_answer_request(s, slot, results[i].reply);
        else
            answer(s, slot, results[i].code, results[i].err);
        s->asking -= slot->command == TCP_RESPONSE_TO_CLIENT;
        tcp_slots_give(&s->publishes, slot);
    }
    tcp_flush(s);
    if (s->eof || s->state == TCP_LEAVING)
        tcp_session_settle_down(s);
}
