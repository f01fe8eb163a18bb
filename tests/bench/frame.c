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
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

static void
add_text(bytes *out, const char *text)
{
    bytes_add(out, text, strlen(text));
}

/* Adds magic, lengths and header, which begins at the returned offset; the caller adds the body and
 * ends the frame. */
static size_t
begin_frame(bytes *out, const char *cmd, const char *seq, const char *props)
{
    bytes_room(out, 1024); /* what waits moves to the front now, and not between the pieces */
    size_t at = out->end;
    bytes_add(out, MAGIC "--------", HEAD_LEN);
    add_text(out, "{\"cmd\":\"");
    add_text(out, cmd);
    add_text(out, "\",\"code\":0,\"seq\":\"");
    add_text(out, seq);
    add_text(out, "\",\"properties\":");
    add_text(out, props);
    add_text(out, ",\"command\":\"");
    add_text(out, cmd);
    add_text(out, "\"}");
    return at;
}

static void
end_frame(char *begin, size_t header_len, size_t body_len)
{
    uint32_t lengths[2] = { htonl((uint32_t)(MAGIC_LEN + header_len + body_len)),
                            htonl((uint32_t)header_len) };
    memcpy(begin + MAGIC_LEN, lengths, sizeof lengths);
}

void
frame_write(bytes *out, const char *cmd, const char *seq, const char *props, const char *body,
            size_t body_len)
{
    size_t at = begin_frame(out, cmd, seq, props), header_len = out->end - at - HEAD_LEN;
    end_frame(out->data + at, header_len, body_len);
    bytes_add(out, body, body_len);
}

/* Bodies are mostly filler: bytes that need no backslash are copied by the piece. */
#ifdef __SSE2__
#define PIECE 16
static bool
is_plain(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    return _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                          _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')))) == 0;
}
#else
#define PIECE 8
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
static bool
is_plain(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t quote = w ^ EACH('"'), backslash = w ^ EACH('\\');
    return ((((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash)) & EACH(0x80)) == 0;
}
#endif

void
frame_write_ack(bytes *out, const char *cmd, const char *seq, const frame *push)
{
    size_t room = 1024 + 2 * push->body_len + 2;
    bytes_room(out, room);
    size_t at = begin_frame(out, cmd, seq, "{}"), header_len = out->end - at - HEAD_LEN;
    const char *p = push->body, *end = p + push->body_len;
    char *to = out->data + out->end, *begin = to;
    *to++ = '"';
    while (p < end) {
        if (end - p >= PIECE && is_plain(p)) {
            memcpy(to, p, PIECE);
            to += PIECE;
            p += PIECE;
            continue;
        }
        for (int i = 0; i < PIECE && p < end; i++) {
            if (*p == '"' || *p == '\\')
                *to++ = '\\';
            *to++ = *p++;
        }
    }
    *to++ = '"';
    out->end += (size_t)(to - begin);
    end_frame(out->data + at, header_len, (size_t)(to - begin));
}

/* Where the value of a top-level member begins; the daemon writes no space in its headers, and no
 * member name stands in a value before these. */
static const char *
member(const frame *f, const char *key, size_t len)
{
    const char *at = memmem(f->header, f->header_len, key, len);
    return at != NULL ? at + len : NULL;
}

bool
frame_text(const frame *f, const char *key, char *value, size_t size)
{
    const char *at = member(f, key, strlen(key)), *limit = f->header + f->header_len;
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
    const char *at = member(f, "\"code\":", 7);
    return at != NULL ? atoi(at) : -1;
}
