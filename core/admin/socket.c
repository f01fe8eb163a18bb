/* SPDX-License-Identifier: Apache-2.0
 *
 * The Unix socket of the admin face. A lock file beside it says whether a daemon lives: the socket
 * file alone cannot, since a crash leaves it behind. [main]
 */
#include "admin/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

struct emesh_admin_socket {
    char *path;
    int fd, lock;
    dev_t dev;
    ino_t ino; /* of what we bound: free removes nothing else */
};

/* The pid that the holder of the lock wrote into it; 0 when unknown. */
static long
lock_holder(int lock)
{
    char text[24] = "";
    ssize_t got = pread(lock, text, sizeof text - 1, 0);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static int
take_lock(const char *path, GError **error)
{
    g_autofree char *name = g_strconcat(path, ".lock", NULL);
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "cannot open %s: %s (does the folder exist and may this user write there?)",
                    name, g_strerror(errno));
        return -1;
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
                    "the admin socket %s belongs to a running eventmeshd (pid %ld); stop it or "
                    "choose another --run",
                    path, lock_holder(lock));
        close(lock);
        return -1;
    }
    char text[24];
    int len = g_snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)len, 0) != len)
        g_debug("cannot write the pid into %s: %s", name, g_strerror(errno));
    return lock;
}

/* Removes what a dead daemon left; false when something lives there or it is no socket. */
static bool
clear_path(const struct sockaddr_un *addr, GError **error)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) != 0)
        return true; /* nothing there, or bind will say */
    if (!S_ISSOCK(st.st_mode)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                    "%s is no socket: remove it or choose another --run", addr->sun_path);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool lives = fd >= 0 &&
                 (connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    if (lives) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE,
                    "another program listens on the admin socket %s; stop it or choose another "
                    "--run",
                    addr->sun_path);
        return false;
    }
    if (unlink(addr->sun_path) != 0 && errno != ENOENT) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "cannot remove the stale socket %s: %s", addr->sun_path, g_strerror(errno));
        return false;
    }
    return true;
}

static int
bind_path(const struct sockaddr_un *addr, struct stat *st, GError **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode is set before listen: until then nobody gets in. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)addr, sizeof *addr) != 0 ||
        chmod(addr->sun_path, 0660) != 0 || lstat(addr->sun_path, st) != 0 ||
        listen(fd, BACKLOG) != 0) {
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                    "cannot listen on the admin socket %s: %s", addr->sun_path, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

emesh_admin_socket *
emesh_admin_socket_bind(const char *path, GError **error)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct stat st;
    if (strlen(path) >= sizeof addr.sun_path) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FILENAME_TOO_LONG,
                    "the path of the admin socket %s has %zu bytes, the system allows %zu: choose "
                    "a shorter --run",
                    path, strlen(path), sizeof addr.sun_path - 1);
        return NULL;
    }
    strcpy(addr.sun_path, path);
    int lock = take_lock(path, error);
    if (lock < 0)
        return NULL;
    int fd = clear_path(&addr, error) ? bind_path(&addr, &st, error) : -1;
    if (fd < 0) {
        close(lock);
        return NULL;
    }
    emesh_admin_socket *held = g_new0(emesh_admin_socket, 1);
    held->path = g_strdup(path);
    held->fd = fd;
    held->lock = lock;
    held->dev = st.st_dev;
    held->ino = st.st_ino;
    return held;
}

void
emesh_admin_socket_free(emesh_admin_socket *held)
{
    if (held == NULL)
        return;
    struct stat st;
    if (lstat(held->path, &st) == 0 && st.st_dev == held->dev && st.st_ino == held->ino)
        unlink(held->path);
    close(held->fd);
    close(held->lock); /* last: whoever takes it next finds the path free */
    g_free(held->path);
    g_free(held);
}

int
emesh_admin_socket_fd(const emesh_admin_socket *held)
{
    return held->fd;
}

bool
emesh_admin_peer(int fd, uid_t *uid, pid_t *pid)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || len != sizeof cred)
        return false;
    *uid = cred.uid;
    *pid = cred.pid;
    return true;
}

bool
emesh_admin_may(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}
