/* SPDX-License-Identifier: Apache-2.0
 *
 * A host in a test's hand for storage-standalone: lanes are real workers, events are core's, the
 * rest is here. The test's thread is [main]; every call waits for its end unless it says otherwise.
 */
#pragma once
#include "admin.h"
#include "event/event.h"
#include "io/worker.h"
#include "store.h"

typedef struct store_host store_host;
typedef struct store_reader store_reader;

/* dir: the folder of the instance, kept. */
store_host *store_host_new(const char *dir, uint32_t lanes);
void store_host_free(store_host *h);

/* Options of small tests: segments of 64 KiB, an index of 64 MiB, no min-free to speak of. */
sa_options store_host_options(void);
/* Opens and recovers, attaches lanes. 0 or the code; store_host_text() says why. */
int32_t store_host_open(store_host *h, const sa_options *opt, const sa_io *io);
const char *store_host_text(const store_host *h);
sa_store *store_host_store(store_host *h);
/* Readers closed, lanes detached; orderly stop; freed. */
void store_host_close(store_host *h);
/* Closed if it is open, freed, and its folder removed. */
void store_host_end(store_host *h);
/* Turns the clock of the store (both, by ms). */
void store_host_shift(store_host *h, int64_t wall_ms, int64_t mono_ms);
uint32_t store_host_health(const store_host *h); /* of the last report */
/* Waits until health is what was reported last. */
void store_host_await_health(store_host *h, uint32_t health);
/* Waits until a counter of the store is at least that. */
void store_host_await(const _Atomic uint64_t *counter, uint64_t least);
uint32_t store_host_logged(store_host *h, const char *part); /* lines with this in them */

/* spec as given; name, level and create are filled here. */
struct emesh_topic *store_host_topic(store_host *h, const char *name, uint32_t level,
                                     uint64_t age_ms, uint64_t bytes);
int32_t store_host_topic_code(store_host *h, const emesh_topic_spec *spec,
                              struct emesh_topic **out);

/* Topics PREFIX0 … of level os, opened all at once. */
struct emesh_topic **store_host_topics(store_host *h, const char *prefix, uint32_t n);
void store_host_topics_close(struct emesh_topic **topics, uint32_t n); /* and freed */

/* ids are PREFIX and a number from first on; data is size bytes that depend on the id. */
const emesh_event *store_host_event(const char *prefix, uint64_t number, size_t size);
/* Are the data of an event what store_host_event gave it? */
bool store_host_event_ok(const emesh_event *event, size_t size);

/* Appends on a lane in one call; waits for all results. Returns how many have code 0. */
uint32_t store_host_append(store_host *h, uint32_t lane, struct emesh_topic *topic,
                           const char *prefix, uint64_t first, uint32_t n, size_t size,
                           uint32_t level);
/* The same for events that the test made. */
uint32_t store_host_append_events(store_host *h, uint32_t lane, struct emesh_topic *topic,
                                  const emesh_event *const *events, uint32_t n, uint32_t level);
/* And for appends, all of them as the test made them. */
uint32_t store_host_append_items(store_host *h, uint32_t lane, emesh_append *items, uint32_t n);
/* Does not wait: see store_host_results(). */
void store_host_append_async(store_host *h, uint32_t lane, struct emesh_topic *topic,
                             const char *prefix, uint64_t first, uint32_t n, size_t size,
                             uint32_t level);
uint64_t store_host_results(store_host *h, uint64_t at_least); /* waits; all results so far */
uint64_t store_host_failed(store_host *h);                      /* with a code other than 0 */
int32_t store_host_last_code(store_host *h); /* of the last that failed */
emesh_position store_host_last_position(store_host *h);
/* Called for each results batch, on any thread; nobody is woken by results then. For benchmarks. */
void store_host_on_results(store_host *h,
                           void (*fn)(void *ctx, const emesh_appended *results, uint32_t n),
                           void *ctx);

/* The same for records, instead of noting them: on the reader's lane. Set before readers are. */
void store_host_on_records(store_host *h,
                           void (*fn)(void *ctx, store_reader *r, const emesh_record *records,
                                      uint32_t n),
                           void *ctx);
/* Called for each record that is noted, on its lane, before anybody else knows of it. */
void store_host_on_seen(store_host *h,
                        void (*fn)(void *ctx, const store_reader *r, const char *id,
                                   uint64_t offset),
                        void *ctx);

/* A reader of all partitions; group NULL: alone. Begins all under epoch 1. */
store_reader *store_host_read(store_host *h, uint32_t lane, struct emesh_topic *topic,
                              const char *group, const emesh_start *start);
void store_host_want(store_reader *r, uint32_t records, uint64_t bytes);
/* Waits until n records came in all (with or without event). */
void store_host_records(store_reader *r, uint32_t n);
/* Waits until the end was reached. */
void store_host_caught_up(store_reader *r);
/* A reader on lane 0 that has come to the end: of all there is, or of what the group has not
 * acknowledged. size above 0: data are looked at, see store_host_bad(). */
store_reader *store_host_read_all(store_host *h, struct emesh_topic *topic, const char *group,
                                  size_t size);
uint32_t store_host_n(store_reader *r);
const char *store_host_id(store_reader *r, uint32_t i); /* "" without event */
uint64_t store_host_offset(store_reader *r, uint32_t i);
uint32_t store_host_flags(store_reader *r, uint32_t i);
uint32_t store_host_attempt(store_reader *r, uint32_t i);
uint32_t store_host_bad(store_reader *r); /* events whose data are not what was published */
void store_host_check_data(store_reader *r, size_t size);
void store_host_commit(store_reader *r, uint64_t offset, uint32_t outcome, uint32_t attempts,
                       uint32_t epoch);
uint64_t store_host_due(store_reader *r, uint32_t i); /* first half of the position */
bool store_host_in_inbox(store_reader *r, uint32_t i);
/* number of the partition "inbox", UINT32_MAX: none */
uint32_t store_host_inbox(const store_reader *r);
void store_host_commit_inbox(store_reader *r, emesh_position position, uint32_t outcome,
                             uint32_t attempts, uint32_t epoch);
emesh_cursor *store_host_cursor(store_reader *r);
void store_host_begin(store_reader *r, uint32_t epoch, const emesh_start *start);
void store_host_reader_close(store_reader *r);

/* The admin op; rows (may be NULL) are copied: free with store_host_rows_free. */
typedef struct store_row {
    char *topic, *group, *partition;
    uint64_t first, last, committed, count, bytes;
} store_row;
int32_t store_host_admin(store_host *h, uint32_t what, const char *topic, const char *group,
                         const emesh_start *start, uint64_t position, GArray **rows);
/* source NULL: any. */
int32_t store_host_find(store_host *h, const char *source, const char *id, GArray **rows);
/* Runs fn on a lane and waits. */
void store_host_on_lane(store_host *h, uint32_t lane, void (*fn)(void *ctx), void *ctx);
emesh_lane *store_host_lane(store_host *h, uint32_t lane);
