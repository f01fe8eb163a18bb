/* SPDX-License-Identifier: Apache-2.0
 *
 * A subscription: (group, topic), or one broadcasting member by itself. Everything here lives on
 * the owner's lane.
 */
#pragma once
#include "delivery/delivery.h"
#include "delivery/member.h"
#include "delivery/window.h"

typedef enum emesh_sub_state {
    EMESH_SUB_PLACING, /* main has the store make the group's place */
    EMESH_SUB_OPENING, /* reader open, no partition begun yet */
    EMESH_SUB_OPEN,
    EMESH_SUB_CLOSING, /* the reader is being closed */
    EMESH_SUB_PAUSED,  /* the store is away; asks for the topic until it is back */
} emesh_sub_state;

struct emesh_reader { /* what the store calls */
    emesh_sub *sub;
    emesh_bus_lane *lane;
    emesh_inst *inst;
    uint32_t posted; /* atomic: calls on their way by mail; later ones queue behind them */
};

struct emesh_consumer { /* made by the member, from JOIN to FREE the owner's */
    emesh_sub *sub;            /* NULL: the join failed, or it has ended */
    emesh_bus_lane *home;
    emesh_member *member;
    uint32_t attach;
    uint32_t window_events;
    uint64_t window_bytes;
    uint32_t open_events;
    uint64_t open_bytes;
    uint32_t open_head, open_tail; /* 1 + slot index: oldest first */
    bool answered, leaving, gone_sent;
    bool alone;
    char *topic_name;          /* for the join only */
    char *group;
    emesh_bus_topic *topic;    /* a reference until joined */
    emesh_start start;
};

typedef struct emesh_sub_key { /* topic NUL group NUL */
    char *text;
    size_t len;
} emesh_sub_key;

struct emesh_sub {
    emesh_delivery_lane *owner;
    emesh_sub_key key;         /* in owner->subs; not when alone */
    emesh_bus_topic *topic;    /* a reference */
    emesh_store *store;
    char *group;               /* "" when alone */
    bool alone;                /* broadcasting: reads by itself, commits nothing */
    bool keeps;                /* core keeps the positions: plain store */
    bool forget, ending, pausing;
    emesh_topic_waiter waiter; /* PAUSED */
    emesh_alarm again;         /* PAUSED: asks for the topic again */
    emesh_start start;         /* for a group that is new, or alone */
    emesh_config *options;     /* of [group …] for this store */
    emesh_sub_state state;
    emesh_reader reader;
    emesh_cursor *cursor;
    emesh_loop *loop;          /* the store's lane here */
    GPtrArray *windows;        /* emesh_window by place */
    emesh_slots slots;
    GPtrArray *consumers;
    uint32_t turn;             /* where picking begins */
    uint32_t offers;           /* epoch of the last offer */
    uint32_t epochs;           /* of begin() */
    uint32_t asked;            /* records wanted and not yet come */
    int64_t asked_bytes;       /* the same in bytes; the last event may go beyond */
    GArray *commits;           /* emesh_commit of single records */
    GArray *waiting;           /* u32 slot indexes */
    emesh_alarm due;           /* the next WAITING slot */
    emesh_alarm save;          /* positions of a plain store */
    uint32_t saving;           /* of them on their way to the disk: a reader opened now would miss */
    bool closed;               /* the reader is, and only they are waited for */
    emesh_alarm revoked;       /* ≤ 5 s for acks of a revoked partition */
    emesh_phased pump;
    GArray *ended;             /* of emesh_sub_ended: who waits for the end */
    uint64_t delivered, settled, returned;
};

typedef struct emesh_sub_ended {
    void (*done)(void *ctx);
    void *ctx;
} emesh_sub_ended;

/* Mail from members. */
void emesh_consumer_join(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_consumer_leave(emesh_bus_lane *here, const emesh_mail *mail); /* y: 1 = session over */
void emesh_consumer_free(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_consumer_window(emesh_bus_lane *here, const emesh_mail *mail);
void emesh_consumer_settle(emesh_bus_lane *here, const emesh_mail *mail);

/* sub.c */
emesh_sub *emesh_sub_get(emesh_delivery_lane *owner, emesh_consumer *consumer);
void emesh_sub_touch(emesh_sub *sub); /* the pump runs at the end of this wake-up */
void emesh_sub_failed(emesh_sub *sub, int32_t code, const char *why);
void emesh_sub_answer(emesh_sub *sub);
void emesh_sub_drop_window(emesh_sub *sub, emesh_window *window);
emesh_window *emesh_sub_window(emesh_sub *sub, uint32_t number, uint16_t *place);
/* place.c: on main: start rule, options, PLACE; then emesh_sub_placed on the lane */
void emesh_sub_place(emesh_sub *sub);
void emesh_sub_placed(emesh_sub *sub, int32_t code, const char *why);
void emesh_sub_forget_group(emesh_sub *sub);
/* offer.c */
void emesh_sub_offer(emesh_sub *sub);
void emesh_sub_want(emesh_sub *sub);
void emesh_consumer_close_offer(emesh_sub *sub, emesh_slot *slot);
void emesh_consumer_return_all(emesh_consumer *consumer);
/* settle.c */
void emesh_sub_commit(emesh_sub *sub);
void emesh_sub_wait(emesh_sub *sub, uint32_t index, uint64_t wait_ns);
void emesh_sub_due(emesh_alarm *alarm);
/* positions.c */
bool emesh_positions_load(emesh_sub *sub, const emesh_window *window, emesh_position *out);
void emesh_positions_save(emesh_alarm *alarm);
/* sub.c: the last of them is durable */
void emesh_sub_saved(emesh_sub *sub);
