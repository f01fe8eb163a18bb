/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections on a worker: listeners, accepted and dialled streams, TLS, buffers, limits, time
 * limits. Knows nothing of protocols: it hands accepted connections to `accept` and bytes to the
 * plugin's emesh_conn_ops.
 */
#pragma once
#include "eventmesh/net.h"
#include "loop.h"

/* What all listeners of a daemon may buffer together; whoever makes it keeps it alive. */
typedef struct emesh_net_budget {
    uint64_t most;
    int64_t used; /* atomic; each lane lags a little */
} emesh_net_budget;

/* What option group "emesh.listen/1" says, parsed by the config room. Texts borrowed for the call
 * of emesh_net_bind(), which copies what it keeps. */
typedef struct emesh_listen_spec {
    const char *const *addresses; /* "ADDRESS:PORT", IPv6 in brackets, port 0 = any */
    const char *const *origins;   /* "10-protocol-tcp.conf:7" of each address, for errors */
    uint32_t n_addresses;
    const char *tls_certificate; /* NULL = plain */
    const char *tls_key;
    const char *tls_client_ca;
    bool tls_client_required;
    const char *alpn;            /* "h2,http/1.1" or NULL; the protocol's */
    bool can_refuse;             /* accept is called for a few over a limit too, with the reason */
    uint32_t max_connections;    /* per listener, over all lanes */
    uint64_t max_memory;         /* bytes buffered per listener, over all lanes */
    emesh_net_budget *budget;    /* of the daemon; NULL: none */
    uint32_t max_input;          /* unread bytes a connection may hold: the limit of need() */
    uint32_t output_mark;        /* queued output above which reading stops */
    uint64_t handshake_ns;       /* TLS handshake, and until the first byte */
    uint64_t idle_ns;            /* no byte in either direction; 0 = off */
} emesh_listen_spec;

typedef struct emesh_listeners emesh_listeners; /* all listening sockets of one instance */

/* refused: NULL, or why the connection is to be told that it is not served, and then ended. */
typedef int32_t (*emesh_accept_fn)(emesh_loop *loop, emesh_conn *conn, const emesh_error *refused,
                                   const emesh_conn_ops **ops, void **ctx);

/* [main] Before start: binds each address once plainly (an address in use is an error even for the
 * same user), then once per lane with SO_REUSEPORT; loads certificates. NULL: error says address,
 * origin and reason. self_accept: descriptors are left to net.listener() (libsoup). */
emesh_listeners *emesh_net_bind(const emesh_listen_spec *spec, uint32_t n_lanes, bool self_accept,
                                GError **error);
/* [main] Copies of the listening sockets, made before a restart and handed to the next life: what
 * queues on them meanwhile is neither refused nor reset. NULL without listeners. Given: free. */
typedef struct emesh_held emesh_held;
emesh_held *emesh_net_hold(const emesh_listeners *listeners);
void emesh_held_free(emesh_held *held);
/* [main] The same as bind, but an address that is written as before keeps its sockets. held may be
 * NULL, is emptied of what is used, and stays the caller's. */
emesh_listeners *emesh_net_bind_held(const emesh_listen_spec *spec, uint32_t n_lanes,
                                     bool self_accept, emesh_held *held, GError **error);
/* [main] After the last attach: begins to accept on every lane. loops[i] is lane i. false: somebody
 * took the address meanwhile; nothing is accepted, free the listeners. */
bool emesh_net_open(emesh_listeners *listeners, emesh_loop *const *loops, emesh_accept_fn accept,
                    GError **error);
/* [main] At drain: stops accepting and closes the listening sockets; done runs on [main]. */
void emesh_net_shut(emesh_listeners *listeners, emesh_job *done);
/* [main] Before detach: closes all accepted connections (closed() is called for each on its lane);
 * done runs on [main] when the last is gone. */
void emesh_net_close_all(emesh_listeners *listeners, emesh_job *done);
/* [main] SIGHUP: reads certificate and key again; the old ones stay on failure. */
bool emesh_net_reload_tls(emesh_listeners *listeners, GError **error);
void emesh_listeners_free(emesh_listeners *listeners);

typedef struct emesh_listener_info { /* for `status` */
    char address[80]; /* as bound: a port 0 is the real one here */
    bool tls;
    bool open_to_others; /* not a loopback address */
    uint32_t connections;
    uint64_t accepted, refused, failed, bytes_in, bytes_out; /* failed: handshakes */
} emesh_listener_info;
uint32_t emesh_net_listener_info(const emesh_listeners *listeners, emesh_listener_info *out,
                                 uint32_t cap); /* [main] returns how many there are */

/* [lane] The plugin has detached: what it left open here, dialled connections and look-ups, is
 * dropped without a call, for there is nobody to take it. */
void emesh_net_lane_end(emesh_loop *loop);

/* What "emesh.dial/1" says for an instance; set once before start. NULL members: defaults. */
typedef struct emesh_dial_spec {
    const char *tls_ca, *tls_certificate, *tls_key;
    bool tls_verify;
    uint64_t connect_ns;
} emesh_dial_spec;

/* The plugin room answers these for net (declared here, defined there). */
const emesh_dial_spec *emesh_inst_dial_spec(const emesh_inst *inst);
emesh_listeners *emesh_inst_listeners(const emesh_inst *inst);
void emesh_inst_log(const emesh_inst *inst, uint32_t level, const char *text); /* [any] */

/* The table of service "emesh.net/1". Constant. */
extern const emesh_net_api emesh_net_service;
