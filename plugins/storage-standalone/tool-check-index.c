/* SPDX-License-Identifier: Apache-2.0
 *
 * check, the index: its file, its rows, and whether they say what the footers and records of the log
 * say. The index can be made anew from the log, so nothing here is lost; it costs a slow start.
 */
#include "groups.h"
#include "hold.h"
#include "tool.h"

#include <string.h>
#include <unistd.h>

static void damaged(tool *t, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
damaged(tool *t, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    tool_damaged(t, &(tool_damage){ .what = "index", .text = text });
}

static tool_file *
file_of(const tool *t, uint64_t base)
{
    guint low = 0, high = t->files->len;
    while (low < high) {
        guint mid = (low + high) / 2;
        if (((const tool_file *)t->files->pdata[mid])->base < base)
            low = mid + 1;
        else
            high = mid;
    }
    tool_file *f = low < t->files->len ? t->files->pdata[low] : NULL;
    return f != NULL && f->base == base ? f : NULL;
}

/* Rows are sorted by base. */
static const tool_segrow *
row_of(const tool *t, uint64_t base)
{
    guint low = 0, high = t->index.segments->len;
    while (low < high) {
        guint mid = (low + high) / 2;
        if (g_array_index(t->index.segments, tool_segrow, mid).base < base)
            low = mid + 1;
        else
            high = mid;
    }
    const tool_segrow *row = low < t->index.segments->len
                                 ? &g_array_index(t->index.segments, tool_segrow, low) : NULL;
    return row != NULL && row->base == base ? row : NULL;
}

static void
check_segments(tool *t)
{
    for (guint i = 0; i < t->index.segments->len; i++) {
        const tool_segrow *row = &g_array_index(t->index.segments, tool_segrow, i);
        const tool_file *f = file_of(t, row->base);
        if (g_hash_table_contains(t->replaced, &row->base))
            continue; /* the index is older than the cleaning: the next start tells it */
        if (f == NULL)
            damaged(t, "file log/%016" G_GINT64_MODIFIER "x.seg is missing: its events are gone",
                    row->base);
        else if (f->size < row->size)
            tool_damaged(t, &(tool_damage){ .what = "file", .f = f, .place = f->size,
                                            .size = row->size - f->size,
                                            .text = "the file is cut here" });
        else if (!f->sealed && f->size == f->last - f->base) /* another size is told of already */
            tool_damaged(t, &(tool_damage){ .what = "footer", .f = f, .place = f->end - f->base,
                                            .size = f->size - (f->end - f->base),
                                            .text = "the end of its footer is damaged" });
        else if (f->sealed && (f->size != row->size || f->end != row->end))
            damaged(t, "the row of log/%s says another size or end than the file", f->name);
    }
}

static const tool_chunk *
chunk_of(const tool *t, uint32_t partition, uint64_t base)
{
    guint low = 0, high = t->index.chunks->len;
    while (low < high) {
        guint mid = (low + high) / 2;
        const sa_entry *e = &g_array_index(t->index.chunks, tool_chunk, mid).entry;
        if (e->partition < partition || (e->partition == partition && e->base < base))
            low = mid + 1;
        else
            high = mid;
    }
    const tool_chunk *chunk = low < t->index.chunks->len
                                  ? &g_array_index(t->index.chunks, tool_chunk, low) : NULL;
    return chunk != NULL && chunk->entry.partition == partition && chunk->entry.base == base
               ? chunk : NULL;
}

static bool
same(const sa_entry *a, const sa_entry *b)
{
    return a->last == b->last && a->count == b->count && a->index == b->index
           && a->index_crc == b->index_crc && a->bytes == b->bytes && a->min_us == b->min_us
           && a->max_us == b->max_us && a->clock_us == b->clock_us;
}

/* Entries of one file against their rows. Returns how many rows are of it. */
static guint
check_directory(tool *t, tool_file *f)
{
    uint32_t n = 0;
    guint rows = 0;
    g_autofree sa_entry *dir = tool_dir_load(t, f, &n);
    for (uint32_t i = 0; i < n; i++) {
        const sa_entry *e = &dir[i];
        const tool_part *part = tool_names_find(&t->names, e->partition);
        const tool_chunk *chunk = e->partition != 0 ? chunk_of(t, e->partition, e->base) : NULL;
        g_autofree char *name = tool_part_text(t, e->partition);
        if (chunk != NULL && chunk->base == f->base) {
            rows++;
            if (!same(&chunk->entry, e))
                damaged(t, "the row of %s, offsets %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                        " differs from the footer of log/%s", name, e->base, e->last, f->name);
        } else if (e->partition != 0 && part != NULL && part->topic != NULL
                   && !part->topic->deleted && e->last >= part->first) {
            damaged(t, "there is no row for %s, offsets %" G_GUINT64_FORMAT " to %"
                    G_GUINT64_FORMAT " in log/%s", name, e->base, e->last, f->name);
        }
    }
    return rows;
}

static void
check_chunks(tool *t)
{
    guint good = 0, readable = 0;
    for (guint i = 0; i < t->files->len; i++) {
        tool_file *f = t->files->pdata[i];
        if (f->sealed && !f->unused && row_of(t, f->base) != NULL)
            good += check_directory(t, f);
    }
    for (guint i = 0; i < t->index.chunks->len; i++) {
        const tool_chunk *chunk = &g_array_index(t->index.chunks, tool_chunk, i);
        const tool_file *f = file_of(t, chunk->base);
        readable += f != NULL && f->sealed && !f->unused && row_of(t, chunk->base) != NULL;
        if (f != NULL && row_of(t, chunk->base) == NULL)
            damaged(t, "log/%s has rows of events and none of its own", f->name);
    }
    if (readable > good)
        damaged(t, "%u rows of events are in no footer", readable - good);
}

/* Each row leads to a HOLD of its token. */
static void
check_holds(tool *t, const tool_done *done)
{
    for (guint i = 0; i < t->index.holds->len; i++) {
        sa_hold_row_value *row = &g_array_index(t->index.holds, sa_hold_row_value, i);
        tool_file *f = tool_file_at(t, row->lsn);
        uint8_t raw[SA_RECORD_HEAD];
        sa_rec_head head = { 0 };
        if (g_hash_table_contains(done->tokens, &row->token))
            continue; /* the next checkpoint takes it out */
        bool good = f != NULL && tool_file_open(t, f)
                    && sa_read_all(&sa_io_posix, f->fd, raw, sizeof raw, row->lsn - f->base)
                           == (ssize_t)sizeof raw
                    && sa_rec_head_read(raw, sizeof raw, row->lsn, t->salt, &head)
                    && head.type == SA_HOLD && head.offset == row->token;
        if (i + 1 == t->index.holds->len
            || tool_file_at(t, g_array_index(t->index.holds, sa_hold_row_value, i + 1).lsn) != f) {
            if (f != NULL)
                tool_file_close(f);
        }
        g_autofree char *name = tool_part_text(t, row->partition);
        if (!good)
            damaged(t, "the held event %" G_GUINT64_FORMAT " of %s is not at LSN %016"
                    G_GINT64_MODIFIER "x", row->token, name, row->lsn);
    }
}

static void
check_meta(tool *t)
{
    const sa_meta *meta = &t->index.meta;
    if (!t->index.have_meta) {
        damaged(t, "it does not say whose it is");
        return;
    }
    if (meta->salt != t->salt || memcmp(meta->id, t->id, sizeof t->id) != 0)
        damaged(t, "it belongs to another log");
    else if (meta->applied > t->top)
        damaged(t, "it is ahead of the log: %016" G_GINT64_MODIFIER "x against %016"
                G_GINT64_MODIFIER "x", meta->applied, t->top);
    if (meta->clean == 0)
        tool_note(t, NULL, "the daemon did not end in order: the next start looks at the end of "
                  "the log");
}

void
tool_check_index(tool *t, const tool_done *done)
{
    const tool_index *index = &t->index;
    if (!index->there) {
        tool_note(t, NULL, "there is no index: the next start makes it from the log");
        return;
    }
    for (guint i = 0; i < index->bad->len; i++)
        damaged(t, "%s is damaged", (const char *)index->bad->pdata[i]);
    if (!index->good) {
        damaged(t, "index/data.mdb does not hold together; the next start sets it aside and makes "
                "it from the log");
        return;
    }
    check_meta(t);
    check_segments(t);
    check_chunks(t);
    check_holds(t, done);
}
