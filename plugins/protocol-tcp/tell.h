/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log says about connections that end. Each lane says so much of a kind in a while and
 * then counts, so that no client can fill the log. [lane]
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
    uint64_t since_ns;    /* beginning of the while */
    uint32_t said, left_out;
} tcp_tell;

struct tcp_session;
struct tcp_lane;
void tcp_tell_end(const struct tcp_session *s, tcp_end_kind kind, uint32_t level,
                  const char *reason);
/* How many were left out, when their while is over. */
void tcp_tell_sweep(struct tcp_lane *lane, uint64_t now);

#endif
