/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-host.h. The life of the host and of the store in it, what runs on a lane, and waiting.
 * The test's thread.
 */
#include "harness/store-host-inside.h"
#include "folder-of.h"
#include "lane.h"

#include <errno.h>
#include <string.h>

void
store_host_wait(store_host *h, bool (*done)(void *ctx), void *ctx)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    pthread_mutex_lock(&h->lock);
    while (!done(ctx)) {
        struct timespec ts = { end / 1000000, (end % 1000000) * 1000 };
        if (pthread_cond_timedwait(&h->wake, &h->lock, &ts) == ETIMEDOUT)
            g_error("the store did not do in 30 s what the test waits for");
    }
    pthread_mutex_unlock(&h->lock);
}

/* The store tells nobody when it counts: this one polls. */
void
store_host_await(const _Atomic uint64_t *counter, uint64_t least)
{
    gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
    for (uint64_t now; (now = atomic_load(counter)) < least; g_usleep(1000)) {
        if (g_get_monotonic_time() > end)
            g_error("a counter of the store is %llu after 30 s, the test waits for %llu",
                    (unsigned long long)now, (unsigned long long)least);
    }
}

static bool
op_done(void *ctx)
{
    return ((store_op *)ctx)->done;
}

void
store_host_op_wait(store_op *op)
{
    store_host_wait(op->h, op_done, op);
}

store_host *
store_host_new(const char *dir, uint32_t lanes)
{
    store_host *h = g_new0(store_host, 1);
    g_autoptr(GError) error = NULL;
    h->dir = g_strdup(dir);
    h->n_lanes = lanes;
    h->about[0] = (emesh_attr){ "instance", "store", 8, 5, 0, 0 };
    h->about[1] = (emesh_attr){ "data-dir", h->dir, 8, (uint32_t)strlen(h->dir), 0, 0 };
    store_host_serve(h);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wake, &attr);
    pthread_condattr_destroy(&attr);
    h->lines = g_ptr_array_new_with_free_func(g_free);
    h->readers = g_ptr_array_new();
    h->workers = g_new0(emesh_worker *, lanes);
    h->loops = g_new0(emesh_loop, lanes);
    h->lanes = g_new0(emesh_lane *, lanes);
    h->main = emesh_worker_new_main(&error);
    g_assert_no_error(error);
    h->pool = emesh_pool_new(2);
    for (uint32_t i = 0; i < lanes; i++) {
        h->workers[i] = emesh_worker_new(i, "lane", &error);
        g_assert_no_error(error);
        emesh_worker_start(h->workers[i]);
    }
    return h;
}

void
store_host_free(store_host *h)
{
    store_host_shift(h, 0, 0);
    for (uint32_t i = 0; i < h->n_lanes; i++) {
        emesh_worker_stop(h->workers[i]);
        emesh_worker_free(h->workers[i]);
    }
    emesh_pool_free(h->pool);
    emesh_worker_free(h->main);
    g_ptr_array_unref(h->lines);
    g_ptr_array_unref(h->readers);
    g_free(h->workers);
    g_free(h->loops);
    g_free(h->lanes);
    g_free(h->dir);
    pthread_cond_destroy(&h->wake);
    pthread_mutex_destroy(&h->lock);
    g_free(h);
}

sa_options
store_host_options(void)
{
    return (sa_options){ .segment_size = 64u << 10, .map_size = 64u << 20, .min_free = 1u << 20,
                         .sync_interval_ns = 1000000000u, .sync_bytes = 16u << 20,
                         .checkpoint_ns = 10000000000u, .roll_ns = 3600000000000u,
                         .tail_bytes = 16u << 20, .shared_bytes = 16u << 20,
                         .clean_rate = 64u << 20, .max_partitions = 10000 };
}

typedef struct on_lane {
    emesh_job job;
    store_host *h;
    void (*fn)(void *ctx);
    void *ctx;
    bool done;
} on_lane;

static void
on_lane_run(emesh_job *job)
{
    on_lane *o = (on_lane *)(void *)job;
    o->fn(o->ctx);
    pthread_mutex_lock(&o->h->lock);
    o->done = true;
    pthread_cond_broadcast(&o->h->wake);
    pthread_mutex_unlock(&o->h->lock);
}

static bool
on_lane_done(void *ctx)
{
    return ((on_lane *)ctx)->done;
}

void
store_host_on_lane(store_host *h, uint32_t lane, void (*fn)(void *ctx), void *ctx)
{
    on_lane o = { .job.run = on_lane_run, .h = h, .fn = fn, .ctx = ctx };
    emesh_worker_post(h->workers[lane], &o.job);
    store_host_wait(h, on_lane_done, &o);
}

typedef struct attaching {
    uint32_t lane;
    store_op op;
} attaching;

static void
attach(void *ctx)
{
    attaching *a = ctx;
    store_host *h = a->op.h;
    int32_t code = sa_lane_attach((emesh_instance *)(void *)h->store, &h->loops[a->lane], a->lane,
                                  &h->lanes[a->lane], &h->err);
    g_assert_cmpint(code, ==, EMESH_OK);
}

static void
detach(void *ctx)
{
    attaching *a = ctx;
    sa_lane_detach(a->op.h->lanes[a->lane], (emesh_op *)(void *)&a->op);
}

int32_t
store_host_open(store_host *h, const sa_options *opt, const sa_io *io)
{
    h->err = (emesh_error){ .size = sizeof h->err };
    h->tally.results = h->tally.failed = 0;
    h->health = EMESH_HEALTH_OK;
    int32_t code = sa_store_new(&h->host, opt, io != NULL ? io : &sa_io_posix, &h->store, &h->err);
    if (code == EMESH_OK)
        code = sa_store_open(h->store, &h->err);
    if (code != EMESH_OK) {
        sa_store_free(h->store);
        h->store = NULL;
        return code;
    }
    for (uint32_t i = 0; i < h->n_lanes; i++) {
        attaching a = { .lane = i, .op.h = h };
        h->loops[i] = (emesh_loop){ .worker = h->workers[i], .main = h->main, .index = i };
        store_host_on_lane(h, i, attach, &a);
    }
    return EMESH_OK;
}

const char *
store_host_text(const store_host *h)
{
    return h->err.text;
}

sa_store *
store_host_store(store_host *h)
{
    return h->store;
}

emesh_lane *
store_host_lane(store_host *h, uint32_t lane)
{
    return h->lanes[lane];
}

static bool
no_work(void *ctx)
{
    return ((store_host *)ctx)->works == 0;
}

void
store_host_close(store_host *h)
{
    while (h->readers->len > 0)
        store_host_reader_close(h->readers->pdata[h->readers->len - 1]);
    for (uint32_t i = 0; i < h->n_lanes; i++) {
        attaching a = { .lane = i, .op.h = h };
        store_host_on_lane(h, i, detach, &a);
        store_host_op_wait(&a.op);
    }
    sa_store_close(h->store);
    store_host_wait(h, no_work, h);
    sa_store_free(h->store);
    h->store = NULL;
}

void
store_host_end(store_host *h)
{
    g_autofree char *dir = g_strdup(h->dir);
    if (h->store != NULL)
        store_host_close(h);
    store_host_free(h);
    folder_remove(dir);
}
