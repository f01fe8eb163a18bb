/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin face as the daemon sees it: an internal component of kind protocol, on a GLIB lane,
 * brought up through the same instance machinery as every plugin. It listens on RUN/admin.sock and
 * talks to the mesh through the client service alone.
 */
#pragma once
#include "eventmesh/eventmesh.h"

#define EMESH_ADMIN_NAME "admin"

extern const emesh_plugin emesh_admin_plugin;
extern const emesh_component emesh_admin_component;

/* The text of its conf.d file, for emesh_conf_parse("admin.conf", …). Given: g_free. */
char *emesh_admin_conf_text(const char *run_dir);
