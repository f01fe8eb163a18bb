/* SPDX-License-Identifier: Apache-2.0
 *
 * A mesh of nothing: sessions open, publishes succeed, a subscriber gets one event. Every call into
 * the plugin is made by a job, from memory that is gone when the call returns.
 */
#include <string.h>

#include "event/event.h"
#include "poison.h"

struct emesh_session {
    emesh_loop *loop;
    void *ctx;
    uint32_t refs; /* [lane] open, and calls under way */
    bool closed;
};

struct emesh_member {
    emesh_session *session;
    void *ctx;
};

typedef enum call_kind { CALL_OPENED, CALL_PUBLISHED, CALL_SUBSCRIBED, CALL_DELIVER } call_kind;

typedef struct call {
    emesh_job job;
    call_kind kind;
    emesh_session *session;
    emesh_member *member;
    uint64_t cookie;
} call;

static uint32_t settled;  /* atomic */
static uint32_t sessions; /* atomic */

bool poison_fails(void);

static void
session_unref(emesh_session *session)
{
    if (--session->refs == 0)
        g_free(session);
}

static const emesh_event *
event_new(void)
{
    static const emesh_attr attrs[] = { { "id", "1", 2, 1, 0, 0 },
                                        { "source", "/test", 6, 5, 0, 0 },
                                        { "type", "t", 4, 1, 0, 0 } };
    const emesh_part data = { "hello", 5, NULL };
    const emesh_event_view view = { .size = sizeof view,
                                    .data_form = EMESH_DATA_TEXT,
                                    .attrs = attrs,
                                    .n_attrs = 3,
                                    .data = &data,
                                    .n_data = 1,
                                    .data_len = 5 };
    const emesh_event *event = NULL;

    g_assert_cmpint(emesh_event_build(&view, NULL, &event, NULL), ==, EMESH_OK);
    return event;
}

static void
deliver(const call *c)
{
    const emesh_loop *loop = c->session->loop;
    uint32_t stride = loop->inst->layout.delivery;
    emesh_delivery item = {
        .id = 0x42, .event = event_new(), .topic = { "t", 1 }, .partition = { "0", 1 }, .attempt = 1
    };
    char *array = poison_page(stride);

    item.topic.ptr = poison_copy("t", 1);
    item.partition.ptr = poison_copy("0", 1);
    memcpy(array, &item, MIN(stride, sizeof item));
    loop->inst->client.deliver(loop->lane, c->member->ctx, (const emesh_delivery *)array, 1);
    poison_all();
    emesh_event_unref(item.event);
}

static void
published(const call *c)
{
    const emesh_loop *loop = c->session->loop;
    uint32_t stride = loop->inst->layout.published;
    emesh_published item = { .cookie = c->cookie, .level = EMESH_LEVEL_MEMORY };
    char *array = poison_page(stride);

    memcpy(array, &item, MIN(stride, sizeof item));
    loop->inst->client.published(loop->lane, c->session->ctx, (const emesh_published *)array, 1);
    poison_all();
}

static void
run_call(emesh_job *job)
{
    call *c = (call *)job;
    emesh_session *session = c->session;
    const emesh_client_ops *ops = &session->loop->inst->client;
    emesh_lane *lane = session->loop->lane;

    if (!session->closed && c->kind == CALL_OPENED)
        ops->opened(lane, session->ctx, EMESH_OK, NULL);
    else if (!session->closed && c->kind == CALL_SUBSCRIBED)
        ops->subscribed(lane, c->member->ctx, EMESH_OK, NULL);
    else if (!session->closed && c->kind == CALL_DELIVER)
        deliver(c);
    else if (!session->closed)
        published(c);
    if (c->kind == CALL_DELIVER)
        g_free(c->member);
    session_unref(session);
    g_free(c);
}

static void
later(emesh_session *session, call_kind kind, emesh_member *member, uint64_t cookie)
{
    call *c = g_new0(call, 1);

    c->job.run = run_call;
    c->kind = kind;
    c->session = session;
    c->member = member;
    c->cookie = cookie;
    session->refs++;
    emesh_worker_post(session->loop->worker, &c->job);
}

static emesh_session *
client_open(emesh_loop *loop, const emesh_who *who, void *ctx)
{
    g_assert_cmpuint(who->size, >=, sizeof who->size);
    if (poison_fails())
        return NULL;
    emesh_session *session = g_new0(emesh_session, 1);
    session->loop = loop;
    session->ctx = ctx;
    session->refs = 1;
    __atomic_fetch_add(&sessions, 1, __ATOMIC_RELAXED);
    later(session, CALL_OPENED, NULL, 0);
    return session;
}

static void
client_close(emesh_session *session, uint32_t how)
{
    (void)how;
    g_assert_false(session->closed);
    session->closed = true;
    __atomic_fetch_sub(&sessions, 1, __ATOMIC_RELAXED);
    session_unref(session);
}

static int32_t
client_publish(emesh_session *session, const emesh_publish *items, uint32_t n)
{
    uint32_t stride = session->loop->inst->layout.publish;

    for (uint32_t i = 0; i < n; i++) {
        emesh_publish item;
        g_assert_cmpint(emesh_take(&item, sizeof item, items, stride, i), ==, EMESH_OK);
        if (poison_fails())
            return EMESH_E_INVALID;
        later(session, CALL_PUBLISHED, NULL, item.cookie);
    }
    return (int32_t)n;
}

static emesh_member *
client_subscribe(emesh_session *session, const emesh_subscribe *spec, void *ctx)
{
    g_assert_cmpuint(spec->topic.len, >, 0);
    if (poison_fails())
        return NULL;
    emesh_member *member = g_new0(emesh_member, 1);
    member->session = session;
    member->ctx = ctx;
    later(session, CALL_SUBSCRIBED, member, 0);
    later(session, CALL_DELIVER, member, 0);
    return member;
}

static void
client_unsubscribe(emesh_member *member, uint32_t forget)
{
    (void)member, (void)forget;
}

static void
client_window(emesh_member *member, uint32_t events, uint64_t bytes)
{
    (void)member, (void)events, (void)bytes;
}

static void
client_settle(emesh_session *session, const emesh_settle *items, uint32_t n)
{
    uint32_t stride = session->loop->inst->layout.settle;

    for (uint32_t i = 0; i < n; i++) {
        emesh_settle item;
        g_assert_cmpint(emesh_take(&item, sizeof item, items, stride, i), ==, EMESH_OK);
        g_assert_cmpuint(item.id, ==, 0x42);
        __atomic_fetch_add(&settled, 1, __ATOMIC_RELEASE);
    }
}

static void
client_command(emesh_session *session, const char *verb, const emesh_attr *args, uint32_t n,
               void (*done)(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row,
                            uint32_t n_row, uint32_t more),
               void *ctx)
{
    (void)session, (void)verb, (void)args, (void)n;
    done(ctx, EMESH_E_UNSUPPORTED, NULL, NULL, 0, 0);
}

const emesh_client_api poison_client = {
    .size = sizeof poison_client,
    .open = client_open,
    .close = client_close,
    .publish = client_publish,
    .subscribe = client_subscribe,
    .unsubscribe = client_unsubscribe,
    .window = client_window,
    .settle = client_settle,
    .command = client_command,
};

uint32_t
poison_settled(void)
{
    return __atomic_load_n(&settled, __ATOMIC_ACQUIRE);
}

uint32_t
poison_open_sessions(void)
{
    return __atomic_load_n(&sessions, __ATOMIC_RELAXED);
}
