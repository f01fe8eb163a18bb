/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cleaner asks about held events: is this HOLD still wanted, where did it go, which
 * HOLD_DONEs must stay. A HOLD is live until its HOLD_DONE is in the log. See hold.h.
 */
#include "hold.h"

#include "store.h"
#include <errno.h>

bool
sa_hold_key(struct sa_store *store, const sa_rec_head *head, const uint8_t *body, uint8_t key[24])
{
    sa_partition *part = sa_catalog_part(&store->cat, head->partition);
    uint32_t kind = sa_get32(body + 8);
    if (part == NULL || part->topic == NULL || part->topic->deleted)
        return false;
    uint32_t group = kind == SA_HOLD_TOPIC   ? 0
                     : kind == SA_HOLD_INBOX ? sa_get32(body + 12)
                                             : UINT32_MAX;
    sa_hold_row_key(key, group, kind == SA_HOLD_TOPIC ? 0 : part->topic->id, sa_get64(body),
                    head->offset);
    return true;
}

/* Is there a row? *attempts: what it says. */
static bool
row_there(struct sa_store *store, const uint8_t k[24], uint32_t *attempts)
{
    MDB_txn *txn;
    MDB_val key = { 24, (void *)(uintptr_t)k }, value;
    sa_hold_row_value row;
    pthread_rwlock_rdlock(&store->rows.lock);
    int rc = store->rows.env != NULL ? mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn) : EIO;
    if (rc == 0) {
        rc = mdb_get(txn, store->rows.table[SA_T_HOLDS], &key, &value);
        if (rc == 0 && sa_hold_row_read(&key, &value, &row))
            *attempts = row.attempts;
        mdb_txn_abort(txn);
    }
    pthread_rwlock_unlock(&store->rows.lock);
    return rc != MDB_NOTFOUND;
}

bool
sa_hold_live(struct sa_store *store, const sa_rec_head *head, const uint8_t *body,
             uint32_t *attempts)
{
    sa_holds *holds = &store->holds;
    uint8_t key[24];
    uint32_t tried = head->type == SA_HOLD ? head->own : 0;
    pthread_mutex_lock(&holds->lock);
    const sa_hold *hold = g_hash_table_lookup(holds->by_token, &head->offset);
    bool here = hold != NULL, dead = g_hash_table_contains(holds->dead, &head->offset);
    if (here)
        tried = hold->attempts;
    pthread_mutex_unlock(&holds->lock);
    bool live = here
                || (!dead && sa_hold_key(store, head, body, key) && row_there(store, key, &tried));
    if (live && attempts != NULL)
        *attempts = tried;
    return live;
}

int
sa_hold_move_row(struct sa_store *store, MDB_txn *txn, sa_hold_move *move)
{
    uint8_t v[SA_HOLD_ROW_BYTES];
    MDB_val key = { sizeof move->key, move->key }, value;
    int rc = mdb_get(txn, store->rows.table[SA_T_HOLDS], &key, &value);
    move->row = rc == 0 && value.mv_size == SA_HOLD_ROW_BYTES + 4;
    if (!move->row)
        return rc == MDB_NOTFOUND ? 0 : rc;
    memcpy(v, value.mv_data, SA_HOLD_ROW_BYTES);
    sa_put64(v, move->lsn);
    return sa_rows_put(store, txn, SA_T_HOLDS, move->key, sizeof move->key, v, SA_HOLD_ROW_BYTES);
}

void
sa_holds_moved(struct sa_store *store, struct sa_segment *out, GArray *moves)
{
    sa_holds *holds = &store->holds;
    for (guint i = 0; i < moves->len; i++) {
        const sa_hold_move *move = &g_array_index(moves, sa_hold_move, i);
        sa_hold *hold = g_hash_table_lookup(holds->by_token, &move->token);
        const sa_hold_dead *dead = g_hash_table_lookup(holds->dead, &move->token);
        if (hold != NULL) {
            hold->lsn = move->lsn;
            if (!move->row)
                sa_hold_dirty(holds, hold);
        } else if (!move->row || (dead != NULL && dead->counted)) {
            continue; /* done meanwhile, and taken off what its old file holds */
        }
        out->held++;
        out->held_bytes += move->size;
    }
}

bool
sa_hold_marks(struct sa_store *store, const struct sa_segment *seg)
{
    sa_segs *segs = &store->segs;
    bool marks = false;
    for (uint32_t i = 0; i < segs->n && seg->dones.last != 0 && !marks; i++) {
        const sa_segment *other = segs->all[i];
        marks = other->base < seg->base && other->holds.last != 0
                && other->holds.first <= seg->dones.last && other->holds.last >= seg->dones.first
                && other->pure < seg->last;
    }
    return marks;
}
