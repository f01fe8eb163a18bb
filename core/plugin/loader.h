/* SPDX-License-Identifier: Apache-2.0
 *
 * From a file name to a checked descriptor: ELF note and owner before anything runs, a probe in a
 * child process whose verdict is remembered, then dlopen, entry, and the checks of descriptor,
 * components, options and tables. Modules stay resident.
 *
 * Every refusal has its own code, "E01" … , and one line: file, what is wrong, host and plugin ABI
 * where that matters, what to do.
 */
#pragma once
#include "daemon/log.h"
#include "eventmesh/eventmesh.h"
#include <glib.h>

typedef enum emesh_refusal { /* stable: shown to operators, used by the tests */
    EMESH_REFUSED_NOT_FOUND = 1,
    EMESH_REFUSED_NOT_ELF,
    EMESH_REFUSED_WRITABLE,       /* file or folder writable by others */
    EMESH_REFUSED_NO_NOTE,
    EMESH_REFUSED_MAJOR,
    EMESH_REFUSED_MINOR,          /* needs a newer host */
    EMESH_REFUSED_EXPORTS,        /* a second emesh_ symbol */
    EMESH_REFUSED_NO_ENTRY,
    EMESH_REFUSED_DLOPEN,
    EMESH_REFUSED_CRASHED,        /* the probe died */
    EMESH_REFUSED_SLOW,           /* the probe took too long */
    EMESH_REFUSED_SIZE,           /* descriptor, component, layout or table size impossible */
    EMESH_REFUSED_TEXT,           /* id, version, licence, name … missing or malformed */
    EMESH_REFUSED_NAME,           /* file, component and conf.d names do not agree */
    EMESH_REFUSED_MUST,           /* unknown must bit */
    EMESH_REFUSED_ISOLATE,        /* asks for isolation, which this host lacks */
    EMESH_REFUSED_OP_MISSING,     /* a mandatory op */
    EMESH_REFUSED_OPTIONS,        /* duplicate, default that does not parse, unknown bit */
    EMESH_REFUSED_GROUP,          /* unknown option group */
    EMESH_REFUSED_NEED,           /* unknown service, or less of it than needed */
    EMESH_REFUSED_KIND,           /* no component of a kind this host has */
    EMESH_REFUSED_LANES,
    EMESH_REFUSED_CONFIG,         /* check() refused the options */
    EMESH_REFUSED_CREATE,
} emesh_refusal;
#define EMESH_REFUSED emesh_refused_quark()
GQuark emesh_refused_quark(void); /* GError.code is an emesh_refusal, message begins "E%02d " */

typedef struct emesh_loader emesh_loader;
/* dirs: where NAME.so is looked for, a later one wins. prober: argv[0] of the probe helper (the
 * daemon's own binary with --probe), NULL = no probe (tests). cache: file of remembered verdicts
 * under DATA/core, or NULL. */
emesh_loader *emesh_loader_new(const char *const *dirs, const char *prober, const char *cache);
void emesh_loader_free(emesh_loader *loader);
/* Where warnings go (foreign exports); NULL = nowhere. */
void emesh_loader_log_to(emesh_loader *loader, emesh_log *log);
/* [main] The plugin whose file is NAME.so (or a full path); the same one when asked again. */
const emesh_plugin *emesh_loader_open(emesh_loader *loader, const char *name, GError **error);
/* The component of that name in plugin, NULL when absent or of a kind this host lacks. */
const emesh_component *emesh_plugin_component(const emesh_plugin *plugin, const char *name);
/* [main] Both in one: the component of an instance, from the file named file, or from NAME.so when
 * file is NULL. The refusal tells which components the file does have. */
const emesh_component *emesh_loader_component(emesh_loader *loader, const char *file,
                                              const char *component, const emesh_plugin **plugin,
                                              GError **error);
/* Names of all .so files in the folders, sorted. For `plugin list`. */
char **emesh_loader_list(emesh_loader *loader);
/* Full path a name resolves to, NULL when there is none. Given. */
char *emesh_loader_path(emesh_loader *loader, const char *name);
/* Entry of the probe child: opens and checks the file, prints its verdict, returns the exit code; the
 * caller leaves with it by _exit, so that no destructor of the plugin runs. */
int emesh_loader_probe(const char *path);
