/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision journal: what the daemon decided about events, for `why`. One ring file in
 * DATA/core/, written by every lane into blocks of its own, so that noting a decision takes no
 * lock.
 *
 *   codes.h   every reason, with its word: add yours there
 *   journal   the ring and its syncer, one for the daemon
 *   notes     a lane's end: lines collect in it and are written before what they explain is settled
 *   read.h    the other direction
 *
 * Whoever decides calls emesh_note_down() and goes on; the bus flushes before it hands commits or
 * appends to a store and before it tells a session its results.
 */
#pragma once
#include "event/event.h"
#include "io/pool.h"
#include "journal/codes.h"

typedef struct emesh_journal emesh_journal;
typedef struct emesh_notes emesh_notes;

typedef struct emesh_journal_counts { /* [any] reads */
    uint64_t lines, lost, syncs;
} emesh_journal_counts;

/* [main] size: of the ring; sample: one of so many events is told at every stage, a power of two
 * (0: none). failed is called on main, once until it works again: with what went wrong, then with
 * NULL. NULL: error. Given. */
emesh_journal *emesh_journal_open(const char *path, uint64_t size, uint32_t sample,
                                  emesh_worker *main, emesh_pool *pool, GError **error);
void emesh_journal_watch(emesh_journal *journal, void (*failed)(void *ctx, const char *why),
                         void *ctx);
/* [main] All notes are freed; the pool still runs or has ended. */
void emesh_journal_close(emesh_journal *journal);
uint32_t emesh_journal_sample(const emesh_journal *journal); /* one of so many; 0: none */
/* [any] Runs job on a pool thread, to read it there. */
void emesh_journal_work(emesh_journal *journal, emesh_job *job);
const char *emesh_journal_path(const emesh_journal *journal);
void emesh_journal_read_counts(const emesh_journal *journal, emesh_journal_counts *out);

/* [lane] One for each worker that decides; journal NULL: they go nowhere. */
emesh_notes *emesh_notes_new(emesh_journal *journal, emesh_worker *worker);
void emesh_notes_free(emesh_notes *notes); /* its thread has ended, or it is its own */

typedef struct emesh_note {
    emesh_code code;
    uint8_t level;
    uint16_t attempt;
    const emesh_event *event; /* NULL: about no single one */
    emesh_position position;  /* of it; of the last one of a range */
    emesh_position first;     /* with range */
    bool range;
    const char *topic, *group, *partition; /* NULL or "": none */
    const char *who;                       /* instance, session and peer */
    const char *words;                     /* of the subscriber or the store */
    uint64_t more;                         /* what the code's row says; not with range */
} emesh_note;

/* [lane] Notes it, sampled or not: the caller has asked emesh_sampled() where the code is a stage.
 */
void emesh_note_down(emesh_notes *notes, const emesh_note *note);
/* [lane] All that is noted so far is in the page cache afterwards, or counted as lost. */
void emesh_notes_write(emesh_notes *notes);

struct emesh_notes_head { /* what the inline functions look at */
    uint64_t mask;        /* of a hash: 0 in these bits is sampled; all ones: nothing is */
    uint32_t n;           /* lines not yet written */
};

/* [lane] Is every stage of this event told? One load and compare, once the hash is known. */
static inline bool
emesh_sampled(const emesh_notes *notes, const emesh_event *event)
{
    const struct emesh_notes_head *head = (const struct emesh_notes_head *)notes;

    return event != NULL && (emesh_event_hash(event) & head->mask) == 0;
}

/* [lane] Before a settle, an append or an answer: nothing to do, mostly. */
static inline void
emesh_notes_flush(emesh_notes *notes)
{
    if (((const struct emesh_notes_head *)notes)->n > 0)
        emesh_notes_write(notes);
}
