/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-shaped: a store for tests that claims what its options say, so that the engine meets the
 * shape of a broker (groups and single acknowledgements, no inbox, no delay, no unit) or a plain
 * store. Everything is in memory and in one file of lines that only grows: what a result promised
 * outlives kill -9. Positions have gaps, transaction marks and aborted or compacted records lie
 * between the events, as the options say; a file of switches makes calls fail while it runs.
 * One lock around all: lanes and main are not told apart.
 */
#pragma once
#include "eventmesh/eventmesh.h"

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#define SHAPED_MOST_PARTITIONS 16u

typedef struct shaped_record {
    uint64_t at;              /* position.lo; the other half is SHAPED_HI */
    uint64_t stored_ms;
    const emesh_event *event; /* NULL: mark, or aborted */
    char *key;                /* partitionkey, for compaction */
} shaped_record;
#define SHAPED_HI UINT64_C(0x5a)

typedef struct shaped_place { /* of a group in a partition */
    uint64_t floor;           /* everything below is done; 0 = nothing */
    GHashTable *done;         /* single positions above it */
} shaped_place;

typedef struct shaped_group {
    char *name;
    shaped_place places[SHAPED_MOST_PARTITIONS];
} shaped_group;

typedef struct shaped_topic {
    char *name;
    uint32_t partitions;
    GArray *records[SHAPED_MOST_PARTITIONS]; /* shaped_record */
    uint64_t next[SHAPED_MOST_PARTITIONS];
    GPtrArray *groups;
} shaped_topic;

typedef struct shaped_switches { /* the file DATA/switches, read at each append and opening */
    char *fail, *lose, *deny, *revoke; /* beginnings of topic names; revoke: a whole name */
    uint64_t slow_ms;
} shaped_switches;

typedef struct shaped_cursor shaped_cursor;

typedef struct shaped {
    const emesh_host *host;
    const emesh_event_api *events;
    const emesh_store_api *store;
    const emesh_loop_api *loops;
    emesh_loop *loop;
    pthread_mutex_t lock;
    char *folder;
    FILE *log;
    uint64_t can;
    int64_t gap, marks, aborts, compact;
    uint64_t max_event;
    uint64_t appends;        /* so far, for gap, marks and aborts */
    GHashTable *topics;      /* name → shaped_topic */
    GPtrArray *cursors;
    GQueue late;             /* results that come later */
    emesh_timer *timer;
    char *revoked;           /* the last topic that was */
} shaped;

static inline bool
shaped_can(const shaped *s, uint64_t can)
{
    return (s->can & can) != 0;
}

/* log.c: the file, and what it says. All with the lock held. */
bool shaped_load(shaped *s);
void shaped_unload(shaped *s);
shaped_topic *shaped_topic_get(shaped *s, const char *name);
shaped_topic *shaped_topic_make(shaped *s, const char *name, uint32_t partitions);
void shaped_topic_delete(shaped *s, shaped_topic *topic);
/* The event in a partition, with what the options put around it; its position. */
uint64_t shaped_add(shaped *s, shaped_topic *topic, uint32_t partition, const emesh_event *event);
shaped_group *shaped_group_get(shaped_topic *topic, const char *name);
shaped_group *shaped_group_make(shaped *s, shaped_topic *topic, const char *name,
                                const emesh_start *start);
void shaped_group_forget(shaped *s, shaped_topic *topic, const char *name);
void shaped_group_seek(shaped *s, shaped_topic *topic, shaped_group *group, uint32_t partition,
                       const emesh_start *start);
void shaped_commit(shaped *s, shaped_topic *topic, shaped_group *group, const emesh_commit *commit);
/* Index of the first record that a reader from start gets. */
guint shaped_first(const shaped_topic *topic, uint32_t partition, const emesh_start *start);
guint shaped_after(const shaped_topic *topic, uint32_t partition, uint64_t floor);
shaped_switches shaped_switches_read(const shaped *s);
void shaped_switches_clear(shaped_switches *switches);
