/* SPDX-License-Identifier: Apache-2.0
 *
 * A server made of net alone, for the tests of net. See the header.
 */
#include "net-harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what the plugin room answers in the daemon ---- */

emesh_inst *
emesh_inst_of(const emesh_host *host)
{
    return (emesh_inst *)(uintptr_t)host;
}

emesh_pool *
emesh_inst_pool(const emesh_inst *inst)
{
    return inst->pool;
}

emesh_work_gate *
emesh_inst_work_gate(emesh_inst *inst)
{
    return &inst->gate;
}

const emesh_dial_spec *
emesh_inst_dial_spec(const emesh_inst *inst)
{
    return &inst->dial;
}

emesh_listeners *
emesh_inst_listeners(const emesh_inst *inst)
{
    return inst->listeners;
}

void
emesh_inst_log(const emesh_inst *inst, uint32_t level, const char *text)
{
    emesh_inst *mine = (emesh_inst *)(uintptr_t)inst;
    pthread_mutex_lock(&mine->lock);
    g_string_append_printf(mine->log, "%u %s\n", level, text);
    pthread_mutex_unlock(&mine->lock);
}

uint32_t
net_count_logged(net_server *server, const char *part)
{
    uint32_t n = 0;
    pthread_mutex_lock(&server->inst.lock);
    for (const char *at = server->inst.log->str; (at = strstr(at, part)); at++)
        n++;
    pthread_mutex_unlock(&server->inst.lock);
    return n;
}

bool
net_logged(net_server *server, const char *part)
{
    return net_count_logged(server, part) > 0;
}

/* ---- the server ---- */

const char *const net_any_port[] = { "127.0.0.1:0" };

emesh_listen_spec
net_spec(const char *const *addresses)
{
    static const char *const origins[] = { "10-test.conf:7", "10-test.conf:8", "10-test.conf:9" };
    return (emesh_listen_spec){
        .addresses = addresses,
        .origins = origins,
        .n_addresses = 1,
        .max_connections = 10000,
        .max_memory = 256u << 20,
        .max_input = 8u << 20,
        .output_mark = 256u << 10,
        .handshake_ns = 10000000000u,
    };
}

void
net_server_init(net_server *server, uint32_t n_lanes)
{
    g_autoptr(GError) error = NULL;

    server->main = emesh_worker_new_main(&error);
    g_assert_no_error(error);
    server->n_lanes = n_lanes;
    pthread_mutex_init(&server->inst.lock, NULL);
    server->inst.log = g_string_new(NULL);
    server->inst.pool = emesh_pool_new(2);
    emesh_work_gate_init(&server->inst.gate, server->main);
    for (uint32_t i = 0; i < n_lanes; i++) {
        server->workers[i] = emesh_worker_new(i, "lane", &error);
        g_assert_no_error(error);
        server->loops[i] = (emesh_loop){ .worker = server->workers[i],
                                         .main = server->main,
                                         .inst = &server->inst,
                                         .lane = (emesh_lane *)(void *)server,
                                         .pool = server->inst.pool,
                                         .index = i };
        server->loop_list[i] = &server->loops[i];
        emesh_worker_start(server->workers[i]);
    }
}

static int32_t
server_accept(emesh_loop *loop, emesh_conn *conn, const emesh_error *refused,
              const emesh_conn_ops **ops, void **ctx)
{
    net_server *server = (net_server *)(void *)loop->lane;
    net_peer *peer = g_new0(net_peer, 1);
    int32_t code = EMESH_OK;

    peer->server = server;
    peer->conn = conn;
    if (refused) {
        pthread_mutex_lock(&server->inst.lock);
        g_string_append_printf(server->inst.log, "refuse: %s\n", refused->text);
        pthread_mutex_unlock(&server->inst.lock);
    }
    *ops = server->ops;
    *ctx = peer;
    if (server->accepting)
        code = server->accepting(peer);
    if (code != EMESH_OK)
        g_free(peer);
    else
        __atomic_fetch_add(&server->accepted, 1, __ATOMIC_RELEASE);
    return code;
}

void
net_server_open(net_server *server, const emesh_listen_spec *spec, uint32_t n_lanes)
{
    g_autoptr(GError) error = NULL;
    emesh_listener_info info;

    net_server_init(server, n_lanes);
    server->inst.listeners = emesh_net_bind(spec, n_lanes, false, &error);
    g_assert_no_error(error);
    g_assert_true(
        emesh_net_open(server->inst.listeners, server->loop_list, server_accept, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(emesh_net_listener_info(server->inst.listeners, &info, 1), ==,
                     spec->n_addresses);
    g_strlcpy(server->address, info.address, sizeof server->address);
    server->port = (uint16_t)atoi(strrchr(info.address, ':') + 1);
}

typedef struct flag_job {
    emesh_job job;
    bool set;
} flag_job;

static void
set_flag(emesh_job *job)
{
    ((flag_job *)job)->set = true;
}

typedef struct lane_call {
    emesh_job job;
    net_server *server;
    void (*fn)(net_server *server, void *arg);
    void *arg;
    flag_job *back;
} lane_call;

static void
run_lane_call(emesh_job *job)
{
    lane_call *call = (lane_call *)job;
    call->fn(call->server, call->arg);
    emesh_worker_post(call->server->main, &call->back->job);
}

static void
on_lane(net_server *server, uint32_t lane, void (*fn)(net_server *server, void *arg), void *arg)
{
    flag_job back = { .job.run = set_flag };
    lane_call call = {
        .job.run = run_lane_call, .server = server, .fn = fn, .arg = arg, .back = &back
    };
    emesh_worker_post(server->workers[lane], &call.job);
    NET_WAIT(back.set);
}

void
net_on_lane(net_server *server, void (*fn)(net_server *server, void *arg), void *arg)
{
    on_lane(server, 0, fn, arg);
}

static void
end_lane(net_server *server, void *arg)
{
    (void)server;
    emesh_net_lane_end(arg);
}

void
net_server_close(net_server *server)
{
    flag_job shut = { .job.run = set_flag }, closed = { .job.run = set_flag };
    emesh_listener_info info[4];

    if (server->inst.listeners) {
        emesh_net_shut(server->inst.listeners, &shut.job);
        NET_WAIT(shut.set);
        emesh_net_close_all(server->inst.listeners, &closed.job);
        NET_WAIT(closed.set);
    }
    for (uint32_t i = 0; i < server->n_lanes; i++)
        on_lane(server, i, end_lane, &server->loops[i]);
    g_assert_cmpuint(__atomic_load_n(&server->accepted, __ATOMIC_ACQUIRE), ==,
                     __atomic_load_n(&server->closed, __ATOMIC_ACQUIRE));
    if (server->inst.listeners) {
        uint32_t n = emesh_net_listener_info(server->inst.listeners, info, 4);
        for (uint32_t i = 0; i < n; i++)
            g_assert_cmpuint(info[i].connections, ==, 0);
    }
    emesh_pool_free(server->inst.pool);
    for (uint32_t i = 0; i < server->n_lanes; i++)
        emesh_worker_free(server->workers[i]);
    emesh_listeners_free(server->inst.listeners);
    while (g_main_context_iteration(NULL, FALSE))
        continue;
    emesh_worker_free(server->main);
    g_string_free(server->inst.log, TRUE);
    pthread_mutex_destroy(&server->inst.lock);
}

void
net_peer_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    net_peer *peer = ctx;
    net_server *server = peer->server;

    g_assert_true(conn == peer->conn);
    g_assert_true((code == EMESH_OK) == (err == NULL));
    pthread_mutex_lock(&server->inst.lock);
    g_strlcpy(server->last_text, err ? err->text : "", sizeof server->last_text);
    pthread_mutex_unlock(&server->inst.lock);
    __atomic_store_n(&server->last_code, code, __ATOMIC_RELEASE);
    __atomic_fetch_add(&server->closed, 1, __ATOMIC_RELEASE);
    g_free(peer);
}

size_t
net_peer_echo(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    peer->n_data++;
    g_assert_cmpint(emesh_net_service.write(conn, in, 1), ==, EMESH_OK);
    return in->len;
}

static gboolean
tick(gpointer data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

void
net_step(void)
{
    bool ticked = false;
    guint id = g_timeout_add(5, tick, &ticked);
    g_main_context_iteration(NULL, TRUE);
    if (!ticked)
        g_source_remove(id);
}

/* ---- the client ---- */

static void
limit_time(int fd)
{
    struct timeval limit = { .tv_sec = 20 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

int
net_connect(const net_server *server)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(server->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(fd, >=, 0);
    limit_time(fd);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
    return fd;
}

void
net_send(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        g_assert_cmpint(sent, >, 0);
        at += sent;
        n -= (size_t)sent;
    }
}

void
net_receive(int fd, void *bytes, size_t n)
{
    ssize_t got = recv(fd, bytes, n, MSG_WAITALL);
    g_assert_cmpint(got, ==, (ssize_t)n);
}

static int
read_to_end(int fd)
{
    char bin[4096];
    for (;;) {
        ssize_t got = recv(fd, bin, sizeof bin, 0);
        if (got == 0)
            return 0;
        if (got < 0)
            return errno;
    }
}

bool
net_at_end(int fd)
{
    int error = read_to_end(fd);
    return error != EAGAIN && error != EWOULDBLOCK;
}

bool
net_at_fin(int fd)
{
    return read_to_end(fd) == 0;
}

void
net_reset(int fd)
{
    struct linger hard = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}
