/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of the HTTP administration by address (of IPv6 the network, for one machine has as many
 * addresses in it as it likes), the least recent forgotten first.
 */
#include "admin/peers.h"

#include <pthread.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define PEERS_MOST 1024u
#define FAILS_AT_ONCE 10u  /* then one a second */
#define TELL_NS (600u * SECOND)
#define KEY_BYTES 8

typedef struct peer {
    uint8_t key[KEY_BYTES];
    GList in_order;
    uint64_t fails, since_ns; /* fails as of since_ns; each second takes one off */
    uint64_t told_ns[EMESH_PEER_N];
} peer;

struct emesh_peers {
    pthread_mutex_t lock;
    GHashTable *by_key; /* key → peer */
    GQueue order;       /* the least recent first */
};

static guint
key_hash(gconstpointer key)
{
    uint64_t bits;
    memcpy(&bits, key, KEY_BYTES);
    return g_int64_hash(&bits);
}

static gboolean
key_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, KEY_BYTES) == 0;
}

emesh_peers *
emesh_peers_new(void)
{
    emesh_peers *peers = g_new0(emesh_peers, 1);
    pthread_mutex_init(&peers->lock, NULL);
    peers->by_key = g_hash_table_new_full(key_hash, key_equal, NULL, g_free);
    g_queue_init(&peers->order);
    return peers;
}

void
emesh_peers_free(emesh_peers *peers)
{
    if (peers == NULL)
        return;
    g_hash_table_unref(peers->by_key);
    pthread_mutex_destroy(&peers->lock);
    g_free(peers);
}

static void
key_of(GInetAddress *who, uint8_t key[KEY_BYTES])
{
    const uint8_t *bytes = g_inet_address_to_bytes(who);
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    memset(key, 0, KEY_BYTES);
    if (g_inet_address_get_family(who) == G_SOCKET_FAMILY_IPV4)
        memcpy(key + 4, bytes, 4);
    else if (memcmp(bytes, mapped, sizeof mapped) == 0)
        memcpy(key + 4, bytes + 12, 4);
    else if (g_inet_address_get_is_loopback(who))
        key[0] = 0xff;
    else
        memcpy(key, bytes, KEY_BYTES);
}

/* The record of a peer, made anew if need be. Called locked. */
static peer *
peer_of(emesh_peers *peers, GInetAddress *who)
{
    uint8_t key[KEY_BYTES];
    key_of(who, key);
    peer *p = g_hash_table_lookup(peers->by_key, key);
    if (p != NULL) {
        g_queue_unlink(&peers->order, &p->in_order);
    } else {
        if (peers->order.length >= PEERS_MOST) {
            peer *oldest = g_queue_pop_head_link(&peers->order)->data;
            g_hash_table_remove(peers->by_key, oldest->key);
        }
        p = g_new0(peer, 1);
        memcpy(p->key, key, KEY_BYTES);
        p->in_order.data = p;
        g_hash_table_insert(peers->by_key, p->key, p);
    }
    g_queue_push_tail_link(&peers->order, &p->in_order);
    return p;
}

static void
cool_down(peer *p, uint64_t now_ns)
{
    uint64_t seconds = now_ns > p->since_ns ? (now_ns - p->since_ns) / SECOND : 0;
    p->fails = seconds >= p->fails ? 0 : p->fails - seconds;
    p->since_ns = p->fails == 0 ? now_ns : p->since_ns + seconds * SECOND;
}

uint32_t
emesh_peers_wait(emesh_peers *peers, GInetAddress *who, uint64_t now_ns)
{
    pthread_mutex_lock(&peers->lock);
    peer *p = peer_of(peers, who);
    cool_down(p, now_ns);
    uint32_t wait = p->fails >= FAILS_AT_ONCE ? (uint32_t)(p->fails - FAILS_AT_ONCE + 1) : 0;
    pthread_mutex_unlock(&peers->lock);
    return wait;
}

void
emesh_peers_failed(emesh_peers *peers, GInetAddress *who, uint64_t now_ns)
{
    pthread_mutex_lock(&peers->lock);
    peer *p = peer_of(peers, who);
    cool_down(p, now_ns);
    p->fails++;
    pthread_mutex_unlock(&peers->lock);
}

bool
emesh_peers_tell(emesh_peers *peers, GInetAddress *who, emesh_peer_fault fault, uint64_t now_ns)
{
    pthread_mutex_lock(&peers->lock);
    peer *p = peer_of(peers, who);
    bool tell = p->told_ns[fault] == 0 || now_ns - p->told_ns[fault] >= TELL_NS;
    if (tell)
        p->told_ns[fault] = now_ns;
    pthread_mutex_unlock(&peers->lock);
    return tell;
}
