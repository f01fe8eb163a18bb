/* SPDX-License-Identifier: Apache-2.0
 *
 * Short-lived memory of one event under way: mapped names, decoded values. One per lane, [lane].
 */
#ifndef TCP_ARENA_H
#define TCP_ARENA_H
#include <stddef.h>

typedef struct tcp_block tcp_block;
typedef struct tcp_arena {
    tcp_block *blocks; /* the newest first; one is kept */
    size_t used;       /* of the newest */
} tcp_arena;

char *tcp_arena_take(tcp_arena *a, size_t n); /* NULL: no memory */
void tcp_arena_reset(tcp_arena *a);
void tcp_arena_free(tcp_arena *a);

#endif
