/* SPDX-License-Identifier: Apache-2.0
 *
 * Footers of the embedded store. Bit 0 of the first byte: the bytes are the end of a file, whose
 * trailer, head and directory get the check sums a writer would have given them, so that only the
 * bounds protect what reads them. Else they say what a footer is made of, which must come back.
 */
#include "catalog.h"
#include "crc32c.h"
#include "footer.h"
#include "format.h"
#include "fuzz.h"
#include "le.h"
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#define SALT 0x5a17u
#define BASE 0x4000000u
#define PLACE 8192u

/* ---- arbitrary bytes with good sums ---- */

static void
sign(uint8_t *file, size_t n)
{
    uint8_t *t = file + n - SA_FOOT_TRAILER;
    uint64_t foot = 8ull * sa_get32(t + 16), dir = 8ull * sa_get32(t + 28);
    uint64_t dir_size = (uint64_t)SA_FOOT_ENTRY * sa_get32(t + 32);
    memcpy(t, "EMSHSEAL", 8);
    if (dir <= n && dir_size <= n - dir)
        sa_put32(t + 36, sa_crc32c(0, file + dir, dir_size));
    if (foot + SA_FOOT_HEAD <= n - SA_FOOT_TRAILER) {
        memcpy(file + foot, "EMSHFOOT", 8);
        sa_put32(file + foot + 60, sa_crc32c(SALT, file + foot, 60));
    }
    if (dir <= n && dir_size <= n - dir) /* the head may lie within it */
        sa_put32(t + 36, sa_crc32c(0, file + dir, dir_size));
    sa_put32(t + 60, sa_crc32c(SALT, t, 60));
}

static void
walk_catalog(const uint8_t *p, size_t n)
{
    sa_cat_entry e;
    while (n > 0 && sa_cat_read(p, n, &e)) {
        g_assert_cmpuint(e.size, >, 0);
        g_assert_cmpuint(e.size, <=, n);
        g_assert_true((const uint8_t *)e.name + e.name_len <= p + e.size);
        p += e.size;
        n -= e.size;
    }
}

static void
walk(const uint8_t *file, size_t n)
{
    sa_trailer t;
    sa_foot_head head;
    if (n < SA_FOOT_TRAILER || !sa_trailer_read(file + n - SA_FOOT_TRAILER, n, SALT, &t))
        return;
    uint64_t foot = 8ull * t.foot, prints = 8ull * t.prints, dir = 8ull * t.dir, cat = 8ull * t.cat;
    g_assert_cmpuint(prints + (uint64_t)SA_FOOT_PRINT * t.n_prints, <=, n);
    g_assert_cmpuint(dir + (uint64_t)SA_FOOT_ENTRY * t.n_dir, <=, n);
    g_assert_cmpuint(cat + t.cat_bytes, <=, n);
    g_assert_cmpuint(foot, <=, n);
    (void)sa_foot_head_read(file + foot, n - foot, SALT, &head);
    for (uint32_t i = 0; i < t.n_prints; i++) {
        sa_print print;
        sa_print_read(file + prints + (size_t)SA_FOOT_PRINT * i, &print);
    }
    walk_catalog(file + cat, t.cat_bytes);
    if (!sa_dir_ok(file + dir, &t))
        return;
    for (uint32_t i = 0; i < t.n_dir; i++) {
        sa_entry e;
        sa_entry_read(file + dir + (size_t)SA_FOOT_ENTRY * i, &e);
        g_assert_cmpuint(8ull * e.index + 4ull * e.count, <=, n);
        (void)sa_crc32c(0, file + 8ull * e.index, 4ull * e.count);
    }
}

/* ---- a footer that is built ---- */

typedef struct made {
    const uint8_t *at, *end;
    sa_entry entries[64];
    uint32_t n;
} made;

static uint32_t
next(made *m)
{
    return m->at < m->end ? *m->at++ : 0;
}

static uint32_t
place_of(uint32_t entry, uint32_t i)
{
    return PLACE / 8 + entry * 977 + i;
}

static void
places(void *ctx, uint32_t entry, uint32_t *out)
{
    made *m = ctx;
    for (uint32_t i = 0; i < m->entries[entry].count; i++)
        out[i] = place_of(entry, i);
}

static void
make_entries(made *m)
{
    uint32_t want = next(m) % G_N_ELEMENTS(m->entries), partition = 0;
    uint64_t offset = 0;
    for (; m->n < want; m->n++) {
        sa_entry *e = &m->entries[m->n];
        uint32_t step = next(m);
        if (step % 3 == 0) {
            partition += 1 + step / 3;
            offset = (uint64_t)next(m) << (step % 60);
        }
        *e = (sa_entry){ .partition = partition, .count = 1 + next(m) % 40, .base = offset,
                         .min_us = step, .max_us = step + 1u, .bytes = 72u * step };
        e->last = e->base + e->count - 1;
        offset = e->last + 2; /* a gap */
    }
}

static void
check_built(const made *m, const sa_foot_spec *spec, const uint8_t *file, size_t n)
{
    sa_trailer t;
    sa_foot_head head;
    g_assert_true(sa_trailer_read(file + n - SA_FOOT_TRAILER, n, SALT, &t));
    g_assert_true(sa_footer_begins(file + PLACE, n - PLACE, BASE + PLACE, SALT));
    g_assert_false(sa_footer_begins(file + PLACE, n - PLACE, BASE + PLACE + 8, SALT));
    g_assert_false(sa_footer_begins(file + PLACE, n - PLACE, BASE + PLACE, SALT + 1));
    g_assert_true(sa_foot_head_read(file + PLACE, n - PLACE, SALT, &head));
    g_assert_cmpuint(head.clock_us, ==, spec->head.clock_us);
    g_assert_cmpuint(head.epoch, ==, spec->head.epoch);
    g_assert_cmpuint(t.n_dir, ==, m->n);
    g_assert_cmpuint(t.cat_bytes, ==, spec->cat_bytes);
    g_assert_true(sa_dir_ok(file + 8ull * t.dir, &t));
    uint32_t records = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        sa_entry e;
        sa_entry_read(file + 8ull * t.dir + (size_t)SA_FOOT_ENTRY * i, &e);
        g_assert_cmpuint(e.partition, ==, m->entries[i].partition);
        g_assert_cmpuint(e.base, ==, m->entries[i].base);
        g_assert_cmpuint(e.bytes, ==, m->entries[i].bytes);
        g_assert_cmphex(e.index_crc, ==, sa_crc32c(0, file + 8ull * e.index, 4ull * e.count));
        for (uint32_t k = 0; k < e.count; k++)
            g_assert_cmpuint(sa_get32(file + 8ull * e.index + 4ull * k), ==, place_of(i, k));
        records += e.count;
    }
    g_assert_cmpuint(t.records, ==, records);
    uint64_t last = 0;
    for (uint32_t i = 0; i < t.n_prints; i++) {
        sa_print print;
        sa_print_read(file + 8ull * t.prints + (size_t)SA_FOOT_PRINT * i, &print);
        g_assert_cmpuint(print.hash, >=, last);
        last = print.hash;
    }
    g_assert_cmpmem(file + 8ull * t.cat, t.cat_bytes, spec->cat, spec->cat_bytes);
}

static void
build(const uint8_t *data, size_t size)
{
    made m = { .at = data, .end = data + size };
    sa_print prints[200];
    uint32_t n_prints;
    make_entries(&m);
    n_prints = next(&m) % G_N_ELEMENTS(prints);
    for (uint32_t i = 0; i < n_prints; i++)
        prints[i] = (sa_print){ (uint64_t)next(&m) << (next(&m) % 57), i };
    size_t cat = MIN((size_t)(m.end - m.at), 1000u) & ~(size_t)7;
    sa_foot_spec spec = {
        .head = { BASE, BASE + PLACE, next(&m), 3, 4 }, .salt = SALT, .entries = m.entries,
        .n_entries = m.n, .places = places, .ctx = &m, .prints = prints, .n_prints = n_prints,
        .cat = data, .cat_bytes = (uint32_t)cat,
    };
    size_t n = 0;
    uint8_t *footer = sa_footer_build(&spec, &n);
    g_assert_nonnull(footer);
    g_autofree uint8_t *file = g_malloc0(PLACE + n);
    memcpy(file + PLACE, footer, n);
    free(footer);
    check_built(&m, &spec, file, PLACE + n);
    walk(file, PLACE + n);
    if (size > 2) { /* one flip in head, directory or trailer is seen */
        sa_trailer t;
        size_t at = PLACE + n - SA_FOOT_TRAILER + data[size - 1] % SA_FOOT_TRAILER;
        file[at] ^= (uint8_t)(1u << (data[size - 2] % 8));
        g_assert_false(sa_trailer_read(file + PLACE + n - SA_FOOT_TRAILER, PLACE + n, SALT, &t));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if ((data[0] & 1) == 0) {
        build(data + 1, size - 1);
        return 0;
    }
    g_autofree uint8_t *copy = g_memdup2(data + 1, size - 1); /* of its own size */
    if ((data[0] & 2) != 0 && size - 1 >= SA_FOOT_HEAD + SA_FOOT_TRAILER)
        sign(copy, size - 1);
    walk(copy, size - 1);
    return 0;
}
