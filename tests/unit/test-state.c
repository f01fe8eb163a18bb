/* SPDX-License-Identifier: Apache-2.0
 *
 * Core's small durable state: what is answered is on the disk, all or nothing, one daemon per
 * folder; and the service a plugin sees of it. Called with --writer DIR it is the child that gets
 * killed.
 */
#include "plugin/private.h"
#include "state/state-db.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct fixture {
    char *top, *dir;
    emesh_worker *main, *worker;
    emesh_state *state;
} fixture;

static emesh_state *
open_state(const char *dir)
{
    g_autoptr(GError) error = NULL;
    emesh_state *state = emesh_state_open(dir, &error);
    g_assert_no_error(error);
    return state;
}

static void
set_up(fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;
    f->top = g_dir_make_tmp("emesh-state-XXXXXX", &error);
    g_assert_no_error(error);
    f->dir = g_build_filename(f->top, "core", NULL);
    f->main = emesh_worker_new_main(&error);
    f->worker = emesh_worker_new(0, "worker", &error);
    g_assert_no_error(error);
    emesh_worker_start(f->worker);
    f->state = open_state(f->dir);
}

static void
tear_down(fixture *f, gconstpointer data)
{
    (void)data;
    emesh_worker_stop(f->worker);
    emesh_state_close(f->state);
    emesh_worker_free(f->worker);
    emesh_worker_free(f->main);
    const char *const names[] = { "data.mdb", "lock.mdb", "lock" };
    for (uint32_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->dir, names[i], NULL);
        g_remove(path);
    }
    g_assert_cmpint(g_rmdir(f->dir), ==, 0);
    g_assert_cmpint(g_rmdir(f->top), ==, 0);
    g_free(f->dir);
    g_free(f->top);
}

static emesh_pair
pair(const char *key, const char *value)
{
    return (emesh_pair){ { key, strlen(key) }, { value, value != NULL ? strlen(value) : 0 } };
}

/* ---- waiting for an answer on main ---- */

typedef struct answer {
    uint32_t n;
    int32_t code;
    char text[256];
} answer;

static void
answered(void *ctx, int32_t code, const emesh_error *err)
{
    answer *a = ctx;
    g_assert_true((code == EMESH_OK) == (err == NULL));
    a->code = code;
    g_strlcpy(a->text, err != NULL ? err->text : "", sizeof a->text);
    a->n++;
}

static void
await(answer *a, uint32_t n)
{
    while (a->n < n)
        g_main_context_iteration(NULL, TRUE);
}

static int32_t
write_pairs(fixture *f, const char *space, const emesh_pair *pairs, uint32_t n)
{
    answer a = { 0 };
    emesh_state_write(f->state, f->main, space, pairs, n, sizeof *pairs, answered, &a);
    g_assert_cmpuint(a.n, ==, 0); /* never inside the call */
    await(&a, 1);
    return a.code;
}

static int32_t
write_one(fixture *f, const char *space, const char *key, const char *value)
{
    emesh_pair one = pair(key, value);
    return write_pairs(f, space, &one, 1);
}

static void
note_pair(void *ctx, const emesh_pair *p)
{
    g_string_append_printf(ctx, "%.*s=%.*s ", (int)p->key.len, (const char *)p->key.ptr,
                           (int)p->value.len, (const char *)p->value.ptr);
}

static void
assert_pairs(emesh_state *state, const char *space, const char *prefix, const char *expected)
{
    g_autoptr(GString) seen = g_string_new(NULL);
    g_assert_cmpint(emesh_state_read(state, space, prefix, strlen(prefix), note_pair, seen), ==,
                    EMESH_OK);
    g_assert_cmpstr(seen->str, ==, expected);
}

/* ---- tests ---- */

static void
test_pairs(fixture *f, gconstpointer data)
{
    (void)data;
    const emesh_pair some[] = { pair("b", "2"), pair("a", "1"), pair("ab", ""), pair("c", "3") };
    g_assert_cmpint(write_pairs(f, "pin:", some, 4), ==, EMESH_OK);
    g_assert_cmpint(write_one(f, "pin", "x", "other space"), ==, EMESH_OK);
    g_assert_cmpint(write_one(f, "pos:", "a", "9"), ==, EMESH_OK);
    assert_pairs(f->state, "pin:", "", "a=1 ab= b=2 c=3 ");
    assert_pairs(f->state, "pin:", "a", "a=1 ab= ");
    assert_pairs(f->state, "pin:", "zz", "");
    const emesh_pair change[] = { pair("a", NULL), pair("absent", NULL), pair("b", "22") };
    g_assert_cmpint(write_pairs(f, "pin:", change, 3), ==, EMESH_OK);
    assert_pairs(f->state, "pin:", "", "ab= b=22 c=3 ");
    emesh_state_close(f->state);
    f->state = open_state(f->dir);
    assert_pairs(f->state, "pin:", "", "ab= b=22 c=3 ");
    assert_pairs(f->state, "pos:", "", "a=9 ");
}

static void
test_modes(fixture *f, gconstpointer data)
{
    (void)data;
    struct stat info;
    g_assert_cmpint(stat(f->dir, &info), ==, 0);
    g_assert_cmpuint(info.st_mode & 0777, ==, 0700);
    const char *const names[] = { "data.mdb", "lock.mdb", "lock" };
    for (uint32_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->dir, names[i], NULL);
        g_assert_cmpint(stat(path, &info), ==, 0);
        g_assert_cmpuint(info.st_mode & 0777, ==, 0600);
    }
}

static void
test_refused_whole(fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *big = g_strnfill(EMESH_STATE_VALUE_MAX + 1, 'v');
    g_autofree char *key = g_strnfill(EMESH_STATE_KEY_MAX - 3, 'k');
    const emesh_pair large[] = { pair("good", "1"), pair("large", big) };
    g_assert_cmpint(write_pairs(f, "pin:", large, 2), ==, EMESH_E_TOO_LARGE);
    const emesh_pair wide[] = { pair("good", "1"), pair(key, "1") };
    g_assert_cmpint(write_pairs(f, "pin:", wide, 2), ==, EMESH_E_TOO_LARGE);
    assert_pairs(f->state, "pin:", "", "");
    key[strlen(key) - 1] = '\0';
    big[EMESH_STATE_VALUE_MAX] = '\0';
    const emesh_pair edge[] = { pair(key, big) };
    g_assert_cmpint(write_pairs(f, "pin:", edge, 1), ==, EMESH_OK);
    g_autoptr(GString) seen = g_string_new(NULL);
    emesh_state_read(f->state, "pin:", key, strlen(key), note_pair, seen);
    g_assert_cmpuint(seen->len, ==, strlen(key) + 1 + EMESH_STATE_VALUE_MAX + 1);
}

/* Many writers: each home gets its answers on its own thread, in its own order. */
typedef struct chain {
    emesh_worker *home;
    uint32_t next, wrong, done;
} chain;

typedef struct chain_step {
    chain *chain;
    uint32_t number;
} chain_step;

static void
step_done(void *ctx, int32_t code, const emesh_error *err)
{
    chain_step *step = ctx;
    (void)err;
    if (code != EMESH_OK || step->number != step->chain->next++ ||
        !emesh_worker_is_current(step->chain->home))
        step->chain->wrong++;
    __atomic_add_fetch(&step->chain->done, 1, __ATOMIC_RELEASE);
}

static void
test_homes(fixture *f, gconstpointer data)
{
    (void)data;
    enum { STEPS = 500 };
    chain chains[2] = { { .home = f->main }, { .home = f->worker } };
    chain_step steps[2][STEPS];
    for (uint32_t i = 0; i < STEPS; i++) {
        for (uint32_t k = 0; k < 2; k++) {
            g_autofree char *key = g_strdup_printf("%u-%u", k, i % 7);
            g_autofree char *value = g_strdup_printf("%u", i);
            emesh_pair one = pair(key, value);
            steps[k][i] = (chain_step){ &chains[k], i };
            emesh_state_write(f->state, chains[k].home, "pos:", &one, 1, sizeof one, step_done,
                              &steps[k][i]);
        }
    }
    while (chains[0].done < STEPS)
        g_main_context_iteration(NULL, TRUE);
    while (__atomic_load_n(&chains[1].done, __ATOMIC_ACQUIRE) < STEPS)
        g_thread_yield();
    g_assert_cmpuint(chains[0].wrong + chains[1].wrong, ==, 0);
    assert_pairs(f->state, "pos:", "0-3", "0-3=493 ");
    assert_pairs(f->state, "pos:", "1-2", "1-2=499 ");
}

/* What was queued when the state is closed is written, though nobody hears of it. */
static void
test_close_writes(fixture *f, gconstpointer data)
{
    (void)data;
    answer a = { 0 };
    for (uint32_t i = 0; i < 50; i++) {
        g_autofree char *key = g_strdup_printf("%02u", i);
        emesh_pair one = pair(key, "x");
        emesh_state_write(f->state, f->main, "pin:", &one, 1, sizeof one, answered, &a);
    }
    emesh_state_close(f->state);
    g_assert_cmpuint(a.n, ==, 0);
    emesh_worker_free(f->main); /* with the answers that nobody may read */
    g_autoptr(GError) error = NULL;
    f->main = emesh_worker_new_main(&error);
    f->state = open_state(f->dir);
    g_autoptr(GString) seen = g_string_new(NULL);
    emesh_state_read(f->state, "pin:", "", 0, note_pair, seen);
    g_assert_cmpuint(seen->len, ==, 50 * strlen("00=x "));
}

static void
test_second_is_refused(fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_assert_null(emesh_state_open(f->dir, &error));
    g_assert_nonnull(error);
    g_autofree char *pid = g_strdup_printf("process %d", (int)getpid());
    g_assert_nonnull(strstr(error->message, f->top));
    g_assert_nonnull(strstr(error->message, pid));
    g_assert_nonnull(strstr(error->message, "--data"));
    /* And it did not harm the first. */
    g_assert_cmpint(write_one(f, "pin:", "a", "1"), ==, EMESH_OK);
    emesh_state_close(f->state);
    f->state = open_state(f->dir);
}

static void
test_no_folder(fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(f->dir, "lock", "below-a-file", NULL);
    g_assert_null(emesh_state_open(path, &error));
    g_assert_nonnull(strstr(error->message, path));
}

/* A limit on the file's size stands for a full disk: refused by name, and fine again afterwards. */
static void
test_full_disk(fixture *f, gconstpointer data)
{
    (void)data;
    struct rlimit before, tight;
    g_autofree char *value = g_strnfill(EMESH_STATE_VALUE_MAX, 'v');
    g_assert_cmpint(write_one(f, "pin:", "first", "1"), ==, EMESH_OK);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    tight = before;
    tight.rlim_cur = 256 << 10;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &tight), ==, 0);
    int32_t code = EMESH_OK;
    uint32_t kept = 0;
    for (uint32_t i = 0; code == EMESH_OK && i < 20; i++) {
        g_autofree char *key = g_strdup_printf("big%02u", i);
        code = write_one(f, "pin:", key, value);
        kept += code == EMESH_OK;
    }
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    /* LMDB calls a write that stops at the limit EIO; either way it is surely not stored. */
    g_assert_true(code == EMESH_E_NO_SPACE || code == EMESH_E_IO);
    g_assert_cmpuint(kept, >, 0);
    g_assert_cmpint(write_one(f, "pin:", "last", "2"), ==, EMESH_OK);
    assert_pairs(f->state, "pin:", "first", "first=1 ");
    assert_pairs(f->state, "pin:", "last", "last=2 ");
    g_autoptr(GString) seen = g_string_new(NULL);
    emesh_state_read(f->state, "pin:", "big", 3, note_pair, seen);
    g_assert_cmpuint(seen->len, ==, kept * (5 + 1 + EMESH_STATE_VALUE_MAX + 1));
}

/* The queue is bounded: the writer is held, then writes are refused for now. */
static void
no_page(void *ctx, int32_t code, const emesh_error *err, const emesh_state_page *page)
{
    (void)err;
    (void)page;
    g_assert_cmpint(code, ==, EMESH_OK);
    ((answer *)ctx)->n++;
}

static void
test_queue_bound(fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *value = g_strnfill(EMESH_STATE_VALUE_MAX, 'v');
    enum { PAIRS = 200 };
    char keys[PAIRS][8];
    emesh_pair pairs[PAIRS];
    for (uint32_t i = 0; i < PAIRS; i++) {
        g_snprintf(keys[i], sizeof keys[i], "%u", i);
        pairs[i] = pair(keys[i], value);
    }
    answer page = { 0 }, a = { 0 };
    pthread_rwlock_wrlock(&f->state->env_lock);
    emesh_state_fetch(f->state, f->main, (emesh_slice){ "pin:", 4 }, (emesh_slice){ 0 }, no_page,
                      &page);
    uint32_t sent = 0;
    for (; a.n == 0 && sent < 10; sent++) {
        emesh_state_write(f->state, f->main, "pin:", pairs, PAIRS, sizeof pairs[0], answered, &a);
        while (g_main_context_iteration(NULL, FALSE))
            continue;
    }
    pthread_rwlock_unlock(&f->state->env_lock);
    g_assert_cmpint(a.code, ==, EMESH_E_BUSY);
    g_assert_cmpuint(sent, >=, 5);
    await(&a, sent);
    await(&page, 1);
    g_assert_cmpint(a.code, ==, EMESH_OK);
}

/* ---- the child that is killed ---- */

typedef struct child {
    emesh_state *state;
    emesh_worker *main;
    uint32_t next;
} child;

static void child_write(child *c);

static void
child_wrote(void *ctx, int32_t code, const emesh_error *err)
{
    child *c = ctx;
    if (code != EMESH_OK)
        g_error("child: %s", err->text);
    printf("%u\n", c->next++);
    fflush(stdout);
    child_write(c);
}

static void
child_write(child *c)
{
    g_autofree char *text = g_strdup_printf("%06u", c->next);
    const emesh_pair both[] = { pair(text, text), pair("last", text) };
    emesh_state_write(c->state, c->main, "pin:", both, 2, sizeof both[0], child_wrote, c);
}

static void G_GNUC_NORETURN
be_child(const char *dir)
{
    child c = { .main = emesh_worker_new_main(NULL) };
    c.state = open_state(dir);
    child_write(&c);
    for (;;)
        g_main_context_iteration(NULL, TRUE);
}

/* Kills the child after n answers; returns how many it gave. */
static uint32_t
kill_child(const char *dir, uint32_t n)
{
    const char *const argv[] = { "/proc/self/exe", "--writer", dir, NULL };
    g_autoptr(GError) error = NULL;
    GPid pid;
    gint out = -1;
    g_spawn_async_with_pipes(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                             NULL, &pid, NULL, &out, NULL, &error);
    g_assert_no_error(error);
    FILE *lines = fdopen(out, "r");
    char line[32];
    uint32_t seen = 0;
    while (fgets(line, sizeof line, lines) != NULL && strchr(line, '\n') != NULL) {
        g_assert_cmpuint((uint32_t)atoi(line), ==, seen);
        if (++seen == n)
            kill(pid, SIGKILL);
    }
    fclose(lines);
    int status = 0;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return seen;
}

static void
test_kill(fixture *f, gconstpointer data)
{
    (void)data;
    emesh_state_close(f->state);
    for (uint32_t turn = 0; turn < 4; turn++) {
        uint32_t seen = kill_child(f->dir, 1 + turn * 37);
        g_assert_cmpuint(seen, >, turn * 37);
        f->state = open_state(f->dir);
        g_autoptr(GString) all = g_string_new(NULL);
        emesh_state_read(f->state, "pin:", "0", 1, note_pair, all);
        g_autofree char *last = g_strdup_printf("%06u=", seen - 1);
        g_assert_nonnull(strstr(all->str, last));
        /* The pair beside it came with it: one more may have been written than was answered. */
        g_autoptr(GString) beside = g_string_new(NULL);
        emesh_state_read(f->state, "pin:", "last", 4, note_pair, beside);
        uint32_t value = (uint32_t)atoi(beside->str + strlen("last="));
        g_assert_cmpuint(value, >=, seen - 1);
        g_assert_cmpuint(value, <=, seen);
        for (uint32_t i = 0; i < seen; i++) {
            g_autofree char *one = g_strdup_printf("%06u=%06u ", i, i);
            g_assert_nonnull(strstr(all->str, one));
        }
        emesh_state_close(f->state);
        g_autofree char *path = g_build_filename(f->dir, "data.mdb", NULL);
        g_remove(path);
    }
    f->state = open_state(f->dir);
}

/* ---- the service ---- */

typedef struct plugin {
    struct emesh_inst inst;
    struct emesh_inst_private priv;
    emesh_loop loop;
} plugin;

static void
plugin_set_up(plugin *p, fixture *f, const char *name)
{
    memset(p, 0, sizeof *p);
    p->inst.name = (char *)(uintptr_t)name;
    p->inst.layout.pair = sizeof(emesh_pair) + 16; /* newer than this host */
    p->inst.priv = &p->priv;
    p->priv.env.state = f->state;
    emesh_work_gate_init(&p->priv.gate, f->main);
    p->loop = (emesh_loop){ .worker = f->main, .main = f->main, .inst = &p->inst };
}

typedef struct wide_pair {
    emesh_pair pair;
    char more[16];
} wide_pair;

typedef struct reading {
    uint32_t pages, pairs, more, wrong;
    int32_t code;
    char last[64];
} reading;

static void
on_found(void *ctx, int32_t code, const emesh_pair *pairs, uint32_t n, uint32_t more)
{
    reading *r = ctx;
    const wide_pair *wide = (const wide_pair *)pairs;
    r->code = code;
    r->pages++;
    r->more = more;
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *key = g_strndup(wide[i].pair.key.ptr, wide[i].pair.key.len);
        if (strcmp(key, r->last) <= 0 || wide[i].pair.value.len != 4 || wide[i].more[0] != 0)
            r->wrong++;
        g_strlcpy(r->last, key, sizeof r->last);
        r->pairs++;
    }
}

static void
read_all(plugin *p, const char *prefix, reading *r)
{
    memset(r, 0, sizeof *r);
    r->more = 1;
    emesh_state_service.read(&p->loop, prefix, strlen(prefix), on_found, r);
    g_assert_cmpuint(r->pages, ==, 0);
    while (r->more)
        g_main_context_iteration(NULL, TRUE);
}

static void
test_service(fixture *f, gconstpointer data)
{
    (void)data;
    enum { PAIRS = 1000 };
    plugin one, other;
    plugin_set_up(&one, f, "one");
    plugin_set_up(&other, f, "one-more");
    g_autofree wide_pair *pairs = g_new0(wide_pair, PAIRS);
    g_autofree char *keys = g_malloc(PAIRS * 16);
    for (uint32_t i = 0; i < PAIRS; i++) {
        g_snprintf(keys + i * 16, 16, "key-%05u", i);
        pairs[i].pair = pair(keys + i * 16, "1234");
    }
    answer a = { 0 };
    reading r;
    emesh_state_service.write(&one.loop, &pairs[0].pair, PAIRS, answered, &a);
    read_all(&one, "", &r); /* behind the write */
    g_assert_cmpuint(a.n, ==, 1);
    g_assert_cmpint(a.code, ==, EMESH_OK);
    g_assert_cmpuint(r.pairs, ==, PAIRS);
    g_assert_cmpuint(r.pages, ==, 4);
    g_assert_cmpuint(r.wrong, ==, 0);
    read_all(&one, "key-0001", &r);
    g_assert_cmpuint(r.pairs, ==, 10);
    read_all(&one, "none", &r);
    g_assert_cmpuint(r.pages, ==, 1);
    g_assert_cmpint(r.code, ==, EMESH_OK);
    read_all(&other, "", &r);
    g_assert_cmpuint(r.pairs, ==, 0);

    g_autofree char *long_key = g_strnfill(257, 'k');
    pairs[1].pair = pair(long_key, "1234");
    emesh_state_service.write(&other.loop, &pairs[0].pair, 2, answered, &a);
    g_assert_cmpuint(a.n, ==, 1);
    await(&a, 2);
    g_assert_cmpint(a.code, ==, EMESH_E_TOO_LARGE);
    g_assert_nonnull(strstr(a.text, "one-more"));
    read_all(&other, "", &r);
    g_assert_cmpuint(r.pairs, ==, 0);
}

static void
gate_is_empty(emesh_job *job)
{
    (void)job;
}

/* Answers that find their lane gone come to main, and destroy waits for them. */
static void
test_closed_lane(fixture *f, gconstpointer data)
{
    (void)data;
    plugin p;
    plugin_set_up(&p, f, "one");
    p.loop.worker = f->worker;
    wide_pair one = { .pair = pair("k", "1234") };
    answer a = { 0 };
    reading r = { .more = 1 };
    /* The lane ends while the answers are on their way. */
    pthread_rwlock_wrlock(&f->state->env_lock);
    emesh_state_service.read(&p.loop, "", 0, on_found, &r);
    emesh_state_service.write(&p.loop, &one.pair, 1, answered, &a);
    __atomic_store_n(&p.loop.closed, 1, __ATOMIC_RELEASE);
    g_assert_cmpuint(emesh_work_gate_outstanding(&p.priv.gate), ==, 2);
    pthread_rwlock_unlock(&f->state->env_lock);
    await(&a, 1);
    g_assert_cmpint(a.code, ==, EMESH_OK); /* what happened is told */
    while (r.more)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpint(r.code, ==, EMESH_E_CLOSED);
    g_assert_cmpuint(emesh_work_gate_outstanding(&p.priv.gate), ==, 0);
    emesh_job over = { .run = gate_is_empty };
    emesh_work_gate_wait(&p.priv.gate, &over);
    g_main_context_iteration(NULL, FALSE);
}

int
main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* as the daemon does */
    if (argc == 3 && strcmp(argv[1], "--writer") == 0)
        be_child(argv[2]);
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/state/" name, fixture, NULL, set_up, function, tear_down)
    ADD("pairs", test_pairs);
    ADD("modes", test_modes);
    ADD("refused-whole", test_refused_whole);
    ADD("homes", test_homes);
    ADD("close-writes", test_close_writes);
    ADD("second-is-refused", test_second_is_refused);
    ADD("no-folder", test_no_folder);
    ADD("full-disk", test_full_disk);
    ADD("queue-bound", test_queue_bound);
    ADD("kill", test_kill);
    ADD("service", test_service);
    ADD("closed-lane", test_closed_lane);
    return g_test_run();
}
