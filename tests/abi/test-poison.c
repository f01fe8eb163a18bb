/* SPDX-License-Identifier: Apache-2.0
 *
 * Plugins in the hands of a host that lends memory for the length of a call and not an instant
 * longer, that fails the n-th allocation for every n, and that counts descriptors, threads and
 * references over a thousand lives.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "event/event.h"
#include "plugin/loader.h"
#include "poison.h"

static emesh_loader *loader;

static const emesh_plugin *
open_plugin(const char *name)
{
    g_autoptr(GError) error = NULL;
    const emesh_plugin *plugin = emesh_loader_open(loader, name, &error);

    g_assert_no_error(error);
    return plugin;
}

static uint32_t
entries_of(const char *folder)
{
    g_autoptr(GDir) entries = g_dir_open(folder, 0, NULL);
    uint32_t n = 0;

    while (g_dir_read_name(entries) != NULL)
        n++;
    return n;
}

/* ---- on a lane, and waiting for it ---- */

typedef struct lane_call {
    emesh_job job, back;
    void (*fn)(void *ctx);
    void *ctx;
    emesh_worker *main;
    bool over;
} lane_call;

static void
call_is_back(emesh_job *job)
{
    ((lane_call *)((char *)job - offsetof(lane_call, back)))->over = true;
}

static void
call_runs(emesh_job *job)
{
    lane_call *call = (lane_call *)job;

    call->fn(call->ctx);
    poison_all();
    call->back.run = call_is_back;
    emesh_worker_post(call->main, &call->back);
}

static void
on_lane(emesh_inst *inst, void (*fn)(void *ctx), void *ctx)
{
    lane_call call = { .job.run = call_runs, .fn = fn, .ctx = ctx, .main = inst->loops[0]->main };

    emesh_worker_post(inst->loops[0]->worker, &call.job);
    stage_wait_flag(&call.over);
}

/* ---- a store's day ---- */

#define N_EVENTS 5u

typedef struct day {
    emesh_inst *inst;
    const emesh_event *events[N_EVENTS];
    emesh_topic *topic;
    emesh_cursor *cursor;
    int32_t code;
    bool over;
} day;

static void
op_over(void *ctx, int32_t code, const emesh_error *err, void *value)
{
    day *d = ctx;

    (void)err;
    d->code = code;
    d->topic = value != NULL ? value : d->topic;
    d->over = true;
}

static bool
day_open_topic(day *d)
{
    emesh_topic_spec *spec = poison_page(sizeof *spec);

    *spec = (emesh_topic_spec){ .size = sizeof *spec,
                                .partitions = 1,
                                .name = { poison_copy("orders", 6), 6 },
                                .create = 1,
                                .level = EMESH_LEVEL_MEMORY };
    d->over = false;
    d->inst->storage.topic_open(d->inst->self, spec,
                                emesh_op_new(d->inst, d->inst->loops[0]->main, NULL, op_over, d));
    poison_all();
    stage_wait_flag(&d->over);
    return d->code == EMESH_OK;
}

static const emesh_event *
event_new(uint32_t i)
{
    g_autofree char *id = g_strdup_printf("%u", i);
    const emesh_attr attrs[] = { { "id", id, 2, (uint32_t)strlen(id), 0, 0 },
                                 { "source", "/test", 6, 5, 0, 0 },
                                 { "type", "t", 4, 1, 0, 0 } };
    const emesh_part data = { "some data", 9, NULL };
    const emesh_event_view view = { .size = sizeof view,
                                    .data_form = EMESH_DATA_BYTES,
                                    .attrs = attrs,
                                    .n_attrs = 3,
                                    .data = &data,
                                    .n_data = 1,
                                    .data_len = 9 };
    const emesh_event *event = NULL;

    g_assert_cmpint(emesh_event_build(&view, NULL, &event, NULL), ==, EMESH_OK);
    return event;
}

static void
append_on_lane(void *ctx)
{
    day *d = ctx;
    uint32_t stride = d->inst->layout.append;
    char *items = poison_page((size_t)stride * N_EVENTS);

    for (uint32_t i = 0; i < N_EVENTS; i++) {
        emesh_append item = { .event = d->events[i],
                              .topic = d->topic,
                              .cookie = i,
                              .key = { poison_copy("k", 1), 1 },
                              .level = EMESH_LEVEL_MEMORY };
        memcpy(items + (size_t)i * stride, &item, MIN(stride, sizeof item));
    }
    d->inst->storage.append(d->inst->loops[0]->lane, (const emesh_append *)items, N_EVENTS);
}

static bool
all_answered(const void *ctx)
{
    (void)ctx;
    return poison_listen().results >= N_EVENTS;
}

static void
open_on_lane(void *ctx)
{
    day *d = ctx;
    emesh_read_spec *spec = poison_page(sizeof *spec);

    *spec = (emesh_read_spec){ .size = sizeof *spec, .mode = EMESH_READ_ALONE, .topic = d->topic };
    d->cursor = d->inst->storage.open(d->inst->loops[0]->lane, spec, (emesh_reader *)d->inst);
}

static void
begin_on_lane(void *ctx)
{
    day *d = ctx;
    emesh_start *start = poison_page(sizeof *start);

    *start = (emesh_start){ .size = sizeof *start, .kind = EMESH_START_EARLIEST };
    d->inst->storage.begin(d->cursor, poison_listen().partition, 7, start);
    d->inst->storage.want(d->cursor, 100, 1u << 20);
}

static void
close_on_lane(void *ctx)
{
    day *d = ctx;

    d->inst->storage.close(d->cursor,
                           emesh_op_new(d->inst, d->inst->loops[0]->main, NULL, op_over, d));
}

static bool
is_assigned(const void *ctx)
{
    (void)ctx;
    return poison_listen().assigned;
}

static bool
all_read(const void *ctx)
{
    poison_heard heard = poison_listen();

    (void)ctx;
    return heard.records + heard.failed >= N_EVENTS;
}

/* Results and records come from any thread: main must turn to look. */
static gboolean
tick(void *data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

static void
wait_for(bool (*done)(const void *ctx), const void *ctx)
{
    guint timer = g_timeout_add(1, tick, NULL);

    stage_wait(done, ctx);
    g_source_remove(timer);
}

static void
store_day(emesh_inst *inst)
{
    day d = { .inst = inst };

    poison_forget();
    if (!day_open_topic(&d))
        return;
    g_assert_nonnull(d.topic);
    for (uint32_t i = 0; i < N_EVENTS; i++)
        d.events[i] = event_new(i);
    on_lane(inst, append_on_lane, &d);
    for (uint32_t i = 0; i < N_EVENTS; i++)
        emesh_event_unref(d.events[i]); /* who keeps it has taken a reference */
    wait_for(all_answered, NULL);
    on_lane(inst, open_on_lane, &d);
    if (d.cursor != NULL) {
        wait_for(is_assigned, NULL);
        on_lane(inst, begin_on_lane, &d);
        if (!poison_has_failed()) /* what failed may be what was to be read */
            wait_for(all_read, &d);
        d.over = false;
        on_lane(inst, close_on_lane, &d);
        stage_wait_flag(&d.over);
    }
    poison_heard heard = poison_listen();
    g_assert_cmpuint(heard.results, ==, N_EVENTS);
    g_assert_cmpuint(heard.twice, ==, 0);
    inst->storage.topic_close(inst->self, d.topic);
}

static void
one_life(stage *s, const emesh_plugin *plugin, const char *name, const char *text,
         void (*live)(emesh_inst *inst))
{
    g_autoptr(GError) error = NULL;
    emesh_inst *inst = stage_try(s, plugin, name, text, &error);

    if (inst == NULL) {
        g_assert_true(poison_has_failed());
        return;
    }
    if (stage_up(s, inst) == EMESH_OK) {
        live(inst);
        stage_down(s, inst);
    } else {
        g_assert_true(poison_has_failed());
    }
    emesh_inst_free(inst);
    poison_free();
    g_assert_cmpint(poison_refs(), ==, 0);
    g_assert_cmpuint(poison_open_sessions(), ==, 0);
}

static void
every_failure(const emesh_plugin *plugin, const char *text, void (*live)(emesh_inst *inst))
{
    stage s;

    stage_open(&s);
    poison_services(&s);
    for (uint32_t n = 0; n < 1000; n++) {                      /* 0: nothing fails */
        g_autofree char *name = g_strdup_printf("life-%u", n); /* with a data folder of its own */
        poison_fail_at(n);
        one_life(&s, plugin, name, text, live);
        if (n > 0 && !poison_has_failed())
            break;
        g_assert_cmpuint(n, <, 999);
    }
    poison_fail_at(0);
    stage_close(&s);
}

static void
test_store_memory(void)
{
    every_failure(open_plugin("storage-memory"), "", store_day);
}

static void
test_storage_standalone(void)
{
    every_failure(open_plugin("storage-standalone"), "", store_day);
}

/* ---- a protocol's day ---- */

static int
dial(emesh_inst *inst)
{
    emesh_listener_info info;
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct timeval limit = { .tv_sec = 10 };

    g_assert_cmpuint(emesh_net_listener_info(emesh_inst_listeners(inst), &info, 1), ==, 1);
    addr.sin_port = htons((uint16_t)g_ascii_strtoull(strrchr(info.address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(fd, >=, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    return fd;
}

/* Reads until text was seen or the peer is gone. */
static bool
expect(int fd, GString *all, const char *text)
{
    char bytes[256];

    while (strstr(all->str, text) == NULL) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return false;
        g_string_append_len(all, bytes, n);
    }
    return true;
}

static bool
has_settled(const void *ctx)
{
    return poison_settled() > *(const uint32_t *)ctx;
}

static void
line_day(emesh_inst *inst)
{
    g_autoptr(GString) all = g_string_new(NULL);
    uint32_t before = poison_settled();
    int fd = dial(inst);
    bool fine = send(fd, "PUB t hel", 9, MSG_NOSIGNAL) == 9 &&
                send(fd, "lo\nSUB t g\n", 11, MSG_NOSIGNAL) == 11 && expect(fd, all, "OK 1\n") &&
                expect(fd, all, "SUBOK\n") && expect(fd, all, "MSG 42 hello\n") &&
                send(fd, "ACK 42\n", 7, MSG_NOSIGNAL) == 7;

    if (fine)
        wait_for(has_settled, &before);
    else
        g_assert_true(poison_has_failed());
    close(fd);
}

static void
test_protocol_line(void)
{
    static const char text[] = "[options]\nlisten = 127.0.0.1:0\n";

    every_failure(open_plugin("protocol-line"), text, line_day);
}

/* ---- a thousand lives ---- */

static void
test_thousand_lives(void)
{
    const emesh_plugin *store = open_plugin("storage-memory");
    const emesh_plugin *line = open_plugin("protocol-line");
    uint32_t fds = 0, threads = 0;
    stage s;

    stage_open(&s);
    poison_services(&s);
    poison_fail_at(0);
    for (uint32_t i = 0; i < 1000; i++) {
        one_life(&s, store, "store", "", store_day);
        one_life(&s, line, "line", "[options]\nlisten = 127.0.0.1:0\n", line_day);
        if (i == 10) { /* what is made once, is made by now */
            fds = entries_of("/proc/self/fd");
            threads = entries_of("/proc/self/task");
        }
    }
    g_assert_cmpuint(entries_of("/proc/self/fd"), ==, fds);
    g_assert_cmpuint(entries_of("/proc/self/task"), ==, threads);
    stage_close(&s);
}

int
main(int argc, char **argv)
{
    g_autofree char *plugins = g_build_filename(g_getenv("EMESH_BUILD"), "plugins", NULL);
    const char *dirs[] = { plugins, g_getenv("EMESH_FIXTURES"), NULL };

    g_test_init(&argc, &argv, NULL);
    loader = emesh_loader_new(dirs, NULL, NULL);
    g_test_add_func("/abi/poison/store-memory", test_store_memory);
    g_test_add_func("/abi/poison/storage-standalone", test_storage_standalone);
    g_test_add_func("/abi/poison/protocol-line", test_protocol_line);
    g_test_add_func("/abi/poison/thousand-lives", test_thousand_lives);
    int result = g_test_run();
    emesh_loader_free(loader);
    return result;
}
