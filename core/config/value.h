/* SPDX-License-Identifier: Apache-2.0
 *
 * One value: from text to number and back, by the type of its option.
 *
 *   bool      true yes on 1, false no off 0
 *   duration  0, or a number with ns us ms s m h d; a decimal point is allowed ("1.5s")
 *   size      bytes, or a number with k M G T or KiB MiB GiB TiB, all of them steps of 1024
 *   path      absolute
 *   address   host:port, IPv6 in brackets, port 0 to 65535; the number is the port
 */
#pragma once
#include "eventmesh/option.h"
#include <glib.h>
#include <stdbool.h>

/* Sets *i and *d (zero where the type has none). NULL: fine, else what is wrong, given; the text
 * itself is in it only when show. min == max == 0: no range. */
char *emesh_value_parse(uint32_t type, const char *text, const char *choices, int64_t min,
                        int64_t max, bool show, int64_t *i, double *d);
/* "30s", "64KiB", "10000" for a DURATION, SIZE or INT. Given. */
char *emesh_value_format(uint32_t type, int64_t i);
/* "duration", "size", … of EMESH_OPT_*, NULL when unknown. */
const char *emesh_value_type_name(uint32_t type);
/* "1 to 10000", "at least 1s"; NULL when there is no range. Given. */
char *emesh_value_range(uint32_t type, int64_t min, int64_t max);
/* ${NAME} becomes the environment's NAME, $$ a dollar; any other dollar stays. NULL: not defined,
 * or not closed, and *why says so (given). Given. */
char *emesh_value_expand(const char *text, char **why);
/* The known word that was probably meant, or NULL. */
const char *emesh_suggest(const char *word, const char *const *known, uint32_t n);
