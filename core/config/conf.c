/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts the files of conf.d together: instances, [daemon], [topic …] and [group …]. Everything that
 * is wrong is told at once.
 */
#include "conf.h"
#include "folder.h"
#include "instance.h"
#include "parse.h"
#include "value.h"
#include <string.h>

#define ENTRIES_MOST 10000u

typedef enum section_kind {
    SECTION_INSTANCE,
    SECTION_OPTIONS,
    SECTION_DAEMON,
    SECTION_TOPIC,
    SECTION_GROUP,
} section_kind;
static const char *const section_kinds[] = { "instance", "options", "daemon", "topic", "group" };

typedef struct loading { /* one file on its way in */
    emesh_conf *conf;
    emesh_problems *problems;
    const char *file;
    uint32_t entries;
    emesh_conf_section *current;
    emesh_conf_section *single[SECTION_TOPIC]; /* of this file, the kinds that stand once in it */
    GPtrArray *rules;                          /* of this file, [topic …] and [group …] */
} loading;

static char *
origin_at(const loading *l, uint32_t line)
{
    return line != 0 ? g_strdup_printf("%s:%u", l->file, line) : g_strdup(l->file);
}

static void
on_refuse(void *ctx, uint32_t line, const char *key, const char *why)
{
    loading *l = ctx;
    g_autofree char *origin = origin_at(l, line);
    emesh_problems_add(l->problems, origin, key, "%s", why);
}

static bool
header_ok(const loading *l, const char *origin, int kind, const char *kind_text, const char *name)
{
    if (kind < 0) {
        const char *meant = emesh_suggest(kind_text, section_kinds, G_N_ELEMENTS(section_kinds));
        if (meant != NULL)
            emesh_problems_add(l->problems, origin, NULL,
                               "[%s]: unknown section; did you mean \"%s\"?", kind_text, meant);
        else
            emesh_problems_add(l->problems, origin, NULL,
                               "[%s]: unknown section; there are [instance], [options], [daemon], "
                               "[topic NAME] and [group NAME]", kind_text);
        return false;
    }
    if (kind >= SECTION_TOPIC && name == NULL) {
        emesh_problems_add(l->problems, origin, NULL,
                           "[%s]: which? write [%s NAME], or a pattern with * and ?", kind_text,
                           kind_text);
        return false;
    }
    if (kind < SECTION_TOPIC && name != NULL) {
        emesh_problems_add(l->problems, origin, NULL, "[%s %s]: has no name; write [%s]", kind_text,
                           name, kind_text);
        return false;
    }
    if (kind < SECTION_TOPIC && l->single[kind] != NULL) {
        emesh_problems_add(l->problems, origin, NULL, "[%s] is given twice; first in %s", kind_text,
                           l->single[kind]->origin);
        return false;
    }
    return true;
}

static bool
on_section(void *ctx, uint32_t line, const char *kind_text, const char *name)
{
    loading *l = ctx;
    g_autofree char *origin = origin_at(l, line);
    int kind = G_N_ELEMENTS(section_kinds) - 1;
    while (kind >= 0 && strcmp(section_kinds[kind], kind_text) != 0)
        kind--;
    if (!header_ok(l, origin, kind, kind_text, name)) {
        l->conf->incomplete = true;
        return false;
    }
    l->current = emesh_section_new(kind_text, name, origin);
    g_ptr_array_add(l->conf->sections, l->current);
    if (kind < SECTION_TOPIC)
        l->single[kind] = l->current;
    else
        g_ptr_array_add(l->rules, l->current);
    return true;
}

static void
on_entry(void *ctx, uint32_t line, const char *key, const char *value, size_t len)
{
    loading *l = ctx;
    g_autofree char *origin = origin_at(l, line);
    l->entries++;
    if (l->entries == ENTRIES_MOST + 1)
        emesh_problems_add(l->problems, origin, NULL, "more than %u keys in one file",
                           ENTRIES_MOST);
    if (l->entries <= ENTRIES_MOST)
        emesh_section_add(l->current, key, value, len, origin);
}

static void
merge_daemon(emesh_conf *conf, const emesh_conf_section *section)
{
    if (conf->daemon == NULL)
        conf->daemon = emesh_section_new("daemon", NULL, section->origin);
    for (uint32_t i = 0; i < emesh_conf_section_n(section); i++) {
        const emesh_conf_entry entry = emesh_conf_section_at(section, i);
        emesh_section_add(conf->daemon, entry.key, entry.value, entry.value_len, entry.origin);
    }
}

static void
add_instance(const loading *l, const char *path)
{
    const emesh_conf_section *section = l->single[SECTION_INSTANCE];
    if (section == NULL) {
        if (l->single[SECTION_OPTIONS] != NULL)
            emesh_problems_add(l->problems, l->single[SECTION_OPTIONS]->origin, NULL,
                               "[options] without [instance]; add [instance] with component = …");
        return;
    }
    emesh_conf_instance *instance = emesh_instance_new(path, l->file, section,
                                                       l->single[SECTION_OPTIONS], l->problems);
    if (instance == NULL) {
        l->conf->incomplete = true;
        return;
    }
    const emesh_conf_instance *same = emesh_conf_instance_find(l->conf, instance->name);
    if (same != NULL) {
        emesh_problems_add(l->problems, section->origin, NULL,
                           "the instance \"%s\" is already that of %s; rename one file",
                           instance->name, same->file);
        emesh_instance_free(instance);
        return;
    }
    g_ptr_array_add(l->conf->instances, instance);
}

static void
add_file(emesh_conf *conf, const char *name, const char *path, const char *text, size_t len,
         emesh_problems *problems)
{
    static const emesh_conf_reader reader = { on_section, on_entry, on_refuse };
    g_autoptr(GPtrArray) rules = g_ptr_array_new();
    loading l = { .conf = conf, .problems = problems, .file = name, .rules = rules };
    emesh_conf_read(text, len, &reader, &l);
    add_instance(&l, path);
    if (l.single[SECTION_DAEMON] != NULL)
        merge_daemon(conf, l.single[SECTION_DAEMON]);
    for (uint32_t i = 0; i < rules->len; i++) {
        const emesh_conf_section *section = rules->pdata[i];
        const bool group = strcmp(section->kind, section_kinds[SECTION_GROUP]) == 0;
        emesh_rules_add(group ? conf->groups : conf->topics, section, problems);
    }
}

static void
section_free(gpointer section)
{
    emesh_section_free(section);
}

static void
instance_free(gpointer instance)
{
    emesh_instance_free(instance);
}

static emesh_conf *
conf_alloc(void)
{
    emesh_conf *conf = g_new0(emesh_conf, 1);
    g_atomic_ref_count_init(&conf->refs);
    conf->sections = g_ptr_array_new_with_free_func(section_free);
    conf->instances = g_ptr_array_new_with_free_func(instance_free);
    conf->topics = emesh_rules_new(false);
    conf->groups = emesh_rules_new(true);
    return conf;
}

static void
finish(emesh_conf *conf, emesh_problems *problems)
{
    conf->daemon_config = emesh_daemon_config_new(conf->daemon, problems);
    emesh_rules_finish(conf->topics, problems);
    emesh_rules_finish(conf->groups, problems);
}

emesh_conf *
emesh_conf_load(const char *const *dirs, GError **error)
{
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    g_autoptr(emesh_conf) conf = conf_alloc();
    g_autoptr(GPtrArray) files = emesh_conf_files(dirs, &problems);
    conf->incomplete = problems.n > 0;
    for (uint32_t i = 0; i < files->len; i++) {
        const emesh_conf_file *file = files->pdata[i];
        add_file(conf, file->name, file->path, file->text, file->len, &problems);
    }
    finish(conf, &problems);
    const emesh_conf_instance *admin = emesh_conf_instance_find(conf, "admin");
    if (admin != NULL)
        emesh_problems_add(&problems, admin->component_origin, NULL,
                           "an instance may not be called \"admin\": that is the daemon's own "
                           "administration; rename the file");
    if (!conf->incomplete) { /* else "no instance" may be an echo of what was told already */
        emesh_rules_check_instances(conf->topics, conf, &problems);
        emesh_rules_check_instances(conf->groups, conf, &problems);
    }
    return emesh_problems_end(&problems, error) ? g_steal_pointer(&conf) : NULL;
}

emesh_conf *
emesh_conf_parse(const char *name, const char *text, size_t len, GError **error)
{
    g_auto(emesh_problems) problems;
    emesh_problems_init(&problems);
    g_autoptr(emesh_conf) conf = conf_alloc();
    add_file(conf, name, name, text, len, &problems);
    finish(conf, &problems);
    return emesh_problems_end(&problems, error) ? g_steal_pointer(&conf) : NULL;
}

emesh_conf *
emesh_conf_ref(emesh_conf *conf)
{
    g_atomic_ref_count_inc(&conf->refs);
    return conf;
}

void
emesh_conf_unref(emesh_conf *conf)
{
    if (conf == NULL || !g_atomic_ref_count_dec(&conf->refs))
        return;
    emesh_rules_free(conf->topics);
    emesh_rules_free(conf->groups);
    emesh_config_unref(conf->daemon_config);
    g_ptr_array_unref(conf->instances);
    g_ptr_array_unref(conf->sections);
    emesh_section_free(conf->daemon);
    g_free(conf);
}

uint32_t
emesh_conf_n_instances(const emesh_conf *conf)
{
    return conf->instances->len;
}

const emesh_conf_instance *
emesh_conf_instance_at(const emesh_conf *conf, uint32_t i)
{
    return i < conf->instances->len ? conf->instances->pdata[i] : NULL;
}

const emesh_conf_instance *
emesh_conf_instance_find(const emesh_conf *conf, const char *name)
{
    for (uint32_t i = 0; i < conf->instances->len; i++) {
        const emesh_conf_instance *instance = conf->instances->pdata[i];
        if (strcmp(instance->name, name) == 0)
            return instance;
    }
    return NULL;
}

const emesh_conf_section *
emesh_conf_daemon(const emesh_conf *conf)
{
    return conf->daemon;
}

const emesh_config *
emesh_conf_daemon_config(const emesh_conf *conf)
{
    return conf->daemon_config;
}

const emesh_rules *
emesh_conf_rules(const emesh_conf *conf, bool groups)
{
    return groups ? conf->groups : conf->topics;
}
