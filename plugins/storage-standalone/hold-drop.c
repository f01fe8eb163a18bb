/* SPDX-License-Identifier: Apache-2.0
 *
 * Held events that go with their topic, or with a group that has forgotten it: those in memory at
 * once, those in rows alone with the next checkpoint (hold-rows.c). See hold.h.
 */
#include "hold.h"

#include "store.h"

typedef bool (*sa_hold_pick)(const sa_hold *hold, uint32_t group, uint32_t topic);

static bool
of_topic(const sa_hold *hold, uint32_t group, uint32_t topic)
{
    (void)group;
    return hold->part->topic->id == topic;
}

static bool
of_group(const sa_hold *hold, uint32_t group, uint32_t topic)
{
    return hold->kind == SA_HOLD_INBOX && hold->queue->group == group
           && (topic == 0 || hold->queue->topic == topic);
}

static void
drop(struct sa_store *store, sa_hold_pick pick, uint32_t group, uint32_t topic)
{
    sa_holds *holds = &store->holds;
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    pthread_mutex_lock(&holds->lock);
    g_hash_table_iter_init(&iter, holds->by_token);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (pick(value, group, topic))
            g_ptr_array_add(gone, value);
    }
    for (guint i = 0; i < gone->len; i++) {
        sa_hold *hold = g_ptr_array_index(gone, i);
        if (!holds->recovering)
            sa_hold_count(store, hold->lsn, hold->size, -1);
        else
            g_hash_table_add(holds->done, g_memdup2(&hold->token, sizeof hold->token));
        if (hold->row != SA_HOLD_NO_ROW)
            sa_hold_bury(holds, hold->queue->group, hold->queue->topic, hold->due, hold->token,
                         true);
        sa_hold_free(holds, hold);
    }
    sa_forgot forgot = { group, topic, holds->seen };
    g_array_append_val(holds->forgot, forgot);
    pthread_mutex_unlock(&holds->lock);
    atomic_store(&store->keeper.dirty, true);
}

void
sa_holds_drop_topic(struct sa_store *store, uint32_t topic)
{
    drop(store, of_topic, 0, topic);
}

void
sa_holds_forget(struct sa_store *store, uint32_t group, uint32_t topic)
{
    drop(store, of_group, group, topic);
}

bool
sa_holds_any(struct sa_store *store, uint32_t group, uint32_t topic)
{
    gint64 key = (gint64)((uint64_t)group << 32 | topic);
    pthread_mutex_lock(&store->holds.lock);
    bool any = g_hash_table_contains(store->holds.queues, &key);
    pthread_mutex_unlock(&store->holds.lock);
    return any;
}
