/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 17 of the embedded store: a folder of each format version opens for ever, and one of a version
 * to come is refused by name. The folders in golden/ were written by this program
 * (STORE_GOLDEN_MAKE=DIR, which must not be there) as it was then, and are never changed:
 *
 *   v1    a sealed segment, one that a kill left open, one that was prepared, an index; records of
 *         all types, a group with ranges
 *   v1.1  two lives, the second killed: sealed segments with and without rows, one left open; units
 *         over two topics, delayed events, an inbox of which one is done and one was tried
 *   v1.1-cleaned (STORE_GOLDEN_CLEANED=1)  what retention left of three files is in a cleaned one
 *   v1.2, v1.2-cleaned  the same, written by 1.2
 */
#include "folder-of.h"
#include "harness/store-host.h"

#include <glib/gstdio.h>
#include <string.h>

#define EVENTS 260u
#define DONE 100u
#define FIRST_LIFE 60u
#define DUE_MS 4102444800000u /* 2100 */

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

/* ---- how the newest was made ---- */

static struct emesh_topic *
topic_of(store_host *h, const char *name, uint32_t partitions)
{
    emesh_topic_spec spec = { .size = sizeof spec, .name = { name, strlen(name) }, .create = 1,
                              .partitions = partitions, .level = EMESH_LEVEL_OS,
                              .retention_bytes = 1ull << 40 };
    struct emesh_topic *topic = NULL;
    g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
    return topic;
}

static void
append(store_host *h, const char *prefix, uint64_t n, struct emesh_topic *topic, const char *group,
       uint64_t due_ms)
{
    const emesh_event *event = store_host_event(prefix, n, 100);
    emesh_append item = { .event = event, .topic = topic, .cookie = 1, .deliver_at_ms = due_ms,
                          .group = { group, group != NULL ? strlen(group) : 0 } };
    g_assert_cmpuint(store_host_append_items(h, 0, &item, 1), ==, 1);
    emesh_event_unref(event);
}

/* The same event to two topics: all or none. */
static void
append_unit(store_host *h, uint64_t n, struct emesh_topic *a, struct emesh_topic *b)
{
    const emesh_event *event = store_host_event("u", n, 100);
    emesh_append items[] = {
        { .event = event, .topic = a, .cookie = 1, .flags = EMESH_APPEND_CHAIN },
        { .event = event, .topic = b, .cookie = 2 },
    };
    g_assert_cmpuint(store_host_append_items(h, 0, items, 2), ==, 2);
    emesh_event_unref(event);
}

static void
settle_golden(store_host *h, struct emesh_topic *golden)
{
    store_reader *r = store_host_read(h, 0, golden, "g", &stored);
    store_host_want(r, EVENTS, 1 << 30);
    store_host_records(r, EVENTS);
    store_host_commit(r, DONE - 1, EMESH_COMMIT_UP_TO, 0, 1);
    store_host_commit(r, DONE + 1, EMESH_COMMIT_ONE, 0, 1);
    store_host_commit(r, DONE + 2, EMESH_COMMIT_TRIED, 5, 1);
    store_host_reader_close(r);
}

static void
settle_box(store_host *h, struct emesh_topic *box)
{
    store_reader *r = store_host_read(h, 0, box, "g", &stored);
    store_host_want(r, 100, 1 << 30);
    store_host_records(r, 9); /* six of units, three of the inbox */
    for (uint32_t i = 0, n = 0; i < 9; i++) {
        emesh_position at = { store_host_due(r, i), store_host_offset(r, i) };
        if (store_host_in_inbox(r, i) && n++ < 2)
            store_host_commit_inbox(r, at, n == 1 ? EMESH_COMMIT_ONE : EMESH_COMMIT_TRIED, 2, 1);
    }
    store_host_reader_close(r);
}

static void
live(const char *dir, bool second)
{
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *golden = topic_of(h, "golden", 1), *wide = topic_of(h, "wide", 3),
                       *box = topic_of(h, "box", 1);
    uint64_t sealed = atomic_load(&store_host_store(h)->stats.sealed);
    if (!second) {
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "golden", "g", &earliest, 0, NULL),
                        ==, 0);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "box", "g", &earliest, 0, NULL),
                        ==, 0);
    }
    append(h, "late", second, wide, NULL, DUE_MS);
    append(h, "in", second, box, "g", 0);
    for (uint32_t i = 0; i < 3; i++)
        append_unit(h, 10u * second + i, wide, box);
    uint32_t to = second ? EVENTS : FIRST_LIFE;
    for (uint32_t i = second ? FIRST_LIFE : 0; i < to; i += 20)
        g_assert_cmpuint(store_host_append(h, 0, golden, "e", i, 20, 300, 0), ==, 20);
    if (second) {
        append(h, "in", 2, box, "g", 0);
        settle_golden(h, golden);
        settle_box(h, box);
        g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_TRIM, "golden", NULL, NULL, 7, NULL), ==, 0);
        store_host_await(&store_host_store(h)->stats.sealed, sealed + 1);
        folder_die();
    }
    sa_topic_close(NULL, golden);
    sa_topic_close(NULL, wide);
    sa_topic_close(NULL, box);
    store_host_close(h);
    folder_die();
}

static void
trim(store_host *h, const char *topic, uint64_t to)
{
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_TRIM, topic, NULL, NULL, to, NULL), ==, 0);
}

/* Two topics take turns, one of them goes: the rest is merged. */
static void
live_cleaned(const char *dir)
{
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 50000000;
    opt.clean_rate = 1u << 30;
    g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
    struct emesh_topic *golden = topic_of(h, "golden", 1), *brief = topic_of(h, "brief", 1);
    topic_of(h, "wide", 3);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "golden", "g", &earliest, 0, NULL),
                    ==, 0);
    for (uint32_t i = 0; i < EVENTS; i += 20) {
        for (uint32_t k = 0; k < 5; k++)
            g_assert_cmpuint(store_host_append(h, 0, brief, "b", i, 20, 300, 0), ==, 20);
        g_assert_cmpuint(store_host_append(h, 0, golden, "e", i, 20, 300, 0), ==, 20);
    }
    settle_golden(h, golden);
    trim(h, "golden", 7);
    trim(h, "brief", 5 * EVENTS);
    for (guint files = 100; files > 6;) {
        g_autoptr(GPtrArray) left = folder_segments(dir);
        files = left->len;
        g_usleep(10000);
    }
    folder_die();
}

static void
make(const char *dir)
{
    static const char *const not_kept[] = { "lock", "reserve", "index/lock.mdb", "index/starts" };
    if (g_file_test(dir, G_FILE_TEST_EXISTS))
        g_error("%s is there: a golden folder is never written again, name a new one", dir);
    bool cleaned = g_getenv("STORE_GOLDEN_CLEANED") != NULL;
    for (int second = cleaned; second < 2; second++) {
        if (folder_fork()) {
            if (cleaned)
                live_cleaned(dir);
            live(dir, second == 1);
        }
        g_assert_cmpint(folder_child_ended(), ==, 0);
    }
    for (guint i = 0; i < G_N_ELEMENTS(not_kept); i++) {
        g_autofree char *path = g_build_filename(dir, not_kept[i], NULL);
        g_unlink(path);
    }
}

/* ---- it opens ---- */

static char *
golden(const char *version)
{
    g_autofree char *kept = g_build_filename(g_getenv("EMESH_SOURCE"), "tests", "plugins",
                                             "storage-standalone", "golden", version, NULL);
    return folder_copy(kept);
}

static void
check(store_host *h)
{
    struct emesh_topic *topic = NULL;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { "golden", 6 },
                              .level = EMESH_LEVEL_OS, .retention_bytes = 1ull << 40 };
    g_assert_cmpint(store_host_topic_code(h, &spec, &topic), ==, EMESH_OK);
    store_reader *r = store_host_read_all(h, topic, NULL, 300);
    g_assert_cmpuint(store_host_n(r), ==, EVENTS - 7);
    g_assert_cmpuint(store_host_bad(r), ==, 0);
    g_assert_cmpuint(store_host_offset(r, 0), ==, 7);
    g_assert_cmpstr(store_host_id(r, EVENTS - 8), ==, "e259");
    store_host_reader_close(r);
    r = store_host_read_all(h, topic, "g", 0);
    g_assert_cmpuint(store_host_n(r), ==, EVENTS - DONE - 1);
    g_assert_cmpuint(store_host_offset(r, 0), ==, DONE);
    g_assert_cmpuint(store_host_offset(r, 1), ==, DONE + 2);
    g_assert_cmpuint(store_host_attempt(r, 1), ==, 6);
    store_host_reader_close(r);
    GArray *rows;
    g_assert_cmpint(store_host_find(h, "/store-host", "e200", &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 1);
    g_array_unref(rows);
    g_assert_cmpint(store_host_admin(h, EMESH_LIST_PARTITIONS, "wide", NULL, NULL, 0, &rows), ==, 0);
    g_assert_cmpuint(rows->len, ==, 3);
    g_array_unref(rows);
    sa_topic_close(NULL, topic);
}

/* Units, the inbox, and at last what is due in 2100. */
static void
check_held(store_host *h, bool fire)
{
    struct emesh_topic *box = topic_of(h, "box", 1), *wide = topic_of(h, "wide", 3);
    store_reader *r = store_host_read(h, 0, box, "g", &stored);
    store_host_want(r, 100, 1 << 30);
    store_host_records(r, 8); /* six of units, two of the inbox */
    uint32_t inbox = 0;
    for (uint32_t i = 0; i < 8; i++) {
        if (!store_host_in_inbox(r, i))
            continue;
        g_assert_cmpstr(store_host_id(r, i), ==, inbox == 0 ? "in1" : "in2");
        g_assert_cmpuint(store_host_attempt(r, i), ==, inbox == 0 ? 3 : 1);
        inbox++;
    }
    g_assert_cmpuint(inbox, ==, 2);
    store_host_reader_close(r);
    r = store_host_read_all(h, wide, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, 6);
    if (fire) {
        store_host_shift(h, (int64_t)DUE_MS - g_get_real_time() / 1000 + 1000, 0);
        sa_holds_kick(store_host_store(h));
        store_host_records(r, 8);
    }
    store_host_reader_close(r);
    sa_topic_close(NULL, box);
    sa_topic_close(NULL, wide);
}

typedef struct opening {
    const char *version;
    bool with_index;
} opening;

static void
test_opens(gconstpointer data)
{
    const opening *o = data;
    bool held = strcmp(o->version, "v1.1") == 0 || strcmp(o->version, "v1.2") == 0;
    g_autofree char *dir = golden(o->version);
    g_autofree char *index = g_build_filename(dir, "index", NULL);
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    if (!o->with_index)
        folder_remove(index);
    for (int round = 0; round < 2; round++) { /* as it was, and as this version left it */
        if (store_host_open(h, &opt, NULL) != EMESH_OK)
            g_error("golden folder %s: %s", o->version, store_host_text(h));
        g_assert_cmpuint(store_host_store(h)->stats.damaged, ==, 0);
        check(h);
        if (held)
            check_held(h, round == 1);
        store_host_close(h);
    }
    store_host_end(h);
}

/* ---- a version to come ---- */

static void
change_head(const char *path, void (*change)(sa_seg_head *head))
{
    g_autofree char *bytes = NULL;
    gsize size;
    sa_seg_head head;
    g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
    g_assert_cmpint(sa_seg_head_read((uint8_t *)bytes, size, &head), ==, SA_HEAD_OK);
    change(&head);
    sa_seg_head_write((uint8_t *)bytes, &head, NULL);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
}

static void
incompat(sa_seg_head *head)
{
    head->incompat = 0x40;
}

static void
major(sa_seg_head *head)
{
    head->major = SA_MAJOR + 1;
}

static void
minor(sa_seg_head *head)
{
    head->minor = SA_MINOR + 1;
}

static void
test_newer(void)
{
    static void (*const changes[])(sa_seg_head *) = { incompat, major, minor };
    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *dir = golden("v1.1");
        g_autoptr(GPtrArray) segments = folder_segments(dir);
        store_host *h = store_host_new(dir, 1);
        sa_options opt = store_host_options();
        change_head(segments->pdata[1], changes[i]);
        int32_t code = store_host_open(h, &opt, NULL);
        if (changes[i] == minor) { /* adds what may be skipped */
            g_assert_cmpint(code, ==, EMESH_OK);
            check(h);
            store_host_close(h);
        } else {
            g_autofree char *name = g_path_get_basename(segments->pdata[1]);
            g_assert_cmpint(code, ==, EMESH_E_TOO_NEW);
            g_assert_nonnull(strstr(store_host_text(h), name));
            g_assert_nonnull(strstr(store_host_text(h), "newer"));
        }
        store_host_end(h);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("STORE_GOLDEN_MAKE") != NULL) {
        make(g_getenv("STORE_GOLDEN_MAKE"));
        return 0;
    }
    static const opening openings[] = {
        { "v1", true },    { "v1", false },          { "v1.1", true },
        { "v1.1", false }, { "v1.1-cleaned", true }, { "v1.1-cleaned", false },
        { "v1.2", true },  { "v1.2", false },        { "v1.2-cleaned", true },
        { "v1.2-cleaned", false },
    };
    for (guint i = 0; i < G_N_ELEMENTS(openings); i++) {
        g_autofree char *name = g_strdup_printf("/store-test-17/opens-%s%s", openings[i].version,
                                                openings[i].with_index ? "" : "-without-index");
        g_test_add_data_func(name, &openings[i], test_opens);
    }
    g_test_add_func("/store-test-17/newer", test_newer);
    return g_test_run();
}
