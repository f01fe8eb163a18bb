/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /eventmesh/subscribe/remote and /unsubscribe/remote: another mesh is asked to push topics of
 * its own to our bridge. The address it gets is the one that the request came to, or `advertise`.
 * [lane]
 */
#include "api.h"
#include "json.h"
#include "push.h"
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX (64u << 10)
#define WAIT_NS (15 * HTTP_SECOND)

typedef struct asking {
    http_request *request;
    http_target *target;
    SoupMessage *msg;
    GCancellable *cancel;
    GInputStream *in;
    GByteArray *answer;
    emesh_timer *timer;
    char *refused; /* by the guard */
    int ret;       /* retCode of a failure */
} asking;

static void
asking_free(asking *a)
{
    http_push *push = a->target->push;

    push->lane->http->loop->timer_end(a->timer);
    g_clear_object(&a->msg);
    g_clear_object(&a->cancel);
    g_clear_object(&a->in);
    g_byte_array_unref(a->answer);
    http_request_unref(a->request);
    g_free(a->refused);
    http_target_release(a->target);
    g_free(a);
    http_push_less(push);
}

static void
fail(asking *a, const char *why)
{
    if (!a->request->gone)
        http_retf(a->request, a->ret, ": %s: %s", a->target->url,
                  a->refused != NULL ? a->refused : why);
    asking_free(a);
}

/* retCode 0 in a 2xx. */
static bool
is_good(const asking *a)
{
    http_json j;
    http_value key, value;
    bool first = true, good = false;
    uint32_t status = soup_message_get_status(a->msg);

    http_json_begin(&j, (const char *)a->answer->data, a->answer->len);
    if (!http_json_open(&j, '{'))
        return false;
    for (; http_json_key(&j, first, &key) && http_json_value(&j, &value); first = false) {
        g_autofree char *text = http_json_scalar(&value);
        good = good || (http_json_is(&key, "retCode") && g_strcmp0(text, "0") == 0);
    }
    return status >= 200 && status < 300 && good;
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    asking *a = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &error);

    if (bytes == NULL) {
        fail(a, error->message);
        return;
    }
    g_byte_array_append(a->answer, g_bytes_get_data(bytes, NULL), (guint)g_bytes_get_size(bytes));
    if (g_bytes_get_size(bytes) > 0 && a->answer->len < ANSWER_MAX) {
        g_input_stream_read_bytes_async(a->in, 4096, G_PRIORITY_DEFAULT, a->cancel, on_read, a);
    } else if (is_good(a)) {
        if (!a->request->gone)
            http_ret(a->request, 200, 0, NULL);
        asking_free(a);
    } else {
        g_autofree char *said = g_strndup((const char *)a->answer->data, MIN(a->answer->len, 200));
        fail(a, said);
    }
}

static void
on_sent(GObject *source, GAsyncResult *result, gpointer data)
{
    asking *a = data;
    g_autoptr(GError) error = NULL;

    a->in = soup_session_send_finish(SOUP_SESSION(source), result, &error);
    if (a->in == NULL)
        fail(a, error->message);
    else
        g_input_stream_read_bytes_async(a->in, 4096, G_PRIORITY_DEFAULT, a->cancel, on_read, a);
}

static void
on_timer(void *ctx)
{
    g_cancellable_cancel(((asking *)ctx)->cancel);
}

/* Where the other mesh finds us. Given; NULL: nobody knows. */
static char *
own_url(const http_request *r)
{
    const http_options *o = &r->lane->http->options;
    const char *scheme = o->tls_certificate != NULL ? "https" : "http";
    GInetSocketAddress *local;

    if (o->advertise != NULL)
        return g_strconcat(o->advertise, "/eventmesh/bridge/publish", NULL);
    if (r->conn == NULL || !G_IS_INET_SOCKET_ADDRESS(r->conn->local))
        return NULL;
    local = G_INET_SOCKET_ADDRESS(r->conn->local);
    g_autofree char *host = g_inet_address_to_string(g_inet_socket_address_get_address(local));
    return g_strdup_printf(strchr(host, ':') != NULL ? "%s://[%s]:%u/eventmesh/bridge/publish"
                                                     : "%s://%s:%u/eventmesh/bridge/publish",
                           scheme, host, g_inet_socket_address_get_port(local));
}

static void
set_message(http_request *r, SoupMessage *msg, const char *topics, const char *url)
{
    const http_options *o = &r->lane->http->options;
    SoupMessageHeaders *head = soup_message_get_request_headers(msg);
    g_autofree char *group = g_strdup_printf("%s-%s-%s-0000", o->env, o->idc, o->cluster);
    g_autofree char *pid = g_strdup_printf("%ld", (long)getpid());
    GString *body = g_string_new("{\"url\":");

    http_json_put(body, url, strlen(url));
    g_string_append(body, ",\"consumerGroup\":");
    http_json_put(body, group, strlen(group));
    g_string_append_printf(body, ",\"topic\":%s}", topics);
    soup_message_headers_replace(head, "env", o->env);
    soup_message_headers_replace(head, "idc", o->idc);
    soup_message_headers_replace(head, "sys", "0000");
    soup_message_headers_replace(head, "pid", pid);
    soup_message_headers_replace(head, "username", "eventmesh");
    soup_message_headers_replace(head, "producergroup", group);
    soup_message_headers_replace(head, "consumergroup", group);
    gsize len = body->len;
    g_autoptr(GBytes) bytes = g_bytes_new_take(g_string_free(body, FALSE), len);
    soup_message_set_request_body_from_bytes(msg, "application/json", bytes);
}

static void
ask(http_request *r, const char *mesh, const char *topics, int ret)
{
    http_lane *lane = r->lane;
    http_target *target = http_target_get(lane->push, mesh);
    g_autofree char *url = own_url(r);
    asking *a;

    if (target == NULL || url == NULL) {
        if (target != NULL)
            http_target_unused(target);
        http_retf(r, ret, ": our own address is not known; set advertise");
        return;
    }
    a = g_new0(asking, 1);
    *a = (asking){ .request = http_request_ref(r), .target = target, .ret = ret };
    a->answer = g_byte_array_new();
    a->cancel = g_cancellable_new();
    a->timer = lane->http->loop->timer(lane->loop, on_timer, a);
    lane->http->loop->timer_set(a->timer, http_now(lane) + WAIT_NS);
    target->n_hooks++;
    lane->push->n_jobs++;
    a->msg = http_push_message(target, "POST", a->cancel, &a->refused);
    set_message(r, a->msg, topics, url);
    http_request_wait(r);
    soup_session_send_async(lane->push->soup, a->msg, G_PRIORITY_DEFAULT, a->cancel, on_sent, a);
}

static void
remote(http_request *r, int ret)
{
    http_params params;
    const char *flaw = http_params_read(&params, r);
    g_autofree char *mesh = NULL;
    g_autofree char *topics = NULL;

    if (flaw == NULL) {
        mesh = http_form_text(&params.form, "remoteMesh");
        topics = http_form_text(&params.form, "topic");
    }
    if (flaw != NULL)
        http_retf(r, 7, ": %s", flaw);
    else if (topics == NULL || !http_json_valid(topics, strlen(topics)) || *topics != '[')
        http_retf(r, 7, ": topic is missing, or no list");
    else if (mesh == NULL || http_url_flaw(mesh) != NULL)
        http_retf(r, ret, ": remoteMesh is missing, or no URL");
    else if (r->lane->is_draining)
        http_ret(r, 200, 9, NULL);
    else
        ask(r, mesh, topics, ret);
    http_params_clear(&params, r->lane);
}

void
http_uri_subscribe_remote(http_request *r, const char *rest)
{
    (void)rest;
    remote(r, 19);
}

void
http_uri_unsubscribe_remote(http_request *r, const char *rest)
{
    (void)rest;
    remote(r, 20);
}
