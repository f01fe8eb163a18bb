/* SPDX-License-Identifier: Apache-2.0
 *
 * From the entries of a section to typed values by a table of declared options.
 */
#include "options.h"
#include "value.h"
#include <string.h>

static void
value_clear(gpointer data)
{
    emesh_config_value *value = data;
    explicit_bzero(value->text, value->len);
    g_free(value->text);
    g_free(value->origin);
    g_free(value->key);
}

static void
option_clear(gpointer data)
{
    emesh_config_option *option = data;
    g_array_unref(option->values);
}

static void
listener_clear(gpointer data)
{
    emesh_config_listener *listener = data;
    g_free(listener->addresses);
    g_free(listener->origins);
}

static emesh_config *
config_alloc(void)
{
    emesh_config *config = g_new0(emesh_config, 1);
    g_atomic_ref_count_init(&config->refs);
    config->names = g_string_chunk_new(1024);
    config->options = g_array_new(FALSE, FALSE, sizeof(emesh_config_option));
    g_array_set_clear_func(config->options, option_clear);
    config->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    config->listeners = g_array_new(FALSE, FALSE, sizeof(emesh_config_listener));
    g_array_set_clear_func(config->listeners, listener_clear);
    return config;
}

emesh_config *
emesh_config_ref(emesh_config *config)
{
    g_atomic_ref_count_inc(&config->refs);
    return config;
}

void
emesh_config_unref(emesh_config *config)
{
    if (config == NULL || !g_atomic_ref_count_dec(&config->refs))
        return;
    g_array_unref(config->listeners);
    g_hash_table_unref(config->by_name);
    g_array_unref(config->options);
    g_string_chunk_free(config->names);
    g_free(config);
}

static emesh_config_option *
option_at(const emesh_config *config, uint32_t i)
{
    return &g_array_index(config->options, emesh_config_option, i);
}

const emesh_config_option *
emesh_config_find(const emesh_config *config, const char *name)
{
    const uint32_t place = GPOINTER_TO_UINT(g_hash_table_lookup(config->by_name, name));
    return place != 0 ? option_at(config, place - 1) : NULL;
}

/* The option that key belongs to: declared so, or the map with the longest prefix of it. */
static emesh_config_option *
option_of_key(const emesh_config *config, const char *key)
{
    const emesh_config_option *found = emesh_config_find(config, key);
    if (found != NULL && found->option.type != EMESH_OPT_MAP)
        return option_at(config, (uint32_t)(found - option_at(config, 0)));
    size_t longest = 0;
    emesh_config_option *best = NULL;
    for (uint32_t i = 0; i < config->options->len; i++) {
        emesh_config_option *option = option_at(config, i);
        if (option->option.type != EMESH_OPT_MAP)
            continue;
        const size_t len = emesh_map_prefix(option->option.name);
        if (len > longest && strncmp(key, option->option.name, len) == 0 && key[len] != '\0') {
            longest = len;
            best = option;
        }
    }
    return best;
}

/* The section that does know key, as "[daemon]", or what [instance] is for; NULL: none. */
static const char *
right_place(const emesh_conf_section *section, const char *key)
{
    static const struct {
        const char *kind;
        const char *place;
        const emesh_option *(*table)(uint32_t *n);
    } sections[] = { { "instance", "it stands in [instance]", emesh_instance_option_table },
                     { "daemon", "it stands in [daemon]", emesh_daemon_option_table },
                     { "topic", "it stands in [topic NAME]", emesh_topic_option_table },
                     { "group", "it stands in [group NAME]", emesh_group_option_table } };
    for (size_t s = 0; s < G_N_ELEMENTS(sections); s++) {
        uint32_t n;
        const emesh_option *table = sections[s].table(&n);
        if (strcmp(section->kind, sections[s].kind) == 0)
            continue;
        for (uint32_t i = 0; i < n; i++)
            if (strcmp(table[i].name, key) == 0)
                return sections[s].place;
    }
    return strcmp(section->kind, "instance") == 0 ? "options of the component stand in [options]"
                                                  : NULL;
}

static void
add_unknown(const emesh_config *config, const emesh_conf_section *section,
            const emesh_conf_entry *entry, const char *name, emesh_problems *problems)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (uint32_t i = 0; i < config->options->len; i++)
        if ((option_at(config, i)->option.may & EMESH_OPT_HIDDEN) == 0)
            g_ptr_array_add(known, (gpointer)option_at(config, i)->option.name);
    const char *place = right_place(section, entry->key);
    const char *meant = emesh_suggest(name, (const char *const *)known->pdata, known->len);
    const int front = (int)(name - entry->key); /* "INSTANCE.", belongs to what is suggested */
    if (meant != NULL)
        emesh_problems_add(problems, entry->origin, entry->key,
                           "unknown key; did you mean \"%.*s%s\"?", front, entry->key, meant);
    else
        emesh_problems_add(problems, entry->origin, entry->key, "unknown key%s%s",
                           place != NULL ? "; " : "", place != NULL ? place : "");
}

static const emesh_config_value *
given_before(const emesh_config_option *option, const char *key)
{
    for (uint32_t i = 0; i < option->values->len; i++) {
        const emesh_config_value *value = &g_array_index(option->values, emesh_config_value, i);
        if (value->key == NULL || strcmp(value->key, key) == 0)
            return value;
    }
    return NULL;
}

/* Takes text, which is kept even when it is wrong: the origin of a second one names it. */
static void
add_value(emesh_config_option *option, char *text, const char *key, const char *shown_key,
          const char *origin, emesh_problems *problems)
{
    const emesh_option *o = &option->option;
    emesh_config_value value = { .text = text, .len = strlen(text), .origin = g_strdup(origin) };
    value.secret = (o->must & EMESH_OPT_SECRET) != 0;
    if (o->type == EMESH_OPT_MAP) {
        value.key = g_strdup(key);
        value.secret =
            value.secret && emesh_option_glob(o->choices, key + emesh_map_prefix(o->name));
    }
    g_autofree char *why = emesh_value_parse(o->type, text, o->choices, o->min, o->max,
                                             !value.secret, &value.i, &value.d);
    if (why != NULL)
        emesh_problems_add(problems, origin, shown_key, "%s", why);
    g_array_append_val(option->values, value);
}

static void
take_entry(emesh_config *config, const emesh_conf_section *section, const emesh_conf_entry *entry,
           const char *name, emesh_problems *problems)
{
    emesh_config_option *option = option_of_key(config, name);
    if (option == NULL) {
        add_unknown(config, section, entry, name, problems);
        return;
    }
    option->given = true;
    const emesh_config_value *before = given_before(option, name);
    if (before != NULL && (option->option.must & EMESH_OPT_REPEATED) == 0) {
        emesh_problems_add(problems, entry->origin, entry->key, "given twice; first in %s",
                           before->origin);
        return;
    }
    char *why = NULL;
    char *text = emesh_value_expand(entry->value, &why);
    if (text == NULL) {
        emesh_problems_add(problems, entry->origin, entry->key, "%s", why);
        g_free(why);
        return;
    }
    add_value(option, text, name, entry->key, entry->origin, problems);
}

/* The name that an entry's key is looked up by, NULL when it is not for this table. */
static const char *
key_in(const emesh_config_source *source, const char *key)
{
    const char *dot = strchr(key, '.');
    if (source->filter == EMESH_KEYS_PLAIN)
        return dot == NULL ? key : NULL;
    if (source->filter == EMESH_KEYS_ALL)
        return key;
    const size_t len = strlen(source->instance);
    return dot == key + len && strncmp(key, source->instance, len) == 0 ? dot + 1 : NULL;
}

static void
complete(emesh_config *config, const emesh_config_source *source, emesh_problems *problems)
{
    for (uint32_t i = 0; i < config->options->len; i++) {
        emesh_config_option *option = option_at(config, i);
        const emesh_option *o = &option->option;
        if (option->given)
            continue;
        if (o->value != NULL && o->type != EMESH_OPT_MAP)
            add_value(option, g_strdup(o->value), NULL, o->name, "default", problems);
        else if ((o->must & EMESH_OPT_REQUIRED) != 0)
            emesh_problems_add(problems, source->section != NULL ? source->section->origin : NULL,
                               o->name, "is required but not given (%s)",
                               emesh_value_type_name(o->type));
    }
}

emesh_config *
emesh_config_build(const emesh_config_source *source, const emesh_option *options,
                   uint32_t n_options, uint32_t option_size, const emesh_option_group *groups,
                   uint32_t n_groups, emesh_problems *problems)
{
    emesh_config *config = config_alloc();
    const uint32_t before = problems->n;
    g_autoptr(GArray) declared = emesh_declare(options, n_options, option_size, groups, n_groups,
                                               config->names, problems);
    if (problems->n > before)
        return config;
    for (uint32_t i = 0; i < declared->len; i++) {
        const emesh_declared *d = &g_array_index(declared, emesh_declared, i);
        emesh_config_option option = { .option = d->option, .group = d->group };
        option.values = g_array_new(FALSE, FALSE, sizeof(emesh_config_value));
        g_array_set_clear_func(option.values, value_clear);
        g_array_append_val(config->options, option);
        g_hash_table_insert(config->by_name, (gpointer)d->option.name, GUINT_TO_POINTER(i + 1));
    }
    for (uint32_t i = 0; i < emesh_conf_section_n(source->section); i++) {
        const emesh_conf_entry entry = emesh_conf_section_at(source->section, i);
        const char *name = key_in(source, entry.key);
        if (name != NULL)
            take_entry(config, source->section, &entry, name, problems);
    }
    complete(config, source, problems);
    if (problems->n == before)
        emesh_groups_finish(config, groups, n_groups, problems);
    return config;
}

emesh_config *
emesh_config_new(const emesh_conf_section *section, const emesh_option *options, uint32_t n_options,
                 uint32_t option_size, const emesh_option_group *groups, uint32_t n_groups,
                 GError **error)
{
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    const emesh_config_source source = { .section = section };
    g_autoptr(emesh_config) config = emesh_config_build(&source, options, n_options, option_size,
                                                        groups, n_groups, &problems);
    return emesh_problems_end(&problems, error) ? g_steal_pointer(&config) : NULL;
}
