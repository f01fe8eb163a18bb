/* SPDX-License-Identifier: Apache-2.0
 *
 * A wheel of deadlines on one worker: adding and removing cost the same for one as for a million, and
 * one alarm serves all. An entry is due at its time or up to one tick (16.8 ms) later.
 */
#pragma once
#include "io/worker.h"

#define EMESH_WHEEL_TICK_BITS 24u
#define EMESH_WHEEL_BUCKETS 256u /* 4.3 s a turn; who waits longer is passed over until its turn */

typedef struct emesh_wheel_entry emesh_wheel_entry;
struct emesh_wheel_entry { /* inside its owner */
    emesh_wheel_entry *prev, *next;
    uint64_t at_ns;  /* 0 = in no wheel */
    uint32_t bucket;
};

typedef struct emesh_wheel {
    emesh_worker *worker;
    emesh_alarm alarm;
    void (*due)(emesh_wheel_entry *entry); /* it is out of the wheel; may add and remove others */
    uint64_t last;                         /* tick up to which all was looked at */
    uint32_t n;
    uint64_t used[EMESH_WHEEL_BUCKETS / 64];
    emesh_wheel_entry *buckets[EMESH_WHEEL_BUCKETS + 1]; /* the last: what is being looked at */
} emesh_wheel;

/* All [lane]. */
void emesh_wheel_init(emesh_wheel *wheel, emesh_worker *worker,
                      void (*due)(emesh_wheel_entry *entry));
/* Nothing is due any more. The worker has stopped; if it is freed already, it has let go itself. */
void emesh_wheel_end(emesh_wheel *wheel);
void emesh_wheel_add(emesh_wheel *wheel, emesh_wheel_entry *entry, uint64_t at_ns);
/* One that is in no wheel is left alone. */
void emesh_wheel_remove(emesh_wheel *wheel, emesh_wheel_entry *entry);
