/* SPDX-License-Identifier: Apache-2.0
 *
 * Where groups stand, told again, [keeper]: COMMIT records tell what changed, so a segment may hold
 * what no later one says: the last acknowledgements of a group that is idle, or a seek back. Before
 * such a segment goes, every pair that was not told whole behind it is: once for a turn of the log,
 * however many segments die in it. So an index made anew from the log finds each group where it was.
 * Deletions of pairs are not told again: the cleaner keeps them while anything older is there.
 */
#include "keeper.h"

#include "batch.h"
#include "store.h"

#define SA_TELL_BYTES (1u << 20) /* on their way to the log at once */
#define SA_TELL_BODY (64u << 10)
#define SA_TELL_AGAIN_NS 1000000000u

typedef struct sa_telling { /* a batch under way */
    struct sa_store *store;
    uint32_t bytes;
} sa_telling;

static void
told(sa_batch *batch, int32_t code)
{
    sa_telling *t = batch->ctx;
    sa_tell *tell = &t->store->keeper.tell;
    if (code != EMESH_OK)
        atomic_store(&tell->failed, true);
    atomic_fetch_sub(&tell->under_way, t->bytes);
    sa_keeper_kick(t->store);
    g_free(t);
}

static void
submit(struct sa_store *store, GByteArray *body)
{
    sa_batch *batch = sa_batch_new(1);
    sa_telling *t = batch != NULL ? g_new(sa_telling, 1) : NULL;
    uint32_t len = body->len;
    void *bytes = g_byte_array_free(body, FALSE);
    if (batch == NULL) {
        g_free(bytes);
        atomic_store(&store->keeper.tell.failed, true);
        return;
    }
    *t = (sa_telling){ store, len };
    batch->memory = bytes;
    batch->done = told;
    batch->ctx = t;
    sa_batch_control(store, batch, SA_COMMIT, bytes, len)->sync = true;
    batch->n_sync = 1;
    atomic_fetch_add(&store->keeper.tell.under_way, len);
    sa_count(&store->stats.retold, 1);
    sa_log_submit(store, batch, false);
}

/* Pairs of a group that no record at or behind the mark tells whole. Queued under the lock, so that
 * no deletion comes between. */
static void
tell_group(struct sa_store *store, sa_group *group, uint64_t mark)
{
    uint32_t most = (uint32_t)MIN(SA_TELL_BODY, store->opt.segment_size / 8);
    GByteArray *body = NULL;
    pthread_mutex_lock(&group->lock);
    for (uint32_t i = 0; i < group->n_pairs && !group->deleted; i++) {
        sa_pair *pair = group->pairs[i];
        pair->telling = false; /* of a turn that failed */
        if (pair->told >= mark)
            continue;
        if (body == NULL)
            body = g_byte_array_new();
        sa_commit_put(body, pair, SA_OP_ACK, &pair->more->ranges);
        pair->telling = true;
        if (body->len >= most) {
            submit(store, body);
            body = NULL;
        }
    }
    if (body != NULL)
        submit(store, body);
    pthread_mutex_unlock(&group->lock);
}

static sa_group *
group_at(struct sa_store *store, guint i)
{
    pthread_mutex_lock(&store->cat.lock);
    sa_group *group = i < store->cat.every_group->len
                          ? g_ptr_array_index(store->cat.every_group, i) : NULL;
    pthread_mutex_unlock(&store->cat.lock);
    return group;
}

/* Everything that was written is durable: it counts. */
static void
end(struct sa_store *store)
{
    sa_tell *tell = &store->keeper.tell;
    sa_group *group;
    for (guint i = 0; (group = group_at(store, i)) != NULL; i++) {
        pthread_mutex_lock(&group->lock);
        for (uint32_t k = 0; k < group->n_pairs; k++) {
            sa_pair *pair = group->pairs[k];
            if (pair->telling)
                pair->told = tell->now;
            pair->telling = false;
        }
        pthread_mutex_unlock(&group->lock);
    }
    store->keeper.told = tell->mark;
    store->cleaner.look = true;
}

void
sa_tell_want(struct sa_store *store, uint64_t mark)
{
    sa_tell *tell = &store->keeper.tell;
    if (mark <= tell->want)
        return;
    tell->want = mark;
    sa_keeper_kick(store);
}

void
sa_tell_step(struct sa_store *store)
{
    sa_keeper *keeper = &store->keeper;
    sa_tell *tell = &keeper->tell;
    sa_group *group;
    if (!tell->running) {
        if (tell->want <= keeper->told || sa_mono_ns(store) < tell->again_ns
            || atomic_load(&store->log.failed) != 0)
            return;
        tell->running = true;
        tell->mark = tell->want;
        tell->now = atomic_load(&store->log.written);
        tell->at = 0;
        atomic_store(&tell->failed, false);
    }
    while (atomic_load(&tell->under_way) < SA_TELL_BYTES && !atomic_load(&tell->failed)
           && (group = group_at(store, tell->at)) != NULL) {
        tell_group(store, group, tell->mark);
        tell->at++;
    }
    bool all = group_at(store, tell->at) == NULL || atomic_load(&tell->failed);
    if (!all || atomic_load(&tell->under_way) > 0)
        return;
    tell->running = false;
    if (atomic_load(&tell->failed))
        tell->again_ns = sa_mono_ns(store) + SA_TELL_AGAIN_NS;
    else
        end(store);
}

bool
sa_tell_hopeless(const struct sa_store *store)
{
    const sa_keeper *keeper = &store->keeper;
    return keeper->low && atomic_load(&keeper->tell.failed);
}
