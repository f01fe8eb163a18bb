/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker in memory that several meshes of one process share, and the store that speaks to it: plain
 * topics, and replies routed to the mesh that asked (CAN_REPLY), as the stores of real brokers do.
 */
#pragma once
#include "eventmesh/eventmesh.h"

typedef struct broker broker;

broker *broker_new(void);
void broker_free(broker *b); /* when its meshes are gone */
/* Replies carried so far; and from now on none is: they are lost on the way. */
unsigned broker_replies(broker *b);
void broker_lose_replies(broker *b, int lose);
/* Text of the store's [options] for a mesh on this broker whose replies go to address. */
void broker_options(broker *b, const char *address, char *out, size_t size);
const emesh_plugin *broker_plugin(void);
