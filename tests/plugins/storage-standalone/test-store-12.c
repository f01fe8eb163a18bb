/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 12 of the embedded store: half `os`, half `synced`. Each is answered after its own watermark:
 * `synced` after an fdatasync that began behind its publish, `os` without waiting for one; fdatasync
 * takes 50 ms here, so that an answer that comes too early is seen. The long form
 * (STORE_TEST_12_LONG=1) publishes 50,000 a second on the disk as it is, and judges the medians.
 */
#include "folder-of.h"
#include "harness/store-host.h"
#include "lane.h"

#define SLOW_US 50000u
#define EACH 25u /* of each level in one call */
#define SIZE 512u

typedef struct sent {
    gint64 at, answered;
    uint64_t begun; /* fdatasyncs that had begun */
} sent;

typedef struct mixed {
    sa_io io;
    store_host *h;
    struct emesh_topic *os, *synced;
    emesh_append items[2 * EACH];
    bool slow;
    uint32_t rounds;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* lock */
    uint64_t begun, ended; /* fdatasyncs; ended: the newest that is through */
    uint32_t running;
    sent *sent; /* by cookie: even os, odd synced */
    uint32_t answered, early, beside, failed;
} mixed;

static int
slow_datasync(void *ctx, int fd)
{
    mixed *m = ctx;
    pthread_mutex_lock(&m->lock);
    uint64_t mine = ++m->begun;
    m->running++;
    pthread_mutex_unlock(&m->lock);
    if (m->slow)
        g_usleep(SLOW_US);
    int rc = sa_io_posix.datasync(NULL, fd);
    pthread_mutex_lock(&m->lock);
    m->running--;
    m->ended = MAX(m->ended, mine);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static void
on_results(void *ctx, const emesh_appended *results, uint32_t n)
{
    mixed *m = ctx;
    pthread_mutex_lock(&m->lock);
    for (uint32_t i = 0; i < n; i++) {
        sent *s = &m->sent[results[i].cookie];
        bool synced = results[i].cookie % 2 == 1;
        s->answered = g_get_monotonic_time();
        m->failed += results[i].code != EMESH_OK;
        m->early += synced ? m->ended <= s->begun : 0;
        m->beside += !synced && m->running > 0;
    }
    m->answered += n;
    pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&m->lock);
}

static void
append_now(void *ctx)
{
    mixed *m = ctx;
    gint64 now = g_get_monotonic_time();
    pthread_mutex_lock(&m->lock);
    uint64_t begun = m->begun;
    for (uint32_t i = 0; i < 2 * EACH; i++)
        m->sent[m->items[i].cookie] = (sent){ .at = now, .begun = begun };
    pthread_mutex_unlock(&m->lock);
    sa_append(store_host_lane(m->h, 0), m->items, 2 * EACH);
}

static void
publish(mixed *m)
{
    const emesh_event *event = store_host_event("e", 1, SIZE);
    gint64 begin = g_get_monotonic_time();
    for (uint32_t round = 0; round < m->rounds; round++) {
        for (uint32_t i = 0; i < 2 * EACH; i++)
            m->items[i] = (emesh_append){ .event = event, .topic = i % 2 == 0 ? m->os : m->synced,
                                          .cookie = round * 2 * EACH + i };
        store_host_on_lane(m->h, 0, append_now, m);
        gint64 ahead = begin + (gint64)(round + 1) * 1000 - g_get_monotonic_time();
        if (ahead > 0)
            g_usleep((gulong)ahead);
    }
    emesh_event_unref(event);
    pthread_mutex_lock(&m->lock);
    while (m->answered < m->rounds * 2 * EACH)
        pthread_cond_wait(&m->wake, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static gint
by_value(gconstpointer a, gconstpointer b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return x < y ? -1 : x > y;
}

/* The median latency of a level, in us. */
static gint64
median(const mixed *m, uint32_t odd)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (uint32_t i = odd; i < m->rounds * 2 * EACH; i += 2) {
        gint64 took = m->sent[i].answered - m->sent[i].at;
        g_array_append_val(all, took);
    }
    g_array_sort(all, by_value);
    return g_array_index(all, gint64, all->len / 2);
}

/* Returns how many hundredths of the median of `synced` that of `os` is. */
static gint64
one_run(bool slow, uint32_t rounds)
{
    g_autofree char *dir = folder_make(); /* on a disk, where there is one */
    sa_options opt = store_host_options();
    mixed *m = g_new0(mixed, 1);
    m->io = sa_io_posix;
    m->io.ctx = m;
    m->io.datasync = slow_datasync;
    m->rounds = rounds;
    m->sent = g_new0(sent, rounds * 2 * EACH);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    opt.segment_size = 64u << 20;
    m->h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(m->h, &opt, &m->io), ==, EMESH_OK);
    m->os = store_host_topic(m->h, "os", EMESH_LEVEL_OS, 0, 0);
    m->synced = store_host_topic(m->h, "synced", EMESH_LEVEL_SYNCED, 0, 0);
    store_host_on_results(m->h, on_results, m);
    m->slow = slow;
    publish(m);
    m->slow = false;
    gint64 os = median(m, 0), synced = median(m, 1);
    g_test_message("%u of each level: os p50 %" G_GINT64_FORMAT " us, synced p50 %" G_GINT64_FORMAT
                   " us; %u os answered beside a running fdatasync, %u synced before one of theirs",
                   rounds * EACH, os, synced, m->beside, m->early);
    g_assert_cmpuint(m->failed, ==, 0);
    g_assert_cmpuint(m->early, ==, 0);
    if (slow) /* with one fdatasync after the other, most of them come meanwhile */
        g_assert_cmpuint(m->beside, >, rounds * EACH / 2);
    sa_topic_close(NULL, m->os);
    sa_topic_close(NULL, m->synced);
    store_host_end(m->h);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->wake);
    g_free(m->sent);
    g_free(m);
    return os * 100 / MAX(synced, 1);
}

static void
test_order(void)
{
    one_run(true, 400);
}

static void
test_medians(void)
{
    gint64 part[3];
    if (g_getenv("STORE_TEST_12_LONG") == NULL) {
        g_test_skip("judged in the long form");
        return;
    }
    for (int i = 0; i < 3; i++)
        part[i] = one_run(false, 5000);
    qsort(part, 3, sizeof *part, by_value);
    g_test_message("median of os is %" G_GINT64_FORMAT " %% of that of synced", part[1]);
    g_assert_cmpint(part[1], <, 30);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-12/order", test_order);
    g_test_add_func("/store-test-12/medians", test_medians);
    return g_test_run();
}
