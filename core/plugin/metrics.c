/* SPDX-License-Identifier: Apache-2.0
 *
 * Series and their cells. Registration takes a mutex, counting does not: any thread.
 */
#include "plugin/metrics.h"
#include "io/worker.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

#define SHARDS 8u
#define CHUNK_CELLS 64u /* of each shard: 512 bytes, so shards share no cache line */
#define BUCKETS_MOST 18u
#define NAME_MOST 64u
#define LABEL_MOST 128u
#define TEXT_MOST 256u

typedef struct chunk { /* cells of several series: cell[shard][slot] */
    uint64_t cell[SHARDS][CHUNK_CELLS] __attribute__((aligned(64)));
} chunk;

struct emesh_metric {
    uint32_t type; /* 0: counts nowhere */
    uint32_t n_bounds;
    const double *bounds;
    uint64_t *cells; /* of shard 0; the next shard's are CHUNK_CELLS further */
    char *name, *unit, *help, *labels;
    emesh_attr *label;
    uint32_t n_labels;
};

struct emesh_metrics {
    pthread_mutex_t lock;
    GPtrArray *series; /* emesh_metric */
    GPtrArray *chunks;
    uint32_t used; /* cells of the last chunk */
};

/* Given out when there is no room or the spec is bad: type 0, so nobody ever writes to it. */
static const emesh_metric nowhere;

static const double seconds_bounds[] = { 0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001,
                                         0.0025,  0.005,   0.01,   0.025,   0.05,   0.1,
                                         0.25,    1,       2.5,    10,      60 };
static const double bytes_bounds[] = { 64,    256,    1024,    4096,    16384,
                                       65536, 262144, 1048576, 4194304, 16777216 };
static const double count_bounds[] = { 1,   2,    5,    10,   20,    50,    100,   200,
                                       500, 1000, 2000, 5000, 10000, 20000, 50000, 100000 };

emesh_metrics *
emesh_metrics_new(void)
{
    emesh_metrics *metrics = g_new0(emesh_metrics, 1);
    pthread_mutex_init(&metrics->lock, NULL);
    metrics->series = g_ptr_array_new();
    metrics->chunks = g_ptr_array_new();
    metrics->used = CHUNK_CELLS;
    return metrics;
}

static void
metric_free(emesh_metric *metric)
{
    g_free(metric->name);
    g_free(metric->unit);
    g_free(metric->help);
    g_free(metric->labels);
    g_free(metric->label);
    g_free(metric);
}

void
emesh_metrics_free(emesh_metrics *metrics)
{
    if (metrics == NULL)
        return;
    for (guint i = 0; i < metrics->series->len; i++)
        metric_free(metrics->series->pdata[i]);
    for (guint i = 0; i < metrics->chunks->len; i++)
        g_aligned_free(metrics->chunks->pdata[i]);
    g_ptr_array_unref(metrics->series);
    g_ptr_array_unref(metrics->chunks);
    pthread_mutex_destroy(&metrics->lock);
    g_free(metrics);
}

/* ---- registration ---- */

static bool
name_ok(const char *name, size_t len)
{
    if (len == 0 || len > NAME_MOST || !g_ascii_islower(name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]) && name[i] != '_')
            return false;
    return true;
}

/* NULL: fine. */
static char *
spec_flaw(const emesh_metric_spec *spec)
{
    if (spec->type < EMESH_METRIC_COUNTER || spec->type > EMESH_METRIC_HISTOGRAM)
        return g_strdup_printf("metric of type %u is unknown here", spec->type);
    if (spec->name == NULL || !name_ok(spec->name, strnlen(spec->name, NAME_MOST + 1)))
        return g_strdup_printf("metric \"%.64s\" is not named with a-z, 0-9 and _",
                               spec->name != NULL ? spec->name : "");
    if (spec->n_labels > EMESH_METRIC_LABELS_MOST)
        return g_strdup_printf("metric %s has %u labels, more than %u", spec->name, spec->n_labels,
                               EMESH_METRIC_LABELS_MOST);
    for (uint32_t i = 0; i < spec->n_labels; i++) {
        const emesh_attr *label = &spec->labels[i];
        if (!name_ok(label->name, label->name_len) || label->value_len > LABEL_MOST ||
            !g_utf8_validate_len(label->value, label->value_len, NULL))
            return g_strdup_printf("metric %s: label %u is not a short name and text", spec->name,
                                   i);
    }
    return NULL;
}

static char *
labels_text(const emesh_metric_spec *spec)
{
    GString *text = g_string_new(NULL);
    for (uint32_t i = 0; i < spec->n_labels; i++) {
        const emesh_attr *label = &spec->labels[i];
        g_string_append_printf(text, "%s%.*s=%.*s", i > 0 ? ", " : "", (int)label->name_len,
                               label->name, (int)label->value_len, (const char *)label->value);
    }
    return g_string_free(text, FALSE);
}

static emesh_attr *
labels_copy(const emesh_metric_spec *spec)
{
    size_t bytes = sizeof(emesh_attr) * spec->n_labels;
    for (uint32_t i = 0; i < spec->n_labels; i++)
        bytes += spec->labels[i].name_len + (size_t)spec->labels[i].value_len;
    emesh_attr *copy = g_malloc(bytes + 1);
    char *at = (char *)(copy + spec->n_labels);
    for (uint32_t i = 0; i < spec->n_labels; i++) {
        const emesh_attr *label = &spec->labels[i];
        copy[i] = (emesh_attr){ .name = at,
                                .name_len = label->name_len,
                                .value = at + label->name_len,
                                .value_len = label->value_len };
        memcpy(at, label->name, label->name_len);
        at += label->name_len;
        if (label->value_len > 0)
            memcpy(at, label->value, label->value_len);
        at += label->value_len;
    }
    return copy;
}

static void
set_bounds(emesh_metric *metric)
{
    if (metric->type != EMESH_METRIC_HISTOGRAM)
        return;
    metric->bounds = count_bounds;
    metric->n_bounds = G_N_ELEMENTS(count_bounds);
    if (strcmp(metric->unit, "seconds") == 0) {
        metric->bounds = seconds_bounds;
        metric->n_bounds = G_N_ELEMENTS(seconds_bounds);
    } else if (strcmp(metric->unit, "bytes") == 0) {
        metric->bounds = bytes_bounds;
        metric->n_bounds = G_N_ELEMENTS(bytes_bounds);
    }
}
G_STATIC_ASSERT(G_N_ELEMENTS(seconds_bounds) < BUCKETS_MOST);
G_STATIC_ASSERT(G_N_ELEMENTS(count_bounds) < BUCKETS_MOST);
G_STATIC_ASSERT(BUCKETS_MOST + 1 <= CHUNK_CELLS);

/* A histogram: one cell for the sum, then its buckets. */
static uint32_t
cells_of(const emesh_metric *metric)
{
    return metric->type == EMESH_METRIC_HISTOGRAM ? 1 + metric->n_bounds + 1 : 1;
}

static uint64_t *
take_cells(emesh_metrics *metrics, uint32_t n)
{
    if (metrics->used + n > CHUNK_CELLS) {
        g_ptr_array_add(metrics->chunks, g_aligned_alloc0(1, sizeof(chunk), 64));
        metrics->used = 0;
    }
    chunk *last = metrics->chunks->pdata[metrics->chunks->len - 1];
    uint64_t *cells = &last->cell[0][metrics->used];
    metrics->used += n;
    return cells;
}

static emesh_metric *
find(const emesh_metrics *metrics, const char *name, const char *labels)
{
    for (guint i = 0; i < metrics->series->len; i++) {
        emesh_metric *metric = metrics->series->pdata[i];
        if (strcmp(metric->name, name) == 0 && strcmp(metric->labels, labels) == 0)
            return metric;
    }
    return NULL;
}

/* Under the lock. NULL and *flaw: none. */
static emesh_metric *
find_or_make(emesh_metrics *metrics, const emesh_metric_spec *spec, const char *labels, char **flaw)
{
    emesh_metric *metric = find(metrics, spec->name, labels);
    if (metric != NULL && metric->type == spec->type)
        return metric;
    if (metric != NULL) {
        *flaw = g_strdup_printf("metric %s is there already, of another type", spec->name);
        return NULL;
    }
    if (metrics->series->len == EMESH_METRICS_MOST) {
        *flaw = g_strdup_printf("metric %s{%s} is one more than %u: it counts nowhere", spec->name,
                                labels, EMESH_METRICS_MOST);
        return NULL;
    }
    metric = g_new0(emesh_metric, 1);
    metric->type = spec->type;
    metric->name = g_strdup(spec->name);
    metric->unit = g_strndup(spec->unit != NULL ? spec->unit : "", TEXT_MOST);
    metric->help = g_strndup(spec->help != NULL ? spec->help : "", TEXT_MOST);
    metric->labels = g_strdup(labels);
    metric->label = labels_copy(spec);
    metric->n_labels = spec->n_labels;
    set_bounds(metric);
    metric->cells = take_cells(metrics, cells_of(metric));
    g_ptr_array_add(metrics->series, metric);
    return metric;
}

emesh_metric *
emesh_metrics_get(emesh_metrics *metrics, const emesh_metric_spec *spec, char **why)
{
    char *flaw = spec_flaw(spec);
    emesh_metric *metric = NULL;
    if (flaw == NULL) {
        g_autofree char *labels = labels_text(spec);
        pthread_mutex_lock(&metrics->lock);
        metric = find_or_make(metrics, spec, labels, &flaw);
        pthread_mutex_unlock(&metrics->lock);
    }
    if (why != NULL)
        *why = flaw;
    else
        g_free(flaw);
    return metric != NULL ? metric : (emesh_metric *)(uintptr_t)&nowhere;
}

/* ---- counting ---- */

static inline uint64_t *
shard_of(const emesh_metric *metric)
{
    const emesh_worker *worker = emesh_worker_current();
    uint32_t shard = worker != NULL ? emesh_worker_index(worker) % SHARDS : 0;
    return metric->cells + (size_t)shard * CHUNK_CELLS;
}

static inline double
as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t
as_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void
add_double(uint64_t *cell, double delta)
{
    uint64_t before = __atomic_load_n(cell, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(cell, &before, as_bits(as_double(before) + delta), true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

void
emesh_metric_add(emesh_metric *metric, int64_t delta)
{
    if (metric->type == EMESH_METRIC_COUNTER && delta > 0)
        __atomic_fetch_add(shard_of(metric), (uint64_t)delta, __ATOMIC_RELAXED);
    else if (metric->type == EMESH_METRIC_GAUGE)
        add_double(metric->cells, (double)delta);
}

void
emesh_metric_record(emesh_metric *metric, double value)
{
    if (!isfinite(value))
        return;
    if (metric->type == EMESH_METRIC_GAUGE)
        __atomic_store_n(metric->cells, as_bits(value), __ATOMIC_RELAXED);
    if (metric->type != EMESH_METRIC_HISTOGRAM)
        return;
    uint64_t *cells = shard_of(metric);
    uint32_t bucket = 0;
    while (bucket < metric->n_bounds && value > metric->bounds[bucket])
        bucket++;
    __atomic_fetch_add(&cells[1 + bucket], 1, __ATOMIC_RELAXED);
    add_double(&cells[0], value);
}

/* ---- reading ---- */

static uint64_t
sum_of(const emesh_metric *metric, uint32_t slot)
{
    uint64_t sum = 0;
    for (uint32_t s = 0; s < SHARDS; s++)
        sum += __atomic_load_n(&metric->cells[s * CHUNK_CELLS + slot], __ATOMIC_RELAXED);
    return sum;
}

static void
read_histogram(const emesh_metric *metric, emesh_metric_reading *reading, uint64_t *buckets)
{
    for (uint32_t s = 0; s < SHARDS; s++)
        reading->sum +=
            as_double(__atomic_load_n(&metric->cells[s * CHUNK_CELLS], __ATOMIC_RELAXED));
    for (uint32_t i = 0; i <= metric->n_bounds; i++) {
        buckets[i] = sum_of(metric, 1 + i);
        reading->count += buckets[i];
    }
    reading->bounds = metric->bounds;
    reading->buckets = buckets;
    reading->n_buckets = metric->n_bounds + 1;
    reading->value = reading->count > 0 ? reading->sum / (double)reading->count : 0;
}

static void
read_metric(const emesh_metric *metric, emesh_metric_reading *reading, uint64_t *buckets)
{
    *reading = (emesh_metric_reading){
        .name = metric->name,
        .unit = metric->unit,
        .help = metric->help,
        .labels = metric->labels,
        .label = metric->label,
        .n_labels = metric->n_labels,
        .type = metric->type,
    };
    if (metric->type == EMESH_METRIC_COUNTER) {
        reading->count = sum_of(metric, 0);
        reading->value = (double)reading->count;
    } else if (metric->type == EMESH_METRIC_GAUGE) {
        reading->value = as_double(__atomic_load_n(metric->cells, __ATOMIC_RELAXED));
    } else {
        read_histogram(metric, reading, buckets);
    }
}

void
emesh_metrics_each(emesh_metrics *metrics,
                   void (*each)(void *ctx, const emesh_metric_reading *reading), void *ctx)
{
    /* Series never go away: only the list of them needs the lock. */
    pthread_mutex_lock(&metrics->lock);
    guint n = metrics->series->len;
    g_autofree emesh_metric **all = g_memdup2(metrics->series->pdata, n * sizeof(emesh_metric *));
    pthread_mutex_unlock(&metrics->lock);
    for (guint i = 0; i < n; i++) {
        emesh_metric_reading reading;
        uint64_t buckets[BUCKETS_MOST];
        read_metric(all[i], &reading, buckets);
        each(ctx, &reading);
    }
}

double
emesh_metric_quantile(const emesh_metric_reading *reading, double share)
{
    uint64_t seen = 0;
    double wanted = share * (double)reading->count;
    if (reading->count == 0)
        return 0;
    for (uint32_t i = 0; i + 1 < reading->n_buckets; i++) {
        seen += reading->buckets[i];
        if ((double)seen >= wanted)
            return reading->bounds[i];
    }
    return INFINITY;
}
