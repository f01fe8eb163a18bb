/* SPDX-License-Identifier: Apache-2.0
 *
 * Which message flavour a client speaks. A subscriber never shows it, but the other connection of
 * the same SDK object does when it publishes: both said HELLO from one host with one UserAgent.
 * Shared by all lanes; a pthread mutex guards the table, the flavour is atomic.
 */
#ifndef TCP_AGENT_H
#define TCP_AGENT_H
#include "message.h"

typedef struct tcp_agents tcp_agents;
typedef struct tcp_agent tcp_agent;

tcp_agents *tcp_agents_new(void);      /* [any] */
void tcp_agents_free(tcp_agents *all); /* [any] when no agent is left */
/* [any] The agent of this host and UserAgent text. Given: leave. NULL: no memory. */
tcp_agent *tcp_agent_join(tcp_agents *all, tcp_field host, tcp_field text);
void tcp_agent_leave(tcp_agents *all, tcp_agent *agent);    /* [any] NULL is fine. */
void tcp_agent_show(tcp_agent *agent, tcp_flavour flavour); /* [any] NULL is fine. */
tcp_flavour tcp_agent_shown(const tcp_agent *agent);        /* [any] NULL: unknown. */

#endif
