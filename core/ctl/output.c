/* SPDX-License-Identifier: Apache-2.0
 *
 * How commands print.
 */
#include "ctl/output.h"

void
ctl_print_table(ctl *c, JsonArray *rows, const char *kind, const ctl_column *columns,
                const char *empty)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (ctl_table(text, rows, kind, columns, c->colour, c->now_ms) == 0)
        fprintf(c->out, "%s\n", empty);
    else
        fputs(text->str, c->out);
}

void
ctl_print_section(ctl *c, JsonArray *rows, const char *title, const char *kind,
                  const ctl_column *columns)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (ctl_table(text, rows, kind, columns, c->colour, c->now_ms) > 0)
        fprintf(c->out, "\n%s%s%s\n%s", ctl_bold(c->colour), title, ctl_plain(c->colour),
                text->str);
}

int
ctl_print_rows(ctl *c, const char *verb, JsonObject *args, const ctl_column *columns,
               const char *empty)
{
    int code = CTL_OK;
    g_autoptr(JsonArray) rows = ctl_rows(c, verb, args, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        ctl_print_table(c, rows, NULL, columns, empty);
    return CTL_OK;
}

JsonObject *
ctl_row_of_kind(JsonArray *rows, const char *kind)
{
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        if (g_strcmp0(json_object_get_string_member_with_default(row, "kind", ""), kind) == 0)
            return row;
    }
    return NULL;
}
