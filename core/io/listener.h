/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of net: the listening sockets of one instance. Made and ended on [main]; a port belongs to
 * its lane from open to shut; numbers marked atomic are read by everybody.
 */
#pragma once
#include <pthread.h>

#include "address.h"
#include "net.h"

typedef struct emesh_tls_context emesh_tls_context; /* tls.h */
typedef struct emesh_net_lane emesh_net_lane;

typedef struct emesh_conn_limits {
    uint32_t max_input, output_mark;
    uint64_t handshake_ns, idle_ns;
} emesh_conn_limits;

typedef struct emesh_port { /* one address on one lane */
    emesh_fd fd; /* first: ready() casts; fd -1 when closed */
    emesh_listeners *listeners;
    emesh_net_lane *lane;
    emesh_alarm again; /* accept() had no descriptor left */
    uint64_t again_ns; /* how long the next pause is; 0: none was needed */
    uint32_t address;  /* index */
    /* written by the lane, atomic for status */
    uint32_t connections;
    uint64_t accepted, refused, failed, bytes_in, bytes_out;
} emesh_port;

typedef struct emesh_bound { /* one address */
    emesh_addr addr;
    char text[EMESH_ADDR_TEXT]; /* as bound */
    char *asked;                /* as written */
} emesh_bound;

typedef struct emesh_part_jobs { /* one lane's share of open, shut and close_all */
    emesh_job open, shut, close;
    emesh_listeners *listeners;
    emesh_loop *loop;
    uint32_t index;
    bool closing;      /* the lane's: reports when its last accepted connection is gone */
    emesh_job relieve; /* memory is used up: end the one that holds most */
    uint32_t relieving; /* atomic: relieve is posted */
} emesh_part_jobs;

typedef struct emesh_log_limit { /* some lines, then one per interval; under log_lock */
    uint64_t since_ns;
    uint32_t said;     /* wears off, one per interval */
    uint32_t left_out; /* since the last line */
    uint32_t at_once, seconds;
} emesh_log_limit;

struct emesh_listeners {
    uint32_t n_addresses, n_lanes;
    emesh_bound *bound;     /* n_addresses */
    emesh_port *ports;      /* n_lanes rows of n_addresses */
    emesh_part_jobs *parts; /* n_lanes */
    bool self_accept, opened;
    emesh_accept_fn accept;
    emesh_inst *inst;
    emesh_worker *main;

    uint32_t max_connections;
    uint64_t max_memory;
    emesh_net_budget *budget; /* of all listeners together; NULL: none */
    emesh_conn_limits limits;

    pthread_mutex_t tls_lock;
    emesh_tls_context *tls; /* under tls_lock; NULL = plain */
    bool is_tls;
    struct {
        char *certificate, *key, *client_ca, *alpn;
        bool client_required;
    } tls_files;

    bool can_refuse;      /* the protocol tells those over a limit why they are not served */
    uint32_t connections; /* atomic, all lanes; without those being refused */
    uint32_t refusing;    /* atomic, all lanes */
    int64_t memory;       /* atomic, bytes buffered, all lanes; each lane lags a little */
    pthread_mutex_t log_lock;
    emesh_log_limit log_full, log_descriptors, log_handshake, log_memory;

    uint32_t lanes_left; /* atomic: lanes that did not finish the running shut or close_all */
    emesh_job *done;
};

static inline emesh_port *
emesh_listeners_port(const emesh_listeners *listeners, uint32_t lane, uint32_t address)
{
    return &listeners->ports[(size_t)lane * listeners->n_addresses + address];
}

/* held.c: takes the sockets of an address over. False: none are held for it. */
bool emesh_held_adopt(emesh_held *held, emesh_listeners *listeners, uint32_t address);

/* [lane] The listening descriptor of an instance that accepts itself; a copy, given. */
int32_t emesh_listeners_take(emesh_listeners *listeners, uint32_t lane, uint32_t index,
                             int32_t *fd);

/* No delay, keep-alive. */
void emesh_net_stream_options(int fd);

/* [any] May there be a line of this limit's? *left_out: how many there were not since the last. */
bool emesh_listeners_may_log(emesh_listeners *listeners, emesh_log_limit *limit, uint64_t now,
                             uint32_t *left_out);

/* [lane] The last accepted connection of a lane is gone while it closes. */
void emesh_listeners_lane_done(emesh_listeners *listeners);
/* [lane] Memory is used up for long: every lane ends the connection that holds most. */
void emesh_listeners_relieve(emesh_listeners *listeners);

/* accept.c, [lane] */
void emesh_port_ready(emesh_fd *fd, uint32_t events);
void emesh_port_again(emesh_alarm *alarm);
