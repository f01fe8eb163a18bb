/* SPDX-License-Identifier: Apache-2.0
 *
 * One push: the message leaves, at most 64 KiB of its answer are read, the mesh is told. Redirects
 * are not followed, nothing is unpacked, no proxy is asked, and each address is shown to the guard
 * before it is connected to. Pushes to http: leave by push-line.c, those to https: here. [lane]
 */
#include "push.h"
#include <string.h>

#define ANSWER_MAX (64u << 10)
#define CHUNK (16u << 10)
#define CONNECTIONS_MAX 4096

/* ---- the client ---- */

static void
on_timer(void *ctx)
{
    http_push *push = ctx;
    const http_lane *lane = push->lane;
    uint64_t now = http_now(lane), timeout = lane->http->options.push_timeout_ns;

    while (push->flying.head != NULL) {
        http_job *job = push->flying.head->data;
        if (now - job->since_ns < timeout) {
            lane->http->loop->timer_set(push->timer, job->since_ns + timeout);
            return;
        }
        g_queue_unlink(&push->flying, &job->link);
        job->listed = false;
        job->timed_out = true;
        http_job_cut(job);
    }
}

bool
http_push_client(http_push *push)
{
    const http_lane *lane = push->lane;
    const http_options *o = &lane->http->options;
    g_autoptr(GError) error = NULL;

    push->soup = soup_session_new_with_options("max-conns", CONNECTIONS_MAX, "max-conns-per-host",
                                               CONNECTIONS_MAX, "idle-timeout", 60, "timeout", 0,
                                               "user-agent", "eventmesh", NULL);
    soup_session_remove_feature_by_type(push->soup, SOUP_TYPE_CONTENT_DECODER);
    soup_session_remove_feature_by_type(push->soup, SOUP_TYPE_AUTH_MANAGER);
    soup_session_set_proxy_resolver(push->soup, NULL);
    push->timer = lane->http->loop->timer(lane->loop, on_timer, push);
    if (o->push_certificate != NULL)
        push->certificate =
            g_tls_certificate_new_from_files(o->push_certificate, o->push_key, &error);
    if (o->push_ca != NULL && error == NULL) {
        g_autoptr(GTlsDatabase) ca = g_tls_file_database_new(o->push_ca, &error);
        if (ca != NULL)
            soup_session_set_tls_database(push->soup, ca);
    }
    return push->timer != NULL && error == NULL;
}

void
http_push_client_free(http_push *push)
{
    if (push->soup != NULL)
        soup_session_abort(push->soup);
    g_clear_object(&push->soup);
    g_clear_object(&push->certificate);
    if (push->timer != NULL)
        push->lane->http->loop->timer_end(push->timer);
}

typedef struct watch { /* of a message: what the guard says */
    const http_guard *guard;
    GCancellable *cancel;
    char **refused;
} watch;

static void
on_network(SoupMessage *msg, GSocketClientEvent event, GIOStream *stream, watch *w)
{
    g_autoptr(GSocketAddress) address = NULL;
    (void)msg;

    if (event != G_SOCKET_CLIENT_CONNECTING || !G_IS_SOCKET_CONNECTION(stream))
        return;
    address = g_socket_connection_get_remote_address(G_SOCKET_CONNECTION(stream), NULL);
    if (!G_IS_INET_SOCKET_ADDRESS(address) || *w->refused != NULL)
        return;
    *w->refused = http_guard_refuses(
        w->guard, g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)));
    if (*w->refused != NULL)
        g_cancellable_cancel(w->cancel);
}

static gboolean
accept_any(SoupMessage *msg, GTlsCertificate *certificate, GTlsCertificateFlags errors,
           gpointer data)
{
    (void)msg, (void)certificate, (void)errors, (void)data;
    return TRUE; /* push-tls-verify = false */
}

static void
watch_free(gpointer data, GClosure *closure)
{
    (void)closure;
    g_free(data);
}

SoupMessage *
http_push_message(http_target *target, const char *method, GCancellable *cancel, char **refused)
{
    const http_options *o = &target->push->lane->http->options;
    SoupMessage *msg = soup_message_new_from_uri(method, target->uri);
    watch *w = g_new(watch, 1);

    *w = (watch){ &o->guard, cancel, refused };
    /* idempotent: else libsoup makes a new connection for each POST; it may send once more what a
     * kept connection lost, which at-least-once delivery allows */
    soup_message_add_flags(msg, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_IDEMPOTENT);
    g_signal_connect_data(msg, "network-event", G_CALLBACK(on_network), w, watch_free, 0);
    if (!o->push_verify)
        g_signal_connect(msg, "accept-certificate", G_CALLBACK(accept_any), NULL);
    if (target->push->certificate != NULL)
        soup_message_set_tls_client_certificate(msg, target->push->certificate);
    return msg;
}

/* ---- the end of a job ---- */

static void
job_free(http_job *job)
{
    const http_lane *lane = job->hook->push->lane;

    lane->http->event->unref(&job->event, 1);
    g_clear_object(&job->msg);
    g_clear_object(&job->cancel);
    g_clear_object(&job->in);
    if (job->answer != NULL)
        g_byte_array_unref(job->answer);
    http_hook_unref(job->hook);
    g_free(job->topic_name);
    g_free(job->refused);
    g_free(job);
}

void
http_job_end(http_job *first, const http_verdict *v)
{
    http_push *push = first->hook->push;
    const http_instance *http = push->lane->http;

    for (http_job *job = first, *next; job != NULL; job = next) {
        emesh_settle settle = { .id = job->id,
                                .outcome = v->outcome,
                                .delay_ms = (uint32_t)MIN(v->wait_ms, UINT32_MAX),
                                .reason = { v->reason, strlen(v->reason) } };
        next = job->more;
        if (job->hook->mesh != NULL)
            http->client->settle(job->hook->mesh, &settle, 1);
        job_free(job);
        http_push_less(push);
    }
}

static void
log_gone(const http_target *target)
{
    const emesh_host *host = target->push->lane->http->host;
    g_autofree char *line = g_strdup_printf(
        "%s answered 410: it is pushed to no more, until it subscribes again", target->base);
    host->log(host, EMESH_LOG_NOTICE, line, strlen(line), NULL, 0);
}

void
http_job_over(http_job *job, http_verdict *v)
{
    http_hook *hook = http_hook_ref(job->hook);
    http_target *target = hook->target;
    const http_instance *http = hook->push->lane->http;

    if (job->listed)
        g_queue_unlink(&hook->push->flying, &job->link);
    target->n_flying--;
    http_count(http,
               v->outcome == EMESH_SETTLE_DONE ? http->counters.pushes : http->counters.failed, 1);
    if (v->is_down)
        v->wait_ms = http_target_down(target, v->wait_ms);
    else if (!job->timed_out)
        http_target_up(target);
    http_job_end(job, v);
    if (v->is_gone && (hook->group != NULL || hook->adopted)) {
        log_gone(target);
        http_hook_drop(hook);
    }
    http_target_pump(target);
    http_hook_unref(hook);
}

/* ---- the way ---- */

static void
answered(http_job *job)
{
    SoupMessageHeaders *head = soup_message_get_response_headers(job->msg);
    http_verdict v;

    http_judge(&v, soup_message_get_status(job->msg),
               soup_message_headers_get_one(head, "Retry-After"),
               (int64_t)(http_wall_ms(job->hook->push->lane) / 1000),
               (const char *)job->answer->data, job->answer->len);
    http_job_over(job, &v);
}

void
http_job_failed(http_job *job, const char *why)
{
    http_verdict v;

    if (job->refused != NULL)
        http_judge_none(&v, false, job->refused);
    else
        http_judge_none(&v, job->timed_out, why);
    http_job_over(job, &v);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    http_job *job = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &error);

    if (bytes == NULL) {
        http_job_failed(job, error->message);
        return;
    }
    size_t len = g_bytes_get_size(bytes);
    g_byte_array_append(job->answer, g_bytes_get_data(bytes, NULL), (guint)len);
    if (len > 0 && job->answer->len < ANSWER_MAX) {
        g_input_stream_read_bytes_async(job->in, CHUNK, G_PRIORITY_DEFAULT, job->cancel, on_read,
                                        job);
        return;
    }
    if (len > 0) /* more than anybody needs: the connection ends with it */
        g_cancellable_cancel(job->cancel);
    answered(job);
}

static void
on_sent(GObject *source, GAsyncResult *result, gpointer data)
{
    http_job *job = data;
    g_autoptr(GError) error = NULL;

    job->in = soup_session_send_finish(SOUP_SESSION(source), result, &error);
    if (job->in == NULL) {
        http_job_failed(job, error->message);
        return;
    }
    job->answer = g_byte_array_new();
    g_input_stream_read_bytes_async(job->in, CHUNK, G_PRIORITY_DEFAULT, job->cancel, on_read, job);
}

/* NULL: it is under way; else why it cannot be carried. */
static const char *
send_by_soup(http_job *job)
{
    http_push *push = job->hook->push;
    http_sheet sheet = { .head = NULL };
    const char *why;

    job->cancel = g_cancellable_new();
    job->msg = http_push_message(job->hook->target, "POST", job->cancel, &job->refused);
    sheet.head = soup_message_get_request_headers(job->msg);
    why = http_job_compose(job, &sheet);
    if (why == NULL) {
        if (sheet.body != NULL)
            soup_message_set_request_body_from_bytes(job->msg, NULL, sheet.body);
        soup_session_send_async(push->soup, job->msg, G_PRIORITY_DEFAULT, job->cancel, on_sent,
                                job);
    }
    g_bytes_unref(sheet.body);
    return why;
}

void
http_job_cut(http_job *job)
{
    if (job->line != NULL)
        http_line_cut(job);
    else
        g_cancellable_cancel(job->cancel);
}

void
http_job_start(http_job *job)
{
    http_push *push = job->hook->push;
    http_target *target = job->hook->target;
    const http_lane *lane = push->lane;
    const char *why = target->plain ? http_line_push(job) : send_by_soup(job);

    if (why != NULL) {
        http_verdict v = { .outcome = EMESH_SETTLE_UNFIT };
        g_strlcpy(v.reason, why, sizeof v.reason);
        target->n_flying--;
        http_job_end(job, &v);
        return;
    }
    job->since_ns = http_now(lane);
    job->listed = true;
    g_queue_push_tail_link(&push->flying, &job->link);
    if (push->flying.length == 1)
        lane->http->loop->timer_set(push->timer,
                                    job->since_ns + lane->http->options.push_timeout_ns);
}
