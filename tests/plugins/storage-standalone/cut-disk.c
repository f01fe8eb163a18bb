/* SPDX-License-Identifier: Apache-2.0
 *
 * See cut-disk.h. One lock; a step that writes is noted once the kernel has it, a sync counts once it
 * has succeeded, for what was noted before it began.
 */
#include "cut-disk.h"

#include "folder-of.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u
#define NAME 48u
#define SLOW_SYNC_US 700

enum { FOLDER, FOLDER_LOG, FOLDERS, FOLDER_OTHER = FOLDERS };
static const char *const folders[FOLDERS] = { ".", "log" };

typedef enum step_kind {
    STEP_LINK,   /* name is node, in folder */
    STEP_UNLINK, /* name is gone */
    STEP_WRITE,
    STEP_GROW, /* the file has at least size bytes */
    STEP_CUT,  /* the file has size bytes */
    STEP_SYNCED,
    STEP_FOLDER_SYNCED,
    STEP_INDEX,
} step_kind;

typedef struct step {
    step_kind kind;
    uint32_t node;
    int folder;
    uint32_t begin;  /* of a sync: steps noted before it began */
    uint64_t place;  /* or the size */
    GBytes *bytes;
    char name[NAME];
} step;

struct cut_disk {
    sa_io io;
    char *dir;
    pthread_mutex_t lock;
    GArray *steps;     /* step */
    GHashTable *names; /* "folder/name" → node */
    GHashTable *fds;   /* fd → node */
    uint32_t nodes;
};

static void
step_clear(gpointer data)
{
    step *s = data;
    g_clear_pointer(&s->bytes, g_bytes_unref);
}

/* lock held */
static void
add(cut_disk *d, step s)
{
    g_array_append_val(d->steps, s);
}

static char *
key_of(int folder, const char *name)
{
    return g_strdup_printf("%d/%s", folder, name);
}

/* lock held. A name becomes a node, known at once to those that look. */
static void
link_name(cut_disk *d, int folder, const char *name, uint32_t node)
{
    step s = { .kind = STEP_LINK, .folder = folder, .node = node };
    g_strlcpy(s.name, name, sizeof s.name);
    g_hash_table_insert(d->names, key_of(folder, name), GUINT_TO_POINTER(node));
    add(d, s);
}

static void
unlink_name(cut_disk *d, int folder, const char *name)
{
    step s = { .kind = STEP_UNLINK, .folder = folder };
    g_autofree char *key = key_of(folder, name);
    g_strlcpy(s.name, name, sizeof s.name);
    g_hash_table_remove(d->names, key);
    add(d, s);
}

static int
folder_of(const cut_disk *d, int fd)
{
    char path[4096];
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t len = strlen(d->dir);
    if (n < 0)
        return FOLDER_OTHER;
    path[n] = '\0';
    if (strncmp(path, d->dir, len) != 0)
        return FOLDER_OTHER;
    return path[len] == '\0' ? FOLDER : strcmp(path + len, "/log") == 0 ? FOLDER_LOG : FOLDER_OTHER;
}

/* The folder of a name in dir, which may begin with that of a folder within. */
static int
part_of(const cut_disk *d, int dir, const char **name)
{
    int folder = folder_of(d, dir);
    if (folder == FOLDER && g_str_has_prefix(*name, "log/")) {
        *name += 4;
        return FOLDER_LOG;
    }
    return strchr(*name, '/') != NULL ? FOLDER_OTHER : folder;
}

/* ---- the table ---- */

static int
cut_open(void *ctx, int dir, const char *name, int flags)
{
    cut_disk *d = ctx;
    int folder = folder_of(d, dir);
    g_autofree char *key = key_of(folder, name);
    int fd = sa_io_posix.open(NULL, dir, name, flags);
    if (fd < 0 || folder == FOLDER_OTHER)
        return fd;
    pthread_mutex_lock(&d->lock);
    uint32_t node = GPOINTER_TO_UINT(g_hash_table_lookup(d->names, key));
    if (node == 0) {
        node = ++d->nodes;
        link_name(d, folder, name, node);
    }
    g_hash_table_insert(d->fds, GINT_TO_POINTER(fd), GUINT_TO_POINTER(node));
    pthread_mutex_unlock(&d->lock);
    return fd;
}

static void
cut_close(void *ctx, int fd)
{
    cut_disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    g_hash_table_remove(d->fds, GINT_TO_POINTER(fd));
    sa_io_posix.close(NULL, fd); /* under the lock: the number may come back at once */
    pthread_mutex_unlock(&d->lock);
}

/* lock held; 0: a file that is not watched */
static uint32_t
node_of(const cut_disk *d, int fd)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(d->fds, GINT_TO_POINTER(fd)));
}

static ssize_t
cut_pwritev(void *ctx, int fd, const struct iovec *iov, int n, uint64_t place)
{
    cut_disk *d = ctx;
    ssize_t done = sa_io_posix.pwritev(NULL, fd, iov, n, place);
    if (done <= 0)
        return done;
    g_autoptr(GByteArray) all = g_byte_array_new();
    for (int i = 0; i < n && all->len < (size_t)done; i++)
        g_byte_array_append(all, iov[i].iov_base,
                            (guint)MIN(iov[i].iov_len, (size_t)done - all->len));
    pthread_mutex_lock(&d->lock);
    add(d, (step){ .kind = STEP_WRITE, .node = node_of(d, fd), .place = place,
                   .bytes = g_byte_array_free_to_bytes(g_steal_pointer(&all)) });
    pthread_mutex_unlock(&d->lock);
    return done;
}

static int
resized(cut_disk *d, int fd, step_kind kind, uint64_t size, int rc)
{
    pthread_mutex_lock(&d->lock);
    if (rc == 0)
        add(d, (step){ .kind = kind, .node = node_of(d, fd), .place = size });
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int
cut_allocate(void *ctx, int fd, uint64_t size)
{
    return resized(ctx, fd, STEP_GROW, size, sa_io_posix.allocate(NULL, fd, size));
}

static int
cut_truncate(void *ctx, int fd, uint64_t size)
{
    return resized(ctx, fd, STEP_CUT, size, sa_io_posix.truncate(NULL, fd, size));
}

/* Takes a moment, so that others write meanwhile: memory syncs at once. */
static int
cut_datasync(void *ctx, int fd)
{
    cut_disk *d = ctx;
    uint32_t begin = cut_disk_steps(d);
    g_usleep(begin % 5 * SLOW_SYNC_US / 2);
    int rc = sa_io_posix.datasync(NULL, fd);
    pthread_mutex_lock(&d->lock);
    if (rc == 0)
        add(d, (step){ .kind = STEP_SYNCED, .node = node_of(d, fd), .begin = begin });
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int
cut_sync(void *ctx, int fd)
{
    cut_disk *d = ctx;
    uint32_t begin = cut_disk_steps(d);
    int folder = folder_of(d, fd);
    int rc = sa_io_posix.sync(NULL, fd);
    pthread_mutex_lock(&d->lock);
    uint32_t node = node_of(d, fd);
    if (rc == 0 && node != 0)
        add(d, (step){ .kind = STEP_SYNCED, .node = node, .begin = begin });
    else if (rc == 0 && folder != FOLDER_OTHER)
        add(d, (step){ .kind = STEP_FOLDER_SYNCED, .folder = folder, .begin = begin });
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int
cut_rename(void *ctx, int dir, const char *from, const char *to)
{
    cut_disk *d = ctx;
    const char *old = from, *new = to;
    int left = part_of(d, dir, &old), come = part_of(d, dir, &new);
    g_autofree char *key = key_of(left, old);
    pthread_mutex_lock(&d->lock);
    int rc = sa_io_posix.rename(NULL, dir, from, to);
    uint32_t node = GPOINTER_TO_UINT(g_hash_table_lookup(d->names, key));
    if (rc == 0 && come != FOLDER_OTHER)
        link_name(d, come, new, node);
    if (rc == 0)
        unlink_name(d, left, old);
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int
cut_unlink(void *ctx, int dir, const char *name)
{
    cut_disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    int rc = sa_io_posix.unlink(NULL, dir, name);
    if (rc == 0)
        unlink_name(d, folder_of(d, dir), name);
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static int
cut_space(void *ctx, int dir, uint64_t *avail, uint64_t *total)
{
    (void)ctx;
    return sa_io_posix.space(NULL, dir, avail, total);
}

static ssize_t
cut_pread(void *ctx, int fd, void *into, size_t n, uint64_t place)
{
    (void)ctx;
    return sa_io_posix.pread(NULL, fd, into, n, place);
}

static void
copy_index(cut_disk *d)
{
    g_autofree char *path = g_build_filename(d->dir, "index", "data.mdb", NULL);
    char *text;
    gsize len;
    if (!g_file_get_contents(path, &text, &len, NULL))
        return;
    pthread_mutex_lock(&d->lock);
    add(d, (step){ .kind = STEP_INDEX, .bytes = g_bytes_new_take(text, len) });
    pthread_mutex_unlock(&d->lock);
}

/* The thread that names these points is the one that writes the index, and has just committed. */
static void
cut_point(void *ctx, const char *name)
{
    if (strcmp(name, "checkpoint-committed") == 0 || strcmp(name, "unlink") == 0
        || strcmp(name, "recover-replayed") == 0 || strcmp(name, "clean-committed") == 0)
        copy_index(ctx);
}

/* ---- life ---- */

/* What lies there is safe. */
static void
take_folder(cut_disk *d, int folder)
{
    g_autofree char *path = g_build_filename(d->dir, folders[folder], NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        char *text;
        gsize len;
        if (!g_file_test(file, G_FILE_TEST_IS_REGULAR) || strcmp(name, "lock") == 0
            || !g_file_get_contents(file, &text, &len, NULL))
            continue;
        uint32_t node = ++d->nodes;
        link_name(d, folder, name, node);
        add(d, (step){ .kind = STEP_WRITE, .node = node, .bytes = g_bytes_new_take(text, len) });
        add(d, (step){ .kind = STEP_SYNCED, .node = node, .begin = d->steps->len });
    }
    if (dir != NULL)
        g_dir_close(dir);
    add(d, (step){ .kind = STEP_FOLDER_SYNCED, .folder = folder, .begin = d->steps->len });
}

cut_disk *
cut_disk_new(const char *dir)
{
    cut_disk *d = g_new0(cut_disk, 1);
    d->io = (sa_io){ .ctx = d, .open = cut_open, .close = cut_close, .pwritev = cut_pwritev,
                     .pread = cut_pread, .allocate = cut_allocate, .truncate = cut_truncate,
                     .datasync = cut_datasync, .sync = cut_sync, .rename = cut_rename,
                     .unlink = cut_unlink, .space = cut_space, .point = cut_point };
    d->dir = g_strdup(dir);
    pthread_mutex_init(&d->lock, NULL);
    d->steps = g_array_new(FALSE, FALSE, sizeof(step));
    g_array_set_clear_func(d->steps, step_clear);
    d->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    d->fds = g_hash_table_new(NULL, NULL);
    for (int folder = 0; folder < FOLDERS; folder++)
        take_folder(d, folder);
    copy_index(d);
    return d;
}

void
cut_disk_free(cut_disk *d)
{
    g_array_unref(d->steps);
    g_hash_table_unref(d->names);
    g_hash_table_unref(d->fds);
    pthread_mutex_destroy(&d->lock);
    g_free(d->dir);
    g_free(d);
}

const sa_io *
cut_disk_io(cut_disk *d)
{
    return &d->io;
}

uint32_t
cut_disk_steps(cut_disk *d)
{
    pthread_mutex_lock(&d->lock);
    uint32_t n = d->steps->len;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* ---- after the cut ---- */

/* Steps of a node (kind SYNCED) or a folder before this one are safe. */
static uint32_t
safe_steps(const cut_disk *d, uint32_t n, step_kind kind, uint32_t node, int folder)
{
    uint32_t safe = 0;
    for (uint32_t i = 0; i < n; i++) {
        const step *s = &g_array_index(d->steps, step, i);
        if (s->kind == kind && (kind == STEP_SYNCED ? s->node == node : s->folder == folder))
            safe = MAX(safe, s->begin);
    }
    return safe;
}

/* Of the steps from safe to n, those before the returned one count. */
static uint32_t
any_step(uint32_t safe, uint32_t n, cut_keep keep, GRand *rand)
{
    if (keep != CUT_KEEP_SOME)
        return keep == CUT_KEEP_ALL ? n : safe;
    switch (g_rand_int_range(rand, 0, 3)) {
    case 0:
        return safe;
    case 1:
        return n;
    default:
        return safe < n ? (uint32_t)g_rand_int_range(rand, (gint32)safe, (gint32)n + 1) : n;
    }
}

static void
put(GByteArray *file, uint64_t place, const uint8_t *bytes, size_t len)
{
    guint old = file->len;
    if (place + len > old) {
        g_byte_array_set_size(file, (guint)(place + len));
        memset(file->data + old, 0, file->len - old);
    }
    if (len > 0)
        memcpy(file->data + place, bytes, len);
}

static void
set_size(GByteArray *file, uint64_t size)
{
    guint old = file->len;
    g_byte_array_set_size(file, (guint)size);
    if (size > old)
        memset(file->data + old, 0, size - old);
}

typedef struct pending { /* how a file's unsynced steps are chosen */
    uint32_t safe, n, sizes;
    cut_keep keep;
    GRand *rand;
    GHashTable *pages; /* page → step before which its writes count */
} pending;

/* A write, page by page. */
static void
put_pages(GByteArray *file, pending *p, uint32_t at, const step *s)
{
    gsize len;
    const uint8_t *bytes = g_bytes_get_data(s->bytes, &len);
    for (uint64_t from = s->place, end = s->place + len, to; from < end; from = to) {
        gpointer page = GSIZE_TO_POINTER(from / PAGE), until;
        to = MIN(end, (from / PAGE + 1) * PAGE);
        if (!g_hash_table_lookup_extended(p->pages, page, NULL, &until)) {
            until = GUINT_TO_POINTER(any_step(p->safe, p->n, p->keep, p->rand));
            g_hash_table_insert(p->pages, page, until);
        }
        if (at < GPOINTER_TO_UINT(until))
            put(file, from, bytes + (from - s->place), to - from);
    }
}

static GByteArray *
make_file(const cut_disk *d, uint32_t node, uint32_t n, cut_keep keep, GRand *rand)
{
    GByteArray *file = g_byte_array_new();
    pending p = { .safe = safe_steps(d, n, STEP_SYNCED, node, 0), .n = n, .keep = keep, .rand = rand };
    p.sizes = any_step(p.safe, n, keep, rand);
    p.pages = g_hash_table_new(NULL, NULL);
    for (uint32_t i = 0; i < n; i++) {
        const step *s = &g_array_index(d->steps, step, i);
        if (s->node != node)
            continue;
        if (s->kind == STEP_WRITE && i < p.safe)
            put(file, s->place, g_bytes_get_data(s->bytes, NULL), g_bytes_get_size(s->bytes));
        else if (s->kind == STEP_WRITE)
            put_pages(file, &p, i, s);
        else if (i < p.sizes && (s->kind == STEP_CUT || (s->kind == STEP_GROW && s->place > file->len)))
            set_size(file, s->place);
    }
    g_hash_table_unref(p.pages);
    return file;
}

/* Names of a folder → nodes; an unsynced change of a name is there or not, each for itself. */
static GHashTable *
make_names(const cut_disk *d, int folder, uint32_t n, cut_keep keep, GRand *rand)
{
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);
    uint32_t safe = safe_steps(d, n, STEP_FOLDER_SYNCED, 0, folder);
    for (uint32_t i = 0; i < n; i++) {
        step *s = &g_array_index(d->steps, step, i);
        if ((s->kind != STEP_LINK && s->kind != STEP_UNLINK) || s->folder != folder)
            continue;
        if (i >= safe && (keep == CUT_KEEP_NOTHING
                          || (keep == CUT_KEEP_SOME && g_rand_boolean(rand))))
            continue;
        if (s->kind == STEP_LINK)
            g_hash_table_insert(names, s->name, GUINT_TO_POINTER(s->node));
        else
            g_hash_table_remove(names, s->name);
    }
    return names;
}

static void
write_file(const char *path, const void *bytes, size_t len)
{
    FILE *out = fopen(path, "we");
    g_assert_nonnull(out);
    if (len > 0)
        g_assert_cmpuint(fwrite(bytes, 1, len, out), ==, len);
    g_assert_cmpint(fclose(out), ==, 0);
}

static void
write_index(const cut_disk *d, const char *dir, uint32_t n)
{
    const step *last = NULL;
    g_autofree char *path = g_build_filename(dir, "index", "data.mdb", NULL);
    for (uint32_t i = 0; i < n; i++) {
        const step *s = &g_array_index(d->steps, step, i);
        if (s->kind == STEP_INDEX)
            last = s;
    }
    if (last != NULL)
        write_file(path, g_bytes_get_data(last->bytes, NULL), g_bytes_get_size(last->bytes));
}

void
cut_disk_rebuild(cut_disk *d, const char *dir, uint32_t n, cut_keep keep, bool index, GRand *rand)
{
    static const char *const made[] = { "", "log", "index", "quarantine" };
    folder_remove(dir);
    for (size_t i = 0; i < G_N_ELEMENTS(made); i++) {
        g_autofree char *path = g_build_filename(dir, made[i], NULL);
        g_assert_cmpint(g_mkdir(path, 0750), ==, 0);
    }
    for (int folder = 0; folder < FOLDERS; folder++) {
        g_autoptr(GHashTable) names = make_names(d, folder, n, keep, rand);
        GHashTableIter iter;
        gpointer name, node;
        g_hash_table_iter_init(&iter, names);
        while (g_hash_table_iter_next(&iter, &name, &node)) {
            g_autofree char *path = g_build_filename(dir, folders[folder], name, NULL);
            g_autoptr(GByteArray) file = make_file(d, GPOINTER_TO_UINT(node), n, keep, rand);
            write_file(path, file->data, file->len);
        }
    }
    if (index)
        write_index(d, dir, n);
}

void
cut_disk_tell(cut_disk *d, uint32_t n, uint32_t last)
{
    static const char *const what[] = { "name", "no name", "write", "grow", "cut", "synced",
                                        "folder synced", "index" };
    for (uint32_t i = n > last ? n - last : 0; i < n; i++) {
        const step *s = &g_array_index(d->steps, step, i);
        g_test_message("  %u: %s %s file %u at %" G_GUINT64_FORMAT " bytes %u since %u", i,
                       what[s->kind], s->name, s->node, s->place,
                       s->bytes != NULL ? (unsigned)g_bytes_get_size(s->bytes) : 0, s->begin);
    }
}
