/* SPDX-License-Identifier: Apache-2.0
 *
 * emesh_loop: one instance on one worker. The plugin gets it at attach and hands it back in every
 * call of the loop, net, client and state services, so each service finds instance and worker
 * without any global. Made by the plugin room before attach, ended after stop.
 */
#pragma once
#include "eventmesh/loop.h"
#include "worker.h"
#include "pool.h"

typedef struct emesh_inst emesh_inst; /* plugin room */

struct emesh_loop {
    emesh_worker *worker;  /* runs until stop completed: late tasks travel through it to main */
    emesh_worker *main;    /* where tasks run, CLOSED, once the lane is detached */
    emesh_inst *inst;
    emesh_lane *lane;      /* the plugin's, from attach */
    emesh_pool *pool;
    uint32_t index;        /* lane number of this instance, 0-based */
    uint32_t closed;       /* atomic; set after detach completed */
    void *bus;             /* the bus's state for this lane, NULL until it needs one */
    void *net;             /* the net's state: listeners and connections of this lane */
};

/* Work of one instance on the pool. It lives in the instance, which waits at it before destroy. */
typedef struct emesh_work_gate {
    uint32_t count;     /* atomic: tasks submitted and not ended, plus one until the wait */
    emesh_worker *main;
    emesh_job *done;
} emesh_work_gate;
void emesh_work_gate_init(emesh_work_gate *gate, emesh_worker *main);
/* [any] Work that destroy must wait for begins; it ends (the gate may be gone afterwards). */
void emesh_work_gate_enter(emesh_work_gate *gate);
void emesh_work_gate_leave(emesh_work_gate *gate);
/* [main] Once, after stop: done runs on main when no task of the instance is on the pool. */
void emesh_work_gate_wait(emesh_work_gate *gate, emesh_job *done);
uint32_t emesh_work_gate_outstanding(const emesh_work_gate *gate); /* [any] tasks on the pool */

/* The plugin room answers these (declared here, defined there). [any] */
emesh_inst *emesh_inst_of(const emesh_host *host);
emesh_pool *emesh_inst_pool(const emesh_inst *inst);
emesh_work_gate *emesh_inst_work_gate(emesh_inst *inst);

/* The table of service "emesh.loop/1". Constant. */
extern const emesh_loop_api emesh_loop_service;
