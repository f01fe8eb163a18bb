/* SPDX-License-Identifier: Apache-2.0
 *
 * The scrub, [keeper]: every sealed segment is read once in scrub-period, record by record, with its
 * footer, so that damage is known while there is still a copy elsewhere. What is bad is counted,
 * told once, and its bytes are copied to quarantine/. And the alarm for what lies there.
 */
#ifndef SA_SCRUB_H
#define SA_SCRUB_H
#include <glib.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

struct sa_store;

typedef struct sa_scrub {
    uint64_t base;   /* of the segment being read, or the next one */
    uint64_t place;  /* in it; 0: from its beginning */
    uint64_t due_us; /* the store's clock: not before */
    uint64_t begun_us; /* this pass */
    uint64_t bytes;  /* of this pass */
    uint64_t bad;    /* of this pass */
    GHashTable *known; /* LSNs of what is bad and was told */
    /* the alarm */
    uint32_t lies;     /* files in quarantine/ */
    bool looked;
    uint64_t look_ns, seen;
} sa_scrub;

void sa_scrub_init(sa_scrub *scrub);
void sa_scrub_clear(sa_scrub *scrub);
/* Where the last life stood. */
void sa_scrub_load(struct sa_store *store);
int sa_scrub_put(struct sa_store *store, MDB_txn *txn); /* with a checkpoint */
void sa_scrub_step(struct sa_store *store);

/* alarm.c, [keeper]: looks what lies in quarantine/, at start, each minute and when something came;
 * tells the host. */
void sa_alarm_step(struct sa_store *store);
/* The disk has room: well, or what the alarm says. */
void sa_alarm_report(struct sa_store *store);

#endif
