/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads and writes typed values. Pure, but for the look at the environment in expand.
 */
#include "value.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct unit {
    const char *name;
    int64_t factor;
} unit;

static const unit durations[] = { { "d", 86400000000000 }, { "h", 3600000000000 },
                                  { "m", 60000000000 },    { "s", 1000000000 },
                                  { "ms", 1000000 },       { "us", 1000 },
                                  { "ns", 1 } };
static const unit sizes[] = { { "TiB", INT64_C(1) << 40 }, { "GiB", 1 << 30 },
                              { "MiB", 1 << 20 },          { "KiB", 1 << 10 },
                              { "T", INT64_C(1) << 40 },   { "G", 1 << 30 },
                              { "M", 1 << 20 },            { "k", 1 << 10 },
                              { "B", 1 } };

const char *
emesh_value_type_name(uint32_t type)
{
    static const char *const names[] = { NULL,       "bool", "integer", "number",  "text", "choice",
                                         "duration", "size", "url",     "path",    "address",
                                         "map" };
    return type < G_N_ELEMENTS(names) ? names[type] : NULL;
}

/* Digits, a point, up to nine digits more; then blanks. *rest is what follows. */
static bool
read_decimal(const char *text, int64_t *whole, int64_t *nano, const char **rest)
{
    const char *p = text;
    *whole = 0;
    *nano = 0;
    if (!g_ascii_isdigit(*p))
        return false;
    for (; g_ascii_isdigit(*p); p++)
        if (__builtin_mul_overflow(*whole, 10, whole) ||
            __builtin_add_overflow(*whole, *p - '0', whole))
            return false;
    if (*p == '.') {
        int64_t scale = 100000000;
        if (!g_ascii_isdigit(*++p))
            return false;
        for (; g_ascii_isdigit(*p); p++, scale /= 10) {
            if (scale == 0)
                return false;
            *nano += (*p - '0') * scale;
        }
    }
    while (*p == ' ')
        p++;
    *rest = p;
    return true;
}

static bool
read_with_unit(const char *text, const unit *units, size_t n, bool any_case, int64_t *out)
{
    int64_t whole;
    int64_t nano;
    const char *name;
    if (!read_decimal(text, &whole, &nano, &name))
        return false;
    for (size_t u = 0; u < n; u++) {
        const bool same = any_case ? g_ascii_strcasecmp(name, units[u].name) == 0
                                   : strcmp(name, units[u].name) == 0;
        if (!same)
            continue;
        int64_t product;
        if (__builtin_mul_overflow(whole, units[u].factor, &product))
            return false;
        const __int128 part = (__int128)nano * units[u].factor;
        if (part % 1000000000 != 0) /* a fraction of a nanosecond, or of a byte */
            return false;
        return !__builtin_add_overflow(product, (int64_t)(part / 1000000000), out);
    }
    if (*name == '\0' && nano == 0 && (any_case || whole == 0)) { /* bytes; or the duration 0 */
        *out = whole;
        return true;
    }
    return false;
}

static bool
read_bool(const char *text, int64_t *out)
{
    static const char *const yes[] = { "true", "yes", "on", "1" };
    static const char *const no[] = { "false", "no", "off", "0" };
    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        *out = g_ascii_strcasecmp(text, yes[i]) == 0;
        if (*out == 1 || g_ascii_strcasecmp(text, no[i]) == 0)
            return true;
    }
    return false;
}

static bool
read_int(const char *text, int64_t *out)
{
    const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
    if (!g_ascii_isdigit(*digits))
        return false;
    char *end;
    errno = 0;
    *out = g_ascii_strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool
read_real(const char *text, double *out)
{
    const char *p = *text == '-' || *text == '+' ? text + 1 : text;
    if (!g_ascii_isdigit(*p) || (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')))
        return false;
    char *end;
    errno = 0;
    *out = g_ascii_strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool
read_address(const char *text, int64_t *port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text)
        return false;
    if (text[0] == '[') {
        g_autofree char *host = g_strndup(text + 1, (gsize)(colon - text - 1));
        char *close = strchr(host, ']');
        if (close == NULL || close[1] != '\0')
            return false;
        *close = '\0';
        char *zone = strchr(host, '%');
        if (zone != NULL) { /* fe80::1%eth0 */
            if (zone[1] == '\0')
                return false;
            *zone = '\0';
        }
        if (strchr(host, ':') == NULL || !g_hostname_is_ip_address(host))
            return false;
    } else {
        for (const char *p = text; p < colon; p++)
            if (!g_ascii_isalnum(*p) && strchr(".-_", *p) == NULL)
                return false;
    }
    for (const char *p = colon + 1; *p != '\0'; p++)
        if (!g_ascii_isdigit(*p))
            return false;
    return strlen(colon + 1) <= 5 && read_int(colon + 1, port) && *port <= 65535;
}

static bool
read_choice(const char *text, const char *choices, int64_t *out)
{
    g_auto(GStrv) known = g_strsplit(choices != NULL ? choices : "", "|", -1);
    for (*out = 0; known[*out] != NULL; (*out)++)
        if (strcmp(known[*out], text) == 0)
            return true;
    return false;
}

static char *
why_choice(const char *text, const char *choices, bool show)
{
    g_auto(GStrv) known = g_strsplit(choices != NULL ? choices : "", "|", -1);
    g_autofree char *list = g_strjoinv(", ", known);
    if (!show)
        return g_strdup_printf("none of %s", list);
    const char *meant = emesh_suggest(text, (const char *const *)known, g_strv_length(known));
    if (meant != NULL)
        return g_strdup_printf("\"%s\" is none of %s; did you mean \"%s\"?", text, list, meant);
    return g_strdup_printf("\"%s\" is none of %s", text, list);
}

/* NULL when text is of the type. Otherwise what a value of it looks like. */
static const char *
read_typed(uint32_t type, const char *text, const char *choices, int64_t *i, double *d)
{
    switch (type) {
    case EMESH_OPT_BOOL:
        return read_bool(text, i) ? NULL : "is neither true nor false";
    case EMESH_OPT_INT:
        return read_int(text, i) ? NULL : "is no integer; write digits only, as 1000";
    case EMESH_OPT_REAL:
        return read_real(text, d) ? NULL : "is no number; write it as 0.5 or 1e3";
    case EMESH_OPT_TEXT:
    case EMESH_OPT_MAP:
        return NULL;
    case EMESH_OPT_CHOICE:
        return read_choice(text, choices, i) ? NULL : "";
    case EMESH_OPT_DURATION:
        return read_with_unit(text, durations, G_N_ELEMENTS(durations), false, i)
                   ? NULL
                   : "is no duration; write 250ms, 30s, 5m, 2h or 7d";
    case EMESH_OPT_SIZE:
        return read_with_unit(text, sizes, G_N_ELEMENTS(sizes), true, i)
                   ? NULL
                   : "is no size; write 512, 64k, 16MiB or 1GiB";
    case EMESH_OPT_URL:
        return strstr(text, "://") != NULL && strpbrk(text, " \t\n") == NULL &&
                       g_uri_is_valid(text, G_URI_FLAGS_NONE, NULL)
                   ? NULL
                   : "is no URL; write scheme://host/path";
    case EMESH_OPT_PATH:
        return text[0] == '/' ? NULL : "is no absolute path; begin it with /";
    case EMESH_OPT_ADDRESS:
        return read_address(text, i) ? NULL
                                     : "is no address; write host:port, or [address]:port for IPv6";
    default:
        return "is of a type that this version does not know";
    }
}

char *
emesh_value_range(uint32_t type, int64_t min, int64_t max)
{
    if (min == 0 && max == 0)
        return NULL;
    g_autofree char *low = emesh_value_format(type, min);
    g_autofree char *high = emesh_value_format(type, max);
    const char *what = type == EMESH_OPT_TEXT ? " bytes" : "";
    if (max == INT64_MAX)
        return g_strdup_printf("at least %s%s", low, what);
    if (min == INT64_MIN)
        return g_strdup_printf("at most %s%s", high, what);
    return g_strdup_printf("%s to %s%s", low, high, what);
}

char *
emesh_value_parse(uint32_t type, const char *text, const char *choices, int64_t min, int64_t max,
                  bool show, int64_t *i, double *d)
{
    *i = 0;
    *d = 0;
    const char *why = read_typed(type, text, choices, i, d);
    if (why != NULL && type == EMESH_OPT_CHOICE)
        return why_choice(text, choices, show);
    if (why != NULL)
        return show ? g_strdup_printf("\"%s\" %s", text, why)
                    : g_strdup_printf("the value %s", why);
    if (min == 0 && max == 0)
        return NULL;

    bool inside = true;
    if (type == EMESH_OPT_REAL)
        inside = *d >= (double)min && *d <= (double)max;
    else if (type == EMESH_OPT_TEXT)
        inside = (int64_t)strlen(text) >= min && (int64_t)strlen(text) <= max;
    else if (type == EMESH_OPT_INT || type == EMESH_OPT_DURATION || type == EMESH_OPT_SIZE)
        inside = *i >= min && *i <= max;
    if (inside)
        return NULL;
    g_autofree char *range = emesh_value_range(type, min, max);
    return show ? g_strdup_printf("\"%s\" is out of range; write %s", text, range)
                : g_strdup_printf("the value is out of range; write %s", range);
}

char *
emesh_value_format(uint32_t type, int64_t i)
{
    const unit *units = type == EMESH_OPT_DURATION ? durations : sizes;
    const size_t n = type == EMESH_OPT_DURATION ? G_N_ELEMENTS(durations) : 4; /* KiB */
    if (i > 0 && (type == EMESH_OPT_DURATION || type == EMESH_OPT_SIZE))
        for (size_t u = 0; u < n; u++)
            if (i % units[u].factor == 0)
                return g_strdup_printf("%" PRId64 "%s", i / units[u].factor, units[u].name);
    return g_strdup_printf("%" PRId64, i);
}

char *
emesh_value_expand(const char *text, char **why)
{
    g_autoptr(GString) out = g_string_sized_new(strlen(text) + 1);
    *why = NULL;
    for (const char *p = text; *p != '\0' && *why == NULL; p++) {
        if (p[0] != '$' || (p[1] != '$' && p[1] != '{')) {
            g_string_append_c(out, *p);
            continue;
        }
        p++;
        if (*p == '$') {
            g_string_append_c(out, '$');
            continue;
        }
        const char *end = strchr(p, '}');
        if (end == NULL) {
            *why = g_strdup("\"${\" without \"}\"; write ${NAME}, or $$ for a dollar");
            break;
        }
        g_autofree char *name = g_strndup(p + 1, (gsize)(end - p - 1));
        const char *value = getenv(name);
        if (value == NULL)
            *why = g_strdup_printf("the environment has no \"%s\"; define it, or write $$ for a "
                                   "dollar", name);
        else if (!g_utf8_validate(value, -1, NULL))
            *why = g_strdup_printf("\"%s\" in the environment is not UTF-8", name);
        else
            g_string_append(out, value);
        p = end;
    }
    if (*why == NULL)
        return g_string_free(g_steal_pointer(&out), FALSE);
    explicit_bzero(out->str, out->len); /* may be a part of a secret */
    return NULL;
}
