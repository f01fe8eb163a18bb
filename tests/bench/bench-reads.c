/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the embedded store back: backlogs of 512-byte events are written, then drained by cursors
 * that keep their credit, from the page cache and from the disk (pages dropped with fadvise), of one
 * topic and of a thousand in turn, by one cursor and by a hundred. Prints rate, CPU and reads of the
 * log an event. Arguments: thousands of events (400), folder (a new one, deleted at the end).
 */
#include "folder-of.h"
#include "harness/store-host.h"
#include "cursor.h"
#include "lane.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE 512u
#define BATCH 256u
#define TOPICS 1000u
#define CREDIT 1024u
#define FAN 100u
#define FEW 16u

typedef struct bench {
    store_host *h;
    const char *dir;
    struct emesh_topic **topics;
    uint32_t n_topics, turn;
    uint64_t events;
    const emesh_event *event[BATCH];
    _Atomic uint64_t came, wanted;
    sem_t done;
} bench;

typedef struct mark {
    double cpu;
    gint64 at;
    uint64_t reads, bytes;
} mark;

static void
count(bench *b, uint64_t n)
{
    if (atomic_fetch_add(&b->came, n) + n >= atomic_load(&b->wanted))
        sem_post(&b->done);
}

static void
on_results(void *ctx, const emesh_appended *results, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (results[i].code != EMESH_OK)
            g_error("refused with %d", results[i].code);
    }
    count(ctx, n);
}

static void
on_records(void *ctx, store_reader *r, const emesh_record *records, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (records[i].event == NULL)
            g_error("no event at %llu", (unsigned long long)records[i].position.lo);
    }
    sa_cursor_want(store_host_cursor(r), n, 0);
    count(ctx, n);
}

static mark
now(bench *b)
{
    struct rusage u;
    const sa_stats *s = &store_host_store(b->h)->stats;
    getrusage(RUSAGE_SELF, &u);
    return (mark){ .cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6
                          + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec),
                   .at = g_get_monotonic_time(), .reads = s->reads, .bytes = s->read_bytes };
}

static void
tell(bench *b, const char *name, mark from, uint64_t n)
{
    mark to = now(b);
    printf("%-34s %9.0f ev/s  %6.2f us CPU  %.4f reads  %6.0f bytes read an event\n", name,
           (double)n * 1e6 / (double)(to.at - from.at), (to.cpu - from.cpu) / (double)n,
           (double)(to.reads - from.reads) / (double)n,
           (double)(to.bytes - from.bytes) / (double)n);
    fflush(stdout);
}

static void
await(bench *b)
{
    while (atomic_load(&b->came) < atomic_load(&b->wanted))
        sem_wait(&b->done);
    while (sem_trywait(&b->done) == 0) {
    }
}

/* On the lane: batches, each after the answers of the one before. */
static void
fill(void *ctx)
{
    bench *b = ctx;
    emesh_append items[BATCH];
    for (uint64_t sent = 0; sent < b->events; sent += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++)
            items[i] = (emesh_append){ .event = b->event[i], .level = EMESH_LEVEL_OS,
                                       .topic = b->topics[b->turn++ % b->n_topics] };
        atomic_store(&b->wanted, atomic_load(&b->came) + BATCH);
        sa_append(store_host_lane(b->h, 0), items, BATCH);
        await(b);
    }
}

static void
append_few(void *ctx)
{
    bench *b = ctx;
    emesh_append items[FEW];
    for (uint32_t i = 0; i < FEW; i++)
        items[i] = (emesh_append){ .event = b->event[i], .level = EMESH_LEVEL_OS,
                                   .topic = b->topics[0] };
    sa_append(store_host_lane(b->h, 0), items, FEW);
}

/* Written pages go to the disk and out of memory. */
static void
drop_cache(bench *b)
{
    g_autofree char *path = g_build_filename(b->dir, "log", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fdatasync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
            g_error("%s does not leave the page cache", file);
        close(fd);
    }
}

/* A hundred cursors at the end, published to in batches of 16; all are served before the next. */
static void
fan_out(bench *b, const char *name)
{
    emesh_start start = { .kind = EMESH_START_LATEST };
    store_reader *r[FAN];
    uint64_t n = b->events / 400;
    for (uint32_t i = 0; i < FAN; i++) {
        r[i] = store_host_read(b->h, i % 2, b->topics[0], NULL, &start);
        store_host_want(r[i], CREDIT, 0);
    }
    mark from = now(b);
    for (uint64_t i = 0; i < n; i++) {
        atomic_store(&b->wanted, atomic_load(&b->came) + FEW * (1 + FAN));
        store_host_on_lane(b->h, 0, append_few, b);
        await(b);
    }
    tell(b, name, from, n * FEW * FAN);
    for (uint32_t i = 0; i < FAN; i++)
        store_host_reader_close(r[i]);
}

/* n cursors, all of one topic or (apart > 0) of every apart-th topic, read all there is. */
static void
drain(bench *b, const char *name, uint32_t n, uint32_t apart)
{
    emesh_start start = { .kind = EMESH_START_EARLIEST };
    store_reader *r[FAN];
    uint64_t each = 0;
    atomic_store(&b->wanted, UINT64_MAX);
    mark from = now(b);
    uint64_t came = atomic_load(&b->came);
    for (uint32_t i = 0; i < n; i++) {
        struct emesh_topic *topic = b->topics[i * apart];
        each = atomic_load(&topic->parts[0]->next);
        r[i] = store_host_read(b->h, i % 2, topic, NULL, &start);
        store_host_want(r[i], CREDIT, 0);
    }
    atomic_store(&b->wanted, came + n * each);
    await(b);
    tell(b, name, from, n * each);
    for (uint32_t i = 0; i < n; i++)
        store_host_reader_close(r[i]);
}

static void
drain_in_turn(bench *b, const char *name, uint32_t n, uint32_t apart)
{
    emesh_start start = { .kind = EMESH_START_EARLIEST };
    uint64_t sum = 0;
    mark from = now(b);
    for (uint32_t i = 0; i < n; i++) {
        struct emesh_topic *topic = b->topics[i * apart];
        uint64_t each = atomic_load(&topic->parts[0]->next);
        atomic_store(&b->wanted, atomic_load(&b->came) + each);
        store_reader *r = store_host_read(b->h, 0, topic, NULL, &start);
        store_host_want(r, CREDIT, 0);
        await(b);
        store_host_reader_close(r);
        sum += each;
    }
    tell(b, name, from, sum);
}

static void
up(bench *b, uint32_t n_topics)
{
    sa_options opt = store_host_options();
    opt.segment_size = 64u << 20;
    opt.map_size = 1u << 30;
    opt.min_free = 256u << 20;
    if (store_host_open(b->h, &opt, NULL) != EMESH_OK)
        g_error("%s", store_host_text(b->h));
    b->n_topics = n_topics;
    b->topics = store_host_topics(b->h, "bench", n_topics);
    store_host_on_results(b->h, on_results, b);
    store_host_on_records(b->h, on_records, b);
}

static void
down(bench *b)
{
    store_host_topics_close(b->topics, b->n_topics);
    store_host_close(b->h);
}

static void
one_topic(bench *b)
{
    up(b, 1);
    mark from = now(b);
    store_host_on_lane(b->h, 0, fill, b);
    tell(b, "publish, one topic", from, b->events);
    fan_out(b, "live, 1 to 100, batches of 16");
    drain(b, "hot, one cursor", 1, 0);
    drain(b, "hot, 100 cursors", FAN, 0);
    down(b);
    drop_cache(b);
    up(b, 1);
    drain(b, "cold, one cursor", 1, 0);
    down(b);
    drop_cache(b);
    up(b, 1);
    drain(b, "cold, 100 cursors", FAN, 0);
    down(b);
    folder_clear(b->dir);
}

static void
many_topics(bench *b)
{
    up(b, TOPICS);
    mark from = now(b);
    store_host_on_lane(b->h, 0, fill, b);
    tell(b, "publish, 1,000 topics in turn", from, b->events);
    down(b);
    drop_cache(b);
    up(b, TOPICS);
    drain_in_turn(b, "cold, 10 of 1,000, one by one", 10, 97);
    down(b);
    drop_cache(b);
    up(b, TOPICS);
    drain(b, "cold, 100 of 1,000 at once", FAN, 7);
    drain(b, "hot, 100 of 1,000 at once", FAN, 7);
    down(b);
    folder_clear(b->dir);
}

int
main(int argc, char **argv)
{
    bench b = { .events = 1000ull * (argc > 1 ? (uint64_t)g_ascii_strtoull(argv[1], NULL, 10) : 400) };
    g_autofree char *dir = argc > 2 ? g_strdup(argv[2]) : g_dir_make_tmp("bench-reads-XXXXXX", NULL);
    b.dir = dir;
    b.h = store_host_new(dir, 2);
    sem_init(&b.done, 0, 0);
    for (uint32_t i = 0; i < BATCH; i++)
        b.event[i] = store_host_event("bench-", i, SIZE);
    one_topic(&b);
    many_topics(&b);
    for (uint32_t i = 0; i < BATCH; i++)
        emesh_event_unref(b.event[i]);
    store_host_free(b.h);
    if (argc <= 2)
        g_remove(dir);
    return 0;
}
