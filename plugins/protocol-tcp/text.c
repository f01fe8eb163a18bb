/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loops of the scanner: sixteen or eight plain bytes at a time, the rest one character
 * at a time. Any thread.
 */
#include "text.h"
#include "json.h"

#include <string.h>

#define ONES 0x0101010101010101ull
#define HIGH 0x8080808080808080ull

static inline bool
special(uint8_t c)
{
    return c < 0x20 || c == '"' || c == '\\' || c >= 0x80;
}

/* Non-zero when one of the eight bytes is special. */
static inline uint64_t
special8(const uint8_t *p)
{
    uint64_t w, quote, back;
    memcpy(&w, p, 8);
    quote = w ^ (ONES * '"');
    back = w ^ (ONES * '\\');
    return (((quote - ONES) & ~quote) | ((back - ONES) & ~back) | ((w - ONES * 0x20) & ~w) | w) &
           HIGH;
}

/* Where less than sixteen bytes are left. */
static __attribute__((noinline)) const uint8_t *
plain_tail(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8 && special8(p) == 0)
        p += 8;
    while (p < end && !special(*p))
        p++;
    return p;
}

/* The first byte that needs a look. Most strings are short: sixteen bytes first. */
static inline const uint8_t *
plain(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    for (bool first = true; end - p >= 16; p += 16, first = false) {
        uint32_t hits = (uint32_t)_mm_movemask_epi8(tcp_text_special16(p));
        if (hits != 0)
            return p + __builtin_ctz(hits);
        for (; !first && end - p >= 80; p += 64) {
            __m128i a = _mm_or_si128(tcp_text_special16(p + 16), tcp_text_special16(p + 32));
            __m128i b = _mm_or_si128(tcp_text_special16(p + 48), tcp_text_special16(p + 64));
            if (_mm_movemask_epi8(_mm_or_si128(a, b)) != 0)
                break;
        }
    }
#endif
    return plain_tail(p, end);
}

/* Length of the UTF-8 character at p, 0 = broken. *p >= 0x80. */
static size_t
character(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if ((p[0] & 0xf0) == 0xe0) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0; /* too long, or half of a surrogate pair */
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
            return 0;
        return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
    }
    return 0;
}

static int32_t
hex4(const uint8_t *p)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];
        if (c >= '0' && c <= '9')
            value = value * 16 + c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            value = value * 16 + (c | 0x20) - 'a' + 10;
        else
            return -1;
    }
    return value;
}

/* Length of the escape at p (a backslash), 0 = broken; *code is its character. */
static size_t
escape(const uint8_t *p, const uint8_t *end, uint32_t *code)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return 0;
    if (p[1] != 'u') {
        const char *found = p[1] != '\0' ? strchr(from, p[1]) : NULL;
        *code = found != NULL ? (uint8_t)to[found - from] : 0;
        return found != NULL ? 2 : 0;
    }
    int32_t first = end - p >= 6 ? hex4(p + 2) : -1;
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
        return 0;
    *code = (uint32_t)first;
    if (first < 0xd800 || first > 0xdbff)
        return 6;
    int32_t second = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (second < 0xdc00 || second > 0xdfff)
        return 0;
    *code = 0x10000u + (((uint32_t)first - 0xd800u) << 10) + ((uint32_t)second - 0xdc00u);
    return 12;
}

/* A string from what is not plain on: p stands at it. */
static __attribute__((noinline)) const uint8_t *
string_on(const uint8_t *p, const uint8_t *end, bool *escaped, const char **why)
{
    for (; p < end && *p != '"'; p = plain(p, end)) {
        size_t n = 0;
        uint32_t code;
        if (*p >= 0x80) {
            n = character(p, end);
            *why = "it is not UTF-8";
        } else if (*p == '\\') {
            n = escape(p, end, &code);
            *escaped = true;
            *why = "a string has a malformed escape";
        } else {
            *why = "a string has a raw control character";
        }
        if (n == 0)
            return p;
        *why = NULL;
        p += n;
    }
    if (p == end)
        *why = "a string has no end";
    return p;
}

const uint8_t *
tcp_text_string(const uint8_t *from, const uint8_t *end, bool *escaped, const char **why)
{
    const uint8_t *p = plain(from, end);
    return p < end && *p == '"' ? p : string_on(p, end, escaped, why);
}

static size_t
put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

size_t
tcp_json_decode(const tcp_value *v, char *out)
{
    const uint8_t *p = (const uint8_t *)v->ptr, *end = p + v->len;
    char *to = out;
    while (p < end) {
        const uint8_t *back = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((back != NULL ? back : end) - p);
        uint32_t code = 0;
        memcpy(to, p, run);
        to += run;
        p += run;
        if (back == NULL)
            break;
        p += escape(p, end, &code); /* well-formed: the scanner has been here */
        to += put_utf8(to, code);
    }
    return (size_t)(to - out);
}

/* Bytes one ASCII byte takes inside a JSON string. */
static inline size_t
width(uint8_t c)
{
    if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f')
        return 2;
    return c < 0x20 ? 6 : 1;
}

size_t
tcp_json_escaped_len(const void *text, size_t len)
{
    const uint8_t *p = text, *end = p + len;
    size_t n = len;
    while (p < end) {
        p = plain(p, end);
        for (; p < end && special(*p); p++)
            n += *p < 0x80 ? width(*p) - 1 : 0;
    }
    return n;
}

static size_t
put_escape(char *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = c != 0 ? strchr(from, c) : NULL;
    out[0] = '\\';
    if (found != NULL) {
        out[1] = to[found - from];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

size_t
tcp_json_escape(const void *text, size_t len, char *out)
{
    const uint8_t *p = text, *end = p + len;
    char *to = out;
    while (p < end) {
        const uint8_t *q = plain(p, end);
        while (q < end && *q >= 0x80)
            q = plain(q + 1, end);
        memcpy(to, p, (size_t)(q - p));
        to += q - p;
        p = q;
        if (p < end)
            to += put_escape(to, *p++);
    }
    return (size_t)(to - out);
}

bool
tcp_utf8_ok(const void *text, size_t len)
{
    const uint8_t *p = text, *end = p + len;
    while (p < end) {
        uint64_t w;
        if (end - p >= 8 && (memcpy(&w, p, 8), (w & HIGH) == 0)) {
            p += 8;
        } else if (*p < 0x80) {
            p++;
        } else {
            size_t n = character(p, end);
            if (n == 0)
                return false;
            p += n;
        }
    }
    return true;
}
