/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes option tables in, and judges them: a component whose table is wrong is refused before it is
 * configured.
 */
#include "table.h"
#include "value.h"
#include <inttypes.h>
#include <string.h>

#define OPTIONS_MOST 4096u
#define NAME_MOST 63u /* emesh_error.option holds it */
#define STRIDE_LEAST (offsetof(emesh_option, must) + sizeof(uint32_t))
#define STRIDE_MOST 4096u
#define MUST_KNOWN (EMESH_OPT_REQUIRED | EMESH_OPT_REPEATED | EMESH_OPT_SECRET)

bool
emesh_option_take(const emesh_option *options, uint32_t i, uint32_t option_size, emesh_option *out)
{
    memset(out, 0, sizeof *out);
    if (option_size < STRIDE_LEAST || option_size > STRIDE_MOST ||
        option_size % _Alignof(emesh_option) != 0)
        return false;
    const char *from = (const char *)options + (size_t)option_size * i;
    memcpy(out, from, MIN(option_size, sizeof *out));
    for (size_t at = sizeof *out; at < option_size; at++)
        if (from[at] != 0)
            return false;
    return true;
}

bool
emesh_option_glob(const char *globs, const char *text)
{
    g_auto(GStrv) each = g_strsplit(globs != NULL ? globs : "", "|", -1);
    for (uint32_t i = 0; each[i] != NULL; i++)
        if (each[i][0] != '\0' && g_pattern_match_simple(each[i], text))
            return true;
    return false;
}

static bool
name_ok(const char *name, uint32_t type)
{
    if (name == NULL)
        return false;
    const size_t len = strlen(name);
    if (len == 0 || len > NAME_MOST || !g_ascii_isalnum(name[0]))
        return false;
    const bool map = type == EMESH_OPT_MAP;
    if (map && (len < 3 || strcmp(name + len - 2, ".*") != 0))
        return false;
    for (size_t i = 0; i < len - (map ? 1 : 0); i++)
        if (!g_ascii_islower(name[i]) && !g_ascii_isdigit(name[i]) &&
            strchr(".-_", name[i]) == NULL)
            return false;
    return true;
}

static void
judge_default(const emesh_option *option, emesh_problems *problems)
{
    if (option->value == NULL)
        return;
    if (option->type == EMESH_OPT_MAP) {
        emesh_problems_add(problems, "option table", option->name, "a map has no default");
        return;
    }
    int64_t i;
    double d;
    g_autofree char *why = emesh_value_parse(option->type, option->value, option->choices,
                                             option->min, option->max,
                                             (option->must & EMESH_OPT_SECRET) == 0, &i, &d);
    if (why != NULL)
        emesh_problems_add(problems, "option table", option->name, "default: %s", why);
}

static bool
may_have_range(uint32_t type)
{
    return type == EMESH_OPT_INT || type == EMESH_OPT_REAL || type == EMESH_OPT_TEXT ||
           type == EMESH_OPT_DURATION || type == EMESH_OPT_SIZE;
}

/* One element of a table, all that can be said without its neighbours. */
static void
judge(const emesh_option *option, emesh_problems *problems)
{
    const char *name = option->name;
    if (emesh_value_type_name(option->type) == NULL) {
        emesh_problems_add(problems, "option table", name, "type %u is unknown to this version",
                           option->type);
        return;
    }
    if ((option->must & ~MUST_KNOWN) != 0)
        emesh_problems_add(problems, "option table", name,
                           "must bits 0x%x are unknown to this version",
                           option->must & ~MUST_KNOWN);
    if (option->type == EMESH_OPT_CHOICE && (option->choices == NULL || option->choices[0] == '\0'))
        emesh_problems_add(problems, "option table", name, "a choice without choices");
    if (option->type == EMESH_OPT_MAP && (option->must & EMESH_OPT_REPEATED) != 0)
        emesh_problems_add(problems, "option table", name, "a map cannot be repeated");
    if (option->type == EMESH_OPT_MAP && (option->must & EMESH_OPT_SECRET) != 0 &&
        option->choices == NULL)
        emesh_problems_add(problems, "option table", name,
                           "a map with secrets lists their globs in choices");
    if (option->min > option->max)
        emesh_problems_add(problems, "option table", name,
                           "min %" PRId64 " is above max %" PRId64 "; INT64_MAX is no limit",
                           option->min, option->max);
    else if ((option->min != 0 || option->max != 0) && !may_have_range(option->type))
        emesh_problems_add(problems, "option table", name, "a %s has no range",
                           emesh_value_type_name(option->type));
    else
        judge_default(option, problems);
}

static void
declare_one(GArray *all, GHashTable *names, const emesh_option *option, uint32_t group,
            emesh_problems *problems)
{
    if (!name_ok(option->name, option->type)) {
        emesh_problems_add(problems, "option table", option->name,
                           "the name of an option is 1 to %u of a-z, 0-9, \"-\", \"_\" and \".\"; "
                           "a map's, and only that, ends in \".*\"", NAME_MOST);
        return;
    }
    if (!g_hash_table_add(names, (gpointer)option->name)) {
        emesh_problems_add(problems, "option table", option->name,
                           group == 0 ? "declared twice"
                                      : "declared twice: by the component and by an option group, "
                                        "or by two groups; give the group a prefix");
        return;
    }
    const emesh_declared declared = { .option = *option, .group = group };
    g_array_append_val(all, declared);
}

GArray *
emesh_declare(const emesh_option *options, uint32_t n_options, uint32_t option_size,
              const emesh_option_group *groups, uint32_t n_groups, GStringChunk *chunk,
              emesh_problems *problems)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(emesh_declared));
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    if (n_options > OPTIONS_MOST || n_groups > OPTIONS_MOST) {
        emesh_problems_add(problems, "option table", NULL, "%u options and %u groups; at most %u",
                           n_options, n_groups, OPTIONS_MOST);
        return all;
    }
    for (uint32_t i = 0; i < n_options; i++) {
        emesh_option option;
        if (!emesh_option_take(options, i, option_size, &option)) {
            emesh_problems_add(problems, "option table", NULL,
                               "element %u of %u bytes needs a newer host", i, option_size);
            return all;
        }
        if (option.name != NULL)
            option.name = g_string_chunk_insert_const(chunk, option.name);
        declare_one(all, names, &option, 0, problems);
    }
    for (uint32_t g = 0; g < n_groups; g++) {
        uint32_t n;
        const emesh_option *table = emesh_option_group_table(groups[g].id, &n);
        if (table == NULL) {
            emesh_problems_add(problems, "option table", groups[g].id,
                               "unknown option group; this version has emesh.listen/1 and "
                               "emesh.dial/1");
            continue;
        }
        for (uint32_t i = 0; i < n; i++) {
            emesh_option option = table[i];
            g_autofree char *name = g_strconcat(groups[g].prefix != NULL ? groups[g].prefix : "",
                                                option.name, NULL);
            option.name = g_string_chunk_insert_const(chunk, name);
            declare_one(all, names, &option, g + 1, problems);
        }
    }
    return all;
}

bool
emesh_options_check(const emesh_option *options, uint32_t n, uint32_t option_size, GError **error)
{
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    g_autoptr(GStringChunk) chunk = g_string_chunk_new(1024);
    g_autoptr(GArray) all = emesh_declare(options, n, option_size, NULL, 0, chunk, &problems);
    for (uint32_t i = 0; i < all->len; i++)
        judge(&g_array_index(all, emesh_declared, i).option, &problems);
    return emesh_problems_end(&problems, error);
}
