/* SPDX-License-Identifier: Apache-2.0
 *
 * The handshake of CloudEvents' webhooks: OPTIONS with our origin before the first push. Only an
 * answer that names another origin refuses, as with EventMesh: most webhooks know nothing of it.
 * A rate that it allows is kept to. [lane]
 */
#include "push.h"
#include <string.h>

struct http_hand {
    http_target *target;
    SoupMessage *msg;
    GCancellable *cancel;
    emesh_timer *timer;
    char *refused; /* by the guard */
};

/* Requests a minute; 0: no limit. */
static uint64_t
rate_of(const char *text)
{
    if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text))
        return 0;
    return MIN(g_ascii_strtoull(text, NULL, 10), 60000000);
}

static void
judge(http_target *target, SoupMessage *msg)
{
    SoupMessageHeaders *head = soup_message_get_response_headers(msg);
    const char *origin = soup_message_headers_get_list(head, "WebHook-Allowed-Origin");
    uint64_t rate = rate_of(soup_message_headers_get_one(head, "WebHook-Allowed-Rate"));
    g_autofree char *ours = g_strdup_printf("eventmesh.%s", target->push->lane->http->options.idc);

    if (origin != NULL && strcmp(origin, "*") != 0 && g_ascii_strcasecmp(origin, ours) != 0) {
        target->refused = true;
        return;
    }
    if (origin != NULL && rate > 0)
        target->interval_ns = 60 * HTTP_SECOND / rate;
}

static void
tell(http_target *target)
{
    g_autoptr(GPtrArray) asking = g_steal_pointer(&target->asking);

    target->asking = g_ptr_array_new();
    target->n_hooks++;
    for (guint i = 0; i < asking->len; i++)
        http_check_allowed(asking->pdata[i], !target->refused);
    http_target_release(target);
}

static void
on_sent(GObject *source, GAsyncResult *result, gpointer data)
{
    http_hand *hand = data;
    http_target *target = hand->target;
    http_push *push = target->push;
    g_autoptr(GError) error = NULL;
    g_autoptr(GInputStream) in = soup_session_send_finish(SOUP_SESSION(source), result, &error);

    if (in != NULL) {
        judge(target, hand->msg);
        g_cancellable_cancel(hand->cancel); /* its body is not of interest */
    }
    target->asked = !target->refused; /* who refuses may be asked again */
    target->hand = NULL;
    push->lane->http->loop->timer_end(hand->timer);
    g_object_unref(hand->msg);
    g_object_unref(hand->cancel);
    g_free(hand->refused);
    g_free(hand);
    tell(target);
    http_push_less(push);
}

static void
on_timer(void *ctx)
{
    g_cancellable_cancel(((http_hand *)ctx)->cancel);
}

void
http_hand_ask(http_target *target, http_check *check)
{
    http_lane *lane = target->push->lane;
    const http_options *o = &lane->http->options;
    g_autofree char *origin = g_strdup_printf("eventmesh.%s", o->idc);
    http_hand *hand;

    if (target->asked || !o->push_handshake || lane->is_draining) {
        http_check_allowed(check, true);
        return;
    }
    g_ptr_array_add(target->asking, check);
    if (target->hand != NULL)
        return;
    hand = g_new0(http_hand, 1);
    hand->target = target;
    hand->cancel = g_cancellable_new();
    hand->timer = lane->http->loop->timer(lane->loop, on_timer, hand);
    lane->http->loop->timer_set(hand->timer, http_now(lane) + o->push_timeout_ns);
    hand->msg = http_push_message(target, "OPTIONS", hand->cancel, &hand->refused);
    soup_message_headers_replace(soup_message_get_request_headers(hand->msg),
                                 "WebHook-Request-Origin", origin);
    target->hand = hand;
    target->refused = false;
    target->push->n_jobs++;
    soup_session_send_async(target->push->soup, hand->msg, G_PRIORITY_DEFAULT, hand->cancel,
                            on_sent, hand);
}

void
http_hand_cut(http_target *target)
{
    if (target->hand != NULL)
        g_cancellable_cancel(target->hand->cancel);
}
