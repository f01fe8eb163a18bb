/* SPDX-License-Identifier: Apache-2.0
 *
 * What the bus writes into the decision journal about publishes.
 */
#pragma once
#include "bus/publish.h"

/* [lane] "INSTANCE ID PEER", as `client list` names it. out: EMESH_WHO_TEXT bytes. */
#define EMESH_WHO_TEXT 128u
const char *emesh_session_who(const emesh_session *session, char out[EMESH_WHO_TEXT]);

/* [lane] A decision about a publish; topic NULL: that of the pending, if it has one. error: for a
 * code whose row says so. */
void emesh_note_publish(emesh_bus_lane *lane, const emesh_pending *pending, const char *topic,
                        emesh_code code, int32_t error, const char *words);
/* [lane] Stages of a sampled publish: taken, and where it lies. */
void emesh_note_stored(emesh_bus_lane *lane, const emesh_pending *pending, uint32_t level,
                       emesh_position position);
