/* SPDX-License-Identifier: Apache-2.0
 *
 * Instances: one conf.d file each, brought up and down through the life table of their component.
 * This is what the other rooms see of a plugin; loader and checks are in loader.h.
 */
#pragma once
#include "config/config.h"
#include "daemon/log.h"
#include "eventmesh/eventmesh.h"
#include "eventmesh/glib.h"
#include "io/loop.h"
#include "state/state.h"

typedef enum emesh_inst_state {
    EMESH_INST_LOADED,   /* component found, options checked */
    EMESH_INST_CREATED,
    EMESH_INST_STARTING,
    EMESH_INST_ATTACHING,
    EMESH_INST_RUNNING,
    EMESH_INST_DRAINING,
    EMESH_INST_DETACHING,
    EMESH_INST_STOPPING,
    EMESH_INST_STOPPED,
    EMESH_INST_FAILED,   /* code and text say why */
} emesh_inst_state;
const char *emesh_inst_state_name(emesh_inst_state state);

/* Read freely by any thread once the instance is created; only the plugin room writes. The ops
 * tables are the plugin's, copied into the host's size: what an older plugin lacks is NULL. */
struct emesh_inst {
    char *name;
    const emesh_component *component;    /* as given by the plugin: read with EMESH_HAS */
    const emesh_plugin *plugin;
    emesh_layout layout;                 /* the plugin's array strides, never 0 */
    emesh_life_ops life;
    emesh_storage_ops storage;           /* kind storage */
    emesh_protocol_ops protocol;         /* kind protocol */
    emesh_client_ops client;             /* kind protocol: its client table */
    emesh_host host;                     /* what the plugin sees; emesh_inst_of() goes back */
    emesh_instance *self;                /* the plugin's */
    emesh_loop **loops;                  /* n_loops lanes */
    uint32_t n_loops;
    bool is_storage, is_protocol;
    emesh_inst_state state;              /* [main] */
    uint32_t health;                     /* [main] EMESH_HEALTH_* of the last report */
    char reason[256];                    /* [main] machine code and text of state or health */
    struct emesh_bus *mesh;              /* the daemon's bus, from env */
    void *bus;                           /* the bus's record of a store; bus room writes it */
    struct emesh_metrics *metrics;       /* its numbers, metrics.h */
    struct emesh_inst_private *priv;     /* plugin room */
};

emesh_inst *emesh_inst_of(const emesh_host *host);
/* The lane of this instance on worker, or NULL when it has none there (HOME on another). */
emesh_loop *emesh_inst_loop(const emesh_inst *inst, const emesh_worker *worker);

/* ---- one asynchronous step: the emesh_op the plugin completes ---- */
/* done runs on home, once, whatever thread completed it; value is what `take` made of the plugin's
 * result on the completing thread (take NULL: the pointer itself; no result: NULL). */
typedef void (*emesh_op_done)(void *ctx, int32_t code, const emesh_error *err, void *value);
typedef void *(*emesh_op_take)(const emesh_inst *inst, const void *result);
/* [any] The handle is a number in disguise, never dereferenced: completing it twice, or after the
 * host has let go of it, is noticed, logged as the plugin's bug and counted. What a plugin leaves
 * open when its stop has completed ends with LOST. */
emesh_op *emesh_op_new(emesh_inst *inst, emesh_worker *home, emesh_op_take take,
                       emesh_op_done done, void *ctx);
/* [home] Waits no longer: done is not called, a completion is swallowed. */
void emesh_op_cut(emesh_inst *inst, emesh_op *op);

/* ---- the service tables handed to plugins ---- */
typedef struct emesh_services emesh_services;
emesh_services *emesh_services_new(void);
/* table: size first, constant, outlives services. */
void emesh_services_add(emesh_services *services, const char *id, const void *table);
const void *emesh_services_find(const emesh_services *services, const char *id);
void emesh_services_free(emesh_services *services);

/* ---- events of life, for bus and daemon; all [main] ---- */
typedef struct emesh_inst_events {
    /* A store told ready(): info is the host's copy (zero-extended). Also when it changes. */
    void (*store_ready)(void *ctx, emesh_inst *inst, const emesh_store_info *info);
    void (*state_changed)(void *ctx, emesh_inst *inst);
    /* Optional. The instance is about to be drained, detached and stopped (asked for, or to be
     * started anew): the bus stops using it, of a store it closes readers and topics, then posts
     * done on main. Its plugin still answers meanwhile. state_changed(RUNNING) tells it is back. */
    void (*going_down)(void *ctx, emesh_inst *inst, emesh_job *done);
    /* Optional. This GLIB worker of the instance has run for the last time; before it is freed. */
    void (*worker_gone)(void *ctx, emesh_inst *inst, emesh_worker *worker);
    void *ctx;
} emesh_inst_events;

typedef struct emesh_inst_env { /* what every instance of a daemon shares */
    emesh_worker *main;
    emesh_worker *const *workers;
    uint32_t n_workers;
    emesh_pool *pool;
    const emesh_services *services;
    const char *data_dir;        /* DATA; the instance gets DATA/NAME as about "data-dir" */
    const char *node;            /* host name */
    const char *daemon_id;       /* the same for ever, nobody else's; may be NULL in tests */
    struct emesh_bus *mesh;      /* copied into every instance */
    emesh_state *state;          /* may be NULL in tests */
    emesh_log *log;              /* may be NULL in tests */
    emesh_net_budget *budget;    /* of all connections; NULL: none */
    uint64_t step_limit_ns;      /* for detach and stop, before a plugin is abandoned; 0: 30 s */
    emesh_inst_events events;
} emesh_inst_env;

/* [main] Makes the record, checks needs and check(); create() is called. NULL: error; the code of
 * a refusal is in its text ("E07 …", see loader.h). */
emesh_inst *emesh_inst_new(const emesh_inst_env *env, const emesh_plugin *plugin,
                           const emesh_component *component, const emesh_conf_instance *conf,
                           emesh_config *config, GError **error);
/* [main] What --check-config and a reload ask before anything is made or stopped: are the services
 * there, the lanes possible, and does check() like the options? */
bool emesh_inst_check(const emesh_inst_env *env, const emesh_component *component,
                      emesh_config *config, GError **error);
/* [main] bind listeners, start, attach on all lanes, open listeners → RUNNING, then done(0); on
 * failure all is undone, the state is FAILED and done has the code; inst->reason says why. After
 * a down it makes the plugin's instance anew. An instance that reports FAILED while it runs is
 * taken down and brought up again by the plugin room, after 1 to 60 s: done is not called for
 * that, state_changed is. */
void emesh_inst_up(emesh_inst *inst, void (*done)(void *ctx, emesh_inst *inst, int32_t code),
                   void *ctx);
/* [main] Stops listening, drains by deadline, closes connections, detaches, stops, destroys. May
 * come at any time after new; it ends an up under way (CANCELED) and a wait for a restart. A plugin
 * that does not complete detach or stop in time is abandoned: FAILED, never destroyed. */
void emesh_inst_down(emesh_inst *inst, uint64_t deadline_ns,
                     void (*done)(void *ctx, emesh_inst *inst), void *ctx);
/* [main] LIVE options: takes a reference of config and calls apply, now or when it runs. */
void emesh_inst_apply(emesh_inst *inst, emesh_config *config);
emesh_config *emesh_inst_config(const emesh_inst *inst); /* borrowed */
/* [main] Listening sockets for the next life of an instance that is restarted: held from the old one
 * before it goes down, given (taken over) to the new one before it comes up. */
emesh_held *emesh_inst_hold_listeners(const emesh_inst *inst);
void emesh_inst_give_listeners(emesh_inst *inst, emesh_held *held);
bool emesh_inst_reload_tls(emesh_inst *inst, GError **error);
void emesh_inst_free(emesh_inst *inst); /* after down, or after a failed up */

/* ---- arrays in the plugin's stride ---- */
static inline void *
emesh_at(const void *base, uint32_t stride, uint32_t i)
{
    return (char *)(uintptr_t)base + (size_t)stride * i;
}
/* Copies element i of a plugin's array into the host's struct of mine bytes, zero-extended.
 * TOO_NEW when a tail the host lacks is not zero. */
int32_t emesh_take(void *dst, size_t mine, const void *base, uint32_t stride, uint32_t i);
/* The same for one struct that begins with its own size. INVALID when that size is impossible. */
int32_t emesh_take_sized(void *dst, size_t mine, const void *src);
/* Copies a table of functions that begins with its size: what the plugin's lacks is NULL, what the
 * host's lacks is left out (tables grow by optional members only). */
void emesh_take_table(void *dst, size_t mine, const void *src);

/* The table of service "emesh.glib/1". Constant. */
extern const emesh_glib_api emesh_glib_service;

/* Counters of one instance, for `status`. [any] */
typedef struct emesh_inst_counts {
    uint64_t ops_open;      /* operations the plugin has not completed yet */
    uint64_t ops_bad;       /* completed twice, or after their end */
    uint64_t restarts;
} emesh_inst_counts;
void emesh_inst_read_counts(const emesh_inst *inst, emesh_inst_counts *out);
