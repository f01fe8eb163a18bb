/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests 1 and 2 of the embedded store: the power goes after any step of the disk below it, with any
 * part of what was not synced. What was answered at `synced` is there, what a subscriber saw of a
 * `synced` topic is at its offset, no offset carries two ids, units are whole or not there, groups
 * are not ahead, and none of it counts as damage. A life of a store is recorded; of it, many states
 * are made and opened; the last one is where the next life begins.
 */
#include "cut-disk.h"
#include "folder-of.h"
#include "harness/store-host.h"
#include "lane.h"

#include <string.h>

enum { T_SYNC, T_PAIR, T_OS, T_BRIEF, TOPICS };
static const char *const names[TOPICS] = { "sync", "pair", "os", "brief" };
static const uint32_t levels[TOPICS] = { EMESH_LEVEL_SYNCED, EMESH_LEVEL_SYNCED, EMESH_LEVEL_OS,
                                         EMESH_LEVEL_OS };

#define LIVES 3u    /* on one folder */
#define ROUNDS 180u /* of publishing in a life */
#define WINDOW 40u
#define BATCH 8u

typedef struct fact { /* true of every state with at least so many steps */
    uint32_t at, topic;
    uint64_t offset;
    bool seen; /* by a subscriber; else answered */
    char id[24];
} fact;

typedef struct counts {
    uint32_t states, lost, twice, torn, ahead;
    uint64_t acked, seen, sealed, cleaned; /* segments sealed and merged in the lives recorded */
} counts;

typedef struct world {
    char *dir;
    store_host *h;
    cut_disk *disk;
    GRand *rand;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    GArray *facts;   /* fact */
    GArray *commits; /* fact: offset is all that a group may have acknowledged */
    GArray *asked;   /* fact: of the item with this cookie */
    uint32_t answered;
    uint64_t published; /* numbers given to ids */
    uint32_t life;
    uint32_t placed;    /* steps after which the group is there; 0: not yet */
    const store_reader *readers[TOPICS];
    counts counts;
} world;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const emesh_start stored = { sizeof stored, EMESH_START_STORED, 0, { 0, 0 } };

static sa_options
options(void)
{
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 15000000;
    opt.sync_interval_ns = 20000000;
    opt.sync_bytes = 100000;
    opt.clean_rate = 1u << 30;
    return opt;
}

/* ---- a life ---- */

static void
on_results(void *ctx, const emesh_appended *results, uint32_t n)
{
    world *w = ctx;
    uint32_t at = cut_disk_steps(w->disk);
    pthread_mutex_lock(&w->lock);
    for (uint32_t i = 0; i < n; i++) {
        fact f = g_array_index(w->asked, fact, results[i].cookie);
        g_assert_cmpint(results[i].code, ==, EMESH_OK);
        f.at = at;
        f.offset = results[i].position.lo;
        g_array_append_val(w->facts, f);
    }
    w->answered += n;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

static void
on_seen(void *ctx, const store_reader *r, const char *id, uint64_t offset)
{
    world *w = ctx;
    fact f = { .at = cut_disk_steps(w->disk), .offset = offset, .seen = true };
    g_strlcpy(f.id, id, sizeof f.id);
    pthread_mutex_lock(&w->lock);
    while (f.topic < TOPICS && w->readers[f.topic] != r)
        f.topic++;
    if (f.topic < TOPICS && *id != '\0')
        g_array_append_val(w->facts, f);
    pthread_mutex_unlock(&w->lock);
}

static void
wait_answered(world *w, uint32_t behind)
{
    pthread_mutex_lock(&w->lock);
    while (w->asked->len - w->answered > behind)
        pthread_cond_wait(&w->wake, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

typedef struct burst {
    world *w;
    emesh_append items[2 * BATCH];
    uint32_t n;
} burst;

static void
append_burst(void *ctx)
{
    burst *b = ctx;
    sa_append(store_host_lane(b->w->h, 0), b->items, b->n);
}

static void
add_item(burst *b, struct emesh_topic *const topics[TOPICS], uint32_t topic, const char *prefix,
         const emesh_event *event)
{
    world *w = b->w;
    fact f = { .topic = topic };
    g_snprintf(f.id, sizeof f.id, "%s%" G_GUINT64_FORMAT, prefix, w->published);
    pthread_mutex_lock(&w->lock);
    b->items[b->n++] = (emesh_append){ .event = event, .topic = topics[topic],
                                       .cookie = w->asked->len };
    g_array_append_val(w->asked, f);
    pthread_mutex_unlock(&w->lock);
}

/* Some events of one topic, or some that come to two topics as a unit. */
static void
publish(world *w, struct emesh_topic *const topics[TOPICS])
{
    burst b = { .w = w };
    const emesh_event *events[BATCH];
    uint32_t any = (uint32_t)g_rand_int_range(w->rand, 0, 2 * TOPICS);
    uint32_t topic = MIN(any, T_BRIEF); /* most is brief: files are half dead soon, and merged */
    uint32_t n = (uint32_t)g_rand_int_range(w->rand, 1, BATCH + 1);
    size_t size = (size_t)g_rand_int_range(w->rand, 10, 3000);
    for (uint32_t i = 0; i < n; i++) {
        const char *prefix = topic == T_PAIR ? "u" : names[topic];
        events[i] = store_host_event(prefix, w->published, size);
        add_item(&b, topics, topic, prefix, events[i]);
        if (topic == T_PAIR) {
            b.items[b.n - 1].flags = EMESH_APPEND_CHAIN;
            add_item(&b, topics, T_SYNC, prefix, events[i]);
        }
        w->published++;
    }
    store_host_on_lane(w->h, 0, append_burst, &b);
    for (uint32_t i = 0; i < n; i++)
        emesh_event_unref(events[i]);
}

static void
acknowledge(world *w, store_reader *r)
{
    uint32_t n = store_host_n(r);
    if (n == 0)
        return;
    uint32_t i = (uint32_t)g_rand_int_range(w->rand, 0, (gint32)n);
    fact f = { .at = cut_disk_steps(w->disk), .offset = store_host_offset(r, i) };
    g_array_append_val(w->commits, f);
    store_host_commit(r, f.offset, EMESH_COMMIT_UP_TO, 0, 1);
}

static void
live(world *w)
{
    sa_options opt = options();
    struct emesh_topic *topics[TOPICS];
    w->disk = cut_disk_new(w->dir);
    w->answered = 0;
    g_array_set_size(w->asked, 0);
    g_assert_cmpint(store_host_open(w->h, &opt, cut_disk_io(w->disk)), ==, EMESH_OK);
    store_host_on_results(w->h, on_results, w);
    store_host_on_seen(w->h, on_seen, w);
    for (uint32_t i = 0; i < TOPICS; i++)
        topics[i] = store_host_topic(w->h, names[i], levels[i], 0, i == T_BRIEF ? 30000 : 0);
    if (w->placed == 0) {
        g_assert_cmpint(store_host_admin(w->h, EMESH_CHANGE_PLACE, "sync", "g", &earliest, 0, NULL),
                        ==, 0);
        w->placed = cut_disk_steps(w->disk);
    }
    for (uint32_t i = 0; i < TOPICS; i++) {
        store_reader *r = store_host_read(w->h, 0, topics[i], NULL, &earliest);
        pthread_mutex_lock(&w->lock);
        w->readers[i] = r;
        pthread_mutex_unlock(&w->lock);
        store_host_want(r, 1000000, 1ull << 40);
    }
    store_reader *g = store_host_read(w->h, 0, topics[T_SYNC], "g", &stored);
    store_host_want(g, 1000000, 1ull << 40);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        publish(w, topics);
        wait_answered(w, WINDOW);
        if (g_rand_int_range(w->rand, 0, 6) == 0)
            acknowledge(w, g);
        if (i % 20 == 19)
            sa_keeper_retain(store_host_store(w->h)); /* not once a second: so that there are merges */
        if (g_rand_int_range(w->rand, 0, 8) == 0)
            g_usleep((gulong)g_rand_int_range(w->rand, 0, 4000));
    }
    wait_answered(w, 0);
    w->counts.sealed += store_host_store(w->h)->stats.sealed;
    w->counts.cleaned += store_host_store(w->h)->stats.cleaned;
    for (uint32_t i = 0; i < TOPICS; i++)
        sa_topic_close(NULL, topics[i]);
    store_host_close(w->h);
    store_host_on_results(w->h, NULL, NULL);
    store_host_on_seen(w->h, NULL, NULL);
}

/* ---- a state ---- */

static const char *const what[] = { "nothing unsynced kept", "all kept", "some kept" };

typedef struct state {
    world *w;
    uint32_t n; /* steps */
    cut_keep keep;
    bool index;
    GRand *again; /* makes the same state once more */
    uint64_t top[TOPICS]; /* largest offset that anybody knows of */
    GHashTable *at[TOPICS]; /* offset → id */
    GHashTable *ids[TOPICS];
} state;

static void
wrong(state *s, uint32_t *count, const char *text, const char *id)
{
    counts *c = &s->w->counts;
    if (c->lost + c->twice + c->torn + c->ahead == 0) {
        g_autofree char *dir = folder_make_fast();
        cut_disk_rebuild(s->w->disk, dir, s->n, s->keep, s->index, s->again);
        g_test_message("the state is kept in %s; its last steps:", dir);
        cut_disk_tell(s->w->disk, s->n, 80);
    }
    (*count)++;
    g_test_message("life %u after %u steps (%s%s): %s %s", s->w->life, s->n, what[s->keep],
                   s->index ? "" : ", no index", id, text);
}

static void
read_topic(state *s, uint32_t t, struct emesh_topic *topic)
{
    store_host *h = s->w->h;
    store_reader *r = store_host_read(h, 0, topic, NULL, &earliest);
    s->at[t] = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    s->ids[t] = g_hash_table_new(g_str_hash, g_str_equal);
    store_host_want(r, 1000000, 1ull << 40);
    store_host_caught_up(r);
    for (uint32_t i = 0; i < store_host_n(r); i++) {
        uint64_t offset = store_host_offset(r, i);
        if (t == T_BRIEF && store_host_flags(r, i) == EMESH_RECORD_TRIMMED)
            continue; /* retention was at it meanwhile */
        char *id = g_strdup(store_host_id(r, i));
        if (store_host_flags(r, i) != 0 || !g_hash_table_add(s->ids[t], id)
            || !g_hash_table_insert(s->at[t], g_memdup2(&offset, sizeof offset), id))
            wrong(s, &s->w->counts.twice, "is there twice, or not readable", id);
        s->top[t] = MAX(s->top[t], offset);
    }
    store_host_reader_close(r);
}

static void
check_facts(state *s)
{
    counts *c = &s->w->counts;
    for (guint i = 0; i < s->w->facts->len; i++) {
        const fact *f = &g_array_index(s->w->facts, fact, i);
        if (f->at > s->n)
            continue;
        const char *there = g_hash_table_lookup(s->at[f->topic], &f->offset);
        bool must = levels[f->topic] == EMESH_LEVEL_SYNCED;
        if (must && there == NULL)
            wrong(s, &c->lost, f->seen ? "was seen and is gone" : "was answered and is gone", f->id);
        if (there != NULL && strcmp(there, f->id) != 0)
            wrong(s, &c->twice, "was seen or answered at an offset of another", f->id);
        s->top[f->topic] = MAX(s->top[f->topic], f->offset);
        c->seen += must && f->seen;
        c->acked += must && !f->seen;
    }
}

static void
check_units(state *s)
{
    GHashTableIter iter;
    gpointer id;
    g_hash_table_iter_init(&iter, s->ids[T_PAIR]);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        if (!g_hash_table_contains(s->ids[T_SYNC], id))
            wrong(s, &s->w->counts.torn, "is half of a unit", id);
    }
    g_hash_table_iter_init(&iter, s->ids[T_SYNC]);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        if (((const char *)id)[0] == 'u' && !g_hash_table_contains(s->ids[T_PAIR], id))
            wrong(s, &s->w->counts.torn, "is half of a unit", id);
    }
}

/* Whatever lies behind all that was ever acknowledged is offered to the group. */
static void
check_group(state *s, struct emesh_topic *topic)
{
    uint64_t most = 0;
    bool any = false;
    if (s->w->placed == 0 || s->w->placed > s->n)
        return;
    for (guint i = 0; i < s->w->commits->len; i++) {
        const fact *f = &g_array_index(s->w->commits, fact, i);
        any |= f->at <= s->n;
        most = f->at <= s->n ? MAX(most, f->offset) : most;
    }
    g_autoptr(GHashTable) due = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer offset, id;
    g_hash_table_iter_init(&iter, s->at[T_SYNC]);
    while (g_hash_table_iter_next(&iter, &offset, &id)) {
        if (!any || *(uint64_t *)offset > most)
            g_hash_table_add(due, id);
    }
    store_reader *r = store_host_read_all(s->w->h, topic, "g", 0);
    for (uint32_t i = 0; i < store_host_n(r); i++)
        g_hash_table_remove(due, store_host_id(r, i));
    g_hash_table_iter_init(&iter, due);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        wrong(s, &s->w->counts.ahead, "is not offered to the group, which never had it", id);
    store_host_reader_close(r);
}

/* With the index goes what it alone knew: how far the offsets of topics of level `os` had jumped. */
static void
check_new(state *s, struct emesh_topic *topic, uint32_t t)
{
    if (!s->index && s->w->life > 0 && levels[t] != EMESH_LEVEL_SYNCED)
        return;
    g_assert_cmpuint(store_host_append(s->w->h, 0, topic, "new", t, 1, 100, 0), ==, 1);
    uint64_t offset = store_host_last_position(s->w->h).lo;
    if (offset <= s->top[t] && (s->top[t] > 0 || g_hash_table_size(s->at[t]) > 0))
        wrong(s, &s->w->counts.twice, "was published to an offset that somebody knows", names[t]);
}

static void
verify(state *s)
{
    world *w = s->w;
    sa_options opt = options();
    struct emesh_topic *topics[TOPICS];
    int32_t code = store_host_open(w->h, &opt, NULL);
    if (code != EMESH_OK)
        g_error("life %u after %u steps (%s): %s; see %s", w->life, s->n, what[s->keep],
                store_host_text(w->h), w->dir);
    if (store_host_store(w->h)->stats.damaged > 0)
        wrong(s, &w->counts.torn, "counts as damage", "a cut");
    for (uint32_t i = 0; i < TOPICS; i++) {
        topics[i] = store_host_topic(w->h, names[i], levels[i], 0, i == T_BRIEF ? 30000 : 0);
        read_topic(s, i, topics[i]);
    }
    check_facts(s);
    check_units(s);
    check_group(s, topics[T_SYNC]);
    for (uint32_t i = 0; i < TOPICS; i++) {
        check_new(s, topics[i], i);
        sa_topic_close(NULL, topics[i]);
        g_hash_table_unref(s->at[i]);
        g_hash_table_unref(s->ids[i]);
    }
    store_host_close(w->h);
    w->counts.states++;
}

static cut_keep
any_keep(GRand *rand)
{
    uint32_t x = (uint32_t)g_rand_int_range(rand, 0, 10);
    return x == 0 ? CUT_KEEP_ALL : x < 3 ? CUT_KEEP_NOTHING : CUT_KEEP_SOME;
}

/* What is true in that state stays true in all that follow from it. */
static void
keep_facts(GArray *facts, uint32_t n)
{
    guint kept = 0;
    for (guint i = 0; i < facts->len; i++) {
        fact f = g_array_index(facts, fact, i);
        if (f.at > n)
            continue;
        f.at = 0;
        g_array_index(facts, fact, kept++) = f;
    }
    g_array_set_size(facts, kept);
}

/* States of the life that was recorded: first to steps. The last one stays, not opened. */
static void
cuts(world *w, uint32_t first, uint32_t states)
{
    uint32_t steps = cut_disk_steps(w->disk);
    for (uint32_t i = 0; i <= states; i++) {
        state s = { .w = w, .keep = any_keep(w->rand) };
        /* All along the life, and not the same steps each time. */
        s.n = first + (uint32_t)((uint64_t)(steps - first) * i / (states + 1))
              + (uint32_t)g_rand_int_range(w->rand, 0, (gint32)((steps - first) / (states + 1) + 2));
        s.n = MIN(s.n, steps);
        if (i == states)
            s.n = (uint32_t)g_rand_int_range(w->rand, (gint32)first, (gint32)steps + 1);
        /* Without it, the first file ever made must be whole: it says whose store it is. */
        s.index = g_rand_int_range(w->rand, 0, 10) != 0 || w->placed == 0 || s.n < w->placed;
        s.again = g_rand_copy(w->rand);
        cut_disk_rebuild(w->disk, w->dir, s.n, s.keep, s.index, w->rand);
        if (i < states)
            verify(&s);
        g_rand_free(s.again);
        if (i < states)
            continue;
        keep_facts(w->facts, s.n);
        keep_facts(w->commits, s.n);
        w->placed = w->placed != 0 && w->placed <= s.n ? 1 : 0;
    }
}

static void
one_world(uint32_t states, counts *c)
{
    world w = { .dir = folder_make_fast(), .rand = g_rand_new_with_seed((guint32)g_test_rand_int()),
                .counts = *c };
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.wake, NULL);
    w.facts = g_array_new(FALSE, FALSE, sizeof(fact));
    w.commits = g_array_new(FALSE, FALSE, sizeof(fact));
    w.asked = g_array_new(FALSE, FALSE, sizeof(fact));
    w.h = store_host_new(w.dir, 1);
    for (w.life = 0; w.life < LIVES; w.life++) {
        cut_disk *before = cut_disk_new(w.dir); /* how many steps the folder itself is */
        uint32_t first = cut_disk_steps(before);
        cut_disk_free(before);
        live(&w);
        cuts(&w, first, states / LIVES);
        cut_disk_free(w.disk);
    }
    *c = w.counts;
    store_host_end(w.h);
    g_free(w.dir);
    g_array_unref(w.facts);
    g_array_unref(w.commits);
    g_array_unref(w.asked);
    g_rand_free(w.rand);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.wake);
}

static uint32_t
number_of(const char *name, uint32_t otherwise)
{
    const char *text = g_getenv(name);
    return text != NULL ? (uint32_t)g_ascii_strtoull(text, NULL, 10) : otherwise;
}

static void
test_cuts(void)
{
    uint32_t states = number_of("STORE_TEST_1_STATES", 201);
    counts c = { 0 };
    while (c.states < states)
        one_world(MIN(states - c.states + LIVES - 1, 600), &c);
    g_test_message("%u states rebuilt: %" G_GUINT64_FORMAT " times an acked event was looked for, %"
                   G_GUINT64_FORMAT " times a seen one; %u lost, %u duplicated, %u torn, %u groups "
                   "ahead; %" G_GUINT64_FORMAT " segments sealed, %" G_GUINT64_FORMAT " merged",
                   c.states, c.acked, c.seen, c.lost, c.twice, c.torn, c.ahead, c.sealed, c.cleaned);
    g_assert_cmpuint(c.acked, >, 0);
    g_assert_cmpuint(c.seen, >, 0);
    g_assert_cmpuint(c.lost, ==, 0);
    g_assert_cmpuint(c.twice, ==, 0);
    g_assert_cmpuint(c.torn, ==, 0);
    g_assert_cmpuint(c.ahead, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/store-test-1/power-cut-and-store-test-2/seen-then-gone", test_cuts);
    return g_test_run();
}
