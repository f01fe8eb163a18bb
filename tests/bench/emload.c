/* SPDX-License-Identifier: Apache-2.0
 *
 * emload: publishers, and subscribers if asked for, on EventMesh TCP, driven by one thread around
 * epoll. Each publisher keeps WINDOW publishes un-acknowledged. With subscribers a publish counts as
 * under way until it is acknowledged and has arrived, so the rate is one that both ends keep.
 * Measures between warm-up and end, and prints one line of JSON.
 */
#include "frame.h"
#include "histogram.h"
#include "meter.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STAMP_LEN 40 /* "CCCCC SSSSSSSSSSSSS TTTTTTTTTTTTTTTTTTT " before the filler of a body */

typedef struct slot { /* one publish under way */
    uint64_t seq, sent_ns;
    uint32_t waits; /* for an ack, for an arrival */
} slot;

typedef struct client {
    int fd;
    uint32_t index;
    bool subscriber, dirty, blocked;
    bytes in, out;
    slot *slots;
} client;

typedef struct load {
    const char *host, *topic, *group;
    uint32_t port, clients, window, subscribers, body;
    double seconds, warmup, rate;
    pid_t pid;
    int epoll;
    client *all;
    bool sending;
    uint64_t sent, acked, refused, arrived;
    double tokens;
    histogram acks, arrivals;
} load;

static uint64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void
die(const char *what)
{
    fprintf(stderr, "emload: %s: %s\n", what, errno != 0 ? strerror(errno) : "unexpected");
    exit(1);
}

/* ---- connections ---- */

/* Before the run: one request, waited for. */
static void
call(client *c, const char *cmd, const char *body)
{
    bytes out = { 0 };
    frame_write(&out, cmd, "h1", "{}", body, strlen(body));
    if (write(c->fd, out.data, out.end) != (ssize_t)out.end)
        die(cmd);
    free(out.data);
    frame f;
    while (frame_read(&f, c->in.data + c->in.start, bytes_len(&c->in)) == 0) {
        ssize_t n = read(c->fd, bytes_room(&c->in, 65536), 65536);
        if (n <= 0)
            die(cmd);
        c->in.end += (size_t)n;
    }
    if (frame_code(&f) != 0) {
        fprintf(stderr, "emload: %s: %.*s\n", cmd, (int)f.header_len, f.header);
        exit(1);
    }
    bytes_take(&c->in, f.total);
}

static void
open_client(load *l, client *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)l->port) };
    int one = 1;
    char body[512];
    inet_pton(AF_INET, l->host, &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    snprintf(body, sizeof body,
             "{\"env\":\"bench\",\"subsystem\":\"5017\",\"path\":\"/\",\"pid\":1,"
             "\"host\":\"127.0.0.1\",\"port\":1,\"version\":\"2.0.11\",\"username\":\"u\","
             "\"password\":\"p\",\"idc\":\"FT\",\"group\":\"%s%s\",\"purpose\":\"%s\","
             "\"unack\":0}", l->group, c->subscriber ? "" : "-pub", c->subscriber ? "sub" : "pub");
    call(c, "HELLO_REQUEST", body);
    if (c->subscriber) {
        snprintf(body, sizeof body,
                 "{\"topicList\":[{\"topic\":\"%s\",\"mode\":\"CLUSTERING\",\"type\":\"ASYNC\"}]}",
                 l->topic);
        call(c, "SUBSCRIBE_REQUEST", body);
        call(c, "LISTEN_REQUEST", "");
    }
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
}

static void
flush(load *l, client *c)
{
    c->dirty = false;
    while (bytes_len(&c->out) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->out.start, bytes_len(&c->out), MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            die("send");
        if (n < 0)
            break;
        bytes_take(&c->out, (size_t)n);
    }
    bool blocked = bytes_len(&c->out) > 0;
    if (blocked != c->blocked) {
        struct epoll_event e = { .events = EPOLLIN | (blocked ? EPOLLOUT : 0u), .data.ptr = c };
        epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->blocked = blocked;
    }
}

/* ---- publishing ---- */

static void
publish(load *l, client *c, slot *s)
{
    char seq[24], body[8192];
    s->seq += l->window;
    s->sent_ns = now_ns();
    s->waits = l->subscribers > 0 ? 2 : 1;
    snprintf(seq, sizeof seq, "b%012" PRIu64, s->seq);
    int n = snprintf(body, sizeof body,
                     "{\"topic\":\"%s\",\"properties\":{\"ttl\":\"30000\"},\"headers\":{},"
                     "\"body\":\"%05u %s %019" PRIu64 " ", l->topic, c->index, seq, s->sent_ns);
    memset(body + n, 'x', l->body - STAMP_LEN);
    n += (int)(l->body - STAMP_LEN);
    memcpy(body + n, "\"}", 2);
    frame_write(&c->out, "ASYNC_MESSAGE_TO_SERVER", seq,
                "{\"protocolversion\":\"1.0\",\"protocoldesc\":\"tcp\","
                "\"protocoltype\":\"eventmeshmessage\"}", body, (size_t)n + 2);
    c->dirty = true;
    l->sent++;
}

/* Every idle slot sends, as far as the rate allows. */
static void
fill(load *l)
{
    for (uint32_t w = 0; w < l->window; w++) {
        for (uint32_t i = 0; i < l->clients && l->sending; i++) {
            slot *s = &l->all[i].slots[w];
            if (s->waits > 0)
                continue;
            if (l->rate > 0 && l->tokens < 1)
                return;
            l->tokens -= 1;
            publish(l, &l->all[i], s);
        }
    }
}

static void
step_done(load *l, client *c, uint64_t seq)
{
    slot *s = &c->slots[seq % l->window];
    if (s->seq != seq || s->waits == 0) {
        errno = 0;
        die("an answer to a publish that is not under way");
    }
    if (--s->waits == 0 && l->sending && l->rate == 0)
        publish(l, c, s);
}

/* ---- what comes back ---- */

static void
on_ack(load *l, client *c, const frame *f, uint64_t at)
{
    char seq[24];
    if (!frame_text(f, "seq", seq, sizeof seq) || seq[0] != 'b')
        die("an ack without a sequence of ours");
    uint64_t n = strtoull(seq + 1, NULL, 10);
    histogram_add(&l->acks, at - c->slots[n % l->window].sent_ns);
    l->acked++;
    if (frame_code(f) != 0 && l->refused++ == 0)
        fprintf(stderr, "emload: refused: %.*s\n", (int)f->header_len, f->header);
    step_done(l, c, n);
}

static void
on_push(load *l, client *c, const frame *f, const char *cmd, uint64_t at)
{
    char seq[64];
    unsigned index;
    unsigned long long n, sent;
    const char *body = memmem(f->body, f->body_len, "\"body\":\"", 8);
    if (!frame_text(f, "seq", seq, sizeof seq) || body == NULL ||
        sscanf(body + 8, "%5u b%12llu %19llu", &index, &n, &sent) != 3 || index >= l->clients)
        die("a push that is none of ours");
    frame_write_ack(&c->out, cmd, seq, f);
    c->dirty = true;
    client *from = &l->all[index];
    slot *s = &from->slots[n % l->window];
    if (s->seq != n) /* of an earlier run, or once more */
        return;
    histogram_add(&l->arrivals, at - sent);
    l->arrived++;
    step_done(l, from, n);
}

static void
on_input(load *l, client *c)
{
    ssize_t n = recv(c->fd, bytes_room(&c->in, 1 << 18), 1 << 18, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the daemon closed a connection");
    c->in.end += (size_t)n;
    uint64_t at = now_ns();
    frame f;
    int found;
    while ((found = frame_read(&f, c->in.data + c->in.start, bytes_len(&c->in))) == 1) {
        char cmd[64];
        if (!frame_text(&f, "cmd", cmd, sizeof cmd))
            die("a frame without command");
        if (strcmp(cmd, "ASYNC_MESSAGE_TO_SERVER_ACK") == 0)
            on_ack(l, c, &f, at);
        else if (strcmp(cmd, "ASYNC_MESSAGE_TO_CLIENT") == 0)
            on_push(l, c, &f, "ASYNC_MESSAGE_TO_CLIENT_ACK", at);
        bytes_take(&c->in, f.total);
    }
    if (found < 0)
        die("bytes that are no frame");
}

/* Runs until the time, or until nothing is under way any more. */
static void
run(load *l, uint64_t until)
{
    struct epoll_event events[256];
    uint64_t last = now_ns();
    for (uint64_t at = last; at < until; at = now_ns()) {
        if (l->rate > 0) {
            l->tokens += (double)(at - last) * l->rate / 1e9;
            double most = l->clients * l->window;
            l->tokens = l->tokens > most ? most : l->tokens;
            fill(l);
        }
        last = at;
        for (uint32_t i = 0; i < l->clients + l->subscribers; i++) {
            if (l->all[i].dirty)
                flush(l, &l->all[i]);
        }
        if (!l->sending && l->acked == l->sent && (l->subscribers == 0 || l->arrived >= l->sent))
            return;
        int n = epoll_wait(l->epoll, events, 256, l->rate > 0 ? 1 : 20);
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                c->dirty = true;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_input(l, c);
        }
    }
}

/* ---- report ---- */

static void
print_latency(const char *name, const histogram *h)
{
    printf(",\"%s\":{\"n\":%" PRIu64 ",\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}", name,
           h->n, (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.99) / 1e3,
           (double)histogram_at(h, 0.999) / 1e3, (double)h->largest / 1e3);
}

static void
measure(load *l)
{
    meter before = { 0 }, after = { 0 };
    uint64_t begin = now_ns();
    l->sending = true;
    fill(l);
    run(l, begin + (uint64_t)(l->warmup * 1e9));
    uint64_t acked = l->acked, arrived = l->arrived, refused = l->refused;
    memset(&l->acks, 0, sizeof l->acks);
    memset(&l->arrivals, 0, sizeof l->arrivals);
    meter_read(&before, l->pid);
    begin = now_ns();
    run(l, begin + (uint64_t)(l->seconds * 1e9));
    meter_read(&after, l->pid);
    double took = (double)(now_ns() - begin) / 1e9;
    acked = l->acked - acked;
    arrived = l->arrived - arrived;
    printf("{\"seconds\":%.3f,\"acked\":%" PRIu64 ",\"rate\":%.1f,\"refused\":%" PRIu64
           ",\"arrived\":%" PRIu64, took, acked, (double)acked / took, l->refused - refused,
           arrived);
    print_latency("ack_us", &l->acks);
    print_latency("arrival_us", &l->arrivals);
    double events = acked > 0 ? (double)acked : 1;
    printf(",\"cpu_us\":%.3f,\"cpu_ticks\":%" PRIu64 ",\"switches\":%.3f,\"reads\":%.3f,"
           "\"writes\":%.3f,\"disk_bytes\":%.1f,\"rss\":%" PRIu64 ",\"threads\":%u,"
           "\"steal_ticks\":%" PRIu64,
           (double)(after.cpu_ns - before.cpu_ns) / 1e3 / events, after.ticks - before.ticks,
           (double)(after.switches - before.switches) / events,
           (double)(after.reads - before.reads) / events,
           (double)(after.writes - before.writes) / events,
           (double)(after.written - before.written) / events, after.rss, after.threads,
           after.steal_ticks - before.steal_ticks);
    l->sending = false;
    run(l, now_ns() + UINT64_C(10000000000));
    printf(",\"sent\":%" PRIu64 ",\"all_acked\":%" PRIu64 ",\"all_arrived\":%" PRIu64 "}\n",
           l->sent, l->acked, l->arrived);
}

static void
set_up(load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->all = calloc(l->clients + l->subscribers, sizeof *l->all);
    if (l->epoll < 0 || l->all == NULL)
        die("set-up");
    for (uint32_t i = 0; i < l->clients + l->subscribers; i++) {
        client *c = &l->all[i];
        c->index = i;
        c->subscriber = i >= l->clients;
        if (!c->subscriber) {
            c->slots = calloc(l->window, sizeof *c->slots);
            for (uint32_t w = 0; c->slots != NULL && w < l->window; w++)
                c->slots[w].seq = w;
        }
        open_client(l, c);
    }
}

int
main(int argc, char **argv)
{
    load *l = calloc(1, sizeof *l);
    static const struct option names[] = {
        { "host", 1, NULL, 'h' },    { "port", 1, NULL, 'p' },        { "topic", 1, NULL, 't' },
        { "group", 1, NULL, 'g' },   { "clients", 1, NULL, 'c' },     { "window", 1, NULL, 'w' },
        { "bytes", 1, NULL, 'b' },   { "subscribers", 1, NULL, 's' }, { "seconds", 1, NULL, 'd' },
        { "warmup", 1, NULL, 'u' },  { "rate", 1, NULL, 'r' },        { "pid", 1, NULL, 'P' },
        { NULL, 0, NULL, 0 },
    };
    *l = (load){ .host = "127.0.0.1", .topic = "bench", .group = "bench", .port = 10000,
                 .clients = 1, .window = 1, .body = 512, .seconds = 5, .warmup = 1 };
    for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (o) {
        case 'h': l->host = optarg; break;
        case 't': l->topic = optarg; break;
        case 'g': l->group = optarg; break;
        case 'p': l->port = (uint32_t)atoi(optarg); break;
        case 'c': l->clients = (uint32_t)atoi(optarg); break;
        case 'w': l->window = (uint32_t)atoi(optarg); break;
        case 'b': l->body = (uint32_t)atoi(optarg); break;
        case 's': l->subscribers = (uint32_t)atoi(optarg); break;
        case 'd': l->seconds = atof(optarg); break;
        case 'u': l->warmup = atof(optarg); break;
        case 'r': l->rate = atof(optarg); break;
        case 'P': l->pid = (pid_t)atoi(optarg); break;
        default: return 2;
        }
    }
    if (l->clients < 1 || l->clients > 10000 || l->window < 1 || l->body < STAMP_LEN ||
        l->body > 7000 || strlen(l->topic) > 200) {
        fprintf(stderr, "emload: clients 1..10000, window from 1, bytes 40..7000\n");
        return 2;
    }
    set_up(l);
    measure(l);
    return l->acked == l->sent && (l->subscribers == 0 || l->arrived == l->sent) ? 0 : 1;
}
