/* SPDX-License-Identifier: Apache-2.0
 *
 * The conf.d sample of a component, made of the same table that checks it.
 */
#include "options.h"
#include "value.h"
#include <string.h>

#define COLUMNS 90u

/* "# " and the words of text, broken at COLUMNS. */
static void
comment(GString *out, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    size_t column = 0;
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (column == 0 || column + 1 + strlen(words[i]) > COLUMNS) {
            g_string_append(out, column == 0 ? "#" : "\n#");
            column = 1;
        }
        g_string_append_printf(out, " %s", words[i]);
        column += 1 + strlen(words[i]);
    }
    g_string_append_c(out, '\n');
}

/* What stands behind the "=" of a key without default. */
static const char *
example(const emesh_option *option)
{
    switch (option->type) {
    case EMESH_OPT_BOOL:
        return "false";
    case EMESH_OPT_DURATION:
        return "10s";
    case EMESH_OPT_SIZE:
        return "1MiB";
    case EMESH_OPT_URL:
        return "http://host/path";
    case EMESH_OPT_PATH:
        return "/path/to/file";
    case EMESH_OPT_ADDRESS:
        return "127.0.0.1:10000";
    case EMESH_OPT_INT:
    case EMESH_OPT_REAL:
        return "1";
    default:
        return "value";
    }
}

/* "duration, 1s to 1h, required, may be repeated, takes effect on reload" */
static void
describe(GString *out, const emesh_option *option)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (option->type == EMESH_OPT_CHOICE) {
        g_auto(GStrv) choices = g_strsplit(option->choices, "|", -1);
        g_autofree char *list = g_strjoinv(", ", choices);
        g_string_printf(text, "one of: %s", list);
    } else {
        g_string_assign(text, emesh_value_type_name(option->type));
    }
    g_autofree char *range = emesh_value_range(option->type, option->min, option->max);
    if (range != NULL)
        g_string_append_printf(text, ", %s", range);
    if ((option->must & EMESH_OPT_REQUIRED) != 0)
        g_string_append(text, "; required");
    if ((option->must & EMESH_OPT_REPEATED) != 0)
        g_string_append(text, "; may be repeated");
    if ((option->must & EMESH_OPT_SECRET) != 0 && option->type != EMESH_OPT_MAP)
        g_string_append(text, "; secret");
    if ((option->may & EMESH_OPT_LIVE) != 0)
        g_string_append(text, "; a reload changes it without restart");
    comment(out, text->str);
}

static void
add_option(GString *out, const emesh_option *option, const char *prefix)
{
    if ((option->may & (EMESH_OPT_HIDDEN | EMESH_OPT_DEPRECATED)) != 0)
        return;
    g_string_append_c(out, '\n');
    if (option->help != NULL)
        comment(out, option->help);
    describe(out, option);
    if (option->type == EMESH_OPT_MAP)
        g_string_append_printf(out, "#%s%.*sname = value\n", prefix,
                               (int)emesh_map_prefix(option->name), option->name);
    else if (option->type == EMESH_OPT_CHOICE && option->value == NULL)
        g_string_append_printf(out, "#%s%s = %.*s\n", prefix, option->name,
                               (int)strcspn(option->choices, "|"), option->choices);
    else
        g_string_append_printf(out, "#%s%s = %s\n", prefix, option->name,
                               option->value != NULL ? option->value : example(option));
}

char *
emesh_config_sample(const char *component, const char *summary, const emesh_option *options,
                    uint32_t n, uint32_t option_size, const emesh_option_group *groups,
                    uint32_t n_groups)
{
    GString *out = g_string_new(NULL);
    g_autofree char *title = g_strdup_printf("%s: %s", component, summary);
    comment(out, title);
    g_string_append(out, "#\n");
    comment(out, "A key behind # shows its default, or an example where there is none. See "
                 "eventmesh.conf(5).");
    g_string_append_printf(out, "\n[instance]\ncomponent = %s\n", component);
    uint32_t n_instance;
    const emesh_option *instance = emesh_instance_option_table(&n_instance);
    for (uint32_t i = 0; i < n_instance; i++)
        if (instance[i].value != NULL)
            add_option(out, &instance[i], "");

    g_string_append(out, "\n[options]\n");
    for (uint32_t g = 0; g < n_groups; g++) {
        uint32_t n_table;
        const emesh_option *table = emesh_option_group_table(groups[g].id, &n_table);
        for (uint32_t i = 0; i < n_table; i++)
            add_option(out, &table[i], groups[g].prefix != NULL ? groups[g].prefix : "");
    }
    for (uint32_t i = 0; i < n; i++) {
        emesh_option option;
        if (emesh_option_take(options, i, option_size, &option))
            add_option(out, &option, "");
    }
    return g_string_free(out, FALSE);
}
