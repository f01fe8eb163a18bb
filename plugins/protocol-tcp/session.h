/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection and what it has become: states, frames in and out, subscriptions, what is under
 * way. Everything here is [lane].
 *
 *   NEW ──HELLO──► OPENING ──opened──► OPEN ──leave──► LEAVING ──goodbye──► ENDED ──► closed
 *    └──────────────────────── refused, broken, expired ─────────────────────┘
 */
#ifndef TCP_SESSION_H
#define TCP_SESSION_H
#include "ce.h"
#include "instance.h"
#include "rate.h"
#include "ring.h"
#include "slots.h"

typedef enum tcp_state {
    TCP_NEW,     /* no HELLO yet */
    TCP_OPENING, /* HELLO is being answered; frames wait unread */
    TCP_OPEN,
    TCP_LEAVING, /* on our wish: what is under way is finished, nothing new is taken */
    TCP_ENDED,   /* close was called; only closed() follows */
} tcp_state;

/* A SUBSCRIBE that waits for its topics. */
typedef struct tcp_request {
    struct tcp_request *next;
    uint32_t waits; /* topics without an answer */
    uint32_t code;  /* 0, or 1: refused */
    char *seq;      /* raw text between quotes; NULL = none */
    size_t seq_len;
    char why[256];
} tcp_request;

typedef struct tcp_sub { /* ctx of a member */
    struct tcp_sub *next;
    tcp_session *session;
    emesh_member *member;
    tcp_request *request; /* that made it; NULL once answered */
    tcp_command push;
    bool ready; /* durable */
    size_t topic_len;
    char topic[];
} tcp_sub;

struct tcp_session { /* ctx of the connection and of the mesh session */
    tcp_lane *lane;
    emesh_conn *conn;
    emesh_session *mesh;
    tcp_session *next, *prev;
    uint64_t active_ns;  /* when it was last heard */
    uint64_t goodbye_ns; /* when the peer said goodbye; 0 = has not */
    uint64_t unheard;    /* bytes pushed since then */
    uint64_t leave_ns;   /* LEAVING: until when what is under way is awaited */
    uint64_t rate_ns;    /* eventmesh/rate.h */
    uint64_t slowed_ns;  /* over its rate: not read from until then; 0 = it is not */
    tcp_session *next_slowed;
    uint8_t state;       /* tcp_state */
    uint8_t era;
    uint8_t purpose;
    uint8_t flavour; /* shown on this connection */
    tcp_convention convention;
    bool listening;
    bool needs;          /* net.need was told how much a frame still lacks */
    bool full;           /* the mesh took a part only: reading waits for room */
    bool paused;         /* net.pause is on */
    bool blocked;        /* a write said BUSY: windows are 0 until there is room */
    bool eof;            /* the peer sends no more */
    bool partial;        /* what is unread is no whole frame */
    bool redirected;     /* LEAVING, and what was pushed is awaited as well */
    bool waits;          /* too many SUBSCRIBEs at once: reading waits for an answer */
    tcp_slots publishes; /* under way: cookie → seq and command */
    tcp_ring pushes;     /* un-acked: seq → delivery */
    const emesh_event *loose; /* a reply that names no request: what is acknowledged next is it */
    tcp_sub *subs;
    tcp_request *requests;
    uint32_t n_subs, n_requests;
    uint32_t asking; /* of publishes: requests, which nobody waits for behind the peer's end */
    char *held; /* answers that found the connection BUSY */
    size_t held_len;
    tcp_agent *agent;
    char *hello_seq; /* of the HELLO under way, then freed */
    size_t hello_seq_len;
    char *group;
    size_t group_len;
    char *stamp; /* JSON members added to each push, each with a comma */
    size_t stamp_len;
    char *refusal;      /* the host is over a limit: what HELLO is answered with; else NULL */
    char why[120];      /* LEAVING: what the goodbye says */
    char local[64];     /* our address, without port */
    char peer[64];      /* address and port */
    uint32_t peer_host; /* length of the address in it */
};

/* what becomes of a frame */
typedef enum tcp_verdict {
    TCP_DONE,
    TCP_WAIT,  /* leave it and the rest unread */
    TCP_CLOSE, /* the connection is being closed: drop the rest */
} tcp_verdict;

static inline void
tcp_count(const tcp_instance *tcp, emesh_metric *what)
{
    tcp->metrics->add(what, 1);
}

/* The host's words, if it has any. */
static inline const char *
tcp_why(const emesh_error *err, const char *otherwise)
{
    return err != NULL && EMESH_HAS(err, text) && err->text[0] != '\0' ? err->text : otherwise;
}

/* ---- session.c ---- */
int32_t tcp_accept(emesh_lane *lane, emesh_conn *conn, const emesh_conn_ops **ops, void **ctx);
int32_t tcp_refuse(emesh_lane *lane, emesh_conn *conn, const emesh_error *err,
                   const emesh_conn_ops **ops, void **ctx);
/* Ends the connection after what is queued; how: EMESH_LEFT_*. Idempotent. */
void tcp_session_end(tcp_session *s, uint32_t how);
/* Says why, once, in the log (tell.c), and ends it. */
tcp_verdict tcp_session_refuse(tcp_session *s, const char *reason, const char *goodbye);
/* On our wish: takes nothing new, says goodbye when what is under way is done. */
void tcp_session_leave(tcp_session *s, const char *why, uint64_t until_ns);
/* Looks whether a leaving or half-closed session is done. */
void tcp_session_settle_down(tcp_session *s);
void tcp_session_pause(tcp_session *s);
void tcp_session_resume(tcp_session *s);
void tcp_session_sweep(tcp_session *s, uint64_t now);
void tcp_session_windows(tcp_session *s); /* tells the mesh what each subscription may hold */
uint64_t tcp_now(const tcp_lane *lane);
uint64_t tcp_wall_ms(const tcp_lane *lane);

/* ---- reply.c ---- */
/* Composes an answer into the lane's out. desc NULL: success. */
void tcp_reply(tcp_session *s, tcp_command command, const char *seq, size_t seq_len, uint32_t code,
               const char *desc);
void tcp_reply_to(tcp_session *s, const tcp_header *h, uint32_t code, const char *desc);
/* Sends what was composed; BUSY keeps it for room(). */
void tcp_flush(tcp_session *s);
void tcp_held_room(tcp_session *s);
void tcp_goodbye(tcp_session *s, uint32_t code, const char *desc);
/* Tells the client of another server. false: address is none. */
bool tcp_redirect(tcp_session *s, tcp_field address);
/* RECOMMEND_RESPONSE with an address as its body. */
void tcp_recommend(tcp_session *s, const tcp_header *h, const char *address);

/* ---- opening.c ---- */
tcp_verdict tcp_hello(tcp_session *s, const tcp_frame *f, const tcp_header *h);
void tcp_opened(emesh_lane *lane, void *session, int32_t code, const emesh_error *err);
char *tcp_copy(const char *text, size_t len); /* with a NUL behind it; NULL: no memory */

/* ---- subscribe.c ---- */
tcp_verdict tcp_subscribe(tcp_session *s, const tcp_frame *f, const tcp_header *h);
void tcp_unsubscribe_all(tcp_session *s);
void tcp_requests_free(tcp_session *s);
void tcp_subscribed(emesh_lane *lane, void *member, int32_t code, const emesh_error *err);

/* ---- control.c ---- */
tcp_verdict tcp_control(tcp_session *s, const tcp_frame *f, const tcp_header *h);

/* ---- publish.c ---- */
tcp_verdict tcp_publish(tcp_session *s, const emesh_part *in, size_t at, const tcp_frame *f,
                        const tcp_header *h);
/* Hands the batch to the mesh. false: a part was not taken, reading stops at lane->resume_at. */
bool tcp_publish_flush(tcp_session *s);
void tcp_published(emesh_lane *lane, void *session, const emesh_published *results, uint32_t n);

/* Of the protocol markers in a header. UNKNOWN: why is written. */
tcp_flavour tcp_flavour_of(const tcp_header *h, char *why, size_t size);
/* The client has shown that it speaks this. */
void tcp_show(tcp_session *s, tcp_flavour flavour);

/* ---- request.c ---- */
tcp_verdict tcp_respond(tcp_session *s, const emesh_part *in, const tcp_frame *f,
                        const tcp_header *h);
/* The reply that waits for it answers the push acknowledged now. */
void tcp_loose_acked(tcp_session *s, uint64_t id);
void tcp_loose_drop(tcp_session *s);
void tcp_answer_request(tcp_session *s, const tcp_slot *slot, const emesh_event *reply);

/* ---- deliver.c ---- */
void tcp_deliver(emesh_lane *lane, void *member, const emesh_delivery *items, uint32_t n);
void tcp_ack(tcp_session *s, const tcp_header *h);
void tcp_settle_flush(tcp_session *s);

#endif
