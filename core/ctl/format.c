/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as people write them: 1.2 k, 3.4 MiB, 5m ago; and text that is safe on a terminal.
 */
#include "ctl/table.h"

#include <string.h>

/* n in steps of base with one decimal below ten, none from a hundred on. */
static char *
scaled(guint64 n, double base, const char *const *units, guint n_units)
{
    double value = (double)n;
    guint unit = 0;
    while (unit + 1 < n_units && value >= base) {
        value /= base;
        unit++;
    }
    if (unit == 0)
        return g_strdup_printf("%" G_GUINT64_FORMAT "%s%s", n, *units[0] != '\0' ? " " : "",
                               units[0]);
    if (value >= 99.95)
        return g_strdup_printf("%.0f %s", value, units[unit]);
    return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *
ctl_count_text(guint64 n)
{
    static const char *const units[] = { "", "k", "M", "G", "T", "P" };
    return scaled(n, 1000.0, units, G_N_ELEMENTS(units));
}

char *
ctl_bytes_text(guint64 n)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    return scaled(n, 1024.0, units, G_N_ELEMENTS(units));
}

char *
ctl_span_text(guint64 ms)
{
    static const struct {
        guint64 ms;
        const char *unit;
    } steps[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        guint64 whole = ms / steps[i].ms;
        if (whole == 0)
            continue;
        /* the next smaller unit too, where it still says something: 2d3h, 5m20s */
        guint64 rest = i + 1 < G_N_ELEMENTS(steps) ? ms % steps[i].ms / steps[i + 1].ms : 0;
        if (whole < 10 && rest > 0)
            return g_strdup_printf("%" G_GUINT64_FORMAT "%s%" G_GUINT64_FORMAT "%s", whole,
                                   steps[i].unit, rest, steps[i + 1].unit);
        return g_strdup_printf("%" G_GUINT64_FORMAT "%s", whole, steps[i].unit);
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT "ms", ms);
}

char *
ctl_ago_text(gint64 then_ms, gint64 now_ms)
{
    if (then_ms <= 0)
        return g_strdup("");
    gint64 ms = now_ms - then_ms;
    if (ms < 1000)
        return g_strdup("now");
    static const struct {
        gint64 ms;
        const char *unit;
    } steps[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    guint i = 0;
    while (ms < steps[i].ms)
        i++;
    return g_strdup_printf("%" G_GINT64_FORMAT "%s ago", ms / steps[i].ms, steps[i].unit);
}

char *
ctl_clean(const char *text, gssize len)
{
    gsize left = len < 0 ? strlen(text) : (gsize)len;
    GString *out = g_string_sized_new(left);
    while (left > 0) {
        gunichar c = g_utf8_get_char_validated(text, (gssize)left);
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;
        gsize step = valid ? (gsize)(g_utf8_next_char(text) - text) : 1;
        if (valid && c != 0 && (g_unichar_isprint(c) || c == 0x200d))
            g_string_append_len(out, text, (gssize)step);
        else
            for (gsize i = 0; i < step; i++)
                g_string_append_printf(out, "\\x%02x", (guchar)text[i]);
        text += step;
        left -= step;
    }
    return g_string_free(out, FALSE);
}

guint
ctl_width(const char *text)
{
    guint width = 0;
    for (; *text != '\0'; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);
        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

const char *
ctl_dim(bool colour)
{
    return colour ? "\x1b[2m" : "";
}

const char *
ctl_bold(bool colour)
{
    return colour ? "\x1b[1m" : "";
}

const char *
ctl_plain(bool colour)
{
    return colour ? "\x1b[0m" : "";
}
