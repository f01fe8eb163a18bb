/* SPDX-License-Identifier: Apache-2.0
 *
 * check: every file of the log, then the index. What it finds is printed as it is found; the exit
 * code tells whether anything was.
 */
#include "tool.h"

#include <string.h>

/* "event, topic orders, partition 0, offset 42" */
static char *
record_text(const tool *t, const tool_damage *d)
{
    GString *text = g_string_new(tool_type_name(d->type) != NULL ? tool_type_name(d->type)
                                                                : "record");
    if (d->partition != 0) {
        g_autofree char *part = tool_part_text(t, d->partition);
        g_string_append_printf(text, ", %s", part);
    }
    if (d->type == SA_EVENT)
        g_string_append_printf(text, ", offset %" G_GUINT64_FORMAT, d->offset);
    if (d->type == SA_HOLD || d->type == SA_HOLD_DONE)
        g_string_append_printf(text, ", token %" G_GUINT64_FORMAT, d->offset);
    return g_string_free(text, FALSE);
}

static void
damage_row(tool *t, const tool_damage *d)
{
    const tool_part *part = tool_names_find(&t->names, d->partition);
    GString *row = tool_row("damage");
    tool_row_text(row, "what", d->what);
    tool_row_text(row, "text", d->text);
    if (d->f != NULL) {
        tool_row_text(row, "file", d->f->name);
        tool_row_count(row, "place", d->place);
        tool_row_count(row, "lsn", d->f->base + d->place);
        tool_row_count(row, "size", d->size);
    }
    if (d->record) {
        tool_row_text(row, "type", tool_type_name(d->type));
        if (d->partition != 0 && part != NULL && part->topic != NULL) {
            tool_row_text(row, "topic", part->topic->name);
            tool_row_count(row, "partition", part->number);
        }
        if (d->partition != 0)
            tool_row_count(row, "partition_id", d->partition);
        if (d->type == SA_EVENT)
            tool_row_count(row, "offset", d->offset);
        if (d->type == SA_HOLD || d->type == SA_HOLD_DONE)
            tool_row_count(row, "token", d->offset);
    }
    tool_row_end(t, row);
}

void
tool_damaged(tool *t, const tool_damage *d)
{
    t->damages++;
    tool_bar_hide(t);
    if (t->opt.json) {
        damage_row(t, d);
        return;
    }
    fputs("damage  ", t->out);
    if (d->f != NULL)
        fprintf(t->out, "log/%s byte %" G_GUINT64_FORMAT " (LSN %016" G_GINT64_MODIFIER "x): ",
                d->f->name, d->place, d->f->base + d->place);
    else
        fputs("index: ", t->out);
    if (d->record) {
        g_autofree char *record = record_text(t, d);
        fprintf(t->out, "%s: ", record);
    }
    fprintf(t->out, "%s\n", d->text);
}

void
tool_note(tool *t, const tool_file *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    t->notes++;
    tool_bar_hide(t);
    if (t->opt.json) {
        GString *row = tool_row("note");
        if (f != NULL)
            tool_row_text(row, "file", f->name);
        tool_row_text(row, "text", text);
        tool_row_end(t, row);
    } else if (!t->opt.quiet) {
        fprintf(t->out, "note    %s%s%s%s\n", f != NULL ? "log/" : "", f != NULL ? f->name : "",
                f != NULL ? ": " : "", text);
    }
}

static void
tell_quarantine(tool *t)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    guint n = tool_quarantine(t, cells);
    for (guint i = 0; i < cells->len; i += 2)
        tool_note(t, NULL, "quarantine/%s, %s: set aside by an earlier start",
                  (const char *)cells->pdata[i], (const char *)cells->pdata[i + 1]);
    t->notes += t->opt.json ? n : 0;
}

static void
tell_sum(tool *t, const tool_sum *sum, uint64_t bytes, guint gone)
{
    if (t->opt.json) {
        GString *row = tool_row("summary");
        tool_row_text(row, "folder", t->path);
        tool_row_flag(row, "in_use", t->live);
        tool_row_count(row, "files", t->files->len);
        tool_row_count(row, "files_gone_meanwhile", gone);
        tool_row_count(row, "bytes", bytes);
        tool_row_count(row, "records", sum->records);
        tool_row_count(row, "records_above_mark", sum->above);
        tool_row_count(row, "durable", t->durable);
        tool_row_text(row, "index", t->live ? "in use" : t->index.there ? "checked" : "none");
        tool_row_count(row, "damage", t->damages);
        tool_row_end(t, row);
        tool_rows_print(t);
        return;
    }
    if (t->opt.quiet)
        return;
    g_autofree char *n = tool_count_text(sum->records);
    g_autofree char *size = tool_size_text(bytes);
    fprintf(t->out, "%s: %s records in %u file%s, %s, %s; ", t->path, n, t->files->len,
            t->files->len == 1 ? "" : "s", size,
            t->live ? "in use" : t->index.there ? "with its index" : "without an index");
    if (sum->above > 0)
        fprintf(t->out, "%" G_GUINT64_FORMAT " more above the durable mark; ", sum->above);
    if (t->damages == 0)
        fputs("no damage\n", t->out);
    else
        fprintf(t->out, "%" G_GUINT64_FORMAT " damage%s\n", t->damages, t->damages == 1 ? "" : "s");
}

int
tool_check(tool *t)
{
    tool_done done = { g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL) };
    tool_sum sum = { 0 };
    uint64_t bytes = 0;
    guint gone = 0;
    int code = 0;
    for (guint i = 0; i < t->files->len; i++)
        bytes += ((const tool_file *)t->files->pdata[i])->size;
    tool_bar_begin(t, bytes);
    for (guint i = 0; i < t->files->len && code == 0; i++) {
        tool_file *f = t->files->pdata[i];
        uint64_t before = t->bar.done;
        code = tool_check_segment(t, f, i + 1 < t->files->len ? t->files->pdata[i + 1] : NULL,
                                  &done, &sum);
        if (t->bar.done < before + f->size) /* what no record took */
            tool_bar_add(t, before + f->size - t->bar.done);
        gone += f->gone;
    }
    tool_bar_hide(t);
    if (code == 0 && !t->live)
        tool_check_index(t, &done);
    g_hash_table_unref(done.tokens);
    if (code != 0)
        return code;
    tell_quarantine(t);
    tell_sum(t, &sum, bytes, gone);
    return t->failed != 0 ? t->failed : t->damages > 0 ? TOOL_DAMAGE : TOOL_OK;
}
