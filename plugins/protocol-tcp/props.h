/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties of a message on their way to attributes of an event. Names that CloudEvents does not
 * know are mapped (lower case, '_' as "99"); the attribute TCP_NAMES then says what they were
 * called, so that EventMeshMessage clients get them back unchanged. [lane]
 */
#ifndef TCP_PROPS_H
#define TCP_PROPS_H
#include "arena.h"
#include "eventmesh/event.h"
#include "header.h"
#include "hello.h"

#define TCP_PROPS_MAX 512u  /* of one message; more is refused */
#define TCP_NAMES "emnames" /* "ttl=TTL,msgtype=msgType": canonical=original */

typedef struct tcp_props {
    tcp_arena arena;
    const char *flaw;
    uint32_t n;     /* attributes in list */
    uint32_t first; /* where extensions begin */
    uint32_t n_mapped;
    bool strict; /* names: letters, digits and '_' only */
    emesh_attr list[TCP_PROPS_MAX + 16];
    tcp_field original[TCP_PROPS_MAX + 16]; /* ptr NULL: named as in list */
} tcp_props;

void tcp_props_begin(tcp_props *p, bool strict);
/* An attribute of the specification, as it is. */
void tcp_props_put(tcp_props *p, const char *name, size_t len, tcp_field value);
void tcp_props_put_value(tcp_props *p, const char *name, size_t len, const tcp_value *value);
#define TCP_PROPS_CORE(p, name, value) tcp_props_put(p, name, sizeof(name) - 1, value)
#define TCP_PROPS_CORE_VALUE(p, name, value) tcp_props_put_value(p, name, sizeof(name) - 1, value)
/* From here on: extensions. */
void tcp_props_extensions(tcp_props *p);
/* A later one of the same name wins. false: flaw says why. */
bool tcp_props_add(tcp_props *p, const tcp_value *name, const tcp_value *value);
bool tcp_props_add_header(tcp_props *p, const tcp_header *h);
/* An extension of ours, in place of one of that name; at most eight, behind the others. */
void tcp_props_set(tcp_props *p, const char *name, size_t len, tcp_field value);
/* Adds TCP_NAMES if it is needed. */
bool tcp_props_end(tcp_props *p);

/* The way back: what attribute attr was called, by the value of TCP_NAMES (may be empty). The
 * result is escaped in the list's way; see tcp_names_decode. */
tcp_field tcp_names_original(const emesh_attr *names, const emesh_attr *attr);
size_t tcp_names_decode(tcp_field original, char *out); /* out: original.len bytes */

/* Is this an attribute of the specification (or "data", or TCP_NAMES)? */
bool tcp_name_reserved(const char *name, size_t len);
/* Is this a name that the server stamps at push (reqmq2…, rsp0…)? */
bool tcp_name_stamped(const char *name, size_t len);
/* The same at the reply to a request (rspmq2…). */
bool tcp_name_stamped_reply(const char *name, size_t len);

#endif
