/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and patterns of topics and groups, beyond what config.h offers to everyone.
 */
#pragma once
#include "config.h"

/* May this stand in [topic …]: as a name, but * and ? are allowed. */
bool emesh_pattern_ok(const char *pattern);
bool emesh_pattern_is_exact(const char *pattern);
/* Bytes that are neither * nor ?: the more, the more a pattern says. */
uint32_t emesh_pattern_weight(const char *pattern);
/* Is there a name, of the length a name may have, that both match? Exact. */
bool emesh_patterns_overlap(const char *a, const char *b);
