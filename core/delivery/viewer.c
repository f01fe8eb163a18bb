/* SPDX-License-Identifier: Apache-2.0
 *
 * See viewer.h. The bite travels as one job, the answer to it as another: the reader stands still
 * while main looks.
 */
#include "delivery/viewer.h"
#include "bus/gather.h"
#include "event/event.h"

#include <string.h>

typedef struct viewer {
    emesh_job job;
    emesh_bus *bus;
    emesh_view_spec spec;
    char *topic, *group, *partition;
    emesh_browse *browse; /* while main looks at a bite */
    GArray *items;        /* of emesh_browsed */
    bool last, more, stop;
    uint64_t shown, looked;
    int32_t code;
    char *why;
} viewer;

static void
viewer_end(viewer *v, int32_t code, const char *why)
{
    v->spec.end(v->spec.ctx, code, why, v->more, v->looked);
    emesh_where_free(v->spec.where);
    g_array_unref(v->items);
    g_free(v->topic);
    g_free(v->group);
    g_free(v->partition);
    g_free(v->why);
    g_free(v);
}

/* [lane] */
static void
go_on(emesh_job *job)
{
    viewer *v = (viewer *)job;

    if (v->stop)
        emesh_browse_close(v->browse);
    else
        emesh_browse_more(v->browse);
}

static void
look(emesh_job *job)
{
    viewer *v = (viewer *)job;
    uint32_t i;

    for (i = 0; i < v->items->len && v->shown < v->spec.limit && v->looked < v->spec.most; i++) {
        const emesh_browsed *item = &g_array_index(v->items, emesh_browsed, i);
        v->looked++;
        if (item->event != NULL &&
            (v->spec.where == NULL || emesh_where_matches(v->spec.where, item->event)))
            v->shown += v->spec.show(v->spec.ctx, item);
    }
    v->stop = v->last || v->shown >= v->spec.limit || v->looked >= v->spec.most;
    v->more = v->stop && (!v->last || i < v->items->len);
    for (i = 0; i < v->items->len; i++)
        emesh_event_unref(g_array_index(v->items, emesh_browsed, i).event);
    g_array_set_size(v->items, 0);
    v->job = (emesh_job){ .run = go_on };
    emesh_worker_post(emesh_browse_lane(v->browse)->worker, &v->job);
}

static void
on_bite(void *ctx, emesh_browse *browse, const emesh_browsed *items, uint32_t n, bool last)
{
    viewer *v = ctx;

    g_array_append_vals(v->items, items, n);
    for (uint32_t i = 0; i < n; i++)
        if (items[i].event != NULL)
            emesh_event_ref(items[i].event);
    v->browse = browse;
    v->last = last;
    v->job = (emesh_job){ .run = look };
    emesh_worker_post(v->bus->main, &v->job);
}

static void
over(emesh_job *job)
{
    viewer *v = (viewer *)job;

    viewer_end(v, v->code, v->why);
}

static void
on_closed(void *ctx, int32_t code, const char *why)
{
    viewer *v = ctx;

    v->code = code;
    v->why = g_strdup(why);
    v->job = (emesh_job){ .run = over };
    emesh_worker_post(v->bus->main, &v->job);
}

static const emesh_browse_ops ops = { on_bite, on_closed };

static void
opened(void *ctx, emesh_bus_topic *topic, int32_t code, const char *why)
{
    viewer *v = ctx;
    emesh_browse_spec spec = { .topic = topic, .group = v->group, .partition = v->partition,
                               .start = v->spec.start, .ops = &ops, .ctx = v };

    if (topic == NULL)
        viewer_end(v, code, why);
    else if (v->spec.start.kind > EMESH_START_LATEST &&
             !emesh_store_can(topic->store, EMESH_STORE_CAN_REPLAY))
        viewer_end(v, EMESH_E_UNSUPPORTED, "the store of this topic can only read from the end");
    else
        emesh_browse_open(v->bus, &spec);
}

/* Opening makes what is absent, so look before. */
static void
listed(void *ctx, GArray *rows)
{
    viewer *v = ctx;
    bool known = g_hash_table_contains(v->bus->topics, v->topic);

    for (uint32_t i = 0; i < rows->len && !known; i++)
        known = strcmp(g_array_index(rows, emesh_listed, i).topic, v->topic) == 0;
    if (known)
        emesh_topic_open_main(v->bus, v->topic, strlen(v->topic), NULL, opened, v);
    else
        viewer_end(v, EMESH_E_NOT_FOUND, "there is no such topic");
}

void
emesh_view(emesh_bus *bus, const emesh_view_spec *spec)
{
    viewer *v = g_new0(viewer, 1);

    v->bus = bus;
    v->spec = *spec;
    v->topic = g_strdup(spec->topic);
    v->group = g_strdup(spec->group);
    v->partition = g_strdup(spec->partition);
    v->items = g_array_new(FALSE, FALSE, sizeof(emesh_browsed));
    emesh_list_stores(bus, EMESH_LIST_TOPICS, v->topic, listed, v);
}
