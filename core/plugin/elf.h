/* SPDX-License-Identifier: Apache-2.0
 *
 * What a shared object says before any of its code runs.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct emesh_elf {
    uint32_t major, minor, oldest; /* of the note */
    bool has_note;
    bool has_entry;     /* exports emesh_plugin_entry_1 */
    bool links_glib;    /* names libglib-2.0 among the libraries it needs */
    char *second;       /* another exported symbol of the host's name space, or NULL */
    GPtrArray *foreign; /* char *: other exports */
} emesh_elf;

/* [any] Reads path through a mapping; fills out, which emesh_elf_clear() frees. error: NOT_FOUND or
 * NOT_ELF. st may be NULL. */
bool emesh_elf_read(const char *path, emesh_elf *out, struct stat *st, GError **error);
/* The same from memory, for fuzzing; false: why is a constant text. Every offset is checked. */
bool emesh_elf_parse(const uint8_t *bytes, size_t len, emesh_elf *out, const char **why);
void emesh_elf_clear(emesh_elf *elf);
/* [any] All that is refused without running the file: place and owner, note, versions, exports. */
bool emesh_elf_check(const char *path, emesh_elf *out, struct stat *st, GError **error);
