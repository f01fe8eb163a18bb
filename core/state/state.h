/* SPDX-License-Identifier: Apache-2.0
 *
 * Core's own small LMDB under DATA/core: state of plugins, topic pins, positions of groups on
 * plain stores. One writer thread; durable when done is called.
 */
#pragma once
#include "eventmesh/state.h"
#include "io/loop.h"

typedef struct emesh_state emesh_state;

/* dir is DATA/core. Makes it (0700) if absent, takes its lock (a second daemon is refused by
 * name). */
emesh_state *emesh_state_open(const char *dir, GError **error);
/* [main] Writes what is queued. The homes have stopped: answers not yet given are dropped. NULL is
 * fine. */
void emesh_state_close(emesh_state *state);
/* [any] Writes pairs below space ("i:NAME:" of an instance, "pin:", "pos:"), all or nothing; done
 * runs on home. */
void emesh_state_write(emesh_state *state, emesh_worker *home, const char *space,
                       const emesh_pair *pairs, uint32_t n, uint32_t stride,
                       void (*done)(void *ctx, int32_t code, const emesh_error *err), void *ctx);
/* [any] Blocking read of all pairs below space+prefix, in key order (small, memory-mapped). */
int32_t emesh_state_read(emesh_state *state, const char *space, const char *prefix, size_t len,
                         void (*found)(void *ctx, const emesh_pair *pair), void *ctx);
/* The daemon's state behind a loop, answered by the plugin room. */
emesh_state *emesh_inst_state_db(const emesh_inst *inst);
const char *emesh_inst_name(const emesh_inst *inst);

/* The table of service "emesh.state/1". Constant. */
extern const emesh_state_api emesh_state_service;
