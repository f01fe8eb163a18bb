/* SPDX-License-Identifier: Apache-2.0
 *
 * A pattern of bytes and its search in what a call is given. Included once in a library that is
 * preloaded; any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define PATTERN_MOST 256u

typedef struct pattern { /* n 0: any bytes will do */
    uint8_t byte[PATTERN_MOST];
    bool any[PATTERN_MOST];
    size_t n;
} pattern;

/* Pairs of hexadecimal digits, or of points for a byte that may be any; it begins with no points. */
static void
pattern_read(pattern *p, const char *text)
{
    for (p->n = 0; text != NULL && *text != '\0'; text += 2, p->n++) {
        char two[3] = { text[0], text[1], '\0' }, *end;
        if (p->n == PATTERN_MOST)
            abort();
        p->any[p->n] = strcmp(two, "..") == 0;
        p->byte[p->n] = p->any[p->n] ? 0 : (uint8_t)strtoul(two, &end, 16);
        if (!p->any[p->n] && end != two + 2)
            abort();
    }
    if (p->n > 0 && p->any[0])
        abort();
}

static bool
pattern_at(const pattern *p, const uint8_t *at)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->any[i] && at[i] != p->byte[i])
            return false;
    return true;
}

/* Is it in these bytes, one behind the other? */
static bool
pattern_in(const pattern *p, const struct iovec *iov, int n)
{
    size_t total = 0, at = 0;
    if (p->n == 0)
        return true;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    if (total < p->n)
        return false;
    uint8_t *all = malloc(total);
    if (all == NULL)
        abort();
    for (int i = 0; i < n; at += iov[i++].iov_len)
        if (iov[i].iov_len > 0)
            memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
    const uint8_t *last = all + total - p->n, *from = all;
    bool found = false;
    while (!found && from <= last) {
        from = memchr(from, p->byte[0], (size_t)(last - from) + 1);
        if (from == NULL)
            break;
        found = pattern_at(p, from++);
    }
    free(all);
    return found;
}
