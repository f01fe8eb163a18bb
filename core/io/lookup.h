/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of net: one name look-up on the pool, answered on the lane that asked, later and once.
 */
#pragma once
#include "address.h"
#include "conn.h"

#define EMESH_LOOKUP_MOST 16 /* addresses kept of one name */

typedef struct emesh_lookup emesh_lookup;
/* addrs borrowed; n 0: text says why. code CLOSED: the lane goes. */
typedef void (*emesh_lookup_found)(void *ctx, int32_t code, const emesh_addr *addrs, uint32_t n,
                                   const char *text);
emesh_lookup *emesh_lookup_begin(emesh_net_lane *lane, const char *host, uint16_t port,
                                 emesh_lookup_found found, void *ctx);
void emesh_lookup_cancel(emesh_lookup *lookup); /* found is not called any more */
void emesh_lookups_end(emesh_net_lane *lane);   /* answers all that are under way, CLOSED */
/* net.resolve */
void emesh_net_resolve(emesh_loop *loop, const char *address, size_t len,
                       void (*found)(void *ctx, int32_t code, const emesh_slice *found, uint32_t n),
                       void *ctx);
