/* SPDX-License-Identifier: Apache-2.0
 *
 * push_to: a subscription that a session of one instance asks for (the asker) and that a session of
 * another one has (the pusher), on a lane of the instance that claims the URL's scheme.
 *
 *   asker's lane: BEGIN → main: which instance → its lane: ADOPT → asker: STARTED, ANSWER …, OVER
 *
 * The asker that leaves sends END; behind OVER the pusher's lane says no more.
 */
#pragma once
#include "delivery/member.h"

typedef struct emesh_adopt emesh_adopt;

/* [asker's lane] */
void emesh_adopt_begin(emesh_member *asker, const emesh_subscribe *spec);
void emesh_adopt_leave(emesh_member *asker);
/* [pusher's lane] It joined, failed or ended; it has room; it is about to be freed. */
void emesh_adopt_answered(emesh_member *pusher, int32_t code, const char *why);
void emesh_adopt_window(emesh_member *pusher);
void emesh_adopt_lost(emesh_member *pusher);
/* Service function refuse(). */
void emesh_adopt_refuse(emesh_member *pusher, int32_t code, const emesh_error *err);
/* [main] An instance changed its state: whether it can push is seen here. */
void emesh_bus_inst_changed(emesh_bus *bus, emesh_inst *inst);

/* member.c, for adopt.c [lane] */
emesh_member *emesh_member_make(emesh_session *session, const emesh_subscribe *spec, void *ctx);
void emesh_member_start(emesh_member *member);
/* Answered with a code before anybody owned it, and written down. */
void emesh_member_refused(emesh_member *member, int32_t code, const char *why);
