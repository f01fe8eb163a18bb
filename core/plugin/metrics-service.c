/* SPDX-License-Identifier: Apache-2.0
 *
 * The service "emesh.metrics/1": what a plugin sees of the registry of its instance. Any thread.
 */
#include "plugin/inst.h"
#include "plugin/metrics.h"
#include <string.h>

static emesh_metric *
svc_metric(const emesh_host *host, const emesh_metric_spec *spec)
{
    emesh_inst *inst = emesh_inst_of(host);
    emesh_metric_spec mine = { 0 };
    memcpy(&mine, spec, MIN((size_t)spec->size, sizeof mine));
    /* A newer plugin may ask for what this host lacks: the series is made without it. */
    mine.size = sizeof mine;
    g_autofree char *why = NULL;
    emesh_metric *metric = emesh_metrics_get(inst->metrics, &mine, &why);
    if (why != NULL)
        inst->host.log(&inst->host, EMESH_LOG_WARNING, why, strlen(why), NULL, 0);
    return metric;
}

const emesh_metrics_api emesh_metrics_service = {
    .size = sizeof(emesh_metrics_api),
    .metric = svc_metric,
    .add = emesh_metric_add,
    .record = emesh_metric_record,
};
