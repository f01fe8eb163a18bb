/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder as the tool sees it: in use or not, its files with headers and trailers, whose store it
 * is, the durable mark, the names. Opened read-only throughout; a file that goes meanwhile is gone.
 */
#include "crc32c.h"
#include "segment.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool
tool_in_use(const tool *t)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = openat(t->dir, "lock", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return held;
}

bool
tool_file_open(tool *t, tool_file *f)
{
    if (f->fd >= 0)
        return true;
    if (f->gone)
        return false;
    f->fd = openat(t->log_dir, f->name, O_RDONLY | O_CLOEXEC);
    if (f->fd >= 0)
        return true;
    f->gone = errno == ENOENT;
    if (!f->gone)
        t->failed = tool_say("%s/log/%s could not be opened: %s", t->path, f->name,
                             g_strerror(errno));
    return false;
}

void
tool_file_close(tool_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static void
file_free(gpointer data)
{
    tool_file *f = data;
    tool_file_close(f);
    if (f->inputs != NULL)
        g_array_unref(f->inputs);
    g_free(f->name);
    g_free(f);
}

static gint
by_base(gconstpointer a, gconstpointer b)
{
    const tool_file *x = *(tool_file *const *)a, *y = *(tool_file *const *)b;
    return x->base < y->base ? -1 : x->base > y->base;
}

tool_file *
tool_file_at(const tool *t, uint64_t lsn)
{
    guint low = 0, high = t->files->len;
    while (low < high) {
        guint mid = (low + high) / 2;
        const tool_file *f = t->files->pdata[mid];
        if (f->base <= lsn)
            low = mid + 1;
        else
            high = mid;
    }
    while (low > 0 && ((const tool_file *)t->files->pdata[low - 1])->unused)
        low--;
    tool_file *f = low > 0 ? t->files->pdata[low - 1] : NULL;
    return f != NULL && lsn - f->base < f->size ? f : NULL;
}

static int
list_files(tool *t)
{
    int fd = openat(t->dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL)
        return tool_say("%s/log could not be read: %s", t->path, g_strerror(errno));
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint64_t base;
        bool cleaned;
        struct stat st;
        if (!sa_seg_base(entry->d_name, &base, &cleaned)
            || fstatat(t->log_dir, entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode))
            continue;
        tool_file *f = g_new0(tool_file, 1);
        f->name = g_strdup(entry->d_name);
        f->base = base;
        f->size = (uint64_t)st.st_size;
        f->fd = -1;
        f->inputs = cleaned ? g_array_new(FALSE, FALSE, sizeof(uint64_t)) : NULL;
        g_ptr_array_add(t->files, f);
    }
    closedir(dir);
    g_ptr_array_sort(t->files, by_base);
    return 0;
}

/* ---- headers: whose store, and may this version read it ---- */

static void
take_identity(tool *t, const sa_seg_head *head)
{
    t->known = true;
    t->salt = head->salt;
    memcpy(t->id, head->store, sizeof t->id);
}

/* Reads the header of an open file. A negative errno when it cannot be read. */
static int
read_head(tool *t, tool_file *f)
{
    uint8_t page[SA_SEGMENT_HEAD];
    ssize_t got = sa_read_all(&sa_io_posix, f->fd, page, sizeof page, 0);
    if (got < 0)
        return (int)got;
    f->state = sa_seg_head_read(page, (size_t)got, &f->head);
    if (f->state != SA_HEAD_OK)
        return 0;
    f->last = f->head.last;
    t->minor = MAX(t->minor, f->head.minor);
    for (uint32_t k = 0; k < f->head.n_inputs && f->inputs != NULL; k++) {
        uint64_t input = sa_seg_head_input(page, k);
        g_array_append_val(f->inputs, input);
    }
    return 0;
}

bool
tool_head_again(tool *t, tool_file *f)
{
    if (tool_file_open(t, f))
        read_head(t, f);
    tool_file_close(f);
    return f->state == SA_HEAD_OK;
}

static int
read_heads(tool *t)
{
    for (guint i = 0; i < t->files->len; i++) {
        tool_file *f = t->files->pdata[i];
        f->state = SA_HEAD_CUT;
        if (!tool_file_open(t, f)) {
            if (t->failed != 0)
                return t->failed;
            continue;
        }
        int rc = read_head(t, f);
        tool_file_close(f);
        if (rc < 0)
            return tool_say("%s/log/%s could not be read: %s", t->path, f->name, g_strerror(-rc));
        if (f->state == SA_HEAD_NEW)
            return tool_say("segment %s/log/%s has format %u.%u with features 0x%x, this version "
                            "reads %u: take the eventmeshctl of a newer version", t->path, f->name,
                            f->head.major, f->head.minor, f->head.incompat, SA_MAJOR);
        if (f->state == SA_HEAD_OK && !t->known)
            take_identity(t, &f->head);
    }
    for (guint i = 0; i < t->files->len; i++) {
        tool_file *f = t->files->pdata[i];
        const tool_file *next = i + 1 < t->files->len ? t->files->pdata[i + 1] : NULL;
        if (f->state != SA_HEAD_OK)
            f->last = next != NULL ? next->base : f->base + f->size;
        t->top = MAX(t->top, f->last);
    }
    return 0;
}

static int
check_identity(tool *t)
{
    const tool_index *index = &t->index;
    if (index->have_meta
        && (index->meta.major != SA_MAJOR || (index->meta.incompat & ~SA_INCOMPAT) != 0))
        return tool_say("index of %s was written by a newer version (format %u, features 0x%x): "
                        "take the eventmeshctl of that version", t->path, index->meta.major,
                        index->meta.incompat);
    if (index->have_meta)
        t->minor = MAX(t->minor, (uint16_t)index->meta.minor);
    if (!t->known && index->have_meta) {
        t->known = true;
        t->salt = index->meta.salt;
        memcpy(t->id, index->meta.id, sizeof t->id);
    }
    for (guint i = 0; i < t->files->len && !t->known; i++) {
        const tool_file *f = t->files->pdata[i];
        if (f->size > SA_SEGMENT_HEAD && !(t->live && i + 1 == t->files->len))
            return tool_say("no segment in %s/log has a readable header: this is no store, or none "
                            "of its files is whole", t->path);
    }
    return 0;
}

/* ---- cleaned files and what they were made of: the rules of sa_recover_cleaned() ---- */

static tool_file *
file_of(const tool *t, uint64_t base)
{
    for (guint i = 0; i < t->files->len; i++) {
        tool_file *f = t->files->pdata[i];
        if (f->base == base)
            return f;
    }
    return NULL;
}

static bool
has_row(const tool *t, uint64_t base)
{
    for (guint i = 0; t->index.segments != NULL && i < t->index.segments->len; i++) {
        if (g_array_index(t->index.segments, tool_segrow, i).base == base)
            return true;
    }
    return false;
}

/* It counts once its rows are committed, or an input is gone. */
static void
settle_cleaned(tool *t, tool_file *f)
{
    guint there = 0;
    for (guint i = 0; i < f->inputs->len; i++)
        there += file_of(t, g_array_index(f->inputs, uint64_t, i)) != NULL;
    if (there == f->inputs->len && there > 0 && !has_row(t, f->base)) {
        f->unused = true;
        return;
    }
    for (guint i = 0; i < f->inputs->len; i++) {
        uint64_t base = g_array_index(f->inputs, uint64_t, i);
        tool_file *input = file_of(t, base);
        if (input != NULL)
            input->unused = true;
        g_hash_table_add(t->replaced, g_memdup2(&base, sizeof base));
    }
}

/* ---- trailers ---- */

static void
read_trailer(tool *t, tool_file *f)
{
    uint8_t raw[SA_FOOT_TRAILER], head[SA_FOOT_HEAD];
    struct stat st;
    if (!tool_file_open(t, f))
        return;
    if (fstat(f->fd, &st) == 0)
        f->size = (uint64_t)st.st_size; /* it may have been sealed since */
    if (f->size >= SA_SEGMENT_HEAD + SA_FOOT_HEAD + SA_FOOT_TRAILER
        && sa_read_all(&sa_io_posix, f->fd, raw, sizeof raw, f->size - sizeof raw)
               == (ssize_t)sizeof raw
        && sa_trailer_read(raw, f->size, t->salt, &f->trailer) && f->trailer.base == f->base) {
        f->sealed = true;
        f->foot_ok = sa_read_all(&sa_io_posix, f->fd, head, sizeof head, 8ull * f->trailer.foot)
                         == (ssize_t)sizeof head
                     && sa_foot_head_read(head, sizeof head, t->salt, &f->foot)
                     && f->foot.base == f->base
                     && f->foot.lsn == f->base + 8ull * f->trailer.foot;
        f->end = f->base + 8ull * f->trailer.foot;
        t->durable = MAX(t->durable, f->end);
    }
    tool_file_close(f);
}

/* The catalogue of the newest footer that has a good one. */
static void
newest_catalog(tool *t)
{
    for (guint i = t->files->len; i > 0; i--) {
        tool_file *f = t->files->pdata[i - 1];
        uint32_t n = f->trailer.cat_bytes;
        g_autofree uint8_t *cat = f->sealed ? g_try_malloc(n + 1u) : NULL;
        if (cat == NULL || !tool_file_open(t, f))
            continue;
        bool good = sa_read_all(&sa_io_posix, f->fd, cat, n, 8ull * f->trailer.cat) == (ssize_t)n
                    && sa_crc32c(0, cat, n) == f->trailer.cat_crc
                    && tool_names_read(&t->names, cat, n, true);
        tool_file_close(f);
        if (good)
            return;
    }
}

/* ---- files without footer: the mark, and what happened to the catalogue ---- */

int
tool_scan(tool *t, tool_file *f, sa_scan *scan, bool (*each)(void *ctx, const sa_found *found),
          void *ctx)
{
    *scan = (sa_scan){ .io = &sa_io_posix, .base = f->base, .salt = t->salt };
    if (!tool_file_open(t, f))
        return f->gone ? 0 : -EIO;
    scan->fd = f->fd;
    if (f->sealed)
        scan->end = f->end;
    int rc = sa_scan_run(scan, each, ctx);
    tool_file_close(f);
    return rc;
}

typedef struct first_look {
    tool *t;
    tool_file *f;
} first_look;

static bool
look(void *ctx, const sa_found *found)
{
    const first_look *l = ctx;
    tool *t = l->t;
    l->f->empty = false;
    if (!found->head_good)
        return true;
    uint64_t lsn = l->f->base + found->place;
    if (found->head.lag < UINT32_MAX)
        t->durable = MAX(t->durable, lsn - found->head.lag);
    if (!found->whole)
        return true;
    if (found->head.type == SA_CATALOG)
        tool_names_read(&t->names, found->body, found->head.body, false);
    if (found->head.type == SA_START) {
        tool_part *part = tool_names_part(&t->names, found->head.partition);
        part->first = MAX(part->first, found->head.offset);
    }
    return true;
}

static int
first_looks(tool *t)
{
    for (guint i = 0; i < t->files->len; i++) {
        tool_file *f = t->files->pdata[i];
        first_look l = { t, f };
        sa_scan scan;
        if (f->sealed)
            continue;
        f->empty = true;
        int rc = tool_scan(t, f, &scan, look, &l);
        f->end = scan.stop;
        if (scan.footer) /* it is begun only when everything before it is durable */
            t->durable = MAX(t->durable, scan.stop);
        if (rc < 0)
            return t->failed != 0 ? t->failed
                                  : tool_say("%s/log/%s could not be read: %s", t->path, f->name,
                                             g_strerror(-rc));
    }
    return 0;
}

static int
open_folders(tool *t, const char *path)
{
    t->path = g_strdup(path);
    t->log_dir = -1;
    t->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->dir < 0)
        return tool_say("folder %s could not be opened: %s%s", path, g_strerror(errno),
                        errno == EACCES ? "; run this as root or as the user of the daemon" : "");
    t->log_dir = openat(t->dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->log_dir < 0 && errno == ENOENT)
        return tool_say("%s is no folder of storage-standalone: there is no log/ in it", path);
    return t->log_dir < 0 ? tool_say("folder %s/log could not be opened: %s", path,
                                     g_strerror(errno)) : 0;
}

int
tool_open(tool *t, const char *path)
{
    t->rows = g_string_new(NULL);
    t->files = g_ptr_array_new_with_free_func(file_free);
    t->replaced = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    tool_names_init(&t->names);
    int code = open_folders(t, path);
    if (code != 0)
        return code;
    t->live = tool_in_use(t);
    code = list_files(t);
    if (code == 0)
        code = read_heads(t);
    if (code == 0 && !t->live)
        tool_index_load(t);
    if (code == 0)
        code = check_identity(t);
    if (code != 0)
        return code;
    for (guint i = 0; i < t->files->len; i++) {
        tool_file *f = t->files->pdata[i];
        if (f->inputs != NULL && !f->unused)
            settle_cleaned(t, f);
    }
    t->durable = t->index.have_meta ? t->index.meta.applied : 0;
    for (guint i = 0; i < t->files->len; i++)
        read_trailer(t, t->files->pdata[i]);
    newest_catalog(t);
    code = first_looks(t);
    return code != 0 ? code : t->failed;
}

void
tool_close(tool *t)
{
    tool_names_clear(&t->names);
    tool_index_clear(&t->index);
    g_clear_pointer(&t->files, g_ptr_array_unref);
    g_clear_pointer(&t->replaced, g_hash_table_unref);
    if (t->log_dir >= 0)
        close(t->log_dir);
    if (t->dir >= 0)
        close(t->dir);
    g_string_free(t->rows, TRUE);
    g_free(t->path);
}
