/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-standalone without a thread: one caller is lane, writer, syncer and keeper in turn, so that
 * a run is the same each time and costs no switch between threads. For fuzzing. Not here: cursors of
 * readers, the memory tail's waiters, the firer.
 */
#pragma once
#include "store.h"

typedef struct quiet_store quiet_store;

/* Opens and recovers; ends the program when that fails, or when anything is damaged. */
quiet_store *quiet_open(const char *dir, const sa_options *opt, const sa_io *io);
sa_store *quiet_of(quiet_store *q);
/* orderly: as a stop does. Else everything is let go as it lies. */
void quiet_close(quiet_store *q, bool orderly);

/* What the keeper does in a round; checkpoint: with one. */
void quiet_round(quiet_store *q, bool checkpoint);
struct emesh_topic *quiet_topic(quiet_store *q, const char *name, uint32_t level);
/* Answered and durable. */
emesh_position quiet_append(quiet_store *q, const emesh_append *item);
int32_t quiet_admin(quiet_store *q, uint32_t what, const char *topic, const char *group,
                    const emesh_start *start, uint64_t position);
/* The group has done offset, or all up to it; NULL pair: it has no place there. */
void quiet_settle(quiet_store *q, sa_group *group, sa_partition *part, uint64_t offset, bool up_to);
sa_group *quiet_group(quiet_store *q, const char *name);
/* A held event of the group is done. */
void quiet_done(quiet_store *q, sa_group *group, sa_partition *part, uint64_t due, uint64_t token);
