/* SPDX-License-Identifier: Apache-2.0
 *
 * Outgoing connections and name look-up: each ends in closed(), or found(), exactly once and later.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-harness.h"

static const emesh_net_api *const net = &emesh_net_service;

static const emesh_conn_ops echo_ops = { .size = sizeof(emesh_conn_ops),
                                         .data = net_peer_echo,
                                         .closed = net_peer_closed };

typedef struct caller { /* one dialled connection, scripted */
    const char *address;
    uint64_t deadline_ns, connect_ns;
    bool early;          /* writes before it stands */
    uint32_t close_early; /* 1 + how to close right after dial() */
    uint32_t again;      /* dials again in closed(), so often */
    net_server *server;
    emesh_conn *conn;
    int32_t dialled;
    bool in_call;
    /* atomic */
    uint32_t connected, closed;
    int32_t code;
    char text[256], got[64];
    size_t n_got;
} caller;

static void dial(net_server *server, void *arg);

static void
say_hello(caller *c)
{
    emesh_part part = { "hello", 5, NULL };
    g_assert_cmpint(net->write(c->conn, &part, 1), ==, EMESH_OK);
}

static void
caller_connected(void *ctx, emesh_conn *conn)
{
    caller *c = ctx;
    emesh_conn_info info = { .size = sizeof info };

    g_assert_false(c->in_call);
    g_assert_true(conn == c->conn);
    net->info(conn, &info);
    g_assert_cmpuint(info.peer.len, >, 0);
    if (!c->early)
        say_hello(c);
    __atomic_fetch_add(&c->connected, 1, __ATOMIC_RELEASE);
}

static size_t
caller_data(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    caller *c = ctx;

    g_assert_cmpuint(c->connected, >=, 1);
    memcpy(c->got + c->n_got, in->ptr, in->len);
    c->n_got += in->len;
    if (c->n_got >= 5)
        net->close(conn, EMESH_CLOSE_FLUSH);
    return in->len;
}

static void
caller_closed(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    caller *c = ctx;

    g_assert_false(c->in_call);
    g_assert_true(conn == c->conn);
    c->code = code;
    g_strlcpy(c->text, err ? err->text : "", sizeof c->text);
    uint32_t again = c->again;
    if (again > 0) {
        c->again--;
        c->n_got = 0;
        dial(c->server, c);
    }
    __atomic_fetch_add(&c->closed, 1, __ATOMIC_RELEASE);
}

static const emesh_conn_ops caller_ops = { .size = sizeof(emesh_conn_ops),
                                           .connected = caller_connected,
                                           .data = caller_data,
                                           .closed = caller_closed };

static void
dial(net_server *server, void *arg)
{
    caller *c = arg;
    emesh_dial spec = { .size = sizeof spec,
                        .address = { c->address, strlen(c->address) },
                        .deadline_ns = c->deadline_ns };

    if (c->connect_ns)
        server->inst.dial.connect_ns = c->connect_ns;
    c->server = server;
    c->in_call = true;
    c->dialled = net->dial(&server->loops[0], &spec, &caller_ops, c, &c->conn);
    if (c->dialled == EMESH_OK && c->early)
        say_hello(c);
    if (c->dialled == EMESH_OK && c->close_early)
        net->close(c->conn, c->close_early - 1);
    c->in_call = false;
}

#define WAIT_CLOSED(c, n) NET_WAIT(__atomic_load_n(&(c).closed, __ATOMIC_ACQUIRE) == (n))

static void
open_echo(net_server *server)
{
    emesh_listen_spec spec = net_spec(net_any_port);
    server->ops = &echo_ops;
    net_server_open(server, &spec, 1);
}

/* By number and by name, written before it stands and after. */
static void
test_dial(void)
{
    net_server server = { 0 };
    char by_name[40];

    open_echo(&server);
    g_snprintf(by_name, sizeof by_name, "localhost:%u", server.port);
    for (int variant = 0; variant < 4; variant++) {
        caller c = { .address = variant & 1 ? by_name : server.address,
                     .early = (variant & 2) != 0 };
        net_on_lane(&server, dial, &c);
        WAIT_CLOSED(c, 1);
        g_assert_cmpint(c.dialled, ==, EMESH_OK);
        g_assert_cmpint(c.code, ==, EMESH_OK);
        g_assert_cmpmem(c.got, c.n_got, "hello", 5);
        g_assert_cmpuint(c.connected, ==, 1);
    }
    net_server_close(&server);
}

static void
fails(const char *address, int32_t code, const char *part)
{
    net_server server = { 0 };
    caller c = { .address = address, .connect_ns = 400000000u };

    net_server_init(&server, 1);
    net_on_lane(&server, dial, &c);
    if (code == EMESH_E_INVALID) {
        g_assert_cmpint(c.dialled, ==, code);
        g_assert_cmpuint(c.closed, ==, 0);
    } else {
        WAIT_CLOSED(c, 1);
        g_test_message("%s", c.text);
        g_assert_cmpint(c.code, ==, code);
        g_assert_nonnull(strstr(c.text, part));
        g_assert_nonnull(strstr(c.text, address));
        g_assert_cmpuint(c.connected, ==, 0);
    }
    net_server_close(&server);
}

static void
test_dial_fails(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    char address[40];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof at), ==, 0); /* nobody listens */
    getsockname(fd, (struct sockaddr *)&at, &len);
    g_snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    fails(address, EMESH_E_UNAVAILABLE, "Connection refused");
    close(fd);
    fails("no.such.name.invalid:80", EMESH_E_UNAVAILABLE, "no.such.name.invalid");
    fails("127.0.0.1", EMESH_E_INVALID, "");
    fails("127.0.0.1:0", EMESH_E_INVALID, "");
    fails("::1:80", EMESH_E_INVALID, "");
}

/* Nobody answers: a listening socket whose backlog is full. Ends at the deadline. */
static void
test_dial_deadline(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    char address[40];
    int fds[20], fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    g_snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    for (int i = 0; i < 20; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)&at, sizeof at);
    }
    gint64 start = g_get_monotonic_time();
    fails(address, EMESH_E_UNAVAILABLE, "no answer");
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    close(fd);
}

/* Closed before it stands, while the name is looked up or while it connects: closed(OK), later. */
static void
test_dial_closed_early(void)
{
    net_server server = { 0 };
    char by_name[40];

    open_echo(&server);
    g_snprintf(by_name, sizeof by_name, "localhost:%u", server.port);
    for (uint32_t variant = 0; variant < 8; variant++) {
        caller c = { .address = variant & 1 ? by_name : server.address,
                     .close_early = 1 + ((variant >> 1) & 1),
                     .early = (variant & 4) != 0 };
        net_on_lane(&server, dial, &c);
        WAIT_CLOSED(c, 1);
        g_assert_cmpint(c.code, ==, EMESH_OK);
        g_assert_cmpuint(c.connected, ==, 0);
    }
    net_server_close(&server);
}

/* A new attempt from inside of closed(), also while the lane ends. */
static void
test_dial_again(void)
{
    net_server server = { 0 };
    caller c = { .address = "127.0.0.1:1", .again = 3 };
    caller last = { .address = NULL, .again = 1000000 };

    open_echo(&server);
    net_on_lane(&server, dial, &c);
    WAIT_CLOSED(c, 4);
    last.address = server.address;
    last.early = true;
    net_on_lane(&server, dial, &last);
    NET_WAIT(__atomic_load_n(&last.connected, __ATOMIC_ACQUIRE) >= 1);
    net_server_close(&server);
}

/* The lane ends with connections open and look-ups under way: dropped, the plugin has gone. */
static void
test_lane_end(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    char address[40];
    net_server server = { 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    caller c[2] = { { .address = address }, { .address = "no.such.name.invalid:80" } };

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&at, sizeof at), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    g_snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    net_server_init(&server, 1);
    net_on_lane(&server, dial, &c[0]);
    NET_WAIT(__atomic_load_n(&c[0].connected, __ATOMIC_ACQUIRE) == 1);
    net_on_lane(&server, dial, &c[1]);
    net_server_close(&server);
    g_assert_cmpuint(c[0].closed, ==, 0);
    close(fd);
}

/* ---- resolve ---- */

typedef struct asked {
    const char *address;
    bool in_call;
    uint32_t answers; /* atomic */
    int32_t code;
    uint32_t n;
    char first[80];
} asked;

static void
answered(void *ctx, int32_t code, const emesh_slice *found, uint32_t n)
{
    asked *a = ctx;
    g_assert_false(a->in_call);
    a->code = code;
    a->n = n;
    if (n > 0)
        g_snprintf(a->first, sizeof a->first, "%.*s", (int)found[0].len,
                   (const char *)found[0].ptr);
    __atomic_fetch_add(&a->answers, 1, __ATOMIC_RELEASE);
}

static void
ask(net_server *server, void *arg)
{
    asked *a = arg;
    a->in_call = true;
    net->resolve(&server->loops[0], a->address, strlen(a->address), answered, a);
    a->in_call = false;
}

static void
test_resolve(void)
{
    net_server server = { 0 };
    asked a[] = { { .address = "192.0.2.7:99" },
                  { .address = "[2001:db8::7]:99" },
                  { .address = "localhost:80" },
                  { .address = "no.such.name.invalid:80" },
                  { .address = "nonsense" } };

    net_server_init(&server, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(a); i++)
        net_on_lane(&server, ask, &a[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(a); i++)
        NET_WAIT(__atomic_load_n(&a[i].answers, __ATOMIC_ACQUIRE) == 1);
    g_assert_cmpstr(a[0].first, ==, "192.0.2.7:99");
    g_assert_cmpstr(a[1].first, ==, "[2001:db8::7]:99");
    g_assert_cmpint(a[2].code, ==, EMESH_OK);
    g_assert_true(g_str_has_suffix(a[2].first, ":80"));
    g_assert_cmpint(a[3].code, ==, EMESH_E_UNAVAILABLE);
    g_assert_cmpint(a[4].code, ==, EMESH_E_UNAVAILABLE);
    net_server_close(&server);
}

static void
ask_many(net_server *server, void *arg)
{
    asked *a = arg;
    for (int i = 0; i < 50; i++)
        ask(server, &a[i]);
    emesh_net_lane_end(&server->loops[0]);
}

static void
test_resolve_lane_end(void)
{
    net_server server = { 0 };
    asked a[50] = { { 0 } };

    net_server_init(&server, 1);
    for (int i = 0; i < 50; i++)
        a[i].address = i % 2 ? "localhost:80" : "192.0.2.7:99";
    net_on_lane(&server, ask_many, a);
    net_server_close(&server);
    for (int i = 0; i < 50; i++)
        g_assert_cmpuint(a[i].answers, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/dial/echo", test_dial);
    g_test_add_func("/net/dial/fails", test_dial_fails);
    g_test_add_func("/net/dial/deadline", test_dial_deadline);
    g_test_add_func("/net/dial/closed-early", test_dial_closed_early);
    g_test_add_func("/net/dial/again", test_dial_again);
    g_test_add_func("/net/dial/lane-end", test_lane_end);
    g_test_add_func("/net/resolve/names", test_resolve);
    g_test_add_func("/net/resolve/lane-end", test_resolve_lane_end);
    return g_test_run();
}
