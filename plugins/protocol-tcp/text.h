/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of JSON strings: where one ends, what its escapes mean, how text is escaped. Pure; any
 * thread.
 */
#ifndef TCP_TEXT_H
#define TCP_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>

/* All bits of those of sixteen bytes that are a control character, '"', '\\' or not ASCII. */
static inline __m128i
tcp_text_special16(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i found = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                 _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
    /* signed: what is not ASCII is below 0x20 as well */
    return _mm_or_si128(found, _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)));
}
#endif

/* The closing quote of a short and plain string; NULL: tcp_text_string looks. */
static inline const uint8_t *
tcp_text_short(const uint8_t *from, const uint8_t *end)
{
#ifdef __SSE2__
    if (end - from >= 16) {
        uint32_t hits = (uint32_t)_mm_movemask_epi8(tcp_text_special16(from));
        const uint8_t *at = from + (hits != 0 ? __builtin_ctz(hits) : 0);
        return hits != 0 && *at == '"' ? at : NULL;
    }
#endif
    (void)from;
    (void)end;
    return NULL;
}

/* from stands behind the opening quote; returns the closing one, or where it is broken: *why. */
const uint8_t *tcp_text_string(const uint8_t *from, const uint8_t *end, bool *escaped,
                               const char **why);
#endif
