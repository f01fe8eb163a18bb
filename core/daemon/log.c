/* SPDX-License-Identifier: Apache-2.0
 *
 * The log sink. Lines are put together on the writer's stack and leave in one write(2), so that
 * they never mix; the mutex guards the rate limit alone.
 */
#include "daemon/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096u
#define LINES_A_SECOND 100u

struct emesh_log {
    int fd;
    bool journal;
    uint32_t level; /* atomic */
    pthread_mutex_t lock;
    GHashTable *scopes; /* name → struct scope */
    uint32_t n_limited; /* scopes with lines still to be told of */
    uint64_t suppressed;
};

struct scope {
    uint64_t second; /* the one being counted */
    uint32_t lines;
    uint32_t dropped; /* told when the second is over */
};

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
};

static bool
is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char *end = NULL;
    struct stat st;

    if (stream == NULL || fstat(fd, &st) != 0)
        return false;
    uint64_t dev = strtoull(stream, &end, 10);
    if (end == stream || *end != ':')
        return false;
    return dev == (uint64_t)st.st_dev && strtoull(end + 1, NULL, 10) == (uint64_t)st.st_ino;
}

emesh_log *
emesh_log_new(int fd, uint32_t level)
{
    emesh_log *log = g_new0(emesh_log, 1);

    log->fd = fd;
    log->level = level;
    log->journal = is_journal(fd);
    log->scopes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    pthread_mutex_init(&log->lock, NULL);
    return log;
}

void
emesh_log_set_level(emesh_log *log, uint32_t level)
{
    __atomic_store_n(&log->level, level, __ATOMIC_RELAXED);
}

const char *
emesh_log_level_name(uint32_t level)
{
    static const char *const names[] = { "error", "warning", "notice", "info", "debug" };
    uint32_t i = level < EMESH_LOG_ERROR ? 0 : level - EMESH_LOG_ERROR;

    return names[MIN(i, G_N_ELEMENTS(names) - 1)];
}

bool
emesh_log_on(const emesh_log *log, uint32_t level)
{
    return log != NULL && level <= __atomic_load_n(&log->level, __ATOMIC_RELAXED);
}

/* ---- a line ---- */

static void
put(struct line *line, const char *bytes, size_t len)
{
    size_t room = sizeof line->bytes - 1 - line->len; /* 1: the newline */

    len = MIN(len, room);
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void
put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Bytes below space, DEL and, in quotes, what would end them are escaped; UTF-8 passes. */
static void
put_escaped(struct line *line, const char *bytes, size_t len, bool quoted)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        char code[8];
        if (c >= 0x20 && c != 0x7f && !(quoted && (c == '"' || c == '\\'))) {
            put(line, &bytes[i], 1);
            continue;
        }
        if (c == '\n')
            put_text(line, "\\n");
        else if (c == '"' || c == '\\')
            put(line, (char[]){ '\\', (char)c }, 2);
        else
            put(line, code, (size_t)snprintf(code, sizeof code, "\\x%02x", c));
    }
}

static bool
needs_quotes(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] <= 0x20 || value[i] == '"' || value[i] == '=')
            return true;
    return len == 0;
}

static void
put_field(struct line *line, const emesh_attr *field)
{
    const char *value = field->value;
    bool quoted = needs_quotes(value, field->value_len);

    put_text(line, " ");
    put_escaped(line, field->name, field->name_len, false);
    put_text(line, quoted ? "=\"" : "=");
    put_escaped(line, value, field->value_len, quoted);
    put_text(line, quoted ? "\"" : "");
}

static void
put_head(const emesh_log *log, struct line *line, uint32_t level, const char *scope)
{
    char head[64];

    if (log->journal) {
        put(line, head, (size_t)snprintf(head, sizeof head, "<%u>", MIN(level, EMESH_LOG_DEBUG)));
    } else {
        struct timespec now;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        put(line, head, strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &tm));
        put(line, head,
            (size_t)snprintf(head, sizeof head, ".%03ldZ ", (long)(now.tv_nsec / 1000000)));
        put_text(line, emesh_log_level_name(level));
        put_text(line, " ");
    }
    put_text(line, "[");
    put_escaped(line, scope, strlen(scope), false);
    put_text(line, "] ");
}

static void
leave(const emesh_log *log, struct line *line)
{
    size_t at = 0;

    line->bytes[line->len++] = '\n';
    while (at < line->len) {
        ssize_t n = write(log->fd, line->bytes + at, line->len - at);
        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno != EINTR)
            return; /* nobody reads: a log must not stop the daemon */
    }
}

/* ---- the rate limit ---- */

static void
tell_dropped(emesh_log *log, const char *name, uint32_t dropped)
{
    struct line line = { .len = 0 };
    char text[64];

    put_head(log, &line, EMESH_LOG_WARNING, name);
    put(&line, text, (size_t)snprintf(text, sizeof text, "%u lines suppressed", dropped));
    leave(log, &line);
}

/* Scopes whose second is over are told of now, whoever writes: a flood that ends in silence must
 * not take its number with it. */
static void
tell_limited(emesh_log *log, uint64_t second)
{
    GHashTableIter iter;
    void *name, *value;

    g_hash_table_iter_init(&iter, log->scopes);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        struct scope *scope = value;
        if (scope->dropped == 0 || scope->second == second)
            continue;
        tell_dropped(log, name, scope->dropped);
        scope->dropped = 0;
        log->n_limited--;
    }
}

static bool
may_write(emesh_log *log, const char *name)
{
    struct timespec now;
    bool may;

    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t second = (uint64_t)now.tv_sec;
    pthread_mutex_lock(&log->lock);
    if (log->n_limited > 0)
        tell_limited(log, second);
    struct scope *scope = g_hash_table_lookup(log->scopes, name);
    if (scope == NULL) {
        scope = g_new0(struct scope, 1);
        g_hash_table_insert(log->scopes, g_strdup(name), scope);
    }
    if (scope->second != second) {
        scope->second = second;
        scope->lines = 0;
    }
    may = scope->lines < LINES_A_SECOND;
    if (may) {
        scope->lines++;
    } else {
        log->n_limited += scope->dropped == 0;
        scope->dropped++;
        log->suppressed++;
    }
    pthread_mutex_unlock(&log->lock);
    return may;
}

void
emesh_log_write(emesh_log *log, uint32_t level, const char *scope, const char *text, size_t len,
                const emesh_attr *fields, uint32_t n_fields)
{
    struct line line = { .len = 0 };

    if (!emesh_log_on(log, level) || !may_write(log, scope))
        return;
    put_head(log, &line, level, scope);
    put_escaped(&line, text, len, false);
    for (uint32_t i = 0; i < n_fields; i++)
        put_field(&line, &fields[i]);
    leave(log, &line);
}

void
emesh_log_say(emesh_log *log, uint32_t level, const char *scope, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (!emesh_log_on(log, level))
        return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    emesh_log_write(log, level, scope, text, MIN((size_t)MAX(n, 0), sizeof text - 1), NULL, 0);
}

uint64_t
emesh_log_suppressed(emesh_log *log)
{
    pthread_mutex_lock(&log->lock);
    uint64_t n = log->suppressed;
    pthread_mutex_unlock(&log->lock);
    return n;
}

void
emesh_log_free(emesh_log *log)
{
    if (log == NULL)
        return;
    tell_limited(log, UINT64_MAX);
    pthread_mutex_destroy(&log->lock);
    g_hash_table_unref(log->scopes);
    g_free(log);
}
