/* SPDX-License-Identifier: Apache-2.0
 *
 * A chained hash table of client objects, counted by their connections. [any]
 */
#include "agent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tcp_agent {
    tcp_agent *next;
    uint64_t hash;
    uint32_t refs; /* under the mutex */
    uint32_t flavour;
    size_t len;
    char key[]; /* host, NUL, UserAgent */
};

struct tcp_agents {
    pthread_mutex_t mutex;
    tcp_agent **slots;
    size_t n_slots; /* a power of two */
    size_t n;
};

tcp_agents *
tcp_agents_new(void)
{
    tcp_agents *all = calloc(1, sizeof *all);
    if (all == NULL)
        return NULL;
    all->n_slots = 64;
    all->slots = calloc(all->n_slots, sizeof(tcp_agent *));
    if (all->slots == NULL || pthread_mutex_init(&all->mutex, NULL) != 0) {
        free(all->slots);
        free(all);
        return NULL;
    }
    return all;
}

void
tcp_agents_free(tcp_agents *all)
{
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->mutex);
    free(all->slots);
    free(all);
}

static uint64_t
hash_of(const char *key, size_t len)
{
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)key[i]) * 1099511628211ull;
    return h ^ h >> 32;
}

/* A larger table if there is memory; else chains grow longer. */
static void
grow(tcp_agents *all)
{
    size_t n = all->n_slots * 2;
    tcp_agent **slots = calloc(n, sizeof(tcp_agent *));
    if (slots == NULL)
        return;
    for (size_t i = 0; i < all->n_slots; i++) {
        for (tcp_agent *a = all->slots[i], *next; a != NULL; a = next) {
            next = a->next;
            a->next = slots[a->hash & (n - 1)];
            slots[a->hash & (n - 1)] = a;
        }
    }
    free(all->slots);
    all->slots = slots;
    all->n_slots = n;
}

static tcp_agent *
make(tcp_field host, tcp_field text)
{
    tcp_agent *a = malloc(sizeof *a + host.len + 1 + text.len);
    if (a == NULL)
        return NULL;
    *a = (tcp_agent){ .refs = 1, .len = host.len + 1 + text.len };
    memcpy(a->key, host.ptr, host.len);
    a->key[host.len] = '\0';
    memcpy(a->key + host.len + 1, text.ptr, text.len);
    a->hash = hash_of(a->key, a->len);
    return a;
}

tcp_agent *
tcp_agent_join(tcp_agents *all, tcp_field host, tcp_field text)
{
    tcp_agent *made = make(host, text), *a;
    if (made == NULL)
        return NULL;
    pthread_mutex_lock(&all->mutex);
    for (a = all->slots[made->hash & (all->n_slots - 1)]; a != NULL; a = a->next) {
        if (a->hash == made->hash && a->len == made->len && memcmp(a->key, made->key, a->len) == 0)
            break;
    }
    if (a != NULL) {
        a->refs++;
        free(made);
    } else {
        a = made;
        if (++all->n > all->n_slots)
            grow(all);
        a->next = all->slots[a->hash & (all->n_slots - 1)];
        all->slots[a->hash & (all->n_slots - 1)] = a;
    }
    pthread_mutex_unlock(&all->mutex);
    return a;
}

void
tcp_agent_leave(tcp_agents *all, tcp_agent *agent)
{
    if (agent == NULL)
        return;
    pthread_mutex_lock(&all->mutex);
    bool last = --agent->refs == 0;
    if (last) {
        tcp_agent **at = &all->slots[agent->hash & (all->n_slots - 1)];
        while (*at != agent)
            at = &(*at)->next;
        *at = agent->next;
        all->n--;
    }
    pthread_mutex_unlock(&all->mutex);
    if (last)
        free(agent);
}

void
tcp_agent_show(tcp_agent *agent, tcp_flavour flavour)
{
    uint32_t seen = TCP_FLAVOUR_UNKNOWN;
    if (agent == NULL)
        return;
    if (!__atomic_compare_exchange_n(&agent->flavour, &seen, (uint32_t)flavour, 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED) &&
        seen != (uint32_t)flavour)
        __atomic_store_n(&agent->flavour, (uint32_t)TCP_FLAVOUR_MIXED, __ATOMIC_RELAXED);
}

tcp_flavour
tcp_agent_shown(const tcp_agent *agent)
{
    if (agent == NULL)
        return TCP_FLAVOUR_UNKNOWN;
    return (tcp_flavour)__atomic_load_n(&agent->flavour, __ATOMIC_RELAXED);
}
