/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": the nearest known word by insertions, deletions, replacements and swaps of
 * neighbours. Pure.
 */
#include "value.h"
#include <string.h>

#define WORD_MOST 64u /* longer ones are no typing errors of ours */

/* The number of typing errors between a and b (optimal string alignment), both ≤ WORD_MOST. */
static uint32_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    uint32_t rows[3][WORD_MOST + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (uint32_t)j;
    for (size_t i = 1; i <= a_len; i++) {
        uint32_t *now = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3];
        const uint32_t *two_above = rows[(i + 1) % 3];
        now[0] = (uint32_t)i;
        for (size_t j = 1; j <= b_len; j++) {
            const uint32_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = MIN(MIN(above[j], now[j - 1]) + 1, replaced);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = MIN(now[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *
emesh_suggest(const char *word, const char *const *known, uint32_t n)
{
    const size_t len = strlen(word);
    if (len == 0 || len > WORD_MOST)
        return NULL;
    const char *best = NULL;
    uint32_t best_errors = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        const size_t known_len = strlen(known[i]);
        if (known_len == 0 || known_len > WORD_MOST)
            continue;
        const uint32_t errors = distance(word, len, known[i], known_len);
        const size_t longer = MAX(len, known_len); /* a third of it may be wrong */
        if (errors < best_errors && errors <= MAX(1, longer / 3) && errors < longer) {
            best = known[i];
            best_errors = errors;
        }
    }
    return best;
}
