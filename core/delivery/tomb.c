/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies on a ladder that nobody needs any more, because the event was acknowledged first: a ladder
 * has no place to take them back from, so that they are left out when they come. What this daemon
 * forgets, or another one reads, comes once more. [owner's lane]
 */
#include "delivery/sub.h"

#define MOST 65536u

typedef struct emesh_tombs {
    emesh_position next; /* number of the next copy: drawn at random, then counted */
    GHashTable *copies;  /* emesh_position, in the links of order */
    GQueue order;        /* the first is forgotten first */
} emesh_tombs;

static unsigned
hash(const void *key)
{
    const emesh_position *p = key;
    uint64_t mixed = (p->hi ^ p->lo * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0x9e3779b97f4a7c15);

    return (unsigned)(mixed >> 32);
}

static gboolean
equal(const void *a, const void *b)
{
    const emesh_position *x = a, *y = b;

    return x->hi == y->hi && x->lo == y->lo;
}

static emesh_tombs *
tombs_of(emesh_delivery_lane *owner)
{
    emesh_tombs *tombs = owner->tombs;

    if (tombs != NULL)
        return tombs;
    tombs = owner->tombs = g_new0(emesh_tombs, 1);
    tombs->next.hi = (uint64_t)g_random_int() << 32 | g_random_int() | 1u;
    tombs->next.lo = (uint64_t)g_random_int() << 32;
    tombs->copies = g_hash_table_new(hash, equal);
    return tombs;
}

emesh_position
emesh_copy_number(emesh_delivery_lane *owner)
{
    emesh_tombs *tombs = tombs_of(owner);

    tombs->next.lo++;
    return tombs->next;
}

static void
forget(emesh_tombs *tombs, GList *link)
{
    g_hash_table_remove(tombs->copies, link->data);
    g_free(link->data);
    g_queue_delete_link(&tombs->order, link);
}

void
emesh_tomb_add(emesh_delivery_lane *owner, emesh_position copy)
{
    emesh_tombs *tombs = tombs_of(owner);
    emesh_position *kept;

    if (g_hash_table_contains(tombs->copies, &copy))
        return;
    if (tombs->order.length >= MOST)
        forget(tombs, tombs->order.head);
    kept = g_new(emesh_position, 1);
    *kept = copy;
    g_queue_push_tail(&tombs->order, kept);
    g_hash_table_insert(tombs->copies, kept, tombs->order.tail);
}

bool
emesh_tomb_take(emesh_delivery_lane *owner, emesh_position copy)
{
    GList *link = owner->tombs != NULL ? g_hash_table_lookup(owner->tombs->copies, &copy) : NULL;

    if (link == NULL)
        return false;
    forget(owner->tombs, link);
    return true;
}

void
emesh_tombs_clear(emesh_delivery_lane *owner)
{
    emesh_tombs *tombs = owner->tombs;

    if (tombs == NULL)
        return;
    g_hash_table_unref(tombs->copies);
    g_queue_clear_full(&tombs->order, g_free);
    g_free(tombs);
    owner->tombs = NULL;
}
