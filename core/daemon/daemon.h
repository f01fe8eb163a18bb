/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon: what main() asks for, and what commands of other rooms may reach.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct emesh_daemon emesh_daemon;
typedef struct emesh_bus emesh_bus;

typedef struct emesh_daemon_args {
    char **conf_dirs;   /* NULL-terminated, never empty */
    char **plugin_dirs; /* NULL-terminated, never empty */
    char *data_dir;
    char *run_dir;
    const char *self;   /* path of this program: the probe's argv[0] */
    int ready_fd;       /* -1 = none */
} emesh_daemon_args;

#define EMESH_EXIT_OK 0
#define EMESH_EXIT_CONFIG 1   /* configuration refused */
#define EMESH_EXIT_INSTANCE 2 /* an instance failed at start */
#define EMESH_EXIT_INTERNAL 70

/* Runs until asked to stop; returns the exit code. The caller leaves by _exit. */
int emesh_daemon_run(const emesh_daemon_args *args);
/* --check-config, --dump-config: says what is wrong, or all values with their origins. */
int emesh_daemon_check(const emesh_daemon_args *args, bool dump);

emesh_bus *emesh_daemon_bus(emesh_daemon *daemon); /* [main] */
