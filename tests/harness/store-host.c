/* SPDX-License-Identifier: Apache-2.0
 *
 * See store-host.h. Everything that arrives on a lane or any other thread is noted under one mutex;
 * the test's thread waits on its condition.
 */
#include "harness/store-host.h"
#include "admin.h"
#include "cursor.h"
#include "io/loop.h"
#include "io/pool.h"
#include "lane.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SOURCE "/store-host"

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
    uint64_t results, failed;
    int32_t last_code;
    emesh_position last_position;
    uint32_t health;
    void (*on_results)(void *ctx, const emesh_appended *results, uint32_t n);
    void *on_results_ctx;
    void (*on_records)(void *ctx, store_reader *r, const emesh_record *records, uint32_t n);
    void *on_records_ctx;
    void (*on_seen)(void *ctx, const store_reader *r, const char *id, uint64_t offset);
    void *on_seen_ctx;
    uint32_t works;
};

typedef struct seen {
    char id[64];
    uint64_t offset, due;
    uint32_t flags, attempt, partition;
} seen;

struct store_reader { /* what the store holds as emesh_reader */
    store_host *h;
    uint32_t lane;
    emesh_cursor *cursor;
    uint32_t n_parts;
    uint32_t numbers[64];
    uint32_t inbox; /* its number, or UINT32_MAX */
    GArray *seen;
    GStringChunk *ids; /* handed out: they outlive a growing table */
    uint32_t caught_up, bad;
    bool check;
    size_t size;
};

typedef struct ended { /* what the store holds as emesh_op */
    store_host *h;
    bool done;
    int32_t code;
    void *result;
    GArray *rows;
    emesh_error err;
} ended;

static store_host *
host_of(const emesh_host *host)
{
    return (store_host *)(uintptr_t)host;
}

static void
wait_until(store_host *h, bool (*done)(void *ctx), void *ctx)
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

/* ---- the services ---- */

static uint64_t
host_time(const emesh_loop *loop, uint32_t clock)
{
    (void)loop;
    return clock == EMESH_CLOCK_MONOTONIC ? (uint64_t)g_get_monotonic_time() * 1000u
                                          : (uint64_t)g_get_real_time() / 1000u;
}

/* The service has no host to ask: a test turns the clock of all its hosts. */
static int64_t shift_wall, shift_mono;

static uint64_t
shifted_time(const emesh_loop *loop, uint32_t clock)
{
    uint64_t at = host_time(loop, clock);
    return clock == EMESH_CLOCK_MONOTONIC
               ? at + (uint64_t)__atomic_load_n(&shift_mono, __ATOMIC_RELAXED) * 1000000u
               : at + (uint64_t)__atomic_load_n(&shift_wall, __ATOMIC_RELAXED);
}

static void
work_run(emesh_job *job)
{
    emesh_task *task = (emesh_task *)(void *)((char *)job - offsetof(emesh_task, host));
    store_host *h = task->host[2];
    task->run(task, EMESH_OK);
    pthread_mutex_lock(&h->lock);
    h->works--;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static void
host_work(const emesh_host *host, emesh_task *task)
{
    store_host *h = host_of(host);
    emesh_job *job = (emesh_job *)(void *)&task->host[0];
    pthread_mutex_lock(&h->lock);
    h->works++;
    pthread_mutex_unlock(&h->lock);
    task->host[2] = h;
    job->run = work_run;
    emesh_pool_submit(h->pool, job);
}

static void
host_post(emesh_loop *loop, emesh_task *task)
{
    emesh_loop_service.post(loop, task);
}

static emesh_timer *
host_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    return emesh_loop_service.timer(loop, due, ctx);
}

static void
host_timer_set(emesh_timer *timer, uint64_t at_ns)
{
    emesh_loop_service.timer_set(timer, at_ns);
}

static void
host_timer_end(emesh_timer *timer)
{
    emesh_loop_service.timer_end(timer);
}

static const emesh_loop_api loop_api = {
    .size = sizeof loop_api, .time = shifted_time, .post = host_post, .work = host_work,
    .timer = host_timer, .timer_set = host_timer_set, .timer_end = host_timer_end,
};

static void
host_ready(const emesh_host *host, const emesh_store_info *info)
{
    (void)host, (void)info;
}

static void
host_appended(const emesh_host *host, const emesh_appended *results, uint32_t n)
{
    store_host *h = host_of(host);
    pthread_mutex_lock(&h->lock);
    if (h->on_results != NULL)
        h->on_results(h->on_results_ctx, results, n);
    for (uint32_t i = 0; i < n; i++) {
        h->failed += results[i].code != EMESH_OK;
        if (results[i].code != EMESH_OK)
            h->last_code = results[i].code;
        h->last_position = results[i].position;
    }
    h->results += n;
    if (h->on_results == NULL) /* a benchmark looks itself */
        pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static void
host_records(emesh_reader *reader, const emesh_record *records, uint32_t n)
{
    store_reader *r = (store_reader *)(void *)reader;
    if (r->h->on_records != NULL) { /* without the lock: a benchmark counts itself */
        r->h->on_records(r->h->on_records_ctx, r, records, n);
        return;
    }
    pthread_mutex_lock(&r->h->lock);
    for (uint32_t i = 0; i < n; i++) {
        seen one = { .offset = records[i].position.lo, .due = records[i].position.hi,
                     .flags = records[i].flags, .attempt = records[i].attempt,
                     .partition = records[i].partition };
        if (records[i].event != NULL) {
            const emesh_attr *id = emesh_event_attr(records[i].event, "id", 2);
            memcpy(one.id, id->value, MIN(id->value_len, sizeof one.id - 1));
            if (r->check && !store_host_event_ok(records[i].event, r->size))
                r->bad++;
        }
        g_array_append_val(r->seen, one);
        if (r->h->on_seen != NULL)
            r->h->on_seen(r->h->on_seen_ctx, r, one.id, one.offset);
    }
    pthread_cond_broadcast(&r->h->wake);
    pthread_mutex_unlock(&r->h->lock);
}

static void
host_partition(emesh_reader *reader, uint32_t change, uint32_t partition, const char *name,
               size_t len, const emesh_error *err)
{
    store_reader *r = (store_reader *)(void *)reader;
    (void)err;
    pthread_mutex_lock(&r->h->lock);
    if (change == EMESH_PARTITION_ASSIGNED && r->n_parts < G_N_ELEMENTS(r->numbers)) {
        r->numbers[r->n_parts] = partition;
        if (len == 5 && memcmp(name, "inbox", 5) == 0)
            r->inbox = partition;
    }
    r->n_parts += change == EMESH_PARTITION_ASSIGNED;
    r->caught_up += change == EMESH_PARTITION_CAUGHT_UP;
    pthread_cond_broadcast(&r->h->wake);
    pthread_mutex_unlock(&r->h->lock);
}

static const emesh_store_api store_api = {
    .size = sizeof store_api, .ready = host_ready, .appended = host_appended,
    .records = host_records, .partition = host_partition,
};

static const void *
host_service(const emesh_host *host, const char *id)
{
    (void)host;
    return strcmp(id, EMESH_EVENT_ID) == 0 ? (const void *)&emesh_event_service
           : strcmp(id, EMESH_LOOP_ID) == 0 ? (const void *)&loop_api
           : strcmp(id, EMESH_STORE_ID) == 0 ? (const void *)&store_api : NULL;
}

static char *
copy(const emesh_slice *s)
{
    return g_strndup(s->ptr != NULL ? s->ptr : "", s->len);
}

static void
row_clear(gpointer data)
{
    store_row *row = data;
    g_free(row->topic);
    g_free(row->group);
    g_free(row->partition);
}

static void
host_complete(const emesh_host *host, emesh_op *op, int32_t code, const emesh_error *err,
              const void *result)
{
    store_host *h = host_of(host);
    ended *e = (ended *)(void *)op;
    pthread_mutex_lock(&h->lock);
    e->code = code;
    e->result = (void *)(uintptr_t)result;
    if (err != NULL)
        e->err = *err;
    if (e->rows != NULL && result != NULL) {
        const emesh_rows *rows = result;
        for (uint32_t i = 0; i < rows->n; i++) {
            const emesh_row *in = &rows->rows[i];
            store_row row = { copy(&in->topic), copy(&in->group), copy(&in->partition),
                              in->first.lo, in->last.lo, in->committed.lo, in->count, in->bytes };
            g_array_append_val(e->rows, row);
        }
    }
    e->done = true;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static void
host_report(const emesh_host *host, uint32_t health, const emesh_error *err)
{
    store_host *h = host_of(host);
    (void)err;
    pthread_mutex_lock(&h->lock);
    __atomic_store_n(&h->health, health, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static int32_t
host_log_on(const emesh_host *host, uint32_t level)
{
    (void)host;
    return level <= EMESH_LOG_INFO;
}

static void
host_log(const emesh_host *host, uint32_t level, const char *text, size_t len,
         const emesh_attr *fields, uint32_t n_fields)
{
    store_host *h = host_of(host);
    (void)fields, (void)n_fields;
    if (g_getenv("STORE_HOST_LOG") != NULL)
        fprintf(stderr, "# <%u> %.*s\n", level, (int)len, text);
    pthread_mutex_lock(&h->lock);
    g_ptr_array_add(h->lines, g_strndup(text, len));
    pthread_mutex_unlock(&h->lock);
}

/* ---- up and down ---- */

store_host *
store_host_new(const char *dir, uint32_t lanes)
{
    store_host *h = g_new0(store_host, 1);
    g_autoptr(GError) error = NULL;
    h->dir = g_strdup(dir);
    h->n_lanes = lanes;
    h->about[0] = (emesh_attr){ "instance", "store", 8, 5, 0, 0 };
    h->about[1] = (emesh_attr){ "data-dir", h->dir, 8, (uint32_t)strlen(h->dir), 0, 0 };
    h->host = (emesh_host){ .size = sizeof h->host, .abi_minor = EMESH_ABI_MINOR,
                            .about = h->about, .n_about = 2, .n_lanes = lanes,
                            .service = host_service, .complete = host_complete,
                            .report = host_report, .log_on = host_log_on, .log = host_log };
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
    wait_until(h, on_lane_done, &o);
}

typedef struct attaching {
    store_host *h;
    uint32_t lane;
    ended e;
} attaching;

static void
attach(void *ctx)
{
    attaching *a = ctx;
    store_host *h = a->h;
    int32_t code = sa_lane_attach((emesh_instance *)(void *)h->store, &h->loops[a->lane], a->lane,
                                  &h->lanes[a->lane], &h->err);
    g_assert_cmpint(code, ==, EMESH_OK);
}

static void
detach(void *ctx)
{
    attaching *a = ctx;
    sa_lane_detach(a->h->lanes[a->lane], (emesh_op *)(void *)&a->e);
}

static bool
op_done(void *ctx)
{
    return ((ended *)ctx)->done;
}

int32_t
store_host_open(store_host *h, const sa_options *opt, const sa_io *io)
{
    h->err = (emesh_error){ .size = sizeof h->err };
    h->results = h->failed = 0;
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
        attaching a = { .h = h, .lane = i };
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
        attaching a = { .h = h, .lane = i };
        store_host_on_lane(h, i, detach, &a);
        wait_until(h, op_done, &a.e);
    }
    sa_store_close(h->store);
    wait_until(h, no_work, h);
    sa_store_free(h->store);
    h->store = NULL;
}

void
store_host_shift(store_host *h, int64_t wall_ms, int64_t mono_ms)
{
    (void)h;
    __atomic_store_n(&shift_wall, wall_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&shift_mono, mono_ms, __ATOMIC_RELAXED);
}

uint32_t
store_host_health(const store_host *h)
{
    return __atomic_load_n(&h->health, __ATOMIC_RELAXED);
}

uint32_t
store_host_logged(store_host *h, const char *part)
{
    uint32_t n = 0;
    pthread_mutex_lock(&h->lock);
    for (guint i = 0; i < h->lines->len; i++)
        n += strstr(h->lines->pdata[i], part) != NULL;
    pthread_mutex_unlock(&h->lock);
    return n;
}

/* ---- topics and appends ---- */

int32_t
store_host_topic_code(store_host *h, const emesh_topic_spec *spec, struct emesh_topic **out)
{
    ended e = { .h = h };
    sa_topic_open((emesh_instance *)(void *)h->store, spec, (emesh_op *)(void *)&e);
    wait_until(h, op_done, &e);
    *out = e.code == EMESH_OK ? e.result : NULL;
    h->err = e.err;
    return e.code;
}

struct emesh_topic **
store_host_topics(store_host *h, const char *prefix, uint32_t n)
{
    struct emesh_topic **topics = g_new0(struct emesh_topic *, n);
    g_autofree ended *e = g_new0(ended, n);
    for (uint32_t i = 0; i < n; i++) {
        char name[64];
        int len = snprintf(name, sizeof name, "%s%u", prefix, i);
        emesh_topic_spec spec = { .size = sizeof spec, .name = { name, (size_t)len }, .create = 1,
                                  .level = EMESH_LEVEL_OS };
        e[i].h = h;
        sa_topic_open((emesh_instance *)(void *)h->store, &spec, (emesh_op *)(void *)&e[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        wait_until(h, op_done, &e[i]);
        g_assert_cmpint(e[i].code, ==, EMESH_OK);
        topics[i] = e[i].result;
    }
    return topics;
}

struct emesh_topic *
store_host_topic(store_host *h, const char *name, uint32_t level, uint64_t age_ms, uint64_t bytes)
{
    struct emesh_topic *topic;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { name, strlen(name) }, .create = 1,
                              .level = level, .retention_ms = age_ms, .retention_bytes = bytes };
    g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
    return topic;
}

static void
fill_data(uint8_t *data, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(number * 31 + i * 7);
}

const emesh_event *
store_host_event(const char *prefix, uint64_t number, size_t size)
{
    char id[64];
    void *mem;
    const emesh_event *event = NULL;
    int len = snprintf(id, sizeof id, "%s%llu", prefix, (unsigned long long)number);
    emesh_attr attrs[] = { { "id", id, 2, (uint32_t)len, 0, 0 },
                           { "source", SOURCE, 6, sizeof SOURCE - 1, EMESH_ATTR_URI_REF, 0 },
                           { "type", "test", 4, 4, 0, 0 } };
    emesh_part part = { .len = size, .owner = emesh_buf_new(size > 0 ? size : 1, &mem) };
    fill_data(mem, size, number);
    part.ptr = mem;
    emesh_event_view view = { .size = sizeof view, .data_form = EMESH_DATA_BYTES, .attrs = attrs,
                              .data = &part, .data_len = size, .n_attrs = 3, .n_data = 1 };
    emesh_error err = { .size = sizeof err };
    if (emesh_event_build(&view, NULL, &event, &err) != EMESH_OK)
        g_error("event: %s", err.text);
    emesh_buf_unref(part.owner);
    return event;
}

bool
store_host_event_ok(const emesh_event *event, size_t size)
{
    const emesh_event_view *view = emesh_event_peek(event);
    const emesh_attr *id = emesh_event_attr(event, "id", 2);
    g_autofree uint8_t *want = g_malloc(size + 1);
    char text[64] = { 0 };
    memcpy(text, id->value, MIN(id->value_len, sizeof text - 1));
    const char *digits = text + strlen(text);
    while (digits > text && g_ascii_isdigit(digits[-1]))
        digits--;
    fill_data(want, size, g_ascii_strtoull(digits, NULL, 10));
    size_t at = 0;
    for (uint32_t i = 0; i < view->n_data; i++) {
        if (at + view->data[i].len > size || memcmp(want + at, view->data[i].ptr,
                                                    view->data[i].len) != 0)
            return false;
        at += view->data[i].len;
    }
    return at == size;
}

typedef struct appending {
    emesh_job job;
    store_host *h;
    uint32_t lane, n, level;
    struct emesh_topic *topic;
    const emesh_event **events;
} appending;

static void
append_now(void *ctx)
{
    appending *a = ctx;
    emesh_append *items = g_new0(emesh_append, a->n);
    for (uint32_t i = 0; i < a->n; i++)
        items[i] = (emesh_append){ .event = a->events[i], .topic = a->topic, .cookie = i + 1,
                                   .level = a->level };
    sa_append(a->h->lanes[a->lane], items, a->n);
    g_free(items);
}

typedef struct counting {
    store_host *h;
    uint64_t n;
} counting;

static bool
counted(void *ctx)
{
    const counting *c = ctx;
    return c->h->results >= c->n;
}

uint64_t
store_host_results(store_host *h, uint64_t at_least)
{
    counting c = { h, at_least };
    wait_until(h, counted, &c);
    return h->results;
}

uint64_t
store_host_failed(store_host *h)
{
    pthread_mutex_lock(&h->lock);
    uint64_t failed = h->failed;
    pthread_mutex_unlock(&h->lock);
    return failed;
}

int32_t
store_host_last_code(store_host *h)
{
    pthread_mutex_lock(&h->lock);
    int32_t code = h->last_code;
    pthread_mutex_unlock(&h->lock);
    return code;
}

emesh_position
store_host_last_position(store_host *h)
{
    pthread_mutex_lock(&h->lock);
    emesh_position position = h->last_position;
    pthread_mutex_unlock(&h->lock);
    return position;
}

void
store_host_on_results(store_host *h,
                      void (*fn)(void *ctx, const emesh_appended *results, uint32_t n), void *ctx)
{
    pthread_mutex_lock(&h->lock);
    h->on_results = fn;
    h->on_results_ctx = ctx;
    pthread_mutex_unlock(&h->lock);
}

void
store_host_on_seen(store_host *h,
                   void (*fn)(void *ctx, const store_reader *r, const char *id, uint64_t offset),
                   void *ctx)
{
    pthread_mutex_lock(&h->lock);
    h->on_seen = fn;
    h->on_seen_ctx = ctx;
    pthread_mutex_unlock(&h->lock);
}

uint32_t
store_host_append_events(store_host *h, uint32_t lane, struct emesh_topic *topic,
                         const emesh_event *const *events, uint32_t n, uint32_t level)
{
    appending a = { .h = h, .lane = lane, .n = n, .level = level, .topic = topic,
                    .events = (const emesh_event **)(uintptr_t)events };
    pthread_mutex_lock(&h->lock);
    uint64_t before = h->results, failed = h->failed;
    pthread_mutex_unlock(&h->lock);
    store_host_on_lane(h, lane, append_now, &a);
    store_host_results(h, before + n);
    return n - (uint32_t)(store_host_failed(h) - failed);
}

static const emesh_event **
make_events(const char *prefix, uint64_t first, uint32_t n, size_t size)
{
    const emesh_event **events = g_new(const emesh_event *, n);
    for (uint32_t i = 0; i < n; i++)
        events[i] = store_host_event(prefix, first + i, size);
    return events;
}

static void
drop_events(const emesh_event **events, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        emesh_event_unref(events[i]);
    g_free(events);
}

uint32_t
store_host_append(store_host *h, uint32_t lane, struct emesh_topic *topic, const char *prefix,
                  uint64_t first, uint32_t n, size_t size, uint32_t level)
{
    const emesh_event **events = make_events(prefix, first, n, size);
    uint32_t good = store_host_append_events(h, lane, topic, events, n, level);
    drop_events(events, n);
    return good;
}

static void
append_job(emesh_job *job)
{
    appending *a = (appending *)(void *)job;
    append_now(a);
    drop_events(a->events, a->n);
    g_free(a);
}

void
store_host_append_async(store_host *h, uint32_t lane, struct emesh_topic *topic,
                        const char *prefix, uint64_t first, uint32_t n, size_t size,
                        uint32_t level)
{
    appending *a = g_new0(appending, 1);
    *a = (appending){ .job.run = append_job, .h = h, .lane = lane, .n = n, .level = level,
                      .topic = topic, .events = make_events(prefix, first, n, size) };
    emesh_worker_post(h->workers[lane], &a->job);
}

/* ---- readers ---- */

void
store_host_on_records(store_host *h,
                      void (*fn)(void *ctx, store_reader *r, const emesh_record *records,
                                 uint32_t n),
                      void *ctx)
{
    h->on_records = fn;
    h->on_records_ctx = ctx;
}

typedef struct reading {
    store_reader *r;
    emesh_read_spec spec;
    const emesh_start *start;
    emesh_commit commit;
    uint32_t records, epoch;
    uint64_t bytes;
    ended e;
} reading;

static void
read_open(void *ctx)
{
    reading *o = ctx;
    store_reader *r = o->r;
    r->cursor = sa_cursor_open(r->h->lanes[r->lane], &o->spec, (emesh_reader *)(void *)r);
    for (uint32_t i = 0; i < r->n_parts; i++)
        sa_cursor_begin(r->cursor, r->numbers[i], 1, o->start);
}

store_reader *
store_host_read(store_host *h, uint32_t lane, struct emesh_topic *topic, const char *group,
                const emesh_start *start)
{
    store_reader *r = g_new0(store_reader, 1);
    reading o = { .r = r, .start = start,
                  .spec = { .size = sizeof o.spec, .topic = topic,
                            .mode = group != NULL ? EMESH_READ_SHARED : EMESH_READ_ALONE,
                            .group = { group, group != NULL ? strlen(group) : 0 } } };
    r->h = h;
    r->lane = lane;
    r->inbox = UINT32_MAX;
    r->seen = g_array_new(FALSE, FALSE, sizeof(seen));
    r->ids = g_string_chunk_new(4096);
    g_ptr_array_add(h->readers, r);
    store_host_on_lane(h, lane, read_open, &o);
    return r;
}

static void
read_want(void *ctx)
{
    reading *o = ctx;
    sa_cursor_want(o->r->cursor, o->records, o->bytes);
}

void
store_host_want(store_reader *r, uint32_t records, uint64_t bytes)
{
    reading o = { .r = r, .records = records, .bytes = bytes };
    store_host_on_lane(r->h, r->lane, read_want, &o);
}

typedef struct seeing {
    store_reader *r;
    uint32_t n;
} seeing;

static bool
saw_n(void *ctx)
{
    const seeing *s = ctx;
    return s->r->seen->len >= s->n;
}

void
store_host_records(store_reader *r, uint32_t n)
{
    seeing s = { r, n };
    wait_until(r->h, saw_n, &s);
}

static bool
at_end(void *ctx)
{
    const store_reader *r = ctx;
    return r->caught_up >= r->n_parts;
}

void
store_host_caught_up(store_reader *r)
{
    wait_until(r->h, at_end, r);
}

uint32_t
store_host_n(store_reader *r)
{
    pthread_mutex_lock(&r->h->lock);
    uint32_t n = r->seen->len;
    pthread_mutex_unlock(&r->h->lock);
    return n;
}

static seen
seen_at(store_reader *r, uint32_t i)
{
    pthread_mutex_lock(&r->h->lock);
    g_assert_cmpuint(i, <, r->seen->len);
    seen one = g_array_index(r->seen, seen, i);
    pthread_mutex_unlock(&r->h->lock);
    return one;
}

const char *
store_host_id(store_reader *r, uint32_t i)
{
    seen one = seen_at(r, i);
    return g_string_chunk_insert(r->ids, one.id);
}

uint64_t
store_host_offset(store_reader *r, uint32_t i)
{
    return seen_at(r, i).offset;
}

uint32_t
store_host_flags(store_reader *r, uint32_t i)
{
    return seen_at(r, i).flags;
}

uint32_t
store_host_attempt(store_reader *r, uint32_t i)
{
    return seen_at(r, i).attempt;
}

uint32_t
store_host_bad(store_reader *r)
{
    pthread_mutex_lock(&r->h->lock);
    uint32_t bad = r->bad;
    pthread_mutex_unlock(&r->h->lock);
    return bad;
}

void
store_host_check_data(store_reader *r, size_t size)
{
    pthread_mutex_lock(&r->h->lock);
    r->check = true;
    r->size = size;
    pthread_mutex_unlock(&r->h->lock);
}

static void
read_commit(void *ctx)
{
    reading *o = ctx;
    sa_cursor_commit(o->r->cursor, &o->commit, 1);
}

void
store_host_commit(store_reader *r, uint64_t offset, uint32_t outcome, uint32_t attempts,
                  uint32_t epoch)
{
    reading o = { .r = r, .commit = { .position = { 0, offset }, .epoch = epoch,
                                      .outcome = outcome, .attempts = attempts } };
    store_host_on_lane(r->h, r->lane, read_commit, &o);
}

uint64_t
store_host_due(store_reader *r, uint32_t i)
{
    return seen_at(r, i).due;
}

bool
store_host_in_inbox(store_reader *r, uint32_t i)
{
    return seen_at(r, i).partition == r->inbox;
}

void
store_host_commit_inbox(store_reader *r, emesh_position position, uint32_t outcome,
                        uint32_t attempts, uint32_t epoch)
{
    reading o = { .r = r, .commit = { .position = position, .partition = r->inbox, .epoch = epoch,
                                      .outcome = outcome, .attempts = attempts } };
    store_host_on_lane(r->h, r->lane, read_commit, &o);
}

uint32_t
store_host_inbox(const store_reader *r)
{
    return r->inbox;
}

emesh_cursor *
store_host_cursor(store_reader *r)
{
    return r->cursor;
}

typedef struct asking {
    store_host *h;
    uint32_t lane, n;
    emesh_append *items;
} asking;

static void
append_items(void *ctx)
{
    asking *a = ctx;
    sa_append(a->h->lanes[a->lane], a->items, a->n);
}

uint32_t
store_host_append_items(store_host *h, uint32_t lane, emesh_append *items, uint32_t n)
{
    asking a = { h, lane, n, items };
    pthread_mutex_lock(&h->lock);
    uint64_t before = h->results, failed = h->failed;
    pthread_mutex_unlock(&h->lock);
    store_host_on_lane(h, lane, append_items, &a);
    store_host_results(h, before + n);
    return n - (uint32_t)(store_host_failed(h) - failed);
}

static void
read_begin(void *ctx)
{
    reading *o = ctx;
    sa_cursor_begin(o->r->cursor, 0, o->epoch, o->start);
}

void
store_host_begin(store_reader *r, uint32_t epoch, const emesh_start *start)
{
    reading o = { .r = r, .start = start, .epoch = epoch };
    store_host_on_lane(r->h, r->lane, read_begin, &o);
}

static void
read_close(void *ctx)
{
    reading *o = ctx;
    sa_cursor_close(o->r->cursor, (emesh_op *)(void *)&o->e);
}

void
store_host_reader_close(store_reader *r)
{
    reading o = { .r = r, .e.h = r->h };
    store_host_on_lane(r->h, r->lane, read_close, &o);
    wait_until(r->h, op_done, &o.e);
    g_ptr_array_remove(r->h->readers, r);
    g_array_unref(r->seen);
    g_string_chunk_free(r->ids);
    g_free(r);
}

/* ---- admin ---- */

static int32_t
admin(store_host *h, const emesh_admin *what, GArray **rows)
{
    ended e = { .h = h, .err.size = sizeof e.err };
    if (rows != NULL) {
        e.rows = *rows = g_array_new(FALSE, FALSE, sizeof(store_row));
        g_array_set_clear_func(e.rows, row_clear);
    }
    sa_admin((emesh_instance *)(void *)h->store, what, (emesh_op *)(void *)&e);
    wait_until(h, op_done, &e);
    h->err = e.err;
    return e.code;
}

int32_t
store_host_admin(store_host *h, uint32_t what, const char *topic, const char *group,
                 const emesh_start *start, uint64_t position, GArray **rows)
{
    emesh_admin ask = { .size = sizeof ask, .what = what, .start = start,
                        .topic = { topic, topic != NULL ? strlen(topic) : 0 },
                        .group = { group, group != NULL ? strlen(group) : 0 },
                        .partition = { "0", 1 }, .position = { 0, position } };
    return admin(h, &ask, rows);
}

int32_t
store_host_find(store_host *h, const char *source, const char *id, GArray **rows)
{
    emesh_admin ask = { .size = sizeof ask, .what = EMESH_LIST_EVENT,
                        .source = { source, strlen(source) }, .id = { id, strlen(id) } };
    return admin(h, &ask, rows);
}
