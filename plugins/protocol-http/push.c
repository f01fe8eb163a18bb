/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups, their URLs and topics: who is subscribed, and which of them the mesh may offer events to.
 * [lane]
 */
#include "push.h"
#include <string.h>

/* How long the mesh waits for us before it takes an event for lost: we settle sooner than that,
 * whatever happens. */
#define PATIENCE_NS (60 * HTTP_SECOND)

http_lane *
http_push_lane(const http_instance *http, const char *group)
{
    uint32_t n = MAX(1, http->n_lanes);
    return __atomic_load_n(&http->lanes[g_str_hash(group) % n], __ATOMIC_ACQUIRE);
}

/* ---- hooks ---- */

http_hook *
http_hook_ref(http_hook *hook)
{
    hook->refs++;
    return hook;
}

static void
hook_close(http_hook *hook)
{
    if (hook->mesh != NULL)
        hook->push->lane->http->client->close(hook->mesh, EMESH_LEFT_ORDERLY);
    hook->mesh = NULL;
}

void
http_hook_unref(http_hook *hook)
{
    if (--hook->refs > 0)
        return;
    hook_close(hook);
    http_target_release(hook->target);
    g_ptr_array_unref(hook->topics);
    g_ptr_array_unref(hook->waiting);
    g_ptr_array_unref(hook->kept);
    g_free(hook->name);
    g_free(hook->idc);
    g_free(hook);
}

static void
tell_waiting(http_hook *hook, int32_t code, const char *why)
{
    g_autoptr(GPtrArray) waiting = g_steal_pointer(&hook->waiting);
    hook->waiting = g_ptr_array_new();
    for (guint i = 0; i < waiting->len; i++)
        http_try_opened(waiting->pdata[i], hook, code, why);
}

static void
hook_opened(http_actor *actor, int32_t code, const emesh_error *err)
{
    http_hook *hook = http_hook_ref((http_hook *)actor);
    hook->opened = code == EMESH_OK;
    if (code == EMESH_OK)
        http_kept_subscribe(hook);
    tell_waiting(hook, code, http_why(err, "the session is refused"));
    if (code != EMESH_OK)
        http_hook_drop(hook);
    http_hook_unref(hook);
}

static void
hook_ask(http_actor *actor)
{
    http_hook_drop((http_hook *)actor);
}

static const http_actor_ops hook_ops = { .opened = hook_opened, .ask = hook_ask };

static void
label(emesh_attr *labels, uint32_t *n, const char *name, const char *value)
{
    labels[(*n)++] = (emesh_attr){ .name = name,
                                   .name_len = (uint32_t)strlen(name),
                                   .value = value,
                                   .value_len = (uint32_t)strlen(value) };
}

static http_hook *
hook_new(http_group *group, http_target *target)
{
    http_lane *lane = group->push->lane;
    http_hook *hook = g_new0(http_hook, 1);
    emesh_attr labels[4];
    emesh_who who = { .size = sizeof who, .labels = labels };

    label(labels, &who.n_labels, "protocol", "http");
    label(labels, &who.n_labels, "group", group->name);
    label(labels, &who.n_labels, "purpose", "sub");
    label(labels, &who.n_labels, "url", target->url);
    who.client = (emesh_slice){ target->base, strlen(target->base) };
    who.peer = who.client;
    hook->actor.ops = &hook_ops;
    hook->push = group->push;
    hook->target = target;
    hook->name = g_strdup(group->name);
    hook->topics = g_ptr_array_new();
    hook->waiting = g_ptr_array_new();
    hook->kept = g_ptr_array_new_with_free_func(http_kept_free);
    hook->heard_ns = http_now(lane);
    hook->refs = 1; /* the group's */
    target->n_hooks++;
    hook->mesh = lane->http->client->open(lane->loop, &who, hook);
    if (hook->mesh == NULL) {
        http_hook_unref(hook);
        return NULL;
    }
    hook->group = group;
    g_ptr_array_add(group->hooks, hook);
    return hook;
}

static void
group_free(gpointer data)
{
    http_group *group = data;
    g_ptr_array_unref(group->hooks);
    g_free(group->name);
    g_free(group);
}

http_hook *
http_push_find(http_push *push, const char *name, const char *url)
{
    http_group *group = g_hash_table_lookup(push->groups, name);
    for (guint i = 0; group != NULL && i < group->hooks->len; i++) {
        http_hook *hook = group->hooks->pdata[i];
        if (strcmp(hook->target->url, url) == 0)
            return hook;
    }
    return NULL;
}

http_hook *
http_push_hook(http_push *push, const char *name, const char *url)
{
    http_group *group = g_hash_table_lookup(push->groups, name);
    http_hook *hook = http_push_find(push, name, url);
    http_target *target;

    if (hook != NULL)
        return hook;
    target = http_target_get(push, url);
    if (target == NULL)
        return NULL;
    if (group == NULL) {
        group = g_new0(http_group, 1);
        *group = (http_group){ push, g_strdup(name), g_ptr_array_new() };
        g_hash_table_insert(push->groups, group->name, group);
    }
    return hook_new(group, target);
}

/* ---- topics ---- */

http_topic *
http_hook_topic(const http_hook *hook, const char *topic)
{
    for (guint i = 0; i < hook->topics->len; i++) {
        http_topic *t = hook->topics->pdata[i];
        if (strcmp(t->name, topic) == 0)
            return t;
    }
    return NULL;
}

static bool
is_near(const http_hook *hook)
{
    return g_strcmp0(hook->idc, hook->push->lane->http->options.idc) == 0;
}

/* Clients of our own data centre come first: while there is one, the others get nothing. */
static void
set_windows(http_group *group, const char *topic)
{
    const http_lane *lane = group->push->lane;
    uint32_t window = lane->is_draining ? 0 : lane->http->options.push_concurrency;
    bool near = false;

    for (guint i = 0; i < group->hooks->len; i++) {
        const http_hook *hook = group->hooks->pdata[i];
        near = near || (is_near(hook) && http_hook_topic(hook, topic) != NULL);
    }
    for (guint i = 0; i < group->hooks->len; i++) {
        const http_hook *hook = group->hooks->pdata[i];
        const http_topic *t = http_hook_topic(hook, topic);
        if (t != NULL)
            lane->http->client->window(t->member, near && !is_near(hook) ? 0 : window, 0);
    }
}

static void topic_subscribed(http_member *member, int32_t code, const emesh_error *err);
static const http_actor_ops topic_ops = { .subscribed = topic_subscribed,
                                          .deliver = http_topic_deliver };

bool
http_hook_subscribe(http_hook *hook, const char *name, bool sync, http_format format,
                    http_try *attempt)
{
    const http_instance *http = hook->push->lane->http;
    http_topic *topic = g_malloc0(sizeof *topic + strlen(name) + 1);
    emesh_subscribe spec = { .size = sizeof spec,
                             .mode = EMESH_SUB_SHARED,
                             .flags = sync ? EMESH_SUB_REQUESTS : 0,
                             .topic = { topic->name, strlen(name) },
                             .group = { hook->name, strlen(hook->name) },
                             .ack_timeout_ns = http->options.push_timeout_ns + PATIENCE_NS };

    *topic = (http_topic){
        .base = { &topic_ops }, .hook = hook, .format = format, .sync = sync, .attempt = attempt
    };
    memcpy(topic->name, name, strlen(name) + 1);
    topic->member = http->client->subscribe(hook->mesh, &spec, topic);
    if (topic->member == NULL) {
        g_free(topic);
        return false;
    }
    g_ptr_array_add(hook->topics, topic);
    return true;
}

static void
forget_topic(http_push *push, http_topic *topic)
{
    GHashTableIter iter;
    gpointer target;

    for (GList *l = push->flying.head; l != NULL; l = l->next) {
        for (http_job *job = l->data; job != NULL; job = job->more)
            job->topic = job->topic == topic ? NULL : job->topic;
    }
    g_hash_table_iter_init(&iter, push->targets);
    while (g_hash_table_iter_next(&iter, NULL, &target)) {
        for (GList *l = ((http_target *)target)->ready.head; l != NULL; l = l->next) {
            http_job *job = l->data;
            job->topic = job->topic == topic ? NULL : job->topic;
        }
    }
}

/* What is under way stays so; its acknowledgement counts. */
void
http_hook_unsubscribe(http_hook *hook, http_topic *topic)
{
    http_group *group = hook->group;

    if (topic->ready && !hook->adopted && !hook->push->lane->is_draining)
        http_keep_no_more(topic);
    g_ptr_array_remove(hook->topics, topic);
    forget_topic(hook->push, topic);
    if (hook->mesh != NULL)
        hook->push->lane->http->client->unsubscribe(topic->member, 0);
    if (group != NULL)
        set_windows(group, topic->name);
    g_free(topic);
    if (hook->topics->len == 0 && hook->waiting->len == 0 && !hook->adopted)
        http_hook_drop(hook);
}

void
http_hook_drop(http_hook *hook)
{
    http_group *group = hook->group;

    if (hook->adopted)
        http_adopted_end(hook, "the URL wants nothing any more (410)");
    if (group == NULL)
        return;
    hook->group = NULL;
    g_ptr_array_remove(group->hooks, hook);
    tell_waiting(hook, EMESH_E_CLOSED, "the subscription was ended");
    while (hook->topics->len > 0) {
        http_topic *topic = hook->topics->pdata[0];
        http_try *attempt = g_steal_pointer(&topic->attempt);
        http_hook_unsubscribe(hook, topic);
        if (attempt != NULL)
            http_try_subscribed(attempt, EMESH_E_CLOSED, "the subscription was ended");
    }
    for (guint i = 0; i < group->hooks->len; i++) {
        const http_hook *other = group->hooks->pdata[i];
        for (guint t = 0; t < other->topics->len; t++)
            set_windows(group, ((http_topic *)other->topics->pdata[t])->name);
    }
    if (group->hooks->len == 0) {
        g_hash_table_remove(hook->push->groups, group->name);
        group_free(group);
    }
    http_hook_unref(hook);
}

static void
topic_subscribed(http_member *member, int32_t code, const emesh_error *err)
{
    http_topic *topic = (http_topic *)member;
    http_hook *hook = http_hook_ref(topic->hook);
    http_try *attempt = g_steal_pointer(&topic->attempt);
    const char *why = http_why(err, "the topic is refused");

    if (code == EMESH_OK) {
        topic->ready = true;
        http_keep(topic);
        if (hook->group != NULL)
            set_windows(hook->group, topic->name);
    }
    topic->ready = topic->ready && code != EMESH_E_UNAVAILABLE; /* it stands after a restart */
    if (code != EMESH_OK)
        http_hook_unsubscribe(hook, topic);
    if (attempt != NULL)
        http_try_subscribed(attempt, code, why);
    http_hook_unref(hook);
}

void
http_topic_deliver(http_member *member, const emesh_delivery *items, uint32_t n)
{
    http_topic *topic = (http_topic *)member;
    http_hook *hook = topic->hook;
    http_target *target = hook->target;
    uint64_t now = http_now(hook->push->lane);

    for (uint32_t i = 0; i < n; i++) {
        http_job *job = g_new0(http_job, 1);
        job->hook = http_hook_ref(hook);
        job->topic = topic;
        job->format = topic->format;
        job->sync = topic->sync;
        job->topic_name = g_strndup(items[i].topic.ptr, items[i].topic.len);
        job->event = hook->push->lane->http->event->ref(items[i].event);
        job->id = items[i].id;
        job->stored_ms = items[i].stored_ms;
        job->since_ns = now;
        job->link.data = job;
        hook->push->n_jobs++;
        g_queue_push_tail_link(&target->ready, &job->link);
    }
    http_target_pump(target);
}

/* ---- the lane ---- */

static GPtrArray *
all_hooks(http_push *push)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)http_hook_unref);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, push->groups);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        http_group *group = value;
        for (guint i = 0; i < group->hooks->len; i++)
            g_ptr_array_add(all, http_hook_ref(group->hooks->pdata[i]));
    }
    return all;
}

void
http_push_drain(http_lane *lane)
{
    g_autoptr(GPtrArray) hooks = all_hooks(lane->push);
    GHashTableIter iter;
    gpointer target;

    for (guint i = 0; i < hooks->len; i++) {
        const http_hook *hook = hooks->pdata[i];
        for (guint t = 0; hook->group != NULL && t < hook->topics->len; t++)
            set_windows(hook->group, ((http_topic *)hook->topics->pdata[t])->name);
    }
    http_adopted_drain(lane->push);
    g_hash_table_iter_init(&iter, lane->push->targets);
    while (g_hash_table_iter_next(&iter, NULL, &target))
        http_target_return(target, 0, "the server is stopping");
}

void
http_push_sweep(http_lane *lane, uint64_t now)
{
    uint64_t expiry = lane->http->options.expiry_ns;
    g_autoptr(GPtrArray) hooks = NULL;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, lane->push->targets);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        http_target *target = value;
        http_lines_sweep(target, now);
        const http_job *oldest = target->ready.head != NULL ? target->ready.head->data : NULL;
        if (oldest != NULL && now - oldest->since_ns >= lane->http->options.push_timeout_ns)
            http_target_return(target, 1000, "others to the same URL take all the time");
    }
    if (expiry == 0)
        return;
    hooks = all_hooks(lane->push);
    for (guint i = 0; i < hooks->len; i++) {
        http_hook *hook = hooks->pdata[i];
        if (now - hook->heard_ns >= expiry)
            http_hook_drop(hook);
    }
}

void
http_push_less(http_push *push)
{
    push->n_jobs--;
    http_lane_settle_down(push->lane);
}

bool
http_push_start(http_lane *lane)
{
    http_push *push = g_new0(http_push, 1);

    push->lane = lane;
    push->groups = g_hash_table_new(g_str_hash, g_str_equal);
    push->targets = g_hash_table_new(g_str_hash, g_str_equal);
    push->adopted = g_ptr_array_new();
    g_queue_init(&push->flying);
    lane->push = push;
    return http_push_client(push);
}

/* Ends all; jobs under way end soon after, each with a call of http_push_less(). */
void
http_push_cut(http_lane *lane)
{
    http_push *push = lane->push;
    g_autoptr(GPtrArray) hooks = NULL;
    GHashTableIter iter;
    gpointer target;

    if (push == NULL)
        return;
    http_push_drain(lane);
    hooks = all_hooks(push);
    for (guint i = 0; i < hooks->len; i++) {
        hook_close(hooks->pdata[i]);
        http_hook_drop(hooks->pdata[i]);
    }
    while (push->adopted->len > 0) {
        http_hook *hook = push->adopted->pdata[0];
        http_adopted_end(hook, "the instance that pushed has stopped");
    }
    g_hash_table_iter_init(&iter, push->targets);
    while (g_hash_table_iter_next(&iter, NULL, &target))
        http_hand_cut(target);
    for (GList *l = push->flying.head; l != NULL; l = l->next)
        http_job_cut(l->data);
}

void
http_push_free(http_lane *lane)
{
    http_push *push = lane->push;

    if (push == NULL)
        return;
    http_push_client_free(push);
    g_hash_table_unref(push->groups);
    g_hash_table_unref(push->targets);
    g_ptr_array_unref(push->adopted);
    g_free(push);
    lane->push = NULL;
}
