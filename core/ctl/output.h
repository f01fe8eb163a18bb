/* SPDX-License-Identifier: Apache-2.0
 *
 * How commands print: rows as JSON when asked, else as tables.
 */
#pragma once
#include "ctl/ctl.h"
#include "ctl/table.h"

void ctl_print_json(ctl *c, JsonArray *rows);
void ctl_print_node(ctl *c, JsonNode *node);
/* One table of rows; `empty` is said when there are none. */
void ctl_print_table(ctl *c, JsonArray *rows, const char *kind, const ctl_column *columns,
                     const char *empty);
/* A table under a title, nothing when there is no row of that kind. */
void ctl_print_section(ctl *c, JsonArray *rows, const char *title, const char *kind,
                       const ctl_column *columns);
/* Asks verb (args may be NULL, is taken) and prints its rows, as JSON or as one table. */
int ctl_print_rows(ctl *c, const char *verb, JsonObject *args, const ctl_column *columns,
                   const char *empty);
/* First row of a kind, NULL when there is none. Borrowed. */
JsonObject *ctl_row_of_kind(JsonArray *rows, const char *kind);
