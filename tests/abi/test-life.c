/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of an instance: order and threads of the calls, every step failing, every answer early,
 * late, twice or never. The plugin is in life-plugin.c.
 */
#include <string.h>
#include <sys/stat.h>

#include <gio/gio.h>

#include "plugin/loader.h"
#include "life-plugin.h"

/* ---- the tests ---- */

static void
whole_life(const emesh_plugin *plugin, answer how, const char *expected)
{
    stage s;

    play_reset();
    stage_open(&s);
    play.start = play.drain = play.detach = play.stop = how;
    emesh_inst *inst = stage_new(&s, plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    g_assert_cmpint(inst->state, ==, EMESH_INST_RUNNING);
    stage_down(&s, inst);
    g_assert_cmpint(inst->state, ==, EMESH_INST_STOPPED);
    assert_calls(expected);
    /* and once more: what is down can be brought up */
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    stage_down(&s, inst);
    assert_calls(expected);
    g_assert_cmpuint(counts_of(inst).ops_bad, ==, 0);
    finish(&s, inst);
}

static void
test_home(void)
{
    whole_life(&home_plugin, AT_ONCE, "create start attach drain detach stop destroy ");
}

static void
test_workers(void)
{
    whole_life(&workers_plugin, AT_ONCE,
               "create start attach attach drain drain detach detach stop destroy ");
}

static void
test_from_threads(void)
{
    whole_life(&workers_plugin, FROM_THREAD,
               "create start attach attach drain drain detach detach stop destroy ");
}

static void
test_glib(void)
{
    whole_life(&glib_plugin, AT_ONCE,
               "create start attach attach drain drain detach detach stop destroy ");
}

static void
test_brief(void)
{
    whole_life(&brief_plugin, AT_ONCE, "create destroy ");
}

static void
lane_is_glib(emesh_job *job)
{
    bool *seen = (bool *)(job + 1);

    *seen = g_main_context_get_thread_default() == emesh_glib_service.context(play.loops[1]) &&
            emesh_glib_service.context(play.loops[1]) != NULL;
    note("on-lane");
}

static bool
was_on_lane(const void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&play.lock);
    bool was = strstr(play.calls->str, "on-lane") != NULL;
    pthread_mutex_unlock(&play.lock);
    return was;
}

static gboolean
turn(void *data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

static void
test_glib_context(void)
{
    stage s;
    struct {
        emesh_job job;
        bool seen;
    } look = { .job.run = lane_is_glib };

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &glib_plugin, "one", "");
    g_assert_cmpuint(inst->host.n_lanes, ==, 2);
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    g_assert_true(play.loops[0]->worker != s.workers[0] && play.loops[1]->worker != s.workers[1]);
    emesh_worker_post(play.loops[1]->worker, &look.job);
    guint timer = g_timeout_add(1, turn, NULL);
    stage_wait(was_on_lane, NULL);
    g_source_remove(timer);
    g_assert_true(look.seen);
    g_assert_nonnull(emesh_inst_loop(inst, play.loops[0]->worker));
    g_assert_null(emesh_inst_loop(inst, s.workers[0]));
    stage_down(&s, inst);
    finish(&s, inst);
}

static const char *
about(const emesh_host *host, const char *name)
{
    for (uint32_t i = 0; i < host->n_about; i++)
        if (strlen(name) == host->about[i].name_len && strcmp(host->about[i].name, name) == 0)
            return host->about[i].value;
    return NULL;
}

static void
test_about(void)
{
    stage s;
    struct stat st;

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &home_plugin, "my-store", "");
    g_autofree char *data = g_build_filename(s.data, "my-store", NULL);
    g_assert_cmpstr(about(play.host, "instance"), ==, "my-store");
    g_assert_cmpstr(about(play.host, "component"), ==, "home");
    g_assert_cmpstr(about(play.host, "node"), ==, "node-1");
    g_assert_nonnull(about(play.host, "version"));
    g_assert_cmpstr(about(play.host, "data-dir"), ==, data);
    g_assert_cmpint(stat(data, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
    g_assert_true(play.host->service(play.host, EMESH_LOOP_ID) == &emesh_loop_service);
    g_assert_null(play.host->service(play.host, "emesh.oracle/1"));
    g_assert_true(emesh_inst_of(play.host) == inst);
    stage_down(&s, inst); /* never was up */
    assert_calls("create destroy ");
    finish(&s, inst);
}

static void
fails_up(const emesh_plugin *plugin, const char *text, int32_t code, const char *calls,
         const char *reason)
{
    stage s;

    stage_open(&s);
    emesh_inst *inst = stage_new(&s, plugin, "one", text);
    g_assert_cmpint(stage_up(&s, inst), ==, code);
    g_assert_cmpint(inst->state, ==, EMESH_INST_FAILED);
    assert_calls(calls);
    g_assert_cmpstr(inst->reason, ==, reason);
    finish(&s, inst);
}

static void
test_start_fails(void)
{
    play_reset();
    play.start = FAILING;
    fails_up(&workers_plugin, "", EMESH_E_IO, "create start stop destroy ", "io: the disk is gone");
}

static void
test_refuse_unavailable(void)
{
    play_reset();
    play.health = EMESH_HEALTH_DEGRADED;
    fails_up(&workers_plugin, "on-unavailable = refuse\n", EMESH_E_UNAVAILABLE,
             "create start stop destroy ", "unavailable: the broker is away");
    play_reset();
    play.health = EMESH_HEALTH_DEGRADED;
    play.start = NEVER; /* the report alone ends it */
    fails_up(&workers_plugin, "on-unavailable = refuse\n", EMESH_E_UNAVAILABLE,
             "create start stop destroy ", "unavailable: the broker is away");
}

static void
test_wait_unavailable(void)
{
    stage s;

    play_reset();
    stage_open(&s);
    play.health = EMESH_HEALTH_DEGRADED;
    emesh_inst *inst = stage_new(&s, &workers_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    g_assert_cmpuint(inst->health, ==, EMESH_HEALTH_DEGRADED);
    g_assert_cmpstr(inst->reason, ==, "unavailable: the broker is away");
    stage_down(&s, inst);
    finish(&s, inst);
}

static void
test_attach_fails(void)
{
    play_reset();
    play.attach_fails_on = 2;
    fails_up(&workers_plugin, "", EMESH_E_NO_MEMORY,
             "create start attach attach detach stop destroy ", "no-memory: this lane is bad");
    play_reset();
    play.attach_fails_on = 1;
    fails_up(&home_plugin, "", EMESH_E_NO_MEMORY, "create start attach stop destroy ",
             "no-memory: this lane is bad");
}

static void
refuses(stage *s, const emesh_plugin *plugin, const char *text, int code, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(stage_try(s, plugin, "one", text, &error));
    g_assert_error(error, EMESH_REFUSED, code);
    g_assert_cmpstr(error->message, ==, message);
}

static void
test_refused(void)
{
    static const emesh_need want_all[] = { { EMESH_LOOP_ID, sizeof(emesh_loop_api) + 8 } };
    static const emesh_need want_none[] = { { "emesh.oracle/1", 8 } };
    emesh_component needy = *home_plugin.components[0];
    const emesh_component *list[] = { &needy };
    emesh_plugin plugin = home_plugin;
    stage s;

    play_reset();
    stage_open(&s);
    plugin.components = list;
    needy.needs = want_all;
    refuses(&s, &plugin, "", EMESH_REFUSED_NEED,
            "E20 component home needs 88 bytes of service emesh.loop/1, this host has 80: use a "
            "newer host, or a build of the plugin for this one");
    needy.needs = want_none;
    refuses(&s, &plugin, "", EMESH_REFUSED_NEED,
            "E20 component home needs 8 bytes of service emesh.oracle/1, this host has 0: use a "
            "newer host, or a build of the plugin for this one");
    assert_calls("");
    refuses(&s, &home_plugin, "[options]\nlevel = 51\n", EMESH_REFUSED_CONFIG,
            "E23 50-one.conf:4: level: only even levels below 50 exist");
    assert_calls("");
    play.failing_create = true;
    refuses(&s, &home_plugin, "[options]\nlevel = 3\n", EMESH_REFUSED_CREATE,
            "E24 50-one.conf:4: level: no luck");
    assert_calls("create destroy ");
    play.no_self = true;
    refuses(&s, &home_plugin, "", EMESH_REFUSED_CREATE, "E24 default: level: no luck");
    assert_calls("create ");
    stage_close(&s);
}

static void
test_down_while_starting(void)
{
    stage s;

    play_reset();
    stage_open(&s);
    play.start = NEVER;
    emesh_inst *inst = stage_new(&s, &workers_plugin, "one", "");
    s.up_over = false;
    emesh_inst_up(inst, NULL, NULL);
    g_assert_cmpint(inst->state, ==, EMESH_INST_STARTING);
    stage_down(&s, inst);
    g_assert_cmpint(inst->state, ==, EMESH_INST_STOPPED);
    assert_calls("create start stop destroy ");
    g_assert_cmpuint(counts_of(inst).ops_bad, ==, 0);
    finish(&s, inst);
}

static void
test_drain_is_cut(void)
{
    stage s;

    play_reset();
    stage_open(&s);
    play.drain = NEVER;
    emesh_inst *inst = stage_new(&s, &home_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    stage_down(&s, inst);
    assert_calls("create start attach drain detach stop destroy ");
    g_assert_cmpuint(counts_of(inst).ops_bad, ==, 0); /* completed in stop: late, but right */
    finish(&s, inst);
}

static void
test_twice(void)
{
    stage s;

    play_reset();
    stage_open(&s);
    play.start = play.drain = play.detach = play.stop = TWICE;
    emesh_inst *inst = stage_new(&s, &workers_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    stage_down(&s, inst);
    assert_calls("create start attach attach drain drain detach detach stop destroy ");
    g_assert_cmpuint(counts_of(inst).ops_bad, ==, 6);
    play.host->complete(play.host, play.start_op, EMESH_OK, NULL, NULL);
    play.host->complete(play.host, NULL, EMESH_OK, NULL, NULL);
    g_assert_cmpuint(counts_of(inst).ops_bad, ==, 8);
    finish(&s, inst);
}

static void
op_lost(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    g_assert_null(err);
    g_assert_null(value);
    *(int32_t *)ctx = code;
}

static void
test_left_open(void)
{
    stage s;
    int32_t codes[2] = { 0 };

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &workers_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    (void)emesh_op_new(inst, s.env.main, NULL, op_lost, &codes[0]);
    (void)emesh_op_new(inst, s.workers[1], NULL, op_lost, &codes[1]);
    stage_down(&s, inst);
    g_assert_cmpint(codes[0], ==, EMESH_E_LOST);
    g_assert_cmpint(codes[1], ==, EMESH_E_LOST);
    g_assert_cmpuint(counts_of(inst).ops_bad, ==, 2);
    finish(&s, inst);
}

static void *
take_number(const emesh_inst *inst, const void *result)
{
    (void)inst;
    return GUINT_TO_POINTER(*(const uint32_t *)result + 1);
}

static void
number_done(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    bool *done = ctx;

    g_assert_cmpint(code, ==, EMESH_E_BUSY);
    g_assert_cmpint(err->code, ==, EMESH_E_BUSY);
    g_assert_cmpstr(err->text, ==, "shor");
    g_assert_cmpstr(err->option, ==, "");
    g_assert_cmpuint(GPOINTER_TO_UINT(value), ==, 43);
    *done = true;
}

/* The result is taken on the spot: what lies behind the plugin's pointer may be gone at once. An
 * error record of an older, shorter version is zero-extended. */
static void
test_result(void)
{
    stage s;
    bool done = false;
    emesh_error err = { .size = offsetof(emesh_error, text) + 4, .text = "shorter" };

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &home_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    emesh_op *op = emesh_op_new(inst, s.env.main, take_number, number_done, &done);
    uint32_t *number = g_new(uint32_t, 1);
    *number = 42;
    play.host->complete(play.host, op, EMESH_E_BUSY, &err, number);
    g_free(number);
    g_assert_false(done); /* never from within the plugin's call */
    stage_wait_flag(&done);
    stage_down(&s, inst);
    finish(&s, inst);
}

/* ---- health ---- */

static struct {
    uint32_t down, running;
    bool again;
} seen;

static void
going_down(void *ctx, emesh_inst *inst, emesh_job *done)
{
    g_assert_cmpint(inst->state, ==, EMESH_INST_DRAINING);
    seen.down++;
    emesh_worker_post(((stage *)ctx)->env.main, done);
}

static void
state_changed(void *ctx, emesh_inst *inst)
{
    (void)ctx;
    seen.running += inst->state == EMESH_INST_RUNNING;
    seen.again = seen.running == 2;
}

static void *
report_failed(void *data)
{
    emesh_error err = { .size = sizeof err, .code = EMESH_E_CORRUPT, .text = "block 7 is bad" };

    (void)data;
    for (uint32_t i = 0; i < 100; i++)
        play.host->report(play.host, i % 2 ? EMESH_HEALTH_OK : EMESH_HEALTH_DEGRADED, NULL);
    play.host->report(play.host, EMESH_HEALTH_FAILED, &err);
    play.host->report(play.host, EMESH_HEALTH_OK, NULL); /* too late for this life */
    return NULL;
}

static void
test_restart(void)
{
    stage s;
    pthread_t thread;

    play_reset();
    memset(&seen, 0, sizeof seen);
    stage_open(&s);
    s.env.events =
        (emesh_inst_events){ .going_down = going_down, .state_changed = state_changed, .ctx = &s };
    emesh_inst *inst = stage_new(&s, &workers_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    g_assert_cmpint(pthread_create(&thread, NULL, report_failed, NULL), ==, 0);
    pthread_join(thread, NULL);
    stage_wait_flag(&seen.again);
    g_assert_cmpuint(seen.down, ==, 1);
    g_assert_cmpuint(counts_of(inst).restarts, ==, 1);
    g_assert_cmpuint(inst->health, ==, EMESH_HEALTH_OK);
    g_assert_cmpstr(inst->reason, ==, "");
    stage_down(&s, inst);
    g_assert_cmpuint(seen.down, ==, 2);
    assert_calls("create start attach attach drain drain detach detach stop destroy "
                 "create start attach attach drain drain detach detach stop destroy ");
    finish(&s, inst);
}

static bool
is_failed(const void *ctx)
{
    return ((const emesh_inst *)ctx)->state == EMESH_INST_FAILED;
}

static void
test_down_before_restart(void)
{
    stage s;

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &workers_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    (void)report_failed(NULL);
    stage_wait(is_failed, inst);
    g_assert_cmpstr(inst->reason, ==, "corrupt: block 7 is bad");
    stage_down(&s, inst);
    g_assert_cmpint(inst->state, ==, EMESH_INST_STOPPED);
    g_assert_cmpuint(counts_of(inst).restarts, ==, 0);
    finish(&s, inst);
}

/* ---- apply ---- */

static emesh_config *
config_with(const char *level)
{
    g_autofree char *text =
        g_strdup_printf("[instance]\ncomponent = x\n[options]\nlevel = %s\n", level);
    g_autoptr(GError) error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_parse("50-one.conf", text, strlen(text), &error);
    emesh_config *config = emesh_config_new(emesh_conf_instance_at(conf, 0)->options,
                                            home_plugin.components[0]->options, 1,
                                            sizeof(emesh_option), NULL, 0, &error);

    g_assert_no_error(error);
    return config;
}

static void
test_apply(void)
{
    stage s;
    g_autoptr(emesh_config) seven = config_with("7");
    g_autoptr(emesh_config) eight = config_with("8");

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &home_plugin, "one", "");
    emesh_inst_up(inst, NULL, NULL);
    g_assert_cmpint(inst->state, ==, EMESH_INST_STARTING);
    emesh_inst_apply(inst, seven); /* too early: told when it runs */
    assert_calls("create start ");
    stage_down(&s, inst);
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK); /* a new life is created with it */
    assert_calls("stop destroy create start attach ");
    emesh_inst_apply(inst, eight);
    g_assert_true(emesh_inst_config(inst) == eight);
    stage_down(&s, inst); /* at once; the lane still hears of it first */
    assert_calls("apply-main apply drain detach stop destroy ");
    g_assert_cmpuint(play.applied, ==, 8);
    finish(&s, inst);
}

/* What came between create() and the first running is told when it runs. */
static void
test_apply_early(void)
{
    stage s;
    g_autoptr(emesh_config) seven = config_with("7");

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &home_plugin, "one", "");
    emesh_inst_apply(inst, seven);
    assert_calls("create ");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    stage_down(&s, inst);
    assert_calls("start attach apply-main apply drain detach stop destroy ");
    g_assert_cmpuint(play.applied, ==, 7);
    finish(&s, inst);
}

/* ---- tasks ---- */

typedef struct job_task {
    emesh_task task;
    int32_t code;
    bool ran;
    bool on_main;
    emesh_loop *home;
} job_task;

static void
task_runs(emesh_task *task, int32_t code)
{
    job_task *mine = (job_task *)task;

    mine->code = code;
    mine->on_main = !emesh_worker_is_current(mine->home->worker);
    __atomic_store_n(&mine->ran, true, __ATOMIC_RELEASE);
}

static void
work_runs(emesh_task *task, int32_t code)
{
    job_task *mine = (job_task *)task;

    g_assert_cmpint(code, ==, EMESH_OK);
    g_usleep(20000); /* blocking work, which is what the pool is for */
    mine->task.run = task_runs;
    emesh_loop_service.post(mine->home, task);
}

/* Work under way when stop is completed is waited for, and its way home runs, CLOSED, on main. */
static void
test_work_is_awaited(void)
{
    stage s;
    job_task work = { .task.run = work_runs }, late = { .task.run = task_runs };

    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &glib_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    work.home = late.home = play.loops[1];
    emesh_loop_service.work(play.host, &work.task);
    emesh_loop_service.post(play.loops[1], &late.task);
    stage_down(&s, inst);
    g_assert_true(late.ran);
    g_assert_cmpint(late.code, ==, EMESH_OK);
    g_assert_false(late.on_main);
    g_assert_true(work.ran);
    g_assert_cmpint(work.code, ==, EMESH_E_CLOSED);
    g_assert_true(work.on_main);
    finish(&s, inst);
}

/* ---- left open on the net ---- */

static void
must_not_come(void *ctx, emesh_conn *conn, int32_t code, const emesh_error *err)
{
    (void)ctx, (void)conn, (void)code, (void)err;
    note("closed");
}

static size_t
nothing_read(void *ctx, emesh_conn *conn, const emesh_part *in)
{
    (void)ctx, (void)conn, (void)in;
    return 0;
}

static void
must_not_be_found(void *ctx, int32_t code, const emesh_slice *found, uint32_t n)
{
    (void)ctx, (void)code, (void)found, (void)n;
    note("found");
}

typedef struct dialling {
    emesh_job job;
    char address[32];
    bool done;
} dialling;

static void
dial_on_lane(emesh_job *job)
{
    static const emesh_conn_ops ops = { .size = sizeof ops,
                                        .data = nothing_read,
                                        .closed = must_not_come };
    dialling *d = (dialling *)job;
    emesh_dial spec = { .size = sizeof spec, .address = { d->address, strlen(d->address) } };
    emesh_conn *conn;

    g_assert_cmpint(emesh_net_service.dial(play.loops[0], &spec, &ops, NULL, &conn), ==, EMESH_OK);
    emesh_net_service.resolve(play.loops[0], d->address, strlen(d->address), must_not_be_found,
                              NULL);
    __atomic_store_n(&d->done, true, __ATOMIC_RELEASE);
}

/* A plugin that detaches and leaves a connection behind is not called for it any more; nor does the
 * connection live on. */
static void
test_left_on_net(void)
{
    stage s;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) socket =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
    g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    g_autoptr(GSocketAddress) any = g_inet_socket_address_new(loopback, 0);
    dialling d = { .job.run = dial_on_lane };
    char byte;

    g_assert_true(g_socket_bind(socket, any, TRUE, &error) && g_socket_listen(socket, &error));
    g_autoptr(GSocketAddress) address = g_socket_get_local_address(socket, &error);
    g_snprintf(d.address, sizeof d.address, "127.0.0.1:%u",
               g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(address)));
    play_reset();
    stage_open(&s);
    emesh_inst *inst = stage_new(&s, &home_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    emesh_worker_post(play.loops[0]->worker, &d.job);
    g_autoptr(GSocket) peer = g_socket_accept(socket, NULL, &error); /* so it was dialled */
    g_assert_no_error(error);
    stage_down(&s, inst);
    g_assert_true(__atomic_load_n(&d.done, __ATOMIC_ACQUIRE));
    g_assert_cmpint(g_socket_receive(peer, &byte, 1, NULL, NULL), <=, 0);
    pthread_mutex_lock(&play.lock);
    g_assert_null(strstr(play.calls->str, "closed"));
    pthread_mutex_unlock(&play.lock);
    finish(&s, inst);
}

static const emesh_host *left[2]; /* for the leak checker: they are left on purpose */
static uint32_t n_left;

static void
never_in_time(answer *step, const char *calls, const char *reason)
{
    stage s;

    stage_open(&s);
    s.env.step_limit_ns = 50000000;
    *step = NEVER;
    emesh_inst *inst = stage_new(&s, &home_plugin, "one", "");
    g_assert_cmpint(stage_up(&s, inst), ==, EMESH_OK);
    stage_down(&s, inst);
    g_assert_cmpint(inst->state, ==, EMESH_INST_FAILED);
    g_assert_cmpstr(inst->reason, ==, reason);
    assert_calls(calls);
    emesh_inst_free(inst); /* leaves it alone */
    left[n_left++] = play.host;
    g_assert_true(emesh_inst_of(play.host) == inst);
    stage_close(&s);
    *step = AT_ONCE;
}

static void
test_abandoned(void)
{
    play_reset();
    never_in_time(&play.stop, "create start attach drain detach stop ",
                  "timeout: stop was not completed in time: abandoned");
    play_reset();
    never_in_time(&play.detach, "create start attach drain detach ",
                  "timeout: detach was not completed in time: abandoned");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/abi/life/home", test_home);
    g_test_add_func("/abi/life/workers", test_workers);
    g_test_add_func("/abi/life/from-threads", test_from_threads);
    g_test_add_func("/abi/life/glib", test_glib);
    g_test_add_func("/abi/life/glib-context", test_glib_context);
    g_test_add_func("/abi/life/brief", test_brief);
    g_test_add_func("/abi/life/about", test_about);
    g_test_add_func("/abi/life/start-fails", test_start_fails);
    g_test_add_func("/abi/life/refuse-unavailable", test_refuse_unavailable);
    g_test_add_func("/abi/life/wait-unavailable", test_wait_unavailable);
    g_test_add_func("/abi/life/attach-fails", test_attach_fails);
    g_test_add_func("/abi/life/refused", test_refused);
    g_test_add_func("/abi/life/down-while-starting", test_down_while_starting);
    g_test_add_func("/abi/life/drain-is-cut", test_drain_is_cut);
    g_test_add_func("/abi/life/twice", test_twice);
    g_test_add_func("/abi/life/left-open", test_left_open);
    g_test_add_func("/abi/life/result", test_result);
    g_test_add_func("/abi/life/restart", test_restart);
    g_test_add_func("/abi/life/down-before-restart", test_down_before_restart);
    g_test_add_func("/abi/life/apply", test_apply);
    g_test_add_func("/abi/life/apply-early", test_apply_early);
    g_test_add_func("/abi/life/work-is-awaited", test_work_is_awaited);
    g_test_add_func("/abi/life/left-on-net", test_left_on_net);
    g_test_add_func("/abi/life/abandoned", test_abandoned);
    return g_test_run();
}
