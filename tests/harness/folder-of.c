/* SPDX-License-Identifier: Apache-2.0
 *
 * See folder-of.h.
 */
#include "folder-of.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char *
folder_make(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("store-XXXXXX", &error);
    g_assert_no_error(error);
    return dir;
}

bool
folder_is_fast(void)
{
    return access("/dev/shm", W_OK) == 0;
}

char *
folder_make_fast(void)
{
    if (!folder_is_fast())
        return folder_make();
    char *dir = g_strdup("/dev/shm/store-XXXXXX");
    g_assert_nonnull(g_mkdtemp(dir));
    return dir;
}

void
folder_clear(const char *dir)
{
    GDir *d = g_dir_open(dir, 0, NULL);
    for (const char *name; d != NULL && (name = g_dir_read_name(d)) != NULL;) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            folder_remove(path);
        else
            g_unlink(path);
    }
    if (d != NULL)
        g_dir_close(d);
}

void
folder_remove(const char *dir)
{
    folder_clear(dir);
    g_rmdir(dir);
}

static void
copy_file(const char *from, const char *to)
{
    char block[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    struct stat st;
    g_assert_cmpint(in, >=, 0);
    g_assert_cmpint(out, >=, 0);
    g_assert_cmpint(fstat(in, &st), ==, 0);
    /* Holes stay holes: LMDB's file may be large and empty. */
    for (off_t at = lseek(in, 0, SEEK_DATA); at >= 0 && at < st.st_size;) {
        ssize_t got = pread(in, block, sizeof block, at);
        if (got <= 0)
            break;
        g_assert_cmpint(pwrite(out, block, (size_t)got, at), ==, got);
        at = lseek(in, at + got, SEEK_DATA);
    }
    g_assert_cmpint(ftruncate(out, st.st_size), ==, 0);
    close(in);
    close(out);
}

static void
copy_into(const char *from, const char *to)
{
    g_autoptr(GError) error = NULL;
    GDir *d = g_dir_open(from, 0, &error);
    g_assert_no_error(error);
    g_mkdir(to, 0750);
    for (const char *name; (name = g_dir_read_name(d)) != NULL;) {
        g_autofree char *a = g_build_filename(from, name, NULL);
        g_autofree char *b = g_build_filename(to, name, NULL);
        if (g_file_test(a, G_FILE_TEST_IS_DIR))
            copy_into(a, b);
        else
            copy_file(a, b);
    }
    g_dir_close(d);
}

char *
folder_copy(const char *dir)
{
    char *to = g_str_has_prefix(dir, "/dev/shm/") ? folder_make_fast() : folder_make();
    copy_into(dir, to);
    return to;
}

bool
folder_fork(void)
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        int nothing = open("/dev/null", O_WRONLY);
        if (nothing >= 0)
            dup2(nothing, 1); /* the parent alone speaks TAP */
    }
    return pid == 0;
}

void
folder_die(void)
{
    _exit(77);
}

int
folder_child_ended(void)
{
    int status;
    g_assert_cmpint(wait(&status), >, 0);
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 77);
    return 0;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *
folder_segments(const char *dir)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *log = g_build_filename(dir, "log", NULL);
    GDir *d = g_dir_open(log, 0, NULL);
    g_assert_nonnull(d);
    for (const char *name; (name = g_dir_read_name(d)) != NULL;) {
        if (g_str_has_suffix(name, ".seg"))
            g_ptr_array_add(out, g_build_filename(log, name, NULL));
    }
    g_dir_close(d);
    g_ptr_array_sort(out, by_name);
    return out;
}
