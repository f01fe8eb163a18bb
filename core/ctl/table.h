/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows as tables and values as people write them. Pure: text in, text out.
 */
#pragma once
#include <json-glib/json-glib.h>
#include <stdbool.h>

typedef enum ctl_format {
    CTL_TEXT,
    CTL_STATE, /* text that is good or bad news */
    CTL_COUNT, /* 1234567 → 1.2 M */
    CTL_BYTES, /* 1234567 → 1.2 MiB */
    CTL_AGO,   /* Unix ms → 3m ago */
    CTL_SPAN,  /* ms → 7d */
    CTL_FLAG,  /* true → yes */
} ctl_format;

typedef struct ctl_column { /* a table of them ends with a NULL field */
    const char *field;
    const char *heading;
    ctl_format format;
} ctl_column;

/* Appends the rows (of one kind when kind is not NULL) as an aligned table, without a column that
 * is empty throughout. Returns the number of rows. */
guint ctl_table(GString *out, JsonArray *rows, const char *kind, const ctl_column *columns,
                bool colour, gint64 now_ms);
/* One value as text; never NULL. Given. */
char *ctl_cell(JsonObject *row, const ctl_column *column, gint64 now_ms);
/* Text of a field, "" when absent. Given. */
char *ctl_field(JsonObject *row, const char *field);

char *ctl_count_text(guint64 n);
char *ctl_bytes_text(guint64 n);
char *ctl_span_text(guint64 ms);
char *ctl_ago_text(gint64 then_ms, gint64 now_ms);
/* What a terminal may be shown: control characters and broken UTF-8 as \xNN. Given. */
char *ctl_clean(const char *text, gssize len);
/* Columns that text takes. */
guint ctl_width(const char *text);

/* ESC sequences, or "" without colour. */
const char *ctl_dim(bool colour);
const char *ctl_bold(bool colour);
const char *ctl_plain(bool colour);
