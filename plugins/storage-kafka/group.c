/* SPDX-License-Identifier: Apache-2.0
 *
 * See group.h: the thread of a group, its orders, and its subscription.
 */
#include "group.h"

#include "work.h"
#include <string.h>

#define IDLE_MS 200
#define FIRST_NS (UINT64_C(10) * 1000000)  /* from the first reader to the broker's group */
#define LATER_NS (UINT64_C(150) * 1000000) /* every change takes all partitions away for a moment */

uint64_t
kf_now(const kf_group *g)
{
    return g->store->lp->time(NULL, EMESH_CLOCK_MONOTONIC);
}

void
kf_group_part_free(void *data)
{
    kf_part *part = data;

    if (part == NULL)
        return;
    kf_done_clear(&part->done);
    if (part->queue != NULL)
        rd_kafka_queue_destroy(part->queue);
    g_free(part);
}

kf_part *
kf_group_part(const kf_group *g, const char *topic, int32_t number)
{
    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        for (guint k = 0; strcmp(c->topic, topic) == 0 && k < c->parts->len; k++)
            if (((kf_part *)c->parts->pdata[k])->number == number)
                return c->parts->pdata[k];
    }
    return NULL;
}

static kf_linger *
linger_of(kf_group *g, const char *topic)
{
    kf_linger *l;

    for (guint i = 0; i < g->topics->len; i++) {
        l = g->topics->pdata[i];
        if (strcmp(l->topic, topic) == 0)
            return l;
    }
    l = g_new0(kf_linger, 1);
    l->topic = g_strdup(topic);
    g_ptr_array_add(g->topics, l);
    if (g->change_ns == 0)
        g->change_ns = kf_now(g) + (g->subscribed ? LATER_NS : FIRST_NS);
    return l;
}

static void
linger_free(void *data)
{
    kf_linger *l = data;

    g_free(l->topic);
    g_free(l);
}

/* ---- orders ---- */

/* Whoever asked that the client leaves hears that it does not. */
static void
stay(kf_group *g)
{
    for (guint i = 0; i < g->leaves->len; i++) {
        kf_order *order = g->leaves->pdata[i];
        kf_answer_give(order->answer, EMESH_E_BUSY, "the group has subscribers here");
        kf_order_free(order);
    }
    g_ptr_array_set_size(g->leaves, 0);
    g->leave_now = false;
}

static void
open_cursor(kf_group *g, kf_cursor *cursor)
{
    kf_linger *l = linger_of(g, cursor->topic);
    bool second = l->readers > 0;

    l->readers++;
    g_ptr_array_add(g->cursors, cursor);
    stay(g);
    if (!second) /* a second reader of a topic waits for its turn: partitions have one owner */
        kf_rebalance_offer(g, cursor);
}

static void
close_cursor(kf_group *g, kf_order *order)
{
    kf_store *store = g->store;
    kf_cursor *cursor = order->cursor;
    kf_linger *l = linger_of(g, cursor->topic);

    kf_settle_now(g, cursor);
    g_ptr_array_remove(g->cursors, cursor);
    if (--l->readers == 0)
        l->until_ns = kf_now(g) + store->opt.leave_ns;
    kf_cursor_free(cursor);
    for (guint i = 0; i < g->cursors->len; i++) {
        kf_cursor *other = g->cursors->pdata[i];
        if (strcmp(other->topic, l->topic) == 0 && other->parts->len == 0) {
            kf_rebalance_offer(g, other);
            break;
        }
    }
    pthread_mutex_lock(&store->lock);
    g->users--;
    pthread_mutex_unlock(&store->lock);
    store->host->complete(store->host, order->op, EMESH_OK, NULL, NULL);
}

static kf_part *
part_of(const kf_order *order)
{
    for (guint i = 0; i < order->cursor->parts->len; i++) {
        kf_part *part = order->cursor->parts->pdata[i];
        if (part->number == (int32_t)order->partition)
            return part;
    }
    return NULL;
}

static void
begin(kf_group *g, const kf_order *order)
{
    kf_part *part = part_of(order);

    if (part == NULL)
        return; /* taken away meanwhile */
    part->epoch = order->epoch;
    part->start = order->start;
    part->resolved = part->fetching = part->caught_up = part->told = false;
    g->assign_due = true;
}

static void
obey(kf_group *g, kf_order *order)
{
    kf_part *part;

    switch (order->what) {
    case KF_ORDER_OPEN:
        open_cursor(g, order->cursor);
        break;
    case KF_ORDER_BEGIN:
        begin(g, order);
        break;
    case KF_ORDER_RELEASE:
        part = part_of(order);
        if (part != NULL && part->revoking && g->revoke_ns != 0)
            part->revoking = part->fetching = false, part->epoch = 0;
        break;
    case KF_ORDER_CLOSE:
        close_cursor(g, order);
        break;
    case KF_ORDER_PLACE:
        linger_of(g, order->parts->elems[0].topic)->until_ns = kf_now(g) + g->store->opt.leave_ns;
        g_ptr_array_add(g->places, order);
        return;
    case KF_ORDER_LEAVE:
        g_ptr_array_add(g->leaves, order);
        g->leave_now = true;
        if (g->cursors->len > 0)
            stay(g);
        return;
    }
    kf_order_free(order);
}

static void
take(kf_cursor *cursor, const emesh_commit *commit)
{
    kf_settle_take(cursor->group, cursor, commit);
}

static void
obey_all(kf_group *g)
{
    kf_order *order = kf_inbox_take(&g->inbox, take);

    while (order != NULL) {
        kf_order *next = order->next;
        obey(g, order);
        order = next;
    }
}

/* ---- places that need membership ---- */

static bool
place_one(kf_group *g, kf_order *order, uint64_t now)
{
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;

    if (g->assigned != NULL && g->revoke_ns == 0)
        e = kf_settle_wait(g, order->parts);
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        kf_answer_give(order->answer, EMESH_OK, "");
    else if (now >= order->until_ns)
        kf_answer_give(order->answer, EMESH_E_UNAVAILABLE, rd_kafka_err2str(e));
    else
        return false;
    kf_order_free(order);
    return true;
}

static void
place_all(kf_group *g, uint64_t now)
{
    for (guint i = 0; i < g->places->len;)
        if (place_one(g, g->places->pdata[i], now))
            g_ptr_array_remove_index(g->places, i);
        else
            i++;
}

/* ---- the subscription ---- */

static void
look_lingering(kf_group *g, uint64_t now)
{
    for (guint i = 0; i < g->topics->len;) {
        const kf_linger *l = g->topics->pdata[i];
        if (l->readers > 0 || now < l->until_ns || g->places->len > 0) {
            i++;
            continue;
        }
        g_ptr_array_remove_index(g->topics, i);
        if (g->change_ns == 0)
            g->change_ns = now + LATER_NS;
    }
}

static void
subscribe(kf_group *g, uint64_t now)
{
    rd_kafka_topic_partition_list_t *topics;

    look_lingering(g, now);
    if (g->change_ns == 0 || now < g->change_ns || g->revoke_ns != 0 || g->topics->len == 0)
        return;
    g->change_ns = 0;
    topics = rd_kafka_topic_partition_list_new((int)g->topics->len);
    for (guint i = 0; i < g->topics->len; i++)
        rd_kafka_topic_partition_list_add(topics, ((kf_linger *)g->topics->pdata[i])->topic,
                                          RD_KAFKA_PARTITION_UA);
    if (rd_kafka_subscribe(g->rk, topics) != RD_KAFKA_RESP_ERR_NO_ERROR)
        g->change_ns = now + KF_SECOND_NS;
    g->own_change = g->assigned != NULL;
    g->subscribed = true;
    rd_kafka_topic_partition_list_destroy(topics);
}

/* Nobody needs it any more: from here on a new one is made. */
static bool
is_over(kf_group *g)
{
    kf_store *store = g->store;
    bool over;

    if (g->cursors->len > 0 || g->places->len > 0 ||
        (g->topics->len > 0 && !g->leave_now && !store->stopping))
        return false;
    pthread_mutex_lock(&store->lock);
    pthread_mutex_lock(&g->inbox.lock);
    over = g->users == 0 && g->inbox.head == NULL;
    if (over) {
        g->leaving = true;
        if (g_hash_table_lookup(store->groups, g->name) == g)
            g_hash_table_remove(store->groups, g->name);
    }
    pthread_mutex_unlock(&g->inbox.lock);
    pthread_mutex_unlock(&store->lock);
    return over;
}

/* ---- the thread ---- */

static void
not_ours(kf_group *g, const rd_kafka_message_t *m)
{
    kf_cursor *gone = NULL;

    if (m->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART &&
        m->err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        if (m->err != 0)
            kf_say(g->store, EMESH_LOG_INFO, "group %s: %s", g->name, rd_kafka_message_errstr(m));
        return;
    }
    for (guint i = 0; i < g->cursors->len && m->rkt != NULL; i++)
        if (strcmp(((kf_cursor *)g->cursors->pdata[i])->topic, rd_kafka_topic_name(m->rkt)) == 0)
            gone = g->cursors->pdata[i];
    if (gone != NULL && g->look_ns == 0)
        g->look_ns = kf_now(g) + KF_SECOND_NS;
}

/* A topic that was deleted ends its reader; what only is not known yet everywhere does not. */
static void
look_topics(kf_group *g, uint64_t now)
{
    if (g->look_ns == 0 || now < g->look_ns)
        return;
    g->look_ns = 0;
    for (guint i = 0; i < g->cursors->len; i++) {
        const kf_cursor *c = g->cursors->pdata[i];
        emesh_error err = { .size = sizeof err };
        if (kf_ask_partitions(g->store, c->topic, NULL, &err) > 0 ||
            err.code != EMESH_E_NOT_FOUND)
            continue;
        kf_error(&err, EMESH_E_NOT_FOUND, "topic %s has been deleted at the brokers", c->topic);
        g->store->st->partition(c->reader, EMESH_PARTITION_END, 0, "", 0, &err);
    }
}

static void
serve(kf_group *g)
{
    for (int i = 0; i < 64; i++) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(g->rk, 0);
        if (m == NULL)
            return;
        not_ours(g, m);
        rd_kafka_message_destroy(m);
    }
}

static void
shape(rd_kafka_conf_t *conf, void *ctx)
{
    (void)ctx;
    rd_kafka_conf_set_rebalance_cb(conf, kf_rebalance);
}

static bool
begin_client(kf_group *g)
{
    emesh_error err = { .size = sizeof err };

    g->rk = kf_handle(&g->store, RD_KAFKA_CONSUMER, g->name, shape, NULL, &err);
    if (g->rk == NULL) {
        kf_say(g->store, EMESH_LOG_ERROR, "%s", err.text);
        return false;
    }
    rd_kafka_poll_set_consumer(g->rk);
    g->events = rd_kafka_queue_new(g->rk);
    kf_inbox_follow(&g->inbox, g->events);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(g->rk);
    kf_inbox_follow(&g->inbox, queue);
    rd_kafka_queue_destroy(queue);
    return true;
}

static void
end_client(kf_group *g)
{
    if (g->rk == NULL)
        return;
    if (g->assigned != NULL)
        rd_kafka_assign(g->rk, NULL);
    rd_kafka_consumer_close(g->rk);
    rd_kafka_queue_destroy(g->events);
    rd_kafka_destroy(g->rk);
    g->rk = NULL;
}

static void
group_free(kf_group *g)
{
    for (guint i = 0; i < g->leaves->len; i++) {
        kf_order *order = g->leaves->pdata[i];
        kf_answer_give(order->answer, EMESH_OK, "");
        kf_order_free(order);
    }
    if (g->assigned != NULL)
        rd_kafka_topic_partition_list_destroy(g->assigned);
    g_ptr_array_unref(g->cursors);
    g_ptr_array_unref(g->topics);
    g_ptr_array_unref(g->places);
    g_ptr_array_unref(g->leaves);
    kf_inbox_clear(&g->inbox);
    g_free(g->name);
    g_free(g);
}

void *
kf_group_run(void *data)
{
    kf_group *g = data;
    kf_store *store = g->store;
    bool more = false;

    g->cursors = g_ptr_array_new();
    g->topics = g_ptr_array_new_with_free_func(linger_free);
    g->places = g_ptr_array_new();
    g->leaves = g_ptr_array_new();
    while (!begin_client(g) && !store->stopping)
        kf_inbox_sleep(&g->inbox, 1000);
    while (g->rk != NULL) {
        uint64_t now;
        kf_inbox_sleep(&g->inbox, more ? 0 : g->places->len > 0 ? 20 : IDLE_MS);
        obey_all(g);
        serve(g);
        now = kf_now(g);
        subscribe(g, now);
        kf_rebalance_turn(g, now);
        place_all(g, now);
        kf_settle_turn(g, now);
        look_topics(g, now);
        more = kf_feed(g);
        if (is_over(g))
            break;
    }
    end_client(g);
    kf_count(store, store->metrics.groups, -1);
    group_free(g);
    pthread_mutex_lock(&store->lock);
    store->n_groups--;
    pthread_cond_broadcast(&store->groups_gone);
    pthread_mutex_unlock(&store->lock);
    return NULL;
}
