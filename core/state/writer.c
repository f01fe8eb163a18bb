/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer thread: what waits becomes one transaction, one sync of the disk for all. If a
 * transaction fails before its commit, each write is tried alone, so that one too many does not
 * fail its neighbours. A failed commit is not repeated: after a failed sync nobody knows what the
 * page cache still holds.
 */
#include "state/state-db.h"
#include <errno.h>

void
emesh_state_request_free(emesh_state_request *request)
{
    if (request->page.bytes != NULL)
        g_byte_array_unref(request->page.bytes);
    if (request->page.spans != NULL)
        g_array_unref(request->page.spans);
    g_free(request->puts);
    g_free(request->bytes);
    g_free(request);
}

/* On the home. */
static void
come_home(emesh_job *job)
{
    emesh_state_request *request = (emesh_state_request *)job;
    emesh_state *state = request->state;
    const emesh_error *err = request->code != EMESH_OK ? &request->err : NULL;
    if (request->paged != NULL)
        request->paged(request->ctx, request->code, err, &request->page);
    else
        request->done(request->ctx, request->code, err);
    pthread_mutex_lock(&state->lock);
    g_queue_unlink(&state->open, &request->link);
    pthread_mutex_unlock(&state->lock);
    emesh_state_request_free(request);
}

void
emesh_state_submit(emesh_state_request *request)
{
    emesh_state *state = request->state;
    request->job.run = come_home;
    request->link.data = request;
    pthread_mutex_lock(&state->lock);
    bool closing = state->closing;
    if (request->code == EMESH_OK && !closing &&
        state->queued + request->size > EMESH_STATE_QUEUE_MAX)
        request->code = emesh_fail(&request->err, EMESH_E_BUSY,
                                   "%zu bytes of state wait for the disk already", state->queued);
    if (request->code == EMESH_OK && closing)
        request->code = emesh_fail(&request->err, EMESH_E_CLOSED, "the daemon's state is closed");
    g_queue_push_tail_link(&state->open, &request->link);
    bool refused = request->code != EMESH_OK;
    if (!refused) {
        state->queued += request->size;
        if (state->last != NULL)
            state->last->next = request;
        else
            state->first = request;
        state->last = request;
        pthread_cond_signal(&state->wake);
    }
    pthread_mutex_unlock(&state->lock);
    if (refused)
        emesh_worker_post(request->home, &request->job);
}

static int
put_all(emesh_state *state, MDB_txn *txn, const emesh_state_request *request)
{
    for (uint32_t i = 0; i < request->n_puts; i++) {
        emesh_state_put *put = &request->puts[i];
        int rc;
        if (put->remove) {
            rc = mdb_del(txn, state->dbi, &put->key, NULL);
            rc = rc == MDB_NOTFOUND ? 0 : rc;
        } else {
            rc = mdb_put(txn, state->dbi, &put->key, &put->value, 0);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* One transaction for the writes from first up to end. 0, or a code of LMDB; *id is that of the
 * transaction when its commit was tried. */
static int
commit(emesh_state *state, emesh_state_request *first, const emesh_state_request *end, size_t *id)
{
    MDB_txn *txn = NULL;
    *id = 0;
    if (state->env == NULL)
        return EIO;
    int rc = mdb_txn_begin(state->env, NULL, 0, &txn);
    for (emesh_state_request *r = first; rc == 0 && r != end; r = r->next)
        rc = put_all(state, txn, r);
    if (rc == 0) {
        *id = mdb_txn_id(txn);
        return mdb_txn_commit(txn);
    }
    if (txn != NULL)
        mdb_txn_abort(txn);
    return rc;
}

/* A failed commit: the environment is opened anew, and its last transaction tells whether the
 * failed one is surely not there. */
static bool
may_be_stored(emesh_state *state, size_t id)
{
    MDB_envinfo info;
    emesh_state_env_renew(state);
    return state->env == NULL || mdb_env_info(state->env, &info) != 0 || info.me_last_txnid >= id;
}

/* Only the writer changes env, so it reads it without the lock. */
static void
write_range(emesh_state *state, emesh_state_request *first, const emesh_state_request *end)
{
    size_t id;
    if (state->env == NULL)
        emesh_state_env_renew(state);
    int rc = commit(state, first, end, &id);
    if (rc == 0)
        return;
    bool perhaps = id > 0 && may_be_stored(state, id);
    if (rc == MDB_PANIC)
        emesh_state_env_renew(state);
    if (id == 0 && first->next != end) {
        for (emesh_state_request *r = first; r != end; r = r->next)
            write_range(state, r, r->next);
        return;
    }
    for (emesh_state_request *r = first; r != end; r = r->next)
        r->code = emesh_state_fail(&r->err, state, "cannot write the daemon's state", rc, perhaps);
}

/* Serves the requests from first on; all are done when it returns. */
static void
serve(emesh_state *state, emesh_state_request *first)
{
    while (first != NULL) {
        if (first->paged != NULL) {
            first->code = emesh_state_page_read(state, &first->prefix, &first->after, &first->page,
                                                &first->err);
            first = first->next;
            continue;
        }
        emesh_state_request *end = first;
        size_t size = 0;
        while (end != NULL && end->paged == NULL && (end == first || size < EMESH_STATE_BATCH)) {
            size += end->size;
            end = end->next;
        }
        write_range(state, first, end);
        first = end;
    }
}

void *
emesh_state_writer(void *arg)
{
    emesh_state *state = arg;
    pthread_mutex_lock(&state->lock);
    for (;;) {
        while (state->first == NULL && !state->closing)
            pthread_cond_wait(&state->wake, &state->lock);
        emesh_state_request *first = state->first;
        if (first == NULL)
            break;
        state->first = state->last = NULL;
        state->queued = 0;
        pthread_mutex_unlock(&state->lock);
        serve(state, first);
        while (first != NULL) {
            emesh_state_request *next = first->next;
            emesh_worker_post(first->home, &first->job); /* not ours afterwards */
            first = next;
        }
        pthread_mutex_lock(&state->lock);
    }
    pthread_mutex_unlock(&state->lock);
    return NULL;
}
