/* SPDX-License-Identifier: Apache-2.0
 *
 * A host that a test holds in its hand: one instance of a protocol component on one lane, fake
 * connections, a fake mesh behind the client service, a clock that the test turns. Events are the
 * real ones of core/event, options those of core/config. The plugin is called by the test alone,
 * never from inside a call that it made; calls that would break a rule abort the test.
 */
#pragma once
#include "eventmesh/eventmesh.h"
#include <glib.h>
#include <stdbool.h>

typedef struct ph_host ph_host;
typedef struct ph_conn ph_conn;
typedef struct ph_session ph_session;
typedef struct ph_member ph_member;

struct ph_conn { /* behind emesh_conn */
    ph_host *host;
    const emesh_conn_ops *ops;
    void *ctx;
    GByteArray *in;  /* unread */
    GByteArray *out; /* written by the plugin, taken by ph_take */
    char peer[64];
    size_t need;
    bool fresh; /* bytes came, or reading was resumed, since the last data() */
    bool paused, eof_due, eof_told;
    bool busy;                     /* writes say BUSY */
    bool closing;                  /* the plugin called close */
    uint32_t how;                  /* EMESH_CLOSE_* */
    bool closed;                   /* closed() was called */
    uint32_t writes, refs_written; /* net.write calls; parts with an owner in them */
    uint32_t data_calls;
};

typedef struct ph_published { /* accepted by the fake mesh */
    const emesh_event *event;
    char *topic;
    uint64_t cookie;
    uint64_t reply_to;
    uint32_t what; /* EMESH_PUB_* */
    bool answered;
} ph_published;

struct ph_session { /* behind emesh_session */
    ph_host *host;
    void *ctx;
    char *client;
    GHashTable *labels;
    GPtrArray *published; /* ph_published */
    GPtrArray *members;   /* ph_member, also those that are gone */
    bool closed;
    uint32_t how; /* EMESH_LEFT_* */
    bool room_wanted;
};

struct ph_member { /* behind emesh_member */
    ph_session *session;
    void *ctx;
    char *topic, *group;
    uint32_t mode, flags;
    uint64_t ack_timeout_ns;
    uint32_t window_events;
    uint64_t window_bytes;
    bool answered, gone;
};

typedef struct ph_settled {
    uint64_t id;
    uint32_t outcome;
    char *reason;
} ph_settled;

struct ph_host {
    emesh_host api; /* first: handed to the plugin */
    const emesh_component *component;
    const emesh_protocol_ops *ops;
    emesh_config *config;
    emesh_instance *instance;
    emesh_lane *lane;
    uint64_t now_ns, wall_ms;
    GPtrArray *timers, *conns, *sessions; /* all that ever were */
    GArray *settled;                      /* ph_settled, in order */
    GHashTable *metrics;                  /* name: int64_t */
    GPtrArray *logs;                      /* texts */
    uint32_t publish_room; /* how many more publishes the mesh takes; UINT32_MAX = any */
    uint32_t publish_calls, settle_calls;
    int32_t publish_code; /* < 0: publish refuses all with it */
    size_t input_limit;   /* of net.need */
    uint64_t next_delivery;
    bool in_plugin;                              /* a call of the plugin is running */
    bool op_done;                                /* the last op (drain, detach) was completed */
    bool auto_open, auto_subscribe, auto_result; /* the mesh answers at ph_run */
};

/* conf: text of [options], or "". */
ph_host *ph_new(const emesh_plugin *plugin, const char *conf);
/* Closes all connections, detaches, destroys, and checks that nothing is left. */
void ph_free(ph_host *h);

ph_conn *ph_connect(ph_host *h);
ph_conn *ph_connect_over_limit(ph_host *h, const char *why); /* refuse() instead of accept() */
/* Appends to what is unread and hands it over as the real host would. */
void ph_feed(ph_conn *c, const void *bytes, size_t len);
void ph_writable(ph_conn *c);          /* after BUSY: there is room */
void ph_eof(ph_conn *c);               /* the peer sends no more */
void ph_cut(ph_conn *c, int32_t code); /* closed(code) */
/* Lets the mesh answer what the auto_ flags say, runs closes and unread input, until at rest. */
void ph_run(ph_host *h);
void ph_advance(ph_host *h, uint64_t ns); /* turns the clock, runs due timers, then ph_run */

ph_session *ph_last_session(ph_host *h);
void ph_opened(ph_session *s, int32_t code, const char *why);
void ph_subscribed(ph_member *m, int32_t code, const char *why);
/* Result of the i-th accepted publish of the session. */
void ph_result(ph_session *s, uint32_t i, int32_t code, const char *why);
void ph_results(ph_session *s, const uint32_t *order, uint32_t n); /* all OK, in one call */
/* The reply to the i-th accepted publish, a request. */
void ph_reply(ph_session *s, uint32_t i, const emesh_event *reply);
void ph_redirect(ph_session *s, const char *target, const char *reason);
void ph_room(ph_session *s, uint32_t room);
/* Delivers n events in one call; their ids are consecutive, the first is returned. */
uint64_t ph_deliver(ph_member *m, const emesh_event *const *events, uint32_t n);
void ph_ask(ph_session *s, uint32_t what, const char *reason);
int64_t ph_metric(ph_host *h, const char *name); /* a counter of the plugin */
void ph_drain(ph_host *h, uint64_t within_ns);
ph_settled *ph_settled_find(ph_host *h, uint64_t id);
/* What the plugin wrote since the last time. Given: g_bytes_unref. */
GBytes *ph_take(ph_conn *c);
