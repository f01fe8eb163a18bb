/* SPDX-License-Identifier: Apache-2.0
 *
 * EventMesh TCP as a 1.9+ SDK speaks it: publishes are acknowledged by sequence, pushes are
 * acknowledged with their body, as the Java SDK does. One thread.
 */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_MARK "b@@@@@@@@@@@@@@@@"
#define TOPIC_DIGITS 6
#define PROPS "{\"protocolversion\":\"1.0\",\"protocoldesc\":\"tcp\"," \
              "\"protocoltype\":\"eventmeshmessage\"}"

enum { AT_SEQ, AT_STAMP, AT_TOPIC, AT_BODY };

/* Before the run: one request, waited for. */
static void
call(client *c, const char *cmd, const char *body)
{
    frame_write(&c->out, cmd, "h1", "{}", body, strlen(body));
    load_write_all(c);
    frame f;
    while (frame_read(&f, c->in.data + c->in.start, bytes_len(&c->in)) == 0)
        load_read_more(c);
    if (frame_code(&f) != 0) {
        fprintf(stderr, "emload: %s: %.*s\n", cmd, (int)f.header_len, f.header);
        exit(1);
    }
    bytes_take(&c->in, f.total);
}

/* The frame of a publish: only digits of it change from event to event. */
static void
make_template(load *l)
{
    bytes body = { 0 };
    char head[512];
    int n = snprintf(head, sizeof head, "{\"topic\":\"%s%s\",\"properties\":{\"ttl\":\"30000\"},"
                     "\"headers\":{},\"body\":\"%s", l->topic, l->topics > 1 ? "######" : "",
                     "################");
    bytes_add(&body, head, (size_t)n);
    load_filler(l, &body);
    bytes_add(&body, "\"}", 2);
    frame_write(&l->template, l->requests ? "REQUEST_TO_SERVER" : "ASYNC_MESSAGE_TO_SERVER",
                SEQ_MARK, PROPS, body.data, body.end);
    const char *data = l->template.data, *seq = memmem(data, l->template.end, SEQ_MARK, 17);
    size_t begin = l->template.end - body.end; /* of the body */
    l->patch[AT_SEQ] = (size_t)(seq - data) + 1;
    l->patch[AT_STAMP] = begin + (size_t)n - STAMP_LEN;
    l->patch[AT_TOPIC] = begin + strlen("{\"topic\":\"") + strlen(l->topic);
    free(body.data);
}

static void
em_open(load *l, client *c)
{
    char body[512];
    if (l->template.data == NULL)
        make_template(l);
    snprintf(body, sizeof body,
             "{\"env\":\"bench\",\"subsystem\":\"5017\",\"path\":\"/\",\"pid\":1,"
             "\"host\":\"127.0.0.1\",\"port\":1,\"version\":\"2.0.11\",\"username\":\"u\","
             "\"password\":\"p\",\"idc\":\"FT\",\"group\":\"%s%s\",\"purpose\":\"%s\","
             "\"unack\":0}", l->group, c->subscriber ? "" : "-pub", c->subscriber ? "sub" : "pub");
    call(c, "HELLO_REQUEST", body);
    if (!c->subscriber)
        return;
    snprintf(body, sizeof body,
             "{\"topicList\":[{\"topic\":\"%s\",\"mode\":\"%s\",\"type\":\"%s\"}]}", l->topic,
             l->broadcast ? "BROADCASTING" : "CLUSTERING", l->requests ? "SYNC" : "ASYNC");
    call(c, "SUBSCRIBE_REQUEST", body);
}

static void
em_listen(load *l, client *c)
{
    (void)l;
    frame_write(&c->out, "LISTEN_REQUEST", "h1", "{}", "", 0);
}

static void
em_publish(load *l, client *c, uint64_t seq)
{
    bytes_room(&c->out, l->template.end); /* may move what waits to the front */
    size_t at = c->out.end;
    bytes_add(&c->out, l->template.data, l->template.end);
    char *written = c->out.data + at;
    load_stamp(written + l->patch[AT_SEQ], c->index, seq);
    load_stamp(written + l->patch[AT_STAMP], c->index, seq);
    if (l->topics > 1) {
        uint64_t topic = l->sent % l->topics;
        for (size_t i = TOPIC_DIGITS; i-- > 0; topic /= 10)
            written[l->patch[AT_TOPIC] + i] = (char)('0' + topic % 10);
    }
}

static void
on_ack(load *l, client *c, const frame *f, uint64_t at)
{
    char seq[24];
    bool good = frame_code(f) == 0;
    if (!frame_text(f, "\"seq\":", seq, sizeof seq) || seq[0] != 'b')
        load_die("an ack without a sequence of ours");
    if (!good && l->refused == 0)
        fprintf(stderr, "emload: refused: %.*s\n", (int)f->header_len, f->header);
    load_acked(l, c, strtoull(seq + 1, NULL, 16) & ((UINT64_C(1) << 48) - 1), good, at);
}

/* The text of an event in a push: mostly where it was in the last one. */
static const char *
body_text(load *l, const frame *f)
{
    static const char key[] = "\"body\":\"";
    size_t len = sizeof key - 1, last = l->patch[AT_BODY];
    if (last + len > f->body_len || memcmp(f->body + last, key, len) != 0) {
        const char *at = memmem(f->body, f->body_len, key, len);
        if (at == NULL)
            return NULL;
        last = l->patch[AT_BODY] = (size_t)(at - f->body);
    }
    return last + len + STAMP_LEN <= f->body_len ? f->body + last + len : NULL;
}

static void
on_push(load *l, client *c, const frame *f, const char *cmd, uint64_t at)
{
    char seq[64];
    const char *body = body_text(l, f);
    if (body == NULL || !frame_text(f, "\"seq\":", seq, sizeof seq))
        load_die("a push that is none of ours");
    frame_write_ack(&c->out, cmd, seq, f);
    c->dirty = true;
    load_arrived(l, body, at);
}

/* A responder as the SDK's sample: the request comes back as its own reply, then the ack. */
static void
on_request(load *l, client *c, const frame *f)
{
    char seq[64];
    if (body_text(l, f) == NULL || !frame_text(f, "\"seq\":", seq, sizeof seq))
        load_die("a request that is none of ours");
    frame_write(&c->out, "RESPONSE_TO_SERVER", "1234567801", PROPS, f->body, f->body_len);
    frame_write_ack(&c->out, "REQUEST_TO_CLIENT_ACK", seq, f);
    c->dirty = true;
}

static void
on_reply(load *l, client *c, const frame *f, uint64_t at)
{
    char seq[64];
    if (frame_text(f, "\"seq\":", seq, sizeof seq))
        frame_write_ack(&c->out, "RESPONSE_TO_CLIENT_ACK", seq, f);
    c->dirty = true;
    on_ack(l, c, f, at);
}

static void
em_input(load *l, client *c, uint64_t at)
{
    frame f;
    int found;
    errno = 0;
    while ((found = frame_read(&f, c->in.data + c->in.start, bytes_len(&c->in))) == 1) {
        char cmd[64];
        if (!frame_text(&f, "\"cmd\":", cmd, sizeof cmd))
            load_die("a frame without command");
        if (strcmp(cmd, "ASYNC_MESSAGE_TO_SERVER_ACK") == 0)
            on_ack(l, c, &f, at);
        else if (strcmp(cmd, "ASYNC_MESSAGE_TO_CLIENT") == 0)
            on_push(l, c, &f, "ASYNC_MESSAGE_TO_CLIENT_ACK", at);
        else if (strcmp(cmd, "RESPONSE_TO_CLIENT") == 0)
            on_reply(l, c, &f, at);
        else if (strcmp(cmd, "REQUEST_TO_CLIENT") == 0)
            on_request(l, c, &f);
        else if (strcmp(cmd, "BROADCAST_MESSAGE_TO_CLIENT") == 0)
            on_push(l, c, &f, "BROADCAST_MESSAGE_TO_CLIENT_ACK", at);
        bytes_take(&c->in, f.total);
    }
    if (found < 0)
        load_die("bytes that are no frame");
}

const wire wire_eventmesh = { "eventmesh", em_open, em_listen, em_publish, em_input };
