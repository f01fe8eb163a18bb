/* SPDX-License-Identifier: Apache-2.0
 *
 * A browse for a command: records come to main a bite at a time, conditions are tested, a limit
 * ends it.
 */
#pragma once
#include "delivery/browse.h"
#include "delivery/where.h"

typedef struct emesh_view_spec {
    const char *topic;     /* refused when no store has it */
    const char *group;     /* what it has done is left out, its place does not move; NULL: everything */
    const char *partition; /* NULL: all */
    emesh_start start;     /* of everything */
    emesh_where *where;    /* given; NULL: all */
    uint64_t limit;        /* records shown */
    uint64_t most;         /* records looked at */
    /* [main] One that meets the conditions. False: it does not count. */
    bool (*show)(void *ctx, const emesh_browsed *item);
    /* [main] more: there are further records; looked: at so many. */
    void (*end)(void *ctx, int32_t code, const char *why, bool more, uint64_t looked);
    void *ctx;
} emesh_view_spec;

/* [main] */
void emesh_view(emesh_bus *bus, const emesh_view_spec *spec);
