/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushes without acknowledgement: the seq of a push is "s" and a count in hex, its place in the
 * ring is the count's low bits, so an acknowledgement finds its delivery without a search and one
 * that is late finds nothing. [lane]
 */
#ifndef TCP_RING_H
#define TCP_RING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_RING_MAX 65536u /* beyond it the oldest is forgotten: its event comes again in time */

typedef struct tcp_ring_slot {
    uint64_t count; /* 0 = free */
    uint64_t id;    /* delivery */
} tcp_ring_slot;

typedef struct tcp_ring {
    tcp_ring_slot *slots;
    uint32_t n;    /* a power of two, 0 at first */
    uint32_t open; /* taken */
    uint64_t last; /* count of the newest */
} tcp_ring;

/* The count of a new push, 0 = no memory. */
uint64_t tcp_ring_add(tcp_ring *r, uint64_t id);
/* Takes the push of this count out. false: unknown, or answered before. */
/* The delivery of a push that is un-acked; it stays so. */
bool tcp_ring_peek(const tcp_ring *r, uint64_t count, uint64_t *id);
bool tcp_ring_take(tcp_ring *r, uint64_t count, uint64_t *id);
void tcp_ring_free(tcp_ring *r);

#define TCP_SEQ_MAX 20u
/* Where a connection's counts begin: nowhere twice, as clients send late acknowledgements of a former
 * connection on the next one. */
uint64_t tcp_seq_first(void);
/* Writes the seq of count; returns its length. */
size_t tcp_seq_write(uint64_t count, char out[TCP_SEQ_MAX]);
/* 0: not one of ours. */
uint64_t tcp_seq_read(const char *seq, size_t len);

#endif
