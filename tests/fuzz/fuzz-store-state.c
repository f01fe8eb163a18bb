/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store as a whole against a model. The bytes are steps: append, hold for a group and
 * end that, acknowledge, seek, forget, trim, a round of keeper and cleaner with a checkpoint, an
 * orderly stop, a crash (the folder as it lies, opened anew), an index that is lost. After each start
 * everything that was answered is at its offset, nothing else is, every group stands where it stood,
 * and what was held and is not done waits. Without threads: a run is the same each time.
 */
#include "folder-of.h"
#include "fuzz.h"
#include "harness/quiet-store.h"
#include "harness/store-host.h"

#include <string.h>

#define TOPICS 3u
#define STEPS 40u
#define EVENTS 500u

typedef struct model_hold {
    emesh_position at;
    bool done;
} model_hold;

typedef struct model_topic {
    struct emesh_topic *topic;
    uint64_t offset[EVENTS]; /* of event i; its id is NAME and i */
    uint32_t n;
    uint32_t first;     /* events before it were trimmed */
    bool acked[EVENTS]; /* by the group */
    bool group;
    model_hold hold[EVENTS]; /* of the group; its id is hold and i */
    uint32_t n_holds;
} model_topic;

typedef struct model {
    quiet_store *q;
    sa_io io;
    char *dir;
    model_topic topics[TOPICS];
    const uint8_t *in, *end;
} model;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const char *const names[TOPICS] = { "a", "b", "c" };

static uint32_t
next(model *m)
{
    return m->in < m->end ? *m->in++ : 0;
}

/* The page cache is what a crash leaves here. */
static int
no_sync(void *ctx, int fd)
{
    (void)ctx, (void)fd;
    return 0;
}

static void
open_store(model *m)
{
    sa_options opt = store_host_options();
    opt.clean_rate = 1u << 30;
    opt.segment_size = 32u << 10;
    opt.map_size = 4u << 20;
    opt.tail_bytes = opt.shared_bytes = 0;
    m->q = quiet_open(m->dir, &opt, &m->io);
    for (uint32_t i = 0; i < TOPICS; i++)
        m->topics[i].topic = quiet_topic(m->q, names[i], i == 2 ? EMESH_LEVEL_SYNCED
                                                                : EMESH_LEVEL_OS);
}

static void
close_store(model *m, bool orderly)
{
    for (uint32_t i = 0; i < TOPICS; i++)
        sa_topic_close(NULL, m->topics[i].topic);
    quiet_close(m->q, orderly);
}

/* ---- what must be so ---- */

static bool
has_id(const emesh_event *event, const char *prefix, uint32_t number)
{
    g_autofree char *id = g_strdup_printf("%s%u", prefix, number);
    emesh_event_view view = { .size = sizeof view };
    emesh_event_service.view(event, &view);
    return view.n_attrs > 0 && view.attrs[0].value_len == strlen(id)
           && memcmp(view.attrs[0].value, id, strlen(id)) == 0;
}

static void
check_events(model *m, uint32_t t)
{
    model_topic *mt = &m->topics[t];
    sa_partition *part = mt->topic->parts[0];
    uint64_t at = atomic_load(&part->first), end = atomic_load(&part->visible);
    uint32_t i = mt->first;
    while (at < end) {
        sa_got got[64];
        uint32_t n = sa_read(quiet_of(m->q), part, at, end, got, 64, 1u << 20, &at, NULL);
        for (uint32_t k = 0; k < n; k++, i++) {
            g_assert_cmpuint(i, <, mt->n);
            g_assert_cmpuint(got[k].offset, ==, mt->offset[i]);
            g_assert_true(got[k].event != NULL && has_id(got[k].event, names[t], i));
            emesh_event_service.unref(&got[k].event, 1);
        }
    }
    g_assert_cmpuint(i, ==, mt->n);
}

static void
check_group(model *m, uint32_t t)
{
    model_topic *mt = &m->topics[t];
    sa_group *group = quiet_group(m->q, "g");
    sa_pair *pair = group != NULL ? sa_pair_find(group, mt->topic->parts[0]->id) : NULL;
    g_assert_true((pair != NULL) == mt->group);
    for (uint32_t i = mt->first; i < mt->n && pair != NULL; i++)
        g_assert_true((sa_pair_open(pair, mt->offset[i]) != mt->offset[i]) == mt->acked[i]);
}

/* All of them are in memory once they are loaded. */
static void
check_holds(model *m, uint32_t t)
{
    model_topic *mt = &m->topics[t];
    sa_store *store = quiet_of(m->q);
    sa_group *group = quiet_group(m->q, "g");
    for (uint32_t i = 0; i < mt->n_holds; i++)
        g_assert_true(group != NULL || mt->hold[i].done);
    if (group == NULL)
        return;
    sa_queue *queue = sa_queue_need(&store->holds, group->id, mt->topic->topic->id);
    g_assert_true(sa_queue_load(store, queue));
    for (uint32_t i = 0; i < mt->n_holds; i++) {
        uint64_t token = mt->hold[i].at.lo;
        sa_hold *hold = g_hash_table_lookup(store->holds.by_token, &token);
        uint8_t *body = NULL;
        sa_rec_head head;
        bool again;
        g_assert_true((hold != NULL) == !mt->hold[i].done);
        if (hold == NULL)
            continue;
        const emesh_event *event = sa_hold_read(store, hold->lsn, token, &body, &head, &again);
        g_assert_true(event != NULL && has_id(event, "hold", i));
        emesh_event_service.unref(&event, 1);
        free(body);
    }
}

/* counted: a checkpoint was the last; what was done without being in memory is counted by then. */
static void
check(model *m, bool counted)
{
    uint32_t live = 0, held = 0;
    for (uint32_t t = 0; t < TOPICS; t++) {
        check_events(m, t);
        check_group(m, t);
        check_holds(m, t);
        for (uint32_t i = 0; i < m->topics[t].n_holds; i++)
            live += !m->topics[t].hold[i].done;
    }
    const sa_segs *segs = &quiet_of(m->q)->segs;
    for (uint32_t i = 0; i < segs->n; i++)
        held += segs->all[i]->held;
    g_assert_true(counted ? held == live : held >= live);
    g_assert_cmpuint(quiet_of(m->q)->stats.damaged, ==, 0);
}

/* ---- steps ---- */

static emesh_position
put(model *m, uint32_t t, const char *prefix, uint32_t number, size_t size, bool held)
{
    const emesh_event *event = store_host_event(prefix, number, size);
    emesh_append item = { .event = event, .topic = m->topics[t].topic, .cookie = 1,
                          .group = { "g", held }, .level = EMESH_LEVEL_OS };
    emesh_position at = quiet_append(m->q, &item);
    emesh_event_unref(event);
    return at;
}

static void
append(model *m, uint32_t t, uint32_t n, size_t size)
{
    model_topic *mt = &m->topics[t];
    for (uint32_t i = 0; i < n && mt->n < EVENTS; i++) {
        uint64_t offset = put(m, t, names[t], mt->n, size, false).lo;
        g_assert_true(mt->n == 0 || offset > mt->offset[mt->n - 1]);
        mt->acked[mt->n] = false;
        mt->offset[mt->n++] = offset;
    }
}

static void
need_group(model *m, uint32_t t)
{
    if (!m->topics[t].group)
        g_assert_cmpint(quiet_admin(m->q, EMESH_CHANGE_PLACE, names[t], "g", &earliest, 0), ==, 0);
    m->topics[t].group = true;
}

/* Some more for the group, or one of them is done. */
static void
hold(model *m, uint32_t t, uint32_t more)
{
    model_topic *mt = &m->topics[t];
    need_group(m, t);
    for (uint32_t i = 0; i < more % 8 && mt->n_holds < EVENTS; i++) {
        mt->hold[mt->n_holds].at = put(m, t, "hold", mt->n_holds, more * 4, true);
        mt->hold[mt->n_holds++].done = false;
    }
    uint32_t i = mt->n_holds > 0 ? more % mt->n_holds : 0;
    if (i >= mt->n_holds || mt->hold[i].done)
        return;
    quiet_done(m->q, quiet_group(m->q, "g"), mt->topic->parts[0], mt->hold[i].at.hi,
               mt->hold[i].at.lo);
    mt->hold[i].done = true;
}

static void
acknowledge(model *m, uint32_t t, uint32_t which, bool up_to)
{
    model_topic *mt = &m->topics[t];
    need_group(m, t);
    if (mt->n == mt->first)
        return;
    uint32_t i = mt->first + which % (mt->n - mt->first);
    quiet_settle(m->q, quiet_group(m->q, "g"), mt->topic->parts[0], mt->offset[i], up_to);
    for (uint32_t k = up_to ? 0 : i; k <= i; k++)
        mt->acked[k] = true;
}

static void
seek(model *m, uint32_t t, uint32_t which)
{
    model_topic *mt = &m->topics[t];
    if (!mt->group || mt->n == mt->first)
        return;
    uint32_t i = mt->first + which % (mt->n - mt->first);
    emesh_start start = { sizeof start, EMESH_START_AFTER, 0, { 0, mt->offset[i] } };
    g_assert_cmpint(quiet_admin(m->q, EMESH_CHANGE_SEEK, names[t], "g", &start, 0), ==, 0);
    for (uint32_t k = 0; k < mt->n; k++)
        mt->acked[k] = k <= i; /* it goes on behind that place */
}

static void
trim(model *m, uint32_t t, uint32_t which)
{
    model_topic *mt = &m->topics[t];
    if (mt->n - mt->first < 2)
        return;
    mt->first += which % (mt->n - mt->first);
    g_assert_cmpint(quiet_admin(m->q, EMESH_CHANGE_TRIM, names[t], NULL, NULL,
                                mt->offset[mt->first]), ==, 0);
}

/* What the group had there goes, what is held for it too. */
static void
forget(model *m, uint32_t t)
{
    model_topic *mt = &m->topics[t];
    if (!mt->group)
        return;
    g_assert_cmpint(quiet_admin(m->q, EMESH_CHANGE_FORGET, names[t], "g", NULL, 0), ==, 0);
    mt->group = false;
    for (uint32_t i = 0; i < mt->n_holds; i++)
        mt->hold[i].done = true;
    memset(mt->acked, 0, sizeof mt->acked);
}

static void
reopen(model *m, bool lose_index)
{
    close_store(m, true);
    if (lose_index) {
        g_autofree char *index = g_build_filename(m->dir, "index", NULL);
        folder_remove(index);
    }
    open_store(m);
    check(m, true);
}

/* What a kill leaves. */
static void
crash(model *m, bool lose_index)
{
    close_store(m, false);
    if (lose_index) {
        g_autofree char *index = g_build_filename(m->dir, "index", NULL);
        folder_remove(index);
    }
    open_store(m);
    check(m, true);
}

static void
step(model *m)
{
    uint32_t op = next(m), t = op / 8 % TOPICS, more = next(m);
    switch (op % 8) {
    case 0:
        append(m, t, 1 + more % 12, more * 3);
        break;
    case 1: /* closes segments */
        append(m, t, 4 + more % 12, 2500);
        break;
    case 2:
        hold(m, t, more);
        break;
    case 3:
        acknowledge(m, t, more / 2, more % 2 == 1);
        break;
    case 4:
        trim(m, t, more);
        break;
    case 5:
        if (more % 4 == 0)
            forget(m, t);
        else
            seek(m, t, more / 4);
        break;
    case 6:
        if (more % 2 == 0) {
            quiet_round(m->q, true);
            check(m, true);
        } else {
            reopen(m, more % 4 == 1);
        }
        break;
    default:
        crash(m, more % 2 == 0);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree model *m = g_new0(model, 1);
    m->in = data;
    m->end = data + size;
    m->dir = folder_make_fast();
    m->io = sa_io_posix;
    m->io.datasync = m->io.sync = no_sync;
    open_store(m);
    for (uint32_t i = 0; i < STEPS && m->in < m->end; i++)
        step(m);
    check(m, false);
    close_store(m, false);
    folder_remove(m->dir);
    g_free(m->dir);
    return 0;
}
