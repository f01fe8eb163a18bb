/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's own topics: delay ladder, inboxes and dead letters of groups. They lie in the store
 * of the events they are about, never anywhere else.
 */
#pragma once
#include "bus/store.h"

#define EMESH_LADDER_GROUP "emesh-ladder" /* the one group that serves the ladder, of all daemons */
#define EMESH_LADDER_STEPS 18u            /* 1, 2, 4 … 131072 seconds */

/* Several stores may each have a ladder and inboxes: in the register their names end in "@INSTANCE",
 * which the store does not see. */
#define EMESH_OWN_MARK '@'
/* "emesh-delay-SECONDS@INSTANCE" of step 0 to 17. Given. */
char *emesh_step_topic(const emesh_store *store, uint32_t step);
/* The longest step that fits into wait_ms; the shortest if none does. */
uint32_t emesh_step_for(uint64_t wait_ms);
/* Seconds of the step whose topic this is, or 0. */
uint32_t emesh_step_seconds(const char *topic);

/* Of a group in a store, as names are legal there; the inbox with its mark. Given. */
char *emesh_inbox_topic(const emesh_store *store, const char *group);
char *emesh_letter_topic(const emesh_store *store, const char *group);
bool emesh_is_inbox_topic(const char *topic);
bool emesh_is_letter_topic(const char *topic);
/* How much of a topic's name its store knows. */
size_t emesh_store_name_len(const char *topic);
/* Ladder and inboxes: nobody publishes there nor subscribes, and lists leave them out. */
bool emesh_is_closed_topic(const char *topic, size_t len);
/* bytes outside A-Za-z0-9- as _hh */
void emesh_name_escape(GString *out, const char *text, size_t len);
