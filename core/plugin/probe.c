/* SPDX-License-Identifier: Apache-2.0
 *
 * The parent's side of the probe, and the file of remembered verdicts.
 */
#include "plugin/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "emesh-build.h"
#include "plugin/loader.h"

#define LIMIT_MS 2000
#define ANSWER_MOST 1024u
#define CACHE_MOST (1u << 20)
#define CACHE_HEAD "eventmesh-probe 1 " EMESH_VERSION "\n"

extern char **environ;

typedef struct child {
    pid_t pid;
    int out;
    char answer[ANSWER_MOST];
    size_t len;
    int status;
    bool slow;
} child;

static int64_t
now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int
spawn(child *c, const char *prober, const char *path)
{
    char *argv[] = { (char *)(uintptr_t)prober, "--probe", (char *)(uintptr_t)path, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawn(&c->pid, prober, &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (rc != 0)
        close(ends[0]);
    else
        c->out = ends[0];
    return rc;
}

/* Reads until the child closes its end; false at the deadline. */
static bool
read_answer(child *c, int64_t deadline)
{
    for (;;) {
        struct pollfd fd = { .fd = c->out, .events = POLLIN };
        int64_t left = deadline - now_ms();
        int n = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        char rest[256];
        size_t room = sizeof c->answer - 1 - c->len;
        ssize_t got =
            room > 0 ? read(c->out, c->answer + c->len, room) : read(c->out, rest, sizeof rest);
        if (got == 0 || (got < 0 && errno != EINTR))
            return true;
        if (got > 0 && room > 0)
            c->len += (size_t)got;
    }
}

/* A child that closed its output and lives on is waited for as well, in small steps. */
static void
reap(child *c, int64_t deadline)
{
    const struct timespec step = { .tv_nsec = 1000000 };
    pid_t pid;

    while ((pid = waitpid(c->pid, &c->status, WNOHANG)) == 0 && now_ms() < deadline)
        nanosleep(&step, NULL);
    if (pid == 0) {
        c->slow = true;
        kill(c->pid, SIGKILL);
        while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
            continue;
    }
}

/* "E12 path: why" of the child becomes our own error. */
static bool
take_refusal(const child *c, GError **error)
{
    char *end = NULL;
    long code = c->answer[0] == 'E' ? strtol(c->answer + 1, &end, 10) : 0;

    if (code < EMESH_REFUSED_NOT_FOUND || code > EMESH_REFUSED_CREATE || *end != ' ')
        return false;
    g_set_error_literal(error, EMESH_REFUSED, (int)code, c->answer);
    return true;
}

bool
emesh_probe_run(const char *prober, const char *path, GError **error)
{
    child c = { .out = -1 };
    int64_t deadline = now_ms() + LIMIT_MS;
    int rc = spawn(&c, prober, path);

    if (rc != 0) {
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_CRASHED,
                    "E%02d %s: cannot start %s to try it: %s", EMESH_REFUSED_CRASHED, path, prober,
                    g_strerror(rc));
        return false;
    }
    (void)read_answer(&c, deadline);
    reap(&c, deadline);
    close(c.out);
    g_strchomp(c.answer);
    if (c.slow)
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_SLOW,
                    "E%02d %s: loading it in a child process took longer than %d ms: its entry and "
                    "its constructors must neither wait nor work",
                    EMESH_REFUSED_SLOW, path, LIMIT_MS);
    else if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0 && strcmp(c.answer, "ok") == 0)
        return true;
    else if (!WIFEXITED(c.status) || !take_refusal(&c, error))
        g_set_error(error, EMESH_REFUSED, EMESH_REFUSED_CRASHED,
                    "E%02d %s: it killed the child process that loaded it (%s %d)",
                    EMESH_REFUSED_CRASHED, path, WIFSIGNALED(c.status) ? "signal" : "exit code",
                    WIFSIGNALED(c.status) ? WTERMSIG(c.status) : WEXITSTATUS(c.status));
    return false;
}

/* ---- remembered ---- */

struct emesh_probe_cache {
    char *file;
    GHashTable *good; /* a file's line */
};

static char *
line_of(const struct stat *st)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                           ".%09ld %" G_GINT64_FORMAT,
                           (guint64)st->st_dev, (guint64)st->st_ino, (gint64)st->st_mtim.tv_sec,
                           st->st_mtim.tv_nsec, (gint64)st->st_size);
}

/* Verdicts of another version of the host are not believed. */
static void
load(emesh_probe_cache *cache)
{
    g_autofree char *text = NULL;
    struct stat st;

    if (stat(cache->file, &st) != 0 || st.st_size > CACHE_MOST || st.st_uid != geteuid() ||
        !g_file_get_contents(cache->file, &text, NULL, NULL) || !g_str_has_prefix(text, CACHE_HEAD))
        return;
    g_auto(GStrv) lines = g_strsplit(text + strlen(CACHE_HEAD), "\n", -1);
    for (char **line = lines; *line != NULL; line++)
        if (**line != '\0')
            g_hash_table_add(cache->good, g_strdup(*line));
}

emesh_probe_cache *
emesh_probe_cache_new(const char *file)
{
    emesh_probe_cache *cache = g_new0(emesh_probe_cache, 1);

    cache->file = g_strdup(file);
    cache->good = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (file != NULL)
        load(cache);
    return cache;
}

bool
emesh_probe_cache_has(const emesh_probe_cache *cache, const struct stat *st)
{
    g_autofree char *line = line_of(st);

    return g_hash_table_contains(cache->good, line);
}

/* A cache that cannot be written costs time at the next start, no more. */
void
emesh_probe_cache_add(emesh_probe_cache *cache, const struct stat *st)
{
    g_autoptr(GString) text = g_string_new(CACHE_HEAD);
    GHashTableIter iter;
    void *line;

    g_hash_table_add(cache->good, line_of(st));
    if (cache->file == NULL)
        return;
    g_hash_table_iter_init(&iter, cache->good);
    while (g_hash_table_iter_next(&iter, &line, NULL))
        g_string_append_printf(text, "%s\n", (char *)line);
    if (text->len < CACHE_MOST)
        (void)g_file_set_contents_full(cache->file, text->str, (gssize)text->len,
                                       G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}

void
emesh_probe_cache_free(emesh_probe_cache *cache)
{
    if (cache == NULL)
        return;
    g_hash_table_unref(cache->good);
    g_free(cache->file);
    g_free(cache);
}
