/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the journal room.
 */
#pragma once
#include "journal/journal.h"
#include "journal/ring.h"

#include <errno.h>

struct emesh_journal {
    emesh_ring *ring;
    char *path;
    uint32_t sample;
    emesh_worker *main;
    emesh_pool *pool;
    uint64_t lines, lost, syncs; /* atomic */
    uint32_t dirty;              /* atomic: written since the last sync; main knows */
    uint32_t bad;                /* atomic: errno of what failed, told to main */
    emesh_job wake, told, back, work;
    emesh_alarm sync;                           /* [main] */
    bool syncing, closing;                      /* [main] */
    void (*failed)(void *ctx, const char *why); /* [main] */
    void *ctx;
    bool complained; /* [main] */
};

/* [lane] So many lines were written, or not. */
void emesh_journal_wrote(emesh_journal *journal, uint32_t n);
void emesh_journal_lost(emesh_journal *journal, uint32_t n, int error);
