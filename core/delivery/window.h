/* SPDX-License-Identifier: Apache-2.0
 *
 * The window of a subscription: slots in reading order, one queue per partition, and the states an
 * event goes through here. Pure bookkeeping: no mail, no store.
 *
 *   READY → OFFERED → SETTLED        the way
 *   OFFERED → READY                  the session ended, or gave it back
 *   OFFERED → WAITING → READY        an attempt failed; the next is soon
 *   OFFERED → PARKING → SETTLED      an attempt failed; the next comes from the group's inbox
 *   OFFERED → BURYING → SETTLED      the last attempt failed: a dead letter
 *   READY → SETTLED                  expired
 *   READY → HELD → READY             ordered, and an earlier event of its key is not through
 */
#pragma once
#include "event/event.h"
#include "eventmesh/store.h"
#include <glib.h>
#include <stdbool.h>

typedef enum emesh_slot_state {
    EMESH_SLOT_FREE,
    EMESH_SLOT_READY,
    EMESH_SLOT_HELD,
    EMESH_SLOT_OFFERED,
    EMESH_SLOT_WAITING,
    EMESH_SLOT_PARKING,
    EMESH_SLOT_BURYING,
    EMESH_SLOT_LENT, /* of an inbox that is a topic: the members' subscription has it */
    EMESH_SLOT_SETTLED,
} emesh_slot_state;

typedef struct emesh_consumer emesh_consumer;

typedef struct emesh_slot {
    const emesh_event *event;  /* a reference, until settled */
    emesh_position position;
    uint64_t stored_ms;
    uint64_t due_ns;           /* WAITING: when it goes on; OFFERED: when the ack is overdue */
    emesh_consumer *consumer;  /* OFFERED: to whom */
    uint32_t prev, next;       /* 1 + index: in the consumer's open list, ready list or free list */
    uint32_t epoch;            /* of the offer: part of the delivery id */
    uint32_t bytes;
    uint32_t attempt;
    uint32_t offered_ms;       /* OFFERED: since when, low bits of the lane's clock */
    uint16_t avoid;            /* number of the member where it failed last; 0 = none */
    uint16_t partition;        /* index in windows */
    uint8_t state;
    uint8_t flags;             /* EMESH_RECORD_FOREIGN, EMESH_SLOT_* */
} emesh_slot;

#define EMESH_SLOT_LOOSE 0x02u   /* in no window's order: borrowed from an inbox that is a topic */
#define EMESH_SLOT_SUSPECT 0x0cu /* how many sessions were cut while it was their oldest */
#define EMESH_SLOT_SUSPECT_ONE 0x04u
#define EMESH_SLOT_CUSTODY 0x10u /* OFFERED, outside the window: a copy lies in the inbox */
#define EMESH_SLOT_KEEPING 0x20u /* that copy is being written */
#define EMESH_SLOT_EXPIRES 0x40u /* has an expirytime */
#define EMESH_SLOT_UNFIT 0x80u   /* a protocol could not carry it: sub->unfit says which */

#define EMESH_SLOT_BITS 20u /* of a delivery id */

typedef struct emesh_queue { /* slots by index, in order */
    uint32_t *at;
    uint32_t head, n, room; /* room is a power of two */
} emesh_queue;

typedef struct emesh_window { /* one partition */
    uint32_t number;           /* the store's */
    uint32_t epoch;            /* of begin(); 0 = not begun */
    const char *name;          /* lasting name, interned */
    emesh_queue order;         /* slots not below the floor */
    emesh_position floor;      /* last position below which all is settled */
    bool has_floor, floor_moved;
    bool revoking;
    bool offered;              /* something, since it began */
} emesh_window;

typedef struct emesh_slots { /* of one subscription */
    emesh_slot **slabs;
    uint32_t n_slabs;
    uint32_t free;             /* 1 + index */
    uint32_t used;
    uint64_t bytes;
    uint32_t ready;            /* READY slots */
    uint32_t again;            /* of them: those that failed before */
    uint32_t ready_head, ready_tail; /* 1 + index, reading order */
    uint32_t returned_head;    /* 1 + index: given back, offered before the others */
    uint32_t returned_tail;
    bool sorted;               /* … each before what comes later in the log: there is an order */
} emesh_slots;

#define EMESH_SLOT_SLAB 64u

static inline emesh_slot *
emesh_slot_at(const emesh_slots *slots, uint32_t index)
{
    return &slots->slabs[index / EMESH_SLOT_SLAB][index % EMESH_SLOT_SLAB];
}

/* Has an offer of it failed, here or as far as the store knows? The same as long as it is READY. */
static inline bool
emesh_slot_failed_before(const emesh_slot *slot)
{
    return slot->avoid != 0 || slot->attempt > 1;
}

/* READY and not failed yet. */
static inline uint32_t
emesh_slots_fresh(const emesh_slots *slots)
{
    return slots->ready - slots->again;
}

/* A READY slot at the end of window (event takes a reference), or a settled one for a hole. */
uint32_t emesh_slots_add(emesh_slots *slots, emesh_window *window, uint16_t place,
                         const emesh_record *record);
/* The same in no window's order. */
uint32_t emesh_slots_add_loose(emesh_slots *slots, uint16_t place, const emesh_record *record);
/* Forgets one of those, whatever its state. */
void emesh_slots_free_loose(emesh_slots *slots, uint32_t index);
/* Next to be offered: what was given back first. 0 = none, else 1 + index; it leaves the list. */
uint32_t emesh_slots_pop_ready(emesh_slots *slots);
/* It could not be offered: it is the next again. */
void emesh_slots_unpop(emesh_slots *slots, uint32_t index);
/* An offer that came back. */
void emesh_slots_return(emesh_slots *slots, uint32_t index);
/* Takes the slot at the head of window out of it: position and place are those of its copy from now
 * on. True when the floor moved, which it does. */
bool emesh_slots_take_out(emesh_slots *slots, emesh_window *window, emesh_position position,
                          uint16_t place);
/* Ends a slot; pops the settled head of its window. True when the floor moved. */
bool emesh_slots_settle(emesh_slots *slots, emesh_window *window, uint32_t index);
/* Forgets all slots of a window, whatever their state. */
void emesh_slots_forget(emesh_slots *slots, emesh_window *window);
void emesh_slots_clear(emesh_slots *slots);
void emesh_window_free(void *window);

void emesh_queue_push(emesh_queue *queue, uint32_t value);
uint32_t emesh_queue_peek(const emesh_queue *queue);
uint32_t emesh_queue_pop(emesh_queue *queue);
