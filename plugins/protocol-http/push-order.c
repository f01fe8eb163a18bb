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

struct http_try {     /* [lane] of the group */
    http_check check; /* first; its URL is that of the items it is about */
    http_order *order;
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
        http_hook *hook = http_push_find(t->order->to->push, t->fresh->pdata[i], t->check.url);
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
    g_free(t->check.url);
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
        if (strcmp(i->url, t->check.url) != 0 || strcmp(group, hook->name) != 0 ||
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
    g_autofree char *group = group_of(o, t->check.url, broadcasting);
    http_hook *hook = http_push_hook(o->to->push, group, t->check.url);

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

static void
on_checked(http_check *check, const char *why)
{
    http_try *t = (http_try *)check;
    http_order *o = t->order;
    bool kinds[2] = { false, false };

    if (why != NULL) {
        fail(o, 7, g_strdup(why));
        try_done(t);
        return;
    }
    for (guint n = 0; n < o->items->len; n++) {
        const item *i = &g_array_index(o->items, item, n);
        if (strcmp(i->url, t->check.url) == 0)
            kinds[i->broadcasting] = true;
    }
    for (int broadcasting = 0; broadcasting < 2; broadcasting++) {
        if (kinds[broadcasting])
            open_hook(t, broadcasting != 0);
    }
    try_done(t);
}

static void
try_start(http_order *o, const char *url)
{
    http_try *t = g_new0(http_try, 1);

    t->order = o;
    t->check = (http_check){ on_checked, o->to->push, g_strdup(url) };
    t->fresh = g_ptr_array_new_with_free_func(g_free);
    t->waits = 1;
    o->waits++;
    http_check_start(&t->check);
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
