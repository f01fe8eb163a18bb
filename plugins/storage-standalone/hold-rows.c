/* SPDX-License-Identifier: Apache-2.0
 *
 * Held events in LMDB: rows read into memory, written by the checkpoint, counted at start.
 * See hold.h.
 */
#include "hold.h"

#include "store.h"
#include <errno.h>

#define VALUE SA_HOLD_ROW_BYTES
#define DEAD_MAX 65536u /* rows deleted per commit while the disk has room */

static void
be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(SA_LE64(v));
    memcpy(p, &v, sizeof v);
}

void
sa_hold_row_key(uint8_t key[24], uint32_t group, uint32_t topic, uint64_t due,
                uint64_t token)
{
    be64(key, (uint64_t)group << 32 | topic);
    be64(key + 8, due);
    be64(key + 16, token);
}

static void
row_value(uint8_t value[VALUE], const sa_hold *hold, uint64_t lsn)
{
    memset(value, 0, VALUE);
    sa_put64(value, lsn);
    sa_put32(value + 8, hold->size);
    sa_put32(value + 12, hold->kind);
    sa_put32(value + 16, hold->part->id);
    sa_put32(value + 20, hold->attempts);
}

bool
sa_hold_row_read(const MDB_val *key, const MDB_val *value, sa_hold_row_value *row)
{
    if (key->mv_size != 24 || sa_row_check(key, value) < (ssize_t)VALUE)
        return false;
    const uint8_t *k = key->mv_data, *v = value->mv_data;
    row->group = sa_row_key32(k);
    row->topic = sa_row_key32(k + 4);
    row->due = sa_row_key64(k + 8);
    row->token = sa_row_key64(k + 16);
    row->lsn = sa_get64(v);
    row->size = sa_get32(v + 8);
    row->kind = sa_get32(v + 12);
    row->partition = sa_get32(v + 16);
    row->attempts = sa_get32(v + 20);
    return true;
}

/* ---- into memory ---- */

/* Rows of the queue from this place on. 0 or LMDB's code. */
static int
read_rows(struct sa_store *store, const sa_queue *queue, uint64_t due, uint64_t token, GArray *rows)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    uint8_t from[24];
    int rc = mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, store->rows.table[SA_T_HOLDS], &cursor);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    sa_hold_row_key(from, queue->group, queue->topic, due, token);
    MDB_val key = { sizeof from, from }, value;
    for (rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE); rc == 0 && rows->len < SA_HOLD_LOAD;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        sa_hold_row_value row;
        if (!sa_hold_row_read(&key, &value, &row)) {
            rc = MDB_CORRUPTED;
            break;
        }
        if (row.group != queue->group || row.topic != queue->topic)
            break;
        g_array_append_val(rows, row);
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool
is_forgotten(const sa_holds *holds, const sa_hold_row_value *row)
{
    for (guint i = 0; i < holds->forgot->len; i++) {
        const sa_forgot *f = &g_array_index(holds->forgot, sa_forgot, i);
        if (f->group != 0 && row->group == f->group && row->token <= f->token
            && (f->topic == 0 || f->topic == row->topic))
            return true;
    }
    return false;
}

/* lock held. The partition a row is about; NULL when the row is dead. */
static sa_partition *
wanted(struct sa_store *store, const sa_hold_row_value *row)
{
    sa_holds *holds = &store->holds;
    sa_partition *part = sa_catalog_part(&store->cat, row->partition);
    if (part == NULL || part->topic == NULL || part->topic->deleted || is_forgotten(holds, row)
        || g_hash_table_contains(holds->done, &row->token))
        return NULL;
    if (row->kind == SA_HOLD_INBOX) {
        pthread_mutex_lock(&store->cat.lock);
        bool group = sa_catalog_group_id(&store->cat, row->group) != NULL;
        pthread_mutex_unlock(&store->cat.lock);
        if (!group)
            return NULL;
    }
    return part;
}

static void
take_row(struct sa_store *store, sa_queue *queue, const sa_hold_row_value *row)
{
    sa_holds *holds = &store->holds;
    if (g_hash_table_contains(holds->dead, &row->token)
        || g_hash_table_contains(holds->by_token, &row->token))
        return;
    sa_partition *part = wanted(store, row);
    if (part == NULL) {
        sa_hold_bury(holds, row->group, row->topic, row->due, row->token, false);
        return;
    }
    sa_hold *hold = sa_hold_add(holds, queue, part, row->due, row->token);
    hold->kind = row->kind;
    hold->size = row->size;
    hold->lsn = row->lsn;
    hold->attempts = row->attempts;
    hold->row = SA_HOLD_ROW;
}

/* lock held. Memory then has all of the queue up to where rows ends. */
static void
take_rows(struct sa_store *store, sa_queue *queue, const GArray *rows)
{
    for (guint i = 0; i < rows->len; i++)
        take_row(store, queue, &g_array_index(rows, sa_hold_row_value, i));
    if (rows->len < SA_HOLD_LOAD) {
        queue->all = true;
        return;
    }
    const sa_hold_row_value *last = &g_array_index(rows, sa_hold_row_value, rows->len - 1);
    queue->from_due = last->due;
    queue->from_token = last->token + 1;
}

bool
sa_queue_load(struct sa_store *store, sa_queue *queue)
{
    sa_holds *holds = &store->holds;
    g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(sa_hold_row_value));
    pthread_mutex_lock(&holds->rows_lock);
    pthread_mutex_lock(&holds->lock);
    uint64_t due = queue->from_due, token = queue->from_token;
    pthread_mutex_unlock(&holds->lock);
    pthread_rwlock_rdlock(&store->rows.lock);
    int rc = store->rows.env != NULL ? read_rows(store, queue, due, token, rows) : EIO;
    pthread_rwlock_unlock(&store->rows.lock);
    if (rc == 0) {
        pthread_mutex_lock(&holds->lock);
        /* A reader that went meanwhile set the queue back: what lies before these rows is not in
         * memory any more, and the next look loads from there. */
        if (!queue->all && queue->from_due == due && queue->from_token == token)
            take_rows(store, queue, rows);
        pthread_mutex_unlock(&holds->lock);
    }
    pthread_mutex_unlock(&holds->rows_lock);
    if (rc == MDB_CORRUPTED) /* it was good at start: the next one makes it anew */
        sa_log_fail(store, EMESH_E_CORRUPT, EIO, "reading held events in the index");
    return rc == 0;
}

/* ---- the checkpoint ---- */

void
sa_holds_take(struct sa_store *store)
{
    sa_holds *holds = &store->holds;
    sa_hold *hold;
    GHashTableIter iter;
    gpointer value;
    pthread_mutex_lock(&holds->lock);
    g_array_set_size(holds->puts, 0);
    TAILQ_FOREACH(hold, &holds->dirty, dirty_link) {
        sa_hold_put put = { .token = hold->token };
        sa_hold_row_key(put.key, hold->queue->group, hold->queue->topic, hold->due, hold->token);
        row_value(put.value, hold, hold->lsn);
        g_array_append_val(holds->puts, put);
        hold->row = hold->row == SA_HOLD_ROW ? SA_HOLD_ROW : SA_HOLD_PUTTING;
        hold->dirty = false;
    }
    TAILQ_INIT(&holds->dirty);
    uint32_t most = store->keeper.low || store->keeper.disk_full ? SA_ROWS_DELETE : DEAD_MAX, n = 0;
    g_hash_table_iter_init(&iter, holds->dead);
    while (n < most && g_hash_table_iter_next(&iter, NULL, &value)) {
        ((sa_hold_dead *)value)->taken = true;
        n++;
    }
    pthread_mutex_unlock(&holds->lock);
}

typedef struct sa_lost { /* live bytes a segment loses with a row */
    uint64_t lsn;
    uint32_t size;
} sa_lost;

/* One row goes; one that nobody counted yet tells where its record lies. */
static int
delete_one(struct sa_store *store, MDB_txn *txn, const sa_hold_dead *dead, GArray *lost)
{
    uint8_t k[24];
    sa_hold_row_key(k, dead->group, dead->topic, dead->due, dead->token);
    MDB_val key = { sizeof k, k }, value;
    sa_hold_row_value row;
    int rc = mdb_get(txn, store->rows.table[SA_T_HOLDS], &key, &value);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return rc;
    if (!dead->counted && sa_hold_row_read(&key, &value, &row)) {
        sa_lost one = { row.lsn, row.size };
        g_array_append_val(lost, one);
    }
    return sa_rows_del(store, txn, SA_T_HOLDS, k, sizeof k);
}

static int
delete_dead(struct sa_store *store, MDB_txn *txn)
{
    sa_holds *holds = &store->holds;
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(sa_hold_dead));
    g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(sa_lost));
    GHashTableIter iter;
    gpointer value;
    int rc = 0;
    pthread_mutex_lock(&holds->lock);
    g_hash_table_iter_init(&iter, holds->dead);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((sa_hold_dead *)value)->taken)
            g_array_append_vals(list, value, 1);
    }
    pthread_mutex_unlock(&holds->lock);
    for (guint i = 0; i < list->len && rc == 0; i++)
        rc = delete_one(store, txn, &g_array_index(list, sa_hold_dead, i), lost);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&holds->lock);
    for (guint i = 0; i < list->len; i++) { /* counted now, whatever becomes of the commit */
        sa_hold_dead *dead = g_hash_table_lookup(holds->dead,
                                                 &g_array_index(list, sa_hold_dead, i).token);
        if (dead != NULL)
            dead->counted = true;
    }
    for (guint i = 0; i < lost->len; i++) {
        const sa_lost *one = &g_array_index(lost, sa_lost, i);
        sa_hold_count(store, one->lsn, one->size, -1);
    }
    pthread_mutex_unlock(&holds->lock);
    return 0;
}

/* Rows of deleted topics and forgotten groups: found by looking at all of them, which is rare. */
static int
sweep(struct sa_store *store, MDB_txn *txn)
{
    sa_holds *holds = &store->holds;
    MDB_cursor *cursor;
    MDB_val key, value;
    pthread_mutex_lock(&holds->lock);
    guint known = holds->forgot->len;
    pthread_mutex_unlock(&holds->lock);
    if (known == 0)
        return 0;
    int rc = mdb_cursor_open(txn, store->rows.table[SA_T_HOLDS], &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        sa_hold_row_value row;
        if (!sa_hold_row_read(&key, &value, &row))
            continue;
        pthread_mutex_lock(&holds->lock);
        if (!g_hash_table_contains(holds->by_token, &row.token) && wanted(store, &row) == NULL)
            sa_hold_bury(holds, row.group, row.topic, row.due, row.token, false);
        pthread_mutex_unlock(&holds->lock);
    }
    mdb_cursor_close(cursor);
    pthread_mutex_lock(&holds->lock);
    g_array_remove_range(holds->forgot, 0, known);
    pthread_mutex_unlock(&holds->lock);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int
sa_holds_put(struct sa_store *store, MDB_txn *txn)
{
    sa_holds *holds = &store->holds;
    int rc = 0;
    for (guint i = 0; i < holds->puts->len && rc == 0; i++) {
        const sa_hold_put *put = &g_array_index(holds->puts, sa_hold_put, i);
        rc = sa_rows_put(store, txn, SA_T_HOLDS, put->key, sizeof put->key, put->value, VALUE);
    }
    if (rc == 0)
        rc = delete_dead(store, txn);
    return rc == 0 ? sweep(store, txn) : rc;
}

static gboolean
was_taken(gpointer key, gpointer value, gpointer ctx)
{
    (void)key, (void)ctx;
    return ((sa_hold_dead *)value)->taken;
}

void
sa_holds_taken(struct sa_store *store, bool good)
{
    sa_holds *holds = &store->holds;
    GHashTableIter iter;
    gpointer value;
    pthread_mutex_lock(&holds->lock);
    for (guint i = 0; i < holds->puts->len; i++) {
        sa_hold *hold = g_hash_table_lookup(holds->by_token,
                                            &g_array_index(holds->puts, sa_hold_put, i).token);
        if (hold == NULL)
            continue;
        if (good)
            hold->row = SA_HOLD_ROW;
        else
            sa_hold_dirty(holds, hold);
    }
    g_array_set_size(holds->puts, 0);
    if (good) {
        g_hash_table_foreach_remove(holds->dead, was_taken, NULL);
        g_hash_table_iter_init(&iter, holds->queues);
        while (g_hash_table_iter_next(&iter, NULL, &value))
            sa_queue_trim(holds, value);
    }
    bool more = g_hash_table_size(holds->dead) > 0;
    pthread_mutex_unlock(&holds->lock);
    if (more)
        atomic_store(&store->keeper.dirty, true);
}

/* ---- recovery ---- */

static bool
count_row(void *ctx, const MDB_val *key, const MDB_val *value)
{
    struct sa_store *store = ctx;
    sa_holds *holds = &store->holds;
    sa_hold_row_value row;
    if (!sa_hold_row_read(key, value, &row))
        return true; /* of a form that is not known; its record in the log is */
    holds->seen = MAX(holds->seen, row.token);
    sa_hold *hold = g_hash_table_lookup(holds->by_token, &row.token);
    if (hold != NULL) {
        hold->row = SA_HOLD_ROW; /* and newer than it */
        return true;
    }
    if (wanted(store, &row) == NULL) {
        sa_hold_bury(holds, row.group, row.topic, row.due, row.token, true);
        return true;
    }
    sa_hold_count(store, row.lsn, row.size, 1);
    gpointer attempts = g_hash_table_lookup(holds->tried, &row.token);
    if (attempts != NULL) {
        take_row(store, sa_queue_need(holds, row.group, row.topic), &row);
        hold = g_hash_table_lookup(holds->by_token, &row.token);
        hold->attempts = GPOINTER_TO_UINT(attempts);
        sa_hold_dirty(holds, hold);
    }
    return true;
}

/* What the log told of is counted, unless its topic or group went later. */
static void
count_memory(struct sa_store *store)
{
    sa_holds *holds = &store->holds;
    g_autoptr(GPtrArray) gone = g_ptr_array_new();
    sa_hold *hold;
    TAILQ_FOREACH(hold, &holds->dirty, dirty_link) {
        sa_hold_row_value row = { .group = hold->queue->group, .topic = hold->queue->topic,
                                  .token = hold->token, .kind = hold->kind,
                                  .partition = hold->part->id };
        if (wanted(store, &row) == NULL)
            g_ptr_array_add(gone, hold);
        else
            sa_hold_count(store, hold->lsn, hold->size, 1);
    }
    for (guint i = 0; i < gone->len; i++) {
        hold = g_ptr_array_index(gone, i);
        sa_hold_bury(holds, hold->queue->group, hold->queue->topic, hold->due, hold->token, true);
        sa_hold_free(holds, hold);
    }
}

int
sa_holds_recovered(struct sa_store *store, bool jump)
{
    sa_holds *holds = &store->holds;
    pthread_mutex_lock(&holds->lock);
    count_memory(store);
    int rc = sa_rows_each(store, SA_T_HOLDS, count_row, store);
    holds->next = MAX(holds->next, holds->seen + 1) + (jump ? 1u << 20 : 0);
    holds->recovering = false;
    g_array_set_size(holds->forgot, 0);
    g_hash_table_remove_all(holds->done);
    g_hash_table_remove_all(holds->tried);
    pthread_mutex_unlock(&holds->lock);
    return rc;
}
