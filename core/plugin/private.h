/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the plugin room share about an instance: its lanes, its open operations, and
 * where it stands in its life. Nobody else includes this.
 */
#pragma once
#include "plugin/inst.h"

#include <pthread.h>

typedef struct emesh_op_slot emesh_op_slot;

typedef struct emesh_ops { /* op.c */
    pthread_mutex_t lock;
    GPtrArray *slots; /* emesh_op_slot, addresses stay */
    uint32_t free;    /* 1 + index, 0 = none */
    uint32_t live;
    uint64_t bad;
    emesh_job *quiet; /* posted on main when live reaches 0 */
} emesh_ops;

typedef struct emesh_lane_rec emesh_lane_rec;
struct emesh_lane_rec { /* one lane of the instance; lives as long as it */
    emesh_loop loop;    /* first: &rec->loop is the rec */
    emesh_job out, back;
    void (*on_lane)(emesh_lane_rec *rec); /* of the step under way */
    emesh_op *op;
    int32_t code;
    emesh_error err;
    bool attached; /* written on the lane, read on main after its return */
};

struct emesh_inst_private {
    emesh_inst_env env;
    emesh_config *config;
    emesh_config *start_config; /* the one dial is borrowed from */
    emesh_dial_spec dial;
    bool refuse_unavailable;
    emesh_attr about[6];
    char *data_dir;

    emesh_lane_rec *lanes;      /* n_loops */
    emesh_worker **own;         /* GLIB: n_loops workers */
    emesh_listeners *listeners; /* NULL: no option group, or no address */
    emesh_held *held;           /* of a life before, until bound */
    bool listening;             /* they were opened */

    emesh_ops ops;
    emesh_work_gate gate;

    /* where it stands: all [main] */
    bool stay_up; /* was running and nobody asked it down: start it anew when it fails */
    bool asked_down;
    bool abandoned;
    bool apply_later;
    int32_t failure;      /* why it is being taken down, 0 = asked */
    uint32_t pending;     /* returns awaited of the step under way */
    uint32_t pending_ops; /* drain */
    void (*then)(emesh_inst *inst);
    emesh_op *step_op; /* start or stop */
    emesh_job step_job;
    emesh_alarm limit; /* drain deadline; time for detach and stop */
    emesh_alarm restart;
    uint32_t restarts_in_a_row;
    uint64_t running_since;
    uint64_t restarts; /* atomic */
    uint64_t down_deadline;
    void (*up_done)(void *ctx, emesh_inst *inst, int32_t code);
    void *up_ctx;
    void (*down_done)(void *ctx, emesh_inst *inst);
    void *down_ctx;

    /* report(): any thread → main */
    pthread_mutex_t report_lock;
    uint32_t report_health;
    emesh_error report_err;
    bool report_queued;
    emesh_job report_job;
};

/* ---- op.c ---- */
void emesh_ops_init(emesh_ops *ops);
void emesh_ops_clear(emesh_ops *ops);
void emesh_op_complete(emesh_inst *inst, emesh_op *op, int32_t code, const emesh_error *err,
                       const void *result); /* [any] */
/* [main] Ends what is open with LOST, then posts quiet on main when the last is gone. */
void emesh_ops_end(emesh_inst *inst, emesh_job *quiet);

/* ---- host.c ---- */
void emesh_host_fill(emesh_inst *inst);
uint32_t emesh_inst_reported(emesh_inst *inst, emesh_error *err); /* [any] the last report */
void emesh_inst_forget_report(emesh_inst *inst);
/* [main] Copies what a plugin wrote, whatever its version. err may be NULL: code alone. */
void emesh_error_take(emesh_error *dst, int32_t code, const emesh_error *err);

/* ---- lanes.c ---- */
bool emesh_lanes_make(emesh_inst *inst, GError **error);
void emesh_lanes_free(emesh_inst *inst);
typedef enum emesh_lane_set { EMESH_LANES_ALL, EMESH_LANES_ATTACHED } emesh_lane_set;
/* [main] Runs on_lane on every lane of the set; then runs on main when each has returned. */
void emesh_lanes_each(emesh_inst *inst, emesh_lane_set set, void (*on_lane)(emesh_lane_rec *rec),
                      void (*then)(emesh_inst *inst));
void emesh_lane_return(emesh_lane_rec *rec);                    /* [lane] once for each on_lane */
void emesh_lanes_apply(emesh_inst *inst, emesh_config *config); /* [main] */

/* ---- inst.c ---- */
bool emesh_inst_create(emesh_inst *inst, GError **error); /* [main] check() and create() */
void emesh_inst_set_state(emesh_inst *inst, emesh_inst_state state);
void emesh_inst_set_reason(emesh_inst *inst, int32_t code, const emesh_error *err);

/* ---- up.c, down.c ---- */
void emesh_inst_begin_up(emesh_inst *inst);
/* [main] Fails the running life with what err says, and takes it down from where it stands. */
void emesh_inst_fail(emesh_inst *inst, const emesh_error *err);
/* Ways into the descent. */
void emesh_inst_down_begin(emesh_inst *inst, uint64_t deadline_ns);
void emesh_inst_down_detach(emesh_inst *inst);
void emesh_inst_down_stop(emesh_inst *inst);
void emesh_inst_down_destroy(emesh_inst *inst);
