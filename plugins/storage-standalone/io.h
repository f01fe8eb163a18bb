/* SPDX-License-Identifier: Apache-2.0
 *
 * Every system call that the store makes on its log, in one table: tests put a simulator below it,
 * count calls, or stop at a named point. Results are 0, a length, or a negative errno. Any thread.
 */
#ifndef SA_IO_H
#define SA_IO_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct sa_io {
    void *ctx;
    int (*open)(void *ctx, int dir, const char *name, int flags);
    void (*close)(void *ctx, int fd);
    ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int n, uint64_t place);
    ssize_t (*pread)(void *ctx, int fd, void *into, size_t n, uint64_t place);
    /* Asks for bytes to be fetched into the page cache; may be NULL, nobody waits for it. */
    void (*ahead)(void *ctx, int fd, uint64_t place, uint64_t n);
    /* Asks for bytes to be on their way to the disk; may be NULL, nobody waits for it, and nothing
     * is durable by it. */
    void (*flush)(void *ctx, int fd, uint64_t place, uint64_t n);
    int (*allocate)(void *ctx, int fd, uint64_t size);
    int (*truncate)(void *ctx, int fd, uint64_t size);
    int (*datasync)(void *ctx, int fd);
    int (*sync)(void *ctx, int fd); /* directories too */
    int (*rename)(void *ctx, int dir, const char *from, const char *to);
    int (*unlink)(void *ctx, int dir, const char *name);
    /* bytes that may be used, and in all, on the file system of dir */
    int (*space)(void *ctx, int dir, uint64_t *avail, uint64_t *total);
    void (*point)(void *ctx, const char *name); /* a place where a crash test may stop; may be NULL */
} sa_io;

extern const sa_io sa_io_posix;

static inline void
sa_point(const sa_io *io, const char *name)
{
    if (io->point != NULL)
        io->point(io->ctx, name);
}

/* Reads all n bytes, or fewer at the end of the file. Waits a second for memory. */
ssize_t sa_read_all(const sa_io *io, int fd, void *into, size_t n, uint64_t place);
/* Writes all n bytes or says why not. */
int sa_write_all(const sa_io *io, int fd, const void *bytes, size_t n, uint64_t place);

#endif
