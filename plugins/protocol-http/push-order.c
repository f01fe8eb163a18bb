/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client wants of its group: carried from the lane of its request to the lane of the group
 * and back. There each URL is checked, asked, subscribed in turn; the answer comes when all topics
 * are durable, and none of them stands if one was refused.
 */
#include "push.h"
#include <string.h>

typedef struct item {
    char *topic, *url;
    bool broadcasting, sync;
} item;

struct http_order {
    emesh_task task; /* first */
    const http_instance *http;
    http_request *request; /* of the lane `from` alone */
    http_lane *from, *to;
    http_want want;
    http_format format;
    char *group, *idc;
    GArray *items;  /* item */
    uint32_t waits; /* attempts, on `to` */
    int ret;        /* 0, or retCode of the first that failed */
    char *why;      /* appended to that code's text */
};

struct http_try { /* [lane] of the group */
    http_order *order;
    char *url;           /* of the items it is about */
    http_hook *hooks[2]; /* of the group and of its broadcasting twin; references */
    uint32_t waits;
    GPtrArray *fresh; /* names of topics that were not subscribed before, two strings each */
};

static void
item_clear(gpointer data)
{
    item *i = data;
    g_free(i->topic);
    g_free(i->url);
}

http_order *
http_order_new(http_request *r, http_want want, const char *group)
{
    http_order *o = g_new0(http_order, 1);
    o->http = r->lane->http;
    o->request = http_request_ref(r);
    o->from = r->lane;
    o->want = want;
    o->group = g_strdup(group);
    o->items = g_array_new(FALSE, FALSE, sizeof(item));
    g_array_set_clear_func(o->items, item_clear);
    return o;
}

void
http_order_add(http_order *o, const char *topic, const char *url, bool broadcasting, bool sync)
{
    item i = { g_strdup(topic), g_strdup(url), broadcasting, sync };
    g_array_append_val(o->items, i);
}

void
http_order_set(http_order *o, const char *idc, http_format format)
{
    o->idc = g_strdup(idc);
    o->format = format;
}

void
http_order_free(http_order *o)
{
    if (o->request != NULL)
        http_request_unref(o->request);
    g_array_unref(o->items);
    g_free(o->group);
    g_free(o->idc);
    g_free(o->why);
    g_free(o);
}

const char *
http_url_flaw(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, SOUP_HTTP_URI_FLAGS, NULL);

    if (uri == NULL)
        return "it is no URL";
    if (strcmp(g_uri_get_scheme(uri), "http") != 0 && strcmp(g_uri_get_scheme(uri), "https") != 0)
        return "it is neither http nor https";
    if (g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0')
        return "it names no host";
    if (g_uri_get_userinfo(uri) != NULL)
        return "it has a user in it";
    return NULL;
}

/* ---- back ---- */

/* [lane] of the request */
static void
returned(emesh_task *task, int32_t code)
{
    http_order *o = (http_order *)task;

    if (code != EMESH_OK) { /* that lane is gone, and with it whoever waited */
        o->request = NULL;
        http_order_free(o);
        return;
    }
    if (o->ret == 0)
        http_ret(o->request, 200, 0, NULL);
    else
        http_retf(o->request, o->ret, "%s", o->why != NULL ? o->why : "");
    http_order_free(o);
}

static void
order_done(http_order *o)
{
    if (--o->waits > 0)
        return;
    o->task.run = returned;
    o->http->loop->post(o->from->loop, &o->task);
}

/* ---- attempts ---- */

static void
fail(http_order *o, int ret, char *why) /* takes why */
{
    if (o->ret != 0 || o->want == HTTP_WANT_HEARTBEAT) { /* a heartbeat is heard in any case */
        g_free(why);
        return;
    }
    o->ret = ret;
    o->why = why;
}

/* What was subscribed for a request that is refused in the end. */
static void
take_back(http_try *t)
{
    for (guint i = 0; i + 1 < t->fresh->len; i += 2) {
        http_hook *hook = http_push_find(t->order->to->push, t->fresh->pdata[i], t->url);
        http_topic *topic = hook != NULL ? http_hook_topic(hook, t->fresh->pdata[i + 1]) : NULL;
        if (topic != NULL)
            http_hook_unsubscribe(hook, topic);
    }
}

static void
try_done(http_try *t)
{
    http_order *o = t->order;

    if (--t->waits > 0)
        return;
    if (o->ret != 0)
        take_back(t);
    for (int i = 0; i < 2; i++) {
        if (t->hooks[i] != NULL)
            http_hook_unref(t->hooks[i]);
    }
    g_ptr_array_unref(t->fresh);
    g_free(t->url);
    g_free(t);
    order_done(o);
}

/* A URL that broadcasts has a group of its own, so that it misses nothing while it is away. Given.
 */
static char *
group_of(const http_order *o, const char *url, bool broadcasting)
{
    g_autofree char *sum = NULL;

    if (!broadcasting)
        return g_strdup(o->group);
    sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, url, -1);
    sum[16] = '\0';
    return g_strdup_printf("%s-bc-%s", o->group, sum);
}

static void
subscribe_items(http_try *t, http_hook *hook)
{
    http_order *o = t->order;

    for (guint n = 0; n < o->items->len; n++) {
        const item *i = &g_array_index(o->items, item, n);
        g_autofree char *group = group_of(o, i->url, i->broadcasting);
        if (strcmp(i->url, t->url) != 0 || strcmp(group, hook->name) != 0 ||
            http_hook_topic(hook, i->topic) != NULL)
            continue; /* it keeps its first mode and type */
        t->waits++;
        if (!http_hook_subscribe(hook, i->topic, i->sync, o->format, t)) {
            t->waits--;
            fail(o, 19, g_strdup(": out of memory"));
            continue;
        }
        g_ptr_array_add(t->fresh, g_strdup(group));
        g_ptr_array_add(t->fresh, g_strdup(i->topic));
    }
}

void
http_try_subscribed(http_try *t, int32_t code, const char *why)
{
    if (code != EMESH_OK)
        fail(t->order, 19, g_strdup_printf(": %s", why));
    try_done(t);
}

void
http_try_opened(http_try *t, http_hook *hook, int32_t code, const char *why)
{
    if (code != EMESH_OK)
        fail(t->order, 19, g_strdup_printf(": %s", why));
    else
        subscribe_items(t, hook);
    try_done(t);
}

static void
open_hook(http_try *t, bool broadcasting)
{
    http_order *o = t->order;
    g_autofree char *group = group_of(o, t->url, broadcasting);
    http_hook *hook = http_push_hook(o->to->push, group, t->url);

    if (hook == NULL) {
        fail(o, 19, g_strdup(": out of memory"));
        return;
    }
    t->hooks[broadcasting] = http_hook_ref(hook);
    hook->heard_ns = http_now(o->to);
    if (o->idc != NULL) {
        g_free(hook->idc);
        hook->idc = g_strdup(o->idc);
    }
    if (hook->opened)
        subscribe_items(t, hook);
    else {
        t->waits++;
        g_ptr_array_add(hook->waiting, t);
    }
}

void
http_try_allowed(http_try *t, bool allowed)
{
    http_order *o = t->order;
    bool kinds[2] = { false, false };

    if (!allowed) {
        fail(o, 7, g_strdup_printf(" unauthorized webhook URL: %s", t->url));
        try_done(t);
        return;
    }
    for (guint n = 0; n < o->items->len; n++) {
        const item *i = &g_array_index(o->items, item, n);
        if (strcmp(i->url, t->url) == 0)
            kinds[i->broadcasting] = true;
    }
    for (int broadcasting = 0; broadcasting < 2; broadcasting++) {
        if (kinds[broadcasting])
            open_hook(t, broadcasting != 0);
    }
    try_done(t);
}

static void
ask_target(http_try *t)
{
    http_target *target = http_target_get(t->order->to->push, t->url);
    if (target == NULL) {
        fail(t->order, 7, g_strdup_printf(" invalid URL: %s", t->url));
        try_done(t);
        return;
    }
    target->n_hooks++; /* stays while it is asked */
    http_hand_ask(target, t);
    http_target_release(target);
}

/* NULL: none of the addresses is refused. Given. */
static char *
guard_says(const http_order *o, const emesh_slice *found, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *text = g_strndup(found[i].ptr, found[i].len);
        g_autoptr(GSocketConnectable) at = g_network_address_parse(text, 80, NULL);
        g_autoptr(GInetAddress) address =
            at != NULL ? g_inet_address_new_from_string(
                             g_network_address_get_hostname(G_NETWORK_ADDRESS(at)))
                       : NULL;
        char *why = address != NULL ? http_guard_refuses(&o->http->options.guard, address) : NULL;
        if (why != NULL)
            return why;
    }
    return NULL;
}

static void
on_found(void *ctx, int32_t code, const emesh_slice *found, uint32_t n)
{
    http_try *t = ctx;
    g_autofree char *why = NULL;

    if (code != EMESH_OK || n == 0)
        why = g_strdup("its host is not known");
    else
        why = guard_says(t->order, found, n);
    if (why == NULL) {
        ask_target(t);
        return;
    }
    fail(t->order, 7, g_strdup_printf(" invalid URL: %s (%s)", t->url, why));
    try_done(t);
}

static void
try_start(http_order *o, const char *url)
{
    http_try *t = g_new0(http_try, 1);
    g_autoptr(GUri) uri = g_uri_parse(url, SOUP_HTTP_URI_FLAGS, NULL);
    const char *host = g_uri_get_host(uri);
    int port = g_uri_get_port(uri);
    g_autofree char *address = g_strdup_printf(strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d",
                                               host, port > 0 ? port : 80);

    t->order = o;
    t->url = g_strdup(url);
    t->fresh = g_ptr_array_new_with_free_func(g_free);
    t->waits = 1;
    o->waits++;
    o->http->net->resolve(o->to->loop, address, strlen(address), on_found, t);
}

/* ---- there ---- */

static void
unsubscribe(http_order *o)
{
    for (guint n = 0; n < o->items->len; n++) {
        const item *i = &g_array_index(o->items, item, n);
        for (int broadcasting = 0; broadcasting < 2; broadcasting++) {
            g_autofree char *group = group_of(o, i->url, broadcasting != 0);
            http_hook *hook = http_push_find(o->to->push, group, i->url);
            http_topic *topic = hook != NULL ? http_hook_topic(hook, i->topic) : NULL;
            if (topic != NULL)
                http_hook_unsubscribe(hook, topic);
        }
    }
}

/* Does the group know this one? Then it was heard. */
static bool
hear(http_order *o, const item *i)
{
    bool known = false;

    for (int broadcasting = 0; broadcasting < 2; broadcasting++) {
        g_autofree char *group = group_of(o, i->url, broadcasting != 0);
        http_hook *hook = http_push_find(o->to->push, group, i->url);
        if (hook == NULL)
            continue;
        hook->heard_ns = http_now(o->to);
        known = known || http_hook_topic(hook, i->topic) != NULL;
    }
    return known;
}

static bool
is_first(const http_order *o, guint n)
{
    const char *url = g_array_index(o->items, item, n).url;
    for (guint i = 0; i < n; i++) {
        if (strcmp(g_array_index(o->items, item, i).url, url) == 0)
            return false;
    }
    return true;
}

/* [lane] of the group */
static void
arrived(emesh_task *task, int32_t code)
{
    http_order *o = (http_order *)task;

    o->waits = 1;
    if (code != EMESH_OK || o->to->push == NULL || o->to->is_draining) {
        fail(o, 9, NULL);
        order_done(o);
        return;
    }
    if (o->want == HTTP_WANT_UNSUBSCRIBE)
        unsubscribe(o);
    for (guint n = o->items->len; o->want == HTTP_WANT_HEARTBEAT && n-- > 0;) {
        if (hear(o, &g_array_index(o->items, item, n)))
            g_array_remove_index(o->items, n);
    }
    for (guint n = 0; o->want != HTTP_WANT_UNSUBSCRIBE && n < o->items->len; n++) {
        if (is_first(o, n))
            try_start(o, g_array_index(o->items, item, n).url);
    }
    order_done(o);
}

void
http_order_start(http_order *o)
{
    o->to = http_push_lane(o->http, o->group);
    if (o->to == NULL || o->from->is_draining) {
        http_ret(o->request, 200, 9, NULL);
        http_order_free(o);
        return;
    }
    http_request_wait(o->request);
    o->task.run = arrived;
    o->http->loop->post(o->to->loop, &o->task);
}
