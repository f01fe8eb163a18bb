/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of `eventmeshctl top`.
 */
#pragma once
#include "admin/command.h"

extern const emesh_command emesh_top_commands[]; /* ends with a NULL verb */
