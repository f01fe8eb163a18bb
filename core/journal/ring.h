/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring file: which lane writes which block. Taking a block locks (once per 4,096 lines),
 * writing into it does not. The file grows as blocks are used; size is the most.
 */
#pragma once
#include "journal/line.h"
#include <glib.h>

typedef struct emesh_ring emesh_ring;

typedef struct emesh_block { /* a writer's */
    uint64_t number;         /* 0 = none */
    uint32_t place;
    uint32_t used; /* lines written, the head included */
} emesh_block;

/* Opens or makes it. One of a newer major version is renamed. NULL: error. Given. */
emesh_ring *emesh_ring_open(const char *path, uint64_t size, GError **error);
void emesh_ring_close(emesh_ring *ring);
/* [any] The next block, or one that an earlier daemon left half empty; its first line, or the line
 * that resumes it, is written. False: every block is some lane's, or errno says why. */
bool emesh_ring_take(emesh_ring *ring, emesh_block *block);
/* [any] The writer leaves it; what is empty in it is used by the next daemon. */
void emesh_ring_leave(emesh_ring *ring, const emesh_block *block);
/* [any] Writes n lines at block->used, which moves on. False: errno. */
bool emesh_ring_write(emesh_ring *ring, emesh_block *block, const uint8_t *lines, uint32_t n);
/* [any] Blocks. False: errno. */
bool emesh_ring_sync(emesh_ring *ring);
uint32_t emesh_ring_blocks(const emesh_ring *ring); /* that it may have */
