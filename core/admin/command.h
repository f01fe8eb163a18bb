/* SPDX-License-Identifier: Apache-2.0
 *
 * Administrative commands: one registry of verbs ("status", "topic.create", …), used by the admin
 * socket, by eventmeshctl behind it, and by the client service's command(). Each room exports a
 * table of its verbs; registry.c lists the tables. A handler runs on [main] and answers with rows,
 * then one end; it may answer later.
 */
#pragma once
#include "eventmesh/base.h"
#include "io/worker.h"
#include <glib.h>
#include <stdbool.h>

typedef struct emesh_daemon emesh_daemon;
typedef struct emesh_command_reply emesh_command_reply; /* whoever called; opaque to handlers */

struct emesh_command_reply {
    void (*row)(emesh_command_reply *reply, const emesh_attr *attrs, uint32_t n);  /* [main] */
    void (*end)(emesh_command_reply *reply, int32_t code, const emesh_error *err); /* [main] once */
};

typedef struct emesh_command {
    const char *verb;
    const char *args; /* "name partitions?": known argument names, ? = optional */
    const char *help; /* one line */
    bool changes;     /* alters something */
    void (*run)(emesh_daemon *daemon, const emesh_attr *args, uint32_t n,
                emesh_command_reply *reply);
} emesh_command;

/* NULL-terminated list of tables, each ended by a NULL verb. */
const emesh_command *const *emesh_command_tables(void);
const emesh_command *emesh_command_find(const char *verb); /* NULL: no such verb */
/* [main] Finds the verb, checks args, runs it. */
void emesh_command_run(emesh_daemon *daemon, const char *verb, const emesh_attr *args, uint32_t n,
                       emesh_command_reply *reply);
/* Argument by name, or an empty slice. */
emesh_slice emesh_command_arg(const emesh_attr *args, uint32_t n, const char *name);
/* Argument by name as text; NULL when absent. Given. */
char *emesh_command_text(const emesh_attr *args, uint32_t n, const char *name);
/* Ends a reply with a formatted refusal. */
void emesh_command_fail(emesh_command_reply *reply, int32_t code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The same for one argument that is wrong. */
void emesh_command_refuse(emesh_command_reply *reply, const char *argument, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Where HTTP has a command, "/v1/topic" for topic.list, topic.create and topic.delete, "/v1/topic/…"
 * for others; and the method that goes with it. path: given. */
const char *emesh_command_route(const emesh_command *command, char **path);

/* The way of the client service: from any worker to main and home again. done is called on home for
 * every row (more = 1), then once with code (more = 0). */
typedef void (*emesh_command_done)(void *ctx, int32_t code, const emesh_error *err,
                                   const emesh_attr *row, uint32_t n_row, uint32_t more);
void emesh_command_post(emesh_daemon *daemon, emesh_worker *main, emesh_worker *home,
                        const char *verb, const emesh_attr *args, uint32_t n,
                        emesh_command_done done, void *ctx);

/* A row under construction: names and texts are copied until sent. */
typedef struct emesh_row_builder emesh_row_builder;
emesh_row_builder *emesh_row_new(void);
void emesh_row_text(emesh_row_builder *row, const char *name, const char *value, gssize len);
void emesh_row_number(emesh_row_builder *row, const char *name, uint64_t value);
void emesh_row_flag(emesh_row_builder *row, const char *name, bool value);
void emesh_row_send(emesh_row_builder *row, emesh_command_reply *reply); /* and frees it */

/* One allocation with names and values; g_free. */
emesh_attr *emesh_attrs_dup(const emesh_attr *attrs, uint32_t n, size_t *size);
