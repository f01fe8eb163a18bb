/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may ask: on the Unix socket root and the daemon's own user, at admin-listen whoever shows the
 * token. A token is never repeated, neither in an answer nor in a log. [lane]
 */
#include "admin/face.h"

#include <string.h>

static void
answer_401(emesh_admin_request *request, const char *challenge, const char *text)
{
    gsize len = 0;
    char *body = emesh_json_error(EMESH_E_DENIED, text, &len);
    soup_message_headers_replace(soup_server_message_get_response_headers(request->msg),
                                 "WWW-Authenticate", challenge);
    emesh_request_answer(request, 401, "application/json", body, len);
}

static void
answer_locked(emesh_admin_request *request, uint32_t seconds)
{
    gsize len = 0;
    char wait[16];
    g_autofree char *text = g_strdup_printf(
        "too many wrong tokens came from this address: try again in %u s", seconds);
    char *body = emesh_json_error(EMESH_E_BUSY, text, &len);
    g_snprintf(wait, sizeof wait, "%u", seconds);
    soup_message_headers_replace(soup_server_message_get_response_headers(request->msg),
                                 "Retry-After", wait);
    emesh_conn_log(request->conn, EMESH_PEER_LOCKED,
                   "refused, too many wrong tokens came from this address");
    emesh_request_answer(request, 429, "application/json", body, len);
}

/* What follows "Bearer " in the one Authorization header; NULL: there is none. */
static const char *
offered(emesh_admin_request *request)
{
    const char *value = soup_message_headers_get_one(
        soup_server_message_get_request_headers(request->msg), "Authorization");
    if (value == NULL || g_ascii_strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    for (value += 7; *value == ' '; value++)
        continue;
    return value;
}

static bool
is_open(emesh_admin_request *request, const char *path)
{
    if (strcmp(soup_server_message_get_method(request->msg), "OPTIONS") == 0)
        return true; /* browsers ask so before they send a token; it tells nothing */
    request->brief = request->lane->admin->options.probes_open &&
                     (strcmp(path, "/healthz") == 0 || strcmp(path, "/readyz") == 0);
    return request->brief;
}

static bool
token_ok(emesh_admin_request *request, const char *path)
{
    emesh_face *admin = request->lane->admin;
    const emesh_admin_conn *conn = request->conn;
    uint64_t now = admin->loop->time(request->lane->loop, EMESH_CLOCK_MONOTONIC);
    const char *token = offered(request);
    bool may_pass = is_open(request, path);
    if (token == NULL && may_pass)
        return true;
    uint32_t wait = emesh_peers_wait(admin->peers, conn->address, now);
    if (wait > 0) {
        if (!may_pass)
            answer_locked(request, wait);
        return may_pass;
    }
    if (token == NULL) {
        answer_401(request, "Bearer realm=\"eventmesh\"",
                   "this needs the header Authorization: Bearer TOKEN, with the token of "
                   "admin-token-file");
        return false;
    }
    pthread_mutex_lock(&admin->token_lock);
    bool good = emesh_token_matches(&admin->token, token, strlen(token));
    pthread_mutex_unlock(&admin->token_lock);
    if (good) {
        request->brief = false;
        return true;
    }
    emesh_peers_failed(admin->peers, conn->address, now);
    emesh_conn_log(conn, EMESH_PEER_WRONG_TOKEN, "refused, its token is wrong");
    answer_401(request, "Bearer realm=\"eventmesh\", error=\"invalid_token\"",
               "the token is not the one of admin-token-file");
    return false;
}

bool
emesh_auth_ok(emesh_admin_request *request, const char *path)
{
    const emesh_admin_conn *conn = request->conn;
    if (!conn->is_unix)
        return token_ok(request, path);
    if (emesh_admin_may(conn->uid))
        return true;
    emesh_request_fail(request, EMESH_E_DENIED,
                       "user %ld may not administer this daemon: only root and the daemon's own "
                       "user may",
                       (long)conn->uid);
    return false;
}
