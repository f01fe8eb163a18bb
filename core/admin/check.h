/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a configuration one that the daemon would start with? The same judgement for
 * `eventmeshd --check-config`, the command config.check, and eventmeshctl without a daemon.
 */
#pragma once
#include "admin/command.h"
#include "config/config.h"
#include "plugin/loader.h"

typedef struct emesh_check {
    void (*problem)(void *ctx, const char *text); /* "FILE:LINE: KEY: why", one line each */
    void *ctx;
    uint32_t n_problems, n_instances, n_disabled, n_rules; /* results */
} emesh_check;

/* Reads conf_dirs, opens the plugins of all enabled instances, checks options and rules. Changes
 * nothing, binds nothing. True: no problem found. */
bool emesh_check_conf(emesh_check *check, const char *const *conf_dirs, emesh_loader *loader);
/* The row that ends an answer of config.check. */
void emesh_check_verdict(const emesh_check *check, bool good, const char *conf_dirs,
                         emesh_command_reply *reply);
