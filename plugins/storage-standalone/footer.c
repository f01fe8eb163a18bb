/* SPDX-License-Identifier: Apache-2.0
 *
 * See footer.h: builds and reads footers.
 */
#include "footer.h"

#include "crc32c.h"
#include "le.h"
#include <stdlib.h>

static const char head_magic[8] = { 'E', 'M', 'S', 'H', 'F', 'O', 'O', 'T' };
static const char seal_magic[8] = { 'E', 'M', 'S', 'H', 'S', 'E', 'A', 'L' };

static void
foot_head_write(uint8_t *p, const sa_foot_head *head, uint32_t salt)
{
    memset(p, 0, SA_FOOT_HEAD);
    memcpy(p, head_magic, sizeof head_magic);
    sa_put64(p + 8, head->base);
    sa_put64(p + 16, head->lsn);
    sa_put64(p + 24, head->clock_us);
    sa_put64(p + 32, head->wall_us);
    sa_put32(p + 40, head->epoch);
    sa_put32(p + 44, 1);
    sa_put32(p + SA_FOOT_HEAD - 4, sa_crc32c(salt, p, SA_FOOT_HEAD - 4));
}

bool
sa_foot_head_read(const uint8_t *p, size_t n, uint32_t salt, sa_foot_head *head)
{
    if (n < SA_FOOT_HEAD || memcmp(p, head_magic, sizeof head_magic) != 0
        || sa_get32(p + SA_FOOT_HEAD - 4) != sa_crc32c(salt, p, SA_FOOT_HEAD - 4))
        return false;
    head->base = sa_get64(p + 8);
    head->lsn = sa_get64(p + 16);
    head->clock_us = sa_get64(p + 24);
    head->wall_us = sa_get64(p + 32);
    head->epoch = sa_get32(p + 40);
    return true;
}

bool
sa_footer_begins(const uint8_t *p, size_t n, uint64_t lsn, uint32_t salt)
{
    sa_foot_head head;
    return sa_foot_head_read(p, n, salt, &head) && head.lsn == lsn;
}

static void
trailer_write(uint8_t *p, const sa_trailer *t, uint32_t salt)
{
    memcpy(p, seal_magic, sizeof seal_magic);
    sa_put64(p + 8, t->base);
    sa_put32(p + 16, t->foot);
    sa_put32(p + 20, t->prints);
    sa_put32(p + 24, t->n_prints);
    sa_put32(p + 28, t->dir);
    sa_put32(p + 32, t->n_dir);
    sa_put32(p + 36, t->dir_crc);
    sa_put32(p + 40, t->cat);
    sa_put32(p + 44, t->cat_bytes);
    sa_put32(p + 48, t->cat_crc);
    sa_put32(p + 52, t->prints_crc);
    sa_put32(p + 56, t->records);
    sa_put32(p + 60, sa_crc32c(salt, p, SA_FOOT_TRAILER - 4));
}

bool
sa_trailer_read(const uint8_t *p, uint64_t size, uint32_t salt, sa_trailer *t)
{
    if (size < SA_FOOT_HEAD + SA_FOOT_TRAILER || memcmp(p, seal_magic, sizeof seal_magic) != 0
        || sa_get32(p + 60) != sa_crc32c(salt, p, SA_FOOT_TRAILER - 4))
        return false;
    t->base = sa_get64(p + 8);
    t->foot = sa_get32(p + 16);
    t->prints = sa_get32(p + 20);
    t->n_prints = sa_get32(p + 24);
    t->dir = sa_get32(p + 28);
    t->n_dir = sa_get32(p + 32);
    t->dir_crc = sa_get32(p + 36);
    t->cat = sa_get32(p + 40);
    t->cat_bytes = sa_get32(p + 44);
    t->cat_crc = sa_get32(p + 48);
    t->prints_crc = sa_get32(p + 52);
    t->records = sa_get32(p + 56);
    uint64_t prints = 8ull * t->prints + (uint64_t)SA_FOOT_PRINT * t->n_prints;
    uint64_t dir = 8ull * t->dir + (uint64_t)SA_FOOT_ENTRY * t->n_dir;
    uint64_t cat = 8ull * t->cat + t->cat_bytes;
    return t->foot <= t->prints && prints <= 8ull * t->dir && dir <= 8ull * t->cat
           && sa_pad8(cat) + SA_FOOT_TRAILER == size;
}

void
sa_entry_read(const uint8_t *p, sa_entry *e)
{
    e->partition = sa_get32(p);
    e->count = sa_get32(p + 4);
    e->base = sa_get64(p + 8);
    e->last = sa_get64(p + 16);
    e->min_us = sa_get64(p + 24);
    e->max_us = sa_get64(p + 32);
    e->index = sa_get32(p + 40);
    e->index_crc = sa_get32(p + 44);
    e->bytes = sa_get64(p + 48);
    e->clock_us = sa_get64(p + 56);
}

static void
entry_write(uint8_t *p, const sa_entry *e)
{
    sa_put32(p, e->partition);
    sa_put32(p + 4, e->count);
    sa_put64(p + 8, e->base);
    sa_put64(p + 16, e->last);
    sa_put64(p + 24, e->min_us);
    sa_put64(p + 32, e->max_us);
    sa_put32(p + 40, e->index);
    sa_put32(p + 44, e->index_crc);
    sa_put64(p + 48, e->bytes);
    sa_put64(p + 56, e->clock_us);
}

void
sa_print_read(const uint8_t *p, sa_print *print)
{
    print->hash = sa_get64(p);
    print->place8 = sa_get32(p + 8);
}

bool
sa_dir_ok(const uint8_t *p, const sa_trailer *t)
{
    if (sa_crc32c(0, p, (size_t)t->n_dir * SA_FOOT_ENTRY) != t->dir_crc)
        return false;
    for (uint32_t i = 0; i < t->n_dir; i++) {
        sa_entry e;
        sa_entry_read(p + (size_t)i * SA_FOOT_ENTRY, &e);
        if (e.count == 0 || e.last - e.base != e.count - 1u || e.index < t->foot
            || 8ull * e.index + 4ull * e.count > 8ull * t->prints)
            return false;
    }
    return true;
}

static bool
before(const sa_print *x, const sa_print *y)
{
    return x->hash != y->hash ? x->hash < y->hash : x->place8 < y->place8;
}

static int
by_hash(const void *a, const void *b)
{
    return before(a, b) ? -1 : before(b, a);
}

/* Few by insertion; many only when somebody chose ids for it. */
static void
sort_shelf(sa_print *prints, uint32_t n)
{
    if (n > 32) {
        qsort(prints, n, sizeof *prints, by_hash);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        sa_print one = prints[i];
        uint32_t at = i;
        for (; at > 0 && before(&one, &prints[at - 1]); at--)
            prints[at] = prints[at - 1];
        prints[at] = one;
    }
}

#define SA_FEW 4096u

/* By hash, and by place among equals: put on shelves by their first 16 bits, or 8, where few meet. */
static bool
sort_prints(sa_print *prints, uint32_t n)
{
    uint32_t shift = n > SA_FEW ? 48 : 56, shelves = 1u << (64 - shift);
    uint32_t *start = calloc(shelves + 1, sizeof *start);
    sa_print *sorted = malloc(n * sizeof *sorted);
    if (start == NULL || sorted == NULL) {
        free(start);
        free(sorted);
        return false;
    }
    for (uint32_t i = 0; i < n; i++)
        start[(prints[i].hash >> shift) + 1]++;
    for (uint32_t k = 0; k < shelves; k++)
        start[k + 1] += start[k];
    for (uint32_t i = 0; i < n; i++)
        sorted[start[prints[i].hash >> shift]++] = prints[i];
    /* start[k] is where shelf k ends now */
    for (uint32_t k = 0, from = 0; k < shelves; from = start[k++])
        sort_shelf(sorted + from, start[k] - from);
    memcpy(prints, sorted, n * sizeof *prints);
    free(start);
    free(sorted);
    return true;
}

/* Vectors of all entries behind at; returns the place behind them. */
static size_t
put_vectors(sa_foot_spec *spec, uint8_t *block, size_t at, uint64_t place0, uint32_t *scratch)
{
    for (uint32_t i = 0; i < spec->n_entries; i++) {
        sa_entry *e = &spec->entries[i];
        spec->places(spec->ctx, i, scratch);
        for (uint32_t k = 0; k < e->count; k++)
            sa_put32(block + at + 4ull * k, scratch[k]);
        e->index = (uint32_t)((place0 + at) / 8);
        e->index_crc = sa_crc32c(0, block + at, 4ull * e->count);
        at += sa_pad8(4ull * e->count);
    }
    return at;
}

uint8_t *
sa_footer_build(sa_foot_spec *spec, size_t *size)
{
    uint64_t place0 = spec->head.lsn - spec->head.base;
    size_t vectors = 0, most = 0;
    uint32_t records = 0;
    for (uint32_t i = 0; i < spec->n_entries; i++) {
        uint32_t count = spec->entries[i].count;
        vectors += sa_pad8(4ull * count);
        most = count > most ? count : most;
        records += count;
    }
    size_t prints = SA_FOOT_HEAD + vectors;
    size_t dir = prints + sa_pad8((size_t)SA_FOOT_PRINT * spec->n_prints);
    size_t cat = dir + (size_t)SA_FOOT_ENTRY * spec->n_entries;
    *size = cat + sa_pad8(spec->cat_bytes) + SA_FOOT_TRAILER;
    uint8_t *block = calloc(1, *size);
    uint32_t *scratch = malloc(4 * (most + 1));
    if (block == NULL || scratch == NULL
        || (spec->n_prints > 0 && !sort_prints(spec->prints, spec->n_prints))) {
        free(block);
        free(scratch);
        return NULL;
    }
    foot_head_write(block, &spec->head, spec->salt);
    put_vectors(spec, block, SA_FOOT_HEAD, place0, scratch);
    free(scratch);
    for (uint32_t i = 0; i < spec->n_prints; i++) {
        sa_put64(block + prints + (size_t)SA_FOOT_PRINT * i, spec->prints[i].hash);
        sa_put32(block + prints + (size_t)SA_FOOT_PRINT * i + 8, spec->prints[i].place8);
    }
    for (uint32_t i = 0; i < spec->n_entries; i++)
        entry_write(block + dir + (size_t)SA_FOOT_ENTRY * i, &spec->entries[i]);
    if (spec->cat_bytes > 0)
        memcpy(block + cat, spec->cat, spec->cat_bytes);
    sa_trailer t = {
        .base = spec->head.base, .foot = (uint32_t)(place0 / 8),
        .prints = (uint32_t)((place0 + prints) / 8), .n_prints = spec->n_prints,
        .dir = (uint32_t)((place0 + dir) / 8), .n_dir = spec->n_entries,
        .dir_crc = sa_crc32c(0, block + dir, (size_t)SA_FOOT_ENTRY * spec->n_entries),
        .cat = (uint32_t)((place0 + cat) / 8), .cat_bytes = spec->cat_bytes,
        .cat_crc = sa_crc32c(0, block + cat, spec->cat_bytes),
        .prints_crc = sa_crc32c(0, block + prints, (size_t)SA_FOOT_PRINT * spec->n_prints),
        .records = records,
    };
    trailer_write(block + *size - SA_FOOT_TRAILER, &t, spec->salt);
    return block;
}
