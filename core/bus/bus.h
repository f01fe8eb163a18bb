/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door. Protocols publish and subscribe through the client service (service.c), every event
 * passes the stage chain (stage.c), finds its topic (topic.h) and leaves in batches to its store
 * (append.h). This header is what daemon, delivery and admin see.
 */
#pragma once
#include "config/config.h"
#include "eventmesh/client.h"
#include "eventmesh/kind-storage.h"
#include "journal/journal.h"
#include "plugin/inst.h"
#include "state/state.h"
#include <pthread.h>

typedef struct emesh_bus emesh_bus;
typedef struct emesh_store emesh_store;         /* store.h */
typedef struct emesh_bus_topic emesh_bus_topic; /* topic.h */
typedef struct emesh_bus_lane emesh_bus_lane;   /* lane.h */
typedef struct emesh_daemon emesh_daemon;
typedef struct emesh_log emesh_log;
typedef struct emesh_findings emesh_findings;   /* findings.h */

struct emesh_bus {
    emesh_worker *main;
    emesh_worker *const *workers;
    uint32_t n_workers;
    emesh_daemon_options limits;
    emesh_conf *conf;             /* [main] rules of topics and groups */
    emesh_state *state;
    emesh_journal *journal;       /* of decisions; NULL: none is kept */
    emesh_findings *findings;
    emesh_notes *notes;           /* [main] what main decides */
    GPtrArray *stores;            /* [main] emesh_store */
    GHashTable *topics;           /* [main] name → emesh_bus_topic, the register */
    GPtrArray *unanswered;        /* [main] closed ones with appends their store never answered */
    struct emesh_forget *forget;  /* groups without members */
    GPtrArray *patterns;          /* [main] emesh_pattern: subscriptions to patterns of topics */
    GPtrArray *pushers;           /* [main] emesh_inst that can push to URLs (delivery/adopt.h) */
    GPtrArray *retired;           /* [main] topics that a reload replaced (refresh.c) */
    GPtrArray *replays;           /* [main] emesh_replay of dead letters: those under way, and the last */
    GHashTable *opening;          /* [main] name → topics on their way into it */
    emesh_bus_lane **lanes;       /* EMESH_MAX_LANES; grows only, n_lanes is atomic */
    uint32_t n_lanes;
    pthread_mutex_t lanes_lock;   /* of adding a lane */
    uint64_t queue_bytes;         /* atomic: accepted, not yet answered by a store */
    uint64_t window_slots;        /* atomic: of all subscriptions */
    uint64_t window_bytes;
    uint32_t requests;            /* atomic: waiting for replies */
    uint64_t replies_strange;     /* atomic: from stores, to nobody who was ever here */
    emesh_store *routers[8];      /* atomic: stores that route replies, in order */
    char daemon_id[17];           /* identity.c: hexadecimal, for ever */
    char correlation[27];         /* the same, and that of this life, each with a dot behind it */
    bool closing;                 /* [main] no new topic is opened */
    bool draining;                /* under lanes_lock: lanes made now refuse from the start */
    struct drain *drain;          /* [main] under way */
    emesh_daemon *daemon;         /* for commands that sessions give */
    emesh_log *log;
};

/* [main] Lanes for all workers are made; the workers are not running yet. */
emesh_bus *emesh_bus_new(emesh_worker *main, emesh_worker *const *workers, uint32_t n_workers,
                         const emesh_daemon_options *limits, emesh_state *state,
                         emesh_journal *journal);
void emesh_bus_free(emesh_bus *bus);
/* [main] New rules: start and reload. */
void emesh_bus_set_conf(emesh_bus *bus, emesh_conf *conf);
/* [main] Are all [topic] and [group] rules possible with these stores? Before protocols start. */
bool emesh_bus_check_rules(emesh_bus *bus, emesh_conf *conf, GError **error);
/* [main] A store came up, or changed what it can (inst events). */
void emesh_bus_store_ready(emesh_bus *bus, emesh_inst *inst, const emesh_store_info *info);
/* [main] Before a stop: publishes are refused (UNAVAILABLE) and nothing is offered from now on; what
 * was accepted is answered and what was offered may be acknowledged for at most wait_ns, then all
 * readers are closed, which writes what is settled. done runs on [main]. */
typedef struct emesh_drained { /* what the time was too short for */
    uint32_t publishes, offers;
} emesh_drained;
void emesh_bus_drain(emesh_bus *bus, uint64_t wait_ns,
                     void (*done)(void *ctx, const emesh_drained *how), void *ctx);
/* [main] The drain under way waits no longer. */
void emesh_bus_drain_cut(emesh_bus *bus);
/* [main] Ends all readers, closes all topics; before the stores go down. done runs on [main]. */
void emesh_bus_close(emesh_bus *bus, void (*done)(void *ctx), void *ctx);
/* [main] A store goes down (a restart after a failure, or the end): its readers and topics are
 * closed, then done is posted on main. Topics open again at their next use. */
void emesh_bus_store_going(emesh_bus *bus, emesh_inst *inst, emesh_job *done);
/* [any] A line an operator should see. */
void emesh_bus_warn(emesh_bus *bus, const char *scope, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* [main] Registers "emesh.client/1" and "emesh.store/1". */
void emesh_bus_add_services(emesh_services *services);

extern const emesh_client_api emesh_client_service;
extern const emesh_store_api emesh_store_service;
