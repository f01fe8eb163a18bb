/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream of EventMesh TCP frames. First byte: the convention known so far (0, 1 = C8, 2 = C13).
 * However the stream is cut, the same frames come out of it, and none reaches beyond its bytes.
 */
#include "frame.h"
#include "fuzz.h"
#include <glib.h>
#include <string.h>

static void
check_frame(const uint8_t *p, size_t size, const tcp_frame *f)
{
    uint8_t head[TCP_FRAME_HEAD];
    g_assert_true(f->convention == TCP_C8 || f->convention == TCP_C13);
    g_assert_cmpuint(f->total, <=, size);
    g_assert_cmpuint(f->total, ==, TCP_FRAME_HEAD + f->header_len + f->body_len);
    g_assert_true(f->header == (const char *)p + TCP_FRAME_HEAD);
    g_assert_true(f->body == f->header + f->header_len);
    tcp_frame_head(head, f->convention, f->header_len, f->body_len);
    g_assert_cmpmem(head, sizeof head, p, TCP_FRAME_HEAD);
}

/* What a shorter look says must not contradict what the longer one says. */
static void
check_cut(const uint8_t *p, size_t cut, tcp_convention known, const tcp_frame *whole)
{
    tcp_frame f;
    g_assert_cmpint(tcp_frame_parse(p, cut, known, &f), ==, TCP_FRAME_SHORT);
    g_assert_cmpuint(f.total, >, cut);
    if (cut >= TCP_FRAME_HEAD)
        g_assert_cmpuint(f.total, <=, whole->total);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const tcp_convention conventions[] = { TCP_CONVENTION_UNKNOWN, TCP_C8, TCP_C13 };
    if (size == 0)
        return 0;
    tcp_convention known = conventions[data[0] % 3];
    const uint8_t *p = data + 1;
    size_t left = size - 1;
    tcp_frame f;
    tcp_frame_state state;
    while ((state = tcp_frame_parse(p, left, known, &f)) == TCP_FRAME_COMPLETE) {
        check_frame(p, left, &f);
        check_cut(p, 0, known, &f);
        check_cut(p, f.total - 1, known, &f);
        check_cut(p, f.total / 2, known, &f);
        known = f.convention;
        p += f.total;
        left -= f.total;
    }
    if (state == TCP_FRAME_SHORT)
        g_assert_cmpuint(f.total, >, left);
    else
        g_assert_nonnull(f.flaw);
    return 0;
}
