/* SPDX-License-Identifier: Apache-2.0
 *
 * A subscription: (group, topic), or one broadcasting member by itself. Everything here lives on
 * the owner's lane.
 */
#pragma once
#include "bus/own-topic.h"
#include "bus/rung.h"
#include "delivery/change.h"
#include "delivery/delivery.h"
#include "delivery/member.h"
#include "delivery/window.h"

/* Why an event is not delivered as it came: words of dead letters, `why` and the log. */
typedef enum emesh_cause {
    EMESH_CAUSE_FAILED,   /* the subscriber said so */
    EMESH_CAUSE_DEADLINE, /* no acknowledgement in time */
    EMESH_CAUSE_REJECTED, /* refused for good */
    EMESH_CAUSE_UNFIT,    /* no member's protocol can carry it */
    EMESH_CAUSE_KILLED,   /* its subscribers' connections broke, three times */
    EMESH_CAUSE_FOREIGN,  /* no CloudEvent in the store, and its topic says foreign = dead-letter */
} emesh_cause;
const char *emesh_cause_name(emesh_cause cause);

typedef struct emesh_stow emesh_stow; /* stow.c */
typedef struct emesh_order_key emesh_order_key; /* order.c */

typedef struct emesh_seat emesh_seat; /* inbox.c */
typedef struct emesh_loan emesh_loan; /* loan.c */

/* A subscription of the daemon's own, which has no members: the steps of a ladder (ladder.c), the
 * inbox of a group that is a topic (inbox.c). */
typedef struct emesh_sub_role {
    void (*turn)(emesh_sub *sub);                /* in place of offers */
    void (*drop)(emesh_sub *sub, uint32_t index); /* the slot is about to be forgotten */
    uint32_t most;                               /* slots at a time; 0 = the window of the daemon */
    uint64_t most_bytes;
} emesh_sub_role;

typedef struct emesh_unfit { /* the protocol instance cannot carry the slot's event */
    uint32_t index;
    const emesh_inst *inst;
} emesh_unfit;

typedef enum emesh_sub_state {
    EMESH_SUB_PLACING, /* main has the store make the group's place */
    EMESH_SUB_OPENING, /* reader open, no partition begun yet */
    EMESH_SUB_OPEN,
    EMESH_SUB_CLOSING, /* the reader is being closed; with a watch: to rest */
    EMESH_SUB_PAUSED,  /* the store is away; asks for the topic until it is back */
    EMESH_SUB_CHANGING, /* closed, while the store moves or forgets the group's place */
} emesh_sub_state;

typedef struct emesh_reader_ears { /* [owner's lane] */
    void (*record)(emesh_reader *reader, const emesh_record *record);
    void (*partition)(emesh_reader *reader, uint32_t change, uint32_t number, const char *name,
                      int32_t code, const char *why);
    void (*touch)(emesh_reader *reader); /* behind some of these */
} emesh_reader_ears;
extern const emesh_reader_ears emesh_sub_ears;

struct emesh_reader { /* what the store calls */
    const emesh_reader_ears *ears;
    emesh_bus_lane *lane;
    emesh_inst *inst;
    uint32_t posted; /* atomic: calls on their way by mail; later ones queue behind them */
};

struct emesh_consumer { /* made by the member, from JOIN to FREE the owner's */
    emesh_sub *sub;            /* NULL: the join failed, or it has ended */
    emesh_bus_lane *home;
    emesh_member *member;
    struct emesh_rest *rest;   /* it is at rest: this end goes when the member has heard so */
    const emesh_inst *inst;    /* the protocol's */
    uint64_t session;          /* its id */
    uint64_t ack_timeout_ns;   /* the member's wish, 0 = none */
    uint32_t attach;
    uint32_t window_events;
    uint64_t window_bytes;
    uint32_t open_events;
    uint64_t open_bytes;
    uint32_t open_again;       /* of open_events: those that had failed before */
    uint32_t open_head, open_tail; /* 1 + slot index: oldest first */
    uint16_t number;           /* in sub, from 1; may come again after 65,535 */
    emesh_credit *credit;      /* the session's: a reference */
    bool sole;                 /* has a suspect event, and gets no other */
    bool again_last;           /* what it got last had failed before */
    uint8_t failures;          /* in a row; those of one event alone are the event's fault */
    bool failures_differ, has_done;
    uint32_t done_epoch;       /* of the youngest offer it has acknowledged */
    uint32_t done_ms;          /* when it acknowledged last, low bits of the lane's clock */
    emesh_position failed;     /* of the first of them */
    uint64_t probe_ns;         /* breaker open: next try; 0 = closed */
    uint64_t probe_wait_ns;
    bool probe_old;            /* the next try is with what failed before, not with what is new */
    uint32_t lone_epoch;       /* of a try for which there was nothing new; 0 = none */
    bool answered, leaving, gone_sent;
    bool ordered;              /* asked for order by key */
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

typedef struct emesh_tally { /* of a subscription's life */
    uint64_t read, delivered, settled, returned;
    uint64_t retried, parked, buried, expired, dropped, custody;
} emesh_tally;

struct emesh_sub {
    emesh_delivery_lane *owner;
    emesh_sub_key key;         /* in owner->subs; not when alone */
    emesh_bus_topic *topic;    /* a reference */
    emesh_bus_topic *opened;   /* what the reader was opened on: before a reload, perhaps */
    emesh_store *store;
    char *group;               /* "" when alone */
    const emesh_sub_role *role; /* NULL: one of members */
    uint32_t users;            /* with role: who wants it; it ends with the last */
    bool hurt;                 /* with role: it failed, and is tried again after a while */
    bool look;                 /* with role: what was put aside is looked at again */
    emesh_seat *seat;          /* at the group's inbox, where that is a topic */
    GHashTable *loans;         /* slot index → emesh_loan: lent out, or borrowed from the inbox */
    char *letters;             /* its dead-letter topic */
    bool alone;                /* broadcasting: reads by itself, commits nothing */
    bool keeps;                /* core keeps the positions: plain store */
    bool ordered;              /* by key, also across redelivery */
    bool enrolled;             /* main counts it among those of its group (forget.h) */
    bool forget, ending, pausing;
    bool fresh;                /* has read nothing since it was made, and may rest at once */
    struct emesh_watch *watch; /* CLOSING: it rests if nothing comes between (rest.h) */
    struct emesh_rest *waking; /* members on their way back */
    emesh_change *change;      /* wanted, or being made */
    emesh_topic_waiter waiter; /* PAUSED */
    emesh_alarm again;         /* PAUSED: asks for the topic again */
    emesh_start start;         /* for a group that is new, or alone */
    emesh_config *options;     /* of [group …] for this store */
    emesh_group_rule rule;     /* of [group …]; dead_letter_store is a copy */
    emesh_sub_state state;
    emesh_reader reader;
    emesh_cursor *cursor;
    emesh_loop *loop;          /* the store's lane here */
    GPtrArray *windows;        /* emesh_window by place */
    emesh_slots slots;
    GPtrArray *consumers;
    uint16_t numbers;          /* of consumers so far */
    uint32_t turn;             /* where picking begins */
    uint32_t offers;           /* epoch of the last offer */
    uint64_t empty_ns;         /* since when nobody is here */
    uint32_t epochs;           /* of begin() */
    uint32_t asked;            /* records wanted and not yet come */
    int64_t asked_bytes;       /* the same in bytes; the last event may go beyond */
    uint32_t mean_bytes;       /* of the last events */
    uint32_t counted;          /* of its slots, and their bytes, in the daemon's sum */
    uint64_t counted_bytes;
    uint64_t turn_ns;          /* the wake-up of the turn under way */
    int64_t turn_until_us, turn_bytes; /* when it ends, by the clock and by what is left */
    uint32_t turn_events;      /* offered in it */
    emesh_alarm next_turn;
    GArray *commits;           /* emesh_commit of single records */
    GArray *waiting;           /* u32 slot indexes */
    emesh_alarm due;           /* the next WAITING slot */
    emesh_alarm overdue;       /* the next OFFERED slot whose acknowledgement is late */
    GPtrArray *stows;          /* emesh_stow: PARKING and BURYING slots, and some forgotten ones */
    uint32_t stowing;          /* of them at the store, or waiting for a topic */
    GArray *unfit;             /* emesh_unfit */
    GHashTable *keys;          /* ordered: emesh_order_key of keys with something open or held */
    uint64_t outcomes;         /* the last ones, a bit each, 1 = failed */
    uint32_t n_outcomes;
    uint64_t calm_ns;          /* everything fails: no offer before */
    uint64_t calm_wait_ns;
    emesh_alarm probe;         /* the next of these times, and custody's */
    uint64_t custody_ns;       /* the inbox could not be written: not before */
    emesh_alarm save;          /* positions of a plain store */
    uint32_t saving;           /* of them on their way to the disk: a reader opened now would miss */
    uint32_t letters_blocked, inbox_blocked; /* stows that could not be written and try again */
    bool closed;               /* the reader is, and only they are waited for */
    emesh_alarm revoked;       /* ≤ 5 s for acks of a revoked partition */
    emesh_phased pump;
    struct {
        uint64_t mark, appended; /* what had moved, and what was published, at the last look */
        uint64_t since_ns;     /* since when nothing moves though it could; 0: it does */
        uint32_t place;        /* 1 + index in owner->all */
        bool told;
    } check;
    GArray *ended;             /* of emesh_sub_ended: who waits for the end */
    union {
        struct {
            uint64_t read, delivered, settled, returned;
            uint64_t retried, parked, buried, expired, dropped, custody;
        };
        emesh_tally tally;     /* the same */
    };
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
/* [owner's lane] Into its subscription, which is made when it is the first. */
void emesh_consumer_enter(emesh_bus_lane *here, emesh_consumer *consumer);
/* The event of an offer that is open there, or NULL. */
const emesh_event *emesh_consumer_open_event(emesh_consumer *consumer, uint64_t id);
/* One that leaves and has nothing open any more is taken out, and its member told. */
void emesh_consumer_gone(emesh_bus_lane *here, emesh_consumer *consumer);

/* sub.c */
emesh_sub *emesh_sub_get(emesh_delivery_lane *owner, emesh_consumer *consumer);
emesh_sub *emesh_sub_new(emesh_delivery_lane *owner, emesh_bus_topic *topic, const char *group,
                         bool alone);
void emesh_sub_free(emesh_sub *sub);
void emesh_sub_take(emesh_sub *sub, emesh_consumer *consumer); /* among its consumers */
void emesh_sub_close_reader(emesh_sub *sub);
/* The one of this topic and group that is awake, or NULL. */
emesh_sub *emesh_sub_find(emesh_delivery_lane *owner, const char *topic, const char *group);
void emesh_sub_changed(emesh_sub *sub); /* sub->change is over */
/* One of the daemon's own, for one more user; it is made if it is not there. */
emesh_sub *emesh_sub_own(emesh_delivery_lane *owner, emesh_bus_topic *topic, const char *group,
                         const emesh_sub_role *role);
void emesh_sub_touch(emesh_sub *sub); /* the pump runs at the end of this wake-up */
void emesh_sub_failed(emesh_sub *sub, int32_t code, const char *why);
void emesh_sub_answer(emesh_sub *sub);
void emesh_sub_drop_window(emesh_sub *sub, emesh_window *window);
/* Ends what goes on with a slot, which is forgotten right after. */
void emesh_sub_drop_slot(emesh_sub *sub, uint32_t index);
emesh_window *emesh_sub_window(emesh_sub *sub, uint32_t number, uint16_t *place);
/* place.c: on main: start rule, options, PLACE; then emesh_sub_placed on the lane */
void emesh_sub_place(emesh_sub *sub);
void emesh_sub_placed(emesh_sub *sub, int32_t code, const char *why);
void emesh_group_forget(emesh_bus_topic *topic, const char *group);
/* offer.c */
void emesh_sub_offer(emesh_sub *sub);
void emesh_sub_want(emesh_sub *sub);
void emesh_sub_count(emesh_sub *sub);
void emesh_sub_next_turn(emesh_alarm *alarm);
void emesh_consumer_close_offer(emesh_sub *sub, emesh_slot *slot);
/* cut: the peer broke off, so that its oldest event is suspect. */
void emesh_consumer_return_all(emesh_consumer *consumer, bool cut);
/* credit.c: how much a member gets, and when */
bool emesh_consumer_has_credit(emesh_sub *sub, emesh_consumer *consumer, uint64_t now);
/* Un-acked events its session may have, as far as its window lets it. */
uint32_t emesh_consumer_credit(const emesh_consumer *consumer);
/* So many more events it may have, were nothing else in the way. */
uint32_t emesh_consumer_room(const emesh_consumer *consumer);
void emesh_consumer_charge(emesh_consumer *consumer, uint32_t bytes);   /* an offer began */
void emesh_consumer_uncharge(emesh_consumer *consumer, uint32_t bytes); /* and ended */
bool emesh_consumer_probes(const emesh_sub *sub, const emesh_consumer *consumer);
/* An offer ended: done or failed. False: the member is at fault, not the event. */
bool emesh_consumer_outcome(emesh_sub *sub, emesh_consumer *consumer, emesh_slot *slot, bool done);
void emesh_consumer_pause(emesh_sub *sub, emesh_consumer *consumer, uint64_t wait_ns);
/* Its breaker opens, or stays open: for wait_ns, 0 = longer each time. */
void emesh_consumer_down(emesh_sub *sub, emesh_consumer *consumer, const emesh_slot *slot,
                         uint64_t wait_ns, const char *words);
void emesh_sub_probe(emesh_alarm *alarm);
/* fate.c: what becomes of a slot whose offer came back undone. delay_ns: the subscriber's wish */
void emesh_slot_failed(emesh_sub *sub, uint32_t index, emesh_cause cause, const char *error,
                       uint64_t delay_ns);
/* The connection broke while it was the oldest there. */
void emesh_slot_suspect(emesh_sub *sub, uint32_t index);
/* This member's protocol cannot carry it. */
void emesh_slot_unfit(emesh_sub *sub, uint32_t index, const emesh_inst *inst, const char *error);
/* Buries what is no CloudEvent, where the topic says so. */
bool emesh_slot_foreign(emesh_sub *sub, uint32_t index);
/* May the event be offered to it? */
bool emesh_slot_fits(const emesh_sub *sub, const emesh_slot *slot, uint32_t index,
                     const emesh_consumer *consumer);
/* May any member have it? */
bool emesh_slot_fits_any(const emesh_sub *sub, const emesh_slot *slot, uint32_t index);
void emesh_slot_unfit_forget(emesh_sub *sub, uint32_t index);
/* Settled, also what lies above the floor; committed: the store knows it already. */
void emesh_slot_done(emesh_sub *sub, uint32_t index, bool committed);
/* Settles an event whose time is over. */
bool emesh_slot_expired(emesh_sub *sub, uint32_t index);
/* order.c: somebody asks for order, or nobody does; once asked for, it stays. */
void emesh_order_ask(emesh_sub *sub, bool asked);
/* Only of an ordered subscription. may: before an offer; only: to nobody else */
typedef enum emesh_order_verdict { EMESH_ORDER_GO, EMESH_ORDER_HELD } emesh_order_verdict;
emesh_order_verdict emesh_order_may(emesh_sub *sub, uint32_t index, emesh_consumer **only);
void emesh_order_hold(emesh_sub *sub, uint32_t index); /* until the key moves */
void emesh_order_offered(emesh_sub *sub, uint32_t index, emesh_consumer *consumer);
void emesh_order_closed(emesh_sub *sub, const emesh_slot *slot); /* an offer came back, however */
/* It is tried again, and its key waits. False: it waits itself, behind one that failed before. */
bool emesh_order_failed(emesh_sub *sub, uint32_t index);
void emesh_order_settled(emesh_sub *sub, uint32_t index);
void emesh_order_forget(emesh_sub *sub, uint32_t index);
void emesh_order_clear(emesh_sub *sub);
/* stow.c: writes a slot's event to the group's inbox (after wait_ns) or to its dead letters, then
 * settles it. */
void emesh_slot_park(emesh_sub *sub, uint32_t index, uint64_t wait_ns);
void emesh_slot_bury(emesh_sub *sub, uint32_t index, emesh_cause cause, const char *error);
/* A copy due after wait_ns, while the offer stays open. */
void emesh_slot_keep(emesh_sub *sub, uint32_t index, uint64_t wait_ns);
/* The slot is forgotten: what is on its way to the store changes nothing here any more. */
void emesh_stow_forget(emesh_sub *sub, uint32_t index);
/* Nothing new begins; true when nothing is under way. */
bool emesh_stows_quiet(emesh_sub *sub);
/* custody.c: what somebody holds too long leaves the window, so that its floor moves */
void emesh_sub_custody(emesh_sub *sub);
/* The slot is READY and in no list, and has failed before: into the inbox with it, if it holds up
 * others. False: nothing was done. */
bool emesh_slot_makes_room(emesh_sub *sub, uint32_t index);
void emesh_custody_taken(emesh_sub *sub, uint32_t index, emesh_position origin,
                         emesh_position copy);
void emesh_custody_failed(emesh_sub *sub, uint32_t index, emesh_position origin, const char *why);
void emesh_custody_over(emesh_sub *sub, uint32_t index);
/* Offered again to whoever has credit: from the window, or by its copy. */
void emesh_slot_back(emesh_sub *sub, uint32_t index);
/* letter.c: the dead letter of an event; NULL: it cannot be made. Given. */
const emesh_event *emesh_letter_new(const emesh_sub *sub, uint32_t index, emesh_cause cause,
                                    const char *error);
/* fate.c: may it wait in the group's inbox? */
/* How long it waited, at least, between its last failure and this offer; 0: it never failed. */
uint64_t emesh_slot_waited(const emesh_sub *sub, const emesh_slot *slot);
bool emesh_slot_can_park(const emesh_sub *sub, const emesh_slot *slot);
/* ladder.c: the store takes what is due later, or for one group, by topics of the daemon's own */
bool emesh_sub_ladders(const emesh_sub *sub);
void emesh_sub_want_own(emesh_sub *sub); /* with role */
/* stow.c: a slot's event goes on to topic, or to the inbox of rung->group there, then is settled. */
void emesh_slot_move(emesh_sub *sub, uint32_t index, const emesh_rung *rung, uint64_t now_ms);
/* inbox.c: takes and leaves a seat at the inbox of the group */
void emesh_inbox_enter(emesh_sub *sub);
void emesh_inbox_leave(emesh_sub *sub);
void emesh_inbox_gone(emesh_sub *inbox); /* it ends: who has a seat asks for it again */
/* loan.c: slots of a subscription that stand for records of the group's inbox, or for a custody copy
 * on its way there. They are in no window's order. */
#define EMESH_LOANS (UINT32_MAX - 1) /* number of their window */
emesh_window *emesh_loan_window(emesh_sub *sub, uint16_t *place);
void emesh_loan_new(emesh_sub *inbox, uint32_t from, emesh_sub *to, const emesh_rung *rung);
void emesh_loan_copy(emesh_sub *sub, uint32_t index, char *origin);  /* origin is given */
bool emesh_loan_is(const emesh_sub *sub, const emesh_slot *slot);
/* The borrowed slot is settled (done), or comes again. It is free after. */
void emesh_loan_end(emesh_sub *sub, uint32_t index, bool done);
void emesh_loans_end(emesh_sub *sub);                 /* all that it borrowed */
void emesh_loan_recall(emesh_sub *inbox, uint32_t from); /* the lender needs it back */
void emesh_loan_tried(emesh_sub *sub, uint32_t index);   /* attempts, for the store to remember */
/* Where the event lay first, PARTITION:POSITION. Given. */
char *emesh_slot_origin(const emesh_sub *sub, uint32_t index);
/* tomb.c: copies that were acknowledged before they came; 65,536 a lane */
emesh_position emesh_copy_number(emesh_delivery_lane *owner);
void emesh_tomb_add(emesh_delivery_lane *owner, emesh_position copy);
bool emesh_tomb_take(emesh_delivery_lane *owner, emesh_position copy);
void emesh_tombs_clear(emesh_delivery_lane *owner);
/* deadline.c */
void emesh_offer_deadline(emesh_sub *sub, emesh_slot *slot, uint64_t wait_ns);
void emesh_sub_overdue(emesh_alarm *alarm);
/* note.c: the decision journal. What is a stage goes through emesh_slot_stage(): sampled events. */
void emesh_slot_note(emesh_sub *sub, const emesh_slot *slot, const emesh_consumer *consumer,
                     emesh_code code, uint64_t more, const char *words);
static inline void
emesh_slot_stage(emesh_sub *sub, const emesh_slot *slot, const emesh_consumer *consumer,
                 emesh_code code, uint64_t more, const char *words)
{
    if (emesh_sampled(sub->owner->lane->notes, slot->event))
        emesh_slot_note(sub, slot, consumer, code, more, words);
}
/* About no single event. */
void emesh_sub_note(emesh_sub *sub, const emesh_consumer *consumer, emesh_code code, uint64_t more,
                    const char *words);
/* A finding about this subscription; format NULL: it is over. */
void emesh_sub_finding(emesh_sub *sub, const char *finding, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* All behind the last record up to position is gone. */
void emesh_sub_note_taken(emesh_sub *sub, const emesh_window *window, emesh_code code,
                          emesh_position position);
/* sub.c: does anybody want it to go on? */
bool emesh_sub_is_wanted(const emesh_sub *sub);
/* Whoever waited for the reader to be closed hears that it is. */
void emesh_sub_tell_ended(emesh_sub *sub);
/* Tells all members that it is over, with the reason; they leave and the subscription closes. */
void emesh_sub_tell_end(emesh_sub *sub, int32_t code, const char *why);
/* opening.c: an alarm. Is the topic there again, on the store that is back? */
void emesh_sub_ask_again(emesh_alarm *alarm);
/* partitions.c: reading of those that are new */
void emesh_sub_begin_windows(emesh_sub *sub);
/* Gives back those asked for whose offers are settled; now: whatever is open. */
void emesh_sub_release_windows(emesh_sub *sub, bool now);
/* An alarm: the time to settle what is open is over. */
void emesh_sub_revoked(emesh_alarm *alarm);
/* settle.c */
void emesh_sub_commit(emesh_sub *sub);
void emesh_sub_wait(emesh_sub *sub, uint32_t index, uint64_t wait_ns);
/* Out of the list of those that wait; the caller says what it does instead. */
void emesh_sub_wait_no_more(emesh_sub *sub, uint32_t index);
void emesh_sub_due(emesh_alarm *alarm);
/* positions.c */
/* Where the group goes on in this partition; false: it has no place yet. */
bool emesh_positions_load(emesh_sub *sub, const emesh_window *window, emesh_start *out);
/* [any] The same by names. */
bool emesh_positions_find(emesh_bus *bus, const char *store, const char *topic, const char *group,
                          const char *partition, emesh_start *out);
/* [any] The group has done all up to position. */
void emesh_positions_put(emesh_bus *bus, emesh_worker *home, const char *store, const char *topic,
                         const char *group, const char *partition, emesh_position position);
/* [main] Moves the places of a group in a topic (or in one partition of it), or forgets them. */
void emesh_positions_move(emesh_bus *bus, const char *store, const char *topic, const char *group,
                          const char *partition, const emesh_start *to,
                          void (*done)(void *ctx, int32_t code, const emesh_error *err), void *ctx);
/* [main] Every place kept here. */
void emesh_positions_each(emesh_bus *bus,
                          void (*visit)(void *ctx, const char *store, const char *topic,
                                        const char *group, const char *partition,
                                        const emesh_start *place),
                          void *ctx);
void emesh_positions_save(emesh_alarm *alarm);
/* sub.c: the last of them is durable */
void emesh_sub_saved(emesh_sub *sub);
