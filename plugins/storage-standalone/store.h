/* SPDX-License-Identifier: Apache-2.0
 *
 * The instance: everything one folder needs, put together. Modules reach each other through it.
 *
 * Locks, outermost first: holds → segs → topic → group → cat; log, tail and blocks are leaves. None is
 * held across a system call on the log.
 */
#ifndef SA_STORE_H
#define SA_STORE_H
#include "blocks.h"
#include "catalog.h"
#include "clean.h"
#include "eventmesh/eventmesh.h"
#include "eventmesh/kind-storage.h"
#include "groups.h"
#include "hold.h"
#include "io.h"
#include "keeper.h"
#include "log.h"
#include "metrics.h"
#include "rows.h"
#include "scrub.h"
#include "segment.h"
#include "tail.h"
#include "vector.h"

typedef struct sa_options {
    uint64_t segment_size;
    uint64_t map_size;
    uint64_t min_free; /* 0: two segments or 1 % of the file system, the larger */
    uint64_t sync_interval_ns;
    uint64_t sync_bytes;
    uint64_t checkpoint_ns;
    uint64_t tail_bytes;
    uint64_t shared_bytes; /* of read blocks; 0: none */
    uint64_t roll_ns;
    uint64_t scrub_ns;   /* all sealed segments are read within it; 0: never */
    uint64_t clean_rate; /* bytes a second that the cleaner copies under load; 0: it does not */
    uint32_t max_partitions;
    uint64_t boot_id; /* tests alone: a start of the machine; 0: this one */
} sa_options;

typedef struct sa_stats { /* counted for status, metrics and tests */
    _Atomic uint64_t writes, write_bytes, syncs, records, commits;
    _Atomic uint64_t reads, read_bytes, scanned_bytes;
    _Atomic uint64_t shared_records, shared_loads; /* of read blocks: given, made */
    _Atomic uint64_t damaged, torn, quarantined, recopied;
    _Atomic uint64_t memory_lost; /* answered at level memory, then not written */
    _Atomic uint64_t retold; /* COMMITs of tell.c */
    _Atomic uint64_t handovers, sealed, checkpoints, unlinked, trimmed;
    _Atomic uint64_t cleaned, sorted, clean_inputs, clean_bytes; /* segments made (sorted: for readers),
                                                                   taken; bytes written */
    _Atomic uint64_t scrub_bytes, scrub_bad, scrub_passes;
} sa_stats;

typedef struct sa_store {
    const emesh_host *host;
    const emesh_event_api *ev;
    const emesh_loop_api *lp;
    const emesh_store_api *st;
    const sa_io *io;
    char *name;
    char *path; /* of the folder */
    int dir, log_dir, lock_fd;
    sa_options opt;
    /* of the folder; constant after recovery */
    uint8_t id[16];
    uint32_t salt;
    uint32_t epoch;
    uint32_t features; /* incompatible ones that this folder uses */
    uint32_t swap;     /* number of the last cleaned segment; the keeper's */
    uint64_t base_floor; /* no segment begins below it */
    bool unclean;        /* the last life did not end in order */
    /* the store's clock: us, = clock_base + us since boot */
    int64_t clock_base;
    uint64_t boot_id; /* of this start of the machine; 0: unknown */
    sa_log log;
    sa_segs segs;
    sa_tail tail;
    sa_catalog cat;
    sa_vectors vectors;
    sa_blocks blocks;
    sa_rows rows;
    sa_keeper keeper;
    sa_cleaner cleaner;
    sa_scrub scrub;
    sa_holds holds;
    sa_stats stats;
    sa_metrics metrics;
    struct sa_lane *lanes;
    pthread_mutex_t lanes_lock;
    /* life, [main] and the pool thread that starts or stops */
    emesh_task start_task, stop_task;
    emesh_op *start_op, *stop_op;
    bool open;               /* recovery is through, threads run */
    bool starting, stopping; /* lanes_lock */
} sa_store;

/* What the store can, and says at ready. */
#define SA_CLAIMS                                                                        \
    ((uint64_t)EMESH_STORE_CAN_GROUPS | EMESH_STORE_CAN_ACK_EACH | EMESH_STORE_CAN_REPLAY \
     | EMESH_STORE_CAN_TIME | EMESH_STORE_CAN_TRIM | EMESH_STORE_CAN_ORDER                  \
     | EMESH_STORE_CAN_DELAY | EMESH_STORE_CAN_INBOX | EMESH_STORE_CAN_UNIT             \
     | EMESH_STORE_ANY_NAME | EMESH_STORE_CAN_WATCH)

#define SA_STORE(self) ((sa_store *)(void *)(self))

uint64_t sa_wall_us(const sa_store *store);
uint64_t sa_mono_ns(const sa_store *store);
uint64_t sa_clock_us(const sa_store *store); /* never goes back, also across starts */
uint64_t sa_boot_us(const sa_store *store);  /* since the machine started, sleep included */
uint64_t sa_boot_id(void); /* of this start of the machine; 0: it does not say */
void sa_say(const sa_store *store, uint32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Fills err (may be NULL), returns code. */
int32_t sa_error(emesh_error *err, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline void
sa_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* instance.c: for tests also without a plugin around. io: sa_io_posix or a test's. */
int32_t sa_store_new(const emesh_host *host, const sa_options *opt, const sa_io *io,
                     sa_store **out, emesh_error *err);
/* Opens the folder, recovers, starts the threads. Blocks. */
int32_t sa_store_open(sa_store *store, emesh_error *err);
/* The orderly end: all is synced, sealed, in the checkpoint. Blocks. */
void sa_store_close(sa_store *store);
void sa_store_free(sa_store *store);
emesh_store_info sa_store_info(const sa_store *store);

#endif
