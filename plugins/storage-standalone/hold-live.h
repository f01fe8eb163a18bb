/* SPDX-License-Identifier: Apache-2.0
 *
 * What a cleaner asks about held events: is this HOLD still wanted, how much of a segment is, where
 * did it go. A HOLD is live until its HOLD_DONE is in the log. [keeper], but for the first.
 */
#ifndef SA_HOLD_LIVE_H
#define SA_HOLD_LIVE_H
#include "format.h"
#include <lmdb.h>

struct sa_store;
struct sa_segment;

/* [any, not a lane: may look into LMDB] The HOLD with this header and these first bytes of its body
 * (SA_HOLD_HEAD of them). Sure means: when it cannot be told, it is live. */
bool sa_hold_live(struct sa_store *store, const sa_rec_head *head, const uint8_t *body);
/* Live HOLDs that lie in seg, and their bytes on disk. */
uint64_t sa_hold_live_bytes(struct sa_store *store, struct sa_segment *seg, uint32_t *count);
/* A HOLD_DONE may go only once this is false: an index made anew would find its event again. */
bool sa_hold_marks(struct sa_store *store, const struct sa_segment *seg);
/* A live HOLD was copied to lsn of another segment: its row, within the cleaner's transaction, and
 * what memory knows. 0 or LMDB's code; a HOLD that is not live any more is none. */
int sa_hold_moved(struct sa_store *store, MDB_txn *txn, const sa_rec_head *head,
                  const uint8_t *body, uint64_t lsn);

#endif
