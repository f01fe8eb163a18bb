/* SPDX-License-Identifier: Apache-2.0
 *
 * LD_PRELOAD: the n-th call of one kind fails with an errno, or ends the process, or calls of that
 * kind take longer; of all calls, or of those whose bytes hold a pattern. A sync that fails may take
 * with it what it covered, as ext4, XFS and btrfs do: the pages count as clean and are never written.
 * See README.md. Any thread; one lock around counter and table.
 */
#include "preload.h"
#include "pattern.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define FILES 256u

typedef struct notes { /* little-endian u64s in NTH_SHIM_NOTES */
    char magic[8];     /* "EMNTH001" */
    uint64_t calls;    /* of the kind, seen */
    uint64_t failed;   /* made to fail */
    uint64_t dropped;  /* bytes taken back */
    uint64_t full;     /* files that found no place in the table: the test must fail */
} notes;

typedef struct span { /* of a file: written since the last sync that succeeded began */
    dev_t dev;
    ino_t inode;
    uint64_t from, to;
} span;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static notes none, *table = &none;
static const char *kind = "", *folder = "/", *drop; /* what names end in whose bytes go */
static uint64_t nth, times = 1, delay_ms;
static int error;
static bool kills; /* instead: the process ends there */
static bool kills_behind; /* … when the call is done, before anybody is told */
static pattern wanted; /* in the bytes of the calls that count */
static span spans[FILES];
static unsigned n_spans;

static int
error_of(const char *name)
{
    static const struct {
        const char *name;
        int error;
    } known[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EFBIG", EFBIG },
                  { "EROFS", EROFS }, { "ENOMEM", ENOMEM }, { "EMFILE", EMFILE } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].error;
    abort();
}

static uint64_t
number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void
start(void)
{
    const char *file = getenv("NTH_SHIM_NOTES"), *name = getenv("NTH_SHIM_ERROR");
    if (getenv("NTH_SHIM_CALL") != NULL)
        kind = getenv("NTH_SHIM_CALL");
    if (getenv("NTH_SHIM_FOLDER") != NULL)
        folder = getenv("NTH_SHIM_FOLDER");
    nth = number("NTH_SHIM_N", 0);
    times = number("NTH_SHIM_TIMES", 1);
    delay_ms = number("NTH_SHIM_DELAY_MS", 0);
    drop = getenv("NTH_SHIM_DROP");
    kills_behind = name != NULL && strcmp(name, "KILL_BEHIND") == 0;
    kills = kills_behind || (name != NULL && strcmp(name, "KILL") == 0);
    error = error_of(name != NULL && !kills ? name : "EIO");
    pattern_read(&wanted, getenv("NTH_SHIM_BYTES"));
    if (file != NULL)
        table = notes_in(file, sizeof(notes), "EMNTH001");
}

/* Does it lie in the watched folder, and does its name end so? */
static bool
named(int fd, const char *end)
{
    char path[512];
    ssize_t n = path_behind(fd, path, sizeof path);
    size_t len = strlen(end);
    if (n < 0 || (size_t)n < len)
        return false;
    return strncmp(path, folder, strlen(folder)) == 0 && strcmp(path + n - len, end) == 0;
}

static bool
watched(int fd)
{
    return named(fd, "");
}

/* Counts a call of a kind; true: it is to fail. A delay is taken here. */
static bool
fails(const char *call)
{
    if (strcmp(call, kind) != 0)
        return false;
    pthread_mutex_lock(&lock);
    uint64_t number_of_this = ++table->calls;
    bool meant = nth == 0 || (number_of_this >= nth && number_of_this < nth + times);
    bool fail = meant && delay_ms == 0 && nth != 0;
    table->failed += fail;
    pthread_mutex_unlock(&lock);
    if (fail && kills && !kills_behind) /* where it stands, before the call */
        raise(SIGKILL);
    if (meant && delay_ms != 0) {
        struct timespec ts = { (time_t)(delay_ms / 1000), (long)(delay_ms % 1000) * 1000000 };
        nanosleep(&ts, NULL);
    }
    return fail;
}

/* ---- what a failed sync takes with it ---- */

/* lock held */
static span *
span_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    for (unsigned i = 0; i < n_spans; i++)
        if (spans[i].inode == st.st_ino && spans[i].dev == st.st_dev)
            return &spans[i];
    if (n_spans == FILES) {
        table->full++;
        return NULL;
    }
    spans[n_spans] = (span){ .dev = st.st_dev, .inode = st.st_ino, .from = UINT64_MAX };
    return &spans[n_spans++];
}

static void
writes(int fd, uint64_t place, uint64_t n)
{
    if (drop == NULL || !named(fd, drop))
        return;
    pthread_mutex_lock(&lock);
    span *s = span_of(fd);
    if (s != NULL && place < s->from)
        s->from = place;
    if (s != NULL && place + n > s->to)
        s->to = place + n;
    pthread_mutex_unlock(&lock);
}

/* What of the file no sync covers is nobody's any more; returns it. */
static span
forget(int fd)
{
    pthread_mutex_lock(&lock);
    span *s = span_of(fd), was = s != NULL ? *s : (span){ .from = UINT64_MAX };
    if (s != NULL)
        *s = (span){ .dev = was.dev, .inode = was.inode, .from = UINT64_MAX };
    pthread_mutex_unlock(&lock);
    return was;
}

/* The bytes are gone: nothing but zeros was there, the log is written once and forward. */
static void
take_back(int fd)
{
    static const char zeros[4096];
    span was = forget(fd);
    for (uint64_t at = was.from; at < was.to; at += sizeof zeros) {
        size_t n = was.to - at < sizeof zeros ? (size_t)(was.to - at) : sizeof zeros;
        if (syscall(SYS_pwrite64, fd, zeros, n, at) != (ssize_t)n)
            abort();
        __atomic_fetch_add(&table->dropped, n, __ATOMIC_RELAXED);
    }
}

/* ---- the calls ---- */

typedef int (*rename_fn)(const char *, const char *);
typedef int (*renameat_fn)(int, const char *, int, const char *);
typedef ssize_t (*sendmsg_fn)(int, const struct msghdr *, int);

/* Behind a call that was to be the last. */
static ssize_t
over(ssize_t result)
{
    raise(SIGKILL);
    return result;
}

WRAP ssize_t
pwrite(int fd, const void *bytes, size_t n, off_t place)
{
    NEXT(pwrite_fn, "pwrite");
    struct iovec one = { (void *)(uintptr_t)bytes, n };
    if (watched(fd) && pattern_in(&wanted, &one, 1) && fails("pwrite")) {
        if (kills_behind)
            return over(next(fd, bytes, n, place));
        errno = error;
        return -1;
    }
    writes(fd, (uint64_t)place, n);
    return next(fd, bytes, n, place);
}

WRAP ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t place)
{
    NEXT(pwritev_fn, "pwritev");
    uint64_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += iov[i].iov_len;
    if (watched(fd) && pattern_in(&wanted, iov, n) && fails("pwrite")) {
        if (kills_behind)
            return over(next(fd, iov, n, place));
        errno = error;
        return -1;
    }
    writes(fd, (uint64_t)place, bytes);
    return next(fd, iov, n, place);
}

WRAP ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg_fn, "sendmsg");
    if (strcmp(kind, "send") == 0 && pattern_in(&wanted, message->msg_iov, (int)message->msg_iovlen) &&
        fails("send")) {
        if (kills_behind)
            return over(next(fd, message, flags));
        errno = error;
        return -1;
    }
    return next(fd, message, flags);
}

static int
syncs(int fd, const char *call, sync_fn next)
{
    if (watched(fd) && fails(call)) {
        if (drop != NULL && named(fd, drop))
            take_back(fd);
        errno = error;
        return -1;
    }
    if (drop == NULL || !named(fd, drop))
        return next(fd);
    forget(fd);
    return next(fd);
}

WRAP int
fdatasync(int fd)
{
    NEXT(sync_fn, "fdatasync");
    return syncs(fd, "fdatasync", next);
}

WRAP int
fsync(int fd)
{
    NEXT(sync_fn, "fsync");
    return syncs(fd, "fsync", next);
}

WRAP int
rename(const char *from, const char *to)
{
    NEXT(rename_fn, "rename");
    if (strncmp(to, folder, strlen(folder)) == 0 && fails("rename")) {
        errno = error;
        return -1;
    }
    return next(from, to);
}

WRAP int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    NEXT(renameat_fn, "renameat");
    if (watched(to_dir) && fails("rename")) {
        errno = error;
        return -1;
    }
    return next(from_dir, from, to_dir, to);
}
