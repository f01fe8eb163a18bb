/* SPDX-License-Identifier: Apache-2.0
 *
 * Glob patterns over names. Pure.
 *
 * Names beginning with "%" or "emesh-" are the daemon's own (dead letters, retries, delays). Only a
 * pattern that spells this beginning out matches them: "*" and "e*" do not.
 */
#include "pattern.h"
#include <string.h>

#define NAME_MOST 249u
#define RESERVED "emesh-"
#define RESERVED_LEN (sizeof RESERVED - 1)

static bool
is_wild(char c)
{
    return c == '*' || c == '?';
}

static bool
visible(const char *text, size_t len, const char *without)
{
    if (len == 0 || len > NAME_MOST)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x21 || text[i] > 0x7e || strchr(without, text[i]) != NULL)
            return false;
    return true;
}

bool
emesh_name_ok(const char *name, size_t len)
{
    return name != NULL && visible(name, len, "*?[]");
}

bool
emesh_pattern_ok(const char *pattern)
{
    return visible(pattern, strlen(pattern), "[]");
}

bool
emesh_pattern_is_exact(const char *pattern)
{
    return pattern[strcspn(pattern, "*?")] == '\0';
}

uint32_t
emesh_pattern_weight(const char *pattern)
{
    uint32_t n = 0;
    for (; *pattern != '\0'; pattern++)
        n += !is_wild(*pattern);
    return n;
}

static bool
is_reserved(const char *name, size_t len)
{
    return len > 0 &&
           (name[0] == '%' || (len >= RESERVED_LEN && memcmp(name, RESERVED, RESERVED_LEN) == 0));
}

bool
emesh_pattern_match(const char *pattern, const char *name, size_t len)
{
    if (is_reserved(name, len) && !is_reserved(pattern, strlen(pattern)))
        return false;
    const char *star = NULL; /* behind the last *, and what it has taken so far */
    size_t taken = 0;
    size_t i = 0;
    while (i < len) {
        if (*pattern == '*') {
            star = ++pattern;
            taken = i;
        } else if (*pattern != '\0' && (*pattern == '?' || *pattern == name[i])) {
            pattern++;
            i++;
        } else if (star != NULL) {
            pattern = star;
            i = ++taken;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* ---- overlap: the shortest name that both match, by dynamic programming over (place in a, place
 * in b, how much of "emesh-" the name has spelled) ---- */

#define FREE RESERVED_LEN /* the name cannot become a reserved one any more */
#define STATES (RESERVED_LEN + 1)
#define NEVER UINT16_MAX

typedef struct overlap {
    const char *a;
    const char *b;
    size_t a_len, b_len;
    bool guarded;   /* one of the two does not match reserved names */
    uint16_t *cost; /* bytes of the shortest name that leads here */
} overlap;

static uint16_t *
cost_at(const overlap *o, size_t i, size_t j, size_t state)
{
    return &o->cost[(i * (o->b_len + 1) + j) * STATES + state];
}

static void
reach(const overlap *o, size_t i, size_t j, size_t state, uint32_t cost)
{
    uint16_t *known = cost_at(o, i, j, state);
    if (cost < *known)
        *known = (uint16_t)cost;
}

/* The state after c, or NEVER when the name becomes reserved. c '?': any byte, the best one. */
static size_t
spell(const overlap *o, size_t state, char c)
{
    if (!o->guarded || state == FREE || c == '?')
        return FREE;
    if (state == 0 && c == '%')
        return NEVER;
    if (c != RESERVED[state])
        return FREE;
    return state + 1 < RESERVED_LEN ? state + 1 : NEVER;
}

static void
step(const overlap *o, size_t i, size_t j, size_t state)
{
    const uint32_t cost = *cost_at(o, i, j, state);
    const char a = i < o->a_len ? o->a[i] : '\0';
    const char b = j < o->b_len ? o->b[j] : '\0';
    if (a == '*')
        reach(o, i + 1, j, state, cost);
    if (b == '*')
        reach(o, i, j + 1, state, cost);
    if (a == '\0' || b == '\0')
        return;
    if (a == '*' && b == '*') { /* a byte that both swallow may keep the name from being reserved */
        reach(o, i, j, FREE, cost + 1);
        return;
    }
    char c; /* the byte that both take */
    if (a == '*' || a == '?')
        c = b == '*' ? '?' : b;
    else if (b == '*' || b == '?')
        c = a;
    else if (a == b)
        c = a;
    else
        return;
    const size_t next = spell(o, state, c);
    if (next != NEVER)
        reach(o, i + (a != '*'), j + (b != '*'), next, cost + 1);
}

static bool
solve(overlap *o)
{
    const size_t n = (o->a_len + 1) * (o->b_len + 1) * STATES;
    g_autofree uint16_t *cost = g_new(uint16_t, n);
    memset(cost, 0xff, n * sizeof *cost);
    o->cost = cost;
    *cost_at(o, 0, 0, 0) = 0;
    for (size_t i = 0; i <= o->a_len; i++)
        for (size_t j = 0; j <= o->b_len; j++)
            for (size_t state = 0; state < STATES; state++)
                if (*cost_at(o, i, j, state) != NEVER)
                    step(o, i, j, state);
    uint16_t least = NEVER;
    for (size_t state = 0; state < STATES; state++)
        least = MIN(least, *cost_at(o, o->a_len, o->b_len, state));
    return least <= NAME_MOST;
}

bool
emesh_patterns_overlap(const char *a, const char *b)
{
    overlap o = { .a = a, .b = b, .a_len = strlen(a), .b_len = strlen(b) };
    for (size_t i = 0; i < o.a_len && i < o.b_len && !is_wild(a[i]) && !is_wild(b[i]); i++)
        if (a[i] != b[i])
            return false; /* most pairs end here, or in the next loop */
    for (size_t i = 1; i <= o.a_len && i <= o.b_len; i++) {
        const char x = a[o.a_len - i];
        const char y = b[o.b_len - i];
        if (is_wild(x) || is_wild(y))
            break;
        if (x != y)
            return false;
    }
    o.guarded = !is_reserved(a, o.a_len) || !is_reserved(b, o.b_len);
    return solve(&o);
}
