/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of `status` and `metrics` that the daemon adds: stores with what they promise, lanes with
 * what they count, plugins with what they count.
 */
#include "bus/findings.h"
#include "bus/lane.h"
#include "bus/store.h"
#include "daemon/private.h"
#include "plugin/metrics.h"

static void
levels_row(const emesh_store *store, emesh_command_reply *reply)
{
    emesh_row_builder *row = emesh_row_new();
    g_autoptr(GString) levels = g_string_new(NULL);

    for (uint32_t level = EMESH_LEVEL_MEMORY; level <= EMESH_LEVEL_QUORUM; level++)
        if ((store->levels & 1u << level) != 0)
            g_string_append_printf(levels, "%s%s", levels->len > 0 ? "," : "",
                                   emesh_level_name(level));
    emesh_row_text(row, "kind", "store", -1);
    emesh_row_text(row, "name", store->inst->name, -1);
    emesh_row_text(row, "levels", levels->str, -1);
    emesh_row_text(row, "default-durability", emesh_level_name(store->max_level), -1);
    emesh_row_number(row, "under-way", __atomic_load_n(&store->under_way, __ATOMIC_RELAXED));
    emesh_row_number(row, "under-way-bytes",
                     __atomic_load_n(&store->under_way_bytes, __ATOMIC_RELAXED));
    emesh_row_send(row, reply);
}

static void
finding_row(void *ctx, const emesh_finding *finding)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "kind", "finding", -1);
    emesh_row_text(row, "finding", finding->finding, -1);
    emesh_row_text(row, "about", finding->about, -1);
    emesh_row_number(row, "since", finding->since_ms);
    emesh_row_text(row, "text", finding->text, -1);
    emesh_row_send(row, ctx);
}

void
emesh_daemon_status(emesh_daemon *daemon, emesh_command_reply *reply)
{
    emesh_findings_each(daemon->bus, finding_row, reply);
    for (uint32_t i = 0; i < daemon->bus->stores->len; i++)
        levels_row(daemon->bus->stores->pdata[i], reply);
}

static void
count_row(emesh_command_reply *reply, const char *name, uint64_t value)
{
    emesh_row_builder *row = emesh_row_new();

    emesh_row_text(row, "name", name, -1);
    emesh_row_text(row, "unit", "", -1);
    emesh_row_number(row, "value", value);
    emesh_row_send(row, reply);
}

/* ---- what plugins count ---- */

typedef struct plugin_rows {
    const emesh_inst *inst;
    emesh_command_reply *reply;
} plugin_rows;

static void
decimal(emesh_row_builder *row, const char *name, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (value >= 0 && value < 9e15 && value == (double)(uint64_t)value)
        emesh_row_number(row, name, (uint64_t)value);
    else
        emesh_row_text(row, name, g_ascii_formatd(text, sizeof text, "%.6g", value), -1);
}

static void
plugin_row(void *ctx, const emesh_metric_reading *reading)
{
    const plugin_rows *rows = ctx;
    emesh_row_builder *row = emesh_row_new();
    g_autofree char *name = g_strdup_printf("%s_%s", rows->inst->component->name, reading->name);

    emesh_row_text(row, "name", g_strdelimit(name, "-", '_'), -1);
    emesh_row_text(row, "instance", rows->inst->name, -1);
    emesh_row_text(row, "labels", reading->labels, -1);
    emesh_row_text(row, "unit", reading->unit, -1);
    if (reading->type == EMESH_METRIC_HISTOGRAM) {
        emesh_row_number(row, "value", reading->count);
        decimal(row, "mean", reading->value);
        decimal(row, "p50", emesh_metric_quantile(reading, 0.5));
        decimal(row, "p99", emesh_metric_quantile(reading, 0.99));
    } else if (reading->type == EMESH_METRIC_COUNTER) {
        emesh_row_number(row, "value", reading->count);
    } else {
        decimal(row, "value", reading->value);
    }
    emesh_row_send(row, rows->reply);
}

void
emesh_daemon_metrics(emesh_daemon *daemon, emesh_command_reply *reply)
{
    emesh_lane_counts sum = { 0 };
    emesh_journal_counts journal;
    emesh_bus *bus = daemon->bus;

    for (uint32_t i = 0; i < __atomic_load_n(&bus->n_lanes, __ATOMIC_ACQUIRE); i++) {
        const emesh_lane_counts *c = &bus->lanes[i]->counts;
        for (uint32_t k = 0; k < sizeof sum / sizeof(uint64_t); k++)
            ((uint64_t *)&sum)[k] += __atomic_load_n(&((const uint64_t *)c)[k], __ATOMIC_RELAXED);
    }
    count_row(reply, "bus_published", sum.published);
    count_row(reply, "bus_refused", sum.refused);
    count_row(reply, "bus_appended", sum.appended);
    count_row(reply, "bus_failed", sum.failed);
    count_row(reply, "bus_unknown", sum.unknown);
    count_row(reply, "bus_delivered", sum.delivered);
    count_row(reply, "bus_settled", sum.settled);
    count_row(reply, "bus_returned", sum.returned);
    count_row(reply, "bus_stale_settles", sum.stale_settles);
    count_row(reply, "bus_append_calls", sum.append_calls);
    count_row(reply, "bus_mail_boxes", sum.mail_boxes);
    emesh_journal_read_counts(bus->journal, &journal);
    count_row(reply, "journal_lines", journal.lines);
    count_row(reply, "journal_lost", journal.lost);
    count_row(reply, "bus_requests", sum.requests);
    count_row(reply, "bus_requests_waiting", __atomic_load_n(&bus->requests, __ATOMIC_RELAXED));
    count_row(reply, "bus_request_timeouts", sum.request_timeouts);
    count_row(reply, "bus_replies", sum.replies);
    count_row(reply, "bus_replies_out", sum.replies_out);
    count_row(reply, "bus_replies_dropped", sum.replies_dropped);
    count_row(reply, "bus_replies_stray",
              sum.replies_stray + __atomic_load_n(&bus->replies_strange, __ATOMIC_RELAXED));
    count_row(reply, "session_memory",
              (uint64_t)MAX(__atomic_load_n(&daemon->budget.used, __ATOMIC_RELAXED), 0));
    count_row(reply, "log_suppressed", emesh_log_suppressed(daemon->log));
    for (uint32_t i = 0; i < daemon->instances->len; i++) {
        plugin_rows rows = { daemon->instances->pdata[i], reply };
        emesh_metrics_each(rows.inst->metrics, plugin_row, &rows);
    }
}
