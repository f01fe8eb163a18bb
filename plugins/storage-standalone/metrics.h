/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters of the store on their way to the host's metrics.
 */
#ifndef SA_METRICS_H
#define SA_METRICS_H
#include "eventmesh/metrics.h"

struct sa_store;

#define SA_METRICS 26u

typedef struct sa_metrics {
    const emesh_metrics_api *api; /* NULL: the host has none */
    emesh_metric *metric[SA_METRICS];
    uint64_t told[SA_METRICS];
} sa_metrics;

void sa_metrics_start(struct sa_store *store); /* before the threads */
void sa_metrics_tell(struct sa_store *store);  /* [keeper] */

#endif
