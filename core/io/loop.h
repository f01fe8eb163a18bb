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
    emesh_worker *worker;
    emesh_worker *main;    /* where tasks run, CLOSED, once the lane is detached */
    emesh_inst *inst;
    emesh_lane *lane;      /* the plugin's, from attach */
    emesh_pool *pool;
    uint32_t index;        /* lane number of this instance, 0-based */
    uint32_t closed;       /* atomic; set after detach completed */
    void *bus;             /* the bus's state for this lane, NULL until it needs one */
    void *net;             /* the net's state: listeners and connections of this lane */
};

/* The table of service "emesh.loop/1". Constant. */
extern const emesh_loop_api emesh_loop_service;
