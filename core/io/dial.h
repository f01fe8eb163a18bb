/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of net: a connection on its way out: look-up, connect() to each address in turn, TLS.
 */
#pragma once
#include "conn.h"

/* net.dial */
int32_t emesh_net_dial(emesh_loop *loop, const emesh_dial *spec, const emesh_conn_ops *ops,
                       void *ctx, emesh_conn **out);
uint64_t emesh_dialing_deadline(const emesh_conn *conn);
void emesh_dialing_due(emesh_conn *conn);   /* its time limit */
void emesh_dialing_ready(emesh_conn *conn); /* the descriptor: connect() has ended */
void emesh_dialing_free(emesh_conn *conn);  /* NULL is fine */
