/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an instance: options taken over, start and stop on the pool (recovery and the orderly end
 * block), destroy.
 */
#include "instance.h"

#include "store.h"
#include <stdlib.h>

static int64_t
number(const emesh_config_api *api, const emesh_config *cfg, const char *name)
{
    emesh_value value = { .size = sizeof value };
    return api->get(cfg, name, 0, &value) == EMESH_OK ? value.i : 0;
}

int32_t
sa_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    const emesh_config_api *api = host->service(host, EMESH_CONFIG_ID);
    sa_options opt = {
        .segment_size = (uint64_t)number(api, cfg, "segment-size"),
        .map_size = (uint64_t)number(api, cfg, "map-size"),
        .min_free = (uint64_t)number(api, cfg, "min-free"),
        .sync_interval_ns = (uint64_t)number(api, cfg, "sync-interval"),
        .sync_bytes = (uint64_t)number(api, cfg, "sync-bytes"),
        .checkpoint_ns = (uint64_t)number(api, cfg, "checkpoint-interval"),
        .roll_ns = (uint64_t)number(api, cfg, "segment-age"),
        .scrub_ns = (uint64_t)number(api, cfg, "scrub-period"),
        .clean_rate = (uint64_t)number(api, cfg, "clean-rate"),
        .tail_bytes = (uint64_t)number(api, cfg, "tail-bytes"),
        .shared_bytes = (uint64_t)number(api, cfg, "shared-bytes"),
        .max_partitions = (uint32_t)number(api, cfg, "max-partitions"),
    };
    uint64_t small = (uint64_t)number(api, cfg, "test-segment-size");
    if (small != 0)
        opt.segment_size = small;
    opt.segment_size = (opt.segment_size + 4095u) & ~(uint64_t)4095u;
    sa_store *store = NULL;
    int32_t code = sa_store_new(host, &opt, &sa_io_posix, &store, err);
    *out = (emesh_instance *)(void *)store;
    return code;
}

/* ---- start: [pool] recovery, then ready ---- */

static void
finish_stop(sa_store *store)
{
    emesh_op *op = store->stop_op;
    store->stop_op = NULL;
    store->host->complete(store->host, op, EMESH_OK, NULL, NULL);
}

static void
start_run(emesh_task *task, int32_t code)
{
    sa_store *store = (sa_store *)(void *)((char *)task - offsetof(sa_store, start_task));
    emesh_error err = { .size = sizeof err };
    (void)code;
    code = sa_store_open(store, &err);
    pthread_mutex_lock(&store->lanes_lock);
    bool canceled = store->stopping;
    store->starting = false;
    pthread_mutex_unlock(&store->lanes_lock);
    if (canceled) {
        store->host->complete(store->host, store->start_op, EMESH_E_CANCELED, NULL, NULL);
        sa_store_close(store);
        finish_stop(store);
        return;
    }
    if (code == EMESH_OK) {
        emesh_store_info info = sa_store_info(store);
        store->st->ready(store->host, &info);
    }
    store->host->complete(store->host, store->start_op, code, code != EMESH_OK ? &err : NULL,
                          NULL);
}

void
sa_start(emesh_instance *self, emesh_op *op)
{
    sa_store *store = SA_STORE(self);
    store->start_op = op;
    store->starting = true;
    store->start_task.run = start_run;
    store->lp->work(store->host, &store->start_task);
}

/* ---- stop: [pool] the orderly end ---- */

static void
stop_run(emesh_task *task, int32_t code)
{
    sa_store *store = (sa_store *)(void *)((char *)task - offsetof(sa_store, stop_task));
    (void)code;
    sa_store_close(store);
    finish_stop(store);
}

void
sa_stop(emesh_instance *self, emesh_op *op)
{
    sa_store *store = SA_STORE(self);
    pthread_mutex_lock(&store->lanes_lock);
    store->stop_op = op;
    store->stopping = true;
    bool starting = store->starting;
    pthread_mutex_unlock(&store->lanes_lock);
    if (starting)
        return; /* its end goes on with the stop */
    store->stop_task.run = stop_run;
    store->lp->work(store->host, &store->stop_task);
}

void
sa_destroy(emesh_instance *self)
{
    if (self != NULL)
        sa_store_free(SA_STORE(self));
}
