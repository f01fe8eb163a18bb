/* SPDX-License-Identifier: Apache-2.0
 *
 * The key-file reader: bytes in, sections and entries with their lines out.
 *
 *   # comment, ; comment             at the start of a line, blanks before it allowed
 *   [section]  or  [topic NAME]
 *   key = value                      blanks around both are dropped; all to the line's end is value
 *   key = " value "                  quotes keep blanks; \\ \" \n \t inside them
 *
 * A value has no trailing comment: " #" in it is part of it.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMESH_CONF_FILE_MOST (1024u * 1024u)
#define EMESH_CONF_LINE_MOST (64u * 1024u)
#define EMESH_CONF_KEY_MOST 255u

/* Texts are NUL-terminated and borrowed for the call. */
typedef struct emesh_conf_reader {
    /* name is NULL in "[section]". False: the section is not wanted, its entries are skipped. */
    bool (*section)(void *ctx, uint32_t line, const char *kind, const char *name);
    void (*entry)(void *ctx, uint32_t line, const char *key, const char *value, size_t len);
    /* line 0: the whole file. key may be NULL. */
    void (*refuse)(void *ctx, uint32_t line, const char *key, const char *why);
} emesh_conf_reader;

void emesh_conf_read(const char *text, size_t len, const emesh_conf_reader *reader, void *ctx);
