/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: events to which one answer is awaited. The request goes the way of every event; what is
 * kept of it here, on the lane of its session, is who waits and until when. Replies go no way of
 * events: they are carried to the lane that waits, through the store when that is another daemon's.
 */
#pragma once
#include "bus/publish.h"

/* A correlation id is "daemon.boot.n": which mesh, which life of it, which request of it. */
#define EMESH_CORRELATION "correlation99id"
#define EMESH_REPLY_ADDRESS "reply99to99client"
#define EMESH_CORRELATION_LEN 42u /* 16 . 8 . 16, hexadecimal */

/* How a request ended: what is said of a reply that comes behind it. */
typedef enum emesh_request_end {
    EMESH_REQUEST_UNKNOWN,
    EMESH_REQUEST_ANSWERED,
    EMESH_REQUEST_FAILED,
    EMESH_REQUEST_TIMEOUT,
    EMESH_REQUEST_GONE, /* its session */
} emesh_request_end;

typedef struct emesh_request emesh_request;
typedef struct emesh_requests emesh_requests; /* of one lane */

emesh_requests *emesh_requests_new(emesh_bus_lane *lane);
void emesh_requests_free(emesh_requests *requests);

/* All [lane] of the requester.
 * Has pending be a request: it waits from now on; or why not. */
int32_t emesh_request_begin(emesh_bus_lane *lane, emesh_pending *pending,
                            const emesh_publish *item, emesh_why *why);
/* Its event gets what a reply needs, now that the store is known. */
int32_t emesh_request_stamp(emesh_bus_lane *lane, emesh_pending *pending, const emesh_bus_topic *topic,
                            emesh_why *why);
/* The store's word, or a refusal on the way to it. The number may be of a request that is over. */
void emesh_request_stored(emesh_bus_lane *lane, uint64_t number, int32_t code, const char *why);
/* A reply to it; takes the reference. UNKNOWN: it was awaited; else how the request had ended. */
emesh_request_end emesh_request_replied(emesh_bus_lane *lane, uint64_t number,
                                       const emesh_event *reply, bool *awaited);
/* The session is over: nobody waits for its requests. */
void emesh_requests_leave(emesh_session *session);
/* Before a stop: who still waits is told that no reply will come. */
void emesh_requests_end(emesh_bus_lane *lane, int32_t code, const char *why);

/* reply.c, [lane] of the responder's session: publishes a reply; gives its result at once. */
void emesh_reply_publish(emesh_session *session, const emesh_publish *item);
/* Carries a reply to who waits for it. correlation and address are the request's; takes the
 * reference. 0, or why it was dropped. */
int32_t emesh_reply_route(emesh_bus_lane *here, const emesh_event *reply, emesh_slice correlation,
                          emesh_slice address, emesh_store *store, const char **why);
/* Counts and journals a reply that nobody gets. */
void emesh_reply_dropped(emesh_bus_lane *here, const emesh_event *reply, const char *why);
/* Is this the event of a request? Of its correlation id, if so. */
bool emesh_request_is(const emesh_event *event, emesh_slice *correlation, emesh_slice *address);
/* Service function replied(). [any] */
void emesh_store_replied(const emesh_host *host, const emesh_event *const *events, uint32_t n);

/* identity.c, [main]: who this mesh is, for ever and in this life. */
void emesh_bus_identify(emesh_bus *bus);
