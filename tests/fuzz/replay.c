/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs every file of the corpus folders named on the command line through the target this is linked
 * with, whole and cut at up to 64 places, and speaks TAP. What libFuzzer once found stays found.
 */
#include "fuzz.h"
#include <glib.h>
#include <stdio.h>
#include <string.h>

#define CUTS 64u

static void
feed(const char *bytes, size_t len)
{
    /* A copy of exactly this size: address sanitizer sees the first byte read behind it. */
    g_autofree uint8_t *exact = g_malloc(len + (len == 0));
    memcpy(exact, bytes, len);
    LLVMFuzzerTestOneInput(exact, len);
}

static void
replay_file(const char *path)
{
    g_autofree char *bytes = NULL;
    size_t len = 0;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(path, &bytes, &len, &error))
        g_error("corpus: %s", error->message);
    feed(bytes, len);
    size_t step = len / CUTS + 1;
    for (size_t cut = 0; cut < len; cut += step)
        feed(bytes, cut);
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int
main(int argc, char **argv)
{
    unsigned n = 0;
    for (int i = 1; i < argc; i++) {
        g_autoptr(GDir) dir = g_dir_open(argv[i], 0, NULL);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;)
            g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, by_name);
        for (guint k = 0; k < names->len; k++) {
            g_autofree char *path = g_build_filename(argv[i], names->pdata[k], NULL);
            replay_file(path);
            printf("ok %u - %s\n", ++n, (char *)names->pdata[k]);
            fflush(stdout);
        }
    }
    if (n == 0)
        printf("not ok 1 - the corpus is empty\n");
    printf("1..%u\n", n > 0 ? n : 1);
    return n > 0 ? 0 : 1;
}
