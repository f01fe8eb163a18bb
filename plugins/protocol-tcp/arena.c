/* SPDX-License-Identifier: Apache-2.0
 *
 * A chain of blocks that is thrown away as a whole; what a frame can ask for is bounded by the
 * frame. [lane]
 */
#include "arena.h"

#include <stdlib.h>

#define BLOCK 8192u

struct tcp_block {
    tcp_block *older;
    size_t cap;
    char mem[];
};

char *
tcp_arena_take(tcp_arena *a, size_t n)
{
    if (a->blocks == NULL || a->blocks->cap - a->used < n) {
        size_t cap = n > BLOCK ? n : BLOCK;
        tcp_block *b = malloc(sizeof *b + cap);
        if (b == NULL)
            return NULL;
        b->cap = cap;
        b->older = a->blocks;
        a->blocks = b;
        a->used = 0;
    }
    char *p = a->blocks->mem + a->used;
    a->used += n;
    return p;
}

void
tcp_arena_reset(tcp_arena *a)
{
    while (a->blocks != NULL && (a->blocks->older != NULL || a->blocks->cap > BLOCK)) {
        tcp_block *older = a->blocks->older;
        free(a->blocks);
        a->blocks = older;
    }
    a->used = 0;
}

void
tcp_arena_free(tcp_arena *a)
{
    tcp_arena_reset(a);
    free(a->blocks);
    a->blocks = NULL;
}
