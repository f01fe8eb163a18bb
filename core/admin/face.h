/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the admin face: instance, lane, connections, requests. Everything below lives on the one
 * lane (a GMainContext) that serves the socket; the face knows the rest of the daemon only through
 * the plugin ABI, like any protocol.
 */
#pragma once
#include "admin/json.h"
#include "admin/peers.h"
#include "admin/socket.h"
#include "admin/token.h"
#include "eventmesh/eventmesh.h"
#include "eventmesh/glib.h"
#include "eventmesh/http-status.h"
#include "eventmesh/net.h"
#include <libsoup/soup.h>
#include <pthread.h>

#define EMESH_CONN_KEY "emesh-admin-conn" /* where its record rides on an address */
#define EMESH_ADMIN_MAX_BODY (2u << 20)
#define EMESH_ADMIN_MAX_CONNS 64u
#define EMESH_ADMIN_IDLE_SECONDS 60u

typedef struct emesh_face emesh_face;
typedef struct emesh_admin_lane emesh_admin_lane;
typedef struct emesh_admin_conn emesh_admin_conn;
typedef struct emesh_admin_request emesh_admin_request;
typedef struct emesh_admin_caller emesh_admin_caller;

typedef struct emesh_admin_options { /* of admin-listen; constant after create */
    char *token_file;       /* NULL: nothing listens */
    bool probes_open;
    char *tls_certificate;  /* NULL: plain */
    char *tls_key, *tls_client_ca;
    bool tls_client_required;
    uint32_t max_connections, max_input;
    uint64_t request_ns;    /* for a handshake, and for a request to come in */
    uint64_t idle_ns;       /* for an answer to be taken */
} emesh_admin_options;

typedef struct emesh_admin_tls { /* of a lane */
    GTlsCertificate *certificate;
    GTlsDatabase *clients;
    int64_t stamp;
} emesh_admin_tls;

struct emesh_face { /* the instance */
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_loop_api *loop;
    const emesh_client_api *cl;
    const emesh_glib_api *glib;
    const emesh_net_api *net;
    char *path;
    emesh_admin_socket *held; /* from start to stop */
    emesh_admin_options options;
    pthread_mutex_t token_lock;
    emesh_token token;  /* under token_lock */
    emesh_peers *peers;
    uint32_t n_tcp;     /* atomic: connections to admin-listen, on all lanes */
};

struct emesh_admin_lane {
    emesh_face *admin;
    emesh_loop *loop;
    GMainContext *context;
    SoupServer *server;
    GSource *accept;     /* of the Unix socket, on the first lane alone */
    GPtrArray *ports;    /* of admin-listen, see tcp.c */
    GSource *sweep;      /* while there are connections to it */
    emesh_admin_tls tls;
    GQueue conns;        /* emesh_admin_conn, links inside */
    uint32_t n_unix;     /* of them from the Unix socket */
    GQueue streams;      /* open subscriptions, links inside */
    GHashTable *callers; /* user → emesh_admin_caller */
    bool draining;
};

typedef enum emesh_conn_state { /* of a connection to admin-listen: each has its clock */
    EMESH_CONN_HANDSHAKE,
    EMESH_CONN_READING, /* until the request is whole */
    EMESH_CONN_WORKING,
    EMESH_CONN_WRITING,
} emesh_conn_state;

struct emesh_admin_conn {   /* lives as long as libsoup keeps the connection */
    emesh_admin_lane *lane; /* NULL once the lane is gone */
    GSocket *socket;
    GIOStream *tls;         /* what to read and write through; NULL: the socket itself */
    const char *flaw;       /* of the client's certificate, as GIO calls it; NULL: none */
    char user[24];          /* "uid:1000"; who shows the token is "token" */
    char peer[80];          /* for sessions and logs */
    bool is_unix;
    uid_t uid;
    pid_t pid;
    GInetAddress *address;  /* of admin-listen alone, as what follows */
    emesh_conn_state state;
    uint64_t since_ns, moved;
    GCancellable *handshake;
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
    bool compat; /* errors in the reference's shape */
    bool brief; /* a probe without the token */
    char user[24];
    uint32_t status; /* of success; 0 = 200 */
    uint32_t refs;
    /* Called with the end of a command, rows in rows; NULL: the rows are the answer. */
    void (*finish)(emesh_admin_request *request, int32_t code, const emesh_error *err);
    void (*forget)(void *plan); /* frees plan */
    void *plan;                 /* of an answer that takes several commands */
    GSource *late;              /* ends the wait for a command */
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
/* The same for one argument, which the answer names. */
void emesh_request_refuse(emesh_admin_request *request, const char *argument, const char *format,
                          ...) G_GNUC_PRINTF(3, 4);
/* An error record as answer; err may be NULL. */
void emesh_request_error(emesh_admin_request *request, int32_t code, const emesh_error *err);

/* May request, a path of which is known, be served? Answers itself when not. (auth.c) */
bool emesh_auth_ok(emesh_admin_request *request, const char *path);

/* ---- accept.c: connections, and those of the Unix socket ---- */
void emesh_accept_start(emesh_admin_lane *lane);
void emesh_accept_stop(emesh_admin_lane *lane);
emesh_admin_conn *emesh_conn_of(SoupServerMessage *msg);
void emesh_conn_cut(emesh_admin_conn *conn);
/* A record that lives as long as address, which libsoup keeps as long as the connection. */
emesh_admin_conn *emesh_admin_conn_new(emesh_admin_lane *lane, GSocket *socket,
                                       GSocketAddress *address);
/* Hands stream to the server. */
void emesh_conn_serve(emesh_admin_conn *conn, GIOStream *stream, GSocketAddress *address);
void emesh_conns_forget(emesh_admin_lane *lane);
/* Tells a connection over the limit so, where that is possible, and closes it. */
void emesh_accept_refuse(int fd, const char *why);

/* ---- tcp.c: connections to admin-listen, and their clocks ---- */
bool emesh_tcp_start(emesh_admin_lane *lane, GError **error);
void emesh_tcp_stop(emesh_admin_lane *lane);
void emesh_conn_enter(emesh_admin_conn *conn, emesh_conn_state state);
/* One line for each peer and fault, none when one was written lately. */
void emesh_conn_log(const emesh_admin_conn *conn, emesh_peer_fault fault, const char *what);

/* ---- tls.c ---- */
bool emesh_admin_tls_load(emesh_admin_tls *tls, const emesh_admin_options *o, GError **error);
void emesh_admin_tls_clear(emesh_admin_tls *tls);
int64_t emesh_admin_tls_stamp(const emesh_admin_options *o);
void emesh_admin_tls_begin(emesh_admin_conn *conn, GIOStream *plain, GSocketAddress *address);

/* ---- caller.c: one session per user, for commands and publishes ---- */
/* Queues request until the user's session is open, then calls request->start. */
void emesh_caller_start(emesh_admin_request *request);
/* request has an outcome to come, under a cookie of its own / no more. */
void emesh_caller_add(emesh_admin_caller *caller, emesh_admin_request *request);
void emesh_caller_remove(emesh_admin_caller *caller, emesh_admin_request *request);
emesh_session *emesh_caller_session(emesh_admin_caller *caller);
void emesh_caller_free(emesh_admin_caller *caller);
/* Opens a session for user; with conn for whoever is at its other end alone. */
emesh_session *emesh_admin_open(emesh_admin_lane *lane, const char *user,
                                const emesh_admin_conn *conn, const char *client, void *ctx);

/* ---- route.c: from a path to an endpoint ---- */
void emesh_http_route(emesh_admin_request *request, const char *path);
/* 405 with what is allowed, "GET, POST". */
void emesh_request_405(emesh_admin_request *request, const char *path, const char *allowed);

/* ---- http-*.c: the endpoints ---- */
/* One of the commands under /v1/; false: there is none at path. (http-api.c) */
bool emesh_http_api(emesh_admin_request *request, const char *path, const char *method);
void emesh_http_command(emesh_admin_request *request, const char *verb);
/* Runs verb with what is in request->args; finish, or the rows, is the answer. */
void emesh_command_begin(emesh_admin_request *request, const char *verb);
void emesh_request_rows(emesh_admin_request *request, uint32_t status); /* as answer */
/* GET /healthz and /readyz; strict: degraded is not ready either. (http-probe.c) */
void emesh_http_probe(emesh_admin_request *request, bool ready);
void emesh_http_publish(emesh_admin_request *request);
/* The body to topic; finish, or a JSON object, is the answer. Answers itself on failure. */
void emesh_http_publish_to(emesh_admin_request *request, const char *topic);
void emesh_http_published(emesh_admin_request *request, const emesh_published *result);
void emesh_http_subscribe(emesh_admin_request *request);
/* Ends every stream in an orderly way (drain), or cuts them (stop). */
void emesh_http_streams_end(emesh_admin_lane *lane, bool cut);
void emesh_http_subscribed(void *member, int32_t code, const emesh_error *err);
void emesh_http_deliver(void *member, const emesh_delivery *items, uint32_t n);
