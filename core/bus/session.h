/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: who speaks, through which instance, on which lane; what it has under way; what is to be
 * told to it at the end of this wake-up.
 */
#pragma once
#include "bus/lane.h"

typedef struct emesh_label {
    char *name, *value;
} emesh_label;

struct emesh_session {
    emesh_bus_lane *lane;
    emesh_loop *loop;
    emesh_inst *inst;            /* NULL once closed */
    const char *instance;        /* its name, lasting */
    void *ctx;                   /* the plugin's */
    uint64_t id;
    uint32_t refs;               /* own lane only: itself, publishes under way, queued call */
    bool closed, opened_told, ask_wanted, room_wanted, room_due, queued;
    char key[20];                /* hex of id: placement key of events without one */
    char *peer, *client, *principal;
    uint32_t ask_what;           /* EMESH_ASK_* */
    char *ask_reason, *ask_target;
    GArray *labels;              /* emesh_label */
    uint64_t since_ms;
    uint32_t unacked;            /* publishes under way */
    uint64_t unacked_bytes;
    uint64_t published, delivered, settled;
    emesh_bus_topic *last_topic; /* of the last publish: most sessions have one */
    struct emesh_request *requests; /* that wait for replies */
    uint32_t n_requests;
    emesh_published *results;    /* n_results, told at RESULT */
    uint32_t n_results, room_results;
    GPtrArray *members;          /* by attach number: emesh_member or NULL */
    uint32_t n_members;
    struct emesh_terms *terms;   /* what members have in common (delivery/member.h) */
    struct emesh_credit *credit; /* of its deliveries; made by the first subscription */
    uint32_t unsettled;          /* deliveries open at the plugin */
    GList in_lane, in_calls;     /* links of lane->sessions, lane->calls */
};

emesh_session *emesh_session_open(emesh_loop *loop, const emesh_who *who, void *ctx);
void emesh_session_close(emesh_session *session, uint32_t how);
void emesh_session_ref(emesh_session *session);
void emesh_session_unref(emesh_session *session);
/* Has something to be told: opened, results, room, ask. */
void emesh_session_call(emesh_session *session);
/* One result for the next published(); err_text may be NULL. */
void emesh_session_result(emesh_session *session, uint64_t cookie, int32_t code, uint32_t level,
                          const char *err_text);
/* The result of a request: its reply, whose reference is taken. */
void emesh_session_reply(emesh_session *session, uint64_t cookie, const emesh_event *reply);
/* The RESULT phase of a lane. */
void emesh_session_tell_all(emesh_phased *item);
/* Service function command(): runs it on main, rows and end come back on the lane. */
void emesh_session_command(emesh_session *session, const char *verb, const emesh_attr *args,
                           uint32_t n,
                           void (*done)(void *ctx, int32_t code, const emesh_error *err,
                                        const emesh_attr *row, uint32_t n_row, uint32_t more),
                           void *ctx);
