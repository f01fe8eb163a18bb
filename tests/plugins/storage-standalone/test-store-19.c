/* SPDX-License-Identifier: Apache-2.0
 *
 * Test 19 of the embedded store, for what DELAY, INBOX and UNIT claim; each part asks for its bit,
 * so that any store runs it. The clock is the test's.
 */
#include "harness/store-host.h"

#include <glib/gstdio.h>
#include <string.h>

#define HOUR_MS 3600000

static const emesh_start earliest = { .size = sizeof earliest, .kind = EMESH_START_EARLIEST };
static const emesh_start stored = { .size = sizeof stored, .kind = EMESH_START_STORED };

typedef struct place {
    char *dir;
    store_host *h;
    struct emesh_topic *topic;
    sa_options opt;
} place;

static void
up(place *p)
{
    p->h = store_host_new(p->dir, 1);
    g_assert_cmpint(store_host_open(p->h, &p->opt, NULL), ==, EMESH_OK);
    p->topic = store_host_topic(p->h, "t", EMESH_LEVEL_OS, 0, 0);
}

static void
down(place *p)
{
    sa_topic_close(NULL, p->topic);
    store_host_close(p->h);
    store_host_free(p->h);
}

static bool
begin(place *p, uint64_t claim)
{
    p->dir = g_dir_make_tmp("store-19-XXXXXX", NULL);
    p->opt = store_host_options();
    up(p);
    if ((sa_store_info(store_host_store(p->h)).can & claim) == claim)
        return true;
    g_test_skip("the store does not claim it");
    down(p);
    return false;
}

static void
end(place *p)
{
    g_autofree char *text = g_strdup_printf("rm -rf '%s'", p->dir);
    down(p);
    g_assert_cmpint(g_spawn_command_line_sync(text, NULL, NULL, NULL, NULL), ==, TRUE);
    g_free(p->dir);
}

static uint64_t
now_ms(void)
{
    return (uint64_t)g_get_real_time() / 1000;
}

/* The store's wall clock is ms ahead of the machine's. */
static void
ahead(place *p, int64_t ms)
{
    store_host_shift(p->h, ms, 0);
    sa_holds_kick(store_host_store(p->h));
}

static int32_t
put(place *p, const char *prefix, uint64_t n, const char *group, uint64_t due_ms, uint32_t attempts)
{
    const emesh_event *event = store_host_event(prefix, n, 100);
    emesh_append item = { .event = event, .topic = p->topic, .cookie = 1, .deliver_at_ms = due_ms,
                          .level = EMESH_LEVEL_SYNCED, .attempts = attempts,
                          .group = { group, group != NULL ? strlen(group) : 0 } };
    uint32_t good = store_host_append_items(p->h, 0, &item, 1);
    emesh_event_unref(event);
    return good == 1 ? EMESH_OK : store_host_last_code(p->h);
}

/* Due order, none early, across a restart and without the index. */
static void
test_delay(void)
{
    place p;
    if (!begin(&p, EMESH_STORE_CAN_DELAY))
        return;
    uint64_t base = now_ms() + HOUR_MS;
    for (uint32_t i = 0; i < 20; i++) /* appended in another order than they are due */
        g_assert_cmpint(put(&p, "d", i, NULL, base + ((i * 7) % 20) * 1000, 0), ==, EMESH_OK);
    store_reader *r = store_host_read_all(p.h, p.topic, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, 0);
    ahead(&p, HOUR_MS + 5500 - (int64_t)(now_ms() + HOUR_MS - base));
    store_host_records(r, 5);
    g_assert_cmpuint(store_host_n(r), <=, 6);
    down(&p);
    up(&p);
    ahead(&p, HOUR_MS + 60000);
    r = store_host_read(p.h, 0, p.topic, NULL, &earliest);
    store_host_want(r, 1000, 0);
    store_host_records(r, 20);
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t n = g_ascii_strtoull(store_host_id(r, i) + 1, NULL, 10);
        g_assert_cmpuint((n * 7) % 20, ==, i);
    }
    g_assert_cmpint(put(&p, "past", 0, NULL, now_ms() - 1000, 0), ==, EMESH_OK);
    store_host_records(r, 21);
    end(&p);
}

/* Only its group sees it, when due; attempts are kept; deleted before due it never comes. */
static void
test_inbox(void)
{
    place p;
    if (!begin(&p, EMESH_STORE_CAN_INBOX | EMESH_STORE_CAN_DELAY | EMESH_STORE_CAN_GROUPS))
        return;
    g_assert_cmpint(put(&p, "now", 0, "g", 0, 3), ==, EMESH_OK);
    g_assert_cmpint(put(&p, "later", 1, "g", now_ms() + HOUR_MS, 5), ==, EMESH_OK);
    emesh_position later = store_host_last_position(p.h);
    g_assert_cmpint(put(&p, "later", 2, "g", now_ms() + HOUR_MS, 0), ==, EMESH_OK);
    store_reader *other = store_host_read(p.h, 0, p.topic, "other", &earliest);
    store_host_want(other, 100, 0);
    store_reader *r = store_host_read(p.h, 0, p.topic, "g", &earliest);
    store_host_want(r, 100, 0);
    store_host_records(r, 1);
    store_host_caught_up(r);
    g_assert_cmpstr(store_host_id(r, 0), ==, "now0");
    g_assert_true(store_host_in_inbox(r, 0));
    g_assert_cmpuint(store_host_attempt(r, 0), ==, 4);
    emesh_position first = { store_host_due(r, 0), store_host_offset(r, 0) };
    store_host_commit_inbox(r, first, EMESH_COMMIT_TRIED, 9, 1);
    store_host_commit_inbox(r, later, EMESH_COMMIT_ONE, 0, 1);
    store_host_commit_inbox(r, first, EMESH_COMMIT_ONE, 0, 7); /* stale: nothing */
    down(&p);
    up(&p);
    r = store_host_read(p.h, 0, p.topic, "g", &stored);
    store_host_want(r, 100, 0);
    store_host_records(r, 1);
    g_assert_cmpstr(store_host_id(r, 0), ==, "now0");
    g_assert_cmpuint(store_host_attempt(r, 0), ==, 10);
    store_host_commit_inbox(r, first, EMESH_COMMIT_UP_TO, 0, 1);
    ahead(&p, 2 * HOUR_MS);
    store_host_records(r, 2);
    g_assert_cmpstr(store_host_id(r, 1), ==, "later2");
    other = store_host_read(p.h, 0, p.topic, "other", &earliest);
    store_host_want(other, 100, 0);
    store_host_caught_up(other);
    g_assert_cmpuint(store_host_n(other), ==, 0);
    store_host_commit_inbox(r, (emesh_position){ store_host_due(r, 1), store_host_offset(r, 1) },
                            EMESH_COMMIT_ONE, 0, 1);
    down(&p);
    up(&p);
    ahead(&p, 2 * HOUR_MS);
    r = store_host_read_all(p.h, p.topic, "g", 0);
    g_assert_cmpuint(store_host_n(r), ==, 0);
    end(&p);
}

/* Chained over topics, with a commit; under an old epoch neither. */
static void
test_unit(void)
{
    place p;
    if (!begin(&p, EMESH_STORE_CAN_UNIT | EMESH_STORE_CAN_INBOX))
        return;
    struct emesh_topic *dead = store_host_topic(p.h, "%DLQ%g", EMESH_LEVEL_SYNCED, 0, 0);
    store_host_append(p.h, 0, p.topic, "e", 0, 3, 100, 0);
    store_reader *r = store_host_read(p.h, 0, p.topic, "g", &earliest);
    store_host_want(r, 100, 0);
    store_host_records(r, 3);
    const emesh_event *event = store_host_event("u", 1, 100);
    emesh_commit done = { .position = { 0, store_host_offset(r, 1) }, .epoch = 2,
                          .outcome = EMESH_COMMIT_ONE };
    emesh_append items[2] = {
        { .event = event, .topic = dead, .cookie = 1, .flags = EMESH_APPEND_CHAIN },
        { .event = event, .topic = p.topic, .cookie = 2, .group = { "g", 1 },
          .cursor = store_host_cursor(r), .commit = &done },
    };
    g_assert_cmpuint(store_host_append_items(p.h, 0, items, 2), ==, 0);
    g_assert_cmpint(store_host_last_code(p.h), ==, EMESH_E_STALE);
    done.epoch = 1;
    g_assert_cmpuint(store_host_append_items(p.h, 0, items, 2), ==, 2);
    store_host_records(r, 4);
    g_assert_true(store_host_in_inbox(r, 3));
    done.partition = store_host_inbox(r);
    done.position = (emesh_position){ store_host_due(r, 3), store_host_offset(r, 3) };
    items[1].group.len = 0;
    items[1].topic = dead;
    g_assert_cmpuint(store_host_append_items(p.h, 0, items + 1, 1), ==, 1);
    emesh_append *many = g_new0(emesh_append, 1100);
    for (uint32_t i = 0; i < 1100; i++)
        many[i] = (emesh_append){ .event = event, .topic = dead, .cookie = i,
                                  .flags = EMESH_APPEND_CHAIN };
    g_assert_cmpuint(store_host_append_items(p.h, 0, many, 1100), ==, 0);
    g_assert_cmpint(store_host_last_code(p.h), ==, EMESH_E_TOO_LARGE);
    g_free(many);
    emesh_event_unref(event);
    sa_topic_close(NULL, dead);
    down(&p);
    up(&p);
    r = store_host_read(p.h, 0, p.topic, "g", &stored);
    store_host_want(r, 100, 0);
    store_host_records(r, 2);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, 2);
    g_assert_cmpstr(store_host_id(r, 0), ==, "e0");
    g_assert_cmpstr(store_host_id(r, 1), ==, "e2");
    dead = store_host_topic(p.h, "%DLQ%g", EMESH_LEVEL_SYNCED, 0, 0);
    r = store_host_read_all(p.h, dead, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, 2);
    sa_topic_close(NULL, dead);
    end(&p);
}

static uint32_t
held(place *p)
{
    sa_segs *segs = &store_host_store(p->h)->segs;
    uint32_t n = 0;
    pthread_mutex_lock(&segs->lock);
    for (uint32_t i = 0; i < segs->n; i++)
        n += segs->all[i]->held;
    pthread_mutex_unlock(&segs->lock);
    return n;
}

/* A group that forgets, and a topic that is deleted, take their held events along; no others. */
static void
test_drop(void)
{
    place p;
    if (!begin(&p, EMESH_STORE_CAN_DELAY | EMESH_STORE_CAN_INBOX))
        return;
    g_assert_cmpint(put(&p, "a", 0, NULL, now_ms() + HOUR_MS, 0), ==, EMESH_OK);
    g_assert_cmpint(put(&p, "b", 1, "g", 0, 0), ==, EMESH_OK);
    g_assert_cmpint(put(&p, "c", 2, "h", 0, 0), ==, EMESH_OK);
    down(&p); /* they are in rows alone */
    up(&p);
    g_assert_cmpuint(held(&p), ==, 3);
    g_assert_cmpint(store_host_admin(p.h, EMESH_CHANGE_FORGET, "t", "g", NULL, 0, NULL), ==, 0);
    down(&p);
    up(&p);
    g_assert_cmpuint(held(&p), ==, 2);
    store_reader *r = store_host_read(p.h, 0, p.topic, "h", &earliest);
    store_host_want(r, 10, 0);
    store_host_records(r, 1);
    g_assert_cmpstr(store_host_id(r, 0), ==, "c2");
    store_host_reader_close(r);
    g_assert_cmpint(store_host_admin(p.h, EMESH_CHANGE_DELETE, "t", NULL, NULL, 0, NULL), ==, 0);
    down(&p);
    up(&p);
    g_assert_cmpuint(held(&p), ==, 0);
    end(&p);
}

/* More than memory keeps: the rest waits in rows, and all come, in order. */
static void
test_many(void)
{
    enum { N = 36000 };
    place p = { 0 };
    if (!begin(&p, EMESH_STORE_CAN_DELAY))
        return;
    down(&p);
    p.opt.segment_size = 1u << 20;
    p.opt.checkpoint_ns = 20000000;
    up(&p);
    emesh_append *items = g_new0(emesh_append, 1000);
    uint64_t base = now_ms() + HOUR_MS;
    for (uint32_t i = 0; i < N; i += 1000) {
        for (uint32_t k = 0; k < 1000; k++)
            items[k] = (emesh_append){ .event = store_host_event("m", i + k, 10), .topic = p.topic,
                                       .deliver_at_ms = base + N - i - k };
        g_assert_cmpuint(store_host_append_items(p.h, 0, items, 1000), ==, 1000);
        for (uint32_t k = 0; k < 1000; k++)
            emesh_event_unref(items[k].event);
    }
    g_free(items);
    sa_holds *holds = &store_host_store(p.h)->holds;
    for (guint n = N; n > SA_HOLD_KEEP; g_usleep(5000)) { /* until checkpoints have taken them */
        pthread_mutex_lock(&holds->lock);
        n = g_hash_table_size(holds->by_token);
        pthread_mutex_unlock(&holds->lock);
    }
    ahead(&p, 2 * HOUR_MS);
    store_reader *r = store_host_read(p.h, 0, p.topic, NULL, &earliest);
    store_host_want(r, N, 0);
    store_host_records(r, N);
    for (uint32_t i = 0; i < N; i += 999)
        g_assert_cmpuint(g_ascii_strtoull(store_host_id(r, i) + 1, NULL, 10), ==, N - 1 - i);
    end(&p);
}

/* The index is removed, and its table of held events is damaged: what is held is found in the log. */
static void
test_rebuild(void)
{
    place p;
    if (!begin(&p, EMESH_STORE_CAN_DELAY | EMESH_STORE_CAN_INBOX))
        return;
    g_assert_cmpint(put(&p, "a", 0, NULL, now_ms() + HOUR_MS, 0), ==, EMESH_OK);
    g_assert_cmpint(put(&p, "gone", 1, NULL, now_ms() + 1000, 0), ==, EMESH_OK);
    g_assert_cmpint(put(&p, "b", 2, "g", now_ms() + HOUR_MS, 2), ==, EMESH_OK);
    store_reader *r = store_host_read(p.h, 0, p.topic, NULL, &earliest);
    store_host_want(r, 100, 0);
    ahead(&p, 2000);
    store_host_records(r, 1);
    for (uint32_t i = 0; i < 2; i++) {
        g_autofree char *path = g_strdup_printf("%s/index/data.mdb", p.dir);
        down(&p);
        if (i == 0) {
            g_assert_cmpint(g_unlink(path), ==, 0);
        } else { /* the table of held events */
            char *bytes;
            gsize n;
            uint32_t hits = 0;
            g_assert_true(g_file_get_contents(path, &bytes, &n, NULL));
            for (gsize k = 0; k + 64 <= n; k += 2) {
                if (memcmp(bytes + k, "holds", 5) == 0)
                    bytes[k + 5 + 32] ^= 1, hits++; /* how many rows there are */
            }
            g_assert_cmpuint(hits, >, 0);
            g_assert_true(g_file_set_contents(path, bytes, (gssize)n, NULL));
            g_free(bytes);
        }
        up(&p);
        g_assert_cmpuint(store_host_logged(p.h, "set aside"), ==, i);
    }
    ahead(&p, 2 * HOUR_MS);
    r = store_host_read(p.h, 0, p.topic, "g", &earliest);
    store_host_want(r, 100, 0);
    store_host_records(r, 3);
    store_host_caught_up(r);
    g_assert_cmpuint(store_host_n(r), ==, 3);
    end(&p);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-19/delay", test_delay);
    g_test_add_func("/store-test-19/inbox", test_inbox);
    g_test_add_func("/store-test-19/unit", test_unit);
    g_test_add_func("/store-test-19/drop", test_drop);
    g_test_add_func("/store-test-19/many", test_many);
    g_test_add_func("/store-test-19/rebuild", test_rebuild);
    return g_test_run();
}
