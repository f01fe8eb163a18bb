/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an instance. Starting asks the brokers once; whether they are there is looked at again from
 * then on. Stopping ends clients and threads, on the pool because it waits.
 */
#include "alone.h"
#include "group.h"
#include "producer.h"
#include "work.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static char *
about(const emesh_host *host, const char *name)
{
    for (uint32_t i = 0; i < host->n_about; i++)
        if (host->about[i].name_len == strlen(name) &&
            memcmp(host->about[i].name, name, strlen(name)) == 0)
            return g_strndup(host->about[i].value, host->about[i].value_len);
    return g_strdup("");
}

static emesh_metric *
metric(const kf_store *store, uint32_t type, const char *name, const char *help)
{
    emesh_metric_spec spec = { .size = sizeof spec, .type = type, .name = name, .unit = "",
                               .help = help };

    return store->mt->metric(store->host, &spec);
}

static void
add_metrics(kf_store *store)
{
    store->metrics = (kf_metrics){
        .groups = metric(store, EMESH_METRIC_GAUGE, "groups", "Groups with a client at the brokers."),
        .rebalances = metric(store, EMESH_METRIC_COUNTER, "rebalances",
                             "Partitions given to this daemon or taken from it."),
        .commits = metric(store, EMESH_METRIC_COUNTER, "commits", "Commits of places of groups."),
        .commit_failures = metric(store, EMESH_METRIC_COUNTER, "commit_failures",
                                  "Commits that brokers refused or did not answer."),
        .foreign = metric(store, EMESH_METRIC_COUNTER, "foreign_records",
                          "Records read that are no CloudEvents."),
    };
}

int32_t
kf_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    const emesh_config_api *config = host->service(host, EMESH_CONFIG_ID);
    kf_options opt = { 0 };
    int32_t code = kf_options_read(config, cfg, &opt, err);
    kf_store *store;

    if (code != EMESH_OK)
        return code;
    store = g_new0(kf_store, 1);
    store->self = store;
    store->host = host;
    store->ev = host->service(host, EMESH_EVENT_ID);
    store->st = host->service(host, EMESH_STORE_ID);
    store->lp = host->service(host, EMESH_LOOP_ID);
    store->mt = host->service(host, EMESH_METRICS_ID);
    store->name = about(host, "instance");
    store->address = about(host, "daemon-id");
    store->opt = opt;
    store->groups = g_hash_table_new(g_str_hash, g_str_equal);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->groups_gone, NULL);
    add_metrics(store);
    *out = (emesh_instance *)(void *)store;
    return EMESH_OK;
}

/* ---- start ---- */

static void
tell_ready(const kf_store *store)
{
    emesh_store_info info = {
        .size = sizeof info,
        .levels = 1u << EMESH_LEVEL_MEMORY | 1u << EMESH_LEVEL_OS | 1u << EMESH_LEVEL_QUORUM,
        .can = KF_CLAIMS,
        .window_bytes = UINT64_C(64) << 20,
        .window_events = 65536,
        .reply_address = { store->address, MIN(strlen(store->address), 255) },
    };

    store->st->ready(store->host, &info);
}

/* Are there brokers that take us? */
static bool
is_up(const kf_store *store, emesh_error *err)
{
    const struct rd_kafka_metadata *data = NULL;
    rd_kafka_topic_t *none = NULL;
    rd_kafka_resp_err_t e = rd_kafka_metadata(store->admin, 0, none, &data, KF_ASK_MS);

    if (data != NULL)
        rd_kafka_metadata_destroy(data);
    if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    kf_error(err, kf_code(e), "no broker answers: %s", rd_kafka_err2str(e));
    return false;
}

typedef struct watch {
    kf_job job;
} watch;

/* A worker's while away: looks whether brokers that were away are back, and opens what waits for them. */
static void
watch_run(kf_store *store, kf_job *job)
{
    emesh_error err = { .size = sizeof err };

    if (store->stopping) {
        g_free(job);
        return;
    }
    rd_kafka_poll(store->admin, 0); /* errors go to error_cb */
    if (atomic_load(&store->down) && is_up(store, &err)) {
        atomic_store(&store->down, false);
        atomic_store(&store->denied, false);
        store->host->report(store->host, EMESH_HEALTH_OK, NULL);
        kf_say(store, EMESH_LOG_NOTICE, "the brokers are back");
    }
    if (!atomic_load(&store->down))
        kf_replies_open(store);
    for (int i = 0; i < 10 && !store->stopping; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    kf_work_add(store->work, job);
}

typedef struct starting {
    kf_job job;
} starting;

static void
start_run(kf_store *store, kf_job *job)
{
    emesh_error err = { .size = sizeof err };
    watch *w;

    g_free(job);
    if (store->stopping) {
        store->host->complete(store->host, store->start_op, EMESH_E_CANCELED, NULL, NULL);
        return;
    }
    if (!is_up(store, &err)) {
        rd_kafka_poll(store->admin, 0); /* errors go to error_cb, which knows more */
        if (!atomic_exchange(&store->down, true))
            store->host->report(store->host, EMESH_HEALTH_DEGRADED, &err);
    }
    tell_ready(store);
    store->host->complete(store->host, store->start_op, EMESH_OK, NULL, NULL);
    w = g_new0(watch, 1);
    w->job.run = watch_run;
    kf_work_add(store->work, &w->job);
}

void
kf_start(emesh_instance *self, emesh_op *op)
{
    kf_store *store = kf_store_of(self);
    emesh_error err = { .size = sizeof err };
    starting *s;

    store->start_op = op;
    /* with a group that it never joins: librdkafka 2.0 crashes in answers about other groups without */
    store->admin = kf_handle(&store->self, RD_KAFKA_CONSUMER, "emesh-admin", NULL, NULL, &err);
    store->work = store->admin != NULL ? kf_work_new(store) : NULL;
    if (store->work == NULL) {
        if (err.code == EMESH_OK)
            kf_error(&err, EMESH_E_NO_MEMORY, "no threads for %s", store->name);
        store->host->complete(store->host, op, err.code, &err, NULL);
        return;
    }
    s = g_new0(starting, 1);
    s->job.run = start_run;
    kf_work_add(store->work, &s->job);
}

/* ---- lanes ---- */

int32_t
kf_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
          emesh_error *err)
{
    kf_lane *lane = g_new0(kf_lane, 1);

    (void)err;
    lane->store = kf_store_of(self);
    lane->loop = loop;
    snprintf(lane->key, sizeof lane->key, "lane-%u", index);
    *out = (emesh_lane *)(void *)lane;
    return EMESH_OK;
}

void
kf_detach(emesh_lane *self, emesh_op *op)
{
    kf_lane *lane = (kf_lane *)(void *)self;
    const kf_store *store = lane->store;

    g_free(lane);
    store->host->complete(store->host, op, EMESH_OK, NULL, NULL);
}

/* ---- stop ---- */

static void
wake_group(gpointer name, gpointer group, gpointer data)
{
    (void)name, (void)data;
    kf_inbox_wake(&((kf_group *)group)->inbox);
}

static void
stop_run(emesh_task *task, int32_t code)
{
    kf_store *store = (kf_store *)(void *)((char *)task - offsetof(kf_store, stop_task));

    (void)code;
    pthread_mutex_lock(&store->lock);
    g_hash_table_foreach(store->groups, wake_group, NULL);
    pthread_mutex_unlock(&store->lock);
    if (store->work != NULL)
        kf_work_end(store->work);
    pthread_mutex_lock(&store->lock);
    while (store->n_groups > 0)
        pthread_cond_wait(&store->groups_gone, &store->lock);
    pthread_mutex_unlock(&store->lock);
    if (store->alone != NULL)
        kf_alone_end(store->alone);
    kf_replies_close(store);
    for (uint32_t i = 0; i < 3; i++)
        if (store->producers[i] != NULL)
            kf_producer_end(store->producers[i]);
    if (store->admin != NULL)
        rd_kafka_destroy(store->admin);
    store->admin = NULL;
    store->host->complete(store->host, store->stop_op, EMESH_OK, NULL, NULL);
}

void
kf_stop(emesh_instance *self, emesh_op *op)
{
    kf_store *store = kf_store_of(self);

    store->stopping = true;
    store->stop_op = op;
    store->stop_task.run = stop_run;
    store->lp->work(store->host, &store->stop_task);
}

void
kf_destroy(emesh_instance *self)
{
    kf_store *store = kf_store_of(self);

    if (store == NULL)
        return;
    kf_options_clear(&store->opt);
    g_hash_table_unref(store->groups);
    pthread_cond_destroy(&store->groups_gone);
    pthread_mutex_destroy(&store->lock);
    g_free(store->name);
    g_free(store->address);
    g_free(store);
}
