/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin's descriptor as rows: who made it, its components, their claims, needs and options.
 * Reads the descriptor with the plugin's own sizes. [any]
 */
#include "admin/describe.h"
#include "config/table.h"
#include "eventmesh/kind-storage.h"
#include "plugin/inst.h"

#include <stdio.h>
#include <string.h>

typedef struct claim_name {
    uint64_t bit;
    const char *name;
} claim_name;

static const claim_name protocol_claims[] = {
    { EMESH_PROTOCOL_CAN_SUBSCRIBE, "SUBSCRIBE" },
    { EMESH_PROTOCOL_CAN_REQUEST, "REQUEST" },
    { EMESH_PROTOCOL_CAN_REDIRECT, "REDIRECT" },
    { EMESH_PROTOCOL_CAN_PUSH_HTTP, "PUSH_HTTP" },
    { 0, NULL },
};

static const claim_name storage_claims[] = {
    { EMESH_STORE_CAN_GROUPS, "GROUPS" },
    { EMESH_STORE_CAN_ACK_EACH, "ACK_EACH" },
    { EMESH_STORE_CAN_REPLAY, "REPLAY" },
    { EMESH_STORE_CAN_TIME, "TIME" },
    { EMESH_STORE_CAN_DELAY, "DELAY" },
    { EMESH_STORE_CAN_RETRY, "RETRY" },
    { EMESH_STORE_CAN_INBOX, "INBOX" },
    { EMESH_STORE_CAN_UNIT, "UNIT" },
    { EMESH_STORE_CAN_REPLY, "REPLY" },
    { EMESH_STORE_CAN_TRIM, "TRIM" },
    { EMESH_STORE_CAN_ORDER, "ORDER" },
    { EMESH_STORE_UNIFORM, "UNIFORM" },
    { EMESH_STORE_CAN_WATCH, "WATCH" },
    { 0, NULL },
};

static const char *const type_names[] = { "?",    "true or false", "whole number", "number",
                                          "text", "choice",        "duration",     "size",
                                          "URL",  "path",          "host:port",    "map" };

static const char *const lane_names[] = { "home (one worker)", "workers (one on each)", "glib" };

static char *
claims_text(const emesh_component *component)
{
    const claim_name *known =
        strcmp(component->kind, EMESH_STORAGE_KIND) == 0 ? storage_claims : protocol_claims;
    GString *text = g_string_new(NULL);
    uint64_t left = component->claims;
    for (; known->name != NULL; known++) {
        if ((left & known->bit) == 0)
            continue;
        g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", known->name);
        left &= ~known->bit;
    }
    if (left != 0)
        g_string_append_printf(text, "%s0x%" G_GINT64_MODIFIER "x", text->len > 0 ? " " : "", left);
    return g_string_free(text, FALSE);
}

static char *
needs_text(const emesh_component *component)
{
    GString *text = g_string_new(NULL);
    for (uint32_t i = 0; i < component->n_needs; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", component->needs[i].id);
    return g_string_free(text, FALSE);
}

/* A bound in the unit that a configuration file would use. */
static void
append_bound(GString *text, uint32_t type, int64_t value)
{
    static const struct {
        int64_t unit;
        const char *name;
    } sizes[] = { { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" } },
      times[] = { { 3600 * INT64_C(1000000000), "h" },
                  { 60 * INT64_C(1000000000), "m" },
                  { 1000000000, "s" },
                  { 1000000, "ms" },
                  { 1000, "us" } };
    for (gsize i = 0; type == EMESH_OPT_SIZE && i < G_N_ELEMENTS(sizes); i++) {
        if (value != 0 && value % sizes[i].unit == 0) {
            g_string_append_printf(text, "%" G_GINT64_FORMAT "%s", value / sizes[i].unit,
                                   sizes[i].name);
            return;
        }
    }
    for (gsize i = 0; type == EMESH_OPT_DURATION && i < G_N_ELEMENTS(times); i++) {
        if (value != 0 && value % times[i].unit == 0) {
            g_string_append_printf(text, "%" G_GINT64_FORMAT "%s", value / times[i].unit,
                                   times[i].name);
            return;
        }
    }
    g_string_append_printf(text, "%" G_GINT64_FORMAT, value);
}

static char *
range_text(const emesh_option *option)
{
    GString *text = g_string_new(NULL);
    if (option->type == EMESH_OPT_CHOICE && option->choices != NULL) {
        g_string_append(text, option->choices);
    } else if (option->min != 0 || option->max != 0) {
        append_bound(text, option->type, option->min);
        g_string_append(text, "..");
        if (option->max < INT64_MAX)
            append_bound(text, option->type, option->max);
    }
    return g_string_free(text, FALSE);
}

static void
row_option(const char *component, const char *scope, const emesh_option *option,
           emesh_command_reply *reply)
{
    g_autofree char *range = range_text(option);
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "option", -1);
    emesh_row_text(row, "component", component, -1);
    emesh_row_text(row, "section", scope, -1);
    emesh_row_text(row, "option", option->name, -1);
    emesh_row_text(row, "type",
                   type_names[option->type < G_N_ELEMENTS(type_names) ? option->type : 0], -1);
    emesh_row_text(row, "default", option->value, -1);
    emesh_row_text(row, "range", range, -1);
    emesh_row_flag(row, "required", (option->must & EMESH_OPT_REQUIRED) != 0);
    emesh_row_flag(row, "repeated", (option->must & EMESH_OPT_REPEATED) != 0);
    emesh_row_flag(row, "secret", (option->must & EMESH_OPT_SECRET) != 0);
    emesh_row_flag(row, "live", (option->may & EMESH_OPT_LIVE) != 0);
    emesh_row_flag(row, "deprecated", (option->may & EMESH_OPT_DEPRECATED) != 0);
    emesh_row_text(row, "help", option->help, -1);
    emesh_row_send(row, reply);
}

static void
rows_options(const emesh_component *component, const char *scope, const emesh_option *options,
             uint32_t n, const emesh_option_group *groups, uint32_t n_groups,
             emesh_command_reply *reply)
{
    GStringChunk *names = g_string_chunk_new(256);
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    g_autoptr(GArray) declared =
        emesh_declare(options, n, component->option_size, groups, n_groups, names, &problems);
    for (uint32_t i = 0; i < declared->len; i++) {
        const emesh_declared *d = &g_array_index(declared, emesh_declared, i);
        if ((d->option.may & EMESH_OPT_HIDDEN) == 0)
            row_option(component->name, scope, &d->option, reply);
    }
    g_string_chunk_free(names);
}

static void
row_component(const emesh_component *component, emesh_command_reply *reply)
{
    g_autofree char *claims = claims_text(component);
    g_autofree char *needs = needs_text(component);
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "component", -1);
    emesh_row_text(row, "component", component->name, -1);
    emesh_row_text(row, "is", component->kind, -1);
    emesh_row_text(row, "summary", component->summary, -1);
    emesh_row_text(row, "claims", claims, -1);
    emesh_row_text(row, "lanes",
                   component->lanes < G_N_ELEMENTS(lane_names) ? lane_names[component->lanes] : "?",
                   -1);
    emesh_row_text(row, "needs", needs, -1);
    emesh_row_send(row, reply);
}

void
emesh_plugin_describe(const emesh_plugin *plugin, const char *path, emesh_command_reply *reply)
{
    g_autofree char *abi = g_strdup_printf("%u.%u", EMESH_ABI_MAJOR, plugin->abi_minor);
    g_autofree char *oldest = g_strdup_printf("%u.%u", EMESH_ABI_MAJOR, plugin->abi_min);
    emesh_row_builder *row = emesh_row_new();
    emesh_row_text(row, "kind", "plugin", -1);
    emesh_row_text(row, "id", plugin->id, -1);
    emesh_row_text(row, "file", path, -1);
    emesh_row_text(row, "version", plugin->version, -1);
    emesh_row_text(row, "abi", abi, -1);
    emesh_row_text(row, "oldest-host", oldest, -1);
    emesh_row_text(row, "licence", plugin->licence, -1);
    emesh_row_text(row, "vendor", plugin->vendor, -1);
    emesh_row_text(row, "summary", plugin->summary, -1);
    emesh_row_send(row, reply);
    for (uint32_t i = 0; i < plugin->n_components; i++) {
        const emesh_component *component = plugin->components[i];
        row_component(component, reply);
        rows_options(component, "options", component->options, component->n_options,
                     component->groups, component->n_groups, reply);
        if (strcmp(component->kind, EMESH_STORAGE_KIND) != 0)
            continue;
        emesh_storage_ops ops = { .size = 0 };
        const uint32_t *size = component->ops;
        memcpy(&ops, component->ops, MIN(*size, sizeof ops));
        rows_options(component, "topic", ops.topic_options, ops.n_topic_options, NULL, 0, reply);
        rows_options(component, "group", ops.group_options, ops.n_group_options, NULL, 0, reply);
    }
}
