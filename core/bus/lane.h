/* SPDX-License-Identifier: Apache-2.0
 *
 * What the bus keeps for one worker: its topics, sessions, publishes under way, outgoing mail. Only
 * that worker's thread touches it.
 */
#pragma once
#include "bus/bus.h"
#include "bus/mail.h"
#include "plugin/inst.h"

#define EMESH_MAX_LANES 256u

typedef struct emesh_pending emesh_pending;   /* publish.h */
typedef struct emesh_requests emesh_requests; /* request.h */
typedef struct emesh_batch emesh_batch;       /* append.h: appends for one store */
typedef struct emesh_delivery_lane emesh_delivery_lane; /* delivery room */

typedef struct emesh_lane_counts { /* [lane] writes, anybody may read a torn-free copy */
    uint64_t published, refused, appended, failed, unknown;
    uint64_t delivered, settled, returned, stale_settles;
    uint64_t append_calls, mail_boxes;
    uint64_t requests, request_timeouts, replies, replies_out, replies_dropped, replies_stray;
} emesh_lane_counts;

struct emesh_bus_lane {
    emesh_bus *bus;
    emesh_worker *worker;
    uint32_t id;                 /* index in bus->lanes */
    GHashTable *topics;          /* name → emesh_bus_topic, this lane's view */
    GHashTable *waits;           /* name → emesh_topic_wait: topics asked for at main */
    GQueue sessions;             /* open ones, links inside */
    GQueue calls;                /* sessions with something to be told, links inside */
    emesh_phased append_item, mail_item, result_item;
    GPtrArray *batches;          /* emesh_batch by store index */
    emesh_pending **pending_slabs;
    uint32_t n_pending_slabs;
    uint32_t pending_free;       /* 1 + index, 0 = none */
    emesh_mail_box *out[EMESH_MAX_LANES];
    emesh_mail_box *spare;       /* empty boxes, chained through job.next */
    uint32_t n_spare;
    uint64_t next_session;
    emesh_alarm deadlines;       /* publishes with a deadline */
    GQueue with_deadline;
    emesh_alarm queue_room;      /* sessions wait for room in the daemon's queue */
    uint32_t publishing;         /* accepted from sessions and not yet answered */
    bool draining;               /* before a stop: no publish is accepted, no event offered */
    emesh_requests *requests;    /* that wait for replies */
    emesh_delivery_lane *delivery;
    emesh_notes *notes;          /* this lane's decisions */
    emesh_lane_counts counts;
};

/* [lane] The bus lane behind a plugin's loop; made at first use. */
emesh_bus_lane *emesh_bus_lane_of(emesh_loop *loop);
/* [lane] The same by worker, for the store service and delivery. NULL: no lane here. */
emesh_bus_lane *emesh_bus_lane_here(emesh_bus *bus);
emesh_bus_lane *emesh_bus_lane_new(emesh_bus *bus, emesh_worker *worker);
void emesh_bus_lane_free(emesh_bus_lane *lane);
/* [any] Makes and registers a lane for worker; NULL when EMESH_MAX_LANES are there. */
emesh_bus_lane *emesh_bus_lane_add(emesh_bus *bus, emesh_worker *worker);
