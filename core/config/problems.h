/* SPDX-License-Identifier: Apache-2.0
 *
 * All that is wrong with a configuration, one line each: an operator wants every error of a start
 * at once. Bounded: what comes after the first 100 is only counted.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct emesh_problems {
    GString *text;
    uint32_t n;
} emesh_problems;

void emesh_problems_init(emesh_problems *problems);
void emesh_problems_clear(emesh_problems *problems);
/* "ORIGIN: KEY: WHY"; origin and key may be NULL. */
void emesh_problems_add(emesh_problems *problems, const char *origin, const char *key,
                        const char *why, ...) G_GNUC_PRINTF(4, 5);
/* True when there were none; else sets error to all of them, one per line. */
bool emesh_problems_end(emesh_problems *problems, GError **error);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(emesh_problems, emesh_problems_clear)
