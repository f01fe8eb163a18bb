/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of the index of a folder that nobody uses. LMDB itself is not opened: its file is walked with
 * every page number and length checked, so that a damaged one cannot end the tool, no lock file is
 * made, and a daemon that starts meanwhile is not held up. If one does, nothing of this counts.
 */
#include "hold.h"
#include "le.h"
#include "store.h"
#include "tool.h"

#include <string.h>
#include <unistd.h>

static gboolean
is_table(const char *table, uint32_t len, const char *name)
{
    return len == strlen(name) && memcmp(table, name, len) == 0;
}

static void
bad_row(tool *t, const char *table, uint32_t len, const MDB_val *key)
{
    GString *text = g_string_new("row ");
    for (size_t i = 0; i < MIN(key->mv_size, 24); i++)
        g_string_append_printf(text, "%02x", ((const uint8_t *)key->mv_data)[i]);
    g_string_append_printf(text, " of table %.*s", (int)len, table);
    g_ptr_array_add(t->index.bad, g_string_free(text, FALSE));
}

static bool
take_catalog(tool *t, const MDB_val *key, const MDB_val *value)
{
    sa_cat_entry entry;
    ssize_t len = sa_row_check(key, value);
    return len >= 0 && sa_cat_read(value->mv_data, (size_t)len, &entry)
           && tool_names_read(&t->names, value->mv_data, entry.size, true);
}

static bool
take_chunk(tool *t, const MDB_val *key, const MDB_val *value)
{
    tool_chunk chunk;
    if (!sa_row_chunk(key, value, &chunk.base, &chunk.entry))
        return false;
    g_array_append_val(t->index.chunks, chunk);
    return true;
}

static bool
take_segment(tool *t, const MDB_val *key, const MDB_val *value)
{
    sa_segment *seg = sa_row_segment(key, value);
    if (seg == NULL)
        return false;
    tool_segrow row = { seg->base, seg->last, atomic_load(&seg->end), seg->size, seg->live_bytes,
                        seg->live };
    g_array_append_val(t->index.segments, row);
    sa_seg_free(NULL, seg);
    return true;
}

static bool
take_group(tool *t, const MDB_val *key, const MDB_val *value)
{
    return tool_places_row(t->index.places, key, value);
}

static bool
take_hold(tool *t, const MDB_val *key, const MDB_val *value)
{
    sa_hold_row_value row;
    if (!sa_hold_row_read(key, value, &row))
        return false;
    g_array_append_val(t->index.holds, row);
    return true;
}

static bool
take(void *ctx, const char *table, uint32_t len, const MDB_val *key, const MDB_val *value)
{
    static const struct {
        const char *name;
        bool (*take)(tool *t, const MDB_val *key, const MDB_val *value);
    } tables[] = {
        { "catalog", take_catalog }, { "chunks", take_chunk }, { "segments", take_segment },
        { "groups", take_group },    { "holds", take_hold },
    };
    tool *t = ctx;
    bool good = sa_row_check(key, value) >= 0;
    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++) {
        if (is_table(table, len, tables[i].name))
            good = tables[i].take(t, key, value);
    }
    if (is_table(table, len, "meta"))
        good = t->index.have_meta = sa_row_meta(key, value, &t->index.meta);
    if (!good)
        bad_row(t, table, len, key);
    return true; /* the next one may be good */
}

static gint
by_chunk(gconstpointer a, gconstpointer b)
{
    const sa_entry *x = &((const tool_chunk *)a)->entry, *y = &((const tool_chunk *)b)->entry;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->base < y->base ? -1 : x->base > y->base;
}

static void
make(tool_index *index)
{
    index->chunks = g_array_new(FALSE, FALSE, sizeof(tool_chunk));
    index->segments = g_array_new(FALSE, FALSE, sizeof(tool_segrow));
    index->holds = g_array_new(FALSE, FALSE, sizeof(sa_hold_row_value));
    index->places = tool_places_new();
    index->bad = g_ptr_array_new_with_free_func(g_free);
}

void
tool_index_load(tool *t)
{
    tool_index *index = &t->index;
    g_autofree char *path = g_build_filename(t->path, "index", "data.mdb", NULL);
    make(index);
    /* elsewhere LMDB's file looks different, see rows-check.c */
    if (sizeof(size_t) != 8 || __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ || access(path, F_OK) < 0)
        return;
    index->there = true;
    index->good = sa_rows_walk_file(path, take, t) == 0;
    if (tool_in_use(t)) { /* the daemon started while it was read */
        tool_index_clear(index);
        t->live = true;
        return;
    }
    g_array_sort(index->chunks, by_chunk);
}

void
tool_index_clear(tool_index *index)
{
    g_clear_pointer(&index->chunks, g_array_unref);
    g_clear_pointer(&index->segments, g_array_unref);
    g_clear_pointer(&index->holds, g_array_unref);
    g_clear_pointer(&index->places, g_hash_table_unref);
    g_clear_pointer(&index->bad, g_ptr_array_unref);
    memset(index, 0, sizeof *index);
}
