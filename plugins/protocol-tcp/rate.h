/* SPDX-License-Identifier: Apache-2.0
 *
 * Rates: of all connections together (over it: code 1), of one (over it: it is not read from for a
 * while). A rate is a moment that every message moves on by its share of a second.
 */
#ifndef TCP_RATE_H
#define TCP_RATE_H
#include <stdbool.h>
#include <stdint.h>

/* [any] May one more come now? rate per second, 0 = no limit; a second's worth may come at once. */
bool tcp_rate_take(uint64_t *until_ns, uint32_t rate, uint64_t now_ns);

struct tcp_session;
struct tcp_lane;
/* [lane] One message of this connection; false: it waits, and reading goes on by itself later. */
bool tcp_rate_session(struct tcp_session *s);
void tcp_rate_due(void *lane); /* of the lane's timer */
void tcp_rate_forget(struct tcp_session *s);

#endif
