/* SPDX-License-Identifier: Apache-2.0
 *
 * storage-redis and a server that answers anything: the input is what comes on the connection for
 * commands, while appends, a unit, readers alone and of a group, an inbox, listings and the beat wait for
 * answers; then the connection ends. Each operation must end exactly once, each append have one result,
 * and nothing be handed over that was not asked for.
 */
#include "event/event.h"
#include "fuzz.h"
#include "redis.h"

#include <glib.h>
#include <string.h>

typedef struct fake {
    emesh_host host;
    const emesh_conn_ops *ops[2];
    void *ctx[2];
    uint32_t dialled, closing;
    uint32_t ops_open, ops_done;
    uint64_t results;
    uint32_t granted, records;
    rs_topic *topic;
} fake;

static fake *the; /* one at a time: libFuzzer calls from one thread */

/* ---- services ---- */

static uint64_t
f_time(const emesh_loop *loop, uint32_t clock)
{
    (void)loop;
    return clock == EMESH_CLOCK_WALL ? UINT64_C(1700000000000) : UINT64_C(1000000000000);
}

static void
f_post(emesh_loop *loop, emesh_task *task)
{
    (void)loop;
    task->run(task, EMESH_OK);
}

static void
f_work(const emesh_host *host, emesh_task *task)
{
    (void)host;
    task->run(task, EMESH_OK);
}

static emesh_timer *
f_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    (void)loop, (void)due, (void)ctx;
    return (emesh_timer *)the;
}

static void
f_timer_set(emesh_timer *timer, uint64_t at_ns)
{
    (void)timer, (void)at_ns;
}

static void
f_timer_end(emesh_timer *timer)
{
    (void)timer;
}

static int32_t
f_dial(emesh_loop *loop, const emesh_dial *spec, const emesh_conn_ops *ops, void *ctx,
       emesh_conn **out)
{
    (void)loop, (void)spec;
    g_assert_cmpuint(the->dialled, <, 2);
    the->ops[the->dialled] = ops;
    the->ctx[the->dialled] = ctx;
    *out = (emesh_conn *)(void *)&the->ctx[the->dialled++];
    return EMESH_OK;
}

static int32_t
f_write(emesh_conn *conn, const emesh_part *parts, uint32_t n)
{
    (void)conn, (void)parts, (void)n;
    return EMESH_OK;
}

static void
f_close(emesh_conn *conn, uint32_t how)
{
    (void)conn, (void)how;
    the->closing++;
}

static emesh_metric *
f_metric(const emesh_host *host, const emesh_metric_spec *spec)
{
    (void)host, (void)spec;
    return NULL;
}

static void
f_add(emesh_metric *metric, int64_t delta)
{
    (void)metric, (void)delta;
}

static void
f_ready(const emesh_host *host, const emesh_store_info *info)
{
    (void)host, (void)info;
}

static void
f_appended(const emesh_host *host, const emesh_appended *results, uint32_t n)
{
    (void)host;
    for (uint32_t i = 0; i < n; i++) { /* each cookie once */
        g_assert_cmpuint(results[i].cookie, <, 64);
        g_assert_cmpuint(the->results >> results[i].cookie & 1, ==, 0);
        the->results |= UINT64_C(1) << results[i].cookie;
    }
}

static void
f_records(emesh_reader *reader, const emesh_record *records, uint32_t n)
{
    (void)reader;
    for (uint32_t i = 0; i < n; i++)
        if (records[i].event != NULL)
            the->records++;
}

static void
f_partition(emesh_reader *reader, uint32_t change, uint32_t partition, const char *name, size_t len,
            const emesh_error *err)
{
    (void)reader, (void)change, (void)partition, (void)name, (void)len, (void)err;
}

static void
f_replied(const emesh_host *host, const emesh_event *const *events, uint32_t n)
{
    (void)host, (void)events, (void)n;
}

static int32_t
f_get(const emesh_config *cfg, const char *name, uint32_t index, emesh_value *out)
{
    static const struct {
        const char *name, *text;
        int64_t i;
    } values[] = { { "address", "127.0.0.1:6379", 0 }, { "prefix", "p:", 0 },
                   { "lease", "", INT64_C(15000000000) }, { "answer-timeout", "", INT64_C(10000000000) },
                   { "poll-interval", "", 1000000000 }, { "retention-interval", "", 1000000000 } };

    (void)cfg;
    for (guint i = 0; index == 0 && i < G_N_ELEMENTS(values); i++)
        if (strcmp(values[i].name, name) == 0) {
            out->i = values[i].i;
            out->text = (emesh_slice){ values[i].text, strlen(values[i].text) };
            return EMESH_OK;
        }
    return EMESH_E_NOT_FOUND;
}

static int32_t
f_secret(const emesh_config *cfg, const char *name, int32_t (*use)(void *, const char *, size_t),
         void *ctx)
{
    (void)cfg, (void)name, (void)use, (void)ctx;
    return EMESH_E_NOT_FOUND;
}

static const emesh_loop_api loops = { .size = sizeof loops, .time = f_time, .post = f_post,
                                      .work = f_work, .timer = f_timer,
                                      .timer_set = f_timer_set, .timer_end = f_timer_end };
static const emesh_net_api nets = { .size = sizeof nets, .dial = f_dial, .write = f_write,
                                    .close = f_close };
static const emesh_metrics_api metrics = { .size = sizeof metrics, .metric = f_metric, .add = f_add };
static const emesh_store_api stores = { .size = sizeof stores, .ready = f_ready,
                                        .appended = f_appended, .records = f_records,
                                        .partition = f_partition, .replied = f_replied };
static const emesh_config_api configs = { .size = sizeof configs, .get = f_get, .secret = f_secret };

static const void *
f_service(const emesh_host *host, const char *id)
{
    (void)host;
    return strcmp(id, EMESH_EVENT_ID) == 0     ? (const void *)&emesh_event_service
           : strcmp(id, EMESH_LOOP_ID) == 0    ? (const void *)&loops
           : strcmp(id, EMESH_NET_ID) == 0     ? (const void *)&nets
           : strcmp(id, EMESH_METRICS_ID) == 0 ? (const void *)&metrics
           : strcmp(id, EMESH_STORE_ID) == 0   ? (const void *)&stores
                                               : (const void *)&configs;
}

static void
f_complete(const emesh_host *host, emesh_op *op, int32_t code, const emesh_error *err,
           const void *result)
{
    uint32_t *ended = (uint32_t *)(void *)op;

    (void)host, (void)err;
    g_assert_cmpuint(*ended, ==, 0); /* exactly once */
    *ended = 1;
    the->ops_done++;
    if (code == EMESH_OK && result != NULL && the->topic == NULL)
        the->topic = (rs_topic *)(uintptr_t)result;
}

static void
f_report(const emesh_host *host, uint32_t health, const emesh_error *err)
{
    (void)host, (void)health, (void)err;
}

static int32_t
f_log_on(const emesh_host *host, uint32_t level)
{
    (void)host, (void)level;
    return 0;
}

/* ---- one life ---- */

static uint32_t op_flags[32];

static emesh_op *
op(void)
{
    g_assert_cmpuint(the->ops_open, <, G_N_ELEMENTS(op_flags));
    op_flags[the->ops_open] = 0;
    return (emesh_op *)(void *)&op_flags[the->ops_open++];
}

static void
say(uint32_t link, const void *bytes, size_t n)
{
    emesh_part in = { .ptr = bytes, .len = n };

    if (((rs_link *)the->ctx[link])->conn != NULL &&
        ((rs_link *)the->ctx[link])->state != RS_LINK_CLOSING)
        the->ops[link]->data(the->ctx[link], (emesh_conn *)(void *)&the->ctx[link], &in);
}

static void
say_text(uint32_t link, const char *text)
{
    say(link, text, strlen(text));
}

static void
come_up(rs_store *s)
{
    static const char info[] = "redis_version:7.0.15\r\nrole:master\r\naof_enabled:1\r\n";
    g_autofree char *first = g_strdup_printf("+OK\r\n$%zu\r\n%s\r\n", sizeof info - 1, info);

    for (uint32_t i = 0; i < 2; i++)
        the->ops[i]->connected(the->ctx[i], (emesh_conn *)(void *)&the->ctx[i]);
    say_text(0, first);
    for (uint32_t i = 0; i < 4; i++)
        say_text(0, "*0\r\n");
    for (uint32_t i = 0; i < RS_SCRIPTS; i++)
        say_text(0, "+sha\r\n");
    g_assert_true(rs_link_is_up(&s->data));
    say_text(1, "+OK\r\n+PONG\r\n");
    g_assert_true(rs_link_is_up(&s->ear));
    say_text(0, ":1\r\n:1\r\n*0\r\n"); /* alive */
}

static const emesh_event *
an_event(void)
{
    static const emesh_attr attrs[] = { { "id", "1", 2, 1, 0, 0 }, { "source", "/", 6, 1, 0, 0 },
                                        { "type", "t", 4, 1, 0, 0 } };
    emesh_part data = { .ptr = "data", .len = 4 };
    emesh_event_view view = { .size = sizeof view, .data_form = EMESH_DATA_BYTES, .attrs = attrs,
                              .data = &data, .data_len = 4, .n_attrs = 3, .n_data = 1 };
    const emesh_event *event = NULL;

    g_assert_cmpint(emesh_event_service.build(&the->host, &view, NULL, &event, NULL), ==, EMESH_OK);
    return event;
}

static rs_cursor *
open_cursor(rs_store *s, const char *group, uint32_t flags)
{
    emesh_read_spec spec = { .size = sizeof spec, .topic = (emesh_topic *)(void *)the->topic,
                             .mode = group != NULL ? EMESH_READ_SHARED : EMESH_READ_ALONE,
                             .group = { group, group != NULL ? strlen(group) : 0 }, .flags = flags };
    emesh_start start = { .size = sizeof start, .kind = EMESH_START_EARLIEST };
    emesh_cursor *c = rs_open((emesh_lane *)(void *)s, &spec, NULL);

    start.kind = group != NULL ? EMESH_START_STORED : EMESH_START_EARLIEST;
    rs_begin(c, 0, 1, &start);
    rs_begin(c, RS_INBOX, 1, &start);
    rs_want(c, 100, 1 << 20);
    return (rs_cursor *)(void *)c;
}

static void
list(rs_store *s, uint32_t what)
{
    emesh_admin ask = { .size = sizeof ask, .what = what };

    rs_admin((emesh_instance *)(void *)s, &ask, op());
}

static void
append_some(rs_store *s, rs_cursor *c, const emesh_event *event, uint64_t first)
{
    emesh_commit commit = { .position = { 1, 2 }, .epoch = 1, .outcome = EMESH_COMMIT_ONE };
    emesh_append items[] = {
        { .event = event, .topic = (emesh_topic *)(void *)the->topic },
        { .event = event, .topic = (emesh_topic *)(void *)the->topic, .deliver_at_ms = 1 },
        { .event = event, .topic = (emesh_topic *)(void *)the->topic, .group = { "g", 1 },
          .cursor = (emesh_cursor *)(void *)c, .commit = &commit },
    };

    for (guint i = 0; i < G_N_ELEMENTS(items); i++)
        items[i].cookie = first + i;
    rs_append((emesh_lane *)(void *)s, items, G_N_ELEMENTS(items));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake f = { .host = { .size = sizeof f.host, .service = f_service, .complete = f_complete,
                         .report = f_report, .log_on = f_log_on } };
    emesh_topic_spec topic = { .size = sizeof topic, .name = { "T", 1 }, .partitions = 1, .create = 1 };
    emesh_instance *self = NULL;
    emesh_lane *lane = NULL;
    const emesh_event *event;
    rs_cursor *cursors[3];
    rs_store *s;
    size_t half = size > 0 ? 1 + data[0] % size : 0;

    the = &f;
    g_assert_cmpint(rs_create(&f.host, NULL, &self, NULL), ==, EMESH_OK);
    s = RS_STORE(self);
    g_assert_cmpint(rs_attach(self, (emesh_loop *)(void *)&f, 0, &lane, NULL), ==, EMESH_OK);
    come_up(s);
    rs_topic_open(self, &topic, op());
    say_text(0, ":1\r\n");
    g_assert_nonnull(f.topic);
    event = an_event();
    cursors[0] = open_cursor(s, "g", 0);
    cursors[1] = open_cursor(s, NULL, 0);
    cursors[2] = open_cursor(s, "o", EMESH_READ_ORDERED);
    append_some(s, cursors[0], event, 0);
    for (uint32_t what = EMESH_LIST_TOPICS; what <= EMESH_LIST_EVENT; what++)
        list(s, what);
    rs_beat(s);
    rs_trim(s);
    if (size > 0 && (data[0] & 0x80) != 0)
        say(1, data, size); /* the other one: messages */
    say(0, data + (size > 0), half > 0 ? half - 1 : 0);
    append_some(s, cursors[0], event, 3);
    rs_beat(s);
    say(0, data + half, size - half);
    for (guint i = 0; i < G_N_ELEMENTS(cursors); i++)
        rs_close((emesh_cursor *)(void *)cursors[i], op());
    rs_detach(lane, op());
    for (uint32_t i = 0; i < 2; i++)
        if (((rs_link *)f.ctx[i])->conn != NULL)
            f.ops[i]->closed(f.ctx[i], (emesh_conn *)(void *)&f.ctx[i], EMESH_E_LOST, NULL);
    g_assert_cmpuint(f.results, ==, 0x3f);
    g_assert_cmpuint(f.ops_done, ==, f.ops_open);
    rs_topic_close(self, (emesh_topic *)(void *)f.topic);
    emesh_event_service.unref(&event, 1);
    rs_destroy(self);
    return 0;
}
