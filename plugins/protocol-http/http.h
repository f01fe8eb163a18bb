/* SPDX-License-Identifier: Apache-2.0
 *
 * What one instance keeps, what it keeps for each lane, and the two things that pass between the
 * files: a connection and a request. Everything is [lane] unless it says otherwise.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H
#include "eventmesh/eventmesh.h"
#include "eventmesh/glib.h"
#include "eventmesh/http-status.h"
#include "guard.h"
#include <libsoup/soup.h>
#include <pthread.h>
#include <stdbool.h>

#define HTTP_SECOND UINT64_C(1000000000)

typedef struct http_instance http_instance;
typedef struct http_lane http_lane;
typedef struct http_conn http_conn;
typedef struct http_direct http_direct; /* direct.c: how a connection is served without libsoup */
typedef struct http_request http_request;
typedef struct http_session http_session;
typedef struct http_publish http_publish;
typedef struct http_push http_push; /* push.h: what a lane pushes */

typedef struct http_options {
    /* of the listener */
    char *tls_certificate, *tls_key, *tls_client_ca;
    bool tls_client_required;
    uint32_t max_connections;
    uint64_t max_memory, max_input, handshake_ns, idle_ns;
    /* our own */
    uint64_t max_event, request_ns, keep_alive_ns, publish_ns, queue_ns;
    uint32_t max_batch;
    uint32_t rate, batch_rate; /* events a second of all clients; 0 = no limit */
    bool lenient;
    char *cluster, *env, *idc, *advertise;
    char *address; /* the host in advertise, or NULL */
    /* of push */
    uint64_t poll_lease_ns;
    uint64_t push_timeout_ns, expiry_ns;
    uint32_t push_concurrency;
    uint64_t push_wait_ns, push_wait_max_ns;
    char *push_ca, *push_certificate, *push_key;
    bool push_verify, push_handshake;
    http_guard guard;
    GPtrArray *receivers; /* http_receiver, receive.h */
} http_options;

typedef struct http_counters { /* [any] */
    emesh_metric *requests, *refused, *expired, *limited, *lenient, *pushes, *failed, *connections;
} http_counters;

struct http_instance {
    const emesh_host *host;
    const emesh_event_api *event;
    const emesh_net_api *net;
    const emesh_client_api *client;
    const emesh_loop_api *loop;
    const emesh_state_api *state;
    const emesh_glib_api *glib;
    const emesh_metrics_api *metrics;
    http_options options;
    http_counters counters;
    uint32_t n_connections; /* atomic, all lanes */
    uint64_t memory;        /* atomic: bytes of bodies that are being received */
    uint64_t rate_ns, batch_rate_ns; /* atomic, eventmesh/rate.h */
    pthread_mutex_t names_lock;
    GHashTable *names; /* under it: topics made by the URI API */
    uint32_t n_lanes;
    http_lane **lanes; /* each set once by its lane, atomic */
};

typedef struct http_tls { /* what a lane's TLS connections are made from */
    GTlsCertificate *certificate;
    GTlsDatabase *clients; /* NULL: no client certificates are asked for */
    int64_t stamp;         /* of the files when they were read */
} http_tls;

struct http_lane {
    http_instance *http;
    emesh_loop *loop;
    GMainContext *context;
    uint32_t index;
    SoupServer *server;
    GPtrArray *ports; /* http_port, listen.c */
    GSocket *keeper;  /* makes libsoup keep connections alive, listen.c */
    GQueue conns;     /* http_conn, links inside */
    http_tls tls;
    GHashTable *pollers; /* "group topic" → poller, poll.c */
    GQueue streams;       /* of server-sent events, links inside */
    GHashTable *sessions; /* identity → http_session */
    GQueue session_list;  /* the same, the longest unused first; links inside */
    http_push *push;
    emesh_timer *sweep;
    uint32_t n_requests; /* under way */
    emesh_op *draining, *detaching;
    uint64_t drain_until_ns;
    uint64_t log_ns; /* rations lines about connections */
    uint32_t log_said, log_left_out;
    uint64_t serial; /* makes numbers that must differ */
    bool is_draining;
    GString *answer; /* direct.c: the answer that is being written */
    uint64_t date_s; /* the second that date is of */
    char date[40];
};

typedef enum http_conn_state {
    HTTP_HANDSHAKE, /* TLS */
    HTTP_IDLE,      /* no request, or a part of its head */
    HTTP_READING,   /* head is there, body is not */
    HTTP_WORKING,   /* waits for us */
    HTTP_WRITING,
} http_conn_state;

struct http_conn {   /* direct.c's own, or lives as long as libsoup keeps the connection */
    http_lane *lane; /* NULL once the lane is gone */
    http_direct *direct; /* NULL: libsoup serves it */
    int fd;
    GSocket *socket; /* of the same, which it closes; NULL while it is served directly */
    GCancellable *handshake;        /* while it lasts */
    GIOStream *stream;              /* the same */
    GSocketAddress *local, *remote; /* remote carries this record, and is not referenced by it;
                                       before libsoup has it, it is the other way round */
    http_conn_state state;
    uint64_t since_ns;   /* in this state, or of the last progress in it */
    uint64_t partial_ns; /* IDLE: since when there is a part of a head */
    uint64_t moved;      /* bytes at the last look */
    bool greeted;        /* a request came */
    GList in_lane;
    char peer[64]; /* address and port */
};

/* How a request is answered. */
typedef enum http_face {
    HTTP_FACE_PLAIN, /* {"error": …} and a status that means it */
    HTTP_FACE_CODE,  /* request-code API: retCode, retMsg, resTime */
    HTTP_FACE_URI,   /* URI API: retCode, retMsg */
} http_face;

struct http_request { /* counted: libsoup's message, what is under way for it */
    http_lane *lane;
    http_conn *conn;        /* NULL once it is gone */
    SoupServerMessage *msg; /* the same; NULL as well where it was read directly */
    SoupMessageHeaders *head;
    const char *method;
    GByteArray *body;
    uint64_t announced; /* bytes on the instance's account */
    uint64_t thrown;    /* bytes over the limit */
    uint32_t refs;
    http_face face;
    int code;   /* of the request-code API, as answered */
    bool frame; /* the answer carries cluster, address, env, idc */
    bool answered;
    bool gone;              /* nobody waits for an answer, or it has left */
    GString *lines;         /* headers of the answer, where it is written directly */
    char *query;        /* encoded, NULL = none */
    char *path;         /* encoded */
    GHashTable *params; /* of the query, made when asked for */
};

/* An event, or several, on the way into the mesh for one request. */
struct http_publish {
    http_request *request;
    void (*done)(http_publish *p); /* all have a result, or none will come; answers the request */
    http_session *session;
    GList in_queue;
    uint64_t since_ns;
    uint32_t n, taken, answered;
    uint32_t n_stored;
    uint32_t first; /* index of the first that failed */
    int32_t code;   /* of that; 0: all are stored */
    emesh_error err;
    const emesh_event *reply; /* of a request; given */
    void *data;               /* of whoever made it; freed with g_free */
    emesh_publish items[];
};

static inline uint64_t
http_now(const http_lane *lane)
{
    return lane->http->loop->time(lane->loop, EMESH_CLOCK_MONOTONIC);
}

static inline uint64_t
http_wall_ms(const http_lane *lane)
{
    return lane->http->loop->time(lane->loop, EMESH_CLOCK_WALL);
}

static inline void
http_count(const http_instance *http, emesh_metric *what, int64_t n)
{
    http->metrics->add(what, n);
}

/* The host's words, if it has any. */
static inline const char *
http_why(const emesh_error *err, const char *otherwise)
{
    return err != NULL && EMESH_HAS(err, text) && err->text[0] != '\0' ? err->text : otherwise;
}

/* ---- options.c: [any] ---- */
int32_t http_options_check(const emesh_config *cfg, emesh_error *err);
bool http_options_read(http_options *o, const emesh_config_api *config, const emesh_config *cfg,
                       emesh_error *err);
void http_options_clear(http_options *o);

/* ---- instance.c ---- */
extern const emesh_life_ops http_life;
extern const emesh_protocol_ops http_protocol;
void http_lane_settle_down(http_lane *lane); /* drained? */

/* ---- tls.c ---- */
bool http_tls_load(http_tls *tls, const http_options *o, GError **error);
void http_tls_clear(http_tls *tls);
int64_t http_tls_stamp(const http_options *o); /* changes with the files */
void http_tls_begin(http_conn *conn, void (*ready)(http_conn *conn, GIOStream *stream));

/* ---- listen.c, conn.c ---- */
bool http_listen_start(http_lane *lane, emesh_error *err);
void http_listen_stop(http_lane *lane);
/* Takes fd. */
void http_conn_new(http_lane *lane, int fd, GSocketAddress *local, GSocketAddress *remote);
http_conn *http_conn_of(SoupServerMessage *msg);
void http_conn_enter(http_conn *conn, http_conn_state state);
void http_conn_cut(http_conn *conn);
void http_conn_close(http_conn *conn);     /* one that is served directly */
void http_conn_hand_over(http_conn *conn); /* to libsoup, with all that is in the socket */
bool http_conn_gone(const http_conn *conn); /* has the peer left? */
void http_conns_sweep(http_lane *lane, uint64_t now);
void http_conns_forget(http_lane *lane); /* the lane goes */
void http_log_conn(http_lane *lane, const char *peer, const char *what);

/* ---- direct.c: requests that need libsoup's parser alone ---- */
bool http_direct_start(http_conn *conn); /* false: no memory */
void http_direct_stop(http_conn *conn);  /* its request, if any, is gone */
/* Takes body. */
void http_direct_answer(http_request *r, uint32_t status, const char *type, char *body, size_t len);

/* ---- request.c: from a message to a request, and its answer ---- */
void http_server_start(http_lane *lane);
http_request *http_request_new(http_lane *lane, http_conn *conn);
void http_request_account(http_request *r, size_t n); /* of its body; over max-memory it is cut */
void http_request_serve(http_request *r);             /* it is whole */
void http_request_end(http_request *r); /* nobody waits for it any more */
http_request *http_request_ref(http_request *r);
void http_request_unref(http_request *r);
const char *http_request_header(const http_request *r, const char *name); /* NULL: absent */
/* What proves who speaks: header passwd or token, a bearer, ?access_token=; NULL: nothing. */
const char *http_request_secret(http_request *r);
/* A parameter of the query, decoded; kept by r. NULL: absent. */
const char *http_request_param(http_request *r, const char *name);
/* The body as a part whose owner is given (buf_unref). false: no memory. */
bool http_request_take_body(http_request *r, emesh_part *out);
void http_request_wait(http_request *r);
void http_answer_header(http_request *r, const char *name, const char *value); /* before it */
/* Takes body (g_free). */
void http_answer(http_request *r, uint32_t status, const char *type, char *body, size_t len);

/* ---- answer.c: what answers look like ---- */
/* {"error": …, "field": …}; field may be NULL. */
void http_refuse(http_request *r, uint32_t status, const char *field, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/* retCode and retMsg (NULL = the table's text) in the request's face. */
void http_ret(http_request *r, uint32_t status, int ret, const char *text);
void http_retf(http_request *r, int ret, const char *format, ...) G_GNUC_PRINTF(3, 4);
const char *http_ret_text(int ret);
void http_retry_after(http_request *r, uint32_t seconds);

/* ---- route.c ---- */
void http_route(http_request *r);

/* ---- session.c: identities, publishing ---- */
http_publish *http_publish_new(http_request *r, uint32_t n, void (*done)(http_publish *p));
/* Hands it to the session of the request's identity; done() follows, perhaps at once. */
void http_publish_start(http_publish *p, const char *user, const char *secret);
void http_publish_cancel(http_publish *p); /* instead: nothing is published or called */
void http_sessions_sweep(http_lane *lane, uint64_t now);
void http_sessions_free(http_lane *lane);
extern const emesh_client_ops http_client;

#endif
