/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of declared options, as a component gives them (in its own stride) and as the host mixes
 * them in. What the rest of the room reads is the host's copy.
 */
#pragma once
#include "config.h"
#include "problems.h"

typedef struct emesh_declared {
    emesh_option option; /* in the host's size; name is with the group's prefix */
    uint32_t group;      /* 0 = the component's own, else 1 + index of the group */
} emesh_declared;

/* Element i of options in the host's size, zero-extended. False: it has a tail that this host does
 * not know, or the stride is impossible. */
bool emesh_option_take(const emesh_option *options, uint32_t i, uint32_t option_size,
                       emesh_option *out);
/* All options of a component, groups behind them; names are kept in chunk. Problems: unknown group,
 * names given twice, malformed entries. Given: g_array_unref. */
GArray *emesh_declare(const emesh_option *options, uint32_t n_options, uint32_t option_size,
                      const emesh_option_group *groups, uint32_t n_groups, GStringChunk *chunk,
                      emesh_problems *problems);
/* Does text match one of the globs, "*password*|*.key"? */
bool emesh_option_glob(const char *globs, const char *text);

/* Length of a MAP's prefix in its name, with the dot: 6 in "kafka.*". */
static inline size_t
emesh_map_prefix(const char *name)
{
    size_t len = 0;
    while (name[len] != '\0' && name[len] != '*')
        len++;
    return len;
}
