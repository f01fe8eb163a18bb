/* SPDX-License-Identifier: Apache-2.0
 *
 * Order by key: events of one key go to one member at a time, in the order of the log. One that
 * failed holds its key, and no other; what comes behind it waits as HELD. Events without
 * partitionkey share one key per partition. [owner's lane]
 */
#include "delivery/sub.h"
#include "event/event.h"

#define KEY_OPEN 16u /* un-acked events of a key; they all are at one member */

struct emesh_order_key {
    uint64_t hash;
    emesh_consumer *consumer; /* while something is open */
    uint32_t open;
    uint32_t blocked; /* 1 + index of the slot that failed and is not through yet */
    GArray *held;     /* u32 indexes, in order */
};

void
emesh_order_ask(emesh_sub *sub, bool asked)
{
    sub->ordered |= asked;
    sub->slots.sorted = sub->ordered;
}

static uint64_t
hash_of(const emesh_slot *slot)
{
    const emesh_attr *attr = emesh_event_attr(slot->event, "partitionkey", 12);
    uint64_t h = 14695981039346656037u;

    if (attr == NULL)
        return slot->partition;
    for (uint32_t i = 0; i < attr->value_len; i++)
        h = (h ^ ((const uint8_t *)attr->value)[i]) * 1099511628211u;
    return h | UINT64_C(1) << 63; /* apart from the numbers of partitions */
}

static emesh_order_key *
find(const emesh_sub *sub, const emesh_slot *slot)
{
    uint64_t hash;

    if (sub->keys == NULL || slot->event == NULL)
        return NULL;
    hash = hash_of(slot);
    return g_hash_table_lookup(sub->keys, &hash);
}

static void
key_free(void *data)
{
    emesh_order_key *key = data;

    g_array_unref(key->held);
    g_free(key);
}

static emesh_order_key *
get(emesh_sub *sub, const emesh_slot *slot)
{
    emesh_order_key *key = find(sub, slot);

    if (key != NULL)
        return key;
    if (sub->keys == NULL)
        sub->keys = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, key_free);
    key = g_new0(emesh_order_key, 1);
    key->hash = hash_of(slot);
    key->held = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_hash_table_insert(sub->keys, &key->hash, key);
    return key;
}

static void
drop_idle(emesh_sub *sub, emesh_order_key *key)
{
    if (key->open == 0 && key->blocked == 0 && key->held->len == 0)
        g_hash_table_remove(sub->keys, &key->hash);
}

static bool
before(const emesh_slot *a, const emesh_slot *b)
{
    return a->position.hi != b->position.hi ? a->position.hi < b->position.hi
                                            : a->position.lo < b->position.lo;
}

static void
hold(emesh_sub *sub, emesh_order_key *key, uint32_t index)
{
    emesh_slot *slot = emesh_slot_at(&sub->slots, index);
    uint32_t at = key->held->len;

    slot->state = EMESH_SLOT_HELD;
    while (at > 0 &&
           before(slot, emesh_slot_at(&sub->slots, g_array_index(key->held, uint32_t, at - 1))))
        at--;
    g_array_insert_val(key->held, at, index);
}

/* Its member had no room for one before it, and may have now. */
static bool
is_behind_held(const emesh_sub *sub, const emesh_order_key *key, uint32_t index)
{
    return key->held->len > 0 && key->blocked != index + 1 &&
           before(emesh_slot_at(&sub->slots, g_array_index(key->held, uint32_t, 0)),
                  emesh_slot_at(&sub->slots, index));
}

emesh_order_verdict
emesh_order_may(emesh_sub *sub, uint32_t index, emesh_consumer **only)
{
    emesh_order_key *key = find(sub, emesh_slot_at(&sub->slots, index));

    *only = NULL;
    if (key == NULL)
        return EMESH_ORDER_GO;
    if ((key->blocked != 0 && key->blocked != index + 1) || key->open >= KEY_OPEN ||
        is_behind_held(sub, key, index)) {
        hold(sub, key, index);
        return EMESH_ORDER_HELD;
    }
    if (key->open > 0)
        *only = key->consumer;
    return EMESH_ORDER_GO;
}

void
emesh_order_hold(emesh_sub *sub, uint32_t index)
{
    hold(sub, get(sub, emesh_slot_at(&sub->slots, index)), index);
}

void
emesh_order_offered(emesh_sub *sub, uint32_t index, emesh_consumer *consumer)
{
    emesh_order_key *key = get(sub, emesh_slot_at(&sub->slots, index));

    key->consumer = consumer;
    key->open++;
}

/* What is held may be looked at again. */
static void
release(emesh_sub *sub, emesh_order_key *key)
{
    for (uint32_t i = 0; i < key->held->len; i++)
        emesh_slots_return(&sub->slots, g_array_index(key->held, uint32_t, i));
    g_array_set_size(key->held, 0);
    drop_idle(sub, key);
}

void
emesh_order_closed(emesh_sub *sub, const emesh_slot *slot)
{
    emesh_order_key *key = find(sub, slot);

    if (key == NULL || key->open == 0)
        return;
    if (--key->open == 0)
        key->consumer = NULL;
    if (key->blocked == 0)
        release(sub, key);
}

bool
emesh_order_failed(emesh_sub *sub, uint32_t index)
{
    emesh_order_key *key = get(sub, emesh_slot_at(&sub->slots, index));

    if (key->blocked != 0 && key->blocked != index + 1) {
        const emesh_slot *first = emesh_slot_at(&sub->slots, key->blocked - 1);
        if (before(first, emesh_slot_at(&sub->slots, index))) {
            hold(sub, key, index); /* behind the one that failed before it */
            return false;
        }
    }
    key->blocked = index + 1;
    return true;
}

void
emesh_order_settled(emesh_sub *sub, uint32_t index)
{
    emesh_order_key *key = find(sub, emesh_slot_at(&sub->slots, index));

    if (key == NULL)
        return;
    if (key->blocked == index + 1)
        key->blocked = 0;
    if (key->blocked == 0)
        release(sub, key);
}

void
emesh_order_forget(emesh_sub *sub, uint32_t index)
{
    emesh_order_key *key = find(sub, emesh_slot_at(&sub->slots, index));

    if (key == NULL)
        return;
    if (key->blocked == index + 1)
        key->blocked = 0;
    for (uint32_t i = 0; i < key->held->len; i++) {
        if (g_array_index(key->held, uint32_t, i) == index) {
            g_array_remove_index(key->held, i);
            break;
        }
    }
    drop_idle(sub, key);
}

void
emesh_order_clear(emesh_sub *sub)
{
    if (sub->keys != NULL)
        g_hash_table_unref(sub->keys);
    sub->keys = NULL;
}
