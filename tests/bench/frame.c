/* SPDX-License-Identifier: Apache-2.0
 *
 * EventMesh TCP frames of a client; see frame.h.
 */
#include "frame.h"
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "EventMesh0000"
#define MAGIC_LEN (sizeof MAGIC - 1)
#define HEAD_LEN (MAGIC_LEN + 8)

char *
bytes_room(bytes *b, size_t n)
{
    if (b->start == b->end)
        b->start = b->end = 0;
    if (b->cap - b->end < n && b->start > 0) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->cap - b->end < n) {
        b->cap = (b->end + n) * 2;
        b->data = realloc(b->data, b->cap);
        if (b->data == NULL)
            abort();
    }
    return b->data + b->end;
}

void
bytes_add(bytes *b, const void *data, size_t n)
{
    memcpy(bytes_room(b, n), data, n);
    b->end += n;
}

void
bytes_take(bytes *b, size_t n)
{
    b->start += n;
}

size_t
bytes_len(const bytes *b)
{
    return b->end - b->start;
}

static uint32_t
read_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return ntohl(v);
}

int
frame_read(frame *f, const char *data, size_t n)
{
    if (n < HEAD_LEN)
        return 0;
    size_t length = read_u32(data + MAGIC_LEN), header = read_u32(data + MAGIC_LEN + 4);
    if (memcmp(data, MAGIC, MAGIC_LEN) != 0 || length < MAGIC_LEN + header || length > 1u << 23)
        return -1;
    f->total = length + 8; /* the length counts magic, header and body, not itself */
    if (n < f->total)
        return 0;
    f->header = data + HEAD_LEN;
    f->header_len = header;
    f->body = f->header + header;
    f->body_len = f->total - HEAD_LEN - header;
    return 1;
}

/* Adds magic, lengths and header; the caller adds body_len bytes. */
static void
write_head(bytes *out, const char *cmd, const char *seq, const char *props, size_t body_len)
{
    char header[512];
    int n = snprintf(header, sizeof header,
                     "{\"cmd\":\"%s\",\"code\":0,\"seq\":\"%s\",\"properties\":%s,"
                     "\"command\":\"%s\"}", cmd, seq, props, cmd);
    uint32_t lengths[2] = { htonl((uint32_t)(MAGIC_LEN + (size_t)n + body_len)),
                            htonl((uint32_t)n) };
    bytes_add(out, MAGIC, MAGIC_LEN);
    bytes_add(out, lengths, sizeof lengths);
    bytes_add(out, header, (size_t)n);
}

void
frame_write(bytes *out, const char *cmd, const char *seq, const char *props, const char *body,
            size_t body_len)
{
    write_head(out, cmd, seq, props, body_len);
    bytes_add(out, body, body_len);
}

/* How far it is to the next quote or backslash; bodies are mostly filler, so not byte by byte. */
static size_t
plain(const char *p, size_t n)
{
    const char *quote = memchr(p, '"', n);
    size_t most = quote != NULL ? (size_t)(quote - p) : n;
    const char *backslash = memchr(p, '\\', most);
    return backslash != NULL ? (size_t)(backslash - p) : most;
}

void
frame_write_ack(bytes *out, const char *cmd, const char *seq, const frame *push)
{
    const char *p = push->body, *end = p + push->body_len;
    size_t escapes = 0;
    for (p += plain(p, push->body_len); p < end; p += 1 + plain(p + 1, (size_t)(end - p - 1)))
        escapes++;
    write_head(out, cmd, seq, "{}", push->body_len + escapes + 2);
    char *to = bytes_room(out, push->body_len + escapes + 2);
    *to++ = '"';
    for (p = push->body; p < end;) {
        size_t n = plain(p, (size_t)(end - p));
        memcpy(to, p, n);
        to += n;
        p += n;
        if (p < end) {
            *to++ = '\\';
            *to++ = *p++;
        }
    }
    *to = '"';
    out->end += push->body_len + escapes + 2;
}

/* Where the value of a top-level member begins; the daemon writes no space in its headers, and no
 * member name stands in a value before these. */
static const char *
member(const frame *f, const char *name)
{
    char key[64];
    int n = snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = memmem(f->header, f->header_len, key, (size_t)n);
    return at != NULL ? at + n : NULL;
}

bool
frame_text(const frame *f, const char *name, char *value, size_t size)
{
    const char *at = member(f, name), *limit = f->header + f->header_len;
    if (at == NULL || at == limit || *at != '"')
        return false;
    const char *end = memchr(at + 1, '"', (size_t)(limit - at - 1));
    if (end == NULL || (size_t)(end - at) > size)
        return false;
    memcpy(value, at + 1, (size_t)(end - at - 1));
    value[end - at - 1] = '\0';
    return true;
}

int
frame_code(const frame *f)
{
    const char *at = member(f, "code");
    return at != NULL ? atoi(at) : -1;
}
