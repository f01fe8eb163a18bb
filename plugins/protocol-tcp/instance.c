/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of an instance and its lanes.
 */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#define SWEEP_NS (5ull * 1000000000u)
#define SWEEP_LEAST_NS (1000000000u / 4)
#define KICK_NS (5ull * 1000000000u) /* how long a kicked session may finish its publishes */
#define ACK_NEVER_NS (10ull * 365 * 86400 * 1000000000u)

/* ---- [main] ---- */

static int64_t
number(const emesh_config_api *config, const emesh_config *cfg, const char *name)
{
    emesh_value v = { .size = sizeof v };
    return config->get(cfg, name, 0, &v) == EMESH_OK ? v.i : 0;
}

static void
read_options(const emesh_config_api *config, const emesh_config *cfg, tcp_options *o)
{
    uint64_t ack = (uint64_t)number(config, cfg, "ack-timeout");
    o->expiry_ns = (uint64_t)number(config, cfg, "session-expiry");
    o->hello_ns = (uint64_t)number(config, cfg, "handshake-timeout");
    o->hello_ns = o->hello_ns < o->expiry_ns ? o->hello_ns : o->expiry_ns;
    o->ack_timeout_ns = ack > 0 ? ack : ACK_NEVER_NS;
    o->output_mark = (uint64_t)number(config, cfg, "output-mark");
    o->window_events = (uint32_t)number(config, cfg, "window");
    o->window_bytes = (uint64_t)number(config, cfg, "window-bytes");
    o->max_subscriptions = (uint32_t)number(config, cfg, "max-subscriptions");
    o->rate = (uint32_t)number(config, cfg, "rate-limit");
    o->session_rate = (uint32_t)number(config, cfg, "session-rate-limit");
    o->push = (tcp_push_flavour)number(config, cfg, "push-flavour");
}

/* Addresses that RECOMMEND is answered with. false: no memory. */
static bool
read_recommend(const emesh_config_api *config, const emesh_config *cfg, tcp_options *o)
{
    emesh_value v = { .size = sizeof v };
    uint32_t n = 0;

    while (config->get(cfg, "recommend", n, &v) == EMESH_OK)
        n++;
    if (n == 0)
        return true;
    o->recommend = calloc(n + 1, sizeof *o->recommend);
    for (uint32_t i = 0; o->recommend != NULL && i < n; i++) {
        config->get(cfg, "recommend", i, &v);
        o->recommend[i] = tcp_copy(v.text.ptr, v.text.len);
        if (o->recommend[i] == NULL)
            return false;
    }
    return o->recommend != NULL;
}

static void
options_free(tcp_options *o)
{
    for (char **at = o->recommend; at != NULL && *at != NULL; at++)
        free(*at);
    free(o->recommend);
}

static emesh_metric *
counter(const tcp_instance *tcp, const char *name, const char *help)
{
    emesh_metric_spec spec = {
        .size = sizeof spec, .type = EMESH_METRIC_COUNTER, .name = name, .unit = "", .help = help
    };
    return tcp->metrics->metric(tcp->host, &spec);
}

static void
make_counters(tcp_instance *tcp)
{
    tcp->refused = counter(tcp, "connections_refused",
                           "Connections closed for malformed input or a refused hello.");
    tcp->expired = counter(tcp, "connections_expired", "Connections closed for their silence.");
    tcp->limited = counter(tcp, "connections_limited",
                           "Connections the host ended: time, memory, broken TLS.");
    tcp->cut = counter(tcp, "connections_cut",
                       "Connections that their peers broke off in the middle of something.");
    tcp->unfit = counter(tcp, "pushes_unfit", "Events that a client could not be sent.");
    tcp->reply_lost = counter(tcp, "replies_unreadable",
                              "Responses that were malformed or answered no push.");
    tcp->late = counter(tcp, "acks_late", "Acknowledgements of no push that is open.");
}

static int32_t
create(const emesh_host *host, const emesh_config *cfg, emesh_instance **out, emesh_error *err)
{
    tcp_instance *tcp = calloc(1, sizeof *tcp);
    (void)err;
    if (tcp == NULL)
        return EMESH_E_NO_MEMORY;
    tcp->host = host;
    tcp->event = host->service(host, EMESH_EVENT_ID);
    tcp->net = host->service(host, EMESH_NET_ID);
    tcp->client = host->service(host, EMESH_CLIENT_ID);
    tcp->loop = host->service(host, EMESH_LOOP_ID);
    tcp->metrics = host->service(host, EMESH_METRICS_ID);
    tcp->agents = tcp_agents_new();
    if (tcp->agents == NULL) {
        free(tcp);
        return EMESH_E_NO_MEMORY;
    }
    make_counters(tcp);
    read_options(host->service(host, EMESH_CONFIG_ID), cfg, &tcp->options);
    if (!read_recommend(host->service(host, EMESH_CONFIG_ID), cfg, &tcp->options)) {
        options_free(&tcp->options);
        tcp_agents_free(tcp->agents);
        free(tcp);
        return EMESH_E_NO_MEMORY;
    }
    *out = (emesh_instance *)tcp;
    return EMESH_OK;
}

static void
destroy(emesh_instance *self)
{
    tcp_instance *tcp = (tcp_instance *)self;
    options_free(&tcp->options);
    tcp_agents_free(tcp->agents);
    free(tcp);
}

/* ---- [lane] ---- */

static void
sweep(void *ctx)
{
    tcp_lane *lane = ctx;
    const tcp_options *o = &lane->tcp->options;
    uint64_t now = tcp_now(lane);
    uint64_t period = o->hello_ns / 4;
    for (tcp_session *s = lane->first, *next; s != NULL; s = next) {
        next = s->next;
        tcp_session_sweep(s, now);
    }
    tcp_tell_sweep(lane, now);
    period = period < SWEEP_NS ? period : SWEEP_NS;
    period = period > SWEEP_LEAST_NS ? period : SWEEP_LEAST_NS;
    uint64_t at = now + period;
    if (lane->is_draining && lane->drain_until_ns > now && lane->drain_until_ns < at)
        at = lane->drain_until_ns;
    lane->tcp->loop->timer_set(lane->sweep, at);
}

static int32_t
attach(emesh_instance *self, emesh_loop *loop, uint32_t index, emesh_lane **out, emesh_error *err)
{
    tcp_instance *tcp = (tcp_instance *)self;
    tcp_lane *lane = calloc(1, sizeof *lane);
    (void)err;
    if (lane == NULL)
        return EMESH_E_NO_MEMORY;
    lane->tcp = tcp;
    lane->loop = loop;
    lane->reader.host = tcp->host;
    lane->reader.event = tcp->event;
    lane->reader.lane = index;
    lane->reader.boot = tcp_wall_ms(lane);
    lane->sweep = tcp->loop->timer(loop, sweep, lane);
    lane->slow = tcp->loop->timer(loop, tcp_rate_due, lane);
    if (lane->sweep == NULL || lane->slow == NULL) {
        if (lane->sweep != NULL)
            tcp->loop->timer_end(lane->sweep);
        if (lane->slow != NULL)
            tcp->loop->timer_end(lane->slow);
        free(lane);
        return EMESH_E_NO_MEMORY;
    }
    sweep(lane);
    *out = (emesh_lane *)lane;
    return EMESH_OK;
}

static void
drain(emesh_lane *of, uint64_t deadline_ns, emesh_op *op)
{
    tcp_lane *lane = (tcp_lane *)of;
    const emesh_host *host = lane->tcp->host;
    uint64_t now = tcp_now(lane), left = deadline_ns > now ? deadline_ns - now : 0;

    lane->is_draining = true;
    lane->drain_until_ns = now + left - left / 8; /* the rest is for what the goodbye must flush */
    for (tcp_session *s = lane->first, *next; s != NULL; s = next) {
        next = s->next;
        tcp_session_leave(s, "graceful normal quit from eventmesh", lane->drain_until_ns);
    }
    if (lane->n_sessions == 0) {
        host->complete(host, op, EMESH_OK, NULL, NULL);
        return;
    }
    lane->draining = op;
    lane->tcp->loop->timer_set(lane->sweep, lane->drain_until_ns);
}

static void
detach(emesh_lane *of, emesh_op *op)
{
    tcp_lane *lane = (tcp_lane *)of;
    const emesh_host *host = lane->tcp->host;
    lane->tcp->loop->timer_end(lane->sweep);
    lane->tcp->loop->timer_end(lane->slow);
    if (lane->draining != NULL)
        host->complete(host, lane->draining, EMESH_OK, NULL, NULL);
    tcp_out_free(&lane->out, lane->tcp->event);
    tcp_arena_free(&lane->reader.props.arena);
    free(lane); /* the host has closed the connections: each session ended with its own */
    host->complete(host, op, EMESH_OK, NULL, NULL);
}

static void
room(emesh_lane *of, void *session)
{
    tcp_session *s = session;
    (void)of;
    s->full = false;
    tcp_session_resume(s);
}

static void
ask(emesh_lane *of, void *session, const emesh_ask *what)
{
    tcp_lane *lane = (tcp_lane *)of;
    char why[120] = "graceful normal quit from eventmesh";
    if (what->reason.len > 0) {
        size_t n = what->reason.len < sizeof why - 1 ? what->reason.len : sizeof why - 1;
        memcpy(why, what->reason.ptr, n);
        why[n] = '\0';
    }
    tcp_session *s = session;
    tcp_field to = { what->target.ptr, what->target.len };
    if (what->what == EMESH_ASK_REDIRECT && s->state == TCP_OPEN && tcp_redirect(s, to)) {
        s->redirected = true;
        tcp_flush(s);
    }
    tcp_session_leave(s, why, tcp_now(lane) + KICK_NS);
}

const emesh_life_ops tcp_life = { .size = sizeof tcp_life,
                                  .create = create,
                                  .attach = attach,
                                  .drain = drain,
                                  .detach = detach,
                                  .destroy = destroy };
const emesh_client_ops tcp_client = { .size = sizeof tcp_client,
                                      .opened = tcp_opened,
                                      .published = tcp_published,
                                      .room = room,
                                      .subscribed = tcp_subscribed,
                                      .deliver = tcp_deliver,
                                      .ask = ask };
const emesh_protocol_ops tcp_protocol = { .size = sizeof tcp_protocol,
                                          .client = &tcp_client,
                                          .accept = tcp_accept,
                                          .refuse = tcp_refuse };
