/* SPDX-License-Identifier: Apache-2.0
 *
 * What the embedded store reads back from its files. First byte: bit 0 gives the record headers of
 * the rest valid check sums, so that the parsers behind them are reached; bit 1 the same for segment
 * header and trailer. Nothing reaches beyond its bytes, and what is accepted is written again alike.
 */
#include "catalog.h"
#include "crc32c.h"
#include "footer.h"
#include "format.h"
#include "fuzz.h"
#include "groups.h"
#include "le.h"
#include "recovery.h"
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define SALT 0x5a17u
#define LSN 0x4000000u

/* Header and body get the sums a writer would have given them. */
static void
sign_record(uint8_t *p, size_t n, uint64_t lsn)
{
    uint32_t body = sa_get32(p + 16);
    size_t padded = sa_pad8((uint64_t)body);

    if (padded > n - SA_RECORD_HEAD || body > n) {
        body = (uint32_t)(n - SA_RECORD_HEAD);
        padded = body & ~(size_t)7;
        body = (uint32_t)padded;
        sa_put32(p + 16, body);
    }
    memset(p + SA_RECORD_HEAD + body, 0, padded - body);
    sa_put32(p, SA_RECORD_MAGIC);
    sa_put64(p + 8, lsn);
    sa_put32(p + 20, sa_crc32c(0, p + SA_RECORD_HEAD, body));
    sa_put32(p + 4, sa_crc32c(SALT, p + 8, SA_RECORD_HEAD - 8));
}

static void
bodies(const sa_rec_head *head, const uint8_t *body)
{
    sa_cat_entry cat;
    sa_commit_entry commit;

    (void)sa_image_fingerprint(body, MIN(head->attrs, head->body));
    for (size_t at = 0; at < head->body && sa_cat_read(body + at, head->body - at, &cat);) {
        g_assert_cmpuint(cat.size, >, 0);
        g_assert_cmpuint(cat.size, <=, head->body - at);
        g_assert_true((const uint8_t *)cat.name + cat.name_len <= body + head->body);
        g_assert_true(cat.parts + (size_t)cat.n_parts * SA_CAT_PART <= body + head->body);
        at += cat.size;
    }
    for (size_t at = 0; at < head->body && sa_commit_read(body + at, head->body - at, &commit);) {
        g_assert_cmpuint(commit.size, >, 0);
        g_assert_cmpuint(commit.size, <=, head->body - at);
        for (uint32_t i = 0; i < commit.n; i++) {
            sa_range range;
            sa_commit_range(&commit, i, &range);
        }
        at += commit.size;
    }
}

static void
records(uint8_t *p, size_t n, bool sign)
{
    for (size_t at = 0; n - at >= 8;) {
        sa_rec_head head;
        size_t need = 0;
        sa_step step;

        if (sign && n - at >= SA_RECORD_HEAD)
            sign_record(p + at, n - at, LSN + at);
        step = sa_step_at(p + at, n - at, LSN + at, SALT, &head, &need);
        if (step == SA_STEP_MORE)
            g_assert_cmpuint(need, >, n - at);
        if (step == SA_STEP_RECORD) {
            uint8_t again[SA_RECORD_HEAD];
            g_assert_cmpuint(sa_rec_size(head.body), <=, n - at);
            g_assert_cmpuint(head.lsn, ==, LSN + at);
            sa_rec_head_write(again, &head, SALT);
            g_assert_cmpmem(again, sizeof again, p + at, SA_RECORD_HEAD);
            bodies(&head, p + at + SA_RECORD_HEAD);
            at += sa_rec_size(head.body);
        } else {
            at += 8;
        }
    }
}

static void
segment_head(const uint8_t *p, size_t n, bool sign)
{
    g_autofree uint8_t *page = g_malloc0(SA_SEGMENT_HEAD);
    sa_seg_head head;

    memcpy(page, p, MIN(n, SA_SEGMENT_HEAD));
    if (sign) {
        memcpy(page, "EMSHSEG1", 8);
        sa_put32(page + SA_SEGMENT_HEAD - 4, sa_crc32c(0, page, SA_SEGMENT_HEAD - 4));
    }
    g_assert_cmpint(sa_seg_head_read(page, MIN(n, SA_SEGMENT_HEAD - 1u), &head), !=, SA_HEAD_OK);
    if (sa_seg_head_read(page, SA_SEGMENT_HEAD, &head) == SA_HEAD_OK)
        for (uint32_t i = 0; i < head.n_inputs; i++)
            (void)sa_seg_head_input(page, i);
}

static void
footer(const uint8_t *p, size_t n)
{
    sa_trailer trailer;
    sa_foot_head head;

    (void)sa_footer_begins(p, n, LSN, SALT);
    (void)sa_foot_head_read(p, n, SALT, &head);
    if (n < 64 || !sa_trailer_read(p + n - 64, n, SALT, &trailer))
        return;
    g_assert_cmpuint(8ull * trailer.dir + 64ull * trailer.n_dir, <=, n);
    if (!sa_dir_ok(p + 8ull * trailer.dir, &trailer))
        return;
    for (uint32_t i = 0; i < trailer.n_dir; i++) {
        sa_entry entry;
        sa_entry_read(p + 8ull * trailer.dir + 64ull * i, &entry);
        g_assert_cmpuint(8ull * entry.index + 4ull * entry.count, <=, n);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = NULL; /* of its own, so that a step beyond is seen */

    if (size < 9)
        return 0;
    copy = g_memdup2(data + 1, size - 1);
    footer(copy, size - 1);
    segment_head(copy, size - 1, (data[0] & 2) != 0);
    records(copy, (size - 1) & ~(size_t)7, (data[0] & 1) != 0);
    return 0;
}
