/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners and their bounds: addresses, connections, memory, descriptors, time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/listener.h"
#include "net-harness.h"

static const emesh_net_api *const net = &emesh_net_service;

static const emesh_conn_ops echo_ops = { .size = sizeof(emesh_conn_ops),
                                         .data = net_peer_echo,
                                         .closed = net_peer_closed };

static bool
echoes(int fd)
{
    char byte = 'e';
    net_send(fd, &byte, 1);
    byte = 0;
    net_receive(fd, &byte, 1);
    return byte == 'e';
}

/* ---- addresses ---- */

static void
refused(const char *address, const char *part)
{
    const char *addresses[] = { address };
    emesh_listen_spec spec = net_spec(addresses);
    g_autoptr(GError) error = NULL;

    g_assert_null(emesh_net_bind(&spec, 2, false, &error));
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, part));
    g_assert_nonnull(strstr(error->message, address));
    g_assert_nonnull(strstr(error->message, "10-test.conf:7"));
    g_assert_null(strchr(error->message, '\n'));
}

static void
test_addresses_refused(void)
{
    refused("127.0.0.1", "port is missing");
    refused("127.0.0.1:", "number from 0 to 65535");
    refused("127.0.0.1:65536", "number from 0 to 65535");
    refused("127.0.0.1:x", "number from 0 to 65535");
    refused("::1:80", "[ADDRESS]:PORT");
    refused("[::1]80", "[ADDRESS]:PORT");
    refused(":80", "address before the port is missing");
    refused("eventmesh.example:80", "not an address of a machine");
    refused("192.0.2.1:9999", "no interface of this machine has it");
}

/* An address in use is refused whoever uses it and however. */
static void
test_port_in_use(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    char address[40];
    int on = 1;

    for (int variant = 0; variant < 3; variant++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        at.sin_port = 0;
        if (variant == 1)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (variant == 2)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        getsockname(fd, (struct sockaddr *)&at, &len);
        g_snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
        refused(address, "address already in use; stop the other program or change \"listen\"");
        close(fd);
    }
}

/* ... also by another instance of this daemon that has bound it and not begun to listen. */
static void
test_port_bound_twice(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    g_autoptr(GError) error = NULL;
    emesh_listener_info info;
    emesh_listeners *first = emesh_net_bind(&spec, 2, false, &error);

    g_assert_no_error(error);
    emesh_net_listener_info(first, &info, 1);
    refused(info.address, "already in use");
    emesh_listeners_free(first);
    const char *again[] = { info.address };
    spec.addresses = again;
    first = emesh_net_bind(&spec, 2, false, &error);
    g_assert_no_error(error);
    emesh_listeners_free(first);
}

/* A server stopped with connections open starts again at once: TIME_WAIT is no obstacle. */
static void
test_port_after_stop(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    char address[80];

    net_server_open(&server, &spec, 2);
    g_strlcpy(address, server.address, sizeof address);
    int fd = net_connect(&server);
    g_assert_true(echoes(fd));
    net_server_close(&server); /* closes first: TIME_WAIT is on its side */
    g_assert_true(net_at_fin(fd));
    close(fd);
    const char *addresses[] = { address };
    net_server second = { .ops = &echo_ops };
    spec.addresses = addresses;
    net_server_open(&second, &spec, 2);
    fd = net_connect(&second);
    g_assert_true(echoes(fd));
    close(fd);
    net_server_close(&second);
}

static void
test_ipv6(void)
{
    static const char *const addresses[] = { "[::1]:0", "127.0.0.1:0", "0.0.0.0:0" };
    emesh_listen_spec spec = net_spec(addresses);
    net_server server = { .ops = &echo_ops };
    emesh_listener_info info[3];
    struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        g_test_skip("no IPv6 on this machine");
        if (fd >= 0)
            close(fd);
        return;
    }
    spec.n_addresses = 3;
    net_server_open(&server, &spec, 1);
    g_assert_cmpuint(emesh_net_listener_info(server.inst.listeners, info, 3), ==, 3);
    g_assert_true(g_str_has_prefix(info[0].address, "[::1]:"));
    g_assert_false(info[0].open_to_others);
    g_assert_false(info[1].open_to_others);
    g_assert_true(info[2].open_to_others);
    to.sin6_port = htons((uint16_t)atoi(strrchr(info[0].address, ':') + 1));
    close(fd);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&to, sizeof to), ==, 0);
    g_assert_true(echoes(fd));
    close(fd);
    net_server_close(&server);
}

/* info() names both ends. */
static int32_t
look_at_info(net_peer *peer)
{
    emesh_conn_info info = { .size = sizeof info };

    net->info(peer->conn, &info);
    g_assert_cmpuint(info.tls, ==, 0);
    g_assert_cmpuint(info.alpn.len + info.cert.len + info.server_name.len, ==, 0);
    g_assert_cmpmem(info.local.ptr, info.local.len, peer->server->address,
                    strlen(peer->server->address));
    g_assert_true(g_str_has_prefix(info.peer.ptr, "127.0.0.1:"));
    info.size = offsetof(emesh_conn_info, alpn); /* an older plugin */
    info.alpn.len = 77;
    net->info(peer->conn, &info);
    g_assert_cmpuint(info.alpn.len, ==, 77);
    return EMESH_OK;
}

/* The accepted socket at the other end of fd; both ends live in this process. */
static int
other_end(int fd)
{
    struct sockaddr_in mine, peer;
    socklen_t len = sizeof mine;

    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&mine, &len), ==, 0);
    for (int other = 3; other < 1024; other++) {
        len = sizeof peer;
        if (getpeername(other, (struct sockaddr *)&peer, &len) == 0 &&
            peer.sin_port == mine.sin_port)
            return other;
    }
    return -1;
}

/* ... and accepted sockets have their options without a call for each. */
static void
test_info(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops, .accepting = look_at_info };
    int on = 0;
    socklen_t len = sizeof on;

    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    g_assert_true(echoes(fd));
    g_assert_cmpint(getsockopt(other_end(fd), IPPROTO_TCP, TCP_NODELAY, &on, &len), ==, 0);
    g_assert_cmpint(on, ==, 1);
    g_assert_cmpint(getsockopt(other_end(fd), SOL_SOCKET, SO_KEEPALIVE, &on, &len), ==, 0);
    g_assert_cmpint(on, ==, 1);
    close(fd);
    net_server_close(&server);
}

/* ---- connections ---- */

static void
test_max_connections(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    emesh_listener_info info = { 0 };
    int fds[14];
    uint32_t alive = 0;

    spec.max_connections = 10;
    net_server_open(&server, &spec, 2);
    for (int i = 0; i < 10; i++) {
        fds[i] = net_connect(&server);
        g_assert_true(echoes(fds[i]));
    }
    for (int i = 10; i < 14; i++) {
        fds[i] = net_connect(&server);
        g_assert_true(net_at_end(fds[i]));
    }
    NET_WAIT(emesh_net_listener_info(server.inst.listeners, &info, 1) && info.refused == 4);
    g_assert_cmpuint(info.connections, ==, 10);
    g_assert_cmpuint(net_count_logged(&server, "refused, 10 are open"), ==, 1); /* not one each */
    g_assert_true(net_logged(&server, "127.0.0.1:"));
    for (int i = 0; i < 10; i++)
        alive += echoes(fds[i]);
    g_assert_cmpuint(alive, ==, 10);
    close(fds[3]);
    NET_WAIT(emesh_net_listener_info(server.inst.listeners, &info, 1) && info.connections == 9);
    fds[3] = net_connect(&server);
    g_assert_true(echoes(fds[3]));
    for (int i = 0; i < 14; i++)
        close(fds[i]);
    net_server_close(&server);
}

/* Where the protocol can say why, 64 at a time are told; they take nobody's place. */
static void
test_refusal_told(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    emesh_listener_info info = { 0 };
    int fds[80], told = 0;
    char byte;

    spec.max_connections = 1;
    spec.can_refuse = true;
    spec.handshake_ns = 500000000u;
    net_server_open(&server, &spec, 1);
    int first = net_connect(&server);
    g_assert_true(echoes(first));
    for (int i = 0; i < 80; i++)
        fds[i] = net_connect(&server);
    NET_WAIT(emesh_net_listener_info(server.inst.listeners, &info, 1) && info.refused == 80);
    g_assert_cmpuint(info.connections, ==, 1);
    g_assert_cmpuint(net_count_logged(&server, "refuse: the server has its limit of 1 conn"), ==,
                     64);
    for (int i = 0; i < 80; i++)
        told += recv(fds[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
    g_assert_cmpint(told, <=, 64);
    NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == 64); /* they said nothing */
    g_assert_true(echoes(first));
    close(first);
    NET_WAIT(emesh_net_listener_info(server.inst.listeners, &info, 1) && info.connections == 0);
    for (int i = 0; i < 80; i++)
        close(fds[i]);
    first = net_connect(&server);
    g_assert_true(echoes(first));
    close(first);
    net_server_close(&server);
}

/* A thousand who say nothing: nobody else notices, they cost little and are cut in time. */
static void
test_silent(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    struct rlimit files;
    const int n = 1000;
    g_autofree int *fds = g_new(int, n);

    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 2200) {
        g_test_skip("not enough file descriptors");
        return;
    }
    files.rlim_cur = MAX(files.rlim_cur, (rlim_t)2200);
    setrlimit(RLIMIT_NOFILE, &files);
    spec.handshake_ns = 700000000u;
    net_server_open(&server, &spec, 1);
    for (int i = 0; i < n; i++)
        fds[i] = net_connect(&server);
    int alive = net_connect(&server);
    g_assert_true(echoes(alive));
    NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == (uint32_t)n);
    g_assert_cmpint(server.last_code, ==, EMESH_E_TIMEOUT);
    g_assert_cmpstr(server.last_text, ==, "no byte came in 700 ms");
    g_assert_true(echoes(alive));
    for (int i = 0; i < n; i++)
        close(fds[i]);
    close(alive);
    net_server_close(&server);
}

static void
test_idle(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };

    spec.idle_ns = 300000000u;
    net_server_open(&server, &spec, 1);
    int idle = net_connect(&server), busy = net_connect(&server);
    g_assert_true(echoes(idle));
    gint64 start = g_get_monotonic_time();
    while (g_get_monotonic_time() - start < 600000) {
        g_assert_true(echoes(busy));
        g_usleep(20000);
    }
    g_assert_cmpuint(server.closed, ==, 1);
    g_assert_cmpint(server.last_code, ==, EMESH_E_TIMEOUT);
    g_assert_true(net_at_end(idle));
    close(idle);
    close(busy);
    net_server_close(&server);
}

/* ---- memory ---- */

typedef struct hoard {
    uint32_t largest; /* atomic */
} hoard;

/* Frames of 64 KiB, which never become whole; a single byte is echoed. */
static size_t
hoard_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    net_peer *peer = ctx;
    hoard *h = peer->server->user;
    if (in->len == 1)
        return net_peer_echo(ctx, conn, in);
    if (in->len > __atomic_load_n(&h->largest, __ATOMIC_RELAXED))
        __atomic_store_n(&h->largest, (uint32_t)in->len, __ATOMIC_RELAXED);
    g_assert_cmpint(net->need(conn, 1u << 20), ==, EMESH_OK);
    return 0;
}

/* Halves of messages fill all the memory there is: those who hold most go, others live. */
static void
memory_used_up(emesh_net_budget *budget)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = hoard_data,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    hoard h = { 0 };
    net_server server = { .ops = &ops, .user = &h };
    emesh_listener_info info = { 0 };
    g_autofree char *half = g_malloc0(900000);
    int fds[20], small[3];
    size_t sent = 0;

    spec.budget = budget;
    if (!budget)
        spec.max_memory = 2u << 20;
    net_server_open(&server, &spec, 2);
    for (int i = 0; i < 3; i++) {
        small[i] = net_connect(&server);
        g_assert_true(echoes(small[i]));
    }
    for (int i = 0; i < 20; i++) {
        fds[i] = net_connect(&server);
        ssize_t n = send(fds[i], half, 900000, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
    }
    g_assert_cmpuint(sent, >, 4u << 20);
    NET_WAIT(net_logged(&server, budget ? "all of session-memory (2097152 bytes) is in use"
                                        : "all of max-memory (2097152 bytes) is in use"));
    emesh_net_listener_info(server.inst.listeners, &info, 1);
    g_assert_cmpuint(info.bytes_in, <, 4u << 20); /* the rest waits in the kernel */
    NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) >= 1);
    for (int i = 0; i < 3; i++) { /* small messages pass all the time */
        gint64 start = g_get_monotonic_time();
        g_assert_true(echoes(small[i]));
        g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
        close(small[i]);
    }
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    net_server_close(&server);
}

static void
test_memory(void)
{
    memory_used_up(NULL);
}

static void
test_memory_of_the_daemon(void)
{
    emesh_net_budget budget = { .most = 2u << 20 };

    memory_used_up(&budget);
    g_assert_cmpint(budget.used, ==, 0); /* all given back */
    budget.used = (int64_t)budget.most;  /* by another listener */
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    spec.budget = &budget;
    spec.can_refuse = true;
    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    NET_WAIT(net_logged(&server, "refuse: the server's memory for connections is used up"));
    g_assert_true(net_logged(&server, "refused, the memory for connections is used up"));
    __atomic_store_n(&budget.used, 0, __ATOMIC_RELAXED);
    int other = net_connect(&server);
    g_assert_true(echoes(other));
    close(other);
    close(fd);
    net_server_close(&server);
}

/* One line a minute is a minute behind the last one, whatever the clock shows; the clocks of two lanes
 * may differ a little. */
static void
test_lines_are_rationed(void)
{
    emesh_listeners listeners = { 0 };
    emesh_log_limit limit = { .at_once = 1, .seconds = 60 };
    const uint64_t s = UINT64_C(1000000000);
    uint32_t left_out = 0;

    pthread_mutex_init(&listeners.log_lock, NULL);
    g_assert_true(emesh_listeners_may_log(&listeners, &limit, 59 * s, &left_out));
    g_assert_false(emesh_listeners_may_log(&listeners, &limit, 61 * s, &left_out));
    g_assert_false(emesh_listeners_may_log(&listeners, &limit, 58 * s, &left_out));
    g_assert_false(emesh_listeners_may_log(&listeners, &limit, 118 * s, &left_out));
    g_assert_true(emesh_listeners_may_log(&listeners, &limit, 119 * s, &left_out));
    g_assert_cmpuint(left_out, ==, 3);
    pthread_mutex_destroy(&listeners.log_lock);
}

static size_t
never_done(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    (void)ctx;
    (void)conn;
    (void)in;
    return 0;
}

/* A message without end and without a length: stopped at max-input, cut in time. */
static void
test_endless(void)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = never_done,
                                        .closed = net_peer_closed };
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &ops };
    emesh_listener_info info = { 0 };
    char bulk[10000] = "";

    spec.max_input = 100000;
    spec.handshake_ns = 400000000u;
    net_server_open(&server, &spec, 1);
    int fd = net_connect(&server);
    while (send(fd, bulk, sizeof bulk, MSG_NOSIGNAL) > 0)
        continue;
    NET_WAIT(__atomic_load_n(&server.closed, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpint(server.last_code, ==, EMESH_E_TOO_LARGE);
    emesh_net_listener_info(server.inst.listeners, &info, 1);
    g_assert_cmpuint(info.bytes_in, <, 200000);
    close(fd);
    net_server_close(&server);
}

/* ---- descriptors ---- */

/* No descriptor left: connections wait, it is said once, and they are served when there is one. */
static void
test_descriptors(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct rlimit before, tight;
    int fds[5];

    net_server_open(&server, &spec, 1);
    for (int i = 0; i < 5; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    int highest = dup(0);
    close(highest);
    tight = before;
    tight.rlim_cur = (rlim_t)highest;
    setrlimit(RLIMIT_NOFILE, &tight);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(server.port);
    for (int i = 0; i < 5; i++)
        g_assert_cmpint(connect(fds[i], (struct sockaddr *)&to, sizeof to), ==, 0);
    NET_WAIT(net_logged(&server, "cannot accept: Too many open files"));
    g_usleep(250000); /* it tries again meanwhile */
    g_assert_cmpuint(net_count_logged(&server, "cannot accept"), ==, 1);
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < 5; i++) {
        g_assert_true(echoes(fds[i]));
        close(fds[i]);
    }
    net_server_close(&server);
}

/* The last descriptors are left to others: while connections wait, files can be opened. */
static void
test_descriptors_kept(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    net_server server = { .ops = &echo_ops };
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct rlimit before, tight;
    int fds[40], free_ones = 0, spare[64];

    net_server_open(&server, &spec, 1);
    for (int i = 0; i < 40; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    int lowest = dup(0);
    close(lowest);
    tight = before;
    tight.rlim_cur = (rlim_t)lowest + 32; /* an eighth of it is less than 32 */
    setrlimit(RLIMIT_NOFILE, &tight);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(server.port);
    for (int i = 0; i < 40; i++)
        g_assert_cmpint(connect(fds[i], (struct sockaddr *)&to, sizeof to), ==, 0);
    NET_WAIT(net_logged(&server, "cannot accept more:"));
    g_usleep(250000); /* it looks again meanwhile */
    while (free_ones < 64 && (spare[free_ones] = dup(0)) >= 0)
        free_ones++;
    g_assert_cmpint(free_ones, >=, (int)(tight.rlim_cur / 8) - 2);
    g_assert_cmpint(free_ones, <, 32);
    while (free_ones > 0)
        close(spare[--free_ones]);
    g_assert_cmpuint(net_count_logged(&server, "cannot accept"), ==, 1);
    g_assert_true(echoes(fds[0]));
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < 40; i++) {
        g_assert_true(echoes(fds[i]));
        close(fds[i]);
    }
    net_server_close(&server);
}

/* An instance that accepts itself (libsoup) gets listening descriptors of its own. */
static void
test_self_accept(void)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    g_autoptr(GError) error = NULL;
    net_server server = { 0 };
    emesh_listener_info info;
    struct sockaddr_in to = { .sin_family = AF_INET };
    int32_t fd = -1, other = -1, on = 0;
    socklen_t len = sizeof on;

    net_server_init(&server, 1);
    server.inst.listeners = emesh_net_bind(&spec, 1, true, &error);
    g_assert_no_error(error);
    g_assert_cmpint(net->listener(&server.loops[0], 0, &fd), ==, EMESH_OK);
    g_assert_cmpint(net->listener(&server.loops[0], 1, &other), ==, EMESH_E_NOT_FOUND);
    g_assert_cmpint(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len), ==, 0);
    g_assert_cmpint(on, ==, 1);
    emesh_net_listener_info(server.inst.listeners, &info, 1);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strrchr(info.address, ':') + 1));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(client, (struct sockaddr *)&to, sizeof to), ==, 0);
    int accepted = -1;
    NET_WAIT((accepted = accept(fd, NULL, NULL)) >= 0);
    close(accepted);
    close(client);
    close(fd);
    net_server_close(&server);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/address/refused", test_addresses_refused);
    g_test_add_func("/net/address/in-use", test_port_in_use);
    g_test_add_func("/net/address/bound-twice", test_port_bound_twice);
    g_test_add_func("/net/address/after-stop", test_port_after_stop);
    g_test_add_func("/net/address/ipv6", test_ipv6);
    g_test_add_func("/net/info", test_info);
    g_test_add_func("/net/limit/connections", test_max_connections);
    g_test_add_func("/net/limit/refusal-told", test_refusal_told);
    g_test_add_func("/net/limit/silent", test_silent);
    g_test_add_func("/net/limit/idle", test_idle);
    g_test_add_func("/net/limit/memory", test_memory);
    g_test_add_func("/net/limit/lines-are-rationed", test_lines_are_rationed);
    g_test_add_func("/net/limit/memory-of-the-daemon", test_memory_of_the_daemon);
    g_test_add_func("/net/limit/endless", test_endless);
    g_test_add_func("/net/limit/descriptors", test_descriptors);
    g_test_add_func("/net/limit/descriptors-kept", test_descriptors_kept);
    g_test_add_func("/net/self-accept", test_self_accept);
    return g_test_run();
}
