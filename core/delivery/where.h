/* SPDX-License-Identifier: Apache-2.0
 *
 * Places and conditions as an administrator writes them.
 */
#pragma once
#include "eventmesh/event.h"
#include "eventmesh/subscription.h"
#include <stdbool.h>

#define EMESH_WHERE_PLACES                                                                         \
    "\"earliest\", \"latest\", a position as listings show it, or a time like 2025-01-31T08:00:00Z"

/* Where reading begins: with the event at a position, or the first that is there behind it. False: the
 * text says no such place. */
bool emesh_place_read(const char *text, emesh_start *out);
/* The last position below one. False: there is none, begin at the earliest. */
bool emesh_position_before(emesh_position at, emesh_position *out);
/* Order of positions: <0, 0, >0. */
int emesh_position_compare(emesh_position a, emesh_position b);

/* Conditions "NAME=VALUE" on attributes, all to be met; VALUE is a pattern with * and ?. */
typedef struct emesh_where emesh_where;
/* text: conditions separated by newlines; NULL or empty: every event. NULL: *why says what is wrong
 * (given). */
emesh_where *emesh_where_new(const char *text, char **why);
void emesh_where_free(emesh_where *where);
bool emesh_where_has_any(const emesh_where *where);
bool emesh_where_matches(const emesh_where *where, const emesh_event *event);
