/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring through the members it holds: no allocation, leaving needs no search. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct emesh_link emesh_link;
struct emesh_link {
    emesh_link *next, *prev; /* NULL when outside of every ring */
};

#define EMESH_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void
emesh_ring_init(emesh_link *ring)
{
    ring->next = ring->prev = ring;
}

static inline bool
emesh_ring_empty(const emesh_link *ring)
{
    return ring->next == ring;
}

static inline bool
emesh_link_in_ring(const emesh_link *link)
{
    return link->next != NULL;
}

static inline void
emesh_ring_append(emesh_link *ring, emesh_link *link)
{
    link->next = ring;
    link->prev = ring->prev;
    ring->prev->next = link;
    ring->prev = link;
}

static inline void
emesh_link_remove(emesh_link *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}
