/* SPDX-License-Identifier: Apache-2.0
 *
 * Listing the places of groups: what the stores say, and what core keeps for plain stores. [main]
 */
#include "delivery/groups.h"
#include "delivery/sub.h"

#include <string.h>

typedef struct listing {
    emesh_bus *bus;
    const emesh_store *store;
    char *topic, *group;
    GArray *rows; /* while the kept ones are added */
    void (*done)(void *ctx, GArray *rows);
    void *ctx;
} listing;

static void
kept(void *ctx, const char *store, const char *topic, const char *group, const char *partition,
     const emesh_start *place)
{
    listing *l = ctx;

    if ((l->topic != NULL && strcmp(l->topic, topic) != 0) ||
        (l->group != NULL && strcmp(l->group, group) != 0))
        return;
    for (uint32_t i = 0; i < l->bus->stores->len; i++) {
        emesh_store *s = l->bus->stores->pdata[i];
        if (strcmp(s->inst->name, store) == 0 && (l->store == NULL || l->store == s) &&
            !emesh_store_can(s, EMESH_STORE_CAN_GROUPS))
            emesh_listed_add(l->rows, s, topic, group, partition, place->position);
    }
}

static void
listed(void *ctx, GArray *rows)
{
    listing *l = ctx;

    l->rows = rows;
    emesh_positions_each(l->bus, kept, l);
    l->done(l->ctx, rows);
    g_free(l->topic);
    g_free(l->group);
    g_free(l);
}

void
emesh_groups_list(emesh_bus *bus, const emesh_groups_query *query,
                  void (*done)(void *ctx, GArray *rows), void *ctx)
{
    listing *l = g_new0(listing, 1);
    emesh_admin ask = { .size = sizeof ask, .what = EMESH_LIST_GROUPS, .start = query->start };

    l->bus = bus;
    l->store = query->store;
    l->topic = g_strdup(query->topic);
    l->group = g_strdup(query->group);
    l->done = done;
    l->ctx = ctx;
    if (query->topic != NULL)
        ask.topic = (emesh_slice){ query->topic, strlen(query->topic) };
    if (query->group != NULL)
        ask.group = (emesh_slice){ query->group, strlen(query->group) };
    emesh_list_ask(bus, query->store, &ask, listed, l);
}
