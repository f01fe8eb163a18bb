/* SPDX-License-Identifier: Apache-2.0
 *
 * Life table of the component.
 */
#ifndef SA_INSTANCE_H
#define SA_INSTANCE_H
#include "eventmesh/plugin.h"

int32_t sa_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
                  emesh_error *err);
void sa_start(emesh_instance *self, emesh_op *op);
void sa_stop(emesh_instance *self, emesh_op *op);
void sa_destroy(emesh_instance *self);

#endif
