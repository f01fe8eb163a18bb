/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a segment of the embedded store. Bit 0 of the first byte: the page gets its check
 * sum, bit 1 its magic. What is said of it is held against a second reading of the format, and what
 * is accepted is written again, byte by byte.
 */
#include "crc32c.h"
#include "format.h"
#include "fuzz.h"
#include "le.h"
#include <glib.h>
#include <string.h>

#define INPUTS ((SA_SEGMENT_HEAD - 92u) / 8u)

/* Read anew from the description, not from the code. */
static sa_head_state
expected(const uint8_t *p)
{
    bool named = memcmp(p, "EMSHSEG1", 8) == 0;
    if (sa_get32(p + 4092) != sa_crc32c(0, p, 4092))
        return named ? SA_HEAD_DAMAGED : SA_HEAD_FOREIGN;
    if (!named)
        return SA_HEAD_FOREIGN;
    if (sa_get16(p + 8) != 1 || (sa_get32(p + 12) & ~SA_INCOMPAT) != 0)
        return SA_HEAD_NEW;
    bool sane = sa_get64(p + 40) % 8 == 0 && sa_get64(p + 72) >= sa_get64(p + 64)
                && sa_get32(p + 80) <= INPUTS;
    return sane ? SA_HEAD_OK : SA_HEAD_DAMAGED;
}

static void
write_again(const uint8_t *page, const sa_seg_head *head)
{
    uint8_t again[SA_SEGMENT_HEAD];
    g_autofree uint64_t *inputs = g_new0(uint64_t, head->n_inputs + 1u);
    sa_seg_head back;
    for (uint32_t i = 0; i < head->n_inputs; i++)
        inputs[i] = sa_seg_head_input(page, i);
    sa_seg_head_write(again, head, inputs);
    g_assert_cmpmem(again + 8, 12, page + 8, 12);   /* versions, features, salt */
    g_assert_cmpmem(again + 20, 16, page + 20, 16); /* store */
    g_assert_cmpmem(again + 40, 44, page + 40, 44); /* base … number of inputs */
    g_assert_cmpmem(again + 88, 8ull * head->n_inputs, page + 88, 8ull * head->n_inputs);
    g_assert_cmpint(sa_seg_head_read(again, sizeof again, &back), ==, SA_HEAD_OK);
    g_assert_cmpuint(back.base, ==, head->base);
    g_assert_cmpuint(back.last, ==, head->last);
    g_assert_cmpuint(back.kind, ==, head->kind);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *page = g_malloc0(SA_SEGMENT_HEAD); /* of its own, so that a step beyond is seen */
    sa_seg_head head = { 0 };
    if (size < 1)
        return 0;
    size_t n = MIN(size - 1, SA_SEGMENT_HEAD);
    memcpy(page, data + 1, n);
    if ((data[0] & 2) != 0)
        memcpy(page, "EMSHSEG1", 8);
    if ((data[0] & 4) != 0)
        sa_put16(page + 8, SA_MAJOR);
    if ((data[0] & 8) != 0)
        sa_put32(page + 12, 0);
    if ((data[0] & 1) != 0)
        sa_put32(page + 4092, sa_crc32c(0, page, 4092));
    sa_head_state state = sa_seg_head_read(page, SA_SEGMENT_HEAD, &head);
    g_assert_cmpint(state, ==, expected(page));
    if (state == SA_HEAD_OK)
        write_again(page, &head);
    g_assert_cmpint(sa_seg_head_read(page, SA_SEGMENT_HEAD - 1u, &head), ==, SA_HEAD_CUT);
    return 0;
}
