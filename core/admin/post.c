/* SPDX-License-Identifier: Apache-2.0
 *
 * A command's way from a worker to main and home again: arguments are copied out, rows are
 * collected on main and come home with the end in one job.
 */
#include "admin/command.h"

#include <string.h>

#define MAX_ROW_BYTES (64u << 20) /* what one answer may hold in memory */

typedef struct call_row {
    emesh_attr *attrs;
    uint32_t n;
} call_row;

typedef struct call {
    emesh_command_reply reply; /* first: handlers bring it back */
    emesh_job job;
    emesh_daemon *daemon;
    emesh_worker *home;
    char *verb;
    emesh_attr *args;
    uint32_t n_args;
    emesh_command_done done;
    void *ctx;
    GArray *rows; /* [main], then home */
    size_t row_bytes;
    bool overflow;
    int32_t code;
    emesh_error err;
} call;

static void
call_home(emesh_job *job)
{
    call *c = (call *)((char *)job - offsetof(call, job));
    for (uint32_t i = 0; i < c->rows->len; i++) {
        call_row *row = &g_array_index(c->rows, call_row, i);
        if (c->code == EMESH_OK)
            c->done(c->ctx, EMESH_OK, NULL, row->attrs, row->n, 1);
        g_free(row->attrs);
    }
    c->done(c->ctx, c->code, c->code == EMESH_OK ? NULL : &c->err, NULL, 0, 0);
    g_array_free(c->rows, TRUE);
    g_free(c->args);
    g_free(c->verb);
    g_free(c);
}

static void
call_row_add(emesh_command_reply *reply, const emesh_attr *attrs, uint32_t n)
{
    call *c = (call *)reply;
    if (c->overflow)
        return;
    size_t size = 0;
    call_row row = { emesh_attrs_dup(attrs, n, &size), n };
    g_array_append_val(c->rows, row);
    c->row_bytes += size;
    c->overflow = c->row_bytes > MAX_ROW_BYTES;
}

static void
call_end(emesh_command_reply *reply, int32_t code, const emesh_error *err)
{
    call *c = (call *)reply;
    c->err = (emesh_error){ .size = sizeof c->err };
    c->code = code;
    if (err != NULL)
        memcpy(&c->err, err, MIN(sizeof c->err, err->size));
    if (code == EMESH_OK && c->overflow) {
        c->code = EMESH_E_TOO_LARGE;
        g_snprintf(c->err.text, sizeof c->err.text, "the answer of %s is over %u MiB", c->verb,
                   MAX_ROW_BYTES >> 20);
    }
    c->err.size = sizeof c->err;
    c->err.code = c->code;
    c->job = (emesh_job){ .run = call_home };
    emesh_worker_post(c->home, &c->job);
}

static void
call_main(emesh_job *job)
{
    call *c = (call *)((char *)job - offsetof(call, job));
    emesh_command_run(c->daemon, c->verb, c->args, c->n_args, &c->reply);
}

void
emesh_command_post(emesh_daemon *daemon, emesh_worker *main, emesh_worker *home, const char *verb,
                   const emesh_attr *args, uint32_t n, emesh_command_done done, void *ctx)
{
    call *c = g_new0(call, 1);
    c->reply = (emesh_command_reply){ .row = call_row_add, .end = call_end };
    c->job.run = call_main;
    c->daemon = daemon;
    c->home = home;
    c->verb = g_strdup(verb);
    c->args = emesh_attrs_dup(args, n, NULL);
    c->n_args = n;
    c->done = done;
    c->ctx = ctx;
    c->rows = g_array_new(FALSE, FALSE, sizeof(call_row));
    emesh_worker_post(main, &c->job);
}
