/* SPDX-License-Identifier: Apache-2.0
 *
 * The checkpoint in LMDB. Pages have no check sum, so every value ends in a CRC-32C. One writer, the
 * keeper; readers open a transaction per look-up. Tables (keys big-endian, so that they sort):
 *
 *   meta      "store" → identity, epoch, clock, applied LSN
 *   catalog   u8 kind, u32 id → catalogue entry
 *   chunks    u32 partition, u64 base offset → segment base and directory entry
 *   segments  u64 base → end, live counts, clock
 *   groups    u32 group, u32 partition → floor, epoch, ranges, LSN
 *   holds     u32 group, u32 topic, u64 due, u64 token → place and kind of a held event, hold.h
 *   state     free form, by name
 */
#ifndef SA_ROWS_H
#define SA_ROWS_H
#include "footer.h"
#include <glib.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct sa_store;
struct sa_segment;
struct sa_pair;

typedef struct sa_meta {
    uint8_t id[16];
    uint32_t salt;
    uint32_t epoch;
    uint32_t clean; /* orderly stop */
    uint32_t major, minor, incompat; /* minor: 0 in format 1.0, which did not write it */
    uint64_t applied; /* LSN: control records below it are in the rows */
    uint64_t clock_us, wall_us;
    uint64_t boot_us, boot_id; /* since which start of the machine, 0 before format 1.2 */
    uint32_t next_topic, next_part, next_group;
    uint32_t swap; /* number of the last cleaned segment */
    uint64_t next_hold;
} sa_meta;

enum sa_table { SA_T_META, SA_T_CATALOG, SA_T_CHUNKS, SA_T_SEGMENTS, SA_T_GROUPS, SA_T_HOLDS,
                SA_T_STATE, SA_TABLES };

typedef struct sa_rows {
    pthread_rwlock_t lock; /* readers, against closing and opening anew */
    MDB_env *env;
    MDB_dbi table[SA_TABLES];
} sa_rows;

/* rows-check.c: 0, MDB_CORRUPTED, or a negative errno. LMDB must not be open. */
int sa_rows_check_file(struct sa_store *store);
/* The same, from LMDB's file at path; each gets every row, checks its sum, and false stops. */
int sa_rows_walk_file(const char *path, bool (*each)(void *ctx, const char *table, uint32_t len,
                                                     const MDB_val *key, const MDB_val *value),
                      void *ctx);
/* Opens or creates DIR/index. A negative errno or LMDB's code. */
int sa_rows_open(struct sa_store *store);
void sa_rows_close(struct sa_store *store);
/* [keeper] Closed and opened anew: LMDB refuses everything after some errors. */
int sa_rows_reopen(struct sa_store *store);
/* Sets DIR/index aside as index.bad-N. */
int sa_rows_set_aside(struct sa_store *store);

/* 0, MDB_NOTFOUND, or an error (MDB_CORRUPTED for a bad check sum). */
int sa_rows_meta(struct sa_store *store, sa_meta *meta);
int sa_rows_put(struct sa_store *store, MDB_txn *txn, enum sa_table table, const void *key,
                size_t key_len, const void *value, size_t len);
int sa_rows_put_meta(struct sa_store *store, MDB_txn *txn, const sa_meta *meta);
int sa_rows_put_chunk(struct sa_store *store, MDB_txn *txn, uint64_t base, const sa_entry *entry);
int sa_rows_del_chunk(struct sa_store *store, MDB_txn *txn, uint32_t partition, uint64_t offset);
int sa_rows_put_segment(struct sa_store *store, MDB_txn *txn, const struct sa_segment *seg);
int sa_rows_del_segment(struct sa_store *store, MDB_txn *txn, uint64_t base);
void sa_row_catalog_key(uint8_t key[5], uint8_t kind, uint32_t id);
void sa_row_pair_key(uint8_t key[8], uint32_t group, uint32_t partition);
/* u64 LSN, then a COMMIT entry with all ranges. The group's lock held. */
void sa_row_pair_value(GByteArray *value, const struct sa_pair *pair, uint64_t lsn);
int sa_rows_del(struct sa_store *store, MDB_txn *txn, enum sa_table table, const void *key,
                size_t key_len);

/* Reads a value back: length without its CRC, or -1 when that is bad. */
ssize_t sa_row_check(const MDB_val *key, const MDB_val *value);
uint32_t sa_row_key32(const void *p);
uint64_t sa_row_key64(const void *p);
bool sa_row_meta(const MDB_val *key, const MDB_val *value, sa_meta *meta);
bool sa_row_chunk(const MDB_val *key, const MDB_val *value, uint64_t *base, sa_entry *entry);
struct sa_segment *sa_row_segment(const MDB_val *key, const MDB_val *value); /* NULL: bad */

/* First chunk of partition whose last offset is at or behind offset, in *base and *entry. */
int sa_rows_chunk(struct sa_store *store, uint32_t partition, uint64_t offset, uint64_t *base,
                  sa_entry *entry);
/* The last chunk of partition. */
int sa_rows_last(struct sa_store *store, uint32_t partition, sa_entry *entry);
/* Calls each for every row of a table; stops when it returns false. key and value as stored. */
int sa_rows_each(struct sa_store *store, enum sa_table table,
                 bool (*each)(void *ctx, const MDB_val *key, const MDB_val *value), void *ctx);

#endif
