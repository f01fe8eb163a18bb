/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store alone: one lane appends events of 512 bytes, in batches of 1, 16 and 256, each
 * batch waiting for the answer of the one before; at os and synced. Prints rate, CPU and system
 * calls an event. (Allocations: run it under allocs.so.)
 */
#include "harness/store-host.h"
#include "lane.h"

#include <glib/gstdio.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/resource.h>

#define SIZE 512u
#define EVENTS 256u

typedef struct run {
    store_host *h;
    struct emesh_topic *topic;
    const emesh_event *events[EVENTS];
    emesh_append items[EVENTS];
    uint32_t batch, level;
    _Atomic uint64_t answered, wanted;
    sem_t done;
} run;

static void
on_results(void *ctx, const emesh_appended *results, uint32_t n)
{
    run *r = ctx;
    for (uint32_t i = 0; i < n; i++) {
        if (results[i].code != EMESH_OK)
            g_error("refused with %d", results[i].code);
    }
    if (atomic_fetch_add(&r->answered, n) + n >= atomic_load(&r->wanted))
        sem_post(&r->done);
}

static void
append_once(void *ctx)
{
    run *r = ctx;
    sa_append(store_host_lane(r->h, 0), r->items, r->batch);
}

static double
cpu_now(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
           + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* On the lane: batches one after the other until the time is over. */
static void
drive(void *ctx)
{
    run *r = ctx;
    gint64 end = g_get_monotonic_time() + G_TIME_SPAN_SECOND;
    uint64_t sent = atomic_load(&r->answered);
    while (g_get_monotonic_time() < end) {
        sent += r->batch;
        atomic_store(&r->wanted, sent);
        append_once(r);
        while (atomic_load(&r->answered) < sent)
            sem_wait(&r->done);
        while (sem_trywait(&r->done) == 0) {
        }
    }
}

static void
measure(run *r, const char *name)
{
    sa_stats *s = &store_host_store(r->h)->stats;
    uint64_t writes = s->writes, syncs = s->syncs, events = r->answered;
    double cpu = cpu_now();
    gint64 begin = g_get_monotonic_time();
    store_host_on_lane(r->h, 0, drive, r);
    double seconds = (double)(g_get_monotonic_time() - begin) / 1e6;
    double n = (double)(r->answered - events);
    printf("%-7s %4u  %9.0f ev/s  %6.2f us CPU  %.4f pwritev  %.4f fdatasync an event\n", name,
           r->batch, n / seconds, (cpu_now() - cpu) * 1e6 / n, (double)(s->writes - writes) / n,
           (double)(s->syncs - syncs) / n);
}

int
main(int argc, char **argv)
{
    g_autofree char *dir = argc > 1 ? g_strdup(argv[1]) : g_dir_make_tmp("bench-store-XXXXXX", NULL);
    static const uint32_t batches[] = { 1, 16, 256 };
    static const struct {
        uint32_t level;
        const char *name;
    } levels[] = { { EMESH_LEVEL_OS, "os" }, { EMESH_LEVEL_SYNCED, "synced" } };
    run r = { .h = store_host_new(dir, 1) };
    sa_options opt = store_host_options();
    opt.segment_size = 64u << 20;
    opt.min_free = 256u << 20;
    if (store_host_open(r.h, &opt, NULL) != EMESH_OK)
        g_error("%s", store_host_text(r.h));
    r.topic = store_host_topic(r.h, "bench", EMESH_LEVEL_OS, 0, 256u << 20);
    for (uint32_t i = 0; i < EVENTS; i++) {
        r.events[i] = store_host_event("bench-", i, SIZE);
        r.items[i] = (emesh_append){ .event = r.events[i], .topic = r.topic, .cookie = i };
    }
    sem_init(&r.done, 0, 0);
    store_host_on_results(r.h, on_results, &r);
    for (size_t l = 0; l < G_N_ELEMENTS(levels); l++) {
        for (size_t b = 0; b < G_N_ELEMENTS(batches); b++) {
            r.batch = batches[b];
            for (uint32_t i = 0; i < EVENTS; i++)
                r.items[i].level = levels[l].level;
            measure(&r, levels[l].name);
        }
    }
    for (uint32_t i = 0; i < EVENTS; i++)
        emesh_event_unref(r.events[i]);
    sa_topic_close(NULL, r.topic);
    store_host_close(r.h);
    store_host_free(r.h);
    return 0;
}
