/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate of one connection: over it, it is not read from for a while. That of all together is
 * publish.c's.
 */
#ifndef TCP_RATE_H
#define TCP_RATE_H
#include <stdbool.h>
#include <stdint.h>

struct tcp_session;
struct tcp_lane;
/* [lane] One message of this connection; false: it waits, and reading goes on by itself later. */
bool tcp_rate_session(struct tcp_session *s);
void tcp_rate_due(void *lane); /* of the lane's timer */
void tcp_rate_forget(struct tcp_session *s);

#endif
