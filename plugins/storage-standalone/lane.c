/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes come and go. Their memory stays until the store ends: batches of other threads find home.
 */
#include "lane.h"

#include "cursor.h"
#include "store.h"
#include <stdlib.h>

int32_t
sa_lane_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
               emesh_error *err)
{
    sa_store *store = SA_STORE(self);
    sa_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return sa_error(err, EMESH_E_NO_MEMORY, "no memory for lane %u of the store", index);
    lane->store = store;
    lane->loop = loop;
    lane->index = index;
    lane->thread = pthread_self();
    lane->ready_task.run = sa_lane_feed;
    lane->flushed_task.run = sa_commit_flushed;
    lane->timer = store->lp->timer(loop, sa_commit_due, lane);
    if (lane->timer == NULL) {
        free(lane);
        return sa_error(err, EMESH_E_NO_MEMORY, "no timer for lane %u of the store", index);
    }
    pthread_mutex_lock(&store->lanes_lock);
    lane->next = store->lanes;
    store->lanes = lane;
    pthread_mutex_unlock(&store->lanes_lock);
    *out = (emesh_lane *)lane;
    return EMESH_OK;
}

void
sa_lane_drain(emesh_lane *self, uint64_t deadline_ns, emesh_op *op)
{
    sa_lane *lane = (sa_lane *)(void *)self;
    (void)deadline_ns;
    sa_commit_flush(lane);
    lane->store->host->complete(lane->store->host, op, EMESH_OK, NULL, NULL);
}

void
sa_lane_gone(sa_lane *lane)
{
    emesh_op *op = lane->detach;
    lane->detach = NULL;
    lane->store->host->complete(lane->store->host, op, EMESH_OK, NULL, NULL);
}

void
sa_lane_detach(emesh_lane *self, emesh_op *op)
{
    sa_lane *lane = (sa_lane *)(void *)self;
    sa_commit_flush(lane);
    lane->store->lp->timer_end(lane->timer);
    lane->timer = NULL;
    lane->detach = op;
    sa_cursors_flushed(lane);
}
