/* SPDX-License-Identifier: Apache-2.0
 *
 * A few threads where blocking is allowed: name look-up, plugin `work`, LMDB commits of core.
 */
#pragma once
#include "worker.h"

typedef struct emesh_pool emesh_pool;

emesh_pool *emesh_pool_new(uint32_t threads);
/* [main] Runs what was submitted, then ends the threads. */
void emesh_pool_free(emesh_pool *pool);
/* [any] The same for what may hang for long (name look-up): at most half of the threads do such
 * jobs at a time, so that commits and plugin work never wait for a dead name server. */
void emesh_pool_submit_slow(emesh_pool *pool, emesh_job *job);
/* [any] Runs job on a pool thread; it goes home by emesh_worker_post with another job. */
void emesh_pool_submit(emesh_pool *pool, emesh_job *job);
