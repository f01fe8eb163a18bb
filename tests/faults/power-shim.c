/* SPDX-License-Identifier: Apache-2.0
 *
 * LD_PRELOAD: what of a folder's files would be on the disk if the power went now. Wraps the calls
 * that write and sync; notes per file, in a small mapped file that outlives kill -9, how far it is
 * written and from where on it is not synced. See README.md. Any thread; one lock around the notes,
 * none around the calls themselves.
 */
#include "preload.h"

#include <stdbool.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define NOTES 512u
#define CLEAN UINT64_MAX

typedef struct note { /* little-endian, 256 bytes: tests read it as "<6Q208s" */
    uint64_t inode;
    uint64_t written;  /* end of the bytes written */
    uint64_t dirty;    /* first byte written since the last sync began; CLEAN: none */
    uint64_t syncing;  /* first byte that a sync under way would make safe; CLEAN: none */
    uint64_t syncs;    /* that succeeded */
    uint64_t resized;  /* ftruncate and fallocate calls */
    char path[208];
} note;

typedef struct notes {
    char magic[8]; /* "EMPWR001" */
    uint64_t n;
    uint64_t overflow; /* files that found no place: the test must fail */
    uint64_t copies;   /* made of the watched index */
    char zero[224];
    note all[NOTES];
} notes;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static notes *table;
static const char *folder, *copies;

static void
start(void)
{
    const char *file = getenv("POWER_SHIM_NOTES");

    folder = getenv("POWER_SHIM_FOLDER");
    copies = getenv("POWER_SHIM_COPIES");
    if (file != NULL && folder != NULL)
        table = notes_in(file, sizeof(notes), "EMPWR001");
}

/* ---- notes ---- */

static bool
ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

/* The path of a file of the watched folder. */
static bool
path_of(int fd, char path[208])
{
    return table != NULL && path_behind(fd, path, 208) >= 0
           && strncmp(path, folder, strlen(folder)) == 0;
}

/* lock held. The note of a file, new when its path is: an inode may come back under another name. */
static note *
note_of(int fd, const char *path)
{
    struct stat st;
    note *n = NULL;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    for (uint64_t i = 0; i < table->n && n == NULL; i++)
        if (table->all[i].inode == st.st_ino)
            n = &table->all[i];
    if (n != NULL && strcmp(n->path, path) == 0)
        return n;
    if (n == NULL && table->n == NOTES) {
        table->overflow++;
        return NULL;
    }
    if (n == NULL)
        n = &table->all[table->n++];
    memset(n, 0, sizeof *n);
    n->inode = st.st_ino;
    n->dirty = n->syncing = CLEAN;
    memcpy(n->path, path, strlen(path) + 1);
    return n;
}

static note *
find(int fd)
{
    char path[208];

    return path_of(fd, path) ? note_of(fd, path) : NULL;
}

/* Before the write: from the moment the kernel may have it, it is not safe. */
static void
will_write(int fd, uint64_t place)
{
    note *n;

    pthread_mutex_lock(&lock);
    n = find(fd);
    if (n != NULL && place < n->dirty)
        n->dirty = place;
    pthread_mutex_unlock(&lock);
}

static void
has_written(int fd, uint64_t end)
{
    note *n;

    pthread_mutex_lock(&lock);
    n = find(fd);
    if (n != NULL && end > n->written)
        n->written = end;
    pthread_mutex_unlock(&lock);
}

static void
resized(int fd, uint64_t size, bool cut)
{
    note *n;

    pthread_mutex_lock(&lock);
    n = find(fd);
    if (n != NULL) {
        n->resized++;
        if (cut && n->written > size)
            n->written = size;
    }
    pthread_mutex_unlock(&lock);
}

static void
sync_begins(int fd)
{
    note *n;

    pthread_mutex_lock(&lock);
    n = find(fd);
    if (n != NULL) {
        if (n->dirty < n->syncing)
            n->syncing = n->dirty;
        n->dirty = CLEAN;
    }
    pthread_mutex_unlock(&lock);
}

static void
sync_ended(int fd, bool good)
{
    note *n;

    pthread_mutex_lock(&lock);
    n = find(fd);
    if (n != NULL && good) {
        n->syncing = CLEAN;
        n->syncs++;
    } else if (n != NULL) {
        if (n->syncing < n->dirty)
            n->dirty = n->syncing;
        n->syncing = CLEAN;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- the watched index ---- */

static bool
is_index(int fd, char path[208])
{
    return copies != NULL && path_of(fd, path) && ends_in(path, "/data.mdb");
}

/* What is safe of the log right now: COPIES/N/safe, one line "SAFE WRITTEN PATH" per file. */
static uint64_t
note_safe(void)
{
    char name[300];
    uint64_t number;
    FILE *out;

    pthread_mutex_lock(&lock);
    number = table->copies++;
    snprintf(name, sizeof name, "%s/%llu", copies, (unsigned long long)number);
    mkdir(name, 0700);
    snprintf(name, sizeof name, "%s/%llu/safe", copies, (unsigned long long)number);
    out = fopen(name, "we");
    if (out == NULL)
        abort();
    for (uint64_t i = 0; i < table->n; i++) {
        const note *n = &table->all[i];
        uint64_t safe = n->dirty < n->syncing ? n->dirty : n->syncing;
        fprintf(out, "%llu %llu %s\n", (unsigned long long)(safe < n->written ? safe : n->written),
                (unsigned long long)n->written, n->path);
    }
    fclose(out);
    pthread_mutex_unlock(&lock);
    return number;
}

/* The index as it is now on the disk: COPIES/N/index/data.mdb. Its one writer is in this call. */
static void
copy_index(const char *path, uint64_t number)
{
    char name[300];
    int from = open(path, O_RDONLY | O_CLOEXEC), to;

    snprintf(name, sizeof name, "%s/%llu/index", copies, (unsigned long long)number);
    mkdir(name, 0700);
    snprintf(name, sizeof name, "%s/%llu/index/data.mdb", copies, (unsigned long long)number);
    to = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (from < 0 || to < 0)
        abort();
    while (sendfile(to, from, NULL, 1u << 20) > 0)
        ;
    close(from);
    close(to);
}

/* ---- the calls ---- */

typedef ssize_t (*pwritev2_fn)(int, const struct iovec *, int, off_t, int);
typedef int (*truncate_fn)(int, off_t);
typedef int (*allocate_fn)(int, int, off_t, off_t);

WRAP ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t place, int flags);
WRAP int ftruncate64(int fd, off_t size);
WRAP int fallocate64(int fd, int mode, off_t place, off_t size);

WRAP ssize_t
pwrite(int fd, const void *bytes, size_t n, off_t place)
{
    NEXT(pwrite_fn, "pwrite");
    char path[208];
    /* a descriptor that syncs as it writes is how LMDB ends a transaction */
    bool commits = is_index(fd, path) && (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    uint64_t number = commits ? note_safe() : 0;
    ssize_t done;

    will_write(fd, (uint64_t)place);
    done = next(fd, bytes, n, place);
    if (done > 0)
        has_written(fd, (uint64_t)place + (uint64_t)done);
    if (commits)
        copy_index(path, number);
    return done;
}

WRAP ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t place)
{
    NEXT(pwritev_fn, "pwritev");
    ssize_t done;

    will_write(fd, (uint64_t)place);
    done = next(fd, iov, n, place);
    if (done > 0)
        has_written(fd, (uint64_t)place + (uint64_t)done);
    return done;
}

WRAP ssize_t
pwritev2(int fd, const struct iovec *iov, int n, off_t place, int flags)
{
    NEXT(pwritev2_fn, "pwritev2");
    ssize_t done;

    will_write(fd, (uint64_t)place);
    done = next(fd, iov, n, place, flags);
    if (done > 0)
        has_written(fd, (uint64_t)place + (uint64_t)done);
    return done;
}

WRAP ssize_t
pwritev64v2(int fd, const struct iovec *iov, int n, off_t place, int flags)
{
    return pwritev2(fd, iov, n, place, flags);
}

static int
synced(int fd, sync_fn next)
{
    char path[208];
    bool commits = is_index(fd, path);
    uint64_t number = commits ? note_safe() : 0;
    int rc;

    sync_begins(fd);
    rc = next(fd);
    sync_ended(fd, rc == 0);
    if (commits)
        copy_index(path, number);
    return rc;
}

WRAP int
fdatasync(int fd)
{
    NEXT(sync_fn, "fdatasync");
    return synced(fd, next);
}

WRAP int
fsync(int fd)
{
    NEXT(sync_fn, "fsync");
    return synced(fd, next);
}

WRAP int
ftruncate(int fd, off_t size)
{
    NEXT(truncate_fn, "ftruncate");
    int rc = next(fd, size);

    if (rc == 0)
        resized(fd, (uint64_t)size, true);
    return rc;
}

WRAP int
ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

WRAP int
fallocate(int fd, int mode, off_t place, off_t size)
{
    NEXT(allocate_fn, "fallocate");
    int rc = next(fd, mode, place, size);

    if (rc == 0)
        resized(fd, (uint64_t)(place + size), false);
    return rc;
}

WRAP int
fallocate64(int fd, int mode, off_t place, off_t size)
{
    return fallocate(fd, mode, place, size);
}
