/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections, slots and the loop; see load.h. One thread.
 */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t
load_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void
load_die(const char *what)
{
    fprintf(stderr, "emload: %s: %s\n", what, errno != 0 ? strerror(errno) : "unexpected");
    exit(1);
}

void
load_write_all(client *c)
{
    while (bytes_len(&c->out) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->out.start, bytes_len(&c->out), 0);
        if (n <= 0)
            load_die("send");
        bytes_take(&c->out, (size_t)n);
    }
}

void
load_read_more(client *c)
{
    ssize_t n = recv(c->fd, bytes_room(&c->in, 65536), 65536, 0);
    if (n <= 0)
        load_die("the server closed a connection before the run");
    c->in.end += (size_t)n;
}

void
load_stamp(char *to, uint32_t index, uint64_t seq)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t value = (uint64_t)index << 48 | seq;
    for (int i = STAMP_LEN - 1; i >= 0; i--, value >>= 4)
        to[i] = digits[value & 15];
}

static uint64_t
read_stamp(const char *stamp)
{
    uint64_t value = 0;
    for (int i = 0; i < STAMP_LEN; i++) {
        char d = stamp[i];
        if (!((d >= '0' && d <= '9') || (d >= 'a' && d <= 'f')))
            load_die("an event that is none of ours");
        value = value << 4 | (uint64_t)(d <= '9' ? d - '0' : d - 'a' + 10);
    }
    return value;
}

void
load_filler(const load *l, bytes *out)
{
    size_t n = l->body - STAMP_LEN;
    memset(bytes_room(out, n), 'x', n);
    out->end += n;
}

static void
open_client(load *l, client *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)l->port) };
    int one = 1;
    inet_pton(AF_INET, l->host, &to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0)
        load_die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    l->wire->open(l, c);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
}

void
load_open(load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->all = calloc(l->clients + l->subscribers, sizeof *l->all);
    if (l->epoll < 0 || l->all == NULL)
        load_die("set-up");
    for (uint32_t i = 0; i < l->clients + l->subscribers; i++) {
        client *c = &l->all[i];
        c->index = i;
        c->subscriber = i >= l->clients;
        if (!c->subscriber) {
            c->slots = calloc(l->window, sizeof *c->slots);
            c->idle = calloc(l->window, sizeof *c->idle);
            c->queued = calloc(l->window, sizeof *c->queued);
            if (c->slots == NULL || c->idle == NULL || c->queued == NULL)
                load_die("set-up");
            c->free = l->window;
            for (uint32_t w = 0; w < l->window; w++) {
                c->slots[w].seq = w;
                c->idle[w] = l->window - 1 - w;
            }
        }
        open_client(l, c);
    }
    for (uint32_t i = 0; i < l->subscribers; i++) {
        client *c = &l->all[l->clients + i];
        l->wire->listen(l, c);
        load_write_all(c);
    }
}

void
load_close(load *l)
{
    for (uint32_t i = 0; i < l->clients + l->subscribers; i++) {
        client *c = &l->all[i];
        close(c->fd);
        free(c->in.data);
        free(c->out.data);
        free(c->slots);
        free(c->idle);
        free(c->queued);
    }
    free(l->all);
    free(l->template.data);
    close(l->epoll);
}

static void
flush(load *l, client *c)
{
    c->dirty = false;
    while (bytes_len(&c->out) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->out.start, bytes_len(&c->out), MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            load_die("send");
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

/* Takes an idle slot. sent_ns: when it was due, which is what its latency is counted from. */
static void
publish(load *l, client *c, uint64_t sent_ns)
{
    slot *s = &c->slots[c->idle[--c->free]];
    s->seq += l->window;
    s->sent_ns = sent_ns;
    s->waits = 1 + (uint32_t)load_each(l);
    c->queued[c->tail++ % l->window] = s->seq;
    l->wire->publish(l, c, s->seq);
    c->dirty = true;
    l->sent++;
    if (l->events > 0 && l->sent >= l->events)
        l->sending = false;
}

void
load_fill(load *l)
{
    for (uint32_t w = 0; w < l->window && l->rate == 0; w++) {
        for (uint32_t i = 0; i < l->clients && l->sending; i++) {
            if (l->all[i].free > 0)
                publish(l, &l->all[i], load_now());
        }
    }
}

/* With a rate: all that is due by now, as far as slots are idle; what has to wait for one keeps the
 * time it was due at. */
static void
keep_schedule(load *l, uint64_t now)
{
    uint64_t step = (uint64_t)(1e9 / l->rate);
    for (uint32_t busy = 0; l->sending && l->due_ns <= now && busy < l->clients;) {
        client *c = &l->all[l->turn++ % l->clients];
        if (c->free == 0) {
            busy++;
            continue;
        }
        publish(l, c, l->due_ns);
        l->due_ns += step;
        busy = 0;
    }
}

static void
step_done(load *l, client *c, uint64_t seq)
{
    uint32_t at = (uint32_t)(seq % l->window);
    slot *s = &c->slots[at];
    if (s->seq != seq || s->waits == 0) {
        errno = 0;
        load_die("an answer to a publish that is not under way");
    }
    if (--s->waits > 0)
        return;
    c->idle[c->free++] = at;
    if (l->sending && l->rate == 0)
        publish(l, c, load_now());
}

void
load_acked(load *l, client *c, uint64_t seq, bool good, uint64_t at)
{
    histogram_add(&l->acks, at - c->slots[seq % l->window].sent_ns);
    l->acked++;
    l->refused += !good;
    step_done(l, c, seq);
}

void
load_arrived(load *l, const char *stamp, uint64_t at)
{
    uint64_t value = read_stamp(stamp), seq = value & ((UINT64_C(1) << 48) - 1);
    uint32_t index = (uint32_t)(value >> 48);
    if (l->drain > 0) {
        l->arrived++;
        return;
    }
    if (index >= l->clients) /* of an earlier run */
        return;
    client *from = &l->all[index];
    slot *s = &from->slots[seq % l->window];
    if (s->seq != seq) /* of an earlier run, or once more */
        return;
    histogram_add(&l->arrivals, at - s->sent_ns);
    l->arrived++;
    step_done(l, from, seq);
}

static void
on_input(load *l, client *c)
{
    ssize_t n = recv(c->fd, bytes_room(&c->in, 1 << 18), 1 << 18, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        load_die("the server closed a connection");
    c->in.end += (size_t)n;
    l->wire->input(l, c, load_now());
}

static bool
all_done(const load *l)
{
    if (l->drain > 0)
        return l->arrived >= l->drain;
    return !l->sending && l->acked == l->sent && l->arrived >= l->sent * load_each(l);
}

void
load_run(load *l, uint64_t until)
{
    struct epoll_event events[256];
    for (uint64_t at = load_now(); at < until; at = load_now()) {
        if (l->rate > 0)
            keep_schedule(l, at);
        for (uint32_t i = 0; i < l->clients + l->subscribers; i++) {
            if (l->all[i].dirty)
                flush(l, &l->all[i]);
        }
        if (all_done(l))
            return;
        /* with a rate: to the next event that is due, but not more often than each 50 us */
        uint64_t wait = 20000000, now = load_now();
        if (l->rate > 0 && l->sending)
            wait = l->due_ns > now + 50000 ? l->due_ns - now : 50000;
        if (wait > 20000000)
            wait = 20000000;
        struct timespec timeout = { 0, (long)wait };
        int n = epoll_pwait2(l->epoll, events, 256, &timeout, NULL);
        for (int i = 0; i < n; i++) {
            client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                c->dirty = true;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_input(l, c);
        }
    }
}
