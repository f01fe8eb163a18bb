/* SPDX-License-Identifier: Apache-2.0
 *
 * [instance] of one file. Built while the configuration is loaded, constant afterwards.
 */
#pragma once
#include "options.h"

/* "protocol-tcp" of "10-protocol-tcp.conf". Given. */
char *emesh_instance_name(const char *file);
/* What the section says; NULL with problems. Both sections outlive it. Given. */
emesh_conf_instance *emesh_instance_new(const char *path, const char *file,
                                        const emesh_conf_section *section,
                                        const emesh_conf_section *options,
                                        emesh_problems *problems);
void emesh_instance_free(emesh_conf_instance *instance);
const emesh_config *emesh_instance_values(const emesh_conf_instance *instance);
