/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushing to webhooks. A group lives on the lane that its name's hash says, with all its URLs, so
 * that nothing of it is shared; requests about it come there by task.
 *
 *   group ── hook (group, URL): a session of the mesh ── topic: a member of it
 *   target: a URL on this lane, its queue, its limits ── job: one delivery on its way there
 *
 * Everything is [lane].
 */
#ifndef HTTP_PUSH_H
#define HTTP_PUSH_H
#include "push-judge.h"
#include "session.h"

typedef struct http_group http_group;
typedef struct http_hook http_hook;
typedef struct http_topic http_topic;
typedef struct http_target http_target;
typedef struct http_job http_job;
typedef struct http_hand http_hand; /* push-hand.c */
typedef struct http_line http_line; /* push-line.c: a connection to a target */
typedef struct http_order http_order;
typedef struct http_try http_try; /* an order, as far as one URL is concerned */

typedef struct http_check http_check;
struct http_check { /* of a URL: may it be pushed to? (push-check.c) */
    void (*done)(http_check *check, const char *why); /* NULL: it may */
    http_push *push;
    char *url;
};

typedef enum http_format {                        /* of what is pushed */
                           HTTP_FORMAT_EVENTMESH, /* the form that EventMesh's clients read */
                           HTTP_FORMAT_BINARY,    /* CloudEvents */
                           HTTP_FORMAT_STRUCTURED,
                           HTTP_FORMAT_BATCH,
} http_format;

/* By the name that subscribers give; empty: EventMesh's. false: there is none of that name. */
bool http_format_read(http_format *format, const char *name, size_t len);

struct http_push {
    http_lane *lane;
    SoupSession *soup;
    GTlsCertificate *certificate; /* shown to targets that ask; NULL: none */
    GHashTable *groups;           /* name → http_group */
    GHashTable *targets;          /* URL → http_target */
    GPtrArray *adopted;           /* http_hook without group: of push_to (push-adopt.c) */
    GQueue flying;                /* http_job, the oldest first; links inside */
    emesh_timer *timer;           /* of the oldest's deadline */
    uint32_t n_jobs;              /* in all, handshakes as well */
};

struct http_group {
    http_push *push;
    char *name;
    GPtrArray *hooks; /* http_hook that are subscribed */
};

struct http_hook {    /* counted: its group, its jobs, orders that wait for it */
    http_actor actor; /* first */
    http_push *push;
    http_group *group; /* NULL: it has left it */
    http_target *target;
    emesh_session *mesh;
    char *name;         /* of the group */
    char *idc;          /* of the client; NULL = unknown */
    GPtrArray *topics;  /* http_topic */
    GPtrArray *waiting; /* http_try: until the session is open */
    GPtrArray *kept;    /* topics of before a restart: the same (push-keep.c) */
    uint64_t heard_ns;  /* the last heartbeat or subscription */
    uint32_t refs;
    bool opened;
    bool adopted; /* its session is another instance's wish, and has one topic */
    bool allowed; /* the same: its URL was looked at */
};

struct http_topic {   /* ctx of a member; freed when the mesh calls for it no more */
    http_member base; /* first */
    http_hook *hook;
    emesh_member *member;
    http_format format;
    bool sync, ready;
    http_try *attempt; /* that waits for it */
    char name[];
};

struct http_target {
    http_push *push;
    char *url, *base; /* base: scheme, host and port, for the log */
    GUri *uri;
    bool plain, numeric;      /* http; its host is an address */
    char *address, *preamble; /* host and port; the first lines of each push */
    GQueue lines;             /* http_line without a push, the longest idle first; links inside */
    GQueue ready;             /* http_job, links inside */
    uint32_t n_flying, n_hooks;
    uint64_t down_until_ns, down_wait_ns; /* it failed as a target: the next try, and the wait */
    uint64_t interval_ns, next_ns;        /* the rate it allows */
    emesh_timer *timer;                   /* for that */
    bool asked;                           /* the handshake is over */
    bool refused;                         /* it named another origin */
    http_hand *hand;                      /* while it lasts */
    GPtrArray *asking;                    /* http_check that wait for it */
};

struct http_job {
    http_hook *hook;
    http_topic *topic; /* NULL once it is unsubscribed */
    http_format format;
    bool sync, timed_out;
    bool cut; /* by us: it is not tried again */
    bool listed; /* in the lane's list of those under way */
    char *topic_name;
    const emesh_event *event;
    uint64_t id, stored_ms;
    uint64_t since_ns; /* since it waits, then since it is under way */
    GList link;
    http_job *more; /* of a batch: the others in it */
    http_line *line; /* that it is on; else it is libsoup's: */
    SoupMessage *msg;
    GCancellable *cancel;
    GInputStream *in;
    GByteArray *answer;
    char *refused; /* by the guard, on the way to a connection */
};

/* ---- push.c: groups, hooks, topics ---- */
bool http_push_start(http_lane *lane);
void http_push_drain(http_lane *lane);
void http_push_cut(http_lane *lane);  /* all of it ends soon */
void http_push_free(http_lane *lane); /* when nothing is under way */
void http_push_sweep(http_lane *lane, uint64_t now);
http_lane *http_push_lane(const http_instance *http, const char *group);
/* The hook of (group, URL), made if need be. NULL: no memory. */
http_hook *http_push_hook(http_push *push, const char *group, const char *url);
http_hook *http_push_find(http_push *push, const char *group, const char *url);
http_topic *http_hook_topic(const http_hook *hook, const char *topic);
/* Subscribes; attempt hears of it. false: no memory. */
bool http_hook_subscribe(http_hook *hook, const char *topic, bool sync, http_format format,
                         http_try *attempt);
void http_hook_unsubscribe(http_hook *hook, http_topic *topic);
void http_topic_deliver(http_member *member, const emesh_delivery *items, uint32_t n);
void http_hook_drop(http_hook *hook); /* from its group, with all topics */
http_hook *http_hook_ref(http_hook *hook);
void http_hook_unref(http_hook *hook);

/* ---- push-order.c: what clients want, on the lane of the group ---- */
typedef enum http_want {
    HTTP_WANT_SUBSCRIBE,
    HTTP_WANT_UNSUBSCRIBE,
    HTTP_WANT_HEARTBEAT
} http_want;
http_order *http_order_new(http_request *r, http_want want, const char *group);
void http_order_add(http_order *o, const char *topic, const char *url, bool broadcasting,
                    bool sync);
void http_order_set(http_order *o, const char *idc, http_format format);
/* Sends it on its way; the request is answered when it is back. */
void http_order_start(http_order *o);
void http_order_free(http_order *o); /* one that was not started */
/* What an attempt waited for. */
void http_try_opened(http_try *t, http_hook *hook, int32_t code, const char *why);
void http_try_subscribed(http_try *t, int32_t code, const char *why);

/* ---- push-check.c ---- */
/* NULL: http or https with a host; else what is wrong. */
const char *http_url_flaw(const char *url);
void http_check_start(http_check *check); /* of a URL without flaw; done follows, perhaps at once */
void http_check_allowed(http_check *check, bool allowed);
/* NULL: none of the addresses ("address:port") is refused. Given. */
char *http_guard_says(const http_guard *guard, const emesh_slice *found, uint32_t n);

/* ---- push-adopt.c: push_to of other instances ---- */
int32_t http_adopt(emesh_lane *lane, emesh_session *session, emesh_member *member,
                   const emesh_subscribe *spec, void **ctx);
/* why: told to the one who asked; NULL: it knows. */
void http_adopted_end(http_hook *hook, const char *why);
void http_adopted_drain(http_push *push);

/* ---- push-keep.c: what outlives a restart ---- */
void http_keep(const http_topic *topic);
void http_keep_no_more(const http_topic *topic);
void http_kept_read(http_lane *lane);
void http_kept_subscribe(http_hook *hook); /* its session is open */
void http_kept_free(gpointer kept);

/* ---- push-target.c ---- */
http_target *http_target_get(http_push *push, const char *url);
void http_target_release(http_target *target); /* of one hook */
void http_target_pump(http_target *target);
/* Jobs that wait go back to the mesh, not before wait_ms. */
void http_target_return(http_target *target, uint64_t wait_ms, const char *why);
/* It fails whatever it gets. How long it is left alone, in ms. */
uint64_t http_target_down(http_target *target, uint64_t wait_ms);
void http_target_up(http_target *target);
void http_target_unused(http_target *target); /* frees one that nobody has come to use */

/* ---- push-hand.c: CloudEvents' abuse protection ---- */
/* Asks the target, once, whether it wants to be pushed to; check hears. */
void http_hand_ask(http_target *target, http_check *check);
void http_hand_cut(http_target *target);

/* ---- push-send.c ---- */
bool http_push_client(http_push *push);
void http_push_client_free(http_push *push);
void http_job_start(http_job *job);
void http_job_cut(http_job *job); /* it fails soon */
/* One that was under way has ended. */
void http_job_over(http_job *job, http_verdict *v);
void http_job_failed(http_job *job, const char *why);
void http_job_end(http_job *job, const http_verdict *v); /* settles and frees it, and its batch */
/* Never follows redirects; an address that the guard refuses is written to *refused, and cancels.
 */
SoupMessage *http_push_message(http_target *target, const char *method, GCancellable *cancel,
                               char **refused);
/* A job, or a handshake, has ended. */
void http_push_less(http_push *push);

/* ---- push-line.c ---- */
void http_line_prepare(http_target *target); /* what all pushes to it have in common */
const char *http_line_push(http_job *job);   /* NULL: it is under way; else why not */
void http_line_cut(http_job *job);
void http_lines_sweep(http_target *target, uint64_t now);
void http_lines_close(http_target *target); /* those without a push */

/* ---- push-body.c ---- */
typedef struct http_sheet { /* what is sent, but for the first line and what every push has */
    SoupMessageHeaders *head;
    GBytes *body; /* given; NULL: none */
} http_sheet;
/* Fills it for the job, and for its batch. NULL: fine; else why it cannot be carried. */
const char *http_job_compose(http_job *job, http_sheet *sheet);

#endif
