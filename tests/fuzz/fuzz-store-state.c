/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store as a whole against a model. The bytes are steps: append, acknowledge, seek,
 * trim, close segments, an orderly stop, a crash (the folder as it lies, opened anew), an index
 * that is lost. After each start everything that was answered is at its offset, nothing else is, and
 * a group gets what it has not acknowledged.
 */
#include "folder-of.h"
#include "fuzz.h"
#include "harness/store-host.h"

#include <string.h>

#define TOPICS 3u
#define STEPS 40u
#define EVENTS 2000u

typedef struct model_topic {
    struct emesh_topic *topic;
    uint64_t offset[EVENTS]; /* of event i; its id is PREFIX and i */
    uint32_t n;
    uint32_t first;      /* events before it were trimmed */
    bool acked[EVENTS];  /* answered by the group, and perhaps on its way to the log */
    bool sure[EVENTS];   /* an orderly stop came since */
    bool group;
} model_topic;

typedef struct model {
    store_host *h;
    sa_io io;
    pthread_mutex_t removing; /* held while the folder is copied: a copy takes its time, a crash none */
    char *dir;
    model_topic topics[TOPICS];
    uint32_t epoch;
    const uint8_t *in, *end;
} model;

static const emesh_start earliest = { sizeof earliest, EMESH_START_EARLIEST, 0, { 0, 0 } };
static const char *const names[TOPICS] = { "a", "b", "c" };

static uint32_t
next(model *m)
{
    return m->in < m->end ? *m->in++ : 0;
}

static int
remove_file(void *ctx, int dir, const char *name)
{
    model *m = ctx;
    pthread_mutex_lock(&m->removing);
    int rc = sa_io_posix.unlink(NULL, dir, name);
    pthread_mutex_unlock(&m->removing);
    return rc;
}

static void
open_store(model *m)
{
    sa_options opt = store_host_options();
    opt.checkpoint_ns = 3600000000000u; /* the index is written at start and stop alone */
    m->h = store_host_new(m->dir, 1);
    if (store_host_open(m->h, &opt, &m->io) != EMESH_OK)
        g_error("the store does not open: %s", store_host_text(m->h));
    g_assert_cmpuint(store_host_store(m->h)->stats.damaged, ==, 0);
    for (uint32_t i = 0; i < TOPICS; i++)
        m->topics[i].topic = store_host_topic(m->h, names[i], i == 2 ? EMESH_LEVEL_SYNCED
                                                                      : EMESH_LEVEL_OS, 0, 0);
}

static void
close_store(model *m)
{
    for (uint32_t i = 0; i < TOPICS; i++)
        sa_topic_close(NULL, m->topics[i].topic);
    store_host_close(m->h);
    store_host_free(m->h);
}

/* ---- what must be so ---- */

static void
check_events(model *m, uint32_t t)
{
    model_topic *mt = &m->topics[t];
    store_reader *r = store_host_read_all(m->h, mt->topic, NULL, 0);
    g_assert_cmpuint(store_host_n(r), ==, mt->n - mt->first);
    for (uint32_t i = mt->first; i < mt->n; i++) {
        g_autofree char *id = g_strdup_printf("%s%u", names[t], i);
        g_assert_cmpstr(store_host_id(r, i - mt->first), ==, id);
        uint64_t offset = store_host_offset(r, i - mt->first);
        if (mt->offset[i] == UINT64_MAX)
            mt->offset[i] = offset;
        g_assert_cmpuint(offset, ==, mt->offset[i]);
        g_assert_true(i == mt->first || offset > mt->offset[i - 1]);
    }
    store_host_reader_close(r);
}

static void
check_group(model *m, uint32_t t)
{
    model_topic *mt = &m->topics[t];
    g_autofree bool *came = g_new0(bool, EVENTS);
    store_reader *r = store_host_read_all(m->h, mt->topic, "g", 0);
    for (uint32_t k = 0, i = mt->first; k < store_host_n(r); k++) {
        while (i < mt->n && mt->offset[i] < store_host_offset(r, k))
            i++;
        g_assert_cmpuint(i, <, mt->n);
        g_assert_cmpuint(mt->offset[i], ==, store_host_offset(r, k));
        g_assert_false(mt->sure[i]);
        came[i] = true;
    }
    for (uint32_t i = mt->first; i < mt->n; i++)
        g_assert_true(came[i] || mt->acked[i]); /* at least once */
    store_host_reader_close(r);
}

static void
check(model *m)
{
    for (uint32_t t = 0; t < TOPICS; t++) {
        check_events(m, t);
        if (m->topics[t].group)
            check_group(m, t);
    }
}

/* ---- steps ---- */

static void
append(model *m, uint32_t t, uint32_t n, size_t size)
{
    model_topic *mt = &m->topics[t];
    if (mt->n + n > EVENTS)
        return;
    g_assert_cmpuint(store_host_append(m->h, 0, mt->topic, names[t], mt->n, n, size, 0), ==, n);
    for (uint32_t i = 0; i < n; i++) {
        mt->acked[mt->n] = mt->sure[mt->n] = false;
        mt->offset[mt->n++] = UINT64_MAX; /* learnt when it is first read */
    }
    check_events(m, t);
}

static void
acknowledge(model *m, uint32_t t, uint32_t which, bool up_to)
{
    model_topic *mt = &m->topics[t];
    if (!mt->group) {
        g_assert_cmpint(store_host_admin(m->h, EMESH_CHANGE_PLACE, names[t], "g", &earliest, 0,
                                         NULL), ==, 0);
        mt->group = true;
    }
    if (mt->n == mt->first)
        return;
    uint32_t i = mt->first + which % (mt->n - mt->first);
    store_reader *r = store_host_read_all(m->h, mt->topic, "g", 0);
    store_host_commit(r, mt->offset[i], up_to ? EMESH_COMMIT_UP_TO : EMESH_COMMIT_ONE, 0, 1);
    store_host_reader_close(r);
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
    g_assert_cmpint(store_host_admin(m->h, EMESH_CHANGE_SEEK, names[t], "g", &start, 0, NULL), ==, 0);
    for (uint32_t k = 0; k < mt->n; k++)
        mt->acked[k] = mt->sure[k] = k <= i; /* it goes on behind that place */
}

static void
trim(model *m, uint32_t t, uint32_t which)
{
    model_topic *mt = &m->topics[t];
    if (mt->n - mt->first < 2)
        return;
    mt->first += which % (mt->n - mt->first);
    g_assert_cmpint(store_host_admin(m->h, EMESH_CHANGE_TRIM, names[t], NULL, NULL,
                                     mt->offset[mt->first], NULL), ==, 0);
}

static void
reopen(model *m, bool lose_index)
{
    close_store(m);
    if (lose_index) {
        g_autofree char *index = g_build_filename(m->dir, "index", NULL);
        folder_remove(index);
    }
    for (uint32_t t = 0; t < TOPICS && !lose_index; t++)
        memcpy(m->topics[t].sure, m->topics[t].acked, sizeof m->topics[t].acked);
    for (uint32_t t = 0; t < TOPICS && lose_index; t++)
        memset(m->topics[t].sure, 0, sizeof m->topics[t].sure);
    open_store(m);
    check(m);
}

/* What a kill leaves. Nothing is written between two steps but by the keeper, which closes segments,
 * and merges and removes them. */
static void
crash(model *m)
{
    char *old = m->dir, *left;
    pthread_mutex_lock(&m->removing);
    left = folder_copy(m->dir);
    pthread_mutex_unlock(&m->removing);
    close_store(m);
    folder_remove(old);
    g_free(old);
    m->dir = left;
    open_store(m);
    check(m);
}

static void
step(model *m)
{
    uint32_t op = next(m), t = op / 8 % TOPICS, more = next(m);
    switch (op % 8) {
    case 0:
    case 1:
        append(m, t, 1 + more % 30, more * 3);
        break;
    case 2: /* closes segments */
        append(m, t, 20 + more % 20, 2500);
        break;
    case 3:
        acknowledge(m, t, more, false);
        break;
    case 4:
        acknowledge(m, t, more, true);
        break;
    case 5:
        trim(m, t, more);
        break;
    case 6:
        if (more % 4 == 0)
            seek(m, t, more / 4);
        else
            reopen(m, more % 4 == 1);
        break;
    default:
        crash(m);
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
    m->io.ctx = m;
    m->io.unlink = remove_file;
    pthread_mutex_init(&m->removing, NULL);
    open_store(m);
    for (uint32_t i = 0; i < STEPS && m->in < m->end; i++)
        step(m);
    check(m);
    close_store(m);
    pthread_mutex_destroy(&m->removing);
    folder_remove(m->dir);
    g_free(m->dir);
    return 0;
}
