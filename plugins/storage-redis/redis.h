/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of storage-redis share: the instance, its topics and its cursors. The instance
 * lives on one lane (HOME); what is not marked [main] or [pool] is touched there alone, so there is
 * no lock.
 */
#ifndef RS_REDIS_H
#define RS_REDIS_H
#include "eventmesh/eventmesh.h"
#include "eventmesh/layout.h"
#include "link.h"
#include "scripts.h"

#include <glib.h>
#include <stdbool.h>

#define RS_CLAIMS                                                                               \
    (EMESH_STORE_CAN_GROUPS | EMESH_STORE_CAN_ACK_EACH | EMESH_STORE_CAN_REPLAY |               \
     EMESH_STORE_CAN_TIME | EMESH_STORE_CAN_DELAY | EMESH_STORE_CAN_INBOX |                     \
     EMESH_STORE_CAN_UNIT | EMESH_STORE_CAN_REPLY | EMESH_STORE_CAN_TRIM |                      \
     EMESH_STORE_CAN_ORDER | EMESH_STORE_ANY_NAME)
#define RS_MS UINT64_C(1000000) /* in ns */
#define RS_SECOND (1000 * RS_MS)
#define RS_MOST_PARTITIONS 256u
#define RS_NAME_MOST 249u
#define RS_READ_MOST 256u     /* entries of one reading command */
#define RS_INBOX UINT32_C(0x7fffffff) /* number of the partition "inbox" */
#define RS_NOBODY "nobody"    /* who holds what its reader gave back; no daemon has this name */

enum { RS_MODE_STREAMS, RS_MODE_PUBSUB };

typedef struct rs_facts { /* what the server says about itself */
    uint32_t version;     /* 6.2.14 = 60214; 0: not known */
    uint32_t levels;      /* bits, of what its settings give */
    uint64_t max_value;   /* proto-max-bulk-len */
    bool cluster, replica, loading;
    bool evicts;          /* its memory policy may remove keys that never expire */
    bool asked;           /* CONFIG was answered */
    char appendfsync[16];
} rs_facts;

typedef struct rs_options { /* [main] until attach, then constant */
    char *address, *user, *password, *password_file, *prefix;
    uint64_t database, lease_ms, timeout_ns, poll_ns, wait_ns, wait_max_ns, connect_ns, trim_ns;
    uint32_t mode, assume; /* a level, 0: ask the server */
    uint32_t quorum;       /* replicas to wait for */
    bool tls;
} rs_options;

typedef struct rs_topic {
    char *name;
    struct rs_store *store;
    uint32_t handles;
    uint32_t partitions;
    char **keys; /* of the streams, as many */
    uint64_t retention_ms, retention_bytes;
} rs_topic;

typedef struct rs_handed { /* an entry that the host has, or that only moved the place */
    emesh_position at;
    bool settled;
} rs_handed;

typedef enum rs_phase {
    RS_IDLE,  /* not begun */
    RS_PLACE, /* shared: the group's place is being made sure of */
    RS_MINE,  /* shared: what this daemon had and did not settle */
    RS_TAKE,  /* shared: what dead daemons had */
    RS_NEW    /* what nobody had */
} rs_phase;

typedef struct rs_part { /* a partition of a cursor */
    struct rs_cursor *c;
    uint32_t number, epoch;
    const char *key; /* of the stream, or of the inbox's sorted set: its own */
    char *own_key;
    rs_phase phase;
    bool reading;      /* a command is under way */
    bool dry;          /* nothing more until somebody says so */
    bool woken;        /* somebody did, while a command was under way */
    bool announced, told; /* ASSIGNED, CAUGHT_UP */
    bool lost_note;    /* look for what retention took */
    char *lost_key;
    char *lease_key;   /* of an exclusive part: who reads it */
    bool asking;       /* for that lease */
    emesh_position last, end; /* alone: where it ended when it was opened */
    uint64_t take_ns;  /* when to look for dead owners next */
    uint64_t due_ms;   /* inbox: when the next is due, 0 unknown */
    struct rs_ack *ack; /* being filled */
    uint32_t acks;     /* commands under way that settle something */
    GArray *out;       /* rs_handed, from head on: in the order handed over */
    uint32_t head;
    uint64_t base;     /* number of out[0] */
    GHashTable *where; /* position → number */
    GHashTable *unsure; /* positions whose unit got no answer; NULL: none */
} rs_part;

typedef struct rs_cursor {
    struct rs_store *s;
    rs_topic *topic;
    emesh_reader *reader;
    char *group; /* NULL: alone */
    emesh_op *close_op;
    GQueue buffer;    /* Pub/Sub mode: events that nobody wanted yet */
    uint64_t buffered, counted, boot_ms; /* bytes of them; events so far, since then */
    GPtrArray *parts; /* rs_part; of a group the inbox is the last */
    uint32_t want, turn, busy; /* busy: commands under way that know this cursor */
    int64_t want_bytes;
    uint32_t mean_bytes;
    bool bytes_given;
    bool exclusive; /* its partitions are read by one daemon at a time */
} rs_cursor;

typedef struct rs_ack { /* what is done and has to reach the server, again if need be */
    char *key, *group, *lease;
    int32_t script;  /* -1: XACK */
    GPtrArray *ids;  /* texts */
    rs_part *part;   /* whose acks it is counted in; NULL: gone */
} rs_ack;

struct rs_store { /* the host's emesh_instance and emesh_lane */
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_store_api *st;
    const emesh_loop_api *lp;
    const emesh_net_api *net;
    const emesh_metrics_api *mt;
    emesh_loop *loop; /* since attach */
    rs_options opt;
    char *name, *me;  /* of the instance; of this daemon among consumers */
    rs_facts facts;
    emesh_op *start_op, *detach_op;
    emesh_task start_task;
    emesh_task password_task; /* [pool] reads the file */
    char *secret;             /* what it had */
    bool reading_secret;

    rs_link data, ear; /* commands; SUBSCRIBE */
    GHashTable *topics; /* name → rs_topic */
    GPtrArray *cursors;
    GPtrArray *asks;    /* operations of main that wait for the server: rs_ask */
    GHashTable *by_key; /* stream → GPtrArray of rs_part */
    GHashTable *channels; /* Pub/Sub mode: topic → GPtrArray of rs_part */
    GArray *results;    /* emesh_appended, told together */
    GStringChunk *reasons;
    GArray *held;       /* with replicas to wait for: results that wait for WAIT */
    GQueue acks;        /* rs_ack that were not answered before the connection went */
    GHashTable *touched; /* streams of this batch: one PUBLISH each */
    GStringChunk *scratch;
    struct rs_args *args;
    char *sha[RS_SCRIPTS];
    emesh_timer *beat;  /* lease, poll */
    emesh_timer *due;   /* delayed events, inboxes */
    emesh_timer *trim;
    uint64_t due_ms;    /* of the next delayed event, 0 unknown */
    bool firing, ready_told, ending;
    uint64_t alive_ns, polled_ns;
    emesh_metric *m_appended, *m_refused, *m_read, *m_taken, *m_trimmed, *m_connects, *m_foreign,
        *m_lost;
};

#define RS_STORE(self) ((rs_store *)(void *)(self))

/* ---- instance.c, probe.c ---- */
int32_t rs_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out,
                  emesh_error *err);
void rs_destroy(emesh_instance *self);
void rs_start(emesh_instance *self, emesh_op *op);
int32_t rs_error(emesh_error *err, int32_t code, const char *format, ...) G_GNUC_PRINTF(3, 4);
void rs_say(const rs_store *s, uint32_t level, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* [pool] Connects once, to know what the server gives before the daemon is ready. */
int32_t rs_probe(rs_store *s, rs_facts *facts, emesh_error *err);
/* [any] The store as it is now, told to the host. */
void rs_tell_ready(rs_store *s);
uint32_t rs_levels(const rs_store *s);

/* ---- facts.c ---- */
void rs_facts_init(rs_facts *facts);
void rs_facts_info(rs_facts *facts, const char *text, size_t len);
void rs_facts_config(rs_facts *facts, const redisReply *reply);
/* Is it a server that this store can live on? */
int32_t rs_facts_judge(const rs_store *s, const rs_facts *facts, emesh_error *err);

/* ---- lane.c ---- */
int32_t rs_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
                  emesh_error *err);
void rs_drain(emesh_lane *lane, uint64_t deadline_ns, emesh_op *op);
void rs_detach(emesh_lane *lane, emesh_op *op);
uint64_t rs_now(const rs_store *s);
uint64_t rs_wall(const rs_store *s);
void rs_link_gone(rs_store *s); /* one of the two is at rest */

/* ---- errors.c ---- */
/* What an error reply means; its code by its first word. */
int32_t rs_reply_code(const redisReply *r);
bool rs_is_error(const redisReply *r);
uint64_t rs_number_of(const redisReply *r); /* an integer, or a text of one; else 0 */

/* ---- topic.c, admin.c, list.c: [main] posts, the lane does ---- */
void rs_topic_open(emesh_instance *self, const emesh_topic_spec *spec, emesh_op *op);
void rs_topic_close(emesh_instance *self, emesh_topic *topic);
void rs_admin(emesh_instance *self, const emesh_admin *what, emesh_op *op);
void rs_topic_free(void *topic);
void rs_topic_mend(rs_store *s, rs_topic *topic); /* its streams are made anew if it still is a topic */
typedef struct rs_ask rs_ask;
struct rs_ask { /* an operation of main on its way */
    emesh_task task;
    rs_store *s;
    emesh_op *op;
    void (*go)(rs_ask *ask); /* on the lane, the server being there */
    char *topic, *group, *partition, *source, *id;
    emesh_topic_spec spec;
    emesh_start start;
    bool has_start;
    emesh_position position;
    uint32_t what;
    rs_topic *handle;
};
rs_ask *rs_ask_new(rs_store *s, emesh_op *op, void (*go)(rs_ask *ask));
void rs_ask_post(rs_ask *ask);
void rs_ask_end(rs_ask *ask, int32_t code, const emesh_error *err, const void *result);
/* Ends with what the reply says when it is no answer; true: it has ended. */
bool rs_ask_failed(rs_ask *ask, const redisReply *r, const char *what);
void rs_list(rs_ask *ask);

/* Begins a command of a script. */
void rs_eval(rs_store *s, uint32_t script, const char *key);

/* ---- append.c ---- */
void rs_append(emesh_lane *lane, const emesh_append *items, uint32_t n);
void rs_results_flush(rs_store *s);
void rs_result(rs_store *s, uint64_t cookie, int32_t code, const char *reason, size_t len,
               emesh_position at, uint32_t partition);
/* After a batch: other daemons are told of the streams that it touched. */
void rs_wake_others(rs_store *s);
void rs_ignored(rs_store *s, const rs_command *cmd, const redisReply *r); /* for send */

/* ---- cursor.c, out.c, feed.c, inbox.c ---- */
emesh_cursor *rs_open(emesh_lane *lane, const emesh_read_spec *spec, emesh_reader *reader);
void rs_begin(emesh_cursor *cursor, uint32_t partition, uint32_t epoch, const emesh_start *start);
void rs_release(emesh_cursor *cursor, uint32_t partition, uint32_t epoch);
void rs_want(emesh_cursor *cursor, uint32_t records, uint64_t bytes);
void rs_commit(emesh_cursor *cursor, const emesh_commit *items, uint32_t n);
void rs_close(emesh_cursor *cursor, emesh_op *op);
void rs_cursor_grow(rs_cursor *c);
void rs_cursor_settle(rs_cursor *c); /* ends it when nothing is under way any more */
rs_part *rs_cursor_part(rs_cursor *c, uint32_t number);
void rs_start_text(const emesh_start *start, char *out, size_t room); /* as PLACE takes it */
bool rs_position_of(const char *text, emesh_position *out);
void rs_part_place(rs_part *p, const char *how, const char *id);

bool rs_out_add(rs_part *p, emesh_position at, bool settled);
bool rs_out_has(const rs_part *p, emesh_position at);
void rs_out_clear(rs_part *p);
/* A unit that settles at got no answer. */
void rs_part_unsure(rs_part *p, emesh_position at);
bool rs_part_is_unsure(const rs_part *p, emesh_position at);
/* Marks it, and with up_to what was handed over before it; what had not been is given to each(). */
void rs_out_settle(rs_part *p, emesh_position at, bool up_to,
                   void (*each)(void *ctx, emesh_position at), void *ctx);

uint64_t rs_event_bytes(const rs_store *s, const emesh_event *event);
void rs_feed(rs_cursor *c);
void rs_feed_all(rs_store *s);
void rs_part_again(rs_part *p); /* the connection is new: what was under way is found out */
void rs_hand(rs_part *p, const emesh_record *records, uint32_t n, uint64_t bytes);
void rs_wake_key(rs_store *s, const char *key, size_t len, bool take);
bool rs_is_inbox(const rs_part *p);

void rs_inbox_read(rs_part *p, uint32_t most);
void rs_inbox_renew(rs_part *p);
char *rs_inbox_key(const rs_store *s, const char *topic, const char *group);

/* ---- own.c: of exclusive cursors ---- */
bool rs_is_owned(const rs_part *p); /* one that is read under a lease */
void rs_own_ask(rs_part *p);    /* has it the lease, or can it have it? */
void rs_own_lost(rs_part *p);
void rs_own_leave(rs_part *p);
void rs_part_announce(rs_part *p);

/* ---- acks.c ---- */
rs_ack *rs_ack_new(rs_part *p, int32_t script);
void rs_ack_add(rs_ack *ack, emesh_position at);
void rs_ack_send(rs_store *s, rs_ack *ack);
void rs_acks_again(rs_store *s);
void rs_acks_clear(rs_store *s);
void rs_give_back(rs_part *p); /* what is unsettled goes to others */

/* ---- lease.c, due.c, trim.c ---- */
void rs_beat(void *store);
void rs_alive(rs_store *s);
void rs_not_alive(rs_store *s);
void rs_take_all(rs_store *s); /* every group looks for what dead daemons had */
void rs_fire(rs_store *s);
void rs_due(void *store);
void rs_due_at(rs_store *s, uint64_t due_ms);
void rs_trim(void *store);

/* ---- ear.c ---- */
void rs_ear_up(rs_link *link);
void rs_ear_heard(rs_link *link, const redisReply *r);
void rs_ear_follow(rs_store *s, const char *channel, bool on);
void rs_ear_down(rs_link *link);

/* ---- pubsub.c ---- */
void rs_pubsub_append(rs_store *s, const emesh_append *item);
rs_part *rs_pubsub_part(rs_cursor *c); /* cursor.c: its only partition, announced */
void rs_pubsub_open(rs_cursor *c);
void rs_pubsub_begin(rs_part *p);
void rs_pubsub_feed(rs_cursor *c);
void rs_pubsub_close(rs_cursor *c);
void rs_pubsub_again(rs_store *s); /* the ear is new */
void rs_pubsub_heard(rs_store *s, const char *channel, const char *text, size_t len);

/* ---- greet.c ---- */
void rs_data_up(rs_link *link);
void rs_data_down(rs_link *link);
void rs_greet(rs_link *link);
#endif
