/* SPDX-License-Identifier: Apache-2.0
 *
 * plugin list, plugin show, plugin sample.
 */
#include "ctl/output.h"

#include <string.h>

static const ctl_column instances[] = {
    { "instance", "INSTANCE", CTL_TEXT },
    { "component", "COMPONENT", CTL_TEXT },
    { "version", "VERSION", CTL_TEXT },
    { "state", "STATE", CTL_STATE },
    { "health", "HEALTH", CTL_STATE },
    { "reason", "REASON", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column files[] = {
    { "plugin", "PLUGIN", CTL_TEXT },
    { "instances", "USED BY", CTL_COUNT },
    { "file", "FILE", CTL_TEXT },
    { NULL, NULL, CTL_TEXT },
};

static const ctl_column options[] = {
    { "option", "OPTION", CTL_TEXT },         { "type", "TYPE", CTL_TEXT },
    { "default", "DEFAULT", CTL_TEXT },       { "range", "RANGE", CTL_TEXT },
    { "required", "REQUIRED", CTL_FLAG },     { "repeated", "REPEATED", CTL_FLAG },
    { "secret", "SECRET", CTL_FLAG },         { "live", "LIVE", CTL_FLAG },
    { "deprecated", "DEPRECATED", CTL_FLAG }, { NULL, NULL, CTL_TEXT },
};

int
ctl_plugin_list(ctl *c, char **args, int n)
{
    int code = CTL_OK;
    (void)args, (void)n;
    g_autoptr(JsonArray) rows = ctl_rows(c, "plugin.list", NULL, &code);
    if (rows == NULL)
        return code;
    if (c->opt.json) {
        ctl_print_json(c, rows);
        return CTL_OK;
    }
    ctl_print_table(c, rows, "instance", instances, "no instances");
    ctl_print_section(c, rows, "Files", "file", files);
    return CTL_OK;
}

/* "name  value" lines; a field that is empty is left out. */
static void
print_facts(ctl *c, JsonObject *row, const char *const *fields)
{
    for (; *fields != NULL; fields++) {
        g_autofree char *value = ctl_field(row, *fields);
        if (*value != '\0')
            fprintf(c->out, "  %s%-12s%s %s\n", ctl_dim(c->colour), *fields, ctl_plain(c->colour),
                    value);
    }
}

/* The rows of kind option of one component and section. Given. */
static JsonArray *
options_of(JsonArray *rows, const char *component, const char *section)
{
    JsonArray *some = json_array_new();
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        g_autofree char *kind = ctl_field(row, "kind");
        g_autofree char *owner = ctl_field(row, "component");
        g_autofree char *where = ctl_field(row, "section");
        if (strcmp(kind, "option") == 0 && strcmp(owner, component) == 0 &&
            strcmp(where, section) == 0)
            json_array_add_object_element(some, json_object_ref(row));
    }
    return some;
}

/* The table of options, each line followed by what the option means. */
static void
print_options(ctl *c, JsonArray *rows, const char *title)
{
    g_autoptr(GString) text = g_string_new(NULL);
    guint n = ctl_table(text, rows, NULL, options, c->colour, c->now_ms);
    if (n == 0)
        return;
    g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
    fprintf(c->out, "\n%s%s%s\n%s\n", ctl_bold(c->colour), title, ctl_plain(c->colour), lines[0]);
    for (guint i = 0; i < n; i++) {
        g_autofree char *help = ctl_field(json_array_get_object_element(rows, i), "help");
        fprintf(c->out, "%s\n", lines[1 + i]);
        if (*help != '\0')
            fprintf(c->out, "    %s%s%s\n", ctl_dim(c->colour), help, ctl_plain(c->colour));
    }
}

static void
print_component(ctl *c, JsonArray *rows, JsonObject *row)
{
    static const char *const facts[] = { "is", "summary", "claims", "lanes", "needs", NULL };
    static const struct {
        const char *section, *title;
    } parts[] = { { "options", "[options]" },
                  { "topic", "[topic …], after the instance's name and a dot" },
                  { "group", "[group …], after the instance's name and a dot" } };
    g_autofree char *name = ctl_field(row, "component");
    fprintf(c->out, "\n%scomponent %s%s\n", ctl_bold(c->colour), name, ctl_plain(c->colour));
    print_facts(c, row, facts);
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(JsonArray) some = options_of(rows, name, parts[i].section);
        print_options(c, some, parts[i].title);
    }
}

static void
print_plugin(ctl *c, JsonArray *rows)
{
    static const char *const facts[] = { "file",    "version", "abi",     "oldest-host",
                                         "licence", "vendor",  "summary", NULL };
    JsonObject *plugin = ctl_row_of_kind(rows, "plugin");
    if (plugin != NULL) {
        g_autofree char *id = ctl_field(plugin, "id");
        fprintf(c->out, "%splugin %s%s\n", ctl_bold(c->colour), id, ctl_plain(c->colour));
        print_facts(c, plugin, facts);
    }
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        g_autofree char *kind = ctl_field(row, "kind");
        if (strcmp(kind, "component") == 0)
            print_component(c, rows, row);
    }
    ctl_print_section(c, rows, "Instances", "instance", instances);
}

int
ctl_plugin_show(ctl *c, char **args, int n)
{
    int code = CTL_UNREACHABLE;
    (void)n;
    g_autoptr(JsonArray) rows = NULL;
    if (c->opt.plugin_dirs == NULL && strchr(args[0], '/') == NULL) {
        JsonObject *call = json_object_new();
        json_object_set_string_member(call, "name", args[0]);
        rows = ctl_rows(c, "plugin.show", call, &code);
        if (rows == NULL)
            return code;
    }
    /* a file that the daemon has found but not loaded is read here */
    JsonObject *found = rows == NULL ? NULL : ctl_row_of_kind(rows, "file");
    if (rows == NULL || found != NULL) {
        g_autofree char *path = found == NULL ? g_strdup(args[0]) : ctl_field(found, "file");
        JsonArray *own = ctl_offline_plugin(c, path);
        if (own == NULL)
            return CTL_REFUSED;
        g_clear_pointer(&rows, json_array_unref);
        rows = own;
    }
    if (c->opt.json)
        ctl_print_json(c, rows);
    else
        print_plugin(c, rows);
    return CTL_OK;
}

int
ctl_plugin_sample(ctl *c, char **args, int n)
{
    (void)n;
    g_autofree char *sample = ctl_offline_sample(c, args[0]);
    if (sample == NULL)
        return CTL_REFUSED;
    fputs(sample, c->out);
    return CTL_OK;
}
