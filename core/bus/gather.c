/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking the lanes and the stores for listings.
 */
#include "bus/gather.h"
#include "bus/store.h"

#include <string.h>

typedef struct gather {
    emesh_job job;
    emesh_bus *bus;
    uint32_t next;
    void (*visit)(void *ctx, emesh_bus_lane *lane);
    void (*done)(void *ctx);
    void *ctx;
} gather;

static void gather_go(gather *g);

static void
gather_run(emesh_job *job)
{
    gather *g = (gather *)job;

    g->visit(g->ctx, g->bus->lanes[g->next++]);
    gather_go(g);
}

static void
gather_end(emesh_job *job)
{
    gather *g = (gather *)job;

    g->done(g->ctx);
    g_free(g);
}

static void
gather_go(gather *g)
{
    bool over = g->next == __atomic_load_n(&g->bus->n_lanes, __ATOMIC_ACQUIRE);

    g->job = (emesh_job){ .run = over ? gather_end : gather_run };
    emesh_worker_post(over ? g->bus->main : g->bus->lanes[g->next]->worker, &g->job);
}

void
emesh_gather(emesh_bus *bus, void (*visit)(void *ctx, emesh_bus_lane *lane),
             void (*done)(void *ctx), void *ctx)
{
    gather *g = g_new0(gather, 1);

    g->bus = bus;
    g->visit = visit;
    g->done = done;
    g->ctx = ctx;
    gather_go(g);
}

/* ---- stores ---- */

typedef struct listing {
    GArray *rows;
    uint32_t left;
    void (*done)(void *ctx, GArray *rows);
    void *ctx;
} listing;

typedef struct one_list {
    listing *all;
    emesh_store *store;
} one_list;

static void
listed_clear(void *data)
{
    emesh_listed *row = data;

    g_free(row->topic);
    g_free(row->group);
    g_free(row->partition);
    g_free(row->source);
}

static char *
text_of(emesh_slice slice)
{
    return g_strndup(slice.ptr != NULL ? slice.ptr : "", slice.ptr != NULL ? slice.len : 0);
}

static void *
rows_take(const emesh_inst *inst, const void *result)
{
    const emesh_rows *rows = result;
    GArray *out = g_array_new(FALSE, FALSE, sizeof(emesh_listed));

    g_array_set_clear_func(out, listed_clear);
    for (uint32_t i = 0; rows != NULL && i < rows->n; i++) {
        emesh_row row;
        emesh_listed listed;
        emesh_take(&row, sizeof row, rows->rows, inst->layout.row, i);
        listed = (emesh_listed){ .topic = text_of(row.topic),
                                 .group = text_of(row.group),
                                 .partition = text_of(row.partition),
                                 .source = text_of(row.source),
                                 .store = inst->bus,
                                 .first = row.first,
                                 .last = row.last,
                                 .committed = row.committed,
                                 .count = row.count,
                                 .bytes = row.bytes,
                                 .stored_ms = row.stored_ms,
                                 .flags = row.flags };
        g_array_append_val(out, listed);
    }
    return out;
}

static void
listing_less(listing *all)
{
    if (--all->left > 0)
        return;
    all->done(all->ctx, all->rows);
    g_array_unref(all->rows);
    g_free(all);
}

static void
list_done(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    one_list *one = ctx;
    GArray *rows = value;

    (void)err;
    if (code == EMESH_OK && rows != NULL && rows->len > 0) {
        g_array_append_vals(one->all->rows, rows->data, rows->len);
        g_array_set_clear_func(rows, NULL); /* moved */
    }
    if (rows != NULL)
        g_array_unref(rows);
    listing_less(one->all);
    g_free(one);
}

void
emesh_listed_add(GArray *rows, emesh_store *store, const char *topic, const char *group,
                 const char *partition, emesh_position committed)
{
    emesh_listed row = { .topic = g_strdup(topic),
                         .group = g_strdup(group),
                         .partition = g_strdup(partition),
                         .store = store,
                         .committed = committed,
                         .count = UINT64_MAX,
                         .bytes = UINT64_MAX };

    g_array_append_val(rows, row);
}

char *
emesh_position_text(emesh_position p)
{
    return p.hi == 0 ? g_strdup_printf("%" G_GUINT64_FORMAT, p.lo)
                     : g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, p.hi, p.lo);
}

void
emesh_list_ask(emesh_bus *bus, const emesh_store *only, const emesh_admin *ask,
               void (*done)(void *ctx, GArray *rows), void *ctx)
{
    listing *all = g_new0(listing, 1);

    all->rows = g_array_new(FALSE, FALSE, sizeof(emesh_listed));
    g_array_set_clear_func(all->rows, listed_clear);
    all->left = 1;
    all->done = done;
    all->ctx = ctx;
    for (uint32_t i = 0; i < bus->stores->len; i++) {
        emesh_store *store = bus->stores->pdata[i];
        one_list *one;
        if (store->inst->storage.admin == NULL || !store->ready || (only != NULL && store != only))
            continue;
        one = g_new0(one_list, 1);
        one->all = all;
        one->store = store;
        all->left++;
        store->inst->storage.admin(store->inst->self, ask,
                                   emesh_op_new(store->inst, bus->main, rows_take, list_done,
                                                one));
    }
    listing_less(all);
}

void
emesh_list_stores(emesh_bus *bus, uint32_t what, const char *topic,
                  void (*done)(void *ctx, GArray *rows), void *ctx)
{
    emesh_admin ask = { .size = sizeof ask, .what = what };

    if (topic != NULL)
        ask.topic = (emesh_slice){ topic, strlen(topic) };
    emesh_list_ask(bus, NULL, &ask, done, ctx);
}
