/* SPDX-License-Identifier: Apache-2.0
 *
 * What a cleaner asks about held events. See hold-live.h.
 */
#include "hold.h"

#include "store.h"
#include <errno.h>

/* Key of the row of a HOLD. False: its topic is gone. */
static bool
key_of(struct sa_store *store, const sa_rec_head *head, const uint8_t *body, uint8_t key[24])
{
    sa_partition *part = sa_catalog_part(&store->cat, head->partition);
    uint32_t kind = sa_get32(body + 8);
    if (part == NULL || part->topic == NULL || part->topic->deleted)
        return false;
    uint32_t group = kind == SA_HOLD_TOPIC ? 0 : kind == SA_HOLD_INBOX ? sa_get32(body + 12)
                                                                       : UINT32_MAX;
    sa_hold_row_key(key, group, kind == SA_HOLD_TOPIC ? 0 : part->topic->id, sa_get64(body),
                    head->offset);
    return true;
}

static bool
row_there(struct sa_store *store, const sa_rec_head *head, const uint8_t *body)
{
    MDB_txn *txn;
    uint8_t k[24];
    if (!key_of(store, head, body, k))
        return false;
    MDB_val key = { sizeof k, k }, value;
    pthread_rwlock_rdlock(&store->rows.lock);
    int rc = store->rows.env != NULL ? mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn) : EIO;
    if (rc == 0) {
        rc = mdb_get(txn, store->rows.table[SA_T_HOLDS], &key, &value);
        mdb_txn_abort(txn);
    }
    pthread_rwlock_unlock(&store->rows.lock);
    return rc != MDB_NOTFOUND;
}

bool
sa_hold_live(struct sa_store *store, const sa_rec_head *head, const uint8_t *body)
{
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    bool here = g_hash_table_contains(holds->by_token, &head->offset);
    bool dead = g_hash_table_contains(holds->dead, &head->offset);
    pthread_mutex_unlock(&holds->lock);
    return here || (!dead && row_there(store, head, body));
}

uint64_t
sa_hold_live_bytes(struct sa_store *store, struct sa_segment *seg, uint32_t *count)
{
    pthread_mutex_lock(&store->segs.lock);
    uint64_t bytes = seg->held_bytes;
    *count = seg->held;
    pthread_mutex_unlock(&store->segs.lock);
    return bytes;
}

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

int
sa_hold_moved(struct sa_store *store, MDB_txn *txn, const sa_rec_head *head, const uint8_t *body,
              uint64_t lsn)
{
    sa_holds *holds = &store->holds;
    uint8_t k[24], v[SA_HOLD_ROW_BYTES];
    if (!key_of(store, head, body, k))
        return 0;
    MDB_val key = { sizeof k, k }, value;
    int rc = mdb_get(txn, store->rows.table[SA_T_HOLDS], &key, &value);
    if (rc == 0 && value.mv_size == SA_HOLD_ROW_BYTES + 4) {
        memcpy(v, value.mv_data, SA_HOLD_ROW_BYTES);
        sa_put64(v, lsn);
        rc = sa_rows_put(store, txn, SA_T_HOLDS, k, sizeof k, v, SA_HOLD_ROW_BYTES);
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    pthread_mutex_lock(&holds->lock);
    sa_hold *hold = g_hash_table_lookup(holds->by_token, &head->offset);
    if (hold != NULL) {
        sa_hold_count(store, hold->lsn, hold->size, -1);
        hold->lsn = lsn;
        sa_hold_count(store, hold->lsn, hold->size, 1);
    }
    pthread_mutex_unlock(&holds->lock);
    return 0;
}
