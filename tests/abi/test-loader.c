/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader before good and bad plugins: each bad one is refused with a code of its own, in the
 * child process and in this one, and no refusal harms the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/elf.h"
#include "plugin/inst.h"
#include "plugin/loader.h"

typedef struct bad {
    const char *name;
    emesh_refusal code;
    const char *word; /* something its line must say */
    bool kills;       /* must not be run in this process */
} bad;

static const bad bad_ones[] = {
    { "bad-not-there", EMESH_REFUSED_NOT_FOUND, "no plugin bad-not-there.so", false },
    { "bad-no-note", EMESH_REFUSED_NO_NOTE, "EMESH_NOTE", false },
    { "bad-major", EMESH_REFUSED_MAJOR, "plugin ABI 2.0, this host has 1.0", false },
    { "bad-minor", EMESH_REFUSED_MINOR, "update the host", false },
    { "bad-note-disagrees", EMESH_REFUSED_MINOR, "disagree", false },
    { "bad-two-exports", EMESH_REFUSED_EXPORTS, "emesh_plugin_helper", false },
    { "bad-no-entry", EMESH_REFUSED_NO_ENTRY, "EMESH_ENTRY", false },
    { "bad-null-descriptor", EMESH_REFUSED_NO_ENTRY, "no descriptor", false },
    { "bad-unresolved", EMESH_REFUSED_DLOPEN, "this_is_nowhere", false },
    { "bad-crash-in-entry", EMESH_REFUSED_CRASHED, "killed the child", true },
    { "bad-crash-in-constructor", EMESH_REFUSED_CRASHED, "killed the child", true },
    { "bad-exit-in-entry", EMESH_REFUSED_CRASHED, "exit code 0", true },
    { "bad-wild-pointer", EMESH_REFUSED_CRASHED, "killed the child", true },
    { "bad-hang-in-entry", EMESH_REFUSED_SLOW, "longer than", true },
    { "bad-size-zero", EMESH_REFUSED_SIZE, "descriptor says it has 0 bytes", false },
    { "bad-size-huge", EMESH_REFUSED_SIZE, "component says it has 1073741824", false },
    { "bad-layout", EMESH_REFUSED_SIZE, "emesh_append", false },
    { "bad-null-id", EMESH_REFUSED_TEXT, "id is missing", false },
    { "bad-version", EMESH_REFUSED_TEXT, "latest", false },
    { "bad-component-name", EMESH_REFUSED_TEXT, "../etc", false },
    { "bad-name-mismatch", EMESH_REFUSED_NAME, "storage-other", false },
    { "bad-same-names", EMESH_REFUSED_NAME, "bad-same-names", false },
    { "bad-must", EMESH_REFUSED_MUST, "0x10000000000", false },
    { "bad-isolate", EMESH_REFUSED_ISOLATE, "another process", false },
    { "bad-missing-op", EMESH_REFUSED_OP_MISSING, "append", false },
    { "bad-claim", EMESH_REFUSED_OP_MISSING, "claims", false },
    { "bad-no-destroy", EMESH_REFUSED_OP_MISSING, "destroy", false },
    { "bad-no-accept", EMESH_REFUSED_OP_MISSING, "accept", false },
    { "bad-duplicate-option", EMESH_REFUSED_OPTIONS, "path", false },
    { "bad-default", EMESH_REFUSED_OPTIONS, "window", false },
    { "bad-option-bit", EMESH_REFUSED_OPTIONS, "window", false },
    { "bad-option-tail", EMESH_REFUSED_OPTIONS, "newer host", false },
    { "bad-group", EMESH_REFUSED_GROUP, "emesh.fly/1", false },
    { "bad-kind", EMESH_REFUSED_KIND, "kind", false },
    { "bad-lanes", EMESH_REFUSED_LANES, "lanes 9", false },
    { "bad-glib", EMESH_REFUSED_LANES, "libglib", false },
};

static const char *
fixtures(void)
{
    return g_getenv("EMESH_FIXTURES");
}

static emesh_loader *
loader_new(const char *prober, const char *cache)
{
    const char *dirs[] = { "/nonexistent", fixtures(), NULL };

    return emesh_loader_new(dirs, prober, cache);
}

static void
assert_refusal(const GError *error, emesh_refusal code, const char *word)
{
    g_autofree char *head = g_strdup_printf("E%02d ", code);

    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_cmpint(error->code, ==, code);
    g_assert_true(error->domain == EMESH_REFUSED);
    g_assert_true(g_str_has_prefix(error->message, head));
    g_assert_null(strchr(error->message, '\n'));
    g_assert_nonnull(strstr(error->message, word));
}

static void
refuse_all(emesh_loader *loader, bool with_probe)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_ones); i++) {
        const bad *one = &bad_ones[i];
        const emesh_plugin *plugin;
        g_autoptr(GError) error = NULL;
        if (one->kills && !with_probe)
            continue;
        g_assert_null(emesh_loader_component(loader, NULL, one->name, &plugin, &error));
        assert_refusal(error, one->code, one->word);
    }
}

static void
test_bad_in_child(const void *self)
{
    emesh_loader *loader = loader_new(self, NULL);

    refuse_all(loader, true);
    emesh_loader_free(loader);
}

static void
test_bad_here(void)
{
    emesh_loader *loader = loader_new(NULL, NULL);

    refuse_all(loader, false);
    emesh_loader_free(loader);
}

/* ---- good ones ---- */

static void
test_good(const void *self)
{
    static const char *const files[] = { "storage-memory",    "protocol-line", "store-two",
                                         "store-future-kind", "store-newer",   "store-cpp" };
    emesh_loader *loader = loader_new(self, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = emesh_loader_path(loader, files[i]);
        const emesh_plugin *plugin, *again;
        g_autoptr(GError) error = NULL;
        if (path == NULL && strcmp(files[i], "store-cpp") == 0)
            continue; /* no C++ compiler here */
        const emesh_component *component =
            emesh_loader_component(loader, NULL, files[i], &plugin, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(component->name, ==, files[i]);
        again = emesh_loader_open(loader, path, &error);
        g_assert_true(again == plugin);
    }
    emesh_loader_free(loader);
}

static void
test_several_components(void)
{
    emesh_loader *loader = loader_new(NULL, NULL);
    const emesh_plugin *plugin;
    g_autoptr(GError) none = NULL, error = NULL;
    const emesh_component *second =
        emesh_loader_component(loader, "store-two", "store-second", &plugin, &none);

    g_assert_no_error(none);
    g_assert_cmpstr(second->name, ==, "store-second");
    g_assert_cmpuint(plugin->n_components, ==, 2);
    g_assert_null(emesh_loader_component(loader, "store-future-kind", "oracle", &plugin, &error));
    assert_refusal(error, EMESH_REFUSED_KIND, "emesh.oracle/3");
    g_assert_null(emesh_plugin_component(plugin, "oracle"));
    emesh_loader_free(loader);
}

static void
test_list(void)
{
    emesh_loader *loader = loader_new(NULL, NULL);
    g_auto(GStrv) names = emesh_loader_list(loader);

    g_assert_true(g_strv_contains((const char *const *)names, "storage-memory"));
    for (uint32_t i = 1; names[i] != NULL; i++)
        g_assert_cmpstr(names[i - 1], <, names[i]);
    emesh_loader_free(loader);
}

/* ---- files ---- */

static char *
copy_of(const char *folder, const char *name, mode_t mode)
{
    g_autofree char *from = g_strdup_printf("%s/%s.so", fixtures(), name);
    g_autofree char *bytes = NULL;
    gsize len;
    char *to = g_strdup_printf("%s/%s.so", folder, name);

    g_assert_true(g_file_get_contents(from, &bytes, &len, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)len, NULL));
    g_assert_cmpint(chmod(to, mode), ==, 0);
    return to;
}

static char *
folder_new(void)
{
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("emesh-abi-XXXXXX", &error);

    g_assert_no_error(error);
    return folder;
}

static void
folder_end(const char *folder)
{
    g_autoptr(GDir) entries = g_dir_open(folder, 0, NULL);
    const char *entry;

    while ((entry = g_dir_read_name(entries)) != NULL) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
}

static void
refuse_file(const char *path, emesh_refusal code, const char *word)
{
    emesh_loader *loader = loader_new(NULL, NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(emesh_loader_open(loader, path, &error));
    assert_refusal(error, code, word);
    emesh_loader_free(loader);
}

static void
test_writable(void)
{
    static const mode_t modes[] = { 0664, 0646, 0777 };
    g_autofree char *folder = folder_new();

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *path = copy_of(folder, "storage-memory", modes[i]);
        refuse_file(path, EMESH_REFUSED_WRITABLE, "chmod");
    }
    g_autofree char *path = copy_of(folder, "storage-memory", 0644);
    g_autofree char *link = g_build_filename(fixtures(), "link-to-it.so", NULL);
    g_assert_cmpint(chmod(folder, 0777), ==, 0);
    refuse_file(path, EMESH_REFUSED_WRITABLE, "folder");
    g_unlink(link);
    g_assert_cmpint(symlink(path, link), ==, 0);
    refuse_file(link, EMESH_REFUSED_WRITABLE, "folder"); /* the file's own, not the link's */
    g_unlink(link);
    g_assert_cmpint(chmod(folder, 0700), ==, 0);
    if (geteuid() == 0) {
        g_assert_cmpint(chown(path, 65534, 65534), ==, 0);
        refuse_file(path, EMESH_REFUSED_WRITABLE, "65534");
    }
    folder_end(folder);
}

static void
test_not_elf(void)
{
    g_autofree char *folder = folder_new();
    g_autofree char *path = g_build_filename(folder, "x.so", NULL);

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    refuse_file(path, EMESH_REFUSED_NOT_ELF, "empty");
    g_assert_true(g_file_set_contents(path, "#!/bin/sh\nexit 0\n", -1, NULL));
    refuse_file(path, EMESH_REFUSED_NOT_ELF, "not an ELF file");
    g_unlink(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    refuse_file(path, EMESH_REFUSED_NOT_ELF, "no regular file");
    refuse_file("/proc/self/exe", EMESH_REFUSED_NO_NOTE, "EMESH_NOTE"); /* an ELF file, no plugin */
    folder_end(folder);
}

/* No prefix and no flipped byte of a real file leads the reader out of it (ASan watches: the copy
 * is exactly as long as it says). */
static void
test_damaged_elf(void)
{
    g_autofree char *path = g_strdup_printf("%s/storage-memory.so", fixtures());
    g_autofree char *bytes = NULL;
    gsize len;
    emesh_elf elf;
    const char *why;

    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_assert_true(emesh_elf_parse((uint8_t *)bytes, len, &elf, &why));
    g_assert_true(elf.has_note && elf.has_entry && elf.second == NULL);
    g_assert_cmpuint(elf.major, ==, EMESH_ABI_MAJOR);
    emesh_elf_clear(&elf);
    for (gsize cut = 0; cut < len; cut += cut < 512 ? 1 : len / 97) {
        uint8_t *part = g_memdup2(bytes, MAX(cut, 1));
        g_assert_false(emesh_elf_parse(part, cut, &elf, &why));
        g_assert_nonnull(why);
        emesh_elf_clear(&elf);
        g_free(part);
    }
    uint8_t *copy = g_memdup2(bytes, len);
    for (uint32_t i = 0; i < 4000; i++) {
        gsize at = i < 64 ? i : (gsize)g_test_rand_int_range(0, (gint32)len);
        uint8_t was = copy[at];
        copy[at] = (uint8_t)g_test_rand_int();
        (void)emesh_elf_parse(copy, len, &elf, &why);
        emesh_elf_clear(&elf);
        copy[at] = was;
    }
    g_free(copy);
}

/* ---- remembered verdicts ---- */

static void
test_cache(const void *self)
{
    g_autofree char *folder = folder_new();
    g_autofree char *cache = g_build_filename(folder, "plugins.cache", NULL);
    g_autofree char *path = copy_of(folder, "storage-memory", 0644);
    g_autoptr(GError) none = NULL, error = NULL;
    emesh_loader *loader = loader_new(self, cache);

    g_assert_nonnull(emesh_loader_open(loader, path, &none));
    g_assert_no_error(none);
    emesh_loader_free(loader);
    /* Remembered: a prober that cannot even be started is not asked. */
    loader = loader_new("/nonexistent/prober", cache);
    g_assert_nonnull(emesh_loader_open(loader, path, &none));
    emesh_loader_free(loader);
    /* Another time of change, another verdict. */
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000, .tv_nsec = 7 } };
    g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
    loader = loader_new("/nonexistent/prober", cache);
    g_assert_null(emesh_loader_open(loader, path, &error));
    assert_refusal(error, EMESH_REFUSED_CRASHED, "cannot start");
    emesh_loader_free(loader);
    /* Nonsense in the file is no verdict. */
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(cache, "eventmesh-probe 999\ngarbage\n", -1, NULL));
    loader = loader_new("/nonexistent/prober", cache);
    g_assert_null(emesh_loader_open(loader, path, &error));
    emesh_loader_free(loader);
    folder_end(folder);
}

/* Warnings do not refuse: a C library linked in may export what it likes. */
static void
test_foreign_exports(void)
{
    g_autofree char *path = g_strdup_printf("%s/bad-no-entry.so", fixtures());
    g_autoptr(GError) error = NULL;
    emesh_elf elf;

    g_assert_true(emesh_elf_read(path, &elf, NULL, &error));
    g_assert_null(elf.second);
    g_assert_cmpuint(elf.foreign->len, ==, 1);
    g_assert_cmpstr(elf.foreign->pdata[0], ==, "some_entry");
    emesh_elf_clear(&elf);
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--probe") == 0)
        _exit(emesh_loader_probe(argv[2]));
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/abi/loader/bad-in-child", argv[0], test_bad_in_child);
    g_test_add_func("/abi/loader/bad-here", test_bad_here);
    g_test_add_data_func("/abi/loader/good", argv[0], test_good);
    g_test_add_func("/abi/loader/several-components", test_several_components);
    g_test_add_func("/abi/loader/list", test_list);
    g_test_add_func("/abi/loader/writable", test_writable);
    g_test_add_func("/abi/loader/not-elf", test_not_elf);
    g_test_add_func("/abi/loader/damaged-elf", test_damaged_elf);
    g_test_add_data_func("/abi/loader/cache", argv[0], test_cache);
    g_test_add_func("/abi/loader/foreign-exports", test_foreign_exports);
    return g_test_run();
}
