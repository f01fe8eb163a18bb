/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers one instance shows. Counting takes no lock: counters and histograms have a cell per
 * worker (modulo a few), a gauge has one. Series live as long as the registry, so a plugin that is
 * started anew finds its counts again.
 */
#pragma once
#include "eventmesh/metrics.h"
#include <glib.h>
#include <stdbool.h>

#define EMESH_METRICS_MOST 1000u /* series of one instance; more count nowhere */
#define EMESH_METRIC_LABELS_MOST 8u

typedef struct emesh_metrics emesh_metrics;

typedef struct emesh_metric_reading {
    const char *name, *unit, *help; /* as registered; borrowed from the registry */
    const char *labels;             /* "name=value, name=value", "" */
    const emesh_attr *label;
    uint32_t n_labels;
    uint32_t type;           /* EMESH_METRIC_* */
    double value;            /* counter (exact up to 2^53), gauge; histogram: mean, or 0 */
    uint64_t count;          /* counter; histogram: observations */
    double sum;              /* histogram */
    const double *bounds;    /* histogram: n_buckets - 1 upper bounds, the last has none */
    const uint64_t *buckets; /* histogram: observations in each, not cumulated */
    uint32_t n_buckets;
} emesh_metric_reading;

emesh_metrics *emesh_metrics_new(void);
void emesh_metrics_free(emesh_metrics *metrics); /* NULL is fine */

/* [any] The series of this name and these labels, made if need be. Never NULL. why (may be NULL):
 * what was wrong with the spec when the answer is the one that counts nowhere; free. */
emesh_metric *emesh_metrics_get(emesh_metrics *metrics, const emesh_metric_spec *spec, char **why);
void emesh_metric_add(emesh_metric *metric, int64_t delta);
void emesh_metric_record(emesh_metric *metric, double value);

/* [any] All series in the order they were registered. */
void emesh_metrics_each(emesh_metrics *metrics,
                        void (*each)(void *ctx, const emesh_metric_reading *reading), void *ctx);
/* A bound of the value below which this share (0 to 1) of a histogram's observations lie. */
double emesh_metric_quantile(const emesh_metric_reading *reading, double share);

/* The table of service "emesh.metrics/1". Constant. */
extern const emesh_metrics_api emesh_metrics_service;
