/* SPDX-License-Identifier: Apache-2.0
 *
 * A change of catalogue or places: control records as one unit, and who is told when it is durable.
 */
#include "admin.h"
#include "batch.h"
#include "store.h"
#include <stdlib.h>

struct sa_change {
    sa_store *store;
    emesh_op *op;
    void *result;
    sa_batch *batch;
    GPtrArray *bodies;
};

static void
change_done(sa_batch *batch, int32_t code)
{
    sa_change *change = batch->ctx;
    sa_store *store = change->store;
    if (change->op != NULL) {
        emesh_error err = { .size = sizeof err };
        if (code != EMESH_OK)
            sa_error(&err, code, "a change of topics or groups could not be written to %s/log: %s",
                     store->path, code == EMESH_E_NO_SPACE ? "the disk is full, free space"
                                                           : "see the log of this instance");
        store->host->complete(store->host, change->op, code, code != EMESH_OK ? &err : NULL,
                              code == EMESH_OK ? change->result : NULL);
    } else if (code != EMESH_OK) {
        sa_say(store, EMESH_LOG_WARNING, "a change of topics or groups was not written (code %d)",
               code);
    }
    g_ptr_array_unref(change->bodies);
    g_free(change);
}

sa_change *
sa_change_new(struct sa_store *store, emesh_op *op, uint32_t n)
{
    sa_change *change = g_new0(sa_change, 1);
    change->store = store;
    change->op = op;
    change->batch = sa_batch_new(n);
    if (change->batch == NULL)
        g_error("storage-standalone: no memory for a change of %u records", n);
    change->bodies = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    return change;
}

void
sa_change_add(sa_change *change, enum sa_type type, GByteArray *body, sa_partition *part,
              uint64_t offset)
{
    sa_rec *rec = sa_batch_control(change->store, change->batch, type,
                                   body != NULL ? body->data : NULL, body != NULL ? body->len : 0);
    if (part != NULL)
        rec->about = part->id;
    rec->offset = offset;
    if (type == SA_COMMIT && body != NULL)
        rec->own = sa_commit_deletes(body->data, body->len);
    if (body != NULL)
        g_ptr_array_add(change->bodies, body);
}

void
sa_change_submit(sa_change *change, bool sync, void *result)
{
    sa_batch *batch = change->batch;
    change->result = result;
    batch->done = change_done;
    batch->ctx = change;
    for (uint32_t i = 0; i < batch->n; i++) {
        batch->rec[i].follow = (uint16_t)(batch->n - 1 - i);
        batch->rec[i].sync = sync;
        if (i > 0)
            batch->rec[i].flags |= SA_REC_JOINED;
    }
    batch->n_sync = sync ? batch->n : 0;
    sa_log_submit(change->store, batch, false);
}
