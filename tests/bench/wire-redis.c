/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis streams: XADD, answered in order; subscribers are consumers of one group that acknowledge
 * with XACK. RESP is written and read here, so that the client costs as little as the others' do.
 * One thread.
 */
#include "load.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH "256"

/* Walks over one RESP value at *at, calling each() for its bulk strings. false: not complete. */
typedef void each_text(void *ctx, const char *text, size_t len);

static bool
walk(const char *data, size_t n, size_t *at, each_text *each, void *ctx)
{
    const char *end = *at < n ? memchr(data + *at, '\n', n - *at) : NULL;
    if (end == NULL)
        return false;
    char kind = data[*at];
    long size = kind == '*' || kind == '$' ? strtol(data + *at + 1, NULL, 10) : 0;
    *at = (size_t)(end - data) + 1;
    if (kind == '$' && size >= 0) {
        if (n - *at < (size_t)size + 2)
            return false;
        if (each != NULL)
            each(ctx, data + *at, (size_t)size);
        *at += (size_t)size + 2;
    }
    for (long i = 0; kind == '*' && i < size; i++) {
        if (!walk(data, n, at, each, ctx))
            return false;
    }
    return true;
}

static void
add_word(bytes *out, const char *word, size_t len)
{
    char head[32];
    int n = snprintf(head, sizeof head, "$%zu\r\n", len);
    bytes_add(out, head, (size_t)n);
    bytes_add(out, word, len);
    bytes_add(out, "\r\n", 2);
}

static void
add_command(bytes *out, const char *const *words, uint32_t n, uint32_t more)
{
    char head[32];
    int len = snprintf(head, sizeof head, "*%u\r\n", n + more);
    bytes_add(out, head, (size_t)len);
    for (uint32_t i = 0; i < n; i++)
        add_word(out, words[i], strlen(words[i]));
}

static void
redis_open(load *l, client *c)
{
    if (l->template.data == NULL) {
        bytes body = { 0 };
        bytes_add(&body, "################", STAMP_LEN);
        load_filler(l, &body);
        add_command(&l->template, (const char *[]){ "XADD", l->topic, "*", "d" }, 4, 1);
        add_word(&l->template, body.data, body.end);
        l->patch[0] = l->template.end - body.end - 2;
        free(body.data);
    }
    if (c->index != l->clients)
        return;
    add_command(&c->out, (const char *[]){ "XGROUP", "CREATE", l->topic, l->group, "$",
                                           "MKSTREAM" }, 6, 0);
    load_write_all(c);
    size_t at = 0;
    while (!walk(c->in.data + c->in.start, bytes_len(&c->in), &at, NULL, NULL)) {
        load_read_more(c);
        at = 0;
    }
    bytes_take(&c->in, at);
}

static void
redis_listen(load *l, client *c)
{
    char name[16];
    snprintf(name, sizeof name, "c%u", c->index);
    add_command(&c->out, (const char *[]){ "XREADGROUP", "GROUP", l->group, name, "COUNT", BATCH,
                                           "BLOCK", "0", "STREAMS", l->topic, ">" }, 11, 0);
    c->dirty = true;
}

static void
redis_publish(load *l, client *c, uint64_t seq)
{
    bytes_room(&c->out, l->template.end); /* may move what waits to the front */
    size_t at = c->out.end;
    bytes_add(&c->out, l->template.data, l->template.end);
    load_stamp(c->out.data + at + l->patch[0], c->index, seq);
}

/* The texts of an XREADGROUP answer: the stream's name, then id, "d" and body of each entry. */
typedef struct entries {
    load *l;
    bytes ids;
    uint64_t at;
    uint32_t texts, n;
} entries;

static void
on_text(void *ctx, const char *text, size_t len)
{
    entries *e = ctx;
    uint32_t which = e->texts++;
    if (which == 0)
        return;
    if (which % 3 == 1) {
        add_word(&e->ids, text, len);
        e->n++;
    } else if (which % 3 == 0) {
        load_arrived(e->l, text, e->at);
    }
}

static void
on_batch(load *l, client *c, size_t size, uint64_t at)
{
    entries e = { .l = l, .at = at };
    size_t end = 0;
    const char *begin = c->in.data + c->in.start;
    if (begin[0] == ':') { /* of XACK */
        bytes_take(&c->in, size);
        return;
    }
    walk(begin, size, &end, on_text, &e);
    bytes_take(&c->in, size);
    if (e.n > 0) {
        add_command(&c->out, (const char *[]){ "XACK", l->topic, l->group }, 3, e.n);
        bytes_add(&c->out, e.ids.data, e.ids.end);
    }
    free(e.ids.data);
    redis_listen(l, c);
}

static void
redis_input(load *l, client *c, uint64_t at)
{
    for (size_t size = 0;; size = 0) {
        const char *begin = c->in.data + c->in.start;
        if (!walk(begin, bytes_len(&c->in), &size, NULL, NULL))
            return;
        if (begin[0] == '-' && l->refused == 0)
            fprintf(stderr, "emload: refused: %.*s\n", (int)size, begin);
        if (c->subscriber) {
            on_batch(l, c, size, at);
            continue;
        }
        bool good = begin[0] == '$';
        bytes_take(&c->in, size);
        load_acked(l, c, c->queued[c->head++ % l->window], good, at);
    }
}

const wire wire_redis = { "redis", redis_open, redis_listen, redis_publish, redis_input };
