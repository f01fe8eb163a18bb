/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a program: counts its allocations, their bytes, and the bytes it copies in pieces of
 * 1 KiB or more into the file that ALLOCS_FILE names (three u64, shared memory), for whoever wants
 * allocations per event, or copies of a payload. Any thread.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct counts {
    uint64_t calls, bytes, copied;
} counts;

static counts nowhere;
static counts *shared = &nowhere; /* set once, before main */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void
open_counts(void)
{
    const char *path = getenv("ALLOCS_FILE");
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *shared) == 0) {
        void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED)
            __atomic_store_n(&shared, at, __ATOMIC_RELEASE);
    }
    close(fd);
}

static void
count(size_t size)
{
    counts *c = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
    __atomic_fetch_add(&c->calls, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&c->bytes, size, __ATOMIC_RELAXED);
}

#define EXPORT __attribute__((visibility("default")))

EXPORT void *
malloc(size_t size)
{
    count(size);
    return __libc_malloc(size);
}

EXPORT void *
calloc(size_t n, size_t size)
{
    count(n * size);
    return __libc_calloc(n, size);
}

EXPORT void *
realloc(void *old, size_t size)
{
    count(size);
    return __libc_realloc(old, size);
}

EXPORT void *
aligned_alloc(size_t alignment, size_t size)
{
    count(size);
    return __libc_memalign(alignment, size);
}

EXPORT int
posix_memalign(void **out, size_t alignment, size_t size)
{
    count(size);
    *out = __libc_memalign(alignment, size);
    return *out != NULL ? 0 : 12; /* ENOMEM */
}

/* ---- copies: what the program and its plugins call; those inside of libc are not seen ---- */

#define LEAST 1024

static void
copied(size_t size)
{
    if (size >= LEAST)
        __atomic_fetch_add(&__atomic_load_n(&shared, __ATOMIC_ACQUIRE)->copied, size,
                           __ATOMIC_RELAXED);
}

/* Not to be turned into a call of itself. */
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns")))

PLAIN static void *
move(void *to, const void *from, size_t size)
{
    char *out = to;
    const char *in = from;
    copied(size);
    if (out <= in) {
        for (size_t i = 0; i < size; i++)
            out[i] = in[i];
    } else {
        while (size-- > 0)
            out[size] = in[size];
    }
    return to;
}

EXPORT void *
memcpy(void *restrict to, const void *restrict from, size_t size)
{
    return move(to, from, size);
}

EXPORT void *
memmove(void *to, const void *from, size_t size)
{
    return move(to, from, size);
}
