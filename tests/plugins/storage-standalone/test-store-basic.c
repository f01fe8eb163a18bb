/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-standalone from end to end on a host in the test's hand: what is appended is read, at every
 * level, from memory and from disk, before and after a restart; groups go on where they stood.
 */
#include "harness/store-host.h"
#include "folder-of.h"
#include "lane.h"

#include <errno.h>
#include <stdio.h>

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start latest = { sizeof latest, EMESH_START_LATEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

static void
test_levels(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    for (uint32_t level = EMESH_LEVEL_MEMORY; level <= EMESH_LEVEL_SYNCED; level++) {
        g_autofree char *name = g_strdup_printf("level-%u", level);
        struct emesh_topic *topic = store_host_topic(h, name, level, 0, 0);
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 300, 100, 0), ==, 300);
        store_reader *r = store_host_read(h, 0, topic, NULL, &earliest);
        store_host_check_data(r, 100);
        store_host_want(r, 1000, 1 << 20);
        store_host_records(r, 300);
        store_host_caught_up(r);
        g_assert_cmpuint(store_host_n(r), ==, 300);
        g_assert_cmpuint(store_host_bad(r), ==, 0);
        g_assert_cmpstr(store_host_id(r, 299), ==, "e299");
        /* More, while it waits. */
        g_assert_cmpuint(store_host_append(h, 0, topic, "f", 0, 3, 100, 0), ==, 3);
        store_host_records(r, 303);
        g_assert_cmpstr(store_host_id(r, 302), ==, "f2");
        store_host_reader_close(r);
        sa_topic_close(NULL, topic);
    }
    store_host_end(h);
}

static void
test_restart(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 2);
    sa_options opt = store_host_options();
    opt.tail_bytes = 64 << 10; /* most comes from disk */
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_SYNCED, 0, 0);
    for (uint32_t i = 0; i < 20; i++)
        g_assert_cmpuint(store_host_append(h, i % 2, topic, "e", i * 100, 100, 300, 0), ==, 100);
    sa_topic_close(NULL, topic);
    store_host_close(h);

    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    topic = store_host_topic(h, "orders", EMESH_LEVEL_SYNCED, 0, 0);
    store_reader *r = store_host_read(h, 1, topic, NULL, &earliest);
    store_host_check_data(r, 300);
    store_host_want(r, 5000, 100 << 20);
    store_host_records(r, 2000);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, 2000);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    for (uint32_t i = 0; i < 2000; i++) {
        g_autofree char *id = g_strdup_printf("e%u", i);
        g_assert_cmpstr(store_host_id(r, i), ==, id);
        g_assert_cmpuint(store_host_offset(r, i), ==, i);
    }
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* Bodies of all alignments and up to the largest; one byte more is refused. */
static void
test_sizes(void)
{
    static const size_t sizes[] = { 0, 1, 7, 8, 9, 4096, 65535, 300000, 500000 };
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.segment_size = 1 << 20;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "sizes", EMESH_LEVEL_OS, 0, 0);
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", i, 3, sizes[i], 0), ==, 3);
    uint64_t most = sa_store_info(store_host_store(h)).max_event_bytes;
    g_assert_cmpuint(store_host_append(h, 0, topic, "most", 0, 1, most - 1000, 0), ==, 1);
    g_assert_cmpuint(store_host_append(h, 0, topic, "more", 0, 1, 530000, 0), ==, 0);
    g_assert_cmpint(store_host_last_code(h), ==, EMESH_E_TOO_LARGE);
    for (int round = 0; round < 2; round++) { /* from memory, then from disk */
        store_reader *r = store_host_read(h, 0, topic, NULL, &earliest);
        for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
            store_host_check_data(r, sizes[i]);
            store_host_want(r, 3, 1u << 30);
            store_host_records(r, 3 * (i + 1));
        }
        store_host_want(r, 10, 1u << 30);
        store_host_caught_up(r);
        g_assert_cmpuint(store_host_n(r), ==, 3 * G_N_ELEMENTS(sizes) + 1);
        g_assert_cmpuint(store_host_bad(r), ==, 1); /* the last, of a size that was not asked for */
        sa_topic_close(NULL, topic);
        store_host_close(h);
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        topic = store_host_topic(h, "sizes", EMESH_LEVEL_OS, 0, 0);
    }
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

typedef struct keyed {
    store_host *h;
    struct emesh_topic *topic;
    uint32_t n;
    uint32_t partition[400]; /* by cookie */
} keyed;

static void
note_partitions(void *ctx, const emesh_appended *results, uint32_t n)
{
    keyed *k = ctx;
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmpint(results[i].code, ==, EMESH_OK);
        k->partition[results[i].cookie] = results[i].partition;
        k->n++;
    }
}

/* 40 keys by turns, the first one empty. */
static void
append_keys(void *ctx)
{
    keyed *k = ctx;
    const emesh_event *event = store_host_event("k", 1, 10);
    emesh_append items[400];
    char keys[40][8];
    for (uint32_t i = 0; i < 400; i++) {
        int len = snprintf(keys[i % 40], sizeof keys[0], "key-%u", i % 40);
        items[i] = (emesh_append){ .event = event, .topic = k->topic, .cookie = i,
                                   .key = { keys[i % 40], i % 40 == 0 ? 0 : (size_t)len } };
    }
    sa_append(store_host_lane(k->h, 0), items, 400);
    emesh_event_unref(event);
}

/* One key, one partition, always; no key, the first one. */
static void
test_keys(void)
{
    g_autofree char *dir = folder_make();
    sa_options opt = store_host_options();
    keyed k = { .h = store_host_new(dir, 1) };
    bool used[5] = { false };
    g_assert_cmpint(store_host_open(k.h, &opt, NULL), ==, EMESH_OK);
    emesh_topic_spec spec = { .size = sizeof spec, .name = { "keys", 4 }, .create = 1,
                              .partitions = 5, .level = EMESH_LEVEL_OS };
    g_assert_cmpint(store_host_topic_code(k.h, &spec, &k.topic), ==, EMESH_OK);
    store_host_on_results(k.h, note_partitions, &k);
    store_host_on_lane(k.h, 0, append_keys, &k);
    g_assert_cmpuint(k.n, ==, 400); /* os, and nobody else writes: inside the call */
    for (uint32_t i = 0; i < 400; i++) {
        g_assert_cmpuint(k.partition[i], <, 5);
        g_assert_cmpuint(k.partition[i], ==, k.partition[i % 40]);
        used[k.partition[i]] = true;
    }
    g_assert_cmpuint(k.partition[0], ==, 0);
    for (uint32_t i = 0; i < 5; i++)
        g_assert_true(used[i]);
    store_reader *r = store_host_read(k.h, 0, k.topic, NULL, &earliest);
    store_host_want(r, 1000, 1 << 20);
    store_host_records(r, 400);
    store_host_caught_up(r);
    store_host_reader_close(r);
    sa_topic_close(NULL, k.topic);
    /* It may grow; what is there stays. */
    spec.partitions = 7;
    g_assert_cmpint(store_host_topic_code(k.h, &spec, &k.topic), ==, EMESH_OK);
    g_assert_cmpuint(k.topic->n_parts, ==, 7);
    r = store_host_read(k.h, 0, k.topic, NULL, &earliest);
    store_host_want(r, 1000, 1 << 20);
    store_host_records(r, 400);
    store_host_reader_close(r);
    sa_topic_close(NULL, k.topic);
    store_host_end(k.h);
}

static void
test_groups(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "old", 0, 5, 50, 0), ==, 5);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "orders", "g", &latest, 0, NULL), ==, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "orders", "g", &earliest, 0, NULL), ==,
                    0); /* has one: stays */
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 100, 50, 0), ==, 100);
    store_reader *r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 1000, 1 << 20);
    store_host_records(r, 100);
    g_assert_cmpstr(store_host_id(r, 0), ==, "e0");
    g_assert_cmpuint(store_host_n(r), ==, 100);
    /* Out of order: all but e0 and e50; under an old epoch: nothing. */
    store_host_commit(r, 5, EMESH_COMMIT_ONE, 0, 7);
    for (uint32_t i = 1; i < 100; i++) {
        if (i != 50)
            store_host_commit(r, 5 + i, EMESH_COMMIT_ONE, 0, 1);
    }
    store_host_commit(r, 5 + 50, EMESH_COMMIT_TRIED, 3, 1);
    store_host_reader_close(r);
    sa_topic_close(NULL, topic);
    store_host_close(h);

    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    topic = store_host_topic(h, "orders", EMESH_LEVEL_OS, 0, 0);
    r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 1000, 1 << 20);
    store_host_records(r, 2);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, 2);
    g_assert_cmpstr(store_host_id(r, 0), ==, "e0");
    g_assert_cmpstr(store_host_id(r, 1), ==, "e50");
    g_assert_cmpuint(store_host_attempt(r, 0), ==, 1);
    g_assert_cmpuint(store_host_attempt(r, 1), ==, 4);
    store_host_commit(r, 5, EMESH_COMMIT_ONE, 0, 1);
    store_host_commit(r, 55, EMESH_COMMIT_UP_TO, 0, 1);
    store_host_reader_close(r);
    GArray *rows;
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_GROUPS, NULL, NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 1);
    const store_row *row = &g_array_index(rows, store_row, 0);
    g_assert_cmpstr(row->group, ==, "g");
    g_assert_cmpuint(row->committed, ==, 104);
    g_assert_cmpuint(row->count, ==, 0);
    g_array_unref(rows);
    /* A place is moved, and forgotten. */
    emesh_start after = { sizeof after, EMESH_START_AFTER, 0, { 0, 99 } };
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_SEEK, "orders", "g", &after, 0, NULL), ==, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_GROUPS, NULL, NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(g_array_index(rows, store_row, 0).count, ==, 5);
    g_array_unref(rows);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_FORGET, "orders", "g", NULL, 0, NULL), ==, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_GROUPS, NULL, NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 0);
    g_array_unref(rows);
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* A child publishes and dies without a goodbye; what it was told is there. */
static void
test_killed(void)
{
    g_autofree char *dir = folder_make();
    sa_options opt = store_host_options();
    if (folder_fork()) {
        store_host *h = store_host_new(dir, 1);
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_OS, 0, 0);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "orders", "g", &earliest, 0, NULL),
                        ==, 0);
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 700, 300, 0), ==, 700);
        store_reader *r = store_host_read(h, 0, topic, "g", &stored);
        store_host_want(r, 10, 1 << 20);
        store_host_records(r, 10);
        store_host_commit(r, 9, EMESH_COMMIT_UP_TO, 0, 1);
        store_host_reader_close(r);
        folder_die();
    }
    folder_child_ended();
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "f", 0, 1, 300, 0), ==, 1);
    store_reader *r = store_host_read(h, 0, topic, "g", &stored);
    store_host_check_data(r, 300);
    store_host_want(r, 10000, 10 << 20);
    store_host_records(r, 691);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, 691);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    g_assert_cmpstr(store_host_id(r, 0), ==, "e10");
    g_assert_cmpstr(store_host_id(r, 690), ==, "f0");
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

/* One life of a store that ends without a goodbye, before any checkpoint but the one of its start. */
static void
short_life(const char *dir, uint32_t life)
{
    sa_options opt = store_host_options();
    store_host *h = store_host_new(dir, 1);
    g_autofree char *name = g_strdup_printf("life-%u", life);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "life-0", name, &earliest, 0, NULL), ==,
                    life == 0 ? EMESH_E_NOT_FOUND : EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, name, EMESH_LEVEL_SYNCED, 0, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 50, 300, 0), ==, 50);
    if (life == 2)
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_DELETE, "life-1", NULL, NULL, 0, NULL), ==,
                        EMESH_OK);
    folder_die();
}

/* What one start read from the log is known to the next one too: topics, groups, what was deleted. */
static void
test_killed_often(void)
{
    g_autofree char *dir = folder_make();
    sa_options opt = store_host_options();
    for (uint32_t life = 0; life < 5; life++) {
        if (folder_fork())
            short_life(dir, life);
        folder_child_ended();
    }
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    for (uint32_t life = 0; life < 5; life++) {
        g_autofree char *name = g_strdup_printf("life-%u", life);
        struct emesh_topic *topic = store_host_topic(h, name, EMESH_LEVEL_SYNCED, 0, 0);
        store_reader *r = store_host_read(h, 0, topic, NULL, &earliest);
        store_host_check_data(r, 300);
        store_host_want(r, 100, 1 << 20);
        store_host_records(r, life == 1 ? 0 : 50);
        store_host_caught_up(r);
        g_assert_cmpuint(store_host_n(r), ==, life == 1 ? 0 : 50);
        g_assert_cmpuint(store_host_bad(r), ==, 0);
        store_host_reader_close(r);
        sa_topic_close(NULL, topic);
    }
    g_autoptr(GArray) rows = NULL;
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_FORGET, "life-0", "life-3", NULL, 0, &rows), ==,
                    EMESH_OK);
    store_host_end(h);
}

/* ---- a reader that lacks memory ---- */

static uint32_t memory_lacks; /* atomic: so many decodes fail */

static int32_t
decode_or_not(const emesh_host *host, uint32_t form, const emesh_part *in, uint32_t n_in,
              const emesh_event **out, uint32_t cap, uint32_t *n_out, emesh_error *err)
{
    uint32_t left = __atomic_load_n(&memory_lacks, __ATOMIC_RELAXED);
    if (left == 0)
        return emesh_event_service.decode(host, form, in, n_in, out, cap, n_out, err);
    __atomic_store_n(&memory_lacks, left - 1, __ATOMIC_RELAXED);
    return EMESH_E_NO_MEMORY;
}

/* Want of memory is no damage: nothing is skipped, the record comes when there is some. */
static void
test_no_memory(void)
{
    g_autofree char *dir = folder_make();
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.tail_bytes = 0; /* all comes from disk */
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 50, 100, 0), ==, 50);
    emesh_event_api lacking = emesh_event_service;
    lacking.decode = decode_or_not;
    const emesh_event_api *whole = store_host_store(h)->ev;
    store_host_store(h)->ev = &lacking;
    __atomic_store_n(&memory_lacks, 55, __ATOMIC_RELAXED); /* a second of it */
    store_reader *r = store_host_read(h, 0, topic, NULL, &earliest);
    store_host_want(r, 1000, 1 << 20);
    store_host_records(r, 50);
    g_assert_cmpuint(__atomic_load_n(&memory_lacks, __ATOMIC_RELAXED), ==, 0);
    for (uint32_t i = 0; i < 50; i++)
        g_assert_cmpuint(store_host_flags(r, i), ==, 0);
    g_assert_cmpstr(store_host_id(r, 0), ==, "e0");
    g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
    g_assert_cmpuint(store_host_logged(h, "for want of memory"), ==, 1);
    store_host_reader_close(r);
    store_host_store(h)->ev = whole;
    sa_topic_close(NULL, topic);
    store_host_end(h);
}

typedef struct lean {
    sa_io io;
    uint32_t reads, from; /* atomic; three reads from this one on fail */
} lean;

static ssize_t
lean_read(void *ctx, int fd, void *into, size_t n, uint64_t place)
{
    lean *l = ctx;
    uint32_t at = __atomic_add_fetch(&l->reads, 1, __ATOMIC_RELAXED);
    return at >= l->from && at < l->from + 3 ? -ENOMEM
                                              : sa_io_posix.pread(NULL, fd, into, n, place);
}

static _Noreturn void
leave_log(const char *dir)
{
    sa_options opt = store_host_options();
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 10, 100, EMESH_LEVEL_SYNCED), ==, 10);
    emesh_start after = { sizeof after, EMESH_START_AFTER, 0, { 0, 4 } };
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_SEEK, "t", "g", &after, 0, NULL), ==, 0);
    folder_die();
}

/* A start that lacks memory for a while is slow; it takes nothing for damage. */
static void
test_no_memory_at_start(void)
{
    g_autofree char *dir = folder_make_fast();
    if (folder_fork())
        leave_log(dir);
    g_assert_cmpint(folder_child_ended(), ==, 0);
    uint32_t starts = 0;
    for (bool met = true; met; starts++) {
        lean l = { .io = sa_io_posix, .from = 1 + 3 * starts };
        sa_options opt = store_host_options();
        g_autofree char *copy = folder_copy(dir);
        store_host *h = store_host_new(copy, 1);
        l.io.ctx = &l;
        l.io.pread = lean_read;
        g_assert_cmpint(store_host_open(h, &opt, &l.io), ==, EMESH_OK);
        met = __atomic_load_n(&l.reads, __ATOMIC_RELAXED) >= l.from;
        struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
        store_reader *r = store_host_read_all(h, topic, "g", 0);
        g_assert_cmpuint(store_host_n(r), ==, 5);
        g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
        store_host_reader_close(r);
        sa_topic_close(NULL, topic);
        store_host_end(h);
    }
    g_test_message("%u starts that lacked memory somewhere", starts);
    g_assert_cmpuint(starts, >, 3);
    folder_remove(dir);
}

/* Waits until the index knows all of the log; the first checkpoint may have begun before. */
static void
wait_checkpoint(store_host *h)
{
    sa_store *store = store_host_store(h);
    for (int i = 0; i < 2; i++) {
        uint64_t before = atomic_load(&store->stats.checkpoints);
        atomic_store(&store->keeper.dirty, true); /* not each record asks for one */
        store_host_await(&store->stats.checkpoints, before + 1);
    }
}

static _Noreturn void
ack_and_die(const char *dir, bool seek)
{
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 20000000;
    store_host *h = store_host_new(dir, 1);
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "t", "g", &earliest, 0, NULL), ==, 0);
    g_assert_cmpuint(store_host_append(h, 0, topic, "e", 0, 10, 100, 0), ==, 10);
    store_reader *r = store_host_read(h, 0, topic, "g", &stored);
    store_host_want(r, 10, 1 << 20);
    store_host_records(r, 10);
    store_host_commit(r, 2, EMESH_COMMIT_UP_TO, 0, 1);
    g_usleep(20000);
    if (seek) {
        store_host_reader_close(r);
        wait_checkpoint(h);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_SEEK, "t", "g", &latest, 0, NULL), ==, 0);
    } else {
        wait_checkpoint(h);
        store_host_commit(r, 5, EMESH_COMMIT_UP_TO, 0, 1);
        store_host_reader_close(r);
    }
    folder_die();
}

/* The first record behind a checkpoint is progress of a group, and then the process is killed. */
static void
test_behind_checkpoint(void)
{
    for (int seek = 0; seek < 2; seek++) {
        g_autofree char *dir = folder_make();
        sa_options opt = store_host_options();
        if (folder_fork())
            ack_and_die(dir, seek);
        g_assert_cmpint(folder_child_ended(), ==, 0);
        store_host *h = store_host_new(dir, 1);
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        struct emesh_topic *topic = store_host_topic(h, "t", EMESH_LEVEL_OS, 0, 0);
        store_reader *r = store_host_read_all(h, topic, "g", 0);
        g_assert_cmpuint(store_host_n(r), ==, seek ? 0 : 4);
        sa_topic_close(NULL, topic);
        store_host_end(h);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store/no-memory-at-start", test_no_memory_at_start); /* these begin with a fork */
    g_test_add_func("/store/killed-often", test_killed_often);
    g_test_add_func("/store/killed", test_killed);
    g_test_add_func("/store/behind-checkpoint", test_behind_checkpoint);
    g_test_add_func("/store/levels", test_levels);
    g_test_add_func("/store/restart", test_restart);
    g_test_add_func("/store/sizes", test_sizes);
    g_test_add_func("/store/keys", test_keys);
    g_test_add_func("/store/groups", test_groups);
    g_test_add_func("/store/no-memory", test_no_memory);
    return g_test_run();
}
