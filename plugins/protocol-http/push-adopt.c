/* SPDX-License-Identifier: Apache-2.0
 *
 * Subscriptions that another instance made with push_to: a hook without group, which lives as long
 * as the one who asked wants it. [lane]
 */
#include "push.h"
#include <string.h>

typedef struct adopting { /* while the URL is looked at */
    http_check check;     /* first */
    http_hook *hook;      /* a reference */
} adopting;

static http_topic *
topic_of(const http_hook *hook)
{
    return hook->topics->len > 0 ? hook->topics->pdata[0] : NULL;
}

static void
set_window(const http_hook *hook)
{
    const http_lane *lane = hook->push->lane;
    const http_topic *topic = topic_of(hook);
    uint32_t window = lane->is_draining ? 0 : lane->http->options.push_concurrency;

    if (topic != NULL && hook->allowed)
        lane->http->client->window(topic->member, window, 0);
}

void
http_adopted_end(http_hook *hook, const char *why)
{
    const http_lane *lane = hook->push->lane;
    http_topic *topic = topic_of(hook);
    emesh_error err = { .size = sizeof err, .code = EMESH_E_CLOSED };

    if (topic == NULL)
        return;
    http_hook_ref(hook);
    if (why != NULL) {
        g_strlcpy(err.text, why, sizeof err.text);
        lane->http->client->refuse(topic->member, err.code, &err);
    }
    http_hook_unsubscribe(hook, topic);
    if (g_ptr_array_remove(hook->push->adopted, hook))
        http_hook_unref(hook); /* its session ends with what is under way */
    http_hook_unref(hook);
}

void
http_adopted_drain(http_push *push)
{
    for (guint i = 0; i < push->adopted->len; i++)
        set_window(push->adopted->pdata[i]);
}

/* ---- the URL is looked at ---- */

static void
checked(http_check *check, const char *why)
{
    adopting *a = (adopting *)check;
    http_hook *hook = a->hook;

    hook->allowed = why == NULL;
    if (why == NULL)
        set_window(hook);
    else
        http_adopted_end(hook, why + strspn(why, " "));
    http_hook_unref(hook);
    g_free(a->check.url);
    g_free(a);
}

/* ---- what the mesh says ---- */

static void
on_subscribed(http_member *member, int32_t code, const emesh_error *err)
{
    http_topic *topic = (http_topic *)member;
    (void)err;

    if (code == EMESH_OK)
        topic->ready = true;
    else
        http_adopted_end(topic->hook, NULL);
}

static void
on_ask(http_actor *actor)
{
    http_adopted_end(((http_topic *)actor)->hook, "an administrator has closed its session");
}

static const http_actor_ops adopted_ops = { .ask = on_ask,
                                            .subscribed = on_subscribed,
                                            .deliver = http_topic_deliver };

static http_format
format_of(const emesh_subscribe *spec)
{
    http_format format = HTTP_FORMAT_EVENTMESH;

    for (uint32_t i = 0; i < spec->n_labels; i++) {
        const emesh_attr *l = &spec->labels[i];
        if (l->name_len == 6 && memcmp(l->name, "format", 6) == 0)
            http_format_read(&format, l->value, l->value_len);
    }
    return format;
}

static http_hook *
hook_new(http_push *push, http_target *target, emesh_session *session, const char *group)
{
    http_hook *hook = g_new0(http_hook, 1);

    hook->push = push;
    hook->target = target;
    hook->mesh = session;
    hook->name = g_strdup(group);
    hook->topics = g_ptr_array_new();
    hook->waiting = g_ptr_array_new();
    hook->kept = g_ptr_array_new_with_free_func(http_kept_free);
    hook->refs = 1; /* of the list */
    hook->opened = hook->adopted = true;
    target->n_hooks++;
    g_ptr_array_add(push->adopted, hook);
    return hook;
}

int32_t
http_adopt(emesh_lane *of, emesh_session *session, emesh_member *member,
           const emesh_subscribe *spec, void **ctx)
{
    http_lane *lane = (http_lane *)of;
    g_autofree char *url = g_strndup(spec->push_to.ptr, spec->push_to.len);
    g_autofree char *group = g_strndup(spec->group.ptr, spec->group.len);
    const char *flaw = http_url_flaw(url);
    emesh_error err = { .size = sizeof err, .code = EMESH_E_INVALID };
    http_target *target;
    http_topic *topic;
    adopting *a;

    if (lane->is_draining)
        return EMESH_E_UNAVAILABLE;
    target = flaw == NULL ? http_target_get(lane->push, url) : NULL;
    if (target == NULL) {
        g_snprintf(err.text, sizeof err.text, "invalid URL: %s (%s)", url,
                   flaw != NULL ? flaw : "it is no URL");
        lane->http->client->refuse(member, err.code, &err);
        return err.code;
    }
    topic = g_malloc0(sizeof *topic + spec->topic.len + 1);
    *topic = (http_topic){ .base = { &adopted_ops },
                           .hook = hook_new(lane->push, target, session, group),
                           .member = member,
                           .format = format_of(spec),
                           .sync = (spec->flags & EMESH_SUB_REQUESTS) != 0 };
    memcpy(topic->name, spec->topic.ptr, spec->topic.len);
    g_ptr_array_add(topic->hook->topics, topic);
    *ctx = topic;
    a = g_new0(adopting, 1);
    a->hook = http_hook_ref(topic->hook);
    a->check = (http_check){ checked, lane->push, g_strdup(url) };
    http_check_start(&a->check);
    return EMESH_OK;
}
