/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 6 of the embedded store: a process ends in the middle of a write, or at a named point, while
 * it writes units: {dead letter + ack}, {HOLD_DONE + event}, a publish to five topics. Afterwards
 * each is there as a whole or not at all. Short form: some places of each of the first writes.
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <string.h>
#include <sys/mman.h>

#define TOPICS 5u
#define ROUNDS 6u
#define SHIFT_MS 3600000

typedef struct ending {
    sa_io io;
    uint32_t writes; /* passed before the one that is cut */
    uint32_t sixteenths;
    const char *at;
    uint32_t skip;
    _Atomic bool armed;
    _Atomic uint64_t *reached;
} ending;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

/* Writes a part of what is asked for, and dies. */
static ssize_t
cut_write(void *ctx, int fd, const struct iovec *iov, int n, uint64_t place)
{
    ending *e = ctx;
    size_t all = 0, left;
    if (e->at != NULL || !atomic_load(&e->armed) || e->writes-- > 0)
        return sa_io_posix.pwritev(NULL, fd, iov, n, place);
    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    left = all * e->sixteenths / 16;
    for (int i = 0; i < n && left > 0; i++) {
        size_t len = MIN(left, iov[i].iov_len);
        struct iovec one = { iov[i].iov_base, len };
        sa_io_posix.pwritev(NULL, fd, &one, 1, place);
        place += len;
        left -= len;
    }
    atomic_fetch_add(e->reached, 1);
    folder_die();
    return -1;
}

static void
end_here(void *ctx, const char *name)
{
    ending *e = ctx;
    if (!atomic_load(&e->armed) || g_strcmp0(name, e->at) != 0 || e->skip-- > 0)
        return;
    atomic_fetch_add(e->reached, 1);
    folder_die();
}

static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 10000000;
    opt.sync_interval_ns = 10000000;
    return opt;
}

static void
open_topics(store_host *h, struct emesh_topic *out[TOPICS + 1])
{
    for (uint32_t i = 0; i <= TOPICS; i++) {
        g_autofree char *name = g_strdup_printf("t%u", i);
        out[i] = store_host_topic(h, name, i % 2 == 0 ? EMESH_LEVEL_SYNCED : EMESH_LEVEL_OS, 0, 0);
    }
}

static void
close_topics(struct emesh_topic *topics[TOPICS + 1])
{
    for (uint32_t i = 0; i <= TOPICS; i++)
        sa_topic_close(NULL, topics[i]);
}

static void
round_of_units(store_host *h, struct emesh_topic *topics[TOPICS + 1], store_reader *r, uint32_t n)
{
    const emesh_event *five = store_host_event("five", n, 700);
    const emesh_event *late = store_host_event("late", n, 300);
    const emesh_event *dead = store_host_event("e", n, 300);
    emesh_commit done = { .position = { 0, store_host_offset(r, n) }, .epoch = 1,
                          .outcome = EMESH_COMMIT_ONE };
    emesh_append items[TOPICS] = { { 0 } };
    emesh_append delayed = { .event = late, .topic = topics[0], .cookie = 1,
                             .deliver_at_ms = (uint64_t)g_get_real_time() / 1000 + SHIFT_MS };
    emesh_append letter = { .event = dead, .topic = topics[TOPICS], .cookie = 1,
                            .cursor = store_host_cursor(r), .commit = &done };
    store_host_append_items(h, 0, &delayed, 1);
    store_host_append_items(h, 0, &letter, 1);
    for (uint32_t i = 0; i < TOPICS; i++)
        items[i] = (emesh_append){ .event = five, .topic = topics[i], .cookie = i,
                                   .flags = i + 1 < TOPICS ? EMESH_APPEND_CHAIN : 0 };
    store_host_append_items(h, 0, items, TOPICS);
    emesh_event_unref(five);
    emesh_event_unref(late);
    emesh_event_unref(dead);
}

static void
child(const char *dir, ending *e)
{
    sa_options opt = options();
    struct emesh_topic *topics[TOPICS + 1];
    e->io = sa_io_posix;
    e->io.ctx = e;
    e->io.pwritev = cut_write;
    e->io.point = end_here;
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, &e->io), ==, EMESH_OK);
    open_topics(h, topics);
    store_host_append(h, 0, topics[1], "e", 0, ROUNDS, 300, EMESH_LEVEL_SYNCED);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t1", "g", &earliest, 0, NULL), ==, 0);
    store_reader *r = store_host_read(h, 0, topics[1], "g", &stored);
    store_host_want(r, ROUNDS, 0);
    store_host_records(r, ROUNDS);
    store_host_append(h, 0, topics[0], "ready", 0, 1, 10, EMESH_LEVEL_SYNCED);
    atomic_store(&e->armed, true);
    for (uint32_t n = 0; n < ROUNDS; n++)
        round_of_units(h, topics, r, n);
    store_host_shift(h, 2 * SHIFT_MS, 0);
    sa_holds_kick(store_host_store(h));
    store_reader *alone = store_host_read(h, 0, topics[0], NULL, &earliest);
    store_host_want(alone, 100, 0);
    store_host_records(alone, 1 + 2 * ROUNDS);
    close_topics(topics);
    store_host_close(h);
    folder_die();
}

/* Ids of a topic (and of a group in it); each once. */
static GHashTable *
ids_of(store_host *h, struct emesh_topic *topic, const char *group)
{
    GHashTable *ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    store_reader *r = store_host_read_all(h, topic, group, 0);
    for (uint32_t i = 0; i < store_host_n(r); i++)
        g_assert_true(g_hash_table_add(ids, g_strdup(store_host_id(r, i))));
    store_host_reader_close(r);
    return ids;
}

static bool
has(GHashTable *ids, const char *prefix, uint32_t n)
{
    g_autofree char *id = g_strdup_printf("%s%u", prefix, n);
    return g_hash_table_contains(ids, id);
}

static void
verify(const char *dir)
{
    sa_options opt = options();
    struct emesh_topic *topics[TOPICS + 1];
    GHashTable *ids[TOPICS + 1];
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    open_topics(h, topics);
    for (uint32_t i = 0; i <= TOPICS; i++)
        ids[i] = ids_of(h, topics[i], NULL);
    g_autoptr(GHashTable) left = ids_of(h, topics[1], "g");
    for (uint32_t n = 0; n < ROUNDS; n++) {
        for (uint32_t i = 1; i < TOPICS; i++)
            g_assert_cmpint(has(ids[i], "five", n), ==, has(ids[0], "five", n));
        g_assert_cmpint(has(ids[TOPICS], "e", n), !=, has(left, "e", n));
    }
    /* What is held comes once, and what has come is not held any more: ids_of sees to it. */
    store_host_shift(h, 2 * SHIFT_MS, 0);
    uint32_t held = 0, came = 0;
    store_reader *r = store_host_read(h, 0, topics[0], NULL, &earliest);
    store_host_want(r, 1000, 0);
    for (uint32_t i = 0; i < store_host_store(h)->segs.n; i++)
        held += store_host_store(h)->segs.all[i]->held;
    for (uint32_t n = 0; n < ROUNDS; n++)
        came += has(ids[0], "late", n);
    sa_holds_kick(store_host_store(h));
    store_host_records(r, g_hash_table_size(ids[0]) + held);
    g_autoptr(GHashTable) after = ids_of(h, topics[0], NULL);
    g_assert_cmpuint(g_hash_table_size(after), ==, g_hash_table_size(ids[0]) + held);
    g_assert_cmpuint(came + held, <=, ROUNDS);
    for (uint32_t i = 0; i <= TOPICS; i++)
        g_hash_table_unref(ids[i]);
    close_topics(topics);
    store_host_close(h);
    store_host_free(h);
}

static void
one(ending *e)
{
    g_autofree char *dir = folder_make_fast();
    if (folder_fork())
        child(dir, e);
    g_assert_cmpint(folder_child_ended(), ==, 0);
    verify(dir);
    folder_remove(dir);
}

static void
test_units(void)
{
    static const char *const points[] = { "checkpoint-synced", "checkpoint-commit",
                                          "checkpoint-committed", "fire", "stop-synced",
                                          "stop-sealed" };
    static const uint32_t parts[] = { 0, 5, 11, 15, 16 };
    _Atomic uint64_t *reached = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t runs = 0;
    for (uint32_t w = 0; w < 20; w++, runs++) {
        ending e = { .writes = w, .sixteenths = parts[w % G_N_ELEMENTS(parts)],
                     .reached = reached };
        one(&e);
    }
    for (uint32_t i = 0; i < 2 * G_N_ELEMENTS(points); i++, runs++) {
        ending e = { .at = points[i / 2], .skip = i % 2, .reached = reached };
        one(&e);
    }
    g_test_message("%u of %u children ended at their point", (unsigned)*reached, runs);
    g_assert_cmpuint(*reached, >, runs * 2 / 3);
    munmap(reached, 4096);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-6/units", test_units);
    return g_test_run();
}
