/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing appends into batches: single ones (pack.c) and units (unit.c). [lane]
 */
#ifndef SA_PACK_H
#define SA_PACK_H
#include "lane.h"

typedef struct sa_packing { /* an append being looked at */
    const emesh_append *item;
    emesh_event_view view;
    emesh_part image;
    uint64_t size; /* on disk */
} sa_packing;

/* Looks at an append. NULL, or why it is refused, with the code. */
const char *sa_pack_look(struct sa_store *store, const emesh_append *item, sa_packing *p,
                         int32_t *code);
/* Adds its EVENT or HOLD to the batch. */
sa_rec *sa_pack_fill(struct sa_store *store, sa_batch *batch, const sa_packing *p,
                     uint64_t now_us);
void sa_pack_refuse(struct sa_store *store, const emesh_append *item, int32_t code,
                    const char *reason);

/* unit.c: n appends, all or none. */
void sa_append_unit(sa_lane *lane, const emesh_append *items, uint32_t n, uint64_t now_us);

#endif
