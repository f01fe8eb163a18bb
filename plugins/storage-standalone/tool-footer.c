/* SPDX-License-Identifier: Apache-2.0
 *
 * The footer of one file in memory: 16 bytes a record at most, so that records can be held against
 * it as they are read.
 */
#include "tool.h"

#include "crc32c.h"
#include "le.h"
#include <string.h>

static bool
vectors_ok(const tool_footer *footer)
{
    for (uint32_t i = 0; i < footer->t.n_dir; i++) {
        const sa_entry *e = &footer->dir[i];
        if (sa_crc32c(0, footer->block + (8ull * e->index - footer->place), 4ull * e->count)
            != e->index_crc)
            return false;
    }
    return true;
}

/* Entries by partition and offset, prints by hash: what look-ups rely on. */
static bool
sorted(const tool_footer *footer)
{
    const sa_trailer *t = &footer->t;
    const uint8_t *prints = footer->block + (8ull * t->prints - footer->place);
    for (uint32_t i = 1; i < t->n_dir; i++) {
        const sa_entry *a = &footer->dir[i - 1], *b = &footer->dir[i];
        if (a->partition > b->partition || (a->partition == b->partition && a->last >= b->base))
            return false;
    }
    for (uint32_t i = 1; i < t->n_prints; i++) {
        if (sa_get64(prints + 12ull * (i - 1)) > sa_get64(prints + 12ull * i))
            return false;
    }
    return true;
}

static const char *
check_parts(const tool_file *f, tool_footer *footer)
{
    const sa_trailer *tr = &footer->t;
    const uint8_t *prints = footer->block + (8ull * tr->prints - footer->place);
    const uint8_t *cat = footer->block + (8ull * tr->cat - footer->place);
    tool_names names;
    bool order = sorted(footer);
    footer->places_ok = order && vectors_ok(footer);
    footer->prints_ok = order
                        && sa_crc32c(0, prints, (size_t)SA_FOOT_PRINT * tr->n_prints)
                               == tr->prints_crc;
    tool_names_init(&names);
    bool entries = sa_crc32c(0, cat, tr->cat_bytes) == tr->cat_crc
                   && tool_names_read(&names, cat, tr->cat_bytes, true);
    tool_names_clear(&names);
    if (!order)
        return "its footer is not in order";
    if (!footer->places_ok)
        return "the places of records in its footer are damaged";
    if (!footer->prints_ok)
        return "the fingerprints in its footer are damaged";
    if (!entries)
        return "the catalogue in its footer is damaged";
    return f->foot_ok ? NULL : "the head of its footer is damaged";
}

sa_entry *
tool_dir_load(tool *t, tool_file *f, uint32_t *n)
{
    const sa_trailer *tr = &f->trailer;
    size_t size = (size_t)SA_FOOT_ENTRY * tr->n_dir;
    g_autofree uint8_t *raw = f->sealed ? g_try_malloc(size + 1) : NULL;
    *n = 0;
    if (raw == NULL || !tool_file_open(t, f))
        return NULL;
    bool good = sa_read_all(&sa_io_posix, f->fd, raw, size, 8ull * tr->dir) == (ssize_t)size
                && sa_dir_ok(raw, tr);
    tool_file_close(f);
    if (!good)
        return NULL;
    sa_entry *dir = g_new(sa_entry, tr->n_dir + 1u);
    for (uint32_t i = 0; i < tr->n_dir; i++)
        sa_entry_read(raw + (size_t)SA_FOOT_ENTRY * i, &dir[i]);
    *n = tr->n_dir;
    return dir;
}

const char *
tool_footer_load(tool *t, tool_file *f, tool_footer *footer)
{
    const sa_trailer *tr = &f->trailer;
    uint64_t place = 8ull * tr->foot;
    size_t n = (size_t)(f->size - place);
    *footer = (tool_footer){ .place = place, .t = *tr };
    if (!tool_file_open(t, f))
        return f->gone ? NULL : "its footer cannot be read";
    footer->block = g_try_malloc(n + 1);
    bool read = footer->block != NULL
                && sa_read_all(&sa_io_posix, f->fd, footer->block, n, place) == (ssize_t)n;
    tool_file_close(f);
    const uint8_t *dir = footer->block != NULL ? footer->block + (8ull * tr->dir - place) : NULL;
    if (!read || !sa_dir_ok(dir, tr)) {
        g_clear_pointer(&footer->block, g_free);
        footer->t.n_dir = footer->t.n_prints = 0;
        return read ? "the directory in its footer is damaged" : "its footer cannot be read";
    }
    footer->dir = g_new(sa_entry, tr->n_dir + 1u);
    for (uint32_t i = 0; i < tr->n_dir; i++)
        sa_entry_read(dir + (size_t)SA_FOOT_ENTRY * i, &footer->dir[i]);
    return check_parts(f, footer);
}

void
tool_footer_clear(tool_footer *footer)
{
    g_free(footer->block);
    g_free(footer->dir);
    memset(footer, 0, sizeof *footer);
}

uint32_t
tool_footer_place8(const tool_footer *footer, uint32_t entry, uint32_t i)
{
    return sa_get32(footer->block + (8ull * footer->dir[entry].index - footer->place) + 4ull * i);
}

uint32_t
tool_footer_find(const tool_footer *footer, uint32_t partition, uint64_t offset)
{
    uint32_t low = 0, high = footer->t.n_dir;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        const sa_entry *e = &footer->dir[mid];
        if (e->partition < partition || (e->partition == partition && e->last < offset))
            low = mid + 1;
        else
            high = mid;
    }
    const sa_entry *e = low < footer->t.n_dir ? &footer->dir[low] : NULL;
    return e != NULL && e->partition == partition && e->base <= offset ? low : footer->t.n_dir;
}

bool
tool_footer_print(const tool_footer *footer, uint64_t hash, uint32_t place8)
{
    const uint8_t *prints = footer->block + (8ull * footer->t.prints - footer->place);
    uint32_t low = 0, high = footer->t.n_prints;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (sa_get64(prints + 12ull * mid) < hash)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < footer->t.n_prints; low++) {
        sa_print print;
        sa_print_read(prints + 12ull * low, &print);
        if (print.hash != hash)
            return false;
        if (print.place8 == place8)
            return true;
    }
    return false;
}
