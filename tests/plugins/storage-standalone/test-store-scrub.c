/* SPDX-License-Identifier: Apache-2.0
 *
 * The scrub reads every closed log file within its period, tells what is bad before a reader meets it,
 * and goes on where it stood after a restart; what lies in quarantine is an alarm until it is taken
 * out. The clock is the test's.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define HOUR 3600000ll

typedef struct world {
    char *dir;
    store_host *h;
    sa_options opt;
    struct emesh_topic *topic;
    int64_t shift;
} world;

static void
open_store(world *w)
{
    g_assert_cmpint(store_host_open(w->h, &w->opt, NULL), ==, EMESH_OK);
    w->topic = store_host_topic(w->h, "t", EMESH_LEVEL_OS, 0, 0);
}

static void
close_store(world *w)
{
    sa_topic_close(NULL, w->topic);
    store_host_close(w->h);
}

static void
world_begin(world *w, uint32_t events)
{
    *w = (world){ .dir = folder_make_fast(), .opt = store_host_options() };
    w->h = store_host_new(w->dir, 1);
    w->opt.scrub_ns = 168 * 3600 * UINT64_C(1000000000);
    w->opt.checkpoint_ns = 20000000;
    open_store(w);
    for (uint32_t i = 0; i < events; i += 50)
        g_assert_cmpuint(store_host_append(w->h, 0, w->topic, "e", i, 50, 300, 0), ==, 50);
    close_store(w);
}

static void
world_end(world *w)
{
    close_store(w);
    store_host_end(w->h);
    g_free(w->dir);
}

/* An hour more on the clock, and a round of the keeper. */
static void
hour(world *w)
{
    w->shift += HOUR;
    store_host_shift(w->h, w->shift, w->shift);
    sa_keeper_retain(store_host_store(w->h));
    g_usleep(2000);
}

static uint64_t
size_of(const char *path)
{
    GStatBuf st;
    return g_stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void
flip(const char *path, off_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
    byte ^= 0x10;
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    close(fd);
}

/* Nothing is bad: all of it is read, once a week and not faster; also with a restart in between. */
static void
test_pace(void)
{
    world w;
    world_begin(&w, 3000);
    open_store(&w);
    const sa_stats *stats = &store_host_store(w.h)->stats;
    uint64_t total = 0;
    g_autoptr(GPtrArray) files = folder_segments(w.dir);
    for (guint i = 0; i < files->len; i++)
        total += size_of(files->pdata[i]);
    for (int i = 0; i < 84; i++)
        hour(&w);
    uint64_t half = atomic_load(&stats->scrub_bytes);
    g_assert_cmpuint(half, >, total / 4);
    g_assert_cmpuint(half, <, total * 3 / 4);
    g_assert_cmpuint(atomic_load(&stats->scrub_passes), ==, 0);
    close_store(&w);
    open_store(&w);
    stats = &store_host_store(w.h)->stats;
    for (int i = 0; i < 110 && atomic_load(&stats->scrub_passes) == 0; i++)
        hour(&w);
    g_assert_cmpuint(atomic_load(&stats->scrub_passes), ==, 1);
    g_assert_cmpuint(half + atomic_load(&stats->scrub_bytes), >, total / 2);
    g_assert_cmpuint(half + atomic_load(&stats->scrub_bytes), <, total * 5 / 4);
    g_assert_cmpuint(atomic_load(&stats->scrub_bad), ==, 0);
    g_assert_cmpuint(store_host_health(w.h), ==, EMESH_HEALTH_OK);
    world_end(&w);
}

static void
await_health(world *w, uint32_t health)
{
    for (int i = 0; i < 400 && store_host_health(w->h) != health; i++)
        hour(w);
    g_assert_cmpuint(store_host_health(w->h), ==, health);
}

/* A flipped byte of a record, one of a directory, one of a header: each is found and told once. */
static void
test_damage(void)
{
    world w;
    world_begin(&w, 3000);
    g_autoptr(GPtrArray) files = folder_segments(w.dir);
    g_assert_cmpuint(files->len, >, 8);
    flip(files->pdata[2], 30000);
    flip(files->pdata[4], (off_t)size_of(files->pdata[4]) - 300);
    flip(files->pdata[6], 2000);
    open_store(&w);
    const sa_stats *stats = &store_host_store(w.h)->stats;
    g_assert_cmpuint(store_host_health(w.h), ==, EMESH_HEALTH_OK);
    for (int i = 0; i < 900 && atomic_load(&stats->scrub_passes) < 2; i++)
        hour(&w);
    g_assert_cmpuint(atomic_load(&stats->scrub_passes), ==, 2);
    g_assert_cmpuint(atomic_load(&stats->scrub_bad), ==, 3);
    g_assert_cmpuint(store_host_logged(w.h, "scrub: "), ==, 3);
    g_assert_cmpuint(store_host_logged(w.h, "MiB read, 3 damaged places"), ==, 2);
    await_health(&w, EMESH_HEALTH_DEGRADED);
    g_assert_cmpuint(store_host_logged(w.h, "3 damaged pieces of the log lie in"), >, 0);
    close_store(&w);
    /* It is still there at the next start, until somebody takes it out. */
    open_store(&w);
    await_health(&w, EMESH_HEALTH_DEGRADED);
    close_store(&w);
    g_autofree char *quarantine = g_build_filename(w.dir, "quarantine", NULL);
    folder_remove(quarantine);
    open_store(&w);
    for (int i = 0; i < 3; i++)
        hour(&w);
    g_assert_cmpuint(store_host_health(w.h), ==, EMESH_HEALTH_OK);
    world_end(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-scrub/pace", test_pace);
    g_test_add_func("/store-scrub/damage", test_damage);
    return g_test_run();
}
