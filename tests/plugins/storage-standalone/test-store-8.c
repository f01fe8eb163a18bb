/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 8 of the embedded store: a hundred topics with ages and byte limits of their own, and a model
 * beside them. Nothing goes early, nothing stays longer than its age and 30 s, what stays is read as
 * it was written, and the log is never larger than twice what lives and three files. The clock is the
 * test's: steps of up to 20 s, and a restart now and then. STORE_TEST_8_STEPS makes it long.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>
#include <stdlib.h>

#define TOPICS 100u
#define SIZE 400u
#define LEAST (64u + SIZE) /* bytes of a record: at least, at most */
#define MOST (64u + SIZE + 160u)
#define BURST 12u /* events of a topic in a step */
#define LATE_MS 30000u


typedef struct model {
    struct emesh_topic *topic;
    char name[16];
    uint64_t age_ms, bytes; /* 0: none */
    GArray *when;           /* ms, of each event */
} model;

typedef struct world {
    char *dir;
    store_host *h;
    sa_options opt;
    GRand *rand;
    int64_t shift; /* ms */
    model m[TOPICS];
    uint64_t trimmed, late_polls;
} world;

static uint64_t
now_ms(const world *w)
{
    return (uint64_t)(g_get_monotonic_time() / 1000 + w->shift);
}

/* From one second to the largest age, evenly by order of magnitude; a tenth of all stay for ever. */
static void
make_model(world *w, uint64_t longest_ms)
{
    for (uint32_t i = 0; i < TOPICS; i++) {
        model *m = &w->m[i];
        double part = (double)(i / 2) / (TOPICS / 2.0);
        double age = 1000.0;
        for (uint32_t k = 0; k < (uint32_t)(part * 100); k++)
            age *= 1 + (longest_ms > 1000000 ? 0.0853 : 0.066);
        g_snprintf(m->name, sizeof m->name, "t%u", i);
        m->when = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        if (i % 10 == 9)
            continue;
        if (i % 4 != 1)
            m->age_ms = MIN((uint64_t)age, longest_ms);
        if (i % 4 == 1 || i % 4 == 3)
            m->bytes = 20000 + 3000 * i;
    }
}

static void
open_store(world *w)
{
    g_assert_cmpint(store_host_open(w->h, &w->opt, NULL), ==, EMESH_OK);
    for (uint32_t i = 0; i < TOPICS; i++)
        w->m[i].topic = store_host_topic(w->h, w->m[i].name, EMESH_LEVEL_OS, w->m[i].age_ms,
                                         w->m[i].bytes);
}

static void
close_store(world *w)
{
    w->trimmed += atomic_load(&store_host_store(w->h)->stats.trimmed);
    for (uint32_t i = 0; i < TOPICS; i++)
        sa_topic_close(NULL, w->m[i].topic);
    store_host_close(w->h);
}

static void
publish(world *w)
{
    for (uint32_t k = 0; k < 50; k++) {
        model *m = &w->m[g_rand_int_range(w->rand, 0, TOPICS)];
        uint32_t n = (uint32_t)g_rand_int_range(w->rand, 1, (gint32)BURST / 4 + 1);
        uint64_t when = now_ms(w);
        g_assert_cmpuint(store_host_append(w->h, 0, m->topic, "e", m->when->len, n, SIZE, 0), ==, n);
        for (uint32_t i = 0; i < n; i++)
            g_array_append_val(m->when, when);
    }
    model *m = &w->m[9];
    uint64_t when = now_ms(w); /* the disk has it all: only then is a file closed */
    g_assert_cmpuint(store_host_append(w->h, 0, m->topic, "e", m->when->len, 1, SIZE,
                                       EMESH_LEVEL_SYNCED), ==, 1);
    g_array_append_val(m->when, when);
}

static uint64_t
first_of(const model *m)
{
    return atomic_load(&m->topic->parts[0]->first);
}

/* What was cut was to be cut. */
static void
check_early(const world *w)
{
    uint64_t now = now_ms(w);
    for (uint32_t i = 0; i < TOPICS; i++) {
        const model *m = &w->m[i];
        uint64_t first = first_of(m);
        g_assert_cmpuint(first, <=, m->when->len);
        if (first == 0)
            continue;
        bool old = m->age_ms > 0 && now - g_array_index(m->when, uint64_t, first - 1) > m->age_ms;
        bool large = m->bytes > 0 && (m->when->len - first + BURST) * MOST > m->bytes;
        if (!old && !large)
            g_error("%s: cut up to %u of %u too early", m->name, (unsigned)first, m->when->len);
    }
}

static bool
is_late(const world *w, const model *m)
{
    uint64_t now = now_ms(w), first = first_of(m);
    if (first == m->when->len)
        return false;
    uint64_t age = now - g_array_index(m->when, uint64_t, first);
    return (m->age_ms > 0 && age > m->age_ms + LATE_MS)
           || (m->bytes > 0 && (m->when->len - first) * LEAST > m->bytes + 2 * BURST * MOST);
}

static uint64_t
log_bytes(const world *w)
{
    g_autoptr(GPtrArray) files = folder_segments(w->dir);
    uint64_t bytes = 0;
    for (guint i = 0; i < files->len; i++) {
        GStatBuf st;
        bytes += g_stat(files->pdata[i], &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    return bytes;
}

static uint64_t
live_bytes(const world *w)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < TOPICS; i++)
        n += w->m[i].when->len - first_of(&w->m[i]);
    return n * MOST;
}

static bool
all_well(const world *w)
{
    for (uint32_t i = 0; i < TOPICS; i++) {
        if (is_late(w, &w->m[i]))
            return false;
    }
    return log_bytes(w) <= 2 * live_bytes(w) + 3 * w->opt.segment_size;
}

/* Rounds of the keeper on a clock that stands, until nothing is late. */
static void
check_late(world *w)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    while (!all_well(w) && g_get_monotonic_time() < end) {
        sa_keeper_retain(store_host_store(w->h));
        g_usleep(5000);
        w->late_polls++;
    }
    check_early(w);
    for (uint32_t i = 0; i < TOPICS; i++) {
        if (is_late(w, &w->m[i]))
            g_error("%s: still %u of %u", w->m[i].name, (unsigned)first_of(&w->m[i]),
                    w->m[i].when->len);
    }
    g_assert_cmpuint(log_bytes(w), <=, 2 * live_bytes(w) + 3 * w->opt.segment_size);
}

/* What is there is what was written. */
static void
check_data(world *w, const model *m)
{
    store_reader *r = store_host_read_all(w->h, m->topic, NULL, SIZE);
    uint64_t begin = m->when->len - store_host_n(r);
    for (uint32_t i = 0; i < store_host_n(r); i++) {
        if ((store_host_flags(r, i) & EMESH_RECORD_TRIMMED) != 0) {
            begin = store_host_offset(r, i) + 1 - i - 1; /* cut while it was read */
            continue;
        }
        g_autofree char *id = g_strdup_printf("e%u", (unsigned)store_host_offset(r, i));
        g_assert_cmpstr(store_host_id(r, i), ==, id);
        g_assert_cmpuint(store_host_offset(r, i), ==, begin + i);
    }
    g_assert_cmpuint(begin, <=, first_of(m));
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    store_host_reader_close(r);
}

static void
step(world *w, uint32_t number)
{
    publish(w);
    w->shift += g_rand_int_range(w->rand, 1000, 20000);
    store_host_shift(w->h, w->shift, w->shift);
    sa_keeper_retain(store_host_store(w->h));
    check_early(w);
    check_late(w);
    for (int i = 0; i < 3; i++)
        check_data(w, &w->m[g_rand_int_range(w->rand, 0, TOPICS)]);
    if (number % 25 == 24) {
        close_store(w);
        open_store(w);
        check_early(w);
    }
}

static void
test_model(void)
{
    const char *text = g_getenv("STORE_TEST_8_STEPS");
    uint32_t steps = text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 300;
    world w = { .dir = folder_make_fast(), .opt = store_host_options() };
    w.rand = g_rand_new_with_seed(g_test_rand_int() > 0 ? (guint32)g_test_rand_int() : 1);
    w.opt.segment_size = 256u << 10;
    w.opt.checkpoint_ns = 20000000;
    w.opt.sync_interval_ns = 5000000;
    w.opt.clean_rate = 1u << 30;
    w.opt.tail_bytes = 64u << 10;
    w.h = store_host_new(w.dir, 1);
    make_model(&w, text != NULL ? 3600000 : 600000);
    open_store(&w);
    uint64_t events = 0, most = 0;
    for (uint32_t i = 0; i < steps; i++) {
        step(&w, i);
        most = MAX(most, log_bytes(&w));
    }
    for (uint32_t i = 0; i < TOPICS; i++) {
        check_data(&w, &w.m[i]);
        events += w.m[i].when->len;
    }
    const sa_stats *stats = &store_host_store(w.h)->stats;
    g_assert_cmpuint(atomic_load(&stats->damaged), ==, 0);
    g_test_message("%u steps, %u s of the clock: %u events, %u cut, %u files cleaned since the last "
                   "start; at most %u KiB of files, %u KiB live at the end; %u looks again", steps,
                   (unsigned)(w.shift / 1000), (unsigned)events,
                   (unsigned)(w.trimmed + atomic_load(&stats->trimmed)),
                   (unsigned)atomic_load(&stats->cleaned), (unsigned)(most >> 10),
                   (unsigned)(live_bytes(&w) >> 10), (unsigned)w.late_polls);
    g_assert_cmpuint(w.trimmed, >, events / 10);
    close_store(&w);
    for (uint32_t i = 0; i < TOPICS; i++)
        g_array_unref(w.m[i].when);
    g_rand_free(w.rand);
    store_host_end(w.h);
    g_free(w.dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-8/model", test_model);
    return g_test_run();
}
