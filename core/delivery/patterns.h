/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions to a pattern of topics: one member for the plugin, and behind it a member (a leaf)
 * for each topic that matches, at most 256. Main knows the patterns and tells of topics that are
 * made later; these start at their first event. That a group subscribes to a pattern is durable:
 * what was made while nobody of it was here starts at its first event too.
 */
#pragma once
#include "delivery/member.h"

#define EMESH_PATTERN_TOPICS 256u

typedef struct emesh_pattern emesh_pattern;

/* [lane] Of a member whose topic is a pattern. */
void emesh_pattern_begin(emesh_member *member);
/* [lane] A leaf has something to tell: its answer, its end, deliveries. */
void emesh_pattern_tell(emesh_member *leaf);
/* [lane] The member, or its session, leaves: its leaves do too. */
void emesh_pattern_leave(emesh_member *member, bool over, uint32_t how);
/* [lane] The plugin has heard that it stands. */
void emesh_pattern_told(emesh_member *member);
/* [lane] Its window changed. */
void emesh_pattern_window(emesh_member *member);
/* [lane] The plugin has settled one delivery of a leaf. */
void emesh_pattern_settled(emesh_member *leaf);
/* [lane] A leaf is about to be freed. */
void emesh_pattern_lost(emesh_member *leaf);

/* [main] A topic came into the register. */
void emesh_patterns_appeared(emesh_bus *bus, const char *topic);
/* [main] The group has no places any more. */
void emesh_patterns_forget(emesh_bus *bus, const char *group);

/* member.c, for patterns.c [lane] */
emesh_member *emesh_member_leaf(emesh_member *parent, const char *topic, const emesh_start *start);
void emesh_member_answer(emesh_member *member, int32_t code, const char *why);
void emesh_member_leave(emesh_member *member, bool over, uint32_t how);
void emesh_member_call(emesh_member *member);
/* Hands n of the leaf's deliveries to the plugin. */
void emesh_member_deliver(emesh_member *member, void *ctx, uint32_t n);
void emesh_member_free(emesh_member *member);
