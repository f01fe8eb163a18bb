/* SPDX-License-Identifier: Apache-2.0
 *
 * The alarms of one worker as a binary heap, earliest on top. Touched by the worker's thread only.
 */
#pragma once
#include "worker.h"

typedef struct emesh_heap {
    emesh_alarm **items;
    uint32_t n, cap;
} emesh_heap;

/* Puts alarm in, moves it, or takes it out (at_ns 0). */
void emesh_heap_set(emesh_heap *heap, emesh_alarm *alarm, uint64_t at_ns);
/* The earliest, or NULL. */
emesh_alarm *emesh_heap_top(const emesh_heap *heap);
void emesh_heap_clear(emesh_heap *heap);
