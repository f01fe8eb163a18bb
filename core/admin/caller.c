/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions for commands and publishes: one per user (all who show the token are one), opened at the first request and kept, so that
 * a request costs no session of its own. Every request that waits is in `waiting` (session not yet
 * open) or in `pending` (an outcome is to come), so that the end of a session answers all. [lane]
 */
#include "admin/face.h"

struct emesh_admin_caller {
    emesh_admin_session base; /* first */
    emesh_admin_lane *lane;
    char *user;
    bool open;
    bool leaving;        /* asked to go: closed as soon as nothing is pending */
    GQueue waiting;      /* emesh_admin_request, a reference each */
    GHashTable *pending; /* cookie → emesh_admin_request, a reference each */
    uint64_t next_cookie;
};

static const emesh_admin_session_ops caller_ops;

emesh_session *
emesh_admin_open(emesh_admin_lane *lane, const char *user, const emesh_admin_conn *conn,
                 const char *client, void *ctx)
{
    g_autofree char *shared =
        g_strconcat(g_str_has_prefix(user, "uid:") ? "unix:" : "tcp:", user, NULL);
    const char *peer = conn != NULL ? conn->peer : shared;
    g_autofree char *pid = g_strdup_printf("%ld", conn != NULL ? (long)conn->pid : 0L);
    emesh_attr labels[] = { { "protocol", "admin", 8, 5, 0, 0 },
                            { "pid", pid, 3, (uint32_t)strlen(pid), 0, 0 } };
    emesh_who who = { .size = sizeof who,
                      .peer = { peer, strlen(peer) },
                      .client = { client, strlen(client) },
                      .user = { user, strlen(user) },
                      .labels = labels,
                      .n_labels = conn != NULL && conn->pid != 0 ? 2 : 1 };
    return lane->admin->cl->open(lane->loop, &who, ctx);
}

emesh_session *
emesh_caller_session(emesh_admin_caller *caller)
{
    return caller->base.host;
}

/* Ends a caller that was asked to go, once nobody waits for it. */
static void
caller_leave(emesh_admin_caller *caller)
{
    if (caller->leaving && caller->waiting.length == 0 && g_hash_table_size(caller->pending) == 0)
        g_hash_table_remove(caller->lane->callers, caller->user);
}

void
emesh_caller_add(emesh_admin_caller *caller, emesh_admin_request *request)
{
    request->cookie = ++caller->next_cookie;
    g_hash_table_insert(caller->pending, &request->cookie, emesh_request_ref(request));
}

void
emesh_caller_remove(emesh_admin_caller *caller, emesh_admin_request *request)
{
    g_hash_table_remove(caller->pending, &request->cookie);
    caller_leave(caller);
}

/* Answers all that wait for a session that did not come. */
static void
caller_fail_waiting(emesh_admin_caller *caller, int32_t code, const emesh_error *err)
{
    emesh_admin_request *request;
    while ((request = g_queue_pop_head(&caller->waiting)) != NULL) {
        emesh_request_error(request, code, err);
        emesh_request_unref(request);
    }
}

/* Answers all whose outcome will not be told any more. */
static void
caller_fail_pending(emesh_admin_caller *caller, int32_t code, const emesh_error *err)
{
    GHashTableIter iter;
    gpointer request;
    g_hash_table_iter_init(&iter, caller->pending);
    while (g_hash_table_iter_next(&iter, NULL, &request))
        emesh_request_error(request, code, err);
    g_hash_table_remove_all(caller->pending);
}

void
emesh_caller_free(emesh_admin_caller *caller)
{
    emesh_error none = { .size = sizeof none, .text = "the daemon is stopping" };
    emesh_error over = { .size = sizeof over,
                         .text = "the daemon is stopping: the outcome is unknown" };
    caller_fail_waiting(caller, EMESH_E_UNAVAILABLE, &none);
    caller_fail_pending(caller, EMESH_E_LOST, &over);
    if (caller->base.host != NULL)
        caller->lane->admin->cl->close(caller->base.host, EMESH_LEFT_ORDERLY);
    g_hash_table_unref(caller->pending);
    g_free(caller->user);
    g_free(caller);
}

static void
caller_opened(emesh_admin_session *session, int32_t code, const emesh_error *err)
{
    emesh_admin_caller *caller = (emesh_admin_caller *)session;
    emesh_admin_request *request;
    if (code != EMESH_OK) {
        caller_fail_waiting(caller, code, err);
        g_hash_table_remove(caller->lane->callers, caller->user);
        return;
    }
    caller->open = true;
    for (guint left = caller->waiting.length; left > 0; left--) {
        request = g_queue_pop_head(&caller->waiting);
        request->start(caller, request); /* the last one may end a caller that was asked to go */
        emesh_request_unref(request);
    }
}

static void
caller_published(emesh_admin_session *session, const emesh_published *result)
{
    emesh_admin_caller *caller = (emesh_admin_caller *)session;
    emesh_admin_request *request = g_hash_table_lookup(caller->pending, &result->cookie);
    if (request == NULL)
        return;
    emesh_http_published(request, result);
    emesh_caller_remove(caller, request);
}

/* Kicked: what is pending ends first, the next request opens a new session. */
static void
caller_ask(emesh_admin_session *session, const emesh_ask *ask)
{
    emesh_admin_caller *caller = (emesh_admin_caller *)session;
    (void)ask;
    caller->leaving = true;
    caller_leave(caller);
}

static const emesh_admin_session_ops caller_ops = { caller_opened, caller_published, caller_ask };

static emesh_admin_caller *
caller_new(emesh_admin_lane *lane, const char *user)
{
    emesh_admin_caller *caller = g_new0(emesh_admin_caller, 1);
    caller->base.ops = &caller_ops;
    caller->lane = lane;
    caller->user = g_strdup(user);
    caller->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                            (GDestroyNotify)emesh_request_unref);
    caller->base.host = emesh_admin_open(lane, user, NULL, "eventmeshctl", caller);
    if (caller->base.host == NULL) {
        emesh_caller_free(caller);
        return NULL;
    }
    g_hash_table_insert(lane->callers, caller->user, caller);
    return caller;
}

void
emesh_caller_start(emesh_admin_request *request)
{
    emesh_admin_lane *lane = request->lane;
    emesh_admin_caller *caller = g_hash_table_lookup(lane->callers, request->user);
    emesh_request_wait(request);
    if (caller == NULL)
        caller = caller_new(lane, request->user);
    if (caller == NULL)
        emesh_request_fail(request, EMESH_E_NO_MEMORY, "no memory for a session");
    else if (caller->open)
        request->start(caller, request);
    else
        g_queue_push_tail(&caller->waiting, emesh_request_ref(request));
}
