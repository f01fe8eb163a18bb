/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic that subscriptions at rest wait for: the store's watch on it, and the table of their
 * records by group. One for each topic and owner's lane, which alone touches it.
 */
#pragma once
#include "delivery/rest.h"

typedef struct emesh_watch emesh_watch;

typedef struct emesh_rest_group { /* what the records of one group in a store share */
    uint32_t refs;
    uint32_t hash;
    const emesh_store *store;
    emesh_group_rule rule;   /* as in emesh_sub, of the last one that went to rest */
    char *letters;
    emesh_config *options;
    char name[];
} emesh_rest_group;

struct emesh_rest {
    emesh_watch *watch;      /* NULL: awake, see rest.h */
    emesh_rest_group *group;
    union {
        emesh_member *one;
        emesh_member **many;
    } member;
    union {
        emesh_tally *tally;  /* NULL: all 0 */
        emesh_sub *sub;      /* waking: what it has become; NULL: that has ended */
    };
    uint32_t n;              /* members; waking: that have not answered */
    bool many, waking;
};

struct emesh_watch {
    emesh_reader reader;
    emesh_delivery_lane *owner;
    emesh_bus_topic *topic;  /* a reference; counted among its readers while cursor is open */
    emesh_cursor *cursor;
    emesh_rest **at;         /* by group, open addressing; room is a power of two */
    uint32_t n, room;
    uint32_t holds;          /* who else names it */
    bool armed;              /* the store will tell what is new */
    bool news;               /* it has: all are being woken, a few at a time */
    bool dead;               /* the store has ended it */
    bool ended;              /* out of the lane's table, its cursor is closed or being closed */
    emesh_watch *heir;       /* a reload: what is told late is for it (a hold) */
    emesh_alarm again;
    GArray *waiting;         /* emesh_sub_ended: for the cursor to be closed */
};

static inline emesh_member **
emesh_rest_members(emesh_rest *rest)
{
    return rest->many ? rest->member.many : &rest->member.one;
}

emesh_sub *emesh_rest_wake(emesh_rest *rest);

/* The watch of the topic, armed. NULL: not now. */
emesh_watch *emesh_watch_armed(emesh_delivery_lane *owner, emesh_bus_topic *topic);
void emesh_watch_let_go(emesh_watch *watch);
/* Frees it if it has ended and nobody names it any more. */
void emesh_watch_settle(emesh_watch *watch);
void emesh_watch_add(emesh_watch *watch, emesh_rest *rest);
void emesh_watch_remove(emesh_watch *watch, emesh_rest *rest);
emesh_rest *emesh_watch_find(const emesh_delivery_lane *owner, const char *topic,
                             const char *group);
/* That of sub, whose rule goes there; and back, to one that wakes. */
emesh_rest_group *emesh_rest_group_of(emesh_sub *sub);
void emesh_rest_group_give(const emesh_rest_group *group, emesh_sub *sub);
void emesh_rest_group_free(emesh_delivery_lane *owner, emesh_rest_group *group);
