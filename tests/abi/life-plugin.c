/* SPDX-License-Identifier: Apache-2.0
 *
 * See life-plugin.h.
 */
#include "life-plugin.h"

#include <string.h>

struct play play = { .lock = PTHREAD_MUTEX_INITIALIZER };

void
note(const char *what)
{
    pthread_mutex_lock(&play.lock);
    g_string_append_printf(play.calls, "%s ", what);
    pthread_mutex_unlock(&play.lock);
}

void
assert_calls(const char *expected)
{
    pthread_mutex_lock(&play.lock);
    g_assert_cmpstr(play.calls->str, ==, expected);
    g_string_truncate(play.calls, 0);
    pthread_mutex_unlock(&play.lock);
}

/* ---- the plugin ---- */

static void *
complete_later(void *data)
{
    emesh_op *op = data;

    play.host->complete(play.host, op, EMESH_OK, NULL, NULL);
    return NULL;
}

static void
answer_op(answer how, emesh_op *op)
{
    emesh_error err = { .size = sizeof err, .code = EMESH_E_IO, .text = "the disk is gone" };

    switch (how) {
    case FROM_THREAD:
        pthread_mutex_lock(&play.lock);
        g_assert_cmpuint(play.n_threads, <, G_N_ELEMENTS(play.threads));
        g_assert_cmpint(pthread_create(&play.threads[play.n_threads++], NULL, complete_later, op),
                        ==, 0);
        pthread_mutex_unlock(&play.lock);
        return;
    case NEVER:
        return;
    case TWICE:
        play.host->complete(play.host, op, EMESH_OK, NULL, NULL);
        play.host->complete(play.host, op, EMESH_E_INTERNAL, NULL, NULL);
        return;
    case FAILING:
        play.host->complete(play.host, op, EMESH_E_IO, &err, NULL);
        return;
    case AT_ONCE:
        play.host->complete(play.host, op, EMESH_OK, NULL, NULL);
        return;
    }
}

static void
must_be_main(void)
{
    emesh_worker *current = emesh_worker_current();

    /* main is a worker as well, or none to itself: in any case no lane */
    if (current != NULL && strncmp(emesh_worker_name(current), "worker", 6) == 0)
        play.wrong_thread++;
}

static int32_t
life_create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    (void)cfg;
    must_be_main();
    note("create");
    play.host = host;
    if (!play.no_self)
        *out = (emesh_instance *)&play;
    if (play.failing_create) {
        g_strlcpy(err->text, "no luck", sizeof err->text);
        g_strlcpy(err->option, "level", sizeof err->option);
        return EMESH_E_CONFIG;
    }
    return EMESH_OK;
}

static void
life_start(emesh_instance *self, emesh_op *op)
{
    emesh_error err = { .size = sizeof err, .text = "the broker is away" };

    g_assert_true(self == (emesh_instance *)&play);
    must_be_main();
    note("start");
    if (play.health != EMESH_HEALTH_OK)
        play.host->report(play.host, play.health, &err);
    play.start_op = op;
    answer_op(play.start, op);
}

static int32_t
life_attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out,
            emesh_error *err)
{
    (void)self;
    g_assert_cmpuint(index, <, play.host->n_lanes);
    play.loops[index] = loop;
    if (!emesh_worker_is_current(loop->worker))
        play.wrong_thread++;
    note("attach");
    *out = (emesh_lane *)&play.loops[index];
    if (play.attach_fails_on == index + 1) {
        g_strlcpy(err->text, "this lane is bad", sizeof err->text);
        return EMESH_E_NO_MEMORY;
    }
    return EMESH_OK;
}

static void
on_own_lane(const emesh_lane *lane)
{
    emesh_loop *loop = *(emesh_loop *const *)(const void *)lane;

    if (!emesh_worker_is_current(loop->worker))
        play.wrong_thread++;
}

static void
life_apply(emesh_instance *self, emesh_lane *lane, const emesh_config *cfg)
{
    emesh_value value = { .size = sizeof value };

    (void)self;
    g_assert_cmpint(emesh_config_service.get(cfg, "level", 0, &value), ==, EMESH_OK);
    __atomic_store_n(&play.applied, (uint32_t)value.i, __ATOMIC_RELAXED);
    if (lane != NULL)
        on_own_lane(lane);
    note(lane != NULL ? "apply" : "apply-main");
}

static void
life_drain(emesh_lane *lane, uint64_t deadline_ns, emesh_op *op)
{
    g_assert_cmpuint(deadline_ns, !=, 0);
    on_own_lane(lane);
    note("drain");
    if (play.drain == NEVER) /* then there is one lane */
        play.drain_op = op;
    answer_op(play.drain, op);
}

static void
life_detach(emesh_lane *lane, emesh_op *op)
{
    on_own_lane(lane);
    note("detach");
    answer_op(play.detach, op);
}

static void
life_stop(emesh_instance *self, emesh_op *op)
{
    (void)self;
    must_be_main();
    note("stop");
    if (play.start == NEVER)
        play.host->complete(play.host, play.start_op, EMESH_E_CANCELED, NULL, NULL);
    if (play.drain == NEVER && play.drain_op != NULL)
        play.host->complete(play.host, play.drain_op, EMESH_E_CANCELED, NULL, NULL);
    play.drain_op = NULL;
    answer_op(play.stop, op);
}

static void
life_destroy(emesh_instance *self)
{
    g_assert_true(self == (emesh_instance *)&play);
    must_be_main();
    note("destroy");
}

static int32_t
life_check(const emesh_config *cfg, emesh_error *err)
{
    emesh_value value = { .size = sizeof value };

    if (emesh_config_service.get(cfg, "level", 0, &value) == EMESH_OK && value.i < 50)
        return EMESH_OK;
    g_strlcpy(err->option, "level", sizeof err->option);
    g_strlcpy(err->text, "only even levels below 50 exist", sizeof err->text);
    return EMESH_E_CONFIG;
}

static const emesh_life_ops life = { .size = sizeof life,
                                     .check = life_check,
                                     .create = life_create,
                                     .start = life_start,
                                     .attach = life_attach,
                                     .apply = life_apply,
                                     .drain = life_drain,
                                     .detach = life_detach,
                                     .stop = life_stop,
                                     .destroy = life_destroy };
static const emesh_life_ops short_life = { .size = sizeof short_life,
                                           .create = life_create,
                                           .destroy = life_destroy };
static const emesh_option_group groups[] = { { "emesh.dial/1", "" } };
static const emesh_option options[] = {
    { .name = "level",
      .value = "1",
      .type = EMESH_OPT_INT,
      .min = 0,
      .max = 99,
      .may = EMESH_OPT_LIVE,
      .help = "a number",
      .since = 100 },
};
static const emesh_layout layout = EMESH_LAYOUT;
static const emesh_need needs[] = { EMESH_NEED(EMESH_LOOP_ID, emesh_loop_api, timer_end) };
#define COMPONENT(id, table, where)                                                                \
    static const emesh_component id = { .size = sizeof id,                                         \
                                        .option_size = sizeof(emesh_option),                       \
                                        .kind = "emesh.none/1",                                    \
                                        .name = #id,                                               \
                                        .summary = "does as told",                                 \
                                        .life = &table,                                            \
                                        .options = options,                                        \
                                        .n_options = 1,                                            \
                                        .needs = needs,                                            \
                                        .n_needs = 1,                                              \
                                        .groups = groups,                                          \
                                        .n_groups = 1,                                             \
                                        .lanes = where };                                          \
    static const emesh_component *const id##_list[] = { &id };                                     \
    const emesh_plugin id##_plugin = {                                                      \
        .size = sizeof id##_plugin, .n_components = 1, .components = id##_list, .layout = &layout  \
    }
COMPONENT(home, life, EMESH_LANES_HOME);
COMPONENT(workers, life, EMESH_LANES_WORKERS);
COMPONENT(glib, life, EMESH_LANES_GLIB);
COMPONENT(brief, short_life, EMESH_LANES_WORKERS);

/* ---- the frame of a test ---- */

void
play_reset(void)
{
    if (play.calls == NULL)
        play.calls = g_string_new(NULL);
    g_string_truncate(play.calls, 0);
    play.host = NULL;
    play.start = play.drain = play.detach = play.stop = AT_ONCE;
    play.health = EMESH_HEALTH_OK;
    play.attach_fails_on = 0;
    play.start_op = play.drain_op = NULL;
    play.wrong_thread = 0;
    play.failing_create = play.no_self = false;
}

emesh_inst_counts
counts_of(const emesh_inst *inst)
{
    emesh_inst_counts counts;

    emesh_inst_read_counts(inst, &counts);
    return counts;
}

void
finish(stage *s, emesh_inst *inst)
{
    g_assert_cmpuint(counts_of(inst).ops_open, ==, 0);
    g_assert_cmpuint(play.wrong_thread, ==, 0);
    while (play.n_threads > 0)
        pthread_join(play.threads[--play.n_threads], NULL);
    emesh_inst_free(inst);
    stage_close(s);
}
