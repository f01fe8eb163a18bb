/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-host.h. The admin operation, and its rows.
 */
#include "harness/store-host-inside.h"
#include "admin.h"

#include <string.h>

static char *
copy(const emesh_slice *s)
{
    return g_strndup(s->ptr != NULL ? s->ptr : "", s->len);
}

static void
row_clear(gpointer data)
{
    store_row *row = data;
    g_free(row->topic);
    g_free(row->group);
    g_free(row->partition);
}

void
store_host_note_rows(GArray *into, const emesh_rows *rows)
{
    for (uint32_t i = 0; i < rows->n; i++) {
        const emesh_row *in = &rows->rows[i];
        store_row row = { copy(&in->topic), copy(&in->group), copy(&in->partition),
                          in->first.lo, in->last.lo, in->committed.lo, in->count, in->bytes };
        g_array_append_val(into, row);
    }
}

static int32_t
admin(store_host *h, const emesh_admin *what, GArray **rows)
{
    store_op op = { .h = h, .err.size = sizeof op.err };
    if (rows != NULL) {
        op.rows = *rows = g_array_new(FALSE, FALSE, sizeof(store_row));
        g_array_set_clear_func(op.rows, row_clear);
    }
    sa_admin((emesh_instance *)(void *)h->store, what, (emesh_op *)(void *)&op);
    store_host_op_wait(&op);
    h->err = op.err;
    return op.code;
}

int32_t
store_host_admin(store_host *h, uint32_t what, const char *topic, const char *group,
                 const emesh_start *start, uint64_t position, GArray **rows)
{
    emesh_admin ask = { .size = sizeof ask, .what = what, .start = start,
                        .topic = { topic, topic != NULL ? strlen(topic) : 0 },
                        .group = { group, group != NULL ? strlen(group) : 0 },
                        .partition = { "0", 1 }, .position = { 0, position } };
    return admin(h, &ask, rows);
}

int32_t
store_host_find(store_host *h, const char *source, const char *id, GArray **rows)
{
    emesh_admin ask = { .size = sizeof ask, .what = EMESH_LIST_EVENT,
                        .source = { source, source != NULL ? strlen(source) : 0 }, .id = { id, strlen(id) } };
    return admin(h, &ask, rows);
}
