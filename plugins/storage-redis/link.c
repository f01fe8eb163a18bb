/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection, its queue of commands and its way back up. See link.h.
 */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

#define REPLY_MOST (256u << 20) /* of one reply that has not come to its end */
#define ARRAY_MOST (1 << 20)    /* elements of one array: hiredis makes room for what it is told */

/* ---- words ---- */

void
rs_args_bytes(rs_args *a, const void *bytes, size_t len)
{
    if (a->n == a->room) {
        a->room = MAX(64u, a->room * 2);
        a->v = g_renew(const char *, a->v, a->room);
        a->len = g_renew(size_t, a->len, a->room);
    }
    a->v[a->n] = len > 0 ? bytes : "";
    a->len[a->n++] = len;
}

void
rs_args_text(rs_args *a, const char *text)
{
    rs_args_bytes(a, text, strlen(text));
}

void
rs_args_begin(rs_args *a, const char *command)
{
    a->n = 0;
    rs_args_text(a, command);
}

void
rs_args_number(rs_args *a, GStringChunk *chunk, uint64_t number)
{
    char text[24];

    g_snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, number);
    rs_args_text(a, g_string_chunk_insert(chunk, text));
}

void
rs_args_free(rs_args *a)
{
    g_free(a->v);
    g_free(a->len);
    g_free(a);
}

/* ---- the queue ---- */

bool
rs_link_init(rs_link *link, rs_store *s, const char *what)
{
    link->s = s;
    link->what = what;
    link->out = g_byte_array_new();
    return true;
}

void
rs_link_clear(rs_link *link)
{
    g_clear_pointer(&link->reader, redisReaderFree);
    g_clear_pointer(&link->out, g_byte_array_unref);
    g_clear_pointer(&link->ring, g_free);
}

bool
rs_link_is_up(const rs_link *link)
{
    return link->state == RS_LINK_UP;
}

static void
remember(rs_link *link, const rs_command *cmd)
{
    if (link->n == link->room) {
        uint32_t room = MAX(256u, link->room * 2);
        rs_command *ring = g_new(rs_command, room);
        for (uint32_t i = 0; i < link->n; i++)
            ring[i] = link->ring[(link->first + i) & (link->room - 1)];
        g_free(link->ring);
        link->ring = ring;
        link->room = room;
        link->first = 0;
    }
    link->ring[(link->first + link->n++) & (link->room - 1)] = *cmd;
}

static rs_command
next_command(rs_link *link)
{
    rs_command cmd = link->ring[link->first];

    link->first = (link->first + 1) & (link->room - 1);
    link->n--;
    return cmd;
}

void
rs_link_send(rs_link *link, const rs_args *args, rs_command cmd)
{
    char *text = NULL;
    int len;

    if (link->conn == NULL || link->state < RS_LINK_GREET || link->state == RS_LINK_CLOSING) {
        cmd.done(link->s, &cmd, NULL);
        return;
    }
    len = redisFormatCommandArgv(&text, (int)args->n, args->v, args->len);
    if (len <= 0) {
        cmd.done(link->s, &cmd, NULL);
        return;
    }
    g_byte_array_append(link->out, (const uint8_t *)text, (guint)len);
    free(text);
    cmd.sent_ns = rs_now(link->s);
    remember(link, &cmd);
}

void
rs_link_flush(rs_link *link)
{
    emesh_part part = { .ptr = link->out->data, .len = link->out->len };
    int32_t code;

    g_string_chunk_clear(link->s->scratch); /* of commands that are formatted by now */
    if (link->out->len == 0 || link->conn == NULL || link->full)
        return;
    code = link->s->net->write(link->conn, &part, 1);
    if (code == EMESH_E_BUSY)
        link->full = true;
    else /* CLOSED: closed() follows */
        g_byte_array_set_size(link->out, 0);
}

/* ---- replies ---- */

static bool
is_push(const rs_link *link, const redisReply *r)
{
    return link->heard != NULL && r->type == REDIS_REPLY_ARRAY && r->elements >= 3 &&
           r->element[0]->type == REDIS_REPLY_STRING && strcmp(r->element[0]->str, "message") == 0;
}

static void
take_reply(rs_link *link, const redisReply *r)
{
    rs_command cmd;

    if (is_push(link, r)) {
        link->heard(link, r);
        return;
    }
    if (link->n == 0) { /* -ERR before the server closes, or one that speaks out of turn */
        if (rs_is_error(r))
            g_strlcpy(link->why, r->str, sizeof link->why);
        return;
    }
    cmd = next_command(link);
    if (rs_is_error(r) && strncmp(r->str, "ERR Protocol error", 18) == 0)
        g_strlcpy(link->why, r->str, sizeof link->why);
    cmd.done(link->s, &cmd, r);
}

static size_t
on_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    rs_link *link = ctx;
    void *reply = NULL;
    int code = redisReaderFeed(link->reader, in->ptr, in->len);

    (void)conn;
    while (code == REDIS_OK && link->state != RS_LINK_CLOSING &&
           (code = redisReaderGetReply(link->reader, &reply)) == REDIS_OK && reply != NULL) {
        link->keep = false;
        take_reply(link, reply);
        if (!link->keep)
            freeReplyObject(reply);
    }
    if (code != REDIS_OK)
        rs_link_cut(link, link->reader->errstr, false);
    else if (link->reader->len - link->reader->pos > REPLY_MOST)
        rs_link_cut(link, "a reply is longer than 256 MiB", false);
    rs_results_flush(link->s);
    if (link->s->data.state == RS_LINK_UP)
        rs_link_flush(&link->s->data);
    rs_link_flush(link);
    return in->len;
}

static void
on_room(void *ctx, emesh_conn *conn)
{
    rs_link *link = ctx;

    (void)conn;
    link->full = false;
    rs_link_flush(link);
}

/* ---- up and down ---- */

static void
on_connected(void *ctx, emesh_conn *conn)
{
    rs_link *link = ctx;

    (void)conn;
    link->state = RS_LINK_GREET;
    rs_greet(link);
    rs_link_flush(link);
}

void
rs_link_ready(rs_link *link)
{
    if (link->state != RS_LINK_GREET)
        return;
    link->state = RS_LINK_UP;
    link->wait_ns = 0;
    link->why[0] = '\0';
    link->up(link);
}

static void
try_later(rs_link *link)
{
    const rs_options *opt = &link->s->opt;

    link->wait_ns = link->wait_ns == 0 ? opt->wait_ns : MIN(link->wait_ns * 2, opt->wait_max_ns);
    link->state = RS_LINK_WAIT;
    link->s->lp->timer_set(link->timer, rs_now(link->s) + link->wait_ns);
}

static void
on_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    rs_link *link = ctx;

    (void)conn;
    (void)code;
    link->conn = NULL;
    link->full = false;
    link->state = RS_LINK_CLOSING;
    if (link->why[0] == '\0')
        g_strlcpy(link->why,
                  err != NULL && err->text[0] != '\0' ? err->text : "the server closed it",
                  sizeof link->why);
    g_byte_array_set_size(link->out, 0);
    while (link->n > 0) {
        rs_command cmd = next_command(link);
        cmd.done(link->s, &cmd, NULL);
    }
    g_clear_pointer(&link->reader, redisReaderFree);
    link->timed_out = false;
    if (link->ending) {
        link->state = RS_LINK_REST;
        rs_results_flush(link->s);
        rs_link_gone(link->s);
        return;
    }
    try_later(link);
    if (link->down != NULL)
        link->down(link);
    link->why[0] = '\0';
    rs_results_flush(link->s);
}

static const emesh_conn_ops conn_ops = {
    .size = sizeof conn_ops,
    .connected = on_connected,
    .data = on_data,
    .room = on_room,
    .closed = on_closed,
};

void
rs_link_cut(rs_link *link, const char *why, bool timed_out)
{
    if (link->conn == NULL || link->state == RS_LINK_CLOSING)
        return;
    if (why != NULL && link->why[0] == '\0')
        g_strlcpy(link->why, why, sizeof link->why);
    link->timed_out = timed_out;
    link->state = RS_LINK_CLOSING;
    link->s->net->close(link->conn, EMESH_CLOSE_ABORT);
}

static void *
bounded_array(const redisReadTask *task, int n)
{
    const rs_link *link = task->privdata;

    return n > ARRAY_MOST ? NULL : link->array(task, n);
}

static redisReader *
new_reader(rs_link *link)
{
    redisReader *reader = redisReaderCreate();

    if (reader == NULL)
        return NULL;
    link->shapes = *reader->fn;
    link->array = link->shapes.createArray;
    link->shapes.createArray = bounded_array;
    reader->fn = &link->shapes;
    reader->privdata = link;
    reader->maxbuf = 0; /* keep the buffer: it is used all the time */
    return reader;
}

static void
dial(void *ctx)
{
    rs_link *link = ctx;
    rs_store *s = link->s;
    emesh_dial spec = { .size = sizeof spec,
                        .tls = s->opt.tls,
                        .address = { s->opt.address, strlen(s->opt.address) } };
    int32_t code;

    if (link->ending || link->conn != NULL)
        return;
    link->reader = new_reader(link);
    link->dialled = rs_now(s);
    link->state = RS_LINK_DIAL;
    code = link->reader == NULL ? EMESH_E_NO_MEMORY
                                : s->net->dial(s->loop, &spec, &conn_ops, link, &link->conn);
    if (code != EMESH_OK) {
        link->conn = NULL;
        g_clear_pointer(&link->reader, redisReaderFree);
        g_snprintf(link->why, sizeof link->why, "the address %s cannot be dialled", s->opt.address);
        try_later(link);
        if (link->down != NULL)
            link->down(link);
        link->why[0] = '\0';
    }
}

void
rs_link_want(rs_link *link)
{
    if (link->timer == NULL)
        link->timer = link->s->lp->timer(link->s->loop, dial, link);
    if (link->state == RS_LINK_REST && link->timer != NULL)
        dial(link);
}

void
rs_link_end(rs_link *link)
{
    link->ending = true;
    if (link->timer != NULL)
        link->s->lp->timer_end(link->timer);
    link->timer = NULL;
    if (link->conn != NULL) {
        rs_link_flush(link);
        link->s->net->close(link->conn, EMESH_CLOSE_FLUSH);
        if (link->state != RS_LINK_CLOSING)
            link->state = RS_LINK_CLOSING;
    } else {
        link->state = RS_LINK_REST;
    }
}

void
rs_link_watch(rs_link *link)
{
    uint64_t now = rs_now(link->s);

    if (link->n == 0 || link->conn == NULL || link->state == RS_LINK_CLOSING)
        return;
    if (now > link->ring[link->first].sent_ns + link->s->opt.timeout_ns)
        rs_link_cut(link, "no answer within answer-timeout", true);
}
