/* SPDX-License-Identifier: Apache-2.0
 *
 * The search path of conf.d: which files hold, after overriding and masking.
 */
#pragma once
#include "problems.h"

typedef struct emesh_conf_file {
    char *name; /* "10-protocol-tcp.conf" */
    char *path;
    char *text; /* read, NUL behind it; wiped when freed */
    size_t len;
} emesh_conf_file;

/* Files in the order of their names, masked ones left out. Given: g_ptr_array_unref. */
GPtrArray *emesh_conf_files(const char *const *dirs, emesh_problems *problems);
