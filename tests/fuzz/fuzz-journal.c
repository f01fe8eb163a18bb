/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of the decision journal. Bit 0 of the first byte: the rest are the lines of a block,
 * which get the checksums a writer would have given them, so that only the reader's own checks
 * protect it. Else they are a block as it lies on the disk.
 */
#include "fuzz.h"
#include "journal/codes.h"
#include "journal/read.h"
#include <string.h>

static void
sign(uint8_t *block, size_t n)
{
    emesh_line head = { .kind = EMESH_LINE_BLOCK, .time_us = 1 };

    for (size_t i = 1; i < n / EMESH_LINE; i++)
        emesh_line_sign(block + i * EMESH_LINE, (uint32_t)i, 1);
    if (n >= EMESH_LINE)
        emesh_line_pack(block, &head, 0, 1);
}

static void
check(const emesh_reading *r, const emesh_journal_query *query)
{
    for (uint32_t i = 0; i < r->told->len; i++) {
        const emesh_told *t = &g_array_index(r->told, emesh_told, i);
        const char *texts[] = {
            t->topic, t->group, t->partition, t->who, t->words, t->source, t->id
        };
        for (uint32_t k = 0; k < G_N_ELEMENTS(texts); k++)
            g_assert_true(texts[k] == NULL || strlen(texts[k]) < 512);
        g_assert_true(i == 0 || t[-1].time_us <= t->time_us);
        g_assert_true(query->group == NULL || strcmp(t->group, query->group) == 0);
        g_assert_true(query->id == NULL || t->range || t->id != NULL);
        (void)emesh_code_find(t->code);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const emesh_journal_query queries[] = {
        { .last = 10 },
        { .id = "e-1" },
        { .id = "e-1", .source = "/a" },
        { .group = "g", .last = 3 },
    };
    size_t n = size > 0 ? MIN(size - 1, EMESH_BLOCK_BYTES) : 0;
    g_autofree uint8_t *block = g_malloc(n + 1);
    emesh_ring_head head;

    if (n == 0)
        return 0;
    memcpy(block, data + 1, n);
    if (n >= EMESH_LINE)
        (void)emesh_ring_head_read(block, &head);
    if ((data[0] & 1) != 0)
        sign(block, n);
    for (uint32_t i = 0; i < G_N_ELEMENTS(queries); i++) {
        emesh_reading *r = emesh_reading_new();
        emesh_reading_block(r, &queries[i], block, n);
        emesh_reading_trim(r, queries[i].last);
        check(r, &queries[i]);
        emesh_reading_free(r);
    }
    return 0;
}
