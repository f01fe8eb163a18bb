/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner. Strings are the bulk of all bytes and are taken 16 (or 8) at a time.
 */
#include "event/json-scan.h"
#include <glib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

void
emesh_json_init(emesh_json *json, const char *text, size_t len)
{
    *json = (emesh_json){ .start = text, .at = text, .end = text + len };
}

size_t
emesh_json_offset(const emesh_json *json)
{
    return (size_t)(json->at - json->start);
}

static bool
flawed(emesh_json *json, const char *flaw)
{
    if (json->flaw == NULL)
        json->flaw = flaw;
    return false;
}

/* The next byte that is not white space, or 0 at the end. */
static inline char
peek(emesh_json *json)
{
    while (json->at < json->end) {
        char c = *json->at;
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return c;
        json->at++;
    }
    return '\0';
}

static inline bool
ends_run(unsigned char c, bool utf8)
{
    return c < 0x20 || c == '"' || c == '\\' || (utf8 && c >= 0x80);
}

#ifdef __SSE2__
#define STEP 16u
/* Bit i: byte i ends the run. */
static inline uint32_t
run_ends(const char *p, bool utf8)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                               _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    /* min(v, 0x1f) == v: a control character */
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));
    return (uint32_t)_mm_movemask_epi8(utf8 ? _mm_or_si128(hit, v) : hit);
}
#define FIRST_END(ends) ((size_t)__builtin_ctz(ends))
#else
#define STEP 8u
/* Top bit of byte i: it ends the run; only the lowest is sure, and it is enough. */
static inline uint64_t
run_ends(const char *p, bool utf8)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t w;
    memcpy(&w, p, sizeof w);
    w = GUINT64_FROM_LE(w);
    uint64_t quote = w ^ (ones * '"');
    uint64_t slash = w ^ (ones * '\\');
    uint64_t hit =
        ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w);
    return (utf8 ? hit | w : hit) & tops;
}
#define FIRST_END(ends) ((size_t)__builtin_ctzll(ends) >> 3)
#endif

static inline size_t
plain_run(const char *p, size_t len, bool utf8)
{
    size_t at = 0;
    for (; at + STEP <= len; at += STEP) {
        __auto_type ends = run_ends(p + at, utf8);
        if (ends != 0)
            return at + FIRST_END(ends);
    }
    while (at < len && !ends_run((unsigned char)p[at], utf8))
        at++;
    return at;
}

size_t
emesh_json_plain(const char *p, size_t len)
{
    return plain_run(p, len, false);
}

/* Length of the UTF-8 character at p, whose first byte is above 0x7f; 0: it is none. */
static inline size_t
utf8_char(const unsigned char *p, size_t left)
{
    unsigned char c = p[0];
    if (c < 0xc2 || c > 0xf4 || left < 2 || (p[1] & 0xc0) != 0x80)
        return 0;
    if (c < 0xe0)
        return 2;
    if (left < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    if (c < 0xf0) {
        bool ok = c == 0xe0 ? p[1] >= 0xa0 : c != 0xed || p[1] < 0xa0;
        return ok ? 3 : 0;
    }
    if (left < 4 || (p[3] & 0xc0) != 0x80)
        return 0;
    return (c == 0xf0 ? p[1] >= 0x90 : c != 0xf4 || p[1] < 0x90) ? 4 : 0;
}

static inline int
hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
scan_escape(emesh_json *json)
{
    if (json->end - json->at < 2)
        return flawed(json, "string without end");
    switch (json->at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        json->at += 2;
        return true;
    case 'u':
        if (json->end - json->at < 6)
            return flawed(json, "string without end");
        for (int i = 2; i < 6; i++) {
            if (hex_of(json->at[i]) < 0)
                return flawed(json, "bad \\u escape");
        }
        json->at += 6;
        return true;
    default:
        return flawed(json, "unknown escape");
    }
}

/* at is on the opening quote. */
static bool
scan_string(emesh_json *json, emesh_json_value *out)
{
    json->at++;
    out->ptr = json->at;
    out->type = EMESH_JSON_STRING;
    out->escaped = false;
    for (;;) {
        json->at += plain_run(json->at, (size_t)(json->end - json->at), true);
        if (json->at == json->end)
            return flawed(json, "string without end");
        unsigned char c = (unsigned char)*json->at;
        if (c == '"') {
            out->len = (size_t)(json->at - out->ptr);
            json->at++;
            return true;
        }
        if (c == '\\') {
            out->escaped = true;
            if (!scan_escape(json))
                return false;
            continue;
        }
        if (c < 0x20)
            return flawed(json, "control character in a string");
        /* Text beyond ASCII comes in runs. */
        while (json->at < json->end && (unsigned char)*json->at >= 0x80) {
            size_t n = utf8_char((const unsigned char *)json->at, (size_t)(json->end - json->at));
            if (n == 0)
                return flawed(json, "not UTF-8");
            json->at += n;
        }
    }
}

static inline bool
scan_digits(emesh_json *json)
{
    const char *first = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
        json->at++;
    return json->at > first;
}

static bool
scan_number(emesh_json *json)
{
    if (*json->at == '-')
        json->at++;
    const char *first = json->at;
    if (!scan_digits(json))
        return flawed(json, "number without digits");
    if (*first == '0' && json->at > first + 1)
        return flawed(json, "number with a leading zero");
    if (json->at < json->end && *json->at == '.') {
        json->at++;
        if (!scan_digits(json))
            return flawed(json, "number without digits behind its point");
    }
    if (json->at < json->end && (*json->at == 'e' || *json->at == 'E')) {
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-'))
            json->at++;
        if (!scan_digits(json))
            return flawed(json, "number without digits in its exponent");
    }
    return true;
}

static bool
scan_word(emesh_json *json, const char *word, size_t len)
{
    if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0)
        return flawed(json, "not a JSON value");
    json->at += len;
    return true;
}

/* c is the byte at at. */
static bool
scan_scalar(emesh_json *json, char c, emesh_json_value *out)
{
    if (c == '"')
        return scan_string(json, out);
    out->ptr = json->at;
    bool ok;
    switch (c) {
    case 't':
        out->type = EMESH_JSON_BOOLEAN;
        ok = scan_word(json, "true", 4);
        break;
    case 'f':
        out->type = EMESH_JSON_BOOLEAN;
        ok = scan_word(json, "false", 5);
        break;
    case 'n':
        out->type = EMESH_JSON_NULL;
        ok = scan_word(json, "null", 4);
        break;
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return flawed(json, json->at == json->end ? "text ends" : "not a JSON value");
        out->type = EMESH_JSON_NUMBER;
        ok = scan_number(json);
        break;
    }
    out->len = (size_t)(json->at - out->ptr);
    out->escaped = false;
    return ok;
}

/* Key and colon; c is the byte at at. */
static bool
scan_key(emesh_json *json, char c, emesh_json_value *key)
{
    if (c != '"')
        return flawed(json, c == '\0' && json->at == json->end ? "text ends" : "no key");
    if (!scan_string(json, key))
        return false;
    if (peek(json) != ':')
        return flawed(json, "no colon behind a key");
    json->at++;
    return true;
}

/* at is on an opening bracket: goes behind its closing one. */
static bool
scan_nested(emesh_json *json)
{
    uint64_t objects = 0; /* bit 0: is the innermost an object? then outwards */
    uint32_t depth = 0;
    bool opening = true, after_value = false;
    emesh_json_value ignored;
    do {
        if (opening) {
            if (depth == EMESH_JSON_DEPTH_MAX)
                return flawed(json, "nested too deep");
            objects = objects << 1 | (*json->at == '{');
            depth++;
            json->at++;
            opening = after_value = false;
        }
        char c = peek(json);
        if (c == ((objects & 1) ? '}' : ']')) {
            json->at++;
            objects >>= 1;
            depth--;
            after_value = true;
            continue;
        }
        if (after_value) {
            if (c != ',')
                return flawed(json, json->at == json->end ? "text ends" : "no comma");
            json->at++;
            c = peek(json);
        }
        if (objects & 1) {
            if (!scan_key(json, c, &ignored))
                return false;
            c = peek(json);
        }
        opening = c == '{' || c == '[';
        if (!opening && !scan_scalar(json, c, &ignored))
            return false;
        after_value = true;
    } while (depth > 0);
    return true;
}

bool
emesh_json_value_next(emesh_json *json, emesh_json_value *value)
{
    char c = peek(json);
    if (c != '{' && c != '[')
        return scan_scalar(json, c, value);
    value->type = c == '{' ? EMESH_JSON_OBJECT : EMESH_JSON_ARRAY;
    value->escaped = false;
    value->ptr = json->at;
    bool ok = scan_nested(json);
    value->len = (size_t)(json->at - value->ptr);
    return ok;
}

bool
emesh_json_open(emesh_json *json, char bracket)
{
    if (peek(json) != bracket)
        return flawed(json, bracket == '{' ? "not an object" : "not an array");
    json->at++;
    return true;
}

/* Behind a value: a comma and what follows, or the end. c gets the byte that starts the next. */
static bool
next_of(emesh_json *json, bool first, char close, char *c)
{
    *c = peek(json);
    if (*c == close) {
        json->at++;
        return false;
    }
    if (first)
        return true;
    if (*c != ',')
        return flawed(json, json->at == json->end ? "text ends" : "no comma");
    json->at++;
    *c = peek(json);
    return true;
}

bool
emesh_json_key(emesh_json *json, bool first, emesh_json_value *key)
{
    char c;
    return next_of(json, first, '}', &c) && scan_key(json, c, key);
}

bool
emesh_json_item(emesh_json *json, bool first)
{
    char c;
    return next_of(json, first, ']', &c);
}

bool
emesh_json_end(emesh_json *json)
{
    peek(json);
    return json->at == json->end || flawed(json, "something behind the end");
}

bool
emesh_json_is_one_value(emesh_json *json)
{
    emesh_json_value value;
    return emesh_json_value_next(json, &value) && emesh_json_end(json);
}

/* ---- text of strings ---- */

static uint32_t
unit_of(const char *hex)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (uint32_t)hex_of(hex[i]);
    return unit;
}

/* p is behind "\u"; returns what was used, 0: half a surrogate pair. */
static size_t
unescape_unit(const char *p, const char *end, char **dst)
{
    uint32_t unit = unit_of(p);
    size_t used = 4;
    if ((unit & 0xf800) == 0xd800) {
        if (unit >= 0xdc00 || end - p < 10 || p[4] != '\\' || p[5] != 'u')
            return 0;
        uint32_t low = unit_of(p + 6);
        if ((low & 0xfc00) != 0xdc00)
            return 0;
        unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
        used = 10;
    }
    *dst += g_unichar_to_utf8(unit, *dst);
    return used;
}

bool
emesh_json_unescape(const emesh_json_value *value, char *dst, size_t *len)
{
    char *to = dst;
    const char *p = value->ptr;
    const char *end = p + value->len;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((slash != NULL ? slash : end) - p);
        memcpy(to, p, run);
        to += run;
        p += run;
        if (slash == NULL)
            break;
        p += 2;
        switch (slash[1]) {
        case 'b':
            *to++ = '\b';
            break;
        case 'f':
            *to++ = '\f';
            break;
        case 'n':
            *to++ = '\n';
            break;
        case 'r':
            *to++ = '\r';
            break;
        case 't':
            *to++ = '\t';
            break;
        case 'u': {
            size_t used = unescape_unit(p, end, &to);
            if (used == 0)
                return false;
            p += used;
            break;
        }
        default:
            *to++ = slash[1];
            break;
        }
    }
    *len = (size_t)(to - dst);
    return true;
}
