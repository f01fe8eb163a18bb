/* SPDX-License-Identifier: Apache-2.0
 *
 * See quiet-store.h.
 */
#include "harness/quiet-store.h"

#include "admin.h"
#include "event/event.h"
#include "folder.h"
#include "pack.h"
#include "recovery.h"

#include <stdlib.h>
#include <string.h>

struct quiet_store {
    emesh_host host;
    emesh_attr about[2];
    char *dir;
    sa_store *store;
    emesh_lane *lane;
    int32_t code; /* of the last append */
    emesh_position position;
};

typedef struct quiet_op { /* what the store holds as emesh_op */
    bool done;
    int32_t code;
    void *result;
} quiet_op;

static uint64_t
quiet_time(const emesh_loop *loop, uint32_t clock)
{
    (void)loop;
    return clock == EMESH_CLOCK_MONOTONIC ? (uint64_t)g_get_monotonic_time() * 1000u
                                          : (uint64_t)g_get_real_time() / 1000u;
}

static void
run_now(emesh_loop *loop, emesh_task *task)
{
    (void)loop;
    task->run(task, EMESH_OK);
}

static void
work_now(const emesh_host *host, emesh_task *task)
{
    (void)host;
    task->run(task, EMESH_OK);
}

static emesh_timer *
no_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    (void)loop, (void)due;
    return ctx;
}

static void
no_timer_set(emesh_timer *timer, uint64_t at_ns)
{
    (void)timer, (void)at_ns;
}

static void
no_timer_end(emesh_timer *timer)
{
    (void)timer;
}

static const emesh_loop_api loop_api = {
    .size = sizeof loop_api, .time = quiet_time, .post = run_now, .work = work_now,
    .timer = no_timer, .timer_set = no_timer_set, .timer_end = no_timer_end,
};

static void
quiet_appended(const emesh_host *host, const emesh_appended *results, uint32_t n)
{
    quiet_store *q = (quiet_store *)(uintptr_t)host;
    q->code = results[n - 1].code;
    q->position = results[n - 1].position;
}

static const emesh_store_api store_api = { .size = sizeof store_api, .appended = quiet_appended };

static const void *
quiet_service(const emesh_host *host, const char *id)
{
    (void)host;
    return strcmp(id, EMESH_EVENT_ID) == 0 ? (const void *)&emesh_event_service
           : strcmp(id, EMESH_LOOP_ID) == 0 ? (const void *)&loop_api
                                            : (const void *)&store_api;
}

static void
quiet_complete(const emesh_host *host, emesh_op *given, int32_t code, const emesh_error *err,
               const void *result)
{
    quiet_op *op = (quiet_op *)(void *)given;
    (void)host, (void)err;
    *op = (quiet_op){ true, code, (void *)(uintptr_t)result };
}

static void
quiet_report(const emesh_host *host, uint32_t health, const emesh_error *err)
{
    (void)host, (void)err;
    g_assert_cmpuint(health, ==, EMESH_HEALTH_OK);
}

static void
quiet_log(const emesh_host *host, uint32_t level, const char *text, size_t len,
          const emesh_attr *fields, uint32_t n_fields)
{
    (void)host, (void)fields, (void)n_fields;
    if (g_getenv("STORE_HOST_LOG") != NULL)
        g_printerr("# <%u> %.*s\n", level, (int)len, text);
}

quiet_store *
quiet_open(const char *dir, const sa_options *opt, const sa_io *io)
{
    quiet_store *q = g_new0(quiet_store, 1);
    emesh_error err = { .size = sizeof err };
    q->dir = g_strdup(dir);
    q->about[0] = (emesh_attr){ "instance", "store", 8, 5, 0, 0 };
    q->about[1] = (emesh_attr){ "data-dir", q->dir, 8, (uint32_t)strlen(q->dir), 0, 0 };
    q->host = (emesh_host){ .size = sizeof q->host, .abi_minor = EMESH_ABI_MINOR, .about = q->about,
                            .n_about = 2, .n_lanes = 1, .service = quiet_service,
                            .complete = quiet_complete, .report = quiet_report, .log = quiet_log };
    int32_t code = sa_store_new(&q->host, opt, io, &q->store, &err);
    if (code == EMESH_OK)
        code = sa_folder_open(q->store, &err);
    if (code == EMESH_OK)
        code = sa_recover(q->store, &err);
    if (code == EMESH_OK)
        code = sa_lane_attach((emesh_instance *)(void *)q->store, NULL, 0, &q->lane, &err);
    if (code != EMESH_OK)
        g_error("the store does not open: %s", err.text);
    g_assert_cmpuint(q->store->stats.damaged, ==, 0);
    q->store->open = true;
    quiet_round(q, false);
    return q;
}

sa_store *
quiet_of(quiet_store *q)
{
    return q->store;
}

void
quiet_close(quiet_store *q, bool orderly)
{
    quiet_op op = { 0 };
    sa_lane_detach(q->lane, (emesh_op *)(void *)&op);
    g_assert_true(op.done);
    sa_clean_stop(q->store);
    if (orderly)
        sa_store_close(q->store);
    sa_store_free(q->store);
    g_free(q->dir);
    g_free(q);
}

void
quiet_round(quiet_store *q, bool checkpoint)
{
    sa_store *store = q->store;
    g_assert_cmpint(sa_sync_once(store), ==, EMESH_OK);
    sa_keeper_make_next(store, store->opt.segment_size);
    sa_seal_closed(store);
    sa_retain(store);
    g_assert_cmpint(sa_sync_once(store), ==, EMESH_OK);
    if (checkpoint)
        g_assert_cmpint(sa_checkpoint(store, true, false), ==, 0);
    sa_tell_step(store);
    g_assert_cmpint(sa_sync_once(store), ==, EMESH_OK);
    sa_tell_step(store);
    sa_keeper_make_next(store, store->opt.segment_size);
    sa_unlink_dead(store);
    for (uint32_t i = 0; checkpoint && i < 64; i++) {
        store->cleaner.next_ns = 0;
        sa_clean_step(store);
        sa_unlink_dead(store);
    }
}

struct emesh_topic *
quiet_topic(quiet_store *q, const char *name, uint32_t level)
{
    quiet_op op = { 0 };
    emesh_topic_spec spec = { .size = sizeof spec, .name = { name, strlen(name) }, .create = 1,
                              .partitions = 1, .level = level };
    sa_topic_open((emesh_instance *)(void *)q->store, &spec, (emesh_op *)(void *)&op);
    quiet_round(q, false);
    g_assert_true(op.done && op.code == EMESH_OK);
    return op.result;
}

emesh_position
quiet_append(quiet_store *q, const emesh_append *item)
{
    q->code = -1;
    sa_append(q->lane, item, 1);
    g_assert_cmpint(sa_sync_once(q->store), ==, EMESH_OK);
    g_assert_cmpint(q->code, ==, EMESH_OK);
    sa_keeper_make_next(q->store, q->store->opt.segment_size);
    return q->position;
}

int32_t
quiet_admin(quiet_store *q, uint32_t what, const char *topic, const char *group,
            const emesh_start *start, uint64_t position)
{
    quiet_op op = { 0 };
    emesh_admin ask = { .size = sizeof ask, .what = what, .start = start,
                        .topic = { topic, topic != NULL ? strlen(topic) : 0 },
                        .group = { group, group != NULL ? strlen(group) : 0 },
                        .partition = { "0", 1 }, .position = { 0, position } };
    sa_admin((emesh_instance *)(void *)q->store, &ask, (emesh_op *)(void *)&op);
    quiet_round(q, false);
    g_assert_true(op.done);
    return op.code;
}

sa_group *
quiet_group(quiet_store *q, const char *name)
{
    return sa_catalog_group(&q->store->cat, name, strlen(name));
}

void
quiet_settle(quiet_store *q, sa_group *group, sa_partition *part, uint64_t offset, bool up_to)
{
    sa_pair *pair = sa_pair_find(group, part->id);
    g_assert_nonnull(pair);
    if (!(up_to ? sa_pair_up_to(pair, offset) : sa_pair_ack(pair, offset)))
        return;
    GByteArray *body = g_byte_array_new();
    sa_commit_put(body, pair, SA_OP_ACK, &pair->more->news);
    sa_pair_told(pair);
    sa_pair_row(q->store, pair);
    sa_change *change = sa_change_new(q->store, NULL, 1);
    sa_change_add(change, SA_COMMIT, body, NULL, 0);
    sa_change_submit(change, true, NULL);
    quiet_round(q, false);
}

void
quiet_done(quiet_store *q, sa_group *group, sa_partition *part, uint64_t due, uint64_t token)
{
    sa_batch *batch = sa_batch_new(1);
    g_assert_nonnull(batch);
    sa_hold_done_rec(q->store, batch, due, token, SA_HOLD_INBOX, group->id, part->id, 0);
    sa_holds_submit(q->store, batch);
    quiet_round(q, false);
}
