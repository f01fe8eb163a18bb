/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to the server: commands go out in one stream, replies come back in the same order.
 * It is dialled again, after a wait that doubles, as long as the store lives. All on the lane.
 */
#ifndef RS_LINK_H
#define RS_LINK_H
#include "eventmesh/eventmesh.h"

#include <glib.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>

typedef struct rs_store rs_store;
typedef struct rs_link rs_link;
typedef struct rs_command rs_command;

/* r NULL: the connection went before the reply came; perhaps it was done. */
typedef void (*rs_done)(rs_store *s, const rs_command *cmd, const redisReply *r);

struct rs_command {
    rs_done done;
    void *ctx;
    uint64_t a;
    uint32_t b, c;
    uint64_t sent_ns;
};

typedef enum rs_link_state {
    RS_LINK_REST,   /* not wanted */
    RS_LINK_WAIT,   /* for the next try */
    RS_LINK_DIAL,
    RS_LINK_GREET,  /* connected; who we are and who it is */
    RS_LINK_UP,
    RS_LINK_CLOSING
} rs_link_state;

struct rs_link {
    rs_store *s;
    const char *what;
    void (*up)(rs_link *link);
    void (*down)(rs_link *link);                       /* gone, or a try failed: see why */
    void (*heard)(rs_link *link, const redisReply *r); /* a push: for no command */
    rs_link_state state;
    emesh_conn *conn;
    redisReader *reader;
    redisReplyObjectFunctions shapes; /* hiredis' own, but for arrays, which are bounded */
    void *(*array)(const redisReadTask *task, int n);
    GByteArray *out;  /* formatted, not yet queued at the host */
    bool keep;        /* set by done(): the reply is its own now, for freeReplyObject() */
    bool full;        /* the host has no room */
    bool timed_out;   /* it is cut because no answer came */
    bool ending;
    rs_command *ring; /* power of two */
    uint32_t room, first, n;
    emesh_timer *timer;
    uint64_t wait_ns, dialled;
    char why[200];
};

typedef struct rs_args { /* the words of one command */
    const char **v;
    size_t *len;
    uint32_t n, room;
} rs_args;

void rs_args_begin(rs_args *a, const char *command);
void rs_args_text(rs_args *a, const char *text);
void rs_args_bytes(rs_args *a, const void *bytes, size_t len);
void rs_args_number(rs_args *a, GStringChunk *chunk, uint64_t number);
void rs_args_free(rs_args *a);

bool rs_link_init(rs_link *link, rs_store *s, const char *what);
void rs_link_want(rs_link *link);
void rs_link_end(rs_link *link); /* then rs_link_gone() once it is at rest */
void rs_link_clear(rs_link *link);
bool rs_link_is_up(const rs_link *link);
/* Queues the command. Nothing leaves before rs_link_flush, or the end of the next data(). */
void rs_link_send(rs_link *link, const rs_args *args, rs_command cmd);
void rs_link_flush(rs_link *link);
/* Cut with a reason; it is dialled again. */
void rs_link_cut(rs_link *link, const char *why, bool timed_out);
/* Greeting is over. */
void rs_link_ready(rs_link *link);
/* Cuts when the oldest command waits for longer than the store's timeout. */
void rs_link_watch(rs_link *link);
#endif
