/* SPDX-License-Identifier: Apache-2.0
 *
 * Instants of RFC 3339: what is one, and which. Pure; any thread.
 */
#include "event/attr.h"
#include <string.h>

static bool
digits(const char *p, uint32_t n, uint32_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *value = *value * 10 + (uint32_t)(p[i] - '0');
    }
    return true;
}

static uint32_t
days_of(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

typedef struct instant {
    uint32_t year, month, day, hour, minute, second, ms;
    int32_t offset_s;
} instant;

static bool
read_offset(const char *p, size_t len, instant *t)
{
    uint32_t hour, minute;
    t->offset_s = 0;
    if (len == 1)
        return *p == 'Z' || *p == 'z';
    if (len != 6 || (p[0] != '+' && p[0] != '-') || !digits(p + 1, 2, &hour) || hour > 23 ||
        p[3] != ':' || !digits(p + 4, 2, &minute) || minute > 59)
        return false;
    t->offset_s = (int32_t)(hour * 3600 + minute * 60) * (p[0] == '-' ? -1 : 1);
    return true;
}

static bool
read_instant(const char *text, size_t len, instant *t)
{
    if (len < sizeof "2000-01-01T00:00:00Z" - 1)
        return false;
    if (!digits(text, 4, &t->year) || text[4] != '-' || !digits(text + 5, 2, &t->month) ||
        text[7] != '-' || !digits(text + 8, 2, &t->day) || (text[10] != 'T' && text[10] != 't') ||
        !digits(text + 11, 2, &t->hour) || text[13] != ':' || !digits(text + 14, 2, &t->minute) ||
        text[16] != ':' || !digits(text + 17, 2, &t->second))
        return false;
    if (t->month < 1 || t->month > 12 || t->day < 1 || t->day > days_of(t->year, t->month) ||
        t->hour > 23 || t->minute > 59 || t->second > 60)
        return false;
    size_t at = 19;
    t->ms = 0;
    if (text[at] == '.') {
        size_t first = ++at;
        uint32_t scale = 100;
        for (; at < len && text[at] >= '0' && text[at] <= '9'; at++, scale /= 10)
            t->ms += (uint32_t)(text[at] - '0') * scale;
        if (at == first)
            return false;
    }
    return read_offset(text + at, len - at, t);
}

bool
emesh_time_ok(const char *text, size_t len)
{
    instant t;
    return read_instant(text, len, &t);
}

bool
emesh_time_read(const char *text, size_t len, uint64_t *ms)
{
    instant t;
    *ms = 0;
    if (read_instant(text, len, &t)) {
        g_autoptr(GDateTime) utc =
            g_date_time_new_utc((gint)MAX(t.year, 1u), (gint)t.month, (gint)t.day, (gint)t.hour,
                                (gint)t.minute, (gdouble)MIN(t.second, 59u));
        int64_t at = utc != NULL ? (g_date_time_to_unix(utc) - t.offset_s) * 1000 + t.ms : 0;
        *ms = at > 0 ? (uint64_t)at : 0;
        return true;
    }
    if (len == 0 || len > 18)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *ms = *ms * 10 + (uint64_t)(text[i] - '0');
    }
    return true;
}

size_t
emesh_time_write(uint64_t ms, char out[EMESH_TIME_MAX])
{
    uint64_t days = ms / 86400000u, of_day = ms % 86400000u;
    /* civil date from days: eras of 400 years that begin in March */
    uint64_t shifted = days + 719468u, era = shifted / 146097u, of_era = shifted % 146097u;
    uint64_t year = (of_era - of_era / 1460u + of_era / 36524u - of_era / 146096u) / 365u;
    uint64_t of_year = of_era - (365u * year + year / 4u - year / 100u);
    uint64_t march = (5u * of_year + 2u) / 153u, day = of_year - (153u * march + 2u) / 5u + 1u;
    uint64_t month = march < 10u ? march + 3u : march - 9u;

    year += era * 400u + (month <= 2u);
    return (size_t)g_snprintf(
        out, EMESH_TIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (guint)year, (guint)month,
        (guint)day, (guint)(of_day / 3600000u), (guint)(of_day / 60000u % 60u),
        (guint)(of_day / 1000u % 60u), (guint)(of_day % 1000u));
}
