/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of groups: one that had no member for forget-after loses its places. What counts is the
 * time while the daemon was up, as it lies on the disk: a restart makes nobody idle, and a clock
 * that is set changes nothing. A group has a member as long as one of its subscriptions is here,
 * on any topic.
 */
#pragma once
#include "bus/lane.h"

typedef struct emesh_forget emesh_forget;
typedef struct emesh_sub emesh_sub;

emesh_forget *emesh_forget_new(emesh_bus *bus);
void emesh_forget_free(emesh_forget *forget);
/* [main] The daemon is ready: groups are looked at from now on. */
void emesh_forget_start(emesh_forget *forget);
/* [main] The bus closes: what is to be known next time is written down; nothing is forgotten any
 * more. */
void emesh_forget_stop(emesh_forget *forget);
/* [main] A store came up: groups may be in it that nobody knows. */
void emesh_forget_look(emesh_forget *forget);

/* [main] A subscription of the group begins. go is called on main once it is known, also after a
 * kill -9, that the group is not idle. */
void emesh_forget_came(emesh_forget *forget, const char *group, void (*go)(void *ctx), void *ctx);
/* [lane] One that came is over. */
void emesh_forget_left(emesh_bus *bus, const char *group);

/* A durable broadcasting member, a webhook URL or the like, is a group of its own: GROUP-bc-16 hex. It
 * lives by the rules of GROUP, whose length this is. */
size_t emesh_group_base(const char *group);
/* Its name; protocol-http calls those of its own clients alike. Given. */
char *emesh_group_private(const char *group, const char *url);
#define EMESH_DURABLE_MEMBERS 1024u /* of one group */
/* [main] It would be one too many. */
bool emesh_forget_full(const emesh_forget *forget, const char *group);
