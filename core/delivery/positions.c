/* SPDX-License-Identifier: Apache-2.0
 *
 * Positions of groups on plain stores, in core's own LMDB: written each second and at close, read
 * when a partition begins. A store that claims GROUPS keeps its own, and core no copy.
 */
#include "delivery/sub.h"

#include <string.h>

/* store NUL topic NUL group NUL partition NUL */
static GString *
key_of(const emesh_sub *sub, const emesh_window *window)
{
    GString *key = g_string_new(NULL);

    g_string_append_len(key, sub->store->inst->name, (gssize)strlen(sub->store->inst->name) + 1);
    g_string_append_len(key, sub->topic->name, (gssize)sub->topic->name_len + 1);
    g_string_append_len(key, sub->group, (gssize)strlen(sub->group) + 1);
    g_string_append_len(key, window->name, (gssize)strlen(window->name) + 1);
    return key;
}

typedef struct loading {
    emesh_position position;
    bool found;
} loading;

static void
found(void *ctx, const emesh_pair *pair)
{
    loading *l = ctx;

    if (pair->value.len != sizeof l->position)
        return;
    memcpy(&l->position, pair->value.ptr, sizeof l->position);
    l->found = true;
}

bool
emesh_positions_load(emesh_sub *sub, const emesh_window *window, emesh_position *out)
{
    g_autoptr(GString) key = key_of(sub, window);
    loading l = { 0 };

    emesh_state_read(sub->owner->lane->bus->state, "pos:", key->str, key->len, found, &l);
    if (l.found)
        *out = l.position;
    return l.found;
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
        key = key_of(sub, window);
        pair = (emesh_pair){ { key->str, key->len }, { &window->floor, sizeof window->floor } };
        sub->saving++;
        emesh_state_write(lane->bus->state, lane->worker, "pos:", &pair, 1, sizeof pair, saved,
                          sub);
    }
}
