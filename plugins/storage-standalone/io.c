/* SPDX-License-Identifier: Apache-2.0
 *
 * See io.h: the table that talks to the kernel.
 */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define SA_READ_TRIES 50u /* a second, while the kernel lacks memory */

static int
posix_open(void *ctx, int dir, const char *name, int flags)
{
    (void)ctx;
    int fd = openat(dir, name, flags | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

static void
posix_close(void *ctx, int fd)
{
    (void)ctx;
    close(fd);
}

static ssize_t
posix_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t place)
{
    (void)ctx;
    ssize_t done;
    do
        done = pwritev(fd, iov, n, (off_t)place);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static ssize_t
posix_pread(void *ctx, int fd, void *into, size_t n, uint64_t place)
{
    (void)ctx;
    ssize_t done;
    do
        done = pread(fd, into, n, (off_t)place);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : done;
}

static void
posix_ahead(void *ctx, int fd, uint64_t place, uint64_t n)
{
    (void)ctx;
    posix_fadvise(fd, (off_t)place, (off_t)n, POSIX_FADV_WILLNEED);
}

static void
posix_flush(void *ctx, int fd, uint64_t place, uint64_t n)
{
    (void)ctx;
    sync_file_range(fd, (off_t)place, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

static int
posix_allocate(void *ctx, int fd, uint64_t size)
{
    (void)ctx;
    int rc;
    do
        rc = fallocate(fd, 0, 0, (off_t)size);
    while (rc < 0 && errno == EINTR);
    if (rc < 0 && errno == EOPNOTSUPP)
        rc = ftruncate(fd, (off_t)size);
    return rc < 0 ? -errno : 0;
}

static int
posix_truncate(void *ctx, int fd, uint64_t size)
{
    (void)ctx;
    return ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
}

static int
posix_datasync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int
posix_sync(void *ctx, int fd)
{
    (void)ctx;
    return fsync(fd) < 0 ? -errno : 0;
}

static int
posix_rename(void *ctx, int dir, const char *from, const char *to)
{
    (void)ctx;
    return renameat(dir, from, dir, to) < 0 ? -errno : 0;
}

static int
posix_unlink(void *ctx, int dir, const char *name)
{
    (void)ctx;
    return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static int
posix_space(void *ctx, int dir, uint64_t *avail, uint64_t *total)
{
    struct statvfs st;
    (void)ctx;
    if (fstatvfs(dir, &st) < 0)
        return -errno;
    *avail = (uint64_t)st.f_bavail * st.f_frsize;
    *total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

const sa_io sa_io_posix = {
    .open = posix_open,
    .close = posix_close,
    .pwritev = posix_pwritev,
    .pread = posix_pread,
    .ahead = posix_ahead,
    .flush = posix_flush,
    .allocate = posix_allocate,
    .truncate = posix_truncate,
    .datasync = posix_datasync,
    .sync = posix_sync,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .space = posix_space,
};

ssize_t
sa_read_all(const sa_io *io, int fd, void *into, size_t n, uint64_t place)
{
    size_t got = 0;
    for (uint32_t tries = 1; got < n;) {
        ssize_t done = io->pread(io->ctx, fd, (char *)into + got, n - got, place + got);
        if (done == -ENOMEM && tries++ < SA_READ_TRIES) { /* passes; it must not look like damage */
            struct timespec pause = { 0, 20000000 };
            nanosleep(&pause, NULL);
            continue;
        }
        if (done < 0)
            return done;
        if (done == 0)
            break;
        got += (size_t)done;
    }
    return (ssize_t)got;
}

int
sa_write_all(const sa_io *io, int fd, const void *bytes, size_t n, uint64_t place)
{
    size_t put = 0;
    while (put < n) {
        struct iovec iov = { (char *)(uintptr_t)bytes + put, n - put };
        ssize_t done = io->pwritev(io->ctx, fd, &iov, 1, place + put);
        if (done < 0)
            return (int)done;
        if (done == 0)
            return -ENOSPC;
        put += (size_t)done;
    }
    return 0;
}
