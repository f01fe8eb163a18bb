/* SPDX-License-Identifier: Apache-2.0
 *
 * The token of the HTTP administration. Only its hash is kept, so that no dump or log can show it,
 * and comparing takes the same time whatever is offered.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct emesh_token {
    uint8_t hash[32];
    int64_t stamp; /* of the file it is from */
} emesh_token;

/* Reads the file anew. false: error, out is untouched. */
bool emesh_token_load(emesh_token *out, const char *path, GError **error);
bool emesh_token_matches(const emesh_token *token, const char *offered, size_t len);
/* Changes when any of the files is replaced or written; NULL is no file. */
int64_t emesh_file_stamp(const char *path);
