/* SPDX-License-Identifier: Apache-2.0
 *
 * status, metrics, log-level.
 */
#include "ctl/output.h"

static const ctl_column instances[] = {
    { "instance", "INSTANCE", CTL_TEXT }, { "component", "COMPONENT", CTL_TEXT },
    { "state", "STATE", CTL_STATE },      { "health", "HEALTH", CTL_STATE },
    { "reason", "REASON", CTL_TEXT },     { NULL, NULL, CTL_TEXT },
};

static const ctl_column listeners[] = {
    { "instance", "INSTANCE", CTL_TEXT },
    { "address", "ADDRESS", CTL_TEXT },
    { "tls", "TLS", CTL_FLAG },
    { "open-to", "OPEN TO", CTL_TEXT },
    { "connections", "CONNECTIONS", CTL_COUNT },
    { "accepted", "ACCEPTED", CTL_COUNT },
    { "refused", "REFUSED", CTL_COUNT },
    { "failed", "FAILED", CTL_COUNT },
    { "bytes-in", "IN", CTL_BYTES },
    { "bytes-out", "OUT", CTL_BYTES },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column stores[] = {
    { "name", "INSTANCE", CTL_TEXT },
    { "levels", "LEVELS", CTL_TEXT },
    { "default-durability", "DURABILITY", CTL_TEXT },
    { "under-way", "UNDER WAY", CTL_COUNT },
    { "under-way-bytes", "BYTES", CTL_BYTES },
    { "state", "STATE", CTL_STATE },
    { "promise", "PROMISE", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column workers[] = {
    { "worker", "WORKER", CTL_TEXT },  { "wake-ups", "WAKE-UPS", CTL_COUNT },
    { "jobs", "JOBS", CTL_COUNT },     { "ready", "READY", CTL_COUNT },
    { "alarms", "ALARMS", CTL_COUNT }, { "signals", "SIGNALS", CTL_COUNT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column findings[] = {
    { "finding", "FINDING", CTL_TEXT }, { "about", "ABOUT", CTL_TEXT },
    { "since", "SINCE", CTL_AGO },      { "text", "WHAT", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column metrics[] = {
    { "name", "NAME", CTL_TEXT },     { "instance", "INSTANCE", CTL_TEXT },
    { "labels", "LABELS", CTL_TEXT }, { "value", "VALUE", CTL_COUNT },
    { "unit", "UNIT", CTL_TEXT },     { NULL, NULL, CTL_TEXT },
};

static void
print_daemon(ctl *c, JsonObject *row)
{
    static const ctl_column memory = { "memory", "", CTL_BYTES };
    gint64 since = json_object_get_int_member_with_default(row, "since", c->now_ms);
    g_autofree char *version = ctl_field(row, "version");
    g_autofree char *state = ctl_field(row, "state");
    g_autofree char *node = ctl_field(row, "node");
    g_autofree char *data = ctl_field(row, "data");
    g_autofree char *run = ctl_field(row, "run");
    g_autofree char *conf = ctl_field(row, "conf");
    g_autofree char *up = ctl_span_text((guint64)MAX(c->now_ms - since, 0));
    g_autofree char *resident = ctl_cell(row, &memory, c->now_ms);
    fprintf(c->out,
            "%seventmeshd %s%s is %s on %s: up %s, pid %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
            " workers, %s resident\n",
            ctl_bold(c->colour), version, ctl_plain(c->colour), state, node, up,
            json_object_get_int_member_with_default(row, "pid", 0),
            json_object_get_int_member_with_default(row, "workers", 0), resident);
    fprintf(c->out, "%sdata%s %s  %srun%s %s  %sconf%s %s\n", ctl_dim(c->colour),
            ctl_plain(c->colour), data, ctl_dim(c->colour), ctl_plain(c->colour), run,
            ctl_dim(c->colour), ctl_plain(c->colour), conf);
}

int
ctl_status(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    (void)args, (void)n;
    g_autoptr(JsonArray) rows = ctl_rows(c, "status", NULL, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return CTL_OK;
    }
    JsonObject *daemon = ctl_row_of_kind(rows, "daemon");
    if (daemon != NULL)
        print_daemon(c, daemon);
    ctl_print_section(c, rows, "Findings", "finding", findings);
    ctl_print_section(c, rows, "Instances", "instance", instances);
    ctl_print_section(c, rows, "Listeners", "listener", listeners);
    ctl_print_section(c, rows, "Stores", "store", stores);
    ctl_print_section(c, rows, "Workers", "worker", workers);
    return CTL_OK;
}

int
ctl_metrics(ctl *c, char **args, int n)
{
    (void)args, (void)n;
    return ctl_print_rows(c, "metrics", NULL, metrics, "no counters");
}

int
ctl_log_level(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    JsonObject *call = json_object_new();
    if (n > 0)
        json_object_set_string_member(call, "level", args[0]);
    g_autoptr(JsonArray) rows = ctl_rows(c, "log-level", call, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
    } else if (json_array_get_length(rows) > 0) {
        g_autofree char *level = ctl_field(json_array_get_object_element(rows, 0), "level");
        fprintf(c->out, "log level %s\n", level);
    }
    return CTL_OK;
}
