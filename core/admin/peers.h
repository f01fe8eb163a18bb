/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of peers of the HTTP administration: who guesses tokens, and what was logged
 * of whom, so that neither goes on without end. All lanes share one. [any]
 */
#pragma once
#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct emesh_peers emesh_peers;

typedef enum emesh_peer_fault {
    EMESH_PEER_WRONG_TOKEN,
    EMESH_PEER_LOCKED,
    EMESH_PEER_HANDSHAKE,
    EMESH_PEER_SLOW,
    EMESH_PEER_UNREAD,
    EMESH_PEER_FLOOD,
    EMESH_PEER_TOO_MANY,
    EMESH_PEER_N
} emesh_peer_fault;

emesh_peers *emesh_peers_new(void);
void emesh_peers_free(emesh_peers *peers);
/* 0, or how many seconds a peer that failed too often waits before its token is looked at. */
uint32_t emesh_peers_wait(emesh_peers *peers, GInetAddress *who, uint64_t now_ns);
void emesh_peers_failed(emesh_peers *peers, GInetAddress *who, uint64_t now_ns);
/* Is a fault of this peer to be logged? Once in ten minutes for each. */
bool emesh_peers_tell(emesh_peers *peers, GInetAddress *who, emesh_peer_fault fault,
                      uint64_t now_ns);
