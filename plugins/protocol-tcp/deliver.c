/* SPDX-License-Identifier: Apache-2.0
 *
 * The way out: pushes of one call leave in one write; each is settled by the client's own
 * acknowledgement, or returned when it never reached the connection. [lane]
 */
#include "session.h"

#include <string.h>

/* A client acknowledges with the whole body as a JSON string and cannot write more than 4 MiB. */
#define ECHO_MAX (TCP_FRAME_MAX_IN - 1024u)

typedef struct call { /* of one deliver() */
    tcp_session *s;
    tcp_sub *sub;
    tcp_stamps stamps;
    uint64_t counts[TCP_BATCH]; /* of composed pushes */
    uint32_t n;
} call;

void
tcp_settle_flush(tcp_session *s)
{
    tcp_lane *lane = s->lane;
    if (lane->n_settle > 0 && s->mesh != NULL)
        lane->tcp->client->settle(s->mesh, lane->settle, lane->n_settle);
    lane->n_settle = 0;
}

static void
settle(tcp_session *s, uint64_t id, uint32_t outcome, const char *reason)
{
    tcp_lane *lane = s->lane;
    lane->settle[lane->n_settle++] = (emesh_settle){
        .id = id, .outcome = outcome, .reason = { reason, reason != NULL ? strlen(reason) : 0 }
    };
    if (lane->n_settle == TCP_BATCH)
        tcp_settle_flush(s);
}

void
tcp_ack(tcp_session *s, const tcp_header *h)
{
    uint64_t id;
    if (h->seq.type != TCP_JSON_BAD &&
        tcp_ring_take(&s->pushes, tcp_seq_read(h->seq.ptr, h->seq.len), &id)) {
        if (s->loose != NULL)
            tcp_loose_acked(s, id);
        settle(s, id, EMESH_SETTLE_DONE, NULL);
    } else {
        tcp_count(s->lane->tcp, s->lane->tcp->late);
    }
}

static tcp_flavour
flavour_for(const tcp_session *s, const emesh_event_view *view)
{
    tcp_flavour published = TCP_FLAVOUR_MESSAGE;
    const emesh_attr *type;

    if (s->era == TCP_ERA_A)
        return TCP_FLAVOUR_MESSAGE;
    switch (s->lane->tcp->options.push) {
    case TCP_PUSH_MESSAGE:
        return TCP_FLAVOUR_MESSAGE;
    case TCP_PUSH_CE:
        return TCP_FLAVOUR_CE;
    case TCP_PUSH_LEARNED: {
        tcp_flavour shown = s->agent != NULL ? tcp_agent_shown(s->agent) : s->flavour;
        if (shown == TCP_FLAVOUR_MESSAGE || shown == TCP_FLAVOUR_CE)
            return shown;
        break;
    }
    default:
        break;
    }
    type = TCP_VIEW_ATTR(view, "protocoltype");
    if (type != NULL && type->value_len == 11 && memcmp(type->value, "cloudevents", 11) == 0)
        published = TCP_FLAVOUR_CE;
    return published;
}

static void
put_header(tcp_out *o, tcp_command command, uint64_t count, tcp_flavour flavour)
{
    char seq[TCP_SEQ_MAX];
    size_t len;
    const char *begin = tcp_command_begin(command, &len);

    tcp_out_put(o, begin, len);
    TCP_OUT_TEXT(o, "0,\"seq\":\"");
    tcp_out_put(o, seq, tcp_seq_write(count, seq));
    if (flavour == TCP_FLAVOUR_CE)
        TCP_OUT_TEXT(o, "\",\"properties\":{\"protocoltype\":\"cloudevents\"}}");
    else
        TCP_OUT_TEXT(o, "\",\"properties\":{\"protocoltype\":\"eventmeshmessage\"}}");
}

/* NULL: composed. Else why this client cannot have it. */
static const char *
compose(call *c, const emesh_delivery *d, uint64_t count)
{
    tcp_session *s = c->s;
    tcp_out *o = &s->lane->out;
    emesh_event_view view = { .size = sizeof view };
    const char *why = NULL;
    bool old = s->convention == TCP_C8, written;

    s->lane->tcp->event->view(d->event, &view);
    tcp_flavour flavour = flavour_for(s, &view);
    c->stamps.stored_ms = d->stored_ms;
    tcp_out_begin(o);
    put_header(o, c->sub->push, count, flavour);
    tcp_out_body_here(o);
    if (flavour == TCP_FLAVOUR_CE)
        written = tcp_ce_write(o, &s->lane->reader, d->event, &view, old, &c->stamps, &why);
    else
        written = tcp_message_write(o, &view, (tcp_field){ d->topic.ptr, d->topic.len }, !old,
                                    &c->stamps, &why);
    if (!written) {
        tcp_out_cancel(o);
        return why;
    }
    if (tcp_out_body_len(o) > ECHO_MAX / 2 && tcp_out_echo_len(o) > ECHO_MAX) {
        tcp_out_cancel(o);
        return "an EventMesh client could not acknowledge a push of this size";
    }
    return tcp_out_end(o, s->convention) ? NULL : "an EventMesh client reads at most 4 MiB";
}

/* Nothing of the batch left: every push of it goes back. */
static void
take_back(call *c)
{
    uint64_t id;
    for (uint32_t i = 0; i < c->n; i++) {
        if (tcp_ring_take(&c->s->pushes, c->counts[i], &id))
            settle(c->s, id, EMESH_SETTLE_RETURN, NULL);
    }
}

static void
send(call *c)
{
    tcp_session *s = c->s;
    const tcp_instance *tcp = s->lane->tcp;
    s->unheard += tcp_out_total(&s->lane->out);
    int32_t code = tcp_out_write(&s->lane->out, tcp->net, tcp->event, s->conn);
    if (code != EMESH_OK)
        take_back(c);
    c->n = 0;
    if (code == EMESH_E_BUSY && !s->blocked) {
        s->blocked = true;
        tcp_session_windows(s);
    }
}

static void
push(call *c, const emesh_delivery *d)
{
    tcp_session *s = c->s;
    if (s->pushes.last == 0)
        s->pushes.last = tcp_seq_first();
    uint64_t count = tcp_ring_add(&s->pushes, d->id);
    uint64_t id;
    if (count == 0) {
        settle(s, d->id, EMESH_SETTLE_RETURN, NULL);
        return;
    }
    const char *why = compose(c, d, count);
    if (why != NULL) {
        tcp_ring_take(&s->pushes, count, &id);
        settle(s, d->id, EMESH_SETTLE_UNFIT, why);
        tcp_count(s->lane->tcp, s->lane->tcp->unfit);
        return;
    }
    c->counts[c->n++] = count;
    if (c->n == TCP_BATCH)
        send(c);
}

void
tcp_deliver(emesh_lane *of, void *member, const emesh_delivery *items, uint32_t n)
{
    tcp_sub *sub = member;
    tcp_session *s = sub->session;
    call c = { .s = s, .sub = sub };
    char moment[128];
    (void)of;

    uint64_t now = tcp_wall_ms(s->lane);
    tcp_out *o = &s->lane->out;
    TCP_OUT_TEXT(o, "\"reqmq2eventmeshtimestamp\":\"");
    tcp_out_number(o, now);
    TCP_OUT_TEXT(o, "\",\"reqeventmesh2ctimestamp\":\"");
    tcp_out_number(o, now);
    TCP_OUT_TEXT(o, "\",");
    if (!o->failed) {
        memcpy(moment, o->mem, o->len);
        c.stamps.moment = (tcp_field){ moment, o->len };
        o->len = 0;
    }
    c.stamps.session = (tcp_field){ s->stamp, s->stamp_len };
    bool stopped = s->state != TCP_OPEN || s->blocked || s->eof || s->goodbye_ns > 0;
    for (uint32_t i = 0; i < n; i++) {
        if (stopped || s->blocked)
            settle(s, items[i].id, EMESH_SETTLE_RETURN, NULL);
        else
            push(&c, &items[i]);
    }
    send(&c);
    tcp_settle_flush(s);
}
