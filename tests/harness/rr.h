/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests and replies over a mesh of mesh.h: an asker that remembers what came back for each of its
 * requests, and answers of both kinds that responders give.
 */
#pragma once
#include "harness/mesh.h"

typedef struct rr rr;

rr *rr_new(mesh_client *c);
void rr_free(rr *r);
/* Publishes a request with this id. ttl: attribute of it, or NULL; wait_ms: the deadline of the item,
 * or 0. */
void rr_ask(rr *r, const char *topic, const char *id, const char *ttl, uint32_t wait_ms);
/* Waits until n results have come in all. */
void rr_wait(rr *r, uint32_t n);
uint32_t rr_results(rr *r);
/* Of the request with this id: its result's code; 1 = none yet. Results that came twice are counted. */
int32_t rr_code(rr *r, const char *id);
/* Data of its reply, or NULL; and how long it took. Given. */
char *rr_answer(rr *r, const char *id);
double rr_ms(rr *r, const char *id);
uint32_t rr_twice(rr *r);

typedef enum rr_kind {
    RR_COPY,  /* the request's attributes under another id, as sample responders do */
    RR_FRESH, /* a message of its own, which only the delivery id ties to the request */
    RR_BOTH,
} rr_kind;
/* Answers the i-th delivery with data and acknowledges it; waits for the result and returns its
 * code. */
int32_t rr_reply(mesh_sub *s, uint32_t i, rr_kind kind, const char *data);
/* Answers n requests in random order, each with its own id as data: a member holds 32 at a time, so
 * that some are answered while others have not come. */
void rr_reply_all(mesh_sub *s, uint32_t n);
/* A reply that bears this correlation, from anybody. */
int32_t rr_reply_to(mesh_client *c, const char *correlation, const char *address, const char *data);
/* A number of the mesh's counts, summed over lanes. */
uint64_t rr_count(mesh *m, size_t offset);
/* Waits until it is so much; nothing tells of that, so it looks every millisecond. */
void rr_wait_count(mesh *m, size_t offset, uint64_t least);
#define RR_WAIT_COUNT(m, name, least) rr_wait_count(m, offsetof(emesh_lane_counts, name), least)
#define RR_COUNT(m, name) rr_count(m, offsetof(emesh_lane_counts, name))
