/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders and files: search path, masks, instances, [daemon], what crosses files.
 */
#include "config/config.h"
#include "eventmesh/host.h"
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct folders {
    char *root;
    char *dirs[3]; /* vendor, etc, run */
} folders;

static void
set_up(folders *f, gconstpointer unused)
{
    (void)unused;
    f->root = g_dir_make_tmp("emesh-conf-XXXXXX", NULL);
    g_assert_nonnull(f->root);
    static const char *const names[] = { "vendor", "etc", "run" };
    for (int i = 0; i < 3; i++) {
        f->dirs[i] = g_build_filename(f->root, names[i], NULL);
        g_assert_cmpint(g_mkdir(f->dirs[i], 0700), ==, 0);
    }
}

static void
remove_tree(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        remove_tree(below);
    }
    if (dir != NULL)
        g_dir_close(dir);
    g_remove(path);
}

static void
tear_down(folders *f, gconstpointer unused)
{
    (void)unused;
    remove_tree(f->root);
    g_free(f->root);
    for (int i = 0; i < 3; i++)
        g_free(f->dirs[i]);
}

static void
put(const folders *f, int dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->dirs[dir], name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static emesh_conf *
load(const folders *f, GError **error)
{
    const char *dirs[] = { f->dirs[0], f->dirs[1], f->dirs[2], NULL };
    return emesh_conf_load(dirs, error);
}

static emesh_conf *
loaded(const folders *f)
{
    GError *error = NULL;
    emesh_conf *conf = load(f, &error);
    g_assert_no_error(error);
    return conf;
}

static void
assert_refused(const folders *f, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(emesh_conf) conf = load(f, &error);
    g_assert_null(conf);
    g_assert_error(error, EMESH_CONF_ERROR, 1);
    g_auto(GStrv) without_root = g_strsplit(error->message, f->root, -1);
    g_autofree char *shown = g_strjoinv("ROOT", without_root);
    g_assert_cmpstr(shown, ==, message);
}

#define INSTANCE(component) "[instance]\ncomponent = " component "\n"

static void
test_nothing(folders *f, gconstpointer unused)
{
    (void)unused;
    g_autoptr(emesh_conf) conf = loaded(f);
    g_assert_cmpuint(emesh_conf_n_instances(conf), ==, 0);
    g_assert_null(emesh_conf_instance_at(conf, 0));
    g_assert_null(emesh_conf_daemon(conf));
    const char *absent[] = { "/nonexistent/emesh", f->dirs[0], NULL };
    g_autoptr(emesh_conf) same = emesh_conf_load(absent, NULL);
    g_assert_nonnull(same);
    const char *none[] = { NULL };
    g_autoptr(emesh_conf) empty = emesh_conf_load(none, NULL);
    g_assert_nonnull(empty);
}

static void
test_instance(folders *f, gconstpointer unused)
{
    (void)unused;
    put(f, 0, "50-b.conf", INSTANCE("storage-x") "enabled = no\non-unavailable = refuse\n"
                           "plugin = other\n");
    put(f, 0, "10-a-1.conf", "# c\n" INSTANCE("protocol-x") "\n[options]\nk = v\n");
    put(f, 0, "z.conf", INSTANCE("protocol-x"));
    put(f, 0, "90-topics.conf", "[topic t]\npartitions = 2\n");
    put(f, 0, "ignored.txt", "nonsense");
    put(f, 0, ".hidden.conf", "nonsense");
    put(f, 0, "x.conf.bak", "nonsense");
    g_autoptr(emesh_conf) conf = loaded(f);
    g_assert_cmpuint(emesh_conf_n_instances(conf), ==, 3);

    const emesh_conf_instance *a = emesh_conf_instance_at(conf, 0);
    g_assert_cmpstr(a->name, ==, "a-1");
    g_assert_cmpstr(a->component, ==, "protocol-x");
    g_assert_cmpstr(a->component_origin, ==, "10-a-1.conf:3");
    g_autofree char *path = g_build_filename(f->dirs[0], "10-a-1.conf", NULL);
    g_assert_cmpstr(a->file, ==, path);
    g_assert_null(a->plugin);
    g_assert_true(a->enabled);
    g_assert_false(a->refuse_unavailable);
    g_assert_cmpuint(emesh_conf_section_n(a->options), ==, 1);
    const emesh_conf_entry entry = emesh_conf_section_at(a->options, 0);
    g_assert_cmpstr(entry.key, ==, "k");
    g_assert_cmpstr(entry.value, ==, "v");
    g_assert_cmpuint(entry.value_len, ==, 1);
    g_assert_cmpstr(entry.origin, ==, "10-a-1.conf:6");

    const emesh_conf_instance *b = emesh_conf_instance_at(conf, 1);
    g_assert_cmpstr(b->name, ==, "b");
    g_assert_false(b->enabled);
    g_assert_true(b->refuse_unavailable);
    g_assert_cmpstr(b->plugin, ==, "other");
    g_assert_null(b->options);
    g_assert_cmpuint(emesh_conf_section_n(b->options), ==, 0);

    g_assert_true(emesh_conf_instance_find(conf, "z") == emesh_conf_instance_at(conf, 2));
    g_assert_null(emesh_conf_instance_find(conf, "topics"));
    g_assert_null(emesh_conf_instance_at(conf, 3));
}

static void
test_override_and_mask(folders *f, gconstpointer unused)
{
    (void)unused;
    put(f, 0, "10-a.conf", INSTANCE("vendor") "[options]\nk = vendor\n");
    put(f, 0, "20-b.conf", INSTANCE("vendor"));
    put(f, 0, "30-c.conf", INSTANCE("vendor"));
    put(f, 0, "40-d.conf", "broken, but masked\n");
    put(f, 0, "50-e.conf", INSTANCE("vendor"));
    put(f, 1, "10-a.conf", INSTANCE("etc"));
    put(f, 1, "20-b.conf", "");
    put(f, 1, "50-e.conf", "# only a comment\n");
    put(f, 2, "10-a.conf", INSTANCE("run"));
    g_autofree char *link = g_build_filename(f->dirs[1], "30-c.conf", NULL);
    g_assert_cmpint(symlink("/dev/null", link), ==, 0);
    put(f, 2, "40-d.conf", "");
    g_autoptr(emesh_conf) conf = loaded(f);
    g_assert_cmpuint(emesh_conf_n_instances(conf), ==, 1);
    const emesh_conf_instance *a = emesh_conf_instance_at(conf, 0);
    g_assert_cmpstr(a->component, ==, "run");
    g_assert_null(a->options); /* the whole file is replaced, not merged */
    g_assert_true(g_str_has_prefix(a->file, f->dirs[2]));

    /* what masks can be overridden again */
    put(f, 2, "30-c.conf", INSTANCE("again"));
    g_autoptr(emesh_conf) back = loaded(f);
    g_assert_nonnull(emesh_conf_instance_find(back, "c"));
}

static void
test_bad_files(folders *f, gconstpointer unused)
{
    (void)unused;
    g_autofree char *dir = g_build_filename(f->dirs[0], "10-dir.conf", NULL);
    g_autofree char *dangling = g_build_filename(f->dirs[0], "20-dangling.conf", NULL);
    g_autofree char *fifo = g_build_filename(f->dirs[0], "30-fifo.conf", NULL);
    g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
    g_assert_cmpint(symlink("/nonexistent/emesh", dangling), ==, 0);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    assert_refused(f, "ROOT/vendor/10-dir.conf: is no regular file\n"
                      "ROOT/vendor/20-dangling.conf: cannot open: No such file or directory\n"
                      "ROOT/vendor/30-fifo.conf: is no regular file");
    put(f, 1, "10-dir.conf", "");
    put(f, 1, "20-dangling.conf", "");
    put(f, 1, "30-fifo.conf", "");
    g_autoptr(emesh_conf) conf = loaded(f);
    g_assert_nonnull(conf);

    put(f, 0, "file", "");
    g_autofree char *no_dir = g_build_filename(f->dirs[0], "file", NULL);
    const char *dirs[] = { no_dir, NULL };
    g_autoptr(GError) error = NULL;
    g_assert_null(emesh_conf_load(dirs, &error));
    g_assert_true(g_str_has_suffix(error->message, ": cannot read the folder: Not a directory"));
}

static void
test_limits(folders *f, gconstpointer unused)
{
    (void)unused;
    g_autofree char *big = g_strnfill(1024 * 1024 + 1, '\n');
    put(f, 0, "10-big.conf", big);
    assert_refused(f, "10-big.conf: 1048577 bytes; a file has at most 1048576");
    big[1024 * 1024] = '\0';
    put(f, 0, "10-big.conf", big);
    g_autoptr(emesh_conf) conf = loaded(f);
    g_assert_nonnull(conf);

    g_autoptr(GString) keys = g_string_new(INSTANCE("c") "[options]\n");
    for (int i = 0; i < 10000; i++)
        g_string_append(keys, "k = v\n");
    put(f, 0, "10-big.conf", keys->str);
    assert_refused(f, "10-big.conf:10003: more than 10000 keys in one file");

    put(f, 0, "10-big.conf", "");
    for (int i = 0; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf("%d.conf", i);
        put(f, 1, name, "# c\n");
    }
    assert_refused(f, "ROOT/etc: more than 1000 files named *.conf");
}

static void
test_refusals(folders *f, gconstpointer unused)
{
    (void)unused;
    static const struct {
        const char *name;
        const char *text;
        const char *message;
    } cases[] = {
        { "10-a.conf", "component = c\n",
          "10-a.conf:1: component: stands before the first section; write [options] or another one "
          "above it" },
        { "10-a.conf", "[instance]\n",
          "10-a.conf:1: component: is required but not given (text)" },
        { "10-a.conf", INSTANCE("c") "component = d\n",
          "10-a.conf:3: component: given twice; first in 10-a.conf:2" },
        { "10-a.conf", INSTANCE(""), "10-a.conf:2: component: \"\" is out of range; write 1 to 127 "
                                     "bytes" },
        { "10-a.conf", INSTANCE("c") "enable = no\n",
          "10-a.conf:3: enable: unknown key; did you mean \"enabled\"?" },
        { "10-a.conf", INSTANCE("c") "listen = 127.0.0.1:1\n",
          "10-a.conf:3: listen: unknown key; options of the component stand in [options]" },
        { "10-a.conf", INSTANCE("c") "on-unavailable = ignore\n",
          "10-a.conf:3: on-unavailable: \"ignore\" is none of wait, refuse" },
        { "10-a.conf", INSTANCE("c") "[instance]\ncomponent = d\n",
          "10-a.conf:3: [instance] is given twice; first in 10-a.conf:1" },
        { "10-a.conf", INSTANCE("c") "[options]\n[options]\nk = v\n",
          "10-a.conf:4: [options] is given twice; first in 10-a.conf:3" },
        { "10-a.conf", "[options]\nk = v\n",
          "10-a.conf:1: [options] without [instance]; add [instance] with component = …" },
        { "10-a.conf", INSTANCE("c") "[opitons]\nk = v\n",
          "10-a.conf:3: [opitons]: unknown section; did you mean \"options\"?" },
        { "10-a.conf", "[something]\n",
          "10-a.conf:1: [something]: unknown section; there are [instance], [options], [daemon], "
          "[topic NAME] and [group NAME]" },
        { "10-a.conf", "[topic]\n",
          "10-a.conf:1: [topic]: which? write [topic NAME], or a pattern with * and ?" },
        { "10-a.conf", "[daemon x]\n", "10-a.conf:1: [daemon x]: has no name; write [daemon]" },
        { "10-core.conf", INSTANCE("c"),
          "10-core.conf:1: an instance may not be called \"core\": the daemon keeps its own data "
          "under that name; rename the file" },
        { "10-admin.conf", INSTANCE("c"),
          "10-admin.conf:2: an instance may not be called \"admin\": that is the daemon's own "
          "administration; rename the file" },
        { "10-A.conf", INSTANCE("c"),
          "10-A.conf:1: the instance would be called \"A\" after its file; name the file "
          "NN-NAME.conf, NAME of 1 to 63 of a-z, 0-9 and \"-\"" },
        { "10-.conf", INSTANCE("c"),
          "10-.conf:1: the instance would be called \"\" after its file; name the file "
          "NN-NAME.conf, NAME of 1 to 63 of a-z, 0-9 and \"-\"" },
        { "10--a.conf", INSTANCE("c"),
          "10--a.conf:1: the instance would be called \"-a\" after its file; name the file "
          "NN-NAME.conf, NAME of 1 to 63 of a-z, 0-9 and \"-\"" },
        { "10-a.b.conf", INSTANCE("c"),
          "10-a.b.conf:1: the instance would be called \"a.b\" after its file; name the file "
          "NN-NAME.conf, NAME of 1 to 63 of a-z, 0-9 and \"-\"" },
        { "00-d.conf", "[daemon]\nworker = 1\n",
          "00-d.conf:2: worker: unknown key; did you mean \"workers\"?" },
        { "00-d.conf", "[daemon]\nworkers = 1025\n",
          "00-d.conf:2: workers: \"1025\" is out of range; write 0 to 1024" },
        { "00-d.conf", "[daemon]\nadmin-listen = 127.0.0.1:10106\n",
          "00-d.conf:2: admin-listen: needs admin-token-file as well: without a token anybody who "
          "reaches \"127.0.0.1:10106\" could administer the daemon" },
        { "00-d.conf",
          "[daemon]\nadmin-token-file = /t\nadmin-listen = [::1]:1\nadmin-listen = 0.0.0.0:2\n",
          "00-d.conf:4: admin-listen: \"0.0.0.0:2\" is open to other machines, but without TLS the "
          "token could be read on the way; give admin-tls-certificate and admin-tls-key, or "
          "admin-insecure = true" },
        { "00-d.conf", "[topic t]\nstore = somewhere\n",
          "00-d.conf:2: store: no instance \"somewhere\"" },
        { "00-d.conf", "[group g]\ndead-letter-store = somewhere\n",
          "00-d.conf:2: dead-letter-store: no instance \"somewhere\"" },
        { "00-d.conf", "[topic t]\nsomewhere.key = 1\n",
          "00-d.conf:2: somewhere.key: no instance \"somewhere\"" },
    };
    for (size_t k = 0; k < G_N_ELEMENTS(cases); k++) {
        put(f, 0, cases[k].name, cases[k].text);
        assert_refused(f, cases[k].message);
        put(f, 0, cases[k].name, "");
    }
}

static void
test_across_files(folders *f, gconstpointer unused)
{
    (void)unused;
    put(f, 0, "10-a.conf", INSTANCE("storage-x"));
    put(f, 1, "20-a.conf", INSTANCE("storage-y"));
    put(f, 0, "00-d.conf", "[daemon]\nworkers = 1\n[topic t]\nstore = aa\n");
    put(f, 1, "90-d.conf", "[daemon]\nworkers = 2\n[topic t]\nb.c = 1\n[topic u]\nb.c = 1\n");
    assert_refused(f,
                   "20-a.conf:1: the instance \"a\" is already that of ROOT/vendor/10-a.conf; "
                   "rename one file\n"
                   "90-d.conf:3: [topic t] is given twice; first in 00-d.conf:3\n"
                   "90-d.conf:2: workers: given twice; first in 00-d.conf:2\n"
                   "00-d.conf:4: store: no instance \"aa\"; did you mean \"a\"?\n"
                   "90-d.conf:6: b.c: no instance \"b\"");

    /* an instance that is refused for its own errors is not missed as well */
    put(f, 1, "20-a.conf", "");
    put(f, 1, "90-d.conf", "");
    put(f, 0, "10-a.conf", INSTANCE("storage-x") "plugn = x\n");
    put(f, 0, "00-d.conf", "[topic t]\nstore = a\n");
    assert_refused(f, "10-a.conf:3: plugn: unknown key; did you mean \"plugin\"?");
}

static void
test_rules_name_instances(folders *f, gconstpointer unused)
{
    (void)unused;
    put(f, 0, "50-store-1.conf", INSTANCE("storage-x"));
    put(f, 0, "00-t.conf", "[topic t]\nstore = store-1\nstore-1.depth = 4\n"
                           "[group g]\ndead-letter-store = store-1\nstore-1.fetch = 4\n");
    g_autoptr(emesh_conf) conf = loaded(f);
    emesh_topic_rule topic;
    emesh_conf_topic(conf, "t", 1, &topic);
    g_assert_cmpstr(topic.store, ==, "store-1");
    emesh_group_rule group;
    emesh_conf_group(conf, "g", 1, &group);
    g_assert_cmpstr(group.dead_letter_store, ==, "store-1");
}

static void
test_daemon_defaults(folders *f, gconstpointer unused)
{
    (void)unused;
    g_autoptr(emesh_conf) conf = loaded(f);
    emesh_daemon_options options;
    g_assert_true(emesh_daemon_options_read(conf, &options, NULL));
    g_assert_cmpuint(options.workers, ==, 0);
    g_assert_cmpuint(options.log_level, ==, EMESH_LOG_NOTICE);
    g_assert_cmpuint(options.publisher_events, ==, 256);
    g_assert_cmpuint(options.publisher_bytes, ==, 1 << 20);
    g_assert_cmpuint(options.append_queue, ==, 64 << 20);
    g_assert_cmpuint(options.window_events, ==, 4096);
    g_assert_cmpuint(options.window_bytes, ==, 16 << 20);
    g_assert_cmpuint(options.credit_events, ==, 1024);
    g_assert_cmpuint(options.credit_bytes, ==, 4 << 20);
    uint32_t n;
    const emesh_option *table = emesh_daemon_option_table(&n);
    g_assert_true(emesh_options_check(table, n, sizeof *table, NULL));
    table = emesh_topic_option_table(&n);
    g_assert_true(emesh_options_check(table, n, sizeof *table, NULL));
    table = emesh_group_option_table(&n);
    g_assert_true(emesh_options_check(table, n, sizeof *table, NULL));
    table = emesh_instance_option_table(&n);
    g_assert_true(emesh_options_check(table, n, sizeof *table, NULL));
    table = emesh_option_group_table("emesh.listen/1", &n);
    g_assert_true(emesh_options_check(table, n, sizeof *table, NULL));
    table = emesh_option_group_table("emesh.dial/1", &n);
    g_assert_true(emesh_options_check(table, n, sizeof *table, NULL));
}

static void
test_daemon_merged(folders *f, gconstpointer unused)
{
    (void)unused;
    put(f, 0, "00-d.conf", "[daemon]\nworkers = 3\nlog-level = error\n");
    put(f, 1, "90-d.conf", "[daemon]\npublisher-events = 1\npublisher-bytes = 4k\n"
                           "append-queue = 1M\nwindow-events = 2\nwindow-bytes = 8k\n"
                           "credit-events = 3\ncredit-bytes = 12k\n");
    g_autoptr(emesh_conf) conf = loaded(f);
    emesh_daemon_options options;
    g_assert_true(emesh_daemon_options_read(conf, &options, NULL));
    g_assert_cmpuint(options.workers, ==, 3);
    g_assert_cmpuint(options.log_level, ==, EMESH_LOG_ERROR);
    g_assert_cmpuint(options.publisher_events, ==, 1);
    g_assert_cmpuint(options.publisher_bytes, ==, 4096);
    g_assert_cmpuint(options.append_queue, ==, 1 << 20);
    g_assert_cmpuint(options.window_events, ==, 2);
    g_assert_cmpuint(options.window_bytes, ==, 8192);
    g_assert_cmpuint(options.credit_events, ==, 3);
    g_assert_cmpuint(options.credit_bytes, ==, 12288);
    g_assert_cmpuint(emesh_conf_section_n(emesh_conf_daemon(conf)), ==, 9);
    const emesh_config *config = emesh_conf_daemon_config(conf);
    g_assert_cmpstr(emesh_config_origin(config, "workers"), ==, "00-d.conf:2");
    g_assert_cmpstr(emesh_config_origin(config, "credit-bytes"), ==, "90-d.conf:8");

    static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };
    for (uint32_t k = 0; k < G_N_ELEMENTS(levels); k++) {
        g_autofree char *text = g_strdup_printf("[daemon]\nlog-level = %s\n", levels[k]);
        put(f, 0, "00-d.conf", text);
        g_autoptr(emesh_conf) level = loaded(f);
        emesh_daemon_options_read(level, &options, NULL);
        g_assert_cmpuint(options.log_level, ==, EMESH_LOG_ERROR + k);
    }
}

/* The configuration and what was made of it may end in any order. */
static void
test_references(folders *f, gconstpointer unused)
{
    (void)unused;
    put(f, 0, "10-a.conf", INSTANCE("c") "[options]\nlisten = 127.0.0.1:1\n");
    static const emesh_option_group groups[] = { { "emesh.listen/1", "" } };
    emesh_conf *conf = loaded(f);
    emesh_conf *again = emesh_conf_ref(conf);
    emesh_conf_unref(conf);
    emesh_config *config = emesh_config_new(emesh_conf_instance_at(again, 0)->options, NULL, 0, 0,
                                            groups, 1, NULL);
    emesh_conf_unref(again);
    emesh_config_unref(emesh_config_ref(config));
    emesh_listen_spec spec;
    g_assert_true(emesh_config_listen(config, "", &spec));
    g_assert_cmpstr(spec.origins[0], ==, "10-a.conf:4");
    emesh_config_unref(config);
    emesh_conf_unref(NULL);
    emesh_config_unref(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, run) g_test_add("/config/load/" path, folders, NULL, set_up, run, tear_down)
    ADD("nothing", test_nothing);
    ADD("instance", test_instance);
    ADD("override-and-mask", test_override_and_mask);
    ADD("bad-files", test_bad_files);
    ADD("limits", test_limits);
    ADD("refusals", test_refusals);
    ADD("across-files", test_across_files);
    ADD("rules-name-instances", test_rules_name_instances);
    ADD("daemon-defaults", test_daemon_defaults);
    ADD("daemon-merged", test_daemon_merged);
    ADD("references", test_references);
    return g_test_run();
}
