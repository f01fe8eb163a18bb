/* SPDX-License-Identifier: Apache-2.0
 *
 * Read blocks: runs of events that one reader took from disk, kept for the other readers of the
 * topic, so that a hundred of them cost one read and one decode. A block answers for the offsets
 * [from, to) of a partition within one run of 256: records, damage and gaps. What is in it never
 * changes, offsets are never reused; what retention took is not asked for any more.
 *
 * One reader loads a block on its pool thread; who needs it meanwhile waits without a thread. A
 * bounded number of bytes, the block that was used longest ago goes first; readers hold references
 * to events, never to blocks.
 *
 * Lock: blocks->lock, held for a batch of pointers. Events leave outside of it.
 */
#ifndef SA_BLOCKS_H
#define SA_BLOCKS_H
#include "reader.h"

#define SA_BLOCK_RUN 256u
#define SA_BLOCK_BYTES (1u << 20) /* of events in a block, unless the first alone is larger */
#define SA_BLOCK_CHAINS 256u

/* A read, and its answer. Who asks keeps it until the answer. */
typedef struct sa_ask {
    sa_partition *part;
    uint64_t from, end; /* offsets */
    uint64_t max_bytes;
    uint32_t max;
    uint32_t n;
    uint64_t next; /* where to go on; from, and n 0: ask again */
    sa_got *got;   /* room for max; references */
    sa_ahead ahead;
    uint64_t fetch_from, fetch_to; /* offsets to be asked for ahead, when it is answered */
    struct sa_ask *also; /* waits for the same block */
    void (*done)(struct sa_ask *ask); /* [any] of one that waited: it can be asked for now */
} sa_ask;

typedef struct sa_block {
    sa_partition *part;
    uint64_t from, to;
    struct sa_block *chain;
    struct sa_block *older, *newer;
    sa_ask *waiting; /* while it is loaded */
    bool loading;
    sa_ahead ahead; /* of who loaded it; who loads the next one goes on from there */
    uint32_t n;
    uint64_t bytes;
    sa_got *got; /* by offset */
} sa_block;

typedef struct sa_blocks {
    pthread_mutex_t lock;
    sa_block *chains[SA_BLOCK_CHAINS];
    sa_block *newest, *oldest; /* those that are loaded */
    uint64_t bytes, limit;     /* limit 0: nothing is shared */
} sa_blocks;

void sa_blocks_init(sa_blocks *blocks, uint64_t limit);
void sa_blocks_clear(struct sa_store *store);

/* [any] Answers out of memory. False: there is no block. */
bool sa_blocks_get(struct sa_store *store, sa_ask *ask);
bool sa_blocks_has(struct sa_store *store, sa_partition *part, uint64_t offset);
/* [any] True: the block is being loaded, done() tells when it is there. */
bool sa_blocks_wait(struct sa_store *store, sa_ask *ask);
/* [pool] Loads the block and answers. False: another one loads it, done() tells. */
bool sa_blocks_load(struct sa_store *store, sa_ask *ask);

#endif
