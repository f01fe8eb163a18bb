/* SPDX-License-Identifier: Apache-2.0
 *
 * For a library that is preloaded below a program, and included once in it: the function that a call
 * of ours hides, the notes in a file that outlives kill -9, the path behind a descriptor. Any thread.
 * (State is static: a preloaded library has no other place.)
 */
#pragma once
#undef _FILE_OFFSET_BITS /* both names of each call are ours, so none may be an alias here */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The library's own: reads its environment. Once, before the first call of ours goes on. */
static void start(void);

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *
next_of(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    pthread_once(&once, start);
    if (found == NULL)
        abort();
    return found;
}

#define NEXT(type, name)                                  \
    static type next;                                     \
    if (__atomic_load_n(&next, __ATOMIC_ACQUIRE) == NULL) \
        __atomic_store_n(&next, (type)next_of(name), __ATOMIC_RELEASE)

/* In start(): size bytes of a file, shared, that begin with magic. */
static void *
notes_in(const char *file, size_t size, const char *magic)
{
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, size) < 0) /* ours may wait for this */
        abort();
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        abort();
    memcpy(at, magic, 8);
    return at;
}

/* The path of what is open, and its length, or -1. */
static ssize_t
path_behind(int fd, char *path, size_t cap)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, cap - 1);
    if (n >= 0)
        path[n] = '\0';
    return n;
}

#define WRAP __attribute__((visibility("default")))
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
typedef ssize_t (*pwritev_fn)(int, const struct iovec *, int, off_t);
typedef int (*sync_fn)(int);

/* The library's own; the other name of each is here. */
WRAP ssize_t pwrite(int fd, const void *bytes, size_t n, off_t place);
WRAP ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t place);
WRAP ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t place);
WRAP ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t place);

WRAP ssize_t
pwrite64(int fd, const void *bytes, size_t n, off_t place)
{
    return pwrite(fd, bytes, n, place);
}

WRAP ssize_t
pwritev64(int fd, const struct iovec *iov, int n, off_t place)
{
    return pwritev(fd, iov, n, place);
}
