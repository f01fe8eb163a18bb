/* SPDX-License-Identifier: Apache-2.0
 *
 * The store as a whole: made, opened, closed, freed; clocks, log lines and error texts that all of
 * its modules use.
 */
#include "store.h"

#include "folder.h"
#include "lane.h"
#include "recovery.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t
sa_wall_us(const sa_store *store)
{
    return store->lp->time(NULL, EMESH_CLOCK_WALL) * 1000;
}

uint64_t
sa_mono_ns(const sa_store *store)
{
    struct timespec ts;
    (void)store; /* waits of condition variables are on this very clock */
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t
ns_of(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The host's clock stands still while the machine sleeps; retention goes on. */
uint64_t
sa_boot_us(const sa_store *store)
{
    const int64_t step = 10000000; /* of the difference, or two looks apart would make it tremble */
    int64_t mono = ns_of(CLOCK_MONOTONIC), slept = ns_of(CLOCK_BOOTTIME) - mono;
    slept = (slept + step / 2) / step * step;
    return store->lp->time(NULL, EMESH_CLOCK_MONOTONIC) / 1000 + (uint64_t)(slept / 1000);
}

uint64_t
sa_boot_id(void)
{
    char text[64];
    uint64_t id = 0xcbf29ce484222325u; /* FNV-1a */
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : 0;
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < n; i++)
        id = (id ^ (uint8_t)text[i]) * 0x100000001b3u;
    return n > 0 ? MAX(id, 1) : 0;
}

uint64_t
sa_clock_us(const sa_store *store)
{
    return (uint64_t)(store->clock_base + (int64_t)sa_boot_us(store));
}

void
sa_say(const sa_store *store, uint32_t level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    store->host->log(store->host, level, text, (size_t)MIN(len, (int)sizeof text - 1), NULL, 0);
}

int32_t
sa_error(emesh_error *err, int32_t code, const char *format, ...)
{
    va_list args;
    if (err == NULL)
        return code;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    err->code = code;
    return code;
}

static const char *
about(const emesh_host *host, const char *name)
{
    for (uint32_t i = 0; i < host->n_about; i++) {
        const emesh_attr *attr = &host->about[i];
        if (attr->name_len == strlen(name) && memcmp(attr->name, name, attr->name_len) == 0)
            return g_strndup(attr->value, attr->value_len);
    }
    return NULL;
}

int32_t
sa_store_new(const emesh_host *host, const sa_options *opt, const sa_io *io, sa_store **out,
             emesh_error *err)
{
    sa_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return sa_error(err, EMESH_E_NO_MEMORY, "no memory for the store");
    store->host = host;
    store->ev = host->service(host, EMESH_EVENT_ID);
    store->lp = host->service(host, EMESH_LOOP_ID);
    store->st = host->service(host, EMESH_STORE_ID);
    store->io = io;
    store->opt = *opt;
    store->boot_id = opt->boot_id != 0 ? opt->boot_id : sa_boot_id();
    store->dir = store->log_dir = store->lock_fd = -1;
    store->name = (char *)(uintptr_t)about(host, "instance");
    store->path = (char *)(uintptr_t)about(host, "data-dir");
    pthread_mutex_init(&store->lanes_lock, NULL);
    pthread_rwlock_init(&store->rows.lock, NULL);
    sa_segs_init(&store->segs);
    sa_catalog_init(&store->cat);
    sa_vectors_init(&store->vectors);
    sa_blocks_init(&store->blocks, opt->shared_bytes);
    sa_keeper_init(&store->keeper);
    sa_cleaner_init(&store->cleaner);
    sa_scrub_init(&store->scrub);
    sa_holds_init(&store->holds);
    sa_log_init(store);
    *out = store;
    if (store->name == NULL)
        store->name = g_strdup("storage-standalone");
    if (store->path == NULL)
        return sa_error(err, EMESH_E_STATE, "the host names no data-dir for %s", store->name);
    if (!sa_tail_init(&store->tail, opt->tail_bytes))
        return sa_error(err, EMESH_E_NO_MEMORY, "no memory for the memory tail of %s", store->name);
    return EMESH_OK;
}

static int32_t
start_threads(sa_store *store, emesh_error *err)
{
    sa_keeper_make_next(store, store->opt.segment_size);
    sa_metrics_start(store);
    int rc = sa_log_start(store);
    if (rc == 0) {
        rc = sa_keeper_start(store);
        if (rc == 0) {
            rc = sa_holds_start(store);
            if (rc != 0)
                sa_keeper_stop(store);
        }
        if (rc != 0)
            sa_log_stop(store);
    }
    if (rc != 0)
        return sa_error(err, EMESH_E_NO_MEMORY, "a thread of %s could not be started: %s",
                        store->name, g_strerror(-rc));
    store->open = true;
    return EMESH_OK;
}

int32_t
sa_store_open(sa_store *store, emesh_error *err)
{
    int32_t code = sa_folder_open(store, err);
    if (code == EMESH_OK)
        code = sa_recover(store, err);
    if (code == EMESH_OK) {
        sa_space_check(store);
        code = start_threads(store, err);
    }
    return code;
}

/* The prepared segment was never used; the active one only matters when it has records. */
static void
close_segments(sa_store *store)
{
    sa_log *log = &store->log;
    sa_segment *ends[2] = { log->next, log->active };
    log->next = log->active = NULL;
    for (int i = 0; i < 2; i++) {
        sa_segment *seg = ends[i];
        if (seg == NULL)
            continue;
        pthread_mutex_lock(&store->segs.lock);
        bool empty = atomic_load(&seg->end) == seg->base + SA_SEGMENT_HEAD;
        if (empty) {
            sa_segs_remove(&store->segs, seg);
        } else {
            seg->clock_us = sa_clock_us(store);
            seg->state = SA_SEG_CLOSED;
        }
        pthread_mutex_unlock(&store->segs.lock);
        if (empty) {
            char name[SA_NAME_MAX];
            sa_seg_name(name, seg->base, false);
            store->io->unlink(store->io->ctx, store->log_dir, name);
            sa_seg_free(store, seg);
        }
    }
}

void
sa_store_close(sa_store *store)
{
    if (!store->open)
        return;
    store->open = false;
    sa_holds_stop(store);
    sa_keeper_stop(store);
    sa_log_stop(store);
    if (store->log.failed != 0)
        return; /* recovery looks at it */
    sa_point(store->io, "stop-synced");
    close_segments(store);
    sa_seal_closed(store);
    for (guint i = 0; i < store->cat.every->len; i++) {
        sa_topic *topic = g_ptr_array_index(store->cat.every, i);
        if (!topic->deleted)
            sa_keeper_topic(store, topic); /* with the next offsets */
    }
    sa_point(store->io, "stop-sealed");
    if (sa_checkpoint(store, true, true) == 0)
        sa_unlink_dead(store);
}

static void
lanes_free(sa_store *store)
{
    for (sa_lane *lane = store->lanes, *next; lane != NULL; lane = next) {
        next = lane->next;
        sa_batches_clear(&lane->batches);
        free(lane);
    }
}

void
sa_store_free(sa_store *store)
{
    sa_rows_close(store);
    sa_segs_clear(store);
    sa_blocks_clear(store);
    sa_catalog_clear(store);
    sa_vectors_clear(&store->vectors);
    sa_tail_clear(store);
    sa_keeper_clear(&store->keeper);
    sa_cleaner_clear(store);
    sa_scrub_clear(&store->scrub);
    sa_holds_clear(&store->holds);
    sa_log_clear(store);
    lanes_free(store);
    sa_folder_close(store);
    pthread_rwlock_destroy(&store->rows.lock);
    pthread_mutex_destroy(&store->lanes_lock);
    g_free(store->name);
    g_free(store->path);
    free(store);
}

emesh_store_info
sa_store_info(const sa_store *store)
{
    uint64_t most = MIN((uint64_t)SA_RECORD_MAX, store->opt.segment_size / 2);
    return (emesh_store_info){
        .size = sizeof(emesh_store_info),
        .levels = 1u << EMESH_LEVEL_MEMORY | 1u << EMESH_LEVEL_OS | 1u << EMESH_LEVEL_SYNCED,
        .can = SA_CLAIMS,
        .max_event_bytes = most - most / 16,
        .window_bytes = 32u << 20,
        .window_events = 65536,
    };
}
