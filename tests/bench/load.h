/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine of emload: clients around one epoll, driven by one thread, the same for every server
 * that is measured. A wire says how a server is spoken to.
 */
#pragma once
#include "frame.h"
#include "histogram.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define STAMP_LEN 16 /* a body begins with the publisher's index and the sequence, in hex */

typedef struct load load;
typedef struct wire wire;

typedef struct slot { /* one publish under way */
    uint64_t seq, sent_ns;
    uint32_t waits; /* for an ack, for arrivals */
} slot;

typedef struct client {
    int fd;
    uint32_t index, free; /* free: slots that are idle */
    bool subscriber, dirty, blocked;
    bytes in, out;
    slot *slots;
    uint32_t *idle;   /* a stack of idle slots */
    uint64_t *queued; /* for wires whose answers name no sequence: a ring of those under way */
    uint64_t head, tail;
} client;

struct load {
    const wire *wire;
    const char *host, *topic, *group;
    uint32_t port, clients, window, subscribers, body, topics;
    bool broadcast;
    bool requests; /* publishes are requests: subscribers answer them, the reply is the ack */
    double seconds, warmup, rate, every; /* every: seconds between lines of a long run */
    uint64_t events, drain; /* stop after so many; nothing is published, so many are awaited */
    pid_t pid;
    int epoll;
    client *all;
    bytes template; /* a wire's publish, patched for each event */
    size_t patch[4];
    bool sending;
    uint64_t sent, acked, refused, arrived, due_ns;
    uint32_t turn;
    histogram acks, arrivals;
};

struct wire {
    const char *name;
    void (*open)(load *l, client *c); /* connected: what is said first, waited for */
    void (*listen)(load *l, client *c); /* a subscriber: events may come from now on */
    void (*publish)(load *l, client *c, uint64_t seq);
    void (*input)(load *l, client *c, uint64_t at); /* takes what is complete from c->in */
};

extern const wire wire_eventmesh, wire_nats, wire_redis;

/* How often each event is to arrive. */
static inline uint64_t
load_each(const load *l)
{
    return l->requests ? 0 : l->broadcast ? l->subscribers : l->subscribers > 0;
}

void load_open(load *l);
void load_close(load *l);
/* Runs until the time, or until nothing is under way any more. */
void load_run(load *l, uint64_t until);
void load_fill(load *l);

/* For wires. */
uint64_t load_now(void);
_Noreturn void load_die(const char *what);
void load_acked(load *l, client *c, uint64_t seq, bool good, uint64_t at);
/* stamp: the first STAMP_LEN bytes of an event's body. */
void load_arrived(load *l, const char *stamp, uint64_t at);
void load_write_all(client *c);
void load_read_more(client *c); /* waits for more bytes; before the run only */
void load_stamp(char *to, uint32_t index, uint64_t seq);
/* The filler of a body, stamp excluded. */
void load_filler(const load *l, bytes *out);
