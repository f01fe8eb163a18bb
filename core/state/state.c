/* SPDX-License-Identifier: Apache-2.0
 *
 * Core's small durable state: opening, closing, and the way of a write into the writer's queue.
 */
#include "state/state-db.h"
#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool
start_writer(emesh_state *state, GError **error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&state->writer, NULL, emesh_state_writer, state);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        pthread_setname_np(state->writer, "state");
        return true;
    }
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(rc),
                "cannot start the writer of the daemon's state: %s", g_strerror(rc));
    return false;
}

static void
state_free(emesh_state *state)
{
    emesh_state_env_close(state);
    pthread_rwlock_destroy(&state->env_lock);
    pthread_mutex_destroy(&state->lock);
    pthread_cond_destroy(&state->wake);
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    g_free(state->dir);
    g_free(state);
}

emesh_state *
emesh_state_open(const char *dir, GError **error)
{
    emesh_state *state = g_new0(emesh_state, 1);
    state->dir = g_strdup(dir);
    pthread_rwlock_init(&state->env_lock, NULL);
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->wake, NULL);
    g_queue_init(&state->open);
    emesh_error err = { .size = sizeof err };
    state->lock_fd = emesh_state_lock(dir, error);
    bool ok = state->lock_fd >= 0;
    if (ok && emesh_state_env_open(state, &err) != EMESH_OK) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", err.text);
        ok = false;
    }
    if (ok && start_writer(state, error))
        return state;
    state_free(state);
    return NULL;
}

void
emesh_state_close(emesh_state *state)
{
    if (state == NULL)
        return;
    pthread_mutex_lock(&state->lock);
    state->closing = true;
    pthread_cond_signal(&state->wake);
    pthread_mutex_unlock(&state->lock);
    pthread_join(state->writer, NULL);
    /* Their homes have stopped: they lie in inboxes that nobody reads any more. */
    GList *link;
    while ((link = g_queue_pop_head_link(&state->open)) != NULL)
        emesh_state_request_free(link->data);
    state_free(state);
}

/* ---- writing ---- */

static int32_t
check_pairs(const char *space, const emesh_pair *pairs, uint32_t n, uint32_t stride, size_t *bytes,
            emesh_error *err)
{
    size_t space_len = strlen(space);
    *bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const emesh_pair *pair = (const void *)((const char *)pairs + (size_t)stride * i);
        size_t key = pair->key.len, value = pair->value.ptr != NULL ? pair->value.len : 0;
        if (space_len + key == 0)
            return emesh_fail(err, EMESH_E_INVALID, "state with an empty key");
        if (key > EMESH_STATE_KEY_MAX - space_len)
            return emesh_fail(err, EMESH_E_TOO_LARGE, "state key of %zu bytes, more than %zu", key,
                              EMESH_STATE_KEY_MAX - space_len);
        if (value > EMESH_STATE_VALUE_MAX)
            return emesh_fail(err, EMESH_E_TOO_LARGE,
                              "state value of %zu bytes, more than %u, under key \"%.*s\"", value,
                              EMESH_STATE_VALUE_MAX, (int)MIN(key, 60),
                              (const char *)pair->key.ptr);
        *bytes += space_len + key + value;
        if (*bytes > EMESH_STATE_QUEUE_MAX / 4)
            return emesh_fail(err, EMESH_E_TOO_LARGE, "state of more than %zu bytes in one write",
                              EMESH_STATE_QUEUE_MAX / 4);
    }
    return EMESH_OK;
}

static void
copy_pairs(emesh_state_request *request, const char *space, const emesh_pair *pairs, uint32_t n,
           uint32_t stride)
{
    size_t space_len = strlen(space);
    char *at = request->bytes;
    for (uint32_t i = 0; i < n; i++) {
        const emesh_pair *pair = (const void *)((const char *)pairs + (size_t)stride * i);
        emesh_state_put *put = &request->puts[request->n_puts++];
        put->key = (MDB_val){ .mv_data = at, .mv_size = space_len + pair->key.len };
        memcpy(at, space, space_len);
        if (pair->key.len > 0)
            memcpy(at + space_len, pair->key.ptr, pair->key.len);
        at += put->key.mv_size;
        put->remove = pair->value.ptr == NULL;
        put->value = (MDB_val){ .mv_data = at, .mv_size = put->remove ? 0 : pair->value.len };
        if (put->value.mv_size > 0)
            memcpy(at, pair->value.ptr, put->value.mv_size);
        at += put->value.mv_size;
    }
}

static emesh_state_request *
request_new(emesh_state *state, emesh_worker *home, void *ctx)
{
    emesh_state_request *request = g_new0(emesh_state_request, 1);
    request->state = state;
    request->home = home;
    request->ctx = ctx;
    request->err.size = sizeof request->err;
    return request;
}

void
emesh_state_write(emesh_state *state, emesh_worker *home, const char *space,
                  const emesh_pair *pairs, uint32_t n, uint32_t stride,
                  void (*done)(void *ctx, int32_t code, const emesh_error *err), void *ctx)
{
    emesh_state_request *request = request_new(state, home, ctx);
    size_t bytes = 0;
    request->done = done;
    request->code = check_pairs(space, pairs, n, stride, &bytes, &request->err);
    if (request->code == EMESH_OK) {
        request->size = bytes + n * sizeof(emesh_state_put) + sizeof *request;
        request->puts = g_try_new(emesh_state_put, n);
        request->bytes = g_try_malloc(bytes + 1);
        if ((n > 0 && request->puts == NULL) || request->bytes == NULL)
            request->code = emesh_fail(&request->err, EMESH_E_NO_MEMORY,
                                       "no memory for %zu bytes of state", bytes);
        else
            copy_pairs(request, space, pairs, n, stride);
    }
    emesh_state_submit(request);
}

void
emesh_state_fetch(emesh_state *state, emesh_worker *home, emesh_slice prefix, emesh_slice after,
                  void (*paged)(void *ctx, int32_t code, const emesh_error *err,
                                const emesh_state_page *page),
                  void *ctx)
{
    emesh_state_request *request = request_new(state, home, ctx);
    request->paged = paged;
    request->size = sizeof *request + prefix.len + after.len;
    request->bytes = g_malloc(prefix.len + after.len + 1);
    memcpy(request->bytes, prefix.ptr, prefix.len);
    if (after.len > 0)
        memcpy(request->bytes + prefix.len, after.ptr, after.len);
    request->prefix = (MDB_val){ .mv_data = request->bytes, .mv_size = prefix.len };
    request->after = (MDB_val){ .mv_data = request->bytes + prefix.len, .mv_size = after.len };
    emesh_state_submit(request);
}
