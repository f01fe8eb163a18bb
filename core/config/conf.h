/* SPDX-License-Identifier: Apache-2.0
 *
 * What an emesh_conf is made of, for the files of this room.
 */
#pragma once
#include "options.h"
#include "rules.h"

struct emesh_conf {
    gatomicrefcount refs;
    GPtrArray *sections;         /* emesh_conf_section, all but the merged one */
    GPtrArray *instances;        /* conf_instance of conf.c, by file name */
    emesh_conf_section *daemon;  /* [daemon] of all files, NULL: nowhere */
    emesh_config *daemon_config; /* and its values */
    emesh_rules *topics;
    emesh_rules *groups;
    bool incomplete;             /* while loading: an instance may be missing for its errors */
};

/* daemon.c: typed values of [daemon]. Given. */
emesh_config *emesh_daemon_config_new(const emesh_conf_section *section, emesh_problems *problems);
