/* SPDX-License-Identifier: Apache-2.0
 *
 * A host for one protocol component in a test.
 */
#include "fake-mesh.h"
#include "admin/command.h"
#include "event/event.h"

#include <string.h>

struct emesh_session {
    fake_mesh *mesh;
    void *ctx;
    emesh_member *member;
    bool closed;
};

struct emesh_member {
    emesh_session *session;
    void *ctx;
    uint32_t window, open, at; /* at: next event */
};

struct emesh_op {
    int unused;
};

struct emesh_loop_fake {
    fake_mesh *mesh;
};

/* What the host does later, never inside the plugin's call. */
typedef struct later {
    void (*run)(void *a, void *b);
    void *a, *b;
} later;

static gboolean
later_run(gpointer data)
{
    later *l = data;
    l->run(l->a, l->b);
    return G_SOURCE_REMOVE;
}

static void
do_later(void (*run)(void *a, void *b), void *a, void *b)
{
    later *l = g_new(later, 1);
    *l = (later){ run, a, b };
    g_idle_add_full(G_PRIORITY_DEFAULT, later_run, l, g_free);
}

static fake_mesh *
mesh_of(emesh_loop *loop)
{
    return (fake_mesh *)loop; /* the fake's loop is the mesh itself */
}

/* ---- client ---- */

static void
tell_opened(void *session, void *unused)
{
    emesh_session *s = session;
    (void)unused;
    emesh_error err = { .size = sizeof err, .text = "you are not wanted" };
    if (!s->closed)
        s->mesh->client.opened(s->mesh->lane, s->ctx, s->mesh->open_code, &err);
}

static emesh_session *
client_open(emesh_loop *loop, const emesh_who *who, void *ctx)
{
    fake_mesh *mesh = mesh_of(loop);
    emesh_session *s = g_new0(emesh_session, 1);
    g_assert_cmpuint(who->peer.len, >, 0);
    s->mesh = mesh;
    s->ctx = ctx;
    g_ptr_array_add(mesh->sessions, s);
    do_later(tell_opened, s, NULL);
    return s;
}

static void
free_session(void *session, void *unused)
{
    emesh_session *s = session;
    (void)unused;
    g_free(s->member);
    g_free(s);
}

static void
client_close(emesh_session *s, uint32_t how)
{
    g_assert_false(s->closed);
    s->closed = true;
    g_string_append(s->mesh->log, how == EMESH_LEFT_CUT ? "cut " : "left ");
    g_ptr_array_remove(s->mesh->sessions, s);
    do_later(free_session, s, NULL); /* behind whatever still names it */
}

static void
deliver_more(void *member, void *session)
{
    emesh_session *s = session;
    emesh_member *m = member;
    fake_mesh *mesh = s->mesh;
    while (!s->closed && m->open < m->window && m->at < mesh->events->len) {
        emesh_delivery d = { .id = ++mesh->next_delivery,
                             .event = g_ptr_array_index(mesh->events, m->at++) };
        m->open++;
        mesh->client.deliver(mesh->lane, m->ctx, &d, 1);
    }
}

static void
tell_published(void *session, void *cookie)
{
    emesh_session *s = session;
    emesh_error err = { .size = sizeof err, .text = "the store says no" };
    emesh_published result = { .cookie = GPOINTER_TO_SIZE(cookie),
                               .code = s->mesh->publish_code,
                               .err = &err,
                               .level = EMESH_LEVEL_SYNCED };
    if (!s->closed)
        s->mesh->client.published(s->mesh->lane, s->ctx, &result, 1);
    for (guint i = 0; i < s->mesh->sessions->len; i++) {
        emesh_session *other = g_ptr_array_index(s->mesh->sessions, i);
        if (other->member != NULL)
            deliver_more(other->member, other);
    }
}

static int32_t
client_publish(emesh_session *s, const emesh_publish *items, uint32_t n)
{
    if (s->mesh->full)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        if (s->mesh->publish_code == EMESH_OK)
            g_ptr_array_add(s->mesh->events, (gpointer)emesh_event_ref(items[i].event));
        do_later(tell_published, s, GSIZE_TO_POINTER(items[i].cookie));
    }
    return (int32_t)n;
}

static void
tell_subscribed(void *member, void *session)
{
    emesh_session *s = session;
    emesh_member *m = member;
    if (s->closed)
        return;
    s->mesh->client.subscribed(s->mesh->lane, m->ctx, EMESH_OK, NULL);
    deliver_more(m, s);
}

static emesh_member *
client_subscribe(emesh_session *s, const emesh_subscribe *spec, void *ctx)
{
    emesh_member *m = g_new0(emesh_member, 1);
    m->session = s;
    m->ctx = ctx;
    m->window = spec->window_events;
    if (spec->start->kind != EMESH_START_EARLIEST)
        m->at = s->mesh->events->len;
    s->member = m;
    do_later(tell_subscribed, m, s);
    return m;
}

static void
client_window(emesh_member *m, uint32_t events, uint64_t bytes)
{
    (void)bytes;
    m->window = events;
}

static void
client_settle(emesh_session *s, const emesh_settle *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        g_string_append(s->mesh->log, items[i].outcome == EMESH_SETTLE_DONE ? "done " : "back ");
        s->member->open--;
    }
    do_later(deliver_more, s->member, s);
}

typedef struct answer {        /* a reply that calls done */
    emesh_command_reply reply; /* first */
    void (*done)(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row,
                 uint32_t n_row, uint32_t more);
    void *ctx;
    emesh_session *session;
    char *verb;
    emesh_attr *args;
    uint32_t n;
} answer;

static void
answer_row(emesh_command_reply *reply, const emesh_attr *attrs, uint32_t n)
{
    answer *a = (answer *)reply;
    if (!a->session->closed)
        a->done(a->ctx, EMESH_OK, NULL, attrs, n, 1);
}

static void
answer_end(emesh_command_reply *reply, int32_t code, const emesh_error *err)
{
    answer *a = (answer *)reply;
    if (!a->session->closed)
        a->done(a->ctx, code, err, NULL, 0, 0);
    g_free(a->verb);
    g_free(a->args);
    g_free(a);
}

static void
run_command(void *data, void *unused)
{
    answer *a = data;
    (void)unused;
    emesh_command_run(NULL, a->verb, a->args, a->n, &a->reply);
}

static void
client_command(emesh_session *s, const char *verb, const emesh_attr *args, uint32_t n,
               void (*done)(void *ctx, int32_t code, const emesh_error *err, const emesh_attr *row,
                            uint32_t n_row, uint32_t more),
               void *ctx)
{
    answer *a = g_new0(answer, 1);
    *a = (answer){ { answer_row, answer_end },     done, ctx, s, g_strdup(verb),
                   emesh_attrs_dup(args, n, NULL), n };
    do_later(run_command, a, NULL);
}

static const emesh_client_api client_service = { .size = sizeof client_service,
                                                 .open = client_open,
                                                 .close = client_close,
                                                 .publish = client_publish,
                                                 .subscribe = client_subscribe,
                                                 .window = client_window,
                                                 .settle = client_settle,
                                                 .command = client_command };

/* ---- loop, glib, config ---- */

static uint64_t
loop_time(const emesh_loop *loop, uint32_t clock)
{
    (void)loop;
    return clock == EMESH_CLOCK_WALL ? (uint64_t)g_get_real_time() / 1000
                                     : (uint64_t)g_get_monotonic_time() * 1000;
}

static GMainContext *
glib_context(emesh_loop *loop)
{
    (void)loop;
    return g_main_context_default();
}

static int32_t
config_get(const emesh_config *cfg, const char *name, uint32_t index, emesh_value *out)
{
    const fake_mesh *mesh = (const fake_mesh *)cfg; /* the fake's configuration, too */
    if (strcmp(name, "socket") != 0 || index > 0)
        return EMESH_E_NOT_FOUND;
    out->text = (emesh_slice){ mesh->socket, strlen(mesh->socket) };
    return EMESH_OK;
}

static const emesh_loop_api loop_service = { .size = sizeof loop_service, .time = loop_time };
static const emesh_glib_api glib_service = { .size = sizeof glib_service, .context = glib_context };
static const emesh_config_api config_service = { .size = sizeof config_service, .get = config_get };

static const void *
host_service(const emesh_host *host, const char *id)
{
    (void)host;
    if (strcmp(id, EMESH_EVENT_ID) == 0)
        return &emesh_event_service;
    if (strcmp(id, EMESH_CLIENT_ID) == 0)
        return &client_service;
    if (strcmp(id, EMESH_LOOP_ID) == 0)
        return &loop_service;
    if (strcmp(id, EMESH_GLIB_ID) == 0)
        return &glib_service;
    return strcmp(id, EMESH_CONFIG_ID) == 0 ? &config_service : NULL;
}

static void
host_complete(const emesh_host *host, emesh_op *op, int32_t code, const emesh_error *err,
              const void *result)
{
    fake_mesh *mesh = (fake_mesh *)(uintptr_t)host;
    (void)op, (void)result;
    mesh->op_done = true;
    mesh->op_code = code;
    g_strlcpy(mesh->op_text, err != NULL ? err->text : "", sizeof mesh->op_text);
}

/* ---- the test's side ---- */

fake_mesh *
fake_mesh_new(const emesh_component *component, const char *socket)
{
    fake_mesh *mesh = g_new0(fake_mesh, 1);
    const emesh_protocol_ops *ops = component->ops;
    mesh->host.size = sizeof mesh->host;
    mesh->host.n_lanes = 1;
    mesh->host.service = host_service;
    mesh->host.complete = host_complete;
    mesh->life = *component->life;
    mesh->client = *ops->client;
    mesh->socket = socket;
    mesh->events = g_ptr_array_new();
    mesh->sessions = g_ptr_array_new();
    mesh->log = g_string_new(NULL);
    return mesh;
}

bool
fake_mesh_up(fake_mesh *mesh)
{
    emesh_error err = { .size = sizeof err };
    g_assert_cmpint(mesh->life.create(&mesh->host, (const emesh_config *)mesh, &mesh->self, &err),
                    ==, EMESH_OK);
    mesh->op_done = false;
    mesh->life.start(mesh->self, NULL);
    g_assert_true(mesh->op_done);
    if (mesh->op_code != EMESH_OK) {
        mesh->life.destroy(mesh->self);
        mesh->self = NULL;
        return false;
    }
    g_assert_cmpint(mesh->life.attach(mesh->self, (emesh_loop *)mesh, 0, &mesh->lane, &err), ==,
                    EMESH_OK);
    return true;
}

void
fake_mesh_down(fake_mesh *mesh)
{
    mesh->life.drain(mesh->lane, 0, NULL);
    mesh->life.detach(mesh->lane, NULL);
    mesh->lane = NULL;
    mesh->life.stop(mesh->self, NULL);
    mesh->life.destroy(mesh->self);
    mesh->self = NULL;
    while (g_main_context_iteration(NULL, FALSE))
        continue;
}

void
fake_mesh_free(fake_mesh *mesh)
{
    g_assert_cmpuint(mesh->sessions->len, ==, 0);
    for (guint i = 0; i < mesh->events->len; i++)
        emesh_event_unref(g_ptr_array_index(mesh->events, i));
    g_ptr_array_unref(mesh->events);
    g_ptr_array_unref(mesh->sessions);
    g_string_free(mesh->log, TRUE);
    g_free(mesh);
}

void
fake_mesh_kick(fake_mesh *mesh, const char *reason)
{
    emesh_ask ask = { .size = sizeof ask, .reason = { reason, strlen(reason) } };
    g_autoptr(GPtrArray) all = g_ptr_array_copy(mesh->sessions, NULL, NULL);
    for (guint i = 0; i < all->len; i++)
        mesh->client.ask(mesh->lane, ((emesh_session *)g_ptr_array_index(all, i))->ctx, &ask);
}
