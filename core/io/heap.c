/* SPDX-License-Identifier: Apache-2.0
 *
 * The alarms of one worker as a binary heap, earliest on top. Each alarm knows its place, so that
 * moving one costs a logarithm and no search. Touched by the worker's thread only.
 */
#include "heap.h"

static void
heap_put(emesh_heap *heap, uint32_t i, emesh_alarm *alarm)
{
    heap->items[i] = alarm;
    alarm->place = i + 1;
}

static uint32_t
heap_up(emesh_heap *heap, uint32_t i, emesh_alarm *alarm)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / 2;
        if (heap->items[parent]->at_ns <= alarm->at_ns)
            break;
        heap_put(heap, i, heap->items[parent]);
        i = parent;
    }
    heap_put(heap, i, alarm);
    return i;
}

static void
heap_down(emesh_heap *heap, uint32_t i, emesh_alarm *alarm)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= heap->n)
            break;
        if (child + 1 < heap->n && heap->items[child + 1]->at_ns < heap->items[child]->at_ns)
            child++;
        if (alarm->at_ns <= heap->items[child]->at_ns)
            break;
        heap_put(heap, i, heap->items[child]);
        i = child;
    }
    heap_put(heap, i, alarm);
}

static void
heap_remove(emesh_heap *heap, emesh_alarm *alarm)
{
    uint32_t i = alarm->place - 1;
    emesh_alarm *last = heap->items[--heap->n];
    alarm->place = 0;
    if (last == alarm)
        return;
    if (heap_up(heap, i, last) == i)
        heap_down(heap, i, last);
}

void
emesh_heap_set(emesh_heap *heap, emesh_alarm *alarm, uint64_t at_ns)
{
    if (alarm->place != 0) {
        if (at_ns == alarm->at_ns)
            return;
        heap_remove(heap, alarm);
    }
    alarm->at_ns = at_ns;
    if (at_ns == 0)
        return;
    if (heap->n == heap->cap) {
        heap->cap = heap->cap ? heap->cap * 2 : 16;
        heap->items = g_renew(emesh_alarm *, heap->items, heap->cap);
    }
    heap_up(heap, heap->n++, alarm);
}

emesh_alarm *
emesh_heap_top(const emesh_heap *heap)
{
    return heap->n ? heap->items[0] : NULL;
}

void
emesh_heap_clear(emesh_heap *heap)
{
    for (uint32_t i = 0; i < heap->n; i++)
        heap->items[i]->place = 0;
    g_clear_pointer(&heap->items, g_free);
    heap->n = heap->cap = 0;
}
