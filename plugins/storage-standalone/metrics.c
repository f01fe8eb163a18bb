/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator may count. The hot path counts in atomics of its own; the keeper hands the
 * differences to the host once a second. A host without metrics misses nothing else.
 */
#include "metrics.h"

#include "store.h"
#include <stddef.h>

typedef struct sa_metric_row {
    const char *name, *unit, *help;
    size_t at; /* in sa_stats */
} sa_metric_row;

#define ROW(member, unit, help) { #member, unit, help, offsetof(sa_stats, member) }

static const sa_metric_row rows[] = {
    ROW(records, "", "records written to the log"),
    ROW(writes, "", "write calls on the log"),
    ROW(write_bytes, "bytes", "bytes written to the log, footers included"),
    ROW(syncs, "", "fdatasync calls on the log"),
    ROW(commits, "", "records of group progress written"),
    ROW(handovers, "", "times the writer thread took over from a lane"),
    ROW(reads, "", "reads from the log"),
    ROW(read_bytes, "bytes", "bytes read from the log by readers"),
    ROW(shared_records, "", "events given to readers out of blocks that another reader had read"),
    ROW(shared_loads, "", "blocks of events read for all readers of a topic"),
    ROW(sealed, "", "log files closed with their index"),
    ROW(checkpoints, "", "checkpoints committed"),
    ROW(cleaned, "", "log files written by cleaning"),
    ROW(sorted, "", "of these, for readers far behind"),
    ROW(clean_inputs, "", "log files that they took the place of"),
    ROW(clean_bytes, "bytes", "bytes written by cleaning"),
    ROW(scrub_bytes, "bytes", "bytes of closed log files read again and checked"),
    ROW(scrub_bad, "", "damaged places found by that"),
    ROW(scrub_passes, "", "times that all of the log was read so"),
    ROW(unlinked, "", "dead log files deleted"),
    ROW(trimmed, "", "records cut by retention"),
    ROW(damaged, "", "damaged places found in log or index"),
    ROW(quarantined, "", "damaged stretches copied to quarantine"),
    ROW(torn, "", "unfinished units dropped after an unclean end"),
    ROW(recopied, "", "records written again after an unclean end"),
    ROW(memory_lost, "", "events answered at level memory that could not be written"),
};
_Static_assert(sizeof rows / sizeof rows[0] == SA_METRICS, "one cell a row");

void
sa_metrics_start(struct sa_store *store)
{
    sa_metrics *m = &store->metrics;
    m->api = store->host->service(store->host, EMESH_METRICS_ID);
    for (uint32_t i = 0; m->api != NULL && i < SA_METRICS; i++) {
        emesh_metric_spec spec = { .size = sizeof spec, .type = EMESH_METRIC_COUNTER,
                                   .name = rows[i].name, .unit = rows[i].unit,
                                   .help = rows[i].help };
        m->metric[i] = m->api->metric(store->host, &spec);
    }
}

void
sa_metrics_tell(struct sa_store *store)
{
    sa_metrics *m = &store->metrics;
    for (uint32_t i = 0; m->api != NULL && i < SA_METRICS; i++) {
        const _Atomic uint64_t *count =
            (const _Atomic uint64_t *)(const void *)((const char *)&store->stats + rows[i].at);
        uint64_t now = atomic_load_explicit(count, memory_order_relaxed);
        if (now > m->told[i])
            m->api->add(m->metric[i], (int64_t)(now - m->told[i]));
        m->told[i] = now;
    }
}
