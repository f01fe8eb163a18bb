/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows as aligned tables: columns as wide as their content, numbers to the right, headings dim.
 */
#include "ctl/table.h"

#include <string.h>

#define GAP 2

char *
ctl_field(JsonObject *row, const char *field)
{
    JsonNode *node = json_object_get_member(row, field);
    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node))
        return g_strdup("");
    GType held = json_node_get_value_type(node);
    if (held == G_TYPE_STRING)
        return ctl_clean(json_node_get_string(node), -1);
    if (held == G_TYPE_INT64)
        return g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
    if (held == G_TYPE_BOOLEAN)
        return g_strdup(json_node_get_boolean(node) ? "yes" : "");
    return g_strdup_printf("%g", json_node_get_double(node));
}

/* The field as a number; false when it is none. */
static bool
field_number(JsonObject *row, const char *field, gint64 *out)
{
    JsonNode *node = json_object_get_member(row, field);
    if (node == NULL || !JSON_NODE_HOLDS_VALUE(node) ||
        json_node_get_value_type(node) != G_TYPE_INT64)
        return false;
    *out = json_node_get_int(node);
    return true;
}

char *
ctl_cell(JsonObject *row, const ctl_column *column, gint64 now_ms)
{
    gint64 n = 0;
    if (column->format == CTL_TEXT || column->format == CTL_STATE || column->format == CTL_FLAG ||
        !field_number(row, column->field, &n))
        return ctl_field(row, column->field);
    guint64 size = (guint64)MAX(n, 0);
    switch (column->format) {
    case CTL_COUNT:
        return ctl_count_text(size);
    case CTL_BYTES:
        return ctl_bytes_text(size);
    case CTL_SPAN:
        return size == 0 ? g_strdup("") : ctl_span_text(size);
    default:
        return ctl_ago_text(n, now_ms);
    }
}

static bool
to_the_right(ctl_format format)
{
    return format == CTL_COUNT || format == CTL_BYTES || format == CTL_SPAN;
}

static const char *
state_colour(const char *text)
{
    static const char *const good[] = { "ok", "running", "ready" };
    static const char *const bad[] = { "failed", "error" };
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++)
        if (strcmp(text, good[i]) == 0)
            return "\x1b[32m";
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++)
        if (strcmp(text, bad[i]) == 0)
            return "\x1b[31m";
    return "\x1b[33m";
}

static void
append_padded(GString *out, const char *text, guint width, bool right, const char *before,
              const char *after, bool last)
{
    guint own = ctl_width(text);
    guint pad = width > own ? width - own : 0;
    if (right)
        g_string_append_printf(out, "%*s", (int)pad, "");
    g_string_append_printf(out, "%s%s%s", before, text, after);
    if (!last)
        g_string_append_printf(out, "%*s", (int)(GAP + (right ? 0 : pad)), "");
}

/* All cells of the rows that count, row by row. Given. */
static GPtrArray *
cells_of(JsonArray *rows, const char *kind, const ctl_column *columns, gint64 now_ms)
{
    GPtrArray *cells = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        if (kind != NULL &&
            g_strcmp0(json_object_get_string_member_with_default(row, "kind", ""), kind) != 0)
            continue;
        for (const ctl_column *c = columns; c->field != NULL; c++)
            g_ptr_array_add(cells, ctl_cell(row, c, now_ms));
    }
    return cells;
}

guint
ctl_table(GString *out, JsonArray *rows, const char *kind, const ctl_column *columns, bool colour,
          gint64 now_ms)
{
    guint n_columns = 0, last = 0;
    while (columns[n_columns].field != NULL)
        n_columns++;
    g_autoptr(GPtrArray) cells = cells_of(rows, kind, columns, now_ms);
    if (cells->len == 0)
        return 0;
    g_autofree guint *width = g_new0(guint, n_columns); /* 0: empty throughout, left out */
    for (guint i = 0; i < cells->len; i++)
        width[i % n_columns] = MAX(width[i % n_columns], ctl_width(g_ptr_array_index(cells, i)));
    for (guint c = 0; c < n_columns; c++) {
        if (width[c] == 0)
            continue;
        width[c] = MAX(width[c], ctl_width(columns[c].heading));
        last = c;
    }
    for (guint c = 0; c < n_columns; c++)
        if (width[c] > 0)
            append_padded(out, columns[c].heading, width[c], to_the_right(columns[c].format),
                          ctl_dim(colour), ctl_plain(colour), c == last);
    g_string_append_c(out, '\n');
    for (guint i = 0; i < cells->len; i++) {
        guint c = i % n_columns;
        const char *text = g_ptr_array_index(cells, i);
        bool paint = colour && columns[c].format == CTL_STATE && *text != '\0';
        if (width[c] > 0)
            append_padded(out, text, width[c], to_the_right(columns[c].format),
                          paint ? state_colour(text) : "", paint ? ctl_plain(true) : "", c == last);
        if (c == n_columns - 1)
            g_string_append_c(out, '\n');
    }
    return cells->len / n_columns;
}
