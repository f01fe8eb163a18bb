/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening sockets of one instance: bound before start, listening when the lanes stand, shut
 * at drain. [main]; what concerns a lane is posted there and reports back.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"

#define BACKLOG 4096

/* ---- binding ---- */

static int
open_socket(const emesh_addr *addr, bool reuse_port, bool reuse_addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0)
        return -1;
    if (reuse_addr)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (reuse_port)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (addr->sa.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, &addr->sa, emesh_addr_len(addr)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Accepted connections inherit these from the listening socket: no call for each of them. */
void
emesh_net_stream_options(int fd)
{
    int on = 1, idle = 60, interval = 15, probes = 4;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* Is the address free? SO_REUSEPORT would share it in silence with another process of the same
 * user, so this asks without. Connections of an earlier server that linger in TIME_WAIT are no
 * reason to refuse: only then *reuse_addr is needed. */
static bool
probe(const emesh_addr *addr, bool *reuse_addr)
{
    int fd = open_socket(addr, false, false);

    *reuse_addr = false;
    if (fd < 0 && errno == EADDRINUSE) {
        *reuse_addr = true;
        fd = open_socket(addr, false, true);
    }
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static const char *
advice(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "stop the other program or change \"listen\"";
    case EADDRNOTAVAIL:
        return "no interface of this machine has it; change \"listen\"";
    case EACCES:
        return "ports below 1024 need CAP_NET_BIND_SERVICE; change \"listen\"";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files";
    default:
        return "change \"listen\"";
    }
}

static void
set_bind_error(GError **error, const char *address, const char *origin, int number,
               const char *text)
{
    g_autofree char *reason = g_ascii_strdown(text ? text : g_strerror(number), -1);

    if (text)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "cannot listen on %s (%s): %s",
                    address, origin ? origin : "listen", text);
    else
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(number),
                    "cannot listen on %s (%s): %s; %s", address, origin ? origin : "listen", reason,
                    advice(number));
}

/* Fills row `address` of the ports. Port 0: the first lane's choice is everybody's. */
static bool
bind_address(emesh_listeners *listeners, uint32_t address, const char *text, const char *origin,
             emesh_held *held, GError **error)
{
    emesh_bound *bound = &listeners->bound[address];
    char host[EMESH_HOST_MAX];
    uint16_t number = 0;
    const char *wrong = emesh_addr_split(text, strlen(text), host, &number);
    bool reuse_addr = false;

    bound->asked = g_strdup(text);
    if (held != NULL && emesh_held_adopt(held, listeners, address))
        return true;
    if (!wrong && strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    if (!wrong && !emesh_addr_numeric(host, number, &bound->addr))
        wrong = "not an address of a machine; write 127.0.0.1:PORT, 0.0.0.0:PORT or [::]:PORT";
    if (wrong) {
        set_bind_error(error, text, origin, EINVAL, wrong);
        return false;
    }
    if (number != 0 && !probe(&bound->addr, &reuse_addr)) {
        set_bind_error(error, text, origin, errno, NULL);
        return false;
    }
    for (uint32_t lane = 0; lane < listeners->n_lanes; lane++) {
        emesh_port *port = emesh_listeners_port(listeners, lane, address);
        port->fd.fd = open_socket(&bound->addr, true, reuse_addr);
        if (port->fd.fd < 0) {
            set_bind_error(error, text, origin, errno, NULL);
            return false;
        }
        emesh_net_stream_options(port->fd.fd);
        if (emesh_addr_port(&bound->addr) == 0) {
            socklen_t len = sizeof bound->addr;
            getsockname(port->fd.fd, &bound->addr.sa, &len);
        }
    }
    emesh_addr_format(&bound->addr, bound->text);
    return true;
}

static void
listeners_copy_spec(emesh_listeners *listeners, const emesh_listen_spec *spec)
{
    listeners->max_connections = spec->max_connections;
    listeners->log_full = listeners->log_memory =
        (emesh_log_limit){ .at_once = 1, .seconds = 10 };
    listeners->log_descriptors = /* lasts until an operator acts */
        (emesh_log_limit){ .at_once = 1, .seconds = 60 };
    listeners->log_handshake = (emesh_log_limit){ .at_once = 100, .seconds = 1 };
    listeners->max_memory = spec->max_memory;
    listeners->budget = spec->budget;
    listeners->can_refuse = spec->can_refuse;
    listeners->limits = (emesh_conn_limits){ .max_input = spec->max_input,
                                             .output_mark = spec->output_mark,
                                             .handshake_ns = spec->handshake_ns,
                                             .idle_ns = spec->idle_ns };
    listeners->is_tls = spec->tls_certificate != NULL;
    listeners->tls_files.certificate = g_strdup(spec->tls_certificate);
    listeners->tls_files.key = g_strdup(spec->tls_key);
    listeners->tls_files.client_ca = g_strdup(spec->tls_client_ca);
    listeners->tls_files.client_required = spec->tls_client_required;
    listeners->tls_files.alpn = g_strdup(spec->alpn);
}

emesh_listeners *
emesh_net_bind_held(const emesh_listen_spec *spec, uint32_t n_lanes, bool self_accept,
                    emesh_held *held, GError **error)
{
    emesh_listeners *listeners = g_new0(emesh_listeners, 1);

    listeners->n_addresses = spec->n_addresses;
    listeners->n_lanes = n_lanes;
    listeners->self_accept = self_accept;
    listeners->bound = g_new0(emesh_bound, spec->n_addresses);
    listeners->ports = g_new0(emesh_port, (size_t)n_lanes * spec->n_addresses);
    listeners->parts = g_new0(emesh_part_jobs, n_lanes);
    pthread_mutex_init(&listeners->tls_lock, NULL);
    pthread_mutex_init(&listeners->log_lock, NULL);
    listeners_copy_spec(listeners, spec);
    for (uint32_t lane = 0; lane < n_lanes; lane++) {
        listeners->parts[lane].listeners = listeners;
        listeners->parts[lane].index = lane;
        for (uint32_t a = 0; a < spec->n_addresses; a++) {
            emesh_port *port = emesh_listeners_port(listeners, lane, a);
            port->fd.fd = -1;
            port->listeners = listeners;
            port->address = a;
        }
    }
    if (listeners->is_tls && !self_accept && !emesh_net_reload_tls(listeners, error)) {
        emesh_listeners_free(listeners);
        return NULL;
    }
    for (uint32_t a = 0; a < spec->n_addresses; a++) {
        if (!bind_address(listeners, a, spec->addresses[a], spec->origins ? spec->origins[a] : NULL,
                          held, error)) {
            emesh_listeners_free(listeners);
            return NULL;
        }
    }
    return listeners;
}

emesh_listeners *
emesh_net_bind(const emesh_listen_spec *spec, uint32_t n_lanes, bool self_accept, GError **error)
{
    return emesh_net_bind_held(spec, n_lanes, self_accept, NULL, error);
}

bool
emesh_net_reload_tls(emesh_listeners *listeners, GError **error)
{
    if (!listeners->is_tls)
        return true;
    emesh_tls_context *fresh = emesh_tls_server_context(
        listeners->tls_files.certificate, listeners->tls_files.key, listeners->tls_files.client_ca,
        listeners->tls_files.client_required, listeners->tls_files.alpn, error);
    if (!fresh)
        return false;
    pthread_mutex_lock(&listeners->tls_lock);
    emesh_tls_context *old = listeners->tls;
    listeners->tls = fresh;
    pthread_mutex_unlock(&listeners->tls_lock);
    emesh_tls_context_free(old);
    return true;
}

void
emesh_listeners_free(emesh_listeners *listeners)
{
    if (!listeners)
        return;
    for (size_t i = 0; i < (size_t)listeners->n_lanes * listeners->n_addresses; i++) {
        if (listeners->ports[i].fd.fd >= 0)
            close(listeners->ports[i].fd.fd);
    }
    emesh_tls_context_free(listeners->tls);
    pthread_mutex_destroy(&listeners->tls_lock);
    pthread_mutex_destroy(&listeners->log_lock);
    g_free(listeners->tls_files.certificate);
    g_free(listeners->tls_files.key);
    g_free(listeners->tls_files.client_ca);
    g_free(listeners->tls_files.alpn);
    for (uint32_t a = 0; a < listeners->n_addresses; a++)
        g_free(listeners->bound[a].asked);
    g_free(listeners->bound);
    g_free(listeners->ports);
    g_free(listeners->parts);
    g_free(listeners);
}

/* ---- open ---- */

/* SO_REUSEADDR comes with listening only. Accepted connections inherit it, so that those that
 * outlive us do not keep the next server from binding; on a socket that is merely bound it would
 * let a second instance bind the same address without an error. */
static bool
begin_listening(int fd)
{
    int on = 1;
    return listen(fd, BACKLOG) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
}

static void
run_open(emesh_job *job)
{
    emesh_part_jobs *part = EMESH_OWNER(job, emesh_part_jobs, open);
    emesh_listeners *listeners = part->listeners;
    emesh_net_lane *lane = emesh_net_lane_of(part->loop);

    lane->listeners = listeners;
    for (uint32_t a = 0; a < listeners->n_addresses; a++) {
        emesh_port *port = emesh_listeners_port(listeners, part->index, a);
        port->lane = lane;
        port->fd.ready = emesh_port_ready;
        port->fd.interest = EPOLLIN;
        port->again.due = emesh_port_again;
        if (port->fd.fd >= 0 && !emesh_worker_watch(lane->worker, &port->fd))
            g_critical("cannot watch the listening socket of %s: %s", listeners->bound[a].text,
                       g_strerror(errno));
    }
}

bool
emesh_net_open(emesh_listeners *listeners, emesh_loop *const *loops, emesh_accept_fn accept,
               GError **error)
{
    for (size_t i = 0; i < (size_t)listeners->n_lanes * listeners->n_addresses; i++) {
        const emesh_port *port = &listeners->ports[i];
        if (listeners->self_accept || begin_listening(port->fd.fd))
            continue;
        set_bind_error(error, listeners->bound[port->address].text, NULL, errno, NULL);
        return false;
    }
    listeners->opened = true;
    listeners->accept = accept;
    listeners->inst = loops[0]->inst;
    listeners->main = loops[0]->main;
    for (uint32_t i = 0; i < listeners->n_lanes; i++) {
        emesh_part_jobs *part = &listeners->parts[i];
        part->loop = loops[i];
        if (listeners->self_accept)
            continue;
        part->open.run = run_open;
        emesh_worker_post(loops[i]->worker, &part->open);
    }
    return true;
}

int32_t
emesh_listeners_take(emesh_listeners *listeners, uint32_t lane, uint32_t index, int32_t *fd)
{
    if (!listeners || index >= listeners->n_addresses || lane >= listeners->n_lanes)
        return EMESH_E_NOT_FOUND;
    if (!listeners->self_accept)
        return EMESH_E_STATE;
    emesh_port *port = emesh_listeners_port(listeners, lane, index);
    if (port->fd.fd < 0)
        return EMESH_E_CLOSED;
    int copy = fcntl(port->fd.fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0 || !begin_listening(copy)) {
        if (copy >= 0)
            close(copy);
        return EMESH_E_IO;
    }
    *fd = copy;
    return EMESH_OK;
}

/* ---- shut and close all ---- */

void
emesh_listeners_lane_done(emesh_listeners *listeners)
{
    emesh_job *done = listeners->done;
    emesh_worker *main = listeners->main;

    if (__atomic_sub_fetch(&listeners->lanes_left, 1, __ATOMIC_ACQ_REL) == 0)
        emesh_worker_post(main, done);
}

static void
close_port(emesh_port *port)
{
    if (port->fd.fd < 0)
        return;
    if (port->lane) {
        emesh_worker_alarm(port->lane->worker, &port->again, 0);
        emesh_worker_unwatch(port->lane->worker, &port->fd);
    }
    close(port->fd.fd);
    port->fd.fd = -1;
}

static void
run_shut(emesh_job *job)
{
    emesh_part_jobs *part = EMESH_OWNER(job, emesh_part_jobs, shut);
    for (uint32_t a = 0; a < part->listeners->n_addresses; a++)
        close_port(emesh_listeners_port(part->listeners, part->index, a));
    emesh_listeners_lane_done(part->listeners);
}

static void
run_close(emesh_job *job)
{
    emesh_part_jobs *part = EMESH_OWNER(job, emesh_part_jobs, close);
    emesh_net_lane *lane = part->loop->net;

    part->closing = true;
    if (!lane || lane->n_accepted == 0) {
        part->closing = false;
        emesh_listeners_lane_done(part->listeners);
        return;
    }
    emesh_net_lane_close_accepted(lane);
}

/* Posts one of the jobs of each part to its lane; without lanes done is posted at once. */
static void
ask_lanes(emesh_listeners *listeners, size_t job_offset, void (*run)(emesh_job *job),
          emesh_job *done)
{
    listeners->done = done;
    __atomic_store_n(&listeners->lanes_left, listeners->n_lanes, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < listeners->n_lanes; i++) {
        emesh_part_jobs *part = &listeners->parts[i];
        emesh_job *job = (emesh_job *)(void *)((char *)part + job_offset);
        job->run = run;
        emesh_worker_post(part->loop->worker, job);
    }
}

void
emesh_net_shut(emesh_listeners *listeners, emesh_job *done)
{
    if (listeners->opened) {
        ask_lanes(listeners, offsetof(emesh_part_jobs, shut), run_shut, done);
        return;
    }
    for (size_t i = 0; i < (size_t)listeners->n_lanes * listeners->n_addresses; i++)
        close_port(&listeners->ports[i]);
    emesh_worker_post(emesh_worker_current(), done);
}

void
emesh_net_close_all(emesh_listeners *listeners, emesh_job *done)
{
    if (listeners->opened)
        ask_lanes(listeners, offsetof(emesh_part_jobs, close), run_close, done);
    else
        emesh_worker_post(emesh_worker_current(), done);
}

static void
run_relieve(emesh_job *job)
{
    emesh_part_jobs *part = EMESH_OWNER(job, emesh_part_jobs, relieve);
    __atomic_store_n(&part->relieving, 0, __ATOMIC_RELEASE);
    if (part->loop->net)
        emesh_net_lane_relieve(part->loop->net);
}

void
emesh_listeners_relieve(emesh_listeners *listeners)
{
    for (uint32_t i = 0; i < listeners->n_lanes; i++) {
        emesh_part_jobs *part = &listeners->parts[i];
        if (__atomic_exchange_n(&part->relieving, 1, __ATOMIC_ACQ_REL))
            continue;
        part->relieve.run = run_relieve;
        emesh_worker_post(part->loop->worker, &part->relieve);
    }
}

/* ---- what status shows ---- */

uint32_t
emesh_net_listener_info(const emesh_listeners *listeners, emesh_listener_info *out, uint32_t cap)
{
    for (uint32_t a = 0; a < listeners->n_addresses && a < cap; a++) {
        emesh_listener_info *info = &out[a];
        memset(info, 0, sizeof *info);
        g_strlcpy(info->address, listeners->bound[a].text, sizeof info->address);
        info->tls = listeners->is_tls;
        info->open_to_others = !emesh_addr_is_loopback(&listeners->bound[a].addr);
        for (uint32_t lane = 0; lane < listeners->n_lanes; lane++) {
            const emesh_port *port = emesh_listeners_port(listeners, lane, a);
            info->connections += __atomic_load_n(&port->connections, __ATOMIC_RELAXED);
            info->accepted += __atomic_load_n(&port->accepted, __ATOMIC_RELAXED);
            info->refused += __atomic_load_n(&port->refused, __ATOMIC_RELAXED);
            info->failed += __atomic_load_n(&port->failed, __ATOMIC_RELAXED);
            info->bytes_in += __atomic_load_n(&port->bytes_in, __ATOMIC_RELAXED);
            info->bytes_out += __atomic_load_n(&port->bytes_out, __ATOMIC_RELAXED);
        }
    }
    return listeners->n_addresses;
}

bool
emesh_listeners_may_log(emesh_listeners *listeners, emesh_log_limit *limit, uint64_t now,
                        uint32_t *left_out)
{
    const uint64_t interval = limit->seconds * (uint64_t)NET_SECOND;

    pthread_mutex_lock(&listeners->log_lock);
    /* The clocks of two lanes differ by the length of a turn. */
    uint64_t n = now > limit->since_ns ? (now - limit->since_ns) / interval : 0;
    limit->since_ns += n * interval;
    limit->said = limit->said > n ? limit->said - (uint32_t)n : 0;
    if (limit->said == 0) /* the interval begins with the line, not at some full minute */
        limit->since_ns = MAX(now, limit->since_ns);
    bool may = limit->said < limit->at_once;
    if (may) {
        limit->said++;
        *left_out = limit->left_out;
        limit->left_out = 0;
    } else {
        limit->left_out++;
    }
    pthread_mutex_unlock(&listeners->log_lock);
    return may;
}
