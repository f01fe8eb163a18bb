/* SPDX-License-Identifier: Apache-2.0
 *
 * config check, config show.
 */
#include "ctl/output.h"

#include <string.h>

static const ctl_column values[] = {
    { "section", "SECTION", CTL_TEXT }, { "key", "KEY", CTL_TEXT }, { "value", "VALUE", CTL_TEXT },
    { "origin", "FROM", CTL_TEXT },     { NULL, NULL, CTL_TEXT },
};

/* Problems one a line, as a compiler does, then the verdict. */
static int
print_check(ctl *c, JsonArray *rows)
{
    JsonObject *verdict = ctl_row_of_kind(rows, "verdict");
    bool good =
        verdict != NULL && json_object_get_boolean_member_with_default(verdict, "good", FALSE);
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return good ? CTL_OK : CTL_REFUSED;
    }
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        g_autofree char *text = ctl_field(json_array_get_object_element(rows, i), "problem");
        if (*text != '\0')
            fprintf(c->out, "%s\n", text);
    }
    if (verdict == NULL)
        return CTL_REFUSED;
    g_autofree char *conf = ctl_field(verdict, "conf");
    g_autofree char *problems = ctl_field(verdict, "problems");
    g_autofree char *instances = ctl_field(verdict, "instances");
    g_autofree char *disabled = ctl_field(verdict, "disabled");
    if (good)
        fprintf(c->out, "good: %s instances, %s disabled (%s)\n", instances, disabled, conf);
    else
        fprintf(c->out, "%s problems (%s)\n", problems, conf);
    return good ? CTL_OK : CTL_REFUSED;
}

int
ctl_config_check(ctl *c, char **args, int n)
{
    int code = CTL_UNREACHABLE;
    (void)args, (void)n;
    g_autoptr(JsonArray) rows = NULL;
    /* a running daemon knows its own folders; what was named here is checked here */
    if (c->opt.conf == NULL && c->opt.plugin_dirs == NULL)
        rows = ctl_rows_if_up(c, "config.check", NULL, &code);
    if (rows == NULL && code == CTL_REFUSED)
        return code;
    if (rows == NULL) {
        if (c->opt.conf == NULL && !c->opt.json)
            fprintf(stderr, "no daemon runs: the folders are checked here\n");
        rows = ctl_offline_check(c);
    }
    return print_check(c, rows);
}

int
ctl_config_show(ctl *c, char **args, int n)
{
    JsonObject *call = json_object_new();
    if (n > 0)
        json_object_set_string_member(call, "instance", args[0]);
    return ctl_print_rows(c, "config.show", call, values, "no values");
}
