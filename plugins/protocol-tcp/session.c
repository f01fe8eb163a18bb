/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a connection: accept, frames in, pause and resume, expiry, leaving, closed. [lane]
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNHEARD_PATIENCE 4u
#define GOODBYE_NS (30ull * 1000000000u) /* how long a client may stay after its goodbye */

uint64_t
tcp_now(const tcp_lane *lane)
{
    return lane->tcp->loop->time(lane->loop, EMESH_CLOCK_MONOTONIC);
}

uint64_t
tcp_wall_ms(const tcp_lane *lane)
{
    return lane->tcp->loop->time(lane->loop, EMESH_CLOCK_WALL);
}

/* ---- reading stops and goes on ---- */

static bool
may_read(const tcp_session *s)
{
    return s->state != TCP_OPENING && s->state != TCP_ENDED && !s->full && !s->waits &&
           s->held_len == 0 && s->slowed_ns == 0;
}

void
tcp_session_pause(tcp_session *s)
{
    if (!s->paused && s->state != TCP_ENDED) {
        s->paused = true;
        s->lane->tcp->net->pause(s->conn, 1);
    }
}

void
tcp_session_resume(tcp_session *s)
{
    if (s->paused && may_read(s)) {
        s->paused = false;
        s->active_ns = tcp_now(s->lane);
        s->lane->tcp->net->pause(s->conn, 0);
    }
}

void
tcp_session_windows(tcp_session *s)
{
    const tcp_options *o = &s->lane->tcp->options;
    bool on = s->state == TCP_OPEN && s->listening && !s->blocked && !s->eof && s->goodbye_ns == 0;
    for (tcp_sub *sub = s->subs; sub != NULL; sub = sub->next)
        s->lane->tcp->client->window(sub->member, on ? o->window_events : 0,
                                     on ? o->window_bytes : 0);
}

/* ---- ends ---- */

static void
subs_free(tcp_session *s)
{
    while (s->subs != NULL) {
        tcp_sub *sub = s->subs;
        s->subs = sub->next;
        free(sub);
    }
    s->n_subs = 0;
}

void
tcp_session_end(tcp_session *s, uint32_t how)
{
    if (s->state == TCP_ENDED)
        return;
    tcp_flush(s);
    if (s->state == TCP_ENDED) /* the flush failed, which ends it as well */
        return;
    s->state = TCP_ENDED;
    if (s->mesh != NULL)
        s->lane->tcp->client->close(s->mesh, how);
    s->mesh = NULL;
    tcp_rate_forget(s);
    subs_free(s);
    tcp_loose_drop(s);
    s->lane->tcp->net->close(s->conn, EMESH_CLOSE_FLUSH);
}

tcp_verdict
tcp_session_refuse(tcp_session *s, const char *reason, const char *goodbye)
{
    tcp_tell_end(s, TCP_END_REFUSED, EMESH_LOG_NOTICE, reason);
    tcp_count(s->lane->tcp, s->lane->tcp->refused);
    if (s->mesh != NULL) { /* what came before stands */
        tcp_publish_flush(s);
        tcp_settle_flush(s);
    }
    if (goodbye != NULL && s->convention != TCP_CONVENTION_UNKNOWN)
        tcp_goodbye(s, 1, goodbye);
    tcp_session_end(s, EMESH_LEFT_ORDERLY);
    return TCP_CLOSE;
}

void
tcp_session_leave(tcp_session *s, const char *why, uint64_t until_ns)
{
    if (s->state == TCP_NEW || s->state == TCP_OPENING) {
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
        return;
    }
    if (s->state == TCP_LEAVING && until_ns < s->leave_ns)
        s->leave_ns = until_ns; /* kicked, and now the instance goes */
    if (s->state != TCP_OPEN)
        return;
    s->state = TCP_LEAVING;
    s->leave_ns = until_ns;
    snprintf(s->why, sizeof s->why, "%s", why);
    tcp_session_windows(s);
    tcp_session_settle_down(s);
}

void
tcp_session_settle_down(tcp_session *s)
{
    bool busy = s->publishes.taken > (s->eof ? s->asking : 0) || s->full;
    if (s->state == TCP_ENDED)
        return;
    if (s->eof && !busy && s->n_requests == 0) {
        tcp_session_end(s, s->goodbye_ns > 0 || s->state == TCP_LEAVING ? EMESH_LEFT_ORDERLY
                                                                        : EMESH_LEFT_CUT);
        return;
    }
    if (s->state != TCP_LEAVING)
        return;
    if ((s->lane->is_draining || s->redirected) && s->pushes.open > 0)
        busy = true;
    if (busy && tcp_now(s->lane) < s->leave_ns)
        return;
    tcp_goodbye(s, 0, s->why);
    tcp_session_end(s, EMESH_LEFT_ORDERLY);
}

/* Behind much output the host has stopped reading, and heartbeats of a client that is busy with
 * what it got would not be heard: it gets more time. */
static bool
is_expired(const tcp_session *s, uint64_t now)
{
    const tcp_options *o = &s->lane->tcp->options;
    uint64_t silence = now - s->active_ns;
    if (s->state == TCP_NEW)
        return silence >= o->hello_ns;
    if (s->unheard >= o->output_mark)
        return silence / UNHEARD_PATIENCE >= o->expiry_ns;
    return silence >= o->expiry_ns;
}

void
tcp_session_sweep(tcp_session *s, uint64_t now)
{
    if (s->state == TCP_ENDED || s->state == TCP_OPENING)
        return;
    if (s->state == TCP_LEAVING) {
        tcp_session_settle_down(s);
    } else if (s->goodbye_ns > 0 && now - s->goodbye_ns >= GOODBYE_NS) {
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
    } else if (s->paused) {
        s->active_ns = now; /* it may have spoken; we did not listen */
    } else if (is_expired(s, now)) {
        tcp_count(s->lane->tcp, s->lane->tcp->expired);
        if (s->partial)
            tcp_tell_end(s, TCP_END_EXPIRED, EMESH_LOG_NOTICE, "a frame was not finished in time");
        else if (s->state == TCP_NEW)
            tcp_tell_end(s, TCP_END_EXPIRED, EMESH_LOG_NOTICE, "no hello in time");
        else
            tcp_tell_end(s, TCP_END_EXPIRED, EMESH_LOG_INFO, "no sign of life");
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
    }
}

/* ---- frames in ---- */

static tcp_verdict
without_session(tcp_session *s, const tcp_frame *f, const tcp_header *h)
{
    if (h->command == TCP_HELLO_REQUEST)
        return tcp_hello(s, f, h);
    if (h->command == TCP_RECOMMEND_REQUEST)
        return tcp_control(s, f, h);
    if (h->command != TCP_RESPONSE_TO_SERVER)
        tcp_reply_to(s, h, 1, "java.lang.Exception: no session is found");
    return TCP_DONE;
}

static tcp_verdict
on_frame(tcp_session *s, const emesh_part *in, size_t at, const tcp_frame *f)
{
    tcp_header *h = &s->lane->header;
    bool first = s->convention == TCP_CONVENTION_UNKNOWN;

    s->convention = f->convention;
    if (f->header_len == 0)
        return tcp_session_refuse(
            s, "a frame without header",
            "java.lang.Exception: the incoming message does not have a header.");
    if (!tcp_header_parse(f->header, f->header_len, h)) {
        char text[160];
        snprintf(text, sizeof text, "malformed header: %s", h->flaw);
        return tcp_session_refuse(s, text, text);
    }
    if (h->command < 0)
        return tcp_session_refuse(
            s, "a frame without command",
            "java.lang.Exception: the incoming message does not have a command type.");
    if (first && f->convention == TCP_C8)
        s->era = !h->has_cmd ? TCP_ERA_A : !h->has_command ? TCP_ERA_B : TCP_ERA_C;
    if (s->state == TCP_NEW)
        return without_session(s, f, h);
    switch (h->command) {
    case TCP_ASYNC_MESSAGE_TO_SERVER:
    case TCP_BROADCAST_MESSAGE_TO_SERVER:
    case TCP_REQUEST_TO_SERVER:
        return tcp_publish(s, in, at, f, h);
    case TCP_ASYNC_MESSAGE_TO_CLIENT_ACK:
    case TCP_BROADCAST_MESSAGE_TO_CLIENT_ACK:
    case TCP_REQUEST_TO_CLIENT_ACK:
        tcp_ack(s, h);
        return TCP_DONE;
    case TCP_RESPONSE_TO_SERVER:
        return tcp_respond(s, in, f, h);
    default:
        /* what is answered at once comes behind the publishes before it: if these stop the
         * reading, it is read again with them */
        return tcp_publish_flush(s) ? tcp_control(s, f, h) : TCP_WAIT;
    }
}

/* No call before n bytes are there; it holds until the next one. */
static void
need(tcp_session *s, size_t n)
{
    s->needs = n > 0;
    if (s->lane->tcp->net->need(s->conn, n) == EMESH_E_TOO_LARGE)
        tcp_session_refuse(s, "a frame is larger than the listener's limit for input", NULL);
}

/* The first record of a TLS client: handshake, version 3.x. */
static bool
is_tls(const tcp_session *s, const emesh_part *in)
{
    const uint8_t *p = in->ptr;
    return s->convention == TCP_CONVENTION_UNKNOWN && in->len >= 2 && p[0] == 0x16 && p[1] == 3;
}

static size_t
read_frames(tcp_session *s, const emesh_part *in)
{
    size_t at = 0;
    while (may_read(s) && at < in->len) {
        tcp_frame f;
        tcp_frame_state state =
            tcp_frame_parse((const char *)in->ptr + at, in->len - at, s->convention, &f);
        if (state == TCP_FRAME_BAD) {
            tcp_session_refuse(
                s, is_tls(s, in) ? "it speaks TLS, this listener does not" : f.flaw, f.flaw);
            return in->len;
        }
        if (state == TCP_FRAME_SHORT) {
            if (in->len - at >= TCP_FRAME_HEAD)
                need(s, f.total);
            break;
        }
        tcp_verdict verdict = on_frame(s, in, at, &f);
        if (verdict == TCP_CLOSE)
            return in->len;
        if (verdict == TCP_WAIT)
            break;
        at += f.total;
    }
    return at;
}

static size_t
on_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    tcp_session *s = ctx;
    (void)conn;
    if (s->state == TCP_ENDED)
        return in->len;
    if (!may_read(s))
        return 0;
    if (s->needs)
        need(s, 0);
    size_t at = read_frames(s, in);
    if (s->state == TCP_ENDED)
        return in->len;
    s->partial = at < in->len;
    if (at > 0) { /* bytes that never make a frame are no sign of life */
        if (s->state != TCP_NEW)
            s->active_ns = tcp_now(s->lane);
        s->unheard = 0;
    }
    if (!s->full)
        tcp_publish_flush(s);
    if (s->full)
        at = s->lane->resume_at;
    tcp_settle_flush(s);
    tcp_flush(s);
    if (s->eof || s->state == TCP_LEAVING)
        tcp_session_settle_down(s);
    return s->state == TCP_ENDED ? in->len : at;
}

/* ---- what else the connection says ---- */

static void
on_eof(void *ctx, emesh_conn *conn)
{
    tcp_session *s = ctx;
    (void)conn;
    s->eof = true;
    if (s->partial && !s->paused) {
        tcp_count(s->lane->tcp, s->lane->tcp->cut);
        tcp_tell_end(s, TCP_END_CUT, EMESH_LOG_NOTICE, "it ended in the middle of a frame");
    }
    if (s->state == TCP_NEW || s->state == TCP_OPENING) {
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
        return;
    }
    tcp_session_windows(s);
    tcp_session_settle_down(s);
}

static void
on_room(void *ctx, emesh_conn *conn)
{
    tcp_session *s = ctx;
    (void)conn;
    if (s->state == TCP_ENDED)
        return;
    tcp_held_room(s);
    if (s->held_len > 0)
        return;
    if (s->blocked) {
        s->blocked = false;
        tcp_session_windows(s);
    }
    tcp_session_resume(s);
}

static void
session_free(tcp_session *s)
{
    tcp_rate_forget(s);
    tcp_agent_leave(s->lane->tcp->agents, s->agent);
    tcp_requests_free(s);
    subs_free(s);
    tcp_loose_drop(s);
    tcp_slots_free(&s->publishes);
    tcp_ring_free(&s->pushes);
    free(s->held);
    free(s->hello_seq);
    free(s->group);
    free(s->stamp);
    free(s->refusal);
    free(s);
}

/* It was not we who ended it. */
static void
tell_closed(const tcp_session *s, int32_t code, const emesh_error *err)
{
    bool middle = s->partial || s->publishes.taken > 0;

    if (code == EMESH_OK || code == EMESH_E_CLOSED || s->state == TCP_ENDED)
        return;
    if (code != EMESH_E_LOST) {
        tcp_count(s->lane->tcp, s->lane->tcp->limited);
        tcp_tell_end(s, TCP_END_LIMIT, EMESH_LOG_NOTICE, tcp_why(err, "the host ended it"));
        return;
    }
    if (middle)
        tcp_count(s->lane->tcp, s->lane->tcp->cut);
    tcp_tell_end(s, TCP_END_CUT, middle ? EMESH_LOG_NOTICE : EMESH_LOG_INFO,
                 tcp_why(err, "it broke off"));
}

static void
on_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    tcp_session *s = ctx;
    tcp_lane *lane = s->lane;
    const emesh_host *host = lane->tcp->host;
    bool cut = code == EMESH_E_LOST && s->goodbye_ns == 0 && s->state != TCP_LEAVING;
    (void)conn;

    tell_closed(s, code, err);
    if (s->mesh != NULL)
        lane->tcp->client->close(s->mesh, cut ? EMESH_LEFT_CUT : EMESH_LEFT_ORDERLY);
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        lane->first = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    lane->n_sessions--;
    session_free(s);
    if (lane->draining != NULL && lane->n_sessions == 0) {
        emesh_op *op = lane->draining;
        lane->draining = NULL;
        host->complete(host, op, EMESH_OK, NULL, NULL);
    }
}

static void
learn_peer(tcp_session *s)
{
    emesh_conn_info info = { .size = sizeof info };
    s->lane->tcp->net->info(s->conn, &info);
    snprintf(s->peer, sizeof s->peer, "%.*s", (int)info.peer.len, (const char *)info.peer.ptr);
    const char *colon = strrchr(s->peer, ':');
    s->peer_host = (uint32_t)(colon != NULL ? (size_t)(colon - s->peer) : strlen(s->peer));
}

int32_t
tcp_accept(emesh_lane *of, emesh_conn *conn, const emesh_conn_ops **ops, void **ctx)
{
    static const emesh_conn_ops conn_ops = { .size = sizeof conn_ops,
                                             .data = on_data,
                                             .eof = on_eof,
                                             .room = on_room,
                                             .closed = on_closed };
    tcp_lane *lane = (tcp_lane *)of;
    if (lane->is_draining)
        return EMESH_E_CLOSED;
    tcp_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return EMESH_E_NO_MEMORY;
    s->lane = lane;
    s->conn = conn;
    s->era = TCP_ERA_D;
    s->active_ns = tcp_now(lane);
    learn_peer(s);
    s->next = lane->first;
    if (lane->first != NULL)
        lane->first->prev = s;
    lane->first = s;
    lane->n_sessions++;
    *ops = &conn_ops;
    *ctx = s;
    return EMESH_OK;
}

int32_t
tcp_refuse(emesh_lane *of, emesh_conn *conn, const emesh_error *err, const emesh_conn_ops **ops,
           void **ctx)
{
    int32_t code = tcp_accept(of, conn, ops, ctx);
    if (code != EMESH_OK)
        return code;
    tcp_session *s = *ctx;
    const char *why = tcp_why(err, "the server has reached a limit");
    s->refusal = tcp_copy(why, strlen(why)); /* NULL: then it is closed without a word */
    if (s->refusal == NULL)
        tcp_session_end(s, EMESH_LEFT_ORDERLY);
    return EMESH_OK;
}
