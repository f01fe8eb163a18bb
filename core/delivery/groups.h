/* SPDX-License-Identifier: Apache-2.0
 *
 * Places of groups, wherever they are kept: by the stores, or in core for plain ones. [main]
 */
#pragma once
#include "bus/gather.h"

typedef struct emesh_groups_query { /* NULL: any */
    const char *topic, *group;
    const emesh_store *store;
    const emesh_start *start; /* count what the group has not done from there on */
} emesh_groups_query;

/* Rows (emesh_listed), one for each partition in which a group has a place. */
void emesh_groups_list(emesh_bus *bus, const emesh_groups_query *query,
                       void (*done)(void *ctx, GArray *rows), void *ctx);
