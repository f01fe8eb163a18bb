/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the journal back, while it is written. Blocks: for pool threads and tools.
 */
#pragma once
#include "journal/line.h"
#include <glib.h>

typedef struct emesh_told { /* one decision; texts live as long as the reading, NULL: none */
    uint64_t time_us, order;
    uint16_t code, attempt;
    uint8_t level;
    bool range; /* about all behind first up to position */
    const char *topic, *group, *partition, *who, *words, *source, *id;
    emesh_position position, first;
    uint64_t hash, more;
} emesh_told;

typedef struct emesh_journal_query { /* NULL: any */
    const char *id, *source, *topic, *group;
    uint64_t since_us;
    uint32_t last; /* only the youngest, at most EMESH_TOLD_MOST; 0: that many */
} emesh_journal_query;

#define EMESH_TOLD_MOST 10000u

typedef struct emesh_reading {
    GArray *told; /* emesh_told, by time */
    GStringChunk *texts;
    uint64_t lines, damaged; /* read, and not readable */
    uint64_t oldest_us;      /* of any line; 0: the journal is empty */
    bool more;               /* older ones that match were left out */
} emesh_reading;

/* With id: decisions about events of this id, and ranges. NULL: error. Given. */
emesh_reading *emesh_journal_read(const char *path, const emesh_journal_query *query,
                                  GError **error);
void emesh_reading_free(emesh_reading *reading);
/* One block, for the reader and for the fuzzer. */
void emesh_reading_block(emesh_reading *reading, const emesh_journal_query *query,
                         const uint8_t *block, size_t n);
emesh_reading *emesh_reading_new(void);
/* Sorts, and keeps the youngest; at the end. */
void emesh_reading_trim(emesh_reading *reading, uint32_t most);
