/* SPDX-License-Identifier: Apache-2.0
 *
 * What a mesh in a test's hand is made of: for mesh.c (the mesh and its clients) and mesh-sub.c (what
 * they subscribe to). Records of a client are under its lock.
 */
#pragma once
#include "bus/session.h"
#include "harness/mesh.h"

#include <pthread.h>

struct mesh {
    emesh_worker *main;
    emesh_worker **workers;
    uint32_t n_workers;
    emesh_pool *pool;
    emesh_state *state;
    emesh_journal *journal;
    emesh_services *services;
    emesh_bus *bus;
    emesh_log *log;
    emesh_inst_env env;
    emesh_conf *conf, *store_conf, *driver_conf;
    emesh_inst *store, *driver;
    emesh_inst *more;         /* mesh_protocol() */
    emesh_conf *more_conf;
    char *data;
    bool own_data;
    GPtrArray *clients; /* records outlive their sessions: tests look at what they saw */
};

struct mesh_client {
    mesh *m;
    uint32_t lane;
    emesh_session *session;
    pthread_mutex_t lock;
    bool closed;
    uint32_t opened, results, good, rooms, asked;
    int32_t last_code;
    void (*hear)(void *ctx, const emesh_published *results, uint32_t n);
    void *hear_ctx;
    GPtrArray *subs;
};

typedef struct seen {
    uint64_t id;
    char *event_id;
    const emesh_event *event;
    uint32_t attempt, flags;
    int64_t at_us; /* wall clock */
} seen;

struct mesh_sub {
    mesh_client *c;
    emesh_member *member;
    bool ack, answered, many;
    uint32_t answers, delivered; /* many */
    int32_t code;
    char words[256];
    GArray *seen;
    uint32_t most;
};

/* A number of a client's, under its lock: now, and once it is large enough. */
uint32_t mesh_read(mesh_client *c, const uint32_t *value);
void mesh_await_count(mesh_client *c, const uint32_t *value, uint32_t least);
