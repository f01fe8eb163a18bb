/* SPDX-License-Identifier: Apache-2.0
 *
 * Sections as they were read: entries in file order, each with its origin. Built by the one thread
 * that loads, constant afterwards.
 */
#pragma once
#include "config.h"

struct emesh_conf_section {
    char *kind;      /* "options" */
    char *name;      /* of [topic NAME]; NULL elsewhere */
    char *origin;    /* "FILE:LINE" of its header, or "FILE" where it has none */
    GArray *entries; /* emesh_conf_entry, texts owned */
};

emesh_conf_section *emesh_section_new(const char *kind, const char *name, const char *origin);
void emesh_section_add(emesh_conf_section *section, const char *key, const char *value, size_t len,
                       const char *origin);
void emesh_section_free(emesh_conf_section *section); /* wipes the values: some are secrets */
