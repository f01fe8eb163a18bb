/* SPDX-License-Identifier: Apache-2.0
 *
 * Where groups stand: per (group, partition) a floor, the ranges acknowledged above it, attempts.
 * Changed on the group's lane, read by keeper and admin. Lock: group->lock, for everything here.
 */
#ifndef SA_GROUPS_H
#define SA_GROUPS_H
#include "catalog.h"
#include "eventmesh/loop.h"

#define SA_RANGES_MAX 16384u /* then the partition pauses for this group */

#define SA_RANGE_ACKED 1u
#define SA_RANGE_TRIED 2u /* not done; attempts so far */

typedef struct sa_range {
    uint64_t first;
    uint32_t count;
    uint16_t attempts;
    uint16_t state;
} sa_range;

typedef struct sa_ranges { /* sorted, disjoint; a TRIED range has count 1 */
    sa_range *at;
    uint32_t n, cap;
} sa_ranges;

typedef struct sa_pair_more { /* what is done or was tried above the floor */
    sa_ranges ranges;
    sa_ranges news;     /* what no COMMIT record says yet */
} sa_pair_more;

typedef struct sa_pair { /* there may be a million: 80 B with what malloc adds */
    sa_group *group;
    sa_partition *part;
    uint64_t floor;     /* all offsets below it are done */
    sa_pair_more *more; /* nobody's and empty until there is something: sa_pair_more_of */
    uint64_t lsn;       /* records before it are in here: of the row, then of each replayed */
    uint64_t told;      /* a durable record at or behind this LSN tells it whole, tell.c */
    uint32_t epoch;     /* of its seeks */
    bool telling;       /* … or one on its way to the log: this turn of tell.c */
    bool floor_new;     /* the floor moved since the last record */
    bool whole;         /* the next record tells all ranges */
    bool row_dirty;     /* LMDB row is older; in the keeper's list */
    bool gone;          /* removed: its row has to go */
    bool dirty;         /* in the lane's list; lane's */
    struct sa_pair *dirty_next;
} sa_pair;

/* Of one that is not made by sa_pair_make: before use, and what it has is freed. */
void sa_pair_init(sa_pair *pair);
void sa_pair_clear(sa_pair *pair);
/* Its own, to be written to. */
sa_pair_more *sa_pair_more_of(sa_pair *pair);
/* What no record says yet is told. */
void sa_pair_told(sa_pair *pair);

sa_pair *sa_pair_find(sa_group *group, uint32_t partition);
/* At floor, when it is new. Never NULL (GLib memory). */
sa_pair *sa_pair_make(sa_group *group, sa_partition *part, uint64_t floor);
/* Takes it out, its row follows. */
void sa_pair_forget(struct sa_store *store, sa_group *group, uint32_t partition);
void sa_group_clear(sa_group *group);

/* All up to offset are done. True: something changed. */
bool sa_pair_up_to(sa_pair *pair, uint64_t offset);
bool sa_pair_ack(sa_pair *pair, uint64_t offset);
bool sa_pair_tried(sa_pair *pair, uint64_t offset, uint32_t attempts);
void sa_pair_seek(sa_pair *pair, uint64_t offset); /* forgets ranges, new epoch */
/* First offset from offset on that is not done. */
uint64_t sa_pair_open(const sa_pair *pair, uint64_t offset);
uint32_t sa_pair_attempts(const sa_pair *pair, uint64_t offset);

/* A range joins others of its state; those below floor go. For replay and for news. */
bool sa_ranges_add(sa_ranges *ranges, sa_range range);
void sa_ranges_cut(sa_ranges *ranges, uint64_t floor);

/* A deleted topic takes the places in it along. */
void sa_groups_forget_topic(struct sa_store *store, sa_topic *topic);
/* Notes that the pair's row in LMDB is old. */
void sa_pair_row(struct sa_store *store, sa_pair *pair);

/* ---- COMMIT records, commit.c ---- */
#define SA_OP_ACK 0u
#define SA_OP_TRIED 1u /* only attempts in it */
#define SA_OP_SEEK 2u
#define SA_OP_CREATE 3u
#define SA_OP_DELETE 4u
/* u32 group, u32 partition, u32 group epoch, u16 n, u16 op, u64 floor; n × 16 */
#define SA_COMMIT_HEAD 24u
#define SA_COMMIT_RANGE 16u

typedef struct sa_commit_entry {
    uint32_t group, partition, epoch, n, op;
    uint64_t floor;
    const uint8_t *ranges;
    size_t size;
} sa_commit_entry;

bool sa_commit_read(const uint8_t *p, size_t n, sa_commit_entry *entry);
/* Does a COMMIT delete a pair? Its records say so in their own field since format 1.2. */
bool sa_commit_deletes(const uint8_t *p, size_t n);
void sa_commit_range(const sa_commit_entry *entry, uint32_t i, sa_range *range);
/* What an entry changes in the pair it is about. */
void sa_commit_take(sa_pair *pair, const sa_commit_entry *entry);
/* group->lock held. What the pair has to tell. */
void sa_commit_put(GByteArray *out, const sa_pair *pair, uint32_t op, const sa_ranges *ranges);
/* Replays the body of a COMMIT record. False: it is not one. */
bool sa_commit_apply(struct sa_store *store, uint64_t lsn, const uint8_t *body, size_t n);

struct sa_lane;
struct sa_batch;
struct sa_rec;
/* [lane] The pair has something to tell within 5 ms. */
void sa_commit_dirty(struct sa_lane *lane, sa_pair *pair);
/* [lane] Writes down what is dirty now. */
void sa_commit_flush(struct sa_lane *lane);
/* [lane] HOLD_DONEs of an inbox. */
void sa_commit_batch(struct sa_lane *lane, struct sa_batch *batch);
/* [writer] A commit that came with an append is written: it counts. */
void sa_commit_entered(struct sa_store *store, const struct sa_rec *rec);
void sa_commit_due(void *lane);
void sa_commit_flushed(emesh_task *task, int32_t code);

#endif
