/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a configuration one that the daemon would start with? The daemon's own plan as rows, for the
 * command config.check and for eventmeshctl without a daemon.
 */
#pragma once
#include "admin/command.h"
#include "plugin/loader.h"

/* [main] Makes a plan and throws it away: rows of kind problem, then one of kind verdict. Changes
 * nothing, binds nothing. Does not end the reply. */
void emesh_check_conf(const char *const *conf_dirs, emesh_loader *loader,
                      emesh_command_reply *reply);
