/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin's descriptor as rows, for the daemon's plugin.show and for eventmeshctl without one.
 */
#pragma once
#include "admin/command.h"
#include "eventmesh/eventmesh.h"

/* Rows of kind plugin, component, option. Does not end the reply. */
void emesh_plugin_describe(const emesh_plugin *plugin, const char *path,
                           emesh_command_reply *reply);
