/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin face as the daemon sees it: an internal component of kind protocol, on a GLIB lane,
 * brought up through the same instance machinery as every plugin. It listens on RUN/admin.sock, and
 * where [daemon] says so on admin-listen, and talks to the mesh through the client service alone.
 */
#pragma once
#include "config/config.h"
#include "eventmesh/eventmesh.h"

#define EMESH_ADMIN_NAME "admin"

extern const emesh_plugin emesh_admin_plugin;
extern const emesh_component emesh_admin_component;

/* Its options, from [daemon]. NULL: error. Given: unref. */
emesh_config *emesh_admin_config(const emesh_conf *conf, const char *run_dir, GError **error);
