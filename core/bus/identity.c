/* SPDX-License-Identifier: Apache-2.0
 *
 * The name of this mesh in correlation ids: an id made once and kept, and one for this life. [main]
 */
#include "bus/request.h"

#include <string.h>

#define KEY "id"

static void
found(void *ctx, const emesh_pair *pair)
{
    char *id = ctx;

    if (pair->value.len == 16)
        memcpy(id, pair->value.ptr, 16);
}

static void
written(void *ctx, int32_t code, const emesh_error *err)
{
    if (code != EMESH_OK)
        emesh_bus_warn(ctx, "bus", "could not keep the id of this daemon, it will have another after "
                       "the next start: %s", err != NULL ? err->text : "unknown error");
}

void
emesh_bus_identify(emesh_bus *bus)
{
    emesh_pair pair = { { KEY, strlen(KEY) }, { bus->daemon_id, 16 } };
    char life[9];

    memset(bus->daemon_id, 0, sizeof bus->daemon_id);
    if (bus->state != NULL)
        emesh_state_read(bus->state, "daemon:", KEY, strlen(KEY), found, bus->daemon_id);
    if (bus->daemon_id[0] == '\0') {
        g_snprintf(bus->daemon_id, sizeof bus->daemon_id, "%08x%08x", g_random_int(),
                   g_random_int());
        if (bus->state != NULL)
            emesh_state_write(bus->state, bus->main, "daemon:", &pair, 1, sizeof pair, written,
                              bus);
    }
    g_snprintf(life, sizeof life, "%08x", g_random_int());
    g_snprintf(bus->correlation, sizeof bus->correlation, "%s.%s.", bus->daemon_id, life);
}
