/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a topic for somebody who is no member: an administrator who browses, a replay of dead
 * letters. Bounded: one bite of records at a time, and the next only when it is asked for. No
 * group moves, unless whoever reads commits.
 */
#pragma once
#include "bus/lane.h"
#include "bus/topic.h"

#define EMESH_BITE_RECORDS 64u
#define EMESH_BITE_BYTES (256u << 10)

typedef struct emesh_browse emesh_browse;

typedef struct emesh_browsed { /* one record */
    const emesh_event *event; /* the bite's reference; NULL: only the place moves on */
    emesh_position position;
    uint64_t stored_ms;
    const char *partition; /* lasting name, interned */
    uint32_t number, epoch; /* for commits */
    uint32_t flags;        /* EMESH_RECORD_* */
} emesh_browsed;

typedef struct emesh_browse_ops {
    /* [lane] Up to a bite, n may be 0; last: the end, as it is now, is reached. Answered, now or later,
     * by emesh_browse_more or emesh_browse_close. */
    void (*bite)(void *ctx, emesh_browse *browse, const emesh_browsed *items, uint32_t n, bool last);
    /* [lane] It is over and gone; code: why, when nobody closed it. */
    void (*closed)(void *ctx, int32_t code, const char *why);
} emesh_browse_ops;

typedef struct emesh_browse_spec {
    emesh_bus_topic *topic; /* of the register */
    const char *group;      /* whose place it is read from, as one of the group; NULL: alone */
    const char *partition;  /* this one alone; NULL: all */
    emesh_start start;      /* alone */
    const emesh_browse_ops *ops;
    void *ctx;
} emesh_browse_spec;

/* [main] */
void emesh_browse_open(emesh_bus *bus, const emesh_browse_spec *spec);
/* [lane] */
void emesh_browse_more(emesh_browse *browse);
void emesh_browse_close(emesh_browse *browse);
emesh_bus_lane *emesh_browse_lane(const emesh_browse *browse);
emesh_store *emesh_browse_store(const emesh_browse *browse);
/* For appends with a commit, and commits alone; NULL while it is being closed. */
emesh_cursor *emesh_browse_cursor(const emesh_browse *browse);
/* An append with its cursor is under way: it stays open until as many releases. */
void emesh_browse_hold(emesh_browse *browse);
void emesh_browse_release(emesh_browse *browse);
void emesh_browse_commit(emesh_browse *browse, const emesh_browsed *item, uint32_t outcome);
/* [lane] The topic goes: done is called when those of it are closed. Returns how many there are. */
uint32_t emesh_browses_end(emesh_bus_lane *lane, const emesh_bus_topic *topic,
                           void (*done)(void *ctx), void *ctx);
