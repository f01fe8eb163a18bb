/* SPDX-License-Identifier: Apache-2.0
 *
 * From a name to a descriptor: find the file, let elf.c, the probe and descriptor.c judge it, open
 * it. A module once opened stays for the life of the process, so there is nothing to unload.
 */
#include "plugin/loader.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

#include "plugin/descriptor.h"
#include "plugin/elf.h"
#include "plugin/probe.h"

struct emesh_loader {
    char **dirs;
    char *prober;
    emesh_probe_cache *cache;
    GHashTable *open; /* path → const emesh_plugin */
    emesh_log *log;
};

/* clang-format off: the name is no subtraction */
G_DEFINE_QUARK(emesh-refused, emesh_refused)
/* clang-format on */

emesh_loader *
emesh_loader_new(const char *const *dirs, const char *prober, const char *cache)
{
    emesh_loader *loader = g_new0(emesh_loader, 1);

    loader->dirs = g_strdupv((char **)(uintptr_t)dirs);
    loader->prober = g_strdup(prober);
    loader->cache = emesh_probe_cache_new(cache);
    loader->open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return loader;
}

void
emesh_loader_free(emesh_loader *loader)
{
    if (loader == NULL)
        return;
    g_strfreev(loader->dirs);
    g_free(loader->prober);
    emesh_probe_cache_free(loader->cache);
    g_hash_table_unref(loader->open);
    g_free(loader);
}

void
emesh_loader_log_to(emesh_loader *loader, emesh_log *log)
{
    loader->log = log;
}

/* ---- finding ---- */

char *
emesh_loader_path(emesh_loader *loader, const char *name)
{
    if (strchr(name, '/') != NULL)
        return g_file_test(name, G_FILE_TEST_EXISTS) ? g_strdup(name) : NULL;
    for (uint32_t i = g_strv_length(loader->dirs); i > 0; i--) {
        g_autofree char *file = g_strconcat(name, ".so", NULL);
        g_autofree char *path = g_build_filename(loader->dirs[i - 1], file, NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return g_steal_pointer(&path);
    }
    return NULL;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **
emesh_loader_list(emesh_loader *loader)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *list = g_ptr_array_new();

    for (char **dir = loader->dirs; *dir != NULL; dir++) {
        g_autoptr(GDir) entries = g_dir_open(*dir, 0, NULL);
        const char *entry;
        while (entries != NULL && (entry = g_dir_read_name(entries)) != NULL) {
            if (!g_str_has_suffix(entry, ".so") || *entry == '.')
                continue;
            char *name = g_strndup(entry, strlen(entry) - 3);
            if (g_hash_table_add(names, name))
                g_ptr_array_add(list, name);
            else
                g_free(name);
        }
    }
    g_ptr_array_sort(list, by_text);
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

/* ---- opening ---- */

/* The part that runs foreign code: constructors and entry. */
static const emesh_plugin *
run_entry(const char *path, const emesh_elf *elf, GError **error)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const emesh_plugin *(*entry)(uint32_t);

    if (module == NULL) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_DLOPEN, "E%02d %s: cannot load it: %s",
                    EMESH_REFUSED_DLOPEN, path, dlerror());
        return NULL;
    }
    void *symbol = dlsym(module, "emesh_plugin_entry_1");
    if (symbol == NULL) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NO_ENTRY,
                    "E%02d %s: emesh_plugin_entry_1 cannot be resolved: %s", EMESH_REFUSED_NO_ENTRY,
                    path, dlerror());
        return NULL;
    }
    memcpy(&entry, &symbol, sizeof entry);
    const emesh_plugin *plugin = entry(EMESH_ABI_MINOR);
    return emesh_descriptor_check(plugin, path, elf, error) ? plugin : NULL;
}

static void
warn_of_exports(const emesh_loader *loader, const char *path, const emesh_elf *elf)
{
    if (elf->foreign->len > 0)
        emesh_log_say(loader->log, EMESH_LOG_WARNING, "loader",
                      "%s exports %u symbols besides its entry (%s%s): build it with "
                      "-fvisibility=hidden",
                      path, elf->foreign->len, (const char *)elf->foreign->pdata[0],
                      elf->foreign->len > 1 ? ", …" : "");
}

static const emesh_plugin *
open_file(emesh_loader *loader, const char *path, GError **error)
{
    emesh_elf elf = { 0 };
    struct stat st;
    const emesh_plugin *plugin = NULL;

    if (emesh_elf_check(path, &elf, &st, error)) {
        bool tried = loader->prober == NULL || emesh_probe_cache_has(loader->cache, &st);
        warn_of_exports(loader, path, &elf);
        if (tried || emesh_probe_run(loader->prober, path, error)) {
            if (!tried)
                emesh_probe_cache_add(loader->cache, &st);
            plugin = run_entry(path, &elf, error);
        }
    }
    emesh_elf_clear(&elf);
    return plugin;
}

const emesh_plugin *
emesh_loader_open(emesh_loader *loader, const char *name, GError **error)
{
    g_autofree char *found = emesh_loader_path(loader, name);

    if (found == NULL) {
        g_autofree char *dirs = g_strjoinv(", ", loader->dirs);
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NOT_FOUND,
                    "E%02d no plugin %s%s in %s: install it, or name its file with plugin =",
                    EMESH_REFUSED_NOT_FOUND, name, strchr(name, '/') == NULL ? ".so" : "", dirs);
        return NULL;
    }
    /* The file itself: a link's own folder says nothing about who may change it. */
    g_autofree char *path = g_canonicalize_filename(found, NULL);
    g_autofree char *real = realpath(path, NULL);
    if (real != NULL && strcmp(real, path) != 0) {
        g_free(path);
        path = g_strdup(real);
    }
    const emesh_plugin *plugin = g_hash_table_lookup(loader->open, path);
    if (plugin == NULL && (plugin = open_file(loader, path, error)) != NULL)
        g_hash_table_insert(loader->open, g_steal_pointer(&path), (void *)(uintptr_t)plugin);
    return plugin;
}

/* ---- components ---- */

const emesh_component *
emesh_plugin_component(const emesh_plugin *plugin, const char *name)
{
    for (uint32_t i = 0; i < plugin->n_components; i++) {
        const emesh_component *component = plugin->components[i];
        if (strcmp(component->name, name) == 0)
            return emesh_kind_known(component->kind) ? component : NULL;
    }
    return NULL;
}

static const emesh_component *
refuse_component(const emesh_plugin *plugin, const char *file, const char *name, GError **error)
{
    g_autoptr(GString) has = g_string_new(NULL);

    for (uint32_t i = 0; i < plugin->n_components; i++) {
        const emesh_component *component = plugin->components[i];
        if (strcmp(component->name, name) == 0) {
            g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_KIND,
                        "E%02d %s: component %s is of kind %s, which this host lacks: use a newer "
                        "host",
                        EMESH_REFUSED_KIND, file, name, component->kind);
            return NULL;
        }
        g_string_append_printf(has, "%s%s", i > 0 ? ", " : "", component->name);
    }
    g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_NAME,
                "E%02d %s: it has no component %s, but %s: name one of these with component =, and "
                "the file with plugin =",
                EMESH_REFUSED_NAME, file, name, has->str);
    return NULL;
}

const emesh_component *
emesh_loader_component(emesh_loader *loader, const char *file, const char *component,
                       const emesh_plugin **plugin, GError **error)
{
    const char *name = file != NULL ? file : component;

    *plugin = emesh_loader_open(loader, name, error);
    if (*plugin == NULL)
        return NULL;
    const emesh_component *found = emesh_plugin_component(*plugin, component);
    return found != NULL ? found : refuse_component(*plugin, name, component, error);
}

/* ---- the child's side of the probe ---- */

int
emesh_loader_probe(const char *path)
{
    const struct rlimit none = { 0, 0 };
    g_autoptr(GError) error = NULL;
    emesh_elf elf = { 0 };

    /* A crash here is expected: no core file, and no life without the parent. */
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool fine = emesh_elf_check(path, &elf, NULL, &error) && run_entry(path, &elf, &error) != NULL;
    emesh_elf_clear(&elf);
    printf("%s\n", fine ? "ok" : error->message);
    fflush(stdout);
    return fine ? 0 : 3;
}
