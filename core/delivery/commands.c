/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrative commands about groups: what the stores keep, joined with who is here now.
 */
#include "delivery/commands.h"
#include "bus/session.h"
#include "daemon/daemon.h"
#include "delivery/forget.h"
#include "delivery/groups.h"
#include "delivery/rest.h"

#include <string.h>

typedef struct live { /* one subscription, seen on its lane */
    char *topic, *group;
    const char *store;
    bool broadcast, shown;
    uint32_t members, breakers, in_flight, ready;
    uint64_t oldest_ms; /* when the oldest event in its windows was stored; 0: none */
    uint64_t delivered, settled, returned;
    uint64_t retried, parked, buried, expired, dropped, custody;
} live;

typedef struct groups {
    emesh_bus *bus;
    emesh_command_reply *reply;
    char *only; /* this group alone; NULL: all */
    bool own;   /* the daemon's own topics too */
    GArray *live;
    GPtrArray *members;   /* show: member */
    GHashTable *sessions; /* show: id → session_seen, of those that have subscriptions */
} groups;

typedef struct session_seen {
    uint64_t id;
    char *instance, *peer, *client;
} session_seen;

typedef struct member { /* of a shown group */
    uint64_t session;
    char *topic;
    const char *state;
    bool broadcast;
    uint32_t open, credit, window;
} member;

static void
live_clear(void *data)
{
    live *l = data;

    g_free(l->topic);
    g_free(l->group);
}

static void
member_free(void *data)
{
    member *m = data;

    g_free(m->topic);
    g_free(m);
}

static void
session_free(void *data)
{
    session_seen *s = data;

    g_free(s->instance);
    g_free(s->peer);
    g_free(s->client);
    g_free(s);
}

static const char *
state_of(const emesh_consumer *c)
{
    return c->leaving                                      ? "leaving"
           : c->probe_ns != 0                              ? "breaker-open"
           : c->window_events == 0                         ? "paused"
           : c->open_events >= c->window_events            ? "full"
                                                           : "ready";
}

static void
see_members(groups *g, const emesh_sub *sub)
{
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        const emesh_consumer *c = sub->consumers->pdata[i];
        member *m = g_new0(member, 1);
        *m = (member){ .session = c->session,
                       .topic = g_strdup(sub->topic->name),
                       .state = state_of(c),
                       .broadcast = sub->alone,
                       .open = c->open_events,
                       .credit = emesh_consumer_credit(c),
                       .window = c->window_events };
        g_ptr_array_add(g->members, m);
    }
}

/* When the oldest of what is not settled was stored. */
static uint64_t
oldest_of(const emesh_sub *sub)
{
    uint64_t oldest = 0;

    for (uint32_t i = 0; i < sub->windows->len; i++) {
        const emesh_window *window = sub->windows->pdata[i];
        const emesh_slot *slot;
        if (window->order.n == 0)
            continue;
        slot = emesh_slot_at(&sub->slots, emesh_queue_peek(&window->order));
        if (slot->stored_ms != 0 && (oldest == 0 || slot->stored_ms < oldest))
            oldest = slot->stored_ms;
    }
    return oldest;
}

static void
take_tally(live *l, const emesh_tally *t)
{
    l->delivered = t->delivered;
    l->settled = t->settled;
    l->returned = t->returned;
    l->retried = t->retried;
    l->parked = t->parked;
    l->buried = t->buried;
    l->expired = t->expired;
    l->dropped = t->dropped;
    l->custody = t->custody;
}

static void
see(groups *g, const emesh_sub *sub)
{
    if (g->only != NULL && strcmp(g->only, sub->group) != 0)
        return;
    if (g->members != NULL)
        see_members(g, sub);
    live l = {
        .topic = g_strndup(sub->topic->name, sub->topic->store_len),
        .group = g_strdup(sub->group),
        .store = sub->store->inst->name,
        .broadcast = sub->alone,
        .members = sub->consumers->len,
        .ready = sub->slots.ready,
        .oldest_ms = oldest_of(sub),
    };

    take_tally(&l, &sub->tally);
    for (uint32_t i = 0; i < sub->consumers->len; i++) {
        const emesh_consumer *c = sub->consumers->pdata[i];
        l.in_flight += c->open_events;
        l.breakers += c->probe_ns != 0;
    }
    g_array_append_val(g->live, l);
}

static void
see_resting(void *ctx, const emesh_resting *r)
{
    groups *g = ctx;
    live l = { .topic = NULL };

    if (g->only != NULL && strcmp(g->only, r->group) != 0)
        return;
    for (uint32_t i = 0; g->members != NULL && i < r->members; i++) {
        const emesh_session *s = r->member[i]->session;
        uint32_t window = __atomic_load_n(&r->member[i]->window_events, __ATOMIC_RELAXED);
        uint32_t credit = __atomic_load_n(&s->credit->events, __ATOMIC_RELAXED);
        member *m = g_new0(member, 1);
        *m = (member){ .session = s->id,
                       .topic = g_strdup(r->topic->name),
                       .state = window == 0 ? "paused" : "ready",
                       .credit = MIN(credit, window),
                       .window = window };
        g_ptr_array_add(g->members, m);
    }
    l = (live){ .topic = g_strdup(r->topic->name),
                .group = g_strdup(r->group),
                .store = r->topic->store->inst->name,
                .members = r->members };
    take_tally(&l, r->tally);
    g_array_append_val(g->live, l);
}

static void
see_session(groups *g, const emesh_session *s)
{
    session_seen *seen;

    if (s->n_members == 0)
        return;
    seen = g_new0(session_seen, 1);
    *seen = (session_seen){ s->id, g_strdup(s->inst->name), g_strdup(s->peer),
                            g_strdup(s->client) };
    g_hash_table_replace(g->sessions, &seen->id, seen);
}

static void
visit(void *ctx, emesh_bus_lane *lane)
{
    groups *g = ctx;
    GHashTableIter iter;
    void *sub;

    g_hash_table_iter_init(&iter, lane->delivery->subs);
    while (g_hash_table_iter_next(&iter, NULL, &sub))
        see(g, sub);
    for (uint32_t i = 0; i < lane->delivery->alone->len; i++)
        see(g, lane->delivery->alone->pdata[i]);
    emesh_rests_each(lane->delivery, see_resting, g);
    for (GList *link = lane->sessions.head; g->sessions != NULL && link != NULL; link = link->next)
        see_session(g, link->data);
}

/* What the store says of all partitions of one group and topic, as one. */
typedef struct kept {
    uint64_t lag;
    uint32_t partitions;
    bool known; /* the lag is */
    uint64_t oldest_ms; /* of what is not settled; 0: unknown, or none */
    emesh_position floor;
} kept;

/* How long ago the oldest event was stored that is not settled, as in `top`. */
static void
age_of(emesh_row_builder *row, uint64_t stored_ms)
{
    uint64_t now = (uint64_t)g_get_real_time() / 1000;

    if (stored_ms != 0)
        emesh_row_number(row, "age-ms", now > stored_ms ? now - stored_ms : 0);
}

static void
send_row(groups *g, const char *group, const char *topic, const char *store, const kept *k,
         const live *l)
{
    emesh_row_builder *row;

    if (!g->own && g->only == NULL && emesh_is_closed_topic(topic, strlen(topic)))
        return;
    row = emesh_row_new();
    if (g->only != NULL)
        emesh_row_text(row, "kind", "topic", -1);
    emesh_row_text(row, "group", group, -1);
    emesh_row_text(row, "topic", topic, -1);
    emesh_row_text(row, "store", store, -1);
    emesh_row_text(row, "mode",
                   l != NULL && l->broadcast              ? "broadcast"
                   : group[emesh_group_base(group)] != 0 ? "broadcast, durable"
                                                          : "clustering",
                   -1);
    emesh_row_number(row, "members", l != NULL ? l->members : 0);
    emesh_row_number(row, "breakers", l != NULL ? l->breakers : 0);
    if (k != NULL && k->known)
        emesh_row_number(row, "lag", k->lag);
    if (k != NULL && k->oldest_ms != 0)
        age_of(row, k->oldest_ms);
    else if (l != NULL)
        age_of(row, l->oldest_ms);
    if (k != NULL && k->partitions == 1)
        emesh_row_number(row, "floor", k->floor.lo);
    emesh_row_number(row, "in-flight", l != NULL ? l->in_flight : 0);
    emesh_row_number(row, "ready", l != NULL ? l->ready : 0);
    emesh_row_number(row, "delivered", l != NULL ? l->delivered : 0);
    emesh_row_number(row, "settled", l != NULL ? l->settled : 0);
    emesh_row_number(row, "returned", l != NULL ? l->returned : 0);
    emesh_row_number(row, "retried", l != NULL ? l->retried : 0);
    emesh_row_number(row, "parked", l != NULL ? l->parked : 0);
    emesh_row_number(row, "custody", l != NULL ? l->custody : 0);
    emesh_row_number(row, "dead-letters", l != NULL ? l->buried : 0);
    emesh_row_number(row, "expired", l != NULL ? l->expired : 0);
    emesh_row_number(row, "dropped", l != NULL ? l->dropped : 0);
    emesh_row_send(row, g->reply);
}

static int
by_group(const void *a, const void *b)
{
    const emesh_listed *x = a, *y = b;
    int order = strcmp(x->group, y->group);

    order = order != 0 ? order : strcmp(x->topic, y->topic);
    return order != 0 ? order : g_ascii_strcasecmp(x->partition, y->partition);
}

static const live *
live_of(groups *g, const emesh_listed *listed)
{
    for (uint32_t k = 0; k < g->live->len; k++) {
        live *l = &g_array_index(g->live, live, k);
        if (!l->broadcast && l->store != NULL && strcmp(l->group, listed->group) == 0 &&
            strcmp(l->topic, listed->topic) == 0) {
            l->shown = true;
            return l;
        }
    }
    return NULL;
}

static void
partition_row(groups *g, const emesh_listed *listed)
{
    emesh_row_builder *row = emesh_row_new();
    g_autofree char *floor = emesh_position_text(listed->committed);

    emesh_row_text(row, "kind", "partition", -1);
    emesh_row_text(row, "topic", listed->topic, -1);
    emesh_row_text(row, "partition", listed->partition, -1);
    emesh_row_text(row, "floor", floor, -1);
    if (listed->count != UINT64_MAX)
        emesh_row_number(row, "lag", listed->count);
    age_of(row, listed->stored_ms);
    emesh_row_send(row, g->reply);
}

static void
member_rows(groups *g)
{
    for (uint32_t i = 0; i < g->members->len; i++) {
        const member *m = g->members->pdata[i];
        const session_seen *s = g_hash_table_lookup(g->sessions, &m->session);
        emesh_row_builder *row = emesh_row_new();
        g_autofree char *id = g_strdup_printf("%016" G_GINT64_MODIFIER "x", m->session);

        emesh_row_text(row, "kind", "member", -1);
        emesh_row_text(row, "topic", m->topic, -1);
        emesh_row_text(row, "id", id, -1);
        emesh_row_text(row, "mode", m->broadcast ? "broadcast" : "clustering", -1);
        emesh_row_text(row, "state", m->state, -1);
        emesh_row_number(row, "open", m->open);
        emesh_row_number(row, "credit", m->credit);
        emesh_row_number(row, "window", m->window);
        emesh_row_text(row, "instance", s != NULL ? s->instance : "", -1);
        emesh_row_text(row, "peer", s != NULL && s->peer != NULL ? s->peer : "", -1);
        emesh_row_text(row, "client", s != NULL && s->client != NULL ? s->client : "", -1);
        emesh_row_send(row, g->reply);
    }
}

static void
groups_end(groups *g, bool any)
{
    if (g->only != NULL && !any)
        emesh_command_fail(g->reply, EMESH_E_NOT_FOUND, "there is no group \"%s\"", g->only);
    else
        g->reply->end(g->reply, EMESH_OK, NULL);
    g_array_unref(g->live);
    g_clear_pointer(&g->members, g_ptr_array_unref);
    g_clear_pointer(&g->sessions, g_hash_table_unref);
    g_free(g->only);
    g_free(g);
}

static void
listed(void *ctx, GArray *rows)
{
    groups *g = ctx;
    bool any = rows->len > 0;

    g_array_sort(rows, by_group);
    for (uint32_t i = 0, n; i < rows->len; i += n) {
        const emesh_listed *first = &g_array_index(rows, emesh_listed, i);
        kept k = { .known = true, .floor = first->committed };
        for (n = 0; i + n < rows->len; n++) {
            const emesh_listed *one = &g_array_index(rows, emesh_listed, i + n);
            if (strcmp(one->group, first->group) != 0 || strcmp(one->topic, first->topic) != 0)
                break;
            k.partitions++;
            k.known &= one->count != UINT64_MAX;
            k.lag += one->count;
            if (one->stored_ms != 0 && (k.oldest_ms == 0 || one->stored_ms < k.oldest_ms))
                k.oldest_ms = one->stored_ms;
        }
        send_row(g, first->group, first->topic, first->store->inst->name, &k, live_of(g, first));
    }
    for (uint32_t k = 0; k < g->live->len; k++) {
        const live *l = &g_array_index(g->live, live, k);
        any = true;
        if (!l->shown)
            send_row(g, l->group, l->topic, l->store, NULL, l);
    }
    for (uint32_t i = 0; g->only != NULL && i < rows->len; i++)
        partition_row(g, &g_array_index(rows, emesh_listed, i));
    if (g->only != NULL)
        member_rows(g);
    groups_end(g, any);
}

static void
visited(void *ctx)
{
    groups *g = ctx;

    emesh_groups_list(g->bus, &(emesh_groups_query){ .group = g->only }, listed, g);
}

static groups *
groups_new(emesh_daemon *daemon, emesh_command_reply *reply)
{
    groups *g = g_new0(groups, 1);

    g->bus = emesh_daemon_bus(daemon);
    g->reply = reply;
    g->live = g_array_new(FALSE, FALSE, sizeof(live));
    g_array_set_clear_func(g->live, live_clear);
    return g;
}

static void
group_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    groups *g = groups_new(daemon, reply);

    g->own = emesh_command_arg(args, n, "all").len > 0;
    emesh_gather(g->bus, visit, visited, g);
}

static void
group_show(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    groups *g = groups_new(daemon, reply);

    g->only = emesh_command_text(args, n, "group");
    g->members = g_ptr_array_new_with_free_func(member_free);
    g->sessions = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, session_free);
    emesh_gather(g->bus, visit, visited, g);
}

const emesh_command emesh_delivery_commands[] = {
    { "group.list", "all?", "groups with position, lag and members", false, group_list },
    { "group.show", "group", "a group: its topics, partitions and members", false, group_show },
    { NULL, NULL, NULL, false, NULL },
};
