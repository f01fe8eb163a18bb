/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole mesh in one process, for tests: workers, bus, delivery, a storage component, and a protocol
 * ("driver") whose sessions the test drives. Everything between the client service and the storage
 * table is the daemon's own code.
 */
#pragma once
#include "bus/bus.h"
#include "plugin/inst.h"

typedef struct mesh mesh;
typedef struct mesh_client mesh_client;
typedef struct mesh_sub mesh_sub;

/* storage: the descriptor of the store under test. options: text of its [options], or NULL. conf:
 * text of [topic …] and [group …] sections, or NULL. data: folder kept by the caller, or NULL = a
 * private one, removed at the end. */
mesh *mesh_new(const emesh_plugin *storage, const char *options, uint32_t workers, const char *conf,
               const char *data);
void mesh_free(mesh *m);
emesh_bus *mesh_bus(mesh *m);

/* Turns the main loop until done(ctx); fails the test after 20 s. */
void mesh_wait(bool (*done)(void *ctx), void *ctx);
/* Runs fn on a worker and waits for it. */
void mesh_on_lane(mesh *m, uint32_t lane, void (*fn)(void *ctx), void *ctx);
/* Has a job run on a worker some time. */
void mesh_post(mesh *m, uint32_t lane, emesh_job *job);
void mesh_on_worker(emesh_worker *worker, void (*fn)(void *ctx), void *ctx);

/* One more protocol instance, until the mesh ends. */
emesh_inst *mesh_protocol(mesh *m, const emesh_plugin *plugin, const char *name);

mesh_client *mesh_client_new(mesh *m, uint32_t lane);
void mesh_client_close(mesh_client *c, uint32_t how);
/* For tests that publish by themselves (mesh_on_lane, with this session on the lane of the client):
 * every result is heard on that lane as well. */
emesh_session *mesh_session(mesh_client *c);
uint32_t mesh_client_lane(mesh_client *c);
mesh *mesh_of(mesh_client *c);
mesh_client *mesh_sub_client(mesh_sub *s);
void mesh_hear(mesh_client *c,
               void (*published)(void *ctx, const emesh_published *results, uint32_t n), void *ctx);
/* The event of the i-th delivery, borrowed. */
const emesh_event *mesh_event(mesh_sub *s, uint32_t i);
/* Publishes n events in one call with ids PREFIX0 …; returns how many were accepted. */
uint32_t mesh_publish(mesh_client *c, const char *topic, const char *prefix, uint32_t n,
                      size_t size);
/* The same from a job that runs on the client's lane (mesh_post). */
uint32_t mesh_publish_here(mesh_client *c, const char *topic, const char *prefix, uint32_t n,
                           size_t size);
/* One event with the id PREFIX0 and one more attribute. */
void mesh_publish_attr(mesh_client *c, const char *topic, const char *prefix, const char *name,
                       const char *value);
/* Waits until n results have come in all; returns how many of them were code 0. */
uint32_t mesh_results(mesh_client *c, uint32_t n);
uint32_t mesh_all_results(mesh_client *c); /* so far */
int32_t mesh_last_code(mesh_client *c);
uint32_t mesh_rooms(mesh_client *c);
uint32_t mesh_asked(mesh_client *c);

/* Subscribes, to a pattern if topic is one, and waits for the answer. window 0 = paused. ack: settle DONE at once. */
mesh_sub *mesh_subscribe(mesh_client *c, const char *topic, const char *group, uint32_t mode,
                         uint32_t window, bool ack);
/* The same in two steps, so that many of them are answered together. */
mesh_sub *mesh_subscribe_begin(mesh_client *c, const char *topic, const char *group, uint32_t mode,
                               uint32_t window, bool ack);
void mesh_subscribe_end(mesh_sub *s);
/* Subscribes to n topics PREFIX0 … as one, whose deliveries are acknowledged at once and counted, not
 * kept. */
mesh_sub *mesh_subscribe_many(mesh_client *c, const char *prefix, uint32_t n, const char *group,
                              uint32_t window);
void mesh_answers(mesh_sub *s, uint32_t n); /* waits until all are answered */
uint32_t mesh_n_many(mesh_sub *s); /* deliveries so far */
void mesh_await_many(mesh_sub *s, uint32_t n);
size_t mesh_sub_bytes(void); /* what the harness has for one, about */
/* The same with push_to. */
mesh_sub *mesh_subscribe_to(mesh_client *c, const char *topic, const char *group, uint32_t mode,
                            const char *url);
int32_t mesh_sub_code(mesh_sub *s);
char *mesh_sub_words(mesh_sub *s); /* of the last answer; given */
void mesh_sub_ended(mesh_sub *s);  /* waits until it is told a code */
void mesh_unsubscribe(mesh_sub *s);
/* Subscriptions of the session that are not over yet, also those that left with something open. */
uint32_t mesh_members(mesh_client *c);
void mesh_window(mesh_sub *s, uint32_t window);
/* Waits until n deliveries have come in all. */
void mesh_deliveries(mesh_sub *s, uint32_t n);
uint32_t mesh_n_deliveries(mesh_sub *s);
/* Id attribute of the i-th delivery. */
const char *mesh_delivered(mesh_sub *s, uint32_t i);
uint32_t mesh_attempt(mesh_sub *s, uint32_t i);
/* The most that one call of deliver() brought. */
uint32_t mesh_most_at_once(mesh_sub *s);
/* Text of an attribute of the i-th delivery, or NULL; and when it came, wall clock. Given. */
char *mesh_attr(mesh_sub *s, uint32_t i, const char *name);
int64_t mesh_delivered_us(mesh_sub *s, uint32_t i);
void mesh_settle(mesh_sub *s, uint32_t i, uint32_t outcome, uint32_t delay_ms);
/* Deliveries [from, from + n) in one call. */
void mesh_settle_many(mesh_sub *s, uint32_t from, uint32_t n, uint32_t outcome);
void mesh_settle_why(mesh_sub *s, uint32_t i, uint32_t outcome, const char *reason);
/* The i-th delivery's id, and a settle of whatever id: of an earlier life, say. */
uint64_t mesh_delivery_id(mesh_sub *s, uint32_t i);
uint32_t mesh_delivery_flags(mesh_sub *s, uint32_t i);
void mesh_settle_id(mesh_client *c, uint64_t id, uint32_t outcome, uint32_t delay_ms);
/* Settles that found nothing of theirs open, of all lanes. */
uint64_t mesh_stale(mesh *m);
/* Removes a folder that was given as data. */
void mesh_remove_tree(const char *path);
