/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows for programs: a JSON array, one row a line.
 */
#include "ctl/output.h"
#include "admin/json.h"

void
ctl_print_json(ctl *c, JsonArray *rows)
{
    guint n = json_array_get_length(rows);
    fputs("[", c->out);
    for (guint i = 0; i < n; i++) {
        g_autofree char *text = emesh_json_text(json_array_get_element(rows, i), false, NULL);
        fprintf(c->out, "%s\n  %s", i > 0 ? "," : "", text);
    }
    fputs(n > 0 ? "\n]\n" : "]\n", c->out);
}

void
ctl_print_node(ctl *c, JsonNode *node)
{
    g_autofree char *text = emesh_json_text(node, false, NULL);
    fprintf(c->out, "%s\n", text);
}
