/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds and reads the files of the search path. Touches nothing but them.
 */
#include "folder.h"
#include "parse.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILES_MOST 1000u

static void
file_free(gpointer data)
{
    emesh_conf_file *file = data;
    if (file->text != NULL)
        explicit_bzero(file->text, file->len);
    g_free(file->text);
    g_free(file->name);
    g_free(file->path);
    g_free(file);
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    const emesh_conf_file *x = *(emesh_conf_file *const *)a;
    const emesh_conf_file *y = *(emesh_conf_file *const *)b;
    return strcmp(x->name, y->name);
}

/* Adds the files of one folder; a name known from an earlier one now means this one. */
static void
scan_folder(const char *dir, GHashTable *paths, emesh_problems *problems)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        if (errno != ENOENT)
            emesh_problems_add(problems, dir, NULL, "cannot read the folder: %s",
                               g_strerror(errno));
        return;
    }
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.' || !g_str_has_suffix(e->d_name, ".conf"))
            continue;
        if (!g_utf8_validate(e->d_name, -1, NULL)) {
            emesh_problems_add(problems, dir, NULL, "holds a file whose name is not UTF-8");
            continue;
        }
        g_hash_table_replace(paths, g_strdup(e->d_name), g_build_filename(dir, e->d_name, NULL));
        if (g_hash_table_size(paths) > FILES_MOST) {
            emesh_problems_add(problems, dir, NULL, "more than %u files named *.conf", FILES_MOST);
            break;
        }
    }
    closedir(d);
}

/* All bytes of fd; NULL: errno says why. */
static char *
read_all(int fd, size_t *len)
{
    char *text = g_malloc(EMESH_CONF_FILE_MOST + 2);
    *len = 0;
    while (*len <= EMESH_CONF_FILE_MOST) { /* one byte more shows that it is too long */
        const ssize_t n = read(fd, text + *len, EMESH_CONF_FILE_MOST + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            const int saved = errno;
            explicit_bzero(text, *len);
            g_free(text);
            errno = saved;
            return NULL;
        }
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    text[*len] = '\0';
    return text;
}

/* False: masked, or a problem. */
static bool
read_file(emesh_conf_file *file, emesh_problems *problems)
{
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        emesh_problems_add(problems, file->path, NULL, "cannot open: %s", g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    const bool null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    if (!S_ISREG(st.st_mode) && !null)
        emesh_problems_add(problems, file->path, NULL, "is no regular file");
    else if (!null)
        file->text = read_all(fd, &file->len);
    if (S_ISREG(st.st_mode) && file->text == NULL)
        emesh_problems_add(problems, file->path, NULL, "cannot read: %s", g_strerror(errno));
    close(fd);
    return file->text != NULL && file->len > 0;
}

GPtrArray *
emesh_conf_files(const char *const *dirs, emesh_problems *problems)
{
    g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (uint32_t i = 0; dirs[i] != NULL; i++)
        scan_folder(dirs[i], paths, problems);

    GPtrArray *files = g_ptr_array_new_with_free_func(file_free);
    GHashTableIter iter;
    gpointer name;
    gpointer path;
    g_hash_table_iter_init(&iter, paths);
    while (g_hash_table_iter_next(&iter, &name, &path)) {
        emesh_conf_file *file = g_new0(emesh_conf_file, 1);
        file->name = g_strdup(name);
        file->path = g_strdup(path);
        g_ptr_array_add(files, file);
    }
    g_ptr_array_sort(files, by_name);
    for (uint32_t i = 0; i < files->len;) {
        if (read_file(files->pdata[i], problems))
            i++;
        else
            g_ptr_array_remove_index(files, i);
    }
    return files;
}
