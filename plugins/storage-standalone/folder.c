/* SPDX-License-Identifier: Apache-2.0
 *
 * See folder.h.
 */
#include "folder.h"

#include "store.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SA_QUARANTINE_MAX (64u << 20)

/* File systems over a network: neither locks nor fdatasync mean there what the store needs. */
static const char *
network_name(long type)
{
    switch ((unsigned long)type & 0xffffffffu) {
    case 0x6969:
        return "nfs";
    case 0x517b:
        return "smb";
    case 0xff534d42:
        return "cifs";
    case 0xfe534d42:
        return "smb2";
    case 0x01021997:
        return "9p";
    default:
        return NULL;
    }
}

static int32_t
judge(struct sa_store *store, emesh_error *err)
{
    struct statfs fs;
    if (fstatfs(store->dir, &fs) < 0)
        return sa_error(err, EMESH_E_IO, "file system of %s could not be asked: %s", store->path,
                        g_strerror(errno));
    const char *name = network_name((long)fs.f_type);
    if (name != NULL)
        return sa_error(err, EMESH_E_CONFIG, "%s lies on %s, where a log is not safe: put --data on "
                        "a local disk", store->path, name);
    return EMESH_OK;
}

static int32_t
lock(struct sa_store *store, emesh_error *err)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    store->lock_fd = openat(store->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (store->lock_fd < 0)
        return sa_error(err, EMESH_E_IO, "%s/lock could not be opened: %s", store->path,
                        g_strerror(errno));
    if (fcntl(store->lock_fd, F_OFD_SETLK, &whole) == 0)
        return EMESH_OK;
    if (errno == EAGAIN || errno == EACCES)
        return sa_error(err, EMESH_E_BUSY, "%s is in use by another instance or daemon: stop that "
                        "one, or give this one another name or --data", store->path);
    return sa_error(err, EMESH_E_IO, "%s/lock could not be locked: %s", store->path,
                    g_strerror(errno));
}

static int32_t
make_dir(struct sa_store *store, const char *name, int *fd, emesh_error *err)
{
    if (mkdirat(store->dir, name, 0750) < 0 && errno != EEXIST)
        return sa_error(err, EMESH_E_IO, "folder %s/%s could not be made: %s", store->path, name,
                        g_strerror(errno));
    if (fd == NULL)
        return EMESH_OK;
    *fd = openat(store->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return sa_error(err, EMESH_E_IO, "folder %s/%s could not be opened: %s", store->path, name,
                        g_strerror(errno));
    return EMESH_OK;
}

/* The name of a folder is durable once the folder around it is synced. One that may be entered but
 * not read cannot be opened for that: then the name was not made by us. */
static int32_t
sync_name(struct sa_store *store, emesh_error *err)
{
    int fd = openat(store->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? store->io->sync(store->io->ctx, fd) : 0;
    if (fd >= 0)
        close(fd);
    return rc < 0 ? sa_error(err, EMESH_E_IO, "the folder around %s could not be synced: %s",
                             store->path, g_strerror(-rc)) : EMESH_OK;
}

int32_t
sa_folder_open(struct sa_store *store, emesh_error *err)
{
    if (g_mkdir_with_parents(store->path, 0750) < 0)
        return sa_error(err, EMESH_E_IO, "folder %s could not be made: %s", store->path,
                        g_strerror(errno));
    store->dir = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir < 0)
        return sa_error(err, EMESH_E_IO, "folder %s could not be opened: %s", store->path,
                        g_strerror(errno));
    int32_t code = judge(store, err);
    if (code == EMESH_OK)
        code = lock(store, err);
    if (code == EMESH_OK)
        code = make_dir(store, "log", &store->log_dir, err);
    if (code == EMESH_OK)
        code = make_dir(store, "quarantine", NULL, err);
    if (code == EMESH_OK && store->io->sync(store->io->ctx, store->dir) < 0)
        code = sa_error(err, EMESH_E_IO, "folder %s could not be synced", store->path);
    return code == EMESH_OK ? sync_name(store, err) : code;
}

void
sa_folder_close(struct sa_store *store)
{
    int *fds[] = { &store->log_dir, &store->lock_fd, &store->dir };
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

static gint
by_base(gconstpointer a, gconstpointer b)
{
    const sa_file *x = a, *y = b;
    return x->base < y->base ? -1 : x->base > y->base;
}

GArray *
sa_folder_list(struct sa_store *store, emesh_error *err)
{
    int fd = openat(store->dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        sa_error(err, EMESH_E_IO, "folder %s/log could not be read: %s", store->path,
                 g_strerror(errno));
        return NULL;
    }
    GArray *files = g_array_new(FALSE, FALSE, sizeof(sa_file));
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        sa_file file;
        struct stat st;
        if (sa_seg_base(entry->d_name, &file.base, &file.cleaned)
            && fstatat(store->log_dir, entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
            file.size = (uint64_t)st.st_size;
            g_array_append_val(files, file);
        } else if (g_str_has_prefix(entry->d_name, "c-") && g_str_has_suffix(entry->d_name, ".new")) {
            store->io->unlink(store->io->ctx, store->log_dir, entry->d_name);
        } else if (entry->d_name[0] != '.') {
            sa_say(store, EMESH_LOG_WARNING, "%s/log/%s is no segment: it is left alone",
                   store->path, entry->d_name);
        }
    }
    closedir(dir);
    g_array_sort(files, by_base);
    return files;
}

/* ---- starts that died ---- */

static char *
starts_path(const struct sa_store *store)
{
    return g_strdup_printf("%s/index/starts", store->path);
}

uint32_t
sa_starts_add(struct sa_store *store)
{
    g_autofree char *path = starts_path(store);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *text = NULL;
    uint32_t count = 0;
    if (g_file_get_contents(path, &text, NULL, NULL))
        count = (uint32_t)strtoul(text, NULL, 10);
    g_mkdir_with_parents(dir, 0750);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd >= 0) {
        if (dprintf(fd, "%u\n", count + 1) < 0 || fdatasync(fd) < 0)
            sa_say(store, EMESH_LOG_WARNING, "%s could not be written: %s", path,
                   g_strerror(errno));
        close(fd);
    }
    return count;
}

void
sa_starts_clear(struct sa_store *store)
{
    g_autofree char *path = starts_path(store);
    unlink(path);
}

/* ---- quarantine ---- */

void
sa_quarantine(struct sa_store *store, int fd, uint64_t base, uint64_t place, uint64_t size)
{
    char name[64];
    uint8_t bytes[16384];
    snprintf(name, sizeof name, "quarantine/%016llx-%llx.bin", (unsigned long long)base,
             (unsigned long long)place);
    sa_count(&store->stats.quarantined, 1);
    int out = openat(store->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (out < 0)
        return;
    uint64_t end = place + MIN(size, SA_QUARANTINE_MAX);
    while (place < end) {
        ssize_t got = sa_read_all(store->io, fd, bytes, MIN(sizeof bytes, end - place), place);
        if (got <= 0 || write(out, bytes, (size_t)got) != got)
            break;
        place += (uint64_t)got;
    }
    fdatasync(out);
    close(out);
}

bool
sa_quarantine_file(struct sa_store *store, const char *name)
{
    g_autofree char *from = g_strdup_printf("log/%s", name);
    g_autofree char *to = g_strdup_printf("quarantine/%s", name);
    if (store->io->rename(store->io->ctx, store->dir, from, to) < 0)
        return false;
    sa_count(&store->stats.quarantined, 1);
    return true;
}
