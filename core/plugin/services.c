/* SPDX-License-Identifier: Apache-2.0
 *
 * The register of service tables, filled by the daemon before the first instance, then only read.
 */
#include "plugin/inst.h"

#include <string.h>

struct emesh_services {
    GHashTable *tables; /* id → table */
};

emesh_services *
emesh_services_new(void)
{
    emesh_services *services = g_new0(emesh_services, 1);

    services->tables = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return services;
}

void
emesh_services_add(emesh_services *services, const char *id, const void *table)
{
    g_hash_table_insert(services->tables, g_strdup(id), (void *)(uintptr_t)table);
}

const void *
emesh_services_find(const emesh_services *services, const char *id)
{
    return g_hash_table_lookup(services->tables, id);
}

void
emesh_services_free(emesh_services *services)
{
    if (services == NULL)
        return;
    g_hash_table_unref(services->tables);
    g_free(services);
}
