/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of this room, for the registry.
 */
#pragma once
#include "admin/command.h"
#include "delivery/browse.h"
#include "delivery/where.h"

extern const emesh_command emesh_delivery_commands[]; /* ends with a NULL verb */
extern const emesh_command emesh_place_commands[];
extern const emesh_command emesh_browse_commands[];
extern const emesh_command emesh_letter_commands[];
/* An argument that is "true" or "yes". */
bool emesh_command_says(const emesh_attr *args, uint32_t n, const char *name);
/* "limit" and "where"; false and NULL: refused already. */
bool emesh_command_limit(const emesh_attr *args, uint32_t n, uint64_t *limit,
                         emesh_command_reply *reply);
emesh_where *emesh_command_where(const emesh_attr *args, uint32_t n, emesh_command_reply *reply);
/* Place, size and attributes of a record; data: the whole event as JSON too. */
void emesh_row_event(emesh_row_builder *row, const emesh_browsed *item, bool data);
/* The last row of a browse, and the end of the reply. */
void emesh_row_end(emesh_command_reply *reply, bool more, uint64_t looked);
