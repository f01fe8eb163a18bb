/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps the entries of one section, for the life of the configuration that holds it.
 */
#include "section.h"
#include <string.h>

emesh_conf_section *
emesh_section_new(const char *kind, const char *name, const char *origin)
{
    emesh_conf_section *section = g_new0(emesh_conf_section, 1);
    section->kind = g_strdup(kind);
    section->name = g_strdup(name);
    section->origin = g_strdup(origin);
    section->entries = g_array_new(FALSE, FALSE, sizeof(emesh_conf_entry));
    return section;
}

void
emesh_section_add(emesh_conf_section *section, const char *key, const char *value, size_t len,
                  const char *origin)
{
    const emesh_conf_entry entry = { .key = g_strdup(key),
                                     .value = g_strndup(value, len),
                                     .origin = g_strdup(origin),
                                     .value_len = len };
    g_array_append_val(section->entries, entry);
}

void
emesh_section_free(emesh_conf_section *section)
{
    if (section == NULL)
        return;
    for (uint32_t i = 0; i < section->entries->len; i++) {
        emesh_conf_entry *entry = &g_array_index(section->entries, emesh_conf_entry, i);
        char *value = (char *)(uintptr_t)entry->value;
        explicit_bzero(value, entry->value_len);
        g_free(value);
        g_free((char *)(uintptr_t)entry->key);
        g_free((char *)(uintptr_t)entry->origin);
    }
    g_array_free(section->entries, TRUE);
    g_free(section->kind);
    g_free(section->name);
    g_free(section->origin);
    g_free(section);
}

uint32_t
emesh_conf_section_n(const emesh_conf_section *section)
{
    return section != NULL ? section->entries->len : 0;
}

emesh_conf_entry
emesh_conf_section_at(const emesh_conf_section *section, uint32_t i)
{
    g_assert(i < emesh_conf_section_n(section));
    return g_array_index(section->entries, emesh_conf_entry, i);
}
