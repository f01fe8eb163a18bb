/* SPDX-License-Identifier: Apache-2.0
 *
 * A server made of net alone, for the tests of net: lanes on threads of their own, one listener,
 * and a scripted plugin. The test itself is the client, with blocking sockets, on the main thread.
 */
#pragma once
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/io/net.h"

struct emesh_inst { /* what net asks of the plugin room */
    emesh_pool *pool;
    emesh_work_gate gate;
    emesh_dial_spec dial;
    emesh_listeners *listeners;
    pthread_mutex_t lock;
    GString *log; /* under lock */
};

typedef struct net_server net_server;

typedef struct net_peer { /* the scripted plugin's connection */
    net_server *server;
    emesh_conn *conn;
    uint32_t n_data, n_eof, n_room, n_connected, n_closed; /* the lane's */
    size_t bytes;
    void *user;
} net_peer;

struct net_server {
    emesh_worker *main;
    emesh_worker *workers[4];
    emesh_loop loops[4];
    emesh_loop *loop_list[4];
    uint32_t n_lanes;
    emesh_inst inst;
    char address[80];
    uint16_t port;
    /* the script: set before net_server_open() */
    const emesh_conn_ops *ops;
    int32_t (*accepting)(net_peer *peer); /* NULL: yes */
    void *user;
    /* counted by the lanes, atomic */
    uint32_t accepted, closed;
    int32_t last_code;
    char last_text[256]; /* under inst.lock */
};

/* Good for most tests: loopback, port 0, generous limits. */
emesh_listen_spec net_spec(const char *const *addresses);
extern const char *const net_any_port[];
/* Lanes and instance only; for tests that dial. */
void net_server_init(net_server *server, uint32_t n_lanes);
/* ... and the listener. */
void net_server_open(net_server *server, const emesh_listen_spec *spec, uint32_t n_lanes);
/* Shut, close all, end the lanes, free: fails if a connection was not closed exactly once. */
void net_server_close(net_server *server);
/* The default closed() of scripts: counts, keeps code and text, frees the peer. */
void net_peer_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err);
/* The default data(): echo. */
size_t net_peer_echo(void *ctx, emesh_conn *conn, const emesh_part *in);
/* Runs fn on lane 0 and waits for it. */
void net_on_lane(net_server *server, void (*fn)(net_server *server, void *arg), void *arg);
bool net_logged(net_server *server, const char *part); /* is it in the log? */
uint32_t net_count_logged(net_server *server, const char *part);

/* Runs the main context until the condition holds; fails after 20 s. */
#define NET_WAIT(condition)                                                                        \
    do {                                                                                           \
        gint64 net_wait_end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;                        \
        while (!(condition)) {                                                                     \
            net_step();                                                                            \
            if (g_get_monotonic_time() > net_wait_end)                                             \
                g_error("%s:%d: not in 20 s: %s", __FILE__, __LINE__, #condition);                 \
        }                                                                                          \
    } while (0)
void net_step(void);

/* ---- the client: blocking sockets with a time limit of 20 s ---- */
int net_connect(const net_server *server);
void net_send(int fd, const void *bytes, size_t n);
void net_receive(int fd, void *bytes, size_t n); /* exactly n */
bool net_at_end(int fd);                         /* waits for the end: FIN or reset */
bool net_at_fin(int fd);                         /* waits for the end: true only for a FIN */
void net_reset(int fd);                          /* closes with an RST */
