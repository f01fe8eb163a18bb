/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the host in a test's hand share; nobody else includes it. Whatever arrives on a
 * lane or any other thread is noted under lock; the test's thread waits on wake.
 */
#pragma once
#include "cursor.h"
#include "harness/store-host.h"
#include "io/loop.h"
#include "io/pool.h"

typedef struct store_tally { /* of what came back from appends */
    uint64_t results, failed;
    int32_t last_code;
    emesh_position last_position;
} store_tally;

struct store_host {
    emesh_host host;
    emesh_attr about[2];
    emesh_worker *main, **workers;
    emesh_pool *pool;
    emesh_loop *loops;
    emesh_lane **lanes;
    uint32_t n_lanes;
    sa_store *store;
    char *dir;
    emesh_error err;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* lock */
    GPtrArray *lines;
    GPtrArray *readers;
    store_tally tally;
    uint32_t health;
    void (*on_results)(void *ctx, const emesh_appended *results, uint32_t n);
    void *on_results_ctx;
    void (*on_records)(void *ctx, store_reader *r, const emesh_record *records, uint32_t n);
    void *on_records_ctx;
    void (*on_seen)(void *ctx, const store_reader *r, const char *id, uint64_t offset);
    void *on_seen_ctx;
    uint32_t works;
};

typedef struct store_seen { /* a record that came */
    char id[64];
    uint64_t offset, due;
    uint32_t flags, attempt, partition;
} store_seen;

struct store_reader { /* what the store holds as emesh_reader */
    store_host *h;
    uint32_t lane;
    emesh_cursor *cursor;
    uint32_t n_parts;
    uint32_t numbers[64];
    uint32_t inbox; /* its number, or UINT32_MAX */
    GArray *seen;      /* of store_seen */
    GStringChunk *ids; /* handed out: they outlive a growing table */
    uint32_t caught_up, bad;
    bool check;
    size_t size;
};

typedef struct store_op { /* what the store holds as emesh_op */
    store_host *h;
    bool done;
    int32_t code;
    void *result;
    GArray *rows; /* of store_row, or NULL */
    emesh_error err;
} store_op;

/* Waits, with lock held around done(); ends the test when that takes too long. */
void store_host_wait(store_host *h, bool (*done)(void *ctx), void *ctx);
void store_host_op_wait(store_op *op); /* until it was completed */

/* Fills h->host: what the store calls. */
void store_host_serve(store_host *h);

/* Those of the store service, each beside what waits for it. Any thread, or the reader's lane. */
void store_host_note_results(const emesh_host *host, const emesh_appended *results, uint32_t n);
void store_host_note_records(emesh_reader *reader, const emesh_record *records, uint32_t n);
void store_host_note_partition(emesh_reader *reader, uint32_t change, uint32_t partition,
                               const char *name, size_t len, const emesh_error *err);
void store_host_note_rows(GArray *into, const emesh_rows *rows); /* of store_row; lock held */
