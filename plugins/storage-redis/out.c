/* SPDX-License-Identifier: Apache-2.0
 *
 * What a partition has handed over and the host has not settled, in the order of handing over:
 * UP_TO means that order, as what is taken over from others comes with lower positions.
 */
#include "redis.h"

#include <string.h>

/* Nearly one to one; whoever looks compares. */
static void *
key_of(emesh_position at)
{
    return (void *)(uintptr_t)((at.hi << 20 ^ at.lo) + 1);
}

static bool
same(emesh_position a, emesh_position b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* Its index in out, or UINT32_MAX. */
static uint32_t
find(const rs_part *p, emesh_position at)
{
    uint64_t number;

    if (p->out == NULL)
        return UINT32_MAX;
    number = (uint64_t)(uintptr_t)g_hash_table_lookup(p->where, key_of(at));
    if (number > p->base && number - p->base - 1 < p->out->len &&
        same(g_array_index(p->out, rs_handed, number - p->base - 1).at, at))
        return (uint32_t)(number - p->base - 1);
    if (number == 0)
        return UINT32_MAX;
    for (uint32_t i = p->head; i < p->out->len; i++) /* two with one key */
        if (same(g_array_index(p->out, rs_handed, i).at, at))
            return i;
    return UINT32_MAX;
}

bool
rs_out_has(const rs_part *p, emesh_position at)
{
    uint32_t i = find(p, at);

    return i != UINT32_MAX && !g_array_index(p->out, rs_handed, i).settled;
}

static void
shrink(rs_part *p)
{
    while (p->head < p->out->len && g_array_index(p->out, rs_handed, p->head).settled) {
        void *key = key_of(g_array_index(p->out, rs_handed, p->head).at);
        if ((uint64_t)(uintptr_t)g_hash_table_lookup(p->where, key) == p->base + p->head + 1)
            g_hash_table_remove(p->where, key);
        p->head++;
    }
    if (p->head < 1024 && p->head < p->out->len)
        return;
    g_array_remove_range(p->out, 0, p->head);
    p->base += p->head;
    p->head = 0;
}

bool
rs_out_add(rs_part *p, emesh_position at, bool settled)
{
    rs_handed handed = { at, settled };

    if (p->out == NULL) {
        p->out = g_array_new(FALSE, FALSE, sizeof(rs_handed));
        p->where = g_hash_table_new(NULL, NULL);
    }
    if (rs_out_has(p, at))
        return false;
    g_array_append_val(p->out, handed);
    g_hash_table_insert(p->where, key_of(at), (void *)(uintptr_t)(p->base + p->out->len));
    if (settled)
        shrink(p);
    return true;
}

void
rs_out_settle(rs_part *p, emesh_position at, bool up_to, void (*each)(void *ctx, emesh_position at),
              void *ctx)
{
    uint32_t last = find(p, at);

    if (p->unsure != NULL)
        g_hash_table_remove(p->unsure, key_of(at));
    if (last == UINT32_MAX)
        return;
    for (uint32_t i = up_to ? p->head : last; i <= last; i++) {
        rs_handed *handed = &g_array_index(p->out, rs_handed, i);
        if (handed->settled)
            continue;
        handed->settled = true;
        if (each != NULL)
            each(ctx, handed->at);
    }
    shrink(p);
}

void
rs_out_clear(rs_part *p)
{
    g_clear_pointer(&p->out, g_array_unref);
    g_clear_pointer(&p->where, g_hash_table_unref);
    g_clear_pointer(&p->unsure, g_hash_table_unref);
    p->head = 0;
    p->base = 0;
}

void
rs_part_unsure(rs_part *p, emesh_position at)
{
    if (p->unsure == NULL)
        p->unsure = g_hash_table_new(NULL, NULL);
    g_hash_table_add(p->unsure, key_of(at));
}

bool
rs_part_is_unsure(const rs_part *p, emesh_position at)
{
    return p->unsure != NULL && g_hash_table_contains(p->unsure, key_of(at));
}
