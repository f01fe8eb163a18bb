/* SPDX-License-Identifier: Apache-2.0
 *
 * A host for one protocol component in a test: real loop, event and config services as far as the
 * component asks, and a client service that keeps what was published and hands it to subscribers.
 * Everything runs on the default main context.
 */
#pragma once
#include "eventmesh/eventmesh.h"
#include "eventmesh/glib.h"
#include "eventmesh/kind-protocol.h"
#include <glib.h>
#include <stdbool.h>

typedef struct fake_mesh {
    emesh_host host; /* first */
    emesh_life_ops life;
    emesh_client_ops client;
    emesh_instance *self;
    emesh_lane *lane;
    const char *socket; /* the option's value */
    int32_t op_code;    /* of the last op completed */
    char op_text[256];
    bool op_done;
    int32_t open_code;    /* what open answers */
    int32_t publish_code; /* what a publish ends with */
    bool full;            /* publish accepts nothing */
    GPtrArray *events;    /* const emesh_event, published */
    GPtrArray *sessions;  /* fake_session, open ones */
    GString *log;         /* what happened, a word each */
    uint64_t next_delivery;
} fake_mesh;

fake_mesh *fake_mesh_new(const emesh_component *component, const char *socket);
/* create, start, attach; false: op_code says why. */
bool fake_mesh_up(fake_mesh *mesh);
/* drain, detach, stop, destroy. */
void fake_mesh_down(fake_mesh *mesh);
void fake_mesh_free(fake_mesh *mesh);
/* Asks every session to go. */
void fake_mesh_kick(fake_mesh *mesh, const char *reason);
