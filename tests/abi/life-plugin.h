/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin that does what `play` says and writes down what is called, for the tests of an instance's
 * life.
 */
#pragma once
#include <pthread.h>

#include "stage.h"

typedef enum answer { AT_ONCE, FROM_THREAD, NEVER, TWICE, FAILING } answer;

struct play {
    pthread_mutex_t lock;
    GString *calls;
    const emesh_host *host;
    uint32_t lanes;
    answer start, drain, detach, stop;
    uint32_t health;               /* told in start */
    uint32_t attach_fails_on;      /* 1 + lane */
    emesh_op *start_op, *drain_op; /* kept when NEVER */
    emesh_loop *loops[4];
    uint32_t wrong_thread;
    uint32_t applied;
    bool failing_create, no_self;
    pthread_t threads[32]; /* of FROM_THREAD */
    uint32_t n_threads;
};
extern struct play play;

/* The same component on other lanes; brief has the mandatory ops alone. */
extern const emesh_plugin home_plugin, workers_plugin, glib_plugin, brief_plugin;

void note(const char *what);
/* What was called since the last time, each with a space behind it. */
void assert_calls(const char *expected);
void play_reset(void);
emesh_inst_counts counts_of(const emesh_inst *inst);
/* Nothing is left open, nothing came on a wrong thread; frees instance and stage. */
void finish(stage *s, emesh_inst *inst);
