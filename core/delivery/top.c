/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `top`: one row for the daemon, each topic, each group on a topic, and each session
 * that is slow or down. Counters are since start: who asks twice has rates. [main]
 */
#include "delivery/top.h"
#include "bus/findings.h"
#include "bus/note.h"
#include "daemon/daemon.h"
#include "delivery/groups.h"
#include "delivery/rest.h"

#include <string.h>

#define SLOW_MS 1000u /* its oldest un-acked event is older: its credit shrinks */

typedef struct top_group {
    char *topic, *group;
    const char *store;
    bool broadcast;
    uint64_t lag, oldest_ms;
    bool lag_known;
    uint32_t members, in_flight, ready, waiting, stowing, breakers, slow;
    uint64_t delivered, settled, retried, parked, buried, dropped, expired;
} top_group;

typedef struct top_session {
    char *who, *topic, *group;
    const char *state;
    uint32_t open, credit;
    uint64_t oldest_ms; /* how long it holds its oldest */
} top_session;

typedef struct top {
    emesh_bus *bus;
    emesh_command_reply *reply;
    GHashTable *groups; /* "topic\ngroup" → top_group */
    GArray *sessions;   /* top_session */
    emesh_lane_counts sum;
    uint32_t n_sessions, n_findings;
} top;

static void
group_free(void *data)
{
    top_group *g = data;

    g_free(g->topic);
    g_free(g->group);
    g_free(g);
}

static void
session_clear(void *data)
{
    top_session *s = data;

    g_free(s->who);
    g_free(s->topic);
    g_free(s->group);
}

static top_group *
group_of(top *t, const char *topic, const char *group, const char *store)
{
    g_autofree char *key = g_strconcat(topic, "\n", group, NULL);
    top_group *g = g_hash_table_lookup(t->groups, key);

    if (g != NULL)
        return g;
    g = g_new0(top_group, 1);
    g->topic = g_strdup(topic);
    g->group = g_strdup(group);
    g->store = store;
    g_hash_table_insert(t->groups, g_steal_pointer(&key), g);
    return g;
}

/* ---- on the lanes ---- */

static uint64_t
held_ms(const emesh_sub *sub, const emesh_consumer *c)
{
    uint64_t now = emesh_worker_now(sub->owner->lane->worker);

    if (c->open_head == 0)
        return 0;
    return (uint32_t)(now / 1000000u) - emesh_slot_at(&sub->slots, c->open_head - 1)->offered_ms;
}

static void
see_consumer(top *t, top_group *g, const emesh_sub *sub, const emesh_consumer *c)
{
    uint64_t held = held_ms(sub, c);
    bool down = c->probe_ns != 0, slow = held > SLOW_MS;
    char who[EMESH_WHO_TEXT];
    top_session s;

    g->members++;
    g->in_flight += c->open_events;
    g->breakers += down;
    g->slow += slow && !down;
    if (!down && !slow)
        return;
    s = (top_session){ .who = g_strdup(emesh_session_who(c->member->session, who)),
                       .topic = g_strdup(sub->topic->name),
                       .group = g_strdup(sub->group),
                       .state = down ? "breaker-open" : "slow",
                       .open = c->open_events,
                       .credit = emesh_consumer_credit(c),
                       .oldest_ms = held };
    g_array_append_val(t->sessions, s);
}

static uint64_t
oldest_stored(const emesh_sub *sub)
{
    uint64_t oldest = 0;

    for (uint32_t i = 0; i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        uint64_t stored =
            window->order.n == 0
                ? 0
                : emesh_slot_at(&sub->slots, emesh_queue_peek(&window->order))->stored_ms;
        if (stored != 0 && (oldest == 0 || stored < oldest))
            oldest = stored;
    }
    return oldest;
}

static void
add_tally(top_group *g, const emesh_tally *t)
{
    g->delivered += t->delivered;
    g->settled += t->settled;
    g->retried += t->retried;
    g->parked += t->parked;
    g->buried += t->buried;
    g->dropped += t->dropped;
    g->expired += t->expired;
}

static void
see_resting(void *ctx, const emesh_resting *r)
{
    top_group *g = group_of(ctx, r->topic->name, r->group, r->topic->store->inst->name);

    g->members += r->members;
    add_tally(g, r->tally);
}

static void
see(top *t, const emesh_sub *sub)
{
    top_group *g;
    uint64_t oldest = oldest_stored(sub);

    if (sub->role != NULL || (sub->consumers->len == 0 && sub->slots.used == 0))
        return; /* what its store says of it is enough */
    g = group_of(t, sub->topic->name, sub->group, sub->store->inst->name);
    g->broadcast |= sub->alone;
    for (uint32_t i = 0; i < sub->consumers->len; i++)
        see_consumer(t, g, sub, sub->consumers->pdata[i]);
    g->ready += sub->slots.ready;
    g->waiting += sub->waiting->len;
    g->stowing += sub->stows->len;
    add_tally(g, &sub->tally);
    if (oldest != 0 && (g->oldest_ms == 0 || oldest < g->oldest_ms))
        g->oldest_ms = oldest;
}

static void
visit(void *ctx, emesh_bus_lane *lane)
{
    top *t = ctx;
    GHashTableIter iter;
    void *sub;

    for (uint32_t k = 0; k < sizeof t->sum / sizeof(uint64_t); k++)
        ((uint64_t *)&t->sum)[k] += ((const uint64_t *)&lane->counts)[k];
    t->n_sessions += lane->sessions.length;
    g_hash_table_iter_init(&iter, lane->delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &sub))
        see(t, sub);
    emesh_rests_each(lane->delivery, see_resting, t);
    for (uint32_t i = 0; i < lane->delivery->alone->len; i++)
        see(t, lane->delivery->alone->pdata[i]);
}

/* ---- the answer ---- */

static void
count_finding(void *ctx, const emesh_finding *finding)
{
    (void)finding;
    (*(uint32_t *)ctx)++;
}

static void
daemon_row(top *t)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_findings_each(t->bus, count_finding, &t->n_findings);
    emesh_row_text(row, "kind", "daemon", -1);
    emesh_row_number(row, "at-ms", (uint64_t)g_get_real_time() / 1000u);
    emesh_row_number(row, "sessions", t->n_sessions);
    emesh_row_number(row, "published", t->sum.appended);
    emesh_row_number(row, "refused", t->sum.refused + t->sum.failed);
    emesh_row_number(row, "delivered", t->sum.delivered);
    emesh_row_number(row, "settled", t->sum.settled);
    emesh_row_number(row, "findings", t->n_findings);
    emesh_row_send(row, t->reply);
}

static int
by_topic_name(const void *a, const void *b)
{
    const emesh_bus_topic *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static void
topic_rows(top *t)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    void *topic;

    g_hash_table_iter_init(&iter, t->bus->topics);
    while (g_hash_table_iter_next(&iter, NULL, &topic))
        g_ptr_array_add(all, topic);
    g_ptr_array_sort(all, by_topic_name);
    for (uint32_t i = 0; i < all->len; i++) {
        const emesh_bus_topic *one = all->pdata[i];
        emesh_row_builder *row = emesh_row_new();
        emesh_row_text(row, "kind", "topic", -1);
        emesh_row_text(row, "topic", one->name, -1);
        emesh_row_text(row, "store", one->store->inst->name, -1);
        emesh_row_number(row, "published", __atomic_load_n(&one->published, __ATOMIC_RELAXED));
        emesh_row_number(row, "under-way", __atomic_load_n(&one->under_way, __ATOMIC_RELAXED));
        emesh_row_send(row, t->reply);
    }
}

static int
by_name(const void *a, const void *b)
{
    const top_group *const *x = a, *const *y = b;
    int order = strcmp((*x)->topic, (*y)->topic);

    return order != 0 ? order : strcmp((*x)->group, (*y)->group);
}

static void
group_row(top *t, const top_group *g)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000u;
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "kind", "group", -1);
    emesh_row_text(row, "topic", g->topic, -1);
    emesh_row_text(row, "group", g->broadcast ? "(broadcast)" : g->group, -1);
    emesh_row_text(row, "store", g->store, -1);
    emesh_row_number(row, "members", g->members);
    if (g->lag_known)
        emesh_row_number(row, "lag", g->lag);
    if (g->oldest_ms != 0)
        emesh_row_number(row, "age-ms", now > g->oldest_ms ? now - g->oldest_ms : 0);
    emesh_row_number(row, "in-flight", g->in_flight);
    emesh_row_number(row, "ready", g->ready);
    emesh_row_number(row, "waiting", g->waiting + g->stowing);
    emesh_row_number(row, "delivered", g->delivered);
    emesh_row_number(row, "settled", g->settled);
    emesh_row_number(row, "retried", g->retried);
    emesh_row_number(row, "parked", g->parked);
    emesh_row_number(row, "dead-letters", g->buried);
    emesh_row_number(row, "dropped", g->dropped + g->expired);
    emesh_row_number(row, "breakers", g->breakers);
    emesh_row_number(row, "slow", g->slow);
    emesh_row_send(row, t->reply);
}

static void
session_row(top *t, const top_session *s)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "kind", "session", -1);
    emesh_row_text(row, "session", s->who, -1);
    emesh_row_text(row, "state", s->state, -1);
    emesh_row_text(row, "topic", s->topic, -1);
    emesh_row_text(row, "group", s->group, -1);
    emesh_row_number(row, "open", s->open);
    emesh_row_number(row, "credit", s->credit);
    emesh_row_number(row, "held-ms", s->oldest_ms);
    emesh_row_send(row, t->reply);
}

static void
listed(void *ctx, GArray *rows)
{
    top *t = ctx;
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    GHashTableIter iter;
    void *group;

    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *r = &g_array_index(rows, emesh_listed, i);
        top_group *g = group_of(t, r->topic, r->group, r->store->inst->name);
        g->lag_known |= r->count != UINT64_MAX;
        g->lag += r->count != UINT64_MAX ? r->count : 0;
        if (r->stored_ms != 0 && (g->oldest_ms == 0 || r->stored_ms < g->oldest_ms))
            g->oldest_ms = r->stored_ms;
    }
    daemon_row(t);
    topic_rows(t);
    g_hash_table_iter_init(&iter, t->groups);
    while (g_hash_table_iter_next(&iter, NULL, &group))
        g_ptr_array_add(all, group);
    g_ptr_array_sort(all, by_name);
    for (uint32_t i = 0; i < all->len; i++)
        group_row(t, all->pdata[i]);
    for (uint32_t i = 0; i < t->sessions->len; i++)
        session_row(t, &g_array_index(t->sessions, top_session, i));
    t->reply->end(t->reply, EMESH_OK, NULL);
    g_hash_table_unref(t->groups);
    g_array_unref(t->sessions);
    g_free(t);
}

static void
visited(void *ctx)
{
    top *t = ctx;

    emesh_groups_list(t->bus, &(emesh_groups_query){ .topic = NULL }, listed, t);
}

static void
run_top(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    top *t = g_new0(top, 1);

    (void)args, (void)n;
    t->bus = emesh_daemon_bus(daemon);
    t->reply = reply;
    t->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, group_free);
    t->sessions = g_array_new(FALSE, FALSE, sizeof(top_session));
    g_array_set_clear_func(t->sessions, session_clear);
    emesh_gather(t->bus, visit, visited, t);
}

const emesh_command emesh_top_commands[] = {
    { "top", "", "counters of topics and groups, lag, age, and sessions that are slow", false,
      run_top },
    { NULL, NULL, NULL, false, NULL },
};
