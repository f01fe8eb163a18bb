/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS JetStream in its own text protocol: a publish with a reply subject of its own is answered
 * once it is in the stream (file store); subscribers share a push consumer with explicit
 * acknowledgement. Written out here and not taken from libnats, whose threads would compete with the
 * server for the cores: every server gets the same lean client. One thread.
 */
#include "load.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "_INBOX.load."

/* One message of the server: the words of its line, and its payload. */
typedef struct message {
    const char *line, *payload;
    size_t line_len, payload_len, total;
} message;

/* 1: found; 0: more bytes are needed. */
static int
read_message(message *m, const char *data, size_t n)
{
    const char *end = n > 0 ? memchr(data, '\n', n) : NULL;
    if (end == NULL || end == data)
        return 0;
    *m = (message){ .line = data, .line_len = (size_t)(end - data) - 1,
                    .payload = end + 1, .total = (size_t)(end - data) + 1 };
    if (m->line_len < 4 || memcmp(data, "MSG ", 4) != 0)
        return 1;
    const char *digits = end - 1;
    while (digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    m->payload_len = strtoul(digits, NULL, 10);
    m->total += m->payload_len + 2;
    return n >= m->total;
}

static message
await(client *c, const char *begin)
{
    for (message m;;) {
        while (read_message(&m, c->in.data + c->in.start, bytes_len(&c->in)) == 0)
            load_read_more(c);
        bytes_take(&c->in, m.total); /* stays readable until more is read */
        if (strncmp(m.line, begin, strlen(begin)) == 0)
            return m;
        if (strncmp(m.line, "-ERR", 4) == 0) {
            fprintf(stderr, "emload: %.*s\n", (int)m.line_len, m.line);
            exit(1);
        }
    }
}

static void
say(client *c, const char *text)
{
    bytes_add(&c->out, text, strlen(text));
}

/* Before the run: one request to the server's own subjects, waited for. */
static void
request(client *c, const char *subject, const char *json)
{
    char line[512];
    snprintf(line, sizeof line, "PUB %s _INBOX.call %zu\r\n%s\r\n", subject, strlen(json), json);
    say(c, "SUB _INBOX.call 9\r\nUNSUB 9 1\r\n");
    say(c, line);
    load_write_all(c);
    message m = await(c, "MSG _INBOX.call");
    if (memmem(m.payload, m.payload_len, "\"error\"", 7) != NULL) {
        fprintf(stderr, "emload: %s: %.*s\n", subject, (int)m.payload_len, m.payload);
        exit(1);
    }
}

/* The payload of a publish. */
static void
make_template(load *l)
{
    bytes_add(&l->template, "################", STAMP_LEN);
    load_filler(l, &l->template);
    bytes_add(&l->template, "\r\n", 2);
}

static void
nats_open(load *l, client *c)
{
    char subject[300], json[800];
    await(c, "INFO");
    say(c, "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"protocol\":1}\r\n"
           "PING\r\n");
    load_write_all(c);
    await(c, "PONG");
    if (l->template.data == NULL)
        make_template(l);
    if (c->index == 0) {
        snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", l->topic);
        snprintf(json, sizeof json, "{\"name\":\"%s\",\"subjects\":[\"%s.x\"],\"storage\":\"file\","
                 "\"retention\":\"limits\",\"num_replicas\":1}", l->topic, l->topic);
        request(c, subject, json);
    }
    if (c->index == l->clients) {
        snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", l->topic,
                 l->group);
        snprintf(json, sizeof json, "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"%s\","
                 "\"deliver_subject\":\"deliver.%s\",\"deliver_group\":\"%s\",\"ack_policy\":"
                 "\"explicit\",\"max_ack_pending\":4096}}", l->topic, l->group, l->group, l->group);
        request(c, subject, json);
    }
    if (!c->subscriber) {
        snprintf(subject, sizeof subject, "SUB " PREFIX "%u.* 1\r\n", c->index);
        say(c, subject);
    }
    load_write_all(c);
}

static void
nats_listen(load *l, client *c)
{
    char line[300];
    snprintf(line, sizeof line, "SUB deliver.%s %s 2\r\n", l->group, l->group);
    say(c, line);
}

static void
nats_publish(load *l, client *c, uint64_t seq)
{
    char head[300];
    int n = snprintf(head, sizeof head, "PUB %s.x " PREFIX "%u.%" PRIx64 " %u\r\n", l->topic,
                     c->index, seq, l->body);
    bytes_add(&c->out, head, (size_t)n);
    bytes_room(&c->out, l->template.end);
    char *body = c->out.data + c->out.end;
    bytes_add(&c->out, l->template.data, l->template.end);
    load_stamp(body, c->index, seq);
}

static void
on_event(load *l, client *c, const message *m, uint64_t at)
{
    /* MSG subject sid reply size */
    const char *reply = m->line + 4, *end = m->line + m->line_len;
    for (int words = 0; words < 2; words++) {
        reply = memchr(reply, ' ', (size_t)(end - reply));
        if (reply++ == NULL)
            load_die("a delivery without reply subject");
    }
    const char *blank = memchr(reply, ' ', (size_t)(end - reply));
    if (blank == NULL || m->payload_len < STAMP_LEN)
        load_die("a delivery that is none of ours");
    say(c, "PUB ");
    bytes_add(&c->out, reply, (size_t)(blank - reply));
    say(c, " 4\r\n+ACK\r\n");
    c->dirty = true;
    load_arrived(l, m->payload, at);
}

static void
nats_input(load *l, client *c, uint64_t at)
{
    message m;
    while (read_message(&m, c->in.data + c->in.start, bytes_len(&c->in)) != 0) {
        bytes_take(&c->in, m.total);
        if (strncmp(m.line, "PING", 4) == 0) {
            say(c, "PONG\r\n");
            c->dirty = true;
        } else if (strncmp(m.line, "-ERR", 4) == 0) {
            fprintf(stderr, "emload: %.*s\n", (int)m.line_len, m.line);
            exit(1);
        } else if (strncmp(m.line, "MSG " PREFIX, 4 + strlen(PREFIX)) == 0) {
            const char *dot = memchr(m.line + 4 + strlen(PREFIX), '.', 12);
            bool good = memmem(m.payload, m.payload_len, "\"error\"", 7) == NULL;
            if (dot == NULL)
                load_die("an answer that is none of ours");
            if (!good && l->refused == 0)
                fprintf(stderr, "emload: refused: %.*s\n", (int)m.payload_len, m.payload);
            load_acked(l, c, strtoull(dot + 1, NULL, 16), good, at);
        } else if (strncmp(m.line, "MSG ", 4) == 0) {
            on_event(l, c, &m, at);
        }
    }
}

const wire wire_nats = { "nats", nats_open, nats_listen, nats_publish, nats_input };
