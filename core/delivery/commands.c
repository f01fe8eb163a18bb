/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrative commands about groups: what the stores keep, joined with who is here now.
 */
#include "delivery/commands.h"
#include "bus/gather.h"
#include "daemon/daemon.h"
#include "delivery/sub.h"

#include <string.h>

typedef struct live { /* one subscription, seen on its lane */
    char *topic, *group;
    const char *store;
    bool broadcast;
    uint32_t members, in_flight, ready;
    uint64_t delivered, settled, returned;
    uint64_t retried, parked, buried, expired, dropped, custody;
} live;

typedef struct groups {
    emesh_bus *bus;
    emesh_command_reply *reply;
    GArray *live;
} groups;

static void
live_clear(void *data)
{
    live *l = data;

    g_free(l->topic);
    g_free(l->group);
}

static void
see(groups *g, const emesh_sub *sub)
{
    live l = {
        .topic = g_strdup(sub->topic->name),
        .group = g_strdup(sub->group),
        .store = sub->store->inst->name,
        .broadcast = sub->alone,
        .members = sub->consumers->len,
        .ready = sub->slots.ready,
        .delivered = sub->delivered,
        .settled = sub->settled,
        .returned = sub->returned,
        .retried = sub->retried,
        .parked = sub->parked,
        .buried = sub->buried,
        .expired = sub->expired,
        .dropped = sub->dropped,
        .custody = sub->custody,
    };

    for (uint32_t i = 0; i < sub->consumers->len; i++)
        l.in_flight += ((emesh_consumer *)sub->consumers->pdata[i])->open_events;
    g_array_append_val(g->live, l);
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
}

static void
send_row(groups *g, const char *group, const char *topic, const char *store,
         const emesh_listed *kept, const live *l)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "group", group, -1);
    emesh_row_text(row, "topic", topic, -1);
    emesh_row_text(row, "store", store, -1);
    emesh_row_text(row, "mode", l != NULL && l->broadcast ? "broadcast" : "clustering", -1);
    emesh_row_number(row, "members", l != NULL ? l->members : 0);
    if (kept != NULL && kept->count != UINT64_MAX)
        emesh_row_number(row, "lag", kept->count);
    if (kept != NULL)
        emesh_row_number(row, "floor", kept->committed.lo);
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

    return order != 0 ? order : strcmp(x->topic, y->topic);
}

static void
listed(void *ctx, GArray *rows)
{
    groups *g = ctx;

    g_array_sort(rows, by_group);
    for (uint32_t i = 0; i < rows->len; i++) {
        const emesh_listed *kept = &g_array_index(rows, emesh_listed, i);
        const live *found = NULL;
        for (uint32_t k = 0; k < g->live->len; k++) {
            live *l = &g_array_index(g->live, live, k);
            if (!l->broadcast && strcmp(l->group, kept->group) == 0 &&
                strcmp(l->topic, kept->topic) == 0) {
                found = l;
                l->store = NULL; /* shown */
            }
        }
        send_row(g, kept->group, kept->topic, kept->store->inst->name, kept, found);
    }
    for (uint32_t k = 0; k < g->live->len; k++) {
        live *l = &g_array_index(g->live, live, k);
        if (l->store != NULL)
            send_row(g, l->group, l->topic, l->store, NULL, l);
    }
    g->reply->end(g->reply, EMESH_OK, NULL);
    g_array_unref(g->live);
    g_free(g);
}

static void
visited(void *ctx)
{
    groups *g = ctx;

    emesh_list_stores(g->bus, EMESH_LIST_GROUPS, NULL, listed, g);
}

static void
group_list(emesh_daemon *daemon, const emesh_attr *args, uint32_t n, emesh_command_reply *reply)
{
    groups *g = g_new0(groups, 1);

    (void)args, (void)n;
    g->bus = emesh_daemon_bus(daemon);
    g->reply = reply;
    g->live = g_array_new(FALSE, FALSE, sizeof(live));
    g_array_set_clear_func(g->live, live_clear);
    emesh_gather(g->bus, visit, visited, g);
}

const emesh_command emesh_delivery_commands[] = {
    { "group.list", "", "groups with position, lag and members", false, group_list },
    { NULL, NULL, NULL, false, NULL },
};
