/* SPDX-License-Identifier: Apache-2.0
 *
 * UserAgent: the body of HELLO and RECOMMEND. Texts are borrowed from the frame, or from the
 * scratch given when they had escapes.
 */
#ifndef TCP_HELLO_H
#define TCP_HELLO_H
#include "json.h"

typedef enum tcp_purpose { TCP_PURPOSE_NONE, TCP_PURPOSE_PUB, TCP_PURPOSE_SUB } tcp_purpose;

/* Dialects of the SDKs; see the README. D and E look the same from here. */
typedef enum tcp_era { TCP_ERA_A, TCP_ERA_B, TCP_ERA_C, TCP_ERA_D } tcp_era;

typedef struct tcp_field {
    const char *ptr; /* NULL: absent */
    size_t len;
} tcp_field;

typedef struct tcp_agent_info {
    tcp_field subsystem, version, pid, idc, purpose_text, group, producer_group, consumer_group;
    tcp_field username, password, token, env, path;
    tcp_purpose purpose;
} tcp_agent_info;

/* Scans the body; scratch has room for len bytes. false: *flaw (not JSON, not an object). */
bool tcp_agent_parse(const char *body, size_t len, char *scratch, tcp_agent_info *out,
                     const char **flaw);
/* The checks of the reference, in its order; NULL = good, else its text. */
const char *tcp_agent_check(const tcp_agent_info *agent, tcp_era era);
/* What tells one client object from others: all but host and port, which may be of the connection,
 * and credentials. out has room for the body's length and 16. */
size_t tcp_agent_key(const tcp_agent_info *agent, char *out);
/* The group this connection works for. */
tcp_field tcp_agent_group(const tcp_agent_info *agent);

#endif
