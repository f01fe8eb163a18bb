/* SPDX-License-Identifier: Apache-2.0
 *
 * What an emesh_config is made of, for the files of this room. Built by one thread, constant
 * afterwards, so that every thread may read it.
 */
#pragma once
#include "problems.h"
#include "section.h"
#include "table.h"

typedef struct emesh_config_value {
    int64_t i;
    double d;
    char *text;
    size_t len;
    char *origin; /* "FILE:LINE", or "default" */
    char *key;    /* of an entry of a MAP, with the map's prefix; NULL elsewhere */
    bool secret;
} emesh_config_value;

typedef struct emesh_config_option {
    emesh_option option;
    uint32_t group;
    bool given;     /* in a file, rightly or wrongly */
    GArray *values; /* emesh_config_value */
} emesh_config_option;

typedef struct emesh_config_listener { /* one mixed-in "emesh.listen/1" */
    const char *prefix;
    const char **addresses;
    const char **origins;
    emesh_listen_spec spec;
} emesh_config_listener;

struct emesh_config {
    gatomicrefcount refs;
    GStringChunk *names;
    GArray *options;     /* emesh_config_option, in the order of declaration */
    GHashTable *by_name; /* name → 1 + index in options */
    GArray *listeners;   /* emesh_config_listener */
};

typedef enum emesh_key_filter {
    EMESH_KEYS_ALL,
    EMESH_KEYS_PLAIN,    /* those without a dot: a section's own */
    EMESH_KEYS_INSTANCE, /* INSTANCE.KEY, read as KEY */
} emesh_key_filter;

typedef struct emesh_config_source {
    const emesh_conf_section *section; /* NULL: defaults alone */
    emesh_key_filter filter;
    const char *instance;              /* with EMESH_KEYS_INSTANCE */
} emesh_config_source;

/* As emesh_config_new(), but collects into problems; always returns a config, which is of use only
 * when nothing was added. */
emesh_config *emesh_config_build(const emesh_config_source *source, const emesh_option *options,
                                 uint32_t n_options, uint32_t option_size,
                                 const emesh_option_group *groups, uint32_t n_groups,
                                 emesh_problems *problems);
const emesh_config_option *emesh_config_find(const emesh_config *config, const char *name);
/* First value of an option, NULL when it has none. */
const emesh_config_value *emesh_config_first(const emesh_config *config, const char *prefix,
                                             const char *name);
/* The value as what it is known to be; 0 or NULL when the option has none. */
int64_t emesh_config_number(const emesh_config *config, const char *prefix, const char *name);
const char *emesh_config_text(const emesh_config *config, const char *prefix, const char *name);

/* groups.c: what holds between the options of the mixed-in groups; makes the listeners. */
void emesh_groups_finish(emesh_config *config, const emesh_option_group *groups, uint32_t n_groups,
                         emesh_problems *problems);
