/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of this room, for the registry.
 */
#pragma once
#include "admin/command.h"

extern const emesh_command emesh_delivery_commands[]; /* ends with a NULL verb */
extern const emesh_command emesh_place_commands[];
/* An argument that is "true" or "yes". */
bool emesh_command_says(const emesh_attr *args, uint32_t n, const char *name);
