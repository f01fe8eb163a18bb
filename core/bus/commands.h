/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of this room, for the registry.
 */
#pragma once
#include "admin/command.h"

extern const emesh_command emesh_bus_commands[]; /* ends with a NULL verb */
