/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic goes, for good or because its store does, or the daemon stops: its subscriptions end, each
 * when its reader is closed; or they go on with the topic as a reload has made it. [owner's lane]
 */
#include "delivery/browse.h"
#include "delivery/rest.h"

typedef struct end_topic {
    uint32_t left;
    void (*done)(void *ctx);
    void *ctx;
} end_topic;

static void
one_ended(void *ctx)
{
    end_topic *e = ctx;

    if (--e->left > 0)
        return;
    e->done(e->ctx);
    g_free(e);
}

static void
end_sub(emesh_sub *sub, end_topic *e, bool pause)
{
    emesh_sub_ended ended = { one_ended, e };

    e->left++;
    g_array_append_val(sub->ended, ended);
    if (pause)
        sub->pausing = true;
    else
        sub->ending = true;
    if (sub->state == EMESH_SUB_PAUSED) { /* nothing is open: it ends, or just goes on waiting */
        emesh_sub_tell_ended(sub);
        sub->pausing = false;
    }
    emesh_sub_touch(sub);
}

/* topic NULL: of all */
static void
end_subs(emesh_delivery_lane *delivery, const emesh_bus_topic *topic, bool pause,
         void (*done)(void *ctx), void *ctx)
{
    end_topic *e = g_new0(end_topic, 1);
    GHashTableIter iter;
    void *value;

    e->left = 1;
    e->done = done;
    e->ctx = ctx;
    e->left += emesh_rests_end(delivery, topic, one_ended, e);
    g_hash_table_iter_init(&iter, delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (topic == NULL || ((emesh_sub *)value)->topic == topic)
            end_sub(value, e, pause);
    for (uint32_t i = 0; i < delivery->alone->len; i++)
        if (topic == NULL || ((emesh_sub *)delivery->alone->pdata[i])->topic == topic)
            end_sub(delivery->alone->pdata[i], e, pause);
    e->left += emesh_browses_end(delivery->lane, topic, one_ended, e);
    one_ended(e);
}

void
emesh_delivery_end_topic(emesh_delivery_lane *delivery, emesh_bus_topic *topic, bool pause,
                         void (*done)(void *ctx), void *ctx)
{
    end_subs(delivery, topic, pause, done, ctx);
}

void
emesh_delivery_end_all(emesh_delivery_lane *delivery, void (*done)(void *ctx), void *ctx)
{
    end_subs(delivery, NULL, true, done, ctx);
}

static void
swap(emesh_sub *sub, const emesh_bus_topic *old, emesh_bus_topic *fresh)
{
    if (sub->topic != old)
        return;
    emesh_bus_topic_unref(sub->topic);
    sub->topic = emesh_bus_topic_ref(fresh);
}

void
emesh_delivery_swap_topic(emesh_delivery_lane *delivery, const emesh_bus_topic *old,
                          emesh_bus_topic *fresh)
{
    GHashTableIter iter;
    void *value;

    emesh_rests_swap(delivery, old, fresh);
    g_hash_table_iter_init(&iter, delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        swap(value, old, fresh);
    for (uint32_t i = 0; i < delivery->alone->len; i++)
        swap(delivery->alone->pdata[i], old, fresh);
}
