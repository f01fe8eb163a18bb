/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked about topics and groups on [main]: topics opened and closed, the admin op. A change
 * is applied in memory, written as one unit at level synced, and answered when that is durable.
 */
#ifndef SA_ADMIN_H
#define SA_ADMIN_H
#include "groups.h"

/* kind table, [main] */
void sa_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op);
void sa_topic_close(emesh_instance *self, emesh_topic *topic);
void sa_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op);

/* list.c */
void sa_list_topics(struct sa_store *store, const emesh_admin *what, emesh_op *op);
void sa_list_partitions(struct sa_store *store, const emesh_admin *what, emesh_op *op);
void sa_list_groups(struct sa_store *store, const emesh_admin *what, emesh_op *op);
void sa_list_event(struct sa_store *store, const emesh_admin *what, emesh_op *op);

/* [any] The group of this name, made (at level os) when it is not there. */
sa_group *sa_group_need(struct sa_store *store, const emesh_slice *name);

/* A unit of control records under way. */
typedef struct sa_change sa_change;
/* Room for n records that end op, or nobody's when op is NULL. */
sa_change *sa_change_new(struct sa_store *store, emesh_op *op, uint32_t n);
/* Body becomes the change's. */
void sa_change_add(sa_change *change, enum sa_type type, GByteArray *body, sa_partition *part,
                   uint64_t offset);
/* sync: level synced, else os. Answers op with result when done. */
void sa_change_submit(sa_change *change, bool sync, void *result);

#endif
