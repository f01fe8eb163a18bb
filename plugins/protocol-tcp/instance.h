/* SPDX-License-Identifier: Apache-2.0
 *
 * What one instance keeps, and what it keeps for each lane.
 */
#ifndef TCP_INSTANCE_H
#define TCP_INSTANCE_H
#include "eventmesh/eventmesh.h"
#include "agent.h"
#include "message.h"
#include "tell.h"

typedef enum tcp_push_flavour {
    TCP_PUSH_LEARNED,
    TCP_PUSH_PUBLISHER,
    TCP_PUSH_MESSAGE,
    TCP_PUSH_CE,
} tcp_push_flavour;

typedef struct tcp_options {
    uint64_t expiry_ns;
    uint64_t hello_ns; /* the listener's handshake-timeout, at most expiry_ns */
    uint64_t ack_timeout_ns;
    uint64_t window_bytes;
    uint64_t output_mark; /* the listener's: above it the host reads no more */
    uint32_t window_events;
    uint32_t max_subscriptions;
    uint32_t rate, session_rate; /* messages a second, 0 = no limit */
    char **recommend;            /* addresses, NULL behind the last; NULL: none */
    tcp_push_flavour push;
} tcp_options;

typedef struct tcp_instance {
    const emesh_host *host;
    const emesh_event_api *event;
    const emesh_net_api *net;
    const emesh_client_api *client;
    const emesh_loop_api *loop;
    const emesh_metrics_api *metrics;
    emesh_metric *refused, *expired, *limited, *cut, *unfit, *late, *reply_lost; /* [any] */
    uint64_t rate_ns; /* atomic, eventmesh/rate.h */
    tcp_options options;
    tcp_agents *agents; /* [any] */
} tcp_instance;

typedef struct tcp_session tcp_session;

#define TCP_BATCH 256u

typedef struct tcp_lane {
    tcp_instance *tcp;
    emesh_loop *loop;
    emesh_timer *sweep;
    emesh_timer *slow;   /* the next of the slowed */
    uint64_t slow_due_ns;
    tcp_session *slowed; /* over their rate */
    uint32_t recommended;
    emesh_op *draining; /* to be completed when the last session is gone */
    uint64_t drain_until_ns;
    tcp_session *first; /* every connection of the lane */
    uint32_t n_sessions;
    bool is_draining;
    tcp_tell tells[TCP_N_ENDS];
    /* of the call under way */
    uint32_t n_publish, n_settle;
    emesh_publish publish[TCP_BATCH];
    const emesh_event *events[TCP_BATCH];
    size_t publish_at[TCP_BATCH]; /* where the frame of each begins */
    size_t resume_at;             /* where the first one begins that was not taken */
    emesh_settle settle[TCP_BATCH];
    tcp_header header;
    tcp_out out;
    tcp_reader reader;
} tcp_lane;

extern const emesh_life_ops tcp_life;
extern const emesh_client_ops tcp_client;
extern const emesh_protocol_ops tcp_protocol;

#endif
