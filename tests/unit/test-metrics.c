/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of an instance: registration, cap, counting from many threads, histograms.
 */
#include "plugin/inst.h"
#include "plugin/metrics.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

static emesh_metric_spec
spec_of(uint32_t type, const char *name, const char *unit)
{
    return (emesh_metric_spec){ .size = sizeof(emesh_metric_spec), .type = type, .name = name,
                                .unit = unit, .help = "help" };
}

static void
keep(void *ctx, const emesh_metric_reading *reading)
{
    g_array_append_val((GArray *)ctx, *reading);
}

/* The readings, without the buckets (they lie on the registry's stack). */
static GArray *
readings(emesh_metrics *metrics)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(emesh_metric_reading));
    emesh_metrics_each(metrics, keep, all);
    return all;
}

static emesh_metric *
get(emesh_metrics *metrics, uint32_t type, const char *name, const char *unit)
{
    emesh_metric_spec spec = spec_of(type, name, unit);
    g_autofree char *why = NULL;
    emesh_metric *metric = emesh_metrics_get(metrics, &spec, &why);
    g_assert_cmpstr(why, ==, NULL);
    return metric;
}

static void
test_counter_and_gauge(void)
{
    emesh_metrics *metrics = emesh_metrics_new();
    emesh_metric *counter = get(metrics, EMESH_METRIC_COUNTER, "frames", "");
    emesh_metric *gauge = get(metrics, EMESH_METRIC_GAUGE, "depth", "bytes");
    emesh_metric_add(counter, 5);
    emesh_metric_add(counter, -3); /* counters only grow */
    emesh_metric_record(counter, 9);
    emesh_metric_add(gauge, 10);
    emesh_metric_add(gauge, -4);
    g_assert_true(get(metrics, EMESH_METRIC_COUNTER, "frames", "") == counter);
    g_autoptr(GArray) all = readings(metrics);
    g_assert_cmpuint(all->len, ==, 2);
    const emesh_metric_reading *r = (const void *)all->data;
    g_assert_cmpstr(r[0].name, ==, "frames");
    g_assert_cmpuint(r[0].count, ==, 5);
    g_assert_cmpfloat(r[1].value, ==, 6);
    g_assert_cmpstr(r[1].unit, ==, "bytes");
    emesh_metric_record(gauge, 2.5);
    emesh_metric_record(gauge, NAN);
    g_autoptr(GArray) later = readings(metrics);
    g_assert_cmpfloat(((const emesh_metric_reading *)(const void *)later->data)[1].value, ==, 2.5);
    emesh_metrics_free(metrics);
}

static void
check_histogram(void *ctx, const emesh_metric_reading *r)
{
    (void)ctx;
    g_assert_cmpuint(r->count, ==, 1000);
    g_assert_cmpfloat_with_epsilon(r->sum, 0.001 * 990 + 100.0 * 10, 1e-6);
    g_assert_cmpfloat_with_epsilon(r->value, r->sum / 1000, 1e-9);
    g_assert_cmpfloat(emesh_metric_quantile(r, 0.5), ==, 0.001);
    g_assert_cmpfloat(emesh_metric_quantile(r, 0.99), ==, 0.001);
    g_assert_true(isinf(emesh_metric_quantile(r, 0.999)));
    g_assert_cmpuint(r->buckets[r->n_buckets - 1], ==, 10);
}

static void
test_histogram(void)
{
    emesh_metrics *metrics = emesh_metrics_new();
    emesh_metric *wait = get(metrics, EMESH_METRIC_HISTOGRAM, "wait", "seconds");
    for (uint32_t i = 0; i < 990; i++)
        emesh_metric_record(wait, 0.001);
    for (uint32_t i = 0; i < 10; i++)
        emesh_metric_record(wait, 100);
    emesh_metric_add(wait, 7); /* not for histograms */
    emesh_metric_record(wait, INFINITY);
    emesh_metrics_each(metrics, check_histogram, NULL);
    emesh_metrics_free(metrics);
}

static void
test_labels(void)
{
    emesh_metrics *metrics = emesh_metrics_new();
    const emesh_attr red[] = { { .name = "colour", .name_len = 6, .value = "red", .value_len = 3 },
                               { .name = "n", .name_len = 1, .value = "", .value_len = 0 } };
    const emesh_attr blue = { .name = "colour", .name_len = 6, .value = "blue", .value_len = 4 };
    emesh_metric_spec spec = spec_of(EMESH_METRIC_COUNTER, "balls", "");
    spec.labels = red;
    spec.n_labels = 2;
    emesh_metric *first = emesh_metrics_get(metrics, &spec, NULL);
    spec.labels = &blue;
    spec.n_labels = 1;
    emesh_metric *second = emesh_metrics_get(metrics, &spec, NULL);
    g_assert_true(first != second);
    g_assert_true(emesh_metrics_get(metrics, &spec, NULL) == second);
    emesh_metric_add(second, 1);
    g_autoptr(GArray) all = readings(metrics);
    const emesh_metric_reading *r = (const void *)all->data;
    g_assert_cmpstr(r[0].labels, ==, "colour=red, n=");
    g_assert_cmpuint(r[0].n_labels, ==, 2);
    g_assert_cmpmem(r[0].label[0].value, r[0].label[0].value_len, "red", 3);
    g_assert_cmpstr(r[1].labels, ==, "colour=blue");
    g_assert_cmpuint(r[1].count, ==, 1);
    emesh_metrics_free(metrics);
}

static void
refuse(emesh_metrics *metrics, const emesh_metric_spec *spec, const char *says)
{
    g_autofree char *why = NULL;
    emesh_metric *metric = emesh_metrics_get(metrics, spec, &why);
    g_assert_nonnull(metric);
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, says));
    emesh_metric_add(metric, 1); /* harmless */
    emesh_metric_record(metric, 1);
}

static void
test_refusals(void)
{
    emesh_metrics *metrics = emesh_metrics_new();
    const emesh_attr bad = { .name = "No", .name_len = 2, .value = "", .value_len = 0 };
    emesh_metric_spec spec = spec_of(77, "a", "");
    refuse(metrics, &spec, "77");
    spec = spec_of(EMESH_METRIC_GAUGE, "with-dash", "");
    refuse(metrics, &spec, "with-dash");
    spec = spec_of(EMESH_METRIC_GAUGE, NULL, "");
    refuse(metrics, &spec, "named");
    spec = spec_of(EMESH_METRIC_GAUGE, "a", "");
    spec.labels = &bad;
    spec.n_labels = 1;
    refuse(metrics, &spec, "label 0");
    spec.n_labels = EMESH_METRIC_LABELS_MOST + 1;
    refuse(metrics, &spec, "more than");
    get(metrics, EMESH_METRIC_GAUGE, "a", "");
    spec = spec_of(EMESH_METRIC_COUNTER, "a", "");
    refuse(metrics, &spec, "another type");
    g_autoptr(GArray) all = readings(metrics);
    g_assert_cmpuint(all->len, ==, 1);
    emesh_metrics_free(metrics);
}

static void
test_cap(void)
{
    emesh_metrics *metrics = emesh_metrics_new();
    for (uint32_t i = 0; i < EMESH_METRICS_MOST; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);
        emesh_metric_add(get(metrics, EMESH_METRIC_COUNTER, name, ""), i);
    }
    emesh_metric_spec spec = spec_of(EMESH_METRIC_COUNTER, "over", "");
    refuse(metrics, &spec, "1000");
    g_autoptr(GArray) all = readings(metrics);
    g_assert_cmpuint(all->len, ==, EMESH_METRICS_MOST);
    const emesh_metric_reading *r = (const void *)all->data;
    for (uint32_t i = 0; i < EMESH_METRICS_MOST; i++)
        g_assert_cmpuint(r[i].count, ==, i);
    emesh_metrics_free(metrics);
}

/* ---- many threads ---- */

#define THREADS 4
#define TURNS 20000

static void *
count_along(void *ctx)
{
    emesh_metrics *metrics = ctx;
    emesh_metric *counter = get(metrics, EMESH_METRIC_COUNTER, "shared", "");
    emesh_metric *gauge = get(metrics, EMESH_METRIC_GAUGE, "level", "");
    emesh_metric *sizes = get(metrics, EMESH_METRIC_HISTOGRAM, "sizes", "bytes");
    for (uint32_t i = 0; i < TURNS; i++) {
        emesh_metric_add(counter, 1);
        emesh_metric_add(gauge, i % 2 == 0 ? 1 : -1);
        emesh_metric_record(sizes, 100);
    }
    return NULL;
}

typedef struct on_worker {
    emesh_job job;
    emesh_metrics *metrics;
} on_worker;

static void
count_on_worker(emesh_job *job)
{
    count_along(((on_worker *)job)->metrics);
}

static void
check_shared(void *ctx, const emesh_metric_reading *r)
{
    (void)ctx;
    if (r->type == EMESH_METRIC_GAUGE) {
        g_assert_cmpfloat(r->value, ==, 0);
        return;
    }
    g_assert_cmpuint(r->count, ==, (THREADS + 2) * TURNS);
    if (r->type == EMESH_METRIC_HISTOGRAM)
        g_assert_cmpfloat(r->sum, ==, (THREADS + 2) * TURNS * 100.0);
}

static void
test_threads(void)
{
    emesh_metrics *metrics = emesh_metrics_new();
    emesh_worker *workers[2];
    on_worker jobs[2];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < 2; i++) {
        workers[i] = emesh_worker_new(i, "worker", NULL);
        emesh_worker_start(workers[i]);
        jobs[i] = (on_worker){ .job = { .run = count_on_worker }, .metrics = metrics };
        emesh_worker_post(workers[i], &jobs[i].job);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, count_along, metrics), ==, 0);
    for (uint32_t i = 0; i < 10; i++)
        g_array_unref(readings(metrics)); /* beside the counting */
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 2; i++) {
        emesh_worker_stop(workers[i]);
        emesh_worker_free(workers[i]);
    }
    emesh_metrics_each(metrics, check_shared, NULL);
    emesh_metrics_free(metrics);
}

/* ---- the service ---- */

typedef struct noisy {
    struct emesh_inst inst; /* first */
    char *logged;
} noisy;

static void
take_log(const emesh_host *host, uint32_t level, const char *text, size_t len,
         const emesh_attr *fields, uint32_t n_fields)
{
    noisy *n = (noisy *)emesh_inst_of(host);
    (void)fields, (void)n_fields;
    g_assert_cmpuint(level, ==, EMESH_LOG_WARNING);
    g_free(n->logged);
    n->logged = g_strndup(text, len);
}

static void
test_service(void)
{
    const emesh_metrics_api *svc = &emesh_metrics_service;
    noisy n = { .inst = { .metrics = emesh_metrics_new(), .host = { .log = take_log } } };
    struct {
        emesh_metric_spec spec;
        uint64_t tail;
    } wide = { spec_of(EMESH_METRIC_COUNTER, "seen", ""), 1 };
    wide.spec.size = sizeof wide;
    emesh_metric *metric = svc->metric(&n.inst.host, &wide.spec);
    svc->add(metric, 3);
    emesh_metric_spec old = spec_of(EMESH_METRIC_COUNTER, "seen", "");
    old.size = offsetof(emesh_metric_spec, labels);
    old.n_labels = 7; /* beyond its size: not looked at */
    g_assert_true(svc->metric(&n.inst.host, &old) == metric);
    g_assert_null(n.logged);
    old.name = "Bad";
    svc->record(svc->metric(&n.inst.host, &old), 1);
    g_assert_nonnull(strstr(n.logged, "Bad"));
    g_clear_pointer(&n.logged, g_free);
    g_autoptr(GArray) all = readings(n.inst.metrics);
    g_assert_cmpuint(all->len, ==, 1);
    g_assert_cmpuint(((const emesh_metric_reading *)(const void *)all->data)->count, ==, 3);
    emesh_metrics_free(n.inst.metrics);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metrics/counter-and-gauge", test_counter_and_gauge);
    g_test_add_func("/metrics/histogram", test_histogram);
    g_test_add_func("/metrics/labels", test_labels);
    g_test_add_func("/metrics/refusals", test_refusals);
    g_test_add_func("/metrics/cap", test_cap);
    g_test_add_func("/metrics/threads", test_threads);
    g_test_add_func("/metrics/service", test_service);
    return g_test_run();
}
