/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of net: one connection and what one lane keeps for all of its connections. Everything
 * here belongs to the lane's thread, except what is marked atomic.
 *
 * A connection calls its plugin only from the top of the lane (ready descriptor, alarm, job,
 * phase), never from within a function that the plugin called: those leave a mark and queue `call`
 * (what the plugin is told) or `flush` (what goes to the kernel), which run later in the wake-up.
 * It is freed at the end of `call` alone, so whoever sees it in a turn may go on looking at it.
 */
#pragma once
#include "address.h"
#include "core/event/event.h"
#include "link.h"
#include "listener.h"
#include "net.h"

#define NET_SECOND 1000000000u
#define NET_READ_MIN (16u * 1024)       /* first size of a read buffer */
#define NET_READ_MAX (256u * 1024)      /* size it grows to on its own */
#define NET_TURN_BYTES (256u * 1024)    /* read from one connection per turn */
#define NET_LANE_TURN (1u << 20)        /* ... and from all of a lane */
#define NET_SMALL (4u * 1024)           /* unread rests up to this are moved to a small buffer */
#define NET_COPY_BELOW 256u             /* parts with an owner are copied nevertheless */
#define NET_WRITE_MOST (256u << 20)     /* bytes of one write() */
#define NET_CHUNK (64u * 1024)          /* copied output of a lane */
#define NET_BUSY_FACTOR 8u              /* output marks after which a write is BUSY */
#define NET_FLUSH_NS (10ull * NET_SECOND)  /* of no progress while flushing to close */
#define NET_LINGER_NS (2ull * NET_SECOND)  /* for the peer's FIN after ours */
#define NET_LINGER_MORE 5u                 /* so often again, while it still takes bytes */
#define NET_REFUSING_MOST 64u              /* of a listener: being told that they are too many */
#define NET_LINGER_SHORT_NS (NET_SECOND / 2) /* the same when the instance goes */

typedef struct emesh_tls emesh_tls; /* tls.h */
typedef struct emesh_dialing emesh_dialing; /* dial.c */

typedef enum emesh_conn_state {
    CONN_DIAL,      /* look-up or connect() under way */
    CONN_HANDSHAKE, /* TLS */
    CONN_OPEN,
    CONN_FLUSH,  /* closed by us: output leaves, input is thrown away */
    CONN_LINGER, /* our FIN is out, waits for the peer's; the plugin knows it no longer */
    CONN_DEAD,   /* descriptor closed; closed() follows if the plugin knows it */
} emesh_conn_state;

typedef enum emesh_conn_refusal { /* over a limit: it lives until the protocol has told it so */
    CONN_WELCOME,
    CONN_REFUSED_FULL,
    CONN_REFUSED_MEMORY,
} emesh_conn_refusal;

typedef struct emesh_input {
    emesh_buf *buf; /* NULL when nothing is unread */
    uint8_t *mem;
    uint32_t cap;
    uint32_t start, end; /* unread */
    uint32_t offered;    /* end when data() was called last */
    uint32_t need;       /* data() not below this much */
    uint32_t chunk;      /* size of the next buffer, adapts */
} emesh_input;

typedef struct emesh_piece {
    const uint8_t *ptr;
    emesh_buf *owner;
    uint32_t len;
    uint32_t in_chunk; /* 1: lies in a chunk of the lane */
} emesh_piece;

typedef struct emesh_space { /* a buffer that copied output is appended to */
    emesh_buf *buf;
    uint8_t *mem;
    uint32_t used, cap;
} emesh_space;

typedef struct emesh_output {
    emesh_piece *pieces;
    uint32_t head, n, cap; /* [head, n) are queued */
    uint32_t fresh;        /* pieces from here on may lie in the lane's chunk */
    size_t bytes;          /* queued, with encrypted bytes */
    emesh_space own;       /* what the kernel did not take of the lane's chunk */
} emesh_output;

typedef struct emesh_net_lane {
    emesh_loop *loop;
    emesh_worker *worker;
    emesh_listeners *listeners; /* NULL until opened */
    emesh_link conns;           /* all of this lane, dialled ones as well */
    uint32_t n_accepted;        /* of them */
    uint64_t turn_ns;           /* of the running turn */
    size_t turn_bytes;          /* read in it */
    emesh_buf *spare;           /* a read buffer at rest, unique */
    emesh_space chunk;          /* copied output of all connections */
    uint8_t *wire_spare;        /* an encrypted-output buffer at rest, tls.c */
    emesh_link starved;         /* connections that wait for memory */
    emesh_alarm starved_alarm;
    uint64_t starved_since;     /* memory is wanted in vain; 0: it is not */
    int64_t memory;             /* not yet added to the listeners' account */
    void *dial_tls;             /* SSL_CTX for dialling, made on first use; tls.c */
    emesh_link lookups;         /* under way, lookup.c */
    bool ending;                /* the plugin has detached: no call, no new connection */
} emesh_net_lane;

struct emesh_conn {
    emesh_fd fd; /* first: ready() casts */
    emesh_phased call, flush;
    emesh_alarm alarm;
    emesh_link link, starved_link;
    emesh_net_lane *lane;
    emesh_port *port; /* NULL: dialled */
    emesh_tls *tls;   /* NULL: plain */
    emesh_dialing *dialing;
    const emesh_conn_ops *ops;
    void *ctx;
    emesh_input in;
    emesh_output out;
    size_t held; /* on the listeners' account */
    emesh_addr peer;
    uint64_t opened_ns; /* accepted, or handshake ended */
    uint64_t last_ns;   /* last byte in either direction */
    uint64_t stuffed_ns; /* since when max_input bytes wait for the plugin */
    int32_t code;       /* for closed() */
    emesh_error *err;
    char *texts; /* of info(): local, then peer */
    uint8_t state;
    uint8_t refusal;  /* emesh_conn_refusal */
    uint8_t lingered; /* how often the wait for the peer's FIN was prolonged */
    bool known : 1;    /* accept() took it, or it was dialled: closed() is owed */
    bool paused : 1;   /* by the plugin */
    bool full : 1;     /* output above the mark */
    bool starved : 1;  /* no memory for a read buffer */
    bool blocked : 1;  /* the kernel takes no more output */
    bool eof : 1;      /* the peer's FIN was read */
    bool eof_due : 1;  /* and the plugin was not told yet */
    bool resume : 1;   /* data() again, although nothing new came */
    bool want_room : 1; /* a write was BUSY */
    bool got_byte : 1;
    bool in_data : 1;  /* the plugin looks at the input: it stays until data() returns */
    bool short_linger : 1;
};

/* Those of its listener; dialled ones have their own. */
const emesh_conn_limits *emesh_conn_limits_of(const emesh_conn *conn);

/* ---- lane.c ---- */
emesh_net_lane *emesh_net_lane_of(emesh_loop *loop); /* made on first use */
/* How much a connection may read in this turn. What one wake-up reads is bounded over all
 * connections: what came first is appended and answered before more is taken in. A little is always
 * allowed, because epoll names the same ones first each time. */
size_t emesh_net_turn_share(emesh_net_lane *lane);
/* delta bytes more (or less) are held by conn. */
void emesh_net_account(emesh_conn *conn, int64_t delta);
bool emesh_net_over(const emesh_conn *conn); /* is the listeners' memory used up for conn? */
bool emesh_net_used_up(const emesh_net_lane *lane);  /* ... for everybody? */
void emesh_net_starve(emesh_conn *conn);
/* Somebody wants memory that is not there: when that lasts, those who hold most are ended. */
void emesh_net_wants(emesh_net_lane *lane);
void emesh_net_lane_close_accepted(emesh_net_lane *lane);
void emesh_net_lane_relieve(emesh_net_lane *lane); /* ends those that hold most */

/* ---- conn.c ---- */
/* fd < 0: comes later. Watched and armed by emesh_conn_begin(). */
emesh_conn *emesh_conn_new(emesh_net_lane *lane, emesh_port *port, int fd, const emesh_addr *peer);
bool emesh_conn_begin(emesh_conn *conn, emesh_conn_state state, uint32_t interest);
void emesh_conn_arm(emesh_conn *conn);   /* the state changed: alarm of its time limit */
void emesh_conn_flush(emesh_conn *conn); /* queues `flush` */
void emesh_conn_call(emesh_conn *conn);  /* queues `call` */
/* TCP and TLS stand: asks the plugin (accepted) or tells it (dialled). */
void emesh_conn_established(emesh_conn *conn);
/* The host ends it now; the first code and text count. */
void emesh_conn_fail(emesh_conn *conn, int32_t code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Output leaves first; closed() then says code. */
void emesh_conn_leave(emesh_conn *conn, int32_t code, const char *text);
void emesh_conn_abort(emesh_conn *conn); /* by the plugin's wish: code OK */
void emesh_conn_free_now(emesh_conn *conn); /* from the top of the lane: with closed() */
/* Its table and ctx. False: a mandatory function is missing; with closed() there, it is known. */
bool emesh_conn_known(emesh_conn *conn, const emesh_conn_ops *ops, void *ctx);
void emesh_conn_tell_eof(emesh_conn *conn); /* the peer's FIN, if it is time */
bool emesh_conn_may_read(const emesh_conn *conn);
int emesh_conn_socket_error(const emesh_conn *conn);

/* ---- input.c ---- */
void emesh_input_turn(emesh_conn *conn);    /* reads and hands over what came */
void emesh_input_deliver(emesh_conn *conn); /* data(), if it may be called */
void emesh_input_settle(emesh_conn *conn);  /* end of turn: no more memory than what is unread */
void emesh_input_discard(emesh_conn *conn); /* reads and throws away */
void emesh_input_clear(emesh_conn *conn);

/* ---- output.c ---- */
int32_t emesh_output_write(emesh_conn *conn, const emesh_part *parts, uint32_t n);
/* To the kernel as far as it goes. False: the connection is dead now. */
bool emesh_output_send(emesh_conn *conn);
void emesh_output_settle(emesh_conn *conn);
void emesh_output_take(emesh_conn *conn, size_t n); /* the first n bytes have left */
void emesh_output_clear(emesh_conn *conn);
