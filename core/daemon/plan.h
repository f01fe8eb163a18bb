/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan: what a configuration asks to run, with every plugin opened and every option checked,
 * before anything is made. Start, reload and --check-config share it.
 */
#pragma once
#include "config/config.h"
#include "plugin/inst.h"
#include "plugin/loader.h"

typedef struct emesh_planned {
    const emesh_conf_instance *conf;
    const emesh_plugin *plugin;
    const emesh_component *component;
    emesh_config *config;
} emesh_planned;

typedef struct emesh_plan {
    emesh_conf *conf;
    emesh_daemon_options options;
    GArray *items;         /* emesh_planned, storage first */
    GString *wrong;        /* one line for each refusal */
    bool plugin_refused;   /* a plugin, not the configuration, is at fault */
} emesh_plan;

/* [main] Never NULL; wrong->len > 0 when it cannot run. */
emesh_plan *emesh_plan_new(const char *const *conf_dirs, emesh_loader *loader);
void emesh_plan_free(emesh_plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(emesh_plan, emesh_plan_free)
const emesh_planned *emesh_plan_find(const emesh_plan *plan, const char *name);
bool emesh_planned_is_storage(const emesh_planned *planned);
/* dump.c: every value with its origin to standard output, secrets masked. */
void emesh_plan_dump(emesh_plan *plan);
/* The ops of a storage component, in the plugin's own size but with all that concerns options; NULL
 * for every other kind. */
const emesh_storage_ops *emesh_planned_storage(const emesh_planned *planned);
