/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an instance and its lanes.
 */
#include "api.h"
#include "http.h"
#include "poll.h"
#include "push.h"

#define SWEEP_NS (HTTP_SECOND / 2)

/* ---- [main] ---- */

static emesh_metric *
metric(const http_instance *http, uint32_t type, const char *name, const char *help)
{
    emesh_metric_spec spec = {
        .size = sizeof spec, .type = type, .name = name, .unit = "", .help = help
    };
    return http->metrics->metric(http->host, &spec);
}

static void
make_counters(http_instance *http)
{
    http_counters *c = &http->counters;
    c->requests = metric(http, EMESH_METRIC_COUNTER, "requests", "Requests that were answered.");
    c->refused = metric(http, EMESH_METRIC_COUNTER, "requests_refused",
                        "Requests answered with a status of 400 or above.");
    c->expired = metric(http, EMESH_METRIC_COUNTER, "connections_expired",
                        "Connections closed because they kept still or did not finish in time.");
    c->limited = metric(http, EMESH_METRIC_COUNTER, "connections_refused",
                        "Connections over a limit of the listener.");
    c->lenient = metric(http, EMESH_METRIC_COUNTER, "headers_lenient",
                        "ce- headers taken as they are, for they do not decode.");
    c->pushes = metric(http, EMESH_METRIC_COUNTER, "pushes", "Pushes that were acknowledged.");
    c->failed = metric(http, EMESH_METRIC_COUNTER, "pushes_failed", "Pushes that were not.");
    c->connections = metric(http, EMESH_METRIC_GAUGE, "connections", "Connections that are open.");
}

static int32_t
create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    http_instance *http = g_new0(http_instance, 1);
    http->host = host;
    http->event = host->service(host, EMESH_EVENT_ID);
    http->net = host->service(host, EMESH_NET_ID);
    http->client = host->service(host, EMESH_CLIENT_ID);
    http->loop = host->service(host, EMESH_LOOP_ID);
    http->state = host->service(host, EMESH_STATE_ID);
    http->glib = host->service(host, EMESH_GLIB_ID);
    http->metrics = host->service(host, EMESH_METRICS_ID);
    http->n_lanes = host->n_lanes;
    http->lanes = g_new0(http_lane *, MAX(1, host->n_lanes));
    pthread_mutex_init(&http->names_lock, NULL);
    http->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    make_counters(http);
    *out = (emesh_instance *)http;
    if (!http_options_read(&http->options, host->service(host, EMESH_CONFIG_ID), cfg, err))
        return EMESH_E_CONFIG;
    return EMESH_OK;
}

static void
start(emesh_instance *self, emesh_op *op)
{
    http_instance *http = (http_instance *)self;
    emesh_error err = { .size = sizeof err };
    g_autoptr(GError) error = NULL;
    http_tls tls = { .certificate = NULL };

    if (http->options.tls_certificate == NULL || http_tls_load(&tls, &http->options, &error)) {
        http_tls_clear(&tls);
        http->host->complete(http->host, op, EMESH_OK, NULL, NULL);
        return;
    }
    err.code = EMESH_E_CONFIG;
    g_strlcpy(err.option, "tls-certificate", sizeof err.option);
    g_strlcpy(err.text, error->message, sizeof err.text);
    http->host->complete(http->host, op, err.code, &err, NULL);
}

static void
destroy(emesh_instance *self)
{
    http_instance *http = (http_instance *)self;
    http_options_clear(&http->options);
    g_hash_table_unref(http->names);
    pthread_mutex_destroy(&http->names_lock);
    g_free(http->lanes);
    g_free(http);
}

/* ---- [lane] ---- */

static void
sweep(void *ctx)
{
    http_lane *lane = ctx;
    uint64_t now = http_now(lane);

    http_conns_sweep(lane, now);
    http_sessions_sweep(lane, now);
    http_push_sweep(lane, now);
    http_polls_sweep(lane, now);
    http_lane_settle_down(lane);
    lane->http->loop->timer_set(lane->sweep, now + SWEEP_NS);
}

static void
lane_free(http_lane *lane)
{
    if (lane->sweep != NULL)
        lane->http->loop->timer_end(lane->sweep);
    http_listen_stop(lane);
    http_polls_free(lane);
    http_push_free(lane);
    http_sessions_free(lane);
    if (lane->server != NULL) {
        soup_server_disconnect(lane->server);
        g_object_unref(lane->server);
    }
    http_conns_forget(lane);
    http_tls_clear(&lane->tls);
    if (lane->answer != NULL)
        g_string_free(lane->answer, TRUE);
    g_free(lane);
}

static int32_t
attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out, emesh_error *err)
{
    http_instance *http = (http_instance *)self;
    http_lane *lane = g_new0(http_lane, 1);
    g_autoptr(GError) error = NULL;

    lane->http = http;
    lane->loop = loop;
    lane->index = index;
    lane->context = http->glib->context(loop);
    lane->sweep = http->loop->timer(loop, sweep, lane);
    g_queue_init(&lane->conns);
    g_queue_init(&lane->session_list);
    g_queue_init(&lane->streams);
    lane->pollers = g_hash_table_new(g_str_hash, g_str_equal);
    lane->sessions = g_hash_table_new(g_str_hash, g_str_equal);
    if (http->options.tls_certificate != NULL && !http_tls_load(&lane->tls, &http->options, &error))
        g_strlcpy(err->text, error->message, sizeof err->text);
    else
        http_server_start(lane);
    if (lane->server == NULL || lane->sweep == NULL || !http_push_start(lane) ||
        !http_listen_start(lane, err)) {
        lane_free(lane);
        return error != NULL ? EMESH_E_CONFIG : EMESH_E_IO;
    }
    __atomic_store_n(&http->lanes[index], lane, __ATOMIC_RELEASE);
    sweep(lane);
    http_kept_read(lane);
    *out = (emesh_lane *)lane;
    return EMESH_OK;
}

/* The last job may be calling: the lane ends from the top of its loop. */
typedef struct ending {
    http_lane *lane;
    emesh_op *op;
} ending;

static gboolean
on_end(gpointer data)
{
    ending *e = data;
    const emesh_host *host = e->lane->http->host;
    emesh_op *op = e->op;

    lane_free(e->lane);
    g_free(e);
    host->complete(host, op, EMESH_OK, NULL, NULL);
    return G_SOURCE_REMOVE;
}

static void
lane_end_soon(http_lane *lane, emesh_op *op)
{
    ending *e = g_new(ending, 1);
    GSource *source = g_idle_source_new();

    *e = (ending){ lane, op };
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, on_end, e, NULL);
    g_source_attach(source, lane->context);
    g_source_unref(source);
}

void
http_lane_settle_down(http_lane *lane)
{
    const emesh_host *host = lane->http->host;
    emesh_op *op = lane->draining;
    uint32_t n = lane->n_requests + (lane->push != NULL ? lane->push->n_jobs : 0);

    if (op != NULL && (n == 0 || http_now(lane) >= lane->drain_until_ns)) {
        lane->draining = NULL;
        host->complete(host, op, EMESH_OK, NULL, NULL);
    }
    op = lane->detaching;
    if (op != NULL && (lane->push == NULL || lane->push->n_jobs == 0)) {
        lane->detaching = NULL;
        lane->http->loop->timer_set(lane->sweep, 0);
        lane_end_soon(lane, op);
    }
}

static void
drain(emesh_lane *of, uint64_t deadline_ns, emesh_op *op)
{
    http_lane *lane = (http_lane *)of;
    uint64_t now = http_now(lane), left = deadline_ns > now ? deadline_ns - now : 0;

    lane->is_draining = true;
    lane->draining = op;
    lane->drain_until_ns = now + left - left / 8;
    http_listen_stop(lane);
    http_conns_sweep(lane, now);
    http_push_drain(lane);
    http_streams_end(lane);
    http_polls_sweep(lane, now);
    http_lane_settle_down(lane);
}

static void
detach(emesh_lane *of, emesh_op *op)
{
    http_lane *lane = (http_lane *)of;
    const http_instance *http = lane->http;

    __atomic_store_n(&http->lanes[lane->index], NULL, __ATOMIC_RELEASE);
    if (lane->draining != NULL)
        http->host->complete(http->host, lane->draining, EMESH_OK, NULL, NULL);
    lane->draining = NULL;
    lane->is_draining = true;
    http_listen_stop(lane);
    http_push_cut(lane);
    http_streams_end(lane);
    lane->detaching = op;
    http_lane_settle_down(lane);
}

const emesh_life_ops http_life = { .size = sizeof http_life,
                                   .create = create,
                                   .start = start,
                                   .attach = attach,
                                   .drain = drain,
                                   .detach = detach,
                                   .destroy = destroy };
const emesh_protocol_ops http_protocol = { .size = sizeof http_protocol, .client = &http_client };
