/* SPDX-License-Identifier: Apache-2.0
 *
 * The lock of DATA/core: one daemon per data folder. [main], at start.
 */
#include "state/state-db.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
fail(int fd, GError **error, const char *what, const char *path)
{
    int number = errno;
    g_set_error(error, G_IO_ERROR, g_io_error_from_errno(number), "cannot %s %s: %s", what, path,
                g_strerror(number));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The pid that the holder wrote, or 0. */
static long
pid_in(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    char *end = NULL;
    long pid = strtol(text, &end, 10);
    return end != text && *end == '\n' && pid > 0 ? pid : 0;
}

static int
refuse(int fd, const char *dir, GError **error)
{
    long pid = pid_in(fd);
    g_autofree char *who = pid > 0 ? g_strdup_printf("process %ld", pid) : g_strdup("a process");
    g_autofree char *data = g_path_get_dirname(dir);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                "the data folder %s is in use by another eventmeshd (%s holds %s/lock): stop it, "
                "or give this one a folder of its own with --data",
                data, who, dir);
    close(fd);
    return -1;
}

int
emesh_state_lock(const char *dir, GError **error)
{
    if (g_mkdir_with_parents(dir, 0700) < 0)
        return fail(-1, error, "make the folder", dir);
    struct stat info;
    if (stat(dir, &info) == 0 && (info.st_mode & 077) != 0 && chmod(dir, 0700) < 0)
        return fail(-1, error, "keep others out of the folder", dir);

    g_autofree char *path = g_build_filename(dir, "lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(-1, error, "open", path);
    /* Owned by the open file, not the process: a library that opens and closes it drops nothing. */
    struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &range) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return refuse(fd, dir, error);
        return fail(fd, error, "lock", path);
    }
    char text[24];
    int n = g_snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return fail(fd, error, "write", path);
    return fd;
}
