/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the admin face: instance, lane, connections, requests. Everything below lives on the one
 * lane (a GMainContext) that serves the socket; the face knows the rest of the daemon only through
 * the plugin ABI, like any protocol.
 */
#pragma once
#include "admin/json.h"
#include "admin/socket.h"
#include "eventmesh/eventmesh.h"
#include "eventmesh/glib.h"
#include <libsoup/soup.h>

#define EMESH_ADMIN_MAX_BODY (2u << 20)
#define EMESH_ADMIN_MAX_CONNS 64u
#define EMESH_ADMIN_IDLE_SECONDS 60u

typedef struct emesh_face emesh_face;
typedef struct emesh_admin_lane emesh_admin_lane;
typedef struct emesh_admin_conn emesh_admin_conn;
typedef struct emesh_admin_request emesh_admin_request;
typedef struct emesh_admin_caller emesh_admin_caller;

struct emesh_face { /* the instance */
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_loop_api *loop;
    const emesh_client_api *cl;
    const emesh_glib_api *glib;
    char *path;
    emesh_admin_socket *held; /* from start to stop */
};

struct emesh_admin_lane {
    emesh_face *admin;
    emesh_loop *loop;
    GMainContext *context;
    SoupServer *server; /* NULL on further lanes: the first one serves the socket */
    GSource *accept;
    GQueue conns;        /* emesh_admin_conn, links inside */
    GQueue streams;      /* open subscriptions, links inside */
    GHashTable *callers; /* uid → emesh_admin_caller */
    bool draining;
};

struct emesh_admin_conn {   /* lives as long as libsoup keeps the connection */
    emesh_admin_lane *lane; /* NULL once the lane is gone */
    GSocket *socket;
    uid_t uid;
    pid_t pid;
    GList in_lane;
};

/* What both kinds of session have: the client ops find their way through it. */
typedef struct emesh_admin_session emesh_admin_session;
typedef struct emesh_admin_session_ops {
    void (*opened)(emesh_admin_session *session, int32_t code, const emesh_error *err);
    void (*published)(emesh_admin_session *session, const emesh_published *result);
    void (*ask)(emesh_admin_session *session, const emesh_ask *ask);
} emesh_admin_session_ops;
struct emesh_admin_session {
    const emesh_admin_session_ops *ops;
    emesh_session *host; /* the host's */
};

struct emesh_admin_request { /* one HTTP request; counted: libsoup's message, a caller's list */
    emesh_admin_lane *lane;
    emesh_admin_conn *conn;
    SoupServerMessage *msg; /* NULL once the message is finished: nobody waits any more */
    GHashTable *query;
    GByteArray *body;
    bool too_large;
    uint32_t refs;
    /* Called when the caller's session is open. */
    void (*start)(emesh_admin_caller *caller, emesh_admin_request *request);
    uint64_t cookie;    /* key in the caller's table */
    char *verb, *topic; /* of a command, of a publish */
    emesh_attr *args;
    uint32_t n_args;
    JsonArray *rows;
    void *call; /* the command's ctx; freed with the request */
    emesh_publish publish;
    char *event_id;
};

/* ---- http.c: server, requests, answers ---- */
bool emesh_http_start(emesh_admin_lane *lane, GError **error);
void emesh_http_stop(emesh_admin_lane *lane); /* no request is left afterwards */
emesh_admin_request *emesh_request_ref(emesh_admin_request *request);
void emesh_request_unref(emesh_admin_request *request);
/* Text of a query parameter, NULL when absent. */
const char *emesh_request_param(const emesh_admin_request *request, const char *name);
/* Pauses until answered. */
void emesh_request_wait(emesh_admin_request *request);
void emesh_request_answer(emesh_admin_request *request, uint32_t status, const char *type,
                          char *body, gsize len); /* takes body */
void emesh_request_fail(emesh_admin_request *request, int32_t code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* An error record as answer; err may be NULL. */
void emesh_request_error(emesh_admin_request *request, int32_t code, const emesh_error *err);
uint32_t emesh_http_status(int32_t code);

/* ---- accept.c: connections ---- */
bool emesh_accept_start(emesh_admin_lane *lane, GError **error);
void emesh_accept_stop(emesh_admin_lane *lane);
emesh_admin_conn *emesh_conn_of(SoupServerMessage *msg);
void emesh_conn_cut(emesh_admin_conn *conn);

/* ---- caller.c: one session per user, for commands and publishes ---- */
/* Queues request until the user's session is open, then calls request->start. */
void emesh_caller_start(emesh_admin_request *request);
/* request has an outcome to come, under a cookie of its own / no more. */
void emesh_caller_add(emesh_admin_caller *caller, emesh_admin_request *request);
void emesh_caller_remove(emesh_admin_caller *caller, emesh_admin_request *request);
emesh_session *emesh_caller_session(emesh_admin_caller *caller);
void emesh_caller_free(emesh_admin_caller *caller);
/* Opens a session for whoever is behind conn: for that very process, or for all of its user. */
emesh_session *emesh_admin_open(emesh_admin_lane *lane, const emesh_admin_conn *conn,
                                bool one_process, const char *client, void *ctx);

/* ---- http-command.c, http-publish.c, http-subscribe.c: the endpoints ---- */
void emesh_http_command(emesh_admin_request *request, const char *verb);
void emesh_http_publish(emesh_admin_request *request);
void emesh_http_published(emesh_admin_request *request, const emesh_published *result);
void emesh_http_subscribe(emesh_admin_request *request);
/* Ends every stream in an orderly way (drain), or cuts them (stop). */
void emesh_http_streams_end(emesh_admin_lane *lane, bool cut);
void emesh_http_subscribed(void *member, int32_t code, const emesh_error *err);
void emesh_http_deliver(void *member, const emesh_delivery *items, uint32_t n);
