/* SPDX-License-Identifier: Apache-2.0
 *
 * HOLD_DONE records that must stay: an index made anew would find their HOLDs again. See hold.h.
 */
#include "hold.h"

#include "store.h"

bool
sa_hold_marks(struct sa_store *store, const struct sa_segment *seg)
{
    sa_segs *segs = &store->segs;
    bool marks = false;
    for (uint32_t i = 0; i < segs->n && seg->dones.last != 0 && !marks; i++) {
        const sa_segment *other = segs->all[i];
        marks = other->base < seg->base && other->holds.last != 0
                && other->holds.first <= seg->dones.last && other->holds.last >= seg->dones.first;
    }
    return marks;
}
