/* SPDX-License-Identifier: Apache-2.0
 *
 * Between JSON and attributes, for the admin face and eventmeshctl: arguments come as one JSON
 * object, rows leave as JSON objects.
 */
#pragma once
#include "eventmesh/event.h"
#include <json-glib/json-glib.h>
#include <stdbool.h>

/* A row as an object: INTEGER and BOOLEAN values as such, the rest as strings. Given. */
JsonObject *emesh_json_row(const emesh_attr *attrs, uint32_t n);
/* An object of strings, integers and booleans as attributes; NULL: error. Given: g_free. */
emesh_attr *emesh_json_args(const char *text, size_t len, uint32_t *n, GError **error);
/* Parses text of a stranger: UTF-8, at most 32 levels deep. NULL: error. Given. */
JsonNode *emesh_json_parse(const char *text, size_t len, GError **error);
/* One line of JSON. Given. */
char *emesh_json_text(JsonNode *node, bool pretty, gsize *len);
/* {"error":{"code":…,"name":…,"text":…}}. Given. */
char *emesh_json_error(int32_t code, const char *text, gsize *len);
/* The same with {"argument":…} where the record names an option. Given. */
char *emesh_json_error_of(int32_t code, const emesh_error *err, gsize *len);
/* "not-found" for EMESH_E_NOT_FOUND. */
const char *emesh_code_name(int32_t code);
