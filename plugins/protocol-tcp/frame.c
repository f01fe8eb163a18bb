/* SPDX-License-Identifier: Apache-2.0
 *
 * Frame codec. The convention is told by the first frame of a connection, which has a JSON object
 * or no body at all: a proper prefix of an object is never complete JSON. Any thread.
 */
#include "frame.h"
#include "json.h"

#include <string.h>

static const char magic[13] = "EventMesh0000";

static uint32_t
be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static tcp_frame_state
bad(tcp_frame *f, const char *why)
{
    f->flaw = why;
    return TCP_FRAME_BAD;
}

/* The first frame: how much must be there to decide, and the verdict. */
static tcp_frame_state
detect(const uint8_t *p, size_t len, uint32_t length, uint32_t header, tcp_frame *f)
{
    if (length < header + 13u) {
        f->convention = TCP_C8;
        return TCP_FRAME_COMPLETE;
    }
    uint32_t body = length - header - 13u;
    f->total = (size_t)TCP_FRAME_HEAD + header + body;
    if (len < f->total)
        return TCP_FRAME_SHORT;
    /* garbage that five more bytes cannot mend is no reason to wait for them */
    f->convention =
        body > 0 && tcp_json_prefix(p + TCP_FRAME_HEAD + header, body) ? TCP_C8 : TCP_C13;
    return TCP_FRAME_COMPLETE;
}

tcp_frame_state
tcp_frame_parse(const void *bytes, size_t len, tcp_convention known, tcp_frame *f)
{
    const uint8_t *p = bytes;
    *f = (tcp_frame){ .total = TCP_FRAME_HEAD, .convention = known };
    if (memcmp(p, magic, len < sizeof magic ? len : sizeof magic) != 0)
        return bad(f, len <= 9 || memcmp(p, magic, 9) != 0 ? "wrong magic" : "wrong version");
    if (len < TCP_FRAME_HEAD)
        return TCP_FRAME_SHORT;
    uint32_t length = be32(p + 13), header = be32(p + 17);
    if (length > INT32_MAX || header > INT32_MAX)
        return bad(f, "negative length");
    if (length > TCP_FRAME_MAX_IN)
        return bad(f, "frame is larger than 4 MiB");
    if (header > length || length - header < 8u)
        return bad(f, "header length does not fit into the frame");
    if (known == TCP_CONVENTION_UNKNOWN) {
        tcp_frame_state state = detect(p, len, length, header, f);
        if (state != TCP_FRAME_COMPLETE)
            return state;
    }
    if (length - header < (uint32_t)f->convention)
        return bad(f, "header length does not fit into the frame");
    f->header_len = header;
    f->body_len = length - header - (uint32_t)f->convention;
    f->total = TCP_FRAME_HEAD + f->header_len + f->body_len;
    if (len < f->total) {
        f->convention = known; /* decided anew when the rest is there */
        return TCP_FRAME_SHORT;
    }
    f->header = (const char *)p + TCP_FRAME_HEAD;
    f->body = f->header + f->header_len;
    return TCP_FRAME_COMPLETE;
}

void
tcp_frame_head(uint8_t out[TCP_FRAME_HEAD], tcp_convention convention, size_t header_len,
               size_t body_len)
{
    uint32_t length = (uint32_t)(header_len + body_len) + (uint32_t)convention;
    uint32_t header = (uint32_t)header_len;
    memcpy(out, magic, sizeof magic);
    for (int i = 0; i < 4; i++) {
        out[13 + i] = (uint8_t)(length >> (24 - 8 * i));
        out[17 + i] = (uint8_t)(header >> (24 - 8 * i));
    }
}

bool
tcp_frame_empty(const tcp_frame *f)
{
    return f->body_len == 0 || (f->body_len == 4 && memcmp(f->body, "null", 4) == 0);
}
