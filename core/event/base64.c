/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64, both ways. GLib's decoder skips what it does not know; a codec that must refuse bad
 * events cannot.
 */
#include "event/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static inline char *
put_group(const uint8_t *p, char *dst)
{
    uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    dst[0] = alphabet[v >> 18];
    dst[1] = alphabet[v >> 12 & 63];
    dst[2] = alphabet[v >> 6 & 63];
    dst[3] = alphabet[v & 63];
    return dst + 4;
}

char *
emesh_base64_put(emesh_base64 *state, const void *data, size_t len, char *dst)
{
    const uint8_t *p = data;
    const uint8_t *end = p + len;
    while (state->n_left > 0 && p < end) {
        state->left[state->n_left++] = *p++;
        if (state->n_left == 3) {
            dst = put_group(state->left, dst);
            state->n_left = 0;
        }
    }
    for (; end - p >= 3; p += 3)
        dst = put_group(p, dst);
    while (p < end)
        state->left[state->n_left++] = *p++;
    return dst;
}

char *
emesh_base64_finish(emesh_base64 *state, char *dst)
{
    uint32_t n = state->n_left;
    if (n == 0)
        return dst;
    for (uint32_t i = n; i < 3; i++)
        state->left[i] = 0;
    put_group(state->left, dst);
    for (uint32_t i = n + 1; i < 4; i++)
        dst[i] = '=';
    state->n_left = 0;
    return dst + 4;
}

#define NO 64
/* Value of each byte from '+' to 'z'. */
static const uint8_t values['z' - '+' + 1] = {
    62, NO, NO, NO, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO,
    NO, NO, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17,
    18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, NO, NO, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,
};

static inline uint32_t
value_of(char c)
{
    uint32_t at = (uint32_t)(unsigned char)c - '+';
    return at < sizeof values ? values[at] : NO;
}

bool
emesh_base64_decode(const char *text, size_t len, uint8_t *dst, size_t *n_out)
{
    *n_out = 0;
    if (len % 4 != 0)
        return false;
    size_t padding = 0;
    if (len > 0)
        padding = (size_t)(text[len - 1] == '=') + (text[len - 1] == '=' && text[len - 2] == '=');
    uint8_t *to = dst;
    for (size_t i = 0; i < len; i += 4) {
        size_t pad = i + 4 == len ? padding : 0;
        uint32_t a = value_of(text[i]), b = value_of(text[i + 1]);
        uint32_t c = pad == 2 ? 0 : value_of(text[i + 2]);
        uint32_t d = pad >= 1 ? 0 : value_of(text[i + 3]);
        if ((a | b | c | d) & NO)
            return false;
        uint32_t v = a << 18 | b << 12 | c << 6 | d;
        *to++ = (uint8_t)(v >> 16);
        if (pad < 2)
            *to++ = (uint8_t)(v >> 8);
        if (pad < 1)
            *to++ = (uint8_t)v;
    }
    *n_out = (size_t)(to - dst);
    return true;
}
