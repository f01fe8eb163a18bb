/* SPDX-License-Identifier: Apache-2.0
 *
 * Is what the entry returned a descriptor this host can live with?
 */
#pragma once
#include "eventmesh/eventmesh.h"
#include "plugin/elf.h"

/* [any] Refusals name path; elf is what was read of the file before. */
bool emesh_descriptor_check(const emesh_plugin *plugin, const char *path, const emesh_elf *elf,
                            GError **error);
/* Does this host have the kind? */
bool emesh_kind_known(const char *kind);
