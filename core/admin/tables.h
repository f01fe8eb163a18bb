/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of the verbs that live in this room.
 */
#pragma once
#include "admin/command.h"

extern const emesh_command emesh_status_commands[]; /* status, metrics, log-level */
extern const emesh_command emesh_plugin_commands[]; /* plugin.list, plugin.show */
extern const emesh_command emesh_config_commands[]; /* config.show, config.check */
extern const emesh_command emesh_health_commands[]; /* health */
