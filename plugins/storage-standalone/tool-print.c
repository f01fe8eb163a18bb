/* SPDX-License-Identifier: Apache-2.0
 *
 * How the tool prints: rows of JSON, aligned tables, sizes and times as people write them, and the
 * progress of a long look, on a terminal alone.
 */
#include "tool.h"

#include <string.h>
#include <unistd.h>

int
tool_say(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fprintf(stderr, "storage-standalone-tool: %s\n", text);
    return TOOL_FAILED;
}

/* ---- JSON ---- */

static void
put_string(GString *out, const char *bytes, size_t n)
{
    g_string_append_c(out, '"');
    for (size_t i = 0; i < n; i++) {
        guchar c = (guchar)bytes[i];
        if (c == '"' || c == '\\')
            g_string_append_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            g_string_append_printf(out, "\\u%04x", c);
        else
            g_string_append_c(out, (char)c);
    }
    g_string_append_c(out, '"');
}

static void
put_comma(GString *row)
{
    char before = row->str[row->len - 1];
    if (before != '{' && before != '[')
        g_string_append_c(row, ',');
}

static void
put_key(GString *row, const char *key)
{
    put_comma(row);
    put_string(row, key, strlen(key));
    g_string_append_c(row, ':');
}

GString *
tool_row(const char *kind)
{
    GString *row = g_string_new("{");
    tool_row_text(row, "kind", kind);
    return row;
}

void
tool_row_bytes(GString *row, const char *key, const void *bytes, size_t n)
{
    put_key(row, key);
    put_string(row, bytes, n);
}

void
tool_row_text(GString *row, const char *key, const char *text)
{
    if (text != NULL)
        tool_row_bytes(row, key, text, strlen(text));
}

void
tool_row_count(GString *row, const char *key, uint64_t value)
{
    put_key(row, key);
    g_string_append_printf(row, "%" G_GUINT64_FORMAT, value);
}

void
tool_row_flag(GString *row, const char *key, bool value)
{
    put_key(row, key);
    g_string_append(row, value ? "true" : "false");
}

/* Unix milliseconds, as in all JSON of eventmeshctl; the digits behind the point are microseconds. */
void
tool_row_time(GString *row, const char *key, uint64_t us)
{
    if (us == 0)
        return;
    put_key(row, key);
    g_string_append_printf(row, "%" G_GUINT64_FORMAT, us / 1000);
    if (us % 1000 != 0)
        g_string_append_printf(row, ".%03u", (unsigned)(us % 1000));
}

void
tool_row_open(GString *row, const char *key, char bracket)
{
    if (key != NULL)
        put_key(row, key);
    else
        put_comma(row);
    g_string_append_c(row, bracket);
}

void
tool_row_close(GString *row, char bracket)
{
    g_string_append_c(row, bracket);
}

void
tool_row_end(tool *t, GString *row)
{
    g_string_append_c(row, '}');
    g_string_append_printf(t->rows, "%s\n  %s", t->rows->len > 0 ? "," : "", row->str);
    g_string_free(row, TRUE);
}

void
tool_row_line(tool *t, GString *row)
{
    g_string_append(row, "}\n");
    fwrite(row->str, 1, row->len, t->out);
    g_string_free(row, TRUE);
}

void
tool_rows_print(tool *t)
{
    fprintf(t->out, "[%s%s]\n", t->rows->str, t->rows->len > 0 ? "\n" : "");
}

/* ---- for people ---- */

char *
tool_size_text(uint64_t bytes)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    int unit = -1;
    while (value >= 1024.0 && unit < 5) {
        value /= 1024.0;
        unit++;
    }
    if (unit < 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
    return g_strdup_printf(value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

char *
tool_count_text(uint64_t n)
{
    char digits[24], out[32];
    size_t len = (size_t)g_snprintf(digits, sizeof digits, "%" G_GUINT64_FORMAT, n), at = 0;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    return g_strndup(out, at);
}

char *
tool_time_text(uint64_t us)
{
    g_autoptr(GDateTime) time = us / 1000000 < 253402300800u
                                    ? g_date_time_new_from_unix_utc((gint64)(us / 1000000)) : NULL;
    if (time == NULL)
        return g_strdup_printf("%" G_GUINT64_FORMAT " us", us);
    g_autofree char *seconds = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%06uZ", seconds, (unsigned)(us % 1000000));
}

char *
tool_clean(const void *bytes, size_t n)
{
    const char *at = bytes;
    GString *out = g_string_sized_new(n);
    while (n > 0) {
        gunichar c = g_utf8_get_char_validated(at, (gssize)n);
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;
        size_t step = valid ? (size_t)(g_utf8_next_char(at) - at) : 1;
        if (valid && c != 0 && g_unichar_isprint(c))
            g_string_append_len(out, at, (gssize)step);
        else
            for (size_t i = 0; i < step; i++)
                g_string_append_printf(out, "\\x%02x", (guchar)at[i]);
        at += step;
        n -= step;
    }
    return g_string_free(out, FALSE);
}

static guint
width_of(const char *text)
{
    guint width = 0;
    for (; *text != '\0'; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);
        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

static void
put_cell(FILE *out, const char *text, guint width, bool right, bool last)
{
    guint pad = width - MIN(width, width_of(text));
    fprintf(out, "%*s%s", right ? (int)pad : 0, "", text);
    if (last)
        fputc('\n', out);
    else
        fprintf(out, "%*s", right ? 2 : (int)pad + 2, "");
}

void
tool_table(FILE *out, const char *const *headings, guint columns, GPtrArray *cells)
{
    g_autofree guint *width = g_new0(guint, columns); /* 0: empty throughout, left out */
    guint last = 0;
    for (guint i = 0; i < cells->len; i++)
        width[i % columns] = MAX(width[i % columns], width_of(cells->pdata[i]));
    for (guint c = 0; c < columns; c++) {
        const char *heading = headings[c] + (headings[c][0] == '>');
        if (width[c] > 0) {
            width[c] = MAX(width[c], width_of(heading));
            last = c;
        }
    }
    for (guint i = 0; i < columns + cells->len; i++) {
        guint c = i % columns;
        bool right = headings[c][0] == '>';
        const char *text = i < columns ? headings[c] + right : cells->pdata[i - columns];
        if (width[c] > 0)
            put_cell(out, text, width[c], right, c == last);
    }
}

/* ---- progress ---- */

#define BAR_EVERY_US 100000
#define BAR_WIDTH 24

static void
draw(tool *t, gint64 now)
{
    tool_bar *bar = &t->bar;
    double share = bar->total > 0 ? MIN(1.0, (double)bar->done / (double)bar->total) : 1.0;
    double seconds = (double)(now - bar->begun) / 1e6;
    double rate = seconds > 0 ? (double)bar->done / seconds : 0;
    double left = rate > 0 ? (double)(bar->total - MIN(bar->total, bar->done)) / rate : 0;
    g_autofree char *done = tool_size_text(bar->done);
    g_autofree char *total = tool_size_text(bar->total);
    g_autofree char *speed = tool_size_text((uint64_t)rate);
    char line[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        line[i] = i < (int)(share * BAR_WIDTH) ? '#' : '.';
    line[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%3.0f %% [%s] %s of %s, %s/s, %.0f s left\x1b[K", share * 100, line, done,
            total, speed, left);
    fflush(stderr);
    bar->drawn = now;
}

void
tool_bar_begin(tool *t, uint64_t total)
{
    t->bar = (tool_bar){ .shown = !t->opt.quiet && isatty(STDERR_FILENO),
                         .begun = g_get_monotonic_time(), .total = total };
}

void
tool_bar_add(tool *t, uint64_t bytes)
{
    tool_bar *bar = &t->bar;
    bar->done += bytes;
    if (!bar->shown)
        return;
    gint64 now = g_get_monotonic_time();
    if (now - bar->drawn >= BAR_EVERY_US)
        draw(t, now);
}

void
tool_bar_hide(tool *t)
{
    if (t->bar.shown && t->bar.drawn != 0) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
        t->bar.drawn = 0;
    }
}
