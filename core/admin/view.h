/* SPDX-License-Identifier: Apache-2.0
 *
 * What the daemon shows to its commands. The daemon keeps one as the FIRST member of struct
 * emesh_daemon and keeps it true; handlers read it on [main].
 */
#pragma once
#include "admin/command.h"
#include "config/config.h"
#include "plugin/inst.h"
#include "plugin/loader.h"

typedef struct emesh_admin_view {
    const char *node, *data_dir, *run_dir;
    const char *const *conf_dirs;   /* NULL-terminated, a later one overrides */
    const char *const *plugin_dirs; /* NULL-terminated */
    const char *state;              /* "starting", "ready", "stopping" */
    uint64_t started_ms;            /* wall clock */
    emesh_worker *main;
    emesh_worker *const *workers; /* data workers */
    uint32_t n_workers;
    emesh_conf *conf; /* what runs now */
    emesh_loader *loader;
    GPtrArray *instances; /* emesh_inst, in start order, failed ones too */
    /* Rows of other rooms: kind=store, kind=finding, … NULL: none. Does not end the reply. */
    void (*status)(emesh_daemon *daemon, emesh_command_reply *reply);
    /* Rows of counters: name, unit, value; of a plugin's also instance and labels. NULL: none. */
    void (*metrics)(emesh_daemon *daemon, emesh_command_reply *reply);
    /* Sets the level (0: asks) and returns the one that holds, EMESH_LOG_*. */
    uint32_t (*log_level)(emesh_daemon *daemon, uint32_t level);
} emesh_admin_view;

static inline const emesh_admin_view *
emesh_admin_view_of(const emesh_daemon *daemon)
{
    return (const emesh_admin_view *)daemon;
}
