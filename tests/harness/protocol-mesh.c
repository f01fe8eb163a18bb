/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake mesh: takes what the plugin gives, keeps it for the test to look at, answers on demand.
 * One thread.
 */
#include "protocol-mesh.h"
#include "event/event.h"

#include <string.h>

static void
published_free(void *data)
{
    ph_published *p = data;
    emesh_event_unref(p->event);
    g_free(p->topic);
    g_free(p);
}

static void
member_free(void *data)
{
    ph_member *m = data;
    g_free(m->topic);
    g_free(m->group);
    g_free(m);
}

void
ph_session_free(void *data)
{
    ph_session *s = data;
    g_free(s->client);
    g_hash_table_unref(s->labels);
    g_ptr_array_unref(s->published);
    g_ptr_array_unref(s->members);
    g_free(s);
}

/* ---- the client service ---- */

static emesh_session *
client_open(emesh_loop *loop, const emesh_who *who, void *ctx)
{
    ph_host *h = (ph_host *)loop;
    ph_session *s = g_new0(ph_session, 1);
    s->host = h;
    s->ctx = ctx;
    s->client = g_strndup(who->client.ptr, who->client.len);
    s->labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (uint32_t i = 0; i < who->n_labels; i++)
        g_hash_table_replace(s->labels, g_strndup(who->labels[i].name, who->labels[i].name_len),
                             g_strndup(who->labels[i].value, who->labels[i].value_len));
    s->published = g_ptr_array_new_with_free_func(published_free);
    s->members = g_ptr_array_new_with_free_func(member_free);
    s->how = UINT32_MAX; /* not opened yet */
    g_ptr_array_add(h->sessions, s);
    return (emesh_session *)s;
}

static void
client_close(emesh_session *session, uint32_t how)
{
    ph_session *s = (ph_session *)session;
    g_assert_false(s->closed);
    s->closed = true;
    s->how = how;
    for (guint i = 0; i < s->members->len; i++)
        ((ph_member *)s->members->pdata[i])->gone = true;
}

static int32_t
client_publish(emesh_session *session, const emesh_publish *items, uint32_t n)
{
    ph_session *s = (ph_session *)session;
    ph_host *h = s->host;
    uint32_t taken = MIN(n, h->publish_room);
    g_assert_false(s->closed);
    h->publish_calls++;
    if (h->publish_code < 0)
        return h->publish_code;
    for (uint32_t i = 0; i < taken; i++) {
        ph_published *p = g_new0(ph_published, 1);
        p->event = emesh_event_ref(items[i].event);
        p->topic = g_strndup(items[i].topic.ptr, items[i].topic.len);
        p->cookie = items[i].cookie;
        p->reply_to = items[i].reply_to;
        p->what = items[i].what;
        g_ptr_array_add(s->published, p);
    }
    if (h->publish_room != UINT32_MAX)
        h->publish_room -= taken;
    s->room_wanted |= taken < n;
    return (int32_t)taken;
}

static emesh_member *
client_subscribe(emesh_session *session, const emesh_subscribe *spec, void *ctx)
{
    ph_session *s = (ph_session *)session;
    ph_member *m = g_new0(ph_member, 1);
    g_assert_false(s->closed);
    *m = (ph_member){ .session = s,
                      .ctx = ctx,
                      .topic = g_strndup(spec->topic.ptr, spec->topic.len),
                      .group = g_strndup(spec->group.ptr, spec->group.len),
                      .mode = spec->mode,
                      .flags = spec->flags,
                      .ack_timeout_ns = spec->ack_timeout_ns,
                      .window_events = spec->window_events,
                      .window_bytes = spec->window_bytes };
    g_ptr_array_add(s->members, m);
    return (emesh_member *)m;
}

static void
client_unsubscribe(emesh_member *member, uint32_t forget)
{
    ph_member *m = (ph_member *)member;
    (void)forget;
    g_assert_false(m->gone);
    m->gone = true;
}

static void
client_window(emesh_member *member, uint32_t events, uint64_t bytes)
{
    ph_member *m = (ph_member *)member;
    g_assert_false(m->gone);
    m->window_events = events;
    m->window_bytes = bytes;
}

static void
client_settle(emesh_session *session, const emesh_settle *items, uint32_t n)
{
    ph_session *s = (ph_session *)session;
    g_assert_false(s->closed);
    s->host->settle_calls++;
    for (uint32_t i = 0; i < n; i++) {
        ph_settled settled = { items[i].id, items[i].outcome,
                               g_strndup(items[i].reason.ptr, items[i].reason.len) };
        g_array_append_val(s->host->settled, settled);
    }
}

const emesh_client_api ph_client_api = { .size = sizeof ph_client_api,
                                         .open = client_open,
                                         .close = client_close,
                                         .publish = client_publish,
                                         .subscribe = client_subscribe,
                                         .unsubscribe = client_unsubscribe,
                                         .window = client_window,
                                         .settle = client_settle };

/* ---- what the mesh says ---- */

static void
error_fill(emesh_error *err, int32_t code, const char *why)
{
    *err = (emesh_error){ .size = sizeof *err, .code = code };
    g_strlcpy(err->text, why != NULL ? why : "", sizeof err->text);
}

ph_session *
ph_last_session(ph_host *h)
{
    return h->sessions->len > 0 ? h->sessions->pdata[h->sessions->len - 1] : NULL;
}

void
ph_opened(ph_session *s, int32_t code, const char *why)
{
    emesh_error err;
    error_fill(&err, code, why);
    s->how = 0;
    ph_enter(s->host);
    s->host->ops->client->opened(s->host->lane, s->ctx, code, code != EMESH_OK ? &err : NULL);
    ph_leave(s->host);
    ph_run(s->host);
}

void
ph_subscribed(ph_member *m, int32_t code, const char *why)
{
    ph_host *h = m->session->host;
    emesh_error err;
    error_fill(&err, code, why);
    m->answered = true;
    ph_enter(h);
    h->ops->client->subscribed(h->lane, m->ctx, code, code != EMESH_OK ? &err : NULL);
    ph_leave(h);
    ph_run(h);
}

static void
results(ph_session *s, const emesh_published *list, uint32_t n)
{
    ph_enter(s->host);
    s->host->ops->client->published(s->host->lane, s->ctx, list, n);
    ph_leave(s->host);
}

void
ph_result(ph_session *s, uint32_t i, int32_t code, const char *why)
{
    ph_published *p = s->published->pdata[i];
    emesh_error err;
    error_fill(&err, code, why);
    g_assert_false(p->answered);
    p->answered = true;
    emesh_published one = { .cookie = p->cookie, .code = code, .err = why != NULL ? &err : NULL };
    results(s, &one, 1);
    ph_run(s->host);
}

void
ph_results(ph_session *s, const uint32_t *order, uint32_t n)
{
    g_autofree emesh_published *list = g_new0(emesh_published, n);
    for (uint32_t i = 0; i < n; i++) {
        ph_published *p = s->published->pdata[order[i]];
        g_assert_false(p->answered);
        p->answered = true;
        list[i].cookie = p->cookie;
        list[i].level = EMESH_LEVEL_SYNCED;
    }
    results(s, list, n);
    ph_run(s->host);
}

void
ph_reply(ph_session *s, uint32_t i, const emesh_event *reply)
{
    ph_published *p = s->published->pdata[i];
    emesh_published one = { .cookie = p->cookie, .reply = reply };
    g_assert_cmpuint(p->what, ==, EMESH_PUB_REQUEST);
    g_assert_false(p->answered);
    p->answered = true;
    results(s, &one, 1);
    ph_run(s->host);
}

void
ph_redirect(ph_session *s, const char *target, const char *reason)
{
    emesh_ask ask = { .size = sizeof ask,
                      .what = EMESH_ASK_REDIRECT,
                      .reason = { reason, strlen(reason) },
                      .target = { target, strlen(target) } };
    ph_enter(s->host);
    s->host->ops->client->ask(s->host->lane, s->ctx, &ask);
    ph_leave(s->host);
    ph_run(s->host);
}

void
ph_room(ph_session *s, uint32_t room)
{
    s->host->publish_room = room;
    s->room_wanted = false;
    ph_enter(s->host);
    s->host->ops->client->room(s->host->lane, s->ctx);
    ph_leave(s->host);
    ph_run(s->host);
}

uint64_t
ph_deliver(ph_member *m, const emesh_event *const *events, uint32_t n)
{
    ph_host *h = m->session->host;
    g_autofree emesh_delivery *list = g_new0(emesh_delivery, n);
    uint64_t first = h->next_delivery + 1;
    g_assert_false(m->gone);
    for (uint32_t i = 0; i < n; i++)
        list[i] = (emesh_delivery){ .id = ++h->next_delivery,
                                    .event = events[i],
                                    .topic = { m->topic, strlen(m->topic) },
                                    .stored_ms = h->wall_ms - 5,
                                    .attempt = 1 };
    ph_enter(h);
    h->ops->client->deliver(h->lane, m->ctx, list, n);
    ph_leave(h);
    ph_run(h);
    return first;
}

void
ph_ask(ph_session *s, uint32_t what, const char *reason)
{
    emesh_ask ask = { .size = sizeof ask, .what = what, .reason = { reason, strlen(reason) } };
    ph_enter(s->host);
    s->host->ops->client->ask(s->host->lane, s->ctx, &ask);
    ph_leave(s->host);
    ph_run(s->host);
}

ph_settled *
ph_settled_find(ph_host *h, uint64_t id)
{
    for (guint i = 0; i < h->settled->len; i++) {
        ph_settled *s = &g_array_index(h->settled, ph_settled, i);
        if (s->id == id)
            return s;
    }
    return NULL;
}

static bool
session_step(ph_session *s)
{
    ph_host *h = s->host;
    bool moved = false;
    if (!s->closed && s->how == UINT32_MAX && h->auto_open) {
        s->how = 0;
        ph_enter(h);
        h->ops->client->opened(h->lane, s->ctx, EMESH_OK, NULL);
        ph_leave(h);
        moved = true;
    }
    for (guint i = 0; i < s->members->len && !s->closed && h->auto_subscribe; i++) {
        ph_member *m = s->members->pdata[i];
        if (m->gone || m->answered)
            continue;
        m->answered = true;
        ph_enter(h);
        h->ops->client->subscribed(h->lane, m->ctx, EMESH_OK, NULL);
        ph_leave(h);
        moved = true;
    }
    if (h->auto_result && !s->closed) {
        g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(emesh_published));
        for (guint i = 0; i < s->published->len; i++) {
            ph_published *p = s->published->pdata[i];
            emesh_published one = { .cookie = p->cookie, .level = EMESH_LEVEL_SYNCED };
            if (p->what == EMESH_PUB_REQUEST) /* nobody answers */
                one.code = EMESH_E_TIMEOUT;
            if (!p->answered)
                g_array_append_val(list, one);
            p->answered = true;
        }
        if (list->len > 0) {
            results(s, (const emesh_published *)(const void *)list->data, list->len);
            moved = true;
        }
    }
    return moved;
}

bool
ph_mesh_step(ph_host *h)
{
    bool moved = false;
    for (guint i = 0; i < h->sessions->len; i++)
        moved |= session_step(h->sessions->pdata[i]);
    return moved;
}
