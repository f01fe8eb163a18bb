/* SPDX-License-Identifier: Apache-2.0
 *
 * See clean.h: the job and its pace.
 */
#include "clean.h"

#include "store.h"
#include <errno.h>
#include <stdlib.h>

#define SA_CLEAN_LOOK_NS 50000000u   /* between two looks at who still reads the inputs */
#define SA_CLEAN_AGAIN_NS 10000000000u /* after a failure */
#define SA_CLEAN_USED_NS 1000000000u   /* used within it: under load */

void
sa_cleaner_init(sa_cleaner *c)
{
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->lag_lock, NULL);
    c->look = true;
    c->inputs = g_ptr_array_new();
    c->retiring = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    c->pieces = g_array_new(FALSE, FALSE, sizeof(sa_piece));
    c->controls = g_array_new(FALSE, FALSE, sizeof(sa_piece));
    c->pairs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    c->older = g_array_new(FALSE, FALSE, 3 * sizeof(uint64_t));
    c->kept = g_array_new(FALSE, FALSE, sizeof(sa_kept));
    c->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    c->moves = g_array_new(FALSE, FALSE, sizeof(sa_hold_move));
    c->buffer = g_byte_array_new();
    c->entries = g_array_new(FALSE, FALSE, sizeof(sa_entry));
    c->places = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    c->prints = g_array_new(FALSE, FALSE, sizeof(sa_print));
}

/* What a job had in memory. */
static void
forget(sa_cleaner *c)
{
    g_ptr_array_set_size(c->inputs, 0);
    g_array_set_size(c->retiring, 0);
    g_array_set_size(c->pieces, 0);
    g_array_set_size(c->controls, 0);
    g_hash_table_remove_all(c->pairs);
    g_array_set_size(c->older, 0);
    g_hash_table_remove_all(c->held);
    g_array_unref(c->kept); /* large */
    g_array_unref(c->moves);
    c->kept = g_array_new(FALSE, FALSE, sizeof(sa_kept));
    c->moves = g_array_new(FALSE, FALSE, sizeof(sa_hold_move));
    c->kept_at = 0;
    c->kept_bytes = 0;
    c->deletes = false;
    g_byte_array_set_size(c->buffer, 0);
    g_array_set_size(c->entries, 0);
    g_array_unref(c->places);
    g_array_unref(c->prints);
    c->places = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    c->prints = g_array_new(FALSE, FALSE, sizeof(sa_print));
    free(c->window);
    c->window = NULL;
    c->window_cap = c->window_have = 0;
    c->at = c->record = 0;
    c->unsynced = 0;
    c->read_error = 0;
    c->state = SA_CLEAN_IDLE;
}

/* The job ends without a result. */
static void
give_up(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    char name[SA_NAME_MAX];
    pthread_mutex_lock(&store->segs.lock);
    for (guint i = 0; i < c->inputs->len; i++)
        ((sa_segment *)g_ptr_array_index(c->inputs, i))->cleaning = false;
    pthread_mutex_unlock(&store->segs.lock);
    if (c->out != NULL) {
        sa_clean_temp(name, c->out->base);
        store->io->unlink(store->io->ctx, store->log_dir, name);
        sa_seg_free(store, c->out);
        c->out = NULL;
    }
    forget(c);
}

void
sa_clean_stop(struct sa_store *store)
{
    give_up(store);
}

void
sa_cleaner_clear(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    g_ptr_array_unref(c->inputs);
    g_array_unref(c->retiring);
    g_array_unref(c->pieces);
    g_array_unref(c->controls);
    g_hash_table_unref(c->pairs);
    g_array_unref(c->older);
    g_array_unref(c->kept);
    g_hash_table_unref(c->held);
    g_array_unref(c->moves);
    g_byte_array_unref(c->buffer);
    g_array_unref(c->entries);
    g_array_unref(c->places);
    g_array_unref(c->prints);
    free(c->window);
    pthread_mutex_destroy(&c->lag_lock);
}

static void
failed(struct sa_store *store, int rc, uint64_t now)
{
    sa_cleaner *c = &store->cleaner;
    if (rc == -ENOSPC)
        sa_keeper_full(store);
    if (rc != -ECANCELED)
        sa_say(store, EMESH_LOG_WARNING, "cleaning of %u log files of %s did not end: %s; they stay "
               "as they are, it is tried again", c->inputs->len, store->path, g_strerror(-rc));
    give_up(store);
    c->look = true;
    c->next_ns = now + SA_CLEAN_AGAIN_NS;
}

static uint64_t
work_seen(const struct sa_store *store)
{
    return atomic_load(&store->stats.records) + atomic_load(&store->stats.reads);
}

/* Does anybody write or read? Then the disk is shared. */
static bool
in_use(struct sa_store *store, uint64_t now)
{
    sa_cleaner *c = &store->cleaner;
    if (work_seen(store) != c->seen_work)
        c->used_ns = now;
    return c->used_ns != 0 && now - c->used_ns < SA_CLEAN_USED_NS;
}

static int
begin(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    pthread_mutex_lock(&store->segs.lock);
    for (guint i = 0; i < c->inputs->len; i++)
        ((sa_segment *)g_ptr_array_index(c->inputs, i))->cleaning = true;
    pthread_mutex_unlock(&store->segs.lock);
    sa_point(store->io, "clean-begin");
    c->state = SA_CLEAN_CONTROL;
    return sa_clean_begin(store);
}

/* One slice of the job; *bytes: copied. */
static int
slice(struct sa_store *store, uint64_t *bytes)
{
    sa_cleaner *c = &store->cleaner;
    bool done = false;
    int rc = 0;
    if (c->state == SA_CLEAN_IDLE) {
        rc = begin(store);
    } else if (c->state == SA_CLEAN_CONTROL) {
        rc = sa_clean_control(store, &done);
        if (done)
            c->state = SA_CLEAN_HELD;
    } else if (c->state == SA_CLEAN_HELD) {
        rc = sa_clean_held(store, bytes, &done);
        if (done)
            c->state = SA_CLEAN_EVENTS;
    } else {
        rc = sa_clean_events(store, bytes, &done);
        if (rc == 0 && done)
            rc = sa_clean_finish(store);
        if (rc == 0 && done)
            c->state = SA_CLEAN_RETIRE;
    }
    return rc;
}

void
sa_clean_step(struct sa_store *store)
{
    sa_cleaner *c = &store->cleaner;
    uint64_t now = sa_mono_ns(store), bytes = 0;
    bool used = in_use(store, now);
    if (store->opt.clean_rate == 0 || now < c->next_ns || atomic_load(&store->log.failed) != 0)
        return;
    if (c->state == SA_CLEAN_RETIRE) {
        c->next_ns = now + SA_CLEAN_LOOK_NS;
        if (!sa_clean_retired(store))
            return; /* somebody reads there */
        forget(c);
        c->look = true;
        c->next_ns = now;
        return;
    }
    if (c->state == SA_CLEAN_IDLE && !c->look) {
        pthread_mutex_lock(&c->lag_lock);
        c->look = c->lag_news;
        c->lag_news = false;
        pthread_mutex_unlock(&c->lag_lock);
    }
    if (c->state == SA_CLEAN_IDLE && (!c->look || !sa_clean_pick(store))) {
        c->look = false; /* until something is cut or gets its rows, or a reader lags */
        return;
    }
    int rc = slice(store, &bytes);
    c->seen_work = work_seen(store); /* less the reads of its own */
    if (rc < 0)
        failed(store, rc, now);
    else
        c->next_ns = used ? now + bytes * 1000000000u / store->opt.clean_rate : now;
}

uint64_t
sa_clean_due(const struct sa_store *store)
{
    const sa_cleaner *c = &store->cleaner;
    bool work = store->opt.clean_rate != 0 && atomic_load(&store->log.failed) == 0
                && (c->state != SA_CLEAN_IDLE || c->look);
    return work ? c->next_ns : UINT64_MAX;
}
