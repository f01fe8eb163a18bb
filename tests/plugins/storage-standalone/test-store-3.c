/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 3 of the embedded store: the n-th fdatasync fails with EIO and takes with it what it covered,
 * the next one succeeds; for all n of a short run. The store is opened again in the same process, as
 * core does, goes on, and stops in order. No answer was OK whose event is then missing, and the
 * failure is told. Children run under tests/faults/nth-shim.so.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS 24u /* before the restart, and after it */
#define FOLDER_OF_CHILD "STORE_TEST_3_FOLDER"

typedef struct said { /* of a child, in a file that it maps */
    uint64_t acked[2 * EVENTS]; /* the event's number + 1 */
    uint64_t n_acked, refused, opened_again, done;
} said;

typedef struct shim { /* tests/faults/README.md */
    char magic[8];
    uint64_t calls, failed, dropped, full;
} shim;


static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 20000000;
    opt.sync_interval_ns = 20000000;
    return opt;
}

static void *
map(const char *dir, const char *name, size_t size)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    g_assert_true(at != MAP_FAILED);
    return at;
}

/* ---- the child ---- */

/* Opening may be what fails; then once more, as core would. */
static bool
open_store(store_host *h, const sa_options *opt)
{
    return store_host_open(h, opt, NULL) == EMESH_OK || store_host_open(h, opt, NULL) == EMESH_OK;
}

static void
publish(store_host *h, said *s, uint64_t first)
{
    struct emesh_topic *topic = NULL;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { "t", 1 }, .create = 1,
                              .level = EMESH_LEVEL_SYNCED };
    if (store_host_topic_code(h, &spec, &topic) != EMESH_OK) {
        s->refused++;
        return;
    }
    for (uint64_t i = first; i < first + EVENTS; i++) {
        if (store_host_append(h, 0, topic, "e", i, 1, 5000, 0) == 1)
            s->acked[s->n_acked++] = i + 1;
        else
            s->refused++;
    }
    sa_topic_close(NULL, topic);
}

static int
child(const char *dir)
{
    said *s = map(dir, "said", sizeof *s);
    g_autofree char *data = g_build_filename(dir, "data", NULL);
    sa_options opt = options();
    store_host *h = store_host_new(data, 1);
    if (open_store(h, &opt)) {
        publish(h, s, 0);
        store_host_close(h);
    }
    s->opened_again = open_store(h, &opt);
    if (s->opened_again) {
        publish(h, s, EVENTS);
        store_host_close(h);
    }
    store_host_free(h);
    s->done = 1;
    return 0;
}

static void
run_child(const char *dir, uint32_t n)
{
    g_autofree char *build = g_strdup_printf("%s/tests/faults/nth-shim.so", g_getenv("EMESH_BUILD"));
    g_autofree char *notes = g_build_filename(dir, "notes", NULL);
    g_autofree char *data = g_build_filename(dir, "data", NULL);
    g_autofree char *nth = g_strdup_printf("%u", n);
    g_auto(GStrv) env = g_get_environ();
    char self[] = "/proc/self/exe", *argv[] = { self, NULL };
    int status = 0;
    env = g_environ_setenv(env, FOLDER_OF_CHILD, dir, TRUE);
    env = g_environ_setenv(env, "LD_PRELOAD", build, TRUE);
    env = g_environ_setenv(env, "NTH_SHIM_CALL", "fdatasync", TRUE);
    env = g_environ_setenv(env, "NTH_SHIM_N", nth, TRUE);
    env = g_environ_setenv(env, "NTH_SHIM_DROP", ".seg", TRUE);
    env = g_environ_setenv(env, "NTH_SHIM_FOLDER", data, TRUE);
    env = g_environ_setenv(env, "NTH_SHIM_NOTES", notes, TRUE);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, 1);
        execve(self, argv, env);
        _exit(1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

/* ---- the parent ---- */

/* Everything that was answered with OK is there. */
static void
verify(const char *dir, const said *s, uint32_t n)
{
    g_autofree char *data = g_build_filename(dir, "data", NULL);
    sa_options opt = options();
    store_host *h = store_host_new(data, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_SYNCED, 0, 0);
    store_reader *r = store_host_read_all(h, topic, NULL, 5000);
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    for (uint32_t i = 0; i < store_host_n(r); i++) {
        const char *id = store_host_id(r, i);
        if (*id != '\0')
            g_assert_true(g_hash_table_add(there, (char *)(uintptr_t)id));
    }
    for (uint64_t i = 0; i < s->n_acked; i++) {
        g_autofree char *id = g_strdup_printf("e%" G_GUINT64_FORMAT, s->acked[i] - 1);
        if (!g_hash_table_contains(there, id))
            g_error("fdatasync %u failed: %s was answered with OK and is gone", n, id);
    }
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    sa_topic_close(NULL, topic);
    store_host_close(h);
    store_host_free(h);
}

static void
test_sync_fails_once(void)
{
    if (g_getenv("EMESH_BUILD") == NULL || g_getenv("STORE_TEST_3_NO_SHIM") != NULL) {
        g_test_skip("a sanitizer's library must be the first: nothing can be loaded before it");
        return;
    }
    uint64_t acked = 0, refused = 0, dropped = 0;
    uint32_t n = 0;
    for (uint64_t failed = 1; failed > 0;) {
        g_autofree char *dir = folder_make_fast();
        run_child(dir, ++n);
        said *s = map(dir, "said", sizeof *s);
        shim *notes = map(dir, "notes", sizeof *notes);
        g_assert_cmpint(memcmp(notes->magic, "EMNTH001", 8), ==, 0);
        g_assert_cmpuint(notes->full, ==, 0);
        g_assert_cmpuint(s->done, ==, 1);
        g_assert_cmpuint(s->opened_again, ==, 1);
        failed = notes->failed;
        verify(dir, s, n);
        /* A failed sync is not a reason to answer OK, and once the store is opened again it works. */
        g_assert_cmpuint(s->n_acked, >=, EVENTS);
        if (failed == 0)
            g_assert_cmpuint(s->n_acked, ==, 2 * EVENTS);
        acked += s->n_acked;
        refused += s->refused;
        dropped += notes->dropped;
        munmap(s, sizeof *s);
        munmap(notes, sizeof *notes);
        folder_remove(dir);
    }
    g_test_message("each of %u syncs failed once: %" G_GUINT64_FORMAT " answered with OK, none lost, %"
                   G_GUINT64_FORMAT " refused, %" G_GUINT64_FORMAT " bytes dropped", n - 1, acked,
                   refused, dropped);
    g_assert_cmpuint(n, >, EVENTS);
    g_assert_cmpuint(refused, >, 0);
    g_assert_cmpuint(dropped, >, 0);
}

int
main(int argc, char **argv)
{
    if (g_getenv(FOLDER_OF_CHILD) != NULL)
        return child(g_getenv(FOLDER_OF_CHILD));
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-3/sync-fails-once", test_sync_fails_once);
    return g_test_run();
}
