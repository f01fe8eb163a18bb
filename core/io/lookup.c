/* SPDX-License-Identifier: Apache-2.0
 *
 * Name look-up on the pool. The lane's thread owns a look-up; the pool thread sees only its name,
 * its result and, under the lock, whether there is still somebody to send it to: a lane can go
 * while getaddrinfo() hangs for as long as it likes.
 */
#include "lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <string.h>

struct emesh_lookup {
    emesh_job work, home;
    pthread_mutex_t lock;
    emesh_worker *worker; /* under lock; NULL: nobody waits */
    uint32_t refs;        /* atomic: lane and pool */
    emesh_link link;
    char host[EMESH_HOST_MAX];
    uint16_t port;
    emesh_lookup_found found; /* NULL: canceled */
    void *ctx;
    emesh_addr addrs[EMESH_LOOKUP_MOST];
    uint32_t n;
    char text[160];
};

static void
lookup_unref(emesh_lookup *lookup)
{
    if (__atomic_sub_fetch(&lookup->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_destroy(&lookup->lock);
    g_free(lookup);
}

static void
keep_address(emesh_lookup *lookup, const struct addrinfo *info)
{
    emesh_addr *to = &lookup->addrs[lookup->n];

    if (lookup->n == EMESH_LOOKUP_MOST || info->ai_addrlen > sizeof *to ||
        (info->ai_family != AF_INET && info->ai_family != AF_INET6))
        return;
    memcpy(to, info->ai_addr, info->ai_addrlen);
    emesh_addr_set_port(to, lookup->port);
    lookup->n++;
}

static void
look_up(emesh_lookup *lookup)
{
    struct addrinfo hints = { .ai_flags = AI_ADDRCONFIG, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int rc;

    if (!lookup->host[0]) {
        g_strlcpy(lookup->text, "not an ADDRESS:PORT", sizeof lookup->text);
        return;
    }
    if (emesh_addr_numeric(lookup->host, lookup->port, &lookup->addrs[0])) {
        lookup->n = 1;
        return;
    }
    rc = getaddrinfo(lookup->host, NULL, &hints, &found);
    if (rc != 0) {
        g_snprintf(lookup->text, sizeof lookup->text, "look-up of the name failed: %s",
                   gai_strerror(rc));
        return;
    }
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        keep_address(lookup, at);
    freeaddrinfo(found);
    if (lookup->n == 0)
        g_strlcpy(lookup->text, "the name has no IPv4 or IPv6 address", sizeof lookup->text);
}

static void
run_work(emesh_job *job)
{
    emesh_lookup *lookup = EMESH_OWNER(job, emesh_lookup, work);

    look_up(lookup);
    pthread_mutex_lock(&lookup->lock);
    bool awaited = lookup->worker != NULL;
    if (awaited)
        emesh_worker_post(lookup->worker, &lookup->home);
    pthread_mutex_unlock(&lookup->lock);
    if (!awaited)
        lookup_unref(lookup); /* home's */
    lookup_unref(lookup);
}

static void
run_home(emesh_job *job)
{
    emesh_lookup *lookup = EMESH_OWNER(job, emesh_lookup, home);
    emesh_lookup_found found = lookup->found;

    emesh_link_remove(&lookup->link);
    lookup->found = NULL;
    if (found)
        found(lookup->ctx, lookup->n ? EMESH_OK : EMESH_E_UNAVAILABLE, lookup->addrs, lookup->n,
              lookup->text);
    lookup_unref(lookup);
}

emesh_lookup *
emesh_lookup_begin(emesh_net_lane *lane, const char *host, uint16_t port, emesh_lookup_found found,
                   void *ctx)
{
    emesh_lookup *lookup = g_new0(emesh_lookup, 1);

    pthread_mutex_init(&lookup->lock, NULL);
    lookup->work.run = run_work;
    lookup->home.run = run_home;
    lookup->worker = lane->worker;
    lookup->refs = 2;
    g_strlcpy(lookup->host, host, sizeof lookup->host);
    lookup->port = port;
    lookup->found = found;
    lookup->ctx = ctx;
    emesh_ring_append(&lane->lookups, &lookup->link);
    emesh_pool_submit_slow(lane->loop->pool, &lookup->work);
    return lookup;
}

void
emesh_lookup_cancel(emesh_lookup *lookup)
{
    emesh_link_remove(&lookup->link);
    lookup->found = NULL;
    pthread_mutex_lock(&lookup->lock);
    lookup->worker = NULL; /* if it was posted home already, run_home finds nobody */
    pthread_mutex_unlock(&lookup->lock);
}

void
emesh_lookups_end(emesh_net_lane *lane)
{
    while (!emesh_ring_empty(&lane->lookups)) {
        emesh_lookup *lookup = EMESH_OWNER(lane->lookups.next, emesh_lookup, link);
        emesh_lookup_found found = lookup->found;
        void *ctx = lookup->ctx;
        emesh_lookup_cancel(lookup);
        found(ctx, EMESH_E_CLOSED, NULL, 0, "the instance goes down");
    }
}

/* ---- net.resolve ---- */

typedef struct resolving {
    emesh_net_lane *lane;
    void (*found)(void *ctx, int32_t code, const emesh_slice *found, uint32_t n);
    void *ctx;
} resolving;

static void
resolved(void *ctx, int32_t code, const emesh_addr *addrs, uint32_t n, const char *text)
{
    g_autofree resolving *r = ctx;
    char texts[EMESH_LOOKUP_MOST][EMESH_ADDR_TEXT];
    emesh_slice slices[EMESH_LOOKUP_MOST];

    (void)text;
    if (r->lane->ending)
        return;
    for (uint32_t i = 0; i < n; i++) {
        emesh_addr_format(&addrs[i], texts[i]);
        slices[i] = (emesh_slice){ texts[i], strlen(texts[i]) };
    }
    r->found(r->ctx, code, slices, n);
}

void
emesh_net_resolve(emesh_loop *loop, const char *address, size_t len,
                  void (*found)(void *ctx, int32_t code, const emesh_slice *found, uint32_t n),
                  void *ctx)
{
    resolving *r = g_new0(resolving, 1);
    char host[EMESH_HOST_MAX];
    uint16_t port = 0;

    r->lane = emesh_net_lane_of(loop);
    r->found = found;
    r->ctx = ctx;
    if (emesh_addr_split(address, len, host, &port))
        host[0] = 0; /* the look-up says no, later as always */
    emesh_lookup_begin(r->lane, host, port, resolved, r);
}
