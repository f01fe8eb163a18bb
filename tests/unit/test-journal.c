/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal: what is noted comes back, over a ring that has wrapped, many starts, tears and rot,
 * a lost head, another size, and a disk that takes nothing.
 */
#include "journal/private.h"
#include "journal/read.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define BLOCKS 4u

typedef struct world {
    char *dir, *path;
    emesh_worker *main;
    emesh_pool *pool;
    emesh_journal *journal;
    emesh_notes *notes;
    uint32_t failed, healed;
} world;

static void
begin(world *w, uint32_t blocks)
{
    g_autoptr(GError) error = NULL;

    w->main = emesh_worker_new_main(&error);
    g_assert_no_error(error);
    w->pool = emesh_pool_new(1);
    w->journal = emesh_journal_open(w->path, (uint64_t)blocks * EMESH_BLOCK_BYTES, 1, w->main,
                                    w->pool, &error);
    g_assert_no_error(error);
    w->notes = emesh_notes_new(w->journal, w->main);
}

/* crash: what was written stays, and nothing else is done. */
static void
end(world *w, bool crash)
{
    if (crash)
        ((struct emesh_notes_head *)w->notes)->n = 0;
    while (g_main_context_iteration(NULL, FALSE))
        ;
    emesh_notes_free(w->notes);
    emesh_pool_free(w->pool);
    emesh_worker_free(w->main);
    emesh_journal_close(w->journal);
}

static world *
world_new(void)
{
    world *w = g_new0(world, 1);

    w->dir = g_dir_make_tmp("emesh-journal-XXXXXX", NULL);
    w->path = g_build_filename(w->dir, "journal", NULL);
    return w;
}

static void
world_free(world *w)
{
    g_remove(w->path);
    g_rmdir(w->dir);
    g_free(w->dir);
    g_free(w->path);
    g_free(w);
}

static const emesh_event *
event(const char *source, const char *id)
{
    const emesh_attr attrs[] = {
        { .name = "id", .name_len = 2, .value = id, .value_len = (uint32_t)strlen(id) },
        { .name = "source",
          .name_len = 6,
          .value = source,
          .value_len = (uint32_t)strlen(source),
          .type = EMESH_ATTR_URI_REF },
        { .name = "type", .name_len = 4, .value = "t", .value_len = 1 },
    };
    emesh_event_view view = { .size = sizeof view, .attrs = attrs, .n_attrs = 3 };
    const emesh_event *out = NULL;

    g_assert_cmpint(emesh_event_build(&view, NULL, &out, NULL), ==, EMESH_OK);
    return out;
}

static void
note(world *w, const char *id, const char *topic, const char *group, uint64_t more)
{
    const emesh_event *e = event("/a", id);

    emesh_note_down(w->notes, &(emesh_note){ .code = EMESH_WHY_PARKED,
                                             .event = e,
                                             .topic = topic,
                                             .group = group,
                                             .partition = "0",
                                             .attempt = 3,
                                             .position = { 1, 2 },
                                             .more = more });
    emesh_event_unref(e);
}

static emesh_reading *
read_all(const world *w, const char *id, const char *source, const char *group, uint32_t last)
{
    emesh_journal_query query = { .id = id, .source = source, .group = group, .last = last };
    g_autoptr(GError) error = NULL;
    emesh_reading *r = emesh_journal_read(w->path, &query, &error);

    g_assert_no_error(error);
    return r;
}

static const emesh_told *
at(const emesh_reading *r, uint32_t i)
{
    g_assert_cmpuint(i, <, r->told->len);
    return &g_array_index(r->told, emesh_told, i);
}

static void
test_back(void)
{
    world *w = world_new();
    g_autofree char *topic = g_strnfill(249, 't'), *id = g_strnfill(200, 'i');
    const emesh_event *e = event("/b", "same");
    emesh_reading *r;

    begin(w, BLOCKS);
    note(w, "same", topic, "g", 7);
    note(w, id, topic, "g", 8);
    emesh_note_down(w->notes, &(emesh_note){ .code = EMESH_WHY_REFUSED_STORE,
                                             .event = e,
                                             .topic = "u",
                                             .who = "p 1 127.0.0.1",
                                             .words = "full" });
    emesh_note_down(w->notes, &(emesh_note){ .code = EMESH_WHY_RETENTION,
                                             .range = true,
                                             .topic = "u",
                                             .group = "g",
                                             .first = { 0, 3 },
                                             .position = { 0, 9 } });
    emesh_notes_write(w->notes);
    r = read_all(w, NULL, NULL, NULL, 0);
    g_assert_cmpuint(r->told->len, ==, 4);
    g_assert_cmpstr(at(r, 0)->topic, ==, topic);
    g_assert_cmpuint(at(r, 0)->more, ==, 7);
    g_assert_cmpuint(at(r, 0)->position.hi, ==, 1);
    g_assert_cmpuint(strlen(at(r, 1)->id), ==, 160); /* as far as an id is kept */
    g_assert_cmpstr(at(r, 2)->who, ==, "p 1 127.0.0.1");
    g_assert_cmpstr(at(r, 2)->words, ==, "full");
    g_assert_true(at(r, 3)->range && at(r, 3)->first.lo == 3 && at(r, 3)->position.lo == 9);
    emesh_reading_free(r);
    r = read_all(w, "same", NULL, NULL, 0); /* both sources, and ranges */
    g_assert_cmpuint(r->told->len, ==, 3);
    g_assert_cmpstr(at(r, 0)->source, ==, "/a");
    g_assert_cmpstr(at(r, 1)->source, ==, "/b");
    emesh_reading_free(r);
    r = read_all(w, "same", "/b", "none", 0);
    g_assert_cmpuint(r->told->len, ==, 0);
    emesh_reading_free(r);
    r = read_all(w, id, "/a", NULL, 0); /* longer than what is kept: by its hash */
    g_assert_cmpuint(r->told->len, ==, 2);
    emesh_reading_free(r);
    r = read_all(w, NULL, NULL, "g", 1);
    g_assert_true(r->more && r->told->len == 1 && at(r, 0)->code == EMESH_WHY_RETENTION);
    emesh_reading_free(r);
    emesh_event_unref(e);
    end(w, false);
    world_free(w);
}

/* Nothing that is still there has lost its names, however often the ring went round. */
static void
test_wrapped(void)
{
    world *w = world_new();
    uint32_t n = BLOCKS * EMESH_BLOCK_LINES * 2;
    struct stat st;
    emesh_reading *r;

    begin(w, BLOCKS);
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *id = g_strdup_printf("e-%u", i);
        g_autofree char *topic = g_strdup_printf("topic-%u", i % 300);
        note(w, id, topic, "g", i);
    }
    emesh_notes_write(w->notes);
    r = read_all(w, NULL, NULL, NULL, 0);
    g_assert_cmpuint(r->told->len, >, (BLOCKS - 1) * EMESH_BLOCK_LINES / 2 - 1000);
    for (uint32_t i = 0; i < r->told->len; i++) {
        g_autofree char *id = g_strdup_printf("e-%" G_GUINT64_FORMAT, at(r, i)->more);
        g_assert_cmpstr(at(r, i)->id, ==, id);
        g_assert_cmpstr(at(r, i)->source, ==, "/a");
        g_assert_nonnull(at(r, i)->topic);
        g_assert_cmpuint(at(r, i)->more, ==, n - r->told->len + i);
    }
    g_assert_cmpuint(r->lines, >=, (BLOCKS - 1) * (EMESH_BLOCK_LINES - 64));
    emesh_reading_free(r);
    g_assert_cmpint(g_stat(w->path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <=, EMESH_RING_HEAD + BLOCKS * EMESH_BLOCK_BYTES);
    end(w, false);
    world_free(w);
}

/* A daemon that starts and dies over and over uses up one block, and pushes nothing out. */
static void
test_many_starts(void)
{
    world *w = world_new();
    struct stat st;
    emesh_reading *r;

    for (uint32_t i = 0; i < 100; i++) {
        g_autofree char *id = g_strdup_printf("e-%u", i);
        begin(w, BLOCKS);
        note(w, id, "t", "g", i);
        emesh_notes_write(w->notes);
        note(w, "lost", "t", "g", i);
        end(w, true);
    }
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(r->told->len, ==, 100);
    for (uint32_t i = 0; i < 100; i++)
        g_assert_cmpuint(at(r, i)->more, ==, i);
    emesh_reading_free(r);
    g_assert_cmpint(g_stat(w->path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <, EMESH_RING_HEAD + EMESH_BLOCK_BYTES);
    world_free(w);
}

static void
damage(const world *w, size_t from, size_t n, uint8_t with)
{
    char *bytes = NULL;
    size_t len = 0;

    g_assert_true(g_file_get_contents(w->path, &bytes, &len, NULL));
    for (size_t i = from; i < from + n && i < len; i++)
        bytes[i] = (char)with;
    g_assert_true(g_file_set_contents(w->path, bytes, (gssize)len, NULL));
    g_free(bytes);
}

static void
test_torn_and_rotten(void)
{
    world *w = world_new();
    emesh_reading *r;

    begin(w, BLOCKS);
    for (uint32_t i = 0; i < 100; i++)
        note(w, "same", "t", "g", i);
    end(w, false);
    damage(w, EMESH_RING_HEAD + 50 * EMESH_LINE + 9, 70, 0xff); /* two lines of decisions */
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(r->told->len, ==, 98);
    emesh_reading_free(r);
    damage(w, EMESH_RING_HEAD + 1 * EMESH_LINE, 1, 0xff); /* the name of the topic */
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(r->told->len, ==, 98);
    g_assert_null(at(r, 0)->topic);
    emesh_reading_free(r);
    damage(w, 0, EMESH_RING_HEAD,
           0); /* the head: it goes on behind the youngest block all the same */
    begin(w, BLOCKS);
    note(w, "same", "t", "g", 1000);
    end(w, false);
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(r->told->len, ==, 99);
    g_assert_cmpuint(at(r, 98)->more, ==, 1000);
    g_assert_cmpstr(at(r, 98)->topic, ==, "t");
    emesh_reading_free(r);
    damage(w, EMESH_RING_HEAD, EMESH_LINE,
           0x55); /* the head of the block: nothing of it is believed */
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(r->told->len, ==, 0);
    g_assert_cmpuint(r->damaged, ==, 1);
    emesh_reading_free(r);
    begin(w, BLOCKS);
    note(w, "same", "t", "g", 2000);
    end(w, false);
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(r->told->len, ==, 1);
    emesh_reading_free(r);
    world_free(w);
}

static void
test_other_size(void)
{
    world *w = world_new();
    struct stat st;
    emesh_reading *r;

    begin(w, 8);
    for (uint32_t i = 0; i < 6 * EMESH_BLOCK_LINES; i++)
        note(w, "same", "t", "g", i);
    end(w, false);
    begin(w, 3);
    note(w, "same", "t", "g", 1u << 30);
    end(w, false);
    g_assert_cmpint(g_stat(w->path, &st), ==, 0);
    g_assert_cmpint(st.st_size, <=, EMESH_RING_HEAD + 3 * EMESH_BLOCK_BYTES);
    r = read_all(w, NULL, NULL, "g", 1);
    g_assert_cmpuint(at(r, 0)->more, ==, 1u << 30);
    emesh_reading_free(r);
    world_free(w);
}

static void
test_newer_version(void)
{
    world *w = world_new();
    g_autofree char *aside = g_strconcat(w->path, ".newer", NULL);
    uint8_t page[EMESH_LINE];
    emesh_ring_head head = { .next = 5, .place = 1 };

    emesh_ring_head_pack(page, &head);
    page[16] = 2; /* the major version, and a new checksum */
    emesh_line_sign(page, 0, UINT64_C(0x314e524a48534d45));
    g_assert_cmpint(emesh_ring_head_read(page, &head), ==, 2);
    g_assert_true(g_file_set_contents(w->path, (char *)page, sizeof page, NULL));
    begin(w, BLOCKS);
    note(w, "e", "t", "g", 1);
    end(w, false);
    g_assert_true(g_file_test(aside, G_FILE_TEST_EXISTS));
    g_remove(aside);
    world_free(w);
}

static void
on_failed(void *ctx, const char *why)
{
    world *w = ctx;

    if (why != NULL) {
        g_assert_nonnull(strstr(why, "decisions are not kept"));
        w->failed++;
    } else {
        w->healed++;
    }
}

static void
wait_for(const uint32_t *count)
{
    gint64 until = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    while (*count == 0 && g_get_monotonic_time() < until)
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpuint(*count, ==, 1);
}

/* What cannot be written is counted and told once; then all goes on, names included. */
static void
test_full_disk(void)
{
    world *w = world_new();
    struct rlimit was, none = { 0 };
    emesh_journal_counts counts;
    emesh_reading *r;

    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &was), ==, 0);
    none.rlim_max = was.rlim_max;
    none.rlim_cur = 4096 + 128;
    begin(w, BLOCKS);
    emesh_journal_watch(w->journal, on_failed, w);
    note(w, "e", "t", "g", 1);
    emesh_notes_write(w->notes);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &none), ==, 0);
    note(w, "f", "t", "g", 2);
    emesh_notes_write(w->notes);
    note(w, "f", "t", "g", 3);
    emesh_notes_write(w->notes);
    wait_for(&w->failed);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &was), ==, 0);
    emesh_journal_read_counts(w->journal, &counts);
    g_assert_cmpuint(counts.lost, >=, 2);
    note(w, "h", "t", "g", 4);
    emesh_notes_write(w->notes);
    wait_for(&w->healed);
    r = read_all(w, NULL, NULL, "g", 0);
    g_assert_cmpuint(at(r, r->told->len - 1)->more, ==, 4);
    g_assert_cmpstr(at(r, r->told->len - 1)->topic, ==, "t");
    emesh_reading_free(r);
    end(w, false);
    world_free(w);
}

/* One of 1,024, the same ones everywhere. */
static void
test_sampled(void)
{
    world *w = world_new();
    uint32_t n = 0;

    begin(w, BLOCKS);
    ((struct emesh_notes_head *)w->notes)->mask = 1023;
    for (uint32_t i = 0; i < 100000; i++) {
        g_autofree char *id = g_strdup_printf("%u", i);
        const emesh_event *e = event("/a", id);
        bool is = (emesh_event_hash_of("/a", 2, id, strlen(id)) & 1023) == 0;
        g_assert_true(emesh_sampled(w->notes, e) == is);
        n += is;
        emesh_event_unref(e);
    }
    g_assert_cmpuint(n, >, 60);
    g_assert_cmpuint(n, <, 140);
    g_assert_cmphex(emesh_event_hash_of("/source", 7, "0123456789", 10), ==, 0x4df3c7d38bfc569);
    end(w, false);
    world_free(w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/back", test_back);
    g_test_add_func("/journal/wrapped", test_wrapped);
    g_test_add_func("/journal/many-starts", test_many_starts);
    g_test_add_func("/journal/torn-and-rotten", test_torn_and_rotten);
    g_test_add_func("/journal/other-size", test_other_size);
    g_test_add_func("/journal/newer-version", test_newer_version);
    g_test_add_func("/journal/full-disk", test_full_disk);
    g_test_add_func("/journal/sampled", test_sampled);
    return g_test_run();
}
