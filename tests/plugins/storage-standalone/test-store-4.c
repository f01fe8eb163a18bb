/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 4 of the embedded store: bytes flipped and lengths cut in a store of three segments. Exactly
 * the touched record may be missing, and it is reported; everything else is read as it was. Short
 * form: every 64th byte. Among the payloads are verbatim copies of log bytes.
 */
#include "folder-of.h"
#include "harness/store-host.h"
#include "scan.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define SIZE 200u

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };

typedef struct place { /* where a record lies */
    uint32_t segment;
    uint64_t from, to;
    uint64_t offset;
} place;

typedef struct sample {
    char *dir;
    GPtrArray *segments; /* names relative to dir */
    GArray *sizes;       /* of files, uint64_t */
    GArray *places;      /* of the events of topic orders */
    uint64_t n;          /* events, offsets 0 … n - 1 */
} sample;

/* ---- the store that is damaged ---- */

/* An event whose data are a piece of the log itself, records and all. */
static void
publish_copy(store_host *h, struct emesh_topic *topic, const char *dir)
{
    g_autoptr(GPtrArray) segments = folder_segments(dir);
    g_autofree char *bytes = NULL;
    gsize size;
    void *mem;
    const emesh_event *event = NULL;
    g_assert_true(g_file_get_contents(segments->pdata[0], &bytes, &size, NULL));
    g_assert_cmpuint(size, >, 8192);
    emesh_part part = { .len = 2048, .owner = emesh_buf_new(2048, &mem) };
    memcpy(mem, bytes + 4096, 2048);
    part.ptr = mem;
    /* An id so long that the data begin at a multiple of 8, as records do. */
    emesh_attr attrs[] = { { "id", "imitation", 2, 9, 0, 0 }, { "source", "/s", 6, 2, 0, 0 },
                           { "type", "t", 4, 1, 0, 0 } };
    emesh_event_view view = { .size = sizeof view, .data_form = EMESH_DATA_BYTES, .attrs = attrs,
                              .data = &part, .data_len = 2048, .n_attrs = 3, .n_data = 1 };
    g_assert_cmpint(emesh_event_build(&view, NULL, &event, NULL), ==, 0);
    emesh_buf_unref(part.owner);
    g_assert_cmpuint(store_host_append_events(h, 0, topic, &event, 1, EMESH_LEVEL_SYNCED), ==, 1);
    emesh_event_unref(event);
}

static void
publish(store_host *h, const char *dir)
{
    struct emesh_topic *topic = store_host_topic(h, "orders", EMESH_LEVEL_SYNCED, 0, 0);
    g_assert_cmpint(store_host_admin(h, EMESH_CHANGE_PLACE, "orders", "g", &earliest, 0, NULL), ==, 0);
    for (uint64_t i = 0; i < 480; i += 40) {
        g_assert_cmpuint(store_host_append(h, 0, topic, "e", i, 40, SIZE, 0), ==, 40);
        if (i % 160 == 40)
            publish_copy(h, topic, dir);
    }
    sa_topic_close(NULL, topic);
}

static bool
note_place(void *ctx, const sa_found *found)
{
    sample *s = ctx;
    g_assert_true(found->whole);
    if (found->head.type == SA_EVENT) {
        place p = { s->segments->len - 1, found->place, found->place + found->size,
                    found->head.offset };
        g_array_append_val(s->places, p);
        s->n = MAX(s->n, found->head.offset + 1);
    }
    return true;
}

static bool
note_catalog(void *ctx, const sa_found *found)
{
    if (found->head.type == SA_CATALOG)
        *(bool *)ctx = true;
    return true;
}

/* Segments with records of the catalogue. */
static uint32_t
with_catalog(const char *dir)
{
    g_autoptr(GPtrArray) paths = folder_segments(dir);
    uint32_t n = 0;
    for (guint i = 0; i < paths->len; i++) {
        uint8_t page[SA_SEGMENT_HEAD];
        sa_seg_head head;
        bool any = false;
        int fd = open(paths->pdata[i], O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(pread(fd, page, sizeof page, 0), ==, sizeof page);
        g_assert_cmpint(sa_seg_head_read(page, sizeof page, &head), ==, SA_HEAD_OK);
        sa_scan scan = { .io = &sa_io_posix, .fd = fd, .base = head.base, .salt = head.salt };
        g_assert_cmpint(sa_scan_run(&scan, note_catalog, &any), ==, 0);
        close(fd);
        n += any;
    }
    return n;
}

/* The keeper repeats the catalogue in each segment soon after the segment is begun; before that the
 * record which made the topic is the only one to name it, and its damage would cost the name. */
static void
await_catalog(const char *dir)
{
    for (int i = 0; i < 1000 && with_catalog(dir) < 2; i++)
        g_usleep(10000);
    g_assert_cmpuint(with_catalog(dir), >=, 2);
}

static sample *
make(bool orderly)
{
    sample *s = g_new0(sample, 1);
    s->dir = folder_make_fast();
    s->segments = g_ptr_array_new_with_free_func(g_free);
    s->sizes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    s->places = g_array_new(FALSE, FALSE, sizeof(place));
    if (folder_fork()) {
        store_host *h = store_host_new(s->dir, 1);
        sa_options opt = store_host_options();
        g_assert_cmpint(store_host_open(h, &opt, NULL), ==, EMESH_OK);
        publish(h, s->dir);
        await_catalog(s->dir);
        if (orderly)
            store_host_close(h);
        folder_die();
    }
    folder_child_ended();
    g_autoptr(GPtrArray) paths = folder_segments(s->dir);
    for (guint i = 0; i < paths->len; i++) {
        uint8_t page[SA_SEGMENT_HEAD];
        sa_seg_head head;
        int fd = open(paths->pdata[i], O_RDONLY | O_CLOEXEC);
        uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);
        g_assert_cmpint(pread(fd, page, sizeof page, 0), ==, sizeof page);
        g_assert_cmpint(sa_seg_head_read(page, sizeof page, &head), ==, SA_HEAD_OK);
        g_ptr_array_add(s->segments, g_path_get_basename(paths->pdata[i]));
        g_array_append_val(s->sizes, size);
        sa_scan scan = { .io = &sa_io_posix, .fd = fd, .base = head.base, .salt = head.salt };
        g_assert_cmpint(sa_scan_run(&scan, note_place, s), ==, 0);
        close(fd);
    }
    g_assert_cmpuint(s->places->len, ==, s->n);
    g_assert_cmpuint(s->segments->len, >=, 3);
    return s;
}

static void
sample_free(sample *s)
{
    folder_remove(s->dir);
    g_free(s->dir);
    g_ptr_array_unref(s->segments);
    g_array_unref(s->sizes);
    g_array_unref(s->places);
    g_free(s);
}

/* ---- one damage ---- */

typedef struct verdict {
    uint32_t missing;   /* offsets without their event */
    bool missing_other; /* one of them is not in the damaged stretch */
    bool reported;
} verdict;

static bool
touched(const sample *s, uint64_t offset, uint32_t segment, uint64_t from, uint64_t to)
{
    for (guint i = 0; i < s->places->len; i++) {
        const place *p = &g_array_index(s->places, place, i);
        if (p->offset == offset)
            return p->segment == segment && p->from < to && p->to > from;
    }
    return false;
}

/* Opens the damaged copy and reads all; [from, to) of segment was touched. */
static verdict
look(const sample *s, const char *dir, uint32_t segment, uint64_t from, uint64_t to)
{
    verdict v = { 0 };
    store_host *h = store_host_new(dir, 1);
    sa_options opt = store_host_options();
    struct emesh_topic *topic = NULL;
    emesh_topic_spec spec = { .size = sizeof spec, .name = { "orders", 6 },
                              .level = EMESH_LEVEL_SYNCED };
    int32_t code = store_host_open(h, &opt, NULL);
    if (code != EMESH_OK)
        g_error("not opened: %s", store_host_text(h));
    code = store_host_topic_code(h, &spec, &topic);
    if (code != EMESH_OK)
        g_error("topic: %s", store_host_text(h));
    store_reader *r = store_host_read_all(h, topic, NULL, 0);
    g_autofree bool *there = g_new0(bool, s->n);
    uint64_t last = 0;
    for (uint32_t i = 0; i < store_host_n(r); i++) {
        uint64_t offset = store_host_offset(r, i);
        g_assert_true(i == 0 || offset > last);
        last = offset;
        if (store_host_id(r, i)[0] == '\0')
            continue;
        g_assert_cmpuint(offset, <, s->n);
        there[offset] = true;
    }
    for (uint64_t o = 0; o < s->n; o++) {
        v.missing += !there[o];
        v.missing_other |= !there[o] && !touched(s, o, segment, from, to);
    }
    const sa_stats *stats = &store_host_store(h)->stats;
    v.reported = atomic_load(&stats->damaged) + atomic_load(&stats->torn) > 0;
    sa_topic_close(NULL, topic);
    store_host_close(h);
    store_host_free(h);
    return v;
}

static char *
path_in(const char *dir, const sample *s, uint32_t segment)
{
    return g_build_filename(dir, "log", s->segments->pdata[segment], NULL);
}

static void
flip(const char *path, uint64_t at, uint8_t bits)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    g_assert_cmpint(pread(fd, &byte, 1, (off_t)at), ==, 1);
    byte ^= bits;
    g_assert_cmpint(pwrite(fd, &byte, 1, (off_t)at), ==, 1);
    close(fd);
}

static void
flip_all(sample *s, bool with_index, uint64_t stride)
{
    for (uint32_t k = 0; k < s->segments->len; k++) {
        uint64_t size = g_array_index(s->sizes, uint64_t, k);
        for (uint64_t at = (k * 13) % stride; at < size; at += stride) {
            g_autofree char *copy = folder_copy(s->dir);
            g_autofree char *path = path_in(copy, s, k);
            g_autofree char *index = g_build_filename(copy, "index", NULL);
            if (!with_index)
                folder_remove(index);
            flip(path, at, (uint8_t)(1u << (at / stride % 8)));
            verdict v = look(s, copy, k, at, at + 1);
            if (v.missing > 1 || v.missing_other || (v.missing > 0 && !v.reported))
                g_error("byte %u of segment %u: %u missing, others %d, reported %d",
                        (unsigned)at, k, v.missing, v.missing_other, v.reported);
            folder_remove(copy);
        }
    }
}

static void
cut_all(sample *s, bool with_index, uint64_t stride)
{
    for (uint32_t k = 0; k < s->segments->len; k++) {
        uint64_t size = g_array_index(s->sizes, uint64_t, k);
        for (uint64_t at = (k * 29) % stride; at < size; at += stride) {
            g_autofree char *copy = folder_copy(s->dir);
            g_autofree char *path = path_in(copy, s, k);
            g_autofree char *index = g_build_filename(copy, "index", NULL);
            if (!with_index)
                folder_remove(index);
            g_assert_cmpint(truncate(path, (off_t)at), ==, 0);
            verdict v = look(s, copy, k, at, size);
            if (v.missing_other || (v.missing > 0 && !v.reported))
                g_error("segment %u cut at %u: %u missing, others %d, reported %d", k,
                        (unsigned)at, v.missing, v.missing_other, v.reported);
            folder_remove(copy);
        }
    }
}

/* ---- the cases ---- */

typedef struct way {
    bool orderly, with_index;
    uint64_t stride;
} way;

static uint64_t
stride_of(const way *w)
{
    if (g_test_slow())
        return 1;
    return folder_is_fast() ? w->stride : w->stride * 8; /* a disk takes 50 ms for each */
}

static void
test_flip(gconstpointer data)
{
    const way *w = data;
    sample *s = make(w->orderly);
    flip_all(s, w->with_index, stride_of(w));
    sample_free(s);
}

static void
test_cut(gconstpointer data)
{
    const way *w = data;
    sample *s = make(w->orderly);
    cut_all(s, w->with_index, stride_of(w));
    sample_free(s);
}

/* Whatever is flipped in LMDB's file: nothing is missing. */
static void
test_index(void)
{
    sample *s = make(true);
    g_autofree char *data = g_build_filename(s->dir, "index", "data.mdb", NULL);
    GStatBuf st;
    g_assert_cmpint(g_stat(data, &st), ==, 0);
    const way index = { .stride = 64 };
    uint64_t stride = stride_of(&index);
    for (uint64_t at = 0; at < (uint64_t)st.st_size; at += stride) {
        g_autofree char *copy = folder_copy(s->dir);
        g_autofree char *path = g_build_filename(copy, "index", "data.mdb", NULL);
        flip(path, at + (at / stride) % stride, (uint8_t)(1u << (at / stride % 8)));
        verdict v = look(s, copy, 0, 0, 0);
        if (v.missing > 0)
            g_error("byte %u of the index: %u missing", (unsigned)at, v.missing);
        folder_remove(copy);
    }
    sample_free(s);
}

int
main(int argc, char **argv)
{
    static const way sealed = { true, true, 64 * 8 }, rebuilt = { true, false, 64 },
                     killed = { false, true, 64 }, killed_cut = { false, true, 64 * 8 },
                     rebuilt_cut = { true, false, 64 * 8 }, sealed_cut = { true, true, 64 * 16 };
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/store-test-4/flip/index-kept", &sealed, test_flip);
    g_test_add_data_func("/store-test-4/flip/index-lost", &rebuilt, test_flip);
    g_test_add_data_func("/store-test-4/flip/killed", &killed, test_flip);
    g_test_add_data_func("/store-test-4/cut/index-kept", &sealed_cut, test_cut);
    g_test_add_data_func("/store-test-4/cut/index-lost", &rebuilt_cut, test_cut);
    g_test_add_data_func("/store-test-4/cut/killed", &killed_cut, test_cut);
    g_test_add_func("/store-test-4/flip/index", test_index);
    return g_test_run();
}
