/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log says about connections that end. Each lane says forty of a kind and then one a
 * second, and counts the others, so that no client can fill the log. [lane]
 */
#ifndef TCP_TELL_H
#define TCP_TELL_H
#include <stdint.h>

typedef enum tcp_end_kind {
    TCP_END_REFUSED, /* what it sent cannot be served */
    TCP_END_EXPIRED, /* nothing whole came in time */
    TCP_END_LIMIT,   /* the host ended it: time, memory, TLS */
    TCP_END_CUT,     /* it broke off in the middle */
    TCP_N_ENDS,
} tcp_end_kind;

typedef struct tcp_tell { /* of one kind */
    uint64_t since_ns; /* until when `said` was worn off */
    uint64_t told_ns;  /* when the number of those left out was told */
    uint32_t said;     /* wears off, one a second */
    uint32_t left_out;
} tcp_tell;

struct tcp_session;
struct tcp_lane;
void tcp_tell_end(const struct tcp_session *s, tcp_end_kind kind, uint32_t level,
                  const char *reason);
/* How many were left out. */
void tcp_tell_sweep(struct tcp_lane *lane, uint64_t now);

#endif
