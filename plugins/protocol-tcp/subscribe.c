/* SPDX-License-Identifier: Apache-2.0
 *
 * SUBSCRIBE and UNSUBSCRIBE: topics become members of the session, answered when all topics of a
 * request are durable. [lane]
 */
#include "session.h"
#include "subscription.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 64u /* SUBSCRIBEs of one session that wait at a time */

static tcp_sub *
sub_find(const tcp_session *s, const char *topic, size_t len)
{
    for (tcp_sub *sub = s->subs; sub != NULL; sub = sub->next) {
        if (sub->topic_len == len && memcmp(sub->topic, topic, len) == 0)
            return sub;
    }
    return NULL;
}

static void
sub_drop(tcp_session *s, tcp_sub *sub)
{
    tcp_sub **at = &s->subs;
    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    s->n_subs--;
    s->lane->tcp->client->unsubscribe(sub->member, 0);
    free(sub);
}

static void
request_free(tcp_session *s, tcp_request *request)
{
    tcp_request **at = &s->requests;
    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    s->n_requests--;
    free(request->seq);
    free(request);
}

void
tcp_requests_free(tcp_session *s)
{
    while (s->requests != NULL)
        request_free(s, s->requests);
}

/* All topics of the request are answered: it is, too. None of them stands if one was refused. */
static void
request_done(tcp_session *s, tcp_request *request)
{
    for (tcp_sub *sub = s->subs, *next; sub != NULL; sub = next) {
        next = sub->next;
        if (sub->request != request)
            continue;
        sub->request = NULL;
        if (request->code != 0)
            sub_drop(s, sub);
    }
    tcp_reply(s, TCP_SUBSCRIBE_RESPONSE, request->seq, request->seq_len, request->code,
              request->code != 0 ? request->why : NULL);
    request_free(s, request);
    s->waits = false;
}

static tcp_request *
request_new(tcp_session *s, const tcp_header *h)
{
    tcp_request *r = calloc(1, sizeof *r);
    bool has_seq = h->seq.type != TCP_JSON_BAD;
    if (r == NULL)
        return NULL;
    r->seq = has_seq ? tcp_copy(h->seq.ptr, h->seq.len) : NULL;
    r->seq_len = h->seq.len;
    if (has_seq && r->seq == NULL) {
        free(r);
        return NULL;
    }
    r->next = s->requests;
    s->requests = r;
    s->n_requests++;
    return r;
}

typedef struct wanted { /* topics of one SUBSCRIBE */
    tcp_session *s;
    const char *flaw;
    uint32_t n, cap;
    struct wanted_topic {
        tcp_field topic;
        bool broadcasting, sync;
    } * list;
} wanted;

static bool
want(void *ctx, const tcp_topic_item *item)
{
    wanted *w = ctx;
    tcp_field topic = { item->topic.ptr, item->topic.len };
    if (item->topic.type == TCP_JSON_BAD || topic.len == 0) {
        w->flaw = "java.lang.Exception: a subscription has no topic";
        return false;
    }
    if (item->topic.escaped) {
        char *to = tcp_arena_take(&w->s->lane->reader.props.arena, topic.len);
        topic.ptr = to;
        topic.len = to != NULL ? tcp_json_decode(&item->topic, to) : 0;
    }
    if (w->n == w->cap) {
        uint32_t cap = w->cap > 0 ? w->cap * 2 : 4;
        void *list = realloc(w->list, cap * sizeof *w->list);
        w->flaw = list == NULL ? "out of memory"
                  : w->n >= w->s->lane->tcp->options.max_subscriptions
                      ? "java.lang.Exception: too many subscriptions"
                      : NULL;
        w->list = list != NULL ? list : w->list;
        w->cap = list != NULL ? cap : w->cap;
    }
    if (topic.ptr == NULL)
        w->flaw = "out of memory";
    if (w->flaw != NULL)
        return false;
    w->list[w->n++] = (struct wanted_topic){ topic, item->broadcasting, item->sync };
    return true;
}

static bool
subscribe_one(tcp_session *s, tcp_request *request, const struct wanted_topic *w)
{
    const tcp_options *o = &s->lane->tcp->options;
    tcp_sub *sub = malloc(sizeof *sub + w->topic.len);
    if (sub == NULL)
        return false;
    *sub = (tcp_sub){ .session = s, .request = request, .topic_len = w->topic.len };
    memcpy(sub->topic, w->topic.ptr, w->topic.len);
    sub->push = w->broadcasting ? TCP_BROADCAST_MESSAGE_TO_CLIENT
                : w->sync       ? TCP_REQUEST_TO_CLIENT
                                : TCP_ASYNC_MESSAGE_TO_CLIENT;
    bool on = s->listening && !s->blocked && s->goodbye_ns == 0;
    emesh_subscribe spec = { .size = sizeof spec,
                             .mode = w->broadcasting ? EMESH_SUB_EVERY : EMESH_SUB_SHARED,
                             .topic = { sub->topic, sub->topic_len },
                             .group = { s->group, s->group_len },
                             .ack_timeout_ns = o->ack_timeout_ns,
                             .window_events = on ? o->window_events : 0,
                             .window_bytes = on ? o->window_bytes : 0 };
    sub->member = s->lane->tcp->client->subscribe(s->mesh, &spec, sub);
    if (sub->member == NULL) {
        free(sub);
        return false;
    }
    sub->next = s->subs;
    s->subs = sub;
    s->n_subs++;
    request->waits++;
    return true;
}

static void
subscribe_all(tcp_session *s, tcp_request *request, const wanted *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (sub_find(s, w->list[i].topic.ptr, w->list[i].topic.len) != NULL)
            continue; /* it keeps its first mode and type */
        const char *why = NULL;
        if (s->n_subs >= s->lane->tcp->options.max_subscriptions)
            why = "java.lang.Exception: too many subscriptions";
        else if (!subscribe_one(s, request, &w->list[i]))
            why = "out of memory";
        if (why != NULL) {
            request->code = 1;
            snprintf(request->why, sizeof request->why, "%s", why);
            break;
        }
    }
    if (request->waits == 0)
        request_done(s, request);
}

/* Is one of the topics on its way to becoming durable? Then this request waits for that. */
static bool
must_wait(const tcp_session *s, const wanted *w)
{
    if (s->n_requests >= REQUESTS_MAX)
        return true;
    for (uint32_t i = 0; s->n_requests > 0 && i < w->n; i++) {
        const tcp_sub *sub = sub_find(s, w->list[i].topic.ptr, w->list[i].topic.len);
        if (sub != NULL && !sub->ready)
            return true;
    }
    return false;
}

tcp_verdict
tcp_subscribe(tcp_session *s, const tcp_frame *f, const tcp_header *h)
{
    wanted w = { .s = s };
    const char *flaw = NULL;
    tcp_verdict verdict = TCP_DONE;

    if (tcp_frame_empty(f)) {
        tcp_reply_to(s, h, 1, "java.lang.NullPointerException: subscriptionInfo can not be null");
        return TCP_DONE;
    }
    tcp_arena_reset(&s->lane->reader.props.arena);
    if (!tcp_subscription_parse(f->body, f->body_len, want, &w, &flaw)) {
        if (flaw != NULL) {
            char text[128];
            snprintf(text, sizeof text, "malformed subscription: %s", flaw);
            verdict = tcp_session_refuse(s, text, text);
        } else {
            tcp_reply_to(s, h, 1, w.flaw);
        }
    } else if (must_wait(s, &w)) {
        s->waits = true;
        tcp_session_pause(s);
        verdict = TCP_WAIT;
    } else {
        tcp_request *request = request_new(s, h);
        if (request != NULL)
            subscribe_all(s, request, &w);
        else
            tcp_reply_to(s, h, 1, "out of memory");
    }
    free(w.list);
    return verdict;
}

void
tcp_subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err)
{
    tcp_sub *sub = member;
    tcp_session *s = sub->session;
    tcp_request *request = sub->request;
    (void)lane;

    if (request == NULL) { /* ended by the mesh; the protocol has no word for it */
        if (code != EMESH_OK)
            sub_drop(s, sub);
        return;
    }
    if (!sub->ready)
        request->waits--;
    sub->ready = true;
    if (code != EMESH_OK) {
        if (request->code == 0)
            snprintf(request->why, sizeof request->why, "%s", tcp_why(err, "the topic is refused"));
        request->code = 1;
        sub_drop(s, sub);
    }
    if (request->waits == 0)
        request_done(s, request);
    tcp_flush(s);
    tcp_session_resume(s);
    if (s->eof)
        tcp_session_settle_down(s);
}

void
tcp_unsubscribe_all(tcp_session *s)
{
    while (s->subs != NULL)
        sub_drop(s, s->subs);
    while (s->requests != NULL) { /* overtaken: they stood until now */
        tcp_request *r = s->requests;
        tcp_reply(s, TCP_SUBSCRIBE_RESPONSE, r->seq, r->seq_len, 0, NULL);
        request_free(s, r);
    }
    s->waits = false;
}
