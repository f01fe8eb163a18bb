/* SPDX-License-Identifier: Apache-2.0
 *
 * The log sink: one line per record whatever is in it, levels, the limit per scope, the journal.
 */
#include "daemon/log.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct sink {
    emesh_log *log;
    char *path;
    int fd;
} sink;

static void
sink_open(sink *s, uint32_t level)
{
    g_autoptr(GError) error = NULL;

    s->fd = g_file_open_tmp("emesh-log-XXXXXX", &s->path, &error);
    g_assert_no_error(error);
    s->log = emesh_log_new(s->fd, level);
}

/* Ends the log and gives what was written. */
static char *
sink_close(sink *s)
{
    char *text = NULL;

    emesh_log_free(s->log);
    close(s->fd);
    g_assert_true(g_file_get_contents(s->path, &text, NULL, NULL));
    g_unlink(s->path);
    g_free(s->path);
    return text;
}

static const char *
behind_time(const char *line)
{
    g_assert_true(
        g_regex_match_simple("^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z ", line, 0, 0));
    return strchr(line, ' ') + 1;
}

static void
test_line(void)
{
    sink s;
    const emesh_attr fields[] = {
        { .name = "peer", .name_len = 4, .value = "10.0.0.1:7", .value_len = 10 },
        { .name = "why", .name_len = 3, .value = "two \"words\"\n", .value_len = 12 },
        { .name = "none", .name_len = 4, .value = "", .value_len = 0 },
    };

    sink_open(&s, EMESH_LOG_INFO);
    emesh_log_write(s.log, EMESH_LOG_WARNING, "protocol-tcp", "one\nline\x01 \xc3\xa9\x7f", 13, fields,
                    3);
    emesh_log_say(s.log, EMESH_LOG_INFO, "daemon", "%d of %s", 7, "them");
    emesh_log_say(s.log, EMESH_LOG_DEBUG, "daemon", "not on");
    g_assert_false(emesh_log_on(s.log, EMESH_LOG_DEBUG));
    emesh_log_set_level(s.log, EMESH_LOG_DEBUG);
    g_assert_true(emesh_log_on(s.log, EMESH_LOG_DEBUG));
    g_assert_false(emesh_log_on(NULL, EMESH_LOG_ERROR));
    emesh_log_say(NULL, EMESH_LOG_ERROR, "daemon", "nowhere");
    g_autofree char *text = sink_close(&s);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_cmpstr(behind_time(lines[0]), ==,
                    "warning [protocol-tcp] one\\nline\\x01 \xc3\xa9\\x7f peer=10.0.0.1:7 "
                    "why=\"two \\\"words\\\"\\n\" none=\"\"");
    g_assert_cmpstr(behind_time(lines[1]), ==, "info [daemon] 7 of them");
    g_assert_cmpstr(lines[2], ==, "");
}

static void
test_long(void)
{
    sink s;
    g_autofree char *much = g_strnfill(100000, 'x');

    sink_open(&s, EMESH_LOG_INFO);
    emesh_log_write(s.log, EMESH_LOG_INFO, "daemon", much, 100000, NULL, 0);
    g_autofree char *text = sink_close(&s);
    g_assert_cmpuint(strlen(text), ==, 4096);
    g_assert_true(g_str_has_suffix(text, "x\n"));
}

static void *
flood(void *log)
{
    for (uint32_t i = 0; i < 500; i++)
        emesh_log_say(log, EMESH_LOG_INFO, "loud", "line %u", i);
    return NULL;
}

static uint32_t
lines_with(const char *text, const char *word)
{
    uint32_t n = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

/* A loud instance is cut, a quiet one is not; the number of the rest is told, and adds up. */
static void
test_limit(void)
{
    sink s;
    pthread_t threads[4];

    sink_open(&s, EMESH_LOG_INFO);
    for (uint32_t i = 0; i < 4; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, flood, s.log), ==, 0);
    for (uint32_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    emesh_log_say(s.log, EMESH_LOG_INFO, "quiet", "still heard");
    uint64_t suppressed = emesh_log_suppressed(s.log);
    g_autofree char *text = sink_close(&s);
    uint32_t written = lines_with(text, "[loud] line ");
    g_assert_cmpuint(written, >=, 100);
    g_assert_cmpuint(written, <=, 500); /* were it slow, some seconds might pass */
    g_assert_cmpuint(written + suppressed, ==, 2000);
    g_assert_cmpuint(lines_with(text, "[quiet] still heard"), ==, 1);
    uint64_t told = 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++)
        if (strstr(*line, " lines suppressed") != NULL)
            told += g_ascii_strtoull(strstr(*line, "[loud] ") + 7, NULL, 10);
    g_assert_cmpuint(told, ==, suppressed);
}

static void
test_journal(void)
{
    sink s = { 0 };
    struct stat st;
    g_autoptr(GError) error = NULL;

    s.fd = g_file_open_tmp("emesh-log-XXXXXX", &s.path, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fstat(s.fd, &st), ==, 0);
    g_autofree char *stream = g_strdup_printf("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT,
                                              (guint64)st.st_dev, (guint64)st.st_ino);
    g_setenv("JOURNAL_STREAM", stream, TRUE);
    s.log = emesh_log_new(s.fd, EMESH_LOG_INFO);
    g_setenv("JOURNAL_STREAM", "1:2", TRUE); /* somebody else's */
    emesh_log *other = emesh_log_new(s.fd, EMESH_LOG_INFO);
    emesh_log_say(s.log, EMESH_LOG_ERROR, "daemon", "to the journal");
    emesh_log_say(other, EMESH_LOG_ERROR, "daemon", "to a file");
    emesh_log_free(other);
    g_autofree char *text = sink_close(&s);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_assert_cmpstr(lines[0], ==, "<3>[daemon] to the journal");
    g_assert_cmpstr(behind_time(lines[1]), ==, "error [daemon] to a file");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/line", test_line);
    g_test_add_func("/log/long", test_long);
    g_test_add_func("/log/limit", test_limit);
    g_test_add_func("/log/journal", test_journal);
    return g_test_run();
}
