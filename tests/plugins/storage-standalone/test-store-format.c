/* SPDX-License-Identifier: Apache-2.0
 *
 * The pure parts of storage-standalone: check sums, headers, footers, names, hashes. What is in a
 * golden folder (store-test-17) must stay readable; here it is the single pieces.
 */
#include "crc32c.h"
#include "footer.h"
#include "format.h"
#include "hash.h"
#include "index.h"
#include "recovery.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

static void
test_crc(void)
{
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    /* RFC 3720, B.4 */
    static const uint8_t zeros[32];
    uint8_t up[32];
    for (uint8_t i = 0; i < 32; i++)
        up[i] = i;
    g_assert_cmphex(sa_crc32c(0, "123456789", 9), ==, 0xe3069283);
    g_assert_cmphex(sa_crc32c(0, zeros, 32), ==, 0x8a9136aa);
    g_assert_cmphex(sa_crc32c(0, up, 32), ==, 0x46dd794e);
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n < 300; n++)
            g_assert_cmphex(sa_crc32c(7, bytes + from, n), ==, sa_crc32c_soft(7, bytes + from, n));
    }
    g_assert_cmphex(sa_crc32c(sa_crc32c(0, bytes, 100), bytes + 100, 3996), ==,
                    sa_crc32c(0, bytes, 4096));
}

static void
test_hash(void)
{
    /* In every footer and in the placement of every key: these never change. */
    g_assert_cmphex(sa_key_hash("", 0), ==, 0xcbf29ce484222325);
    g_assert_cmphex(sa_key_hash("a", 1), ==, 0xaf63dc4c8601ec8c);
    g_assert_cmphex(sa_fingerprint("/s", 2, "id-1", 4), !=, sa_fingerprint("/si", 3, "d-1", 3));
    g_assert_cmphex(sa_fingerprint("/s", 2, "id-1", 4), ==, sa_fingerprint("/s", 2, "id-1", 4));
    g_assert_cmphex(sa_fingerprint("/source", 7, "0123456789", 10) >> 32, ==,
                    sa_id_print("0123456789", 10));
    g_assert_cmphex(sa_fingerprint("/source", 7, "0123456789", 10), ==, 0xbcbab609300a0ca0);
    g_assert_cmphex(sa_fingerprint_1("/source", 7, "0123456789", 10), ==, 0xac77ed1e1e47ced3);
}

static void
test_names(void)
{
    char name[SA_NAME_MAX];
    uint64_t base;
    bool cleaned;
    sa_seg_name(name, 0x12345678abcdef00, false);
    g_assert_cmpstr(name, ==, "12345678abcdef00.seg");
    g_assert_true(sa_seg_base(name, &base, &cleaned));
    g_assert_cmphex(base, ==, 0x12345678abcdef00);
    g_assert_false(sa_seg_base("12345678ABCDEF00.seg", &base, &cleaned));
    g_assert_false(sa_seg_base("12345678abcdef0.seg", &base, &cleaned));
    g_assert_false(sa_seg_base("12345678abcdef00.seg2", &base, &cleaned));
    g_assert_false(sa_seg_base("c-1.seg", &base, &cleaned));
    sa_seg_name(name, 0x1000, true);
    g_assert_cmpstr(name, ==, "c-0000000000001000.seg");
    g_assert_true(sa_seg_base(name, &base, &cleaned));
    g_assert_true(cleaned);
    g_assert_cmphex(base, ==, 0x1000);
}

static void
test_segment_head(void)
{
    uint8_t page[SA_SEGMENT_HEAD];
    sa_seg_head in = { .major = SA_MAJOR, .minor = 9, .salt = 77, .base = 1 << 20, .created = 5,
                       .epoch = 3, .kind = SA_SEGMENT_CLEANED, .first = (1 << 20) + 4096,
                       .last = 2 << 20, .n_inputs = 2 };
    uint64_t inputs[2] = { 100, 200 };
    sa_seg_head out;
    memset(in.store, 0xab, sizeof in.store);
    sa_seg_head_write(page, &in, inputs);
    g_assert_cmpint(sa_seg_head_read(page, sizeof page, &out), ==, SA_HEAD_OK);
    g_assert_cmpuint(out.minor, ==, 9);
    g_assert_cmpuint(out.salt, ==, 77);
    g_assert_cmpuint(out.last, ==, 2 << 20);
    g_assert_cmpuint(out.n_inputs, ==, 2);
    g_assert_cmpuint(sa_seg_head_input(page, 1), ==, 200);
    g_assert_cmpint(sa_seg_head_read(page, sizeof page - 1, &out), ==, SA_HEAD_CUT);
    for (size_t i = 0; i < sizeof page; i++) {
        page[i] ^= 0x10;
        g_assert_cmpint(sa_seg_head_read(page, sizeof page, &out), ==,
                        i < 8 ? SA_HEAD_FOREIGN : SA_HEAD_DAMAGED);
        page[i] ^= 0x10;
    }
    in.incompat = 0x8000;
    sa_seg_head_write(page, &in, inputs);
    g_assert_cmpint(sa_seg_head_read(page, sizeof page, &out), ==, SA_HEAD_NEW);
    in.incompat = 0;
    in.major = SA_MAJOR + 1;
    sa_seg_head_write(page, &in, inputs);
    g_assert_cmpint(sa_seg_head_read(page, sizeof page, &out), ==, SA_HEAD_NEW);
}

static size_t
put_record(uint8_t *at, uint64_t lsn, const char *body, uint16_t follow)
{
    size_t n = strlen(body);
    sa_rec_head head = { .lsn = lsn, .body = (uint32_t)n, .epoch = 1, .type = SA_EVENT,
                         .follow = follow, .partition = 4, .offset = 9, .time_us = 12 };
    memset(at, 0, sa_rec_size(head.body));
    memcpy(at + SA_RECORD_HEAD, body, n);
    head.body_crc = sa_crc32c(0, at + SA_RECORD_HEAD, sa_pad8(n));
    sa_rec_head_write(at, &head, 42);
    return sa_rec_size(head.body);
}

static void
test_record(void)
{
    uint8_t bytes[1024];
    sa_rec_head head;
    size_t need;
    size_t n = put_record(bytes, 8000, "hello", 0);
    g_assert_cmpuint(n, ==, 72);
    g_assert_cmpint(sa_step_at(bytes, n, 8000, 42, &head, &need), ==, SA_STEP_RECORD);
    g_assert_cmpuint(head.offset, ==, 9);
    g_assert_cmpint(sa_step_at(bytes, n, 8008, 42, &head, &need), ==, SA_STEP_NONE);
    g_assert_cmpint(sa_step_at(bytes, n, 8000, 43, &head, &need), ==, SA_STEP_NONE);
    g_assert_cmpint(sa_step_at(bytes, n - 1, 8000, 42, &head, &need), ==, SA_STEP_MORE);
    g_assert_cmpuint(need, ==, 72);
    g_assert_cmpint(sa_step_at(bytes, 63, 8000, 42, &head, &need), ==, SA_STEP_MORE);
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            g_assert_cmpint(sa_step_at(bytes, n, 8000, 42, &head, &need), ==,
                            i < SA_RECORD_HEAD ? SA_STEP_NONE : SA_STEP_BAD_BODY);
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
}

static void
places(void *ctx, uint32_t entry, uint32_t *out)
{
    uint32_t n = ((const sa_entry *)ctx)[entry].count;
    for (uint32_t i = 0; i < n; i++)
        out[i] = 512 + entry * 100 + i;
}

static void
test_footer(void)
{
    sa_entry entries[2] = { { .partition = 1, .count = 3, .base = 10, .last = 12, .min_us = 1,
                              .max_us = 2, .bytes = 300 },
                            { .partition = 2, .count = 1, .base = 0, .last = 0 } };
    sa_print prints[3] = { { 30, 514 }, { 10, 512 }, { 20, 513 } };
    sa_foot_spec spec = { .head = { .base = 1 << 20, .lsn = (1 << 20) + 8192, .clock_us = 99,
                                    .epoch = 2 },
                          .salt = 5, .entries = entries, .n_entries = 2, .places = places,
                          .ctx = entries, .prints = prints, .n_prints = 3,
                          .cat = (const uint8_t *)"catalog!", .cat_bytes = 8 };
    size_t size;
    uint8_t *foot = sa_footer_build(&spec, &size);
    sa_trailer t;
    sa_foot_head head;
    g_assert_true(sa_footer_begins(foot, size, (1 << 20) + 8192, 5));
    g_assert_false(sa_footer_begins(foot, size, (1 << 20) + 8200, 5));
    g_assert_true(sa_foot_head_read(foot, size, 5, &head));
    g_assert_cmpuint(head.clock_us, ==, 99);
    uint64_t file = 8192 + size;
    const uint8_t *trailer = foot + size - SA_FOOT_TRAILER;
    g_assert_true(sa_trailer_read(trailer, file, 5, &t));
    g_assert_false(sa_trailer_read(trailer, file + 8, 5, &t));
    g_assert_cmpuint(t.records, ==, 4);
    g_assert_cmpuint(t.n_prints, ==, 3);
    uint8_t *dir = foot + 8 * t.dir - 8192;
    g_assert_true(sa_dir_ok(dir, &t));
    sa_entry e;
    sa_entry_read(dir, &e);
    g_assert_cmpuint(e.last, ==, 12);
    const uint8_t *vector = foot + 8 * e.index - 8192;
    g_assert_cmpuint(sa_get32(vector + 8), ==, 514);
    g_assert_cmphex(sa_crc32c(0, vector, 12), ==, e.index_crc);
    sa_print print;
    sa_print_read(foot + 8 * t.prints - 8192, &print);
    g_assert_cmpuint(print.hash, ==, 10);
    dir[3] ^= 1;
    g_assert_false(sa_dir_ok(dir, &t));
    free(foot);
}

/* Numbers of a growing vector: block and place of each follow those of the one before. */
static void
test_vector(void)
{
    uint32_t at, block = 0, next = 0;
    for (uint32_t i = 0; i < 4000000; i++) {
        uint32_t k = sa_vec_block(i, &at);
        if (next == SA_VEC_FIRST << (2 * block)) {
            block++;
            next = 0;
        }
        g_assert_cmpuint(k, ==, block);
        g_assert_cmpuint(at, ==, next++);
    }
}

/* The page about the format has the numbers of the code. */
static void
test_page(void)
{
    g_autofree char *path = g_build_filename(g_getenv("EMESH_SOURCE"), "doc", "store-format.md", NULL);
    g_autofree char *page = NULL;
    g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
    char *wanted[] = {
        g_strdup_printf("format %u.%u", SA_MAJOR, SA_MINOR),
        g_strdup_printf("Segment header, %u B", SA_SEGMENT_HEAD),
        g_strdup_printf("Record: header of %u B", SA_RECORD_HEAD),
        g_strdup_printf("0x%x, in the file", SA_RECORD_MAGIC),
        g_strdup_printf("bytes of the body, \342\211\244 %u MiB", SA_RECORD_MAX >> 20),
        g_strdup_printf("1 EVENT, 2 COMMIT, 3 HOLD, 4 HOLD_DONE, 5 CATALOG, %d START", SA_START),
        g_strdup_printf("- %u CLOSE", SA_REC_CLOSE),
        g_strdup_printf("- %u JOINED", SA_REC_JOINED),
        g_strdup_printf("a head of %u B", SA_HOLD_HEAD),
        g_strdup_printf("Head, %u B: `EMSHFOOT`", SA_FOOT_HEAD),
        g_strdup_printf("Fingerprints, %u B each", SA_FOOT_PRINT),
        g_strdup_printf("Directory, %u B an entry", SA_FOOT_ENTRY),
        g_strdup_printf("Trailer, %u B: `EMSHSEAL`", SA_FOOT_TRAILER),
    };
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
        if (strstr(page, wanted[i]) == NULL)
            g_error("doc/store-format.md does not say: %s", wanted[i]);
        g_free(wanted[i]);
    }
}

/* Rows of 1.0 are shorter, rows of a version to come may be longer. */
static void
test_rows(void)
{
    uint8_t k[8] = { 0, 0, 0, 0, 0, 1, 0, 0 }, v[100] = { 0 };
    static const struct {
        size_t len;
        bool good, tokens;
    } cases[] = { { 40, false, false }, { 48, true, false }, { 80, true, true }, { 96, true, true } };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t len = cases[i].len;
        sa_put64(v, 0x20000);
        sa_put64(v + 40, 4711);
        if (cases[i].tokens)
            sa_put64(v + 56, 7);
        sa_put32(v + len, sa_crc32c(sa_crc32c(0, k, sizeof k), v, len));
        MDB_val key = { sizeof k, k }, value = { len + 4, v };
        sa_segment *seg = sa_row_segment(&key, &value);
        g_assert_cmpint(seg != NULL, ==, cases[i].good);
        if (seg != NULL) {
            g_assert_cmphex(seg->base, ==, 0x10000);
            g_assert_cmpuint(seg->size, ==, 4711);
            g_assert_cmpuint(seg->holds.last, ==, cases[i].tokens ? 7 : 0);
            sa_seg_free(NULL, seg);
        }
        v[3] ^= 1;
        g_assert_null(sa_row_segment(&key, &value));
        memset(v, 0, sizeof v);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-format/crc", test_crc);
    g_test_add_func("/store-format/hash", test_hash);
    g_test_add_func("/store-format/names", test_names);
    g_test_add_func("/store-format/segment-head", test_segment_head);
    g_test_add_func("/store-format/record", test_record);
    g_test_add_func("/store-format/footer", test_footer);
    g_test_add_func("/store-format/vector", test_vector);
    g_test_add_func("/store-format/rows", test_rows);
    g_test_add_func("/store-format/page", test_page);
    return g_test_run();
}
