/* SPDX-License-Identifier: Apache-2.0
 *
 * Positions of groups on plain stores, in core's own LMDB: written each second and at close, read
 * when a partition begins. A store that claims GROUPS keeps its own, and core no copy.
 */
#include "delivery/sub.h"

#include <string.h>

/* store NUL topic NUL group NUL partition NUL. An empty partition: all that have no place of their
 * own. A place is a position, behind which the group goes on, or as emesh_start tells it. */
static GString *
key_new(const char *store, const char *topic, const char *group, const char *partition)
{
    GString *key = g_string_new(NULL);

    g_string_append_len(key, store, (gssize)strlen(store) + 1);
    g_string_append_len(key, topic, (gssize)strlen(topic) + 1);
    g_string_append_len(key, group, (gssize)strlen(group) + 1);
    if (partition != NULL)
        g_string_append_len(key, partition, (gssize)strlen(partition) + 1);
    return key;
}

static GString *
key_of(const emesh_sub *sub, const char *partition)
{
    g_autofree char *topic = g_strndup(sub->topic->name, sub->topic->store_len);

    return key_new(sub->store->inst->name, topic, sub->group, partition);
}

static bool
place_read(const emesh_pair *pair, emesh_start *out)
{
    *out = (emesh_start){ .size = sizeof *out, .kind = EMESH_START_AFTER };
    if (pair->value.len == sizeof out->position)
        memcpy(&out->position, pair->value.ptr, sizeof out->position);
    else if (pair->value.len == sizeof *out)
        memcpy(out, pair->value.ptr, sizeof *out);
    else
        return false;
    return true;
}

typedef struct loading {
    emesh_start start;
    bool found;
} loading;

static void
found(void *ctx, const emesh_pair *pair)
{
    loading *l = ctx;

    l->found = place_read(pair, &l->start);
}

bool
emesh_positions_find(emesh_bus *bus, const char *store, const char *topic, const char *group,
                     const char *partition, emesh_start *out)
{
    const char *const names[] = { partition, "" };
    loading l = { .found = false };

    for (uint32_t i = 0; i < G_N_ELEMENTS(names) && !l.found; i++) {
        g_autoptr(GString) key = key_new(store, topic, group, names[i]);
        emesh_state_read(bus->state, "pos:", key->str, key->len, found, &l);
    }
    if (l.found)
        *out = l.start;
    return l.found;
}

bool
emesh_positions_load(emesh_sub *sub, const emesh_window *window, emesh_start *out)
{
    return emesh_positions_find(sub->owner->lane->bus, sub->store->inst->name, sub->topic->name,
                                sub->group, window->name, out);
}

static void
put_done(void *ctx, int32_t code, const emesh_error *err)
{
    if (code != EMESH_OK)
        emesh_bus_warn(ctx, "delivery", "a position was not saved and will repeat: %s",
                       err != NULL ? err->text : "unknown error");
}

void
emesh_positions_put(emesh_bus *bus, emesh_worker *home, const char *store, const char *topic,
                    const char *group, const char *partition, emesh_position position)
{
    g_autoptr(GString) key = key_new(store, topic, group, partition);
    emesh_pair pair = { { key->str, key->len }, { &position, sizeof position } };

    emesh_state_write(bus->state, home, "pos:", &pair, 1, sizeof pair, put_done, bus);
}

static void
saved(void *ctx, int32_t code, const emesh_error *err)
{
    emesh_sub *sub = ctx;

    if (code != EMESH_OK)
        emesh_bus_warn(sub->owner->lane->bus, "delivery", "positions of groups were not saved and will repeat after a "
                   "restart: %s", err != NULL ? err->text : "unknown error");
    if (--sub->saving == 0)
        emesh_sub_saved(sub);
}

void
emesh_positions_save(emesh_alarm *alarm)
{
    emesh_sub *sub = (emesh_sub *)((char *)alarm - offsetof(emesh_sub, save));
    emesh_bus_lane *lane = sub->owner->lane;

    for (uint32_t i = 0; i < sub->windows->len; i++) {
        emesh_window *window = sub->windows->pdata[i];
        g_autoptr(GString) key = NULL;
        emesh_pair pair;

        if (!window->floor_moved || window->number == UINT32_MAX)
            continue;
        window->floor_moved = false;
        key = key_of(sub, window->name);
        pair = (emesh_pair){ { key->str, key->len }, { &window->floor, sizeof window->floor } };
        sub->saving++;
        emesh_state_write(lane->bus->state, lane->worker, "pos:", &pair, 1, sizeof pair, saved,
                          sub);
    }
}

/* ---- moved by an administrator ---- */

static void
collect(void *ctx, const emesh_pair *pair)
{
    g_ptr_array_add(ctx, g_bytes_new(pair->key.ptr, pair->key.len));
}

void
emesh_positions_move(emesh_bus *bus, const char *store, const char *topic, const char *group,
                     const char *partition, const emesh_start *to,
                     void (*done)(void *ctx, int32_t code, const emesh_error *err), void *ctx)
{
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GString) all = key_new(store, topic, group, partition);
    g_autoptr(GString) one = key_new(store, topic, group, partition != NULL ? partition : "");
    g_autoptr(GArray) pairs = g_array_new(FALSE, FALSE, sizeof(emesh_pair));
    emesh_pair place = { { one->str, one->len }, { to, sizeof *to } };

    emesh_state_read(bus->state, "pos:", all->str, all->len, collect, old);
    for (uint32_t i = 0; i < old->len; i++) {
        emesh_pair gone = { { NULL, 0 }, { NULL, 0 } };
        gone.key.ptr = g_bytes_get_data(old->pdata[i], &gone.key.len);
        g_array_append_val(pairs, gone);
    }
    if (to != NULL)
        g_array_append_val(pairs, place);
    if (pairs->len == 0) {
        done(ctx, EMESH_OK, NULL);
        return;
    }
    emesh_state_write(bus->state, bus->main, "pos:", (const emesh_pair *)(void *)pairs->data,
                      pairs->len, sizeof place, done, ctx);
}

typedef struct visiting {
    void (*visit)(void *ctx, const char *store, const char *topic, const char *group,
                  const char *partition, const emesh_start *place);
    void *ctx;
} visiting;

static void
visit_pair(void *ctx, const emesh_pair *pair)
{
    const visiting *v = ctx;
    const char *part[4], *at = pair->key.ptr, *last = at + pair->key.len;
    emesh_start place;

    for (uint32_t i = 0; i < G_N_ELEMENTS(part); i++) {
        const char *nul = at < last ? memchr(at, '\0', (size_t)(last - at)) : NULL;
        if (nul == NULL)
            return;
        part[i] = at;
        at = nul + 1;
    }
    if (place_read(pair, &place))
        v->visit(v->ctx, part[0], part[1], part[2], part[3], &place);
}

void
emesh_positions_each(emesh_bus *bus,
                     void (*visit)(void *ctx, const char *store, const char *topic,
                                   const char *group, const char *partition,
                                   const emesh_start *place),
                     void *ctx)
{
    visiting v = { visit, ctx };

    emesh_state_read(bus->state, "pos:", "", 0, visit_pair, &v);
}
