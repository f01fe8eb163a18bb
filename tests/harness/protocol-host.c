/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of the fake host, its clock and its connections. The mesh is in protocol-mesh.c. One thread.
 */
#include "protocol-host.h"
#include "protocol-mesh.h"
#include "config/config.h"
#include "event/event.h"

#include <string.h>

struct emesh_timer {
    ph_host *host;
    void (*due)(void *ctx);
    void *ctx;
    uint64_t at_ns;
    bool ended;
};

static ph_host *
host_of_loop(const emesh_loop *loop)
{
    return (ph_host *)(uintptr_t)loop; /* the fake's only loop is the host itself */
}

/* ---- calls into the plugin ---- */

void
ph_enter(ph_host *h)
{
    g_assert_false(h->in_plugin); /* never from inside a call that the plugin made */
    h->in_plugin = true;
}

void
ph_leave(ph_host *h)
{
    h->in_plugin = false;
}

/* ---- host ---- */

static int32_t
host_log_on(const emesh_host *host, uint32_t level)
{
    (void)host, (void)level;
    return 1;
}

static void
host_log(const emesh_host *host, uint32_t level, const char *text, size_t len,
         const emesh_attr *fields, uint32_t n)
{
    ph_host *h = (ph_host *)(uintptr_t)host;
    (void)level, (void)fields, (void)n;
    g_ptr_array_add(h->logs, g_strndup(text, len));
}

static void
host_complete(const emesh_host *host, emesh_op *op, int32_t code, const emesh_error *err,
              const void *result)
{
    ph_host *h = (ph_host *)(uintptr_t)host;
    (void)op, (void)err, (void)result;
    g_assert_cmpint(code, ==, EMESH_OK);
    g_assert_false(h->op_done);
    h->op_done = true;
}

static void
host_report(const emesh_host *host, uint32_t health, const emesh_error *err)
{
    (void)host, (void)health, (void)err;
}

/* ---- loop ---- */

static uint64_t
loop_time(const emesh_loop *loop, uint32_t clock)
{
    ph_host *h = host_of_loop(loop);
    return clock == EMESH_CLOCK_WALL ? h->wall_ms : h->now_ns;
}

static emesh_timer *
loop_timer(emesh_loop *loop, void (*due)(void *ctx), void *ctx)
{
    ph_host *h = host_of_loop(loop);
    emesh_timer *t = g_new0(emesh_timer, 1);
    *t = (emesh_timer){ .host = h, .due = due, .ctx = ctx };
    g_ptr_array_add(h->timers, t);
    return t;
}

static void
loop_timer_set(emesh_timer *t, uint64_t at_ns)
{
    g_assert_false(t->ended);
    t->at_ns = at_ns;
}

static void
loop_timer_end(emesh_timer *t)
{
    g_assert_false(t->ended);
    t->ended = true;
}

static const emesh_loop_api loop_api = { .size = sizeof loop_api,
                                         .time = loop_time,
                                         .timer = loop_timer,
                                         .timer_set = loop_timer_set,
                                         .timer_end = loop_timer_end };

/* ---- net ---- */

static int32_t
net_write(emesh_conn *conn, const emesh_part *parts, uint32_t n)
{
    ph_conn *c = (ph_conn *)conn;
    g_assert_false(c->closed);
    if (c->closing)
        return EMESH_E_CLOSED;
    c->writes++;
    if (c->busy)
        return EMESH_E_BUSY;
    for (uint32_t i = 0; i < n; i++) {
        g_byte_array_append(c->out, parts[i].ptr, (guint)parts[i].len);
        c->refs_written += parts[i].owner != NULL;
    }
    return EMESH_OK;
}

static void
net_close(emesh_conn *conn, uint32_t how)
{
    ph_conn *c = (ph_conn *)conn;
    g_assert_false(c->closed);
    c->closing = true;
    c->how = how;
}

static void
net_pause(emesh_conn *conn, uint32_t on)
{
    ph_conn *c = (ph_conn *)conn;
    g_assert_false(c->closed);
    c->paused = on != 0;
    c->fresh |= on == 0; /* what was left unread comes again */
}

static int32_t
net_need(emesh_conn *conn, size_t n)
{
    ph_conn *c = (ph_conn *)conn;
    if (n > c->host->input_limit)
        return EMESH_E_TOO_LARGE;
    c->need = n;
    return EMESH_OK;
}

static void
net_info(const emesh_conn *conn, emesh_conn_info *out)
{
    const ph_conn *c = (const ph_conn *)conn;
    static const char local[] = "10.0.0.1:10000";
    out->local = (emesh_slice){ local, sizeof local - 1 };
    out->peer = (emesh_slice){ c->peer, strlen(c->peer) };
}

static const emesh_net_api net_api = { .size = sizeof net_api,
                                       .write = net_write,
                                       .close = net_close,
                                       .pause = net_pause,
                                       .need = net_need,
                                       .info = net_info };

/* ---- metrics ---- */

static emesh_metric *
metrics_metric(const emesh_host *host, const emesh_metric_spec *spec)
{
    ph_host *h = (ph_host *)(uintptr_t)host;
    int64_t *value = g_new0(int64_t, 1);
    g_hash_table_insert(h->metrics, g_strdup(spec->name), value);
    return (emesh_metric *)value;
}

static void
metrics_add(emesh_metric *metric, int64_t delta)
{
    *(int64_t *)metric += delta;
}

static const emesh_metrics_api metrics_api = { .size = sizeof metrics_api,
                                               .metric = metrics_metric,
                                               .add = metrics_add };

int64_t
ph_metric(ph_host *h, const char *name)
{
    int64_t *value = g_hash_table_lookup(h->metrics, name);
    g_assert_nonnull(value);
    return *value;
}

static const void *
host_service(const emesh_host *host, const char *id)
{
    (void)host;
    if (g_str_equal(id, EMESH_EVENT_ID))
        return &emesh_event_service;
    if (g_str_equal(id, EMESH_CONFIG_ID))
        return &emesh_config_service;
    if (g_str_equal(id, EMESH_LOOP_ID))
        return &loop_api;
    if (g_str_equal(id, EMESH_NET_ID))
        return &net_api;
    if (g_str_equal(id, EMESH_METRICS_ID))
        return &metrics_api;
    if (g_str_equal(id, EMESH_CLIENT_ID))
        return &ph_client_api;
    return NULL;
}

/* ---- life ---- */

static emesh_config *
config_of(const emesh_component *c, const char *options)
{
    g_autofree char *text = g_strdup_printf("[instance]\ncomponent = %s\n[options]\nlisten = "
                                            "127.0.0.1:0\n%s\n",
                                            c->name, options);
    GError *error = NULL;
    g_autoptr(emesh_conf) conf = emesh_conf_parse("10-test.conf", text, strlen(text), &error);
    g_assert_no_error(error);
    const emesh_conf_instance *inst = emesh_conf_instance_at(conf, 0);
    emesh_config *config = emesh_config_new(inst->options, c->options, c->n_options, c->option_size,
                                            c->groups, c->n_groups, &error);
    g_assert_no_error(error);
    return config;
}

static void
settled_clear(void *data)
{
    g_free(((ph_settled *)data)->reason);
}

ph_host *
ph_new(const emesh_plugin *plugin, const char *conf)
{
    ph_host *h = g_new0(ph_host, 1);
    emesh_error err = { .size = sizeof err };

    h->component = plugin->components[0];
    h->ops = h->component->ops;
    h->api = (emesh_host){ .size = sizeof h->api,
                           .n_lanes = 1,
                           .service = host_service,
                           .complete = host_complete,
                           .report = host_report,
                           .log_on = host_log_on,
                           .log = host_log };
    h->config = config_of(h->component, conf);
    h->now_ns = 1000000000;
    h->wall_ms = 1700000000000;
    h->publish_room = UINT32_MAX;
    h->input_limit = 8u << 20;
    h->auto_open = h->auto_subscribe = h->auto_result = true;
    h->metrics = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    h->timers = g_ptr_array_new_with_free_func(g_free);
    h->conns = g_ptr_array_new();
    h->sessions = g_ptr_array_new_with_free_func(ph_session_free);
    h->settled = g_array_new(FALSE, FALSE, sizeof(ph_settled));
    g_array_set_clear_func(h->settled, settled_clear);
    h->logs = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(h->component->life->create(&h->api, h->config, &h->instance, &err), ==,
                    EMESH_OK);
    g_assert_cmpint(h->component->life->attach(h->instance, (emesh_loop *)h, 0, &h->lane, &err), ==,
                    EMESH_OK);
    return h;
}

static void
conn_close(ph_conn *c, int32_t code)
{
    if (c->closed)
        return;
    ph_enter(c->host);
    c->closed = true;
    c->ops->closed(c->ctx, (emesh_conn *)c, code, NULL);
    ph_leave(c->host);
}

void
ph_free(ph_host *h)
{
    ph_run(h);
    for (guint i = 0; i < h->conns->len; i++)
        conn_close(h->conns->pdata[i], EMESH_E_CLOSED);
    h->op_done = false;
    h->component->life->detach(h->lane, NULL);
    g_assert_true(h->op_done);
    for (guint i = 0; i < h->timers->len; i++)
        g_assert_true(((emesh_timer *)h->timers->pdata[i])->ended);
    h->component->life->destroy(h->instance);
    for (guint i = 0; i < h->conns->len; i++) {
        ph_conn *c = h->conns->pdata[i];
        g_byte_array_unref(c->in);
        g_byte_array_unref(c->out);
        g_free(c);
    }
    for (guint i = 0; i < h->sessions->len; i++)
        g_assert_true(((ph_session *)h->sessions->pdata[i])->closed);
    g_ptr_array_unref(h->conns);
    g_ptr_array_unref(h->sessions);
    g_ptr_array_unref(h->timers);
    g_hash_table_unref(h->metrics);
    g_ptr_array_unref(h->logs);
    g_array_unref(h->settled);
    emesh_config_unref(h->config);
    g_free(h);
}

ph_conn *
ph_connect(ph_host *h)
{
    return ph_connect_over_limit(h, NULL);
}

ph_conn *
ph_connect_over_limit(ph_host *h, const char *why)
{
    emesh_error err = { .size = sizeof err, .code = EMESH_E_BUSY };
    ph_conn *c = g_new0(ph_conn, 1);
    c->host = h;
    c->in = g_byte_array_new();
    c->out = g_byte_array_new();
    g_snprintf(c->peer, sizeof c->peer, "10.0.0.9:%u", 40000 + h->conns->len);
    ph_enter(h);
    g_strlcpy(err.text, why ? why : "", sizeof err.text);
    int32_t code = why ? h->ops->refuse(h->lane, (emesh_conn *)c, &err, &c->ops, &c->ctx)
                       : h->ops->accept(h->lane, (emesh_conn *)c, &c->ops, &c->ctx);
    ph_leave(h);
    if (code != EMESH_OK) {
        g_byte_array_unref(c->in);
        g_byte_array_unref(c->out);
        g_free(c);
        return NULL;
    }
    g_ptr_array_add(h->conns, c);
    return c;
}

/* One data() call with all that is unread, in a buffer of its own that dies with its references.
 * Returns whether the plugin took something. */
static bool
hand_over(ph_conn *c)
{
    void *mem;
    size_t len = c->in->len;
    if (c->closed || c->closing || c->paused || !c->fresh || len == 0 || len < c->need)
        return false;
    c->fresh = false;
    g_autoptr(emesh_buf) buf = emesh_buf_new(len, &mem);
    memcpy(mem, c->in->data, len);
    emesh_part part = { mem, len, buf };
    ph_enter(c->host);
    c->data_calls++;
    size_t done = c->ops->data(c->ctx, (emesh_conn *)c, &part);
    ph_leave(c->host);
    g_assert_cmpuint(done, <=, len);
    g_byte_array_remove_range(c->in, 0, (guint)done);
    return done > 0;
}

void
ph_feed(ph_conn *c, const void *bytes, size_t len)
{
    g_byte_array_append(c->in, bytes, (guint)len);
    c->fresh = true;
    hand_over(c);
    ph_run(c->host);
}

void
ph_writable(ph_conn *c)
{
    c->busy = false;
    ph_enter(c->host);
    c->ops->room(c->ctx, (emesh_conn *)c);
    ph_leave(c->host);
    ph_run(c->host);
}

void
ph_eof(ph_conn *c)
{
    c->eof_due = true;
    ph_run(c->host);
}

void
ph_cut(ph_conn *c, int32_t code)
{
    conn_close(c, code);
    ph_run(c->host);
}

static bool
conn_step(ph_conn *c)
{
    if (c->closed)
        return false;
    if (c->closing) {
        conn_close(c, EMESH_OK);
        return true;
    }
    bool moved = hand_over(c);
    if (c->eof_due && !c->eof_told && !c->closing && !moved) {
        c->eof_told = true;
        ph_enter(c->host);
        if (c->ops->eof != NULL)
            c->ops->eof(c->ctx, (emesh_conn *)c);
        else
            c->closing = true;
        ph_leave(c->host);
        return true;
    }
    return moved;
}

void
ph_run(ph_host *h)
{
    bool moved;
    do {
        moved = ph_mesh_step(h);
        for (guint i = 0; i < h->conns->len; i++)
            moved |= conn_step(h->conns->pdata[i]);
    } while (moved);
}

void
ph_advance(ph_host *h, uint64_t ns)
{
    uint64_t until = h->now_ns + ns;
    for (;;) {
        emesh_timer *first = NULL;
        for (guint i = 0; i < h->timers->len; i++) {
            emesh_timer *t = h->timers->pdata[i];
            if (!t->ended && t->at_ns != 0 && t->at_ns <= until &&
                (first == NULL || t->at_ns < first->at_ns))
                first = t;
        }
        if (first == NULL)
            break;
        if (first->at_ns > h->now_ns) {
            h->wall_ms += (first->at_ns - h->now_ns) / 1000000;
            h->now_ns = first->at_ns;
        }
        first->at_ns = 0;
        ph_enter(h);
        first->due(first->ctx);
        ph_leave(h);
        ph_run(h);
    }
    h->wall_ms += (until - h->now_ns) / 1000000;
    h->now_ns = until;
    ph_run(h);
}

void
ph_drain(ph_host *h, uint64_t within_ns)
{
    h->op_done = false;
    ph_enter(h);
    h->component->life->drain(h->lane, h->now_ns + within_ns, (emesh_op *)h);
    ph_leave(h);
    ph_run(h);
}

GBytes *
ph_take(ph_conn *c)
{
    GBytes *bytes = g_byte_array_free_to_bytes(c->out);
    c->out = g_byte_array_new();
    return bytes;
}
