/* SPDX-License-Identifier: Apache-2.0
 *
 * See rows.h: LMDB opened, rows written and read. No WRITEMAP (a full disk would be a signal), no
 * sync of its own beyond its default, transactions not bound to threads.
 */
#include "rows.h"

#include "crc32c.h"
#include "store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const table_name[SA_TABLES] = { "meta",   "catalog", "chunks", "segments",
                                                   "groups", "holds",   "state" };

static int
open_tables(sa_rows *rows)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(rows->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    for (int i = 0; i < SA_TABLES && rc == 0; i++)
        rc = mdb_dbi_open(txn, table_name[i], MDB_CREATE, &rows->table[i]);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

int
sa_rows_open(struct sa_store *store)
{
    sa_rows *rows = &store->rows;
    g_autofree char *path = g_strdup_printf("%s/index", store->path);
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return -errno;
    int rc = mdb_env_create(&rows->env);
    if (rc != 0)
        return rc;
    mdb_env_set_maxdbs(rows->env, SA_TABLES);
    mdb_env_set_mapsize(rows->env, store->opt.map_size);
    mdb_env_set_maxreaders(rows->env, 512);
    rc = mdb_env_open(rows->env, path, MDB_NOTLS, 0640);
    if (rc == 0)
        rc = open_tables(rows);
    if (rc != 0)
        sa_rows_close(store);
    return rc;
}

void
sa_rows_close(struct sa_store *store)
{
    if (store->rows.env != NULL)
        mdb_env_close(store->rows.env);
    store->rows.env = NULL;
}

int
sa_rows_reopen(struct sa_store *store)
{
    pthread_rwlock_wrlock(&store->rows.lock);
    sa_rows_close(store);
    int rc = sa_rows_open(store);
    pthread_rwlock_unlock(&store->rows.lock);
    return rc;
}

int
sa_rows_set_aside(struct sa_store *store)
{
    g_autofree char *from = g_strdup_printf("%s/index", store->path);
    sa_rows_close(store);
    for (int i = 1; i < 1000; i++) {
        g_autofree char *to = g_strdup_printf("%s/index.bad-%d", store->path, i);
        if (access(to, F_OK) == 0)
            continue;
        return rename(from, to) < 0 && errno != ENOENT ? -errno : 0;
    }
    return -EEXIST;
}

/* ---- values end in their CRC ---- */

int
sa_rows_put(struct sa_store *store, MDB_txn *txn, enum sa_table table, const void *key,
            size_t key_len, const void *value, size_t len)
{
    MDB_val k = { key_len, (void *)(uintptr_t)key }, v = { len + 4, NULL };
    int rc = mdb_put(txn, store->rows.table[table], &k, &v, MDB_RESERVE);
    if (rc != 0)
        return rc;
    memcpy(v.mv_data, value, len);
    sa_put32((uint8_t *)v.mv_data + len, sa_crc32c(sa_crc32c(0, key, key_len), value, len));
    return 0;
}

int
sa_rows_del(struct sa_store *store, MDB_txn *txn, enum sa_table table, const void *key,
            size_t key_len)
{
    MDB_val k = { key_len, (void *)(uintptr_t)key };
    int rc = mdb_del(txn, store->rows.table[table], &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

ssize_t
sa_row_check(const MDB_val *key, const MDB_val *value)
{
    if (value->mv_size < 4)
        return -1;
    size_t len = value->mv_size - 4;
    uint32_t crc = sa_crc32c(sa_crc32c(0, key->mv_data, key->mv_size), value->mv_data, len);
    return crc == sa_get32((const uint8_t *)value->mv_data + len) ? (ssize_t)len : -1;
}

static void
put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(SA_LE32(v));
    memcpy(p, &v, sizeof v);
}

static void
put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(SA_LE64(v));
    memcpy(p, &v, sizeof v);
}

uint32_t
sa_row_key32(const void *p)
{
    return __builtin_bswap32(sa_get32(p));
}

uint64_t
sa_row_key64(const void *p)
{
    return __builtin_bswap64(sa_get64(p));
}

/* A newer minor version may put more behind a value: what is known of it is read. */
#define META_SIZE 104u
#define META_SIZE_1 88u /* formats 1.0 and 1.1 */

int
sa_rows_put_meta(struct sa_store *store, MDB_txn *txn, const sa_meta *m)
{
    uint8_t v[META_SIZE] = { 0 };
    memcpy(v, m->id, 16);
    sa_put32(v + 16, m->salt);
    sa_put32(v + 20, m->epoch);
    sa_put32(v + 24, m->clean);
    sa_put32(v + 28, m->major);
    sa_put32(v + 32, m->incompat);
    sa_put32(v + 36, SA_MINOR);
    sa_put64(v + 40, m->applied);
    sa_put64(v + 48, m->clock_us);
    sa_put64(v + 56, m->wall_us);
    sa_put32(v + 64, m->next_topic);
    sa_put32(v + 68, m->next_part);
    sa_put32(v + 72, m->next_group);
    sa_put32(v + 76, m->swap);
    sa_put64(v + 80, m->next_hold);
    sa_put64(v + 88, m->boot_us);
    sa_put64(v + 96, m->boot_id);
    return sa_rows_put(store, txn, SA_T_META, "store", 5, v, sizeof v);
}

bool
sa_row_meta(const MDB_val *key, const MDB_val *value, sa_meta *m)
{
    ssize_t len = sa_row_check(key, value);
    if (len < (ssize_t)META_SIZE_1)
        return false;
    const uint8_t *v = value->mv_data;
    memcpy(m->id, v, 16);
    m->salt = sa_get32(v + 16);
    m->epoch = sa_get32(v + 20);
    m->clean = sa_get32(v + 24);
    m->major = sa_get32(v + 28);
    m->incompat = sa_get32(v + 32);
    m->minor = sa_get32(v + 36);
    m->applied = sa_get64(v + 40);
    m->clock_us = sa_get64(v + 48);
    m->wall_us = sa_get64(v + 56);
    m->next_topic = sa_get32(v + 64);
    m->next_part = sa_get32(v + 68);
    m->next_group = sa_get32(v + 72);
    m->swap = sa_get32(v + 76);
    m->next_hold = sa_get64(v + 80);
    m->boot_us = len >= (ssize_t)META_SIZE ? sa_get64(v + 88) : 0;
    m->boot_id = len >= (ssize_t)META_SIZE ? sa_get64(v + 96) : 0;
    return true;
}

int
sa_rows_meta(struct sa_store *store, sa_meta *m)
{
    MDB_txn *txn;
    MDB_val key = { 5, (void *)(uintptr_t)"store" }, value;
    int rc = mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_get(txn, store->rows.table[SA_T_META], &key, &value);
    if (rc == 0 && !sa_row_meta(&key, &value, m))
        rc = MDB_CORRUPTED;
    mdb_txn_abort(txn);
    return rc;
}

#define CHUNK_SIZE 64u

int
sa_rows_put_chunk(struct sa_store *store, MDB_txn *txn, uint64_t base, const sa_entry *e)
{
    uint8_t k[12], v[CHUNK_SIZE] = { 0 };
    put_be32(k, e->partition);
    put_be64(k + 4, e->base);
    sa_put64(v, base);
    sa_put64(v + 8, e->last);
    sa_put64(v + 16, e->min_us);
    sa_put64(v + 24, e->max_us);
    sa_put64(v + 32, e->bytes);
    sa_put32(v + 40, e->index);
    sa_put32(v + 44, e->index_crc);
    sa_put32(v + 48, e->count);
    sa_put64(v + 56, e->clock_us);
    return sa_rows_put(store, txn, SA_T_CHUNKS, k, sizeof k, v, sizeof v);
}

bool
sa_row_chunk(const MDB_val *key, const MDB_val *value, uint64_t *base, sa_entry *e)
{
    if (key->mv_size != 12 || sa_row_check(key, value) < (ssize_t)CHUNK_SIZE)
        return false;
    const uint8_t *v = value->mv_data;
    e->partition = sa_row_key32(key->mv_data);
    e->base = sa_row_key64((const uint8_t *)key->mv_data + 4);
    *base = sa_get64(v);
    e->last = sa_get64(v + 8);
    e->min_us = sa_get64(v + 16);
    e->max_us = sa_get64(v + 24);
    e->bytes = sa_get64(v + 32);
    e->index = sa_get32(v + 40);
    e->index_crc = sa_get32(v + 44);
    e->count = sa_get32(v + 48);
    e->clock_us = sa_get64(v + 56);
    return true;
}

int
sa_rows_del_chunk(struct sa_store *store, MDB_txn *txn, uint32_t partition, uint64_t offset)
{
    uint8_t k[12];
    put_be32(k, partition);
    put_be64(k + 4, offset);
    return sa_rows_del(store, txn, SA_T_CHUNKS, k, sizeof k);
}

/* The chunk at the cursor when it is of partition; NOTFOUND else. */
static int
chunk_here(int rc, const MDB_val *key, const MDB_val *value, uint32_t partition, uint64_t *base,
           sa_entry *e)
{
    if (rc != 0)
        return rc;
    if (key->mv_size != 12 || sa_row_key32(key->mv_data) != partition)
        return MDB_NOTFOUND;
    return sa_row_chunk(key, value, base, e) ? 0 : MDB_CORRUPTED;
}

static int
find_chunk(struct sa_store *store, uint32_t partition, uint64_t offset, uint64_t *base,
           sa_entry *e)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    uint8_t k[12];
    int rc = mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, store->rows.table[SA_T_CHUNKS], &cursor);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    put_be32(k, partition);
    put_be64(k + 4, offset);
    MDB_val key = { sizeof k, k }, value;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    int here = chunk_here(rc, &key, &value, partition, base, e);
    if (here != 0 || e->base > offset) { /* the one before may reach offset */
        MDB_val bkey, bvalue;
        uint64_t before_base;
        sa_entry before;
        int back = mdb_cursor_get(cursor, &bkey, &bvalue, rc == 0 ? MDB_PREV : MDB_LAST);
        back = chunk_here(back, &bkey, &bvalue, partition, &before_base, &before);
        if (back == 0 && (before.last >= offset || offset == UINT64_MAX)) {
            *base = before_base;
            *e = before;
            here = 0;
        } else if (back == MDB_CORRUPTED) {
            here = back;
        }
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return here;
}

int
sa_rows_chunk(struct sa_store *store, uint32_t partition, uint64_t offset, uint64_t *base,
              sa_entry *e)
{
    pthread_rwlock_rdlock(&store->rows.lock);
    int rc = store->rows.env != NULL ? find_chunk(store, partition, offset, base, e) : EIO;
    pthread_rwlock_unlock(&store->rows.lock);
    return rc;
}

int
sa_rows_last(struct sa_store *store, uint32_t partition, sa_entry *e)
{
    uint64_t base;
    return sa_rows_chunk(store, partition, UINT64_MAX, &base, e);
}

int
sa_rows_each(struct sa_store *store, enum sa_table table,
             bool (*each)(void *ctx, const MDB_val *key, const MDB_val *value), void *ctx)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_txn_begin(store->rows.env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, store->rows.table[table], &cursor);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (sa_row_check(&key, &value) < 0)
            rc = MDB_CORRUPTED;
        if (rc != 0 || !each(ctx, &key, &value))
            break;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- segments and groups ---- */

#define SEGMENT_SIZE 112u
#define SEGMENT_SIZE_1 80u /* format 1.1: the cleaner left held events alone */
#define SEGMENT_SIZE_0 48u /* format 1.0: before there were held events */

int
sa_rows_put_segment(struct sa_store *store, MDB_txn *txn, const struct sa_segment *seg)
{
    uint8_t k[8], v[SEGMENT_SIZE] = { 0 };
    put_be64(k, seg->base);
    sa_put64(v, seg->last);
    sa_put64(v + 8, atomic_load(&seg->end));
    sa_put64(v + 16, seg->clock_us);
    sa_put64(v + 24, seg->live_bytes);
    sa_put32(v + 32, seg->live);
    sa_put32(v + 36, seg->epoch);
    sa_put64(v + 40, seg->size);
    sa_put64(v + 48, seg->holds.first);
    sa_put64(v + 56, seg->holds.last);
    sa_put64(v + 64, seg->dones.first);
    sa_put64(v + 72, seg->dones.last);
    sa_put64(v + 80, seg->pure);
    sa_put64(v + 88, seg->kept_commits);
    sa_put64(v + 96, seg->kept_marks);
    sa_put32(v + 104, seg->deletes);
    return sa_rows_put(store, txn, SA_T_SEGMENTS, k, sizeof k, v, sizeof v);
}

struct sa_segment *
sa_row_segment(const MDB_val *key, const MDB_val *value)
{
    ssize_t len = sa_row_check(key, value);
    if (key->mv_size != 8 || len < (ssize_t)SEGMENT_SIZE_0)
        return NULL;
    const uint8_t *v = value->mv_data;
    sa_segment *seg = sa_seg_new(sa_row_key64(key->mv_data), sa_get64(v));
    if (seg == NULL)
        return NULL;
    atomic_store(&seg->end, sa_get64(v + 8));
    seg->clock_us = sa_get64(v + 16);
    seg->live_bytes = sa_get64(v + 24);
    seg->live = sa_get32(v + 32);
    seg->epoch = sa_get32(v + 36);
    seg->size = sa_get64(v + 40);
    if (len >= (ssize_t)SEGMENT_SIZE_1) {
        seg->holds = (sa_tokens){ sa_get64(v + 48), sa_get64(v + 56) };
        seg->dones = (sa_tokens){ sa_get64(v + 64), sa_get64(v + 72) };
    }
    seg->deletes = true; /* it may have */
    if (len >= (ssize_t)SEGMENT_SIZE) {
        seg->pure = sa_get64(v + 80);
        seg->kept_commits = sa_get64(v + 88);
        seg->kept_marks = sa_get64(v + 96);
        seg->deletes = sa_get32(v + 104) != 0;
    }
    seg->state = SA_SEG_SEALED;
    seg->rows = true;
    return seg;
}

int
sa_rows_del_segment(struct sa_store *store, MDB_txn *txn, uint64_t base)
{
    uint8_t k[8];
    put_be64(k, base);
    return sa_rows_del(store, txn, SA_T_SEGMENTS, k, sizeof k);
}

void
sa_row_catalog_key(uint8_t key[5], uint8_t kind, uint32_t id)
{
    key[0] = kind;
    put_be32(key + 1, id);
}

void
sa_row_pair_key(uint8_t key[8], uint32_t group, uint32_t partition)
{
    put_be32(key, group);
    put_be32(key + 4, partition);
}

void
sa_row_pair_value(GByteArray *value, const struct sa_pair *pair, uint64_t lsn)
{
    uint8_t number[8];
    sa_put64(number, lsn);
    g_byte_array_append(value, number, sizeof number);
    sa_commit_put(value, pair, SA_OP_ACK, &pair->more->ranges);
}
