/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's own state, for the files of this room. All [main].
 */
#pragma once
#include "admin/view.h"
#include "bus/bus.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/plan.h"

struct emesh_daemon {
    emesh_admin_view view;       /* first: the commands' view of this struct */
    const emesh_daemon_args *args;
    emesh_log *log;
    GMainLoop *loop;
    emesh_worker *main;
    emesh_worker **workers;
    uint32_t n_workers;
    emesh_pool *pool;
    emesh_state *state;
    emesh_journal *journal;
    emesh_loader *loader;
    emesh_services *services;
    emesh_bus *bus;
    emesh_net_budget budget;     /* what connections may buffer */
    emesh_inst_env env;
    emesh_conf *admin_conf;      /* of the internal instance */
    emesh_plan *plan;            /* what runs */
    emesh_plan *next;            /* a reload under way */
    GHashTable *held;            /* name → emesh_held: listening sockets of what it restarts */
    GPtrArray *instances;        /* emesh_inst, storage first */
    uint32_t left;               /* answers awaited by the step under way */
    int exit_code;
    emesh_job stop_job;          /* a failure stops behind the call that told it */
    bool ready, failing, stopping, reload_again, stop_again;
    emesh_alarm watchdog;
    uint64_t watchdog_ns;        /* half the limit; 0 = none */
    uint32_t beats_left;         /* workers that have not answered the last beat */
    emesh_job *beats;            /* one for each worker */
};

/* start.c */
void emesh_daemon_start(emesh_daemon *daemon);
bool emesh_daemon_add(emesh_daemon *daemon, const emesh_planned *planned, GError **error);
void emesh_daemon_fail(emesh_daemon *daemon, int code, const char *text);
/* stop.c */
void emesh_daemon_stop(emesh_daemon *daemon);
/* reload.c */
void emesh_daemon_reload(emesh_daemon *daemon);
/* status.c */
void emesh_daemon_status(emesh_daemon *daemon, emesh_command_reply *reply);
void emesh_daemon_metrics(emesh_daemon *daemon, emesh_command_reply *reply);
/* notify.c */
void emesh_daemon_tell_ready(emesh_daemon *daemon);
void emesh_daemon_tell(emesh_daemon *daemon, const char *state);
/* Logs text of several lines as so many records. */
void emesh_daemon_say(emesh_daemon *daemon, uint32_t level, const char *text);
