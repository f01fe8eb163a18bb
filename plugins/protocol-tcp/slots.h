/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes under way: the cookie of each is its place here, which keeps what its answer needs.
 * Results may come in any order. [lane]
 */
#ifndef TCP_SLOTS_H
#define TCP_SLOTS_H
#include "command.h"

#include <stdbool.h>
#include <stdint.h>

#define TCP_SEQ_INLINE 32u

typedef struct tcp_slot {
    char seq[TCP_SEQ_INLINE]; /* raw text of the frame's seq */
    char *long_seq;           /* instead, when it does not fit */
    uint32_t seq_len;
    uint32_t next;   /* free: 1 + index of the next; taken: 0 */
    uint8_t command; /* of the answer */
    uint8_t flavour; /* of a request, and so of its reply */
    bool taken;
    bool has_seq;
} tcp_slot;

typedef struct tcp_slots {
    tcp_slot *all;
    uint32_t n, taken;
    uint32_t free; /* 1 + index, 0 = none */
} tcp_slots;

/* Index, or -1: no memory. seq NULL: the frame had none. */
int64_t tcp_slots_take(tcp_slots *s, const char *seq, size_t len, tcp_command answer);
/* NULL: no such publish is under way. */
tcp_slot *tcp_slots_at(tcp_slots *s, uint64_t index);
const char *tcp_slot_seq(const tcp_slot *slot); /* NULL: none */
void tcp_slots_give(tcp_slots *s, tcp_slot *slot);
void tcp_slots_free(tcp_slots *s);

#endif
